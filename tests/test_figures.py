import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from nbconvert import HTMLExporter
from PIL import Image

from ncsn_edu import figures
from ncsn_edu.figures import FigureDiffers, figure_sources, figures_folder, save_figure, show_figure
from ncsn_edu.kernels import run_cells


@pytest.fixture(autouse=True)
def folder(own_figures):
    return own_figures


@pytest.fixture
def check(monkeypatch):
    return lambda: monkeypatch.setenv("NCSN_EDU_FIGURES", "check")


def curves(*, second=True, label="sigma", size=(5, 4), lift=0.0, style="-"):
    fig, ax = plt.subplots(figsize=size)
    t = np.linspace(0, 6, 200)
    ax.set(xlim=(0, 6), ylim=(-1.2, 1.2), xlabel=label)
    ax.plot(t, np.sin(t) + lift)
    if second:
        ax.plot(t, np.cos(t), linewidth=1, linestyle=style)
    return fig


def heat(cmap="viridis", noise=0.0):
    fig, ax = plt.subplots(figsize=(5, 4))
    x, y = np.meshgrid(*[np.linspace(-3, 3, 64)] * 2)
    noise = noise * np.random.default_rng(0).normal(size=x.shape)
    ax.imshow(np.exp(-(x**2 + y**2) / 2) + noise, cmap=cmap, vmin=0, vmax=1)
    return fig


def dots(n):
    fig, ax = plt.subplots(figsize=(5, 4))
    ax.set(xlim=(-4, 4), ylim=(-4, 4))
    points = np.random.default_rng(0).normal(size=(60, 2))
    ax.scatter(*points[:n].T, s=9)
    return fig


def saved(fig, name: str, **options) -> Path:
    """The picture's path, after save_figure has written it."""
    assert save_figure(fig, name, **options) is None  # as a cell's last line it would be shown
    return figures_folder() / f"{name}.png"


# --- writing


def test_writes_a_picture_and_its_numbers(folder):
    path = saved(curves(), "fig1", numbers={"b": 1 / 3, "a": 12345678}, tolerance={"b": 0.1})
    assert path == folder / "fig1.png"
    assert sorted(os.listdir(folder)) == ["fig1.json", "fig1.png"]
    text = (folder / "fig1.json").read_text()
    assert json.loads(text) == {"numbers": {"a": 12345700.0, "b": 0.333333}, "tolerance": {"b": 0.1}}
    assert text.endswith("}\n") and text.index('"a"') < text.index('"b"')
    assert path.read_bytes().startswith(b"\x89PNG") and b"Software" not in path.read_bytes()


def test_the_same_figure_gives_the_same_bytes_whatever_the_settings(folder):
    path = saved(curves(), "fig1", numbers={"a": 0.1})
    first = path.read_bytes(), path.with_suffix(".json").read_bytes()
    figure = curves()
    others = {"savefig.bbox": "tight", "savefig.dpi": 37, "savefig.facecolor": "red", "savefig.transparent": True}
    with matplotlib.rc_context(others):
        save_figure(figure, "fig1", numbers={"a": 0.1})
    assert (path.read_bytes(), path.with_suffix(".json").read_bytes()) == first


def test_files_get_the_usual_permissions(folder):
    umask = os.umask(0o022)
    try:
        assert saved(curves(), "fig1").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(umask)


def test_accepts_numpy_scalars_and_tensors_of_no_dimension(folder):
    torch = pytest.importorskip("torch")
    numbers = {
        "np": np.float32(0.5),
        "int": np.int64(3),
        "array": np.array(2.0),
        "tensor": torch.tensor(0.25, requires_grad=True),
    }
    save_figure(curves(), "fig1", numbers=numbers)
    stored = json.loads((folder / "fig1.json").read_text())["numbers"]
    assert stored == {"np": 0.5, "int": 3.0, "array": 2.0, "tensor": 0.25}


@pytest.mark.parametrize(
    ("error", "name", "numbers", "tolerance", "message"),
    [
        (ValueError, "fig", {"a": float("nan")}, {}, r"numbers\['a'\] is nan"),
        (ValueError, "fig", {"a": np.float64("inf")}, {}, "inf"),
        (TypeError, "fig", {"a": "0.5"}, {}, "str"),
        (TypeError, "fig", {"a": 1j}, {}, "complex"),
        (TypeError, "fig", {"a": True}, {}, "bool"),
        (TypeError, "fig", {"a": None}, {}, "NoneType"),
        (TypeError, "fig", {"a": np.ones(3)}, {}, r"shape \(3,\).*x.mean"),
        (ValueError, "fig", {"a": 1.0}, {"b": 0.1}, "'b'.*not among its numbers"),
        (ValueError, "fig", {"a": 1.0}, {"a": -0.1}, "0 or more"),
        (ValueError, "fig", {"a": 1.0}, {"a": float("nan")}, "nan"),
        (ValueError, "../fig", {}, {}, "small letters"),
        (ValueError, "Fig 1", {}, {}, "small letters"),
        (ValueError, "", {}, {}, "small letters"),
        (ValueError, "fig\n", {}, {}, "small letters"),
        (ValueError, None, {}, {}, "small letters"),
    ],
)
def test_bad_input_is_named(folder, error, name, numbers, tolerance, message):
    with pytest.raises(error, match=message):
        save_figure(curves(), name, numbers=numbers, tolerance=tolerance)
    assert not folder.exists()


def test_an_axes_is_not_a_figure():
    with pytest.raises(TypeError, match=r"axes\.figure"):
        save_figure(curves().axes[0], "fig1")


def test_an_unknown_mode_is_an_error(monkeypatch, folder):
    monkeypatch.setenv("NCSN_EDU_FIGURES", "chekc")
    with pytest.raises(ValueError, match=r"NCSN_EDU_FIGURES is 'chekc'.*'check'"):
        save_figure(curves(), "fig1")
    assert not folder.exists()


def test_a_folder_that_cannot_be_written_is_named_with_the_variable(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("NCSN_EDU_FIGURES_DIR", str(tmp_path / "file"))
    with pytest.raises(OSError, match=f"{tmp_path / 'file'}.*NCSN_EDU_FIGURES_DIR"):
        save_figure(curves(), "fig1")


def test_only_the_selected_figures_are_touched(monkeypatch, folder):
    monkeypatch.setenv("NCSN_EDU_FIGURES_ONLY", "fig2, fig3")
    save_figure(curves(), "fig1")
    save_figure(curves(), "fig2")
    assert sorted(os.listdir(folder)) == ["fig2.json", "fig2.png"]
    monkeypatch.setenv("NCSN_EDU_FIGURES", "check")
    save_figure(heat(), "fig1")  # nothing is stored, and nothing is asked
    with pytest.raises(FigureDiffers):
        save_figure(heat(), "fig2")


def test_what_came_out_well_is_noted(monkeypatch, check, folder, tmp_path):
    notes = tmp_path / "done"
    monkeypatch.setenv("NCSN_EDU_FIGURES_DONE", str(notes))
    monkeypatch.setenv("NCSN_EDU_FIGURES_ONLY", "fig1,fig2")
    save_figure(curves(), "fig1")
    save_figure(curves(), "fig3")  # left alone
    assert notes.read_text() == "fig1\n"
    check()
    save_figure(curves(), "fig1")
    with pytest.raises(FigureDiffers):
        save_figure(heat(), "fig1")
    with pytest.raises(FileNotFoundError):
        save_figure(curves(), "fig2")
    assert notes.read_text() == "fig1\nfig1\n"


def test_the_folder(monkeypatch, tmp_path):
    assert figures_folder() == tmp_path / "figures"
    monkeypatch.setenv("NCSN_EDU_FIGURES_DIR", "")
    (tmp_path / "checkout/ncsn_edu").mkdir(parents=True)
    monkeypatch.setattr(figures, "__file__", str(tmp_path / "checkout/ncsn_edu/figures.py"))
    monkeypatch.chdir(tmp_path)
    assert figures_folder() == tmp_path / "figures"  # installed: where the reader works
    (tmp_path / "checkout/pyproject.toml").touch()
    assert figures_folder() == tmp_path / "checkout/figures"


# --- words: alt text and caption

ALT, CAPTION = "A curve that rises.", r"The score of $p_\sigma$ rises."


def test_words_are_kept_with_the_numbers(folder):
    save_figure(curves(), "fig1", alt="A curve\n    that rises.", caption=CAPTION, numbers={"a": 1})
    record = json.loads((folder / "fig1.json").read_text())
    assert record == {"alt": ALT, "caption": CAPTION, "numbers": {"a": 1.0}, "tolerance": {}}
    assert figures.stored_caption("fig1") == CAPTION
    (folder / "fig1.json").write_text("[]")
    assert figures.stored_caption("fig1") == figures.stored_caption("fig2") == ""


@pytest.mark.parametrize(
    ("error", "words", "message"),
    [
        (ValueError, {"alt": ALT}, "fig1 has no caption"),
        (ValueError, {"caption": CAPTION}, "fig1 has no alt"),
        (ValueError, {"alt": ALT, "caption": ""}, "caption is ''.*full stop"),
        (ValueError, {"alt": "  ", "caption": CAPTION}, "alt is ''"),
        (ValueError, {"alt": " ... ", "caption": CAPTION}, "alt is '...'"),
        (ValueError, {"alt": "A curve", "caption": CAPTION}, "alt is 'A curve'.*full stop"),
        (ValueError, {"alt": ALT, "caption": "The score"}, "caption is 'The score'"),
        (ValueError, {"alt": "a" * 300 + ".", "caption": CAPTION}, "alt has 301 characters"),
        (ValueError, {"alt": CAPTION, "caption": CAPTION}, "in words, such as 'sigma'"),
        (ValueError, {"alt": ALT, "caption": "The score of $p_0 rises."}, r"odd number of \$"),
        (TypeError, {"alt": 3, "caption": CAPTION}, "alt is a int"),
    ],
)
def test_bad_words_are_named(folder, error, words, message):
    with pytest.raises(error, match=message):
        save_figure(curves(), "fig1", **words)
    assert not folder.exists()
    with pytest.raises(error, match=message.removeprefix("fig1 ")):
        show_figure(curves(), **{"alt": None, "caption": None} | words)


def test_another_caption_is_a_difference_of_its_own(check, folder, tmp_path):
    save_figure(curves(), "fig1", alt=ALT, caption=CAPTION)
    check()
    save_figure(curves(), "fig1", alt=ALT, caption=CAPTION)
    for words, said in (
        ({"alt": ALT, "caption": "Another."}, "another caption"),
        ({"alt": "Another.", "caption": CAPTION}, "another alt"),
        ({}, "another alt and caption"),
    ):
        with pytest.raises(FigureDiffers, match=f"^figures/fig1.json has {said}: make notebooks$"):
            save_figure(curves(), "fig1", **words)
    assert list((tmp_path / "temporary").iterdir()) == []  # no pictures to look at
    with pytest.raises(FigureDiffers, match="the picture differs"):
        save_figure(heat(), "fig1", alt=ALT, caption="Another.")


# --- what a notebook shows


def run(*sources: str, **environment: str) -> list:
    """The outputs of the cells, in order, of a notebook that is run in a kernel."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    notebook = nbformat.v4.new_notebook(cells=cells)
    run_cells(notebook, Path.cwd(), os.environ | environment)
    return [cell.outputs for cell in notebook.cells]


FIRST = """
from matplotlib import pyplot as plt
from ncsn_edu import save_figure, show_figure
def draw():
    fig, ax = plt.subplots(figsize=(3, 2), dpi=50)
    ax.plot([0, 1])
    return fig
"""
SHOWN = f"""
fig, words = draw(), dict(alt={ALT!r}, caption={CAPTION!r})
save_figure(fig, "fig1", **words) if save else show_figure(fig, **words)
"""


def test_where_a_screen_is_sharp_twice_the_pixels_are_shown_at_the_size_of_the_file(folder):
    _, outputs = run(FIRST + "save = True", SHOWN, NCSN_EDU_FIGURES_SHARP="1")
    shown = Image.open(BytesIO(base64.b64decode(outputs[0].data["image/png"])))
    stored = Image.open(folder / "fig1.png")
    assert outputs[0].metadata["image/png"] == {"alt": ALT, "width": stored.width, "height": stored.height}
    assert stored.size == (300, 200) and shown.size == (600, 400)  # 3 x 2 inches


def test_a_notebook_shows_the_file_that_is_stored_and_the_caption_below(folder):
    backend = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    _, kept, old, alone = run(
        FIRST + "save = True",
        SHOWN + "plt.show()",  # nothing more
        'fig = draw(); save_figure(fig, "old")',
        "save = False" + SHOWN,
        **backend,
    )
    for outputs in (kept, alone):
        picture, caption = outputs
        assert picture.output_type == caption.output_type == "display_data"
        assert picture.metadata == {"image/png": {"alt": ALT}}
        assert picture.data["text/plain"] == "<Figure size 150x100 with 1 Axes>"
        assert base64.b64decode(picture.data["image/png"]) == (folder / "fig1.png").read_bytes()
        assert caption.data == {"text/markdown": f"**Figure.** {CAPTION}", "text/plain": f"Figure. {CAPTION}"}
    (picture,) = old
    assert picture.metadata == {} and picture.data.keys() == {"image/png", "text/plain"}
    assert sorted(os.listdir(folder)) == ["fig1.json", "fig1.png", "old.json", "old.png"]
    left = run(FIRST + "save = True", SHOWN, NCSN_EDU_FIGURES_ONLY="old", NCSN_EDU_FIGURES="check", **backend)[1]
    assert left == kept  # it is shown too where another figure is asked for

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("", outputs=kept)])
    page, _ = HTMLExporter(template_name="classic").from_notebook_node(notebook)
    (image,) = re.findall("<img [^>]*>", page)
    assert f'alt="{ALT}"' in image.replace("\n", " ")
    assert page.index(image) < page.index("<strong>Figure.</strong> The score of $p_\\sigma$ rises.")


def test_a_script_shows_nothing(folder, capsys):
    fig = curves()
    save_figure(fig, "fig1", alt=ALT, caption=CAPTION)
    show_figure(fig, alt=ALT, caption=CAPTION)
    assert capsys.readouterr() == ("", "")
    assert plt.fignum_exists(fig.number)  # plt.show() is the script's own affair
    with pytest.raises(TypeError, match="show_figure takes a matplotlib Figure"):
        show_figure(fig.axes[0], alt=ALT, caption=CAPTION)


# --- no half-written file


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_write_leaves_the_old_figure_and_nothing_else(monkeypatch, folder, stop):
    path = saved(curves(), "fig1")
    before = path.read_bytes()

    def fail(descriptor):
        raise stop

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(stop if isinstance(stop, type) else type(stop)):
        save_figure(heat(), "fig1")
    assert path.read_bytes() == before
    assert sorted(os.listdir(folder)) == ["fig1.json", "fig1.png"]


KILLED = """
import os, signal
import matplotlib; matplotlib.use("agg")
import matplotlib.pyplot as plt
from ncsn_edu.figures import save_figure
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
fig, ax = plt.subplots()
save_figure(fig, "fig1")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_write_leaves_the_old_figure_and_what_it_left_is_swept_away(folder):
    path = saved(curves(), "fig1")
    before = path.read_bytes()
    assert subprocess.run([sys.executable, "-c", KILLED]).returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    assert sorted(file.name for file in folder.glob("[!.]*")) == ["fig1.json", "fig1.png"]
    (left,) = folder.glob(".*")
    hours_ago = time.time() - 7200
    os.utime(left, (hours_ago, hours_ago))
    save_figure(curves(), "fig1")
    assert sorted(os.listdir(folder)) == ["fig1.json", "fig1.png"]


WRITER = """
import sys
import matplotlib; matplotlib.use("agg")
import matplotlib.pyplot as plt
from ncsn_edu.figures import save_figure
fig, ax = plt.subplots(figsize=(2, 2))
ax.plot([0, int(sys.argv[1])])
for _ in range(10):
    save_figure(fig, "fig1", numbers={"slope": int(sys.argv[1])})
"""


def test_two_processes_may_write_at_once(folder):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(i)]) for i in (1, 2)]
    while any(writer.poll() is None for writer in writers):
        if (folder / "fig1.png").exists():
            figures._pixels((folder / "fig1.png").read_bytes())  # whole at every moment
            assert set(json.loads((folder / "fig1.json").read_text() if (folder / "fig1.json").exists() else "{}")) in (
                set(),
                {"numbers", "tolerance"},
            )
        time.sleep(0.01)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sorted(os.listdir(folder)) == ["fig1.json", "fig1.png"]


# --- check mode


def test_the_same_figure_passes_and_leaves_nothing_behind(check, folder, tmp_path):
    save_figure(curves(), "fig1", numbers={"a": 1.0, "b": 1e-15, "c": 2.0}, tolerance={"a": 0.1})
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}
    check()
    moved = {"a": 1.1, "b": -1e-14, "c": 2.0001}
    save_figure(curves(), "fig1", numbers=moved, tolerance={"a": 0.1})
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()} == before
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_number_that_moved_is_named_and_both_pictures_are_kept(check, folder, tmp_path):
    save_figure(curves(), "fig1", numbers={"a": 0.79, "b": 1.0}, tolerance={"a": 0.05})
    check()
    with pytest.raises(FigureDiffers) as failure:
        save_figure(curves(), "fig1", numbers={"a": 0.85, "b": 1.0}, tolerance={"a": 0.05})
    message = str(failure.value)
    assert "a moved from 0.79 to 0.85 (tolerance 0.05)" in message and "picture differs" not in message
    assert "b moved" not in message
    assert "python -m ncsn_edu figures fig1" in message and "make figures" in message
    (kept,) = (tmp_path / "temporary").iterdir()
    assert sorted(os.listdir(kept)) == ["fig1.json", "fig1.png", "fig1_difference.png"]
    for path in (folder / "fig1.png", kept / "fig1.png", kept / "fig1_difference.png"):
        assert f"{path}\n" in message and path.is_file()


@pytest.mark.parametrize(
    ("numbers", "tolerance", "message"),
    [
        ({"a": 1.0002}, {}, r"a moved from 1 to 1.0002 \(tolerance 0.0001, as none is given\)"),
        ({}, {}, "number a .stored: 1. is missing"),
        ({"a": 1.0, "b": 2.0}, {}, "number b = 2 is new"),
        ({"a": 1.0}, {"a": 0.5}, "tolerance of a was None, and is 0.5 now"),
    ],
)
def test_numbers_that_differ(check, numbers, tolerance, message):
    save_figure(curves(), "fig1", numbers={"a": 1.0})
    check()
    with pytest.raises(FigureDiffers, match=message):
        save_figure(curves(), "fig1", numbers=numbers, tolerance=tolerance)


def test_a_tolerance_may_be_a_share_of_a_number_that_moves_a_little(check):
    share = lambda value: {"numbers": {"a": value}, "tolerance": {"a": 0.03 * value}}  # noqa: E731
    save_figure(curves(), "fig1", **share(16.8773))
    check()
    save_figure(curves(), "fig1", **share(16.8785))
    with pytest.raises(FigureDiffers, match="the tolerance of a was 0.506319, and is 0.6 now"):
        save_figure(curves(), "fig1", numbers={"a": 16.8773}, tolerance={"a": 0.6})


@pytest.mark.parametrize(
    ("stored", "new"),
    [
        (curves, lambda: curves(second=False)),
        (lambda: curves(size=(10, 4)), lambda: curves(size=(10, 4), second=False)),
        (lambda: curves(style=":"), lambda: curves(second=False)),
        (curves, lambda: curves(label="")),
        (lambda: curves(label="t"), lambda: curves(label="")),
        (heat, lambda: heat(cmap="magma")),
        (heat, lambda: heat(cmap="cividis")),
        (lambda: dots(60), lambda: dots(40)),
    ],
    ids=[
        "curve gone",
        "curve gone in a wide figure",
        "dotted curve gone",
        "label gone",
        "letter gone",
        "magma",
        "cividis",
        "20 dots gone",
    ],
)
def test_pictures_that_differ(check, stored, new):
    save_figure(stored(), "fig1")
    check()
    with pytest.raises(FigureDiffers, match="the picture differs: RMS"):
        save_figure(new(), "fig1")


@pytest.mark.parametrize(
    ("stored", "new"),
    [
        (curves, lambda: curves(lift=5e-3)),
        (heat, lambda: heat(noise=0.01)),
        (lambda: dots(60), lambda: dots(59)),
    ],
    ids=["half a pixel", "one percent of noise", "one dot"],
)
def test_pictures_that_are_as_good_as_equal(check, stored, new):
    before = saved(stored(), "fig1").read_bytes()
    check()
    other = new()
    save_figure(other, "fig1")
    assert figures.picture_of(other) != before  # otherwise this would be no test


def test_where_the_picture_differs_is_said():
    a = np.ones((100, 200, 3))
    b = a.copy()
    b[60:92, 110:142] = 0
    overall, worst, x, y = figures.picture_distance(a, b)
    assert (worst, x, y) == (pytest.approx(1), 110, 60)
    assert overall == pytest.approx((32 * 32 / 20000) ** 0.5)
    assert figures.picture_distance(a[:5, :5], a[:5, :5])[:2] == (0, 0)  # smaller than a window


def test_another_size_is_a_difference(check):
    save_figure(curves(), "fig1")
    check()
    with pytest.raises(FigureDiffers, match="was 500 x 400 pixels, and is 500 x 500 now") as failure:
        save_figure(curves(size=(5, 5)), "fig1")
    assert "difference:" not in str(failure.value)


@pytest.mark.parametrize("suffix", [".png", ".json"])
def test_nothing_stored_says_how_to_make_it(check, folder, suffix):
    path = saved(curves(), "fig1")
    path.with_suffix(suffix).unlink()
    check()
    with pytest.raises(FileNotFoundError, match=rf"fig1\{suffix}(.|\n)*python -m ncsn_edu figures fig1"):
        save_figure(curves(), "fig1")


@pytest.mark.parametrize(("suffix", "content"), [(".png", b"\x89PN"), (".json", b"{"), (".json", b"[]")])
def test_a_stored_figure_that_is_damaged_says_how_to_make_it(check, suffix, content):
    path = saved(curves(), "fig1")
    path.with_suffix(suffix).write_bytes(content)
    check()
    with pytest.raises(ValueError, match="cannot be read.*python -m ncsn_edu figures fig1"):
        save_figure(curves(), "fig1")


# --- which notebook makes which figure


def write_notebook(path: Path, *sources: str):
    cells = [{"cell_type": "code", "source": source.splitlines(keepends=True)} for source in sources]
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": "save_figure(f, 'text')"}, *cells]}))


def test_figures_are_found_in_code_cells(tmp_path):
    write_notebook(
        tmp_path / "01_a.ipynb",
        "%matplotlib inline\nif True:\n    !ls\nimport ncsn_edu",
        "_ = save_figure(fig, 'one', numbers={'a': 1})\n# save_figure(fig, 'comment')",
        "%%bash\nfor i in 1 2; do echo $i; done",
        "ncsn_edu.save_figure(name='two', fig=fig); save_figure(fig, 'one')",
    )
    write_notebook(tmp_path / "02_b.ipynb", "save_figure(\n    fig,\n    'three',\n)")
    found = figure_sources(tmp_path)
    assert {name: path.name for name, path in found.items()} == {
        "one": "01_a.ipynb",
        "two": "01_a.ipynb",
        "three": "02_b.ipynb",
    }


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "save_figure(fig, f'fig{i}')",
            r"01_a.ipynb: the figure's name in save_figure\(fig, f'fig{i}'\) must be written",
        ),
        ("save_figure(fig)", "must be written out"),
        ("a b", "01_a.ipynb: a cell is not Python"),
        ("save_figure(fig, 'taken')", "00_z.ipynb and 01_a.ipynb both make the figure 'taken'"),
    ],
)
def test_figures_that_cannot_be_found_are_errors(tmp_path, source, message):
    write_notebook(tmp_path / "00_z.ipynb", "save_figure(fig, 'taken')")
    write_notebook(tmp_path / "01_a.ipynb", source)
    with pytest.raises(ValueError, match=message):
        figure_sources(tmp_path)


def test_a_damaged_notebook_is_named(tmp_path):
    (tmp_path / "01_a.ipynb").write_text("{")
    with pytest.raises(ValueError, match="01_a.ipynb"):
        figure_sources(tmp_path)


def test_one_tolerance_serves_all_numbers(tmp_path, monkeypatch):
    monkeypatch.setenv("NCSN_EDU_FIGURES_DIR", str(tmp_path))
    monkeypatch.setenv("NCSN_EDU_FIGURES", "write")
    fig, _ = plt.subplots()
    save_figure(fig, "both", numbers={"a": 1.0, "b": 2.0}, tolerance=0.1)
    assert json.loads((tmp_path / "both.json").read_text())["tolerance"] == {"a": 0.1, "b": 0.1}
    monkeypatch.setenv("NCSN_EDU_FIGURES", "check")
    save_figure(fig, "both", numbers={"a": 1.09, "b": 1.91}, tolerance=0.1)
    with pytest.raises(FigureDiffers, match="b"):
        save_figure(fig, "both", numbers={"a": 1.0, "b": 2.2}, tolerance=0.1)
    with pytest.raises(ValueError, match="0 or more"):
        save_figure(fig, "both", numbers={"a": 1.0, "b": 2.0}, tolerance=-0.1)
