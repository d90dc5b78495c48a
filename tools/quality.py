"""Quality of a net's samples against how often the net was asked: every sampler, at several lengths.

    python tools/quality.py cifar10_small --n 512 --out quality.json

Each line is what the commands `sample` and `evaluate` do with the settings that it names, one after the other; the
samples are cut off to [0, 1] in between.
Where --out is there already, it goes on: what was measured is kept.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ncsn_edu.__main__ import main as ncsn_edu
from ncsn_edu.files import write_whole
from ncsn_edu.schedules import eps_for_steps
from ncsn_edu.trained import Trained, load_trained

STEPS_EACH = (1, 2, 5, 10, 20, 50)  # of annealed Langevin dynamics, with eps by technique 4
LEVELS = {"consistent": (10, 20, 50, 100), "ancestral": (10, 20, 50, 100), "corrector": (6, 13, 26, 50)}
LEVELS_OF_THE_FLOW = (6, 10, 18, 50)  # for nets that take any noise level and any x of that level


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="name of shipped weights, folder of a run, file of weights")
    parser.add_argument("--n", type=int, default=512, help="samples for each setting (default: 512)")
    parser.add_argument("--most", type=int, default=2000, help="leave out what asks the net more often (default: 2000)")
    parser.add_argument("--device", help="cpu, cuda or cuda:1")
    parser.add_argument("--out", type=Path, required=True, help="the numbers, as .json")
    options = parser.parse_args()
    net = load_trained(options.source)
    about = {"source": options.source, "step": net.step, "data": net.recipe.data, "n": options.n}
    rows = _read(options.out, about)
    for asked in settings(net, options.most):
        if any(row["asked"] == asked for row in rows):
            continue
        alone = any("scale" in row for row in rows)
        try:
            taken = sample_and_evaluate(net, options.source, options.n, *asked, device=options.device, alone=alone)
        except FloatingPointError as error:
            print(f"{error}; left out", flush=True)
            continue
        rows.append(_row(asked, taken))
        write_whole(options.out, (json.dumps({**about, "rows": rows}, indent=1) + "\n").encode())
        print(_line(rows[-1]), flush=True)


def settings(net: Trained, most: int) -> Iterator[list[str]]:
    """Options of `sample`, from the fewest evaluations of each sampler to the most."""
    any_level = net.recipe.net != "ncsn"
    if net.recipe.continuous:
        yield from (_levels("flow", n) for n in LEVELS_OF_THE_FLOW if 2 * n - 1 <= most)
    for sampler, lengths in LEVELS.items():
        cost = 2 if sampler == "corrector" else 1
        if any_level:
            yield from (_levels(sampler, n) for n in lengths if cost * n <= most and _allowed(sampler, n, net.sigmas))
        else:
            yield ["--sampler", sampler]
    for n in STEPS_EACH:
        if n * len(net.sigmas) < most:
            eps = f"{eps_for_steps(net.sigmas, n):.6g}"
            yield ["--sampler", "annealed", "--steps-each", str(n), "--eps", eps]
    if 100 * len(net.sigmas) <= most:
        yield ["--paper"]


def _allowed(sampler: str, n: int, sigmas: Tensor) -> bool:
    """Can consistent annealed sampling get from level to level by taking half of the noise away, as `sample` does?"""
    return sampler != "consistent" or (sigmas[-1] / sigmas[0]).item() ** (1 / (n - 1)) >= 0.5


def _levels(sampler: str, n: int) -> list[str]:
    return ["--sampler", sampler, "--levels", str(n)]


class Taken(NamedTuple):
    """Samples, and what the two commands say of them."""

    words: list[str]  # of the command `sample`
    x: Tensor  # cut off to [0, 1], as a display does: short chains leave pixels far beyond
    sampler: str
    evaluations: int
    seconds: float
    found: dict[str, list[dict[str, Any]]]  # the numbers of `evaluate`


def sample_and_evaluate(
    net: Trained, source: str, n: int, *asked: str, device: str | None = None, alone: bool = False
) -> Taken:
    """Take n samples by `sample` with the options asked for, and measure them by `evaluate`.

    Raises FloatingPointError where the samples are not finite, and ends where one of the two commands fails.
    """
    words = ["sample", source, "--n", str(n), *asked, *(["--device", device] if device else [])]
    with tempfile.TemporaryDirectory() as folder:
        picture, samples, numbers = (str(Path(folder) / f"x.{end}") for end in ("png", "npy", "json"))
        began = time.monotonic()
        _run(*words, "--npy", samples, "--out", picture)
        seconds = time.monotonic() - began
        x = np.load(samples)
        if not np.isfinite(x).all():
            raise FloatingPointError(f"{' '.join(words)}: samples that are not finite")
        np.save(samples, x := x.clip(0, 1))
        _run("evaluate", samples, "--data", net.recipe.data, "--out", numbers, *(["--alone"] if alone else []))
        with Image.open(picture) as image:
            made_by = json.loads(image.text["ncsn_edu"])
        found = json.loads(Path(numbers).read_text(encoding="utf-8"))
    return Taken(words, torch.from_numpy(x), made_by["sampler"], made_by["evaluations"], seconds, found)


def _run(*words: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        code = ncsn_edu(list(words))
    if code:
        raise SystemExit(f"{' '.join(words)} ended with {code}: {said.getvalue().strip()}")


def _read(path: Path, about: dict[str, Any]) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    found = json.loads(path.read_text(encoding="utf-8"))
    rows = found.pop("rows")
    if found != about:
        raise SystemExit(f"{path} holds numbers of {found}, not of {about}: choose another --out")
    return rows


def _row(asked: list[str], taken: Taken) -> dict[str, Any]:
    numbers, scale = taken.found["samples"], {what: m for what, m in taken.found.items() if what != "samples"}
    row = {
        "asked": asked,
        "sampler": taken.sampler,
        "evaluations": taken.evaluations,
        "seconds": round(taken.seconds, 1),
        "numbers": numbers,
    }
    return row | ({"scale": scale} if scale else {})


def _line(row: dict[str, Any]) -> str:
    numbers = "  ".join(f"{number['name']} {number['value']:.4g}" for number in row["numbers"])
    return f"{' '.join(row['asked']):58} {row['evaluations']:5}  {row['seconds']:7.1f} s  {numbers}"


if __name__ == "__main__":
    os.environ.setdefault("NCSN_EDU_PROGRESS", "0")
    main()
