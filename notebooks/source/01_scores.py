# %% [markdown]
# # 1 · Scores
#
# *Reading and trying: about 25 minutes. Running every cell: about 10 seconds on a laptop, at full scale (two dimensions need no other).*
#
# A **score** is the gradient of a log-density, $s(x) = \nabla_x \log p(x)$. At
# every point of space it is an arrow that says: *data get more likely in this
# direction, and this fast.* The whole collection rests on one observation: if you
# know these arrows, you can draw samples; and arrows can be learned where densities
# cannot.
#
# In this notebook you will
#
# - see why the score does not care about the normalising constant, and why it is
#   the gradient of $\log p$ and not of $p$;
# - compute it in closed form for a Gaussian mixture, in any dimension, and check it
#   against finite differences;
# - watch what added noise does to it;
# - fall into the first trap: the score alone is not a sampler.
#
# You need: derivatives, the density of a Gaussian, and a little PyTorch. Nothing is
# learned from data here yet; that is the subject of
# [notebook 3](03_score_matching.ipynb).

# %%
import math

import torch
from matplotlib import pyplot as plt

from ncsn_edu import GaussianMixture, langevin, last, mode_moments, save_figure, show
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
# The third way leaves the architecture free, needs no adversary, and draws no
# samples during training. And $Z$ is gone because $\log p(x) = -f(x) - \log Z$ and
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
# Not at all, up to rounding. A factor in front of the density is a constant under
# the logarithm, and vanishes in the derivative. The same factor that makes
# densities hard costs a score nothing.
# </details>

# %%
x = torch.linspace(-6, 6, 601, dtype=torch.float64)
mixture_1d = GaussianMixture([[-2.0], [2.0]], 1.0, [0.3, 0.7])
normalised = mixture_1d(x[:, None])[:, 0]
for scale in (1.0, 1000.0):
    gap = (autograd_score(x, scale) - normalised).abs().max().item()
    print(f"times {scale:6.0f}: scores agree to 1e-12: {gap < 1e-12}")

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
# $p'$ dies out together with $p$: at $x = \pm 6$ there is no arrow left to follow,
# just where a distant point needs one. The score grows there, linearly, like that
# of a single Gaussian: $-(x \mp 2)$. Both vanish at the same three places, the two
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
ratio = (normalised[0] / (p * normalised)[0]).item()
save_figure(fig, "scores_why_log", numbers={"log10_ratio_at_-6": math.log10(ratio)}, tolerance=1e-3)
plt.show()

# %% [markdown]
# The picture on the left is what a sampler would see if it followed $\nabla p$:
# nothing at all outside the bumps, and the larger the dimension, the more of space
# is "outside". At $x = -6$ the two differ by a factor of $1/p(-6)$, about 25,000,
# and this is one dimension. At a narrow peak $\nabla p$ errs the other way: halve
# the width of a bump in $D$ dimensions, and $\nabla p$ at its flank grows by
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
# says how much of the point it may claim: the posterior probability that $x$ came
# from component $k$. Remember this: **the weights $w_k$ enter through the
# responsibilities and nowhere else.** Where one component claims everything, its
# weight cannot be seen. Notebook 7 is about nothing else.
#
# Written out for one point, with $S_k = I$:

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
# The package does the same with full covariances. It diagonalises each
# $S_k = U_k \Lambda_k U_k^\top$ once, because noise will only ever add $\sigma^2$
# to the eigenvalues. Here is the code that runs; `sigma` is the noise that section
# 1.5 adds.

# %%
show(GaussianMixture._joint, GaussianMixture._pull, docstring=False)

# %% [markdown]
# Two details are worth a look. Densities are never formed: everything stays in
# logarithms until the softmax, so that a point 40 standard deviations away, where
# $p \approx e^{-800}$ is zero even in double precision, still gets its score. And
# nothing assumes two dimensions.
#
# **Never trust a formula for a gradient, including ours.** A central difference of
# `log_prob` is an independent witness: it knows nothing of responsibilities. We
# take ten dimensions, full random covariances, and points far and near.

# %%
generator = torch.Generator().manual_seed(0)
roots = torch.randn(3, 10, 10, generator=generator, dtype=torch.float64)
means = torch.randn(3, 10, generator=generator, dtype=torch.float64)
tilted = GaussianMixture(means, roots @ roots.mT + torch.eye(10, dtype=torch.float64), [0.2, 0.3, 0.5])
points = 3 * torch.randn(5, 10, generator=generator, dtype=torch.float64)

# %%
h = 1e-4 * torch.eye(10, dtype=torch.float64)
differences = torch.stack([(tilted.log_prob(points + step) - tilted.log_prob(points - step)) / 2e-4 for step in h], 1)
error = (tilted(points) - differences).norm() / differences.norm()
print(f"relative difference below 1e-6: {error.item() < 1e-6}")

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
# The arrows around the two modes look the same: near a mode the other component
# claims nothing, so the field is that of a single Gaussian, whatever its weight.
# The weights only shift the watershed between the two, and by very little.
# </details>

# %%
fig, ax = plt.subplots(figsize=(4.6, 4.6))
density(ax, mixture.log_prob, extent=8)
score_field(ax, mixture, extent=8)
ax.set(title="density and score", xlabel="$x_1$", ylabel="$x_2$")
along = torch.linspace(-1, 1, 200_001, dtype=torch.float64)[:, None] * torch.ones(1, 2, dtype=torch.float64)
saddle = along[mixture(along).norm(dim=1).argmin()]
save_figure(fig, "scores_field", numbers={"saddle": saddle[0]}, tolerance=1e-4)
plt.show()
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
# **Predict:** with $\sigma = 0, 3, 8$, how many modes will $p_\sigma$ have? And
# what happens to the length of the arrows far away?
#
# <details><summary>Answer</summary>
#
# Two, two, and one. The modes are $5\sqrt2 \approx 7.07$ from the middle; once
# $s^2 + \sigma^2$ exceeds about $7.07^2$ the bumps melt into one. (With equal
# weights that is exact; the lighter bump of an uneven pair drowns earlier.) At a
# fixed point far from both modes the arrow shrinks about like
# $1/(s^2 + \sigma^2)$: a wide density has a gentle score. That is the reason why
# step sizes will grow with $\sigma^2$ in notebook 7. (At a *typical* point of
# $p_\sigma$, which moves outwards as $\sigma$ grows, each coordinate of the score
# is of size $1/\sqrt{s^2 + \sigma^2}$.)
# </details>

# %%
fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.7))
far = torch.tensor([[12.0, -12.0]], dtype=torch.float64)
lengths = {}
for ax, sigma in zip(axes, (0.0, 3.0, 8.0), strict=True):
    density(ax, mixture.perturb(sigma).log_prob, extent=14)
    score_field(ax, mixture, extent=14, sigma=sigma, n=15)
    lengths[f"far_sigma_{sigma:.0f}"] = mixture(far, sigma).norm().item()
    ax.set_title(f"sigma = {sigma:.0f}\nlength of the score at (12, -12): {lengths[f'far_sigma_{sigma:.0f}']:.3f}")
save_figure(fig, "scores_noise", numbers=lengths)
plt.show()

# %% [markdown]
# Each panel draws its longest arrow equally long; compare the lengths in the
# titles. At that point they follow $1/(s^2 + \sigma^2)$ exactly: 17.49, a tenth of
# it, a 65th of it. It lies on the line $x_1 + x_2 = 0$, equally far from both
# modes, so that the responsibilities are the weights at every $\sigma$. At any
# other point they change with $\sigma$, and the law holds only roughly.
#
# The third panel shows why noise is going to be useful. Far from all data the
# arrows of the first panel point to the *nearest* mode. Those of the third aim at
# a point between the two, $\sum_k r_k\, \mu_k$: both components pull, and their
# responsibilities change slowly with $x$, as
# $\log (r_2/r_1) = \log 4 + 10\,(x_1 + x_2)/65$. The more noise, the closer they
# are to the weights everywhere, and the closer this point is to the mean of
# *everything*, $(3, 3)$: blurred, the density shows its coarse structure only. A
# little blur keeps the details and loses the overview, a large one the other way
# round. One noise level is never enough, and notebooks 7 and 8 will use a whole
# ladder of them.
#
# An arrow aims at the point $x + (1 + \sigma^2)\, s(x)$, so we can print where those of
# the third panel aim: from its lower left corner, from the middle of its left side, from
# the point in the titles, and from its upper right corner.

# %%
places = torch.tensor([[-14.0, -14.0], [-14.0, 0.0], [12.0, -12.0], [14.0, 14.0]], dtype=torch.float64)
for place, aim in zip(places.tolist(), (places + (1 + 8**2) * mixture(places, 8.0)).tolist(), strict=True):
    print("from ({:3.0f}, {:3.0f}) the arrow aims at ({:4.1f}, {:4.1f})".format(*place, *aim))

# %% [markdown]
# Two ways to the same thing are a test. The score of the perturbed mixture must
# equal the perturbed score, also with a different $\sigma$ for each row, which is
# how networks will be trained:

# %%
some = mixture.sample(4, generator=generator).double()
sigmas = torch.tensor([0.1, 1.0, 3.0, 10.0], dtype=torch.float64)
together = mixture(some, sigmas)
one_by_one = torch.cat([mixture.perturb(sigma.item())(row[None]) for row, sigma in zip(some, sigmas, strict=True)])
print("same score both ways:", torch.allclose(together, one_by_one, rtol=1e-10))

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
# exactly when the points are distributed like $p$. The noise is not a nuisance of
# the sampler, it *is* the sampler.
# </details>

# %%
alpha, start = 0.1, mixture.sample(2000, generator=generator)
climbed = start.clone()
for _ in range(200):
    climbed = climbed + alpha / 2 * mixture(climbed)
danced = last(langevin(mixture, start, alpha=alpha, n_steps=200, generator=generator))

# %%
clouds = {"samples": start, "the score alone": climbed, "the score and noise": danced}
fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.7))
widths = {}
for ax, (title, cloud) in zip(axes, clouds.items(), strict=True):
    widths[title] = mode_moments(cloud, mixture)[1][1].diagonal().mean().sqrt().item()
    scatter(ax, cloud, extent=9).set(title=f"{title}\nstd of the big mode {widths[title]:.2f}")
save_figure(fig, "scores_trap", numbers=widths, tolerance=0.02)
plt.show()

# %% [markdown]
# The right-hand cloud is not the left-hand cloud: the points have wandered about
# their modes and forgotten where in them they began. What stayed the same is their
# *distribution*. A sampler does not know where points belong; it knows how to leave
# $p$ as it is. Whether it also *finds* $p$ from a bad start is a different
# question, and notebooks 2 and 7 are about it.
#
# ## 1.7 Your turn
#
# Move one slider at a time, and say before you move it what the picture will do.
# Some things to look for:
#
# - Move the **weight** from one end to the other. The density changes at once;
#   watch how little the arrows do. Then bring the components closer, and try again.
# - Set the **weight** to 0.5 and the **distance** to 3, and raise the **noise**: at
#   which $\sigma$ does the valley between the modes become a mode? (Exercise 2
#   predicts 1.12.) Why does it happen much earlier at weight 0.2?
# - Give the left component a **correlation**. Do the arrows still point to its
#   mean? Where not, why not?
# - Shrink the **std** of the left component: its arrows grow beside those of the
#   right one. (The longest is always drawn as long as a cell, so you see the others
#   shrink; the right panel has the true size.) Why, if "the score points to the
#   mean" for both?

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
# - Explain to a friend why gradient ascent on $\log p$ is not a sampler.
#
# ## Exercises
#
# 1. Show that $\mathbb{E}_p[\nabla \log p] = 0$ for any density that vanishes at
#    infinity, and confirm it with 100,000 samples of `mixture`. Which error do you
#    expect for the mean? (Compare with the standard error.)
# 2. For two components of equal weight at $\pm a$ with variance $v$, expand the
#    score around 0 and show that the middle turns from a valley into a mode exactly
#    at $v = a^2$. Find the same point with the `perturb` of
#    `GaussianMixture([[-a], [a]], v)` and a few lines of code.
# 3. Write the score of $p(x) \propto e^{-|x|}$ and of the uniform density on an
#    interval. Where does either of them not exist? What does adding a little noise
#    change? (`ncsn_edu.checkerboard()` knows the answer for boxes.)
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
# **Next:** [3 · Score matching](03_score_matching.ipynb) learns these arrows from
# samples; how arrows become samples is the subject of
# [2 · Langevin dynamics](02_langevin.ipynb).
