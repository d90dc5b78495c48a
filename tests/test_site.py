"""What the site is made of: docstrings, pages that are made, what is missing, and a site that is whole or not there."""

import html
import json
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "docs")]
import site_check  # noqa: E402
import website  # noqa: E402
from docstrings import as_rst  # noqa: E402

DOCSTRING = """Yields *D of them, sum_k w_k, as `last` does.

name   what it is (Song_2019),
       and more
other  the same

    for state in langevin(x):
        print(state)

    done()
"""


def test_docstrings_say_the_same_on_a_page():
    """docutils, which knows nothing of our style, reads back the words, the names, and the code as it stands."""
    core = pytest.importorskip("docutils.core")
    settings = {"halt_level": 2, "report_level": 5}
    page = core.publish_doctree("\n".join(as_rst(DOCSTRING.splitlines())), settings_overrides=settings)
    sentence, names, code = page.children
    assert sentence.astext() == "Yields *D of them, sum_k w_k, as last does."
    assert [item.children[0].astext() for item in names.children] == ["name", "other"]
    assert names.children[0].children[1].astext().split() == ["what", "it", "is", "(Song_2019),", "and", "more"]
    assert code.tagname == "literal_block"
    assert code.astext() == "for state in langevin(x):\n    print(state)\n\ndone()"


def test_every_docstring_of_the_reference_is_read_without_a_complaint():
    core = pytest.importorskip("docutils.core")
    for module, names in website.public().items():
        for name in names:
            text = getattr(__import__(module, fromlist=[name]), name).__doc__ or ""
            lines = [line.strip() if i == 0 else line for i, line in enumerate(text.expandtabs().splitlines())]
            cut = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
            lines = [line if i == 0 else line[cut:] for i, line in enumerate(lines)]
            core.publish_doctree("\n".join(as_rst(lines)), settings_overrides={"halt_level": 2, "report_level": 5})


def test_the_gallery_has_every_figure_with_its_words_and_numbers():
    page = website.gallery()
    stored = sorted((ROOT / "figures").glob("*.json"))
    assert len(stored) > 100 and page.count("\n## ") == len(stored)
    for path in stored:
        told = json.loads(path.read_text(encoding="utf-8"))
        assert f"![{told['alt']}](figures/{path.stem}.png)" in page and told["caption"] in page
        assert all(f"| `{name}` |" in page for name in told["numbers"])
    assert "From [7 · Slow mixing, and annealing](notebooks/07_annealing.ipynb)." in page


def stored_and_shown(name, kind):
    """The text of an explorer's stored output, and the cell that the site has in its place."""
    stored = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4)
    texts = [[o.data.get("text/plain", "") for o in c.get("outputs", []) if "data" in o] for c in stored.cells]
    (place,) = [i for i, said in enumerate(texts) if any(text.startswith(f"{kind}(") for text in said)]
    notebook = website.with_words(stored)
    nbformat.validate(notebook)
    return texts[place][-1], notebook.cells[place]


def test_an_explorer_with_a_kernel_is_a_picture_with_words_and_a_line_how_to_run_it():
    _, cell = stored_and_shown("06_low_density", "ErrorExplorer")
    picture, line = cell.outputs[-2:]
    assert picture.data["image/png"] and "make lab" in line.data["text/markdown"]
    assert len(cell.metadata["mystnb"]["image"]["alt"]) > 20


@pytest.mark.parametrize(
    ("notebook", "kind"),
    [
        *(("02_langevin", "LangevinExplorer"), ("07_annealing", "AnnealingExplorer")),
        *(("14_improved_techniques", "LadderExplorer"), ("16_ddpm", "ScheduleExplorer"), ("16_ddpm", "DdimExplorer")),
        *(("17_sdes", "DiffusionExplorer"), ("17_sdes", "SolverExplorer")),
        *(("18_any_model_any_sampler", "GridExplorer"), ("19_conditions", "GuidanceExplorer")),
    ],
)
def test_an_explorer_in_the_page_is_there_as_the_notebook_has_it(notebook, kind):
    said, cell = stored_and_shown(notebook, kind)
    text = html.unescape(cell.outputs[-1].data["text/html"])
    told = json.JSONDecoder().raw_decode(text[text.index("{") :])[0]
    assert told["explorer"] == kind and told["controls"]
    for control in told["controls"]:
        assert f"{control['name']}={control['start']!r}" in said


def test_every_picture_of_a_notebook_brings_its_words():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in website.with_words(nbformat.read(path, 4)).cells:
            shown = [output for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
            assert len(shown) <= 1, f"{path.name}: a cell with two pictures, for which a page has one alt text"
            assert not shown or len(cell.metadata["mystnb"]["image"]["alt"]) > 20, path.name


# ---- what is missing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["sphinx", "myst_nb", "furo"])
def test_what_is_not_installed_is_named_with_the_command_that_mends_it(monkeypatch, missing):
    find = website.find_spec
    monkeypatch.setattr(website, "find_spec", lambda name: None if name == missing else find("json"))
    with pytest.raises(SystemExit, match=rf"{website.NEEDED[missing]}.*pip install .*\[site\]"):
        website.build()


def test_a_missing_mathjax_is_named_and_the_site_stays(monkeypatch, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "searchindex.js").write_text("the old one")

    def absent(name):
        raise website.PackageNotFoundError(name)

    monkeypatch.setattr(website, "ROOT", tmp_path)  # no node_modules
    monkeypatch.setattr(website, "files", absent)
    monkeypatch.setattr(website, "check_needed", lambda: None)
    with pytest.raises(SystemExit, match="MathJax.*pip install") as told:
        website.build(site)
    assert "npm install mathjax@3" in str(told.value)
    assert [path.name for path in tmp_path.rglob("*")] == ["site", "searchindex.js"]


def test_a_page_that_fails_leaves_the_old_site(monkeypatch, tmp_path, capfd):
    """A warning of Sphinx is an error: a link to a page that is not there."""
    pytest.importorskip("sphinx")

    def lay_out(source):
        source.mkdir()
        (source / "conf.py").write_text("extensions = ['myst_parser']")
        (source / "index.md").write_text("# A page\n\n[nowhere](nowhere.md)\n")

    monkeypatch.setattr(website, "lay_out", lay_out)
    monkeypatch.setattr(website, "check_needed", lambda: None)
    monkeypatch.setattr(website, "mathjax", lambda: tmp_path)
    site = tmp_path / "site"
    site.mkdir()
    (site / "searchindex.js").write_text("the old one")
    with pytest.raises(SystemExit, match="not built"):
        website.build(site)
    assert "nowhere.md" in capfd.readouterr().err
    assert [path.name for path in site.iterdir()] == ["searchindex.js"]


def test_a_folder_of_something_else_is_not_replaced(monkeypatch, tmp_path):
    monkeypatch.setattr(website, "check_needed", lambda: None)
    monkeypatch.setattr(website, "mathjax", lambda: tmp_path)
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SystemExit, match="holds something that is no site"):
        website.build(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


# ---- the check of links, and the workflow ----------------------------------------------------------------------


def test_the_check_of_links_sees_what_is_wrong(tmp_path):
    (tmp_path / "a.html").write_text(
        '<link href="https://fonts.example/x.css"><img src="gone.png" alt="A picture."><img src="b.html">'
        '<a href="b.html#there">1</a><a href="b.html#not-there">2</a><a href="https://arxiv.org">3</a><a href="#">4</a>'
    )
    (tmp_path / "b.html").write_text('<p id="there"></p><script src="//cdn.example/y.js"></script>')
    (tmp_path / "c.css").write_text("@font-face { src: url(https://fonts.example/z.woff) }")
    asked, broken, outside, silent = site_check.links(tmp_path)
    assert asked == 5
    assert broken == ["a.html: b.html#not-there", "a.html: gone.png"]
    assert outside == ["a.html: https://fonts.example/x.css", "b.html: //cdn.example/y.js", "c.css"]
    assert silent == ["a.html: b.html"]


def test_the_workflow_publishes_what_make_builds():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "site.yml").read_text(encoding="utf-8"))
    (job,) = workflow["jobs"].values()
    assert "make site" in [step.get("run") for step in job["steps"]]
    upload = next(step for step in job["steps"] if "upload-pages-artifact" in step.get("uses", ""))
    assert ROOT / upload["with"]["path"] == website.SITE
    assert "deploy-pages" in job["steps"][-1]["uses"] and workflow["permissions"]["pages"] == "write"
