import gc

import pytest
import tqdm.auto

from ncsn_edu.bars import progress


@pytest.fixture(autouse=True)
def bars(monkeypatch):
    """The bars that are made, with bars drawn."""
    monkeypatch.delenv("NCSN_EDU_PROGRESS", raising=False)
    monkeypatch.delenv("NCSN_EDU_FIGURES", raising=False)
    made = []

    class Bar(tqdm.std.tqdm):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.closed = False
            made.append(self)

        def close(self):
            self.closed = True
            super().close()

    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    return made


def test_items_pass_unchanged_and_the_bar_ends(bars, capsys):
    items = [object() for _ in range(5)]
    assert all(a is b for a, b in zip(progress(items, description="sampling"), items, strict=True))
    assert bars[0].total == 5 and bars[0].closed
    assert "sampling" in capsys.readouterr().err


@pytest.mark.parametrize(("iterable", "total"), [(range(3), 3), (iter(range(3)), None)])
def test_total_is_the_length_where_there_is_one(bars, iterable, total):
    assert list(progress(iterable)) == [0, 1, 2]
    assert bars[0].total == total


def test_total_may_be_given(bars):
    assert list(progress(iter("ab"), total=2)) == ["a", "b"]
    assert bars[0].total == 2


def test_stopping_early_closes_the_bar(bars):
    for item in progress(range(100)):
        if item == 3:
            break
    gc.collect()
    assert bars[0].closed and item == 3


def test_an_exception_closes_the_bar_and_passes(bars):
    def broken():
        yield 1
        raise RuntimeError("in the sampler")

    with pytest.raises(RuntimeError, match="in the sampler"):
        list(progress(broken()))
    with pytest.raises(ZeroDivisionError):
        for item in progress(range(3)):
            item / 0
    gc.collect()
    assert [bar.closed for bar in bars] == [True, True]


@pytest.mark.parametrize(("variable", "value"), [("NCSN_EDU_PROGRESS", "0"), ("NCSN_EDU_FIGURES", "check")])
def test_nothing_is_drawn_where_outputs_are_stored_or_checked(monkeypatch, capfd, variable, value):
    monkeypatch.setenv(variable, value)
    assert list(progress(range(3), description="sampling")) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")


def test_a_number_is_not_iterable():
    with pytest.raises(TypeError, match=r"range\(10\)"):
        progress(10)
