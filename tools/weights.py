"""Make the weights that ship with the package, and their model cards.

    python tools/weights.py judge digits                    train the classifier that judges digits
    python tools/weights.py score digits runs/digits-laptop store the net of a run, and judge its samples

The second needs the first. What a card says is measured here, by the weights as stored.
"""

from __future__ import annotations

import argparse
import platform
from dataclasses import replace
from pathlib import Path

import matplotlib
import torch

from ncsn_edu import annealed_langevin, data, last, plots, progress, recipes, trained
from ncsn_edu.checkpoints import Folder
from ncsn_edu.metrics import Judgement, gaussian_fit, judge
from ncsn_edu.runs import read_log

N_SAMPLES = {"digits": 1024, "mnist": 512}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["judge", "score"])
    parser.add_argument("name", choices=list(recipes.JUDGES))
    parser.add_argument("run", type=Path, nargs="?", help="folder of the run (score only)")
    arguments = parser.parse_args()
    if arguments.kind == "judge":
        make_judge(arguments.name)
    else:
        make_score(arguments.name, arguments.run or Path("runs") / f"{arguments.name}-laptop")


def make_judge(name: str) -> None:
    images, labels = data.load(name)
    held_out, truth = data.load(name, split="test")
    recipe = recipes.JUDGES[name]
    for state in progress(recipes.classifier(recipe, images, labels), recipe.n_steps, "steps"):
        if state.step % 100 == 0:
            print(f"step {state.step}: loss {state.loss:.3f}", flush=True)
    path = trained.save_judge(trained.WEIGHTS / f"judge_{name}.safetensors", state.model.eval())
    judge_net = trained.load_judge(name)
    with torch.no_grad():
        logits = torch.cat([judge_net(part.float() / 255) for part in held_out.split(500)])
    top, label = logits.softmax(1).max(1)
    text = f"""# judge_{name}

A classifier of {name}, to judge samples with: {sum(p.numel() for p in state.model.parameters()):,} parameters,
stored as float16.

- Made by `python tools/weights.py judge {name}` with torch {torch.__version__}, on {len(images):,} images.
- On {len(held_out):,} held-out images: accuracy {(label == truth).double().mean():.4f}, mean confidence
  {top.double().mean():.4f}, sure (above 0.9) of {(top > 0.9).double().mean():.4f} of them.
"""
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


def make_score(name: str, run: Path) -> None:
    content = Folder(run).latest()
    path = trained.save_weights(trained.WEIGHTS / f"{name}.safetensors", content)
    net, classifier = trained.load_trained(name), trained.load_judge(name)
    train, held_out = (data.load(name, split=split)[0].float() / 255 for split in ("train", "test"))
    n = min(len(train), len(held_out))
    train, held_out = train[:n], held_out[:n]
    x = samples(net, N_SAMPLES[name])
    fit = gaussian_fit(train, len(x), generator=torch.Generator().manual_seed(0))
    found = {
        "samples": judge(x, classifier, train=train, held_out=held_out),
        f"real images ({len(train)} of training)": judge(train[: len(x)], classifier, train=train, held_out=held_out),
        "Gaussian fit": judge(fit, classifier, train=train, held_out=held_out),
    }
    log = read_log(run)
    draw(path.with_suffix(".png"), log, x)
    path.with_suffix(".md").write_text(card(name, net, content, log, found, len(x)), encoding="utf-8")
    print(path.with_suffix(".md").read_text(encoding="utf-8"))


def samples(net: trained.Trained, n: int) -> torch.Tensor:
    parts = []
    generator = torch.Generator().manual_seed(0)
    for _ in progress(range(n // 128), n // 128, "batches of samples"):
        x = net.start(128, generator=generator)
        states = annealed_langevin(net.score, x, net.sigmas, generator=generator, **vars(net.sampling))
        parts.append(last(states))
    return torch.cat(parts)


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


def card(name: str, net: trained.Trained, content: dict, log: list[dict], found: dict[str, Judgement], n: int) -> str:
    recipe, settings = net.recipe, net.sampling
    end = log[-100:]
    loss = sum(line["loss"] for line in end) / len(end)
    rows = [
        f"| {what} | {j.sure:.3f} | {j.frechet:.3f} | {j.memory:.2f} | {j.classes.min():.3f} to {j.classes.max():.3f} |"
        for what, j in found.items()
    ]
    levels = [[line["levels"][i] for line in end if line["levels"][i] is not None] for i in range(recipe.n_levels)]
    command = _command(name, net)
    return "\n".join(
        [
            f"# {name}",
            "",
            f"{recipe.net.upper()} of width {recipe.width} on {name}, {'x'.join(map(str, net.shape))}: "
            f"{sum(p.numel() for p in net.score.parameters()):,} parameters, stored as float16.",
            "",
            f"- Made by `python -m ncsn_edu train {command}` and `python tools/weights.py score {name}`,",
            f"  seed {content['seed']}; torch {torch.__version__} and Python {platform.python_version()}, on a CPU.",
            f"- {net.step:,} steps of {recipe.batch_size} images, Adam {recipe.lr:g}, EMA {recipe.ema}; "
            f"{recipe.n_levels} levels from {recipe.sigma_max:g} to {recipe.sigma_min:g}.",
            f"- Loss, mean of the last {len(end) * 10:,} steps: {loss:.2f}; by level, from the largest noise on: "
            f"{', '.join(f'{sum(level) / max(len(level), 1):.1f}' for level in levels)}.",
            f"- {n} samples by annealed Langevin dynamics, eps {settings.eps:g}, {settings.n_steps_each} steps",
            f"  a level, a denoising step at the end: {settings.evaluations(recipe.n_levels)} evaluations. Cut off to",
            "  [0, 1] and judged by judge_" + name + ":",
            "",
            "| images | sure | Frechet distance, pixels | nearest, train / held out | shares of the classes |",
            "|---|---|---|---|---|",
            *rows,
            "",
            f"![loss and samples]({name}.png)",
            "",
        ]
    )


def _command(name: str, net: trained.Trained) -> str:
    """What `python -m ncsn_edu train` was told, as far as the recipe and the steps say."""
    for scale, recipe in recipes.RECIPES[name].items():
        if replace(net.recipe, n_steps=recipe.n_steps) == recipe:
            steps = "" if net.step == recipe.n_steps else f" --steps {net.step}"
            return name + ("" if scale == "laptop" else f" --scale {scale}") + steps
    raise SystemExit(f"this run has other settings than the recipe {name}: {net.recipe}")


if __name__ == "__main__":
    main()
