"""Build the site from the notebooks, figures, model cards and docstrings, with nothing from outside.

    python tools/website.py [FOLDER]     build/site by default

The sources are laid out in build/site-source as they lie in the project, so that their links hold. FOLDER is replaced
when the whole site is there, and stays as it was when anything goes wrong. `make site-check` looks at all pages.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat

from ncsn_edu import widgets
from ncsn_edu.widgets import page

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "build" / "site"
NEEDED = {"sphinx": "Sphinx", "myst_nb": "myst-nb", "furo": "Furo"}
MEND = "python -m pip install -c constraints.txt -e '.[site]'"
# Of MathJax: what the pages load, and what that loads when a formula asks for it.
MATHJAX = ("tex-chtml.js", "output/chtml/fonts/", "input/tex/extensions/", "ui/", "a11y/", "sre/mathmaps/en.json")
NEEDS_A_KERNEL = "*In JupyterLab this picture has controls. Run the notebook there: `make lab`.*"


# ---- what is needed --------------------------------------------------------------------------------------------


def mathjax() -> Path:
    """The folder of MathJax 3: npm's, or the one that a Python package carries."""
    folder = ROOT / "node_modules" / "mathjax" / "es5"
    if (folder / "tex-chtml.js").is_file():
        return folder
    try:
        for file in files("sphinx-mathjax-offline") or []:
            if file.name == "tex-chtml.js":
                return Path(str(file.locate())).parent
    except PackageNotFoundError:
        pass
    raise SystemExit(f"The site needs MathJax, for its formulas: {MEND}\nor, where there is npm: npm install mathjax@3")


def check_needed() -> None:
    missing = [name for module, name in NEEDED.items() if find_spec(module) is None]
    if missing:
        raise SystemExit(f"The site needs {' and '.join(missing)}, not installed here: {MEND}")


# ---- notebooks -------------------------------------------------------------------------------------------------


def with_words(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook, with alt texts where myst-nb looks for them, and what a page has in the place of an explorer.

    The first line of an assignment's tests, which is no Python, becomes a comment.
    """
    for cell in notebook.cells:
        cell.source = re.sub(r"^(%%tests [^(\n]*\S).*", r"# \1", cell.source)
        outputs = []
        for output in cell.get("outputs", []):
            metadata = output.get("metadata", {})
            if alt := metadata.get("image/png", {}).get("alt"):
                cell.metadata["mystnb"] = {"image": {"alt": alt}}
            outputs += explorer(output) if metadata.get("widget") else [output]
        if "outputs" in cell:
            cell.outputs = outputs
    return notebook


def explorer(output: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """What stands in the place of an explorer: itself, if it runs in the page; or its picture, and how to run it."""
    call = ast.parse(output.data["text/plain"], mode="eval").body  # as it repeats itself: Name(control=value, ...)
    assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    kind = getattr(widgets, call.func.id)
    if issubclass(kind, page.PageExplorer):
        values = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        return [nbformat.v4.new_output("display_data", {"text/html": page.element(kind().set(**values))})]
    return [output, nbformat.v4.new_output("display_data", {"text/markdown": NEEDS_A_KERNEL})]


# ---- pages that are made ---------------------------------------------------------------------------------------


def gallery() -> str:
    """All figures, with their captions, alt texts and the numbers that tests hold them to."""
    used = _notebooks_of_figures()
    parts = ["# Gallery", "Every figure of the notebooks, with the numbers by which tests know it again.", ""]
    for path in sorted((ROOT / "figures").glob("*.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        name, numbers = path.stem, told.get("numbers", {})
        parts += [f"## {name}", "", f"![{told.get('alt', name)}](figures/{name}.png)", "", told.get("caption", ""), ""]
        if notebook := used.get(name):
            parts += [f"From [{_title(notebook)}](notebooks/{notebook.name}).", ""]
        if numbers:
            rows = [f"| `{key}` | {_shown(value)} |" for key, value in numbers.items()]
            parts += ["<details><summary>Numbers</summary>", "", "| number | value |", "|---|---|", *rows, ""]
            parts += ["</details>", ""]
    return "\n".join(parts)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _notebooks_of_figures() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for name in re.findall(r'save_\w+\([^\n]*?\\"(\w+)\\"', path.read_text(encoding="utf-8")):
            found.setdefault(name, path)
    return found


def _title(notebook: Path) -> str:
    first: str = nbformat.read(notebook, 4).cells[0].source
    return first.partition("\n")[0].lstrip("# ")


def models() -> str:
    """The list of model cards."""
    cards = sorted((ROOT / "ncsn_edu" / "weights").glob("*.md"))
    rows = []
    for card in cards:
        title, _, first = card.read_text(encoding="utf-8").partition("\n\n")
        rows.append(f"- [{title.lstrip('# ')}](ncsn_edu/weights/{card.name}): {first.partition(chr(10))[0]}")
    tree = ["```{toctree}", ":hidden:", "", *(f"ncsn_edu/weights/{card.stem}" for card in cards), "```"]
    intro = 'Nets that ship with the package: `load_trained("digits")`. Each card says how its net was made and judged.'
    return "\n".join(["# Model cards", "", intro, "", *rows, "", *tree, ""])


def public() -> dict[str, list[str]]:
    """Module -> its names that others use: those of ncsn_edu, of the explorers and of the exercises."""
    found: dict[str, list[str]] = {}
    stub = ast.parse((ROOT / "ncsn_edu" / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    homes = [(alias.name, str(node.module)) for node in imports for alias in node.names]
    for part in ("widgets", "practice"):
        homes += [(name, part) for name in import_module(f"ncsn_edu.{part}").__all__]
    for name, home in homes:
        value = getattr(import_module(f"ncsn_edu.{home}"), name)
        module = str(getattr(value, "__module__", ""))
        found.setdefault(module if module.startswith("ncsn_edu.") else f"ncsn_edu.{home}", []).append(name)
    return found


def reference() -> Iterator[tuple[str, str]]:
    """(file, text) of the pages of the reference: one for each module or package of modules, and their list."""
    pages: dict[str, dict[str, list[str]]] = {}
    for module, names in public().items():
        pages.setdefault(module.split(".")[1], {})[module] = names
    rows = []
    for title, modules in pages.items():
        lines = [title, "=" * len(title), ""]
        for module, names in modules.items():
            if len(modules) > 1:
                heading = module.removeprefix("ncsn_edu.")
                lines += [heading, "-" * len(heading), ""]
            lines += [f".. automodule:: {module}", f"   :members: {', '.join(names)}", ""]
        yield f"api/{title}.rst", "\n".join(lines)
        every = ", ".join(f"`{name}`" for names in modules.values() for name in names)
        rows.append(f"- {{doc}}`{title} <{title}>`: {every}")
    intro = "What the package offers, module by module. `from ncsn_edu import NAME` works for all but the explorers"
    intro += " (`ncsn_edu.widgets`) and the exercises (`ncsn_edu.practice`)."
    tree = ["```{toctree}", ":hidden:", "", *pages, "```", ""]
    yield "api/index.md", "\n".join(["# Reference", "", intro, "", *rows, "", *tree])


# ---- the build -------------------------------------------------------------------------------------------------


def lay_out(source: Path) -> None:
    """Put all that Sphinx reads into `source`, in the places that it has in the project."""
    shutil.copytree(ROOT / "docs", source, ignore=shutil.ignore_patterns("__pycache__"))
    copied = ["README.md", "notebooks/symbols.md", "notebooks/assignments/for_students.md"]
    patterns = ("figures/*.png", "ncsn_edu/weights/*.md", "ncsn_edu/weights/*.png")
    copied += [path.relative_to(ROOT).as_posix() for pattern in patterns for path in ROOT.glob(pattern)]
    for name in copied:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    notebooks = ROOT / "notebooks"
    for path in [*notebooks.glob("*.ipynb"), *notebooks.glob("assignments/release/*/*.ipynb")]:
        place = source / path.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(with_words(nbformat.read(path, 4)), place)
    (source / "api").mkdir()
    for name, text in [("gallery.md", gallery()), ("models.md", models()), *reference()]:
        (source / name).write_text(text, encoding="utf-8")
    (source / "_static" / "explorers.js").write_text(page.script(), encoding="utf-8")
    library = mathjax()
    for path in library.rglob("*"):
        name = path.relative_to(library).as_posix()
        if path.is_file() and name.startswith(MATHJAX):
            (source / "_static" / "mathjax" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, source / "_static" / "mathjax" / name)


def build(site: Path = SITE) -> None:
    """Build the whole site into the folder `site`; on an error it stays as it was, and SystemExit says why."""
    check_needed(), mathjax()
    if site.exists() and not (site / "searchindex.js").exists() and any(site.iterdir()):
        raise SystemExit(f"{site} holds something that is no site: name another folder, or move it away.")
    source, part = (site.with_name(site.name + end) for end in ("-source", "-part"))
    for folder in (source, part):
        shutil.rmtree(folder, ignore_errors=True)
    lay_out(source)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-j", "2", "-d", part / ".doctrees"]
    if subprocess.run([*map(str, command), str(source), str(part)], cwd=ROOT).returncode:
        raise SystemExit(f"The site was not built: Sphinx's messages are above, its sources in {source}.")
    for name in (".doctrees", ".buildinfo", "objects.inv"):
        path = part / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    (part / ".nojekyll").touch()
    shutil.rmtree(site, ignore_errors=True)
    part.replace(site)
    shutil.rmtree(source)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=SITE)
    folder, start = parser.parse_args().folder.resolve(), time.monotonic()
    build(folder)
    stored = [path for path in folder.rglob("*") if path.is_file()]
    pages, size = sum(path.suffix == ".html" for path in stored), sum(path.stat().st_size for path in stored)
    print(f"{folder}: {pages} pages, {size / 1e6:.1f} MB, {time.monotonic() - start:.0f} s. Open index.html in it.")


if __name__ == "__main__":
    main()
