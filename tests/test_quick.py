"""`make quick` runs what a change is likeliest to break."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import quick  # noqa: E402


@pytest.fixture(scope="module")
def uses() -> dict[str, set[str]]:
    return {path: set(quick.used_by(path)) for path in quick.python_files()}


@pytest.mark.parametrize(
    ("changed", "near", "far"),
    [
        ("ncsn_edu/mcmc.py", ["tests/test_samplers.py", "notebooks/source/02_langevin.py"], ["tests/test_datasets.py"]),
        (
            "ncsn_edu/distributions.py",
            ["tests/test_distributions.py"],
            ["tests/test_doctor.py", "tests/test_datasets.py"],
        ),
        ("ncsn_edu/nets/refinenet.py", ["notebooks/source/09_architecture.py"], ["tests/test_metrics.py"]),
        ("ncsn_edu/widgets/fields.py", ["tests/test_widgets.py"], ["tests/test_widgets_live.py"]),
        ("ncsn_edu/commands/train.py", ["tests/test_runs.py"], ["tests/test_doctor.py", "tests/test_losses.py"]),
        ("ncsn_edu/grading/confine.py", ["tests/test_grading.py"], ["tests/test_samplers.py"]),
        ("tests/test_core.py", ["tests/test_core.py"], ["tests/test_samplers.py"]),
        ("tools/constraints.py", ["tests/test_project.py"], ["tests/test_core.py"]),
        ("notebooks/source/06_annealing.py", ["notebooks/source/06_annealing.py", "tests/test_notebooks.py"], []),
        ("notebooks/source/assignments/a3_annealing.py", ["tests/assignments/test_assignments.py"], []),
    ],
)
def test_what_is_near(uses, changed, near, far):
    found = quick.near([changed], uses)
    assert set(near) <= found and not found & set(far), found


def test_a_module_that_only_another_uses_has_the_tests_of_that_one():
    uses = {"b.py": {"a.py"}, "c.py": {"b.py", "c.py"}, "tests/test_c.py": {"c.py"}, "tests/test_d.py": {"d.py"}}
    assert quick.near(["a.py"], uses) == {"tests/test_c.py"}
    assert quick.near(["a.py", "d.py"], uses) == {"tests/test_c.py", "tests/test_d.py"}
    assert quick.near(["used_by_nobody.py"], uses) == set()


def test_every_module_of_the_package_is_near_something(uses):
    modules = [path for path in uses if path.startswith("ncsn_edu/") and "__init__" not in path]
    assert [path for path in modules if not quick.near([path], uses)] == []


def test_notebooks_that_take_too_long_are_left_out_and_named(monkeypatch):
    sources = [f"notebooks/source/{name}.py" for name in ("10_train_and_sample", "01_scores", "02_langevin")]
    monkeypatch.setattr(quick, "NOTEBOOK_SECONDS", 60)
    chosen, left = quick.fitting(sources)
    assert chosen == ["notebooks/01_scores.ipynb", "notebooks/02_langevin.ipynb"]
    assert left == ["notebooks/10_train_and_sample.ipynb"]


def test_changes_are_those_since_the_branch_left_its_base_and_files_that_are_new(tmp_path, monkeypatch):
    def git(*words):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True)

    git("init", "-b", "main")
    for name in ("old.py", "edited.py", "elsewhere.py"):
        (tmp_path / name).write_text("1")
        git("add", "."), git("commit", "-m", name)
    git("checkout", "-b", "mine")
    (tmp_path / "committed.py").write_text("2")
    git("add", "."), git("commit", "-m", "mine")
    git("checkout", "main")
    (tmp_path / "elsewhere.py").write_text("3")
    git("commit", "-am", "theirs")
    git("checkout", "mine")
    (tmp_path / "edited.py").write_text("4")
    (tmp_path / "new.py").write_text("5")
    monkeypatch.setattr(quick, "ROOT", tmp_path)
    assert sorted(quick.changed_files("main")) == ["committed.py", "edited.py", "new.py"]
    with pytest.raises(SystemExit, match="no-such-branch"):
        quick.changed_files("no-such-branch")
