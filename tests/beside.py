"""Explorers that work beside the page, in a test: an event loop runs, as it does in a notebook."""

import asyncio
from collections.abc import Awaitable, Callable

from ncsn_edu.widgets.base import RunningExplorer


def live(explorer: RunningExplorer, meanwhile: Callable[[], Awaitable[None]], patience: float = 0.0) -> None:
    """Press the button where an event loop runs, and do something else in that loop. Nothing is drawn.

    The loop gets its turn after `patience` seconds of work: at each step, unless there are many.
    """

    async def scene() -> None:
        explorer.button.click()
        assert explorer.button.description == "Stop"
        await meanwhile()

    explorer._png, explorer.patience = lambda: b"", patience
    try:
        asyncio.run(scene())
    finally:
        del explorer._png, explorer.patience


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop go on until it is so."""
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to that")
