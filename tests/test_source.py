import ast
import functools

import pytest

from ncsn_edu.source import show


def doubled(function):
    @functools.wraps(function)
    def call(*args):
        return 2 * function(*args)

    return call


@doubled
def score(x):
    """grad log p.

    More about it.
    """

    # the surprising part
    y = "not a docstring"
    return x, y


class Model:
    """A model."""

    width = 3

    def forward(self, x):
        """Forward."""
        return x

    def empty(self):
        """Nothing but words."""


def one_line(x): "on the line"; return x  # fmt: skip  # noqa: E702


def fenced():
    """Contains ```` a fence."""


def code_of(shown):
    text = shown._repr_markdown_()
    return text[text.index("python\n") + len("python\n") : text.rindex("\n`")]


def test_markdown_has_the_file_and_the_very_source():
    text = show(score)._repr_markdown_()
    assert text.startswith("**`test_source.py`**\n\n```python\n@doubled\ndef score(x):\n") and text.endswith("\n```")
    assert "# the surprising part" in text and "grad log p" in text
    assert "/test_source.py" not in text


def test_the_file_is_named_as_in_the_repository():
    from ncsn_edu.figures import save_figure

    assert show(save_figure)._repr_markdown_().startswith("**`ncsn_edu/figures.py`**\n\n```python\ndef save_figure(")


def test_a_package_is_named_by_its_file():
    import json

    assert show(json)._repr_markdown_().startswith("**`json/__init__.py`**")
    assert show(json.loads)._repr_markdown_().startswith("**`json/__init__.py`**")
    assert show(json.JSONDecoder)._repr_markdown_().startswith("**`json/decoder.py`**")


def test_plain_repr_is_short_and_stable():
    assert repr(show(score)) == "show(score)"
    assert repr(show(score, Model.forward)) == "show(score, Model.forward)"
    assert repr(show(score, docstring=False)) == "show(score, docstring=False)"


def test_methods_lose_their_indentation():
    assert code_of(show(Model.forward)).startswith("def forward(self, x):\n    ")


def test_docstrings_may_be_left_out_and_comments_stay():
    assert code_of(show(score, docstring=False)) == (
        '@doubled\ndef score(x):\n    # the surprising part\n    y = "not a docstring"\n    return x, y'
    )
    assert code_of(show(Model, docstring=False)) == (
        "class Model:\n    width = 3\n\n    def forward(self, x):\n        return x\n\n"
        "    def empty(self):\n        ..."
    )


@pytest.mark.parametrize("name", ["figures", "source", "bars", "doctor", "__main__"])
def test_what_is_left_without_docstrings_is_the_same_program(name):
    import importlib

    module = importlib.import_module(f"ncsn_edu.{name}")
    shown = ast.parse(code_of(show(module, docstring=False)))
    tree = ast.parse(code_of(show(module)))
    assert any(ast.get_docstring(node) for node in ast.walk(tree) if hasattr(node, "body") and hasattr(node, "name"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Expr(ast.Constant(...))]
    assert ast.dump(shown) == ast.dump(tree)


def test_a_docstring_on_the_line_of_the_code_stays():
    assert 'one_line(x): "on the line"; return x' in code_of(show(one_line, docstring=False))


def test_fences_in_the_source_do_not_end_the_block():
    text = show(fenced)._repr_markdown_()
    assert "\n`````python\n" in text and text.endswith("\n`````")


def test_objects_of_one_file_share_a_heading():
    text = show(score, Model)._repr_markdown_()
    assert text.count("test_source.py") == 1 and "def score" in text and "class Model" in text


@pytest.mark.parametrize(
    ("obj", "message"),
    [(len, "for len: it is not written in Python"), (3, r"for int: try show\(int\)"), (Model(), r"try show\(Model\)")],
)
def test_what_has_no_source_is_an_error(obj, message):
    with pytest.raises(TypeError, match=message):
        show(obj)


def test_source_needs_an_object():
    with pytest.raises(TypeError, match=r"show\(annealed_langevin\)"):
        show()
