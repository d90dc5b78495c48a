"""Explorers that run in the page: milliseconds from a slider's move to the picture that follows, in Chromium.

    python tests/benchmarks/bench_page.py                 # 200 moves of each slider: half a minute
    python tests/benchmarks/bench_page.py --moves 20

A move counts until the frame that shows it has been drawn. Numbers are printed, never asserted: they belong to the
machine that made them.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from ncsn_edu.widgets import LangevinExplorer, ScoreFieldExplorer, page

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import chromium

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


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--moves", type=int, default=200)
    moves = parser.parse_args().moves
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.program(playwright), args=chromium.FLAGS)
        print(f"{'explorer, slider':44}{'median':>9}{'95 %':>9}{'most':>9}  ms")
        for explorer in (ScoreFieldExplorer(), LangevinExplorer()):
            tab = browser.new_page(viewport={"width": 1000, "height": 900})
            tab.set_content(f"<!doctype html><body>{page.element(explorer)}<script>{page.script()}</script>")
            tab.locator(".ncsn-readout b").first.wait_for()
            sliders = [control["label"] for control in explorer.settings()["controls"] if "step" in control]
            for index, label in enumerate(sliders):
                times = np.array(tab.evaluate(MOVE, [index, moves]))
                numbers = "".join(f"{value:9.1f}" for value in (*np.quantile(times, [0.5, 0.95]), times.max()))
                print(f"{type(explorer).__name__ + ', ' + label:44}{numbers}", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
