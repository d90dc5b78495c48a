"""Make the weights that ship with the package, and their model cards.

    python tools/weights.py judge_digits                 of a classifier, from runs/judge_digits-laptop
    python tools/weights.py guide_digits                 of one of noisy images
    python tools/weights.py digits runs/digits-laptop    of a score network, whose samples are judged

A run is made by `python -m ncsn_edu train NAME`. The second needs the first. What a card says is measured here, by the
weights as stored: samples of digits as in notebook 10, photographs by the commands `sample` and `evaluate`.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import compare
import matplotlib
import torch
from quality import held_out_features, sample, sample_and_evaluate

from ncsn_edu import datasets, importance_bound, plots, recipes, trained
from ncsn_edu.adapters import Accelerated, AffineScore, Guided, ScoreNoise
from ncsn_edu.bounds import ddpm_bound
from ncsn_edu.checkpoints import Folder
from ncsn_edu.conditions import ClassifierGuide, Conditioned
from ncsn_edu.core import Score, noise_like
from ncsn_edu.features import classifier_net, extract
from ncsn_edu.files import write_whole
from ncsn_edu.logs import read_log, summary
from ncsn_edu.metrics import frechet, judge, precision_recall
from ncsn_edu.parts import DdpmLadder
from ncsn_edu.sampling import plan
from ncsn_edu.schedules import alphas_bar_of_sigmas

N_PHOTOGRAPHS = 1024
N_DDPM = 64  # images on which DDPM's is, by a thousand evaluations
SCALES, N_BY_SCALE = (0, 0.5, 1, 1.5, 2, 3, 5, 8), 1000  # of guidance, and samples at each
SCALES_OF_PHOTOGRAPHS = (1, 1.5, 3)
CAME = "100 samples, as they came"
N_BOUND = 4000  # images on which the bound of a VAE is measured
Net = trained.Trained | trained.TrainedVae
Sheets = dict[str, torch.Tensor]  # title -> 100 images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="a recipe")
    parser.add_argument("run", type=Path, nargs="?", help="folder of the run (default: runs/NAME-laptop)")
    parser.add_argument("--ended", type=int, nargs="*", help="steps at which the run had ended before (scores only)")
    parser.add_argument("--note", help="what else the card has to say of the run (scores only)")
    parser.add_argument("--table", action="store_true", help="only the table of an existing card")
    arguments = parser.parse_args()
    known = [
        name for name, scales in recipes.RECIPES.items() if not isinstance(scales["smoke"], recipes.ManifoldRecipe)
    ]
    if arguments.name not in known:
        parser.error(f"NAME is one of {', '.join(known)}, not {arguments.name}")
    run = arguments.run or Path("runs") / f"{arguments.name}-laptop"
    classifiers = (recipes.JudgeRecipe, recipes.GuideRecipe)
    if isinstance(recipes.RECIPES[arguments.name]["smoke"], classifiers) and (arguments.ended or arguments.note):
        parser.error("the card of a classifier takes no --ended and no --note")
    if arguments.table:
        renew_table(arguments.name)
    elif isinstance(recipes.RECIPES[arguments.name]["smoke"], recipes.JudgeRecipe):
        make_judge(arguments.name, run)
    elif isinstance(recipes.RECIPES[arguments.name]["smoke"], recipes.GuideRecipe):
        make_guide(arguments.name, run)
    else:
        make_net(arguments.name, run, arguments.ended or (), arguments.note)


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


def make_guide(name: str, run: Path) -> None:
    """Of a classifier of noisy images: weights, and a card that says how often it is right at which noise."""
    content = Folder(run).latest()
    trained.save_weights(trained.WEIGHTS / f"{name}.safetensors", content)
    data, log = name.removeprefix(trained.GUIDE), read_log(run)
    guide = trained.load_guide(data)
    noise, o, x = guide.recipe.noise, guide.recipe.optimisation, datasets.load(data, split="test")[0]
    python, net = platform.python_version(), trained.load_trained(f"ddpm_{data}")
    text = f"""# {name}

A classifier of {data} that is told their noise, to guide samplers towards a class:
{sum(p.numel() for p in guide.classifier.parameters()):,} parameters, stored as float16.

- Made by `python -m ncsn_edu train {name}` and `python tools/weights.py {name}`, seed {content["seed"]};
  torch {torch.__version__} and Python {python}, on a CPU, {_seconds_a_step(log):.2f} s a step (median).
- {guide.step:,} steps of {o.batch_size} images, Adam {o.lr:g}, EMA {o.ema}; noise of any sigma from
  {noise.sigma_max:g} to {noise.sigma_min:g}, most of it near 1.
- On {len(x):,} held-out images with noise, 4 times each: how often it is right, the mean of the probability that it
  gives to the class it names, and -log p(class) in nats; to know nothing is log 10 = {math.log(10):.3f}.

| sigma | accuracy | confidence | nats |
|---|---|---|---|
{chr(10).join(_at_noise(guide, sigma) for sigma in (0.005, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 80))}

With `ddpm_{data}`:

{chr(10).join(by_scale(net, lambda label, w: Conditioned(net.score, ClassifierGuide(guide.classifier, label), w)))}
"""
    (trained.WEIGHTS / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


@torch.no_grad()
def _at_noise(guide: trained.TrainedGuide, sigma: float) -> str:
    """A row of the table."""
    images, label = datasets.load(guide.recipe.data, split="test")
    x, label, generator = images.float().repeat(4, 1, 1, 1) / 255, label.repeat(4), torch.Generator().manual_seed(0)
    log_p = guide.classifier(x + sigma * noise_like(x, generator), sigma).double().log_softmax(1)
    top, nats = log_p.max(1), -log_p.gather(1, label[:, None]).mean()
    accuracy = (top.indices == label).double().mean()
    return f"| {sigma:g} | {accuracy:.3f} | {top.values.exp().mean():.3f} | {nats:.3f} |"


def make_net(name: str, run: Path, ended: Sequence[int] = (), note: str | None = None) -> None:
    """Of a score network or a VAE: weights, card, picture, and the numbers that the card is made of."""
    content = Folder(run).latest()
    ends = [0, *ended, content["step"]]
    if any(later <= earlier for earlier, later in pairwise(ends)):
        raise SystemExit(f"--ended takes growing steps before {content['step']}, where the run is now, not {ended}")
    path = trained.save_weights(trained.WEIGHTS / f"{name}.safetensors", content)
    net, log = trained.load_any(name), read_log(run)
    sheets, lines = sampled(net, name)
    draw(path.with_suffix(".png"), net, log, sheets)
    path.with_suffix(".md").write_text(card(name, net, content, log, lines, ended, note), encoding="utf-8")
    if net.shape[0] > 1:
        write_whole(path.with_name(f"{name}_training.json"), (json.dumps(summary(log)) + "\n").encode())
    print(path.with_suffix(".md").read_text(encoding="utf-8"))


def renew_table(name: str) -> None:
    """Put the present numbers of a net into its card."""
    path = trained.WEIGHTS / f"{name}.md"
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if " samples" in line and line.startswith("- "))
    end = next(i for i, line in enumerate(lines) if line.startswith("!["))
    lines[first:end] = [*sampled(trained.load_any(name), name)[1], ""]
    write_whole(path, ("\n".join(lines) + "\n").encode())


def by_scale(
    net: trained.Trained, guided: Callable[[torch.Tensor, float], Score], scales: Sequence[float] = SCALES
) -> list[str]:
    """Samples of every class at several scales: how many are of it, how good and how varied they are."""
    data, labels, rows = net.recipe.data, torch.arange(10).repeat_interleave(10), []
    train, held_out = (datasets.load(data, split=split)[0].float()[:898] / 255 for split in ("train", "test"))
    reference, judge_net = held_out_features(data), trained.load_judge(data)
    bf16 = net.recipe.optimisation.in_bf16("cpu")
    how = "flow, in bfloat16" if bf16 else "flow"
    for scale in scales:
        score = Accelerated(guided(labels, scale), bf16=bf16)
        flow = plan(replace(net, score=score), "flow", generator=torch.Generator().manual_seed(0))
        x = torch.cat([list(flow.states(len(labels)))[-1] for _ in range(N_BY_SCALE // len(labels))]).clamp(0, 1)
        asked = labels.repeat(N_BY_SCALE // len(labels))
        features, generator = extract(x, classifier_net(data)), torch.Generator()
        share = (judge_net(x).argmax(1) == asked).double().mean()
        numbers = [frechet(features, reference, generator=generator)]
        numbers += precision_recall(features, reference, generator=generator)
        cells = (f"{m.value:.3g} [{m.low:.3g}, {m.high:.3g}]" for m in numbers)
        memory = judge(x, judge_net, train=train, held_out=held_out).memory
        rows.append(f"| {scale:g} | {share:.3f} | {' | '.join(cells)} | {memory:.3f} |")
    return [
        f"- {N_BY_SCALE} samples by the {how}, as many of each class, at each scale of the guidance; judged by",
        f"  judge_{data} against held-out images (in brackets 95 % by bootstrap):",
        "",
        "| scale | share of the class | Frechet, features | precision | recall | nearest, train / held out |",
        "|---|---|---|---|---|---|",
        *rows,
    ]


def of_each_class(name: str, scale: float) -> Sheets:
    """Ten samples of each of ten classes, as the command `sample` draws them."""
    words = ("--guidance", f"{scale:g}", "--batch", "10")
    x = torch.cat([sample(name, 10, "--label", str(k), *words)[0] for k in range(10)])
    return {f"10 samples of each class, at scale {scale:g}": x}


def sampled(net: Net, name: str) -> tuple[Sheets, list[str]]:
    """Sheets of samples, and what the card says of more."""
    return judged(net, name) if net.recipe.data in compare.N else evaluated(net, name)


def judged(net: Net, name: str) -> tuple[Sheets, list[str]]:
    """A hundred samples as the command `sample` draws them, and what the card says of more."""
    data = net.recipe.data
    if isinstance(net, trained.Trained) and net.recipe.network.n_classes:
        return of_each_class(name, 2), by_scale(net, partial(Guided, net.score))
    rows = {
        what: row
        for what, row in compare.compared(data, only=name).items()
        if row.get("asked", [name])[0] == name  # real images and a Gaussian have asked nothing
    }
    sheets = {CAME: sample(name, 100, "--batch", "100")[0]}
    asked = {what: " ".join(row["asked"]) for what, row in rows.items() if "asked" in row}
    commands = (f"  - {what}: `python -m ncsn_edu sample {words}`" for what, words in asked.items())
    return sheets, [
        f"- {compare.N[data]} samples, cut off to [0, 1] and judged by judge_{data}, against held-out images (in",
        "  brackets 95 % by bootstrap); training images and a Gaussian fit for scale:",
        *commands,
        "",
        *compare.table(rows),
    ]


def evaluated(net: Net, name: str, n: int = N_PHOTOGRAPHS) -> tuple[Sheets, list[str]]:
    """Samples by the command `sample` as it is, and the numbers of the command `evaluate`; of each class, too."""
    taken = sample_and_evaluate(net.recipe.data, name, n)
    found = taken.found
    names = [number["name"] for number in found["samples"]]
    about = found["samples"][0]
    rows = [
        f"| {what} | " + " | ".join(f"{m['value']:.3g} [{m['low']:.3g}, {m['high']:.3g}]" for m in measured) + " |"
        for what, measured in found.items()
    ]
    data, told = net.recipe.data, isinstance(net, trained.Trained) and net.recipe.network.n_classes > 0
    share = torch.bincount(trained.load_judge(data)(taken.x).argmax(1), minlength=10) / n
    named = (f"{name} {100 * p:.1f} %" for name, p in zip(datasets.DATASETS[data].classes, share.tolist(), strict=True))
    sheets = {CAME: taken.x[:100]} | (of_each_class(name, 3) if told else {})
    return sheets, [
        f"- {n} samples by `python -m ncsn_edu {' '.join(taken.words)} --npy x.npy`,",
        f"  {taken.evaluations} evaluations each, cut off to [0, 1]; then `python -m ncsn_edu evaluate x.npy`.",
        f"  Features of {about['net']}, against {about['n_reference']:,} held-out images;",
        "  in brackets 95 % by bootstrap:",
        "",
        f"| images | {' | '.join(names)} |",
        "|---" * (1 + len(names)) + "|",
        *rows,
        "",
        f"- What the classifier takes the samples for: {', '.join(named)}.",
        *(["", *by_scale(net, partial(Guided, net.score), SCALES_OF_PHOTOGRAPHS)] if told else []),
    ]


def draw(path: Path, net: Net, log: list[dict], sheets: Sheets) -> None:
    from matplotlib import pyplot as plt

    matplotlib.use("Agg")
    plots.use_style()
    figure, (left, *right) = plt.subplots(1, 1 + len(sheets), figsize=(4.5 * (1 + len(sheets)), 4.2))
    left.semilogx([line["step"] for line in log], [line["loss"] for line in log], lw=0.8)
    if isinstance(net, trained.TrainedVae):
        ylabel = r"$-\log p(x | v) + KL(q(v | x) \| p(v))$ in nats"
    else:
        left.set_yscale("log")
        ylabel = r"$\frac{1}{2}\|\sigma s + z\|^2$" + " with its weight" * hasattr(net.score, "loss_weight")
    left.set(title="loss, each 10 steps", xlabel="step", ylabel=ylabel)
    for ax, (title, x) in zip(right, sheets.items(), strict=True):
        plots.images(ax, x)
        ax.set_title(title)
    figure.savefig(path)


def card(
    name: str,
    net: Net,
    content: dict,
    log: list[dict],
    judged: list[str],
    ended: Sequence[int],
    note: str | None,
) -> str:
    recipe, module = net.recipe, net.net if isinstance(net, trained.TrainedVae) else net.score
    optimisation, settings = recipe.optimisation, recipes.settings(recipe)
    average = f"EMA {optimisation.ema}" if optimisation.ema else f"EMA of power {optimisation.ema_power}"
    parts = [_command(name, net, step) + (" --resume" if i else "") for i, step in enumerate([*ended, net.step])]
    made = ", then ".join(f"`python -m ncsn_edu train {part}`" for part in parts)
    return "\n".join(
        [
            f"# {name}",
            "",
            f"{recipe.network.title} of width {settings['width']} on {recipe.data}, {'x'.join(map(str, net.shape))}: "
            f"{sum(p.numel() for p in module.parameters()):,} parameters, stored as float16."
            + (" It is told the class." if getattr(recipe.network, "n_classes", 0) else ""),
            "",
            f"- Made by {made} and `python tools/weights.py {name}`,",
            f"  seed {content['seed']}; torch {torch.__version__} and Python {platform.python_version()}, "
            f"on a CPU, {_seconds_a_step(log):.2f} s a step (median).",
            *([f"- {note}"] if note else []),
            f"- {net.step:,} steps of {optimisation.batch_size} images, Adam {optimisation.lr:g}, {average}"
            + (", bfloat16" if optimisation.bf16 else ""),
            *(_of_vae(net) if isinstance(net, trained.TrainedVae) else _of_score(net, log)),
            *judged,
            "",
            f"![loss and samples]({name}.png)",
            "",
        ]
    )


def _of_score(net: trained.Trained, log: list[dict]) -> list[str]:
    noise, end = net.recipe.noise, log[-100:]
    loss = sum(line["loss"] for line in end) / len(end)
    return [
        f"- {noise.n_levels} levels from {noise.sigma_max:.4g} to {noise.sigma_min:.4g}.",
        f"- Loss, mean of the last {len(end) * 10:,} steps: {loss:.2f}; by level, from the largest noise on: "
        f"{', '.join(f'{level:.1f}' for level in summary(log)['levels'])}.",
        *(_of_ddpm(net) if isinstance(noise, DdpmLadder) else []),
    ]


def _of_ddpm(net: trained.Trained) -> list[str]:
    """The bound of DDPM on held-out images, term by term, in bits a pixel."""
    images, generator = datasets.load(net.recipe.data, split="test")[0][:N_DDPM], torch.Generator().manual_seed(0)
    kept = alphas_bar_of_sigmas(2 * net.sigmas.double().flip(0))  # of images in [-1, 1], the largest first
    noise = ScoreNoise(AffineScore(net.score, scale=0.5, shift=0.5), kept)
    x, edge = (2 * images.float() + 1) / 256 - 1, 255 / 256  # in training a grey k of 0 to 255 is [k, k + 1] / 256
    bound = ddpm_bound(noise, x, kept, greys=(-edge, edge, 256), generator=generator)
    unit = math.prod(net.shape) * math.log(2)
    parts = (bound.total, bound.prior, bound.steps.sum(1), bound.decoder)
    total, prior, steps, decoder = (part.mean().item() / unit for part in parts)
    return [
        f"- Bound of -log2 p on {len(x)} held-out images, in bits a pixel of 256 greys: {total:.3f}, of which "
        f"{prior:.5f} by the prior, {steps:.3f} by the steps and {decoder:.3f} by the decoder."
    ]


def _of_vae(net: trained.TrainedVae) -> list[str]:
    """The bound on training and held-out images, in nats and in bits a pixel of the grey level."""
    generator, found = torch.Generator().manual_seed(0), []
    for split in ("train", "test"):
        images = datasets.load(net.recipe.data, split=split)[0][:N_BOUND]
        x = next(datasets.batches(images, len(images), generator=generator))
        for n in (1, 64):
            nats = importance_bound(net.net, x, n, generator=generator).mean().item()
            found.append(f"{nats:.2f} ({8 - nats / math.prod(net.shape) / math.log(2):.3f})")
    return [
        f"- Decoder: {net.recipe.network.decoder}, standard deviation {net.net.std:.4f}.",
        "- log p of dequantised images in [0, 1], in nats (bits a pixel of 256 greys), at least: on training "
        f"images {found[0]} by the bound and {found[1]} with 64 importance weights, on held-out ones {found[2]} and "
        f"{found[3]}.",
    ]


def _seconds_a_step(log: list[dict]) -> float:
    timed = [{"step": 0, "seconds": 0.0}, *(line for line in log if "seconds" in line)]
    pairs = [(a, b) for a, b in pairwise(timed) if b["step"] > a["step"]]
    return statistics.median((b["seconds"] - a["seconds"]) / (b["step"] - a["step"]) for a, b in pairs)


def _command(name: str, net: trained.Trained, step: int) -> str:
    """What `python -m ncsn_edu train` was told to get to this step, as far as the recipe says."""
    for scale, recipe in recipes.RECIPES[name].items():
        o, fall = recipe.optimisation, net.recipe.optimisation.cooldown
        if recipes.changed(net.recipe, n_steps=o.n_steps, cooldown=o.cooldown) == recipe:
            steps = "" if step == o.n_steps else f" --steps {step}"
            cooldown = "" if fall == o.cooldown else f" --cooldown {fall if step == net.step else 0}"
            return name + ("" if scale == "laptop" else f" --scale {scale}") + steps + cooldown
    raise SystemExit(f"this run has other settings than the recipe {name}: {net.recipe}")


if __name__ == "__main__":
    main()
