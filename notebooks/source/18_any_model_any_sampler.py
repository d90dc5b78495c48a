# %% [markdown]
# # 18 · Any model, any sampler
#
# *Reading and trying: about 100 minutes, and another hour for the exercises. Running every cell: about 60 seconds on a laptop, at laptop scale (points in the plane, and pictures of 8x8 pixels).*
#
# Papers differ in what their nets predict: a score,
# the noise, the clean image, $v$, a velocity. They
# differ in their time: a level, a step $t$, a
# $\sigma$. And they differ in their samplers. It
# looks as if there were as many kinds of models as
# papers. There are not: what is learned is one
# function, and every sampler can use it. You will
#
# - train the same small net in five letters, and
#   turn each of them into a score;
# - derive the five letters from one another on a
#   single page, and check each formula by brute
#   force;
# - see what the choice of letters does change:
#   where an error of the net hurts;
# - run nine models under six samplers, with the
#   exact error of each pair;
# - draw cost against quality, with evaluations on
#   the axis;
# - meet flow matching: the same field, the same
#   samples, to the last digits;
# - mix up letters on purpose, six times, and learn
#   what each mistake looks like;
# - do it all again with digits, by nets that ship.
#
# You need: Tweedie's formula from
# [3 · Score matching](03_score_matching.ipynb), the
# samplers of [7 · Annealing](07_annealing.ipynb)
# and [16 · DDPM](16_ddpm.ipynb), the probability
# flow from [17 · SDEs](17_sdes.ipynb), and the
# energy distance from
# [12 · Judging samples](12_judging_samples.ipynb).
# The letters are on the page of
# [symbols](symbols.md).
#
# On Google's Colab the next cell gets the package; anywhere else it does nothing.

# %%
import sys

if "google.colab" in sys.modules:
    raise SystemExit("Give the address of the project's repository here: %pip install -q git+https://...")

# %%
import itertools
import json
import math

import torch
from matplotlib import pyplot as plt
from torch import Tensor, nn

import ncsn_edu as ne
from ncsn_edu import GaussianMixture, convert, datasets, energy_distance, plots, practice, save_figure, show
from ncsn_edu.adapters import PREDICTIONS
from ncsn_edu.losses import sigmas_between
from ncsn_edu.metrics import judge
from ncsn_edu.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED
from ncsn_edu.schedules import eps_for_steps
from ncsn_edu.trained import WEIGHTS, load_judge, load_trained
from ncsn_edu.widgets import GridExplorer

plots.use_style()
generator = torch.Generator().manual_seed(0)

# %% [markdown]
# ## 18.1 One contract
#
# In this collection a model is whatever answers one
# question:
#
# $$ \texttt{score}(x, \sigma) = \nabla_x \log p_\sigma(x), \qquad p_\sigma = p_\text{data} * \mathcal{N}(0, \sigma^2 I) . $$
#
# The data are left as they are, and noise of
# standard deviation $\sigma$ is added:
# $x = x_0 + \sigma z$. Samplers see nothing else.
# Steps $t$, scalings and levels stay inside the
# model that needs them.
#
# Why this question, and not "what is the noise in
# $x_t$ at step $t$"? Three reasons. It has a
# meaning without any training: a mixture has an
# answer, and so has a finite data set. It has no
# units of its own: whoever changes the schedule, or
# the number of steps, asks the same function at
# other places. And it leaves nothing to be agreed
# upon between the author of a model and the author
# of a sampler. The price is that each net needs a
# few lines around it. This notebook is about those
# few lines.
#
# We take data whose score is known, four peaks in
# the plane with different shares:

# %%
centres = 3.0 * torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
truth = GaussianMixture(centres, 0.25, [0.4, 0.3, 0.2, 0.1])
high, low, width = 20.0, 0.05, 2.1  # the noise levels, and the standard deviation of the data
real = truth.sample(4000, generator=generator)
print(f"standard deviation of the data: {real.std(0).mean():.1f}")

# %% [markdown]
# And a net, the same for all but one of the models:
# three linear layers, with 96 units after each of
# the first two, that see a point and what they are
# told of the noise. Its users differ by what stands
# *around* it.


# %%
class Net(nn.Module):
    def __init__(self, n_out: int = 2, told: str = "sigma") -> None:
        super().__init__()
        self.told = told
        self.layers = nn.Sequential(nn.Linear(3, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, n_out))

    def forward(self, x: Tensor, told: float | Tensor) -> Tensor:
        column = torch.as_tensor(told).reshape(-1, 1).expand(len(x), 1)
        return self.layers(torch.cat([x, column.log() / 3 if self.told == "sigma" else column], 1))


# %% [markdown]
# Two of them scale their input, so that a point
# with noise of 20 and a clean point have the same
# size: one that guesses the clean point, and one
# that is an **energy**, a single number whose slope
# is the score.


# %%
def scaled(x: Tensor, sigma: float | Tensor) -> Tensor:
    return x / (width**2 + torch.as_tensor(sigma).reshape(-1, 1) ** 2).sqrt()


class Denoiser(Net):
    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        return super().forward(scaled(x, sigma), sigma)


class Energy(Net):
    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        u = scaled(x, sigma)
        return u.square().sum(1) / 2 + super().forward(u, sigma)[:, 0]


# %% [markdown]
# Now the models. Each line is an **adapter** of the
# library around a net, and each of these objects is
# called as `model(x, sigma)`. What an adapter has
# to do is always the same:
#
# - scale the input, so that the net sees numbers of
#   about size 1;
# - tell the net the noise in the way that it wants
#   to be told;
# - turn what the net says into a score.

# %%
torch.manual_seed(0)
models = {
    "noise": ne.EpsScore(Net(), data_std=width),
    "clean": ne.DenoiserScore(Denoiser()),
    "v": ne.Preconditioned(Net(), data_mean=0.0, data_std=1.0),
    "velocity": ne.FlowScore(Net(told="t")),
    "preconditioned": ne.Preconditioned(Net(), data_mean=0.0, data_std=width),
    "energy": ne.EnergyScore(Energy(1)),
    "f / sigma": ne.NoiseConditionalMLP(2, (96, 96), data_std=width),
}

# %% [markdown]
# `EpsScore` is DDPM's way (told $\sigma$ here; with
# `alphas_bar=` it is told the step $t$).
# `Preconditioned` is that of Karras et al. 2022.
# With `data_std` = 1 it is $v$-prediction, as
# section 18.2 shows. "f / sigma" divides by
# $\sigma$ as NCSNv2 does. (It has layers of its own,
# with softplus for SiLU, and it is told
# $\log\sigma$; NCSNv2's $f$ is told nothing.) NCSN
# itself and its second version are nets for images;
# they come in section 18.8. Two closed forms join
# later: the mixture itself, and the empirical
# distribution of 1000 of its points.
#
# Two things differ between such nets that have
# nothing to do with letters. One is what they are
# told: $\sigma$, its logarithm, a step, a time. The
# other is the scaling of the input. Both are
# settled in the adapter, and neither is seen from
# outside.
#
# All are trained alike: `dsm`, the loss of notebook
# 3, at random levels, with the weight that is
# natural for the letters. That weight makes the
# loss the squared error of the net's *own* output:

# %%
show(ne.FlowScore)


# %%
def train(model: nn.Module, n_steps: int = 2000) -> None:
    optimiser = torch.optim.Adam(model.parameters())
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=n_steps)
    weight = getattr(model, "loss_weight", None)
    loss = ne.Denoising(ne.geometric(high, low, 20), draw=sigmas_between, weight=weight, generator=generator)
    for _ in range(n_steps):
        optimiser.zero_grad()
        loss(model, truth.sample(256, generator=generator)).weighted.mean().backward()
        optimiser.step(), rate.step()
    model.requires_grad_(False)


# %% [markdown]
# `Denoising` draws a $\sigma$ for each point,
# uniform in its logarithm between 0.05 and 20, adds
# that noise, and computes `dsm`. In 2000 steps of
# 256 points a net sees half a million noisy points.
# No net sees the score: that we know it serves the
# judge alone.
#
# The levels are drawn alike for all letters, so
# that no net has seen more of the small noise or of
# the large than another. Papers do not do that, and
# a comparison between two papers compares their
# draws as well. (Exercise 2 changes the draw.)
#
# Seven nets, 2000 steps each, about two seconds a
# net:

# %%
for model in models.values():
    train(model)
models = {"mixture": truth, "1000 points": ne.Empirical(real[:1000]), **models}

# %% [markdown]
# ## 18.2 One page of letters
#
# Given $x = x_0 + \sigma z$, what can a net
# predict? The best guess of anything, in squared
# error, is its conditional mean. Write
# $\hat x_0 = \mathbb{E}[x_0 \mid x]$ and
# $\hat z = \mathbb{E}[z \mid x]$. Taking the mean
# of $x = x_0 + \sigma z$ given $x$,
#
# $$ x = \hat x_0 + \sigma \hat z . $$
#
# That is the whole page. $x$ and $\sigma$ are
# known, so that who knows $\hat x_0$ knows
# $\hat z$, and everything that is linear in the
# two. Nothing was assumed of the data.
#
# | letters | what the net says | from the two guesses | back to the clean guess |
# |---|---|---|---|
# | clean image | $\hat x_0$ | | $\hat x_0$ |
# | noise (DDPM's $\epsilon$) | $\hat z$ | $(x - \hat x_0)/\sigma$ | $x - \sigma \hat z$ |
# | score | $s$ | $-\hat z/\sigma$ (Tweedie) | $x + \sigma^2 s$ |
# | $v$ (Salimans & Ho) | $\hat v$ | $a \hat z - b \hat x_0$ | $a\,(a x) - b\, \hat v$ |
# | velocity (flow matching) | $\hat u$ | $\hat z - \hat x_0$ | $(x - \sigma \hat u)/(1 + \sigma)$ |
#
# Here $a = 1/\sqrt{1 + \sigma^2}$ and
# $b = \sigma a$ are DDPM's $\sqrt{\bar\alpha}$ and
# $\sqrt{1 - \bar\alpha}$, so that
# $a x = x_t = a x_0 + b z$.
#
# Read the table once by rows.
#
# - **Clean image.** The net is a denoiser: what was
#   $x$ before the noise came?
# - **Noise.** The net says what has to be
#   subtracted, in units of $\sigma$. This is DDPM's
#   simple loss.
# - **Score.** Minus the noise, divided by $\sigma$
#   once more. Its target $-z/\sigma$ grows without
#   bound as $\sigma$ gets small. So NCSN, whose net
#   says it directly, multiplies the loss by
#   $\sigma^2$, and its second version divides the
#   net by $\sigma$.
# - **$v$.** As much of the noise as there is image
#   in $x_t$, less as much of the image as there is
#   noise. At little noise it is the noise, at much
#   noise it is minus the image.
# - **Velocity.** Noise less image, always with the
#   same weights.
#
# Each entry of the last column follows from the one
# before it and $x = \hat x_0 + \sigma \hat z$. For
# $v$:
# $a x_t - b \hat v = a(a \hat x_0 + b \hat z) - b(a \hat z - b \hat x_0) = (a^2 + b^2)\,\hat x_0$.
# It is a rotation: $x_t$ and $v$ are $x_0$ and $z$
# in axes turned by the angle whose tangent is
# $\sigma$.
#
# **Write it.** A net says $v$ at
# $x = x_0 + \sigma z$. What is the score there?
# ($\sigma$ is a number.)
#
# <details><summary>Solution</summary>
#
# ```python
# def my_score(v, x, sigma):
#     a = 1 / math.sqrt(1 + sigma**2)
#     clean = a * (a * x) - sigma * a * v
#     return (clean - x) / sigma**2
# ```
# </details>


# %%
def my_score(v, x, sigma):  # v and x: (B, D); returns (B, D)
    ...


practice.score_of_v(my_score)

# %% [markdown]
# The library has one function for all changes,
# `convert`. It goes through the clean guess: five
# formulas that lead there and five that lead away do
# for all twenty-five pairs. Find in the formulas the
# lines that you have just written, and the ones of
# the table.

# %%
show(ne.adapters._clean_of, ne.adapters._of_clean, convert, docstring=False)

# %% [markdown]
# **A check that shares no formula with it.** Draw
# many clean points. Given a noisy $x$, each of them
# has made it with a chance in proportion to
# $e^{-\|x - x_0\|^2/2\sigma^2}$. So the conditional
# mean of *anything* is a weighted mean over the
# draws, with $z = (x - x_0)/\sigma$. We compute the
# five targets in this way, by their definitions,
# and compare with the exact score after conversion:

# %%
x, sigma = torch.tensor([[1.0, 0.5]]), 1.5
x_0 = truth.sample(1_000_000, generator=generator)
weight = (-(x - x_0).square().sum(1, keepdim=True) / (2 * sigma**2)).softmax(0)
z, a = (x - x_0) / sigma, 1 / math.sqrt(1 + sigma**2)
targets = {"score": -z / sigma, "noise": z, "clean": x_0, "v": a * z - sigma * a * x_0, "velocity": z - x_0}

# %% [markdown]
# `targets` holds a million rows of each kind, and
# `weight` the share that each of them has.

# %%
for kind in PREDICTIONS:
    brute = (weight * targets[kind]).sum(0)
    found = convert(truth(x, sigma), x, sigma, source="score", target=kind)[0]
    print(f"{kind:8}: by a million draws {brute[0]:6.2f} {brute[1]:6.2f}, converted {found[0]:6.2f} {found[1]:6.2f}")
    assert (brute - found).abs().max() < 0.02

# %% [markdown]
# The way back is exact as well. From each of the
# five to each of the others and back, the largest
# error in float64:

# %%
x = truth.perturb(sigma).sample(1000, generator=generator).double()
said = {kind: convert(truth(x, sigma), x, sigma, source="score", target=kind) for kind in PREDICTIONS}
pairs = [(one, other) for one in PREDICTIONS for other in PREDICTIONS]
errors = [(convert(said[one], x, sigma, source=one, target=other) - said[other]).abs().max() for one, other in pairs]
print(f"{len(pairs)} conversions, largest error ≈ {max(errors):.0e}")
assert max(errors) < 1e-12

# %% [markdown]
# **$v$ is preconditioning.** Karras et al. scale
# input and output of a net so that both have
# variance 1. For data of variance 1 the net inside
# is then $-v$: compare $\hat x_0 = a^2 x + b F$
# with the table. That is why
# `Preconditioned(..., data_std=1)` is called "v"
# above. Is it so?


# %%
def minus_v(u, sigma):
    return -convert(truth(u / a, sigma), u / a, sigma, source="score", target="v")


found = ne.Preconditioned(minus_v, data_mean=0.0, data_std=1.0)(x, sigma)
off = (found - truth(x, sigma)).abs().max()
print(f"largest difference from the score ≈ {off:.0e}")
assert off < 1e-12

# %% [markdown]
# ## 18.3 What the letters change
#
# If all letters say the same, why do papers argue
# about them? Because nets err. Say that a net errs
# by $\delta$ in *its own* output. Differentiate the
# last column of the table, and you have the error
# of the clean guess:
#
# | the net predicts | error of $\hat x_0$ | at $\sigma = 0.05$ | at $\sigma = 20$ |
# |---|---|---|---|
# | score | $\sigma^2 \delta$ | 0.0025 $\delta$ | 400 $\delta$ |
# | noise | $\sigma \delta$ | 0.05 $\delta$ | 20 $\delta$ |
# | clean image | $\delta$ | $\delta$ | $\delta$ |
# | $v$ | $\sigma \delta / \sqrt{1 + \sigma^2}$ | 0.05 $\delta$ | 1.00 $\delta$ |
# | velocity | $\sigma \delta/(1 + \sigma)$ | 0.05 $\delta$ | 0.95 $\delta$ |
#
# What is harmful? At small $\sigma$ the sampler
# wants the last fine step: an error of $\hat x_0$
# must be small against $\sigma$, and the clean
# image's letters do not give that. At large
# $\sigma$ the sampler decides where to go: an error
# must be small against the data's width, 2.1, and
# the noise's letters do not give *that*. ("I guess
# the noise up to a percent" sounds well. At
# $\sigma = 20$ it is 0.2 in the image, and at
# DDPM's last step, $\sigma = 157$, it is 1.6.) $v$
# and velocity err by less than either everywhere,
# and by about the smaller of the two at both ends.
#
# One can turn this around. Which letters make every
# task equally hard, so that a net of limited size
# errs by about the same everywhere? At
# $\sigma = 20$ to say the noise is no task at all:
# nearly all of $x$ is noise, and the net has to
# copy its input. What little it gets wrong is 20
# times as much in the image. At $\sigma = 0.05$ to
# say the clean image is no task: the net has to
# copy its input again, and an error of 0.05 in the
# copy is as large as the noise that was to be
# removed. It is better when a net need not copy.
# $v$, velocity and preconditioning see to that:
# part of the answer is the input itself, with the
# right weight.
#
# The table assumed errors of equal size in all
# letters. What do trained nets do? We measure them
# against the exact score, at points that have the
# right distribution:
# %%
levels = ne.geometric(high, low, 12)
off = {name: [] for name in models if name != "mixture"}
for sigma in levels.tolist():
    x = truth.perturb(sigma).sample(4000, generator=generator)
    for name, errors in off.items():
        wrong = models[name](x, sigma).detach() - truth(x, sigma)
        errors.append(sigma**2 * wrong.square().sum(1).mean().sqrt())

# %% [markdown]
# `off` is the root mean square error of the clean
# guess, a number for each model and level.
#
# **Predict:** in the figure, left, all lines are
# those of the last table, with $\delta = 0.1$.
# Right are the errors that were measured. Which
# trained net will be the worst at $\sigma = 0.05$,
# and which at 20? And where will the 1000 points be
# bad?
#
# <details><summary>Answer</summary>
#
# At small $\sigma$ the clean net is the worst of
# the nets, by a factor of about ten or more, and at large
# $\sigma$ those that predict the noise ("noise", "f
# / sigma", but also the energy). The 1000 points
# are good at large $\sigma$, where only their mean
# counts. At $\sigma = 0.05$ they pull every chain
# onto one of them.
# </details>

# %%
kinds = dict(zip(PREDICTIONS, (RED, BLUE, GREEN, ORANGE, PURPLE), strict=True))
colors = kinds | {"preconditioned": "black", "energy": "saddlebrown", "f / sigma": "deepskyblue", "1000 points": GREY}
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
zero = torch.zeros(12, 1)
for kind in PREDICTIONS:
    slope = [convert(zero + k, zero, levels, source=kind, target="clean")[:, 0] for k in (0.0, 0.1)]
    left.loglog(levels, (slope[1] - slope[0]).abs(), color=colors[kind], label=kind)
for name, errors in off.items():
    right.loglog(levels, errors, color=colors[name], label=name)
left.set(title="if every net erred by 0.1", ylabel=r"error of the clean guess", xlabel=r"$\sigma$", ylim=(1e-3, 50))
right.set(title="nets that were trained alike", xlabel=r"$\sigma$")
left.legend(fontsize=9), right.legend(fontsize=8, ncols=2)
numbers = {
    f"{name} {end}": math.log10(errors[at]) for name, errors in off.items() for end, at in (("low", -1), ("high", 0))
}
alt = (
    "Errors of the clean guess against the noise level. Left, five lines that fan out from each other. Right, trained "
    "nets: the clean net is worst at small noise, those that predict the noise are worst at large noise."
)
caption = "Where an error hurts depends on the letters: left by the table, right for trained nets."
save_figure(fig, "grid_letters", alt=alt, caption=caption, numbers=numbers, tolerance=0.35)

# %%
for name in ("noise", "clean", "v", "velocity", "preconditioned"):
    print(f"{name:14}: error of the clean guess ≈ {off[name][-1]:.3f} at 0.05, ≈ {off[name][0]:.2f} at 20")
assert off["clean"][-1] > 4 * max(off[name][-1] for name in ("noise", "v", "velocity", "preconditioned"))
assert off["noise"][0] > 3 * max(off[name][0] for name in ("clean", "v", "velocity", "preconditioned"))

# %% [markdown]
# At both ends the trained nets err as the table
# says. (All five
# have the same layers, steps and data.) Note what
# follows for the *loss*: by `loss_weight` each net
# was trained on the squared error in its own
# letters. A net can be trained in one set of
# letters with the weight of another. So "predicts
# noise" says two things at once, a parametrisation
# and a weight, and papers that compare letters
# often change both.
#
# The explorer makes the assumption of the left
# picture: a net that is exact but for an error in
# its own letters. Its samples are drawn by a
# sampler with so many evaluations, and the line has
# their energy distance to the truth.
#
# - With "DDIM" and 20 evaluations, go through the
#   five predictions. Which two are good, and what
#   is wrong with each of the others?
# - "noise", error 0.2: which sampler repairs most
#   of it? Take 40 evaluations for each.
# - With "clean", is there a sampler that helps? Why
#   not?
#
# <details><summary>Answers</summary>
#
# - $v$ and velocity: 0.017 and 0.012. With the
#   score chains go to wrong modes: the right one
#   has 0.31 of them, where 0.40 is right. With
#   noise it has 0.46. With "clean" the shares are
#   right (0.40), and the dots do not fill the
#   modes.
# - Predictor-corrector: 0.023. Ancestral sampling
#   comes next with 0.033, and the two flows are
#   last, above 0.06. Fresh noise covers what the
#   net got wrong at the levels before, and the
#   smaller levels, where the score is good, move
#   the chains where it wants them.
# - None gets far below 0.1, not even with 100
#   evaluations. The error of the clean guess is of
#   the same size at all levels, so that the last
#   levels, too, are wrong, and with them the
#   denoising step that all samplers share.
# </details>

# %%
GridExplorer(predicts="noise", error=0.2, sampler="DDIM (flow by Euler)", evaluations=20)

# %% [markdown]
# ## 18.4 The grid
#
# Nine models and six samplers. The samplers share
# one form: from noise at `high`, along a ladder, to
# `low`, and the denoising step that this collection
# always ends with. So many evaluations of the model
# are the budget, the last one included:


# %%
def down(n_steps: int) -> Tensor:
    return ne.geometric(high, low, n_steps + 1)


def annealed(model, x: Tensor, n: int):  # 20 levels at most, at least 2 steps at each; technique 4's step size
    n_each = max(2, math.ceil(n / 20))
    sigmas = ne.geometric(high, low, n // n_each)
    eps = eps_for_steps(sigmas, n_each)
    return ne.annealed_langevin(model, x, sigmas, eps=eps, n_steps_each=n_each, generator=generator)


# %%
samplers = {
    "annealed Langevin": annealed,
    "ancestral": lambda model, x, n: ne.ancestral(model, x, down(n), generator=generator),
    "DDIM, eta 1/2": lambda model, x, n: ne.ddim(model, x, down(n), eta=0.5, generator=generator),
    "flow by Euler": lambda model, x, n: ne.probability_flow(model, x, down(n), solver="euler"),
    "pred.-corrector": lambda model, x, n: ne.predictor_corrector(model, x, down(n // 2), generator=generator),
    "flow by Heun": lambda model, x, n: ne.probability_flow(model, x, down(n // 2)),
}


# %% [markdown]
# What is not shared is how they use the levels.
# Annealed Langevin dynamics stays at each of them
# for a while. The other five pass through:
# `ancestral` and `ddim` with fresh noise, the flow
# without, and the predictor-corrector adds a
# Langevin step to each level. With two evaluations
# a step, the last two in the table get half as many
# levels.
#
# Every pair is one call. The judge is the energy
# distance of notebook 12, to 4000 points of the
# truth. It is an exact error: with ever more
# samples it is zero for the right distribution and
# no other. With a finite number it has a floor,
# that of two draws of the truth:


# %%
def error(model, sampler: str, n: int, n_chains: int = 1000) -> float:
    start = high * torch.randn(n_chains, 2, generator=generator)
    x = ne.last(samplers[sampler](model, start, n - 1))
    return energy_distance(ne.denoise(model, x, low), real)


# %%
again = torch.tensor([energy_distance(truth.sample(1000, generator=generator), real) for _ in range(20)])
floor = again.abs().max().item()
print(f"twenty draws of the truth: between {again.min():.3f} and {again.max():.3f}")
assert floor < 0.01

# %% [markdown]
# **Predict:** the figure shows the error of each
# pair at 60 evaluations. Will a good model save a
# bad sampler, or a good sampler a bad model? Which
# row, besides the clean net's, will be bad under
# every sampler?
#
# <details><summary>Answer</summary>
#
# Neither. The error of a pair is about the larger
# one of its row's and its column's. Annealed
# Langevin dynamics is bad in most rows: 60
# evaluations are three steps at each of 19 levels.
# The net "f / sigma" is bad in every column. The
# letters are not the reason: but for the sign they
# are those of "noise". The softplus is: with it in
# the place of SiLU "noise" errs about as much as
# "f / sigma".
# </details>

# %%
table = torch.tensor([[error(model, name, 60) for name in samplers] for model in models.values()])
fig, ax = plt.subplots(figsize=(7.5, 4.6))
ax.imshow(table.clamp(min=1e-3).log10(), cmap="Blues", vmin=-3, vmax=-0.5, aspect="auto")
for i, j in torch.cartesian_prod(torch.arange(len(models)), torch.arange(len(samplers))).tolist():
    ink = "white" if table[i, j] > 0.04 else "black"
    ax.text(j, i, f"{table[i, j]:.3f}", ha="center", va="center", fontsize=9, color=ink)
ax.set_xticks(range(len(samplers)), samplers, rotation=20, ha="right", fontsize=9)
ax.set_yticks(range(len(models)), models)
ax.set_title("energy distance to the truth, 60 evaluations")
numbers = {f"{model}, {name}": table[i, j] for i, model in enumerate(models) for j, name in enumerate(samplers)}
alt = (
    "A table of nine models by six samplers, coloured by the energy distance. The column of annealed Langevin is dark "
    "in most rows, the rows of the clean net and of f over sigma are dark in all columns, the rest is pale."
)
caption = "Any model under any sampler: each number is the energy distance of 1000 samples to the truth."
save_figure(fig, "grid_models_samplers", alt=alt, caption=caption, numbers=numbers, tolerance=0.03)

# %%
print(f"the mixture: best ≈ {table[0].min():.3f}, annealed Langevin ≈ {table[0, 0]:.3f}")
good = table[[list(models).index(name) for name in ("v", "velocity", "preconditioned", "energy")], 1:]
print(f"v, velocity, preconditioned, energy, all but annealed Langevin: worst ≈ {good.max():.3f}")
assert table[:, 0].mean() > 0.02 and table[0, 1:].max() < 0.02 and good.max() < 0.025
assert table[list(models).index("clean"), 1:].mean() > 0.01 > floor

# %% [markdown]
# With the exact score all samplers but one are
# within about twice the floor at 60 evaluations.
# Four of the trained nets are as close, at most
# 0.025 away. Differences of 0.01 between two cells
# are chance: each has 1000 samples.
# And no pair fails *because it is that pair*: no
# sampler prefers the letters of its own paper.
# DDPM's own sampler, "ancestral", is as good with a
# velocity net as with a noise net, up to chance.
#
# One row deserves suspicion: "1000 points" has
# numbers as good as the mixture's, and no net. It
# returns its own points, with a little noise around
# them. The judge cannot see that. A thousand points
# *are* a fair sample of the truth, and here they
# are even among the 4000 that it compares with.
# Distances between distributions do not tell a
# model that has understood from one that has
# memorised; notebook 12 has a number that does.
#
# And two columns deserve a second look, those of
# the flow. "noise" has its largest errors at large
# $\sigma$, ten times those of "v" and more. In the
# table little of them is left. On the way from
# $\sigma = 20$ to 3, where the modes are chosen,
# the flow shrinks all distances by a factor of
# about $\sqrt{4.4 + 20^2}/\sqrt{4.4 + 3^2} = 5.5$,
# and an early error with them. (4.4 is the variance
# of the data.) Errors count where decisions are
# made.
#
# ## 18.5 Cost against quality
#
# What takes time is evaluating the net; the rest of
# a step is a few additions. So the fair axis has
# evaluations, and not steps: Heun's method and the
# predictor-corrector ask twice a step.
#
# We take the exact score, so that the sampler's own
# error is all there is, and 4000 chains, for a
# lower floor.
#
# **Predict:** the next figure shows error against
# evaluations, from 6 to 100. Which sampler is the
# best at 10? Which curves meet at 100? Is noise
# good or bad for few evaluations?
#
# <details><summary>Answer</summary>
#
# At 10 Euler's method and the two with fresh noise,
# `ddim` and `ancestral`, are close together: 0.01
# to 0.03. Heun's method is ten times worse there:
# it has only four steps. By 20 it has caught up
# with them. At 50 these four are in the band or
# just above. The predictor-corrector needs 50 to 100
# evaluations, and annealed Langevin dynamics, which
# leaves everything to noise, needs more.
#
# </details>

# %%
budgets = [6, 10, 20, 50, 100]
curves = {name: [error(truth, name, n, 4000) for n in budgets] for name in samplers}
ground = max(abs(energy_distance(truth.sample(4000, generator=generator), real)) for _ in range(10))

# %%
fig, ax = plt.subplots(figsize=(7, 4.2))
for (name, curve), color in zip(curves.items(), (RED, BLUE, GREEN, ORANGE, PURPLE, "black"), strict=True):
    ax.loglog(budgets, torch.tensor(curve).clamp(min=4e-4), "o-", ms=4, color=color, label=name)
ax.axhspan(1e-4, ground, color=GREY, alpha=0.25, label="two draws of the truth")
ax.set(xlabel="evaluations of the score", ylabel="energy distance to the truth", ylim=(3e-4, 10))
ax.set_xticks(budgets, budgets)
ax.legend(fontsize=9)
numbers = {
    f"{name}, {n}": value for name, curve in curves.items() for n, value in zip(budgets[1:], curve[1:], strict=True)
}
alt = (
    "Energy distance against evaluations for six samplers. All fall towards a grey band at the bottom: the flow and "
    "ancestral sampling come near it by 20 to 50 evaluations, the predictor-corrector by 50 to 100, annealed Langevin "
    "not."
)
caption = "Cost against quality with the exact score; the band is what two draws of the truth differ by."
save_figure(fig, "grid_cost", alt=alt, caption=caption, numbers=numbers, tolerance=0.03)

# %%
for name, curve in curves.items():
    print(f"{name:18}" + "".join(f"  ≈ {value:6.3f}" for value in curve))
assert all(abs(curves[name][3]) < 0.01 for name in ("ancestral", "DDIM, eta 1/2", "flow by Euler", "flow by Heun"))
assert curves["annealed Langevin"][2] > 0.03 and curves["pred.-corrector"][2] > 0.01
assert curves["flow by Euler"][0] < 0.2 * curves["flow by Heun"][0]

# %% [markdown]
# Three things can be read off.
#
# - **The order of a method is a promise for many
#   steps.** Heun's curve is the steepest, and it
#   begins as one of the highest. At 10 evaluations
#   a method of order 1 with twice as many steps is
#   better.
#
# - **A little noise costs little.** `ddim` with
#   $\eta = 1/2$ keeps up with the flow, and
#   `ancestral` nearly does.
# - **In the band nothing can be said.** A point at
#   the bottom of the picture is an estimate that
#   came out at zero or below by chance, and a point
#   just above the band may be there by chance.
#   Whoever wants to compare samplers there
#   needs more chains, and not more decimals.
#
# Read the curves with their limits in mind. Here
# $D = 2$ and the score is exact. With a trained net
# every curve ends at the net's own error, and more
# evaluations stop helping earlier. A net's error
# also changes the ranking: samplers with noise
# correct some of it, as the explorer showed. That
# is why many papers find that the flow is best with
# few evaluations and noise with many (notebook 16
# has such numbers for CIFAR-10).

# %% [markdown]
# ## 18.6 Flow matching in a page
#
# Flow matching (Lipman et al. 2023; rectified flow,
# Liu et al. 2023) begins elsewhere. Join a data
# point and a noise point by a straight line,
#
# $$ x_t = (1 - t)\, x_0 + t\, z, \qquad \frac{dx_t}{dt} = z - x_0 , $$
#
# and let a net learn the velocity at $x_t$ by least
# squares,
# $\mathbb{E}\,\|u_\theta(x_t, t) - (z - x_0)\|^2$.
# To sample, start from noise at $t = 1$ and
# integrate $dx = u_\theta\, dt$ down to $t = 0$. No
# score, no noise levels, no SDE.
#
# (We put the data at $t = 0$, as in all of this
# collection. Lipman et al. put the noise there.
# Their velocity is minus ours at $1 - t$.)
#
# | | score-based | flow matching |
# |---|---|---|
# | noisy point | $x = x_0 + \sigma z$ | $x_t = (1 - t) x_0 + t z$ |
# | how much noise | $\sigma$ from 0 to $\infty$ | $t$ from 0 to 1 |
# | target of the net | $-z/\sigma$, or $z$ | $z - x_0$ |
# | how levels are drawn | $\log \sigma$ uniform, a table, ... | $t$ uniform |
# | start of a sampler | $\mathcal{N}(0, \sigma_1^2 I)$ | $\mathcal{N}(0, I)$ |
# | sampler | dozens | Euler, Heun |
#
# But least squares returns a conditional mean:
# $u(x_t, t) = \mathbb{E}[z - x_0 \mid x_t]$. And
# dividing by $1 - t$,
#
# $$ \frac{x_t}{1 - t} = x_0 + \sigma z \quad\text{with}\quad \sigma = \frac{t}{1 - t} . $$
#
# It is the velocity of the table in section 18.2.
# With $\hat z = -\sigma s$ and
# $\hat x_0 = x + \sigma^2 s$,
#
# $$ u = -\sigma s - (x + \sigma^2 s) = -x - \sigma(1 + \sigma)\, s(x, \sigma), \qquad x = \frac{x_t}{1 - t} . $$
#
# **Write it.** The velocity of flow matching from a
# score.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_velocity(score, x_t, t):
#     x, sigma = x_t / (1 - t), t / (1 - t)
#     return -x - sigma * (1 + sigma) * score(x, sigma)
# ```
# </details>


# %%
def my_velocity(score, x_t, t):  # score(x, sigma), x_t: (B, D), t: a number between 0 and 1; returns (B, D)
    ...


practice.velocity_of_score(my_velocity)

# %% [markdown]
# The library's own are `ScoreVelocity(score)`,
# which is this, and `FlowScore(velocity)`, its
# inverse, which you saw above.
#
# **Write it.** The loss of each example, as flow
# matching has it. Each row has its own time.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_loss(velocity, x, t, z):
#     s = t[:, None]
#     return (velocity((1 - s) * x + s * z, t) - (z - x)).square().sum(1)
# ```
# </details>


# %%
def my_loss(velocity, x, t, z):  # velocity(x_t, t), x and z: (B, D), t: (B,); returns (B,)
    ...


practice.flow_loss(my_loss)

# %% [markdown]
# **The same loss.** Put the score of a velocity
# into `dsm`. What is squared there is
# $\sigma s + z = -(u + x)/(1 + \sigma) + z = (z - x_0 - u)/(1 + \sigma)$.
# So flow matching is denoising score matching with
# the weight $(1 + \sigma)^2$ and another way to
# draw $\sigma$: uniform in
# $t = \sigma/(1 + \sigma)$. We compare them for the
# trained net, with the same noise (both with the
# factor 1/2 of this collection):

# %%
x_0, t = real[:1000], torch.rand(1000, generator=generator) * 0.98 + 0.01


def seed():
    return torch.Generator().manual_seed(5)


of_flow = ne.flow_matching(models["velocity"].net, x_0, t, generator=seed())
sigma = t / (1 - t)
of_score = (1 + sigma) ** 2 * ne.dsm(models["velocity"], x_0, sigma, generator=seed())
print(f"largest difference ≈ {(of_flow - of_score).abs().max() / of_flow.mean():.0e} of the mean loss")
assert torch.allclose(of_flow, of_score, rtol=1e-3, atol=1e-4)

# %% [markdown]
# What the weight means is best seen in the error of
# the clean guess. By the table of section 18.3 an
# error of the velocity is
# $(1 + \sigma)/\sigma = 1/t$ times that of
# $\hat x_0$. So flow matching's loss is the mean
# over uniform $t$ of
# $\|\text{error of } \hat x_0\|^2 / t^2$. Every
# loss of this collection can be written in this
# way, as a draw of the noise and a weight on the
# clean guess, and two losses with the same product
# of the two are the same loss. DDPM's simple loss
# has $1/\sigma^2$ for a weight, and uniform steps
# of its schedule for a draw.
#
# **The same samples.** Flow matching's sampler is
# Euler's method in $t$, and it needs four lines.
# Beside it runs `ddim` in $\sigma$, on the ladder
# $\sigma_i = t_i/(1 - t_i)$, from the same start:

# %%
times = torch.linspace(0.98, 0.02, 33, dtype=torch.float64)
velocity = ne.ScoreVelocity(truth)
x_t = start = torch.randn(1000, 2, generator=generator, dtype=torch.float64)
for now, then in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
    x_t = x_t + (then - now) * velocity(x_t, now)

# %%
ladder = times / (1 - times)
by_ddim = ne.last(ne.ddim(truth, start / (1 - times[0]), ladder))
off = (x_t / (1 - times[-1]) - by_ddim).abs().max()
print(f"32 steps of Euler in t, and of DDIM in sigma: largest difference ≈ {off:.0e}")
assert off < 1e-10

# %% [markdown]
# They agree to rounding, at every step. Why? Both
# steps keep $\hat x_0$ and $\hat z$ and put them
# together anew: $(1 - t')\hat x_0 + t' \hat z$ is
# $1 - t'$ times $\hat x_0 + \sigma' \hat z$. This
# holds for clocks in which the weights of $x_0$ and
# $z$ change linearly, as in $t$ here and in $\sigma$
# there. (In the time of the VP SDE they do not, and Euler's steps
# in it are worse ones; see notebook 17.) So a net
# for noise sampled by DDIM, and a net for velocity
# sampled by flow matching, take the same steps.
#
# Heun's method averages two slopes, and that
# average depends on the clock. Its results differ,
# by what both of them err:


# %%
def heun_in_t(x_t: Tensor, times: list[float]) -> Tensor:
    for now, then in itertools.pairwise(times):
        slope = velocity(x_t, now)
        slope = (slope + velocity(x_t + (then - now) * slope, then)) / 2
        x_t = x_t + (then - now) * slope
    return x_t


# %%
apart = {}
for n in (16, 32, 64, 128):
    times = torch.linspace(0.98, 0.02, n + 1, dtype=torch.float64)
    by_flow = ne.last(ne.probability_flow(truth, start / (1 - times[0]), times / (1 - times)))
    apart[n] = (heun_in_t(start, times.tolist()) / (1 - times[-1]) - by_flow).norm(dim=1).mean()
    print(f"{n:3} steps of Heun in t and in sigma: {apart[n]:.5f} apart")
assert apart[128] < 2e-3 and math.log2(apart[64] / apart[128]) > 1.5

# %% [markdown]
# About a quarter with each doubling, as for any method of
# order 2. Both converge to the same ends.
#
# **Trap: "the paths are straight, so one step will
# do."** The lines between pairs $(x_0, z)$ are
# straight. The flow follows the *mean* of their
# velocities, and where lines cross it bends. One
# step of Euler from $t = 1$ goes to
# $x_1 - \mathbb{E}[z - x_0 \mid x_1] = \mathbb{E}[x_0]$,
# the mean of the data, for every start:

# %%
x_1 = torch.randn(2000, 2, generator=generator)
for n in (1, 2, 4, 16, 64):
    times, x_t = torch.linspace(0.999, 0.0, n + 1).tolist(), x_1
    for now, then in itertools.pairwise(times):
        x_t = x_t + (then - now) * velocity(x_t, now)
    print(f"{n:2} steps: standard deviation {x_t.std(0).mean():.2f}, energy distance {energy_distance(x_t, real):.3f}")
    assert n > 1 or x_t.std(0).mean() < 0.05
assert energy_distance(x_t, real) < 0.02

# %% [markdown]
# Flows can be made straighter. Rectified flow does so by
# a second training, on pairs of a start and the end
# that the first flow took it to. That is a method
# of distillation, and it can follow any model of
# the grid.
#
# What is then special about flow matching? Its path
# needs no choice of schedule, its net has the good
# letters of section 18.3, its times are uniform in
# $t$, and it is short to write. Nothing of that is
# beyond a score model, and none of it is lost by
# calling it one.
#
# ## 18.7 Letters mixed up
#
# All conversions are one line, and a mistake in
# them is often one character. Here are six, each with the
# number that gives it away. None of them raises an
# error by itself: shapes fit, and numbers are
# finite. They have to be looked for, and it helps
# to know the face of each.
#
# The yardstick is DDIM with 50 steps and the exact
# score:

# %%
steps = ne.alphas_bar_of(ne.ddpm_betas())  # DDPM's thousand alpha_bar
ladder = ne.sigmas_of_alphas_bar(steps)[torch.linspace(0, 999, 50).round().long()].flip(0).float()


def sampled(model, sigmas: Tensor = ladder) -> Tensor:
    begin = sigmas[0] * torch.randn(2000, 2, generator=seed())
    return ne.denoise(model, ne.last(ne.ddim(model, begin, sigmas)), sigmas[-1].item())


def judged(model, sigmas: Tensor = ladder) -> float:
    return energy_distance(sampled(model, sigmas), real)


right_one = judged(truth)
print(f"right: {right_one:.3f}")

# %% [markdown]
# **Trap 1: a net that is told $t$ is given
# $\sigma$.** DDPM's net knows steps $0 \dots 999$.
# Some libraries call both of them "timestep". We
# make such a net of the mixture by `ScoreNoise`,
# and tell it $\sigma$, rounded:

# %%
net = ne.ScoreNoise(truth, steps)  # e(x_t, t), as DDPM has it


def told(sigma, x):
    return torch.full((len(x),), min(999, round(float(sigma))))


def given_sigma(x, sigma):
    return -net(x / math.sqrt(1 + sigma**2), told(sigma, x)) / sigma


trap_1 = judged(given_sigma)
print(f"told sigma for t: {trap_1:.0f}, told t: {judged(ne.EpsScore(net, steps)):.3f}")
assert trap_1 > 50 * abs(right_one) and trap_1 > 0.5

# %% [markdown]
# How does it come about? At $\sigma = 100$ the net is
# told step 100, where the noise is 0.34. It takes its
# input for a point that is nearly clean, and says what
# little noise it sees in that. At $\sigma < 0.5$ it is
# told step 0 throughout.
#
# The shapes fit, no number is infinite, and the
# samples are nonsense. The library's nets notice
# it, because steps are whole numbers and noise
# levels are not:

# %%
on_digits = load_trained("ddpm_digits")
try:
    on_digits.score.score.net(torch.zeros(1, 1, 8, 8), 0.5)
except ValueError as problem:
    print(problem)

# %% [markdown]
# **Trap 2: $\sqrt{\bar\alpha}$ is forgotten.** The
# net wants $x_t = \sqrt{\bar\alpha}\,x$, of
# variance near 1, and is given $x$.

# %%
adapter = ne.EpsScore(net, steps)


def unscaled(x, sigma):
    return -net(x, adapter.told(x, sigma)) / sigma


trap_2 = judged(unscaled)
print(f"x for x_t: {trap_2:.0e}")
assert trap_2 > 0.1

# %% [markdown]
# Nothing else of this notebook is as far off. At
# $\sigma = 157$ the net is given numbers that are
# 157 times too large, and returns noise to match.
# The sampler adds what it is told.
#
# **Trap 3: $\sqrt{1 - \bar\alpha}$ is called
# $\sigma$.** It is the standard deviation of the
# noise in $x_t$. In $x$ the noise is
# $\sqrt{(1 - \bar\alpha)/\bar\alpha}$. The two
# agree for little noise. With the first one a
# ladder ends at 1, where the data still shine
# through:

# %%
short = (1 - steps).sqrt()[torch.linspace(0, 999, 50).round().long()].flip(0).float()
trap_3 = judged(truth, short)
print(f"the ladder begins at {short[0]:.2f} and not at {ladder[0]:.0f}: {trap_3:.3f}")
assert trap_3 > 0.1

# %% [markdown]
# **Trap 4: the velocity's direction.** A net of a
# paper that goes from noise ($t = 0$) to data
# ($t = 1$) has the other sign *and* the other time.
# Who changes only one of them:


# %%
def theirs(x, t):
    return -velocity(x, 1 - t)  # as in Lipman et al. 2023


changed = {
    "nothing": theirs,
    "the sign": lambda x, t: -theirs(x, t),
    "the time": lambda x, t: theirs(x, 1 - t),
    "both": lambda x, t: -theirs(x, 1 - t),
}
spreads, equal = {}, {}
for name, wrapped in changed.items():
    x = sampled(ne.FlowScore(wrapped))
    spreads[name], equal[name] = x.std(0).mean(), truth.responsibilities(x).mean(0)
    print(f"changed {name:8}: distance {energy_distance(x, real):5.2f}, standard deviation {spreads[name]:.1f}")
print("the sign alone, shares of the modes: " + " ".join(f"{share:.2f}" for share in equal["the sign"]))
assert max(spreads["nothing"], spreads["the time"]) < 1 and equal["the sign"].max() < 0.32

# %% [markdown]
# One of the four is right. The dangerous mistake is the
# sign alone: the points then move in the right
# direction, at a mirrored time, which even agrees
# half-way, at $t = 1/2$. Its distance is no larger than
# that of a bad sampler, and its samples have all four
# modes, but in nearly equal shares, where 0.4, 0.3, 0.2
# and 0.1 are right. Whoever changes the time alone, or
# nothing, gets nearly all samples in a small heap
# between the modes, and sees it at once.
#
# **Trap 5: $\alpha$ or $\alpha/2$.** Langevin's
# step is written
# $x + \frac{\alpha}{2} s + \sqrt{\alpha}\, z$ in
# one paper and
# $x + \epsilon s + \sqrt{2\epsilon}\, z$ in
# another. Both are right. A mixture of the two is
# not. On $\mathcal{N}(0, 1)$, whose score is $-x$,
# with $\alpha = 0.1$:

# %%
variances = {}
for name, drift, noise in (("right", 0.05, 0.1), ("drift of the other", 0.1, 0.1), ("noise of the other", 0.05, 0.2)):
    x = torch.randn(20_000, generator=generator)
    for _ in range(300):
        x = x - drift * x + math.sqrt(noise) * torch.randn(20_000, generator=generator)
    variances[name] = x.var().item()
    print(f"{name:18}: variance {variances[name]:.2f}, where 1 is right")
assert abs(variances["drift of the other"] - 0.53) < 0.03 and abs(variances["noise of the other"] - 2.05) < 0.1

# %% [markdown]
# Half the variance, or twice. In the first case
# images come out smooth, in the second grainy, and
# neither looks like a bug.
#
# **Trap 6: $[-1, 1]$ or $[0, 1]$.** DDPM's nets see
# images in $[-1, 1]$, twice as wide. The library's
# `AffineScore` turns such a net into a score for
# images in $[0, 1]$: $2\,s(2x - 1, 2\sigma)$.
# Without it, the same net is run at the noise
# levels of its own units, twice as large, and its
# images are taken as they come:

# %%
classifier = load_judge("digits")
kept, held_out = (datasets.load("digits", split=split)[0].float() / 255 for split in ("train", "test"))
rungs = on_digits.sigmas[torch.linspace(0, 999, 30).round().long()]
begin = rungs[0] * torch.randn(200, 1, 8, 8, generator=generator)

# %%
for name, model, unit in (("with AffineScore", on_digits.score, 1.0), ("without", on_digits.score.score, 2.0)):
    x = ne.last(ne.ddim(model, unit * begin, unit * rungs))
    x = ne.denoise(model, x, unit * rungs[-1].item())
    found = judge(x, classifier, train=kept, held_out=held_out)
    print(f"{name:16}: pixels from ≈ {x.min():.1f} to ≈ {x.max():.1f}", end=", ")
    print(f"sure ≈ {found.sure:.2f}, distance ≈ {found.frechet:.1f}")
assert found.frechet > 1 and x.min() < -0.8

# %% [markdown]
# The pixels' range gives it away. What the
# classifier says would not: it is still sure of
# many of the images, for the strokes are there,
# with everything darker than grey cut off.
#
# ## 18.8 The grid on digits
#
# Now nets that ship with the package, each of
# another notebook: `digits` is NCSN (ten levels,
# and it knows no others), `ncsnv2_digits` is NCSNv2
# (21 levels), `ddpm_digits` is DDPM's U-Net, told
# $t$, in $[-1, 1]$. None of that is seen below:
# each is `score(x, sigma)`.

# %%
nets = {"NCSN": load_trained("digits"), "NCSNv2": load_trained("ncsnv2_digits"), "DDPM": on_digits}
for name, net in nets.items():
    print(f"{name:6}: {len(net.sigmas):4} levels, from {net.sigmas[0]:.3g} to {net.sigmas[-1]:.3g}")

# %% [markdown]
# One restriction is left from training. A net is
# asked at the levels that it knows. NCSN has a
# table with a row for each of its ten levels, and
# refuses all others. NCSNv2's $f$ is the same for
# all levels, and it takes any. DDPM's net takes the
# step that is nearest to $\sigma$, if $\sigma$ lies
# in its range.
#
# Each net runs on its own levels; of DDPM's
# thousand we take 50, for Heun's method 18 on the
# curve of Karras et al., and for Langevin's steps
# 20. NCSN has to take its ten. 64 images of each
# pair:


# %%
def ladders(net, name: str) -> Tensor:
    first, last_one = net.sigmas[0].item(), net.sigmas[-1].item()
    if len(net.sigmas) < 100:
        return net.sigmas
    return {
        "flow by Heun": ne.karras(first, last_one, 18),
        "annealed Langevin": ne.geometric(first, last_one * 1.001, 20),
    }.get(name, net.sigmas[torch.linspace(0, 999, 50).round().long()])


# %%
def five_steps(score, x: Tensor, sigmas: Tensor):
    eps = eps_for_steps(sigmas, 5)
    return ne.annealed_langevin(score, x, sigmas, eps=eps, n_steps_each=5, generator=generator)


on_ladder = {
    "annealed Langevin": (five_steps, lambda n: 5 * n + 1),
    "ancestral": (lambda score, x, s: ne.ancestral(score, x, s, generator=generator), lambda n: n),
    "flow by Euler": (lambda score, x, s: ne.probability_flow(score, x, s, solver="euler"), lambda n: n),
    "pred.-corrector": (
        lambda score, x, s: ne.predictor_corrector(score, x, s, generator=generator),
        lambda n: 2 * n - 1,
    ),
    "flow by Heun": (lambda score, x, s: ne.probability_flow(score, x, s), lambda n: 2 * n - 1),
}

# %% [markdown]
# **Predict:** the table of all pairs follows, and
# pictures for two of the samplers. Which net will
# suffer from the flow, which adds no noise and
# never forgets? Would it be the fault of the
# ladder, or of the net?
#
# <details><summary>Answer</summary>
#
# NCSNv2. (NCSN's rows of the flow differ from its
# other rows by less than the intervals, but for the
# predictor-corrector's.) One would blame the ladder, which is
# coarse and was made for Langevin's steps. The
# cells after the pictures ask, and the ladder is
# acquitted.
# </details>

# %%
drawn, rows = {}, {}
for kind, net in nets.items():
    for name, (run, cost) in on_ladder.items():
        sigmas = ladders(net, name)
        begin = net.start(64, generator=generator) + sigmas[0] * torch.randn(64, 1, 8, 8, generator=generator)
        x = ne.last(run(net.score, begin, sigmas))
        drawn[kind, name] = ne.denoise(net.score, x, sigmas[-1].item()).clamp(0, 1)
        found = judge(drawn[kind, name], classifier, train=kept, held_out=held_out)
        rows[kind, name] = cost(len(sigmas)), found.sure, found.frechet

# %%
chosen = kept[torch.randperm(len(kept), generator=generator)[:64]]
scale = judge(chosen, classifier, train=kept, held_out=held_out)
print("                            asked   sure       distance in pixels")
for (kind, name), (asked, sure, distance) in rows.items():
    print(f"{kind:7} {name:18} {asked:6}   ≈ {sure:.2f}     ≈ {distance:.2f}")
print(f"64 training images                   {scale.sure:.2f}       {scale.frechet:.2f}")
assert min(rows["DDPM", name][1] for name in on_ladder) > 0.8
assert max(rows["DDPM", name][2] for name in ("ancestral", "flow by Euler", "flow by Heun")) < 1.0
assert rows["NCSNv2", "flow by Heun"][2] > 1.5 * rows["NCSNv2", "ancestral"][2]

# %%
fig, axes = plt.subplots(3, 2, figsize=(10, 2.9))
for row, kind in zip(axes, nets, strict=True):
    for ax, name in zip(row, ("ancestral", "flow by Heun"), strict=True):
        plots.images(ax, drawn[kind, name][:16], columns=16)
        asked, sure, _ = rows[kind, name]
        ax.set_title(f"{kind}, {name}, {asked} evaluations", fontsize=9)
alt = (
    "Three rows of 8 by 8 digits, by NCSN, NCSNv2 and DDPM; left by ancestral sampling, right by the flow. All can be "
    "read but several of NCSNv2's by the flow, which are broken into patches of black and white."
)
ne.show_figure(fig, alt=alt, caption="Three nets under two samplers, the first sixteen images of each.")

# %% [markdown]
# With 64 images "sure" has a 95 % interval of about
# 0.05 on either side at 0.95, and of 0.11 at 0.7. The
# distance in pixels has a floor of its own, that of
# 64 training images in the last line. What can be
# said beyond that?
#
# - **The U-Net is good under every sampler**, from
#   35 evaluations on: the pairs differ by less than
#   their intervals.
# - **NCSN's ten levels are enough for ancestral
#   sampling**: ten evaluations come near to what
#   Langevin dynamics does with 51. That costs no
#   training, only another loop.
# - **NCSNv2 under the flow is bad**, and under the
#   predictor-corrector worse. (NCSN, too, is the
#   least sure under the predictor-corrector.)
#
# **Whose fault is it?** A grid can be asked.
# Exchange one thing: give DDPM's net the ladder of
# NCSNv2, 21 levels from 4.6 down. And look at the
# net itself: by how much is its clean guess off at
# the first level? For comparison, guess the mean
# digit, whatever the input.

# %%
sigmas = nets["NCSNv2"].sigmas
begin = nets["DDPM"].start(64, generator=generator) + sigmas[0] * torch.randn(64, 1, 8, 8, generator=generator)
x = ne.last(ne.probability_flow(on_digits.score, begin, sigmas))
exchanged = judge(ne.denoise(on_digits.score, x, sigmas[-1].item()), classifier, train=kept, held_out=held_out)
print(f"DDPM's net, flow by Heun on NCSNv2's ladder: sure ≈ {exchanged.sure:.2f}, distance ≈ {exchanged.frechet:.2f}")
assert exchanged.sure > 0.85 and exchanged.frechet < 1.0

# %%
missed, noisy = {}, held_out + sigmas[0] * torch.randn(held_out.shape, generator=generator)
for name in ("NCSNv2", "DDPM"):
    guess = ne.denoise(nets[name].score, noisy, sigmas[0].item())
    missed[name] = (guess - held_out).square().mean().sqrt()
    print(f"{name:6}: clean guess at sigma = {sigmas[0]:.1f} off by ≈ {missed[name]:.2f} a pixel")
constant = (kept.mean(0) - held_out).square().mean().sqrt()
print(f"the mean digit: off by {constant:.2f}")
assert missed["NCSNv2"] > 1.5 * constant and missed["DDPM"] < 1.1 * constant

# %% [markdown]
# The ladder is not to blame: DDPM's net does well
# on it. NCSNv2's guess at its first level is twice
# as far off as a guess that never looks at its
# input. Its letters are $f(x)/\sigma$, those of the
# noise, whose errors grow like $\sigma$ in the
# image (section 18.3), and its $f$ is not told
# $\sigma$. Langevin's steps and ancestral noise
# hide that, because they forget. The flow carries
# the error to the end. DDPM's net has the same
# letters. It is told $t$, and its guess is no worse
# than the mean digit.
#
# (NCSNv2 takes any $\sigma$, so that the ladder can
# be refined as well. With 60 levels in the place of
# 21 the flow's distance stays as it is, and the
# predictor-corrector's falls from 3.5 to 0.4, in a
# run of half a minute with 96 images. So in *its*
# case the ladder was at fault.)
#
# So a pair fails for one of three reasons, and each
# can be seen: the ladder does not reach from noise
# to data, its steps are too long for the sampler,
# or the net errs at some level. (Levels that a net
# does not know are refused.) No pair fails because
# its letters do not match.
#
# The distance in pixels is that of two Gaussians,
# with the mean and the covariance of the images. A
# spread that is too wide it sees at once; about the
# shape of a stroke it says little. "Sure" is the
# classifier's opinion. Two numbers that look at
# different things, and a picture, are the least
# that one should ask for.
#
# **The table of the cards.** The same nets with
# 1024 images each, each with the sampler that suits
# it; the Frechet distance in the features of the
# classifier, precision and recall are those of
# notebook 12, and the seconds are those of 64
# images on one processor core. They are read from
# the file that the model cards are made of:

# %%
cards = json.loads((WEIGHTS / "digits_compared.json").read_text())
print(f"{'':18} asked  seconds  sure  Frechet")
for name in (
    "NCSN",
    "NCSNv2",
    "DDPM, 1000 steps",
    "DDPM, 50 steps",
    "DDIM, 50 steps",
    "DDIM, 20 steps",
    "flow by Heun",
):
    row, found = cards[name], cards[name]["Frechet distance"]
    about = f"{found['value']:.1f} [{found['low']:.1f}, {found['high']:.1f}]"
    print(f"{name:18} {row['evaluations']:5}  {row['seconds']:7.2f}  {row['sure']:.2f}  {about}")

# %%
by_steps, by_ddim = cards["DDPM, 1000 steps"], cards["DDIM, 20 steps"]
print(f"DDIM with 20 steps takes 1/{by_steps['seconds'] / by_ddim['seconds']:.0f} of the time of DDPM with 1000")
assert by_ddim["Frechet distance"]["low"] < by_steps["Frechet distance"]["value"] < by_ddim["Frechet distance"]["high"]
assert by_steps["seconds"] > 30 * by_ddim["seconds"]

# %% [markdown]
# The same net, fifty times faster, and the distance
# cannot tell the two apart. A sampler is chosen
# *after* training, and that is the practical
# meaning of this notebook: one score, and whatever
# loop your budget allows.
#
# ## 18.9 A page to keep
#
# | what you see | what it may be | section |
# |---|---|---|
# | samples are scattered, though loss and shapes are fine | a step given for a noise level, or the other way round | 18.7 |
# | samples are many times as large as the data | $x$ for $x_t$ | 18.7 |
# | modes have wrong shares | errors at large $\sigma$: letters of the noise or the score; a ladder that begins too low; a velocity whose sign alone was changed | 18.3, 18.7 |
# | modes are right and their shape is not | errors at small $\sigma$: letters of the clean image | 18.3 |
# | variance half or twice | steps of two conventions | 18.7 |
# | pixels from $-1$ to 1 | the net's units | 18.7 |
# | samples lie in a heap between the modes | one step of a "straight" flow; a velocity of the other direction, taken as it is | 18.6, 18.7 |
# | good with noise, bad under the flow | errors of the net at large $\sigma$, which noise forgets; else the ladder | 18.8 |
#
# And a check that finds most of them before any
# training: put the exact answer of a mixture into
# *your* letters, and run your whole sampler with
# it. If the energy distance is not at its floor,
# the mistake is in the code, and not in the net.
#
# ## What you should be able to do now
#
# - Turn a net for score, noise, clean image, $v$ or
#   velocity into any other of the five, and derive
#   each formula from
#   $x = \hat x_0 + \sigma \hat z$.
# - Say at which noise levels an error of each kind
#   of net hurts.
# - Run any of these models under any sampler, and
#   judge the pair by a number whose floor you know.
# - Compare samplers by evaluations, and say what
#   more noise costs.
# - Say what flow matching shares with DDIM,
#   exactly, and where the two differ.
# - Recognise six mixed-up conventions by what they
#   do.
#
# ## Exercises
#
# 1. A net predicts the score itself, with an error of the same size at
#    every level. For which $\sigma$ is it better than one that predicts the
#    clean image with an error of that size? Where would you switch from the
#    one to the other? Check it with the explorer.
#    <details><summary>Hint</summary>
#
#    Compare two lines of the table in section 18.3.
#    </details>
#    <details><summary>Answer</summary>
#
#    $\sigma^2 \delta < \delta$ for $\sigma < 1$, and the switch is at
#    $\sigma = 1$, where the lines of score, noise and clean image meet. (The units matter: in
#    other units of the data the switch is elsewhere. With data of width
#    $d$ it is natural to put it at $\sigma = d$, which is what
#    preconditioning does.) In the explorer with Heun's method, an error of
#    0.5 and 40 evaluations, the score's energy distance is 0.29 and that of
#    "clean" 0.235. The score's dots have the right shapes in wrong shares,
#    and those of the clean net wrong shapes.
#    </details>
# 2. Flow matching draws $t$ uniformly. What density of $\log\sigma$ is
#    that? Train "velocity" of section 18.1 with it
#    (`draw=lambda x, sigmas, g: ...`), and compare its error at
#    $\sigma = 0.05$, 1 and 15 with that of the net above.
#    <details><summary>Hint</summary>
#
#    $t = \sigma/(1 + \sigma)$ is the logistic function of $\log\sigma$.
#    Its derivative is the density. To draw: $t$ uniform between
#    0.0476 and 0.9524, then $\sigma = t/(1 - t)$.
#    </details>
#    <details><summary>Answer</summary>
#
#    The logistic density $e^{-|l|}/(1 + e^{-|l|})^2$ of $l = \log\sigma$:
#    most draws are near $\sigma = 1$, and few at either end. With three
#    seeds the error of the clean guess at 0.05, 1 and 15 is 0.02, 0.25 and
#    0.24 with $\log\sigma$ uniform, and 0.03, 0.20 and 0.38 with $t$
#    uniform: better in the middle, worse at both ends. For images the middle
#    is where most of the picture is decided, which is why the logistic
#    density, or a narrower one, is in use.
#    </details>
# 3. Which ladder suits few steps? Give `ddim` and the exact score ten
#    steps from 20 to 0.05: geometric, `ne.karras`, and uniform in $t$.
#    Compare the energy distance with 20,000 chains.
#    <details><summary>Hint</summary>
#
#    Uniform in $t$: `t = torch.linspace(20 / 21, 0.05 / 1.05, 11)`, and
#    $\sigma = t/(1 - t)$. Compare with another 20,000 points of the truth.
#    </details>
#    <details><summary>Answer</summary>
#
#    0.013 to 0.014 (geometric), 0.011 (`karras`) and 0.008 (uniform in $t$),
#    the same order in two runs. Of the eleven levels the geometric ladder
#    and `karras` have five between 0.4 and 7, where the modes are chosen, and
#    uniform $t$ has seven. None of the three is the best for all data: it
#    depends on where the data's own scales are.
#    </details>
#
# ## References
#
# - T. Salimans and J. Ho, *Progressive Distillation for Fast Sampling
#   of Diffusion Models*, ICLR 2022: $v$-prediction (section 4 and
#   appendix D).
# - T. Karras et al., *Elucidating the Design Space of Diffusion-Based
#   Generative Models*, NeurIPS 2022: models and samplers taken apart,
#   preconditioning (section 5, table 1), Heun's method.
# - Y. Lipman et al., *Flow Matching for Generative Modeling*, ICLR
#   2023: equation 23 is the loss of the straight path.
# - X. Liu, C. Gong and Q. Liu, *Flow Straight and Fast: Learning to
#   Generate and Transfer Data with Rectified Flow*, ICLR 2023: the
#   straight path, and the second training that makes the flow
#   straighter.
# - J. Song, C. Meng and S. Ermon, *Denoising Diffusion Implicit
#   Models*, ICLR 2021.
# - Y. Song et al., *Score-Based Generative Modeling through
#   Stochastic Differential Equations*, ICLR 2021.
# - G. Székely and M. Rizzo, *Energy statistics: A class of statistics
#   based on distances*, Journal of Statistical Planning and Inference
#   2013: the energy distance.
#
# **Next:** [19 · Conditions](19_conditions.ipynb).
