# %% [markdown]
# # 8 · One network for all noise levels
#
# *Reading and trying: about 110 minutes, and another hour for the exercises. Running every cell: about 40 seconds on a laptop, at laptop scale (two dimensions, and pictures of 8x8 pixels).*
#
# Notebook 6 ended with scores that are wrong where there are no data,
# notebook 7 with a ladder of noise levels and exact scores on it.
# A **noise-conditional score network** joins the two: one net
# $s_\theta(x, \sigma)$ that learns the score of $p_\sigma$ at every level
# of the ladder from samples. You will
#
# - choose a ladder, and look at real images on it;
# - derive the loss with its weight $\lambda(\sigma) = \sigma^2$, write it
#   yourself, and know its value before training and the number that it
#   cannot get below;
# - train one small net on ten levels, and compare it with the exact score
#   at each;
# - see what another weight does to the gradients and to the net;
# - learn the same score by slices, and measure what that costs;
# - sample with what was learned, and check weights *and* widths;
# - step into three traps: the wrong ratios, a lost $D$, and $\sigma^2$ for
#   $\sigma$.
#
# You need: denoising score matching from [3 · Score
# matching](03_score_matching.ipynb), the failure of [6 · Low
# density](06_low_density.ipynb), and Algorithm 1 from [7 ·
# Annealing](07_annealing.ipynb). All letters are on the page of
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

import torch
from matplotlib import pyplot as plt

import ncsn_edu as ne
from ncsn_edu import GaussianMixture, NoiseConditionalMLP, datasets, dsm, geometric, plots, practice, save_figure, show
from ncsn_edu.losses import random_sigmas
from ncsn_edu.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED
from ncsn_edu.training import train
from ncsn_edu.widgets import NoiseLevelExplorer

plots.use_style()
generator = torch.Generator().manual_seed(0)

# %% [markdown]
# ## 8.1 The ladder
#
# Write $p_\sigma = p * \mathcal{N}(0, \sigma^2 I)$ for the data seen
# through noise. Notebook 6 found that no single $\sigma$ will do. So take
# many,
#
# $$ \sigma_1 > \sigma_2 > \dots > \sigma_L > 0, \qquad
#    \frac{\sigma_1}{\sigma_2} = \frac{\sigma_2}{\sigma_3} = \dots = \frac{\sigma_{L-1}}{\sigma_L} = \gamma , $$
#
# a geometric sequence, with two demands on its ends. $\sigma_1$ is **large
# enough to fill the gaps**: under $p_{\sigma_1}$ there is no empty part in
# which a score could be wrong unseen, and no valley that a chain could not
# cross. $\sigma_L$ is **small enough to leave the data alone**: what one
# draws from $p_{\sigma_L}$ must pass for data. The paper takes 10 levels
# from 1 to 0.01 for all its images, whose pixels lie in $[0, 1]$. ($\gamma$
# is above 1 here, as in NCSNv2. Other texts, and notebook 13, write
# $\gamma$ for its inverse.)
#
# **Write it.** The ladder: $n$ levels from `first` down to `last`, both
# among them, with equal ratios. Run the cell: it says how you are doing,
# and an unwritten cell stops nothing below it.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_ladder(first, last, n):
#     return first * (last / first) ** torch.linspace(0, 1, n)
# ```
#
# Equal ratios are equal steps of $\log\sigma$: a straight line there, and
# its exponential here.
# </details>


# %%
def my_ladder(first, last, n):  # returns (n,)
    ...


practice.geometric_ladder(my_ladder)

# %% [markdown]
# The library's is called `geometric`.

# %%
images = datasets.load("digits")[0].double() / 255  # (898, 1, 8, 8)
sigmas = geometric(1, 0.01, 10, dtype=torch.float64)
print("levels:", " ".join(f"{sigma:.3f}" for sigma in sigmas.tolist()))
print(f"ratio: {sigmas[0] / sigmas[1]:.3f}")

# %% [markdown]
# The images are scikit-learn's digits, 898 of them, with $D = 64$ pixels.
# How large are the gaps between them? In space, a gap is a distance between
# two images:

# %%
distance = torch.cdist(images.flatten(1), images.flatten(1))
nearest = distance.topk(2, largest=False).values[:, 1]  # after the image itself
print(f"to the nearest other image, median: {nearest.median():.2f}; largest of all distances: {distance.max():.2f}")

# %% [markdown]
# Compare the noise with that. Its length is about
# $\sigma\sqrt{D} = 8\sigma$, but only one of its 64 directions counts for
# the gap between two given images at distance $d$, the one from the first
# to the second. Along it the noise is $\mathcal{N}(0, \sigma^2)$, and the
# noisy first image lies nearer to the second with probability
# $\Phi(-d / 2\sigma)$, where $\Phi$ is the normal distribution function. At
# $\sigma = 0.01$ and $d = 1.1$ that is $\Phi(-55)$, nothing. At
# $\sigma = 1$ it is 0.29. So a gap is filled when $\sigma$ is about half as
# wide.
#
# This suggests a test of the whole ladder: add noise to every image, look
# for the nearest clean one, and count how often that is the image we
# started from.
#
# **Predict:** the next figure shows one digit at the ten levels and, below,
# the share of images that are recognised. Up to which level will nearly all
# be? What is the share at $\sigma_1$, and what would it be by pure
# guessing? Up to which level can *you* read the digit?
#
# <details><summary>Answer</summary>
#
# The share is practically 1 up to $\sigma = 0.13$ and falls to below 0.1 at
# $\sigma_1 = 1$; guessing would give 1/898. The eye gives up somewhere
# around 0.4, at about the same place: it only compares with what it knows.
# </details>
#
# (All figures by level of this collection have the largest $\sigma$ on the
# left, in the order in which a sampler meets the levels. `plots.level_axis`
# puts a tick at each.)

# %%
recognised = []
for sigma in sigmas:
    z = torch.randn(images.shape, generator=generator, dtype=images.dtype)
    found = torch.cdist((images + sigma * z).flatten(1), images.flatten(1)).argmin(1)
    recognised.append((found == torch.arange(len(images))).double().mean())

# %%
fig, (top, bottom) = plt.subplots(2, 1, figsize=(8.4, 4.0), height_ratios=(1, 2))
z = torch.randn(images[0].shape, generator=generator, dtype=images.dtype)
plots.images(top, images[0] + sigmas[:, None, None, None] * z, columns=10)
top.set_title("one digit, one draw of the noise, ten levels")
bottom.plot(sigmas, recognised, "o-", color=BLUE)
plots.level_axis(bottom, sigmas).set(ylim=(0, 1.05), title="share of noisy images that are recognised")
numbers = {"at_1": recognised[0], "at_0.36": recognised[2]}
alt = (
    "Above, one digit at ten noise levels, from nothing but noise to clean; it can be read from the third or fourth "
    "on. Below each, the share of images whose nearest clean image is the right one: 0.08, 0.35, 0.78, 0.97, then 1."
)
caption = r"The ladder from $\sigma = 1$ to 0.01: one digit at each level, and how many digits are recognised there."
save_figure(fig, "conditional_ladder", alt=alt, caption=caption, numbers=numbers, tolerance=0.002)

# %% [markdown]
# Both demands are met, but the first one only just. At $\sigma_1 = 1$ the
# noise joins neighbours into one cloud, but for the largest distance,
# $d = 4.6$, the probability $\Phi(-2.3)$ is one percent. Song & Ermon 2020
# (NCSNv2) take $\sigma_1$ as large as the *largest* distance. At
# $\sigma_L = 0.01$ the noise is a sixth of the step between two of the 17
# grey values that these images have, and nobody will see it.
#
# (At $\sigma_1$ still 8 % are recognised, 74 images of 898, where guessing
# would find one. Some digits lie far from all the others, and for them the
# gap is not filled.)
#
# In between each level hides something: the small levels the finest
# strokes, the larger ones the digit, the largest everything. A sampler goes
# through the strip from left to right, and so it decides on the coarse
# things first.
#
# Move the sliders. The explorer shows one image on the ladder, with
# its **best guess**: the mean of all the images that the noisy one may have
# been.
#
# - Go down from **level** 1. At which level does the best guess become
#   sharp, and is it the right digit? What does it show at level 1, and why?
# - Lower **sigma_1** to 0.1. What would a chain have to cross, starting
#   from that level, that no level helps it with?
# - Raise **sigma_L** to 0.1. Would you accept such pictures as data?
# - Raise the number of **levels** to 50. What happens to the ratio gamma,
#   and to the overlap of neighbouring levels (section 8.2 explains it)?
#
# <details><summary>Answers</summary>
#
# - At level 3 ($\sigma = 0.36$): one image, the right one, has 97 % of the
#   weight. At level 2 it has half of it. At level 1 the guess is a grey
#   blur, a weighted mean of about ninety images.
# - The gaps. Nearest neighbours are 1.1 apart, and at $\sigma = 0.1$ the
#   noisy image is taken for its neighbour with probability $\Phi(-5.5)$. No
#   level joins them.
# - Hardly: noise of 0.1 is one and a half steps between grey values, and
#   you see it.
# - The ratio falls from 1.67 to 1.10, and the overlap rises from 0.005
#   to 0.99.
# </details>

# %%
NoiseLevelExplorer(images.float(), sigma_1=1.0, sigma_L=0.01, n_levels=10, level=5)

# %% [markdown]
# ## 8.2 Trap: "strictly decreasing ratios"
#
# The *levels* decrease. The *ratios* are equal. You will meet the condition
# misprinted as $\sigma_1/\sigma_2 > \sigma_2/\sigma_3 > \dots > 1$, which
# is another ladder. A third one comes to mind by itself,
# equal *differences*:

# %%
ladders = {
    "equal ratios": sigmas,
    "decreasing ratios": 0.01 ** torch.linspace(0, 1, 10).sqrt(),
    "equal differences": torch.linspace(1, 0.01, 10),
}
for name, ladder in ladders.items():
    print(f"{name:17}:", " ".join(f"{ratio:5.2f}" for ratio in (ladder[:-1] / ladder[1:]).tolist()))

# %% [markdown]
# Why should the ratio be what counts? In many dimensions the length of
# Gaussian noise hardly varies: $\|\sigma z\|$ has mean $\sigma\sqrt{D}$ and
# standard deviation $\sigma/\sqrt2$, both up to a relative $O(1/D)$. So the
# noisy data of a level lie in a shell around each image, of radius
# $\sigma\sqrt{D}$. A chain that comes from the level above is outside by
# $(\gamma - 1)\,\sigma\sqrt{D}$. Measured in thicknesses of the shell,
#
# $$ \frac{(\gamma - 1)\,\sigma\sqrt{D}}{\sigma/\sqrt{2}} = (\gamma - 1)\sqrt{2D} . $$
#
# $\sigma$ has dropped out. With equal ratios each level is equally far from
# what the one before it hands over, and none is weaker than the rest. For
# our ladder that distance is $0.668 \cdot \sqrt{128} = 7.6$ thicknesses.
# The ladder with decreasing ratios begins with a jump of 41, the one with
# equal differences ends with a jump of 124, and each spends most of its
# levels where they gain little. A net at the lower level was never shown
# points that far out.
#
# Song & Ermon 2020 make a number of it. Take the radii of the upper level
# that lie within three of *its* standard deviations,
# $\gamma\sigma\,(\sqrt{D} \pm 3/\sqrt2)$. How much of the lower level's
# mass lies there? In thicknesses of the lower shell the interval is
# $(\gamma - 1)\sqrt{2D} \pm 3\gamma$ away from its middle, so
# the **overlap** is
#
# $$ \Phi\big((\gamma - 1)\sqrt{2D} + 3\gamma\big) - \Phi\big((\gamma - 1)\sqrt{2D} - 3\gamma\big) , $$
#
# and they ask for about one half. `ratio_overlap` computes it, and
# `levels_for_overlap` finds the number of levels:

# %%
for dim, first in ((64, 1), (3072, 1), (3072, 50)):
    overlap = ne.ratio_overlap((first / 0.01) ** (1 / 9), dim)
    n = ne.levels_for_overlap(first, 0.01, dim)
    print(f"D = {dim:4}, {first:2} to 0.01: ten levels overlap by {overlap:.3f}; {n} levels overlap by about one half")

# %% [markdown]
# Ten levels are few, even for digits: 16 would be needed. The net can live
# with that, as it generalises a little beyond its shell, and the sampler as
# well, as it takes several steps at each level. In our plane below
# ($D = 2$) shells are so thick that neighbouring levels share everything.
#
# The sampler takes the same view: its step $\alpha_i \propto \sigma_i^2$
# makes each level a copy of the one before it on a smaller scale.
# `geometric` is the only ladder that has this symmetry.
#
# ## 8.3 The loss
#
# At one level, denoising score matching asks for
#
# $$ \ell(\theta; \sigma) = \tfrac12\, \mathbb{E}\, \Big\| s_\theta(\tilde x, \sigma) + \frac{\tilde x - x}{\sigma^2} \Big\|^2,
#    \qquad \tilde x = x + \sigma z . $$
#
# For a whole ladder we take an average, with a weight $\lambda(\sigma) > 0$
# for each level (Song & Ermon 2019, eq. 6):
#
# $$ \mathcal{L}(\theta) = \frac1L \sum_{i=1}^{L} \lambda(\sigma_i)\, \ell(\theta; \sigma_i) . $$
#
# Each term is smallest at the score of its own $p_{\sigma_i}$. If the net
# could represent them all exactly, the weights would not matter: the same
# $\theta$ would minimise every term. A real net shares its parameters
# between the levels, has few steps to learn them, and then the weights say
# which levels it should care about.
#
# **Which weight?** The target is $-(\tilde x - x)/\sigma^2 = -z/\sigma$,
# and
#
# $$ \mathbb{E}\,\Big\|\frac{\tilde x - x}{\sigma^2}\Big\|^2 = \frac{\mathbb{E}\|z\|^2}{\sigma^2} = \frac{D}{\sigma^2} . $$
#
# The true score is no longer than that:
# $\mathbb{E}\|\nabla\log p_\sigma\|^2 \le D/\sigma^2$, because the floor of
# section 8.4 cannot be negative. It comes close to that length where the
# noise can be told from the data. So $\ell$ itself grows like $1/\sigma^2$
# down the ladder, by a factor of 10,000 from 1 to 0.01, and the sum would
# be the last level and nothing else. The choice
# $\lambda(\sigma) = \sigma^2$ takes that out. Multiply it into the norm:
#
# $$ \sigma^2\, \ell(\theta; \sigma) = \tfrac12\, \mathbb{E}\, \big\| \sigma s_\theta(x + \sigma z, \sigma) + z \big\|^2 . $$
#
# Now target and answer are of order one at each level: *predict the noise*,
# whatever its size. A net that returns zero costs
# $\frac12\mathbb{E}\|z\|^2 = D/2$ at every level. So you know the first
# value of your loss before you start: 32 for digits.


# %%
def zero(x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
    return 0 * x


for sigma in (1.0, 0.1, 0.01):
    cost = dsm(zero, images, sigma, generator=generator).mean().item()
    print(f"sigma {sigma:4}: sigma^2 l = {cost:.0f}, and l itself = {cost / sigma**2:.1e}")
for name in ("digits", "mnist", "cifar10"):
    print(f"{name}: D/2 = {math.prod(datasets.DATASETS[name].shape) / 2:.0f}")

# %% [markdown]
# Other weights are in use, and each has a reading of its own:
#
# | $\lambda(\sigma)$ | inside the norm | cost of the zero score | the net is asked for |
# |---|---|---|---|
# | $1$ | $s + z/\sigma$ | $D/(2\sigma^2)$ | the score |
# | $\sigma^2$ | $\sigma s + z$ | $D/2$ | the noise, up to its size |
# | $\sigma^4$ | $(\tilde x + \sigma^2 s) - x$ | $D\sigma^2/2$ | the clean data |
#
# The last line is the error of the denoised point: a denoiser trained in
# the plain way, on all levels at once, uses $\lambda = \sigma^4$ without
# saying so, and gives almost no weight to the small levels. The middle line
# is the only one in which no level costs more than another before training
# begins.
#
# A loss of 392 at the first step on MNIST, or of 1536 on CIFAR-10, is no
# reason to worry. A loss that *stays* there is.
#
# **Trap: a lost $D$.** The mean square of the target is often given as
# $1/\sigma^2$. That is the mean square of *one coordinate*; the norm sums
# over $D$ of them. The mistake is harmless for the argument, since
# $\lambda = \sigma^2$ either way, but whoever expects a loss of 1/2 at the
# start will look for a bug in a correct program, or overlook one that makes
# the loss a mean over pixels. That one changes the size of the loss by $D$,
# of the gradients too, and Adam will hardly notice it, while everything
# compared with a published number is wrong.
#
# **One random level per example.** The sum over $i$ need not be computed. A
# level drawn evenly for each example has the right mean, for a tenth of the
# work.
#
# **Write it.** The loss of each example at its own level, with the weight
# $\sigma^2$: row $b$ of the batch has the level `sigmas[level[b]]` and the
# noise `z[b]`, and the score takes one noise level for each row.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_loss(score, x, sigmas, level, z):
#     sigma = sigmas[level]
#     residual = sigma[:, None] * score(x + sigma[:, None] * z, sigma) + z
#     return 0.5 * residual.square().sum(1)
# ```
#
# Without `[:, None]` the product with $z$ fails, or, if the batch has as
# many rows as columns, multiplies the columns and reports nothing.
# </details>


# %%
def my_loss(score, x, sigmas, level, z):  # x and z: (B, D), sigmas: (L,), level: (B,); returns (B,)
    ...


practice.ladder_loss(my_loss)

# %% [markdown]
# The library's version draws level and noise itself:

# %%
show(ne.Denoising.__call__, random_sigmas, dsm, docstring=False)

# %% [markdown]
# `self.draw` is `random_sigmas` here. What it returns has shape $(B,)$: one
# $\sigma$ for each row, and each row gets noise of its own size. `dsm`
# draws $z$, forms the noisy point, asks the score *there* and for *that*
# $\sigma$, and returns one number a row. Everything that is new in this
# notebook is the line that draws; the loss at a level is that of
# notebook 3. This is the very code that trains below, and that trains NCSN
# on photographs. (Without labels and without a weight the lines about them
# do nothing. `multilevel_dsm` makes a `Denoising` and calls it once.)
#
# Drawing the levels adds some scatter to the loss of a batch, because one
# batch has more of the expensive levels than another. With 256 examples and
# ten levels, a level gets $26 \pm 5$ of them. With the 232 levels of NCSNv2
# a level gets about one, and the loss of a batch says little about any of
# them. The expectation over levels is the $1/L \sum_i$ of the formula. We
# check it with a score that is wrong by a different amount at each level,
# for which the sum can be computed:


# %%
def misled(x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
    return -x / (1 + torch.as_tensor(sigma).reshape(-1, 1, 1, 1))


by_hand = torch.stack([dsm(misled, images, sigma, generator=generator).mean() for sigma in sigmas]).mean()
drawn = torch.stack([ne.multilevel_dsm(misled, images, sigmas, generator=generator).mean() for _ in range(10)])
assert abs(by_hand / drawn.mean() - 1) < 0.03
print(f"mean over the ladder: {by_hand:.2f}, over random levels: {drawn.mean():.2f}")

# %% [markdown]
# ## 8.4 The floor
#
# Notebook 3 showed that a denoising loss does not go to zero. Level by
# level, and with the weight,
#
# $$ \sigma^2 \ell(\theta; \sigma) = \underbrace{\tfrac{\sigma^2}{2}\, \mathbb{E}\,\|s_\theta - \nabla \log p_\sigma\|^2}_{\text{what training can remove}}
#    + \underbrace{\tfrac{D}{2} - \tfrac{\sigma^2}{2}\, \mathbb{E}\,\|\nabla \log p_\sigma\|^2}_{\text{the floor at } \sigma} . $$
#
# The floor is half the variance of the noise given the noisy point,
# $\frac12 \mathbb{E}\,\mathrm{tr}\,\mathrm{Cov}(z \mid \tilde x)$, the part
# that cannot be guessed from it, and it differs from level to level. To see
# it we need data whose scores are known: from here on the mixture of
# notebooks 6 and 7, two modes in the plane. It asks for a ladder of its
# own. The gap is 14, so $\sigma_1 = 20$. At the other end we stop at
# $\sigma_L = 0.5$, half of the modes' standard deviation. That is *larger*
# than one would choose, on purpose: section 8.9 wants to see what it does.

# %%
mixture = GaussianMixture([[-5.0, -5.0], [5.0, 5.0]], 1.0, [0.2, 0.8])
sigmas = geometric(20, 0.5, 10)
clean = mixture.sample(20_000, generator=generator)
at = sigmas.repeat_interleave(2000)  # the level of each of the 20,000 points
noisy = clean + at[:, None] * torch.randn(clean.shape, generator=generator)
truth = mixture(noisy, at)
size = truth.square().sum(1).reshape(10, 2000).mean(1)  # E||score||^2 at each level

# %% [markdown]
# Why half? At $\sigma = 0.5$ a mode already has almost its own shape, and
# there are hardly any points between the modes. The ratio is
# $40^{1/9} = 1.51$, a bit smaller than in the paper, and in two dimensions
# shells are thick, so that neighbouring levels overlap well.
#
# `noisy` holds 2000 points of each $p_{\sigma_i}$, and `truth` the exact
# scores there. They are our referee: `wrong(net)` is the mean squared error
# of a net, one number for each level, and training never sees it.
#
# What floor do we expect? For a single Gaussian mode of variance $s^2 = 1$
# in the plane, notebook 3 has
# $\frac{D}{2} \frac{s^2}{s^2 + \sigma^2} = 1/(1 + \sigma^2)$: 0.8 at
# $\sigma_L$ and 0.0025 at $\sigma_1$. With two modes there is one more
# thing that a noisy point does not tell: from which of them it came.
#
# `dsm_floor` estimates the floor. For each noisy point it computes
# $\frac12 \mathrm{tr}\,\mathrm{Cov}(z \mid \tilde x)$ from the derivative
# of the true score. Its mean is unbiased at every $\sigma$, and it comes
# with an error of its own, the standard deviation of the values over
# $\sqrt{20{,}000}$:


# %%
def same() -> torch.Generator:
    return torch.Generator().manual_seed(1)


values = torch.stack([ne.dsm_floor(mixture, clean, s, generator=same()) for s in sigmas.tolist()])  # (10, 20,000)
floors, errors = values.mean(1), values.std(1) / len(clean) ** 0.5
for level in (0, 3, 5, 9):
    print(f"sigma {sigmas[level]:4.1f}: floor {floors[level]:.4f} +- {errors[level]:.4f}")
assert abs(floors[0] - 0.0392) < 3e-4 and abs(floors[-1] - 0.8) < 1e-4

# %% [markdown]
# At $\sigma_1$ the floor is 0.039 and not 0.0025: which mode a point came
# from costs fifteen times as much there as where in the mode it lay. At
# $\sigma_L$ nobody has to guess the mode. The posterior is then a Gaussian
# of the same width at every point, and the estimate has no error at all.


# %%
@torch.no_grad()
def wrong(net) -> torch.Tensor:
    return (net(noisy, at) - truth).square().sum(1).reshape(10, 2000).mean(1)


# %% [markdown]
# ## 8.5 One net, ten levels
#
# The net is a perceptron, $3 \to 64 \to 64 \to 64 \to 2$. Its third input
# is $\log \sigma$:

# %%
show(NoiseConditionalMLP.forward, docstring=False)

# %% [markdown]
# The two scalings are the argument for $\lambda = \sigma^2$ once more, now
# inside the net. $\tilde x$ has a variance of about
# $\text{std}^2 + \sigma^2$ and is divided by its root. At a typical noisy
# point each coordinate of the score is of size $1/\sigma$ at most, so the
# layers return $f = \sigma s$, of order one, and the division by $\sigma$
# comes last. Then the loss is $\frac12\|f + z\|^2$ at every level. Without
# it, one net would have to return numbers of about $1/\sigma$, from 0.05 to
# 2 here, and from 1 to 100 for images.
#
# The three matrices and their offsets are
# $(3 \cdot 64 + 64) + 2\,(64 \cdot 64 + 64) + (64 \cdot 2 + 2) = 8706$
# numbers, half as many as the net of notebook 6 had for a single level.
# Nothing in it belongs to one level: what is learned at $\sigma = 2.6$
# changes the answer at 1.7 too.
#
# Training: batches of 256 fresh points, Adam, 3000 steps with learning
# rate 0.003 and 1000 with a tenth of it. (The second part removes most of
# the fluctuation that notebook 6 saw at a constant rate.)


# %%
def learn(net, own, objective):
    stream = (mixture.sample(256, generator=own) for _ in itertools.count())
    stages = ((3000, 3e-3), (1000, 3e-4))  # steps, learning rate
    return itertools.chain(*(train(net, stream, objective=objective, n_steps=n, lr=lr) for n, lr in stages))


def fresh_net():
    torch.manual_seed(0)  # for the weights of the net
    return NoiseConditionalMLP(2, (64, 64, 64), data_std=5.0), torch.Generator().manual_seed(0)


# %% [markdown]
# `Denoising(sigmas)` is the loss of section 8.3, with levels and noise
# drawn by `own`. At 25 steps, evenly spaced on a logarithmic scale, we ask
# the referee.

# %%
net, own = fresh_net()
steps = torch.logspace(1, math.log10(4000), 25).round().int().tolist()
history = []
for step, _ in enumerate(ne.progress(learn(net, own, ne.Denoising(sigmas, generator=own)), total=4000), start=1):
    if step in steps:
        history.append(sigmas**2 / 2 * wrong(net))
history = torch.stack(history)  # (25, 10): what training can still remove, level by level

# %% [markdown]
# Beside the floor of section 8.4 we draw the loss, `dsm` with the net on
# the same points with the same noise. It scatters more than the floor: its
# standard error is 0.006 at $\sigma_L$.
#
# **Predict:** left, the loss of the trained net at each level, and the
# floor. Is the loss the same at all levels? Is it small at $\sigma_L$,
# where the zero score costs 1, like everywhere? Right, what training can
# still remove, step by step, for four of the levels. Which of them is
# learned first?
#
# <details><summary>Answer</summary>
#
# The loss lies on the floor, and the floor goes from 0.04 at $\sigma_1$
# to 0.8 at $\sigma_L$: there the noise is small beside the mode, and most
# of it cannot be guessed. (On the way it has a bump, near $\sigma = 6$.) So
# the net that is nearly perfect everywhere shows a loss of 0.8 at one
# level. The large levels are learned first: their score is a simple pull
# towards the mean. The middle ones, where the modes part, come last.
# </details>


# %%
with torch.no_grad():
    loss = torch.stack([dsm(net, clean, s, generator=same()).mean() for s in sigmas.tolist()])

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.6))
left.fill_between(sigmas, floors, color=BLUE, alpha=0.2, lw=0)
left.plot(sigmas, floors, color=BLUE, label="floor: no score gets below")
left.plot(sigmas, loss, "o", color=ORANGE, label="trained net")
left.axhline(1, color=GREY, ls="--", lw=0.8, label="zero score, $D/2$")
plots.level_axis(left, sigmas).set(ylim=(0, 1.05), title=r"loss by level, $\lambda = \sigma^2$")
for level, shade in zip((0, 3, 6, 9), plt.cm.viridis([0.9, 0.65, 0.35, 0.0]), strict=True):
    right.loglog(steps, history[:, level], ".-", color=shade, label=rf"$\sigma$ = {sigmas[level]:.2g}")
right.set(xlabel="step", title=r"loss above the floor, $\frac{\sigma^2}{2} E\|s - s^*\|^2$")
left.legend(), right.legend()
numbers = {"floor_first": floors[0], "floor_last": floors[-1], "above": history[-1].mean(), "loss_last": loss[-1]}
tolerance = {"floor_first": 1e-4, "floor_last": 1e-4, "above": 0.001, "loss_last": 0.002}
alt = (
    "Left, the floor by noise level as a shaded area, from 0.04 at sigma 20 over a bump of 0.2 at 5.8 to 0.8 at 0.5; "
    "the dots of the trained net lie on its edge. Right, the loss above the floor falls from about 1 to below 0.01; "
    "sigma 1.7 is last."
)
caption = "The loss of a trained net by level lies on the floor; what training can still remove is hidden above it."
save_figure(fig, "conditional_loss", alt=alt, caption=caption, numbers=numbers, tolerance=tolerance)

# %% [markdown]
# The bump in the floor is the two modes. At $\sigma = 6$ a point between
# them may have come from either, and which one cannot be guessed. At
# $\sigma = 2.6$ that is settled for nearly every point, and the floor comes
# down. From there on it rises again, because a mode has a width of its own,
# in which the noise gets lost.
#
# This picture has three lessons for real data, where nobody knows the
# floor.
#
# *A loss that is not small may be a perfect one.* The mean of the floors
# is 0.30, that of the loss hardly more. Nobody who saw the number alone
# could tell how good the net is, and a net with twice the parameters cannot
# get below it. (Notebook 10 asks how much of the loss on images is floor.)
#
# *Compare a level with itself.* At $\sigma = 0.5$ the loss starts near 1
# and can fall by 0.2 at most; at $\sigma = 20$ by 0.96. The curve of the
# total loss is dominated by levels that are learned within some hundred
# steps, and what is still to be learned after that hides in the second and
# third decimal. So log the loss **by level**: the states of `train` carry
# the level of each example, `state.level_losses(10)` averages over a batch.
#
# *The middle is hard.* Around $\sigma = 2$ the modes have just parted, the
# crease of notebook 6 appears, and the error is largest for most of the
# training. In the same range the weights of the modes are decided, as
# notebook 7 found.
#
# ## 8.6 Against the exact score
#
# Now the fields. The relative error is the root of
# $\mathbb{E}\|s - s^*\|^2$ over that of $\mathbb{E}\|s^*\|^2$, under the
# $p_\sigma$ of the level.
#
# **Predict:** learned and exact arrows at four levels. At which level will
# the eye see a difference first, and where in the plane?
#
# <details><summary>Answer</summary>
#
# At the last one, $\sigma = 0.5$, in the gap between the modes and in the
# empty corners: under $p_{0.5}$ there are hardly any points there. At
# $\sigma = 1.7$ one has to look for it, in the same places. At the first
# two the noise has put points wherever the picture shows arrows, and the
# fields agree.
# </details>

# %%
relative = (wrong(net) / size).sqrt()
shown = (0, 4, 6, 9)
fig, axes = plt.subplots(2, 4, figsize=(11.5, 6.1))
for level, column in zip(shown, axes.T, strict=True):
    sigma, half = sigmas[level].item(), 8 + 1.5 * sigmas[level].item()
    longest = mixture(plots.grid(half, 15), sigma).norm(dim=1).max().item()
    for ax, score in zip(column, (mixture, lambda x, s: net(x.float(), s)), strict=True):
        plots.density(ax, mixture.perturb(sigma).log_prob, extent=half)
        plots.score_field(ax, score, extent=half, sigma=sigma, n=15, max_length=longest)
    column[0].set_title(rf"exact, $\sigma$ = {sigma:.2g}")
    column[1].set_title(f"learned, error {relative[level]:.0%}")
numbers = {f"error_at_level_{level + 1}": relative[level] for level in range(10)}
alt = (
    "Score fields at sigma 20, 3.9, 1.7 and 0.5, exact above and learned below. At 20 and 3.9 they look alike. At 0.5 "
    "the exact arrows flip at a sharp line between the two modes; the learned ones shrink and turn smoothly there."
)
caption = "Learned and exact scores: they agree where a level has points, and differ in the gap at the last level."
save_figure(fig, "conditional_fields", alt=alt, caption=caption, numbers=numbers, tolerance=0.01)

# %%
assert (relative < 0.15).all()
print("relative error by level: ≈", ", ".join(f"≈ {value:.2f}" for value in relative.tolist()).removeprefix("≈ "))

# %% [markdown]
# The relative error is a few percent at the top and about a tenth at the
# bottom, with *one* net of 8706 numbers. Why is the last level the worst?
# The loss gives each level an equal say in *absolute* terms, of $\sigma s$.
# At $\sigma = 0.5$ the true $\sigma s^*$ has a mean square of only
# $2\sigma^2/(1 + \sigma^2) = 0.4$ here (near a mode the score is that of a
# Gaussian of variance $1 + \sigma^2$), against 1.9 at $\sigma_1$. So the
# same absolute error is a larger part of it: equal weights in the loss do
# not give equal precision.
#
# The last column is worth a second look. In the gap the learned arrows are
# wrong, just as in notebook 6. Training on many levels has *not* taught the
# net the score of $p_{0.5}$ where $p_{0.5}$ has no points, and it could
# not. What it has learned is the score of $p_{20}$ there, of $p_{13}$, and
# so on down to the level at which the gap runs dry. A sampler that comes
# down the ladder has left the gap by then. **Each level needs to be right
# only where the level above leaves the chains.**
#
# ## 8.7 What the weight does: loss and gradients
#
# $\lambda = \sigma^2$ weighs the levels equally *in the loss*. Training
# does not see the loss. It sees gradients, and those of a batch scatter
# around their mean. Does $\lambda = \sigma^2$ make that scatter equal as
# well?
#
# We take 40 batches of 256 points at one level, compute the gradient of the
# loss with respect to all parameters for each, and the root of the total
# variance of the 40. For another $\lambda$ everything is multiplied by
# $\lambda(\sigma)/\sigma^2$.


# %%
def gradient_noise(net, sigma: float, n_batches: int = 40) -> torch.Tensor:
    rows = []
    for _ in range(n_batches):
        value = dsm(net, mixture.sample(256, generator=generator), sigma, generator=generator).mean()
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(value, list(net.parameters()))]))
    return torch.stack(rows).var(0).sum().sqrt()


noise_start = torch.stack([gradient_noise(fresh_net()[0], sigma) for sigma in sigmas.tolist()])
noise_end = torch.stack([gradient_noise(net, sigma) for sigma in sigmas.tolist()])

# %% [markdown]
# With $\lambda = 1$ that means a division by $\sigma^2$, and needs no
# second measurement. We also train with this weight: the same net, the same
# points, levels and noise, with $\lambda = 1$.


# %%
net_1, own = fresh_net()


def unweighted(net, x: torch.Tensor) -> torch.Tensor:
    sigma = random_sigmas(x, sigmas, own)
    return dsm(net, x, sigma, generator=own) / sigma**2  # dsm has the weight sigma^2 in it


for _ in ne.progress(learn(net_1, own, unweighted), total=4000):
    pass
relative_1 = (wrong(net_1) / size).sqrt()

# %% [markdown]
# **Predict:** left, the gradients' noise against the level, for the
# untrained net, the trained one, and for the trained one with
# $\lambda = 1$. Which of the three lines is flat? By how much do the others
# rise from $\sigma_1$ to $\sigma_L$? Right, the relative error of the two
# nets. Is the net with $\lambda = 1$ better anywhere?
#
# <details><summary>Answer</summary>
#
# The untrained net's line is flat: its residual $\sigma s + z$ is mostly
# $z$ plus something constant, alike at all levels. For the trained net the
# noise rises by a factor of 3 to 4, although the loss weighs all levels
# equally. With $\lambda = 1$ it rises by a factor of several thousand. At
# the large levels that net is off by half of the score, and at the small
# ones it is no better than the other.
# </details>

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.6))
left.semilogy(sigmas, noise_start, "o-", color=GREY, label=r"$\lambda = \sigma^2$, before training")
left.semilogy(sigmas, noise_end, "o-", color=BLUE, label=r"$\lambda = \sigma^2$, after training")
left.semilogy(sigmas, noise_end / sigmas**2, "o-", color=RED, label=r"$\lambda = 1$, the same net")
right.plot(sigmas, relative, "o-", color=BLUE, label=r"trained with $\lambda = \sigma^2$")
right.plot(sigmas, relative_1, "o-", color=RED, label=r"trained with $\lambda = 1$")
for ax, title in ((left, "noise of the gradient of a batch"), (right, "relative error of the score")):
    plots.level_axis(ax, sigmas).set_title(title)
    ax.legend()
right.set_ylim(0, 0.6)
alt = (
    "Left, gradient noise by level, logarithmic: flat before training, rising threefold to the small levels after it, "
    "and five thousandfold with weight 1. Right, errors: below 0.1 with weight sigma squared; with weight 1 from 0.5 "
    "at sigma 20 down to 0.13 at 0.5."
)
caption = r"What the weight does: with $\lambda = 1$ the gradients of the small levels drown those of the large ones."
rises = {"rise_start": noise_start[-1] / noise_start[0], "rise_end": noise_end[-1] / noise_end[0]}
errors = {"lambda_1_first": relative_1[0], "lambda_1_last": relative_1[-1]}
tolerance = {"rise_start": 0.05, "rise_end": 0.2, "lambda_1_first": 0.05, "lambda_1_last": 0.02}
save_figure(fig, "conditional_weights", alt=alt, caption=caption, numbers=rises | errors, tolerance=tolerance)

# %% [markdown]
# The factor of the blue line can be explained. At the end of training the
# residual $\sigma s + z$ is the part of the noise that cannot be guessed,
# and its mean square is twice the floor. The gradient is that residual
# times the derivative of $\sigma s = f$, which is of similar size at all
# levels. So the noise should rise like the root of the floor, by
# $\sqrt{0.80/0.039} \approx 4.5$. The measured factor is smaller, but of
# that order. Equal weights in the loss thus still leave the small levels
# with the noisiest gradients, and large gradients hide small ones: a batch
# holds some 26 examples of each level, and their gradients are summed
# before the optimiser sees them.
#
# **Small levels loud, or small levels quiet?** Section 9.8 finds the
# opposite for NCSN: at first its small levels have gradients a hundred
# times *smaller*. Both are right, and the division by $\sigma$ makes the
# difference. Take the derivative of $\frac12\|\sigma s + z\|^2$ with
# respect to what the layers return:
#
# | what the layers return | its gradient | from $\sigma = 1$ to 0.01, before training |
# |---|---|---|
# | $f = \sigma s$; the net divides by $\sigma$ at its end (here, NCSNv2) | $f + z$ | the same size |
# | $s$ itself (NCSN) | $\sigma\,(\sigma s + z)$ | a hundredth |
#
# After training $f + z$ is what cannot be guessed, largest at the small
# levels: that is the factor of 3 to 4 measured above. NCSN has it as well,
# and the factor $\sigma$ on top.
#
# With $\lambda = 1$ the factor is multiplied by
# $\sigma_1^2/\sigma_L^2 = 1600$. Whatever the net wants to learn about
# $\sigma_1$ arrives in gradients thousands of times smaller than the noise
# from $\sigma_L$. Adam divides each *parameter's* gradient by its size, but
# not each *level's*, so it does not help. On a ladder from 1 to 0.01 the
# factor would be 10,000 instead of 1600.
#
# Could a weight be better still than $\sigma^2$? One can try to make the
# noise equal. But what is at stake is a factor of three or four, not of
# thousands, and $\sigma^2$ needs no knowledge of the data.
#
# ## 8.8 Trap: $x + \sigma^2 z$ for $x + \sigma z$
#
# The variance is $\sigma^2$, so the noise is $\sigma^2 z$? It happens, in
# code of all ages. Nothing crashes. At $\sigma = 1$ it is even right, and
# on a ladder below 1 there is simply less noise than one believes. What
# does a learner of the digits see?
#
# The best *linear* denoiser tells us without training. It sees the data as
# one Gaussian with their covariance. In a direction of variance $v$
# notebook 3 found its loss to be $\frac12 \frac{v}{v + \sigma^2}$. With the
# mistake the noise has standard deviation $\sigma^2$; so the loss *at level
# $\sigma$* is the right loss *at level $\sigma^2$*.
#
# **Predict:** the next figure shows the digit at the ten levels of
# section 8.1, right and mistaken, and the two losses by level, with
# $D/2 = 32$ as a dashed line. Will the mistaken loss be higher or lower?
# What does it look like at the small levels? What would *you* conclude from
# it?
#
# <details><summary>Answer</summary>
#
# The mistaken loss is higher at all levels below 1, since less noise is
# harder to find. Over the lower half of the ladder it is close to its upper
# end, as if nothing could be learned there. That end is 30 and not
# $D/2 = 32$: four pixels are black in all images, on them the noise is seen
# whole, and they cost nothing. The natural conclusion, "the small levels
# are hard", is wrong: there is no noise. At $\sigma = 0.01$ it has standard
# deviation 0.0001.
# </details>

# %%
ladder = geometric(1, 0.01, 10, dtype=torch.float64)
v = torch.linalg.eigvalsh(images.flatten(1).T.cov()).clamp(min=0)  # variances along the principal axes
linear_loss = {
    name: 0.5 * (v / (v + noise[:, None] ** 2)).sum(1)
    for name, noise in {"right": ladder, "mistaken": ladder**2}.items()
}
varying = (images.flatten(1).std(0) > 0).sum().item()
print(f"{varying} of 64 pixels vary: without any noise the loss is {varying / 2:.0f}")
print("mistaken, at 0.01: {:.2f}; right: {:.2f}".format(*(linear_loss[name][-1] for name in ("mistaken", "right"))))

# %%
fig, axes = plt.subplots(3, 1, figsize=(8.4, 5.0), height_ratios=(1, 1, 2.2))
for ax, noises, name in zip(
    axes, (ladder, ladder**2), (r"right: $x + \sigma z$", r"mistaken: $x + \sigma^2 z$"), strict=False
):
    plots.images(ax, images[0] + noises[:, None, None, None] * z, columns=10).set_title(name)
for (name, found), color in zip(linear_loss.items(), (BLUE, RED), strict=True):
    axes[2].plot(ladder, found, "o-", color=color, label=name)
axes[2].axhline(32, color=GREY, ls="--", lw=0.8, label="zero score, $D/2$")
plots.level_axis(axes[2], ladder).set(ylim=(0, 34), title="loss of the best linear score")
axes[2].legend(loc="lower right")
numbers = {f"{name}_at_0.1": (found[4] + found[5]) / 2 for name, found in linear_loss.items()}
alt = (
    "Two strips of one digit at ten levels: with the right noise it is lost at the first three, with the mistaken one "
    "it is clean from the fourth on. Below, the loss: right from 2 to 27; mistaken from 2 to 30, near 30 over the "
    "lower half. The zero score costs 32."
)
caption = r"Noise $\sigma^2 z$ for $\sigma z$: less noise than one believes, and a loss that looks like hard data."
save_figure(fig, "conditional_power", alt=alt, caption=caption, numbers=numbers)

# %% [markdown]
# From the fourth level on the mistaken row shows a clean digit. On
# photographs with 256 grey values, $\sigma = 0.01$ would become a noise of
# a fortieth of one grey value. The mean over the ladder rises too, and
# nothing in it looks like a bug: a harder data set would look the same.
# Compare it with the first figure of section 8.5, where a perfect net has a
# loss of 0.8 out of 1 at the last level. *A high loss at small levels is
# normal. What is not normal is that denoising fails there.*
#
# What does such a net learn? The best answer to "predict $z$ from
# $\tilde x = x + \sigma^2 z$" is $\mathbb{E}[z \mid \tilde x]$. By
# Tweedie's formula with noise $\sigma^2$ that is
# $-\sigma^2\, \nabla \log p_{\sigma^2}(\tilde x)$, and the loss equates it
# with $-\sigma s$:
#
# $$ s(x, \sigma) = \sigma\, \nabla \log p_{\sigma^2}(x) . $$
#
# That is the score of another level, multiplied by $\sigma$. So we can
# write down what the mistake leads to, trained to perfection, and sample
# with it. Our mixture has levels on both sides of 1: too much noise above,
# too little below.

# %%
start = 8 * (2 * torch.rand(4000, 2, generator=generator) - 1)
eps = 0.3 * sigmas[-1].item() ** 2
print(f"eps {eps:.3f}, limit {ne.stable_eps(sigmas, data_var=1.0):.3f}")


def descend(score):
    options = {"eps": eps, "n_steps_each": 100, "generator": torch.Generator().manual_seed(2)}
    return ne.annealed_langevin(score, start, sigmas, **options)


# %% [markdown]
# $\alpha_i = 0.3\, \sigma_i^2$ is far below the limit of `stable_eps`,
# which is $4\,(1 + s^2/\sigma_1^2)\,\sigma_L^2$, so the steps themselves
# are no danger. `report` gives the share of the small mode with its 95 %
# interval, and the standard deviation of the big one.


# %%
def widths(x: torch.Tensor) -> torch.Tensor:  # std of the small and of the big mode
    return ne.mode_moments(x, mixture)[1].diagonal(dim1=1, dim2=2).mean(1).sqrt()


def report(name: str, x: torch.Tensor) -> None:
    share = ne.mode_weights(x, mixture)
    low, high = share.low[0], share.high[0]
    print(f"{name}: small mode {share.weight[0]:.2f} in [{low:.2f}, {high:.2f}], std {widths(x)[1]:.2f}")


x_exact = ne.last(descend(mixture))
x_mistaken = ne.last(descend(lambda x, sigma: sigma * mixture(x, sigma**2)))
report("x + sigma^2 z", x_mistaken)
report("x + sigma z  ", x_exact)
assert abs(ne.mode_weights(x_exact, mixture).weight[0] - 0.2) < 0.03 and widths(x_mistaken)[1] > 1.35

# %% [markdown]
# The truth is 0.20, and $\sqrt{1 + \sigma_L^2} = 1.12$ for the width at the
# last level. With the mistake nearly half of the small mode's weight is
# gone and the big mode is 30 % too wide, and still the picture would show
# two round clouds in the right places.
#
# One line would have caught it on the first day: the standard deviation of
# $\tilde x - x$ must be $\sigma$. Or denoise a batch, as notebook 3
# advises. With the mistake
# $\sigma^2 s = \sigma^3\, \nabla \log p_{\sigma^2}$, where noise $\sigma^2$
# would need $\sigma^4\, \nabla \log p_{\sigma^2}$: at $\sigma = 0.1$ the
# step is ten times too long, and the points end up further away than they
# were.
#
# ## 8.9 Sampling, with weights and widths
#
# Now the learned net takes the place of the exact score in Algorithm 1.
# Nothing else changes: `annealed_langevin` calls `score(x, sigma)`, once a
# step, and does not know whether a formula or a net answers. For a ladder
# of $L = 10$ levels with $T = 100$ steps each that is $L\,T = 1000$
# evaluations for a chain, which is what sampling costs.
#
# Recall why each level starts well. A chain that has settled at level $i-1$
# is a sample of $p_{\sigma_{i-1}}$. Seen from level $i$ that is a sample of
# $p_{\sigma_i}$ with some excess noise, of variance
# $\sigma_{i-1}^2 - \sigma_i^2$, a little more than $\sigma_i^2$ itself
# here. So it is close to where $p_{\sigma_i}$ has its points, where the net
# was trained. A start from any other distribution has no such promise.
#
# Two rivals show what the ladder is good for:
#
# - **one small level**: a net of the same kind, trained as long, at
#   $\sigma = 0.5$ only, with Langevin steps at that level and no ladder;
# - **one large level**: our net, asked at $\sigma_4 = 5.8$ only, where its
#   error is a few percent and chains mix freely.

# %%
net_small, own = fresh_net()
for _ in ne.progress(learn(net_small, own, ne.Denoising(sigmas[-1:], generator=own)), total=4000):
    pass
relative_small = (wrong(net_small) / size).sqrt()

# %% [markdown]
# The small level's net was given ten times as many examples of its level as
# the conditional one. The figure first shows what each of them knows.
#
# **Predict:** left, the relative error of both at every level of the
# ladder. At its own level, which one is better? And elsewhere? Right, the
# score at $\sigma = 0.5$ along the diagonal from mode to mode. Who is right
# in the middle?
#
# <details><summary>Answer</summary>
#
# At its own level the single net is no worse, and may be better. Everywhere
# else it is of little use, off by a quarter of the score or more: it never
# saw another level, and $\log\sigma$ was a constant to it. In the middle
# neither is right, since neither saw points there; the conditional net has
# the better guess, because the next levels up are right there and it is
# smooth in $\sigma$.
# </details>

# %%
t = torch.linspace(-8, 8, 321)
diagonal = torch.stack([t, t], 1)
scores = {"truth": mixture, "ladder": net, "0.5 only": net_small}
along = {name: score(diagonal, 0.5).detach().sum(1) / 2**0.5 for name, score in scores.items()}

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.6))
left.semilogy(sigmas, relative, "o-", color=ORANGE, label="trained on the ladder")
left.semilogy(sigmas, relative_small, "o-", color=GREEN, label=r"trained at $\sigma$ = 0.5 only")
plots.level_axis(left, sigmas).set(ylim=(0.01, 3), title="relative error of the score")
for (name, values), color in zip(along.items(), (BLUE, ORANGE, GREEN), strict=True):
    right.plot(t, values, color=color, label=name)
right.fill_between(t, -8, 8, where=(t.abs() - 5).abs() < 2, color=GREY, alpha=0.2, lw=0, label="99 % of the points")
right.set(xlabel="$t$", ylim=(-7.5, 7.5), title=r"score at $\sigma$ = 0.5, along $(t, t)$")
left.legend(loc="upper right"), right.legend(fontsize=8)
numbers = {"single_first": relative_small[0], "single_last": relative_small[-1]}
tolerance = {"single_first": 0.05, "single_last": 0.02}
alt = (
    "Left, the error by level: the ladder's net stays below 0.1; the net of sigma 0.5 has 0.1 there and up to 1 "
    "elsewhere. Right, the score along the diagonal: all agree where the points are; between the modes the true one "
    "jumps, and both nets cross smoothly, the ladder's more steeply."
)
caption = "A net for one level and a net for ten: alike where the one level has points, and nowhere else."
save_figure(fig, "conditional_single", alt=alt, caption=caption, numbers=numbers, tolerance=tolerance)

# %% [markdown]
# Now all three sample, from the same starting points: 1000 steps on the
# ladder, 300 at the small level, after which nothing crosses the middle any
# more, and 200 at the large one, where chains need no more. A fourth panel
# has the run with the exact scores on the ladder, from section 8.8.
#
# **Predict:** the share of the small mode and the width of the big one, for
# each of them. (The truth for $p$ is 0.2 and 1.) Which will have the right
# weights, which the right width?
#
# <details><summary>Answer</summary>
#
# One small level: the width of $p_{0.5}$, and weights that were decided by
# the start, nearly one half. One large level: a single blurred cloud with
# nothing of the two modes left. The ladder: the right weights, and the
# width of $p_{0.5}$, which is $\sqrt{1.25} \approx 1.1$. Learned or exact
# makes little difference.
# </details>

# %%
levels = []  # of the ladder: (std of the big mode, that after denoising)
for state in ne.progress(descend(net), total=1000):
    if state.step == 99 and state.level >= 5:
        denoised = ne.denoise(net, state.x, state.sigma)
        levels.append((widths(state.x)[1], widths(denoised)[1]))
at_small = ne.langevin(net_small, start, alpha=eps, n_steps=300, sigma=0.5, generator=same())
at_large = ne.langevin(net, start, alpha=0.3 * 5.8**2, n_steps=200, sigma=5.8, generator=same())
clouds = {"0.5 only": ne.last(at_small), "5.8 only": ne.last(at_large), "ladder": state.x, "ladder, exact": x_exact}

# %%
fig, axes = plt.subplots(1, 4, figsize=(11.5, 3.4))
numbers = {}
for ax, (name, x) in zip(axes, clouds.items(), strict=True):
    share, wide = ne.mode_weights(x, mixture).weight[0], widths(x)[1]
    plots.scatter(ax, x, extent=16, ms=1.5).set_title(f"{name}\nsmall mode {share:.3f}, std {wide:.2f}")
    numbers |= {f"share, {name}": share, f"std, {name}": wide}
alt = (
    "Four clouds of samples. Sigma 0.5 only: two round modes, nearly half of the points in the small one. Sigma 5.8 "
    "only: one wide cloud. The ladder, with the learned and with the exact score: two round modes, a fifth of the "
    "points in the small one."
)
caption = "Samples of three rivals and of the exact scores: only a ladder finds the weights and the widths."
save_figure(fig, "conditional_samples", alt=alt, caption=caption, numbers=numbers, tolerance=0.015)

# %% [markdown]
# The second cloud has lost the two modes; its "big mode" is simply the half
# of the plane on that side. The first one looks like data, and only
# counting reveals the weight, as so often in notebook 7. The third has the
# right weights, and the width that belongs to its last level. The fourth,
# with scores that nobody had to learn, is no better: 4000 chains scatter
# by 0.006 in the share, and both shares lie within two or three such units
# of 0.20.

# %%
for name in ("ladder", "ladder, exact"):
    share, wide = numbers[f"share, {name}"].item(), numbers[f"std, {name}"].item()
    assert abs(share - 0.2) < 0.025 and abs(wide - 1.12) < 0.05
    print(f"{name:13}: small mode ≈ {share:.2f} (truth 0.20), std ≈ {wide:.2f} (p_0.5: 1.12)")

# %% [markdown]
# So one method removes both failures. The empty part of notebook 6 does no
# harm, since the levels that meet it have data there. The valley of
# notebook 7 does none either, since it is crossed before it opens. And the
# training needed nothing but samples: it never asked for the mixture's own
# score.

# %% [markdown]
# **The width, level by level.** In equilibrium at level $i$ a chain is
# distributed as $p_{\sigma_i}$, so a mode has the standard deviation
# $\sqrt{s^2 + \sigma_i^2}$, with $s = 1$. (Steps of finite size add a few
# percent by ULA's formula, `stationary_variance`.) A chain that stops at
# $\sigma_L$ is a sample of $p_{\sigma_L}$ and not of $p$. The final
# denoising step $x + \sigma_L^2\, s(x, \sigma_L)$ replaces each point by
# the mean of the clean points behind it. For a Gaussian mode it multiplies
# the distance from the centre by $s^2/(s^2 + \sigma_L^2)$, so that the
# width becomes $s^2/\sqrt{s^2 + \sigma_L^2}$: too narrow now, and by about
# as much.
#
# **Predict:** the last figure shows the width after each of the last five
# levels, before and after denoising, with these two formulas as lines. Do
# they meet? Which of them is nearer to 1 at $\sigma = 0.5$?
#
# <details><summary>Answer</summary>
#
# They meet at 1 as $\sigma \to 0$, one from above and one from below, both
# with an error of $\sigma^2/2$ to first order. At 0.5 that is 1.12
# and 0.89: no gain in the width here. The gain is elsewhere: what is left
# of the *noise* in each sample is gone.
# </details>

# %%
measured = torch.tensor(levels)
fine = torch.linspace(0, 2.7, 100)
theory = [ne.stationary_variance(0.3 * s**2, 1 + s**2) ** 0.5 for s in sigmas[5:].tolist()]
fig, ax = plt.subplots(figsize=(6.2, 3.5))
ax.plot(fine, (1 + fine**2).sqrt(), color=BLUE, label=r"$\sqrt{1 + \sigma^2}$")
ax.plot(sigmas[5:], theory, "x", color=BLUE, label="with the finite step")
ax.plot(fine, 1 / (1 + fine**2).sqrt(), color=GREEN, label=r"$1/\sqrt{1 + \sigma^2}$")
ax.plot(sigmas[5:], measured[:, 0], "o", color=ORANGE, label="after the level")
ax.plot(sigmas[5:], measured[:, 1], "o", color=RED, label="after denoising")
ax.axhline(1, color=GREY, ls="--", lw=0.8)
ax.invert_xaxis()
ax.set(xlabel=r"$\sigma$", title="standard deviation of the big mode")
ax.legend(ncols=2, fontsize=9)
numbers = {"last": measured[-1, 0], "last_denoised": measured[-1, 1]}
alt = (
    "The width of the big mode against sigma, from 2.6 to 0. After each level it follows the upper curve, from 2.8 "
    "down to 1.1; after denoising the lower one, from 0.5 up to 0.9, except at 2.6. Both curves meet at 1 as sigma "
    "goes to 0."
)
caption = "The width after each of the last five levels: too wide before the denoising step, too narrow after it."
save_figure(fig, "conditional_width", alt=alt, caption=caption, numbers=numbers, tolerance=0.015)

# %% [markdown]
# The orange dots follow the upper line. The red ones, from the second on,
# lie on the lower one or a little above. (At the first of these levels the
# modes still overlap, and the formula for a single Gaussian does not
# apply.) The picture has the rule for the end of a ladder: at $\sigma_L$
# both curves should be near the dashed line. For $s = 1$ a level of 0.1
# would do, with an error of half a percent either way. For images there is
# no $s$ to compare with, and the grey step takes its place.
#
# ## 8.10 The same score, by slices
#
# Nothing in Algorithm 1 asks how the score was learned. NCSN can be trained
# by the sliced loss of notebook 4 as well. The noise is added to the data
# first, and the loss sees noisy points only. With the weight $\sigma^2$ its
# minimiser is the same score. Only the number differs: the loss estimates
# the Fisher divergence minus
# $\frac{\sigma^2}{2}\mathbb{E}\|\nabla\log p_\sigma\|^2$, and is negative
# when it is good.
#
# The same net, the same number of steps, one slice for each point:

# %%
net_sliced, own = fresh_net()


def sliced_on_ladder(net, x: torch.Tensor) -> torch.Tensor:
    sigma = random_sigmas(x, sigmas, own)
    x_noisy = x + sigma[:, None] * torch.randn(x.shape, generator=own)
    return sigma**2 * ne.sliced(net, x_noisy, sigma, generator=own)


for _ in ne.progress(learn(net_sliced, own, sliced_on_ladder), total=4000):
    pass
relative_sliced = (wrong(net_sliced) / size).sqrt()

# %% [markdown]
# And the price of a step? Section 4.5 counts: two backward passes for one, the
# second through a graph twice as long. For this net and batches of 256, a
# sliced step took about twice the processor time of a denoising step where this was
# written (1.9 and 2.2 in two runs).
#
# **Predict:** the relative error of the net by level, by denoising and by
# slices. Will the two curves have the same shape? Which will be lower, and
# where most clearly?
#
# <details><summary>Answer</summary>
#
# The curves have the same shape, with the largest errors at the same
# levels. Slices do worse at most levels, most clearly at the large ones:
# there denoising has a floor near 0, so that its target hardly scatters,
# while the direction of a slice is random at every level.
# </details>

# %%
fig, ax = plt.subplots(figsize=(6.2, 3.4))
ax.plot(sigmas, relative, "o-", color=BLUE, label="denoising")
ax.plot(sigmas, relative_sliced, "o-", color=PURPLE, label="sliced, one direction")
plots.level_axis(ax, sigmas).set(ylim=(0, 0.15), title="relative error of the score")
ax.legend()
numbers = {"sliced_first": relative_sliced[0], "sliced_last": relative_sliced[-1], "sliced": relative_sliced.mean()}
alt = (
    "The relative error by level of two nets, both below 0.13 everywhere. The curves rise together to the middle "
    "levels and are highest at the last one; the sliced one lies above the other, most clearly at the large levels."
)
caption = "The same net by denoising and by slices, after the same number of steps."
save_figure(fig, "conditional_slices", alt=alt, caption=caption, numbers=numbers, tolerance=0.015)

# %% [markdown]
# So slices learn the same score, for a higher price. On images the price is
# higher still: a slice scatters more the more dimensions there are
# (section 4.4), and its second derivative needs the memory of the whole
# network once more. NCSN adds noise anyway, and with noise the target of
# denoising comes for free. That is why Song & Ermon chose it.
#
# ## 8.11 What the net is told
#
# A sampler calls `score(x, sigma)`, and so does a loss. What the net makes
# of the number $\sigma$ is its own business. The perceptron takes
# $\log\sigma$, so that it can be asked at any level, also between two
# levels of the ladder. Is its answer of any use?

# %%
between = (sigmas[:-1] * sigmas[1:]).sqrt()  # halfway, on the logarithmic scale
for name, some in (("between two levels", between), ("below the last", torch.tensor([0.25, 0.1]))):
    found = []
    for sigma in some.tolist():
        x = mixture.perturb(sigma).sample(5000, generator=generator)
        found.append((ne.explicit(net, x, mixture, sigma).mean() / ne.explicit(zero, x, mixture, sigma).mean()).sqrt())
    assert (max(found) < 0.15) if name == "between two levels" else (min(found) > 0.15)
    print(f"{name}: relative error from ≈ {min(found):.2f} to ≈ {max(found):.2f}")

# %% [markdown]
# Between two levels the net is as good as on them: the score changes
# smoothly with $\sigma$, and so does the net. Below the last level it is
# soon worthless. *Interpolation is free, extrapolation is not.*
#
# The network of the paper, NCSN, does it differently. It numbers its levels
# $1 \dots L$, and every normalisation layer holds a table with one row of
# numbers for each level (notebook 9). Nothing connects row 3 with row 4, so
# nothing could be said about a level in between. `ne.NCSN` looks up the row
# itself, from the number $\sigma$ that samplers and losses hand over. A
# $\sigma$ that is not on its ladder is an error:

# %%
ncsn = ne.NCSN(channels=1, width=8, sigmas=geometric(1, 0.01, 10), image_size=8)
print("on the ladder: ", tuple(ncsn(images[:1].float(), 0.01).shape))
try:
    ncsn(images[:1].float(), 0.5)
except ValueError as error:
    print("off the ladder:", error)

# %% [markdown]
# An error is better than a silent answer. A net that quietly took the
# nearest row would return the score of $\sigma = 0.6$ for $\sigma = 0.5$,
# and the samples would look fine.
#
# Both kinds have their place. A table can give each level whatever it
# needs, and the levels do not disturb each other there; a number costs no
# parameters, and lets one change the ladder after training. The code around
# them is the same, since only the net knows which of the two it is. NCSNv2
# takes a third way: its net is not told $\sigma$ at all, and its output is
# divided by $\sigma$ (notebook 9).
#
# ## 8.12 A page to keep
#
# What you see when a noise-conditional net goes wrong, and where to look
# first:
#
# | what you see | what it may be |
# |---|---|
# | the first loss is not near $D/2$ | a mean over coordinates instead of a sum; $\lambda$ is missing |
# | the loss stays at $D/2$ on all levels | the net is given $x$ instead of $\tilde x$ |
# | it stays there on the small levels only | $\sigma^2 z$ for $\sigma z$; or nothing, and that is the floor |
# | the loss falls, denoising makes points worse | a flipped sign, or a power of $\sigma$ |
# | the large levels learn nothing | $\lambda = 1$ |
# | chains run away at the first level | $\epsilon$ above `stable_eps` |
# | right shapes, wrong weights | $\sigma_1$ does not fill the gap; too few steps where modes part |
# | right weights, too wide | $\sigma_L$ is too large: $\sqrt{s^2 + \sigma_L^2}$ |
# | too narrow | denoised from too large a $\sigma_L$ |
#
# The order of the checks is worth keeping as well. First the *noise*: the
# standard deviation of $\tilde x - x$ at each level. Then the *loss* of a
# score that you know, zero or exact. Then the *denoised* batch. Then
# the *loss by level*. Sampling comes last: it takes longest, and its
# pictures forgive the most.
#
# ## What you should be able to do now
#
# - Choose the ends of a ladder by what they must do, and say why its ratios
#   are equal.
# - Derive the loss with $\lambda = \sigma^2$, write it in three lines, and
#   tell its first value ($D/2$) and its floor.
# - Read a training curve by level.
# - Say what $\lambda = 1$ does to the gradients, what $\lambda = \sigma^2$
#   leaves unequal, and what a division by $\sigma$ changes.
# - Find a wrong power of $\sigma$ before it costs you a week.
# - Judge samples by weights and widths, and predict the width from
#   $\sigma_L$.
# - Explain why a conditional net may be wrong in the gap at $\sigma_L$ and
#   sample well all the same.
#
# ## Exercises
#
# 1. Learn `ne.checkerboard()` or `ne.spiral()`, both with an exact score:
#    choose $\sigma_1$ and $\sigma_L$ first, then `data_std`, and give the
#    relative error by level. Which level is the hardest now? (Compare
#    $\sigma$ with the width of a square or of the arm.)
#    <details><summary>Hint</summary>
#
#    $\sigma_1$: the largest distance of two points is 5.5 on the board
#    and 2.0 on the spiral. $\sigma_L$: a square has a side of 1, the arm a
#    thickness of 0.04.
#    </details>
#    <details><summary>Answer</summary>
#
#    With `geometric(8, 0.05, 10)` and `data_std=1.15` the board's errors
#    are below 0.11 down to $\sigma = 0.84$, then 0.40, 0.70, 0.85, 0.90
#    and, at 0.05, 0.94. With `geometric(4, 0.05, 10)` and `data_std=0.5`
#    those of the spiral are below 0.13 down to 0.35, then 0.24, 0.54, 0.70
#    and 0.73. The last level is the hardest. Below the side of a square the
#    score is zero inside it and lives in a seam of width $\sigma$ along its
#    edges, which this net is too smooth to draw; for the spiral the same
#    happens below half the distance of its arms, a quarter.
#    </details>
# 2. Let the number of levels be 3, 5, 10, 30 in `geometric(20, 0.5, L)`,
#    with the same number of training steps and of sampling steps. What
#    happens to the error at $\sigma = 0.5$, and to the weights? The last
#    level gets a tenth of the examples with 30 levels that it gets with 3.
#    Why does its error not rise tenfold, and why would it be worse with
#    NCSN's tables?
#    <details><summary>Answer</summary>
#
#    The errors at 0.5 were 0.05, 0.05, 0.10 and 0.14 (another seed moves
#    the third to 0.15). The net is smooth in $\log\sigma$, and with 30
#    levels the neighbours of the last one teach it as well. The rows of a
#    table learn from their own level only. The shares of the small mode
#    were 0.22, 0.25, 0.20 and 0.22 with the net, 0.23, 0.22, 0.21 and 0.21
#    with the exact score, of 4000 chains each ($\pm 0.006$): three levels
#    are too few even for the exact score, which begins each level too far
#    away.
#    </details>
# 3. Train with `Denoising(sigmas, draw=...)`, where $\log\sigma$ is drawn
#    evenly from an interval instead of from a ladder
#    (`ne.losses.sigmas_between`). Then draw the middle levels, $\sigma$
#    from 1 to 5, twice as often as the others. Does the error of
#    section 8.6 fall where you wanted it to, and what does it cost
#    elsewhere? Try three seeds before you answer.
#    <details><summary>Answer</summary>
#
#    Mean relative error of three seeds in the middle (levels 5 to 8): 0.076
#    as in the text, 0.068 with the interval, 0.066 with the middle twice as
#    often. At the last level: 0.13, 0.17, 0.17. So the middle gains about a
#    tenth and the ends pay for it. But a single run says little: another
#    seed moves the last level from 0.10 to 0.15 without any change of the
#    draw.
#    </details>
#
# ## References
#
# - Y. Song and S. Ermon, *Generative Modeling by Estimating Gradients of
#   the Data Distribution*, NeurIPS 2019: section 4, equations 5 and 6,
#   Algorithm 1.
# - P. Vincent, *A Connection Between Score Matching and Denoising
#   Autoencoders*, Neural Computation 2011: the loss at one level.
# - Y. Song and S. Ermon, *Improved Techniques for Training Score-Based
#   Generative Models*, NeurIPS 2020: how to choose the ladder.
# - A. Jolicoeur-Martineau et al., *Adversarial score matching and improved
#   sampling for image generation*, ICLR 2021: the final denoising step.
#
# **Next:** [9 · The architecture](09_architecture.ipynb)
