"""Quality of a net's samples against how often the net was asked: every sampler, at several lengths.

    python tools/quality.py cifar10_small --n 512 --out quality.json

Each line is what the commands `sample` and `evaluate` do with the settings that it names, one after the other; the
samples are cut off to [0, 1] in between.
Where --out is there already, it resumes: what was measured is kept.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import tempfile
import time
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ncsn_edu import datasets
from ncsn_edu.__main__ import main as ncsn_edu
from ncsn_edu.commands.evaluate import measured
from ncsn_edu.features import classifier_net, extract
from ncsn_edu.files import write_whole
from ncsn_edu.metrics import Features
from ncsn_edu.sampling import SAMPLERS, best_sampler, plan
from ncsn_edu.schedules import eps_for_steps
from ncsn_edu.trained import Trained, load_trained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="name of shipped weights, folder of a run, file of weights")
    parser.add_argument("--n", type=int, default=512, help="samples for each setting (default: 512)")
    parser.add_argument("--most", type=int, default=2000, help="leave out what asks the net more often (default: 2000)")
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, help="only these (default: all that suit the net)")
    parser.add_argument("--device", help="cpu, cuda or cuda:1")
    parser.add_argument("--out", type=Path, required=True, help="the numbers, as .json")
    options = parser.parse_args()
    net = load_trained(options.source)
    about = {"source": options.source, "step": net.step, "data": net.recipe.data, "n": options.n}
    rows = _read(options.out, about)
    for asked in settings(net, options.most, options.samplers):
        if any(row["asked"] == asked for row in rows):
            continue
        alone = any("scale" in row for row in rows)
        try:
            how = {"device": options.device, "alone": alone}
            taken = sample_and_evaluate(net.recipe.data, options.source, options.n, *asked, **how)
        except FloatingPointError as error:
            print(f"{error}; left out", flush=True)
            continue
        rows.append(_row(asked, taken))
        write_whole(options.out, (json.dumps({**about, "rows": rows}, indent=1) + "\n").encode())
        print(_line(rows[-1]), flush=True)


def settings(net: Trained, most: int, only: Collection[str] | None = None) -> Iterator[list[str]]:
    """Options of `sample`, from the fewest evaluations of each sampler to the most, the best one first."""
    suiting = {
        name: row
        for name, row in SAMPLERS.items()
        if (net.recipe.noise.continuous or not row.any_sigma) and (only is None or name in only)
    }
    best = best_sampler(net)
    for name, row in sorted(suiting.items(), key=lambda item: (item[1].stays, item[0] != best)):
        if row.stays:
            for n in row.lengths:
                eps = eps_for_steps(net.sigmas, n)  # technique 4
                if row.evaluations(len(net.sigmas), n_steps_each=n) < most:
                    yield ["--sampler", name, "--steps-each", str(n), "--eps", f"{eps:.6g}"]
        elif net.recipe.network.any_sigma:
            fitting = (n for n in row.lengths if row.evaluations(n) <= most and _allowed(name, n, net))
            yield from (_levels(name, n) for n in fitting)
            if "eta" in row.settings:  # a share that stays the same is too large for many levels
                shorter = (n for n in row.lengths if row.evaluations(n) <= most)
                yield from ([*_levels(name, n), "--eta", "ladder"] for n in shorter)
        elif row.lengths:
            yield ["--sampler", name]
    if 100 * len(net.sigmas) <= most and only is None:
        yield ["--paper"]


def _allowed(name: str, n: int, net: Trained) -> bool:
    """Whether the sampler can take n levels with the settings that `sample` gives it."""
    try:
        plan(net, name, generator=torch.Generator(), n_levels=n)
    except ValueError:
        return False
    return True


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
    data: str, source: str, n: int, *asked: str, device: str | None = None, alone: bool = False
) -> Taken:
    """Take n samples by `sample` with the options asked for, and measure them by `evaluate` on this data set.

    Raises FloatingPointError where the samples are not finite, and ends where one of the two commands fails.
    """
    words = [*asked, *(["--device", device] if device else [])]
    x, made_by, seconds = sample(source, n, *words)
    if not x.isfinite().all():
        raise FloatingPointError(f"sample {source} {' '.join(words)}: samples that are not finite")
    x, called = x.clamp(0, 1), ["sample", source, "--n", str(n), *words]
    return Taken(called, x, made_by["sampler"], made_by["evaluations"], seconds, evaluate(data, x, alone=alone))


def sample(source: str, n: int, *asked: str) -> tuple[Tensor, dict[str, Any], float]:
    """What the command `sample` draws, what it says of it, and the seconds that it takes."""
    with tempfile.TemporaryDirectory() as folder:
        picture, samples = (str(Path(folder) / f"x.{end}") for end in ("png", "npy"))
        began = time.monotonic()
        _run("sample", source, "--n", str(n), *asked, "--npy", samples, "--out", picture)
        seconds = time.monotonic() - began
        with Image.open(picture) as image:
            return torch.from_numpy(np.load(samples)), json.loads(image.text["ncsn_edu"]), seconds


def evaluate(data: str, x: Tensor, *, alone: bool = False) -> dict[str, list[dict[str, Any]]]:
    """The numbers of the command `evaluate` for images x (N, C, H, W), alone or with those for scale.

    Alone they cost the features of x only: those of the held-out images, most of the command's time, are kept.
    """
    if alone:
        numbers = measured(extract(x, classifier_net(data)), held_out_features(data), seed=0)
        return {"samples": [number._asdict() for number in numbers]}
    with tempfile.TemporaryDirectory() as folder:
        samples, numbers = (str(Path(folder) / f"x.{end}") for end in ("npy", "json"))
        np.save(samples, x.numpy())
        _run("evaluate", samples, "--data", data, "--out", numbers)
        return json.loads(Path(numbers).read_text(encoding="utf-8"))


@cache
def held_out_features(data: str) -> Features:
    """By the classifier of the data, once in a process."""
    return extract(datasets.load(data, split="test")[0], classifier_net(data))


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
