"""The notebooks in other places: the repository's address, Binder, JupyterHub, the container of an editor."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import jupytext
import nbformat
import pytest
import yaml
from IPython.core.interactiveshell import InteractiveShell

from ncsn_edu.commands.lab import looks

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import address  # noqa: E402 (from tools)

import notebooks  # noqa: E402

GITHUB, GITLAB, OTHER = (
    "https://github.com/some/thing",
    "https://gitlab.com/a/b/thing",
    "https://git.uni.example/x/thing",
)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the files, with no address; and a function that gives them one."""
    project = re.sub("^Repository.*\n", "", (ROOT / "pyproject.toml").read_text("utf-8"), flags=re.MULTILINE)
    (tmp_path / address.SOURCES[0]).parent.mkdir(parents=True)
    for name in address.FILES:
        (tmp_path / name).write_text((ROOT / name).read_text("utf-8"), encoding="utf-8")
    monkeypatch.setattr(address, "ROOT", tmp_path)

    def give(new, *arguments):
        line = f'[project.urls]\nRepository = "{new}"' if new is not None else "[project.urls]"
        (tmp_path / "pyproject.toml").write_text(project.replace("[project.urls]", line), encoding="utf-8")
        return address.main(list(arguments))

    assert give(None) == 0
    return give, lambda: {name: (tmp_path / name).read_text("utf-8") for name in address.FILES}


def test_the_files_have_the_address_that_pyproject_has():
    assert address.main(["--check"]) == 0, "make address"


@pytest.mark.parametrize("given", [GITHUB, GITHUB + "/", GITHUB + ".git", GITLAB, OTHER])
def test_one_line_gives_every_file_the_address(copy, given):
    give, texts = copy
    before = texts()
    assert give(given, "--check") == 1 and texts() == before  # it was only looked at
    assert give(given) == 0 and give(given, "--check") == 0
    plain = given.rstrip("/").removesuffix(".git")
    now = texts()
    assert yaml.safe_load(now["CITATION.cff"])["repository-code"] == plain
    for name in ("README.md", "CONTRIBUTING.md"):
        assert f"git clone {plain} && cd thing" in now[name] and address.UNKNOWN not in now[name]
    assert f"`pip install git+{plain}`" in now["README.md"]
    assert all(f"# %pip install -q git+{plain}\n" in now[name] for name in address.SOURCES)
    assert give(None) == 0 and texts() == before


def test_links_ask_for_the_repository_and_open_the_first_notebook(copy):
    give, texts = copy
    for given in (GITHUB, GITLAB, OTHER):
        give(given)
        readme = texts()["README.md"]
        (binder,) = set(re.findall(r"\((https://mybinder.org/v2/[^)]*)\)", readme))
        provider, *repository = urlsplit(binder).path.removeprefix("/v2/").removesuffix("/main").split("/")
        wanted = {GITHUB: ("gh", "some/thing"), GITLAB: ("gl", "a/b/thing"), OTHER: ("git", OTHER)}[given]
        assert (provider, unquote("/".join(repository))) == wanted
        assert parse_qs(urlsplit(binder).query) == {"urlpath": ["lab/tree/work/00_start_here.ipynb"]}
        (hub,) = re.findall(r"git-pull\?(\S+)", readme)
        assert parse_qs(hub) == {
            "repo": [given],
            "branch": ["main"],
            "urlpath": ["lab/tree/thing/notebooks/00_start_here.ipynb"],
        }
        colab = re.findall(r"\((https://colab.research.google.com/github/[^)]*)\)", readme)
        place = "https://colab.research.google.com/github/some/thing/blob/main/notebooks/00_start_here.ipynb"
        assert colab == ([place] if given == GITHUB else [])
        listed = place.partition("/blob")[0]
        assert (f"<{listed}>" in readme) == (given == GITHUB)


@pytest.mark.parametrize("given", ["", "thing", "http://github.com/a/b", "https://github.com/a", "https://x.y/a b/c"])
def test_what_is_no_address_is_refused(copy, capsys, given):
    give, texts = copy
    before = texts()
    assert give(given) == 1 and texts() == before
    assert "https://github.com/OWNER/NAME" in capsys.readouterr().err


def colab_cells(texts):
    """What each notebook runs on Colab: its first cell of code."""
    sources = [jupytext.reads(text, "py:percent") for name, text in texts.items() if name.endswith(".py")]
    return [next(cell.source for cell in source.cells if cell.cell_type == "code") for source in sources]


def run_as_a_cell(source):
    """The magics that a cell calls."""
    ran = []
    shell = type("Shell", (), {"run_line_magic": lambda _, *words: ran.append(words)})()
    exec(InteractiveShell.instance().transform_cell(source), {"get_ipython": lambda: shell})
    return ran


def test_the_colab_cells_do_nothing_elsewhere(copy, capsys, monkeypatch):
    give, texts = copy
    unknown = colab_cells(texts())
    give(GITHUB)
    known = colab_cells(texts())
    assert len(known) == len(list((ROOT / "notebooks").glob("*.ipynb")))
    assert len({*known}) == len({*unknown}) == 1, "the first cell of code is the one for Colab, in every notebook"
    for name in address.SOURCES:
        compile(texts()[name], name, "exec")  # the linter and others read the scripts as they are
    for cell in (known[0], unknown[0]):
        assert not notebooks.runs_here(nbformat.v4.new_code_cell(cell))
        assert notebooks.runs_here(nbformat.v4.new_code_cell(f"{cell}\nimport math"))
    assert [run_as_a_cell(cell) for cell in (known[0], unknown[0])] == [[], []]
    monkeypatch.setitem(sys.modules, "google.colab", sys)
    assert run_as_a_cell(known[0]) == [("pip", f"install -q git+{GITHUB}")]
    assert "Colab gets the package" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="address of the project's repository"):
        run_as_a_cell(unknown[0])


@pytest.mark.skipif(os.name != "posix", reason="Binder is Linux")
def test_binder_starts_as_lab_does(monkeypatch):
    for name in ("postBuild", "start"):
        assert os.access(ROOT / "binder" / name, os.X_OK)
        subprocess.run(["bash", "-n", str(ROOT / "binder" / name)], check=True)
    for name in ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH"):
        monkeypatch.delenv(name, raising=False)
    command = [str(ROOT / "binder/start"), sys.executable, "-c", "import os, json; print(json.dumps(dict(os.environ)))"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    started = json.loads(done.stdout)
    for name, value in looks(learner=True).items():
        assert started[name] == value and all(Path(folder).is_dir() for folder in value.split(os.pathsep))
    assert started["NCSN_EDU_FIGURES_DIR"] == str(ROOT / "work/figures")
    python, pip = yaml.safe_load((ROOT / "binder/environment.yml").read_text("utf-8"))["dependencies"]
    assert pip == "pip" and tuple(map(int, python.partition("=")[2].split("."))) >= (3, 11)  # as constraints.txt wants


@pytest.mark.skipif(os.name != "posix", reason="Binder is Linux")
def test_binder_builds_the_package_and_a_learner_s_copy(tmp_path):
    """In a copy of the project; pip is only asked, as the package is here already."""
    copy = tmp_path / "repository"
    left = shutil.ignore_patterns("source", "assignments", "weights", "__pycache__")
    for name in ("binder", "ncsn_edu", "notebooks"):
        shutil.copytree(ROOT / name, copy / name, ignore=left)
    (copy / "figures").symlink_to(ROOT / "figures")
    shutil.copy(ROOT / "pyproject.toml", copy)
    asked, python = tmp_path / "asked", tmp_path / "python"
    python.write_text(f"""#!/bin/bash
if [ "$1 $2" = "-m pip" ]; then echo "$PIP_EXTRA_INDEX_URL ${{@:3}}" >> {asked}; else exec {sys.executable} "$@"; fi
""")
    python.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    assert subprocess.run([copy / "binder/postBuild"], cwd=copy, env=environment).returncode == 0
    (installs,) = asked.read_text().splitlines()
    assert installs == "https://download.pytorch.org/whl/cpu install --no-cache-dir -c constraints.txt -e ."
    names = {path.name for path in (copy / "notebooks").glob("*.ipynb")}
    assert {path.name for path in (copy / "work").glob("*.ipynb")} == names != set()
    assert (copy / "work" / address.FIRST).is_file(), "what the badge opens"
    python.write_text("#!/bin/bash\nexit 3\n")  # an installation that fails is a build that fails
    assert subprocess.run([copy / "binder/postBuild"], cwd=copy, env=environment).returncode == 3


def test_the_container_uses_targets_that_there_are():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text("utf-8"))
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    (target,) = re.findall(r"make ([a-z-]+)", container["postCreateCommand"])
    assert target in targets and "-m ncsn_edu lab --only-copy" in container["postCreateCommand"]


def test_the_style_for_lab_has_the_version_of_the_package():
    from ncsn_edu import __version__

    package = json.loads((ROOT / "ncsn_edu/jupyter/share/labextensions/ncsn-edu/package.json").read_text("utf-8"))
    assert package["version"] == __version__
