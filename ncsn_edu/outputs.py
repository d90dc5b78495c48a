"""What a notebook shows of a picture: the picture, words for those who do not see it, a sentence below.

The words go into the metadata of the output; jupyter/share has what makes JupyterLab and Notebook 7 read them aloud.

This file does NOT draw, and stores nothing.
"""

import base64
import os
import sys

LONGEST = 300  # characters: what is read aloud in the place of a picture, or stands below it, is no paragraph


def in_notebook() -> bool:
    """Whether there is somebody to show a picture to: code that runs in a kernel."""
    if "IPython" not in sys.modules:  # importing it takes longer than many a script
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def sharpness() -> int:
    """How many pixels a picture has for each one of the page: 2 with NCSN_EDU_FIGURES_SHARP=1, else 1."""
    return 2 if os.environ.get("NCSN_EDU_FIGURES_SHARP") == "1" else 1


def check_words(what: str, alt: str | None, caption: str | None) -> dict[str, str]:
    """{"alt": ..., "caption": ...} with single spaces, or {} where neither is given.

    alt is read aloud in the place of the picture: plain words, no formulas. caption is one sentence, which may hold
    $formulas$. Raises ValueError or TypeError, which name `what` it is about.
    """
    if alt is None and caption is None:
        return {}
    if alt is None or caption is None:
        raise ValueError(f"{what} has {'no alt' if alt is None else 'no caption'}: give both, alt= and caption=")
    words = {"alt": _sentence(f"{what}: alt", alt), "caption": _sentence(f"{what}: caption", caption)}
    if "$" in words["alt"]:
        raise ValueError(f"{what}: alt is read aloud, and holds a formula: write it in words, such as 'sigma'")
    if words["caption"].count("$") % 2:
        raise ValueError(f"{what}: caption holds an odd number of $: a formula is not closed")
    return words


def _sentence(what: str, text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{what} is a {type(text).__name__}: give a sentence")
    text = " ".join(text.split())
    if not text.strip(".") or not text.endswith("."):
        raise ValueError(f"{what} is {text!r}: give a sentence, which ends with a full stop")
    if len(text) > LONGEST:
        raise ValueError(f"{what} has {len(text)} characters, and {LONGEST} are the most: what is not said elsewhere?")
    return text


def show_picture(png: bytes, text: str, alt: str = "", caption: str = "", size: tuple[int, int] | None = None) -> None:
    """Show a PNG file, in a notebook, and the caption below it. `text` stands for the picture in plain text.

    size: its width and height on the page, where these are not its own pixels.
    """
    from IPython.display import display

    data = {"image/png": base64.b64encode(png).decode(), "text/plain": text}
    about = ({"alt": alt} if alt else {}) | (dict(zip(("width", "height"), size, strict=True)) if size else {})
    display(data, raw=True, metadata={"image/png": about} if about else {})
    if caption:
        show_caption(caption)


def show_caption(caption: str) -> None:
    """Show the sentence below a picture: an output of its own, as programs show one form of each output."""
    from IPython.display import display

    display({"text/markdown": f"**Figure.** {caption}", "text/plain": f"Figure. {caption}"}, raw=True)
