# %% [markdown]
# # 5 · The manifold hypothesis
#
# *Reading and trying: about 80 minutes. Running every cell: about a minute on a laptop, at a scale of its own: 8x8 digits, or the laptop scale (a quarter of an hour) where CIFAR-10 is on your machine.*
#
# Notebook 3 learns a score from samples alone, by partial integration. Here
# we look at the condition that this needs: the data must fill the space.
# Images do not, and on them the loss has no minimum. You will
#
# - derive why implicit score matching breaks down on a line, and watch it
#   break down on a circle;
# - find the number that noise puts under the loss, and see the loss approach
#   it;
# - reproduce Figure 1 of Song & Ermon 2019 on real images: the loss on clean
#   images, and on images with noise that nobody can see;
# - step into the trap that a falling loss means learning.
#
# You need: the score from [1 · Scores](01_scores.ipynb), implicit score
# matching from [3 · Score matching](03_score_matching.ipynb) and slices from
# [4 · Slices](04_slices.ipynb). All letters are on the page of
# [symbols](symbols.md).
#
# On Google's Colab the next cell gets the package; anywhere else it does nothing.

# %%
import sys

if "google.colab" in sys.modules:
    raise SystemExit("Give the address of the project's repository here: %pip install -q git+https://...")

# %%
import copy
import itertools
import math
from functools import partial

import torch
from matplotlib import pyplot as plt

import ncsn_edu as ne
from ncsn_edu import implicit, practice, recipes, save_figure, show
from ncsn_edu.losses import Slicing
from ncsn_edu.manifold import relative_spread, share_of_bound
from ncsn_edu.plots import BLUE, ORANGE, RED, scatter, score_field, use_style
from ncsn_edu.training import train
from ncsn_edu.widgets import ManifoldExplorer

use_style()

# %% [markdown]
# ## 5.1 Images are a thin set
#
# A photograph of $32 \times 32 \times 3$ values is a point in 3072
# dimensions. Draw such a point at random and you see static, never a
# photograph. Neighbouring pixels are strongly correlated, so that an image
# has far fewer degrees of freedom than pixels. The **manifold hypothesis**
# says: *data lie on, or very close to, a surface of much lower dimension than
# the space around it.*
#
# Principal components show a sign of it. They know flat directions only, and
# a curved surface needs more of them than it has dimensions. So if few
# components carry most of the variance, the true dimension may be lower
# still.

# %%
images, _, name = ne.load_or_digits("cifar10")
dim = images[0].numel()
pixels = images[:5000].flatten(1).double() / 255
variances = torch.cov(pixels.T).diagonal()
print(f"{name}: {dim} dimensions, {int((variances == 0).sum())} of them the same in every image")

# %% [markdown]
# The stored outputs are those of the digits, which come with scikit-learn, so
# that they are the same on every machine. With CIFAR-10 in place you see
# CIFAR-10. (`python -m ncsn_edu doctor` says whether it is, and where it
# belongs.)
#
# On the digits the case is plain without any theory. Four pixels at the
# border are never written on. In these directions the data have *no* extent
# at all: all images lie in a flat subspace. A density over the 64 dimensions
# does not exist.
#
# **Predict:** the next figure has three parts. How many of the principal
# components carry 90 % of the variance: nearly all, one in two, one in three
# or fewer? And noise of standard deviation 0.01, on pixels in $[0, 1]$: will
# you see it?
#
# <details><summary>Answer</summary>
#
# About a third for the digits (on CIFAR-10 about one in thirty: larger images
# have more pixels that repeat their neighbours). The noise is two and a half
# grey values of 255, and hardly to be seen.
# </details>

# %%
share = torch.linalg.eigvalsh(torch.cov(pixels.T)).flip(0).clamp(min=0).cumsum(0)
share = share / share[-1]
needed = int((share < 0.9).sum()) + 1
clean = images[:4].double() / 255
noised = clean + 0.01 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0), dtype=clean.dtype)

# %%
fig, axes = plt.subplot_mosaic([["a", "b", "c"]], figsize=(9.6, 3.1), width_ratios=[1, 1, 1.3])
for key, batch, title in (("a", clean, "clean"), ("b", noised, "with noise of std 0.01")):
    tiles = torch.cat([torch.cat([*batch[:2]], -1), torch.cat([*batch[2:]], -1)], -2)
    axes[key].imshow(tiles.permute(1, 2, 0).clamp(0, 1), cmap="gray", vmin=0, vmax=1)
    axes[key].set(title=title, xticks=[], yticks=[])
axes["c"].plot(torch.arange(1, dim + 1), share, color=BLUE)
axes["c"].plot(needed, 0.9, "o", color=RED)
axes["c"].set(xlabel="principal components", ylabel="share of the variance", title=f"90 % in {needed} of {dim}")
alt = "Four images, clean and with noise, look the same; the share of the variance rises steeply at first."
caption = "Images with invisible noise, and the share of the variance in the first principal components."
if name == "digits":  # photographs of the data set are not stored
    save_figure(fig, "manifold_images_digits", alt=alt, caption=caption, numbers={"needed": needed})
else:
    ne.show_figure(fig, alt=alt, caption=caption)

# %% [markdown]
# The images are clamped to $[0, 1]$ for the display; the data that a model
# gets are not.
#
# **Trap: rank is not dimension.** Pixels that never vary make the covariance
# matrix singular, and one might think that its rank is what matters. A circle
# shows that it is not. Its points have covariance $\frac12 I$, of full rank,
# and still they fill nothing: they lie on a curve, a set without area.

# %%
angles = 2 * math.pi * torch.arange(360) / 360
corners = torch.stack([angles.cos(), angles.sin()], 1)  # of a polygon that is as good as a circle
spectrum = torch.linalg.eigvalsh(torch.cov(corners.T, correction=0))
print("eigenvalues of the covariance:", *(f"{value:.2f}" for value in spectrum.tolist()))
print(f"largest distance from the curve: {(corners.norm(dim=1) - 1).abs().max():.3f}")

# %% [markdown]
# Noise of standard deviation $\sigma$ adds $\sigma^2$ to both eigenvalues,
# from full rank to full rank. What it changes is the **support**: the set
# where the data can be was a curve, and becomes the whole plane. All that
# follows fails on the circle as it fails on a flat subspace.
#
# ## 5.2 What breaks
#
# Two things break, and they are different.
#
# **The score does not exist.** $\nabla_x \log p(x)$ is a gradient in the
# space around the data. Off the surface $p = 0$ and $\log p = -\infty$; on it
# $p$, as a density over the whole space, is infinite. There is nothing to
# differentiate.
#
# **Trap: a point mass has mass 1, not density 1.** Let all data be one point
# of the line, a Dirac distribution. Its *probability* is 1. Its density is no
# number: look at it as the limit of $\mathcal{N}(0, \sigma^2)$, whose density
# at the mean is $1/(\sigma\sqrt{2\pi})$.

# %%
for sigma in (1.0, 0.1, 0.01):
    normal = torch.distributions.Normal(0.0, sigma)
    mass = normal.cdf(torch.tensor(3 * sigma)) - normal.cdf(torch.tensor(-3 * sigma))
    top = normal.log_prob(torch.tensor(0.0)).exp()
    print(f"sigma {sigma}: density at the mean {top:.3f}, mass within three sigma {mass:.3f}")

# %% [markdown]
# The mass stays, the density grows without end. A density also has a unit,
# one over length to the power $D$, so that "density 1" would change with the
# unit of length. A data set of images is a sum of such points.
#
# **Implicit score matching is not consistent.** Its loss
#
# $$ L(s) = \mathbb{E}_p\Big[\operatorname{tr} \nabla s(x) + \tfrac12 \|s(x)\|^2\Big] $$
#
# equals the Fisher divergence
# $J(s) = \frac12 \mathbb{E}_p \|s - \nabla \log p\|^2$ of notebook 3 minus
# the constant $\frac12 \mathbb{E}_p\|\nabla \log p\|^2$, because of one
# partial integration,
#
# $$ \int p(x)\, \partial_i s_i(x)\, dx = \underbrace{\big[\,p\, s_i\,\big]}_{\text{boundary, must be } 0} - \int \partial_i p(x)\, s_i(x)\, dx . $$
#
# It needs a density $p$ that is differentiable on the whole space, and a
# boundary term that vanishes. Data on a surface have no such $p$. Nothing
# stops you from computing $L$ all the same: it asks for samples only. What
# does its minimum mean then?
#
# **The loss has no minimum.** Take data on a straight line in the plane,
# $x_\perp = 0$, and the score model $s(x) = (0, -k\, x_\perp)$: arrows that
# point to the line, of strength $k$. The trace of its derivative is $-k$
# everywhere. And on the data, where $x_\perp = 0$, the arrows have length 0.
# So
#
# $$ L = -k + \tfrac12 \cdot 0 = -k , $$
#
# and $L \to -\infty$ as $k$ grows. The loss rewards a field that gets steeper
# across the line without end. The second term, the length of the arrows,
# stays 0 because no data point is off the line.
#
# **Noise puts a floor under it.** Add Gaussian noise of standard deviation
# $\sigma$. Now $\mathbb{E}\, x_\perp^2 = \sigma^2$, and the same model costs
#
# $$ L = -k + \tfrac12 k^2 \sigma^2 , \qquad\text{smallest at } k = \frac{1}{\sigma^2}, \quad L = -\frac{1}{2\sigma^2} . $$
#
# That is a parabola instead of a slope, with the right answer at its bottom:
# $-x_\perp/\sigma^2$ is the score of $\mathcal{N}(0, \sigma^2)$.
#
# ## 5.3 The same on a circle
#
# Does a network find this way to lower its loss? We train a small net with
# the exact implicit loss, first on points that lie exactly on the unit
# circle, then on the same points with noise $\sigma = 0.2$.


# %%
def ring(n: int, generator: torch.Generator) -> torch.Tensor:
    angle = 2 * math.pi * torch.rand(n, generator=generator)
    return torch.stack([angle.cos(), angle.sin()], 1)


def ring_batches(sigma: float, generator: torch.Generator):
    for _ in itertools.count():
        yield ring(128, generator) + sigma * torch.randn(128, 2, generator=generator)


# %% [markdown]
# The steepness of the field is its **divergence**
# $\operatorname{tr} \nabla s$ on the circle. It is the implicit loss without
# its second term, so we need no new code for it. We train, keep every loss,
# and copy the net at three moments.

# %%
losses, nets = {}, {}
for sigma in (0.0, 0.2):
    torch.manual_seed(0)
    net, losses[sigma] = ne.ScoreMLP(hidden=(64, 64)), []
    data = ring_batches(sigma, torch.Generator().manual_seed(0))
    for state in train(net, data, objective=partial(implicit, rows_at_once=2), n_steps=600, lr=5e-3):
        losses[sigma].append(state.loss)
        if state.step in (150, 300, 600):
            nets[sigma, state.step] = copy.deepcopy(net)

# %% [markdown]
# **Predict:** the upper row of the next figure shows the field learned from
# the clean circle after 150, 300 and 600 steps, the lower row that from the
# noised one. Each title gives the mean divergence on the circle. Where does
# each row go? For the lower one you can say the number: across the circle the
# data are very nearly $\mathcal{N}(0, 0.2^2)$.
#
# <details><summary>Answer</summary>
#
# In the upper row towards minus infinity: the divergence is below $-100$
# after 300 steps and below $-1000$ after 600, and nothing stops it. In the
# lower row to about $-1/\sigma^2 = -25$, where it stays.
# </details>


# %%
def divergence(net: torch.nn.Module, x: torch.Tensor) -> float:
    return (implicit(net, x) - 0.5 * net(x).square().sum(1)).mean().item()


# %%
draw = torch.Generator().manual_seed(1)
points = ring(400, draw)
seen = {0.0: points, 0.2: points + 0.2 * torch.randn(400, 2, generator=draw)}  # as the nets see them
values = {key: divergence(net, points) for key, net in nets.items()}
numbers = {f"log10_{'noised' if sigma else 'clean'}_{step}": math.log10(-v) for (sigma, step), v in values.items()}
tolerance = {key: 0.05 if key.startswith("log10_noised") else 0.1 for key in numbers}

# %%
fig, axes = plt.subplots(2, 3, figsize=(9.6, 6.6))
for ax, ((sigma, step), net) in zip(axes.flat, nets.items(), strict=True):
    score_field(ax, lambda x, sigma, net=net: net(x.float()), extent=1.7, max_length=10)
    scatter(ax, seen[sigma], extent=1.7, color=ORANGE if sigma else BLUE)
    value = values[sigma, step]
    ax.set_title(f"step {step}: divergence {value:,.0f}\nas if the noise were {(-value) ** -0.5:.2f}", fontsize=10)
    ax.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1])
axes[0, 0].set_ylabel("trained on the clean circle")
axes[1, 0].set_ylabel("trained with noise 0.2")
alt = "Arrow fields. Trained on a clean circle all arrows become long; with noise they settle and stay short at it."
caption = "Fields learned from a clean circle (top) and from one with noise (bottom); dots are training data."
save_figure(fig, "manifold_circle", alt=alt, caption=caption, numbers=numbers, tolerance=tolerance)

# %% [markdown]
# Arrows longer than 10 are drawn as if they were 10, so that the panels can
# be compared. In the lower row the arrows are short near the circle and
# settle. In the upper row, by step 600, nearly all arrows are at the limit,
# right up to the circle itself: with a slope of 2000, a point only 0.005 away
# from it has an arrow of length 10 already.
#
# The second line of each title turns a divergence into the noise that it
# would be right for, $\sigma = 1/\sqrt{k}$. On the noised data this number
# settles near 0.2. On the clean data the net first acts as if the noise were
# 0.45, then 0.07, then 0.02. The data have no score at which it could settle,
# and every moment of stopping gives another answer.
#
# Now the losses. For the noised circle we know how low the loss can get.
# Hyvärinen's theorem says that the implicit loss is the Fisher divergence
# minus the constant $\tfrac12 \mathbb{E}\|\nabla \log p_\sigma\|^2$, and the
# divergence is 0 at best. So
#
# $$ \min_s L(s) = -\tfrac12\, \mathbb{E}_{p_\sigma} \|\nabla \log p_\sigma(x)\|^2 . $$
#
# **Write it.** The lowest possible loss, estimated from the true scores at
# $N$ points of the noised data.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_lowest(s):
#     return -0.5 * s.square().sum(1).mean()
# ```
# </details>


# %%
def my_lowest(s):  # s: the scores (N, D) at N points of the data; returns a number
    ...


practice.lowest_loss(my_lowest)

# %% [markdown]
# The circle with noise is `ne.circle(std=0.2)`, 200 Gaussians side by side,
# and its score is known in closed form.

# %%
truth = ne.circle(std=0.2)
x = truth.sample(200_000, generator=torch.Generator().manual_seed(2))
lowest = -0.5 * truth(x).square().sum(1).mean().item()
print(f"lowest possible loss with noise 0.2: {lowest:.1f}; a straight line would have {-1 / (2 * 0.2**2):.1f}")

# %% [markdown]
# **Predict:** the two loss curves. Will the noised one touch the dashed line,
# cross it, or stay away from it? What does the clean one do there?
#
# <details><summary>Answer</summary>
#
# The noised loss comes down to the line and scatters about it. Single batches
# of 128 points may lie below, because the line is a bound for the mean over
# the distribution. The clean loss passes the line without a change: for clean
# data there is no such bound.
# </details>

# %%
fig, ax = plt.subplots(figsize=(7.2, 3.6))
ax.plot(losses[0.0], color=BLUE, lw=0.9, label="clean circle")
ax.plot(losses[0.2], color=ORANGE, lw=0.9, label="with noise 0.2")
ax.axhline(lowest, color=RED, ls="--", lw=1, label="lowest possible with noise 0.2")
ax.set_yscale("symlog", linthresh=1)
ax.set(xlabel="step", ylabel="implicit loss (deeper is lower)", ylim=(-1e4, 5))
ax.legend(loc="lower left", fontsize=8)
ends = {key: torch.tensor(losses[sigma][-100:]).mean().item() for key, sigma in (("clean", 0.0), ("noised", 0.2))}
numbers = {"lowest": lowest, "noised_end": ends["noised"], "log10_clean_end": math.log10(-ends["clean"])}
alt = "Both losses rest near minus 2; with noise the loss settles at a dashed line, without it falls below -1000."
caption = "Implicit losses of the two nets, and the lowest loss that is possible with noise."
save_figure(
    fig,
    "manifold_losses",
    alt=alt,
    caption=caption,
    numbers=numbers,
    tolerance={"lowest": 0.02, "noised_end": 0.5, "log10_clean_end": 0.1},
)

# %%
scatters = {}
for key, sigma in (("clean", 0.0), ("noised", 0.2)):
    tail, k = torch.tensor(losses[sigma][-100:]).double(), torch.arange(100.0).double()
    slope = torch.cov(torch.stack([tail, k]))[0, 1] / k.var()
    scatters[key] = ((tail - slope * k).std() / tail.mean().abs()).item()  # without the trend
    share = ends[key] / lowest
    print(f"{key}: loss ≈ {ends[key]:.0f}, ≈ {share:.2f} times the lowest; scatters by ≈ {scatters[key]:.0%} of it")
assert abs(ends["noised"] / lowest - 1) < 0.15 and ends["clean"] / lowest > 50
assert scatters["clean"] < 0.1 < scatters["noised"]

# %% [markdown]
# At the start both losses rest on a shelf near $-2$. You can compute it: the
# best field that is *linear*, $s(x) = -a x$, has trace $-2a$ and, on the
# circle, squared length $a^2$. So $L = -2a + a^2/2$, which is smallest at
# $a = 2$, with $L = -2$. (With noise
# $\mathbb{E}\|x\|^2 = 1 + 2\sigma^2 = 1.08$, and the shelf lies at
# $-2/1.08 = -1.85$.) Both nets first learn a field that points to the middle.
# Then they become able to bend the field at the circle, and the two losses
# part.
#
# Note how quietly the clean run goes wrong. There is no NaN, no warning, no
# jump. Over the last 100 steps, without its trend, the clean loss scatters by
# a smaller share of its size than the noised one. If you had only the clean
# curve, you might call it a success. On images it will be less quiet.
#
# ## 5.4 A floor for any data
#
# For images nobody knows $\mathbb{E}\|\nabla \log p_\sigma\|^2$. But a bound
# holds for *every* data set. Tweedie's formula (notebook 3) writes the score
# of the noised data $\tilde x = x + \sigma z$ as a conditional mean,
# $\nabla \log p_\sigma(\tilde x) = -\mathbb{E}[z \mid \tilde x]/\sigma$. The
# square of a mean is at most the mean of the square, so
#
# $$ \mathbb{E}\|\nabla \log p_\sigma\|^2 = \frac{1}{\sigma^2}\, \mathbb{E}\big\|\mathbb{E}[z \mid \tilde x]\big\|^2 \;\le\; \frac{1}{\sigma^2}\, \mathbb{E}\|z\|^2 = \frac{D}{\sigma^2},
#    \qquad\text{hence}\quad L \ge -\frac{D}{2\sigma^2} . $$
#
# **Trap: the two are not equal.** For any random vector
# $\mathbb{E}\|y\|^2 = \|\mathbb{E}\,y\|^2 + \operatorname{tr}\operatorname{Cov}(y)$,
# and the second term is easily forgotten. With $y = z$ given $\tilde x$ it
# says
#
# $$ \underbrace{\mathbb{E}\|z\|^2}_{D} = \underbrace{\mathbb{E}\big\|\mathbb{E}[z \mid \tilde x]\big\|^2}_{\sigma^2\, \mathbb{E}\|\nabla\log p_\sigma\|^2} + \;\mathbb{E}\operatorname{tr}\operatorname{Cov}(z \mid \tilde x) . $$
#
# The first term on the right is the part of the noise that can be seen in
# $\tilde x$, the second the part that cannot; half of the second is the floor
# of denoising (section 3.5). Here $\tilde x - x = \sigma z$ is distributed as
# $\mathcal{N}(0, \sigma^2 I)$. We count on the circle, with one $z$ a point:

# %%
draw = torch.Generator().manual_seed(5)
clean, z = ring(200_000, draw), torch.randn(200_000, 2, generator=draw)
mean = -0.2 * truth(clean + 0.2 * z)  # E[z | x~], by Tweedie's formula
parts = {name: v.square().sum(1).mean().item() for name, v in (("z", z), ("E[z|x~]", mean), ("z - E[z|x~]", z - mean))}
print("mean squares:", "; ".join(f"{name} {value:.2f}" for name, value in parts.items()))
assert abs(parts["z"] - parts["E[z|x~]"] - parts["z - E[z|x~]"]) < 0.02

# %% [markdown]
# Of the two units of noise about one is seen, the one across the circle, and
# about one is not, the one along it.
#
# When is the bound reached? The argument of the line gives $-1/(2\sigma^2)$
# for each direction *across* the surface and next to nothing for those along
# it. As long as $\sigma$ is small beside the bends of the surface, the lowest
# loss is about $-(D - d)/(2\sigma^2)$ for a surface of dimension $d$: the
# fewer dimensions it has, the closer the bound. For the circle, with one
# direction across, the lowest loss is half of $-D/(2\sigma^2) = -25$.
#
# ## 5.5 Figure 1: real images
#
# The paper trains a ResNet of 32 filters by variance-reduced sliced score
# matching with Adam (learning rate $10^{-3}$, batches of 128) for 50,000
# iterations, on CIFAR-10 as it is and with noise of variance 0.0001, standard
# deviation 0.01. All of this is written down in one place of the package, for
# three scales; the published code (`configs/scorenet.yml`) has the same
# numbers. The published net is U-shaped and has normalisation; ours keeps the
# full size and has none.

# %%
of_the_paper = recipes.RECIPES["manifold"]["paper"]
recipe = recipes.RECIPES["manifold"]["laptop"] if name == "cifar10" else recipes.MANIFOLD_DIGITS
ours, papers = recipes.settings(recipe), recipes.settings(of_the_paper)
for key in ("data", "width", "blocks", "batch_size", "n_steps", "lr", "sigma"):
    print(f"{key:11} {ours[key]!s:9} paper: {papers[key]}")
assert not ours["dequantize"] and not papers["dequantize"]

# %% [markdown]
# The same place says what is learned: from which batches, with which noise,
# by which slices; and the objective is the loss that `train` minimises.

# %%
show(recipe.learned, Slicing.__call__, docstring=False)

# %% [markdown]
# One setting deserves a question: are the images **dequantised**? A grey
# value $k$ of 0 to 255 becomes $k/255$, or $(k + u)/256$ with $u$ uniform in
# $[0, 1]$. The second fills small cubes around the images, so that the data
# *have* a density, and one might hope that the trouble is over. The published
# code of this figure does not dequantise, and the claim is about data without
# a density. So we do not either (the cell above asserts it). Section 5.6
# tries the cubes.
#
# Six runs: three seeds, each once clean and once with noise. The two runs of
# a seed start from the same net, see the same images in the same order, and
# slice along the same directions. The noise is all that differs.

# %%
curves = {sigma: [] for sigma in (0.0, recipe.sigma)}
for sigma, seed in itertools.product(curves, range(3)):
    states = recipes.changed(recipe, sigma=sigma).training(images, seed=seed)
    bar = ne.progress(states, states.n_steps, f"noise {sigma:g}, seed {seed}")
    curves[sigma].append([state.loss for state in bar])

# %% [markdown]
# Two numbers sum up a run. The first is the usual one for such curves, the
# **relative spread**: standard deviation over size of the mean, in the last
# third of the run. The second uses what section 5.4 gave us: the mean of the
# last third as a **share of the bound** $-D/(2\sigma^2)$. On noised data no
# score can come above 1, but for the scatter of batches.
#
# **Write it.** The share of the bound, from the list of the losses.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_share(losses, sigma, D):
#     tail = losses[-(len(losses) // 3) :]
#     return sum(tail) / len(tail) / (-D / (2 * sigma**2))
# ```
# </details>


# %%
def my_share(losses, sigma, D):  # a list of numbers, and two numbers; returns a number
    ...


practice.share_of_bound(my_share)

# %% [markdown]
# Both as the library has them:

# %%
show(relative_spread, share_of_bound, docstring=False)

# %% [markdown]
# **Predict:** the losses of both kinds over the steps, in units of the bound.
# The axis is logarithmic, and it points down: $1$ is the bound, and what lies
# below the dashed line is deeper. Which curves end where? Which fluctuate
# more?
#
# <details><summary>Answer</summary>
#
# The clean losses dive through the bound and go on, and swing. The noised
# ones come down just as fast at first, then bend, and descend slowly at a
# fraction of the bound. They are still far from it: so short a training has
# not arrived, and a small net may not be able to hold the optimum at all.
# </details>

# %%
bound = dim / (2 * recipe.sigma**2)
table = {}
for sigma, runs in curves.items():
    spread = torch.tensor([relative_spread(run) for run in runs])
    part = torch.tensor([share_of_bound(run, recipe.sigma, dim) for run in runs])
    table["noised" if sigma else "clean"] = (spread, part)
numbers = {f"{kind}_spread": spread.mean() for kind, (spread, _) in table.items()}
numbers |= {f"log10_{kind}_share": part.log10().mean() for kind, (_, part) in table.items()}
tolerance = {"clean_spread": 0.05, "noised_spread": 0.02, "log10_clean_share": 0.1, "log10_noised_share": 0.03}

# %% [markdown]
# (The figure is stored under the name of its data, because the numbers of
# digits and of CIFAR-10 have nothing to do with each other.)

# %%
fig, axes = plt.subplots(1, 2, figsize=(9.6, 3.6), sharey=True)
for ax, runs, kind, color in zip(axes, curves.values(), table, (BLUE, ORANGE), strict=True):
    ax.semilogy(-torch.tensor(runs).T / bound, color=color, lw=0.7, alpha=0.6)
    ax.axhline(1, color=RED, ls="--", lw=1, label="bound with noise: $-D/(2\\sigma^2)$")
    spread, part = table[kind]
    title = f"{kind}: relative spread {spread.mean():.2f} ± {spread.std():.2f}"
    ax.set(xlabel="step", title=f"{title}\nshare of the bound {part.mean():.2g} ± {part.std():.1g}")
axes[0].set(ylabel="loss / bound (deeper is further down)", ylim=(20, 0.01))
axes[1].legend(fontsize=8, loc="lower left")
alt = "On an axis that points down the clean losses pass a dashed bound; the noised ones bend and stay above it."
caption = "Three runs each, clean and with noise 0.01, in units of the bound, which holds with the noise only."
if name == "cifar10":
    save_figure(fig, "fig1_manifold_cifar10", alt=alt, caption=caption, numbers=numbers, tolerance=tolerance)
else:
    save_figure(fig, "fig1_manifold_digits", alt=alt, caption=caption, numbers=numbers, tolerance=tolerance)

# %%
for kind, (spread, part) in table.items():
    print(f"{kind}: share of the bound ≈ {part.min():.2f} to ≈ {part.max():.2f}, spread ≈ {spread.mean():.2f}")
assert table["clean"][1].min() > 1 > 0.5 > table["noised"][1].max()
assert table["clean"][0].min() > table["noised"][0].max()

# %% [markdown]
# That is the paper's claim, on small images. Without noise the loss finds no
# bottom, and the deeper it falls the more it swings. With invisible noise it
# bends.
#
# The spread says so, but note what it cannot say. It counts the steady
# descent of a run as spread, too, and a part of the noised runs' 0.23 is just
# that: they have not arrived. The spread does not know where a loss ought to
# be. The share of the bound is clearer. A loss that lies lower than *any*
# score could bring it with noise 0.01 is a loss that has no bottom within
# reach, and this was three hundred steps of the paper's fifty thousand.
#
# Why do the clean losses swing? The likely reason: a steep field has arrows
# that change direction within a small distance, so that a tiny step of the
# optimiser moves the steep places off the data. There the arrows are long,
# and $\tfrac12\|s\|^2$ has to be paid after all, until the next steps put
# things right. The steeper the field, the more sensitive it is. There is no
# equilibrium to come to rest in.
#
# On CIFAR-10, with the laptop recipe (width 12, three blocks, batches of 64,
# 240 steps), we measured over three seeds:
#
# | | relative spread | share of the bound |
# |---|---|---|
# | clean | 0.33 ± 0.08 | 3.6 ± 2 |
# | with noise 0.01 | 0.10 ± 0.05 | 0.23 ± 0.05 |
#
# The curves are in
# [figures/fig1_manifold_cifar10.png](../figures/fig1_manifold_cifar10.png),
# and the picture is that of the paper: the clean losses jump up and down, one
# of them between 3 and 12 times the bound in its last third, and those with
# noise are almost smooth lines. The clean runs differ much from seed to seed,
# as they must where nothing converges. To make the figure anew, put CIFAR-10
# on your machine and run this notebook; it takes about a quarter of an hour.
#
# The paper's own setting is one command:
# `python -m ncsn_edu train manifold --scale paper`. It writes every loss into
# a file while it runs. On one core of a processor a step takes seconds, and
# two runs of 50,000 steps take days, so it wants a GPU.
#
# ## 5.6 Trap: "the loss goes down, so it learns"
#
# In most of machine learning a falling training loss is good news, at least
# about the training. Here the clean loss falls faster and lower than the
# noised one, and the clean run is the broken one. Two experiments show how
# well the trap is hidden.
#
# **Which field is better?** Take both nets from the circle, and ask each for
# the score of the data with noise 0.2, which we know. The clean net was not
# asked to learn that noise level. But no score exists for the data that it
# saw.

# %%
x = truth.sample(10_000, generator=torch.Generator().manual_seed(3))
errors = {}
for sigma, kind in ((0.2, "noised"), (0.0, "clean")):
    length = truth(x).norm(dim=1).mean()
    errors[kind] = ((nets[sigma, 600](x) - truth(x)).norm(dim=1).mean() / length).item()
    print(f"{kind}: mean error ≈ {errors[kind]:.2g} of the true length")
assert errors["noised"] < 0.7 and errors["clean"] > 20

# %% [markdown]
# The clean net has the lower loss, by a factor of more than a hundred, and
# its arrows are wrong by dozens of times the true length. A loss on its way
# to minus infinity is not learning: these are losses of two different
# problems, and only one of them has a solution. **Compare a loss only with
# the best possible loss of the same problem.**
#
# **Does dequantisation help?** It gives the data a density: each image
# becomes a small cube of side $h = 1/256$, evenly filled. But inside a cube
# the density is constant, so that its score is 0 there, and at the walls,
# where $p$ jumps, there is no score. What does the implicit loss make of
# that? In one dimension, on a single cell $[0, h]$, let the model be 0 except
# near the ends, where it rises over a width $w$ to $+M$ at the left end, and
# falls to $-M$ at the right end. Then
#
# $$ \mathbb{E}[s'] = \frac{s(h) - s(0)}{h} = -\frac{2M}{h}, \qquad
#    \tfrac12\,\mathbb{E}[s^2] = \frac{1}{2h} \cdot 2 \cdot \frac{M^2 w}{3} = \frac{M^2 w}{3h} . $$
#
# Let $w \to 0$ first, and the second term vanishes; then $M \to \infty$, and
# again $L \to -\infty$. The cause is the boundary term of section 5.2: $p\,s$
# does not vanish at the edges of the cube, where $p$ jumps. A density is not
# enough; it must be a differentiable one. Gaussian noise makes a
# differentiable density, uniform noise does not.
#
# Before you run it: a dequantised clean run, one seed. Will its *spread* be
# that of the clean or that of the noised runs? And where is its loss?

# %%
states = recipes.changed(recipe, dequantize=True, sigma=0.0).training(images)
run = [state.loss for state in ne.progress(states, states.n_steps, "dequantised")]
spread, part = relative_spread(run), share_of_bound(run, recipe.sigma, dim)
print(f"dequantised: relative spread ≈ {spread:.2f}; share of the bound of noise 0.01 ≈ {part:.2f}")
assert spread < table["clean"][0].min() and part > 1

# %% [markdown]
# The dequantised run is somewhat calmer, and broken all the same. The cubes
# are small: their standard deviation is $h/\sqrt{12} = 0.0011$, a ninth of
# that of the noise. To a smooth net they look like noise of that size, with a
# bound eighty times lower, and until the loss comes near that bound nothing
# slows it. The spread alone would have called this run the better one. Look
# at the level as well.
#
# The lesson for your own runs: before you train, write down the best possible
# loss, or a bound for it. After training, compare. A mean loss clearly below
# its bound is never luck. There is a mistake in the bound, in the code or in
# the problem, and here the problem was wrong.
#
# ## 5.7 What noise buys, and what it costs
#
# Noise of standard deviation 0.01 makes the score exist everywhere, puts a
# floor under the loss, and makes the theorem hold. It costs a distribution:
# the net now learns $p_\sigma$ and not $p$. For pixels in $[0, 1]$ the two
# look the same, as the first figure showed.
#
# Is the problem solved, then? By section 5.4 the score of noisy images has a
# root mean square length of at most $\sqrt{D}/\sigma$, and noisy images lie
# at a distance of about $\sqrt{D}\,\sigma$ from clean ones. On CIFAR-10 at
# $\sigma = 0.01$ these are 5543 and 0.55. The score is learned within that
# small distance only. A sampler starts far outside, where the net has never
# seen a point. More noise reaches farther and blurs more.
# [6 · Where there are no data](06_low_density.ipynb) measures what a net
# knows far from all data, and the ladder of noise levels in
# [7 · Annealing](07_annealing.ipynb) is the way out.
#
# ## 5.8 Your turn
#
# The explorer trains the small net of section 5.3 on a circle with noise of
# your choice. Left: data and learned field. Right: the loss, the lowest
# possible loss of section 5.3 and the bound of section 5.4. Say what you
# expect, then press **Train**.
#
# - Set **sigma** to 0. Where is the loss after 600 steps, and where after
#   2000? Does the curve bend?
# - Train at 0.2, 0.1 and 0.05, 600 steps each. By which factor does the
#   lowest possible loss grow each time that the noise is halved? Does the net
#   come near it?
# - Divide the lowest possible loss by the bound for any data, at 0.05 and at
#   0.5. Why is one of the two ratios nearly 1/2, and why is the other
#   smaller?
#
# <details><summary>Answers</summary>
#
# - Near $-1900$ after 600 steps and near $-15{,}000$ after 2000. On the
#   logarithmic axis the curve flattens, because powers of ten get wider; no
#   level holds it. The field acts as if the noise were 0.02, then 0.008.
# - By 4: $-12.2$, $-49.7$, $-199.7$, as $1/\sigma^2$ demands. The losses end
#   at about $-11$, $-46$ and $-175$: 7 to 13 % short of the lowest possible
#   one.
# - $199.7/400 = 0.50$ and $1.80/4.0 = 0.45$. One direction of two is across
#   the circle, which gives 1/2. At 0.5 the noise is no longer small beside
#   the radius: points near the middle may come from all sides, so that less
#   of the noise can be seen.
# </details>

# %%
ManifoldExplorer()

# %% [markdown]
# ## What you should be able to do now
#
# - Say why the score of data on a surface does not exist, and which step of
#   Hyvärinen's proof fails.
# - Write down a field whose implicit loss on a line is $-k$, and find the
#   best $k$ once there is noise.
# - Bound the loss for any data with noise $\sigma$ in $D$ dimensions, and use
#   the bound to tell a healthy run from a broken one.
# - Explain why dequantisation gives a density and does not help here.
# - Say what noise of 0.01 costs.
#
# ## Exercises
#
# 1. Repeat the circle with noise 0.1 and 0.05. How low can the loss get in
#    each case, and after how many steps is its mean over 50 steps within 15 %
#    of that? Does a smaller noise need a longer training?
#    <details><summary>Answer</summary>
#
#    The lowest losses are $-49.7$ and $-199.7$. With the seeds used here the
#    mean comes within 15 % after about 350 steps at 0.2, 370 at 0.1 and 580
#    at 0.05 (two thousand steps are enough for all). At 0.05 the lowest loss
#    is sixteen times deeper than at 0.2, and the way there takes less than
#    twice as long: once the net can bend the field at the circle, its slope
#    grows faster and faster, as the clean loss shows.
#    </details>
# 2. Put the points on a circle in three dimensions ($x_3 = 0$), with noise
#    0.2. Predict the lowest loss before you train. How does the answer change
#    for a sphere?
#    <details><summary>Hint</summary>
#
#    The noise of $x_3$ is independent of the other two coordinates. How many
#    directions are across?
#    </details>
#    <details><summary>Answer</summary>
#
#    Scores of independent coordinates stand side by side, and their squared
#    lengths add: $-12.2 - 1/(2 \cdot 0.04) = -24.7$. A sphere has one
#    direction across, and $-12.5$ is the first guess; the exact number is
#    $-13.0$. The curvature adds a constant, near $+\frac14$ for the circle
#    and $-\frac12$ for the sphere, which does not grow as $\sigma$ shrinks.
#    </details>
# 3. Train on the noised circle by `ne.dsm` instead (its `sigma` adds the
#    noise, so give it clean points; the net must be made with the same
#    `sigma`). What would its loss do for $\sigma \to 0$? Derive the floor
#    from the identity of section 5.4.
#    <details><summary>Answer</summary>
#
#    The floor is
#    $\frac12 \mathbb{E}\operatorname{tr}\operatorname{Cov}(z \mid \tilde x) = \frac{D}{2} + \sigma^2 \min L$:
#    $1 - 0.04 \cdot 12.22 = 0.511$ at $\sigma = 0.2$, 0.503 at 0.1, 0.501 at
#    0.05, and $\frac12$ in the limit, one half for the direction along the
#    circle. A denoising loss is a square, never negative, and stays bounded.
#    What grows without end is the score that it learns, like $1/\sigma$.
#    </details>
#
# ## References
#
# - Y. Song and S. Ermon, *Generative Modeling by Estimating Gradients of the
#   Data Distribution*, NeurIPS 2019: section 3.1 and Figure 1.
# - A. Hyvärinen, *Estimation of Non-Normalized Statistical Models by Score
#   Matching*, JMLR 2005: Theorem 1 and its conditions.
# - Y. Song, S. Garg, J. Shi and S. Ermon, *Sliced Score Matching*, UAI 2019:
#   the variance-reduced form.
# - C. Fefferman, S. Mitter and H. Narayanan, *Testing the Manifold
#   Hypothesis*, Journal of the AMS 2016: how one could test it.
# - L. Theis, A. van den Oord and M. Bethge, *A note on the evaluation of
#   generative models*, ICLR 2016: dequantisation.
# - The published code: github.com/ermongroup/ncsn,
#   `runners/scorenet_runner.py`.
#
# **Next:** [6 · Where there are no data](06_low_density.ipynb) asks what a
# score net knows far from all data.
