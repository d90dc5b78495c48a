"""Explorers that run in the page: milliseconds from a slider's move to the picture that follows, in Chromium.

    python tests/benchmarks/bench_page.py                 # 200 moves of each slider: two minutes
    python tests/benchmarks/bench_page.py --moves 20 --only Ladder Grid

A move counts until the frame that shows it has been drawn. Of what runs at a button: until something of the run is
seen, until it has ended, and the longest time between two frames meanwhile. Numbers are printed, never asserted: they
belong to the machine that made them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ncsn_edu.widgets import (
    AnnealingExplorer,
    DdimExplorer,
    DiffusionExplorer,
    GridExplorer,
    GuidanceExplorer,
    LadderExplorer,
    LangevinExplorer,
    ScheduleExplorer,
    ScoreFieldExplorer,
    SolverExplorer,
    page,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Page

# From an input event to the end of the frame in which the explorer draws; all moves of one slider.
MOVE = """async ([index, moves]) => {
    const range = document.querySelectorAll("input[type=range]")[index], times = [];
    const steps = Math.round((range.max - range.min) / range.step);
    for (let move = 0; move < moves; move++) {
        const begin = performance.now();
        range.value = Number(range.min) + Number(range.step) * ((7 * move) % (steps + 1));
        range.dispatchEvent(new Event("input"));
        await new Promise((drawn) => requestAnimationFrame(drawn)); // asked for after the explorer's own
        times.push(performance.now() - begin);
        await new Promise((rest) => setTimeout(rest, Math.random() * 20));
    }
    return times;
}"""

# Press Run: milliseconds to the first frame with progress, to the end, and the longest time between two frames.
RUN = """async () => {
    const says = () => document.querySelector(".ncsn-readout").innerText;
    const before = says(), run = document.querySelector(".ncsn-run");
    const begin = performance.now();
    run.click();
    let first = null, longest = 0, last = begin;
    do {
        await new Promise((drawn) => requestAnimationFrame(drawn));
        const now = performance.now();
        longest = Math.max(longest, now - last);
        last = now;
        if (first === null && says() !== before) first = now - begin;
    } while (run.innerText === "Stop");
    return [first, longest, last - begin];
}"""
EXPLORERS = (
    *(ScoreFieldExplorer, LangevinExplorer, AnnealingExplorer),
    *(LadderExplorer, ScheduleExplorer, DdimExplorer, DiffusionExplorer, SolverExplorer),
    *(GridExplorer, GuidanceExplorer),
)


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--moves", type=int, default=200)
    names = [kind.__name__.removesuffix("Explorer") for kind in EXPLORERS]
    parser.add_argument("--only", nargs="+", default=names, choices=names, metavar="NAME", help=", ".join(names))
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.program(playwright), args=chromium.FLAGS)
        print(f"{'explorer, slider':44}{'median':>9}{'95 %':>9}{'most':>9}  ms")
        for kind in (kind for name, kind in zip(names, EXPLORERS, strict=True) if name in options.only):
            explorer = kind()
            tab = browser.new_page(viewport={"width": 1000, "height": 900})
            tab.set_content(f"<!doctype html><body>{page.element(explorer)}<script>{page.script()}</script>")
            tab.locator(".ncsn-readout b").first.wait_for()
            sliders = [control["label"] for control in explorer.settings()["controls"] if "step" in control]
            for index, label in enumerate(sliders):
                times = np.array(tab.evaluate(MOVE, [index, options.moves]))
                numbers = "".join(f"{value:9.1f}" for value in (*np.quantile(times, [0.5, 0.95]), times.max()))
                print(f"{kind.__name__ + ', ' + label:44}{numbers}", flush=True)
            if "action" in explorer.settings():
                run(tab, kind.__name__)
        browser.close()


def run(tab: Page, name: str) -> None:
    """Runs at the start's settings, in a row."""
    tab.get_by_role("button", name="Reset").click()
    first, longest, whole = np.array([tab.evaluate(RUN) for _ in range(10)]).T
    for what, times in (("first progress", first), ("longest frame", longest), ("whole run", whole)):
        numbers = "".join(f"{value:9.1f}" for value in (*np.quantile(times, [0.5, 0.95]), times.max()))
        print(f"{name + ', run: ' + what:44}{numbers}", flush=True)


if __name__ == "__main__":
    main()
