"""Grade many submissions in one run: time, memory, and whether each got what it should.

    python tests/benchmarks/bench_grading.py                                       # 60 of them: a quarter of an hour
    python tests/benchmarks/bench_grading.py --assignments a1 --submissions 0      # the solutions alone

First the solutions of each assignment, one at a time; then a mixed folder: endless loops, crashes, memory bombs, floods
of output, damaged and foreign files, wrong and unusual answers from the banks. It fails if one gets what it should not.
"""

import argparse
import sys
import tempfile
import threading
import time
from itertools import cycle, islice
from pathlib import Path

import nbformat
import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/assignments"), str(ROOT / "tools")]
import handed_in  # noqa: E402
import harness  # noqa: E402

from ncsn_edu.grading.course import Course  # noqa: E402
from ncsn_edu.grading.grade import grade_folder  # noqa: E402
from ncsn_edu.grading.results import Result  # noqa: E402

COURSE = Course(ROOT / "notebooks/assignments")


class Peak:
    """The most memory that all processes below this one held at a time, in bytes. A context manager."""

    def __enter__(self) -> "Peak":
        self.bytes, self._open = 0, True
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._thread.join()

    def _watch(self) -> None:
        while self._open:
            total = 0
            for process in psutil.Process().children(recursive=True):
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            self.bytes = max(self.bytes, total)
            time.sleep(0.1)


def graded(folder: Path, jobs: int) -> list[Result]:
    with tempfile.TemporaryDirectory() as work:
        return list(grade_folder(COURSE, folder, Path(work), jobs=jobs))


def notebooks(name: str) -> tuple[nbformat.NotebookNode, nbformat.NotebookNode]:
    """The release and the source."""
    release = nbformat.read(COURSE.root / "release" / name / f"{name}.ipynb", as_version=4)
    return release, COURSE.notebook(name)


def mixed(names: list[str], n: int) -> list[tuple[handed_in.Handed, str, float | None]]:
    """Files, the assignment of each, and the points it should get: every variant once, then answers of the banks."""
    found: list[tuple[handed_in.Handed, str, float | None]] = []
    release, source = notebooks(names[0])
    function = next(iter(harness.defined(names[0], "1")))
    for case in handed_in.variants(release, source, function):
        most = harness.tasks(names[0])
        lost = sum(most.values()) if case.lost == ("all",) else sum(most[task] for task in case.lost)
        found.append((case, names[0], None if case.reason else sum(most.values()) - lost))
    banks = {name: [(kind, a) for kind in ("wrong", "right") for a in harness.bank(kind, name)] for name in names}
    for number, name in enumerate(islice(cycle(names), max(0, n - len(found)))):
        kind, answer = banks[name][(37 * number) % len(banks[name])]
        release, source = notebooks(name)
        notebook, most = handed_in.solved(release, source), harness.tasks(name)
        handed_in.cell_of(notebook, f"answer-{answer.task}").source = answer.code
        full = most[answer.task] if kind == "right" else 0.0
        got = full if answer.points is None else answer.points
        case = handed_in.Handed(f"{kind} {number} {answer.task}", handed_in.as_bytes(notebook))
        found.append((case, name, sum(most.values()) - most[answer.task] + got))
    return found[:n]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--assignments", nargs="+", default=harness.NAMES)
    parser.add_argument("--submissions", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    names = harness.tool.find_names(arguments.assignments)
    wrong = 0
    print(f"{'the solutions of':36}{'seconds':>9}{'MiB':>7}  points")
    for name in names:
        with tempfile.TemporaryDirectory() as folder, Peak() as peak:
            (Path(folder) / "x.ipynb").write_bytes(handed_in.as_bytes(handed_in.solved(*notebooks(name))))
            begin = time.perf_counter()
            (result,) = graded(Path(folder), 1)
            seconds = time.perf_counter() - begin
        most = sum(harness.tasks(name).values())
        wrong += result.total != most
        print(
            f"{name:36}{seconds:9.1f}{peak.bytes / 2**20:7.0f}  {result.total} of {most:g} {result.reason}", flush=True
        )

    cases = mixed(names, arguments.submissions)
    if not cases:
        return int(bool(wrong))
    with tempfile.TemporaryDirectory() as folder, Peak() as peak:
        for case, _, _ in cases:
            (Path(folder) / f"{case.name}{case.suffix}").write_bytes(case.data)
        begin = time.perf_counter()
        results = {Path(result.file).stem: result for result in graded(Path(folder), arguments.jobs)}
        seconds = time.perf_counter() - begin
    print(f"\n{'submission':40}{'expected':>9}{'got':>6}  reason or remarks")
    for case, _, points in sorted(cases, key=lambda entry: entry[0].name):
        result = results[case.name]
        fits = result.total == points and case.reason in result.reason and case.remark in " ".join(result.remarks)
        wrong += not fits
        said = result.reason or "; ".join(result.remarks)
        print(f"{'' if fits else 'OFF '}{case.name:40}{points or 0:9g}{result.total or 0:6g}  {said[:120]}")
    print(
        f"\n{len(cases)} submissions, {arguments.jobs} at a time: {seconds:.0f} s, at most {peak.bytes / 2**20:.0f} MiB"
    )
    print(f"not as expected: {wrong}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
