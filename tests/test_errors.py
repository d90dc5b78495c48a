"""What is left of an error in one line."""

import pytest

from ncsn_edu.errors import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a word"), "a word"),
        (RuntimeError("\n  CUDA error: out of luck \nand a page of advice"), "CUDA error: out of luck "),
        (KeyError(), "KeyError"),
        (OSError("\n"), "OSError"),
    ],
)
def test_the_first_line_of_an_error(error, line):
    assert first_line(error) == line


def test_an_error_that_says_nothing():
    assert first_line(EOFError(), "it ends too soon") == "it ends too soon"
    assert first_line(EOFError("no more"), "it ends too soon") == "no more"
