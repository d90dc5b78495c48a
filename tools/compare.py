"""The nets of one data set by the same judge: a table that the model cards and the lessons read.

    python tools/compare.py mnist              measure the rows that are missing, and print all of them
    python tools/compare.py mnist --again NET  measure those of this net anew
    python tools/compare.py mnist --seconds    measure the time of every row anew, alone and one after the other

Each row is what `sample` and `evaluate` do, and what `judge` says of the same images, cut off to [0, 1]. The numbers
are kept in ncsn_edu/weights/DATA_compared.json, each with the step of the net that it was measured of. Seconds are
those that the machine at hand takes for 64 images: let it do nothing else meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from quality import evaluate, sample, sample_and_evaluate
from torch import Tensor

from ncsn_edu import datasets, trained
from ncsn_edu.files import write_whole
from ncsn_edu.metrics import gaussian_fit, judge

N = {"digits": 1024, "mnist": 1088}  # more than there are features
REAL, GAUSSIAN = "training images", "Gaussian"
COLUMNS = {  # of the table: what a row calls it
    "sure": "sure",
    "Frechet distance": "Frechet, features",
    "pixels": "Frechet, pixels",
    "precision": "precision",
    "recall": "recall",
    "nearest": "nearest, train / held out",
    "classes": "shares of the classes",
    "evaluations": "evaluations",
    "seconds": "seconds for 64",
}


def settings(data: str) -> dict[str, list[str]]:
    """What each row is called, and what `sample` is told for it."""
    ddpm, vae = f"ddpm_{data}", f"vae_{data}"
    faster = ["--bf16", "--batch", "128"] if data == "mnist" else []
    found = {
        "NCSN": [data],
        "NCSNv2": [f"ncsnv2_{data}"],
        "DDPM, 1000 steps": [ddpm, "--sampler", "ancestral", "--levels", "1000", *faster],
        "DDPM, 50 steps": [ddpm, "--sampler", "ancestral", "--levels", "50"],
        "DDIM, 50 steps": [ddpm, "--sampler", "ddim", "--levels", "50"],
        "DDIM, 20 steps": [ddpm, "--sampler", "ddim", "--levels", "20"],
        "flow by Heun": [ddpm, "--sampler", "flow"],
        "VAE, prior": [vae],
        "VAE, prior, with the decoder's noise": [vae, "--noise"],
        "VAE, aggregate posterior": [vae, "--aggregate"],
    }
    there = {*trained.shipped(), *trained.shipped_vaes()}
    return {what: words for what, words in found.items() if words[0] in there}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=N, help="the data set")
    parser.add_argument("--again", action="append", default=[], metavar="NET", help="whose rows are measured anew")
    parser.add_argument("--seconds", action="store_true", help="measure how long 64 images take, and nothing else")
    options = parser.parse_args()
    if options.seconds:
        for what, words in settings(options.data).items():
            if what in _known(options.data):
                _keep(options.data, what, _known(options.data)[what] | {"seconds": seconds(words)})
        print("\n".join(table(_known(options.data))))
        return
    print("\n".join(table(compared(options.data, again=options.again))))


def path_of(data: str) -> Path:
    return trained.WEIGHTS / f"{data}_compared.json"


def compared(data: str, *, only: str | None = None, again: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """All rows that are known of the nets that ship, real images and a Gaussian; missing ones are measured and kept.

    only  measure the missing rows of this net, and leave those of others
    """
    for what, words in settings(data).items():
        step, row = trained.load_any(words[0]).step, _known(data).get(what)
        fresh = row and row["asked"] == words and row["step"] == step and words[0] not in again
        if not fresh and only in (None, words[0]):
            _keep(data, what, {"asked": words, "step": step, **_measured(data, words), "seconds": seconds(words)})
            print(f"{what}: measured", flush=True)
    if not {REAL, GAUSSIAN} <= _known(data).keys():
        for what, x in _for_scale(data).items():
            _keep(data, what, _numbers(data, x, evaluate(data, x, alone=True)))
    return _known(data)


def _known(data: str) -> dict[str, dict[str, Any]]:
    path = path_of(data)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _keep(data: str, what: str, row: dict[str, Any]) -> None:
    """Put one row into the file, in its place. What another process has put there meanwhile stays."""
    rows = _known(data) | {what: row}
    order = [name for name in (*settings(data), REAL, GAUSSIAN) if name in rows]
    write_whole(path_of(data), (json.dumps({name: rows[name] for name in order}, indent=1) + "\n").encode())


def table(rows: dict[str, dict[str, Any]]) -> list[str]:
    """The rows in Markdown."""
    columns = [key for key in COLUMNS if any(key in row for row in rows.values())]
    head = f"| images | {' | '.join(COLUMNS[key] for key in columns)} |"
    body = (f"| {what} | {' | '.join(_cell(row.get(key)) for key in columns)} |" for what, row in rows.items())
    return [head, "|---" * (1 + len(columns)) + "|", *body]


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['value']:.3g} [{value['low']:.3g}, {value['high']:.3g}]"
    if isinstance(value, list):
        return f"{min(value):.3f} to {max(value):.3f}"
    if isinstance(value, float):
        return f"{value:.3g}"
    return "" if value is None else str(value)


def _measured(data: str, words: list[str]) -> dict[str, Any]:
    """The numbers of one row."""
    source, *asked = words
    taken = sample_and_evaluate(data, source, N[data], *asked, alone=True)
    return _numbers(data, taken.x, taken.found) | {"evaluations": taken.evaluations}


def seconds(words: list[str]) -> float:
    """How long the command `sample` takes for 64 images."""
    source, *asked = words
    return round(sample(source, 64, *asked)[2], 2)


def _numbers(data: str, x: Tensor, found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Those of `evaluate`, and those of the judge."""
    numbers = {number["name"]: number for number in found["samples"]}
    keep = ("value", "low", "high")
    measured = {key: {k: numbers[key][k] for k in keep} for key in ("Frechet distance", "precision", "recall")}
    train, held_out = (datasets.load(data, split=split)[0].float() / 255 for split in ("train", "test"))
    size = min(len(train), len(held_out))
    sure, classes, distance, memory = judge(x, trained.load_judge(data), train=train[:size], held_out=held_out[:size])
    return {"sure": sure, "pixels": distance, "nearest": memory, "classes": classes.tolist()} | measured


def _for_scale(data: str) -> dict[str, Tensor]:
    """As many training images as there are samples of a net, and samples of a Gaussian."""
    train = datasets.load(data)[0]
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    x = train[order[: N[data]]].float() / 255
    fit = gaussian_fit(train[:20_000].float() / 255, N[data], generator=torch.Generator().manual_seed(0))
    return {REAL: x, GAUSSIAN: fit.clamp(0, 1)}


if __name__ == "__main__":
    os.environ.setdefault("NCSN_EDU_PROGRESS", "0")
    main()
