# %% [markdown]
# # 6 · Where there are no data
#
# *Reading and trying: about 100 minutes. Running every cell: about 75 seconds on a laptop, at full scale (the paper's own net, batches and number of steps).*
#
# A score that is learned from data is learned *where the data are*. Between
# the modes of a distribution there may be none, and the net returns arrows
# there all the same. This notebook measures how wrong these arrows are, and
# what they do to a sampler. You will
#
# - compute how many of 1.28 million training points fall into the empty part
#   of a square (none, as a rule);
# - reproduce Figure 2 of Song & Ermon 2019, and measure the error that the
#   figure only shows;
# - compare a score with every arrow in the empty part reversed with the true
#   one, and find that no loss can tell them apart;
# - sample with the learned score, and keep two failures apart: a score that
#   is wrong, and a chain that does not mix;
# - see what noise repairs, and what it costs.
#
# You need: [1 · Scores](01_scores.ipynb),
# [2 · Langevin dynamics](02_langevin.ipynb), and from
# [3 · Score matching](03_score_matching.ipynb) one fact, that a loss is the
# Fisher divergence plus a constant. All letters are on the page of
# [symbols](symbols.md).
#
# On Google's Colab the next cell gets the package; anywhere else it does nothing.

# %%
import sys

if "google.colab" in sys.modules:
    raise SystemExit("Give the address of the project's repository here: %pip install -q git+https://...")

# %%
import itertools
import math
from functools import partial

import torch
from matplotlib import pyplot as plt
from matplotlib.colors import LogNorm

import ncsn_edu as ne
from ncsn_edu import GaussianMixture, ScoreMLP, dsm, plots, practice, save_figure, sliced
from ncsn_edu.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, grid, heatmap
from ncsn_edu.training import train
from ncsn_edu.widgets import ErrorExplorer

plots.use_style()
mixture = GaussianMixture([[-5.0, -5.0], [5.0, 5.0]], 1.0, [0.2, 0.8])

# %% [markdown]
# ## 6.1 What the objective cannot see
#
# Every objective of score matching is, up to a constant that does not depend
# on the model, the **Fisher divergence**
#
# $$ J(s) = \tfrac12\, \mathbb{E}_{p}\, \|s(x) - s^*(x)\|^2 =
#          \tfrac12 \int p(x)\, \|s(x) - s^*(x)\|^2\, dx, \qquad s^* = \nabla \log p . $$
#
# The error at $x$ is weighted by the density $p(x)$. Split space into a
# region $A$ and the rest, and let $q = \int_A p$ be the probability of $A$:
#
# $$ J(s) = \tfrac{q}{2}\, \mathbb{E}\big[\|s - s^*\|^2 \,\big|\, A\big] +
#        \tfrac{1-q}{2}\, \mathbb{E}\big[\|s - s^*\|^2 \,\big|\, A^c\big] . $$
#
# If $s$ is wrong by $M$ everywhere in $A$, then $J$ grows by $q M^2 / 2$ and
# no more.
#
# **Write it.** $J$ as a sum over the points of a grid: what is the weight of
# a point?
#
# <details><summary>Solution</summary>
#
# ```python
# def my_divergence(difference, log_p, cell):
#     return 0.5 * cell * (log_p.exp() * difference.square().sum(1)).sum()
# ```
# </details>


# %%
def my_divergence(difference, log_p, cell):  # s - s* (N, D), log p (N,), the area of a cell; returns a number
    ...


practice.weighted_error(my_divergence)

# %% [markdown]
# That is the exact objective. A training run does not even have that one, it
# has samples: of $n$ independent draws $nq$ fall into $A$ on average, and
# with probability $(1-q)^n \approx e^{-nq}$ none does. Then nothing that
# happens in $A$ enters any loss or any gradient.
#
# How small is $q$? Take $A = \{\log p < -c\}$ for our mixture, whose two
# modes are so far apart that near each of them the other one can be
# neglected. In mode $k$ we have $\log p = \log w_k - \log 2\pi - r^2/2$ with
# $r$ the distance from the mean, and for a Gaussian in the plane
# $P(r^2/2 > t) = e^{-t}$. With $t = c + \log w_k - \log 2\pi$ the weights
# cancel:
#
# $$ q = \sum_{k=1}^{2} w_k\, e^{-(c + \log w_k - \log 2\pi)} = 4\pi\, e^{-c} . $$
#
# **Write it.** The probability that none of $n$ training points has
# $\log p < -c$.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_chance(n, c):
#     return (1 - 4 * math.pi * math.exp(-c)) ** n
# ```
# </details>


# %%
def my_chance(n, c):  # two numbers; returns a number
    ...


practice.chance_of_none(my_chance)

# %% [markdown]
# The paper trains 10,000 steps with fresh batches of 128, which makes
# $n = 1{,}280{,}000$ draws. We count how many of them lie below a threshold,
# and how much of the square $[-8, 8]^2$, where chains will start, lies below
# it. Guess the line for $-20$ before you run it.

# %%
square = grid(8, 100).float()  # 100 x 100 points of [-8, 8]^2
log_p, truth = mixture.log_prob(square), mixture(square)
for threshold in (-5, -10, -15, -20, -40):
    share = (log_p < threshold).float().mean()
    draws = 1_280_000 * 4 * math.pi * math.exp(threshold)
    print(f"log p < {threshold}: {share:.0%} of the square, {draws:.2g} of the training points")

# %% [markdown]
# Nearly half of the square is below $-20$, and the whole training will put
# 0.03 points there: with probability $e^{-0.033} \approx 0.97$ not a single
# one. More training hardly helps. To expect *one* point below $-20$ takes 30
# times as many steps, below $-40$ it takes $10^{10}$ times as many.
#
# Two dimensions are the easy case. There a Gaussian fills a fair part of any
# square that one would draw around it. In many dimensions the mass of a
# Gaussian sits in a thin shell, and nearly all of a box around the data is
# emptier than what we call empty here: pixels drawn at random look like
# nothing in a set of images. (Exercise 1 counts.) A sampler that starts from
# such noise takes its first steps where nothing was learned.
#
# We draw as many points as the training does, and look:

# %%
generator = torch.Generator().manual_seed(0)
drawn = mixture.log_prob(mixture.sample(1_280_000, generator=generator))
print("points below -20:", (drawn < -20).sum().item())

# %% [markdown]
# ## 6.2 Training, as in the paper
#
# The net is a perceptron 2-128-128-2 with softplus between the layers, 17,154
# numbers to learn. Softplus is smooth, and has to be: the loss contains the
# derivative of the net, and the derivative of a net of ReLUs is constant in
# pieces. The loss is sliced score matching in its variance-reduced form, with
# one random sign vector $v$ for each point:
#
# $$ L(s) = \mathbb{E}_{x}\, \mathbb{E}_{v} \Big[ v^\top (\nabla s(x))\, v + \tfrac12 \|s(x)\|^2 \Big] =
#         J(s) - \tfrac12\, \mathbb{E}_p \|s^*\|^2 . $$
#
# No true score is needed to compute it. Adam with learning rate $10^{-3}$,
# batches of 128, 10,000 steps. We train three nets, which differ in nothing
# but the seed of their weights and data, to see what depends on chance.


# %%
def learn(seed: int, n_steps: int = 10_000):
    torch.manual_seed(seed)  # for the weights of the net
    net, own = ScoreMLP(), torch.Generator().manual_seed(seed)
    stream = (mixture.sample(128, generator=own) for _ in itertools.count())
    return train(net, stream, objective=partial(sliced, generator=own), n_steps=n_steps)


# %% [markdown]
# `learn` returns a generator, so we can look at the net while it learns. At
# 21 steps between 100 and 10,000 we measure three things with the true score,
# which training never sees: the mean squared error
# $\mathbb{E}_p\|s - s^*\|^2 = 2J$ on fresh samples, and the median error on
# the square, once near the modes ($\log p > -5$) and once in the empty part
# ($\log p < -20$).

# %%
near, empty = log_p > -5, log_p < -20
fresh = mixture.sample(20_000, generator=generator)


@torch.no_grad()
def errors(net: torch.nn.Module) -> tuple[float, float, float]:
    error = (net(square) - truth).norm(dim=1)
    under_p = 2 * ne.explicit(net, fresh, mixture).mean()
    return under_p.item(), error[near].median().item(), error[empty].median().item()


# %% [markdown]
# `steps` are evenly spaced on a logarithmic scale, since most of the change
# comes early. `losses` keeps the loss of every batch, `history` the three
# errors of each net at those steps, and `nets` the nets as they are at the
# end.

# %%
steps = torch.logspace(2, 4, 21).round().int().tolist()
nets, losses, history = [], [], []
for seed in range(3):
    losses.append([])
    for state in ne.progress(learn(seed), total=10_000, description=f"net {seed}"):
        losses[seed].append(state.loss)
        if state.step in steps:
            history.append((seed, *errors(state.model)))
    nets.append(state.model)
measured = torch.tensor(history)[:, 1:].reshape(3, 21, 3)  # net, step, what was measured

# %% [markdown]
# `sliced` differentiates the net with respect to $x$ inside the loss and then
# with respect to the weights outside, so that one step costs two passes
# backwards, one through the other. That is the larger part of this notebook's
# running time.
#
# Note what `errors` has that a training run on real data has not: the true
# score. Here it is a referee and no more. Nothing of it flows back into the
# nets, and all that a practitioner could see is the list `losses`.
#
# The loss itself is a number near $-1$, which says little. But the constant
# is known here. Near each mode $s^* = \mu_k - x$, so $\mathbb{E}_p\|s^*\|^2$
# is the variance of a standard Gaussian in the plane, 2, and $2(L + 1)$
# estimates $\mathbb{E}_p\|s - s^*\|^2$.
#
# **Predict:** the next picture shows $2(L + 1)$ for every single batch, its
# mean over 500 steps, and the true $\mathbb{E}_p\|s - s^*\|^2$. Can you read
# off a single batch whether the net is good? Can the estimate be negative?
#
# <details><summary>Answer</summary>
#
# You cannot. Even for the *perfect* score, $\frac12\|s^*\|^2$ is
# exponentially distributed with standard deviation 1, so the mean over 128
# points scatters by 0.09 and $2(L+1)$ by 0.18, about ten times what is to be
# measured. Many batches are negative, as a small positive number with that
# scatter often is. The mean over 500 steps scatters by 0.008, and can be
# read.
# </details>

# %%
estimate = 2 * (torch.tensor(losses[0], dtype=torch.float64) + 1)
running = estimate.unfold(0, 500, 1).mean(1)
final = {"loss_estimate": running[-1], "true_error": measured[0, -1, 0]}

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.3))
ax.plot(range(1, 10_001), estimate, color=GREY, lw=0.3, alpha=0.5, label="one batch")
ax.plot(range(500, 10_001), running, color=RED, label="mean over the last 500 steps")
ax.plot(steps, measured[0, :, 0], "o", ms=4, color=BLUE, label=r"true $E_p\|s - s^*\|^2$")
ax.axhline(0, color="black", lw=0.6)
ax.set(xlim=(-100, 10_100), ylim=(-0.7, 1.3), xlabel="step", ylabel="2 (loss + 1)", title="net 0")
ax.legend(loc="upper right", fontsize=9)
alt = "Single batches form a grey band of constant width around zero; their mean falls to just above zero."
caption = "The loss of each batch as an estimate of the squared error, its running mean, and the true error."
save_figure(fig, "low_density_loss", alt=alt, caption=caption, numbers=final, tolerance=0.002)

# %%
for step in (500, 600, 1000, 1500, 10_000):
    print(f"mean over the 500 steps up to {step:6,}: ≈ {running[step - 500]:.2f}")
assert running[0] > 0.2 and running[1000:].max() < 0.06

# %% [markdown]
# The red curve starts at step 500 with a mean that still holds the first
# steps. From about step 1500 on it stays near 0.03 or below, close to the
# blue dots. By the only measure that training has, the net has found the
# score. The errors after 10,000 steps, for the three nets:

# %%
for seed, (under_p, at_modes, far) in enumerate(measured[:, -1].tolist()):
    print(
        f"net {seed}: E_p ≈ {under_p:.3f}; median error near the modes ≈ {at_modes:.2f}, in the empty part ≈ {far:.1f}"
    )
assert (measured[:, -1, 0] <= 0.05).all() and (measured[:, -1, 2] > 10 * measured[:, -1, 1]).all()

# %% [markdown]
# The mean squared error under $p$ is below 0.05, while the mean square of the
# true score is 2. The median error in the empty part is about 4, more than
# ten times that near the modes. Where exactly?
#
# ## 6.3 Figure 2 of the paper
#
# **Predict:** you will see the true field, the learned field, and a map of
# the error of net 0. Around the modes the fields agree. How will they differ?
# Where will the error be largest: far out in the corners, in the middle
# between the modes, or all along the line that separates them?
#
# <details><summary>Answer</summary>
#
# The true field has a crease along the line $x_1 + x_2 = 0$: within a strip
# less than one unit wide its arrows turn from "to the lower left" to "to the
# upper right". The net joins the two halves by a smooth ramp, with short
# arrows in the middle. The error is large along the whole line, and largest
# at its two ends, far from both modes, where the net extrapolates.
# </details>


# %%
def learned(x: torch.Tensor, sigma: float = 0.0, seed: int = 0) -> torch.Tensor:
    return nets[seed](x.float(), sigma)


error = (learned(square) - truth).norm(dim=1).detach()
under_p, at_modes, far = measured[0, -1]
numbers = {"mean_square_under_p": under_p, "median_near": at_modes, "median_empty": far, "ratio": far / at_modes}
tolerance = {"mean_square_under_p": 0.002, "median_near": 0.01, "median_empty": 0.1, "ratio": 3}

# %%
fig, axes = plt.subplots(1, 3, figsize=(11, 3.7))
for ax, score, title in zip(axes, (mixture, learned), ("true score", "learned score"), strict=False):
    plots.density(ax, mixture.log_prob, extent=8)
    plots.score_field(ax, score, extent=8, max_length=14).set_title(title)
heatmap(axes[2], error, extent=8, cmap="viridis", norm=LogNorm(0.1, 15))
fig.colorbar(axes[2].images[0], ax=axes[2], shrink=0.85, label="length of the error")
lines = {"levels": [-20, -5], "colors": "white", "linestyles": ["--", "-"], "linewidths": 1}
axes[2].contour(*square.T.reshape(2, 100, 100), log_p.reshape(100, 100), **lines)
axes[2].set_title("error; log p = -5 (full), -20 (dashed)")
for ax in axes:
    ax.set(xlabel="$x_1$", ylabel="$x_2$", xticks=[-5, 0, 5], yticks=[-5, 0, 5])
alt = "Arrows of the true score turn sharply between two modes, those of the net slowly; the error is bright there."
caption = "The true score, the score that net 0 learned, and the length of their difference."
save_figure(fig, "fig2_low_density", alt=alt, caption=caption, numbers=numbers, tolerance=tolerance)

# %% [markdown]
# Both panels draw arrows to the same scale (those longer than 14 are cut).
# Inside the full circles the map is dark. Towards the dashed ones the map
# brightens on the side of the gap, and stays dark on the outer side: there
# the true score goes on linearly, and so does the net, although it saw no
# data there either. Towards the gap the true score turns in a way that the
# data near the modes do not announce. The bright band follows the line where
# the two modes pull equally.
#
# The thin dark line in the middle of the band does not mean that the net is
# right there. The true score changes sign across that line. The learned one
# does too, a little beside it and much more slowly. A cut along the diagonal
# shows it:
#
# **Predict:** the component of the score along the diagonal, at the points
# $(t, t)$, from mode to mode. The true one is two straight lines joined by a
# steep jump at the middle. What do the nets make of the jump?
#
# <details><summary>Answer</summary>
#
# A gentle slope, four units wide, which starts where the data end. Where it
# crosses zero is not determined by the data: nets 0 and 1 happen to agree,
# net 2 does not.
# </details>

# %%
t = torch.linspace(-8, 8, 321)
diagonal = torch.stack([t, t], 1)
curves = [learned(diagonal, seed=seed).detach().sum(1) / 2**0.5 for seed in range(3)]

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.3))
for seed, color in enumerate((ORANGE, GREEN, PURPLE)):
    ax.plot(t, curves[seed], color=color, label=f"net {seed}")
ax.plot(t, mixture(diagonal).sum(1) / 2**0.5, color=BLUE, lw=1.2, label="truth")
ax.fill_between(t, -8, 8, where=(t.abs() - 5).abs() < 1.8, color=GREY, alpha=0.2, lw=0, label="99 % of the data")
ax.set(xlabel="$t$", ylabel="component along it", ylim=(-7.5, 7.5), title="score along the diagonal, at $(t, t)$")
ax.legend(loc="lower right", fontsize=8, ncols=2)
alt = "The true score jumps in the middle between the modes; three nets have a slope four units wide there."
caption = "The component of the score along the diagonal, true and as three nets learned it."
save_figure(
    fig, "low_density_diagonal", alt=alt, caption=caption, numbers={"net_0_at_0": curves[0][160]}, tolerance=0.05
)

# %% [markdown]
# Nothing in the data contradicts these slopes. All three are smooth
# continuations of what the nets were shown, and where a net was shown
# nothing, it can only continue. The shape is *similar* in all three because
# the nets are alike (smooth, with small weights), not because the
# distribution says so.
#
# One number can be predicted. Just left and right of the crease the true
# score is $\mp 5\sqrt2 \approx \mp 7.1$ along the diagonal, half the distance
# of the modes, since the nearer mode pulls alone. A smooth net that passes
# through zero somewhere near the crease is off by about 7 on both sides of
# it, whatever the net does further out. The error next to the crease is thus
# as large as the score itself. The brightest part of the map, in the corners,
# is larger still: there the net overshoots, with arrows longer than the true
# ones.
#
# ## 6.4 Error against density
#
# How does the error depend on $\log p$? We sort the points of the square into
# bins of $\log p$ and take the median in each bin, for each of the three
# nets. We take the median, and not the mean, since a bin holds points of
# different kinds: at the same $\log p$ some lie towards the gap, others on
# the outer side, where section 6.3 found the net much better.
#
# **Predict:** the error of the nets, and the length of the true score, from
# $\log p = -90$ (a corner of the square) to $-2$ (a mode). Where does the
# error start to grow? Does it become as large as the score itself?
#
# <details><summary>Answer</summary>
#
# It starts to grow at once: about 0.1 in a mode, 0.3 at $\log p = -10$, 1
# around $-17$, 3 at $-30$. Then it levels off, at half the length of the
# score itself: the net has the rough direction right, as the field shows.
# </details>

# %%
edges = torch.tensor([-90, -75, -60, -50, -40, -35, -30, -25, -20, -16, -13, -10, -8, -6, -4, -1.0])
which = torch.bucketize(log_p, edges) - 1
centres = (edges[1:] + edges[:-1]) / 2
sizes = torch.stack([*((learned(square, seed=k) - truth).norm(dim=1).detach() for k in range(3)), truth.norm(dim=1)])
medians = torch.stack([sizes[:, which == k].median(1).values for k in range(len(centres))], 1)  # (4, bins)

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.5))
plots.interval(ax, centres, medians[:3].min(0).values, medians[:3].max(0).values, color=RED)
ax.plot(centres, medians[:3].median(0).values, ".-", color=RED, label="error: median and range of three nets")
ax.plot(centres, medians[3], color=BLUE, label="length of the true score")
ax.axvline(math.log(1 / 1_280_000 / (4 * math.pi)), color=GREY, ls="--", lw=1, label="one training point below")
ax.set(yscale="log", xlabel=r"$\log p$", ylabel="length", ylim=(0.02, 30), title="medians over points of the square")
ax.legend(loc="lower left", fontsize=8)
at = {"log10_at_-5": medians[:3, -2].median().log10(), "log10_at_-45": medians[:3, 3].median().log10()}
alt = "With falling density the error grows from a tenth to half the length of the true score, and stays there."
caption = "Median error of three nets, and median length of the true score, against the log-density."
save_figure(fig, "low_density_error", alt=alt, caption=caption, numbers=at, tolerance=0.05)

# %% [markdown]
# Right of the dashed line lie all of the 1.28 million training points but
# about one. From the mode to that line the error grows tenfold, while the
# score itself grows fourfold; from about $-25$ on the error is half the
# score. The band is narrow: three nets, which saw different points, agree.
# But they agree about *this* square. Without data, nothing but the smoothness
# of the net keeps the error at one half.
#
# ## 6.5 Trap: "a small loss means a good score"
#
# The loss is an expectation under $p$, and section 6.1 says what follows. We
# take it to the extreme. Here is a score that is the true one where
# $\log p > -20$, and points **exactly the wrong way** everywhere else, in
# nearly half of the square.


# %%
def sabotaged(x: torch.Tensor, sigma: float = 0.0) -> torch.Tensor:
    s = mixture(x, sigma)
    return torch.where(mixture.log_prob(x)[:, None] < -20, -s, s)


# %% [markdown]
# Both scores get the same 20,000 fresh points and the same random
# projections, so that any difference comes from the scores.


# %%
def mean_loss(score) -> float:
    same = torch.Generator().manual_seed(1)  # the same projections for every score
    return sliced(score, fresh, generator=same).mean().item()


difference = mean_loss(sabotaged) - mean_loss(mixture)
wrong = {n: (f(square) - truth).square().sum(1).mean().sqrt().item() for n, f in (("bad", sabotaged), ("net", learned))}
print(f"loss of the sabotaged score minus that of the true one: {difference}")
print(f"RMS error over the square: sabotaged {wrong['bad']:.1f}, net 0 ≈ {wrong['net']:.1f}")
assert difference == 0 and wrong["bad"] > 3 * wrong["net"]

# %% [markdown]
# On 20,000 points the loss of the sabotaged score agrees with that of the
# true one in every bit, since not one of them lies where the arrows are
# reversed. Its error over the square, as a root mean square, is more than
# three times that of the net. No validation set drawn from $p$, of whatever
# size you can afford, will notice.
#
# Nor would the exact expectation: by section 6.1 the two differ by $q M^2/2$
# with $q = 2.6 \cdot 10^{-8}$. (One may object that the sabotaged score jumps
# at the edge of the region, and that partial integration asks for a smooth
# one. The edge term is the jump times $p$ on the edge, which is $e^{-20}$,
# and does not matter here.)
#
# So a loss tells you how good a score is **where the data are**. It says
# nothing about other places, and a sampler that starts anywhere uses the
# score in other places from its first step.
#
# For a distribution as simple as this one there is a better question: choose
# *where* you want the score to be right, and average the squared error over
# that region, as the print above does over the square. This needs the true
# score there. Sliced and denoising score matching do without the true score,
# and the price is the weight: partial integration moves the derivative from
# $\log p$ to $s$, and what remains is an average under $p$ and no other.
#
# ## 6.6 Trap: "more training will fix it"
#
# Perhaps the nets only need time. We took the errors during the training, so
# the answer costs nothing.
#
# **Predict:** between step 100 and step 10,000, how will the median error
# near the modes develop, and how the one in the empty part?
#
# <details><summary>Answer</summary>
#
# Near the modes the error falls, with jumps up and down: with a constant
# learning rate the weights keep fluctuating. In the empty part it hardly
# changes in a hundred times as many steps, and in the end it goes up rather
# than down. No data point pulls it down.
# </details>

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.4))
ax.loglog(steps, measured[:, :, 2].T, ".-", color=RED, lw=1, label=["empty part", None, None])
ax.loglog(steps, measured[:, :, 1].T, ".-", color=BLUE, lw=1, label=["near the modes", None, None])
ax.set(xlabel="step", ylabel="median error", ylim=(0.04, 10), title="three nets")
ax.legend(loc="lower left")
change = measured[:, -1, 2].mean() / measured[:, 10, 2].mean()  # step 10,000 against step 1,000
alt = "Over the steps the error near the modes falls from 0.4 to 0.1; in the empty part it stays near 4."
caption = "The median error during training: near the modes it falls, in the empty part it does not."
save_figure(
    fig, "low_density_training", alt=alt, caption=caption, numbers={"empty_10000_over_1000": change}, tolerance=0.05
)
assert 0.8 < change < 1.5

# %% [markdown]
# Ten times the training, from 1,000 steps to 10,000, changes the median error
# in the empty part by less than a quarter, and for the worse. Nor is the net
# too small: exercise 2 lets the same net learn the same field from points
# spread over the *square*. What is missing is data, and more steps bring more
# data of the same kind.
#
# So a larger net does not help either. It could follow a sharper crease, if
# anything told it where the crease is. Move the crease of the true score by a
# distance of 1 to the left: what changes? By notebook 1 the crease lies where
# the responsibilities are equal, and along the diagonal $\log (r_2/r_1)$
# grows by $10\sqrt2 = 14.1$ for each unit of distance. So the moved crease
# belongs to a mixture with other weights.

# %%
ends = torch.tensor([-1.0, 0.0], dtype=torch.float64) - math.log(4) / 200**0.5  # moved and true crease
modes, weights = 50**0.5 * torch.tensor([[-1.0], [1.0]], dtype=torch.float64), torch.tensor([0.2, 0.8]).double()
between = (weights * torch.special.ndtr(ends - modes).diff(dim=1)[:, 0]).sum().item()
other = 0.25 * math.exp(-(200**0.5))
print(f"data in between: {between:.1e}; the error there is {200**0.5:.0f}; J grows by {between * 200 / 2:.0e}")
print(f"small mode's weight: {other:.1e} in place of 0.2")
assert between * 200 / 2 < 1e-7

# %% [markdown]
# The loss does not notice whether the small mode has a fifth of the data or
# two in ten million. The place of the crease is all that the score knows of
# the weights. (A unit of the plotted $t$ is a distance of $\sqrt2$, so that
# moving the crease by one unit of $t$ would give $5 \cdot 10^{-10}$.)
#
# ## 6.7 What a sampler makes of it
#
# Now Langevin dynamics, from the same 1280 starting points in the square,
# with the same noise, once with the true score and once with each learned
# one: $\alpha = 0.1$ and 300 steps. By then nothing crosses the middle any
# more. (Notebook 7 runs 1000 steps, with the same result.)

# %%
start = 8 * (2 * torch.rand(1280, 2, generator=generator) - 1)


def run(score) -> tuple[torch.Tensor, list[float]]:
    noise, in_the_empty = torch.Generator().manual_seed(8), []
    for state in ne.langevin(score, start, alpha=0.1, n_steps=300, generator=noise):
        in_the_empty.append((mixture.log_prob(state.x) < -20).float().mean().item())
    return state.x, in_the_empty


runs = {"truth": run(mixture)} | {f"net {seed}": run(partial(learned, seed=seed)) for seed in range(3)}

# %% [markdown]
# **Predict:** on the left and in the middle you see the starting points,
# black if their chain ends in the small mode and light grey if it ends in the
# big one. On the right, the share of chains in the empty part, step by step.
# What will the learned score change? Will its share of black points be 0.2?
#
# <details><summary>Answer</summary>
#
# Nearly half the points are black in both pictures: a chain falls to its own
# side, whatever the weights. The border between black and grey lies elsewhere
# for the learned score, namely where the net happens to change sign. And
# chains stay longer in the empty part, because the arrows there are far too
# short.
# </details>

# %%
fig, axes = plt.subplots(1, 3, figsize=(11, 3.7), width_ratios=(1, 1, 1.2))
for ax, name in zip(axes, ("truth", "net 0"), strict=False):
    small = mixture.responsibilities(runs[name][0])[:, 0] > 0.5
    plots.scatter(ax, start[small], extent=8, color="black", alpha=1)
    plots.scatter(ax, start[~small], extent=8, color="#BBBBBB", alpha=1)
    ax.set(title=f"starts, {name}:\n{small.float().mean():.3f} end in the small mode", xlabel="$x_1$", ylabel="$x_2$")
for (name, (_, share)), color in zip(runs.items(), (BLUE, ORANGE, GREEN, PURPLE), strict=True):
    axes[2].plot(range(1, 61), share[:60], color=color, label=name)
axes[2].set(xlabel="step", ylabel="share of the chains", title="where log p < -20")
axes[2].legend()
lingering = {f"step_25_{name.replace(' ', '_')}": share[24] for name, (_, share) in runs.items()}
alt = "Black dots fill the lower left half, grey ones the rest; with nets, chains leave the empty part later."
caption = "Where chains start that end in the small mode (black), and how long chains stay in the empty part."
save_figure(fig, "low_density_sampling", alt=alt, caption=caption, numbers=lingering, tolerance=0.01)

# %%
for name, (x, _) in runs.items():
    w = ne.mode_weights(x, mixture)
    print(f"{name}: small mode ≈ {w.weight[0]:.3f} in ≈ [{w.low[0]:.3f}, {w.high[0]:.3f}]")
    assert 0.4 < w.weight[0] < 0.54 and x.abs().max() < 10  # and no chain ran away

# %% [markdown]
# Two different failures meet here. Keep them apart.
#
# - **Slow mixing.** The *true* score gives about one half instead of 0.20.
#   Its arrows are right at every point, but the chains cannot cross the
#   middle. No training can repair this. [7 · Annealing](07_annealing.ipynb)
#   does.
# - **A wrong score.** The *learned* scores start the same chains into a field
#   that is too weak in the middle: in the diagonal picture of section 6.3 the
#   true score comes up to almost 7 at the jump, while the net is still near
#   zero there. So chains drift for tens of steps where the true score empties
#   the middle in twenty, and some that would have gone to one mode go to the
#   other. The net decides which ones, not the data.
#
# Both failures show in the numbers. The share is one half instead of 0.20
# because of slow mixing. It is *lower* for the nets, with the same starts and
# the same noise, because of the wrong score. Net 2 is the clearest case: its
# interval does not overlap with that of the truth. In the diagonal picture
# net 2 crosses zero furthest to the left, so more chains go to the right.
# That its share is closer to 0.20 is chance, since nothing that the net saw
# told it so. And the two failures do not have the same cure: a perfect score
# leaves the first, infinitely many steps leave the second.
#
# | | slow mixing | a wrong score |
# |---|---|---|
# | needs a learned score | no | yes |
# | where the fault is | in the chain: it cannot cross | in the arrows, where no data are |
# | what shows it | the answer depends on the start | the answer depends on the seed of the net |
# | more steps of the chain | help after $e^{25}$ of them | do not help |
# | more steps of training | do not help | hardly help |
# | noise on the data | helps: modes overlap | helps: data lie in between |
#
# The last line is the reason why one idea will cure both.
#
# The delay can be estimated from the diagonal picture as well. A step moves a
# chain by $\frac{\alpha}{2} s$. Near the crease the true score is about 6,
# which makes 0.3 a step. After ten steps the chain has gone 3 units along the
# diagonal and left the middle. For the nets the score there is about 1, which
# makes 0.05 a step: for them the noise, $\sqrt{0.1} \approx 0.3$ a step,
# decides first, and the drift takes over only where a slope is reached. That
# is why the curves of the nets have a long tail, and why starting points of
# the two colours mix along a broader border in the middle panel.
#
# The second failure is mild in this example, since the learned field happens
# to point to the modes. The chains that stray end in a mode all the same, and
# none is lost outside. That is luck, not a theorem. It comes from two
# dimensions, a smooth net and two modes. Nothing ruled out a continuation
# with a mode of its own in the empty part, as the sabotaged score of section
# 6.5 shows: its loss was perfect, and its chains would be driven away from
# the data.
#
# ## 6.8 What noise does to the error
#
# If the trouble is that no data fall into the empty part, put some there: add
# noise of standard deviation $\sigma$ to the data. The net then learns the
# score of $p_\sigma = p * \mathcal{N}(0, \sigma^2 I)$, whose modes are wider.
# With noise we can use denoising score matching,
# $\frac12 \|\sigma\, s(\tilde x) + z\|^2$ at $\tilde x = x + \sigma z$, which
# needs no derivative of the net and is faster.
#
# Along the diagonal $p_\sigma$ has its modes at $\pm 5\sqrt2$ with variance
# $1 + \sigma^2$, so the share of the noisy data in the strip of half width 2
# around the line $x_1 + x_2 = 0$ is a difference of normal distribution
# functions.

# %%
for sigma in (0.0, 1.0, 2.0, 4.0, 8.0):
    ends = torch.tensor([5 * 2**0.5 - 2, 5 * 2**0.5 + 2], dtype=torch.float64) / (1 + sigma**2) ** 0.5
    inside = torch.special.ndtr(ends).diff().item()
    print(f"sigma {sigma:.0f}: {inside:.2g} of the noisy data lie in the strip")

# %% [markdown]
# The share rises from one in five million to more than one in ten. Now we
# train four nets, one for each $\sigma > 0$, 2000 steps each. For
# $\sigma = 0$ we keep net 0, with its 10,000 steps: if anything, the
# comparison is unfair to the noise.

# %%
levels, noisy_nets = [1.0, 2.0, 4.0, 8.0], {0.0: nets[0]}
for sigma in levels:
    torch.manual_seed(0)
    own, noisy_nets[sigma] = torch.Generator().manual_seed(0), ScoreMLP(sigma=sigma)
    stream = (mixture.sample(128, generator=own) for _ in itertools.count())
    loss = partial(dsm, sigma=sigma, generator=own)
    for _ in train(noisy_nets[sigma], stream, objective=loss, n_steps=2000):
        pass

# %% [markdown]
# Scores of different $\sigma$ have different lengths, so we compare relative
# errors: the root mean square of $s - s^*_\sigma$ over a set of points,
# divided by that of $s^*_\sigma$. The sets are the strip, samples of
# $p_\sigma$ itself, and, for the price, the points near the modes: there we
# compare the true score of $p_\sigma$ with the true score of $p$.


# %%
def relative(s: torch.Tensor, true: torch.Tensor) -> float:
    return ((s - true).square().sum() / true.square().sum()).sqrt().item()


strip, table = (square.sum(1).abs() < 2 * 2**0.5), {}
for sigma, net in noisy_nets.items():
    true, noisy = mixture(square, sigma), mixture.perturb(sigma).sample(20_000, generator=generator)
    with torch.no_grad():
        in_strip = relative(net(square[strip], sigma), true[strip])
        under_p = relative(net(noisy, sigma), mixture(noisy, sigma))
    table[sigma] = in_strip, under_p, relative(true[near], truth[near])

# %% [markdown]
# **Predict:** with growing $\sigma$, what happens to the relative error in
# the strip, to that under $p_\sigma$, and to the distance between
# $p_\sigma$'s score and $p$'s near the modes? Is there a $\sigma$ at which
# all three are small?
#
# <details><summary>Answer</summary>
#
# In the strip the error falls from more than half of the score to about a
# tenth: 0.07 at $\sigma = 4$ and 0.11 at $\sigma = 8$, where a tenth of the
# noisy data or more lie in it. Under $p_\sigma$ it stays small at every
# level: that is what is trained. The distance to the score of $p$ grows from
# 0 towards 1, and $1$ means that nothing is left of it. The curves cross, and
# no single $\sigma$ makes all three small.
# </details>

# %%
numbers = {f"strip_{sigma:.0f}": row[0] for sigma, row in table.items()} | {"modes_4": table[4.0][2]}
labels = ("error in the strip", r"error under $p_\sigma$", r"$p_\sigma$ against $p$, at the modes")

# %%
fig, axes = plt.subplots(1, 3, figsize=(11, 3.6), width_ratios=(1, 1, 1.3))
for ax, sigma in zip(axes, (0.0, 4.0), strict=False):
    true = mixture(square, sigma)
    wrong = (noisy_nets[sigma](square, sigma) - true).norm(dim=1).detach() / true.norm(dim=1)
    heatmap(ax, wrong, extent=8, cmap="viridis", norm=LogNorm(0.05, 2))
    ax.set(title=f"noise {sigma:.0f}", xlabel="$x_1$", ylabel="$x_2$", xticks=[-5, 0, 5], yticks=[-5, 0, 5])
fig.colorbar(axes[1].images[0], ax=axes[:2], shrink=0.85, label="relative error")
for row, label, color in zip(zip(*table.values(), strict=True), labels, (RED, BLUE, GREY), strict=True):
    axes[2].plot(range(5), row, "o-", color=color, label=label)
labelled = {"xticks": range(5), "xticklabels": ["0", "1", "2", "4", "8"], "ylabel": "relative difference of scores"}
axes[2].set(xlabel=r"$\sigma$", ylim=(0, 1.05), **labelled)
axes[2].legend(loc="center right", fontsize=8)
alt = "A bright band between the modes is gone with noise 4; what noise gains there it loses at the modes."
caption = "The relative error of nets trained without noise and with noise 4, and what noise gains and costs."
save_figure(fig, "low_density_noise", alt=alt, caption=caption, numbers=numbers, tolerance=0.03)

# %%
for sigma, (in_strip, under_p, price) in table.items():
    print(f"sigma {sigma:.0f}: strip ≈ {in_strip:.2f}, under p_sigma ≈ {under_p:.2f}; p_sigma against p {price:.2f}")
assert table[0.0][0] > 0.5 and table[4.0][2] > 0.9 and table[4.0][0] < table[0.0][0] / 5

# %% [markdown]
# At $\sigma = 4$ the bright band is gone, although this net had a fifth of
# the steps of the one on the left. The net is built alike and the data are
# the same; what changed is where the noisy points lie. (The bright dots are
# no failure: there the true score is zero, at modes and saddle, and a
# relative error means nothing.) Beyond that, more noise does not help here:
# at $\sigma = 8$ the relative error is about 0.11 again, although 13 % of the
# noisy data lie in the strip. The score gets shorter with growing $\sigma$,
# while Adam's steps keep their size, so the same fluctuation of the weights
# becomes a larger part of what is to be learned. (Nets for many noise levels
# return $f(x)/\sigma$ for that reason.)
#
# And the price is high. At $\sigma = 4$ the score at the modes has little to
# do with that of $p$: a sampler that used it would return a cloud with
# standard deviation $\sqrt{1 + 16} \approx 4.1$ instead of 1. With
# $\sigma = 1$ the picture is reversed, closer to $p$, and still wrong in the
# strip.
#
# The gain in the middle and the loss at the modes have one cause. Noise moves
# probability from where there is plenty to where there is none, and the
# objective follows the probability. Neither the net nor the optimiser was
# changed, and the steps were fewer.
#
# The way out is not to choose. Learn the scores at **many** noise levels;
# begin to sample with the largest, whose score is right everywhere, and end
# with the smallest, by when the chains have arrived where that one is right
# too. Each level only has to be right where the level before it leaves the
# chains. That is the ladder of notebook 7, which uses exact scores; a net
# that learns all of its levels at once is the subject of notebook 8.
#
# ## 6.9 Your turn
#
# The explorer trains a smaller net (two layers of 64) on two modes of your
# choice. Change the sliders, say what will happen, then press **Train**;
# pressed again, it stops. The orange line is the threshold on $\log p$; below
# the picture you read how much of the square and how much of the data lie
# below it, and the median error on both sides.
#
# - Move the **threshold** without training. At which value does the share of
#   the data reach 0.00 %, and how much of the picture is left below it? Does
#   the red curve bend near there?
# - Bring the modes together: **distance** 14, 8, 5, 3. When does the bright
#   band vanish? How many standard deviations is that?
# - Make the left mode rare, **weight** 0.02: it gets one point in fifty. Is
#   the error around it larger than around the other? Explain it by $p$.
# - Back to distance 14, and raise the **noise**: 0, 1, 2, 4. Watch the shape
#   of the density and that of the error at the same time. Which is the
#   smallest $\sigma$ that you would begin to sample with, and which the
#   largest that you would end with?
#
# <details><summary>Answers</summary>
#
# - At $-12$: 0.00 % of the data, and 63 % of the picture. The red curve does
#   not bend there. The error grows from the modes on, and levels off near
#   $-25$.
# - Between 8 and 5 standard deviations. In the strip the median error is 4.2
#   of a true length of 7.8 at distance 14, 1.3 of 5.9 at 8, 0.7 of 5.4 at 5,
#   and 0.5 of 5.3 at 3.
# - Yes. Within a distance of 2 the median error is 0.50 around the rare mode
#   and 0.11 around the other: an error there is weighted by a density that is
#   fifty times smaller, and a batch of 128 brings two or three points of it.
# - In the strip the relative error falls from 0.54 to 0.47, 0.27 and 0.05.
#   Begin with 4, where the score is right in between. End well below 1: at 1
#   the variance of the modes has doubled.
# </details>

# %%
ErrorExplorer()

# %% [markdown]
# ## What you should be able to do now
#
# - Say why score matching cannot be right where there are no data, and put a
#   number on it: $q M^2 / 2$, and $nq$ expected points.
# - Turn a score-matching loss into an estimate of the Fisher divergence where
#   the constant is known, and say how many batches that takes.
# - Predict where the error of a learned score will be large, from $\log p$
#   alone.
# - Explain why neither a small loss nor more training says anything about the
#   empty part.
# - Tell a wrong score from slow mixing when samples come out wrong.
# - Say what noise gains, what it costs, and why one level is not enough.
#
# ## Exercises
#
# 1. In $D$ dimensions the probability of $\{\log p < -c\}$ for a single
#    Gaussian is a tail of the chi-square distribution. Compute the share of
#    1.28 million draws that lie further than two typical distances from the
#    mean, $r > 2\sqrt{D}$, for $D = 2, 10, 100$. What does that say about
#    3072 dimensions?
#    <details><summary>Hint</summary>
#
#    `scipy.stats.chi2.sf(4 * D, D)` is the probability of $r^2 > 4D$.
#    </details>
#    <details><summary>Answer</summary>
#
#    The probabilities are $e^{-4} = 0.018$, $1.7 \cdot 10^{-5}$ and
#    $1.7 \cdot 10^{-37}$: 23,444 draws, 22, and none. The tail falls like
#    $e^{-0.807 D}$, which is below $10^{-1000}$ in 3072 dimensions. Two
#    typical distances are not far, and no training will ever see a point
#    there.
#    </details>
# 2. Show that the net is able to learn the field: train a `ScoreMLP` with
#    `partial(ne.explicit, true_score=mixture)` on batches spread evenly over
#    the square. How far does the median error in the empty part fall in
#    10,000 steps? Why is this no way out for data whose score is unknown?
#    <details><summary>Answer</summary>
#
#    From 2.9 after 100 steps to 0.57 after 1000 and 0.06 after 10,000, with
#    the seeds used here, and near the modes to 0.06 as well. The net is large
#    enough. The loss asks for the true score at points where there are no
#    data, and for real data nobody has it.
#    </details>
# 3. Replace the fresh batches by a fixed data set of 1000 points (draw
#    indices into it). Compare the errors near the modes and in the empty part
#    with those of section 6.2. Which of them gets worse, and from which step
#    on?
#    <details><summary>Answer</summary>
#
#    Both get worse, from about step 1000 on: near the modes from 0.18 to
#    0.26, in the empty part from 4.2 to 5.7. The squared error under $p$
#    falls to 0.08 and rises again to 0.23, while the estimate from the
#    training loss, $2(L+1)$, falls to $-0.28$, which is less than any score
#    can reach on fresh points. The net has begun to learn that its data are
#    single points: notebook 5 says where that ends.
#    </details>
#
# ## References
#
# - Y. Song and S. Ermon, *Generative Modeling by Estimating Gradients of the
#   Data Distribution*, NeurIPS 2019: sections 3.2 and 4.1, Figure 2.
# - Y. Song, S. Garg, J. Shi and S. Ermon, *Sliced Score Matching*, UAI 2019:
#   the loss used here, and its variance-reduced form.
# - P. Vincent, *A Connection Between Score Matching and Denoising
#   Autoencoders*, Neural Computation 2011: the loss of section 6.8.
# - L. Wenliang and H. Kanagawa, *Blindness of score-based methods to isolated
#   components and mixing proportions*, 2020: the two failures, in theory.
#
# **Next:** [7 · Annealing](07_annealing.ipynb) gives the chains exact scores,
# and repairs the other failure.
