# %% [markdown]
# # 16 · DDPM
#
# *Reading and trying: about 150 minutes, and another hour for the exercises. Running every cell: about 80 seconds on a laptop, at laptop scale (points on a line and in the plane, and pictures of 8x8 pixels).*
#
# NCSN adds noise of growing size and learns scores. **Denoising
# diffusion probabilistic models** (DDPM, Ho et al. 2020) came
# from another side: a chain that destroys an image in a thousand
# small steps, a second chain that is trained to walk back, and a
# bound on the likelihood as the objective. What is trained in the
# end is the same net with the same loss. You will
#
# - derive the chain in closed form, and say which schedules work;
# - see why its steps must be small: the exact step back is no
#   Gaussian;
# - derive the posterior $q(x_{t-1} \mid x_t, x_0)$, and the bound
#   line by line, each line checked by Monte Carlo against the
#   exact $\log p$;
# - get from the bound to the loss $\|e - e_\theta\|^2$, and
#   measure what its weight does to bits and to samples;
# - turn the net into a score, and NCSN's loss into DDPM's, but
#   not its sampler;
# - derive DDIM, which takes 20 steps instead of 1000 with the
#   same net;
# - meet nine errors that are in circulation, each beside the
#   right version.
#
# You need: denoising score matching and Tweedie's formula from [3
# · Score matching](03_score_matching.ipynb), the loss over many
# levels from [8 · One network for all noise
# levels](08_noise_conditional.ipynb), and the bound and its KL
# divergences from [15 · Variational autoencoders](15_vae.ipynb).
# The letters are on the page of [symbols](symbols.md).
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
from ncsn_edu import GaussianMixture, datasets, ddpm, plots, practice, save_figure, show
from ncsn_edu.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED
from ncsn_edu.trained import WEIGHTS, load_any, load_trained
from ncsn_edu.training import train
from ncsn_edu.widgets import DdimExplorer, ScheduleExplorer

plots.use_style()
generator = torch.Generator().manual_seed(0)
F64 = torch.float64

# %% [markdown]
# ## 16.1 The chain that destroys
#
# Let $x_0$ be an image, with values in $[-1, 1]$. (The mean
# square of a pixel is then at most 1: 0.71 for our digits, 0.26
# for CIFAR-10.) The **forward process** is a Markov chain:
# $x_t$ is made of $x_{t-1}$ alone,
#
# $$ q(x_t \mid x_{t-1}) = \mathcal{N}\big(x_t;\ \sqrt{1 - b_t}\; x_{t-1},\ b_t I\big), \qquad t = 1 \dots T , $$
#
# with given variances $b_t$ (the papers write $\beta_t$) between
# 0 and 1. DDPM takes $T = 1000$ and lets $b_t$ **rise** in equal
# steps from $10^{-4}$ to 0.02. Nothing here is learned.
#
# Two letters are kept apart from here on. $q$ is what we choose:
# the data, and the noise that we add to them. $p_\theta$ is the
# model, with parameters $\theta$, which is to undo it. "Markov"
# means that $x_t$ depends on the past through $x_{t-1}$ alone:
# whoever knows $x_{t-1}$ learns nothing more about $x_t$ from
# $x_0$.
#
# **Why $\sqrt{1 - b_t}$?** Say $x_{t-1}$ has variance 1. The two
# parts of $x_t$ are independent, and variances of independent
# parts add: $(1 - b_t) \cdot 1 + b_t = 1$. So the variance
# stays 1 at every step (one below 1 moves towards 1, and never
# beyond), and the net, which has to work at all of them, always
# sees inputs of the same size. Two other factors come to mind,
# 1 and $1 - b_t$:

# %%
betas = ne.ddpm_betas()  # (1000,), float64
for name, factor in (("sqrt(1 - b)", (1 - betas).sqrt()), ("1", betas**0), ("1 - b", 1 - betas)):
    variance = 1.0
    for f, beta in zip(factor.tolist(), betas.tolist(), strict=True):
        variance = f**2 * variance + beta
    print(f"factor {name:11}: a variance of 1 becomes {variance:.3f} after 1000 steps")

# %% [markdown]
# The factor 1 is NCSN's way: the image is left as it is and
# drowns in noise (*variance exploding*, VE). DDPM's way is called
# *variance preserving*, VP. Section 16.8 goes from one to the
# other by a change of units.
#
# **In closed form.** Write $a_t = 1 - b_t$. Two steps make
#
# $$ x_2 = \sqrt{a_2}\,\big(\sqrt{a_1}\,x_0 + \sqrt{b_1}\,e_1\big) + \sqrt{b_2}\,e_2
#     = \sqrt{a_1 a_2}\; x_0 + \underbrace{\sqrt{a_2 b_1}\,e_1 + \sqrt{b_2}\,e_2}_{\text{variance } a_2(1 - a_1) + 1 - a_2\, =\, 1 - a_1 a_2} , $$
#
# and so on: with $\bar a_t = a_1 a_2 \cdots a_t$ (the papers
# write $\bar\alpha_t$),
#
# $$ q(x_t \mid x_0) = \mathcal{N}\big(\sqrt{\bar a_t}\,x_0,\ (1 - \bar a_t) I\big),
#    \qquad x_t = \sqrt{\bar a_t}\,x_0 + \sqrt{1 - \bar a_t}\;e, \quad e \sim \mathcal{N}(0, I) . $$
#
# One draw of noise takes us to any $t$. $\bar a_t$ is the share
# of the variance that is still image.
#
# This formula is the reason why such chains can be trained at
# all. A net that is to learn what happens at $t = 700$ needs
# examples of $x_{700}$, millions of them. With the formula each
# costs one multiplication and one addition, and not 700 steps.
#
# (Papers count $t = 1 \dots T$ and arrays count from 0. In this
# notebook's code the index `t` stands for $t + 1$ steps of the
# chain, so `betas[0]` is $b_1$ and `kept[0]` is $\bar a_1$.)
#
# **Write it.** $x_t$ from the clean $x$ at once. Each row has its
# own `t`.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_noised(x, betas, t, e):
#     kept = (1 - betas).cumprod(0)[t][:, None]
#     return kept.sqrt() * x + (1 - kept).sqrt() * e
# ```
# </details>


# %%
def my_noised(x, betas, t, e):  # x and e: (B, D), betas: (T,), t: (B,), from 0 to T - 1; returns (B, D)
    ...


practice.noised(my_noised)

# %% [markdown]
# The chain itself, run step by step with 20,000 copies of a pixel
# $x_0 = 0.7$, has to agree with the formula. Half-way:

# %%
kept = ne.alphas_bar_of(betas)  # (1000,), the papers' alpha_bar
root, noise = kept.sqrt(), (1 - kept).sqrt()

# %% [markdown]
# `kept` holds the thousand $\bar a_t$, and `root` and `noise` are
# the two factors of the closed form. We will need all three until
# the end.

# %%
x = torch.full((20_000,), 0.7, dtype=F64)
for beta in betas[:501].tolist():
    x = math.sqrt(1 - beta) * x + math.sqrt(beta) * torch.randn(x.shape, generator=generator, dtype=F64)
print(f"chain:   mean {x.mean():.3f}, variance {x.var():.3f}")
print(f"formula: mean {root[500] * 0.7:.3f}, variance {1 - kept[500]:.3f}")
assert abs(x.mean() - root[500] * 0.7) < 4 / 20_000**0.5 and abs(x.var() - 1 + kept[500]) < 6 / 20_000**0.5

# %% [markdown]
# ## 16.2 Schedules
#
# Samples start from $\mathcal{N}(0, I)$, so $x_T$ must be that,
# whatever $x_0$ was. "Because $T \to \infty$" is what one reads.
# What is needed is $\bar a_T \to 0$. The number that says how far
# we are is the KL divergence of $q(x_T \mid x_0)$ to
# $\mathcal{N}(0, I)$. For a pixel with $x_0^2 = 1$ the formula of
# notebook 15 gives
#
# $$ \tfrac12\big(\bar a_T x_0^2 + (1 - \bar a_T) - \log(1 - \bar a_T) - 1\big) = -\tfrac12 \log(1 - \bar a_T) , $$
#
# divided by $\log 2$ for bits. It is the first term of the bound
# below, and no training can lower it.

# %%
schedules = {
    "10 steps of 0.9": torch.full((10,), 0.9, dtype=F64),
    "1000 steps of 0.00001": torch.full((1000,), 1e-5, dtype=F64),
    "100,000 steps of 0.00001": torch.full((100_000,), 1e-5, dtype=F64),
    "DDPM, 1000 steps": betas,
    "the same ends, 100 steps": ne.ddpm_betas(100),
}

# %% [markdown]
# The product of the $1 - b_t$ says how much is left, and the
# formula above what that costs. (`log1p` computes
# $\log(1 - \bar a_T)$ without losing the digits of a small
# $\bar a_T$.)

# %%
for name, chosen in schedules.items():
    remains = ne.alphas_bar_of(chosen)[-1].item()
    print(f"{name:24}: alpha_bar_T = {remains:.1e}, {-0.5 * math.log1p(-remains) / math.log(2):.1e} bits a pixel")

# %% [markdown]
# Ten steps of 0.9 forget everything. A hundred thousand tiny ones
# keep a third of the variance, and a third of a bit of every
# pixel. The last line is a trap of practice: whoever lowers $T$
# from 1000 to 100 and keeps the two ends of $b$ starts from a
# distribution that the net has never seen. (The remedy is to
# multiply the ends by 10.)
#
# Look at the numbers once more: to first order $\log\bar a_T$ is
# $-\sum_t b_t$. What counts is the *sum* of the betas. DDPM's sum
# is 10, so that $\bar a_T$ is about $e^{-10}$. A sum of 0.01, as
# in the second line, takes one percent away and no more, in
# whatever number of steps.
#
# Ten steps would do for *forgetting*. Section 16.3 shows why they
# do not do for the way back.
#
# **Trap: falling betas.** The order is sometimes stated as
# $b_1 > b_2 > \dots > b_T$. The product $\bar a_T$ is the same in
# any order, so that nothing seems to change. What changes is
# *where* the signal dies. The ratio $\bar a_t / (1 - \bar a_t)$
# is called the signal-to-noise ratio (SNR). We compare three
# schedules: the rising one, the same numbers in falling order,
# and the **cosine schedule** of Nichol & Dhariwal 2021,
# $\bar a_t \propto \cos^2\big(\tfrac{\pi}{2}\,\tfrac{t/T + s}{1 + s}\big)$
# with $s = 0.008$.
#
# **Predict:** in the figure below, where does each curve cross 1?
# Which schedule spends half of its steps on images that are
# nothing but noise to the eye?
#
# <details><summary>Answer</summary>
#
# The rising schedule crosses at $t = 260$, the falling one at 35, the
# cosine at 497, in the middle. Under the falling schedule 737 of the 1000
# steps have more than ten times as much noise as signal, in standard
# deviations; under the rising one 326, under the cosine 64.
# </details>

# %%
three = {"rising": betas, "falling": betas.flip(0), "cosine": ne.cosine_betas()}
shares = {name: ne.alphas_bar_of(chosen) for name, chosen in three.items()}
digit = 2 * datasets.load("digits")[0][:1].double() / 255 - 1  # (1, 1, 8, 8), in [-1, 1]
e = torch.randn(digit.shape, generator=generator, dtype=F64)

# %% [markdown]
# `three` holds the betas, `shares` what is left at each $t$. The
# picture strips use the closed form, with one draw of the noise
# for all of them, so that nothing but the schedule differs.

# %%
fig, axes = plt.subplot_mosaic([["snr", name] for name in three], figsize=(10.5, 3.8), width_ratios=(1, 1.5))
for (name, share), color in zip(shares.items(), (BLUE, RED, GREEN), strict=True):
    axes["snr"].semilogy(torch.arange(1, 1001), share / (1 - share), color=color, label=name)
    at = share[torch.arange(0, 1000, 111)][:, None, None, None]
    plots.images(axes[name], (at.sqrt() * digit + (1 - at).sqrt() * e + 1) / 2, columns=10)
    axes[name].set_title(f"{name}: t = 1, 112, 223, ..., 1000")
axes["snr"].axhline(1, color=GREY, lw=0.8, ls="--")
axes["snr"].set(ylim=(1e-5, 1e5), xlabel="$t$", title="signal-to-noise ratio")
axes["snr"].legend()
crossings = {name: int((share < 0.5).int().argmax()) + 1 for name, share in shares.items()}
alt = (
    "Left, the signal-to-noise ratio of three schedules on a logarithmic axis; it crosses one at 260 for rising, at 35 "
    "for falling, at 497 for cosine. Right, one digit at ten times: under falling it is gone at the second picture."
)
caption = "Three schedules that end in noise: the order of the betas decides where the signal dies."
save_figure(fig, "ddpm_schedules", alt=alt, caption=caption, numbers=crossings)

# %% [markdown]
# What is wrong with losing the signal early? The *first* steps of
# the chain are the *last* ones of a sampler, those that decide on
# details. The rising schedule begins with noise of
# $\sigma = 0.01$, and the falling one with 0.14: everything finer
# than that has to be drawn in a single step, by a Gaussian. The
# price can be computed, with a net that knows the exact score
# (`ScoreNoise`) and the bound of section 16.5. The data are two
# peaks of width 0.1 on a line; the number is by how much the
# bound stays above the exact $-\log_2 p$:

# %%
peaks = GaussianMixture(torch.tensor([[-1.0], [1.0]], dtype=F64), 0.01)
x_clean = peaks.sample(4000, generator=generator)

# %% [markdown]
# With 100 steps the betas are ten times as large, so that
# $\bar a_T$ is as small as with 1000. `ScoreNoise` asks the
# mixture for its exact score, and `ddpm_bound` draws one $x_t$
# for each $t$ and each point.

# %%
for n_steps in (100, 1000):
    rising = ne.ddpm_betas(n_steps, 0.1 / n_steps, 20 / n_steps)  # 0.0001 to 0.02 for 1000
    for name, chosen in (("rising", rising), ("falling", rising.flip(0)), ("cosine", ne.cosine_betas(n_steps))):
        share = ne.alphas_bar_of(chosen)
        bound = ne.ddpm_bound(ne.ScoreNoise(peaks, share), x_clean, share, variance="beta", generator=generator)
        gap = (bound.total + peaks.log_prob(x_clean)) / math.log(2)
        print(f"{n_steps:4} steps, {name:7}: {gap.mean():5.2f} bits lost (+- {gap.std() / 4000**0.5:.2f})")
        assert gap.mean() < 0.5 if name != "falling" else gap.mean() > 0.4

# %% [markdown]
# A thousand falling steps lose more than a hundred rising ones.
# And the net was perfect: no training repairs a schedule.
#
# Move the sliders. The explorer has the two curves of a schedule,
# beside those of DDPM's own (dashed), and a digit on its way.
#
# - Choose "linear, falling". At which $t/T$ can you no longer
#   read the digit? And with "cosine"?
# - With "linear", lower **steps T** to 100. What does the line
#   say? Raise the **largest beta** until it is content.
# - Cosine at 1000 steps ends at a $\sigma$ of 20,000. Is that of
#   any use?
#
# <details><summary>Answers</summary>
#
# - Falling: at 0.1 it is hard, at 0.2 it is gone. Cosine: up to 0.5 or so.
#   DDPM's own: up to 0.3.
# - 0.364 of the variance is left, 0.327 bits of a pixel. At a largest beta
#   of 0.2 it is 0.00002, as for DDPM.
# - No. Beyond a few hundred nothing is left of the image, and one step
#   does what many do. It does no harm either: the cosine needs few steps
#   for it, which is its point.
# </details>

# %%
ScheduleExplorer(schedule="linear", n_steps=1000)

# %% [markdown]
# ## 16.3 The step back
#
# To draw samples we would walk the chain backwards:
# $x_T \sim \mathcal{N}(0, I)$, then
# $x_{t-1} \sim q(x_{t-1} \mid x_t)$. By Bayes' rule
#
# $$ q(x_{t-1} \mid x_t) = \frac{q(x_t \mid x_{t-1})\, q(x_{t-1})}{q(x_t)} , $$
#
# where $q(x_{t-1})$ is the density of noisy data, which nobody
# knows. DDPM *models* this step as a Gaussian,
# $p_\theta(x_{t-1} \mid x_t) = \mathcal{N}(\mu_\theta(x_t, t), s_t^2 I)$.
# When is that good enough?
#
# Look at the formula as a function of $x_{t-1}$. The first factor
# is a narrow Gaussian of width about $\sqrt{b_t}$. If
# $\log q(x_{t-1})$ is close to a straight line over that width,
# the product is a Gaussian again, shifted along the slope of that
# line, and this slope is the score. If $b_t$ is large, the
# product has whatever shape the data have.
#
# To first order we can do it by hand. Put
# $\log q(x_{t-1}) \approx \log q(x_t) + (x_{t-1} - x_t)^\top \nabla\log q(x_t)$
# into Bayes' rule and complete the square. For small $b_t$ the
# step back is a Gaussian of variance $b_t$ around
#
# $$ \frac{1}{\sqrt{a_t}}\,\big(x_t + b_t\,\nabla \log q(x_t)\big) . $$
#
# So the net that gives the mean of the step back has to know the
# score of the noisy data. Section 16.7 arrives at the same
# formula from the other end.
#
# We take two peaks of width 0.2 as $q(x_{t-1})$ and condition on
# $x_t = 0.2$.
#
# **Predict:** the next figure shows $q(x_{t-1} \mid x_t = 0.2)$
# for $b = 0.01$, 0.1, 0.3 and 0.9, with the Gaussian of the same
# mean and variance. Which of them would you dare to replace by
# the Gaussian?
#
# <details><summary>Answer</summary>
#
# Only $b = 0.01$. At 0.1 a second peak is seen, at 0.3 there are two, and at
# 0.9 the step back is nearly the data distribution itself, which was to be
# learned. The KL divergence to the Gaussian grows from 0.001 to 1.3 bits.
# </details>

# %%
two = GaussianMixture(torch.tensor([[-1.0], [1.0]], dtype=F64), 0.04)
y = torch.linspace(-4, 4, 8001, dtype=F64)

# %% [markdown]
# On a fine grid Bayes' rule is a multiplication: the density of
# the data times the kernel, normalised by a softmax of the
# logarithms. The Gaussian with the same mean and the same
# variance is the best that the model could choose.

# %%
fig, axes = plt.subplots(1, 4, figsize=(11, 2.9))
lost = {}
for ax, b in zip(axes, (0.01, 0.1, 0.3, 0.9), strict=True):
    log_q = two.log_prob(y[:, None]) - (0.2 - math.sqrt(1 - b) * y) ** 2 / (2 * b)
    weight = log_q.softmax(0)
    mean = (weight * y).sum()
    variance = (weight * (y - mean) ** 2).sum()
    exact, gauss = weight / (y[1] - y[0]), torch.distributions.Normal(mean, variance.sqrt()).log_prob(y).exp()
    lost[f"b_{b}"] = (weight * (exact.clamp_min(1e-300) / gauss.clamp_min(1e-300)).log()).sum() / math.log(2)
    ax.plot(y, exact, color=BLUE, label="exact")
    ax.plot(y, gauss, color=ORANGE, ls="--", label="Gaussian")
    ax.set(
        xlim=(-2.5, 2.5), ylim=(0, None), yticks=[], xlabel="$x_{t-1}$", title=f"$b$ = {b}: {lost[f'b_{b}']:.3f} bits"
    )
axes[0].legend(loc="upper left", fontsize=9)
alt = (
    "The density of the step back for four sizes of the step, with the Gaussian of the same mean and variance. At 0.01 "
    "the two agree; at 0.1 the exact one has a tall and a small peak, at 0.9 two peaks of nearly the same height."
)
caption = r"The exact $q(x_{t-1} \mid x_t = 0.2)$ is close to a Gaussian for small $b$ only."
save_figure(fig, "ddpm_reverse", alt=alt, caption=caption, numbers=lost)

# %% [markdown]
# That is the reason for a thousand steps. $\bar a_T \approx 0$
# with few of them is easy, and each step back would then be a
# generative model of its own. With many, each is a Gaussian whose
# mean has to be learned, and nothing else. (Noise helps: once
# $q(x_{t-1})$ itself is smooth, larger steps do, which is why
# $b_t$ may rise.)
#
# ## 16.4 The posterior, given the clean image
#
# One thing about the way back *is* known: where the chain was at
# $t - 1$ if we know both $x_t$ and the $x_0$ that it came from,
#
# $$ q(x_{t-1} \mid x_t, x_0) = \frac{q(x_t \mid x_{t-1})\; q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)} . $$
#
# (In the first factor $x_0$ is left out, because the chain is
# Markov.) Both factors are Gaussians in $x_{t-1}$. Their
# exponents add up to
#
# $$ -\frac12\left[\frac{(x_t - \sqrt{a_t}\,x_{t-1})^2}{b_t} + \frac{(x_{t-1} - \sqrt{\bar a_{t-1}}\,x_0)^2}{1 - \bar a_{t-1}}\right]
#    = -\frac12\left[ P\,x_{t-1}^2 - 2 R\,x_{t-1} + \dots\right], $$
#
# $$ P = \frac{a_t}{b_t} + \frac{1}{1 - \bar a_{t-1}} = \frac{1 - \bar a_t}{b_t\,(1 - \bar a_{t-1})}, \qquad
#    R = \frac{\sqrt{a_t}}{b_t}\,x_t + \frac{\sqrt{\bar a_{t-1}}}{1 - \bar a_{t-1}}\,x_0 , $$
#
# where $a_t(1 - \bar a_{t-1}) + b_t = 1 - \bar a_t$ was used.
# Completing the square, the variance is $1/P$ and the mean is
# $R/P$:
#
# $$ \tilde\mu_t = \frac{\sqrt{a_t}\,(1 - \bar a_{t-1})\,x_t + \sqrt{\bar a_{t-1}}\,b_t\,x_0}{1 - \bar a_t}, \qquad
#    \tilde b_t = \frac{1 - \bar a_{t-1}}{1 - \bar a_t}\,b_t . $$
#
# **Write it.** Mean and variance; all five arguments are numbers,
# and `before` is $\bar a_{t-1}$.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_posterior(x_t, x_0, beta, kept, before):
#     mean = (math.sqrt(1 - beta) * (1 - before) * x_t + math.sqrt(before) * beta * x_0) / (1 - kept)
#     return mean, beta * (1 - before) / (1 - kept)
# ```
# </details>


# %%
def my_posterior(x_t, x_0, beta, kept, before):  # numbers; returns (mean, variance)
    ...


practice.posterior(my_posterior)

# %% [markdown]
# Read the mean before you go on. It is an average of two opinions
# about $x_{t-1}$, each with the weight of its precision. One
# comes from $x_t$: one step of noise ago we were near
# $x_t/\sqrt{a_t}$, give or take $\sqrt{b_t/a_t}$. The other comes
# from $x_0$: after $t - 1$ steps we have to be near
# $\sqrt{\bar a_{t-1}}\,x_0$, give or take
# $\sqrt{1 - \bar a_{t-1}}$. For large $t$ the second opinion is
# vague, and the posterior stays near $x_t$. At $t = 1$ it is
# certain, $1 - \bar a_0 = 0$, and $x_0$ is all that counts.
#
# The notebook's own version takes the index, and $x_t$ of any
# shape:


# %%
def posterior_of(x_t: Tensor, x_0: Tensor | float, t: int, kept: Tensor) -> tuple[Tensor, Tensor]:
    now, before = kept[t], kept[t - 1]
    beta = 1 - now / before
    mean = ((1 - beta).sqrt() * (1 - before) * x_t + before.sqrt() * beta * x_0) / (1 - now)
    return mean, beta * (1 - before) / (1 - now)


# %% [markdown]
# **Trap: $\sqrt{\bar a_t}$ for $\sqrt{a_t}$.** The bar is easily
# added in print. $\sqrt{a_t}$ is the shrinking of one step, near
# 1; $\sqrt{\bar a_t}$ is that of all steps so far. We check at
# index 500, with $x_0 = 0.7$ and $x_t = -0.3$, by brute force:
# multiply the two densities on a grid, without completing any
# square.

# %%
mean, variance = posterior_of(torch.tensor(-0.3, dtype=F64), 0.7, 500, kept)
y = torch.linspace(-3, 3, 60_001, dtype=F64)
exponent = (-0.3 - (1 - betas[500]).sqrt() * y) ** 2 / betas[500] + (y - root[499] * 0.7) ** 2 / (1 - kept[499])
weight = (-exponent / 2).softmax(0)
grid_mean = (weight * y).sum()
grid_variance = (weight * (y - grid_mean) ** 2).sum()

# %% [markdown]
# On the grid the weights are the product of the two densities,
# and its mean and variance are sums. The third line is the
# formula with the bar at the wrong place.

# %%
wrong = (root[500] * (1 - kept[499]) * -0.3 + root[499] * betas[500] * 0.7) / (1 - kept[500])
print(f"completing the square: mean {mean:.4f}, variance {variance:.5f}")
print(f"on a grid:             mean {grid_mean:.4f}, variance {grid_variance:.5f}")
print(f"with sqrt(alpha_bar_t): mean {wrong:.4f}")
assert abs(mean - grid_mean) < 1e-6 and abs(variance - grid_variance) < 1e-7 and abs(wrong - mean) > 0.2

# %% [markdown]
# $-0.2961$ is plausible: one step back from $-0.3$, a little
# towards the image. The wrong mean, $-0.0815$, is two standard
# deviations of the posterior away, and a sampler that makes this
# mistake shrinks its image by $\sqrt{\bar a_t}$ at *each* step.
#
# ## 16.5 The bound, line by line
#
# The model is the reverse chain,
# $p_\theta(x_{0:T}) = p(x_T) \prod_t p_\theta(x_{t-1} \mid x_t)$
# with $p(x_T) = \mathcal{N}(0, I)$. It is a hierarchical VAE: the
# latents $x_{1:T}$ are as large as the image, and the encoder $q$
# is fixed. The bound is that of notebook 15,
#
# $$ \log p_\theta(x_0) \;\ge\; \mathbb{E}_q\left[\log\frac{p_\theta(x_{0:T})}{q(x_{1:T} \mid x_0)}\right] . $$
#
# Three factorisations are used, and each rests on something else:
#
# 1. $p_\theta(x_{0:T}) = p(x_T)\prod_t p_\theta(x_{t-1} \mid x_t)$:
#    by definition of the model.
# 2. $q(x_{1:T} \mid x_0) = \prod_t q(x_t \mid x_{t-1})$: because
#    the forward chain is **Markov**.
# 3. $q(x_t \mid x_{t-1}) = q(x_t \mid x_{t-1}, x_0) = \dfrac{q(x_{t-1} \mid x_t, x_0)\; q(x_t \mid x_0)}{q(x_{t-1} \mid x_0)}$
#    for $t \ge 2$: the first equality is Markov once more, the
#    second is Bayes' rule with everything **conditioned on
#    $x_0$**. Without $x_0$ the right-hand side would have the
#    unknown densities of section 16.3.
#
# Put 1 and 2 in (line A), then 3 (line B):
#
# $$ \text{A:}\quad \mathbb{E}\Big[\log p(x_T) + \sum_{t \ge 1} \log \frac{p_\theta(x_{t-1} \mid x_t)}{q(x_t \mid x_{t-1})}\Big] $$
#
# $$ \text{B:}\quad \mathbb{E}\Big[\log p(x_T) + \sum_{t \ge 2} \log\Big(\frac{p_\theta(x_{t-1} \mid x_t)}{q(x_{t-1} \mid x_t, x_0)} \cdot \frac{q(x_{t-1} \mid x_0)}{q(x_t \mid x_0)}\Big) + \log\frac{p_\theta(x_0 \mid x_1)}{q(x_1 \mid x_0)}\Big] $$
#
# The middle fractions telescope: of their product only
# $q(x_1 \mid x_0) / q(x_T \mid x_0)$ is left, and
# $q(x_1 \mid x_0)$ cancels with the last term (line C). Two of
# the expectations are KL divergences of Gaussians, which have
# closed forms (line D):
#
# $$ \text{C:}\quad \mathbb{E}\Big[\log \frac{p(x_T)}{q(x_T \mid x_0)} + \sum_{t \ge 2} \log \frac{p_\theta(x_{t-1} \mid x_t)}{q(x_{t-1} \mid x_t, x_0)} + \log p_\theta(x_0 \mid x_1)\Big] $$
#
# $$ \text{D:}\quad -\mathrm{KL}\big(q(x_T \mid x_0)\,\|\,p(x_T)\big) - \sum_{t \ge 2} \mathbb{E}\,\mathrm{KL}\big(q(x_{t-1} \mid x_t, x_0)\,\|\,p_\theta(x_{t-1} \mid x_t)\big) + \mathbb{E}\log p_\theta(x_0 \mid x_1) $$
#
# The three kinds of term have names. The first is the **prior**
# term: how much of the image is left at the end. Section 16.2
# computed it, and no net can change it. The sum holds the
# **steps**: how well the model's step back agrees with the best
# guess of somebody who knows $x_0$. The last is the **decoder**:
# how well the image itself is told from its first noisy version.
# Compare the ELBO of notebook 15, which has one KL term and one
# reconstruction: here there are a thousand small ones between
# them, and each asks for very little.
#
# Now we check each line, where everything is known: one pixel,
# four steps, and a model
# $p(x_{t-1} \mid x_t) = \mathcal{N}(k_t x_t, v_t)$ with some
# numbers $k_t, v_t$ that nobody has tuned. As all of it is linear
# and Gaussian, $p(x_0)$ is a Gaussian too, whose variance follows
# from $V_T = 1$, $V_{t-1} = k_t^2 V_t + v_t$. So the exact
# $\log p(x_0)$ is at hand.


# %%
def log_normal(x: Tensor, mean: Tensor | float, variance: Tensor) -> Tensor:
    return torch.distributions.Normal(mean, variance.sqrt()).log_prob(x)


def kl(mean: Tensor, variance: Tensor, other_mean: Tensor, other_variance: Tensor) -> Tensor:
    ratio = variance / other_variance
    return 0.5 * (ratio + (mean - other_mean) ** 2 / other_variance - 1 - ratio.log())


# %% [markdown]
# Now the numbers: the betas of four steps, and $k_t$ and $v_t$ of
# the model. The loop computes $V_0$, the variance of $p(x_0)$.

# %%
few = torch.tensor([0.2, 0.3, 0.4, 0.5], dtype=F64)  # the betas of four steps
left = ne.alphas_bar_of(few)
k, v = torch.tensor([[0.95, 0.8, 0.7, 0.7], [0.18, 0.16, 0.25, 0.4]], dtype=F64)  # of the model
x_0, n, one, zero = 0.7, 200_000, torch.ones((), dtype=F64), torch.zeros((), dtype=F64)
total = one
for t in (3, 2, 1, 0):
    total = k[t] ** 2 * total + v[t]
exact = log_normal(torch.tensor(x_0, dtype=F64), zero, total)

# %% [markdown]
# The path, and all the logarithms that the lines are made of. (An
# entry `t` of a list belongs to the step between $x_t$ and
# $x_{t+1}$.)

# %%
path = [torch.full((n,), x_0, dtype=F64)]
for b in few:
    path.append((1 - b).sqrt() * path[-1] + b.sqrt() * torch.randn(n, generator=generator, dtype=F64))
steps = range(4)
log_p = [log_normal(path[t], k[t] * path[t + 1], v[t]) for t in steps]  # p(x_t | x_{t+1})
log_q = [log_normal(path[t + 1], (1 - few[t]).sqrt() * path[t], few[t]) for t in steps]  # q(x_{t+1} | x_t)

# %% [markdown]
# With these two lists line A can be written down. B, C and D need
# what $q$ says when $x_0$ is given: the closed form of section
# 16.1, and the posterior of section 16.4 for $t \ge 2$.

# %%
log_seen = [log_normal(path[t + 1], left[t].sqrt() * x_0, 1 - left[t]) for t in steps]  # q(x_{t+1} | x_0)
posteriors = [None, *(posterior_of(path[t + 1], x_0, t, left) for t in (1, 2, 3))]
log_back = [None, *(log_normal(path[t], *posteriors[t]) for t in (1, 2, 3))]  # q(x_t | x_{t+1}, x_0)
log_end = log_normal(path[4], zero, one)

# %%
kls = [kl(*posteriors[t], k[t] * path[t + 1], v[t]) for t in (1, 2, 3)]
telescope = [log_p[t] - log_back[t] + log_seen[t - 1] - log_seen[t] for t in (1, 2, 3)]

# %% [markdown]
# `kls` are the KL divergences of line D, one for each path, since
# the posterior's mean depends on $x_t$. `telescope` is the sum of
# line B before anything cancels.

# %%
lines = {
    "A": log_end + sum(log_p) - sum(log_q),
    "B": log_end + sum(telescope) + log_p[0] - log_q[0],
    "C": log_end - log_seen[3] + sum(log_p[t] - log_back[t] for t in (1, 2, 3)) + log_p[0],
    "D": -kl(left[3].sqrt() * x_0, 1 - left[3], zero, one) - sum(kls) + log_p[0],
}

# %% [markdown]
# Each entry holds one number for each of the 200,000 paths. Their
# mean is the bound, and their standard deviation says how many
# paths one needs.

# %%
for name, value in lines.items():
    print(f"line {name}: {value.mean():.4f} +- {value.std() / n**0.5:.4f}; scatter of one path {value.std():.2f}")
print(f"exact log p: {exact:.4f}")
assert (lines["A"] - lines["B"]).abs().max() < 1e-12 and (lines["B"] - lines["C"]).abs().max() < 1e-12
assert abs(lines["D"].mean() - lines["C"].mean()) < 4 * lines["D"].std() / n**0.5
assert lines["C"].mean() < exact - 0.01

# %% [markdown]
# A, B and C agree path by path, to the last digits: they are the
# same numbers in another order. D agrees on average. All lie
# below the exact $\log p(x_0)$, by
# $\mathrm{KL}(q(x_{1:T} \mid x_0) \,\|\, p(x_{1:T} \mid x_0))$,
# as for every VAE.
#
# (The last column is a surprise. One reads that closed-form KLs
# make the estimate steadier. Here a path scatters *more* under D:
# in A to C the fluctuations of $\log p$ and $\log q$ along a path
# nearly cancel. What D gives is a term for each $t$ that can be
# trained by itself.)
#
# **Three traps**, all met in derivations in print:
#
# - "$\mathbb{E}_q[p/q] = -\mathrm{KL}(q \| p)$". No:
#   $\mathbb{E}_q[p/q] = \int q \cdot p/q = \int p = 1$, whatever
#   $p$ is. Only the expected *logarithm* is $-\mathrm{KL}$.
# - A lost logarithm: if a $\log$ is dropped on the way, the sum
#   has terms $\mathbb{E}[p/q]$, which are all 1. The "bound" is
#   then the same for every model and there is nothing to train.
# - A lost $q(x_{t-1} \mid x_0)$: without the denominator of
#   factorisation 3 nothing telescopes.

# %%
for t in (1, 2, 3):
    log_ratio = log_p[t] - log_back[t]
    spread = log_ratio.exp().std() / n**0.5
    print(
        f"t = {t + 1}: E[p/q] = {log_ratio.exp().mean():.3f} +- {spread:.3f}, "
        f"E[log p/q] = {log_ratio.mean():.3f}, -KL = {-kls[t - 1].mean():.3f}"
    )
    assert abs(log_ratio.exp().mean() - 1) < 5 * spread and abs(log_ratio.mean() + kls[t - 1].mean()) < 0.01

# %% [markdown]
# The sums over $t$ with the logarithm lost, of our model and of
# one whose $k_t$ are half as large; and the mean of line C with
# $q(x_{t-1} \mid x_0)$ lost:

# %%
worse = [log_normal(path[t], 0.5 * k[t] * path[t + 1], v[t]) - log_back[t] for t in (1, 2, 3)]
for name, ratios in (("our model", [log_p[t] - log_back[t] for t in (1, 2, 3)]), ("a worse one", worse)):
    means = [sum(f(ratio).mean() for ratio in ratios) for f in (torch.exp, lambda ratio: ratio)]
    print(f"{name:11}: sum of E[p/q] = {means[0]:.2f}, sum of E[log p/q] = {means[1]:.2f}")
    assert abs(means[0] - 3) < 0.15

# %% [markdown]
# The third trap: subtract $\log q(x_{t-1} \mid x_0)$, which stood
# in the denominator, from every term of line C.

# %%
lost_q = lines["C"] - sum(log_seen[t - 1] for t in (1, 2, 3))
print(f"line C without q(x_t-1 | x_0): {lost_q.mean():.2f}, above the exact {exact:.2f}")
assert lost_q.mean() > exact

# %% [markdown]
# Without the logarithm both models score 3: nothing can be
# learned. The third mistake yields a "lower bound" above what it
# bounds.
#
# `ddpm_bound`, which section 16.2 used, computes line D with a
# minus, for any net. There a perfect net came down to the exact
# $-\log p$ with 1000 small steps, and did not with 100, nor with
# falling ones: what is left of the gap is what section 16.3 saw,
# steps back that are no Gaussians.

# %% [markdown]
# ## 16.6 From the bound to the loss
#
# Only the terms with $p_\theta$ can be trained. Two Gaussians of
# which the second has a fixed variance $s_t^2$ differ, up to a
# constant, by their means:
#
# $$ L_{t-1} = \mathbb{E}\,\mathrm{KL}\big(q(x_{t-1} \mid x_t, x_0) \,\|\, p_\theta(x_{t-1} \mid x_t)\big)
#    = \mathbb{E}\,\frac{\|\tilde\mu_t - \mu_\theta(x_t, t)\|^2}{2 s_t^2} + \text{const} . $$
#
# That is the **loss in $\mu$**. Now put
# $x_0 = (x_t - \sqrt{1 - \bar a_t}\,e)/\sqrt{\bar a_t}$ into
# $\tilde\mu_t$:
#
# $$ \tilde\mu_t = \frac{1}{\sqrt{a_t}}\Big(x_t - \frac{b_t}{\sqrt{1 - \bar a_t}}\,e\Big) . $$
#
# $x_t$ is an input of the net. All that it has to guess is $e$.
# Give $\mu_\theta$ the same form with a net $e_\theta(x_t, t)$,
# and the difference is the **loss in $e$**:
#
# $$ L_{t-1} = \mathbb{E}\;\underbrace{\frac{b_t^2}{2 s_t^2\, a_t\,(1 - \bar a_t)}}_{w_t}\;\big\|e - e_\theta(x_t, t)\big\|^2 + \text{const} . $$
#
# Ho et al. drop the weight: the **simple loss** is
# $\mathbb{E}\,\|e - e_\theta(x_t, t)\|^2$ with $t$ uniform. We
# check that both forms of the bound agree, for a guess that is
# wrong by a random amount:

# %%
t, x_0, e, guess = 300, *torch.randn(3, 1000, 2, generator=generator, dtype=F64)
x_t = root[t] * x_0 + noise[t] * e
a = 1 - betas[t]
target, _ = posterior_of(x_t, x_0, t, kept)
mu = (x_t - betas[t] / noise[t] * guess) / a.sqrt()

# %% [markdown]
# `mu` is what the sampler would make of the guess, and `target`
# the mean of the posterior. Now both losses, with $s_t^2 = b_t$:

# %%
in_mu = (target - mu).square().sum(1) / (2 * betas[t])  # s^2 = b
in_e = betas[t] / (2 * a * (1 - kept[t])) * (e - guess).square().sum(1)
print(f"in mu: {in_mu.mean():.6f}, in e: {in_e.mean():.6f}")
assert (in_mu - in_e).abs().max() < 1e-9

# %% [markdown]
# **Write it.** The simple loss of each example, a sum over the
# coordinates.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_loss(net, x, kept, t, e):
#     now = kept[t][:, None]
#     return (e - net(now.sqrt() * x + (1 - now).sqrt() * e, t)).square().sum(1)
# ```
# </details>


# %%
def my_loss(net, x, kept, t, e):  # x and e: (B, D), kept: (T,), t: (B,); returns (B,)
    ...


practice.simple_loss(my_loss)

# %% [markdown]
# That is the whole of training (Algorithm 1 of Ho et al.): take
# an image, draw $t$ uniformly, draw $e$, form $x_t$, ask the net
# for the noise, take a gradient step on the squared error. There
# is no sampling inside it, no second net, no bound to be
# computed. And there is one thing that this loss does not do: it
# does not go to zero. The noise in $x_t$ cannot be told from the
# image exactly, and what remains is the floor of notebook 8.
#
# **Trap: "training walks step by step".** Pictures of DDPM show
# the chain, and so one reads that training noises an image step
# by step and learns each step in turn. It does not. Each example
# draws **one** random $t$, and the closed form takes it there at
# once. A walk would be correct on average, and a waste: all the
# losses along a walk are of one image, with noises that hardly
# change from step to step.
#
# We measure the waste with the exact net of two arcs in the
# plane: the loss, estimated from 1000 evaluations, 40 times by
# each way. (Along a walk, $x_t/\sqrt{\bar a_t}$ is $x_0$ plus a
# sum of independent noises.)

# %%
arcs = GaussianMixture(1.5 * ne.moons().means, 0.0225)  # two half circles of radius 1.5, thickness 0.15
every_t, perfect = torch.arange(1000), ne.ScoreNoise(arcs, kept)

# %% [markdown]
# The exact net costs nothing to train, and its loss is the floor
# of notebook 8. We only want to know how much an estimate of it
# scatters.

# %%
estimates = {"one walk": [], "1000 random t": []}
for _ in range(40):
    z, one_x = torch.randn(1000, 2, generator=generator, dtype=F64), arcs.sample(1, generator=generator).double()
    e = ((betas / kept).sqrt()[:, None] * z).cumsum(0) * (root / noise)[:, None]  # along the walk
    walk = root[:, None] * one_x + noise[:, None] * e
    estimates["one walk"].append((e - perfect(walk, every_t)).square().sum(1).mean())
    t, many_x = torch.randint(1000, (1000,), generator=generator), arcs.sample(1000, generator=generator).double()
    anywhere = root[t, None] * many_x + noise[t, None] * z
    estimates["1000 random t"].append((z - perfect(anywhere, t)).square().sum(1).mean())
scatter = {name: torch.stack(values).std().item() for name, values in estimates.items()}
for name, values in estimates.items():
    print(f"{name:13}: loss {torch.stack(values).mean():.2f}, one estimate scatters by {scatter[name]:.3f}")
assert scatter["one walk"] > 3 * scatter["1000 random t"]

# %% [markdown]
# The scatter counts in squares: for the same precision the walk
# needs the square of the ratio as many evaluations. And whoever
# walks to a single $x_t$ needs $t$ draws of noise, where the
# closed form needs one.
#
# **What is the net told of $t$?** One number, and it has to make
# a difference of it in every layer. DDPM gives it the sines and
# cosines of the *index* $t$, at frequencies in geometric
# progression from 1 down to $10^{-4}$, as Transformers give
# positions. The fast waves tell neighbours apart, the slow ones
# near from far:


# %%
def waves(t: Tensor, n: int = 16) -> Tensor:
    angles = t[:, None].float() * torch.logspace(0, -4, n // 2)
    return torch.cat([angles.sin(), angles.cos()], 1)


for first, second in ((10, 11), (10, 110), (10, 910)):
    apart = (waves(torch.tensor([first])) - waves(torch.tensor([second]))).norm()
    print(
        f"t = {first} and {second:3}: their waves are {apart:.2f} apart; t / 1000 itself {(second - first) / 1000:.3f}"
    )

# %% [markdown]
# Other nets of this collection are told otherwise. NCSN has a row
# of a table for each level in every normalisation layer, NCSNv2
# is told nothing and divides its output by $\sigma$, and the
# U-Net for any noise takes waves of $\log\sigma$. Waves of the
# index know no other schedule: after a change of $T$ or of $b_t$
# the same index means another noise. Waves of $\log\sigma$ would
# still be right.
#
# A small net for the plane, and the loss with its three ways to
# draw $t$:
#
# - **simple**: $t$ uniform, weight 1;
# - **bound**: $t$ uniform, weight $w_t$ with $s_t^2 = b_t$;
# - **bound, drawn**: $t$ drawn with probability proportional to
#   $w_t$, weight 1. The expectation is that of "bound", up to a
#   factor: who is drawn more often needs no weight.


# %%
class PlaneNet(nn.Module):
    def __init__(self, width: int = 128) -> None:
        super().__init__()
        hidden = [nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()]
        self.layers = nn.Sequential(nn.Linear(18, width), nn.SiLU(), *hidden, nn.Linear(width, 2))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.layers(torch.cat([x, waves(t)], 1))


# %% [markdown]
# The net is a perceptron with 16 waves beside the two
# coordinates. The weight of the bound for $s_t^2 = b_t$ is
# $b_t / (2 a_t (1 - \bar a_t))$, one number for each $t$:

# %%
w = betas / (2 * (1 - betas) * (1 - kept))  # s^2 = b


def noise_loss(kind: str, own: torch.Generator):
    weight = (w / w.mean()).float() if kind == "bound" else torch.ones(1000)
    chance = w.float() if kind == "bound, drawn" else torch.ones(1000)

    def losses(net: nn.Module, x: Tensor) -> Tensor:
        t = torch.multinomial(chance, len(x), replacement=True, generator=own)
        e = torch.randn(x.shape, generator=own)
        x_t = root[t, None].float() * x + noise[t, None].float() * e
        return weight[t] * (e - net(x_t, t)).square().sum(1) / 2

    return losses


# %% [markdown]
# 2000 steps of 256 points, Adam, with the learning rate falling
# to zero over the second half, and the moving average of NCSNv2.


# %%
def trained_net(kind: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    net, own = PlaneNet(), torch.Generator().manual_seed(seed)
    stream = (arcs.sample(256, generator=own).float() for _ in itertools.count())
    options = {"n_steps": 2000, "lr": 4e-3, "cooldown": 1000, "ema": 0.995}
    *_, end = train(net, stream, objective=noise_loss(kind, own), **options)
    return end.ema


# %% [markdown]
# Nine nets: three ways, three seeds each. The seed decides about
# the initial weights, the data and the noise, so that the spread
# over seeds is that of the whole training.

# %%
kinds = ("simple", "bound", "bound, drawn")
nets = {(kind, seed): trained_net(kind, seed) for kind in kinds for seed in (0, 1, 2)}

# %% [markdown]
# Two judgements of each net. *Bits*: by how much its bound stays
# above the exact $-\log_2 p$, per coordinate. *Quality*: samples
# by `ddpm` over 100 of the 1000 steps (section 16.10 says why one
# may), and the share of them that lie off the arcs, more than
# three thicknesses away.


# %%
def same(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def off_the_arcs(x: Tensor) -> float:
    return (torch.cdist(x.double(), arcs.means).min(1).values > 0.45).double().mean().item()


x_held, start = arcs.sample(1000, generator=generator).float(), torch.randn(4000, 2, generator=generator)

# %% [markdown]
# All nets are judged with the same points, the same starts and
# the same noise, so that they differ in what they have learned
# and in nothing else.

# %%
bits, off, points = {}, {}, {}
for key, net in nets.items():
    bound = ne.ddpm_bound(net, x_held, kept, variance="beta", generator=same())
    bits[key] = (bound.total + arcs.log_prob(x_held)).mean().item() / 2 / math.log(2)
    points[key] = ne.last(ddpm(net, start, kept, steps=range(9, 1000, 10), generator=same()))
    off[key] = off_the_arcs(points[key])
numbers = {
    f"{name}, {kind}": sum(v[kind, s] for s in (0, 1, 2)) / 3
    for name, v in (("bits", bits), ("off", off))
    for kind in kinds
}

# %% [markdown]
# **Predict:** on the left, $w_t$ for both choices of $s_t^2$.
# Where is it large? In the middle, each net is a dot: bits
# against the share off the arcs. "Bound" is trained for bits. Is
# it the best in bits? Do the two ways of computing the *same*
# objective give the same nets?
#
# <details><summary>Answer</summary>
#
# $w_t$ is largest at the first steps: 0.5 for $s_t^2 = b_t$,
# against 0.005 in the middle, and infinite at $t = 1$ for the
# posterior's variance. The simple loss gives the small noises
# less than their share.
#
# "Bound" is the worst in bits *and* in quality, and "bound, drawn" the best
# in both. They have one expectation. What differs is the scatter of their
# gradients.
# </details>

# %%
fig, axes = plt.subplots(1, 3, figsize=(11, 3.4), width_ratios=(1.15, 1.15, 1))
narrow = betas[1:] * (1 - kept[:-1]) / (1 - kept[1:])  # the posterior's variance, t = 2 ...
axes[0].loglog(torch.arange(1, 1001), w, color=BLUE, label="$s_t^2 = b_t$")
axes[0].loglog(torch.arange(2, 1001), w[1:] * betas[1:] / narrow, color=RED, ls="--", label=r"$s_t^2 = \tilde b_t$")
axes[0].axhline(w.mean(), color=GREY, lw=0.8, label="simple")
axes[0].set(xlabel="$t$", title="weight $w_t$")
for kind, color in zip(kinds, (BLUE, RED, GREEN), strict=True):
    x_axis, y_axis = ([values[kind, seed] for seed in (0, 1, 2)] for values in (bits, off))
    axes[1].plot(x_axis, y_axis, "o", color=color, label=kind)
axes[1].set(xlabel="bits a coordinate above $-\\log_2 p$", ylabel="share off the arcs", title="bits and quality")
axes[1].set(xlim=(0, 0.6), ylim=(0, 0.25))
plots.scatter(axes[2], points["bound, drawn", 0][:1500], extent=2.9, ms=1.5, color=PURPLE)
axes[2].plot(*arcs.means.T, ".", ms=2, color="black")
axes[2].set_title("arcs (black), and samples")
axes[0].legend(fontsize=9), axes[1].legend(fontsize=9)
alt = (
    "Left, the weight of the bound falls from 0.5 at the first step to 0.005 in the middle. Then nine dots, three for "
    "each loss: bound, drawn is lowest in both, simple in the middle, bound highest. Right, samples around two arcs."
)
caption = "The weight of the bound, and three ways to train one net: what each costs in bits and in samples."
save_figure(fig, "ddpm_weight", alt=alt, caption=caption, numbers=numbers, tolerance=0.06)

# %%
for kind in kinds:
    values = [torch.tensor([found[kind, seed] for seed in (0, 1, 2)]) for found in (bits, off)]
    print(f"{kind:12}: bits ≈ {values[0].mean():.2f} (+- ≈ {values[0].std():.2f}), off ≈ {values[1].mean():.2f}")
for found in (bits, off):
    means = [sum(found[kind, seed] for seed in (0, 1, 2)) for kind in ("bound, drawn", "simple", "bound")]
    assert means[0] < means[1] < means[2]

# %% [markdown]
# So two questions have to be kept apart. *What is weighted?* The
# bound cares for small noise. In the plane this is where thin
# arcs are drawn, and weighing it more makes bits and samples
# better. *How is the weight realised?* As a factor it makes a few
# examples of each batch count a hundred times as much as the
# others, and the gradient is as noisy as if the batch were small.
# As a probability it does not (Nichol & Dhariwal 2021 found the
# same on images, and drew $t$ by importance).
#
# On photographs the first question is answered differently. Ho et
# al. report for CIFAR-10, with a fixed variance, 3.70 bits a
# dimension and an FID of 13.5 for the bound, 3.75 bits and 3.2
# for the simple loss: the bound wins the bits and loses the
# pictures. Most bits of a photograph describe detail that nobody
# sees, and the net has better things to learn. The arcs have no
# such detail. (Exercise 3 tries digits.)
#
# ## 16.7 Guessing noise is knowing the score
#
# The loss is a squared error, so the best $e_\theta$ is a
# conditional mean, $\mathbb{E}[e \mid x_t]$. Tweedie's formula of
# notebook 3, for
# $x_t = \sqrt{\bar a_t}\,x_0 + \sqrt{1 - \bar a_t}\,e$, says
#
# $$ \mathbb{E}[e \mid x_t] = -\sqrt{1 - \bar a_t}\;\nabla_{x_t} \log p(x_t) . $$
#
# **The noise is the score**, up to a known factor. By brute
# force: two million pairs $(x_0, e)$ of the two peaks of section
# 16.3 at $t = 200$, of which we keep those with $x_t$ near a
# given place:

# %%
t = 199  # 200 steps
x_0 = two.sample(2_000_000, generator=generator)[:, 0]
e = torch.randn(x_0.shape, generator=generator, dtype=F64)
x_t = root[t] * x_0 + noise[t] * e
seen = GaussianMixture(root[t] * two.means, kept[t] * 0.04 + 1 - kept[t])  # the density of x_t

# %% [markdown]
# `seen` is the density of $x_t$: the peaks move inwards by
# $\sqrt{\bar a_t}$ and become wider. On the left stands what was
# drawn, on the right a formula that knows nothing of the draws.

# %%
for place in (-1.5, 0.2, 1.0):
    near = e[(x_t - place).abs() < 0.02]
    formula = -noise[t] * seen(torch.tensor([[place]], dtype=F64))[0, 0]
    print(
        f"x_t = {place:4}: mean noise {near.mean():6.3f} +- {near.std() / len(near) ** 0.5:.3f}, formula {formula:6.3f}"
    )
    assert abs(near.mean() - formula) < 4 * near.std() / len(near) ** 0.5 + 0.01

# %% [markdown]
# Put this into the mean of section 16.6, and it reads
# $\mu_\theta = \big(x_t + b_t\,\nabla\log p(x_t)\big)/\sqrt{a_t}$:
# the formula of section 16.3, which came from Bayes' rule alone.
# Both ways meet.
#
# A net may as well guess the clean image, or a mixture of both
# (the *v-prediction* of later papers). All of these are affine
# functions of each other, given $x_t$ and $t$: `ne.convert` goes
# from any to any other. They differ in which noise levels the
# squared error cares for, and not in what is known at the end.
#
# **Trap: the kernel's score is not the score.** The gradient that
# is easy to write down is that of the *kernel*,
# $\nabla_{x_t} \log q(x_t \mid x_0) = -(x_t - \sqrt{\bar a_t}\,x_0)/(1 - \bar a_t) = -e/\sqrt{1 - \bar a_t}$,
# and it is often called "the score of $p(x_t)$". It is the
# *target* of the regression. The score is its mean over all $x_0$
# that may have led to $x_t$. What is the difference? Sample with
# the kernel's score of one $x_0$ for each chain:

# %%
x_0 = x_held[:500]


def of_one_image(x: Tensor, t: Tensor) -> Tensor:
    return ((x - root[t, None] * x_0) / noise[t, None]).float()


# %% [markdown]
# The function guesses exactly the noise that leads from its own
# $x_0$ to $x_t$: it is the target that a net is trained on. We
# hand it to the sampler in the place of a net.

# %%
for name, net in (("kernel's score", of_one_image), ("trained net", nets["bound, drawn", 0])):
    ends = ne.last(ddpm(net, torch.randn(500, 2, generator=same()), kept, steps=range(9, 1000, 10), generator=same()))
    away = (ends - x_0).norm(dim=1)
    print(f"{name:14}: median distance to that x_0 ≈ {away.median():.4f}, off the arcs ≈ {off_the_arcs(ends):.2f}")
    assert away.median() < 1e-3 if net is of_one_image else away.median() > 0.5

# %% [markdown]
# With the kernel's score every chain comes back to the $x_0$ that
# it was given. The sampler is fine, and it makes copies. New
# points come from the averaging that the squared error does.
#
# ## 16.8 The same object as NCSN
#
# Divide $x_t$ by $\sqrt{\bar a_t}$:
#
# $$ \tilde x = \frac{x_t}{\sqrt{\bar a_t}} = x_0 + \sigma_t\,e, \qquad \sigma_t = \sqrt{\frac{1 - \bar a_t}{\bar a_t}} , $$
#
# which is NCSN's noisy image at the level $\sigma_t$, and
#
# $$ s(\tilde x, \sigma_t) = -\frac{e_\theta(x_t, t)}{\sigma_t} . $$
#
# DDPM's thousand steps are a ladder from $\sigma = 157$ down to
# 0.01, and a DDPM net is a `Score` like any other. `EpsScore`
# does it, and `ScoreNoise` the reverse:

# %%
show(ne.ScoreNoise.forward, docstring=False)

# %% [markdown]
# The dictionary, for those who know one side and read the other:
#
# | NCSN | DDPM |
# |---|---|
# | $\tilde x = x + \sigma z$ | $x_t = \sqrt{\bar a_t}\,x_0 + \sqrt{1 - \bar a_t}\,e$ |
# | levels $\sigma_1 > \dots > \sigma_L$ | steps $t = T \dots 1$, $\sigma_t^2 = (1 - \bar a_t)/\bar a_t$ |
# | $s_\theta(\tilde x, \sigma)$ | $-e_\theta(x_t, t)/\sigma_t$ |
# | $\sigma s_\theta + z$ in the loss | $e - e_\theta$ in the loss, with the other sign |
# | denoised: $\tilde x + \sigma^2 s$ | $\hat x_0 = (x_t - \sqrt{1 - \bar a_t}\,e_\theta)/\sqrt{\bar a_t}$ |
# | starts from large noise | starts from $\mathcal{N}(0, I)$ |
#
# With the same noise DDPM's chain in $t$ and `ancestral` of this
# collection in $\sigma$ take the same path. (`ddpm` ends with the
# denoising step, so we compare the state before.)

# %%
sigmas = ne.sigmas_of_alphas_bar(kept)
ladder, x_start = sigmas.flip(0), torch.randn(200, 2, generator=generator, dtype=F64)
in_t = list(ddpm(ne.ScoreNoise(arcs, kept), x_start, kept, generator=same()))
in_sigma = ne.last(ne.ancestral(arcs, x_start / root[-1], ladder, generator=same()))

# %% [markdown]
# To compare, the first path is divided by $\sqrt{\bar a_1}$. And
# a score that is turned into a noise prediction and back has to
# be the same score:

# %%
apart = (in_t[-2].x / root[0] - in_sigma).abs().max()
back = ne.EpsScore(ne.ScoreNoise(arcs, kept), kept)
as_score = (back(x_start, sigmas[500]) - arcs(x_start, sigmas[500])).abs().max()
print(
    f"the two paths differ by less than 1e-5 (largest ≈ {apart:.0e}), and EpsScore undoes ScoreNoise (≈ {as_score:.0e})"
)
assert apart < 1e-5 and as_score < 1e-6

# %% [markdown]
# **The weight, by a general rule.** Song et al. 2021 choose
# $\lambda_t \propto 1/\mathbb{E}\,\|\text{target}\|^2$ for any
# process. NCSN's target is $-e/\sigma$, which gives
# $\lambda = \sigma^2$. DDPM's, in the units of $x_t$, is
# $-e/\sqrt{1 - \bar a_t}$, and so $\lambda_t = 1 - \bar a_t$.
# Both times the loss becomes $\|e - e_\theta\|^2$: **the simple
# loss is NCSN's loss**, with $\lambda = \sigma^2$, on another
# ladder. `dsm`, the loss that trained every net since notebook 8,
# with the same noise:

# %%
net = nets["simple", 0]
score, t = ne.EpsScore(net, kept), torch.randint(1000, (1000,), generator=generator)
e = torch.randn(x_held.shape, generator=same())
with torch.no_grad():
    simple = 0.5 * (e - net(root[t, None].float() * x_held + noise[t, None].float() * e, t)).square().sum(1)
    ours = ne.dsm(score, x_held, sigmas[t].float(), generator=same())

# %% [markdown]
# The general rule, measured with draws of the target at three
# steps; and the largest relative difference of the two losses of
# one example:

# %%
for t in (0, 500, 999):
    target = (torch.randn(100_000, 2, generator=generator) / noise[t]).square().sum(1).mean()
    print(f"t = {t + 1:4}: E||target||^2 / D times (1 - alpha_bar) = {target / 2 * (1 - kept[t]):.2f}")
print(f"largest difference of the two losses, relative: ≈ {((simple - ours).abs() / simple).max():.0e}")
assert torch.allclose(simple, ours, rtol=1e-2, atol=1e-3) and abs(simple.mean() - ours.mean()) < 1e-4

# %% [markdown]
# **Trap: "$L = 1000$ levels and $T = 1$ step turn NCSN into
# DDPM".** Of the loss this is true, as we just saw. Of the
# sampler it is not. In units of the level, one step of Algorithm
# 1 moves by a share $d$ of the noise and adds noise of variance
# $2d$ (in $\sigma_t^2$), with $d = \epsilon/2\sigma_L^2$ the same
# at all levels. DDPM's step, written in $\sigma$, removes
# $d_t = 1 - \sigma_{t-1}^2/\sigma_t^2$, which depends on the
# level, and adds $d_t\,(1 - d_t)$, less than half as much:
#
# | | takes away of the noise $\sigma_t e$ | adds noise of variance, in $\sigma_t^2$ |
# |---|---|---|
# | Langevin, $T = 1$ | $d$ | $2d$ |
# | DDPM | $d_t = 1 - \sigma_{t-1}^2/\sigma_t^2$ | $d_t(1 - d_t)$ |
#
# Langevin adds what keeps $p_\sigma$ as it is; it stays at a
# level. DDPM adds what leads from $p_{\sigma_t}$ to
# $p_{\sigma_{t-1}}$. Both run from one net:

# %%
removed = 1 - (ladder[1:] / ladder[:-1]) ** 2
print(f"DDPM's d_t: {removed[0]:.3f} at the first step, {removed[500]:.3f} half-way, {removed[-1]:.2f} at the last")
score = ne.EpsScore(nets["bound, drawn", 0], kept)
begin, rungs = ladder[0].float() * start[:1000], ladder.float()
ends = {"DDPM": ne.denoise(score, ne.last(ne.ancestral(score, begin, rungs, generator=same())), rungs[-1].item())}
for d in (0.01, 0.05, 0.3):
    options = {"eps": 2 * d * rungs[-1].item() ** 2, "n_steps_each": 1, "denoising": True}
    ends[f"Langevin, d = {d}"] = ne.last(ne.annealed_langevin(score, begin, rungs, generator=same(), **options))

# %% [markdown]
# `begin` is the same noise for all four, and the ladder is the
# same: DDPM's thousand levels.

# %%
for name, x in ends.items():
    print(f"{name:18}: off the arcs ≈ {off_the_arcs(x):.2f}")
shares_off = [off_the_arcs(x) for x in ends.values()]
assert max(shares_off[0], shares_off[3]) < 0.15 and shares_off[1] > shares_off[0] + 0.1

# %% [markdown]
# How much noise is in a chain, in units of what should be there?
# For data at one point the variance follows from each step by
# itself:

# %%
for d in (0.01, 0.05, 0.3):
    variance, ratios = ladder[0].item() ** 2, []
    for level in ladder.tolist():
        variance = (1 - d) ** 2 * variance + 2 * d * level**2
        ratios.append(variance / level**2)
    print(f"Langevin, d = {d:4}: {ratios[500]:.2f} times the variance half-way, {ratios[-1]:.2f} times at the end")

# %% [markdown]
# With $d = 0.01$, about DDPM's own $d_t$ half-way, Langevin steps
# add twice as much noise as DDPM and are left behind by the
# ladder: half-way a chain has nearly three times the variance of
# its level, and in the end hundreds of times. With $d = 0.3$ it
# keeps up, because a thousand levels are many more than NCSN
# needs, until the last levels, which fall fastest. The step is
# NCSN's choice; DDPM reads it off the schedule. So there are two
# samplers, which end in one distribution if each is run with
# enough steps.
#
# ## 16.9 Sampling: two variances, and the last step
#
# The sampler of Ho et al. (Algorithm 2):
#
# $$ x_{t-1} = \frac{1}{\sqrt{a_t}}\Big(x_t - \frac{b_t}{\sqrt{1 - \bar a_t}}\,e_\theta(x_t, t)\Big) + s_t z . $$
#
# It takes a share of the guessed noise away, undoes the shrinking
# of one step, and adds fresh noise. Why add noise, when the aim
# is to remove it? Because $p_\theta(x_{t-1} \mid x_t)$ is a
# distribution, and its mean alone is the average over all images
# that $x_t$ may come from. Without the noise, and with the same
# mean, the chain would end in something too narrow. (DDIM, in the
# next section, leaves the noise out and changes the mean.)
#
# And $s_t$? They name two choices. For Gaussian data
# $\mathcal{N}(0, c^2 I)$ everything can be computed: $x_{t-1}$
# has variance $V = \bar a_{t-1} c^2 + 1 - \bar a_{t-1}$, and the
# exact step back has
#
# $$ s_t^2 = \frac{b_t\,V}{a_t V + b_t} . $$
#
# For $c = 1$ that is $V = 1$ and $s_t^2 = b_t$. For $c = 0$, all
# data at one point, $V = 1 - \bar a_{t-1}$ and
# $s_t^2 = \tilde b_t$, the posterior's variance. Data of
# variance 1 at most lie between, and so do the best variances:
# the two choices are the ends. (For $V > 1$ the best one is
# above $b_t$.) We run both with exact nets, over 20 steps,
# where they differ visibly, and look at the variance before the
# last step:

# %%
short = ne.alphas_bar_of(ne.ddpm_betas(20, 0.005, 0.7))
x_start = torch.randn(200_000, 1, generator=generator, dtype=F64)
for c in (1.0, 0.5, 1e-9):
    net = ne.ScoreNoise(GaussianMixture(torch.zeros(1, 1, dtype=F64), c**2), short)
    true = (short[0] * c**2 + 1 - short[0]).item()
    runs = {}
    for choice in ("beta", "posterior"):
        *_, before, _ = ddpm(net, x_start, short, variance=choice, generator=same())
        runs[choice] = before.x.var().item() / true
    print(f"c = {c:3.1f}: variance over the true one: b_t {runs['beta']:.3f}, the posterior's {runs['posterior']:.3f}")
    assert (c == 0.5 or abs(runs["beta" if c == 1 else "posterior"] - 1) < 0.02) and runs["posterior"] <= runs["beta"]

# %% [markdown]
# Each is exact where it should be. In between, $b_t$ leaves the
# samples too wide and the posterior's variance leaves them too
# narrow. With 1000 steps the two differ at the first few $t$
# only, and it makes little difference to samples. It makes one
# to bits. For $c = 0.5$ and 1000 steps (at $t = 1$ both runs
# use $b_1$, see the trap below; the difference is that of the
# steps $t \ge 2$):

# %%
gaussian = GaussianMixture(torch.zeros(1, 1, dtype=F64), 0.25)
x_clean = gaussian.sample(4000, generator=generator)
for choice in ("beta", "posterior"):
    bound = ne.ddpm_bound(ne.ScoreNoise(gaussian, kept), x_clean, kept, variance=choice, generator=same())
    gap = (bound.total + gaussian.log_prob(x_clean)) / math.log(2)
    print(f"{choice:9}: {gap.mean():.2f} bits above -log p (+- {gap.std() / 4000**0.5:.2f})")
    assert (gap.mean() > 0.3) == (choice == "posterior")

# %% [markdown]
# **Trap: noise in the last step.** At $t = 1$ the posterior's
# variance is 0: $x_0$ is known if $x_0$ is known. The sampler
# adds **no** noise there. Whoever adds $\sqrt{b_1}\,z$ gets
# $\sigma = 0.01$ on images in $[-1, 1]$, about one of 255 grey
# levels, and nobody notices. With a subsequence of 20 steps (next
# section) the last of them is longer, and so is its noise:

# %%
net, visited = nets["bound, drawn", 0], range(49, 1000, 50)
clean_end = ne.last(ddpm(net, start, kept, steps=visited, eta=0.0))
for name, std in (("no noise", 0.0), ("as with 1000 steps", noise[0].item()), ("as with 20", noise[49].item())):
    noisy_end = clean_end + std * torch.randn(start.shape, generator=same())
    print(f"{name:18}: std {127.5 * std:4.1f} greys of 255; off the arcs ≈ {off_the_arcs(noisy_end):.3f}")
    assert off_the_arcs(noisy_end) > off_the_arcs(clean_end) + 0.01 or std < 0.1

# %% [markdown]
# The loss meets the same zero as an infinity: with
# $s_t^2 = \tilde b_t$ the weight is
# $b_t/(2 a_t (1 - \bar a_{t-1}))$, and $1 - \bar a_0 = 0$. The
# term for $t = 1$ is no KL anyway but
# $-\log p_\theta(x_0 \mid x_1)$, and needs a density of its own:
# a Gaussian with variance $b_1$, or, for images whose greys are
# whole numbers, the **discretised decoder**: the probability of a
# grey is the Gaussian's mass in the interval around it, and the
# two outermost intervals reach to infinity, so that all greys
# together have probability 1. Then bits are bits of an integer
# image. For digits with their 17 greys a uniform guess costs
# $\log_2 17 = 4.09$ bits a pixel.

# %%
before = torch.cat([torch.ones(1, dtype=F64), kept[:-1]])
for t in (2, 1, 0):
    print(f"weight of the bound at t = {t + 1}: {(betas[t] / (2 * (1 - betas[t]) * (1 - before[t]))).item():.3f}")
greys = torch.linspace(-1, 1, 17, dtype=F64)[:, None]
blind = ne.ddpm_bound(lambda x, t: (x - root[0] * 0.2) / noise[0], greys, kept[:1], greys=(-1, 1, 17))  # x_0 = 0.2
print(f"probabilities of the 17 greys, for the guess 0.2: sum {(-blind.decoder).exp().sum():.6f}")
assert abs((-blind.decoder).exp().sum() - 1) < 1e-9

# %% [markdown]
# ## 16.10 DDIM: the same net, fewer steps
#
# The loss only ever sees $q(x_t \mid x_0)$, never the chain. So any other
# process with the same $q(x_t \mid x_0)$ may use the net. Song, Meng &
# Ermon 2021 take a family of them. From $x_t$ one guesses
# $\hat x_0 = (x_t - \sqrt{1 - \bar a_t}\,e_\theta)/\sqrt{\bar a_t}$, and
# goes to *any* earlier step $s < t$:
#
# $$ x_s = \sqrt{\bar a_s}\;\hat x_0 + \sqrt{1 - \bar a_s - \eta^2 v}\;e_\theta + \eta\sqrt{v}\;z, \qquad
#    v = \frac{1 - \bar a_s}{1 - \bar a_t}\Big(1 - \frac{\bar a_t}{\bar a_s}\Big) . $$
#
# If $e_\theta$ were the true $e$, the last two terms would be
# noise of variance $1 - \bar a_s$, for every $\eta$: the
# marginals stay. $\eta$ says how much of the old noise is
# replaced by fresh noise.
#
# - $\eta = 1$: $v$ is the posterior's variance, and this is DDPM.
# - $\eta = 0$: no noise at all. This is allowed, and it is
#   **DDIM** proper. Divide by $\sqrt{\bar a_s}$:
#   $\tilde x_s = \tilde x_t + (\sigma_s - \sigma_t)\,e_\theta = \tilde x_t + (\sigma_s - \sigma_t) \cdot \big(-\sigma_t\, s(\tilde x_t, \sigma_t)\big)$,
#   one step of Euler's method for
#   $d\tilde x/d\sigma = -\sigma\,\nabla\log p_\sigma(\tilde x)$.
#   That is a differential equation: a rule for the slope of a
#   curve, here of $\tilde x$ over $\sigma$, and Euler's method
#   follows the slope in straight pieces. It is called the
#   **probability flow**, since its curves carry $p_{\sigma_t}$
#   into $p_{\sigma_s}$. One start has one curve: one noise image,
#   one picture.
#
# Why should few steps do, after section 16.3 has asked for many?
# That section asked for steps whose *random* outcome is nearly
# Gaussian. The flow has no random outcome. All it asks is that
# its curve be nearly straight over a step, and towards the end it
# is: once an image has been decided on, the guess $\hat x_0$
# hardly changes, and the curve is the line that leads there.
#
# **Write it.** The step from $x_t$ to $x_s$; `kept` is $\bar a_t$
# and `before` is $\bar a_s$.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_step(x, e, kept, before, eta, z):
#     variance = eta**2 * (1 - before) / (1 - kept) * (1 - kept / before)
#     clean = (x - math.sqrt(1 - kept) * e) / math.sqrt(kept)
#     return math.sqrt(before) * clean + math.sqrt(1 - before - variance) * e + math.sqrt(variance) * z
# ```
# </details>


# %%
def my_step(x, e, kept, before, eta, z):  # x, e, z: (B, D), the others numbers; returns (B, D)
    ...


practice.ddim_step(my_step)

# %% [markdown]
# The library's `ddpm` has `steps=` and `eta=`, and `ddim` does
# the same in $\sigma$ for any score:

# %%
show(ddpm, docstring=False)

# %% [markdown]
# Both ends of $\eta$, checked on the exact arcs over a ladder of
# 20 steps of the 1000:

# %%
some = sigmas[torch.tensor(visited)].flip(0)
begin = some[0] * torch.randn(500, 2, generator=generator, dtype=F64)
euler = ne.last(ne.probability_flow(arcs, begin, some, solver="euler"))
noisy = ne.last(ne.ancestral(arcs, begin, some, generator=same()))

# %% [markdown]
# `ancestral` draws fresh noise, so it gets the generator in the
# state in which `ddim` gets its own.

# %%
differences = {
    "eta = 0 and Euler's steps of the flow": ne.last(ne.ddim(arcs, begin, some, eta=0.0)) - euler,
    "eta = 1 and ancestral sampling": ne.last(ne.ddim(arcs, begin, some, eta=1.0, generator=same())) - noisy,
}
for name, difference in differences.items():
    assert difference.abs().max() < 1e-6
    print(f"{name}: they differ by less than 1e-6 (largest ≈ {difference.abs().max():.0e})")

# %% [markdown]
# The explorer runs the exact score of two modes: 400 chains from
# the same starts, coloured by the mode that the flow leads each
# start to.
#
# - With eta 1 and 20 steps: do the colours keep apart? And with
#   eta 0?
# - Move the **seed** with eta 0, and with eta 1. What changes?
# - Go down to 5 steps with either. Which of the two still has a
#   width near the truth, and which loses weight in the small
#   mode?
#
# <details><summary>Answers</summary>
#
# - With eta 1 they mix: 76 % of the chains end in the mode that the flow
#   leads to, where chance alone would give 66 %. With eta 0 it
#   is 99 %, and the ends are 0.19 away from those of the flow
#   on average.
# - Nothing, with eta 0: no noise is drawn. With eta 1 every chain ends
#   elsewhere.
# - At 5 steps eta 0 has a width of 0.87 and a weight of 0.20. Eta 1 has
#   0.66 and 0.12. With 100 steps both are near the truth.
# </details>

# %%
DdimExplorer(n_steps=20, eta=1.0)

# %% [markdown]
# Now images. `ddpm_digits` is a U-Net of 365,000 numbers, trained
# by the simple loss on 8x8 digits, and ships with this package.
# Inside it is the bare $e_\theta(x_t, t)$, for images in
# $[-1, 1]$:

# %%
trained = load_trained("ddpm_digits")
unet = trained.score.score.net  # (x_t, t) -> noise
start_images = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
counts, drawn = (5, 10, 20, 50, 1000), {}
for n_steps, eta in itertools.product(counts, (0.0, 1.0)):
    visited = range(1000 // n_steps - 1, 1000, 1000 // n_steps)
    drawn[n_steps, eta] = ne.last(ddpm(unet, start_images, kept, steps=visited, eta=eta, generator=same())) / 2 + 0.5

# %% [markdown]
# **Predict:** one net, the same eight starts, five numbers of
# steps, by DDIM and by DDPM. Which columns show the same picture
# in every row?
#
# <details><summary>Answer</summary>
#
# Those of DDIM: five steps give a rough version of the picture that a
# thousand steps finish. The start decides what it shows. DDPM draws fresh
# noise at each step, and with another number of steps everything is another
# picture.
# </details>

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6))
for ax, eta, name in zip(axes, (0.0, 1.0), ("DDIM, eta = 0", "DDPM, eta = 1"), strict=True):
    plots.images(ax, torch.cat([drawn[n_steps, eta][:8] for n_steps in counts]), columns=8)
    ax.set_axis_on()
    ax.set(title=name, xticks=[], ylabel="steps")
    ax.set_yticks([3.5 + 9 * i for i in range(5)], counts)
    ax.spines[:].set_visible(False)
moves = {f"{n}_{eta:.0f}": (drawn[n, eta] - drawn[1000, eta]).square().mean().sqrt() for n, eta in drawn if n < 1000}
alt = (
    "Two blocks of digits, eight starts in columns, and 5, 10, 20, 50 and 1000 steps in rows. Left, by DDIM, each "
    "column shows one digit that gets cleaner downwards. Right, by DDPM, the rows show different digits."
)
caption = "One net and eight starts: DDIM refines one picture for each start, DDPM draws another one every time."
save_figure(fig, "ddpm_ddim", alt=alt, caption=caption, numbers=moves, tolerance=0.03)

# %%
for n_steps in (5, 10, 20, 50):
    print(
        f"{n_steps:2} steps against 1000, root mean square a pixel: DDIM ≈ {moves[f'{n_steps}_0']:.3f}, "
        f"DDPM ≈ {moves[f'{n_steps}_1']:.3f}"
    )
assert moves["50_0"] < 0.04 and moves["5_0"] < 0.25 and moves["50_1"] > 0.25

# %% [markdown]
# DDIM's pictures converge: doubling the steps about halves what
# is left, as for Euler's method. DDPM has nothing to converge to,
# picture by picture; only its *distribution* does. The start of a
# DDIM run is a **code** of the picture: one can mix two starts,
# or run the flow backwards from an image to its start.
#
# ## 16.11 Digits, by one judge
#
# Every model of digits that ships, by one judge. The numbers are
# those of the models' cards: 1024 images of each, judged by the
# classifier of digits. "Sure" is the share of images for which
# one class has more than 0.9. Frechet distance, precision and
# recall are those of notebook 12, in the features of the
# classifier, against held-out digits. In brackets stands the
# bootstrap's interval.


# %%
def judged(data: str) -> dict:
    rows = json.loads((WEIGHTS / f"{data}_compared.json").read_text())
    print(f"{'':36} asked  sure  Frechet           precision  recall")
    for name, row in rows.items():
        distance, precision, recall = (row[key] for key in ("Frechet distance", "precision", "recall"))
        interval = f"[{distance['low']:.1f}, {distance['high']:.1f}]"
        asked, shares = row.get("evaluations", ""), f"{precision['value']:.2f}       {recall['value']:.2f}"
        print(f"{name:36} {asked:>5}  {row['sure']:.2f}  {distance['value']:4.1f} {interval:12}  {shares}")
    return rows


compared = judged("digits")

# %%
by_ddpm, by_ddim, by_flow = (compared[name] for name in ("DDPM, 1000 steps", "DDIM, 20 steps", "flow by Heun"))
assert by_ddpm["precision"]["low"] > by_ddim["precision"]["high"]
assert by_ddpm["recall"]["high"] < by_flow["recall"]["low"]
assert compared["VAE, prior"]["Frechet distance"]["low"] > by_ddim["Frechet distance"]["high"]

# %% [markdown]
# What can be said?
#
# - **By the distance, twenty evaluations do what a thousand
#   do.** The five ways to run the U-Net cannot be told apart by
#   it: each value lies in the intervals of the others. (By
#   precision they can.)
# - **Noise makes tidy samples.** DDPM with 1000 steps has more
#   precision than DDIM, and less recall than the flow, beyond the
#   intervals. A chain with noise corrects the errors of its net
#   at every step, and what it corrects towards is typical. "Flow
#   by Heun" is a better solver than Euler's for the same flow, at
#   35 evaluations.
# - **NCSN and NCSNv2** have 7.0 and 7.1, with intervals that overlap
#   most of the others'. NCSN's recall, 0.87, is the highest of all nets,
#   and its precision, 0.75, the lowest but for the VAE's prior. They take
#   101 and 211 evaluations.
# - **The VAE** has one evaluation, and a distance several times
#   as large, unless its latents come from real images (the
#   aggregate posterior): then it repeats them.
#
# What cannot be said is which of them is best. The intervals of
# the distance overlap, so that 1024 images do not decide between
# 3.8 and 4.7, and one should not try to.
#
# On larger images a thousand steps with the larger noise win by
# distance. Song, Meng & Ermon report for CIFAR-10, with 1000 steps, an FID
# of 4.0 for $\eta = 0$, 4.7 for $\eta = 1$, and 3.2 for DDPM with
# the larger variance $b_t$; with 20 steps 6.8 for $\eta = 0$ and
# 18.4 for $\eta = 1$. With 20 evaluations DDIM wins clearly
# there.
#
# And the bound? The card of `ddpm_digits` has it for held-out
# images of 256 greys: 4.66 bits a pixel, where a uniform guess
# costs 8. The prior costs 0.00002 of them, the 999 steps 3.19 and
# the decoder 1.47. The digits have only 17 of the 256 greys. With
# `greys=(-1, 1, 17)` the decoder costs nothing, and the total was
# 3.06 bits a pixel on 40 held-out images. A uniform guess among
# 17 greys costs 4.09.
#
# So the bound spends its bits between the ends: the image is
# forgotten completely at the one end. At the other the decoder
# says the rest: nothing where only 17 greys are possible, a
# third of all bits where 256 are.
#
# ### MNIST
#
# The same on images of 28x28, by MNIST's own judge: `ddpm_mnist`
# is a U-Net of 575,000 numbers that has seen a million images,
# in about an hour of one processor core. Fifty evaluations
# make 40 digits in seconds. This time we write no step of DDPM:
# the net is a score, `ancestral` is a sampler, and the ladder is
# 50 of DDPM's thousand levels, evenly spaced in $t$.
#
# **Predict:** the figure has twelve digits by the U-Net, and twelve
# by `vae_mnist`. Which are sharp? In which row can you name every
# digit?
#
# <details><summary>Answer</summary>
#
# The U-Net's are sharp, and most of them can be named. The VAE's are
# blurred where its latents leave open what the stroke does: its decoder
# returns a mean. Some of its latents belong to no digit.
# </details>

# %%
on_mnist, own = load_trained("ddpm_mnist"), same(0)
rungs = on_mnist.sigmas[torch.linspace(0, 999, 50).round().long()]  # 50 of its own levels
begin = rungs[0] * torch.randn(12, 1, 28, 28, generator=own)
x = ne.last(ne.ancestral(on_mnist.score, begin, rungs, generator=own))
by_unet = ne.denoise(on_mnist.score, x, rungs[-1].item())

# %%
by_vae = load_any("vae_mnist").net.sample(12, generator=own)
fig, axes = plt.subplots(2, 1, figsize=(8, 1.9))
for ax, x, name in zip(axes, (by_unet, by_vae), ("U-Net, 50 evaluations", "VAE, 1 evaluation"), strict=True):
    plots.images(ax, x, columns=12)
    ax.set_title(name, fontsize=9)
alt = "Twelve sharp handwritten digits by the U-Net, and below them twelve blurred ones by the VAE."
ne.show_figure(fig, alt=alt, caption="MNIST by two nets that ship, none chosen by eye.")

# %% [markdown]
# And the table:

# %%
of_mnist = judged("mnist")
by_steps, by_prior = of_mnist["DDPM, 50 steps"], of_mnist["VAE, prior"]
assert by_steps["sure"] > 0.85 and by_steps["evaluations"] < 100
assert by_steps["Frechet distance"]["high"] < by_prior["Frechet distance"]["low"]

# %% [markdown]
# Read it as before.
#
# - **The U-Net by 50 steps with noise** is sure of 0.87 of its
#   images, and real digits have 0.98. Its distance, 7.5, is half
#   as large again as that of as many training images, 4.9. Twenty
#   steps of DDIM are behind by both numbers.
# - **A thousand steps** do what fifty do: 0.87 and a distance of
#   7.2, and the intervals of the two distances overlap. What the
#   other 950 evaluations bought is a little recall (0.885 for
#   0.866), and they paid for it with precision (0.59 for 0.65).
# - **NCSN**, whose net is larger and whose 401 evaluations are
#   Langevin steps, is sure of three images in four, at a distance
#   of 24.
# - **The VAE's prior** is far behind: every second image is no
#   digit to the judge, and the distance is six times as large.
#   The decoder is not to blame. With latents of real images
#   (aggregate posterior) it comes to 5.8, by images that are
#   nearly copies. What is wrong is the place where the prior
#   draws.
# - **The Gaussian** shows what "sure" is worth by itself: 0.75,
#   nearly all of them for one class, and a distance of 267.
# - On these images noise helps more than on 8x8 digits: DDPM's
#   steps correct what an earlier guess got wrong, and a net that
#   was trained for an hour gets much wrong.
#
# ## 16.12 A page to keep
#
# | what you see | what it may be |
# |---|---|
# | samples are grey and nearly all alike | $\sqrt{\bar a_t}$ for $\sqrt{a_t}$ (on digits the scatter between samples falls from 0.41 to 0.17) |
# | bits are too many however long one trains, and samples look fine | $T$ was lowered and the ends of $b_t$ were kept: $\bar a_T$ is not 0 |
# | grain, more with fewer steps | noise in the last step |
# | samples are training images | the kernel's score; or a net that has memorised |
# | fine detail is missing | falling betas; too few steps at small $\sigma$ |
# | the loss is small and bits are bad | the simple loss gives small $t$ little weight |
# | bits are infinite | the posterior's variance at $t = 1$ |
# | a bound above $\log p$ | a lost $q(x_{t-1} \mid x_0)$, or a lost logarithm |
#
# The order of the checks is worth keeping too, and all of them
# are cheaper than a training. First the schedule: print
# $\bar a_T$, and the first and the last $\sigma_t$. Then the
# forward process: the mean square of $x_t$ must be
# $\bar a_t m + 1 - \bar a_t$, where $m$ is that of $x_0$: for
# digits it rises from 0.71 to 1.00. Then the first loss: a net that
# returns zero costs $D$ under the simple loss, 64 for digits.
# Then the sampler, with a net whose answer is known, such as
# `ScoreNoise` of a Gaussian: the variance of its samples must
# come out right. Only then train, and look at the loss by $t$,
# as in notebook 8.
#
# A last warning concerns units. Images in $[0, 1]$ with DDPM's
# betas have a quarter of the variance that the schedule was made
# for, and a mean that is not zero: every $\sigma_t$ then counts
# twice as much. The nets of this collection take images in
# $[0, 1]$ and are told so by an `AffineScore`.
#
# ## What you should be able to do now
#
# - Derive $q(x_t \mid x_0)$ and $q(x_{t-1} \mid x_t, x_0)$, and
#   say which root carries a bar.
# - Judge a schedule by $\bar a_T$, by its SNR curve and by the
#   $\sigma$ that it begins with.
# - Say why the step back may be taken for a Gaussian, and when
#   not.
# - Go from $\log p(x_0)$ to the bound, name what each step uses,
#   and check it by Monte Carlo.
# - Derive the weight of the bound, and tell what is weighted from
#   how.
# - Turn a DDPM net into a score and back, and say what NCSN and
#   DDPM share and what they do not.
# - Choose $\eta$ and a subsequence of steps for a net that is
#   already trained.
#
# ## Exercises
#
# 1. You may take 50 steps. Compare three schedules on the two peaks of
#    section 16.2, in bits lost: rising with ends multiplied by 20, cosine,
#    and `ne.alphas_bar_of_sigmas` of a geometric ladder from 0.01 to 100.
#    Before you run it: which of them has the most steps between
#    $\sigma = 0.03$ and 1?
#    <details><summary>Hint</summary>
#
#    `kept` runs from large to small, a ladder of $\sigma$ as well: `.flip(0)`.
#    Take `variance="beta"` and 20,000 points.
#    </details>
#    <details><summary>Answer</summary>
#
#    Rising 0.50, cosine 0.28, geometric 0.33 ($\pm 0.01$). Between 0.03
#    and 1 they have 13, 24 and 19 steps. The rising schedule spends 37 of
#    its 50 steps where the two peaks cannot be told apart or nearly so. The
#    geometric ladder goes down to 0.01, where the peaks of width 0.1 have
#    nothing left to tell, and the cosine stops at 0.04.
#    </details>
# 2. Take two starts $u, v$ of DDIM with `ddpm_digits`, and draw the picture
#    of their mean $(u + v)/2$, for 300 pairs. Then that of
#    $(u + v)/\sqrt2$. How sure is the classifier of each?
#    <details><summary>Hint</summary>
#
#    What is the variance of $(u + v)/2$, and which variance has the net
#    seen at $t = T$?
#    </details>
#    <details><summary>Answer</summary>
#
#    The mean has variance 1/2, and the net has only seen variance 1. The
#    classifier is sure of 0.98 of the pictures of $(u + v)/2$, of 0.95 for
#    $(u + v)/\sqrt2$ and of 0.92 for $u$ itself. So the wrong start looks
#    best, by this number. The Frechet distance in pixels says what has
#    happened: 0.32 against 0.17 and 0.17. Starts that are too near the
#    origin lead to digits that are too near the middle of their class, as
#    in a photograph of everybody's average handwriting. $(u + v)/\sqrt2$ is
#    $\mathcal{N}(0, I)$ again, and as good as any start.
#    </details>
# 3. Does the bound's weight help on digits? Train a perceptron
#    $64 + 32 \to 384 \to 384 \to 384 \to 64$ on all training
#    digits, with greys from $-1$ to 1, by "simple" and by "bound, drawn" (3000 steps of 128, a quarter
#    of a minute each). Compare bits of held-out digits, with
#    `greys=(-1, 1, 17)`, and the Frechet distance of 600 samples. Two
#    seeds.
#    <details><summary>Hint</summary>
#
#    `noise_loss` and `trained_net` need another net and another
#    stream: digits are rows of 64 numbers, `data[rows]` with random
#    `rows`. Give the net 32 waves, and Adam a rate of 0.001. For
#    the distance use `extract` and `frechet`, as notebook 12 does.
#    </details>
#    <details><summary>Answer</summary>
#
#    Bits a pixel: 4.84 and 4.86 by "simple", 4.56 and 4.56 by "bound,
#    drawn". Frechet distance: 50.2 and 52.0, against 52.2 and 53.4. The
#    bound wins the bits clearly. Its samples are a little worse in both
#    seeds, as Ho et al. saw on photographs, but a difference of 2 is within
#    the interval of such a distance, and two seeds prove little. (All these bits are more
#    than the 4.09 of a uniform guess. A perceptron has no short way from
#    its input to its output, and cannot copy the noise of 64 pixels
#    precisely. The U-Net's skip connections do that: 3.1 bits.)
#    </details>
#
# ## References
#
# - J. Ho, A. Jain and P. Abbeel, *Denoising Diffusion
#   Probabilistic Models*, NeurIPS 2020: equations 2 to 14,
#   Algorithms 1 and 2, tables 1 and 2, section 3.3 for the
#   discretised decoder.
# - J. Sohl-Dickstein et al., *Deep Unsupervised Learning using
#   Nonequilibrium Thermodynamics*, ICML 2015: the chain, and its
#   bound.
# - J. Song, C. Meng and S. Ermon, *Denoising Diffusion Implicit
#   Models*, ICLR 2021: equation 12, table 1.
# - A. Nichol and P. Dhariwal, *Improved Denoising Diffusion
#   Probabilistic Models*, ICML 2021: the cosine schedule, learned
#   variances, drawing $t$ by importance.
# - Y. Song et al., *Score-Based Generative Modeling through
#   Stochastic Differential Equations*, ICLR 2021: the general
#   weight, and what comes next.
#
# **Next:** the limit of infinitely many steps, stochastic
# differential equations, is planned as the next notebook.
