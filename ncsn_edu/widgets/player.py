"""An animation to be played, stopped, and gone through by hand. This file does NOT draw its frames."""

import io
from collections.abc import Sequence

import ipywidgets as ipw
from PIL.Image import Image

from .base import Explorer, int_slider, wide


class Player(Explorer):
    """An animation: buttons play and stop it, a slider, also by arrow keys, goes to any frame.

    pictures  the frames, all of one size
    file      the same as an animated PNG, which a stored notebook shows
    fps       frames per second at speed 1
    sharp     the frames once more, as PNG files with more pixels, which are shown in their place
    """

    speeds = (0.25, 0.5, 1.0, 2.0, 4.0)

    def __init__(
        self, pictures: Sequence[Image], file: bytes, *, fps: float, alt: str, sharp: Sequence[bytes] = ()
    ) -> None:
        self.pictures, self.file, self.fps, self.alt, self.sharp = pictures, file, fps, alt, sharp
        controls = {
            "frame": int_slider("frame", 1, 1, len(pictures)),
            "speed": ipw.Dropdown(value=1.0, options=self.speeds, description="speed", **wide()),
        }
        self.play = ipw.Play(value=1, min=1, max=len(pictures))
        self._link = ipw.jslink((self.play, "value"), (controls["frame"], "value"))  # in the browser: no way round
        width, height = pictures[0].size
        super().__init__(controls, size=(width / 100, height / 100), buttons=[self.play])

    def _draw(self) -> None:
        """Nothing: the frames are drawn."""

    def _update(self, frame: int, speed: float) -> str:
        self.play.interval = round(1000 / (self.fps * speed))
        return f"frame <b>{frame}</b> of {len(self.pictures)}, {self.fps * speed:.3g} a second"

    def _png(self) -> bytes:
        if self.sharp:
            return self.sharp[self.values["frame"] - 1]
        buffer = io.BytesIO()
        self.pictures[self.values["frame"] - 1].save(buffer, "PNG")
        return buffer.getvalue()

    def _still(self) -> bytes:
        return self.file
