"""Make the weights that ship with the package, and their model cards.

    python tools/weights.py judge digits                    train the classifier that judges digits
    python tools/weights.py score digits runs/digits-laptop store the net of a run, and judge its samples

The second needs the first. What a card says is measured here, by the weights as stored: samples of digits as in
notebook 9, photographs by the commands `sample` and `evaluate`.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import matplotlib
import torch
from quality import sample_and_evaluate

from ncsn_edu import annealed_langevin, data, last, plots, progress, recipes, trained
from ncsn_edu.checkpoints import Folder
from ncsn_edu.features import classifier_net, extract
from ncsn_edu.files import write_whole
from ncsn_edu.metrics import frechet, gaussian_fit, judge
from ncsn_edu.runs import read_log, summary

NAMES_OF_NETS = {"ncsn": "NCSN", "ncsnv2": "NCSNv2", "unet": "U-Net"}
N_SAMPLES = {"digits": 1024, "mnist": 512, "cifar10": 1024}
BATCH = 32  # features of so many 28x28 images fit into a processor's cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["judge", "score"])
    parser.add_argument("name", help="a data set (judge), a recipe (score)")
    parser.add_argument("run", type=Path, nargs="?", help="folder of the run (score only)")
    parser.add_argument("--ended", type=int, nargs="*", help="steps at which the run had ended before (score only)")
    parser.add_argument("--note", help="what else the card has to say of the run (score only)")
    arguments = parser.parse_args()
    known = recipes.JUDGES if arguments.kind == "judge" else recipes.RECIPES
    if arguments.name not in known:
        parser.error(f"{arguments.kind} takes one of {', '.join(known)}, not {arguments.name}")
    if arguments.kind == "judge":
        if any(value is not None for value in (arguments.run, arguments.ended, arguments.note)):
            parser.error("a judge is trained anew: it takes no folder of a run, no --ended and no --note")
        make_judge(arguments.name)
    else:
        run = arguments.run or Path("runs") / f"{arguments.name}-laptop"
        make_score(arguments.name, run, arguments.ended or (), arguments.note)


def make_judge(name: str) -> None:
    images, labels = data.load(name)
    recipe = recipes.JUDGES[name]
    for state in progress(recipes.classifier(recipe, images, labels), recipe.n_steps, "steps"):
        if state.step % 100 == 0:
            print(f"step {state.step}: loss {state.loss:.3f}", flush=True)
    trained.save_judge(trained.WEIGHTS / f"judge_{name}.safetensors", state.model.eval())
    judge_card(name)


def judge_card(name: str) -> None:
    """How often the classifier is right, and how far real images are from real images in its features."""
    images, _ = data.load(name)
    held_out, truth = data.load(name, split="test")
    judge_net, net = trained.load_judge(name), classifier_net(name)
    reference = extract(held_out, net)
    top, label = reference.probabilities.max(1)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    dim, most = reference.values.shape[1], min(len(images), len(held_out))
    sizes = [n for n in (500, 1000, 2000, 5000, 10_000) if dim < n < most] + [most]
    floor = [frechet(extract(images[order[:n]], net), reference, generator=torch.Generator()) for n in sizes]
    text = f"""# judge_{name}

A classifier of {name}, to judge samples with: {sum(p.numel() for p in judge_net.parameters()):,} parameters,
stored as float16.

- Made by `python tools/weights.py judge {name}` with torch {torch.__version__}, on {len(images):,} images.
- On {len(held_out):,} held-out images: accuracy {(label == truth).double().mean():.4f}, mean confidence
  {top.double().mean():.4f}, sure (above 0.9) of {(top > 0.9).double().mean():.4f} of them.
- Its {dim} features tell n training images from the held-out ones by a Frechet distance of (in brackets 95 % by
  bootstrap)

| n | Frechet distance |
|---|---|
{chr(10).join(f"| {m.n:,} | {m.value:.3g} [{m.low:.3g}, {m.high:.3g}] |" for m in floor)}

With more and more images on both sides it would go to 0. No sampler can be expected to come nearer than that.
"""
    (trained.WEIGHTS / f"judge_{name}.md").write_text(text, encoding="utf-8")
    print(text)


def make_score(name: str, run: Path, ended: Sequence[int] = (), note: str | None = None) -> None:
    content = Folder(run).latest()
    ends = [0, *ended, content["step"]]
    if any(later <= earlier for earlier, later in pairwise(ends)):
        raise SystemExit(f"--ended takes growing steps before {content['step']}, where the run is now, not {ended}")
    path = trained.save_weights(trained.WEIGHTS / f"{name}.safetensors", content)
    net, log = trained.load_trained(name), read_log(run)
    n = N_SAMPLES[net.recipe.data]
    x, lines = judged_digits(net, n) if net.shape[0] == 1 else evaluated(net, name, n)
    draw(path.with_suffix(".png"), log, x)
    path.with_suffix(".md").write_text(card(name, net, content, log, lines, ended, note), encoding="utf-8")
    if net.shape[0] > 1:
        write_whole(path.with_name(f"{name}_training.json"), (json.dumps(summary(log)) + "\n").encode())
    print(path.with_suffix(".md").read_text(encoding="utf-8"))


def judged_digits(net: trained.Trained, n: int) -> tuple[torch.Tensor, list[str]]:
    """Samples, and what the card says of them."""
    data_name, settings = net.recipe.data, net.sampling
    classifier = trained.load_judge(data_name)
    train, held_out = (data.load(data_name, split=split)[0].float() / 255 for split in ("train", "test"))
    size = min(len(train), len(held_out))
    train, held_out = train[:size], held_out[:size]
    x = samples(net, n)
    fit = gaussian_fit(train, n, generator=torch.Generator().manual_seed(0))
    found = {
        "samples": judge(x, classifier, train=train, held_out=held_out),
        f"real images ({size} of training)": judge(train[:n], classifier, train=train, held_out=held_out),
        "Gaussian fit": judge(fit, classifier, train=train, held_out=held_out),
    }
    return x, [
        f"- {n} samples by annealed Langevin dynamics, eps {settings.eps:g}, {settings.n_steps_each} steps",
        f"  a level, a denoising step at the end: {settings.evaluations(len(net.sigmas))} evaluations. Cut off to",
        f"  [0, 1] and judged by judge_{data_name}:",
        "",
        "| images | sure | Frechet distance, pixels | nearest, train / held out | shares of the classes |",
        "|---|---|---|---|---|",
        *(
            f"| {what} | {sure:.3f} | {distance:.3f} | {memory:.2f} | {classes.min():.3f} to {classes.max():.3f} |"
            for what, (sure, classes, distance, memory) in found.items()
        ),
    ]


def samples(net: trained.Trained, n: int) -> torch.Tensor:
    parts = []
    generator = torch.Generator().manual_seed(0)
    for _ in progress(range(n // BATCH), n // BATCH, "batches of samples"):
        x = net.start(BATCH, generator=generator)
        states = annealed_langevin(net.score, x, net.sigmas, generator=generator, **vars(net.sampling))
        parts.append(last(states))
    return torch.cat(parts)


def evaluated(net: trained.Trained, name: str, n: int) -> tuple[torch.Tensor, list[str]]:
    """Samples by the command `sample` as it is, and the numbers of the command `evaluate`."""
    taken = sample_and_evaluate(net, name, n)
    found = taken.found
    names = [number["name"] for number in found["samples"]]
    about = found["samples"][0]
    rows = [
        f"| {what} | " + " | ".join(f"{m['value']:.3g} [{m['low']:.3g}, {m['high']:.3g}]" for m in measured) + " |"
        for what, measured in found.items()
    ]
    return taken.x, [
        f"- {n} samples by `python -m ncsn_edu {' '.join(taken.words)} --npy x.npy`,",
        f"  {taken.evaluations} evaluations each, cut off to [0, 1]; then `python -m ncsn_edu evaluate x.npy`.",
        f"  Features of {about['net']}, against {about['n_reference']:,} held-out images;",
        "  in brackets 95 % by bootstrap:",
        "",
        f"| images | {' | '.join(names)} |",
        "|---" * (1 + len(names)) + "|",
        *rows,
    ]


def draw(path: Path, log: list[dict], x: torch.Tensor) -> None:
    from matplotlib import pyplot as plt

    matplotlib.use("Agg")
    plots.use_style()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2))
    left.loglog([line["step"] for line in log], [line["loss"] for line in log], lw=0.8)
    left.set(title="loss, each 10 steps", xlabel="step", ylabel=r"$\frac{1}{2}\|\sigma s + z\|^2$")
    plots.images(right, x[:100])
    right.set_title("100 samples, as they came")
    figure.savefig(path)


def card(
    name: str,
    net: trained.Trained,
    content: dict,
    log: list[dict],
    judged: list[str],
    ended: Sequence[int],
    note: str | None,
) -> str:
    recipe, end = net.recipe, log[-100:]
    parts = [_command(name, net, step) + (" --resume" if i else "") for i, step in enumerate([*ended, net.step])]
    made = ", then ".join(f"`python -m ncsn_edu train {part}`" for part in parts)
    loss = sum(line["loss"] for line in end) / len(end)
    return "\n".join(
        [
            f"# {name}",
            "",
            f"{NAMES_OF_NETS[recipe.net]} of width {recipe.width} on {recipe.data}, {'x'.join(map(str, net.shape))}: "
            f"{sum(p.numel() for p in net.score.parameters()):,} parameters, stored as float16.",
            "",
            f"- Made by {made} and `python tools/weights.py score {name}`,",
            f"  seed {content['seed']}; torch {torch.__version__} and Python {platform.python_version()}, "
            f"on a CPU, {_seconds_a_step(log):.2f} s a step (median).",
            *([f"- {note}"] if note else []),
            f"- {net.step:,} steps of {recipe.batch_size} images, Adam {recipe.lr:g}, EMA {recipe.ema}; "
            f"{recipe.n_levels} levels from {recipe.sigma_max:g} to {recipe.sigma_min:g}.",
            f"- Loss, mean of the last {len(end) * 10:,} steps: {loss:.2f}; by level, from the largest noise on: "
            f"{', '.join(f'{level:.1f}' for level in summary(log)['levels'])}.",
            *judged,
            "",
            f"![loss and samples]({name}.png)",
            "",
        ]
    )


def _seconds_a_step(log: list[dict]) -> float:
    timed = [{"step": 0, "seconds": 0.0}, *(line for line in log if "seconds" in line)]
    pairs = [(a, b) for a, b in pairwise(timed) if b["step"] > a["step"]]
    return statistics.median((b["seconds"] - a["seconds"]) / (b["step"] - a["step"]) for a, b in pairs)


def _command(name: str, net: trained.Trained, step: int) -> str:
    """What `python -m ncsn_edu train` was told to get to this step, as far as the recipe says."""
    for scale, recipe in recipes.RECIPES[name].items():
        if replace(net.recipe, n_steps=recipe.n_steps) == recipe:
            steps = "" if step == recipe.n_steps else f" --steps {step}"
            return name + ("" if scale == "laptop" else f" --scale {scale}") + steps
    raise SystemExit(f"this run has other settings than the recipe {name}: {net.recipe}")


if __name__ == "__main__":
    main()
