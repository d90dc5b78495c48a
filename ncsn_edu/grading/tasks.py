"""What the test cells of the assignments are written with: a task, its checks, its points, words for what is wrong.

A test cell calls the learner's function as any code would, looks at what comes back, and says in words what differs.
It judges results alone: how they were computed, in which type, with which random numbers and with what printed on the
way does not count. Its first line, `%%tests 3`, runs it in names of its own (cells.py); importing this file makes that
known to IPython. This file does NOT run notebooks, keep grades or need nbgrader: learners have it, too.
"""

import contextlib
import functools
import io
import linecache
import math
import numbers
import os
import random
import sys
import traceback
import types
import warnings
import zlib
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import calls
from .settings import our_numbers, random_state, set_random_state, theirs

FALSE_ALARM = 1e-6  # the probability that a right answer fails one check of chance
SEED = "NCSN_EDU_GRADING_SEED"  # the environment variable that gives the tests other random numbers
OURS = "__tests__"  # what the code of a test cell has for a __name__
OWN_SHARE = 0.4  # of a cell's time may go into checks that do not count, or with the learner's own earlier tasks


class Wrong(Exception):
    """What is wrong with an answer, in the learner's words."""

    def _render_traceback_(self) -> list[str]:  # IPython shows this in place of a traceback
        return [str(self)]


class Task:
    """A task of an assignment, as its test cell sees it.

        task = Task("1")
        score = task.answer("gaussian_score")

        @task.check("many points at once", points=2)
        def _():
            close(score(x, mean, 2.0, shape=x.shape), expected)

        task.done()

    A check that fails says so and costs its points; the next one is made all the same. `done` gives the points as
    the value of the cell, which is where nbgrader looks for partial credit. In a test cell names, the notebook's
    global names, are given already.
    """

    def __init__(
        self,
        title: str,
        names: MutableMapping[str, Any],
        *,
        stuck: str = "",
        share: float = 1.0,
        seconds: float = math.inf,
    ) -> None:
        """stuck: what of the package the task names for those who are stuck, as "training.EMA langevin".

        share: of the points, for an answer that calls one of them. seconds: how long the cell may take.
        """
        self.title, self._names = title, names
        self._record: list[tuple[str, float]] = []  # each check that was passed, and its points
        self._counts = self._lost = self._failed = self._stopped = False
        self._right: dict[str, Any] = {}  # what may stand in for the learner's own
        self._in_place = False  # does it now?
        self._own_seconds = OWN_SHARE * seconds
        self._share, self._watch = share, calls.Watch(stuck.split(), names) if share != 1 else None
        seed = zlib.crc32(f"{os.environ.get(SEED, 0)} {title}".encode())
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)

    def answer(self, name: str) -> Callable[..., Any]:
        """The learner's function of this name, to be called safely.

        It gets copies of tensors, prints into nothing, and what it returns comes back as tensors of 64 bits on the
        CPU: one, or a tuple of them. Raises Wrong, when called, where there is no such function.
        """

        def call(*arguments: Any, shape: Sequence[int] | None = None, **options: Any) -> Any:
            function = self._names.get(name)
            if not callable(function):
                raise Wrong(f"there is no function {name}: run the cell that defines it, and keep its name")
            with self._as_theirs():
                result = function(*map(copied, arguments), **{key: copied(value) for key, value in options.items()})
            return tensors(result, name, shape)

        return call

    def value(self, name: str) -> Any:
        """What the learner has called so; a function is as his but for its prints. Raises Wrong if there is nothing."""
        if name not in self._names:
            raise Wrong(f"there is no {name}: run the cell that defines it, and keep its name")
        value = self._names[name]
        if value is None or value is ...:
            raise Wrong(f"{name} has no value yet: put yours in place of the dots, and run the cell")
        if not isinstance(value, types.FunctionType):
            return value

        @functools.wraps(value)
        def call(*arguments: Any, **options: Any) -> Any:
            with self._as_theirs():
                return value(*arguments, **options)

        return call

    @contextlib.contextmanager
    def _as_theirs(self) -> Iterator[None]:
        with quietly(), theirs(), self._watch or contextlib.nullcontext():
            yield

    def uses(self, **right: Any) -> None:
        """Right versions of earlier tasks: a check that fails with the learner's own is made once more with these.

        The learner's own come back after each check.
        """
        self._right |= right
        if self._in_place:
            self._names.update(right)

    def check(self, text: str, *, points: float = 0, beyond: bool = False) -> Callable[[Callable[[], None]], None]:
        """Makes the decorated function's check at once. What it raises is said, and costs these points.

        A check without points is there to help. One `beyond` the others counts only if all that counted before it were
        passed. After one that ran out of time no other is made.
        """
        worth = f" ({points:g} point{'s' if points != 1 else ''})" if points else ""

        def make(body: Callable[[], None]) -> None:
            self._counts |= points > 0
            if self._stopped:
                print(f"✗ {text}{worth}: not made, for an earlier check ran out of time")
                return
            if beyond and self._failed:
                print(f"✗ {text}{worth}: not made: it counts only if the check above is passed")
                return
            error, note = self._made(body, limited=not points)
            if error is None:
                self._record.append((text, points))
                print(f"✓ {text}{worth}{note}")
            else:
                self._lost = True
                self._failed |= points > 0
                self._stopped = isinstance(error, KeyboardInterrupt)
                print(f"✗ {text}{worth}: {in_words(error, self._names)}")

        return make

    def prediction(self, a: str, b: str, c: str, *, points: float = 0) -> None:
        """Check that the learner's `prediction` is one of three letters; which of them it is does not count.

        Without points it says what to put there; with points it gives them.
        """
        title = "you have made a prediction" if points else "one of the three letters"
        missing = "there is no prediction" if points else f'put "{a}", "{b}" or "{c}"'

        @self.check(title, points=points)
        def _() -> None:
            ensure(str(self.value("prediction")).strip().lower() in {a, b, c}, missing)

    def _made(self, body: Callable[[], None], *, limited: bool) -> tuple[BaseException | None, str]:
        """What a check raises, and how it was made: with the learner's own versions, then with the right ones.

        Own ones, and `limited` checks, may take a part of the time, so that some is left for those that count.
        """
        drawn, kept = random_state(), calls.Kept(self._names)
        limited |= bool(self._right)
        if not (limited and self._own_seconds <= 0):
            error = self._tried(body, limited)
            if error is None:
                return None, ""
            kept.put_back()
            if not self._right or isinstance(error, KeyboardInterrupt):
                return error, ""
            set_random_state(drawn)
        elif not self._right:
            return calls.TooSlow(), ""
        self._names.update(self._right)
        self._in_place = True
        try:
            error = self._tried(body, limited=False)
        finally:
            self._in_place = False
            kept.put_back()
        return error, f", with {' and '.join(self._right)} put right"

    def _tried(self, body: Callable[[], None], limited: bool) -> BaseException | None:
        try:
            if limited and self._own_seconds < math.inf:
                with calls.at_most(self._own_seconds) as left:
                    body()
                self._own_seconds = left()
            else:
                body()
        except calls.TooSlow as error:
            self._own_seconds = 0.0
            return error
        except BaseException as error:  # also SystemExit, and what a learner derives from it
            return error
        return None

    def done(self) -> float | None:
        """The points, once hidden checks have been made; before that, whether all that can be seen is well."""
        if self._counts:
            points = sum(points for _, points in self._record)
            if points and self.helped:
                print(f"{self._share:g} of the points: the answer calls {', '.join(self.helped)}, named for the stuck")
                points *= self._share
            return points
        if self._lost:
            raise Wrong(f"Task {self.title}: not yet. The lines above say what to look at.")
        print(f"Task {self.title}: all checks that you can see pass. Hidden ones with other inputs decide.")
        return None

    @property
    def helped(self) -> list[str]:
        """The functions named for those who are stuck that the answer has called, where they have a price."""
        return self._watch.seen(besides=list(self._right)) if self._watch else []


# ---- comparing -------------------------------------------------------------------------------------------------


def close(value: Any, expected: Any, *, rtol: float = 1e-4, atol: float = 1e-5, what: str = "the result") -> None:
    """Raises Wrong unless both agree within atol + rtol |expected|; says how they differ if that is simple."""
    value, expected = _numbers(value, what), _numbers(expected, what)
    _has_shape(value, expected.shape, what)
    if not torch.isfinite(value).all():
        kind = "nan" if value.isnan().any() else "infinite"
        raise Wrong(f"{what} is {kind} for {_some(~torch.isfinite(value))}")
    off = (value - expected).abs()
    if bool((off <= atol + rtol * expected.abs()).all()):
        return
    simple = _simple_difference(value, expected, rtol, atol)
    at = _index(int(off.argmax()), off.shape)
    there = (
        f"{what}{at} is {value.flatten()[off.argmax()]:.4g}, and {expected.flatten()[off.argmax()]:.4g} was expected"
    )
    raise Wrong(f"{there}; {simple}" if simple else there)


def _simple_difference(value: Tensor, expected: Tensor, rtol: float, atol: float) -> str:
    """How all numbers differ in one way, in words; nothing where there is no one way."""

    def alike(a: Tensor, b: Tensor) -> bool:
        return bool(((a - b).abs() <= 10 * (atol + rtol * b.abs())).all())

    if alike(value, torch.zeros_like(value)) and not alike(expected, torch.zeros_like(value)):
        return "everything is zero"
    if alike(value, -expected):
        return "the sign is flipped everywhere"
    factor = float((value * expected).sum() / expected.square().sum().clamp_min(1e-300))
    tells = 1e-3 < abs(factor) < 1e3 and abs(factor - 1) > 0.02
    if expected.numel() > 1 and tells and alike(value, factor * expected):
        return f"everything is {factor:.3g} times what it should be"
    if expected.numel() > 1 and alike(value - expected, (value - expected).mean().expand_as(value)):
        return f"everything is off by the same {float((value - expected).mean()):.3g}"
    return ""


def ensure(condition: Any, message: str) -> None:
    """Raises Wrong with the message unless the condition holds."""
    if not bool(condition):
        raise Wrong(message)


def rows_alone(function: Callable[..., Tensor], *arguments: Tensor, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    """Raises Wrong unless each row of the result depends on the same row of the arguments alone.

    function: not random; takes the arguments, (B, ...) with B >= 3, for any B, and returns (B, ...).
    """
    whole = function(*arguments)
    rows = len(arguments[0])
    replaced = torch.cat([torch.arange(rows - 1), torch.zeros(1, dtype=torch.long)])
    cycle, moved = torch.randperm(rows), torch.empty(rows, dtype=torch.long)
    moved[cycle] = cycle.roll(1)  # no row stays where it was
    others = {
        "with the rows in another order": moved,
        "without every second row": torch.arange(0, rows, 2),
        "with the first row alone": torch.arange(1),
        "with the last row alone": torch.arange(rows - 1, rows),
        "with another last row": replaced,
    }
    for how, index in others.items():
        result = function(*(argument[index] for argument in arguments))
        close(result, whole[index], rtol=rtol, atol=atol, what=f"{how}, the result")


# ---- chance: each check lets a right answer fail with probability FALSE_ALARM at most ---------------------------


def plausible(p_value: float, message: str, *, of: int = 1) -> None:
    """Raises Wrong with the message if so small a p-value is seen in one of 1 / FALSE_ALARM right answers only.

    of: how many p-values a check looks at; the probability is that of all together.
    """
    if not float(p_value) >= FALSE_ALARM / of:
        raise Wrong(message)


def p_mean(x: Tensor, mean: float, sd: float) -> float:
    """The two-sided p-value of the mean of independent numbers (n,) with this mean and standard deviation."""
    return math.erfc(abs(float(x.mean()) - mean) / (sd / math.sqrt(x.numel())) / math.sqrt(2))


def p_variance(x: Tensor, variance: float, mean: float = 0.0) -> float:
    """The two-sided p-value of the spread of independent Gaussian numbers (n,) about a known mean. Exact."""
    from scipy.stats import chi2

    spread, n = float((x - mean).square().sum()) / variance, x.numel()
    return 2 * min(chi2.cdf(spread, n), chi2.sf(spread, n))


def p_spreads(rows: Tensor) -> float:
    """The p-value of the row whose spread is the least likely, (n, d) independent standard normal. Exact up to n."""
    from scipy.stats import chi2

    squares = rows.double().square().sum(1).numpy()
    tails = np.minimum(chi2.cdf(squares, rows.shape[1]), chi2.sf(squares, rows.shape[1]))
    return min(1.0, 2 * len(rows) * float(tails.min()))


def p_scatter(rows: Tensor) -> float:
    """The p-value of how means and spreads differ from row to row, (n, d) independent standard normal.

    Numbers that were brought to a mean of zero, or to one length, do not differ as chance makes them.
    """
    from scipy.stats import chi2, kstest

    rows, d = rows.double(), rows.shape[1]
    means = kstest((rows.sum(1) / math.sqrt(d)).numpy(), "norm").pvalue
    spreads = kstest(rows.square().sum(1).numpy(), chi2(d).cdf).pvalue
    return min(1.0, 2 * float(min(means, spreads)))


def p_share(count: int, n: int, share: float) -> float:
    """The two-sided p-value of count successes in n independent trials of this probability. Exact."""
    from scipy.stats import binomtest

    return float(binomtest(int(count), int(n), share).pvalue)


def p_normal(x: Tensor, mean: float = 0.0, sd: float = 1.0) -> float:
    """The p-value of Kolmogorov and Smirnov for independent numbers (n,) from a Gaussian."""
    from scipy.stats import kstest

    return float(kstest((x.flatten().numpy() - mean) / sd, "norm").pvalue)


def p_apart(rows: Tensor) -> float:
    """An upper bound of the p-value of the largest |cosine| between two rows, (n, d) with independent entries.

    The entries are standard normal, or -1 and +1 with equal probability. A row and its copy have 1, a row and its
    negative -1.
    """
    directions = torch.nn.functional.normalize(rows.double(), dim=1)
    first, second = torch.triu_indices(len(rows), len(rows), 1)
    largest = float((directions @ directions.T)[first, second].abs().max())
    # Hoeffding's inequality for signs; for Gaussian directions the bound of a cap of the sphere, which is the same.
    return min(1.0, 2 * len(first) * math.exp(-rows.shape[1] * largest**2 / 2))


def fresh_noise(*calls: Tensor, what: str = "the noise", of: int = 1) -> None:
    """Raises Wrong unless the numbers, (B, ...) from each of two or more calls, are independent and standard normal.

    B and the numbers per row are best 50 or more: all rows are compared, and all coordinates. of: how many times a
    check does this.
    """
    of *= 8 + 2 * len(calls)
    every = torch.stack(calls).double()
    plausible(p_normal(every), f"{what} is not standard normal", of=of)
    size = f"the variance of {what} is {every.square().mean():.3g} times what it should be"
    plausible(p_variance(every.flatten(), 1.0), size, of=of)
    far, share = int((every.abs() > 3.05).sum()), math.erfc(3.05 / math.sqrt(2))  # what is cut off is cut at 3
    said = f"{what} is beyond three standard deviations {far} times, and {share * every.numel():.0f} were expected"
    plausible(p_share(far, every.numel(), share), said, of=of)
    plausible(p_apart(every.flatten(1)), f"{what} of different calls is not independent", of=of)
    places = every.flatten(2)  # (calls, B, the rest)
    for name, parts in {"row": places.transpose(0, 1).flatten(1), "coordinate": places.flatten(0, 1).T}.items():
        plausible(p_spreads(parts), f"{what} is not as large in each {name}", of=of)
        plausible(p_apart(parts), f"{what} of different {name}s is not independent", of=of)
    for call in every:
        for name, parts in {"row": call.flatten(1), "coordinate": call.flatten(1).T}.items():
            plausible(p_scatter(parts), f"{what} has the same mean, or the same size, in each {name}", of=of)
    sizes = every.abs().mul(1e6).round()
    ensure(sizes.unique().numel() > 0.9 * sizes.numel(), f"{what} repeats itself: some numbers come more than once")


# ---- what the learner's functions are given and return ---------------------------------------------------------


class Given:
    """A function of ours for the learner to call: NumPy in gives NumPy back, a tensor one of its own type.

    `calls` counts the calls, and `rows` the rows of the first argument in all of them.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function, self.calls, self.rows = function, 0, 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """The function of the arguments, in the type of the first."""
        first = arguments[0] if arguments else next(iter(options.values()))
        self.calls += 1
        self.rows += len(first) if np.ndim(first) else 1
        with our_numbers():
            ours = [_double(value) for value in arguments]
            result = self._function(*ours, **{name: _double(value) for name, value in options.items()})
            if isinstance(first, np.ndarray):
                return result.detach().numpy().astype(first.dtype)
            return result.to(first.device, first.dtype) if isinstance(first, Tensor) else result


def _double(value: Any) -> Any:
    return torch.as_tensor(value).double() if isinstance(value, Tensor | np.ndarray) else value


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Nothing is printed and nobody is warned."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(_Nowhere()),
        contextlib.redirect_stderr(_Nowhere()),
    ):
        warnings.simplefilter("ignore")
        yield


class _Nowhere(io.TextIOBase):
    """A file that forgets what is written to it."""

    def write(self, text: str) -> int:
        return len(text)


def copied(value: Any) -> Any:
    """A copy of an array or a tensor, which may be changed; anything else as it is."""
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    return value.copy() if isinstance(value, np.ndarray) else value


def tensors(result: Any, name: str, shape: Sequence[int] | None = None) -> Any:
    """What the learner's function `name` has returned as tensors of 64 bits on the CPU: one, or a tuple of them.

    Raises Wrong where it is nothing, no numbers, or not of this shape.
    """
    found = _tensors(result, name)
    if shape is not None:
        _has_shape(found, shape, name)
    return found


def _tensors(result: Any, name: str) -> Any:
    if result is None:
        raise Wrong(f"{name} returned nothing: is there a return at its end?")
    if isinstance(result, tuple | list) and any(isinstance(part, Tensor | np.ndarray) for part in result):
        parts = [_numbers(part, name) for part in result]
        one = isinstance(result, list) or all(part.dim() == 0 for part in parts)  # made row by row
        return torch.stack(parts) if one and len({part.shape for part in parts}) == 1 else tuple(parts)
    return _numbers(result, name)


def _numbers(value: Any, what: str) -> Tensor:
    """As a plain tensor of 64 bits: a subclass may have its own idea of what is equal."""
    try:
        if isinstance(value, Tensor):
            with torch._C.DisableTorchFunctionSubclass():
                value = Tensor.detach(value)
                value = value if value.layout == torch.strided else Tensor.to_dense(value)
                value = value.resolve_conj().resolve_neg().to("cpu", torch.float64).numpy()
        array = np.ma.filled(value, np.nan) if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
        if array.dtype.kind not in "biufc" and not all(isinstance(number, numbers.Number) for number in array.flat):
            raise TypeError("no numbers")
        return torch.from_numpy(np.array(array, dtype=np.float64, subok=False, order="C"))
    except (TypeError, ValueError, RuntimeError) as error:
        raise Wrong(f"{what} is a {type(value).__name__}, not numbers") from error


def _has_shape(value: Any, shape: Sequence[int], what: str) -> None:
    if not isinstance(value, Tensor):
        raise Wrong(f"{what} returned {len(value)} things, and one was expected")
    if tuple(value.shape) != tuple(shape):
        raise Wrong(f"{what} has shape {tuple(value.shape)}, and {tuple(shape)} was expected")


def _index(flat: int, shape: Sequence[int]) -> str:
    return f" at {[int(i) for i in np.unravel_index(flat, tuple(shape))]}" if len(shape) else ""


def _some(mask: Tensor) -> str:
    return "all of it" if mask.all() else f"{int(mask.sum())} of {mask.numel()} numbers"


def in_words(error: BaseException, names: MutableMapping[str, Any]) -> str:
    """What went wrong, for the one who wrote the function: the line of theirs where it stopped, if it stopped.

    A line is theirs if it ran in the notebook's names.
    """
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    last = frames[-1][0] if frames else None
    ours = last is not None and last.f_globals.get("__name__") in (OURS, __name__)
    said = _said(error)
    if isinstance(error, Wrong) or (isinstance(error, AssertionError) and said and ours):
        return said
    if isinstance(error, KeyboardInterrupt | calls.TooSlow):
        return "it ran out of time"
    if isinstance(error, MemoryError):
        return "it ran out of memory"
    if isinstance(error, NotImplementedError) and not said:
        return "not written yet"
    if isinstance(error, NameError) and ours:
        return missing(error)
    own = [(frame.f_code.co_filename, line) for frame, line in frames if frame.f_globals is names]
    line = linecache.getline(*own[-1]).strip() if own else ""
    where = f", in your line {_short(line)!r}" if line else ""
    return f"your code stopped with {type(error).__name__}{': ' if said else ''}{said}{where}"


def _said(error: BaseException) -> str:
    """An exception's own words: their first line, and not too long."""
    try:
        return _short(next(iter(str(error).strip().splitlines()), ""))
    except Exception:  # its author has made a mistake
        return ""


def _short(text: str, most: int = 300) -> str:
    return text if len(text) <= most else text[:most] + " ..."


def missing(error: NameError) -> str:
    """In words, for a test that lacks what a set-up cell defines."""
    return f"the tests lack {error.name}, which a set-up cell defines: run the notebook from the top"


# ---- %%tests ----------------------------------------------------------------------------------------------------


def _make_known() -> None:
    """%%tests, to the IPython in which this is imported."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return
    found: list[Any] = []  # the cells of this notebook

    def tests(line: str, cell: str) -> Any:
        """Run the tests of a task, or set them up, in names of their own."""
        from .cells import Cells

        found[:] = found or [Cells(shell.user_ns)]
        return found[0].run(line, cell)

    shell.register_magic_function(tests, "cell", "tests")


_make_known()
