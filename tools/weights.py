"""Make the weights that ship with the package, and their model cards.

    python tools/weights.py judge_digits                 of a classifier, from runs/judge_digits-laptop
    python tools/weights.py digits runs/digits-laptop    of a score network, whose samples are judged

A run is made by `python -m ncsn_edu train NAME`. The second needs the first. What a card says is measured here, by the
weights as stored: samples of digits as in notebook 10, photographs by the commands `sample` and `evaluate`.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib
import torch
from quality import sample_and_evaluate

from ncsn_edu import annealed_langevin, datasets, last, plots, progress, recipes, trained
from ncsn_edu.checkpoints import Folder
from ncsn_edu.features import classifier_net, extract
from ncsn_edu.files import write_whole
from ncsn_edu.logs import read_log, summary
from ncsn_edu.metrics import frechet, gaussian_fit, judge
from ncsn_edu.sampling import SAMPLERS

N_SAMPLES = {"digits": 1024, "mnist": 512, "cifar10": 1024}
BATCH = 32  # features of so many 28x28 images fit into a processor's cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="a recipe")
    parser.add_argument("run", type=Path, nargs="?", help="folder of the run (default: runs/NAME-laptop)")
    parser.add_argument("--ended", type=int, nargs="*", help="steps at which the run had ended before (scores only)")
    parser.add_argument("--note", help="what else the card has to say of the run (scores only)")
    arguments = parser.parse_args()
    known = [
        name for name, scales in recipes.RECIPES.items() if not isinstance(scales["smoke"], recipes.ManifoldRecipe)
    ]
    if arguments.name not in known:
        parser.error(f"NAME is one of {', '.join(known)}, not {arguments.name}")
    run = arguments.run or Path("runs") / f"{arguments.name}-laptop"
    if isinstance(recipes.RECIPES[arguments.name]["smoke"], recipes.JudgeRecipe):
        if arguments.ended or arguments.note:
            parser.error("the card of a judge takes no --ended and no --note")
        make_judge(arguments.name, run)
    else:
        make_score(arguments.name, run, arguments.ended or (), arguments.note)


def make_judge(name: str, run: Path) -> None:
    trained.save_weights(trained.WEIGHTS / f"{name}.safetensors", Folder(run).latest())
    judge_card(name.removeprefix(trained.JUDGE))


def judge_card(name: str) -> None:
    """How often the classifier is right, and how far real images are from real images in its features."""
    images, _ = datasets.load(name)
    held_out, truth = datasets.load(name, split="test")
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

- Made by `python -m ncsn_edu train judge_{name}` and `python tools/weights.py judge_{name}`,
  torch {torch.__version__}, on {len(images):,} images.
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
    data_name, settings = net.recipe.data, net.recipe.sampling
    classifier = trained.load_judge(data_name)
    evaluations = SAMPLERS["annealed"].evaluations(len(net.sigmas), **vars(settings))
    train, held_out = (datasets.load(data_name, split=split)[0].float() / 255 for split in ("train", "test"))
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
        f"  a level, a denoising step at the end: {evaluations} evaluations. Cut off to",
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
        states = annealed_langevin(net.score, x, net.sigmas, generator=generator, **vars(net.recipe.sampling))
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
    optimisation, noise, settings = recipe.optimisation, recipe.noise, recipes.settings(recipe)
    average = f"EMA {optimisation.ema}" if optimisation.ema else f"EMA of power {optimisation.ema_power}"
    parts = [_command(name, net, step) + (" --resume" if i else "") for i, step in enumerate([*ended, net.step])]
    made = ", then ".join(f"`python -m ncsn_edu train {part}`" for part in parts)
    loss = sum(line["loss"] for line in end) / len(end)
    return "\n".join(
        [
            f"# {name}",
            "",
            f"{recipe.network.title} of width {settings['width']} on {recipe.data}, {'x'.join(map(str, net.shape))}: "
            f"{sum(p.numel() for p in net.score.parameters()):,} parameters, stored as float16.",
            "",
            f"- Made by {made} and `python tools/weights.py {name}`,",
            f"  seed {content['seed']}; torch {torch.__version__} and Python {platform.python_version()}, "
            f"on a CPU, {_seconds_a_step(log):.2f} s a step (median).",
            *([f"- {note}"] if note else []),
            f"- {net.step:,} steps of {optimisation.batch_size} images, Adam {optimisation.lr:g}, {average}; "
            f"{noise.n_levels} levels from {noise.sigma_max:g} to {noise.sigma_min:g}.",
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
        n_steps = recipe.optimisation.n_steps
        if recipes.changed(net.recipe, n_steps=n_steps) == recipe:
            steps = "" if step == n_steps else f" --steps {step}"
            return name + ("" if scale == "laptop" else f" --scale {scale}") + steps
    raise SystemExit(f"this run has other settings than the recipe {name}: {net.recipe}")


if __name__ == "__main__":
    main()
