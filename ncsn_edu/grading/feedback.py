"""The page that a learner gets back: points, remarks and the notebook, safe to open and readable without a network.

What learners have written is shown and never executed: their HTML is reduced to text, tables and pictures, and the page
itself forbids scripts and anything from elsewhere. Formulas are drawn. This file does NOT grade.
"""

import base64
import html
import re
from functools import lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote, unquote

import jinja2
from bleach.css_sanitizer import CSSSanitizer
from bleach.sanitizer import Cleaner
from bs4 import BeautifulSoup
from markupsafe import Markup
from mistune import HTMLRenderer
from nbconvert.exporters import Exporter
from nbconvert.filters import ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, is_locked, is_solution
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from traitlets import default

from .submissions import IMAGES, remarks_on, text_of

SHOWN = ("text/html", "text/markdown", *IMAGES, "text/latex", "text/plain")  # what of an output is shown: the first
LIVE = ("script", "style", "iframe", "object", "embed", "template", "noscript", "title", "head", "svg", "math", "base")
HARMLESS = """a abbr b blockquote br caption center code col colgroup dd del details div dl dt em figcaption figure
h1 h2 h3 h4 h5 h6 hr i img kbd li mark ol p pre q s samp small span strong sub summary sup table tbody td tfoot th thead
tr tt u ul var"""
TAGS = set(HARMLESS.split())
PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp|bmp|svg\+xml);base64,[A-Za-z0-9+/=\s]*")
LINK = re.compile(r"\s*(?:https?://|mailto:|#)", re.IGNORECASE)
SCHEME = re.compile(r"(?!attachment:)[A-Za-z][A-Za-z0-9+.-]*:")
STYLES = ("color", "background-color", "font-weight", "font-style", "text-align", "height", "vertical-align")
LONGEST_FORMULA = 2000
LONGEST_CODE = 200_000


# ---- making harmless -------------------------------------------------------------------------------------------


def _allowed(tag: str, name: str, value: str) -> bool:
    if tag == "img" and name == "src":
        return bool(PICTURE.fullmatch(value))
    if tag == "a" and name == "href":
        return bool(LINK.match(value))
    return name in ("class", "style", "title", "alt", "colspan", "rowspan", "start")


def clean(source: str, pictures: dict[str, dict[str, str]] | None = None) -> str:
    """HTML that does nothing: text, tables, links to the web, and pictures that it holds itself.

    pictures: those pasted into the cell, by name and type, which are put where the HTML names them.
    """
    soup = BeautifulSoup(source, "html.parser")
    for tag in soup.find_all(LIVE):
        tag.decompose()
    for image in soup.find_all("img"):
        place = str(image.get("src", ""))
        if place.startswith("attachment:"):
            name = unquote(place.removeprefix("attachment:"))
            kinds = (pictures or {}).get(name) or (pictures or {}).get(place.removeprefix("attachment:")) or {}
            for kind in IMAGES:
                if kind in kinds:
                    image["src"] = f"data:{kind};base64," + "".join(kinds[kind].split())
                    break
            else:
                image.replace_with(f"(the picture {name} is missing)")
        elif not PICTURE.fullmatch(place):
            image.replace_with(f"(a picture that is not in the notebook: {place})")
    cleaner = Cleaner(
        tags=TAGS,
        attributes=_allowed,
        protocols={"http", "https", "mailto", "data"},
        strip=True,
        strip_comments=True,
        css_sanitizer=CSSSanitizer(allowed_css_properties=STYLES),
    )
    return str(cleaner.clean(str(soup)))


def is_live(source: str) -> bool:
    """Would a page that shows this Markdown run or load something?"""
    soup = BeautifulSoup(MarkdownWithMath(renderer=_Renderer(escape=False)).render(source), "html.parser")
    for tag in soup.find_all(True):
        harmless = tag.name in TAGS or tag.name == "input"
        if not harmless or any(name.startswith("on") or name in ("action", "srcdoc") for name in tag.attrs):
            return True
        for name in ("href", "src"):
            link = re.sub(r"[\0-\x20]", "", str(tag.get(name, "")))  # as browsers do
            if SCHEME.match(link) and not (LINK.match(link) or PICTURE.fullmatch(link)):
                return True
    return False


class Harmless(NbGraderPreprocessor):
    """Makes what learners' cells show harmless in the graded notebook, which the formgrader shows to a teacher."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], index: int
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Outputs lose scripts; a text of the learner's with something live in it is shown as code."""
        if cell.cell_type == "code":
            for output in cell.outputs:
                _make_harmless(output)
        elif not is_locked(cell) and is_live(cell.source):
            source = cell.source.replace("~~~", "~ ~ ~")
            pictures = [f"![picture](attachment:{quote(name)})" for name in cell.get("attachments", {})]
            cell.source = "\n\n".join([f"~~~~~~\n{source}\n~~~~~~", *pictures])
        cell.source = text_of(cell.source)
        return cell, resources


def _make_harmless(output: NotebookNode) -> None:
    """Keep what can be shown, and only that."""
    for key in ("text", "ename", "evalue"):
        if key in output:
            output[key] = text_of(output[key])
    if "traceback" in output:
        output.traceback = [text_of(line) for line in output.traceback]
    if "data" in output:
        kept = {kind: text_of(_joined(data)) for kind, data in output.data.items() if kind in SHOWN}
        for kind in kept.keys() & {"text/html", "text/markdown"}:
            kept[kind] = clean(kept[kind])
            if not kept[kind].strip():
                del kept[kind]
        output.data = kept or {"text/plain": "(an output that cannot be shown here)"}
        output.metadata = {}


def _joined(data: object) -> str:
    return "".join(map(str, data)) if isinstance(data, list) else str(data)


# ---- texts and formulas ----------------------------------------------------------------------------------------


class _Renderer(IPythonRenderer):
    """Markdown whose formulas are drawn. Pictures are left to `clean`."""

    def block_math(self, body: str) -> str:
        return f"<p>{formula(body)}</p>"

    def inline_math(self, body: str) -> str:
        return formula(body)

    def latex_environment(self, name: str, body: str) -> str:
        tex = rf"\begin{{{name}}}{body}\end{{{name}}}"
        return f"<p>{formula(tex)}</p>"

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return str(HTMLRenderer.image(self, text, url, title))


def markdown(source: str, pictures: dict[str, dict[str, str]] | None = None) -> Markup:
    """Markdown as harmless HTML."""
    renderer = _Renderer(escape=False, exclude_anchor_links=True)
    return Markup(clean(MarkdownWithMath(renderer=renderer).render(source), pictures))


@lru_cache(maxsize=1000)
def formula(tex: str) -> str:
    """A formula as a picture in HTML, drawn by matplotlib; as its TeX source where that cannot draw it."""
    tex = " ".join(tex.split())
    try:
        if len(tex) > LONGEST_FORMULA:
            raise ValueError("too long")
        picture, height, depth = _drawn(_plain(tex))
    except Exception:  # whatever a learner's TeX makes matplotlib raise: the source says it as well
        return f"<code>{html.escape(tex)}</code>"
    data = base64.b64encode(picture.encode()).decode()
    style = f"height:{height:.3f}em;vertical-align:{-depth:.3f}em"
    return f'<img alt="{html.escape(tex)}" style="{style}" src="data:image/svg+xml;base64,{data}">'


def _plain(tex: str) -> str:
    """TeX in the words of matplotlib, which wants braces, and knows no sizes of brackets."""
    one = r"(\\[A-Za-z]+|[A-Za-z0-9])"
    tex = re.sub(r"\\[bB]igg?[lrm]?(?![A-Za-z])", "", tex)
    tex = re.sub(r"\\[tdc]frac(?![A-Za-z])", r"\\frac", tex)
    tex = re.sub(rf"\\frac\s*{one}\s*{one}", r"\\frac{\1}{\2}", tex)
    tex = re.sub(rf"\\frac\s*{one}\s*\{{", r"\\frac{\1}{", tex)
    tex = re.sub(rf"(\\frac\s*\{{[^{{}}]*\}})\s*{one}", r"\1{\2}", tex)
    return re.sub(r"(\\(?:mathcal|mathbb|mathbf|mathrm|mathit|sqrt))\s*([A-Za-z0-9])", r"\1{\2}", tex)


def _drawn(tex: str) -> tuple[str, float, float]:
    """A formula as SVG, its height and its depth below the line in units of the letters' size (em)."""
    import matplotlib
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path
    from matplotlib.textpath import text_to_path

    letters = FontProperties(size=100, math_fontfamily="stix")
    with matplotlib.rc_context({"mathtext.default": "it", "text.usetex": False}):
        width, height, depth = text_to_path.get_text_width_height_descent(f"${tex}$", letters, ismath=True)
        vertices, codes = text_to_path.get_text_path(letters, f"${tex}$", ismath=True)
    names = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}
    pieces = []
    for points, code in Path(vertices, codes).iter_segments(simplify=False):
        numbers = "" if code == Path.CLOSEPOLY else " ".join(f"{float(value):.1f}" for value in points)
        pieces.append(names[code] + numbers)
    edge = 4.0
    box = f"{-edge:.1f} {depth - height - edge:.1f} {width + 2 * edge:.1f} {height + 2 * edge:.1f}"
    picture = (  # in SVG y points down
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}"><path transform="scale(1 -1)" d="{"".join(pieces)}"/>'
        "</svg>"
    )
    return picture, (height + 2 * edge) / 100, (depth + edge) / 100


# ---- the page --------------------------------------------------------------------------------------------------


class FeedbackPage(Exporter):
    """nbgrader's feedback as a page. Its preprocessors give points and take hidden tests away."""

    output_mimetype = "text/html"

    @default("file_extension")
    def _file_extension_default(self) -> str:
        return ".html"

    def from_notebook_node(
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[Any, dict[str, Any]]:
        """The page as a text, and nbconvert's resources."""
        nb, resources = super().from_notebook_node(nb, resources, **options)
        about = resources.get("nbgrader", {})
        titles = _titles(nb)
        waiting = _waiting(about)
        cells = [_shown(cell, titles, waiting) for cell in nb.cells]
        template = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
            files("ncsn_edu.grading").joinpath("feedback.html.j2").read_text(encoding="utf-8")
        )
        page = template.render(
            title=about.get("notebook", "Feedback"),
            score=about.get("score", 0.0),
            most=about.get("max_score", 0.0),
            late=about.get("late_penalty", 0.0),
            remarks=[text_of(remark) for remark in remarks_on(nb)],
            cells=cells,
            colours=Markup(HtmlFormatter().get_style_defs(".highlight")),
        )
        return page, resources


def _titles(notebook: NotebookNode) -> dict[str, str]:
    """What each graded cell is about: the heading above it, or the number in its name."""
    titles, heading = {}, ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and not is_solution(cell):
            found = re.findall(r"^#{2,4} +(.+?)[ #]*$", cell.source, re.MULTILINE)
            heading = re.sub(r" *\([\d.]+ points?\)$", "", found[-1]) if found else heading
        if is_grade(cell):
            name = cell.metadata.nbgrader.grade_id
            titles[name] = heading or f"Task {name.partition('-')[2] or name}"
    return titles


def _title(heading: str) -> Markup:
    """A heading with its formulas, in one line."""
    parts = re.split(r"\$([^$]+)\$", text_of(heading))
    return Markup("").join(Markup(formula(part)) if place % 2 else part for place, part in enumerate(parts))


def _waiting(about: dict[str, Any]) -> set[str]:
    """The answers that a person has still to read."""
    if not about.get("db_url"):
        return set()
    with Gradebook(about["db_url"]) as book:
        notebook = book.find_submission_notebook(about["notebook"], about["assignment"], about["student"])
        return {grade.name for grade in notebook.grades if grade.needs_manual_grade}


def _shown(cell: NotebookNode, titles: dict[str, str], waiting: set[str]) -> dict[str, Any]:
    """A cell as the template wants it."""
    data = cell.metadata.get("nbgrader", {})
    name = data.get("grade_id", "")
    shown: dict[str, Any] = {"answer": is_solution(cell), "outputs": [], "name": name}
    if is_grade(cell):
        shown |= {"task": _title(titles[name]), "score": data.get("score") or 0.0, "points": data.get("points", 0.0)}
        shown["waiting"] = name in waiting
    if data.get("comment"):
        shown["comment"] = markdown(text_of(data["comment"]))
    if cell.cell_type == "code":
        shown["body"] = _code(re.sub(r"\A%%tests .*\n", "", cell.source))  # how they are run tells nobody anything
        seen = [output for output in cell.outputs if not (is_grade(cell) and output.output_type == "execute_result")]
        shown["outputs"] = [Markup(text) for output in seen if (text := _output(output))]
    elif cell.cell_type == "markdown":
        shown["body"] = markdown(cell.source, cell.get("attachments"))
    else:
        shown["body"] = Markup("<pre>{}</pre>").format(cell.source)
    return shown


def _code(source: str) -> Markup:
    if len(source) > LONGEST_CODE:
        return Markup("<pre>{}</pre>").format(source[:LONGEST_CODE] + "\n... the rest is left out")
    return Markup(highlight(source, PythonLexer(), HtmlFormatter()))


def _output(output: NotebookNode) -> str:
    """An output as harmless HTML."""
    if output.output_type == "stream":
        return f"<pre>{ansi2html(text_of(output.text))}</pre>"
    if output.output_type == "error":
        return f"<pre>{ansi2html(text_of(chr(10).join(output.traceback)))}</pre>"
    for kind in SHOWN:
        if kind not in output.get("data", {}):
            continue
        data = _joined(output.data[kind])
        if kind == "text/html" and (shown := clean(data)).strip():
            return shown
        if kind == "text/markdown":
            return str(markdown(data))
        if kind == "image/svg+xml":
            data = base64.b64encode(text_of(data).encode()).decode()
        if kind in IMAGES and PICTURE.fullmatch(place := f"data:{kind};base64,{data}"):
            return f'<img alt="a figure" src="{place}">'
        if kind == "text/latex":
            return f"<p>{formula(data.strip().strip('$'))}</p>"
        if kind == "text/plain":
            return f"<pre>{ansi2html(text_of(data))}</pre>"
    return ""
