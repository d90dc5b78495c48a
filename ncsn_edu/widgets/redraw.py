"""A figure that is drawn again and again: artists that have not changed are not asked again how they look.

Most of the time of a draw goes, in Python, into ticks, texts and titles; what they tell Agg to draw is drawn quickly.
So the calls to Agg are noted, artist by artist, and repeated, all in their order, for each artist that stands as it
stood. The picture is that of a full draw, to the last pixel, whatever lies over what. (Blitting, which puts changed
artists over a stored background, would need to know that nothing lies over them.)
This file does NOT know explorers.
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.image import AxesImage
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import ConnectionPatch, Patch
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Transform

Call = tuple[Callable[..., None], tuple[Any, ...]]
Draw = Callable[[Any], None]
KNOWN = (Line2D, Patch, Collection, AxesImage, Text, Axis, Legend)  # whose look depends on themselves and their axes
OTHERS = (Annotation, ConnectionPatch)  # and these depend on what they point at


class Note(NamedTuple):
    """What an artist told Agg, and what has to be as it was for it to tell the same again."""

    calls: list[Call]
    place: tuple[Any, ...]  # of its axes
    parts: list[Artist]  # that are fresh now
    ticks: tuple[Any, ...]


class Panel(NamedTuple):
    """Axes as they were drawn: how they stood, with which children, and who was drawn after whom."""

    place: tuple[Any, ...]
    children: list[tuple[Artist, float]]
    order: list[Artist]


class Listener:
    """Agg's own renderer, with an ear for what it is told to draw."""

    def __init__(self, agg: Any) -> None:
        self.agg = agg
        self.calls: list[Call] | None = None  # of the artist that draws

    def __getattr__(self, name: str) -> Any:
        told = getattr(self.agg, name)
        return partial(self._draw, told) if name.startswith("draw_") else told

    def _draw(self, told: Callable[..., None], *words: Any) -> None:
        if self.calls is not None:
            self.calls.append((told, tuple(map(_as_it_is, words))))
        told(*words)


class Redraw:
    """Draws a figure of the Agg canvas, laid out once, as `figure.canvas.draw()` does, and faster from the second time.

    An artist has changed if one of its setters was called, its axes have moved, or have other limits or scales.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self._listener: Listener | None = None  # while it draws
        self._notes: dict[Artist, Note] = {}
        self._panels: dict[Axes, Panel] = {}
        self._agg: Any = None

    def draw(self) -> None:
        """Draw the figure as it stands now."""
        renderer: Any = self.figure.canvas.get_renderer()  # type: ignore[attr-defined]  # of Agg's canvas
        agg = renderer._renderer
        if agg is not self._agg:  # of another size
            self._agg = agg
            self._notes.clear()
            self._panels.clear()
        self._listen()
        self._listener = renderer._renderer = Listener(agg)
        renderer._update_methods()
        try:
            self.figure.canvas.draw()
        finally:
            self._listener, renderer._renderer = None, agg
            renderer._update_methods()
        there = {artist for panel in self._panels.values() for artist in panel.order}
        self._notes = {artist: note for artist, note in self._notes.items() if artist in there}

    def _listen(self) -> None:
        """Come between each plain axes, each of their artists, and their `draw`."""
        plain = [ax for ax in self.figure.axes if ax.name == "rectilinear" and not ax.child_axes]
        self._panels = {ax: panel for ax, panel in self._panels.items() if ax in plain}
        for ax in plain:
            for artist in (ax, *ax.get_children()):
                if "draw" not in vars(artist):
                    draw = partial(self._draw_axes, ax) if artist is ax else partial(self._draw_artist, ax, artist)
                    artist.draw = partial(draw, artist.draw)  # type: ignore[method-assign]  # of this one alone

    def _draw_axes(self, ax: Axes, draw: Draw, renderer: Any) -> None:
        if self._listener is None:  # somebody else draws
            draw(renderer)
            return
        titles = ax.title, ax._left_title, ax._right_title  # type: ignore[attr-defined]  # its types lack them
        frame = ax.patch, *titles, *ax.spines.values()
        panel = self._panels.get(ax)
        if panel and panel[:2] == self._standing(ax) and not any(artist.stale for artist in frame):
            for artist in panel.order:
                artist.draw(renderer)
            ax.stale = False
            return
        order: list[Artist] = []
        self._panels[ax] = Panel((), [], order)
        draw(renderer)
        for artist in frame:  # those, too, that are out of sight, as around images
            artist.stale = False
        if all("draw" in vars(artist) for artist in ax.get_children()):
            self._panels[ax] = Panel(*self._standing(ax), order)

    def _standing(self, ax: Axes) -> tuple[tuple[Any, ...], list[tuple[Artist, float]]]:
        return _place(ax), [(artist, artist.zorder) for artist in ax.get_children()]

    def _draw_artist(self, ax: Axes, artist: Artist, draw: Draw, renderer: Any) -> None:
        if self._listener is None:
            self._notes.pop(artist, None)  # after that nobody knows any more what has changed since the note
            draw(renderer)
            return
        place, note = _place(ax), self._notes.get(artist)
        panel = self._panels[ax]
        if not panel.place:
            panel.order.append(artist)
        if note and note.place == place and note.ticks == _ticks(artist) and not any(part.stale for part in note.parts):
            for told, words in note.calls:
                told(*words)
            return
        calls: list[Call] = []
        self._listener.calls = calls
        try:
            draw(renderer)
        finally:
            self._listener.calls = None
        parts = _parts(artist)
        for part in (artist, *parts):
            part.stale = False
        if isinstance(artist, KNOWN) and not isinstance(artist, OTHERS) and not _seeks_its_place(artist):
            self._notes[artist] = Note(calls, place, parts, _ticks(artist))


def _place(ax: Axes) -> tuple[Any, ...]:
    """Where axes are and how they map data: limits, and where their corners and what is between them are drawn."""
    limits = ax.viewLim.get_points()
    mapped = ax.transData.transform(np.vstack([limits, limits.mean(0)]))
    shape = (ax.get_position(original=True).bounds, ax.get_aspect(), ax.get_visible(), ax.axison, ax.get_frame_on())
    return limits.tobytes(), mapped.tobytes(), ax.bbox.bounds, shape


def _parts(artist: Artist) -> list[Artist]:
    """What has to be fresh. An axis is not fresh when limits have been set, be they the same: its ticks tell."""
    if not isinstance(artist, Axis):
        return list(artist.findobj())
    ticks = [*artist.majorTicks, *artist.minorTicks]
    return [artist.label, artist.offsetText, *ticks, *(part for tick in ticks for part in tick.get_children())]


def _ticks(artist: Artist) -> tuple[Any, ...]:
    """The rules of an axis for its ticks, and its ticks."""
    if not isinstance(artist, Axis):
        return ()
    rules = [(ticker.locator, ticker.formatter) for ticker in (artist.major, artist.minor)]
    return (artist.get_visible(), *rules, *artist.majorTicks, *artist.minorTicks)


def _seeks_its_place(artist: Artist) -> bool:
    """Whether it is a legend that looks for the best place among the data."""
    return isinstance(artist, Legend) and not getattr(artist, "_loc", 0)


def _as_it_is(word: Any) -> Any:
    """A copy of what may be changed, or used again, after the call."""
    if isinstance(word, GraphicsContextBase):
        return copy.copy(word)
    if isinstance(word, FT2Font):
        return np.array(word)
    return word.frozen() if isinstance(word, Transform) else word
