"""What a change is likeliest to break, in minutes: `make quick`, after lint and types.

    python tools/quick.py [BASE]     run the tests and notebooks near what has changed since BASE (default: main)
    python tools/quick.py --list     name them, and run nothing

Near are the tests and notebooks that use a changed file themselves; where none does, those that use a file that
imports it, and so on. Notebooks are taken from the quickest on, by the times in README.md, for as long as they fit.
`make test` finds what this does not.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("", "tests", "tests/assignments", "tools")  # where modules are imported from
ALWAYS = "tests/test_project.py"
NOTEBOOK_SECONDS = 90  # of all notebooks together; two run at a time
BY_FILE = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", nargs="?", default="main", metavar="BASE")
    parser.add_argument("--list", action="store_true", help="name them, and run nothing")
    options = parser.parse_args()
    found = near(changed_files(options.base), {path: set(used_by(path)) for path in python_files()})
    tests = sorted({path for path in found if path.startswith("tests/")} | {ALWAYS})
    chosen, left = fitting(path for path in found if path.startswith("notebooks/"))
    print("tests:     ", *tests, "\nnotebooks: ", *chosen or ["none"], flush=True)
    if left:
        print("left out, as they take longer (`make nbval` runs all):", *left, flush=True)
    if options.list:
        return 0
    failed = _pytest("-m", "not browser", *tests)
    if chosen:
        os.environ["NCSN_EDU_DATA"] = os.devnull  # as they are stored
        failed |= _pytest("--nbval", "--nbval-current-env", "-p", "no:cacheprovider", *chosen)
    return failed


def _pytest(*words: str) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", "-q", *BY_FILE, *words], cwd=ROOT).returncode


def changed_files(base: str) -> list[str]:
    """Files that differ from the commit where this branch left `base`, committed or not, and new files."""
    (since,) = _git("merge-base", base, "HEAD")
    return _git("diff", "--name-only", since) + _git("ls-files", "--others", "--exclude-standard")


def _git(*words: str) -> list[str]:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.splitlines()


def near(changed: Iterable[str], uses: Mapping[str, set[str]]) -> set[str]:
    """The tests and sources of notebooks near changed files; `uses` says which files each file uses itself."""
    found: set[str] = set()
    for path in changed:
        level, seen = {path}, {path}
        while level and not (users := {each for each in level if is_test(each) or is_notebook(each)}):
            level = {each for each, used in uses.items() if used & level} - seen
            seen |= level
        if not level and path in uses:  # nothing imports it: it is started by its name, by a file beside it
            beside = {each for each in uses if Path(each).parent == Path(path).parent}
            users = {each for each, used in uses.items() if used & beside and is_test(each)}
            level = users
        found |= users if level else set()
        if path.startswith("notebooks/"):
            found.add("tests/test_notebooks.py")
        if "assignments/" in path:
            found.add("tests/assignments/test_assignments.py")
    return found


def is_test(path: str) -> bool:
    """Whether pytest would collect it."""
    return re.fullmatch(r"tests/(assignments/)?test_\w+\.py", path) is not None


def is_notebook(path: str) -> bool:
    """Whether a notebook is made from it."""
    return re.fullmatch(r"notebooks/source/\w+\.py", path) is not None


def fitting(sources: Iterable[str]) -> tuple[list[str], list[str]]:
    """The notebooks made from these sources that fit into NOTEBOOK_SECONDS, the quickest first; and the others."""
    row = re.compile(r"\((notebooks/\w+\.ipynb)\).*\| (\d+) (s|min) \|$", re.MULTILINE)
    seconds = {
        path: int(n) * (60 if unit == "min" else 1)
        for path, n, unit in row.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    }
    made = [path.replace("/source/", "/").replace(".py", ".ipynb") for path in sources]
    chosen, left = [], []
    for path in sorted(made, key=lambda path: seconds.get(path, 0)):
        fits = sum(seconds.get(each, 0) for each in [*chosen, path]) <= NOTEBOOK_SECONDS
        (chosen if fits else left).append(path)
    return chosen, left


# ---- what a file uses -------------------------------------------------------------------------------------------


def python_files() -> list[str]:
    """The package, its tests, the tools and the sources of notebooks."""
    places = ("ncsn_edu/**/*.py", "tests/**/*.py", "tools/*.py", "notebooks/source/*.py")
    return [path.relative_to(ROOT).as_posix() for place in places for path in sorted(ROOT.glob(place))]


def used_by(path: str) -> Iterator[str]:
    """The files of the project that a file imports itself, and those of the commands that a test calls."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    aliases, calls_commands = set(), False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                aliases |= {alias.asname or alias.name} if alias.name == "ncsn_edu" else set()
                yield from _file_of(alias.name)
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(Path(path).parts[: -node.level]) if node.level else ""
            module = ".".join(filter(None, [package, node.module]))
            calls_commands |= module == "ncsn_edu.__main__"
            for alias in node.names:
                yield from _home_of(module, alias.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            yield from _home_of("ncsn_edu", node.attr)
    if calls_commands:
        words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        for command in (ROOT / "ncsn_edu" / "commands").glob("*.py"):
            names = re.findall(r'new_command\(\s*commands, "(\w+)"', command.read_text(encoding="utf-8"))
            if words.intersection(names):
                yield command.relative_to(ROOT).as_posix()


def _file_of(module: str) -> list[str]:
    """The file of a module, if it is one of ours."""
    name = module.replace(".", "/")
    candidates = [Path(folder, place) for folder in FOLDERS for place in (f"{name}.py", f"{name}/__init__.py")]
    return [path.as_posix() for path in candidates if (ROOT / path).is_file()]


def _home_of(module: str, name: str) -> list[str]:
    """The file that a name is defined in, whatever module hands it on."""
    if found := _file_of(f"{module}.{name}"):
        return found
    if _file_of(module) and (ROOT / module.replace(".", "/") / "__init__.py").is_file():
        home = getattr(getattr(import_module(module), name, None), "__module__", None) or module
        return _file_of(home)
    return _file_of(module)


if __name__ == "__main__":
    sys.exit(main())
