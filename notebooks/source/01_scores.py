# %% [markdown]
# # 1 · Scores
#
# *Reading and trying: about an hour, exercises aside. Running every cell: about 10 seconds on a laptop, at full scale (two dimensions need no other).*
#
# A **score** is the gradient of a log-density, $s(x) = \nabla_x \log p(x)$. At
# every point of space it is an arrow that says: *data get more likely in this
# direction, and this fast.* The whole collection rests on one observation: if you
# know these arrows, you can draw samples; and arrows can be learned where densities
# cannot.
#
# In this notebook you will
#
# - see why the score does not depend on the normalising constant, and why it is
#   the gradient of $\log p$ and not of $p$;
# - write it down in closed form for a Gaussian mixture, in any dimension, and check it
#   against finite differences;
# - watch what added noise does to it;
# - fall into the first trap: the score alone is not a sampler.
#
# You need: derivatives, the density of a Gaussian, and a little PyTorch. Nothing is
# learned from data here yet; that is the subject of
# [notebook 3](03_score_matching.ipynb). If you lose track of a letter: the page of
# [symbols](symbols.md) has them all.
#
# On Google's Colab the next cell gets the package; anywhere else it does nothing.

# %%
import sys

if "google.colab" in sys.modules:
    raise SystemExit("Give the address of the project's repository here: %pip install -q git+https://...")

# %%
import math

import torch
from matplotlib import pyplot as plt

from ncsn_edu import GaussianMixture, langevin, last, mode_moments, practice, save_figure, show
from ncsn_edu.plots import BLUE, GREY, RED, density, scatter, score_field, use_style
from ncsn_edu.widgets import ScoreFieldExplorer

use_style()

# %% [markdown]
# ## 1.1 The constant that nobody can compute
#
# Any positive function with a finite integral can be written as $e^{-f(x)}$, and
# becomes a density once it is divided by that integral:
#
# $$ p(x) = \frac{e^{-f(x)}}{Z}, \qquad Z = \int e^{-f(x)}\,dx . $$
#
# If $f$ is a neural network and $x$ an image of $32 \times 32 \times 3$ pixels, $Z$
# is an integral over 3072 dimensions. It cannot be computed. Three families of
# generative models live with that in three ways:
#
# | family | what it does about $Z$ | the price |
# |---|---|---|
# | likelihood models (VAE, flows, autoregressive) | choose $p$ such that $Z$ is known, or bound it | the architecture is tied down |
# | implicit models (GAN) | never write $p$ down, only sample | an adversary, and training that may not settle |
# | **score-based models** | model $\nabla_x \log p$, from which $Z$ is gone | sampling takes many steps |
#
# Each has its own trouble with $Z$. Take maximum likelihood, and try to ignore $Z$: the
# gradient of $\log p_\theta(x) = -f_\theta(x) - \log Z(\theta)$ in the parameters contains
# $\nabla_\theta \log Z = -\,\mathbb{E}_{p_\theta}[\nabla_\theta f_\theta]$, a mean over samples *of
# the model*, which have to be drawn anew in each step of training.
#
# The third way leaves the architecture free, needs no adversary, and draws no
# samples during training. It has its own price, too: what it learns is never a
# normalised density. And $Z$ is gone because $\log p(x) = -f(x) - \log Z$ and
# $Z$ is not a function of $x$:
#
# $$ \nabla_x \log p(x) = -\nabla_x f(x) . $$
#
# Let us see it. Here is an unnormalised density on the line, two bumps without any
# $1/\sqrt{2\pi}$, and its score by automatic differentiation.


# %%
def unnormalised(x: torch.Tensor, scale: float) -> torch.Tensor:
    return scale * (0.3 * torch.exp(-((x + 2) ** 2) / 2) + 0.7 * torch.exp(-((x - 2) ** 2) / 2))


def autograd_score(x: torch.Tensor, scale: float) -> torch.Tensor:
    x = x.clone().requires_grad_()
    unnormalised(x, scale).log().sum().backward()
    return x.grad


# %% [markdown]
# **Predict** before you run the next cell: it compares the score of this function,
# multiplied by 1 and by 1000, with the score of the properly normalised mixture.
# How far apart will the three be?
#
# <details><summary>Answer</summary>
#
# Not at all, up to rounding errors of some $10^{-15}$. A factor in front of the density
# is a constant under the logarithm, and vanishes in the derivative. The very factor that
# makes densities hard to compute has no effect on a score.
# </details>

# %%
x = torch.linspace(-6, 6, 601, dtype=torch.float64)
mixture_1d = GaussianMixture([[-2.0], [2.0]], 1.0, [0.3, 0.7])
normalised = mixture_1d(x[:, None])[:, 0]
for scale in (1.0, 1000.0):
    score = autograd_score(x, scale)
    print(f"times {scale:4.0f}: scores at -6, 0, 1:", [f"{value:.10f}" for value in score[[0, 300, 350]].tolist()])
    assert (score - normalised).abs().max() < 1e-12
print("normalised:  scores at -6, 0, 1:", [f"{value:.10f}" for value in normalised[[0, 300, 350]].tolist()])

# %% [markdown]
# ## 1.2 Why the logarithm?
#
# The logarithm is monotone, so $\nabla p$ and $\nabla \log p = \nabla p / p$ point
# in the same direction. Their lengths differ, and lengths matter: they decide how
# far a sampler moves, and what a network has to learn.
#
# **Predict:** the next cell draws $p'(x)$ and $(\log p)'(x)$ for the two bumps. Far
# outside, at $x = \pm 6$, which of the two is large, which is nearly zero? And
# where, between the bumps, is each of them zero?
#
# <details><summary>Answer</summary>
#
# $p'$ is nearly zero where $p$ is: at $x = \pm 6$ there is no arrow left to follow,
# and a distant point needs one most. The score grows there linearly, like that
# of a single Gaussian: $-(x \mp 2)$. Both are zero at the same three places, the two
# modes and the valley between them, because $p'/p = 0$ exactly where $p' = 0$.
# </details>

# %%
p = mixture_1d.log_prob(x[:, None]).exp()
fig, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.1))
left.plot(x, p * normalised, color=BLUE, label=r"$\nabla p = p \cdot \nabla \log p$")
left.fill_between(x, p, color=GREY, alpha=0.3, lw=0, label="$p$")
right.plot(x, normalised, color=RED, label=r"$\nabla \log p$")
for ax in (left, right):
    ax.axhline(0, color=GREY, lw=0.6)
    ax.set_xlabel("$x$")
    ax.legend()
left.set_title("gradient of the density")
right.set_title("gradient of its logarithm")
alt = (
    "Left: a density with two bumps, and its derivative, which is zero outside of them. Right: the derivative of the "
    "log-density, a falling line at both ends with a bend up in the middle. Both curves cross zero at the same three "
    "places."
)
caption = r"For two bumps on the line, $\nabla p$ vanishes far outside, and $\nabla \log p$ grows there."
ratio = (normalised[0] / (p * normalised)[0]).item()
numbers = {"log10_ratio_at_-6": math.log10(ratio)}
save_figure(fig, "scores_why_log", alt=alt, caption=caption, numbers=numbers, tolerance=1e-3)
print(f"at x = -6 the score is {normalised[0]:.3f}, the gradient of p {1e6 * (p * normalised)[0]:.1f} millionths")

# %% [markdown]
# The picture on the left is what a sampler would see if it followed $\nabla p$:
# nothing at all outside the bumps. The larger the dimension, the more of space is
# outside. At $x = -6$ the two differ by the factor $1/p(-6)$, about 25,000,
# in one dimension. At a narrow peak $\nabla p$ is too large instead: halve
# the width of a bump in $D$ dimensions, and $\nabla p$ at its flank grows by the factor
# $2^{D+1}$, the score by 2.
#
# ## 1.3 A mixture of Gaussians, in closed form
#
# Our laboratory is the mixture $p(x) = \sum_k w_k\, \mathcal{N}(x; \mu_k, S_k)$.
# Differentiate $\log \sum_k$, and the inner derivatives come out weighted:
#
# $$ \nabla \log p(x) = \sum_k r_k(x)\, \underbrace{S_k^{-1}(\mu_k - x)}_{\text{pull of component } k},
#    \qquad r_k(x) = \frac{w_k\, \mathcal{N}(x; \mu_k, S_k)}{\sum_j w_j\, \mathcal{N}(x; \mu_j, S_j)} . $$
#
# Each component pulls towards its own mean, and $r_k(x)$, its *responsibility*,
# says which share of the point belongs to it: the posterior probability that $x$ came
# from component $k$. Remember this: **the weights $w_k$ enter through the
# responsibilities and nowhere else.** Where one component has all of the
# responsibility, its weight cannot be seen. Notebook 7 is about the consequences.
#
# **Write it.** The score of a mixture whose components all have covariance $I$, at each
# row of $x$. Three lines are enough: the pulls, the responsibilities, their sum. The
# cell's last line says how you are doing, and an unwritten cell stops nothing below it.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_mixture_score(x, means, weights):
#     pulls = means - x[:, None]
#     r = (weights.log() - 0.5 * pulls.square().sum(2)).softmax(1)
#     return (r[:, :, None] * pulls).sum(1)
# ```
#
# Densities are never formed: far away they are zero in floating point, and 0/0 follows.
# The softmax divides in logarithms.
# </details>


# %%
def my_mixture_score(x, means, weights):  # (B, D), (K, D), (K,); returns (B, D)
    ...


practice.mixture_score(my_mixture_score)

# %% [markdown]
# For one point, step by step:

# %%
mixture = GaussianMixture([[-5.0, -5.0], [5.0, 5.0]], 1.0, [0.2, 0.8])
point = torch.tensor([[1.0, -0.5]], dtype=torch.float64)

pulls = mixture.means - point  # (K, D), since S_k = I
log_joint = mixture.weights.log() - 0.5 * (pulls**2).sum(1)  # log w_k N(x; mu_k, I), up to a constant
r = log_joint.softmax(0)
by_hand = (r[:, None] * pulls).sum(0)
print("responsibilities:", [f"{value:.4f}" for value in r.tolist()])
print("score by hand:   ", [f"{value:.4f}" for value in by_hand.tolist()])
print("from the package:", [f"{value:.4f}" for value in mixture(point)[0].tolist()])

# %% [markdown]
# The package does the same with full covariances, in any dimension.
#
# **Never trust a formula for a gradient, including ours.** A central difference of
# `log_prob` is an independent witness: it knows nothing of responsibilities. We
# take ten dimensions, full random covariances, and points far and near. (And double
# precision: the difference of two nearly equal numbers keeps few of their digits.)

# %%
generator = torch.Generator().manual_seed(0)
roots = torch.randn(3, 10, 10, generator=generator, dtype=torch.float64)
means = torch.randn(3, 10, generator=generator, dtype=torch.float64)
tilted = GaussianMixture(means, roots @ roots.mT + torch.eye(10, dtype=torch.float64), [0.2, 0.3, 0.5])
points = 3 * torch.randn(5, 10, generator=generator, dtype=torch.float64)

# %%
h = 1e-4 * torch.eye(10, dtype=torch.float64)
differences = torch.stack([(tilted.log_prob(points + step) - tilted.log_prob(points - step)) / 2e-4 for step in h], 1)
for name, rows in {"closed form": tilted(points), "differences": differences}.items():
    print(f"{name}, first coordinates:", [f"{value:.6f}" for value in rows[:, 0].tolist()])
assert (tilted(points) - differences).norm() < 1e-6 * differences.norm()

# %% [markdown]
# ## 1.4 The field of arrows
#
# In the plane we can draw a score as a field: an arrow at every point.
#
# **Predict:** the mixture has weight 0.2 at $(-5, -5)$ and 0.8 at $(5, 5)$. At how
# many points is the score exactly zero? Will the arrows around the lighter
# component be shorter than those around the heavier one?
#
# <details><summary>Answer</summary>
#
# Three points: the two modes, and a saddle between them, where the pulls cancel.
# The arrows around the two modes look the same: near a mode the other component has
# no responsibility, so the field is that of a single Gaussian, whatever its weight.
# The weights only shift the border between the two, and by very little.
# </details>

# %%
fig, ax = plt.subplots(figsize=(4.6, 4.6))
density(ax, mixture.log_prob, extent=8)
score_field(ax, mixture, extent=8)
ax.set(title="density and score", xlabel="$x_1$", ylabel="$x_2$")
along = torch.linspace(-1, 1, 200_001, dtype=torch.float64)[:, None] * torch.ones(1, 2, dtype=torch.float64)
saddle = along[mixture(along).norm(dim=1).argmin()]
alt = (
    "A plane with a faint blob at the lower left, a dark one at the upper right, and arrows everywhere. All arrows "
    "point to the nearer of the blobs, and get shorter near it. Along a diagonal between them the direction changes."
)
caption = "Density (blue) and score (arrows) of a mixture with weights 0.2 and 0.8."
save_figure(fig, "scores_field", alt=alt, caption=caption, numbers={"saddle": saddle[0]}, tolerance=1e-4)
print(f"saddle at ({saddle[0]:.4f}, {saddle[1]:.4f})")

# %% [markdown]
# The saddle sits at $-0.07$, hardly away from the middle, although one side weighs
# four times as much as the other. You can derive it. Along $x = (t, t)$ the
# responsibilities are equal where $20\,t = -\log 4$, at $t = -0.0693$. The score is
# zero a little further out, where $5\,(r_2 - r_1) = t$: at $t = -0.0707$.
#
# ## 1.5 Adding noise
#
# Take a sample from $p$ and add Gaussian noise of standard deviation $\sigma$. Its
# density is the convolution $p_\sigma = p * \mathcal{N}(0, \sigma^2 I)$. For a
# mixture that is again a mixture, and only the covariances change:
#
# $$ S_k \;\longrightarrow\; S_k + \sigma^2 I \qquad\text{(and not } \sigma^2 I \text{ alone: the noise comes on top).} $$
#
# In the whole collection `score(x, sigma)` means $\nabla_x \log p_\sigma(x)$. A
# mixture is such a function, a neural network will be another, and a sampler cannot
# tell them apart.
#
# **Write it.** The score of one Gaussian $\mathcal{N}(m, v\, I)$ seen through noise of
# standard deviation $\sigma$. One line is enough.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_score(x, mean, variance, sigma):
#     return (mean - x) / (variance + sigma**2)
# ```
# </details>


# %%
def my_score(x, mean, variance, sigma):  # x: (B, D), mean: (D,); variance and sigma: numbers; returns (B, D)
    ...


practice.noisy_score(my_score)

# %% [markdown]
# The package diagonalises each covariance $S_k = U_k \Lambda_k U_k^\top$ once, because
# noise only adds $\sigma^2$ to the eigenvalues. Here is the code that runs:

# %%
show(GaussianMixture._joint, GaussianMixture._pull, docstring=False)

# %% [markdown]
# The rows of `variance` are your $v + \sigma^2$, and the `softmax` is that of section
# 1.3. Everything stays in logarithms until then, so that a point 40 standard
# deviations away, where $p \approx e^{-800}$ is zero even in double precision, still gets
# its score. Nothing in it assumes two dimensions.
#
# **Predict:** with $\sigma = 0, 3, 8$, how many modes will $p_\sigma$ have? And
# what happens to the length of the arrows far away?
#
# <details><summary>Answer</summary>
#
# Two, two, and one. Let $s^2$ be the variance of each component, 1 here. The modes are
# $5\sqrt2 \approx 7.07$ from the middle; with equal weights the bumps melt into one when
# $s^2 + \sigma^2$ reaches $7.07^2$, at $\sigma = 7$. With uneven weights the lighter bump
# vanishes earlier, here at $\sigma = 4.64$. At a fixed point far from both modes the arrow
# shrinks about like $1/(s^2 + \sigma^2)$: a wide density has a short score. That is the
# reason why step sizes will grow with $\sigma^2$ in notebook 7. (At a *typical* point of
# $p_\sigma$, which moves outwards as $\sigma$ grows, each coordinate of the score
# is of size $1/\sqrt{s^2 + \sigma^2}$.)
# </details>

# %%
fig, axes = plt.subplots(1, 3, figsize=(10.5, 4.3))
far = torch.tensor([[12.0, -12.0]], dtype=torch.float64)
lengths = {}
for ax, sigma in zip(axes, (0.0, 3.0, 8.0), strict=True):
    density(ax, mixture.perturb(sigma).log_prob, extent=14)
    score_field(ax, mixture, extent=14, sigma=sigma, n=15)
    lengths[f"far_sigma_{sigma:.0f}"] = mixture(far, sigma).norm().item()
    ax.set(xlabel="$x_1$", ylabel="$x_2$")
    ax.set_title(rf"$\sigma$ = {sigma:.0f}" + f"\nscore at (12, -12): length {lengths[f'far_sigma_{sigma:.0f}']:.3f}")
alt = (
    "Three panels with growing noise. Without noise: two small blobs, and arrows to the nearer one. With noise 3: two "
    "wide blobs, almost the same arrows. With noise 8: one large blob at the upper right, and arrows to a place "
    "between the two."
)
caption = r"The mixture with added noise of $\sigma$ = 0, 3 and 8: two modes become one, and arrows shorter."
save_figure(fig, "scores_noise", alt=alt, caption=caption, numbers=lengths)

# %% [markdown]
# Each panel draws its longest arrow equally long; compare the lengths in the
# titles. At the point $(12, -12)$ they follow $1/(s^2 + \sigma^2)$ exactly: 17.49, a
# tenth of that, a 65th of that. The point lies on the line $x_1 + x_2 = 0$, equally far from both
# modes, so that the responsibilities are the weights at every $\sigma$. At other
# points the responsibilities change with $\sigma$, and the law holds only roughly.
#
# The third panel shows what noise will be good for. Far from all data the
# arrows of the first panel point to the *nearest* mode. Those of the third aim at
# a point between the two, $\sum_k r_k\, \mu_k$: both components pull, and their
# responsibilities change slowly with $x$, as
# $\log (r_2/r_1) = \log 4 + 10\,(x_1 + x_2)/65$. The more noise, the closer the
# responsibilities are to the weights everywhere, and the closer the target of the arrows
# is to the mean of the whole mixture, $(3, 3)$: with much noise only the coarse
# structure of the density is left. Little noise keeps the details, and the arrows see
# the nearest mode only. With much noise the arrows see all modes, and no details. One
# noise level is not enough, and notebooks 7 and 8 will use a whole ladder of them.
#
# An arrow aims at the point $x + (1 + \sigma^2)\, s(x)$, so we can print where those of
# the third panel aim: from its lower left corner, from the middle of its left side, from
# the point in the titles, and from its upper right corner.

# %%
places = torch.tensor([[-14.0, -14.0], [-14.0, 0.0], [12.0, -12.0], [14.0, 14.0]], dtype=torch.float64)
for place, aim in zip(places.tolist(), (places + (1 + 8**2) * mixture(places, 8.0)).tolist(), strict=True):
    print("from ({:3.0f}, {:3.0f}) the arrow aims at ({:4.1f}, {:4.1f})".format(*place, *aim))

# %% [markdown]
# The same score can be computed in two ways, and that is a test: by `perturb`, which makes
# a mixture of larger covariances, or with `sigma` as an argument. The argument may also be
# different for each row, which is how networks will be trained:

# %%
some = mixture.sample(4, generator=generator).double()
sigmas = torch.tensor([0.1, 1.0, 3.0, 10.0], dtype=torch.float64)
together = mixture(some, sigmas)
one_by_one = torch.cat([mixture.perturb(sigma.item())(row[None]) for row, sigma in zip(some, sigmas, strict=True)])
for sigma, first, second in zip(sigmas, together, one_by_one, strict=True):
    print(f"sigma {sigma:4.1f}: by the argument {first[0]:9.6f}, by perturb {second[0]:9.6f}")
assert torch.allclose(together, one_by_one, rtol=1e-10)

# %% [markdown]
# ## 1.6 Trap: "follow the score and you get a sample"
#
# The arrows lead to where data are likely. So start anywhere, follow them, and you
# arrive at a typical sample? It sounds right. We take 2000 points that *are*
# perfect samples and let them follow the arrows, once without and once with fresh
# noise in each step.
#
# **Predict:** what will the 2000 points look like after 200 steps
# $x \leftarrow x + \frac{\alpha}{2} s(x)$? And what if each step also adds
# $\sqrt{\alpha}\, z$, with $z \sim \mathcal{N}(0, I)$?
#
# <details><summary>Answer</summary>
#
# Without noise every point climbs to a mode and stays: two dots, although we began
# with perfect samples. The gradient alone is an optimiser. With the noise the cloud
# keeps its shape: for small steps, climbing and spreading balance each other
# exactly when the points are distributed like $p$.
# </details>

# %%
alpha, start = 0.1, mixture.sample(2000, generator=generator)
climbed = start.clone()
for _ in range(200):
    climbed = climbed + alpha / 2 * mixture(climbed)
danced = last(langevin(mixture, start, alpha=alpha, n_steps=200, generator=generator))

# %%
clouds = {"samples": start, "the score alone": climbed, "the score and noise": danced}
fig, axes = plt.subplots(1, 3, figsize=(10.5, 4.3))
widths = {}
for ax, (title, cloud) in zip(axes, clouds.items(), strict=True):
    widths[title] = mode_moments(cloud, mixture)[1][1].diagonal().mean().sqrt().item()
    scatter(ax, cloud, extent=9, ms=5 if widths[title] < 0.1 else 2.5)
    ax.set(title=f"{title}\nupper mode: std {widths[title]:.2f}", xlabel="$x_1$", ylabel="$x_2$")
alt = (
    "Three panels of points. Samples: two round clouds. The score alone: two dots, in the middles of the clouds. "
    "The score and noise: two round clouds as on the left."
)
caption = "Two thousand samples, and what becomes of them after 200 steps along the score, without and with noise."
save_figure(fig, "scores_trap", alt=alt, caption=caption, numbers=widths, tolerance=0.02)

# %% [markdown]
# The points on the right are in other places than on the left: each has wandered about
# its mode and forgotten where in it it began. Their *distribution* stayed the same. (Up
# to the finite step: the standard deviation in the title is a little above 1, and
# notebook 2 says by how much.) So a step with noise leaves $p$ as it is. Whether many
# steps also *find* $p$ from a bad start is a different question, and notebooks 2 and 7
# are about it.
#
# ## 1.7 Your turn
#
# Move one slider at a time, and say before you move it what the picture will do.
# Some things to look for:
#
# - Move the **weight** from one end to the other. The density changes at once; how much
#   do the arrows change? Then bring the components closer, to a **distance** of 3, and try
#   again.
# - Set the **weight** to 0.5 and the **distance** to 3, and raise the **noise**: at
#   which $\sigma$ does the valley between the modes become a mode? (Exercise 2
#   predicts 1.12.) Why does the left mode vanish much earlier at weight 0.2?
# - Give the left component a **correlation** of 0.9. Do the arrows still point to its
#   mean? Where not, why not?
# - Shrink the **std** of the left component to 0.3: its arrows grow beside those of the
#   right one. (The longest is always drawn as long as a cell, so you see the others
#   shrink; the right panel has the true size.) Why, if "the score points to the
#   mean" for both?
#
# <details><summary>Answers</summary>
#
# - At a distance of 6 the arrows hardly change: only the point where they turn, on the line
#   between the modes, moves from $-0.73$ (weight 0.02) to $+0.73$ (weight 0.98). At the
#   origin itself the score goes from $+2.88$ to $-2.88$, because it is that turning point
#   which passes there. At a distance of 3 the weight decides more: at its ends the lighter
#   mode is gone.
# - At about 1.1 the curve on the right flattens in the middle. At weight 0.2 the left mode
#   vanishes at $\sigma = 0.11$: it is a bump on the flank of the heavier component. Even
#   without noise the mode and the valley lie close together, at $-1.22$ and $-0.99$.
# - Only along the long and the short axis of the ellipse. Elsewhere $-\Sigma^{-1}(x - \mu)$
#   turns the arrow towards the long axis: it goes down the short way first. One unit above
#   the mean it would point straight down without the correlation; with 0.9 it points down
#   and to the right, $(4.7, -5.3)$.
# - At one standard deviation the score has length 1/std, and at a given distance from the
#   mean $d/\text{std}^2$: eleven times that of the right component at std 0.3. A score points
#   to the mean *and* says how steep the log-density is there.
# </details>

# %%
ScoreFieldExplorer()

# %% [markdown]
# ## What you should be able to do now
#
# - Say what a score is, and why it does not need the normalising constant.
# - Derive the score of a Gaussian mixture, and name the only place where the
#   weights come in.
# - Check a gradient by finite differences, and know why to do so in double
#   precision.
# - Say what adding noise does to a mixture: to its covariances, the number of its
#   modes, the length of its arrows.
# - Explain why gradient ascent on $\log p$ is not a sampler.
#
# ## Exercises
#
# 1. Show that $\mathbb{E}_p[\nabla \log p] = 0$ for any density that vanishes at
#    infinity, and confirm it with 100,000 samples of `mixture`. Which error do you
#    expect for the mean? (Compare with the standard error.)
#    <details><summary>Hint</summary>
#
#    $p \nabla \log p = \nabla p$, and the integral of a derivative is a boundary term.
#    </details>
#    <details><summary>Answer</summary>
#
#    $\mathbb{E}[\partial_i \log p] = \int \partial_i p\, dx = 0$, as $p$ is zero at both ends of
#    every line. Each coordinate of the score has standard deviation 1.00 here (within a
#    mode it is $-(x - \mu)$, whose variance is 1), so the mean of 100,000 scatters by
#    $1/\sqrt{10^5} = 0.0032$. With seed 0 the mean is (0.0047, 0.0018), 1.5 and 0.6 standard
#    errors.
#    </details>
# 2. For two components of equal weight at $\pm a$ with variance $v$, expand the
#    score around 0 and show that the middle turns from a valley into a mode exactly
#    at $v = a^2$. Find the same point with the `perturb` of
#    `GaussianMixture([[-a], [a]], v)` and a few lines of code.
#    <details><summary>Hint</summary>
#
#    For equal weights $r_2 - r_1 = \tanh(a x / v)$.
#    </details>
#    <details><summary>Answer</summary>
#
#    $s(x) = \frac1v \big( a \tanh(a x/v) - x \big) \approx \frac1v \big( \frac{a^2}{v} - 1 \big) x$. The
#    middle repels where $a^2 > v$ and attracts where $a^2 < v$. By code: halve an interval of
#    $\sigma$ by the sign of the score at $x = 0.001$. With $a = 1.5$ and $v = 1$ it changes at
#    $\sigma = 1.118 = \sqrt{1.5^2 - 1}$.
#    </details>
# 3. Write the score of $p(x) \propto e^{-|x|}$ and of the uniform density on an
#    interval. Where does either of them not exist? What does adding a little noise
#    change? (`ncsn_edu.UniformBoxes([[0.5]], 1.0)` is the uniform density on
#    $[0, 1]$, with its score for any $\sigma > 0$.)
#    <details><summary>Answer</summary>
#
#    $-\mathrm{sign}(x)$, which does not exist at 0; and 0 inside the interval, undefined outside
#    and at its ends. Neither satisfies what Gaussians make us expect: the first does not
#    grow with the distance, the second says nothing about where the data end. Noise makes
#    both smooth. With $\sigma = 0.1$ the first is $-0.37$ at 0.05, $-0.95$ at 0.2 and $-1$ from
#    there on; the second is 7.98 at $x = 0$, 2.88 at 0.1 and 0 in the middle. At the edge it
#    is $\sqrt{2/\pi}/\sigma$: the less noise, the higher the wall.
#    </details>
#
# ## References
#
# - Y. Song and S. Ermon, *Generative Modeling by Estimating Gradients of the Data
#   Distribution*, NeurIPS 2019: sections 1 and 2.
# - A. Hyvärinen, *Estimation of Non-Normalized Statistical Models by Score
#   Matching*, JMLR 2005: the score and the missing constant.
# - C. Bishop, *Pattern Recognition and Machine Learning*, 2006: chapter 9 on
#   mixtures and responsibilities.
#
# **Next:** [2 · Langevin dynamics](02_langevin.ipynb) makes a sampler of these arrows;
# [3 · Score matching](03_score_matching.ipynb) learns them from samples.
