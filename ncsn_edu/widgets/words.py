"""What ipywidgets leaves out: names for screen readers, a line for when the kernel is gone, and what screen it is.

Sliders and pictures of ipywidgets have no names in the page, and once their kernel has ended they show broken links
and move on in vain. A widget of no size beside them mends both, and tells the kernel how many pixels the screen has:
see words.js.
"""

from pathlib import Path

import anywidget
import traitlets

GONE = (
    "The kernel that answered these controls has ended, or was started anew: run the cells above, then this one again."
)


class Words(anywidget.AnyWidget):
    """The words for the box that it is put into.

    names        CSS selector -> what the picture there shows, in words; the line of numbers is its description
    busy         the line changes many times a second: it is read aloud when that has ended
    pixel_ratio  the screen's pixels for one of the page, as the page says: more than 1 where pictures should be sharp
    """

    _esm = (Path(__file__).parent / "words.js").read_text(encoding="utf-8")
    names = traitlets.Dict().tag(sync=True)
    busy = traitlets.Bool(False).tag(sync=True)
    pixel_ratio = traitlets.Float(allow_none=True, default_value=None).tag(sync=True)  # until a page has said it
    gone = traitlets.Unicode(GONE).tag(sync=True)
