# %% [markdown]
# # 13 · CIFAR-10 at full scale
#
# *Reading and trying: about 100 minutes. Running every cell: about a minute on a laptop.
# The stored outputs are those of a compact network that two CPU
# cores trained at laptop scale; the paper's own network needs the
# data set and a GPU for an hour or more, and a GPU for its
# samples.*
#
# So far the images were digits. The experiment that made
# score-based models known is CIFAR-10: 50,000 colour photographs
# of 32x32 pixels, ten kinds of things, a network of thirty
# million parameters, days of a GPU. In this notebook you will
#
# - count what that costs, before a minute of it is spent;
# - see what has to be right for a GPU to be fast, and how a run
#   survives being stopped;
# - read the loss of a long run, and say what it does not tell;
# - sample, watch photographs come out of noise, and complete
#   photographs;
# - ask the same network less often, by five samplers, and find
#   the cheapest that is as good as a thousand evaluations;
# - see how a wrong setting turns a good sampler into a bad one,
#   and a comparison into a wrong conclusion;
# - put numbers on the samples that would stand in a review.
#
# You need
# [8 · One network for all noise levels](08_noise_conditional.ipynb),
# [9 · Architecture](09_architecture.ipynb) and
# [10 · Train and sample](10_train_and_sample.ipynb); and, for the
# numbers, [12 · Judging samples](12_judging_samples.ipynb). The
# letters are on the page of [symbols](symbols.md).
#
# On Google's Colab the next cell gets the package; anywhere else it does nothing.

# %%
import sys

if "google.colab" in sys.modules:
    raise SystemExit("Give the address of the project's repository here: %pip install -q git+https://...")

# %%
import json
import math
import tempfile
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot as plt
from sklearn.datasets import load_sample_images
from torch.utils.flop_counter import FlopCounterMode

import ncsn_edu as ne
from ncsn_edu import datasets, denoise, last, practice, probability_flow, recipes, save_figure, show
from ncsn_edu.commands.common import find_device
from ncsn_edu.figures import source_checkout
from ncsn_edu.logs import read_log, summary
from ncsn_edu.pictures import fit_image, preset_mask
from ncsn_edu.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, use_style
from ncsn_edu.plots import images as draw_images
from ncsn_edu.schedules import karras
from ncsn_edu.trained import WEIGHTS, load_trained, shipped
from ncsn_edu.training import EMA
from ncsn_edu.widgets import InpaintingExplorer, ResamplingExplorer

use_style()

# %% [markdown]
# Everything below follows from `SOURCE`. It names weights that
# come with the package, or the folder of a run of your own.
# `DEVICE` is a GPU where there is one that works, and else the
# processor: the same choice that the commands make.

# %%
ROOT = source_checkout() or Path.cwd()  # where this repository lies, wherever the notebook is opened
SOURCE = "cifar10_small"  # or: "cifar10_classes", or ROOT / "runs" / "cifar10-paper"
DEVICE = find_device(None)
net = load_trained(SOURCE, device=DEVICE)
size = sum(p.numel() for p in net.score.parameters())
batch = net.recipe.optimisation.batch_size
print(f"{SOURCE}: {net.recipe.network.title} of {size:,} parameters, after {net.step:,} steps of {batch} images")

# %% [markdown]
# **With a GPU, the whole notebook about the paper's own
# network.** Run these four lines where the repository lies:
#
# ```
# python -m ncsn_edu data get cifar10
# python -m ncsn_edu train cifar10 --scale paper --bf16 --compile
# python tools/quality.py runs/cifar10-paper --out runs/cifar10-paper/quality.json
# python -m ncsn_edu lab
# ```
#
# The first fetches the data (170 MB). The second trains, for
# hours to days (section 13.1 has a table). The third measures the
# numbers of section 13.5. In the notebook that the fourth opens,
# write `SOURCE = ROOT / "runs" / "cifar10-paper"` and run all
# cells. The path holds in the notebooks of the project and in the
# learner's copy.


# %%
def numbers_of(what):
    """What was measured with this network: it came with the weights, or lies in the folder of the run."""
    path = WEIGHTS / f"{SOURCE}_{what}.json" if SOURCE in shipped() else Path(SOURCE) / f"{what}.json"
    return json.loads(path.read_text())


# %% [markdown]
# ## 13.1 The bill
#
# Before training anything for days, count. The unit is the FLOP,
# one multiplication or one addition. A convolution with a
# $3 \times 3$ kernel from $c$ to $c'$ channels does
# $2 \cdot 9 \cdot c\, c'$ of them at each pixel, and convolutions
# are nearly all that these networks do. PyTorch counts along
# while a network runs.
#
# A training step needs the loss, the gradient by the activations
# and the gradient by the weights. Each of the three costs about
# as much as one evaluation. So, for $B$ images a step and $N$
# steps,
#
# $$ \text{training} \approx 3 \cdot B \cdot N \cdot \text{evaluation}, \qquad
#    \text{sampling} = (\text{evaluations an image}) \cdot \text{evaluation} . $$


# %%
def count(recipe):
    """Parameters, and FLOPs of one evaluation of one image."""
    model = recipe.build(3, 32)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.rand(1, 3, 32, 32), torch.tensor([0.01]))
    return sum(p.numel() for p in model.parameters()), counter.get_total_flops()


# %%
runs = {("cifar10", "paper"): "NCSN", ("cifar10_v2", "paper"): "NCSNv2", ("cifar10_small", "laptop"): "compact"}
bill = {}

# %%
for (name, scale), label in runs.items():
    recipe = recipes.RECIPES[name][scale]
    n_parameters, flops = count(recipe)
    bill[label] = 3 * recipe.optimisation.batch_size * recipe.optimisation.n_steps * flops
    print(
        f"{label:8} {n_parameters / 1e6:5.1f} million parameters, {flops / 1e9:5.2f} GFLOP, training {bill[label]:.1e}"
    )

# %% [markdown]
# Now divide by a speed. One speed is measured: the log that came
# with the weights says how long two CPU cores took. All speeds of
# GPUs here are computed: makers state a rate for the matrix units
# (bfloat16) and one for plain float32, and a network of this kind
# gets a part of it, because narrow layers, norms and activations
# leave much of the card waiting. We assume 30 % of the stated
# rate in bfloat16, if everything in the next section is right,
# and half of the stated rate in float32 on cards without
# bfloat16. (Newer cards take convolutions in float32 to the
# matrix units as well, with factors rounded to 10 binary digits,
# which is called TF32. Its stated rate is half of that of
# bfloat16, and twice the memory is moved: without `--bf16`
# training is perhaps a third as fast there, not a tenth.)
# Stated, in units of $10^{12}$ FLOP a second and without
# sparsity: T4 8.1 and V100 15.7 in float32; RTX 4090 165, A100
# 312 and H100 989 in bfloat16.
#
# **Predict:** how long does the paper's training take on the two
# cores: a day, a week, three months? And on the GPUs?
#
# <details><summary>Answer</summary>
#
# 91 days on the two cores. On a T4, which free notebooks lend,
# more than four days; on a V100, a card of 2018, two days; eight
# hours on an RTX 4090, four and a half on an A100, and an hour
# and a half on an H100. The compact network took 57 minutes on
# the two cores: that is what it was made for. NCSNv2 costs half
# as much again, as it is trained for longer.
# </details>

# %%
measured = numbers_of("training")["seconds"][-1] if SOURCE in shipped() else None
speeds = {"two CPU cores": bill["compact"] / measured if measured else 2e11}
speeds |= {"T4, float32": 0.5 * 8.1e12, "V100, float32": 0.5 * 15.7e12}
speeds |= {"RTX 4090, bfloat16": 0.3 * 165e12, "A100, bfloat16": 0.3 * 312e12, "H100, bfloat16": 0.3 * 989e12}
print("hours of training   " + "".join(f"{name:>10}" for name in bill))
for machine, speed in speeds.items():
    print(f"{machine:20}" + "".join(f"{flops / speed / 3600:10.3g}" for flops in bill.values()))

# %%
fig, ax = plt.subplots(figsize=(7.6, 3.4))
for (label, flops), color in zip(bill.items(), (BLUE, GREEN, ORANGE), strict=True):
    hours = [flops / speed / 3600 for speed in speeds.values()]
    ax.plot(hours, range(len(speeds)), "o", mfc="none", mew=1.5, color=color, label=f"{label}, computed")
if measured:
    ax.plot(measured / 3600, 0, "o", color=ORANGE, label="compact, measured")
ax.set(xscale="log", yticks=range(len(speeds)), yticklabels=speeds, xlabel="hours of training", ylim=(5.5, -0.5))
for hours, word in ((1 / 60, "minute"), (1, "hour"), (24, "day"), (24 * 30, "month")):
    ax.axvline(hours, color=GREY, lw=0.6)
    ax.text(hours, -0.6, word, ha="center", va="bottom", fontsize=8, color=GREY)
ax.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
days = bill["NCSN"] / speeds["two CPU cores"] / 86400
save_figure(
    fig,
    "cifar_bill",
    alt="Hours of training on a logarithmic axis, for six machines from two CPU cores to an H100, and three networks. "
    "NCSN takes three months on two cores, days on old cards, an hour and a half on an H100; the compact one an hour.",
    caption="The bill: computed from FLOPs and stated speeds (rings); one point is measured (filled).",
    numbers={"days": days, "compact": bill["compact"]},
    tolerance={"days": 1, "compact": 1e12},
)

# %% [markdown]
# What does the compact network give up? It is the U-Net of
# [notebook 10](10_train_and_sample.ipynb) with four resolutions
# in place of two, and attention at the smallest: a 25th of the
# parameters, a 115th of the work for each image, and it is shown
# a 20th as many images. Together that is three orders of
# magnitude. Two things make up for a part of it: it takes any
# $\sigma$, so that better samplers can be used, and its recipe
# has what was learned after 2019.
#
# | | `cifar10` | `cifar10_v2` | `cifar10_small` |
# |---|---|---|---|
# | source | Song & Ermon 2019 | Song & Ermon 2020 | ours |
# | network | RefineNet, width 128, one scale and shift a level | RefineNet, $s(x)/\sigma$ | U-Net, told $\log \sigma$; see 13.3 |
# | levels | 10, $1 \to 0.01$ | 232, $50 \to 0.01$ | any, $20 \to 0.01$ |
# | batch, steps | 128, 200,000 | 128, 300,000 | 64, 20,000 |
# | learning rate | $10^{-3}$ | $10^{-4}$ | $2 \cdot 10^{-3}$, rising at first, falling to 0 at the end |
# | average of the weights | none in the paper; here 0.999 | 0.999 | 0.9995 |
# | images | flipped half of the time | the same | the same |
#
# Look at the levels. The paper starts at $\sigma = 1$, from
# uniform noise. But two photographs are up to 51 apart. With
# noise of 1 that is still a gap of 51 standard deviations, which
# no chain crosses, and what a chain becomes is settled by its
# start ([notebook 7](07_annealing.ipynb)). NCSNv2 takes 50, the
# largest distance. We take 20: a gap of two and a half is
# crossed.
#
# ## 13.2 Fast, and stopped at any time
#
# Two words make the paper's training fast on a GPU, and two more
# let it fit into slices of an hour. (The data must be there:
# `python -m ncsn_edu data get cifar10`.)
#
# ```
# python -m ncsn_edu train cifar10 --scale paper --bf16 --compile --minutes 55
# python -m ncsn_edu train cifar10 --scale paper --bf16 --compile --minutes 55 --resume
# ```
#
# - **bfloat16** for the convolutions (`--bf16`): half the memory
#   traffic, and the fast units of the card. Weights, losses and
#   the optimiser stay in float32: a step of Adam changes a weight
#   by less than bfloat16 can tell.
# - **channels last.** The matrix units want the channels of a
#   pixel side by side. With bfloat16 the recipe lays out the
#   weights in that way without being asked.
# - **one kernel in place of many** (`--compile`). Norm and
#   activation are cheap sums over a lot of memory; compiled, they
#   are done in one pass. It takes minutes at the beginning, and
#   the log says how many. If it fails, training continues without
#   it and says so. `--compile reduce-overhead` adds CUDA graphs,
#   which help where a step is so short that launching it takes
#   longer than doing it.
# - **data on the device.** All 50,000 images are 154 MB as bytes.
#   They go there once, and a batch is an index.
# - **nobody waits.** Reading a loss makes the CPU wait for the
#   GPU, and the GPU runs dry while the CPU thinks of the next
#   step. So the losses of fifty steps are looked at together.
#   Adam (`fused`) and the average of the weights are one kernel
#   each:

# %%
show(EMA)

# %% [markdown]
# How much is each of them worth? That is a ratio, measured in one
# process with all variants taking turns, against the textbook
# module in float32 with the plainest loop.
# `tests/benchmarks/bench_gpu.py` does so in about eight minutes,
# counts images per second for training and sampling, the share of
# the card's own measured matrix product, and memory. Its numbers
# belong to a card. The next cell shows them where they have been
# measured and lie beside the weights, as
# `ncsn_edu/weights/cifar10_speed.json`.

# %%
speed = WEIGHTS / "cifar10_speed.json"
if speed.is_file():
    measured = json.loads(speed.read_text())
    print(f"{measured['device']}, batch {measured['batch']}, peak {measured['peak_tflops']} TFLOP/s")
    for way, row in measured["ways"].items():
        train, sample = row["training"], row["sampling"]
        print(f"{way:34} training x{train['ratio']:.2f} ({train['of peak']:.0%})  sampling x{sample['ratio']:.2f}")
else:
    print("not measured on a GPU yet: python tests/benchmarks/bench_gpu.py --out", speed.name)

# %% [markdown]
# A long run is stopped many times: by a power cut, by a queue
# that gives a job an hour, by somebody who needs the card.
# `--minutes`, Ctrl-C and a cluster's signal all finish the step
# that has begun and write a checkpoint. It holds the weights,
# their average, the optimiser and the state of every random
# generator, so that a run in slices equals one that was never
# stopped: on a CPU to the last bit. (Tests kill it at random
# moments, and compare.) A GPU draws the same batches and the same
# noise; but it does not fix the order of some of its sums, and
# two runs differ there by rounding, with or without a stop.
#
# Where only the average of the weights was kept, `--from` begins
# with it and with an empty optimiser. That is another run, and
# the log says so. Adam's averages are filled again within a few
# hundred steps; `--warmup 500` keeps it from jumping in the
# meantime.
#
# **Trap: a larger batch is no free speed-up.** Eight GPUs with a
# batch of 128 each make a batch of 1024, and an eighth of the
# steps for as many images. With Adam one multiplies the rate by
# the square root of the factor and lets it rise slowly
# (`--batch 1024 --lr 2.8e-3 --warmup 1000`). Then compare losses
# at equal *minutes*, and not at equal steps nor at equal epochs.
# The README has the launch lines for several GPUs and for a
# cluster.
#
# What can go wrong, and what then? Out of memory: the message
# names the knob, a smaller `--batch`. A device without
# instructions for bfloat16, such as most laptops' processors: the
# first line says that training is in float32, which is there two
# to three times as fast as bfloat16 emulated. A loss that is not finite: training stops within
# fifty steps, with the step and the level, and the last
# checkpoint is from before.
#
# ## 13.3 A loss of 1536, and down
#
# One check is free. A score of zero costs
# $\tfrac12 \lVert z \rVert^2$, and there are
# $32 \cdot 32 \cdot 3 = 3072$ pixel values: $D/2 = 1536$ at every
# level, whatever the images are. So we may feed a loss with noise
# in place of photographs, and see whether shapes, levels and the
# factor $\tfrac12$ are right.
#
# Beside it stands the loss of our U-Net before its first step. It
# does not begin at zero, and that is on purpose.

# %%
nothing, generator = torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.Generator()
fresh = recipes.RECIPES["cifar10_small"]["laptop"].build(3, 32)
for name, score in {"zero": lambda x, sigma: torch.zeros_like(x), "U-Net, fresh": fresh}.items():
    with torch.no_grad():
        costs = {
            sigma: ne.dsm(score, nothing, sigma, generator=generator.manual_seed(1)).mean() for sigma in (20, 1, 0.01)
        }
    print(f"{name:12}", *(f"  sigma {sigma:4}: {cost:6.1f}" for sigma, cost in costs.items()))

# %% [markdown]
# (1543 and not 1536: the mean over 64 images scatters by
# $\sqrt{D/2}/8 \approx 5$.)
#
# **Trap: noise that is guessed to within 5 %.** The U-Net of
# notebook 10 guesses the noise $z$, and its score is minus the
# guess by $\sigma$. Suppose that it is off by 5 %. At
# $\sigma = 0.01$ this moves a pixel by 0.0005. At $\sigma = 20$
# it moves it by 1, four times as much as the pixels of
# photographs vary. Langevin dynamics forgets such an error, as
# every step adds fresh noise. A flow, which adds none, keeps it.
#
# It happened to the first network for this notebook. After 6000
# steps its loss at $\sigma = 20$ was 3.4, which looks like
# nothing beside 1536. But $\sqrt{2 \cdot 3.4 / 3072} = 0.047$:
# just these 5 %. Its samples were coloured noise.
#
# So the part that a Gaussian knows is written down, and not
# learned. Suppose that we knew of images only that pixels lie
# around $\tfrac12$, with a standard deviation of $\tfrac12$ at
# most. The score would be
# $-(x - \tfrac12)/(\tfrac14 + \sigma^2)$. The network adds what
# it knows beyond that. With $u = (2x - 1)/\sqrt{1 + 4 \sigma^2}$,
# the scaled input that it had before,
#
# $$ s(x, \sigma) = \frac{ f(u, \log \sigma)/\sigma - 2u }{ \sqrt{1 + 4\sigma^2} } . $$
#
# **Write it.** This score, for a bare network `f(u, log_sigma)`
# whose output is no score.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_score(f, x, sigma):
#     root = math.sqrt(1 + 4 * sigma**2)
#     u = (2 * x - 1) / root
#     return (f(u, math.log(sigma)) / sigma - 2 * u) / root
# ```
# </details>


# %%
def my_score(f, x, sigma):  # x: (B, D); returns (B, D)
    ...


practice.preconditioned(my_score)

# %% [markdown]
# For small $\sigma$ only $f/\sigma$ counts, as before (with $-f$
# for $f$). For large $\sigma$ the denoised image is
# $x + \sigma^2 s \approx \tfrac12 + \tfrac12 f$: now $f$ guesses
# the image, and an error of 5 % in $f$ is 0.025 in a pixel. That
# is the "preconditioning" of Karras et al. 2022, whose
# $c_\text{in}$ is $2/\sqrt{1 + 4\sigma^2}$, applied to
# $x - \tfrac12$. The printed line says what it is worth before
# any training: 0.3 at $\sigma = 20$, where 6000 steps had got to
# 3.4 without it.
#
# The weights of the loss have to change as well. The loss now
# hardly depends on $f$ at large $\sigma$; the smallest levels
# would be learned first, and the large ones never. So each
# example is weighed by $1 + 4\sigma^2$, which makes its loss
# $\tfrac12 \lVert f - f^* \rVert^2$, with $f^*$ the best $f$ for
# that example, at every level. (Only the gradient sees these
# weights. The losses that are logged and drawn are those of the
# paper, with $\lambda = \sigma^2$, and can be compared with
# 1536.)
#
# The network of this notebook was trained by
#
# ```
# python -m ncsn_edu train cifar10_small
# ```
#
# on two cores, and its log came with the weights.
#
# **Predict:** two curves. On the left the loss against minutes,
# on logarithmic axes: it begins below 1536, as you now know, and
# how far does it get? On the right the loss at each noise level,
# at the end: which level is the most expensive, by which factor,
# and how is the rest of the loss shared?
#
# <details><summary>Answer</summary>
#
# It begins near 710, which is the mean of nearly nothing at the
# large levels and 1536 at the small ones. One minute later it is 270.
# The other 56 minutes bring it to 171. The most expensive level
# is that of the smallest noise: 740, half of 1536. Noise of 0.01
# is two and a half grey values, and this network can tell only
# half of its variance from the texture of a photograph. At
# $\sigma = 20$ the loss is 0.28, less by a factor of
# 2600. The five smallest of the twenty levels make three quarters
#       of the loss.
# </details>

# %%
log = numbers_of("training") if SOURCE in shipped() else summary(read_log(Path(SOURCE)))
losses = log["loss"]
fig, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3.3))
left.loglog([seconds / 60 for seconds in log["seconds"]], losses, color=BLUE, lw=0.8)
left.set(xlabel="minutes of two CPU cores", ylabel="loss", title="means of ten steps")
right.loglog(net.sigmas, log["levels"], "o-", color=ORANGE)
right.set(xlabel=r"$\sigma$, from first to last level", xlim=(30, 0.007), title="by level, last 1000 steps")
for ax in (left, right):
    ax.axhline(1536, color=GREY, ls="--", lw=0.8)
left.text(0.03, 1560, "a score of zero: 1536", va="bottom", fontsize=8, color=GREY)
left.set(ylim=(140, 2000), yticks=(200, 400, 800, 1600), yticklabels=("200", "400", "800", "1600"))
left.minorticks_off()
save_figure(
    fig,
    "cifar_training",
    alt="Left: the loss against minutes, both logarithmic, from 710 to 270 within a minute and to 171 in an hour. "
    "Right: the loss by level rises from 0.28 at sigma 20 to 740 at sigma 0.01, half of the dashed line at 1536.",
    caption="Training of the compact network: the loss over time, and by noise level at its end.",
    numbers={"end": sum(losses[-10:]) / 10, "largest": log["levels"][0], "smallest": log["levels"][-1]},
)

# %%
by_level, sigmas = np.array(log["levels"]), net.sigmas.numpy()
middle = by_level[(sigmas < 4.1) & (sigmas > 0.54)].sum() / by_level.sum()
paper = np.exp(np.interp(-np.log(ne.geometric(1, 0.01, 10).numpy()), -np.log(sigmas), np.log(by_level)))
print(f"smallest / largest level {by_level[-1] / by_level[0]:.0f}; its share of D/2 {by_level[-1] / 1536:.2f}")
print(f"shares: five smallest levels {by_level[-5:].sum() / by_level.sum():.2f}, sigma 4 to 0.5 {middle:.3f}")
print(f"on the ladder of the paper: {paper.mean():.0f}")
quarters = [np.mean(part) for part in np.array_split(losses, 4)]
print("mean loss of each quarter of the steps:", *(f"{mean:.1f}" for mean in quarters))

# %% [markdown]
# What does such a curve tell? That nothing broke: no jump, no
# rise. And that little happens after the first quarter: the
# printed means fall by 3, and then by 5, each give or take 1.4.
# The larger fall is that of the last quarter, in which the
# learning rate falls to 0. It does not tell how good the samples
# are. In the second thousand of steps the loss was 204, which is
# a fifth more than at the end, and the samples were clouds of
# colour. What turns them into photographs is decided between
# $\sigma = 4$ and $0.5$ (next section), and the six levels from
# 4.04 to 0.55 together are 3.3 % of the loss.
#
# How would the paper's network compare? Losses can be compared
# for equal ladders only, and its ladder goes from 1 to 0.01 and
# has none of the cheap large levels. On those ten levels our
# network has the loss of the last printed line, interpolated
# between the dots on the right: that is the number to compare
# with.
#
# ## 13.4 Photographs out of noise
#
# How to sample? A thousand evaluations of annealed Langevin
# dynamics are the paper's way. Our network takes any $\sigma$,
# and that allows a shorter one. It is worth two lines of
# derivation.
#
# Adding noise is diffusion. With $t = \sigma^2$ the density of
# the noisy images follows the heat equation,
#
# $$ \frac{\partial p}{\partial t} = \tfrac12 \Delta p = \nabla \cdot \big( p \cdot \tfrac12 \nabla \log p \big) , $$
#
# since $p\, \nabla \log p = \nabla p$. On the right stands what
# happens to a density whose points all *move*, without any noise,
# with the velocity $v = -\tfrac12 \nabla \log p$: then
# $\partial p / \partial t = -\nabla \cdot (p\, v)$. So random
# diffusion and this orderly flow change the density in the same
# way, and the flow can be run backwards. With
# $dt = 2 \sigma\, d\sigma$,
#
# $$ \frac{dx}{d\sigma} = -\sigma\, s(x, \sigma) . $$
#
# This is the **probability flow** (Song et al. 2021). Start with
# noise of $\sigma_1 = 20$, follow the flow down to 0.01, and the
# points that you get are distributed as the data are. One start
# gives one image, and always the same. And the flow is an
# ordinary differential equation, for which there are good
# solvers. We take Heun's method and 18 levels, spaced as Karras
# et al. 2022 found best: few at large $\sigma$, where little is
# decided.

# %%
show(ne.odes._fixed, ne.diffusion.OnPath.slope, docstring=False)

# %% [markdown]
# `slope` is the velocity: for a ladder `f` is 0, and half of the
# variance rate $2 \sigma$ is $\sigma$. `probability_flow` hands both
# to each other. It asks the network twice a step, 34 times in all,
# and once more to denoise. A network that knows its ten levels only can follow
# the flow from one of them to the next, which is too far for good
# samples: for the paper's network `draw` takes annealed Langevin
# dynamics.

# %%
first, lowest = net.sigmas[0].item(), net.sigmas[-1].item()
levels = karras(first, lowest, 18) if net.recipe.noise.continuous else net.sigmas


# %%
def draw(n: int, seed: int) -> torch.Tensor:
    """n images, by the cheapest sampler that suits the network."""
    generator = torch.Generator(DEVICE).manual_seed(seed)
    x = net.start(n, generator=generator)
    if not net.recipe.noise.continuous:
        return last(ne.annealed_langevin(net.score, x, net.sigmas, generator=generator, **vars(net.sampling)))
    x = x + first * ne.noise_like(x, generator)
    return denoise(net.score, last(probability_flow(net.score, x, levels)), lowest)


# %% [markdown]
# **Predict:** 60 samples, none of them chosen. This network has
# seen photographs for an hour, where the paper's saw them for
# days. What will it have learned: colours, light and dark, sky
# and ground, outlines of things, things?
#
# <details><summary>Answer</summary>
#
# Colours that go together; a sky that is bright and a ground that
# is not, with a horizon between them; something in the middle, of
# the size of a car, a boat or an animal, with light on it,
# sometimes on legs or wheels. Hardly a thing that you could name
# with confidence. They look like paintings of photographs.
# </details>

# %%
x = draw(60, seed=1)
fig, ax = plt.subplots(figsize=(9, 3.9))
draw_images(ax, x, columns=12)
save_figure(
    fig,
    "cifar_samples",
    alt="Sixty small colour images in five rows. Many look like landscapes, animals or vehicles from afar, with sky "
    "and ground and something in the middle; up close hardly any thing can be named.",
    caption="Sixty samples of the compact network by the probability flow, 35 evaluations each, none chosen.",
    numbers={"mean": x.mean(), "std": x.std()},
    tolerance=0.02,
)

# %% [markdown]
# Three or four seconds for sixty images, on a laptop. With the
# paper's network and a thousand evaluations each, by the rule of
# 13.1, they would take an hour and a half on the same machine.
#
# What is missing are *things*. Is that the sampler's fault, the
# network's, or that of the short training? The next section asks
# the first question: it spends thirty times as many evaluations
# on the same network.
#
# Now watch four of them form. At a large $\sigma$ nothing can be
# seen in $x$ itself. But the network has a guess of what is
# behind the noise, the mean of all images that $x$ might have
# come from: $x + \sigma^2 s(x, \sigma)$, the denoised image.
#
# **Predict:** each column is a stage of the flow; of each pair of
# rows the upper one shows $x$ and the lower one the guess. What
# does the first guess look like? In which order do place, colour
# and detail come?
#
# <details><summary>Answer</summary>
#
# The first guess is the same grey fog for all, a little warmer in
# the middle: the mean of all photographs, as noise of 20 leaves
# hardly a hint of which one. Light, dark and colour take their
# places between $\sigma = 8$ and 2, outlines between 2 and 0.4,
# grain and edges last. That is the order in which noise hides
# things, backwards: what is large and smooth has many pixels that
# agree, and can be seen through more noise. And look how early it
# is settled: at $\sigma = 1$ you still see nothing in the upper
# row, while the lower one only gets sharper from there on.
# </details>

# %%
generator = torch.Generator(DEVICE).manual_seed(1)
x = net.start(4, generator=generator)
x = x + first * ne.noise_like(x, generator)
stages = {first: x}
for state in probability_flow(net.score, x, levels):
    if state.level % 2:
        stages[state.sigma] = state.x

# %%
guesses = [denoise(net.score, x, sigma) for sigma, x in stages.items()]
rows = torch.stack([torch.stack([*stages.values()], 1), torch.stack(guesses, 1)], 1)  # (4, 2, stages, 3, 32, 32)
fig, ax = plt.subplots(figsize=(9, 7.2))
draw_images(ax, rows.flatten(0, 2), columns=len(stages))
for column, sigma in enumerate(stages):
    ax.text(33 * column + 16, -3, f"{sigma:.2g}", ha="center", fontsize=9)
ax.text(-2, -3, r"$\sigma$ =", ha="right", fontsize=9)
for row in range(8):
    ax.text(-2, 33 * row + 16, "guess" if row % 2 else "$x$", ha="right", va="center", fontsize=9)
numbers = {"first_guess_std": guesses[0].std(0).mean(), "last_guess_std": guesses[-1].std(0).mean()}
save_figure(
    fig,
    "cifar_flow",
    alt="Four images on their way from sigma 20 to 0.01, in pairs of rows: x is pure noise down to about 0.4, while "
    "the guess below it turns from grey fog into light and dark at 4, outlines at 1, and details at the end.",
    caption="The flow from noise to photographs: $x$, and below it the network's guess of what is behind the noise.",
    numbers=numbers,
    tolerance={"first_guess_std": 0.003, "last_guess_std": 0.02},
)

# %% [markdown]
# ## 13.5 The same quality for less
#
# The paper asks its network a thousand times for an image. Most
# of that is not needed. Here are five ways to ask less often, all
# of them with the same network:
#
# - **annealed Langevin dynamics with fewer steps**, $T$ a level,
#   and the step size that goes with it. Technique 4 of Song &
#   Ermon 2020: choose $\epsilon$ so that after $T$ steps the
#   noise in the chain is just that of its level. `eps_for_steps`
#   solves their equation.
# - **consistent annealed sampling** (Jolicoeur-Martineau et al.
#   2021): one step a level. It takes away a share $\eta$ of the
#   noise and adds as much as is missing to the noise of the next
#   level. Langevin dynamics never quite gets there: it leaves a
#   surplus at each level.
# - **ancestral sampling** (Song et al. 2021): also one step a
#   level. More noise than the next level has is taken away by the
#   score, and a part of it is added again, as the exact posterior
#   would for a known clean image.
# - **predictor and corrector**: a step of reverse diffusion, then
#   a step of Langevin dynamics at the new level, which repairs
#   what the first did wrong. Two evaluations a level.
# - **the probability flow** with Heun's method, from above.
#
# **Write it.** The step of consistent annealed sampling from
# $\sigma$ (`sigma`) to $\sigma'$ (`lower`), with the score `s` at
# $x$ and standard normal noise `z`. Taking the share $\eta$ away
# is $x + \eta\,\sigma^2 s$. What is left has standard deviation
# $(1 - \eta)\,\sigma$. How much variance is missing?
#
# <details><summary>Solution</summary>
#
# ```python
# def my_step(x, s, sigma, lower, eta, z):
#     fresh = math.sqrt(lower**2 - (1 - eta) ** 2 * sigma**2)
#     return x + eta * sigma**2 * s + fresh * z
# ```
# </details>


# %%
def my_step(x, s, sigma, lower, eta, z):  # x, s and z: (B, D); returns (B, D)
    ...


practice.consistent_step(my_step)

# %% [markdown]
# Under the root there must be no negative number:
# $\eta \ge 1 - \gamma$, with $\gamma = \sigma'/\sigma$. So the
# smallest $\eta$ depends on the ladder: from 20 to 0.01 it is
# 0.33 for 20 levels, and 0.074 for 100. Keep that in mind.
#
# A comparison of samplers has its own traps. The start has to be
# noise of the *first* level: a flow or a chain of single steps
# has no time to forget a wrong start. (Langevin dynamics makes
# that noise itself, in its first steps.) All of them end with the
# same denoising step; without it a sampler that ends at
# $\sigma = 0.01$ is punished for noise that nobody sees. And the
# numbers below are distances in the features of a classifier from
# *512* samples, so that none of them can be smaller than what
# real images get at 512.
#
# `tools/quality.py` makes all of that with the commands `sample`
# and `evaluate`, one setting after another, and writes a file
# that came with the weights. (For a run of your own:
# `python tools/quality.py runs/cifar10-paper --out runs/cifar10-paper/quality.json`.)

# %%
quality = numbers_of("quality")
known = {what: {m["name"]: m["value"] for m in found} for what, found in quality["rows"][0]["scale"].items()}
names = {"annealed_langevin": "annealed Langevin", "corrector": "predictor, corrector", "flow": "flow, Heun"}
curves: dict[str, dict[int, float]] = {}  # evaluations -> distance
for row in quality["rows"]:
    name, distance = names.get(row["sampler"], row["sampler"]), row["numbers"][0]["value"]
    if name == "consistent":
        name += ", η of the ladder" if "--eta" in row["asked"] else ", η = 0.5"
    curves.setdefault(name, {})[row["evaluations"]] = distance
about = quality["rows"][0]["numbers"][0]
print(f"{about['name']}, features of {about['net']}, {about['n']} samples against {about['n_reference']} real images")

# %% [markdown]
# **Predict:** distance against the number of evaluations, both
# logarithmic, one curve for each sampler. Consistent annealed
# sampling has two: with $\eta = 0.5$ for every ladder, its
# default, and with $\eta = 1.5\,(1 - \gamma)$, which follows the
# ladder. Which sampler is best at 20 evaluations, which at 1000?
# Beyond how many evaluations does it stop mattering? Do more
# levels help both consistent curves?
#
# <details><summary>Answer</summary>
#
# The flow is best everywhere. With 19 evaluations it is at 18.0,
# with 35 at 17.1, and with 99 at 17.0: beyond 35 it does not
# matter how often one asks. Ancestral sampling comes near with
# fifty. Annealed Langevin dynamics is still at 23 after a
# thousand, and falling. Consistent annealed sampling gets *worse*
# with more levels if $\eta$ stays at 0.5, from 22 to 40; with the
# $\eta$ of the ladder it gets better, from 40 with ten levels to
# 18, and is as good as ancestral sampling. The floor, 1.1, is far
# below all of them.
# </details>

# %%
looks = {"flow": (GREEN, -8), "ancestral": (PURPLE, 10), "predictor": (RED, 0), "annealed": (BLUE, 0)}
fig, ax = plt.subplots(figsize=(9, 4.8))
for sampler, points in curves.items():
    asked, values = zip(*sorted(points.items()), strict=True)
    color, shift = looks.get(sampler.replace(",", " ").split()[0], (ORANGE, 10 if "0.5" in sampler else 0))
    ax.loglog(asked, values, "o--" if "0.5" in sampler else "o-", color=color, ms=4)
    where = {"xytext": (6, shift), "textcoords": "offset points", "va": "center"}
    ax.annotate(sampler, (asked[-1], values[-1]), color=color, fontsize=9, **where)
for what, found in known.items():
    ax.axhline(found["Frechet distance"], color=GREY, ls=":", lw=0.8)
    above = "bottom" if "training images" in what else "top"
    ax.text(2900, found["Frechet distance"], what, fontsize=8, color=GREY, va=above, ha="right")
ax.set(xlabel="evaluations of the network for an image", ylabel="Frechet distance", xlim=(7.5, 3000), ylim=(0.8, 200))
ax.set_xticks((10, 20, 50, 100, 200, 500, 1000), ("10", "20", "50", "100", "200", "500", "1000"))
numbers = {f"{sampler}, best": min(points.values()) for sampler, points in curves.items()}
save_figure(
    fig,
    "cifar_evaluations",
    alt="Frechet distance against evaluations, for six ways to sample. The flow is lowest, 17 from 35 evaluations on. "
    "Consistent sampling rises with eta 0.5 and falls to the ancestral curve with eta of the ladder.",
    caption="Quality against cost with one network: 512 samples each, and the distances of known sets for comparison.",
    numbers=numbers,
)

# %%
most = [value for points in curves.values() for n, value in points.items() if n >= 1000]
cheap = {name: min((v for n, v in points.items() if n <= 101), default=math.nan) for name, points in curves.items()}
print(f"a thousand evaluations: {min(most, default=math.nan):.1f}")
for sampler, value in cheap.items():
    print(f"at most 101, {sampler:28}: {value:.1f}")

# %% [markdown]
# So 19 evaluations of the flow beat 1001 of the paper's sampler,
# with one and the same network: fifty times less work, by a
# change of sampler alone. And the green curve answers the
# question of the last section: it is flat from 35 evaluations on.
# What is missing in the samples is not the sampler's fault. The
# other 16 of distance, down to the floor, would have to come from
# a better score. A net of three times as many parameters that was
# trained for longer takes three of them, and when it is told what
# to draw, nine more: `cifar10_classes`, of which
# [notebook 19](19_conditions.ipynb) makes photographs by class
# ([card](../ncsn_edu/weights/cifar10_classes.md)).
#
# **The second lesson is the orange pair.** Both curves are the
# same sampler. With $\eta = 0.5$ half of the noise is replaced at
# every level, however close the levels are. With a hundred levels
# only 7 % would have to go from one level to the next. What goes
# is replaced by the network's *guess*, the mean of all images
# that are possible. Each time a bit of variety is lost, and
# nothing brings it back: at a hundred levels recall is 0.04 with
# $\eta = 0.5$, and 0.13 with the $\eta$ of the ladder. Whoever
# had run the default only would have written that consistent
# annealed sampling gets worse with more levels. That is wrong: a
# fixed $\eta$ gets worse.
#
# Its authors do choose $\eta$ for the ladder. Their settings come
# to $5.6 \cdot 10^{-6} / 10^{-4} = 0.056$ at $\gamma = 0.964$,
# about $1.5\,(1 - \gamma)$: that is
# `consistent_annealed(..., eta=None)`, and `--eta ladder` on the
# command line. **Before you conclude that a method is bad, tune
# its settings for each length that you compare**, with as much
# care as those of your own.
#
# What the pictures say of the same comparison: each row below
# starts from the same eight noises.

# %%
noise = first * torch.randn(8, *net.shape, generator=torch.Generator(DEVICE).manual_seed(2), device=DEVICE)
hundred = ne.geometric(first, lowest, 100)
ways = {
    "flow, 11": (probability_flow, karras(first, lowest, 6), {}),
    "flow, 35": (probability_flow, levels, {}),
    "ancestral, 100": (ne.ancestral, hundred, {}),
    "consistent,\nη = 0.5, 100": (ne.consistent_annealed, hundred, {"eta": 0.5}),
    "consistent,\nη of the ladder, 100": (ne.consistent_annealed, hundred, {"eta": None}),
}
strips = {}
for way, (sampler, ladder, settings) in ways.items():
    own = {} if sampler is probability_flow else {"generator": torch.Generator(DEVICE).manual_seed(3)}
    strips[way] = denoise(net.score, last(sampler(net.score, noise, ladder, **own, **settings)), lowest)

# %% [markdown]
# **Predict:** eight samples of each of five ways, with the number
# of evaluations. Which strip is the smoothest? Do the images of
# the two rows of the flow resemble each other? And those of the
# three random samplers, which start alike and draw the same
# noise?
#
# <details><summary>Answer</summary>
#
# The smoothest by far is that of $\eta = 0.5$: soft shapes
# without texture, each near to a mean of many photographs. The
# two rows of the flow show the same pictures, rougher with 11
# evaluations. Ancestral sampling and consistent sampling with the
# $\eta$ of the ladder show similar pictures, because they are
# relatives (exercise 1) and draw the same noise; with
# $\eta = 0.5$ only the place of light and colour is left of them.
# </details>

# %%
fig, ax = plt.subplots(figsize=(8.4, 4.2))
draw_images(ax, torch.cat([*strips.values()]), columns=8)
for row, way in enumerate(strips):
    ax.text(-3, 33 * row + 16, way, ha="right", va="center", fontsize=8)
detail = {way.replace("\n", " "): x.clamp(0, 1).diff(dim=-1).abs().mean() for way, x in strips.items()}
save_figure(
    fig,
    "cifar_strips",
    alt="Five rows of eight samples. The two rows of the flow show the same pictures, rougher with 11 evaluations. "
    "Ancestral and consistent sampling with eta of the ladder show texture; with eta 0.5 all pictures are soft.",
    caption="Five ways to sample one network from the same eight starts; the number is that of evaluations.",
    numbers=detail,
    tolerance=0.003,
)

# %% [markdown]
# The other samplers deserve a reason, too.
#
# - **Annealed Langevin dynamics** ends each level with too much
#   noise, and hands it on. Technique 4 chooses the step so that
#   the variance is right for data that are a single point. In the
#   directions in which photographs vary the score is weaker, and
#   the noise of the level above goes away more slowly. Precision
#   notices: 0.09 with 101 evaluations and 0.58 with 1001, where
#   the flow has 0.82 and ancestral sampling 0.87.
# - **Predictor and corrector.** Its predictor adds as much noise
#   as it takes away, which is right for infinitely many levels
#   only. It was made for a thousand of them.
# - **Consistent annealed sampling** and ancestral sampling are
#   relatives: ancestral sampling takes the share
#   $\eta = 1 - \gamma^2$ (exercise 1). With the smallest $\eta$
#   that gets from level to level, $1 - \gamma$, no noise is
#   added, and consistent annealed sampling *is* the flow, by
#   Euler's method.
#
# On the digits of notebook 10, from $\sigma = 1$ down, annealed
# Langevin dynamics with 101 evaluations was good enough. A
# ranking of samplers belongs to a network, a ladder, a data set
# and a measure.
#
# ## 13.6 What a number is worth
#
# A distance of some size in the space of some classifier tells
# nothing by itself. You need sets of known quality to compare
# with. The command measures them as well:
#
# ```
# python -m ncsn_edu sample cifar10_small --n 1000 --npy samples.npy
# python -m ncsn_edu evaluate samples.npy
# ```

# %%
best = min(quality["rows"], key=lambda row: row["numbers"][0]["value"])
known[f"samples ({best['sampler']})"] = {number["name"]: number["value"] for number in best["numbers"]}
print(f"{'':28}{'Frechet':>9}{'kernel':>9}{'precision':>11}{'recall':>8}{'score':>7}")
for what, found in known.items():
    d, k, precision, recall, sharp = found.values()
    print(f"{what:28}{d:>9.1f}{k:>9.3f}{precision:>11.2f}{recall:>8.2f}{sharp:>7.2f}")

# %% [markdown]
# Read it from the outside in.
#
# - **Training images** are the floor: as many real images,
#   against the held-out ones. 1.1 is nothing but the bias of 512
#   images. With 1000, 2000, 5000 and 10,000 it is 0.49, 0.22,
#   0.13 and 0.10
#   ([model card](../ncsn_edu/weights/judge_cifar10.md)): it falls
#   like $1/n$ at first, as notebook 12 derives, and then a little
#   less, as the training images are not quite like others to a
#   network that was trained on them.
# - **Noise of 0.1** on real images: 59, although every person
#   would recognise them. This classifier has never seen noise,
#   and its features move far. So a sampler that leaves a little
#   noise behind is judged by that, and not by its images: the
#   denoising step is not optional here.
# - **A Gaussian** with the right mean and covariance of pixels is
#   at 42, one with its 32 largest components at 54. These have
#   the right colours, and the right smoothness. A model that is
#   not clearly below them has learned no more than a covariance.
# - **Our samples**: 17, four tenths of the Gaussian. Precision is
#   nearly that of real images, but this says little: the
#   over-smooth samples of consistent annealed sampling, with
#   $\eta = 0.5$ and 50 levels, have a much higher one, 0.94, at a
#   distance of 29. Recall is 0.17 where real images have 0.83:
#   there are kinds of photographs that the samples never show.
#   The score of 4.0, of at most 10 and of 9.2 for real images,
#   says the same: the classifier is rarely sure what it sees.
#
# The card of the weights has the same with 1024 samples, with
# intervals.
#
# ## 13.7 Copies?
#
# A network with a million parameters cannot hold 50,000
# photographs of 3072 numbers. It is still good practice to look,
# and to look in two spaces: pixels find a copy, features find the
# same thing, moved or in another light.
#
# The figure needs the data set (170 MB,
# `python -m ncsn_edu data get cifar10`), and two minutes; the
# stored one was made with it.
#
# **Predict:** which of the two neighbours will look more like the
# sample to you?
#
# <details><summary>Answer</summary>
#
# Neither is a copy. By pixels you get photographs with light and
# dark in the same places, and strikingly often smooth ones with
# little contrast, for those are near to everything. By features
# you get the same kind of colours and textures, in any place, and
# with more contrast. Most people find the second row nearer for
# some samples, the third for others.
# </details>


# %%
def neighbours(samples, photographs):
    """The nearest photograph of each sample: by pixels, and by the classifier's features."""
    from ncsn_edu.features import classifier_net, extract
    from ncsn_edu.metrics import nearest

    judge = classifier_net("cifar10")
    far, place = nearest(samples, photographs / 255)
    features = [extract(x, judge).values for x in (samples, photographs)]
    return far, photographs[place] / 255, photographs[nearest(*features)[1]] / 255


# %%
if datasets.available()["cifar10"]:
    shown, (photographs, _) = draw(60, seed=1).clamp(0, 1)[:12].cpu(), datasets.load("cifar10")
    far, by_pixels, by_features = neighbours(shown, photographs)
    fig, ax = plt.subplots(figsize=(9, 2.5))
    draw_images(ax, torch.cat([shown, by_pixels, by_features]), columns=12)
    for row, label in enumerate(("samples", "nearest by pixels", "nearest by features")):
        ax.text(-3, 33 * row + 16, label, ha="right", va="center", fontsize=9)
    save_figure(
        fig,
        "neighbours_cifar10",
        alt="Twelve samples, and below each the nearest training photograph by pixels and by features. None is a copy: "
        "by pixels light and dark lie in the same places, by features colours and textures are alike.",
        caption="Samples of the compact network and their nearest training images, in two spaces.",
        numbers={"distance": far.mean()},
        tolerance=0.2,
    )
else:
    print("CIFAR-10 is not here: python -m ncsn_edu data get cifar10")

# %% [markdown]
# ![samples, and their nearest training images](../figures/neighbours_cifar10.png)
#
# The mean distance by pixels is 9.8. Shared among 3072 numbers
# that is $9.8/\sqrt{3072} = 0.18$ for each, three quarters of
# what pixels vary at all. A copy would be near 0. So these
# samples were not learned by heart, in either sense. (For a large
# network that was trained for days the question is a serious one;
# see section 10.8 for what a perfect score does.)
#
# ## 13.8 Completing photographs
#
# No photograph of CIFAR-10 is needed: scikit-learn brings two
# pictures, a pagoda and a dahlia. We cut a square out of each and
# shrink it to 32x32. The network has never seen either.
#
# Inpainting needs time at every level, so that the missing part
# can come to terms with the known one. Here are two ways to spend
# about 400 evaluations:
#
# - **Algorithm 2** of [notebook 11](11_inpainting.ipynb), with
#   colours: annealed Langevin dynamics over the twenty levels,
#   twenty steps at each.
# - **Resampling** (Lugmayr et al. 2022, "RePaint"): a step of
#   ancestral sampling from $\sigma$ down to $\sigma'$, then the
#   known part is pasted with noise of $\sigma'$. That step has
#   filled the hole by what it saw *before* the pasting. So the
#   noise is put back, $x + \sqrt{\sigma^2 - \sigma'^2}\, z$, and
#   the step is taken again, ten times for each of 39 steps. Each
#   time it sees both sides of the border as the last one left
#   them.

# %%
show(ne.repaint, docstring=False)

# %%
pictures = [torch.from_numpy(picture.copy()).permute(2, 0, 1) for picture in load_sample_images().images]
photographs = torch.stack([fit_image(picture, net.shape)[0] for picture in pictures]).to(DEVICE)
names = ("right", "top", "centre")
masks = torch.stack([preset_mask(name, (32, 32)) for name in names for _ in photographs]).to(DEVICE)
originals = photographs.repeat(len(names), 1, 1, 1)


# %%
def algorithm_2(x, generator, **given):
    settings = {"eps": net.sampling.eps, "n_steps_each": net.sampling.n_steps_each, "generator": generator}
    return ne.inpaint(net.score, x, net.sigmas, **settings, **given)


def resampling(x, generator, n_levels=40, **given):
    x = x + first * ne.noise_like(x, generator)
    return ne.repaint(net.score, x, karras(first, lowest, n_levels), generator=generator, **given)


def complete(way, image, mask, n, **settings):  # (B, 3, 32, 32), (B, 1, 32, 32) -> (B, n, 3, 32, 32)
    generator, image, mask = torch.Generator(DEVICE).manual_seed(0), *(x.repeat_interleave(n, 0) for x in (image, mask))
    x = last(way(net.start(len(image), generator=generator), generator, image=image, mask=mask, **settings))
    return torch.where(mask.bool(), image, denoise(net.score, x, lowest)).clamp(0, 1).unflatten(0, (-1, n))


both = {"Algorithm 2": algorithm_2} | ({"resampling": resampling} if net.recipe.noise.continuous else {})

# %% [markdown]
# **Predict:** three masks: the right half is known, the upper
# half, everything but the centre; three completions by each way.
# Where will the completions agree with one another? Will the
# flower be made round again? By which way do you find the edge of
# the mask, and is one of them the smoother?
#
# <details><summary>Answer</summary>
#
# By Algorithm 2 every hole is found at once: what fills it is
# richer in contrast than the photograph around it, and often
# another scene. By resampling the sky goes on as sky, the dark
# background of the flower as dark background, and the pagoda gets
# a wall where a wall begins. The price is on the other side: what
# resampling makes is smooth, with little detail. The pagoda is
# never built again, and the flower gets petals of the right
# colour but seldom a circle: what holds it together is a shape,
# and shapes are what this network lacks.
# </details>

# %%
filled = {name: complete(way, originals, masks, 3) for name, way in both.items()}
seen = torch.where(masks.bool(), originals, 0.5)
rows = torch.cat([originals[:, None], seen[:, None], *filled.values()], 1)
fig, ax = plt.subplots(figsize=(8.4, 6.4))
draw_images(ax, rows.flatten(0, 1), columns=rows.shape[1])
for row, name in enumerate(("the right half\nis known", "the upper half\nis known", "all but the\ncentre is known")):
    ax.text(-3, 66 * row + 33, name, ha="right", va="center", fontsize=9)
for x, title in zip((16, 49, 115, 214), ("original", "seen", *filled), strict=False):
    ax.text(x, -3, title, ha="center", va="bottom", fontsize=9)
hole = masks[:, None].expand_as(filled["Algorithm 2"]) == 0
save_figure(
    fig,
    "cifar_inpainting",
    alt="A pagoda and a dahlia with half or the centre missing. Three completions by Algorithm 2 are patches of strong "
    "contrast with hard edges along the mask; three by resampling go on smoothly from what is known.",
    caption="Completions by the compact network, by Algorithm 2 and by resampling, about 400 evaluations each.",
    numbers={f"{name}, spread": x.std(1).mean(1)[hole[:, 0, 0]].mean() for name, x in filled.items()},
    tolerance=0.01,
)


# %%
def seam(x, mask):  # mean jump across the mask's border, of images (..., 3, H, W)
    jumps = torch.cat([x.diff(dim=d).abs().mean(-3).flatten(-2) for d in (-1, -2)], -1)
    across = torch.cat([mask.diff(dim=d).abs().flatten() for d in (-1, -2)]) > 0
    return jumps[..., across].mean().item()


ratios = {name: [seam(x[i], masks[i]) / seam(originals[i], masks[i]) for i in range(6)] for name, x in filled.items()}
print(f"{'seam / that of the original':30}{'Algorithm 2':>13}{'resampling':>13}")
for i in range(6):
    what = f"{('pagoda', 'dahlia')[i % 2]}, {('right known', 'top known', 'centre missing')[i // 2]}"
    print(f"{what:30}" + "".join(f"{'≈ ' + format(of[i], '.1f'):>13}" for of in ratios.values()))
assert SOURCE != "cifar10_small" or all(a > b for a, b in zip(*ratios.values(), strict=True))

# %% [markdown]
# The number is the mean jump between neighbours across the edge
# of the mask, divided by that of the original at the same place:
# 1 is right. In every row resampling has the smaller one. Below 1
# are completions that are smoother than the photograph. Above 1
# are, by both ways, the halves of the dahlia: there the flower
# ends at a straight edge in some of the completions.
#
# Why is Algorithm 2 worse, if both ask the same network as often?
# Langevin dynamics ends each level with too much noise (section
# 13.5), which becomes contrast. And its steps are small: what
# has been begun in the hole at a large level is not taken back at
# a small one. Resampling makes large steps and repeats them. In
# notebook 11, on digits, from $\sigma = 1$ down, Algorithm 2 was
# good enough; on photographs it is not.
#
# **Predict:** 400 evaluations are 40 steps that are each taken ten
# times, or 400 steps taken once, 100 taken four times, ten taken
# forty times. What does repeating buy, and what does it cost?
# Count the seam, and the detail: the mean jump between neighbours
# that are both missing, divided by that of the original.
#
# <details><summary>Answer</summary>
#
# It buys the seam and costs detail. Taken once, 400 steps have a
# seam of 2.1 and a detail of 1.1 (means over the six pictures):
# nothing fits, and there is as much in the hole as in a
# photograph. Four times: 1.2 and 0.84. Ten times: 1.0 and 0.63.
# Forty times, with ten steps that lead far: 0.9 and 0.46. Such a
# step lands near the network's guess, a mean of many photographs,
# and means are smooth. Algorithm 2 has a detail of 1.5: that is
# the noise that it leaves over.
# </details>
#
# Now photographs of the kind that the network has learned from:
# the first eight of the held-out ones, none chosen, with four
# masks and four completions each. (The figure needs the data set,
# and a minute; the stored one was made with it.)
#
# **Predict:** four masks: only the left half is known; the centre
# is missing; half of the pixels are missing, at random; the
# letters of a word are missing, three times. With which of them
# do the four completions look alike? With which can you tell that
# something was missing?
#
# <details><summary>Answer</summary>
#
# Pixels at random, and a word written across, are filled in so
# that nothing shows: each missing pixel has known neighbours, and
# the four completions are the same to the eye. With the centre
# missing the four differ, and they fit along the edge: nobody
# finds the square by it. But what stands in the middle is soft,
# and the deer or the bird is gone. Where only the left half is
# known, they differ most: ground and background go on, and a
# truck becomes a smooth block.
# </details>

# %%
if datasets.available()["cifar10"] and "resampling" in both:
    eight = datasets.load("cifar10", split="test")[0][:8].to(DEVICE) / 255
    kinds = {"left": "left half known", "centre": "centre missing", "random": "half missing", "text": "letters missing"}
    holes = [preset_mask(kind, (32, 32), generator=torch.Generator().manual_seed(0)).to(DEVICE) for kind in kinds]
    sheet = [complete(resampling, eight, hole.expand(8, -1, -1, -1), 4, n_levels=20) for hole in holes]

# %%
if datasets.available()["cifar10"] and "resampling" in both:
    fig, axes = plt.subplots(1, 4, figsize=(12, 5.2))
    for ax, kind, hole, made in zip(axes, kinds, holes, sheet, strict=True):
        shown = torch.cat([torch.where(hole.bool(), eight, 0.5)[:, None], made], 1)
        draw_images(ax, shown.flatten(0, 1), columns=5)
        ax.set_title(f"{kinds[kind]}: seam {seam(made, hole) / seam(eight, hole):.2f}", fontsize=11)
    save_figure(
        fig,
        "cifar_completions",
        alt="Eight held-out photographs under four masks, with four completions each. Missing pixels at random and "
        "missing letters are filled in without a trace; the centre mostly fits; left halves differ most.",
        caption="Resampling on held-out photographs: what is known, and four completions; 191 evaluations each.",
        numbers={
            kind: seam(made, hole) / seam(eight, hole) for kind, hole, made in zip(kinds, holes, sheet, strict=True)
        },
        tolerance=0.03,
    )
else:
    print("CIFAR-10 is not here: python -m ncsn_edu data get cifar10")

# %% [markdown]
# ![completions of eight held-out photographs](../figures/cifar_completions.png)
#
# Paint your own hole, and press **Complete**. Hide a part of the
# sky only: is it filled with sky? Then move *times each R* to 1:
# what does a completion without resampling look like?
#
# <details><summary>Answer</summary>
#
# Yes, with a hole of 6x6 pixels and with one of 12x12: in six
# completions of each nothing but sky, off by one hundredth. With
# one time at each level one of six small holes has a spot in it,
# and every large one a thing: a house, a plane, or only a smear.
# Most photographs of the training set are filled with things, and a
# step that is taken once begins one before it has seen the sky
# that is pasted around it.
# </details>

# %%
if "resampling" in both:
    explorer = ResamplingExplorer(net.score, net.sigmas, photographs.cpu(), n_levels=20, n_times=10)
else:
    explorer = InpaintingExplorer(net.score, net.sigmas, photographs.cpu(), eps=net.sampling.eps, n_steps_each=10)
explorer

# %% [markdown]
# ## 13.9 From here to the paper
#
# What would the paper's network add? Nothing in the method. Its
# published numbers are an inception score of 8.87 and an FID of
# 25.3 from 50,000 samples; NCSNv2 with the denoising step has
# 10.9. Neither can be compared with ours: another feature net,
# another number of samples. To get numbers that can, install
# torch-fidelity and run (with the folder of a run)
#
# ```
# python -m ncsn_edu sample runs/cifar10-paper --paper --n 50000 --npy samples.npy
# python -m ncsn_edu evaluate samples.npy --features inception
# ```
#
# The library calls the result FID then, and only then. One
# difference is left: `--paper` takes the printed step,
# $\epsilon = 2 \cdot 10^{-5}$. The published code behind the FID
# of 25.3 has `step_lr` $2 \cdot 10^{-5}$, which is
# $\epsilon = 4 \cdot 10^{-5}$ in our letters
# ([notebook 2](02_langevin.ipynb)); `--eps 4e-5 --steps-each 100`
# takes that step, and ends with a denoising step, which that code
# does not have. Mind the bill: 50,000 images of a thousand
# evaluations are $10^{18}$ FLOP, as much as the training was.
#
# **Published weights** can be used as well: `load_official` reads
# the checkpoints of NCSN and NCSNv2 as their publishers wrote
# them, without running any code in them, and returns a score like
# any other. We show it on a checkpoint that the next cell makes:
# weights of a tiny net with the published names, in the wrapping
# of NCSN's trainer (a list of weights and optimiser). A score
# that the published code computed with these weights lies beside
# them.

# %%
with np.load(ROOT / "tests" / "fixtures" / "official_ncsn_rgb32.npz") as file:
    weights = {name: torch.as_tensor(file[name]) for name in file.files}
x, level, published = (weights.pop(name) for name in ("__x", "__level", "__score"))
with tempfile.TemporaryDirectory() as folder:
    torch.save([weights, {}], path := Path(folder) / "checkpoint.pth")
    official = ne.load_official(path, image_size=32)
with torch.no_grad():
    difference = ((official(x, official.sigmas[level]) - published).norm() / published.norm()).item()
assert difference < 1e-5
print(f"width {official.width}, {len(official.sigmas)} levels; relative difference of the scores ≈ {difference:.0e}")

# %% [markdown]
# The published files are at <https://github.com/ermongroup/ncsn>
# (section "Checkpoints") and
# <https://github.com/ermongroup/ncsnv2> (section "Pretrained
# Checkpoints"). Put CIFAR-10's `checkpoint.pth` into
# `runs/published/`, and this cell finds it:

# %%
place = ROOT / "runs" / "published" / "checkpoint.pth"
if place.is_file():
    official = ne.load_official(place).to(DEVICE).eval()
    n_parameters = sum(p.numel() for p in official.parameters())
    print(f"{n_parameters:,} parameters; as a score: ne.annealed_langevin(official, x, official.sigmas, ...)")
else:
    print("no published checkpoint in runs/published")

# %% [markdown]
# A net of 30 million parameters wants a GPU. `official` takes the
# place of `net.score` in every call above that asks for a score.
#
# ## What you should be able to do now
#
# - Say what a training costs in FLOP before it starts, and in
#   hours on a given machine.
# - Name what makes a GPU wait, and what each remedy does.
# - Read a loss curve of a long run: where it starts, which levels
#   it consists of, and what it does not show.
# - Derive the probability flow from the heat equation, and say
#   what is gained by it.
# - Compare samplers at equal cost, with a floor, with the same
#   start and end, and each with settings that suit its length.
# - Defend a number for samples: features, counts, intervals,
#   neighbours of known quality.
#
# ## Exercises
#
# 1. *Relatives.* Write ancestral sampling (`ne.ancestral`) as a
#    step of consistent annealed sampling: which $\eta$? And which
#    $\eta$ makes it Euler's step of the flow? Check that the
#    fresh noise agrees as well.
#    <details><summary>Answer</summary>
#
#    Ancestral sampling takes $(\sigma^2 - \sigma'^2)\,s$ away,
#    which is $\eta\,\sigma^2 s$ with $\eta = 1 - \gamma^2$. Then
#    $1 - \eta = \gamma^2$, and the fresh noise has variance
#    $\sigma'^2 - \gamma^4 \sigma^2 = \sigma'^2 (1 - \gamma^2)$:
#    just what ancestral sampling adds. With $\eta = 1 - \gamma$
#    the fresh noise is 0, and
#    $\eta\,\sigma^2 s = (\sigma' - \sigma)(-\sigma s)$ is Euler's
#    step. Between them lies $1.5\,(1 - \gamma)$, as
#    $1 - \gamma^2 \approx 2\,(1 - \gamma)$ for levels that are
#    close.
#    </details>
# 2. *The start.* Sample by the flow from uniform noise, without
#    the noise of $\sigma_1$ added. Then from noise of
#    $\sigma = 5$ and a ladder that begins there. Which of the two
#    is worse, and what does the mean colour of the samples say?
#    <details><summary>Answer</summary>
#
#    Without noise it is worse by far: the network is told that
#    there is noise of 20, sees none, and makes one dark fog of
#    everything. 24 samples have a mean of 0.20, and their mean
#    colours vary by 0.002. From $\sigma = 5$ the samples look
#    like photographs, but their mean colours vary by 0.08, where
#    16 samples from $\sigma = 20$ vary by 0.12 and photographs by
#    0.13: noise of 5 does not hide the mean colour, and the flow
#    keeps that of the start.
#    </details>
# 3. *Euler or Heun.* `probability_flow(..., solver="euler")` asks
#    once a step. Compare the two at equal numbers of evaluations:
#    the distance between the image that each makes from one start
#    and that of 200 steps of Heun is a measure without any
#    classifier. With which power of the number of steps does it
#    fall?
#    <details><summary>Answer</summary>
#
#    Euler with the first power, Heun with the second: at 10, 20,
#    40, 80 and 160 evaluations Euler is 2.3, 1.3, 0.68, 0.35 and
#    0.18 away, Heun 2.9, 0.67, 0.16, 0.038 and 0.009 (means of
#    four images). So Heun pays from about a dozen evaluations on.
#    </details>
#
# ## References
#
# - Y. Song and S. Ermon, *Generative Modeling by Estimating
#   Gradients of the Data Distribution*, NeurIPS 2019: the
#   experiment, and its settings.
# - Y. Song and S. Ermon, *Improved Techniques for Training
#   Score-Based Generative Models*, NeurIPS 2020: large first
#   levels, technique 4, averaged weights.
# - A. Jolicoeur-Martineau et al., *Adversarial score matching and
#   improved sampling for image generation*, ICLR 2021: consistent
#   annealed sampling, the denoising step.
# - Y. Song et al., *Score-Based Generative Modeling through
#   Stochastic Differential Equations*, ICLR 2021: ancestral
#   sampling of a ladder, predictor and corrector, the probability
#   flow.
# - A. Lugmayr et al., *RePaint: Inpainting using Denoising
#   Diffusion Probabilistic Models*, CVPR 2022: resampling.
# - T. Karras et al., *Elucidating the Design Space of
#   Diffusion-Based Generative Models*, NeurIPS 2022: Heun's
#   method, and where to put the levels.
# - A. Krizhevsky, *Learning Multiple Layers of Features from Tiny
#   Images*, 2009: CIFAR-10.
#
# **Next:** the [assignments](assignments/for_students.md) put all
# of this to work; and
# [12 · Judging samples](12_judging_samples.ipynb) says what each
# of these numbers sees, and what it does not. Part II begins with
# [14 · Improved techniques](14_improved_techniques.ipynb): why the
# ladder on photographs has to start at 50.
