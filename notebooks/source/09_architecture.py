# %% [markdown]
# # 9 · The architecture of NCSN
#
# *Reading and trying: about two hours, and another hour for the exercises. Running every cell: about 60 seconds on a laptop. The nets are counted at the paper's scale, and run at a scale of their own: 16 filters or fewer.*
#
# Samplers and losses see a score network as a function
# `score(x, sigma)`, and nothing more. This notebook opens it. It takes
# apart the network of Song & Ermon 2019, asks of each part what it is
# for, and then takes the part away to see what breaks. You will
#
# - draw the map of the network from the network itself, with its 30
#   million parameters and what they cost;
# - build CondInstanceNorm++ step by step, from the norm that forgets
#   colours to the one that does not, and write its new term yourself;
# - put the norm in the wrong place, and count the damage;
# - train one small net with and one without the term that brings the
#   colours back, and see what happens to the samples;
# - measure how far the network sees, with and without dilated
#   convolutions;
# - see why averages and ELU stand where other networks have maxima and
#   ReLU;
# - compare three ways of telling a network the noise level.
#
# You need: convolutions and residual blocks, the perturbed score from
# [1 · Scores](01_scores.ipynb), the denoising loss from [3 · Score
# matching](03_score_matching.ipynb), and annealed Langevin dynamics
# from [7 · Annealing](07_annealing.ipynb). The letters of the norms are
# on the page of [symbols](symbols.md).
#
# On Google's Colab the next cell gets the package; anywhere else it does nothing.

# %%
import sys

if "google.colab" in sys.modules:
    raise SystemExit("Give the address of the project's repository here: %pip install -q git+https://...")

# %%
import itertools
from functools import partial
from unittest.mock import patch

import torch
import torch.nn.functional as F
from matplotlib import pyplot as plt
from matplotlib.colors import LogNorm
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import ncsn_edu as ne
from ncsn_edu import datasets, practice, save_figure, show
from ncsn_edu.nets import norm as norms_of_ncsn
from ncsn_edu.nets.norm import CondInstanceNormPlus, InstanceNormPlus, NoNorm, instance_norm_plus
from ncsn_edu.nets.refinenet import ChainedPooling, LadderNet, MeanPool, NormConv, RefineNet, ResidualBlock, conv3x3
from ncsn_edu.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, images, level_axis, use_style
from ncsn_edu.training import train

use_style()

# %% [markdown]
# ## 9.1 What a score network must be
#
# The score $s(x, \sigma) = \nabla_x \log p_\sigma(x)$ of an image is an
# arrow in the space of images: one number for each pixel and colour.
# Four demands follow.
#
# 1. **Image in, image out, of the same size.** A classifier may throw
#    away where things are. A score may not: each pixel gets an answer
#    of its own.
# 2. **It sees far.** Whether a pixel should get brighter depends on
#    what the whole image shows. At large $\sigma$ no single pixel says
#    anything, and only sums over large areas rise above the noise.
# 3. **It knows $\sigma$.** The same image has another score at each
#    noise level.
# 4. **It is smooth.** The score is a gradient field that a sampler
#    follows in a thousand small steps.
#
# Semantic segmentation, which labels every pixel, makes demands 1 and 2
# as well. Song & Ermon therefore took a network from there, the
# RefineNet of Lin et al. 2017, put dilated convolutions in, and
# replaced every norm by one that knows the level.
#
# Here it is, at the size of the paper's CIFAR-10 experiment. Everything
# that follows is measured on this object. It lives on PyTorch's **meta
# device**: its tensors have shapes but no memory and no values, so that
# 30 million parameters cost nothing.


# %%
def on_paper(channels: int, width: int) -> RefineNet:
    norm = partial(CondInstanceNormPlus, n_levels=10)
    with torch.device("meta"):
        return RefineNet(channels, width, norm, MeanPool(), refine_norm=norm)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# %%
cifar, mnist = on_paper(3, 128), on_paper(1, 64)
print(f"CIFAR-10, 128 filters: {count(cifar):,} parameters")
print(f"MNIST,     64 filters: {count(mnist):,} parameters")

# %% [markdown]
# `ne.NCSN` is this RefineNet, the map of its input from $[0, 1]$ to
# $2x - 1 \in [-1, 1]$, and the ladder of noise levels. Its parameters
# are those of the RefineNet. The two counts are the 30.1 and 7.64
# million of the published nets.
#
# The way of an image through it, from the code that runs:

# %%
show(RefineNet.forward, docstring=False)

# %% [markdown]
# The way down is a convolution, then four *stages* of two residual
# blocks. The way up is four *refine blocks*. Each takes the output of
# one stage and what came from below, so that the coarse and the fine
# meet. A norm, ELU and a convolution to the channels of the image come
# last.
#
# The parts, and what each is for:
#
# | part | what it does | why |
# |---|---|---|
# | `begin` | colours to $C$ features | a space large enough to work in |
# | stage 1 | two residual blocks at full size | edges, strokes, noise: all that is near |
# | stage 2 | to half the size and $2C$ features | four times as cheap, and everything is twice as near |
# | stages 3, 4 | dilations 2 and 4 at the same size | sees far, and loses no more places |
# | refine blocks | fuse a stage with what came from below | brings what was seen from afar back to each pixel |
# | chained pooling, in each of them | means over $5 \times 5$ and $9 \times 9$ pixels | background: what is the same all around |
# | `end` | $C$ features to colours | one arrow per pixel and colour |
#
# We ask the network for its map. A **forward hook** is a function that
# PyTorch calls whenever a module has run; ours writes down the shape of
# what came out. A counter of floating-point operations runs along. (It
# counts the multiplications and additions of convolutions and matrix
# products, each as one operation.)


# %%
def measure(net: RefineNet, channels: int, size: int) -> tuple[dict, FlopCounterMode]:
    parts = {"begin": [net.begin], **{f"stage {i}": list(stage) for i, stage in enumerate(net.stages, 1)}}
    parts |= {"end": [net.norm, net.end], **{f"refine {i}": [net.refine[4 - i]] for i in range(1, 5)}}
    shapes = {}
    for name, modules in parts.items():
        modules[-1].register_forward_hook(lambda m, i, out, name=name: shapes.update({name: out.shape[1:]}))
    with torch.device("meta"), FlopCounterMode(display=False) as flops:
        net(torch.empty(1, channels, size, size), torch.zeros(1, dtype=torch.long))
    return {name: (shapes[name], modules) for name, modules in parts.items()}, flops


# %%
parts, flops = measure(cifar, 3, 32)
_, flops_mnist = measure(mnist, 1, 28)
for name, counter in (("CIFAR-10", flops), ("MNIST", flops_mnist)):
    print(f"{name}: {counter.get_total_flops() / 1e9:.1f} GFLOP to evaluate one image once")

# %% [markdown]
# The often-quoted 19.8 and 3.8 GFLOP are those of the same network
# written down literally. Its halving blocks convolve at full size and
# then average $2 \times 2$ squares. Both steps are linear, so the
# library makes one convolution of stride 2 out of them, and saves the
# difference. The function is the same.
#
# **Predict:** the next figure is the map. Stages 2, 3 and 4 have twice
# the channels of stage 1. Which box has the most parameters? Which
# costs most to run, and is it the same one?
#
# <details><summary>Answer</summary>
#
# A $3 \times 3$ convolution from $C$ to $C$ channels has $9 C^2$
# parameters: twice the channels, four times the parameters. At half the
# height and width each of them is used at a quarter of the places, and
# the two cancel. So refine 3, with 256 channels and two inputs, has the
# most parameters; refine 1, at full size, has a third of them and costs
# a little more.
# </details>


# %%
names = {module: f"RefineNet.{name}" for name, module in cifar.named_modules()}
boxes = {}
for name, (shape, modules) in parts.items():
    dilation = max(m.dilation[0] for part in modules for m in part.modules() if isinstance(m, nn.Conv2d))
    gflop = sum(sum(flops.get_flop_counts().get(names[m], {}).values()) for m in modules) / 1e9
    boxes[name] = f"{name}, dilation {dilation}" if dilation > 1 else name
    sources = {"refine 4": "stage 4", "end": "refine 1"} | {
        f"refine {i}": f"stage {i} and refine {i + 1}" for i in (1, 2, 3)
    }
    boxes[name] += f"\nfrom {sources[name]}" if name in sources else ""
    boxes[name] += f"\n{' × '.join(map(str, shape))}\n{sum(map(count, modules)):,} parameters\n{gflop:.2f} GFLOP"

# %%
fig, ax = plt.subplots(figsize=(8.6, 7.4))
arrow = partial(ax.annotate, "", arrowprops={"arrowstyle": "->", "color": "black", "lw": 1.5})
for number, text in enumerate(boxes.values()):
    right, row = number > 4, number % 5
    box = {"boxstyle": "round,pad=0.5", "fc": ORANGE + "30" if right else BLUE + "30", "ec": GREY}
    ax.text(right, -row, text, ha="center", va="center", bbox=box)
    if row:
        arrow(*([(1, 0.60 - row), (1, 0.40 - row)] if right else [(0, 0.36 - row), (0, 0.64 - row)]))
        arrow((0.78, -row), (0.21, -row))
ax.set(xlim=(-0.3, 1.3), ylim=(-4.5, 0.5))
ax.set_axis_off()
numbers = {"gflop": flops.get_total_flops() / 1e9, "gflop_mnist": flops_mnist.get_total_flops() / 1e9}
alt = "Boxes: begin and stages 1 to 4 going down, refine 4 to 1 and end going up; each stage feeds one."
caption = r"The network of NCSN for $32 \times 32$ pixels: what comes out of each part, its parameters and its cost."
save_figure(fig, "architecture_map", alt=alt, caption=caption, numbers=numbers | {"million": count(cifar) / 1e6})

# %% [markdown]
# (The arrows on the left point down the net, those on the right up.
# Refine 4 has one input; refine 3, 2 and 1 have two: their stage, and
# the block below.) Compare stage 2 with the original RefineNet, or with
# any classifier: they would halve the image again, and again. This
# network stops at half size, $16 \times 16$. A score must say something
# about every pixel, and what is lost by shrinking has to be guessed on
# the way back. Stages 3 and 4 have the dilations instead; section 9.6
# measures what they buy.
#
# Is it a U-Net? You will read that it is. It shares one thing with a
# U-Net and differs in three:
#
# | | this RefineNet | a U-Net |
# |---|---|---|
# | skips from the way down to the way up | yes, four | yes, one per resolution |
# | halvings | one | three to five |
# | how a skip is joined | both inputs are convolved, resized and *added* | *concatenated*, then convolved |
# | how the lowest parts see far | dilated convolutions | small images, attention |
#
# Check one box by hand; you have then understood it. Stage 1 is two
# residual blocks, each of two convolutions from 128 to 128 channels
# with a bias, $9 \cdot 128^2 + 128 = 147{,}584$ parameters, and each of
# the four has a norm with three numbers per channel and level,
# $3 \cdot 10 \cdot 128 = 3840$:
#
# $$ 4 \cdot (147{,}584 + 3840) = 605{,}696 . $$
#
# And its cost: each of the $9 \cdot 128^2$ weights of a convolution is
# multiplied and added once at each of 1024 places,
# $2 \cdot 9 \cdot 128^2 \cdot 1024 = 0.302$ GFLOP, times four is 1.21.
# Norms and ELU do a few operations per number, and are not counted:
# they cost time all the same, because each of them reads and writes a
# whole array.
#
# These numbers give the price of a sample. Algorithm 1 with $L = 10$
# levels and $T = 100$ steps needs 1000 evaluations, about 20 TFLOP for
# one image of $32 \times 32$.
#
# ## 9.2 The norm, step by step
#
# The network has 71 norms. Take $h$ of shape $(B, C, H, W)$: $B$
# images, $C$ channels. A norm shifts and scales its input to mean 0 and
# variance 1, and then lets learned parameters $\gamma, \beta$ (one pair
# per channel) scale and shift again. Norms differ in what they take the
# mean over.
#
# Our images for the whole notebook are digits of scikit-learn in white
# ink, on paper of one of three colours. They are small, everyone has
# them, and *the colour of the paper is what one has to get right*.

# %%
digits = datasets.load("digits")[0].float() / 255  # (898, 1, 8, 8)
papers = torch.tensor([[0.75, 0.25, 0.25], [0.25, 0.65, 0.3], [0.25, 0.3, 0.75]])


def coloured(n: int, generator: torch.Generator) -> torch.Tensor:
    ink = digits[torch.randint(len(digits), (n,), generator=generator)]
    paper = papers[torch.randint(3, (n,), generator=generator)][..., None, None]
    return paper + (1 - paper) * ink  # (n, 3, 8, 8)


# %% [markdown]
# **Batch norm** takes the mean over $B$, $H$ and $W$. For a score that
# is no good: the arrow at one image would depend on which other images
# are in the batch, and a chain of a sampler on what the other chains
# do.

# %%
x = coloured(6, torch.Generator().manual_seed(3))
alone, among_others = (F.batch_norm(batch, None, None, training=True)[0] for batch in (x[:1], x))
change = (alone - among_others).abs().max().item()
assert change > 1
print(f"one image alone or among five others: its values change by up to {change:.1f} standard deviations")

# %% [markdown]
# (At test time batch norm uses running averages instead. With noise
# levels mixed in one batch these averages are an average over levels,
# and fit none of them.)
#
# **Instance norm** takes the mean over $H$ and $W$ only, for each image
# and channel:
#
# $$ h = \frac{x - \mu}{s}, \qquad \mu_c = \text{mean of channel } c, \quad s_c = \text{its standard deviation}. $$
#
# Image by image, so it fits a score. It comes from style transfer,
# where people wanted to get rid of contrast and tint. And that is the
# trouble: **add a constant to a channel, or multiply it, and the output
# does not change.**
#
# $$ x'_c = a_c\, x_c + b_c \;(a_c > 0) \quad\Longrightarrow\quad \mu'_c = a_c \mu_c + b_c,\;\; s'_c = a_c s_c \quad\Longrightarrow\quad h' = h . $$

# %%
a, b = torch.tensor([0.5, 2.0, 1.0]), torch.tensor([0.4, -0.7, 0.1])
other_colours = a[:, None, None] * x + b[:, None, None]
before, after = (
    (other_colours - x).abs().max().item(),
    (F.instance_norm(other_colours) - F.instance_norm(x)).abs().max(),
)
assert after < 0.01
print(f"largest difference of the images: {before:.2f}; after instance norm: {after:.4f}")

# %% [markdown]
# (It is not zero up to rounding, because $s$ is computed as
# $\sqrt{\text{variance} + 10^{-5}}$.)
#
# **Conditional instance norm** (Dumoulin et al. 2017) has a row of
# parameters for each of $L$ classes. Here the classes are noise levels:
# $\text{out} = \gamma_{ic}\, h_c + \beta_{ic}$ at level $i$. This is
# how NCSN knows $\sigma$; section 9.4 looks at it. It does not help
# with colours: $\gamma$ and $\beta$ are the same for all images.
#
# **CondInstanceNorm++** adds one term. What was thrown away is $\mu$,
# one number per channel. Compare these $C$ numbers with each other:
#
# $$ \hat m_c = \frac{\mu_c - m}{v}, \qquad m = \frac1C \sum_c \mu_c, \quad v^2 = \frac{1}{C-1} \sum_c (\mu_c - m)^2 , $$
#
# $$ \boxed{\;\text{out}_c = \gamma_{ic}\,\big(h_c + \alpha_{ic}\, \hat m_c\big) + \beta_{ic}\;} $$
#
# So $\hat m_c$ says which channels are high and which are low in this
# image, in the same units as $h$, whose variance is 1 as well.
# Everything stays of a reasonable size, and a factor common to all
# channels is still taken out.
#
# **Write it.** The new term $\hat m$, one number for each image and
# channel. Run the cell: it says how you are doing, and an unwritten
# cell stops nothing below it.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_means(x):
#     mu = x.mean((2, 3))
#     return (mu - mu.mean(1, keepdim=True)) / mu.std(1, keepdim=True)
# ```
#
# `std` divides by $C - 1$, as $v$ does. The division by $s$ in $h$ is
# another one: it divides by the number of pixels.
# </details>


# %%
def my_means(x):  # (B, C, H, W); returns (B, C)
    ...


practice.normalised_means(my_means)

# %% [markdown]
# The library's version of the whole norm:

# %%
show(instance_norm_plus, docstring=False)

# %% [markdown]
# (Two tricks make it fast. `F.layer_norm` of the $C$ means is $\hat m$,
# except that it divides by $C$ where $v^2$ has $C - 1$; hence the
# factor. `F.group_norm` with a group for each channel is an instance
# norm, which takes a scale and a shift per channel, the same for all
# images; so the batch goes in as one image of $B \cdot C$ channels. A
# GPU is faster with another form of the same line, `_scaled`.) We
# compare the function with the equation as it stands:

# %%
gamma, alpha, beta = torch.randn(3, 1, 3, 1, 1, generator=torch.Generator().manual_seed(0))
mu = x.mean((2, 3), keepdim=True)
m_hat = (mu - mu.mean(1, keepdim=True)) / mu.std(1, keepdim=True)
by_hand = gamma * (F.instance_norm(x) + alpha * m_hat) + beta
library = instance_norm_plus(x, gamma[..., 0, 0], alpha[..., 0, 0], beta[..., 0, 0])
off = (library - by_hand).abs().max().item()
assert off < 0.01
print(f"size of the values: {by_hand.square().mean().sqrt():.2f}; largest difference: {off:.4f}")

# %% [markdown]
# (The difference comes from $10^{-5}$, which the library adds to $v^2$ as
# well.)
#
# **Trap: the paper's $\alpha$ is another one.** Appendix A of the paper
# writes the norm as
# $\gamma_{ic}\, h_c + \beta_{ic} + \alpha_{ic}\, \hat m_c$. Its
# published code, and this library, have
# $\gamma\,(h + \alpha\, \hat m) + \beta$. Both can do the same, with
# $\alpha_{\text{paper}} = \gamma\, \alpha_{\text{code}}$. But whoever
# writes the paper's formula and loads the published weights gets
# another net. We do it to the digits net that ships, and ask for its
# loss on held-out digits, mean over the ladder (the zero score
# costs 32):

# %%
shipped = ne.load_trained("digits")
held_out = datasets.load("digits", split="test")[0][:200].float() / 255


@torch.no_grad()
def loss_of_shipped() -> float:
    generator = torch.Generator().manual_seed(0)
    levels = shipped.sigmas.tolist()
    return sum(ne.dsm(shipped.score, held_out, s, generator=generator).mean().item() for s in levels) / len(levels)


def in_the_papers_letters(x, gamma, alpha, beta):
    return instance_norm_plus(x, gamma, alpha / gamma, beta)  # gamma cancels in front of m^


right = loss_of_shipped()
with patch.object(norms_of_ncsn, "instance_norm_plus", in_the_papers_letters):
    wrong_alpha = loss_of_shipped()
assert right < 11 and wrong_alpha > right + 2
print(f"loss: {right:.1f}; with the paper's formula and the code's weights: {wrong_alpha:.1f}")

# %% [markdown]
# The two formulas differ by a pair of brackets. No shape differs and nothing
# fails. The samples would be worse than those of the published net, by an
# amount that one could blame on the sampler, on the seed, or on the paper.
#
# Side by side:
#
# | norm | mean over | looks at other images? | a shift of a channel |
# |---|---|---|---|
# | batch norm | batch, height, width | yes | survives, relative to the batch |
# | instance norm | height, width | no | is lost |
# | conditional instance norm | height, width | no | is lost |
# | CondInstanceNorm++ | height, width; and then over channels | no | survives, relative to the other channels |
#
# What exactly survives? Take the same shift $b$ in *all* channels, or
# the same factor $a > 0$: then $\mu_c - m$ does not change, or changes
# by the factor that $v$ changes by, and $\hat m$ is the same. Of the
# $2C$ numbers per image that instance norm forgets, a mean and a
# standard deviation for each channel, the ++ norm thus brings back
# $C - 2$: the means, but for one common shift and one common factor. It
# still forgets the other $C + 2$, among them the standard deviation of
# every channel. As far as the means go that is little in a feature
# space of 128 channels: a first convolution with a bias turns even a
# common shift of all colours into different shifts of the features.
#
# **Predict:** the next figure shows three images with the same digit on
# three papers, after instance norm (middle), and after instance norm
# with the term $\hat m$ ($\alpha = 1$, bottom). What is left of the
# papers in the middle row? Which property of the colours is gone even
# in the bottom row?
#
# <details><summary>Answer</summary>
#
# Nothing is left: the three images are equal, and grey. White ink on
# paper $p$ is $p_c + (1 - p_c)\,d$ in channel $c$: the same digit $d$,
# scaled and shifted, in every channel. At the bottom the papers are
# back, as far as *differences between channels* go. The overall
# brightness is gone, and the strength of the tint: $\hat m$ has
# standard deviation 1 over the channels, however pale the paper.
# </details>

# %%
same_digit = papers[:, :, None, None] + (1 - papers[:, :, None, None]) * digits[3]
one, zero = torch.ones(1, 3), torch.zeros(1, 3)
rows = {
    "images": same_digit,
    "instance norm": 0.4 + 0.2 * instance_norm_plus(same_digit, one, zero, zero),
    "and the means": 0.4 + 0.2 * instance_norm_plus(same_digit, one, one, zero),
}
apart = {name: (batch[0] - batch[2]).abs().mean().item() for name, batch in rows.items()}

# %%
fig, axes = plt.subplots(3, 1, figsize=(4.6, 5))
for ax, (name, batch) in zip(axes, rows.items(), strict=True):
    images(ax, batch, columns=3).set_title(f"{name}: red and blue differ by {apart[name]:.3f}", fontsize=10)
alt = "A digit on three papers; after instance norm three equal grey images; with the means in colour again."
caption = "Instance norm forgets the colour of the paper; the means of the channels bring it back."
save_figure(fig, "architecture_norms", alt=alt, caption=caption, numbers=apart, tolerance=1e-3)

# %% [markdown]
# (The outputs are shown as $0.4 + 0.2\,h$, because $h$ has negative
# values.) A net that begins with an instance norm sees the middle row.
# Ask it to remove noise from one of these images, and it can clean the
# stroke; it has to guess on which paper the stroke belongs.
#
# Inside the network the channels are features and no colours, and there
# are 128 or 256 of them. But the first layer is a convolution: a colour
# shift of the input is a shift of the features, each channel by its own
# amount. Instance norm removes it there as well.
#
# **Trap: the variance in $\hat m$ is the unbiased one.** It divides by
# $C - 1$, as `Tensor.var` does by default, while $s$ inside instance
# norm divides by the number of pixels, as norms do by default. With $C$
# in place of $C - 1$, $\hat m$ gets larger by $\sqrt{C/(C-1)}$:

# %%
for channels in (3, 8, 64, 256):
    print(f"C = {channels:3}: m^ larger by {100 * ((channels / (channels - 1)) ** 0.5 - 1):.1f} %")


def with_c(x, gamma, alpha, beta):
    return instance_norm_plus(x, gamma, alpha * (x.shape[1] / (x.shape[1] - 1)) ** 0.5, beta)


with torch.no_grad():
    noisy = held_out + 0.01 * torch.randn(held_out.shape, generator=torch.Generator().manual_seed(1))
    s = shipped.score(noisy, 0.01)
    with patch.object(norms_of_ncsn, "instance_norm_plus", with_c):
        other, wrong_c = shipped.score(noisy, 0.01), loss_of_shipped()
moved = ((other - s).square().mean() / s.square().mean()).sqrt().item()
assert 0.02 < moved < 0.2 and abs(wrong_c - right) < 0.1
print(
    f"the shipped net with C: its score moves by ≈ {100 * moved:.1f} %, its loss from ≈ {right:.2f} to ≈ {wrong_c:.2f}"
)

# %% [markdown]
# This trap is insidious because it hardly does any harm. The loss does not
# notice. The score moves by a few percent, a port with this mistake never
# reproduces a published number to its last digit, and the next mistake
# hides behind this one. So do not wait for a bad loss before you look for
# it, and compare outputs, number by number, with those of the published
# net. (A larger $\hat m$ is the
# same as a larger $\alpha$, so that training would simply settle
# elsewhere; the problem begins when weights of one are loaded into the
# other.) A test that only compares shapes would never notice. A test
# that compares numbers with the published network does, and this
# library has it. There is nothing special about $C - 1$: it is what the
# published code computes, and the published weights were trained with
# it.
#
# ## 9.3 Where the norm stands
#
# The refine blocks of the original RefineNet have no norms at all; in
# the classifiers of its time the norm stands behind the convolution.
# Here the rule is: **a norm before every convolution and every
# pooling** (Song & Ermon 2019, appendix A). (Descriptions that have it
# "after convolution and pooling" are wrong.) A residual block is
#
# $$ x \;\mapsto\; x + \text{conv}(\text{ELU}(\text{norm}(\,\text{conv}(\text{ELU}(\text{norm}(x)))\,))) , $$
#
# and the stream $x$ itself is never normalised; what reads from it is.
# (He et al. 2016 call it pre-activation: the shortcut is a clean sum
# from the first block to the last, and gradients pass it undisturbed.)
# So the size of the signal in the stream may grow, and the last
# convolution can write an output of any size.
#
# **Trap: the order.** Norm, ELU, convolution is not convolution, norm,
# ELU, nor ELU, norm, convolution. The shapes fit, and the weights of
# one give nonsense in another. We change the order in the residual
# units of the refine blocks, and in nothing else:


# %%
def conv_norm_elu(self, x, level, *, activate=False):  # in the place of NormConv.forward
    return F.elu(self.norm(self.conv(x), level)) if activate else self.conv(self.norm(x, level))


def elu_norm_conv(self, x, level, *, activate=False):
    return self.conv(self.norm(F.elu(x) if activate else x, level))


for name, order in {
    "norm, ELU, conv": NormConv.forward,
    "ELU, norm, conv": elu_norm_conv,
    "conv, norm, ELU": conv_norm_elu,
}.items():
    with patch.object(NormConv, "forward", order):
        loss = loss_of_shipped()
    assert (loss < 11) == (order is NormConv.forward)
    print(f"{name}: loss {loss:.1f}")

# %% [markdown]
# With the norm behind the convolution the net is about as good as one
# that returns zero, whose loss is 32. (A net *trained* with that order
# would do better. The order belongs to the weights.) In the chained
# pooling the order is another one, by design:

# %%
show(ChainedPooling.forward, docstring=False)

# %% [markdown]
# ELU comes first, then norm, pooling and convolution, with no
# activation between them. Both rounds work on `path`, which continues
# from the last convolution, while `x` collects. This is **chained
# residual pooling**: means over $5 \times 5$ neighbourhoods, then means
# of means, which reach over $9 \times 9$, and a residual sum of all
# three scales.
#
# A convolution that is followed by a norm need not have a bias, and
# those of the residual units in the refine blocks have none. With plain
# instance norm a bias would even be useless: it shifts a whole channel,
# and the norm takes the shift away, as it does with colours. With
# the ++ a bias is of use: the means, and with them the bias, come back
# as $\hat m$.
#
# **Trap: padding is part of the function.** Around the image there are
# zeros, and a mean that counts them is smaller near the border. Our
# pooling is the product with a band matrix from either side, about ten
# times as fast on small images; it must count the zeros, because the
# published network does.

# %%
noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
assert torch.allclose(MeanPool()(noise), nn.AvgPool2d(5, 1, padding=2)(noise), atol=1e-6)
print("means of ones along the top row:", [f"{v:.2f}" for v in MeanPool()(torch.ones(1, 1, 8, 8))[0, 0, 0].tolist()])

# %% [markdown]
# In the corner only 9 of the 25 places exist, so the mean of ones
# is 0.36. Behind a plain instance norm the channels have mean $\beta$,
# which begins at 0, so that a zero outside the image is an average
# value and no black frame. That is a good side of having the
# norm *before* the pooling. Zeros around a stream that was not
# normalised are another matter, and we meet them in section 9.5.
#
# ## 9.4 How the level enters
#
# At level $i$ every norm takes row $i$ of three tables, $\gamma$,
# $\alpha$ and $\beta$, each of shape $(L, C)$. In other words,
# an **embedding** of the level: $3C$ numbers per norm and level. They
# start as $\gamma, \alpha \sim \mathcal{N}(1, 0.02^2)$ and $\beta = 0$,
# so at first all levels are nearly the same net. A training step with
# one example touches one row:

# %%
table = CondInstanceNormPlus(channels=3, n_levels=10)
table(x[:1], torch.tensor([4])).square().sum().backward()
touched = table.gamma.grad.abs().sum(1).nonzero().flatten().tolist()
norms = [m for m in cifar.modules() if isinstance(m, CondInstanceNormPlus)]
share = sum(map(count, norms)) / count(cifar)
print(f"level 4 touches rows {touched}; {len(norms)} norms hold {100 * share:.1f} % of the parameters")

# %% [markdown]
# (The count by hand: the widths of the norms sum to 14,464 channels,
# times three numbers, times ten levels.)
#
# So 98.6 % of the parameters are the same at all levels. The levels
# share their convolutions, that is, what an edge or a curve is, and
# they differ in which features they turn up, down or over the threshold
# of the ELU.
#
# What can a row do? With $\gamma$ it turns a feature up or down. With
# $\beta$ it moves the features along ELU: far to the right ELU is the
# identity, far to the left it is constant, so that a level can switch a
# feature off. At a large $\sigma$ fine edges are noise, and features
# that look for them had better be silent. With $\alpha$ it decides how
# much the mean counts.
#
# The price: **the net knows ten levels and nothing between them.** A
# sigma off the ladder has no row. `ne.NCSN` looks for the nearest
# level, and refuses when that is more than 1 % away: the error names
# the levels that it knows.
#
# Later networks do it otherwise. **NCSNv2** (Song & Ermon 2020) takes
# the level out of the network altogether: one $f(x)$ without any
# $\sigma$, divided by $\sigma$ at the end. It has to read the noise
# level off the image, which is possible, because the average over many
# pixels of the squared noise is very nearly $\sigma^2$. **U-Nets** in
# the manner of DDPM turn a number into sines and cosines, put them
# through a small network, and add the result to the features of each
# block. In DDPM (Ho et al. 2020) this number is $t$, the index of the
# noise level; the U-Net of this package takes $\log \sigma$. What do
# the three cost, with the same number of filters?

# %%
with torch.device("meta"):
    v2 = RefineNet(3, 128, InstanceNormPlus, nn.MaxPool2d(5, stride=1, padding=2), refine_norm=NoNorm)
    unet = ne.UNet(3, 128)
of_unet = sum(p.numel() for name, p in unet.named_parameters() if "embed" in name or "shift" in name)
for name, net, own in (("NCSN", cifar, share), ("NCSNv2", v2, 0), ("U-Net", unet, of_unet / count(unet))):
    print(f"{name:6} {count(net) / 1e6:4.1f} M parameters, {100 * own:4.1f} % of them for sigma")

# %% [markdown]
# | | how $\sigma$ enters | any $\sigma$? | a new ladder |
# |---|---|---|---|
# | NCSN | a row of $\gamma, \alpha, \beta$ in each norm | no, only its own levels | train again |
# | NCSNv2 | divides the output | yes | can be used at once |
# | U-Net here | an embedding of $\log\sigma$, added in each block; its parametrisation scales input and output | yes, between those it was trained on | can be used at once |
#
# (The U-Net of this package is small: one block per resolution, two
# resolutions. Count the same number of filters, not the same power.)
# NCSNv2 has no norm in its refine blocks and max pooling in place of
# average pooling. Technique 3, as the paper calls it, is the subject of
# section 9.8.
#
# ## 9.5 What forgetting colours does to samples
#
# We train two nets that differ in one thing: in one of them
# $\alpha = 0$. Seed, initial weights, batches and budget are the same.


# %%
class CondInstanceNorm(CondInstanceNormPlus):
    """The norm without its ++: the means of the channels are not brought back."""

    def forward(self, x: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        return instance_norm_plus(x, self.gamma[level], torch.zeros_like(self.alpha[level]), self.beta[level])


# %% [markdown]
# Before any training we can say what happens to a net that
# is *completely* blind to the mean of a channel. Its arrow cannot
# depend on that mean, and the best that it can do is to leave the mean
# alone. In the sampler, then, the mean of a channel gets nothing but
# the noise: each step adds $\sqrt{\alpha_i}$ times the mean of 64
# standard normals, whose variance is $1/64$. With $T$ steps at each of
# $L$ levels and $\alpha_i = 0.6\, \sigma_i^2$,
#
# $$ \text{variance of the mean} \;=\; \frac{T}{64} \sum_{i=1}^{L} \alpha_i \;=\; \frac{0.6\, T}{64} \sum_i \sigma_i^2 . $$
#
# For $T = 10$ and the ladder from 2 to 0.05 in eight levels the sum
# is 6.1, and the standard deviation $\sqrt{0.58} = 0.76$. The colours
# of an image live in $[0, 1]$. Most of the walk is made at the first
# levels, as the sum is that of a geometric series: *where the noise is
# large, the score has to keep the colour in place.*
#
# The net is small, so that it trains in seconds: two of the library's
# residual blocks (one of them dilated) between a first and a last
# convolution. Its output is divided by $\sigma$; section 9.8 says why
# this helps a short training. The ladder starts at $\sigma_1 = 2$,
# eight levels down to 0.05.


# %%
class SmallNet(LadderNet):
    def __init__(self, norm: type[nn.Module], width: int = 16):
        super().__init__(3, width, ne.geometric(2, 0.05, 8), image_size=8)
        norm = partial(norm, n_levels=8)
        self.begin, self.norm, self.end = conv3x3(3, width), norm(width), conv3x3(width, 3)
        self.first, self.second = ResidualBlock(width, norm), ResidualBlock(width, norm, dilation=2)

    def forward(self, x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
        level = ne.NCSN.level(self, sigma).expand(len(x))
        h = self.second(self.first(self.begin(2 * x - 1), level), level)
        return self.end(F.elu(self.norm(h, level))) / ne.expand_like(sigma, x)


# %% [markdown]
# Before we train we have to check one thing. Is the net without
# $\alpha$ really blind to colour? Every branch begins with a norm, so a
# constant added to each channel should vanish. Except for one
# thing: **the convolutions pad with zeros.** Shift the colour, and the
# step at the border, from the image to the zeros, gets higher or lower.
# A convolution turns that into a pattern along the edge, and a pattern
# survives the norm. A net could read the colour off its own border.
#
# We measure. Noise images, and the same with a shifted colour: by how
# much does the output change, relative to its size? Once with zeros
# around the image, and once with **circular** padding, where the right
# border continues at the left and there is no edge.


# %%
def effect_of_a_shift(f, size: int) -> torch.Tensor:
    """|change of the output| at each pixel (size, size), relative to the output's own size."""
    x = torch.randn(16, 3, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shift = torch.tensor([0.5, -0.25, 0.25], dtype=torch.float64)[:, None, None]
    with torch.no_grad():
        before, after = f(x), f(x + shift)
    return (after - before).square().mean((0, 1)).sqrt() / before.square().mean().sqrt()


def circular(net: nn.Module) -> nn.Module:
    for conv in net.modules():
        if isinstance(conv, nn.Conv2d):
            conv.padding_mode = "circular"
    return net


# %% [markdown]
# **Predict:** where in the image does the output change, for the net
# without $\alpha$ and zeros around the image? Does the leak get more or
# less important on larger images? And with circular padding?
#
# <details><summary>Answer</summary>
#
# Along the border, as far inwards as the convolutions after it reach,
# which at $8 \times 8$ is everywhere. (The norms carry a little of it
# to the rest, because the border is part of the mean and variance.) On
# an image of $8 \times 8$, 28 of 64 pixels are border; at
# $32 \times 32$ 124 of 1024, so it matters less. With circular padding
# the change is zero up to rounding: the net is blind.
# </details>

# %%
torch.manual_seed(0)
blind, seeing = SmallNet(CondInstanceNorm).double(), SmallNet(CondInstanceNormPlus).double()
maps = {f"without α, {n}×{n}": effect_of_a_shift(partial(blind, sigma=2.0), n) for n in (8, 32)}
maps["with α, 32×32"] = effect_of_a_shift(partial(seeing, sigma=2.0), 32)
nothing = effect_of_a_shift(partial(circular(blind), sigma=2.0), 32).max().item()
assert nothing < 1e-10
print(f"without α, 32×32: change {maps['without α, 32×32'].max():.2f} at most; with circular padding {nothing:.3f}")

# %%
fig, axes = plt.subplots(1, 3, figsize=(9.4, 3.3))
shifted = {}
for ax, (name, change) in zip(axes, maps.items(), strict=True):
    shifted[name] = change.square().mean().sqrt().item()
    picture = ax.imshow(change, cmap="magma", norm=LogNorm(0.01, 1))
    ax.set(title=f"{name}\nchange of the output: {100 * shifted[name]:.0f} %", xticks=[], yticks=[])
fig.colorbar(picture, ax=axes, shrink=0.8)
alt = "Maps of the change: without alpha at 32 by 32 a bright frame, dark inside; with alpha all bright."
caption = r"A net without $\alpha$ sees a shift of the colour at the border only, where zeros surround the image."
save_figure(fig, "architecture_leak", alt=alt, caption=caption, numbers=shifted, tolerance=2e-3)

# %% [markdown]
# So "instance norm forgets the colour" is exactly true without borders,
# and roughly true with them. What about the RefineNet itself, with
# conditional instance norm everywhere?

# %%
torch.manual_seed(0)
norm = partial(CondInstanceNorm, n_levels=1)
refine = RefineNet(3, 8, norm, MeanPool(), refine_norm=norm).double()
level_0 = partial(refine, level=torch.zeros(16, dtype=torch.long))
leaks = [effect_of_a_shift(level_0, 32), effect_of_a_shift(circular(refine) and level_0, 32)]
refine.refine[0].pool = NoNorm(0)  # takes h and the level, and gives h back
leaks += [effect_of_a_shift(level_0, 32)]
for name, change in zip(("zeros", "circular", "circular, without the first chained pooling"), leaks, strict=True):
    print(f"{name}: the output changes by up to {change.max():.3f}")
assert leaks[1].max() > 0.01 and leaks[2].max() < 1e-10

# %% [markdown]
# The third line takes one chained pooling out of the net, that of the
# first refine block. Why is it a leak? Go back to the source of
# `ChainedPooling.forward`: it begins with an ELU, and no norm stands
# before it.
#
# So there are two leaks. Zeros around a stream that no norm has touched
# (the shortcuts of stages 3 and 4 are dilated convolutions of just that
# stream) leak more here than in the small net. And the first refine
# block has no fusion in front of its chained pooling, and therefore no
# norm: the ELU there sees the stream with its means, and it is not
# linear, so that a shift of the mean changes the *shape* of what comes
# out. With both leaks closed the net is blind up to rounding.
#
# So a RefineNet without the ++ *could* learn about colour, by its
# edges. Does it? We ask the small net, with zero padding, as the
# published network has it.

# %%
sigmas = ne.geometric(2, 0.05, 8)


def trained(norm: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    batches = (coloured(64, generator) for _ in itertools.count())
    objective = ne.Denoising(sigmas, generator=generator)
    states = train(SmallNet(norm), batches, objective=objective, n_steps=500, lr=2e-3, ema=0.99)
    return list(ne.every(states, 500))[-1].ema


# %%
nets = {"without α": trained(CondInstanceNorm), "with α": trained(CondInstanceNormPlus)}
samples = {}
for name, net in nets.items():
    generator = torch.Generator().manual_seed(2)
    start = torch.rand(256, 3, 8, 8, generator=generator)
    eps = 0.6 * sigmas[-1].item() ** 2
    chain = ne.annealed_langevin(net, start, sigmas, eps=eps, n_steps_each=10, denoising=True, generator=generator)
    samples[name] = ne.last(chain)
samples["data"] = coloured(256, torch.Generator().manual_seed(1))

# %% [markdown]
# And a number that says *what the net knows*. Take data, add noise, and
# let the net remove it:
# $\hat x = \tilde x + \sigma^2 s(\tilde x, \sigma)$ should be the mean
# of the clean image. We look at its mean colour only, and ask how far
# it is off.
#
# For a blind net there is a bound. The mean of a channel of $\tilde x$
# is the clean mean plus the mean of the noise over 64 pixels, which has
# standard deviation $\sigma/8$. The mean of the noise is independent of
# the rest of the noise (of $z$ minus its mean), so it cannot be guessed
# from an image whose mean was taken away. A blind net therefore errs by
# at least $\sigma/8$, by as much as if it had done nothing.


# %%
def colour_error(net: nn.Module, sigma: float, n: int = 1024) -> float:
    """How far the mean colour of the denoised image is off, root mean square."""
    generator = torch.Generator().manual_seed(4)
    clean = coloured(n, generator)
    noisy = clean + sigma * ne.noise_like(clean, generator)
    return (ne.denoise(net, noisy, sigma) - clean).mean((2, 3)).square().mean().sqrt().item()


errors = {name: [colour_error(net, s) for s in sigmas.tolist()] for name, net in nets.items()}
of_data = samples["data"].mean((2, 3))
distance = {name: ne.energy_distance(samples[name].mean((2, 3)), of_data) for name in nets}

# %% [markdown]
# **Predict:** the left part of the next figure shows samples of both
# nets, and data at the bottom; the one in the middle the mean colour of
# each image, red against blue. Will the net without $\alpha$ draw
# digits? On what paper? Where are its dots in the middle part, where
# the data have three clumps?
#
# <details><summary>Answer</summary>
#
# It draws strokes of digits, because it sees differences between pixels
# well. But nothing holds the colour: the mean of a channel makes a
# random walk through all levels, and the small leak of the border slows
# it a little. The dots scatter far beyond $[0, 1]$. With $\alpha$ they
# stay in the region of the data.
# </details>

# %%
grid = [[name, "mean", "error"] for name in samples]
fig, axes = plt.subplot_mosaic(grid, figsize=(10.5, 4.2), width_ratios=[1.25, 1.3, 1.3])
axes["error"].semilogy(sigmas, sigmas / 8, "--", color=GREY, label=r"blind: $\sigma/8$")
for (name, x), color in zip(samples.items(), (RED, GREEN, BLUE), strict=True):
    images(axes[name], x[:18], columns=9).set_title(name, fontsize=10, color=color)
    axes["mean"].plot(*x.mean((2, 3))[:, [0, 2]].T, ".", ms=3, color=color)
    if name in errors:
        axes["error"].semilogy(sigmas, errors[name], "o-", ms=4, color=color, label=name)
axes["mean"].set(xlabel="mean of red", ylabel="mean of blue", title="mean colour of each image")
level_axis(axes["error"], sigmas).set_title("error of the denoised mean colour")
axes["error"].legend()
alt = "Samples on papers of all colours without alpha, of three with it; mean colours; errors by level."
caption = r"Two nets that differ in $\alpha$ alone: the one without draws strokes, and lets the colour drift."
numbers = {f"distance {name}": distance[name] for name in nets} | {f"error {name}": errors[name][0] for name in nets}
tolerance = {"distance without α": 0.03, "distance with α": 0.01, "error without α": 0.003, "error with α": 0.003}
save_figure(fig, "architecture_colour", alt=alt, caption=caption, numbers=numbers, tolerance=tolerance)

# %% [markdown]
# Without $\alpha$ the net knows shapes and forgets colours. The strokes
# are there. The papers have all colours of the rainbow, and some beyond
# what a screen can show (the pictures are cut to $[0, 1]$ for display
# only). In the middle part the three clumps of the data lie in a cloud
# several times as wide. With $\alpha$ the papers are red, green or
# blue, with a few in between. (The digits of both nets are clumsy. Five
# hundred steps of a small net are not many; the colours are what we
# look at here.)
#
# The right part says how blind a net is. Without $\alpha$ the error at
# large $\sigma$ lies near the line of the blind, and a little below it,
# thanks to the border. With $\alpha$ the error at $\sigma_1$ is about
# half of that. At small $\sigma$ the two meet: there the noise hardly
# changes the mean of 64 pixels, and there is nothing to know about it.
#
# We repeated the experiment with four other seeds. The energy distance
# between the mean colours of samples and data, in all five runs:
#
# | | energy distance of the mean colours |
# |---|---|
# | without $\alpha$ | 0.21 to 0.28 |
# | with $\alpha$ | 0.003 to 0.034 |
#
# And the random walk? In the four other runs the mean of red had a
# standard deviation of 0.16 to 0.17 in the data, 0.12 to 0.16 with
# $\alpha$, and 0.50 to 0.54 without. A walk that nothing holds
# gives 0.76. So the border helps, but far from enough. We also trained
# the net without $\alpha$ on circular padding, with 600 steps, where
# there is no border: the standard deviation was 0.77.
#
# **A small difference in the loss, a large one in the samples.** How
# much does blindness cost in the denoising loss? Its part for the mean
# of a channel is
#
# $$ \tfrac12 \, \mathbb{E} \Big( \frac{\text{error of the denoised mean}}{\sigma / 8} \Big)^2 , $$
#
# so at least $\tfrac12$ per channel for the blind, 1.5 for three of
# them, and 0 at best. A score of zero costs $D/2 = 96$. So even at the
# first level at most 1.5 of 96 are at stake, and averaged over the
# levels much less. You would not see it in a curve of the loss. The
# mean colour is 3 of 192 directions, but an eye looks at it first. The
# authors of NCSN name shifted colours as the reason why they put the
# means back.
#
# On $32 \times 32$ photographs things are different, and not obviously
# better: the border is a smaller part of the image, and there are 1024
# pixels to average over, so that the walk has steps four times smaller.
# We have not shown that the full RefineNet without the ++ would fail in
# the same way; it has more leaks, as you saw. What we have shown is the
# mechanism.
#
# ## 9.6 How far it sees
#
# A $3 \times 3$ convolution sees one pixel to each side. Stack $n$ of
# them and it is $n$ pixels: slow growth. Halving the image doubles the
# reach of all that follows, and loses detail. A **dilated** convolution
# is the third way: its nine weights stand $d$ pixels apart, so that it
# reaches $d$ to each side, at no more parameters, no more operations
# and no loss of resolution.
#
# Why then not dilate everything, from the beginning? Nine weights four
# pixels apart look at a sixteenth of the pixels between them. Alone
# they would leave a chessboard of pixels that never meet. The plain
# convolutions before them have spread each pixel over its neighbours,
# and the dilations grow step by step, 1, 2, 4.
#
# The **receptive field** is the set of input pixels on which an output
# pixel depends. It can be counted from behind: $n$ pixels behind a
# layer of kernel $k$, dilation $d$ and stride $r$ see
# $(n - 1)\,r + (k - 1)\,d + 1$ pixels before it. For the way down,
# `begin` and the four stages, with the longest path through each block:


# %%
def field_width(dilations: tuple[int, int]) -> int:
    """Input pixels, along one side, that one pixel at the end of the way down depends on."""
    layers = 6 * [(3, 1, 1)] + [(4, 1, 2)] + 2 * [(3, 1, 1)]  # kernel, dilation, stride
    layers += [(3, d, 1) for d in dilations for _ in range(4)]
    n = 1
    for kernel, d, stride in reversed(layers):
        n = (n - 1) * stride + (kernel - 1) * d + 1
    return n


# %% [markdown]
# And it can be measured. The gradient of one output pixel with respect
# to the input is zero exactly where the output does not depend on the
# input. We take random weights, so that nothing cancels, and double
# precision. And we take the norms out for the moment: `NoNorm` stands
# in their place, for a reason that comes next.


# %%
def without_dilation(net: nn.Module) -> nn.Module:
    for conv in net.modules():
        if isinstance(conv, nn.Conv2d) and conv.dilation != (1, 1):
            conv.dilation = conv.padding = (1, 1)
    return net


def gradient(f, size: int, n: int) -> torch.Tensor:
    """Mean of |d output / d input| for an output pixel in the middle, over n images of noise."""
    x = torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    out = f(x.requires_grad_())
    out[:, :, out.shape[2] // 2, out.shape[3] // 2].sum().backward()
    return x.grad.abs().mean((0, 1))


# %%
def way_down(net: RefineNet, x: torch.Tensor) -> torch.Tensor:
    h = net.begin(x)
    for block in itertools.chain(*net.stages):
        h = block(h, None)
    return h


for given, change in (((2, 4), nn.Identity()), ((1, 1), without_dilation)):
    torch.manual_seed(0)
    net = change(RefineNet(3, 4, NoNorm, MeanPool(), refine_norm=NoNorm)).double()
    seen = gradient(partial(way_down, net), 128, 1) > 0
    print(f"dilations {given}: counted {field_width(given)}, measured {int(seen.any(0).sum())}")
    assert int(seen.sum()) == field_width(given) ** 2

# %% [markdown]
# 120 pixels instead of 56, from the same parameters. On images of
# $32 \times 32$ it means: with dilation every pixel at the end of the
# way down sees the whole image, from wherever it stands. Without, a
# pixel in one corner does not see the opposite one, 31 pixels away,
# since its field reaches 28 to each side.
#
# How much does a far pixel *count*? Suppose that all weights were equal
# and positive. Then each layer replaces a pixel by the mean of those
# that it sees, and the influence of the input on one output pixel is
# the distribution of a sum of independent steps: a step of $-d$, 0 or
# $d$ per layer, of variance $\tfrac23 d^2$. Many steps make a Gaussian.
# Count the variances, with a factor of 4 for layers at half size:
#
# $$ \underbrace{7 \cdot \tfrac23 + \tfrac14}_{\text{full size}} + 4 \cdot \tfrac23 \big(\, 2 + 4 \cdot 2^2 + 4 \cdot 4^2 \,\big) \approx 224
#    \quad\text{with dilation,}\qquad 4.92 + 4 \cdot \tfrac23 \cdot 10 \approx 32 \quad\text{without.} $$
#
# Standard deviations of 15 and 5.6 pixels. So the reach grows from 28
# to 60, about twofold, but the width of what really counts grows by a
# factor of 2.6. (Real weights have signs and the shortcuts skip layers,
# so take it as the size of the effect and not as a prediction.)
#
# **The norms are a second way to see far.** $\mu$ and $s$ are means
# over the whole image. So each output pixel of NCSN depends on *each*
# input pixel, with any dilation, already behind the first norm. The
# dependence is weak: a pixel is one of $HW$ in the mean. To see the two
# ways apart we cut the second of them. The norm below computes the same
# values but tells autograd to take $\mu$, $s$ and $\hat m$ for
# constants.


# %%
class Frozen(CondInstanceNormPlus):
    """The same output; the gradient does not go through the statistics."""

    def forward(self, x: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        slope = self.gamma[level][..., None, None] / (x.var((2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
        direct = slope.detach() * x
        return direct + (super().forward(x, level) - direct).detach()


# %%
fields = {}
for norm in (Frozen, CondInstanceNormPlus):
    for name, change in (("dilation 2 and 4", nn.Identity()), ("no dilation", without_dilation)):
        torch.manual_seed(0)
        norms = partial(norm, n_levels=1)
        net = change(RefineNet(3, 8, norms, MeanPool(), refine_norm=norms)).double()
        paths = "convolutions only" if norm is Frozen else "and statistics"
        fields[name, paths] = gradient(partial(net, level=torch.zeros(2, dtype=torch.long)), 64, 2)

# %% [markdown]
# **Predict:** the four maps show the gradient of the pixel in the
# middle of a $64 \times 64$ image, for the whole net with the way up,
# on a logarithmic scale. How does the influence fall off with distance,
# and how does dilation change that? What do the statistics add, and
# where does one see it best?
#
# <details><summary>Answer</summary>
#
# The influence falls off by one or two orders of magnitude, faster
# without dilation: of all influence 43 % comes from more than 16 pixels
# away, without dilation 24 %. The statistics put an even glow under the
# map, to the last corner. The glow is seen best where the convolutions
# reach least: far away, without dilation.
# </details>

# %%
place = torch.arange(64) - 32
distance = torch.maximum(place[:, None].abs(), place.abs())
fig, axes = plt.subplot_mosaic("abee;cdee", figsize=(9.8, 4.8), width_ratios=[1, 1, 1, 1])
numbers = {}
for key, color, ((name, paths), field) in zip("abcd", (BLUE, ORANGE, BLUE, ORANGE), fields.items(), strict=True):
    far = (field[distance > 16].sum() / field.sum()).item()
    numbers[f"{name}, {paths}"] = far
    axes[key].imshow((field / field.max()).log10(), vmin=-4, vmax=0, cmap="magma")
    axes[key].set(title=f"{name}\n{paths}: {100 * far:.0f} %", xticks=[], yticks=[])
    ring = torch.stack([field[distance == r].mean() for r in range(32)]) / field.max()
    axes["e"].semilogy(ring, "-" if key in "cd" else "--", color=color, label=f"{name}, {paths}")
axes["e"].set(xlabel="distance in pixels", title="mean influence at that distance", ylim=(1e-3, 1.5))
axes["e"].legend(fontsize=8)
alt = "Maps of influence and curves against distance: without dilation and statistics they fall fastest."
caption = "How far a pixel of the output sees, with and without dilation, with and without the norms' statistics."
save_figure(fig, "architecture_field", alt=alt, caption=caption, numbers=numbers, tolerance=1e-3)

# %% [markdown]
# (The percentage in each title is the share of the gradient from more
# than 16 pixels away.) The figure says three things.
#
# - **A field has a soft edge.** In none of the four nets is the
#   gradient of any of the 4096 pixels exactly zero. But the centre
#   counts many times as much as the border. The effective receptive
#   field (Luo et al. 2016) is much smaller than the counted one.
# - **Dilation makes the convolutions reach.** Without it and without
#   the statistics the influence drops to 0.003 at distance 31, with it
#   to 0.015.
# - **The statistics reach as far as dilation does, at least before
#   training.** With them the two nets look alike beyond 20 pixels. But
#   the two ways do not carry the same information. A mean over the
#   image says *that* something is there, and says the same to every
#   pixel. A convolution knows *where*.
#
# (Why does the share not simply grow by what the statistics add?
# Because the two paths add up with signs, and gradients can cancel.)
#
# For a sampler at a large $\sigma$ both matter. There a single pixel is
# nearly all noise, and what the image shows has to be gathered from
# sums over large areas: *how bright is the left half?* is a question to
# a wide convolution, *how bright is it all?* one to a mean.
#
# These are networks before training, and of 8 filters. Training moves
# the shares; by how much, this figure does not say.
#
# ## 9.7 Averages and ELU, for a smooth score
#
# The RefineNet of 2017 has ReLU and max pooling. NCSN has ELU and
# average pooling throughout: the authors report better-looking images
# with averages. There is an argument from smoothness, too. The score of
# $p_\sigma$ is as smooth as can be: a Gaussian has been folded in. ReLU
# has a kink at 0; ELU, $e^x - 1$ below 0, has none: its derivative is
# continuous. A maximum has a kink wherever another pixel takes over. A
# net made of kinked pieces has a *derivative that jumps*.
#
# The derivative of the score matters whenever something differentiates
# it: implicit and sliced score matching in training, and the exact
# likelihoods of the probability flow. We walk along a straight line
# through the space of images, $x(t) = x + t\,v$, and look at the slope
# of one output pixel.


# %%
def slope(activation, pool: nn.Module, n: int) -> torch.Tensor:
    """The slope of one output pixel at n places on a line through the space of images."""
    generator = torch.Generator().manual_seed(0)
    x, v = torch.randn(2, 1, 8, 8, generator=generator, dtype=torch.float64)
    torch.manual_seed(0)
    norm = partial(CondInstanceNormPlus, n_levels=1)
    net = RefineNet(1, 8, norm, pool, refine_norm=norm).double()
    line = x + 0.2 * torch.linspace(0, 1, n + 1, dtype=torch.float64)[:, None, None, None] * v
    with patch.object(F, "elu", activation), torch.no_grad():
        pixel = net(line, torch.zeros(n + 1, dtype=torch.long))[:, 0, 3, 3]
    return pixel.diff() * n / 0.2


# %% [markdown]
# What do we expect? ELU has the derivative $e^x$ below 0, which goes to
# 1 at 0, the derivative above. So the first derivative of a net of ELUs
# and means is continuous, and the second one jumps. For ReLU the first
# derivative is 0 below and 1 above: it jumps at each unit whose sign
# changes along the line. For a maximum over 25 pixels it jumps whenever
# the lead changes hands.
#
# (`patch.object` puts another function in the place of `F.elu` while
# the net runs.) To tell a jump from a steep place, look closer: with
# twice as many points the difference between neighbours halves where
# the curve is smooth, and stays where it jumps.
#
# **Predict:** the largest step between neighbours, with 200 and with
# 400 points, for ELU with averages, ELU with maxima, and ReLU with
# averages: which will halve?
#
# <details><summary>Answer</summary>
#
# Only the first halves. One kind of kink is enough to make the slope
# jump.
# </details>

# %%
largest = nn.MaxPool2d(5, stride=1, padding=2)
designs = {"ELU, average": (F.elu, MeanPool()), "ELU, maximum": (F.elu, largest), "ReLU, average": (F.relu, MeanPool())}
fig, axes = plt.subplots(1, 3, figsize=(10, 3.1))
ratios = {}
for ax, (name, design) in zip(axes, designs.items(), strict=True):
    coarse, fine = slope(*design, 200), slope(*design, 400)
    ratios[name] = (fine.diff().abs().max() / coarse.diff().abs().max()).item()
    ax.plot(torch.linspace(0, 0.2, 400), fine, ".", ms=2)
    ax.set(title=f"{name}\nlargest step × {ratios[name]:.2f}", xlabel="$t$")
axes[0].set_ylabel("slope of one output pixel")
alt = "Three curves: smooth with ELU and averages; in pieces with maxima; a rough one with ReLU."
caption = "The slope of one output pixel along a line: continuous with ELU and averages, with jumps otherwise."
save_figure(fig, "architecture_smooth", alt=alt, caption=caption, numbers=ratios, tolerance=0.01)

# %% [markdown]
# With averages and ELU a closer look finds smaller steps: half as large
# with twice as many points. The other two keep theirs. (The factor is
# not exactly 1, since a jump is divided between two neighbouring
# differences, and how evenly is a matter of chance.) Note the scales as
# well: the untrained net with ReLU swings over a range more than ten
# times as wide.
#
# NCSNv2 went back to max pooling, and works. Denoising score matching
# does not differentiate the score, and a sampler does not either.
# Smoothness is a good property of a score; good samples do not need it.
#
# ## 9.8 How large a score is
#
# The division by $\sigma$ in our small net is left to explain. By
# Tweedie's formula
# $s(\tilde x, \sigma) = -\mathbb{E}[z \mid \tilde x]/\sigma$. Where the
# noise can be told from the image,
# $\mathbb{E}[z \mid \tilde x] \approx z$ and
#
# $$ \|s(\tilde x, \sigma)\| \;\approx\; \frac{\|z\|}{\sigma} \;\approx\; \frac{\sqrt{D}}{\sigma} , $$
#
# on the paper's ladder from 1 up to $100$ per pixel. A fresh network
# gives numbers of some fixed size at every level, since norms see to
# that. Let us compare with the best possible score on the digits: that
# of the noised training images themselves, in closed form
# (`ne.Empirical`).

# %%
ladder = ne.geometric(1, 0.01, 10)
torch.manual_seed(0)
ncsn, ncsnv2 = (kind(1, 8, ladder, 8).double() for kind in (ne.NCSN, ne.NCSNv2))
scores = {"best score": ne.Empirical(digits.double()), "fresh NCSN": ncsn, "fresh NCSNv2, f(x)/σ": ncsnv2}
z = torch.randn(100, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
sizes = {name: [] for name in scores}
for (name, score), s in itertools.product(scores.items(), ladder.tolist()):
    with torch.no_grad():
        sizes[name].append(score(digits[:100] + s * z, s).square().mean().sqrt().item())

# %% [markdown]
# **Predict:** the size of the three, per pixel, against $\sigma$, with
# both axes logarithmic. Which are straight lines, of which slope? Where
# is the best score *below* $1/\sigma$, and why?
#
# <details><summary>Answer</summary>
#
# The best score and NCSNv2 have slope $-1$; NCSN is flat. At the large
# levels the best score stays a little below $1/\sigma$: there the noise
# can only partly be told from the image, and
# $\mathbb{E}[z \mid \tilde x]$ is smaller than $z$.
# </details>

# %%
fig, ax = plt.subplots(figsize=(5.4, 3.4))
ax.semilogy(ladder, 1 / ladder, "--", color=GREY, label=r"$1/\sigma$")
for color, (name, size) in zip((BLUE, RED, PURPLE), sizes.items(), strict=True):
    ax.semilogy(ladder, size, "o-", ms=4, color=color, label=name)
level_axis(ax, ladder).set_title("size of the score, per pixel")
ax.legend()
growth = {name: size[-1] / size[0] for name, size in sizes.items()}
tolerance = {name: 0.01 * g for name, g in growth.items()}
alt = "Against sigma: the best score rises from 1 to 100, NCSNv2 in parallel; a fresh NCSN is flat at 0.6."
caption = r"How large a score is: like $1/\sigma$, which a fresh NCSN has to learn and NCSNv2 is given."
save_figure(fig, "architecture_size", alt=alt, caption=caption, numbers=growth, tolerance=tolerance)

# %% [markdown]
# The fresh NCSN begins with numbers of about 0.6 at every level and has
# to arrive at a hundred at the last. Only the $\gamma$, $\alpha$ and
# $\beta$ of the norms tell the levels apart, and the convolutions
# behind them are shared. It has to learn this. NCSNv2 gets it for
# nothing: its $f$ has to give $-\mathbb{E}[z \mid \tilde x]$, of size
# about 1 at every level, and the division does the rest.
#
# What does it mean for training? The denoising loss is
# $\tfrac12\|\sigma s + z\|^2$. At the last level of a fresh NCSN
# $\sigma s$ is about $0.01 \cdot 0.6$, next to nothing beside $z$: the
# loss starts at $D/2$, and its gradient with respect to the output,
# $\sigma(\sigma s + z)$, is a hundred times smaller than at the first
# level. Adam looks at ratios and not at sizes, but all levels share the
# convolutions, and the largest gradients decide. Expect the loss of the
# last levels to come down last. For $f(x)/\sigma$ the gradient with
# respect to $f$ is $f + z$, the same size at all levels before
# training.
#
# **But notebook 8 finds the small levels loudest.** Section 8.7
# measures gradients that are three times *larger* at the small levels,
# and here they are a hundred times *smaller*. Both are right, and the
# division by $\sigma$ makes the difference. The net of notebook 8
# divides. Its gradient is $f + z$, which after training is the part of
# the noise that cannot be guessed, and that is largest at the small
# levels. NCSN does not divide, and has the factor $\sigma$ on top. We
# measure it, at the same points and with the same noise, for the
# gradient with respect to what each net's layers return:

# %%
for name, net, divides in (("NCSN", ncsn, False), ("NCSNv2", ncsnv2, True)):
    lengths = []
    for s in (1.0, 0.01):
        with torch.no_grad():
            residual = s * net(digits[:100] + s * z, s) + z
        lengths.append((residual if divides else s * residual).square().mean().sqrt().item())
    print(f"fresh {name:6}: gradient per pixel {lengths[0]:.2f} at sigma 1, {lengths[1]:.4f} at 0.01")
    assert (lengths[0] / lengths[1] > 50) != divides

# %% [markdown]
# The same factor is behind the weight $\lambda = \sigma^2$ of the loss
# (notebook 8): the residual $\sigma s + z$ is of size 1 at all levels.
# And it is why our small nets divide: with 500 steps there is no time
# to learn a factor of 40.
#
# ## 9.9 Trap: `align_corners`
#
# The refine blocks bring the coarse features to the fine size by
# bilinear interpolation. There are two conventions for where the pixels
# are: at the corners of a grid (`align_corners=True`, as in the
# published network and here), or in the middle of squares (PyTorch's
# default). Enlarge four values to eight:

# %%
for aligned in (True, False):
    enlarged = F.interpolate(torch.arange(4.0)[None, None], 8, mode="linear", align_corners=aligned)[0, 0]
    print("corners aligned:" if aligned else "squares:        ", " ".join(f"{v:.2f}" for v in enlarged.tolist()))

# %% [markdown]
# (In one dimension, where linear is what bilinear is in two.) With
# corners aligned the values go from 0 to 3 in equal steps. With the
# other convention they are stretched, and the ends repeat.
#
# Shapes and parameters are the same, and the function is another one.
# As with the variance, the order of norm and activation, and the
# padding, nothing raises an error when you load weights of one into the
# other. The only protection is a test on *numbers*: keep an input and
# the output of the published network, and compare. This library does
# that for the three published kinds of network; when you port a
# network, do it first.
#
# A list to go through when you port this network, in the order in which
# we would suspect it:
#
# 1. the input: $[0, 1]$ or $[-1, 1]$, and who maps it;
# 2. the variance of $\hat m$: $C - 1$; and $\alpha$: the code's, not
#    the paper's;
# 3. the order of norm, ELU and convolution, in each kind of block;
# 4. ELU before the chained pooling, and the path that continues from
#    the convolution;
# 5. average pooling that counts the zeros outside;
# 6. `align_corners=True`;
# 7. the padding of dilated convolutions, equal to their dilation;
# 8. whether the output is divided by $\sigma$: in NCSN no, in NCSNv2
#    yes.
#
# ## What you should be able to do now
#
# - Draw the network: stages down, refine blocks up, where the size
#   halves, where the dilations are, and where parameters and operations
#   go.
# - Write down CondInstanceNorm++, say which invariance each of its
#   terms has or breaks, and why a port needs the unbiased variance in
#   $\hat m$.
# - Explain why a net that forgets the means of channels loses colours
#   in sampling although its loss is nearly as good, and how padding
#   lets a little of them in.
# - Count a receptive field by hand, measure it by a gradient, and say
#   what statistics over the image do to it.
# - Say why NCSN has averages and ELU.
# - Name three ways of telling a net $\sigma$, and the size a score has
#   at each level.
# - Say what a RefineNet shares with a U-Net and what not, and what a
#   division by $\sigma$ does to the gradients.
#
# ## Exercises
#
# 1. Instance norm is blind to the scale of a channel as well, and
#    $\hat m$ does not bring it back. Design colours for the papers such
#    that the *strength* of the tint, and not its hue, tells the classes
#    apart. Does the net with $\alpha$ now fail? Why less badly than you
#    expected? (Think of the biases of the convolutions, and of the
#    border.)
#    <details><summary>Hint</summary>
#
#    `papers = 0.45 + t * torch.tensor([1, -0.5, -0.5])` with
#    `t` = 0.05, 0.25, 0.45.
#    </details>
#    <details><summary>Answer</summary>
#
#    It does not fail. With these papers the energy distance of the mean
#    colours is 0.017 with $\alpha$ (0.003 with the papers of the text)
#    and 0.32 without. $\hat m$ of the *input* would be the same for all
#    three papers. But the first convolution has a bias $b$: the means
#    of the features are $Wc + b$, and a stronger tint moves them away
#    from $b$ in one direction. Their pattern, and with it $\hat m$,
#    depends on the strength. The border helps a little, too.
#    </details>
# 2. Train the two nets of section 9.5 on a ladder that starts at
#    $\sigma_1 = 1$ and at 4 in place of 2. How does the scatter of the
#    mean colour grow with $\sigma_1$, and how should it, if the mean of
#    a channel makes a random walk with $\alpha_i \propto \sigma_i^2$?
#    <details><summary>Answer</summary>
#
#    Standard deviation of the mean of red, without $\alpha$: 0.28, 0.50
#    and 1.00 for $\sigma_1$ = 1, 2 and 4. A free walk has 0.40, 0.76
#    and 1.45, from $\sqrt{\frac{0.6\, T}{64} \sum_i \sigma_i^2}$. Both
#    grow nearly in proportion to $\sigma_1$, since the first levels
#    make most of the sum, and the border holds back about a third. With
#    $\alpha$: 0.17, 0.17 and 0.18, where the data have 0.16.
#    </details>
# 3. *Shapes.* This residual block is in circulation as a part of NCSN,
#    in words like these. It is meant to halve the image where `down` is
#    set. Go through `Block(64, 128, 10, down=True)` on an $x$ of shape
#    $(8, 64, 32, 32)$ with pencil and paper. It cannot run, for two
#    reasons. Which, and how is it mended? Compare with `HalvingBlock`.
#
#    ```python
#    class Block(nn.Module):
#        def __init__(self, before, after, n_levels, down=False):
#            super().__init__()
#            self.norm1, self.norm2 = (CondInstanceNormPlus(before, n_levels) for _ in range(2))
#            self.conv1, self.conv2 = conv3x3(before, before), conv3x3(before, after)
#            self.shortcut = ConvMeanPool() if down else nn.Conv2d(before, after, 1)
#
#        def forward(self, x, level):
#            h = self.conv1(F.elu(self.norm1(x, level)))
#            h = self.conv2(F.elu(self.norm2(h, level)))
#            return self.shortcut(x) + h
#    ```
#
#    <details><summary>Answer</summary>
#
#    `ConvMeanPool` has a convolution, and is not told its channels: a
#    `TypeError` before any image is seen. With
#    `ConvMeanPool(before, after, 1)` the shortcut returns
#    $(8, 128, 16, 16)$ and the second convolution $(8, 128, 32, 32)$,
#    and the sum fails. Both branches have to halve:
#    `self.conv2 = ConvMeanPool(before, after, 3)`, as in
#    `HalvingBlock`. Then the sum has the shape $(8, 128, 16, 16)$.
#    </details>
#
# ## References
#
# - Y. Song and S. Ermon, *Generative Modeling by Estimating Gradients
#   of the Data Distribution*, NeurIPS 2019: appendix A, the
#   architecture.
# - G. Lin, A. Milan, C. Shen and I. Reid, *RefineNet: Multi-Path
#   Refinement Networks for High-Resolution Semantic Segmentation*,
#   CVPR 2017.
# - D. Ulyanov, A. Vedaldi and V. Lempitsky, *Instance Normalization:
#   The Missing Ingredient for Fast Stylization*, 2016.
# - V. Dumoulin, J. Shlens and M. Kudlur, *A Learned Representation for
#   Artistic Style*, ICLR 2017: conditional instance norm.
# - F. Yu and V. Koltun, *Multi-Scale Context Aggregation by Dilated
#   Convolutions*, ICLR 2016.
# - W. Luo, Y. Li, R. Urtasun and R. Zemel, *Understanding the Effective
#   Receptive Field in Deep Convolutional Neural Networks*,
#   NeurIPS 2016.
# - K. He, X. Zhang, S. Ren and J. Sun, *Identity Mappings in Deep
#   Residual Networks*, ECCV 2016: norm and activation before the
#   convolution.
# - Y. Song and S. Ermon, *Improved Techniques for Training Score-Based
#   Generative Models*, NeurIPS 2020: technique 3.
# - J. Ho, A. Jain and P. Abbeel, *Denoising Diffusion Probabilistic
#   Models*, NeurIPS 2020: the U-Net and its embedding.
# - The published code: github.com/ermongroup/ncsn,
#   `models/cond_refinenet_dilated.py`.
#
# **Next:** [10 · Train and sample](10_train_and_sample.ipynb)
