"""A learner's folder: what the learner wrote stays, what nobody touched follows the project.

Notebooks are read by nbformat here, and written as JupyterLab writes them, which the module itself does not do.
"""

import errno
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from waiting import PATIENCE

from ncsn_edu import files, workcopy
from ncsn_edu.kernels import child_environment, run_cells
from ncsn_edu.workcopy import LINKED, STATE, beside, bundle, update

ROOT = Path(__file__).resolve().parents[1]
RULES = {"nbformat": 4, "nbformat_minor": 5}


@pytest.fixture
def project(tmp_path):
    """A project with two chapters, an assignment with its solution, and a figure that a chapter shows."""
    folder = tmp_path / "checkout/notebooks"
    store(folder / "01_one.ipynb", "x = 1", "x + 1")
    store(folder / "02_two.ipynb", "y = 2")
    store(folder / "assignments/release/a1_task/a1_task.ipynb", "# YOUR CODE HERE")
    store(folder / "assignments/source/a1_task/a1_task.ipynb", "### BEGIN SOLUTION")
    (folder / "assignments/for_students.md").write_text("how to")
    (folder / "assignments/teachers_guide.md").write_text("secret")
    return folder


@pytest.fixture
def folder(tmp_path, project):
    """A learner's folder that was made from it."""
    update(tmp_path / "mine", project)
    return tmp_path / "mine"


def store(path, *sources, run=True):
    """Write a notebook of code cells as the project stores it, with outputs."""
    cells = [new_code_cell(source, id=f"c{i}") for i, source in enumerate(sources)]
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, ran(new_notebook(cells=cells)) if run else new_notebook(cells=cells))


def read(path):
    return nbformat.read(path, as_version=4)


def save(path, notebook):
    """As JupyterLab's server does."""
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def ran(notebook):
    """The notebook as it is after Run All Cells: outputs, counts, metadata, and the empty cell at the end."""
    for count, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            cell.execution_count = count + 1
            cell.outputs = [new_output("stream", text=f"output {random.random()}")]
            cell.metadata["execution"] = {"iopub.execute_input": "2026-01-01"}
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    notebook.metadata["kernelspec"] = {"display_name": "Other", "language": "python", "name": "other"}
    return notebook


def edit(path, text="# mine"):
    notebook = read(path)
    notebook.cells[0].source += f"\n{text}"
    save(path, notebook)


def texts(path):
    return [cell.source for cell in read(path).cells if cell.source]


def listed(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def done(report):
    return {kind: value for kind, value in vars(report).items() if value}


# --- what is in it


def test_pages_beside_the_notebooks_go_along_and_notes_in_them_stay(folder, project):
    (project / "letters.md").write_text("# Letters\n")
    assert done(update(folder, project)) == {"made": ["letters.md"]}
    (folder / "letters.md").write_text("# Letters\nmy note\n")
    (project / "letters.md").write_text("# Letters, all of them\n")
    update(folder, project)
    assert (folder / "letters.md").read_text() == "# Letters\nmy note\n"
    assert "# Letters, all of them\n" in {path.read_text() for path in folder.glob("letters*.md")}


def test_it_holds_the_notebooks_without_outputs_and_nothing_of_the_teacher(tmp_path, project):
    stored = {path: path.read_bytes() for path in project.rglob("*.*")}
    report = update(tmp_path / "mine", project)
    names = ["01_one.ipynb", "02_two.ipynb", "assignments/a1_task.ipynb"]
    assert done(report) == {"made": [*names, "assignments/for_students.md"]}
    assert listed(tmp_path / "mine") == [STATE, *names[:2], *sorted([names[2], "assignments/for_students.md"])]
    for name in names:
        notebook = read(tmp_path / "mine" / name)
        nbformat.validate(notebook)
        assert all(cell.outputs == [] and cell.execution_count is None for cell in notebook.cells)
        assert "widgets" not in notebook.metadata
    assert texts(tmp_path / "mine/01_one.ipynb") == ["x = 1", "x + 1"]
    assert {path: path.read_bytes() for path in project.rglob("*.*")} == stored
    assert done(update(tmp_path / "mine", project)) == {}


def test_what_the_text_links_to_lies_in_the_folder(tmp_path, project):
    root = project.parent
    for name in ("figures/shown.png", "ncsn_edu/weights/card.md", "ncsn_edu/weights/net.png", "figures/other.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"picture")
    (root / "ncsn_edu/weights/card.md").write_text("# Card\n\n![net](net.png)\n")
    text = (
        "![a](../figures/shown.png) and\n[card](../ncsn_edu/weights/card.md), [gone](../figures/gone.png), [2](b.ipynb)"
    )
    code = "nets[0](../figures/shown.png)"
    save(project / "03_links.ipynb", new_notebook(cells=[new_markdown_cell(text, id="a"), new_code_cell(code, id="b")]))
    mine = tmp_path / "mine"
    update(mine, project)
    shown, unchanged = texts(mine / "03_links.ipynb")
    links = re.findall(r"\]\(([^)]+)\)", shown)
    assert links == [
        f"{LINKED}/figures/shown.png",
        f"{LINKED}/ncsn_edu/weights/card.md",
        "../figures/gone.png",
        "b.ipynb",
    ]
    assert unchanged == code
    copies = [name for name in listed(mine) if name.startswith(LINKED)]
    assert copies == [
        f"{LINKED}/{name}" for name in ("figures/shown.png", "ncsn_edu/weights/card.md", "ncsn_edu/weights/net.png")
    ]
    (root / "figures/shown.png").write_bytes(b"another")
    assert done(update(mine, project)) == {"updated": [f"{LINKED}/figures/shown.png"]}


def test_the_real_notebooks(tmp_path):
    """Every link of the text leads to something that JupyterLab shows; nothing that solves an assignment is there."""
    update(tmp_path, ROOT / "notebooks")
    chapters = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert sorted(path.name for path in tmp_path.glob("*.ipynb")) == chapters
    assert len(list(tmp_path.glob("assignments/*.ipynb"))) == len(list(ROOT.glob("notebooks/assignments/release/*")))
    for path in tmp_path.rglob("*.ipynb"):
        notebook = read(path)
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
        for cell in notebook.cells:
            links = re.findall(r"\]\(([^)#\s]+)\)", cell.source) if cell.cell_type == "markdown" else []
            for link in links:
                assert re.match(r"\w+:", link) or link.startswith("../runs") or (path.parent / link).is_file(), link
        save(path, ran(notebook))
    content = "".join(path.read_text("utf-8") for path in tmp_path.rglob("*") if path.suffix in (".ipynb", ".md"))
    assert "BEGIN SOLUTION" not in content and "BEGIN HIDDEN" not in content and "eacher's guide" not in content
    assert done(update(tmp_path, ROOT / "notebooks")) == {}  # all was run, and nothing changed


def test_a_copy_made_from_what_an_installed_package_has_is_the_same(tmp_path):
    bundle(ROOT / "notebooks", tmp_path / "bundle")
    for name, project in (("mine", ROOT / "notebooks"), ("theirs", tmp_path / "bundle/notebooks")):
        update(tmp_path / name, project)
    names = listed(tmp_path / "mine")
    assert len(names) > 30 and names == listed(tmp_path / "theirs")
    for name in names:
        assert (tmp_path / "mine" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()
    assert not [name for name in listed(tmp_path / "bundle") if "source/" in name or "teacher" in name]


# --- who has changed what


def test_what_nobody_touched_is_replaced(folder, project):
    store(project / "01_one.ipynb", "x = 3")
    store(project / "03_three.ipynb", "z")
    assert done(update(folder, project)) == {"made": ["03_three.ipynb"], "updated": ["01_one.ipynb"]}
    assert texts(folder / "01_one.ipynb") == ["x = 3"] and read(folder / "01_one.ipynb").cells[0].outputs == []


def change_a_source(notebook):
    notebook.cells[0].source = "x = 10"


def add_a_cell(notebook):
    notebook.cells.append(new_code_cell("mine"))


def add_a_note(notebook):
    notebook.cells.insert(1, new_markdown_cell("predicted: 3"))


def take_a_cell_out(notebook):
    del notebook.cells[1]


def swap_cells(notebook):
    notebook.cells.reverse()


def paste_a_picture(notebook):
    cell = new_markdown_cell("")
    cell["attachments"] = {"a.png": {"image/png": "iVBO"}}
    notebook.cells.append(cell)


def turn_code_into_text(notebook):
    notebook.cells[0] = new_markdown_cell(notebook.cells[0].source)


EDITS = [change_a_source, add_a_cell, add_a_note, take_a_cell_out, swap_cells, paste_a_picture, turn_code_into_text]


@pytest.mark.parametrize("change", EDITS)
def test_what_the_learner_changed_stays_and_the_new_one_lies_beside_it(folder, project, change):
    mine, new = folder / "01_one.ipynb", folder / "01_one.new.ipynb"
    notebook = read(mine)
    change(notebook)
    save(mine, ran(notebook))
    kept = mine.read_bytes()
    assert done(update(folder, project)) == {} and not new.exists()  # the project has nothing new
    for text in ("x = 3", "x = 4"):  # the second time the new one is replaced
        store(project / "01_one.ipynb", text)
        assert done(update(folder, project)) == {"offered": ["01_one.ipynb"]}
        assert mine.read_bytes() == kept and texts(new) == [text]
        assert done(update(folder, project)) == {}


def test_what_was_only_run_counts_as_unchanged(folder, project):
    mine = folder / "01_one.ipynb"
    notebook = ran(read(mine))
    notebook.cells.append(new_code_cell("", outputs=[]))  # by Shift+Enter in the last cell
    save(mine, notebook)
    kept = mine.read_bytes()
    assert done(update(folder, project)) == {} and mine.read_bytes() == kept  # outputs stay while they can
    store(project / "01_one.ipynb", "x = 3")
    assert done(update(folder, project)) == {"updated": ["01_one.ipynb"]} and texts(mine) == ["x = 3"]


def test_other_outputs_of_the_project_are_no_new_version(folder, project):
    before = (folder / "01_one.ipynb").read_bytes()
    store(project / "01_one.ipynb", "x = 1", "x + 1")
    assert done(update(folder, project)) == {} and (folder / "01_one.ipynb").read_bytes() == before


def test_after_a_kernel_has_run_it_nothing_counts_as_changed(folder, project):
    mine = folder / "01_one.ipynb"
    notebook = read(mine)
    run_cells(notebook, folder, child_environment())
    save(mine, notebook)
    assert notebook.cells[1].outputs[0]["data"]["text/plain"] == "2"
    assert done(update(folder, project)) == {} and read(mine).cells[1].outputs


def test_a_new_one_that_was_changed_is_not_replaced(folder, project):
    new = folder / "01_one.new.ipynb"
    edit(folder / "01_one.ipynb")
    store(project / "01_one.ipynb", "x = 3")
    update(folder, project)
    edit(new, "# mine too")
    kept = new.read_bytes()
    assert done(update(folder, project)) == {}
    store(project / "01_one.ipynb", "x = 4")
    assert done(update(folder, project)) == {"held": ["01_one.ipynb"]} and new.read_bytes() == kept
    new.rename(folder / "01_one_second.ipynb")
    assert done(update(folder, project)) == {"offered": ["01_one.ipynb"]} and texts(new) == ["x = 4"]


def test_a_new_one_that_was_thrown_away_does_not_come_back(folder, project):
    new = folder / "01_one.new.ipynb"
    edit(folder / "01_one.ipynb")
    store(project / "01_one.ipynb", "x = 3")
    update(folder, project)
    new.unlink()
    assert done(update(folder, project)) == {} and not new.exists()
    store(project / "01_one.ipynb", "x = 4")
    assert done(update(folder, project)) == {"offered": ["01_one.ipynb"]}


def test_a_new_version_that_the_project_took_back_goes(folder, project):
    edit(folder / "01_one.ipynb")
    stored = (project / "01_one.ipynb").read_bytes()
    store(project / "01_one.ipynb", "x = 3")
    update(folder, project)
    (project / "01_one.ipynb").write_bytes(stored)
    assert done(update(folder, project)) == {} and not (folder / "01_one.new.ipynb").exists()


@pytest.mark.parametrize("how", ["delete", "move over", "undo"])
def test_who_takes_the_new_one_is_up_to_date(folder, project, how):
    mine, new = folder / "01_one.ipynb", folder / "01_one.new.ipynb"
    before = mine.read_bytes()
    edit(mine)
    store(project / "01_one.ipynb", "x = 3")
    update(folder, project)
    if how == "delete":
        mine.unlink()
    elif how == "move over":
        new.replace(mine)
    else:
        mine.write_bytes(before)
    update(folder, project)
    assert texts(mine) == ["x = 3"] and not new.exists()
    store(project / "01_one.ipynb", "x = 4")
    assert done(update(folder, project)) == {"updated": ["01_one.ipynb"]}


def test_a_deleted_copy_is_made_afresh(folder, project):
    (folder / "01_one.ipynb").unlink()
    assert done(update(folder, project)) == {"made": ["01_one.ipynb"]}


def test_a_renamed_notebook(folder, project):
    edit(folder / "01_one.ipynb")
    kept = (folder / "01_one.ipynb").read_bytes()
    (project / "01_one.ipynb").rename(project / "04_one.ipynb")
    (project / "02_two.ipynb").rename(project / "05_two.ipynb")
    report = done(update(folder, project))
    assert report == {"made": ["04_one.ipynb", "05_two.ipynb"], "left": ["01_one.ipynb"], "removed": ["02_two.ipynb"]}
    assert (folder / "01_one.ipynb").read_bytes() == kept and not (folder / "02_two.ipynb").exists()
    assert done(update(folder, project)) == {}  # said once: the file is the learner's own now
    store(project / "01_one.ipynb", "another of this name")
    assert done(update(folder, project)) == {"offered": ["01_one.ipynb"]}


def test_files_of_the_learner_stay(folder, project):
    (folder / "figures").mkdir()
    for name in ("figures/a.png", "notes.txt", "my notebook ü.ipynb", ".hidden"):
        (folder / name).write_bytes(b"mine")
    for name in list(project.glob("*.ipynb"))[:1]:
        name.unlink()
    update(folder, project)
    assert {(folder / name).read_bytes() for name in ("figures/a.png", "notes.txt", "my notebook ü.ipynb")} == {b"mine"}


def test_an_assignment_whose_hidden_tests_changed_is_a_new_version(folder, project):
    stored = project / "assignments/release/a1_task/a1_task.ipynb"
    notebook = read(stored)
    notebook.metadata["ncsn_edu"] = {"assignment": "a1_task", "version": "2"}
    save(stored, notebook)
    assert done(update(folder, project)) == {"updated": ["assignments/a1_task.ipynb"]}
    assert read(folder / "assignments/a1_task.ipynb").metadata.ncsn_edu.version == "2"


@pytest.mark.parametrize(
    "state", [None, b"", b"{", b"[]", b'{"given": 3}', b'{"given": {"01_one.ipynb": 3}}', b"\xff", b"[" * 9999]
)
def test_without_a_record_all_that_differs_counts_as_changed(folder, project, state):
    if state is None:
        (folder / STATE).unlink()
    else:
        (folder / STATE).write_bytes(state)
    store(project / "01_one.ipynb", "x = 3")
    kept = (folder / "01_one.ipynb").read_bytes()
    report = update(folder, project)
    assert report.offered == ["01_one.ipynb"] and (folder / "01_one.ipynb").read_bytes() == kept
    assert report.made == report.updated == report.held == []
    assert report.state_lost == (state is not None and state != b'{"given": {"01_one.ipynb": 3}}')
    store(project / "02_two.ipynb", "y = 3")  # it was the project's version, and is known again
    assert done(update(folder, project)) == {"updated": ["02_two.ipynb"]}


def test_a_record_that_names_files_elsewhere_removes_none(folder, project, tmp_path):
    outside = tmp_path / "outside.ipynb"
    store(outside, "x", run=False)
    mark = workcopy.fingerprint("a.ipynb", outside.read_bytes())
    (folder / STATE).write_text(json.dumps({"given": {"../outside.ipynb": mark, str(outside): mark}}))
    update(folder, project)
    assert outside.exists()


def git(project, *words):
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", "-C", str(project.parent), *who, *words], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_what_was_written_in_the_project_itself_is_not_taken_back_from_the_copy(tmp_path, project):
    """Before there was a copy, readers wrote in the project's notebooks; `git checkout` then takes that away."""
    mine = tmp_path / "mine"
    for words in (["init"], ["add", "."], ["commit", "-m", "all"]):
        git(project, *words)
    edit(project / "01_one.ipynb", "# mine")
    store(project / "my own ü.ipynb", "mine as well")
    update(mine, project)
    edit(mine / "02_two.ipynb")
    edit(project / "02_two.ipynb", "# another")
    assert done(update(mine, project)) == {"offered": ["02_two.ipynb"]} and done(update(mine, project)) == {}
    git(project, "checkout", "notebooks")
    (project / "my own ü.ipynb").unlink()
    assert done(update(mine, project)) == {"offered": ["01_one.ipynb"]}
    assert texts(mine / "01_one.ipynb")[0] == "x = 1\n# mine" and texts(mine / "my own ü.ipynb") == ["mine as well"]
    assert texts(mine / "02_two.new.ipynb") == ["y = 2\n# another"]  # it stays, for the same reason
    store(project / "01_one.ipynb", "x = 3")
    git(project, "commit", "-am", "next")
    assert done(update(mine, project)) == {"offered": ["01_one.ipynb"]}
    (mine / "01_one.ipynb").unlink()
    update(mine, project)
    store(project / "01_one.ipynb", "x = 4")
    git(project, "commit", "-am", "and next")
    assert done(update(mine, project)) == {"updated": ["01_one.ipynb"]}


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_project_that_was_unpacked_into_another_repository_is_taken_as_it_is(tmp_path, project):
    git(project, "init")
    git(project, "commit", "--allow-empty", "-m", "something else")
    update(tmp_path / "mine", project)
    store(project / "01_one.ipynb", "x = 3")
    assert done(update(tmp_path / "mine", project)) == {"updated": ["01_one.ipynb"]}


# --- what else may lie there, or be in the way

CONFLICT = b'{"cells": [\n<<<<<<< HEAD\n "a"\n=======\n "b"\n>>>>>>> main\n]}'
THREE = b'{"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": [], "metadata": {}}]}'
STRANGE = [
    b"",
    b"no JSON",
    CONFLICT,
    THREE,
    b"[]",
    b"null",
    b'{"cells": 3}',
    b'{"cells": [{}]}',
    b'{"cells": [[1]]}',
    b"\xff\xfe",
]
STRANGE += [b'{"cells": [{"cell_type": "code", "source": {"a": 1}}]}', b"[" * 9999]


@pytest.mark.parametrize("content", STRANGE)
def test_a_file_that_is_no_notebook_is_left_alone(folder, project, content):
    (folder / "01_one.ipynb").write_bytes(content)
    assert done(update(folder, project)) == {}
    store(project / "01_one.ipynb", "x = 3")
    assert done(update(folder, project)) == {"offered": ["01_one.ipynb"]}
    assert (folder / "01_one.ipynb").read_bytes() == content
    (project / "01_one.ipynb").unlink()
    assert done(update(folder, project)) == {"left": ["01_one.ipynb"], "removed": ["01_one.new.ipynb"]}


def test_a_notebook_of_the_same_name_that_was_there_before(tmp_path, project):
    store(tmp_path / "mine/01_one.ipynb", "not yours")
    assert done(update(tmp_path / "mine", project))["offered"] == ["01_one.ipynb"]
    assert texts(tmp_path / "mine/01_one.ipynb") == ["not yours"]
    assert texts(tmp_path / "mine/01_one.new.ipynb") == ["x = 1", "x + 1"]


@pytest.mark.parametrize("content", STRANGE)
def test_a_notebook_that_is_broken_in_the_project_changes_nothing(folder, project, content):
    kept = (folder / "01_one.ipynb").read_bytes()
    (project / "01_one.ipynb").write_bytes(content)
    store(project / "02_two.ipynb", "y = 3")
    assert done(update(folder, project)) == {"updated": ["02_two.ipynb"], "broken": ["01_one.ipynb"]}
    assert (folder / "01_one.ipynb").read_bytes() == kept


@pytest.mark.skipif(os.name != "posix", reason="links")
@pytest.mark.parametrize("target", ["elsewhere.ipynb", "01_one.ipynb", "missing/x.ipynb", "."])
def test_a_link_is_not_replaced(folder, project, tmp_path, target):
    shutil.copy(folder / "01_one.ipynb", tmp_path / "elsewhere.ipynb")
    (folder / "01_one.ipynb").unlink()
    (folder / "01_one.ipynb").symlink_to(target if target == "01_one.ipynb" else tmp_path / target)
    update(folder, project)
    store(project / "01_one.ipynb", "x = 3")
    assert done(update(folder, project)) == {"offered": ["01_one.ipynb"]}
    assert (folder / "01_one.ipynb").is_symlink() and texts(tmp_path / "elsewhere.ipynb") == ["x = 1", "x + 1"]
    (project / "01_one.ipynb").unlink()
    assert update(folder, project).left == ["01_one.ipynb"] and (folder / "01_one.ipynb").is_symlink()


@pytest.mark.skipif(os.name != "posix", reason="pipes")
@pytest.mark.parametrize("make", [os.mkdir, lambda path: os.mkfifo(path)], ids=["folder", "pipe"])
def test_what_is_no_file_is_left_alone(folder, project, make):
    for name in ("01_one.ipynb", "01_one.new.ipynb"):
        (folder / name).unlink(missing_ok=True)
        make(folder / name)
    store(project / "01_one.ipynb", "x = 3")
    assert done(update(folder, project)) == {"held": ["01_one.ipynb"]}


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_folder_that_is_a_link(tmp_path, project):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mine").symlink_to(tmp_path / "elsewhere")
    update(tmp_path / "mine", project)
    assert (tmp_path / "elsewhere/01_one.ipynb").is_file() and (tmp_path / "mine").is_symlink()


@pytest.mark.parametrize("name", ["with spaces", "übung №1", "a'b", "100%", "-n"])
def test_any_name(tmp_path, project, name):
    store(project / f"03_{name}.ipynb", "x")
    assert f"03_{name}.ipynb" in update(tmp_path / name, project).made
    edit(tmp_path / name / f"03_{name}.ipynb")
    store(project / f"03_{name}.ipynb", "x = 2")
    assert update(tmp_path / name, project).offered == [f"03_{name}.ipynb"]
    assert (tmp_path / name / beside(f"03_{name}.ipynb")).is_file()


@pytest.mark.skipif(os.name != "posix", reason="links")
@pytest.mark.parametrize("place", ["", "notebooks", "notebooks/mine", "figures", "ncsn_edu/a/b", "tests", "link"])
def test_the_project_itself_is_no_folder_to_work_in(project, place):
    root = project.parent
    for name in ("figures", "ncsn_edu", "tests"):
        (root / name).mkdir()
    if place == "link":
        (root.parent / "link").symlink_to(project)
        root = root.parent
    before = listed(root)
    with pytest.raises(OSError, match="--folder PATH"):
        update(root / place, project)
    assert listed(root) == before


def test_a_folder_that_is_a_file_or_cannot_be_written(tmp_path, project, monkeypatch):
    (tmp_path / "file").write_text("mine")
    for place in ("file", "file/below"):
        with pytest.raises(OSError, match=r"file is a file: choose another folder by --folder"):
            update(tmp_path / place, project)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OSError, match=r"takes no files from you: choose another folder by --folder"):
        update(tmp_path / "mine", project)
    assert (tmp_path / "file").read_text() == "mine" and not (tmp_path / "mine").exists()


def test_a_file_where_a_folder_belongs(tmp_path, project):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/assignments").write_text("mine")
    with pytest.raises(OSError, match=r"assignments.* cannot be written .*move it away"):
        update(tmp_path / "mine", project)
    assert (tmp_path / "mine/assignments").read_text() == "mine"


def test_a_project_without_notebooks_takes_none_away(folder, project):
    for path in [*project.glob("*.ipynb"), *project.glob("assignments/release/*/*")]:
        path.unlink()
    before = listed(folder)
    with pytest.raises(FileNotFoundError, match="checkout notebooks"):
        update(folder, project)
    assert listed(folder) == before


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_full_disk_loses_nothing(folder, project, monkeypatch, at):
    store(project / "01_one.ipynb", "x = 3")
    store(project / "02_two.ipynb", "y = 3")
    before = {name: (folder / name).read_bytes() for name in listed(folder)}
    calls = []

    def full(_):
        calls.append(1)
        if len(calls) >= at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left on device\): make room"):
            update(folder, project)
    assert listed(folder) == sorted(before)  # nothing half-written
    assert sum((folder / name).read_bytes() != content for name, content in before.items()) == at - 1
    update(folder, project)
    assert texts(folder / "01_one.ipynb") == ["x = 3"] and texts(folder / "02_two.ipynb") == ["y = 3"]
    assert not list(folder.glob("*.new.*"))


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second disk")
def test_a_folder_on_another_disk(project, folder):
    there = Path("/dev/shm") / f"ncsn_edu-{os.getpid()}"
    try:
        assert Path("/dev/shm").stat().st_dev != project.stat().st_dev
        update(there, project)
        store(project / "01_one.ipynb", "x = 3")
        assert done(update(there, project)) == {"updated": ["01_one.ipynb"]}
    finally:
        shutil.rmtree(there, ignore_errors=True)


KILLED = """
import os, sys
from pathlib import Path
from ncsn_edu.workcopy import update
left, replace = int(sys.argv[3]), os.replace
def dying(*names):
    global left
    if left == 0: os._exit(9)
    left -= 1
    replace(*names)
os.replace = dying
update(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_process_that_is_killed_leaves_whole_files_and_the_next_one_goes_on(tmp_path, project):
    for at in range(12):  # more than there are writes
        mine = tmp_path / f"mine{at}"
        update(mine, project)
        edit(mine / "02_two.ipynb")
        kept = (mine / "02_two.ipynb").read_bytes()
        store(tmp_path / "next/notebooks/01_one.ipynb", "x = 3")
        store(tmp_path / "next/notebooks/02_two.ipynb", "y = 3")
        store(tmp_path / "next/notebooks/03_three.ipynb", "z")
        command = [sys.executable, "-c", KILLED, str(mine), str(tmp_path / "next/notebooks"), str(at)]
        code = subprocess.run(command, env=child_environment()).returncode
        for path in mine.rglob("*.ipynb"):
            read(path)
        assert (mine / "02_two.ipynb").read_bytes() == kept
        update(mine, tmp_path / "next/notebooks")
        found = {path.name: texts(path) for path in mine.glob("*.ipynb")}
        assert found.pop("02_two.ipynb") == ["y = 2\n# mine"]
        assert found == {"01_one.ipynb": ["x = 3"], "02_two.new.ipynb": ["y = 3"], "03_three.ipynb": ["z"]}
        if code == 0:
            break
    assert 5 <= at < 11 and code == 0


@pytest.mark.skipif(os.name != "posix", reason="there a file that is being read cannot be replaced")
def test_two_at_once(tmp_path, project):
    mine = tmp_path / "mine"
    command = [sys.executable, "-c", KILLED, str(mine), str(project), "1000"]
    for text in ("x = 1", "x = 3"):
        store(project / "01_one.ipynb", text)
        started = [subprocess.Popen(command, env=child_environment()) for _ in range(3)]
        assert [process.wait(PATIENCE) for process in started] == [0, 0, 0]
        assert texts(mine / "01_one.ipynb") == [text] and done(update(mine, project)) == {}
        assert not list(mine.glob("*.new.*")) and not list(mine.glob(".*.tmp"))


# --- anything, in any order


class World:
    """A project and a learner, who do what they please. What the learner writes has MINE in it."""

    def __init__(self, tmp_path, seed):
        self.chance, self.count = random.Random(seed), 0
        self.project, self.folder = tmp_path / "p/notebooks", tmp_path / "mine"
        self.lost = False  # was the record ever lost?
        for name in "abc":
            self.publish(name)

    def new(self):
        self.count += 1
        return self.count

    def publish(self, name=None):
        store(self.project / f"{name or self.chance.choice('abcde')}.ipynb", f"text {self.new()}", "same in all")

    def withdraw(self):
        if len(there := sorted(self.project.glob("*.ipynb"))) > 1:
            self.chance.choice(there).unlink()

    def rename(self):
        self.chance.choice(sorted(self.project.glob("*.ipynb"))).rename(
            self.project / f"{self.chance.choice('abcde')}.ipynb"
        )

    def mine(self):
        there = sorted(self.folder.glob("*.ipynb"))
        return self.chance.choice(there) if there else None

    def write(self):
        if path := self.mine():
            edit(path, f"MINE {self.new()}")

    def run(self):
        if path := self.mine():
            save(path, ran(read(path)))

    def swap(self):
        if path := self.mine():
            notebook = read(path)
            notebook.cells = [new_markdown_cell(f"MINE {self.new()}"), *notebook.cells[::-1]]
            save(path, notebook)

    def save_as(self):
        if path := self.mine():
            other = self.folder / (
                self.chance.choice("abcde") + self.chance.choice([".ipynb", ".new.ipynb", "-1.ipynb"])
            )
            other.write_bytes(path.read_bytes())
            edit(other, f"MINE {self.new()}")

    def delete(self):
        if path := self.mine():
            path.unlink()

    def lose(self):
        (self.folder / STATE).unlink(missing_ok=True)
        self.lost = True

    def update(self):
        written = {path: path.read_bytes() for path in self.folder.glob("*.ipynb") if "MINE" in path.read_text()}
        report = update(self.folder, self.project)
        for path, content in written.items():
            assert path.read_bytes() == content
        for path in self.project.glob("*.ipynb"):
            name, wanted = path.name, texts(path)
            if self.folder / name not in written and not self.lost:
                assert texts(self.folder / name) == wanted  # nobody's: up to date
            if name in report.offered:
                assert texts(self.folder / beside(name)) == wanted
        assert done(update(self.folder, self.project)) in ({}, {"held": report.held})


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_nothing_that_the_learner_wrote_is_lost(tmp_path, seed):
    world = World(tmp_path, seed)
    moves = [
        world.publish,
        world.rename,
        world.withdraw,
        world.write,
        world.write,
        world.run,
        world.swap,
        world.save_as,
        world.delete,
    ]
    moves += [world.update] * 5 + [world.lose] * (seed % 3 == 0)
    for _ in range(60):
        world.chance.choice(moves)()
    world.update()
