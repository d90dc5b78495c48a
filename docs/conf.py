"""Settings of the site. tools/website.py lays its sources out and calls Sphinx: `make site`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from docstrings import as_rst

project = "ncsn_edu"
author = "The ncsn_edu authors"
project_copyright = author
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
exclude_patterns = ["README.md"]  # the index includes a part of it

# Notebooks are shown as they are stored. No kernel runs here: an explorer runs in the page, or is shown by its picture.
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # a notebook may go from a title to a third heading

mathjax_path = "mathjax/tex-chtml.js"  # below _static: tools/website.py puts it there
mathjax_loading_method = "defer"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # as they are written: 20 * 2, not 40
maximum_signature_line_length = 80
add_module_names = False

html_theme = "furo"
html_title = "ncsn_edu: score-based generative models, by running them"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [(name, {"defer": "defer"}) for name in ("site.js", "explorers.js")]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {  # colours of code and of quiet text with a contrast of 4.5 and more
    "light_css_variables": {"color-foreground-muted": "#5e6267"},
    "dark_css_variables": {"color-foreground-muted": "#9ca0a5"},
}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"


def _docstring(app, what, name, obj, options, lines) -> None:
    lines[:] = as_rst(lines)


def setup(app) -> None:
    """Read docstrings in the style of the package."""
    app.connect("autodoc-process-docstring", _docstring)
