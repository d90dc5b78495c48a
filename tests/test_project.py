"""The files around the package agree with each other: packaging, pins, Makefile, import layers, style."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
from constraints import installed_closure  # noqa: E402

# Lowest first: a module imports only modules that stand before it.
LAYERS = [
    "errors",
    "checks",
    "files",
    "devices",
    "kernels",
    "kinds",
    "pickles",
    "distributed",
    "core",
    "pictures",
    "bars",
    "outputs",
    "distributions",
    "schedules",
    "odes",
    "sdes",
    "losses",
    "vae",
    "adapters",
    "conditions",
    "mcmc",
    "diffusion",
    "likelihood",
    "bounds",
    "nets",
    "datasets",
    "checkpoints",
    "official",
    "training",
    "metrics",
    "logs",
    "manifold",
    "parts",
    "recipes",
    "runs",
    "trained",
    "sampling",
    "features",
    "figures",
    "plots",
    "source",
    "widgets",
    "animations",
    "grading",
    "practice",
    "workcopy",
    "doctor",
    "commands",
    "__main__",
]
APART = {"peers"}  # extras of one benchmark, which no ordinary set-up has
MACHINE_PATH = re.compile(r"(?<![\w.])/(work|farm|root|home)/[a-z]")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


# ---- packaging -------------------------------------------------------------------------------------------------


def test_environment_yml_agrees_with_pyproject():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    environment = yaml.safe_load(read("environment.yml"))
    assert environment["name"] == project["name"]
    python, pip, via_pip = environment["dependencies"]
    assert (python, pip) == ("python" + project["requires-python"], "pip")
    (install,) = via_pip["pip"]
    extras = re.fullmatch(r"-e \.\[(.+)\]", install)[1].split(",")
    assert set(extras) == set(project["optional-dependencies"]) - APART


def pins() -> dict[str, str]:
    """name -> version, from constraints.txt, which holds nothing but pins below its comment."""
    found = {}
    for line in read("constraints.txt").splitlines():
        if not line.startswith("#"):
            pin = re.fullmatch(r"([\w.-]+)==([\w.]+)", line)
            assert pin, f"constraints.txt: {line!r} is not name==version"
            found[pin[1]] = pin[2]
    return found


def test_constraints_are_plain_pins_of_what_is_asked_for():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = (lines for name, lines in project["optional-dependencies"].items() if name not in APART)
    asked = [*project["dependencies"], *(line for lines in extras for line in lines)]
    pinned = {name.lower() for name in pins()}
    for line in asked:
        assert re.match(r"[\w-]+", line)[0] in pinned, f"{line} has no pin: run `make constraints`"


@pytest.mark.skipif(
    not (Path(sys.prefix) / ".ncsn_edu-dev").exists() or sys.version_info < (3, 11) or sys.platform != "linux",
    reason="holds in an environment that `make` installed from constraints.txt",
)
def test_constraints_pin_all_that_is_installed():
    installed = installed_closure()
    differing = {name: version for name, version in installed.items() if pins().get(name) != version}
    assert not differing, "constraints.txt differs from what is installed: run `make constraints`"
    unused = set(pins()) - set(installed)
    # Written on the oldest Python that takes the pins; newer ones need a package or two less.
    assert not unused or sys.version_info >= (3, 12), "pinned but not needed: run `make constraints`"


# ---- entry points ----------------------------------------------------------------------------------------------


def test_the_training_commands_of_the_readme_are_understood():
    """Those for one GPU, for several and for a cluster: options, recipes and scales there are; the script is bash."""
    from ncsn_edu.__main__ import _parser
    from ncsn_edu.recipes import RECIPES

    readme = read("README.md").replace("\\\n", " ")
    commands = re.findall(r"-m ncsn_edu (train (?!RECIPE).*?)\s*(?:#.*)?$", readme, re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        arguments = _parser().parse_args(command.split())
        assert arguments.scale in RECIPES[arguments.recipe]
    (script,) = re.findall(r"```sh\n(#!/bin/bash.*?)```", read("README.md"), re.DOTALL)
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    assert "torchrun" in script and re.search(r"torchrun --standalone --nproc_per_node=\d -m ncsn_edu train", readme)


def test_readme_and_ci_name_the_commands():
    assert "make lab" in read("README.md")
    assert "make test" in read("README.md")
    assert "make test" in read(".ci/run").splitlines()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_make_help_lists_the_targets():
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    listed = re.findall(r"^  ([a-z-]+) +\S", shown.stdout, flags=re.MULTILINE)
    makefile = read("Makefile").replace("\\\n", " ")
    defined = set(re.findall(r"^([a-z-]+):(?!=)", makefile, flags=re.MULTILINE))
    phony = set(re.search(r"^\.PHONY:(.*)", makefile, flags=re.MULTILINE)[1].split())
    assert phony == defined
    assert {name for name in defined if not name.startswith("setup-")} == set(listed)


# ---- contributing ----------------------------------------------------------------------------------------------


def test_the_table_of_environment_variables_is_whole():
    code = [*ROOT.glob("ncsn_edu/**/*.py"), *ROOT.glob("tests/**/*.py"), *ROOT.glob("tools/*"), ROOT / "Makefile"]
    there = {
        name for path in code if path.is_file() for name in re.findall(r"NCSN_EDU_[A-Z_]+\b", path.read_text("utf-8"))
    }
    table = re.findall(r"^\| `(NCSN_EDU_\w+)` \| the (package|tests) \| .+ \|$", read("CONTRIBUTING.md"), re.MULTILINE)
    assert {name for name, _ in table} == there - {"NCSN_EDU_"}
    package = "".join(path.read_text("utf-8") for path in ROOT.glob("ncsn_edu/**/*.py"))
    assert {name for name, reader in table if reader == "package"} == {name for name, _ in table if name in package}


def test_contributing_names_files_targets_and_tables_that_there_are():
    text = read("CONTRIBUTING.md")
    private = (
        "tests/assignments/wrong/",
        "tests/assignments/right/",
        "notebooks/source/assignments/",
    )  # not in a public copy
    for path in re.findall(r"`((?:ncsn_edu|tests|tools|notebooks)/[\w/.]+)`", text):
        assert "NAME" in path or "teachers_guide" in path or path.startswith(private) or (ROOT / path).exists(), path
    targets = set(re.findall(r"^([a-z-]+):(?!=)", read("Makefile"), flags=re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, flags=re.MULTILINE))
    assert named <= targets and {"quick", "test", "notebooks", "release", "browser-test"} <= named
    code = "".join(
        path.read_text("utf-8") for folder in ("ncsn_edu", "tests", "tools") for path in ROOT.glob(f"{folder}/**/*.py")
    )
    for name in re.findall(r"`(_?[A-Z][A-Z_]{3,})`", text):
        assert (
            name.startswith("NCSN_EDU_") or re.search(rf"^{name}\b.* = ", code, flags=re.MULTILINE) or name in TORCHRUN
        )


TORCHRUN = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def test_the_workflow_runs_what_the_makefile_runs():
    workflow = yaml.safe_load(read(".github/workflows/test.yml"))
    assert set(workflow[True]) == {"push", "pull_request"}  # `on` is True in YAML 1.1
    everything, unit = workflow["jobs"]["everything"], workflow["jobs"]["unit"]
    assert everything["runs-on"].startswith("ubuntu")
    assert "make test" in commands_of(everything) and "make test" in read("README.md")
    shown = subprocess.run(["make", "-n", "unit"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (words,) = (shlex.split(line) for line in shown.splitlines() if " -m pytest " in line)
    given = [word for word in words[: words.index("python")] if word.startswith("NCSN_EDU_")]
    assert words[words.index("python") :] in [shlex.split(command) for command in commands_of(unit)]
    assert given == [f"{name}={value}" for name, value in unit["env"].items()]


def test_the_workflow_has_every_system_and_python():
    unit = yaml.safe_load(read(".github/workflows/test.yml"))["jobs"]["unit"]
    matrix, project = unit["strategy"]["matrix"], tomllib.loads(read("pyproject.toml"))["project"]
    assert unit["runs-on"] == "${{ matrix.os }}"
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    minor = [int(version.split(".")[1]) for version in matrix["python"]]
    assert minor == list(range(int(project["requires-python"].removeprefix(">=3.")), max(minor) + 1))
    assert max(minor) >= 14 and all(isinstance(version, str) for version in matrix["python"])  # 3.10 is not 3.1
    (install,) = (command for command in commands_of(unit) if "pip install" in command)
    extras = re.search(r"\.\[(.+)\]", install)[1].split(",")
    assert set(extras) == set(project["optional-dependencies"]) - APART


def commands_of(job: dict) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def test_the_citation_agrees_with_pyproject():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0" and citation["message"]
    assert citation["version"] == project["version"] and citation["license"] == project["license"]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in project["authors"]]
    assert citation["title"].startswith(project["name"])


# ---- the text of the project -----------------------------------------------------------------------------------


def project_files() -> list[Path]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_holds_a_path_of_a_machine():
    found = []
    for path in project_files():
        content = path.read_bytes()
        if b"\0" in content:  # binary
            continue
        for number, line in enumerate(content.decode("utf-8").splitlines(), start=1):
            if match := MACHINE_PATH.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {match[0]}...")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("text", ["see {}work/main", "'{}home/someone'", "{}root/x.py:3"])
def test_a_path_of_a_machine_is_noticed(text):
    assert MACHINE_PATH.search(text.format("/"))


@pytest.mark.parametrize("command", [("check",), ("format", "--check")], ids=["lint", "format"])
def test_ruff_is_content(command):
    result = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True, encoding="utf-8"
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_types_of_every_module_are_checked():
    mypy = tomllib.loads(read("pyproject.toml"))["tool"]["mypy"]
    assert mypy["strict"] and mypy["packages"] == ["ncsn_edu"] and "exclude" not in mypy
    for part in mypy["overrides"]:
        ours = [name for name in part["module"] if name.startswith("ncsn_edu")]
        assert not ours and not part.get("ignore_errors"), ours


def test_an_ignored_type_error_is_named_and_has_a_reason():
    bare = []
    for path in (ROOT / "ncsn_edu").rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "type: ignore" in line and not re.search(r"# type: ignore\[[\w, -]+\]  # \w", line):
                bare.append(f"{path.name}: {line.strip()}")
    assert not bare, "\n".join(bare)


# ---- layers ----------------------------------------------------------------------------------------------------


def imported_layers(path: Path, package: Path) -> list[tuple[int, str]]:
    """(line, module directly under the package) for every import of the package in a file, wherever it stands."""
    parents = path.relative_to(package.parent).with_suffix("").parts[:-1]  # ("ncsn_edu", "nets")
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        inside = [name.split(".") for name in names if name.split(".")[0] == package.name]
        found += [(node.lineno, parts[1] if len(parts) > 1 else "__init__") for parts in inside]
    return found


def layer_problems(package: Path) -> list[str]:
    problems = []
    for path in sorted(package.rglob("*.py")):
        own = path.relative_to(package).with_suffix("").parts[0]
        if own == "__init__":
            continue
        if own not in LAYERS:
            problems.append(f"{path.relative_to(package)} is in no layer: add {own!r} to LAYERS, after all it imports")
            continue
        for line, other in imported_layers(path, package):
            if other in (own, "__version__"):
                continue
            place = f"{path.relative_to(package)}:{line}"
            if other not in LAYERS:
                problems.append(f"{place} imports {other!r} from the package itself: name the module it is defined in")
            elif LAYERS.index(other) > LAYERS.index(own):
                problems.append(f"{place} imports {other!r}, which is a layer above {own!r}")
    return problems


def test_imports_only_go_down():
    assert (ROOT / "ncsn_edu" / "core.py").exists()
    problems = layer_problems(ROOT / "ncsn_edu")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("mcmc.py", "from .core import State\nimport torch\nfrom ncsn_edu.schedules import geometric", None),
        ("nets/unet.py", "from .norm import Norm\nfrom ..core import Score\nfrom ncsn_edu import checks", None),
        ("__main__.py", "from . import __version__", None),
        ("core.py", "from .mcmc import langevin", "mcmc"),
        ("core.py", "def f():\n    import ncsn_edu.mcmc", "mcmc"),
        ("nets/unet.py", "from .. import training", "training"),
        ("nets/unet.py", "from ..plots import grid", "plots"),
        ("mcmc.py", "from ncsn_edu import GaussianMixture", "GaussianMixture"),
        ("mcmc.py", "import ncsn_edu", "__init__"),
        ("misc.py", "", "add 'misc' to LAYERS"),
    ],
)
def test_an_import_that_goes_up_is_noticed(tmp_path, file, text, complaint):
    path = tmp_path / "ncsn_edu" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    problems = layer_problems(tmp_path / "ncsn_edu")
    assert len(problems) == (complaint is not None)
    assert complaint is None or complaint in problems[0]


def test_readme_example_runs():
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    exec(example, names)
    assert names["x"].shape == (1280, 2)
    assert 0.15 < names["mode_weights"](names["x"], names["mixture"]).weight[0] < 0.30


def test_readme_lists_every_notebook():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        assert f"(notebooks/{notebook.name})" in readme, f"add {notebook.name} to the map in README.md"


def test_links_lead_somewhere():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "notebooks" / "source").glob("*.py")]
    for page in pages:
        folder = ROOT if page.suffix == ".md" else ROOT / "notebooks"
        text = page.read_text(encoding="utf-8")
        if page.suffix == ".py":  # code may look like a link: nets[seed](x)
            text = "\n".join(line for line in text.splitlines() if line.startswith("# "))
        for link in re.findall(r"\]\(([^)#\s]+)\)", text):
            if not re.match(r"\w+:", link):
                assert (folder / link).exists(), f"{page.name} links to {link}, which is not there"


@pytest.mark.parametrize("name", ["losses", "mcmc", "diffusion"])
def test_losses_and_samplers_are_short_and_name_their_equation(name):
    """At most 34 lines each, docstring aside, and a source in the docstring of those that others call."""
    tree = ast.parse(read(f"ncsn_edu/{name}.py"))
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        text = ast.get_docstring(function) or ""
        first = function.body[0]
        documented = first.end_lineno - first.lineno + 1 if text else 0
        assert function.end_lineno - function.lineno + 1 - documented <= 34, function.name
        if not function.name.startswith("_") and function.name not in {"evaluate", "projection"}:
            assert re.search(r"(19|20)\d\d|`dsm`", text), f"{name}.{function.name} names no source"


def test_no_function_is_longer_than_a_screen():
    long = []
    for path in [*(ROOT / "ncsn_edu").rglob("*.py"), *(ROOT / "tools").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno - node.lineno >= 40:
                long.append(f"{path.relative_to(ROOT)}: {node.name} has {node.end_lineno - node.lineno + 1} lines")
    assert not long, "\n".join(long)
