# %% [markdown]
# # 5 · The manifold hypothesis
#
# *Reading and trying: about 30 minutes. Running every cell: about 45 seconds on a laptop, at a scale of its own: 8x8 digits, or the laptop scale (a quarter of an hour) where CIFAR-10 is on your machine.*
#
# Notebook 3 learns a score from samples alone, by partial integration. Here we look
# at the small print: the data must fill the space. Images do not, and on them
# the loss has no minimum. You will
#
# - derive why implicit score matching breaks down on a line, and watch it break
#   down on a circle;
# - find the number that noise puts under the loss, and see the loss approach it;
# - reproduce Figure 1 of Song & Ermon 2019 on real images: the loss on clean
#   images, and on images with noise that nobody can see;
# - step into the trap that a falling loss means learning.
#
# You need: the score from [1 · Scores](01_scores.ipynb), and implicit and sliced
# score matching from [3 · Score matching](03_score_matching.ipynb).

# %%
import copy
import itertools
import math
from functools import partial

import torch
from matplotlib import pyplot as plt

import ncsn_edu as ne
from ncsn_edu import implicit, recipes, save_figure, show
from ncsn_edu.losses import Slicing
from ncsn_edu.manifold import relative_spread, share_of_bound
from ncsn_edu.plots import BLUE, ORANGE, RED, scatter, score_field, use_style
from ncsn_edu.training import train

use_style()

# %% [markdown]
# ## 5.1 Images are a thin set
#
# A photograph of $32 \times 32 \times 3$ values is a point in 3072 dimensions. Draw
# such a point at random and you see static, never a photograph. Neighbouring pixels
# are strongly correlated, so that an image has far fewer degrees of freedom than
# pixels. The **manifold hypothesis** says: *data lie on, or very close to, a
# surface of much lower dimension than the space around it.*
#
# One can see a sign of it with the simplest tool there is. Principal components
# ask for the flat directions only, and a curved surface needs more of them than
# it has dimensions; so if few components carry most of the variance, the true
# number may be lower still.

# %%
images, _, name = ne.load_or_digits("cifar10")
dim = images[0].numel()
pixels = images[:5000].flatten(1).double() / 255
variances = torch.cov(pixels.T).diagonal()
print(f"{name}: {dim} dimensions, {int((variances == 0).sum())} of them the same in every image")

# %% [markdown]
# The stored outputs are those of the digits, which come with scikit-learn, so that
# they are the same on every machine. With CIFAR-10 in place you see CIFAR-10.
# (`python -m ncsn_edu doctor` says whether it is, and where it belongs.)
#
# On the digits the case is plain without any theory. Some pixels at the border are
# never written on. In these directions the data have *no* extent at all: all images
# lie in a flat subspace. A density over the 64 dimensions does not exist.
#
# **Predict:** the next figure has three parts. How many of the principal components
# carry 90 % of the variance: nearly all, one in two, one in three or fewer? And
# noise of standard deviation 0.01, on pixels in $[0, 1]$: will you see it?
#
# <details><summary>Answer</summary>
#
# About a third for the digits (on CIFAR-10 about one in thirty: larger images have
# more pixels that repeat their neighbours). The noise is two and a half grey values
# of 255, and hardly to be seen.
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
if name == "digits":  # photographs of the data set are not stored
    save_figure(fig, "manifold_images_digits", numbers={"needed": needed})
plt.show()

# %% [markdown]
# The images are clamped to $[0, 1]$ for the display; the data that a model gets
# are not.
#
# ## 5.2 What breaks
#
# Two things do, and they are different.
#
# **The score does not exist.** $\nabla_x \log p(x)$ is a gradient in the space
# around the data. Off the surface $p = 0$ and $\log p = -\infty$; on it $p$, as a
# density over the whole space, is infinite. There is nothing to differentiate.
#
# **Implicit score matching is not consistent.** Its loss
#
# $$ J(s) = \mathbb{E}_p\Big[\operatorname{tr} \nabla s(x) + \tfrac12 \|s(x)\|^2\Big] $$
#
# equals explicit matching up to a constant because of one partial integration,
#
# $$ \int p(x)\, \partial_i s_i(x)\, dx = \underbrace{\big[\,p\, s_i\,\big]}_{\text{boundary, must be } 0} - \int \partial_i p(x)\, s_i(x)\, dx . $$
#
# It needs a density $p$ that is differentiable on the whole space, and a boundary
# term that vanishes. Data on a surface have no such $p$. Nothing stops you from
# computing $J$ all the same: it asks for samples only. What does its minimum mean
# then?
#
# **It has none.** Take data on a straight line in the plane, $x_\perp = 0$, and the
# score model $s(x) = (0, -k\, x_\perp)$: arrows that point to the line, of strength
# $k$. Its trace is $-k$ everywhere. And on the data, where $x_\perp = 0$, the arrows
# have length 0. So
#
# $$ J = -k + \tfrac12 \cdot 0 = -k , $$
#
# and $J \to -\infty$ as $k$ grows. The loss rewards a field that gets steeper
# across the line without end, and the price, the length of the arrows, is never
# paid because no data point is off the line.
#
# **Noise puts a floor under it.** Add Gaussian noise of standard deviation
# $\sigma$. Now $\mathbb{E}\, x_\perp^2 = \sigma^2$, and the same model costs
#
# $$ J = -k + \tfrac12 k^2 \sigma^2 , \qquad\text{smallest at } k = \frac{1}{\sigma^2}, \quad J = -\frac{1}{2\sigma^2} . $$
#
# A parabola instead of a slope, with the right answer at its bottom: $-x_\perp/\sigma^2$
# is the score of $\mathcal{N}(0, \sigma^2)$.
#
# ## 5.3 The same on a circle
#
# A network does not know this argument. Does it find the hole? Data on the unit
# circle, exactly; a small net; the exact implicit loss. And the same with noise
# $\sigma = 0.2$.


# %%
def ring(n: int, generator: torch.Generator) -> torch.Tensor:
    angle = 2 * math.pi * torch.rand(n, generator=generator)
    return torch.stack([angle.cos(), angle.sin()], 1)


def ring_batches(sigma: float, generator: torch.Generator):
    for _ in itertools.count():
        yield ring(128, generator) + sigma * torch.randn(128, 2, generator=generator)


# %% [markdown]
# The steepness of the field is its **divergence** $\operatorname{tr} \nabla s$ on
# the circle. It is the implicit loss without its second term, so we need no new
# code for it. We train, keep every loss, and copy the net at three moments.

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
# **Predict:** the upper row of the next figure shows the field learned from the clean
# circle after 150, 300 and 600 steps, the lower row that from the noised one. Each
# title gives the mean divergence on the circle. Where does each row go? For the
# lower one you can say the number: across the circle the data are very nearly
# $\mathcal{N}(0, 0.2^2)$.
#
# <details><summary>Answer</summary>
#
# Above: towards minus infinity. The divergence is below $-100$ after 300 steps and
# below $-1000$ after 600, and nothing stops it. Below: near $-1/\sigma^2 = -25$,
# where it stays.
# </details>


# %%
def divergence(net: torch.nn.Module, x: torch.Tensor) -> float:
    return (implicit(net, x) - 0.5 * net(x).square().sum(1)).mean().item()


# %%
points = ring(400, torch.Generator().manual_seed(1))
fig, axes = plt.subplots(2, 3, figsize=(9.6, 6.6))
numbers = {}
for ax, ((sigma, step), net) in zip(axes.flat, nets.items(), strict=True):
    score_field(ax, lambda x, sigma, net=net: net(x.float()), extent=1.6, max_length=10)
    scatter(ax, points, extent=1.6, color=ORANGE if sigma else BLUE)
    value = divergence(net, points)
    numbers[f"log10_{'noised' if sigma else 'clean'}_{step}"] = math.log10(-value)
    title = f"{'noise 0.2' if sigma else 'clean'}, step {step}: divergence {value:,.0f}"
    ax.set_title(f"{title}\nas if the noise were {(-value) ** -0.5:.2f}", fontsize=10)
save_figure(fig, "manifold_circle", numbers=numbers, tolerance=0.1)
plt.show()

# %% [markdown]
# Arrows longer than 10 are drawn as if they were 10, so that the panels can be
# compared. (Dots show the circle; in the lower row the training data scatter around
# it.) Below, the arrows are short near the circle and settle. Above, by step 600
# nearly all arrows are at the limit, right up to the circle itself: with a slope of
# 2000, a point only 0.005 away from it has an arrow of length 10 already.
#
# The second line of each title turns a divergence into the noise that it would be
# right for, $\sigma = 1/\sqrt{k}$. On the noised data it settles at 0.2. On the clean
# data the net first acts as if the noise were 0.45, then 0.07, then 0.02. It is on
# its way to a distribution without a score, and every moment of stopping gives
# another answer.
#
# Now the losses. For the noised circle we know how low the loss can get. Hyvärinen's
# theorem says that the implicit loss is the explicit one minus the constant
# $\tfrac12 \mathbb{E}\|\nabla \log p_\sigma\|^2$; the explicit one is 0 at best. So
#
# $$ \min_s J(s) = -\tfrac12\, \mathbb{E}_{p_\sigma} \|\nabla \log p_\sigma(x)\|^2 . $$
#
# The circle with noise is `ne.circle(std=0.2)`, 200 Gaussians side by side, and its
# score is known in closed form.

# %%
truth = ne.circle(std=0.2)
x = truth.sample(200_000, generator=torch.Generator().manual_seed(2))
lowest = -0.5 * truth(x).square().sum(1).mean().item()
print(f"lowest possible loss with noise 0.2: {lowest:.1f}; a straight line would have {-1 / (2 * 0.2**2):.1f}")

# %% [markdown]
# **Predict:** the two loss curves. Will the noised one touch the dashed line, cross
# it, or stay away from it? What does the clean one do there?
#
# <details><summary>Answer</summary>
#
# The noised loss comes down to the line and scatters about it. Single batches of 128
# points may lie below, because the line is a bound for the mean over the
# distribution. The clean loss passes the line as if it were not there, since for it
# there is none.
# </details>

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.3))
left.plot(losses[0.0], color=BLUE, lw=0.9)
left.set(title="clean: no lower bound", ylabel="implicit loss")
right.plot(losses[0.2], color=ORANGE, lw=0.9)
right.set(title="noise 0.2: bounded", ylim=(1.5 * lowest, 2))
for ax in (left, right):
    ax.axhline(lowest, color=RED, ls="--", lw=1, label="lowest possible with noise")
    ax.set_xlabel("step")
    ax.legend(fontsize=8)
ends = {key: torch.tensor(losses[sigma][-100:]).mean().item() for key, sigma in (("clean", 0.0), ("noised", 0.2))}
numbers = {"lowest": lowest, "noised_end": ends["noised"], "log10_clean_end": math.log10(-ends["clean"])}
save_figure(
    fig, "manifold_losses", numbers=numbers, tolerance={"lowest": 0.02, "noised_end": 0.5, "log10_clean_end": 0.1}
)
plt.show()

# %%
print("noised: within 15 % of the bound:", abs(ends["noised"] / lowest - 1) < 0.15)
print("clean: beyond 50 times that bound:", ends["clean"] / lowest > 50)

# %% [markdown]
# At the start both losses rest on a shelf near $-2$. You can compute it: the best
# field that is *linear*, $s(x) = -a x$, has trace $-2a$ and, on the circle, squared
# length $a^2$. So $J = -2a + a^2/2$, which is smallest at $a = 2$, with $J = -2$. A
# field that points to the middle is the first good idea for both. Then the net
# becomes able to bend at the circle, and the two part.
#
# And note how quietly it goes wrong. There is no NaN, no warning, no jump. The
# clean curve is even, for its size, the smoother one of the two, and if you had only
# that one you might call it a success. On images it will be less quiet.
#
# ## 5.4 A floor for any data
#
# For images nobody knows $\mathbb{E}\|\nabla \log p_\sigma\|^2$. But a bound holds for
# *every* data set. Tweedie's formula (notebook 3) writes the score of the noised data
# $\tilde x = x + \sigma z$ as a conditional mean, $\nabla \log p_\sigma(\tilde x) = -\mathbb{E}[z \mid \tilde x]/\sigma$.
# The square of a mean is at most the mean of the square, so
#
# $$ \mathbb{E}\|\nabla \log p_\sigma\|^2 = \frac{1}{\sigma^2}\, \mathbb{E}\big\|\mathbb{E}[z \mid \tilde x]\big\|^2 \;\le\; \frac{1}{\sigma^2}\, \mathbb{E}\|z\|^2 = \frac{D}{\sigma^2},
#    \qquad\text{hence}\quad J \ge -\frac{D}{2\sigma^2} . $$
#
# When is it reached? The argument of the line gives $-1/(2\sigma^2)$ for each
# direction *across* the surface and next to nothing for those along it. The lowest
# loss is thus about $-(D - d)/(2\sigma^2)$ for a surface of dimension $d$, and the
# thinner the surface, the closer the bound. For the circle, one direction across: it
# is half of $-D/(2\sigma^2) = -25$.
#
# ## 5.5 Figure 1: real images
#
# The paper trains a ResNet of 32 filters by variance-reduced sliced score matching
# with Adam (learning rate $10^{-3}$, batches of 128) for 50,000 iterations, on
# CIFAR-10 as it is and with noise of variance 0.0001, standard deviation 0.01. All
# of this is written down in one place of the package, for three scales; the
# published code (`configs/scorenet.yml`) has the same numbers. Its net
# is U-shaped and has normalisation; ours keeps the full size and has none.

# %%
of_the_paper = recipes.RECIPES["manifold"]["paper"]
recipe = recipes.RECIPES["manifold"]["laptop"] if name == "cifar10" else recipes.MANIFOLD_DIGITS
ours, papers = recipes.settings(recipe), recipes.settings(of_the_paper)
for key in ("data", "width", "blocks", "batch_size", "n_steps", "lr", "sigma", "dequantize"):
    print(f"{key:11} {ours[key]!s:9} paper: {papers[key]}")

# %% [markdown]
# The same place says what is learned: from which batches, with which noise, by which
# slices; and the objective is the loss that `train` minimises.

# %%
show(recipe.learned, Slicing.__call__, docstring=False)

# %% [markdown]
# One line deserves a question: are the images **dequantised**? A grey value $k$ of
# 0 to 255 becomes $k/255$, or $(k + u)/256$ with $u$ uniform in $[0, 1]$. The second
# fills the space with little cubes, so that the data *have* a density, and one might
# hope that the trouble is over. The published code of this figure does not
# dequantise, and the claim is about data without a density, so neither do we.
# Section 5.6 tries the cubes.
#
# Six runs: three seeds, each once clean and once with noise. The two runs of a seed
# start from the same net, see the same images in the same order, and slice along
# the same directions. The noise is all that differs.

# %%
curves = {sigma: [] for sigma in (0.0, recipe.sigma)}
for sigma, seed in itertools.product(curves, range(3)):
    states = recipes.changed(recipe, sigma=sigma).training(images, seed=seed)
    bar = ne.progress(states, states.n_steps, f"noise {sigma:g}, seed {seed}")
    curves[sigma].append([state.loss for state in bar])

# %% [markdown]
# Two numbers sum up a run. The first is the usual one for such curves, the
# **relative spread**: standard deviation over size of the mean, in the last third
# of the run. The second uses what section 5.4 gave us: the mean of the last third
# as a **share of the bound** $-D/(2\sigma^2)$. On noised data no score can come above
# 1, but for the scatter of batches.

# %%
show(relative_spread, share_of_bound, docstring=False)

# %% [markdown]
# **Predict:** the losses of both kinds over the steps, in units of the bound. The
# axis is logarithmic, and it points down: $1$ is the bound, and what lies below the
# dashed line is deeper. Which curves end where? Which fluctuate more?
#
# <details><summary>Answer</summary>
#
# The clean losses dive through the bound and go on, and swing. The noised ones come
# down just as fast at first, then bend, and descend slowly at a fraction of the
# bound. They are still far from it: so short a training has not arrived, and a small
# net may not be able to hold the optimum at all.
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
# (The next cell stores the figure under the name of its data, because the numbers
# of digits and of CIFAR-10 have nothing to do with each other.)

# %%
fig, axes = plt.subplots(1, 2, figsize=(9.6, 3.6), sharey=True)
for ax, runs, kind, color in zip(axes, curves.values(), table, (BLUE, ORANGE), strict=True):
    ax.semilogy(-torch.tensor(runs).T / bound, color=color, lw=0.7, alpha=0.6)
    ax.axhline(1, color=RED, ls="--", lw=1, label="bound with noise: $-D/(2\\sigma^2)$")
    spread, part = table[kind]
    title = f"{kind}: relative spread {spread.mean():.2f} ± {spread.std():.2f}"
    ax.set(xlabel="step", title=f"{title}\nshare of the bound {part.mean():.2g} ± {part.std():.1g}")
axes[0].set(ylabel="loss, in units of the bound", ylim=(20, 0.01))
axes[1].legend(fontsize=8, loc="lower left")
if name == "cifar10":
    save_figure(fig, "fig1_manifold_cifar10", numbers=numbers, tolerance=tolerance)
else:
    save_figure(fig, "fig1_manifold_digits", numbers=numbers, tolerance=tolerance)
plt.show()

# %%
for kind, (_, part) in table.items():
    print(f"{kind}: all three runs beyond the bound: {bool((part > 1).all())}")
print("the clean runs spread more:", bool(table["clean"][0].min() > table["noised"][0].max()))

# %% [markdown]
# The paper's claim, on small images. Without noise the loss finds no bottom, and the
# deeper it falls the more it swings. With invisible noise it bends.
#
# The spread says so, but note what it cannot say. It counts the steady descent of a
# run as spread, too, and a part of the 0.2 of the noised runs is just that: they have
# not arrived. It does not know where a loss ought to be. The share of the bound is
# clearer. A loss that lies lower than *any* score could bring it with noise 0.01 is a
# loss that has no bottom within reach, and this was three hundred steps of the paper's
# fifty thousand.
#
# Why do the clean losses swing? The likely reason: a steep field has arrows that
# change direction within a small distance, so that a tiny step of the optimiser
# moves the steep places off the data. There the arrows are long, and
# $\tfrac12\|s\|^2$ has to be paid after all, until the next steps put things right.
# The steeper, the more sensitive. There is no equilibrium to come to rest in.
#
# On CIFAR-10, with the laptop recipe (width 12, three blocks, batches of 64, 240
# steps), we measured over three seeds:
#
# | | relative spread | share of the bound |
# |---|---|---|
# | clean | 0.33 ± 0.08 | 3.6 ± 2 |
# | with noise 0.01 | 0.10 ± 0.05 | 0.23 ± 0.05 |
#
# The curves are in
# [figures/fig1_manifold_cifar10.png](../figures/fig1_manifold_cifar10.png), and the
# picture is that of the paper: the clean losses jump up and down, one of them
# between 2 and 13 times the bound, and those with noise are almost smooth lines. The
# clean runs differ much from seed to seed, as they must where nothing converges. To
# make the figure anew, put CIFAR-10 on your machine and run this notebook; it takes
# about a quarter of an hour.
#
# The paper's own setting is one command:
# `python -m ncsn_edu train manifold --scale paper`. It writes every loss into a file
# while it runs. On one core of a processor a step takes seconds, and both runs of
# 50,000 steps the better part of a week, so it wants a GPU.
#
# ## 5.6 Trap: "the loss goes down, so it learns"
#
# In most of machine learning a falling training loss is good news, at least about
# the training. Here the clean loss falls faster and lower than the noised one, and
# it is the broken one. Two experiments, to see how well the trap is hidden.
#
# **Which field is better?** Take both nets from the circle, and ask each for the
# score of the data with noise 0.2, which we know. The clean net was not asked to
# learn that noise level, but there is no other one that it could have learned.

# %%
x = truth.sample(10_000, generator=torch.Generator().manual_seed(3))
for sigma, kind in ((0.2, "noised"), (0.0, "clean")):
    net = nets[sigma, 600]
    error = (net(x) - truth(x)).norm(dim=1).mean() / truth(x).norm(dim=1).mean()
    print(f"{kind}: mean error below 0.7 of the true length: {error.item() < 0.7}; above 20 times: {error.item() > 20}")

# %% [markdown]
# The net with the lower loss, by a factor of more than a hundred, has the arrows
# that are wrong by dozens of times the true length. Minus infinity is not learning:
# these are losses of two different problems, and only one of them has a solution.
# **Compare a loss only with the best possible loss of the same problem.**
#
# **Does dequantisation help?** It gives the data a density: each image becomes a
# small cube of side $h = 1/256$, evenly filled. But inside a cube the density is
# constant, so that its score is 0 there, and at the walls, where $p$ jumps, there is
# no score. What does the implicit loss make of that? In one dimension, on a single
# cell $[0, h]$, let the model be 0 except near the ends, where it rises over a width
# $w$ to $+M$ at the left end, and falls to $-M$ at the right end. Then
#
# $$ \mathbb{E}[s'] = \frac{s(h) - s(0)}{h} = -\frac{2M}{h}, \qquad
#    \tfrac12\,\mathbb{E}[s^2] = \frac{1}{2h} \cdot 2 \cdot \frac{M^2 w}{3} = \frac{M^2 w}{3h} . $$
#
# Let $w \to 0$ first, and the price vanishes; then $M \to \infty$, and again
# $J \to -\infty$. It is the boundary term of section 5.2: $p\,s$ does not vanish at the
# edges of the cube, where $p$ jumps. A density is not enough; it must be a
# differentiable one. Gaussian noise makes one, uniform noise does not.
#
# Before you run it: a dequantised clean run, one seed. Will its *spread* be that of
# the clean or that of the noised runs? And where is its loss?

# %%
states = recipes.changed(recipe, dequantize=True, sigma=0.0).training(images)
run = [state.loss for state in ne.progress(states, states.n_steps, "dequantised")]
calmer = relative_spread(run) < table["clean"][0].min()
print("dequantised: calmer than every clean run:", bool(calmer))
print("dequantised: beyond the bound of noise 0.01:", share_of_bound(run, recipe.sigma, dim) > 1)

# %% [markdown]
# Somewhat calmer, and broken all the same. The cubes are small: their standard
# deviation is $h/\sqrt{12} = 0.0011$, a ninth of that of the noise. To a smooth net
# they look like noise of that size, with a bound eighty times lower, and until the
# loss is down there nothing slows it. The spread alone would have called this run
# the better one. Look at the level as well.
#
# The lesson for your own runs: before you train, write down the best possible loss,
# or a bound for it. After training, compare. A mean loss clearly below its bound is
# never luck. It is a mistake in the bound, in the code or in the problem, and here
# it was the problem.
#
# ## 5.7 What noise buys, and what it costs
#
# Noise of standard deviation 0.01 makes the score exist everywhere, puts a floor
# under the loss, and makes the theorem hold. It costs a distribution: the net
# now learns $p_\sigma$ and not $p$. For pixels in $[0, 1]$ the two look the same, as
# the first figure showed.
#
# Is the problem solved, then? Look at the size of things: at $\sigma = 0.01$ the score of
# a typical noisy image has a length of up to $\sqrt{D}/\sigma$ (section 5.4), and it is
# learned only within about $\sqrt{D}\,\sigma$ of the data. A sampler starts far outside,
# where the net has never seen a point. More noise reaches farther and blurs more. That
# dilemma, low density between the modes, is the subject of [6 · Where there are no
# data](06_low_density.ipynb), and the ladder of noise levels in [7 ·
# Annealing](07_annealing.ipynb) is its solution.
#
# ## What you should be able to do now
#
# - Say why the score of data on a surface does not exist, and which step of
#   Hyvärinen's proof fails.
# - Write down a field whose implicit loss on a line is $-k$, and find the best $k$
#   once there is noise.
# - Bound the loss for any data with noise $\sigma$ in $D$ dimensions, and use the
#   bound to tell a healthy run from a broken one.
# - Explain why dequantisation gives a density and does not help here.
# - Say what noise of 0.01 costs.
#
# ## Exercises
#
# 1. Repeat the circle with noise 0.1 and 0.05. How low can the loss get in each
#    case, and how many steps does it take to come within 15 % of it? Why does a
#    smaller noise need a longer training?
# 2. Put the points on a circle in three dimensions ($x_3 = 0$), with noise 0.2. Predict
#    the lowest loss before you train. How does the answer change for a sphere?
# 3. Train on the noised circle by `ne.dsm` instead (its `sigma` adds the noise, so
#    give it clean points; the net must be made with the same `sigma`). What would
#    its loss do for $\sigma \to 0$? Derive the floor from `ne.dsm_floor`.
#
# ## References
#
# - Y. Song and S. Ermon, *Generative Modeling by Estimating Gradients of the Data
#   Distribution*, NeurIPS 2019: section 3.1 and Figure 1.
# - A. Hyvärinen, *Estimation of Non-Normalized Statistical Models by Score
#   Matching*, JMLR 2005: Theorem 1 and its conditions.
# - Y. Song, S. Garg, J. Shi and S. Ermon, *Sliced Score Matching*, UAI 2019: the
#   variance-reduced form.
# - C. Fefferman, S. Mitter and H. Narayanan, *Testing the Manifold Hypothesis*,
#   Journal of the AMS 2016: how one could test it.
# - L. Theis, A. van den Oord and M. Bethge, *A note on the evaluation of generative
#   models*, ICLR 2016: dequantisation.
# - The published code: github.com/ermongroup/ncsn, `runners/scorenet_runner.py`.
#
# **Next:** [6 · Where there are no data](06_low_density.ipynb) asks what a score net
# knows far from all data.
