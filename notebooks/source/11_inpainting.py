# %% [markdown]
# # 11 · Inpainting
#
# *Reading and trying: about 100 minutes. Running every cell: about two minutes on a laptop,
# at laptop scale (digits of 8x8 and 28x28 pixels, and mixtures
# of Gaussians).*
#
# A part of an image is missing: a scratch, a hole, the lower
# half. A score network that was trained on whole images, and
# for nothing else, can fill it in. No training, no pairs of
# damaged and whole images, any shape of the hole. And it can do
# so in several ways, because there is more than one digit with
# this upper half. You will
#
# - derive why the score of whole images knows the score of what
#   is missing;
# - read Algorithm 2 of Song & Ermon 2019, and compare it with a
#   truth that is known in closed form: it keeps the shapes, and
#   gets some weights wrong;
# - find out when it does, and why images suffer less from it
#   than the plane;
# - compare it with five variants that are in circulation;
# - complete digits, small and large, and measure the seam
#   between what is known and what is made up;
# - see where the net is sure and where it is not;
# - step around four traps: hidden pixels that are used, a mask
#   upside down, a noisy image drawn too often, and clamping
#   within the chain.
#
# You need: annealed Langevin dynamics from
# [7 · Slow mixing, and annealing](07_annealing.ipynb), and a
# net as in notebooks 8 to 10. Two come with the package, so
# that nothing is trained here. The letters are on the page of
# [symbols](symbols.md).
#
# On Google's Colab the next cell gets the package; anywhere else it does nothing.

# %%
import sys

if "google.colab" in sys.modules:
    raise SystemExit("Give the address of the project's repository here: %pip install -q git+https://...")

# %%
import math
from functools import partial
from itertools import pairwise

import torch
from matplotlib import pyplot as plt

import ncsn_edu as ne
from ncsn_edu import GaussianMixture, inpaint, last, noise_like, practice, save_figure
from ncsn_edu.pictures import preset_mask
from ncsn_edu.plots import BLUE, GREEN, GREY, ORANGE, RED, density, use_style
from ncsn_edu.plots import images as draw_images
from ncsn_edu.widgets import InpaintingExplorer

use_style()

# %% [markdown]
# ## 11.1 The score of what is missing
#
# Split the coordinates of $x$ into those that are known,
# $x_k = y$, and those that are missing, $x_m$. A mask says
# which: $m = 1$ where known, 0 where missing. What we want are
# samples of
#
# $$ p(x_m \mid x_k = y) = \frac{p(x_m, y)}{p(y)} . $$
#
# Samples, not *the* best completion: if two are possible, both
# should come, as often as they deserve.
#
# We need not know in advance where the mask will be. It is
# chosen when the net is long finished, and may be different for
# each image.
#
# Langevin dynamics needs the score of this density in $x_m$.
# Take logarithms and differentiate. The denominator does not
# contain $x_m$, so that
#
# $$ \nabla_{x_m} \log p(x_m \mid y) = \nabla_{x_m} \log p(x_m, y) - \underbrace{\nabla_{x_m} \log p(y)}_{=\,0} = \big[\nabla_x \log p(x)\big]_{\text{missing}} \Big|_{x = (x_m,\, y)} . $$
#
# In words: **evaluate the score of the whole at the point whose
# known part is $y$, and keep the entries of the missing part.**
# Another kind of model has to be trained for each kind of mask.
# Here the answer is a slice of a vector that we have.
#
# It is the argument of notebook 1 once more. There $Z$ did not
# depend on $x$, and its logarithm vanished under the gradient.
# Here $p(y)$ does not depend on $x_m$, although it is an
# integral over all completions. Compare what other models have
# to do for the same task:
#
# | model | what completing an image takes |
# |---|---|
# | a regression net, trained on damaged images | one evaluation; its answer is the *mean* completion, a blur where several are possible |
# | a conditional generator | training on pairs, for the kinds of damage that one thought of |
# | an autoregressive model | nothing, if the missing pixels come last in its order; else it is stuck |
# | **a score** | nothing: any mask, chosen after the training |
#
# The same holds at every noise level. Write
# $\tilde x = (\tilde x_m, \tilde y)$ for the noisy point. Then
#
# $$ \nabla_{\tilde x_m} \log p_\sigma(\tilde x_m \mid \tilde y) = \big[s(\tilde x, \sigma)\big]_{\text{missing}} . $$
#
# The derivation is the same, with $p_\sigma$ in the place of
# $p$: noise falls on every coordinate, and
# $p_\sigma(\tilde x_m, \tilde y)$ is the joint density of the
# noisy missing and the noisy known part. Nothing was assumed
# about how the two depend on each other, nor about the shape of
# the mask.
#
# Let us check that where both sides are known. `posterior`
# conditions a mixture of Gaussians, with the usual formulas for
# the Gaussian (Schur complement) and weights according to how
# well each component explains $y$. It knows nothing of scores.

# %%
generator = torch.Generator().manual_seed(0)
roots = torch.randn(3, 5, 5, generator=generator, dtype=torch.float64)
whole = GaussianMixture(2 * roots[:, 0], roots @ roots.mT + torch.eye(5, dtype=torch.float64), [0.2, 0.3, 0.5])
mask, x = torch.tensor([1, 0, 0, 1, 0]), roots[0, :1]
conditional = whole.perturb(0.7).posterior(mask, x[0])

# %%
of_missing, of_whole = conditional(x[:, mask == 0])[0], whole(x, 0.7)[0, mask == 0]
assert torch.allclose(of_missing, of_whole)
for name, score in {"score of the conditional": of_missing, "slice of the whole score": of_whole}.items():
    print(f"{name}:", "  ".join(f"{entry:8.5f}" for entry in score.tolist()))

# %% [markdown]
# ## 11.2 Algorithm 2
#
# One question is open: which $\tilde y$? We know the clean $y$,
# and at level $\sigma_i$ the net expects noise $\sigma_i$ on
# *every* pixel; it never saw an image that is clean on the left
# and noisy on the right. The answer of the paper: make the
# known part as noisy as the rest.
#
# > **for** $i = 1, \dots, L$: &nbsp; $\alpha_i = \epsilon\,\sigma_i^2/\sigma_L^2$, &nbsp; draw $\tilde y = y + \sigma_i \tilde z$ **once** <br>
# > &nbsp;&nbsp; **repeat** $T$ times: &nbsp; $x \leftarrow x + \frac{\alpha_i}{2}\, s(x, \sigma_i) + \sqrt{\alpha_i}\, z$,
# > &nbsp; then paste: &nbsp; $x \leftarrow x\,(1 - m) + \tilde y\, m$
#
# Against Algorithm 1 that is two lines more: the noisy
# $\tilde y$, and the pasting.
#
# **Write it.** The two lines in one, for a level $\sigma$ whose
# noise $\tilde z$ is given: $x$ with its known part replaced.
# The mask is 1 where the image is known.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_paste(x, image, mask, sigma, z):
#     return torch.where(mask.bool(), image + sigma * z, x)
# ```
# </details>


# %%
def my_paste(x, image, mask, sigma, z):  # all but sigma: (B, D); returns (B, D)
    ...


practice.pasted(my_paste)

# %% [markdown]
# The library draws $\tilde z$ itself, once a level:

# %%
ne.show(inpaint, docstring=False)

# %% [markdown]
# `torch.where(mask, y, x)` in place of $x\,(1-m) + y\,m$ has a
# reason: where a hidden pixel is NaN, $0 \cdot \text{NaN}$ is
# NaN, and the product would carry it into the picture.
#
# Three more details of the code.
#
# - Where do the chains start? From noise, everywhere. The known
#   part of the start is overwritten after the first step, and
#   never seen again.
# - The score is computed for all coordinates, and the step
#   moves all of them. What the step does to the known part is
#   overwritten a line later. Nothing is wasted by that: the net
#   has to see the whole picture anyway.
# - The result holds the known part with the noise of the last
#   level, $\sigma_L$. To show the picture, one pastes the clean
#   $y$ at the end.
#
# The cost is that of sampling: $L\,T$ evaluations of the net,
# with one noise tensor a level and one `where` a step on top.
# Several completions of one image are several rows of one
# batch.
#
# Two things are approximate.
#
# 1. **The known part is noisy.** At level $i$ the chain aims at
#    $p_{\sigma_i}(\tilde x_m \mid \tilde y)$, the missing part
#    given what can still be read of $y$ through the noise. What
#    we would like is $p(\tilde x_m \mid y)$, the noisy missing
#    part given the *clean* $y$. Only as $\sigma_i \to 0$ do the
#    two become the same.
# 2. **The steps are finite.** The early levels are wrong in the
#    sense of 1, and the late levels must repair it. They can,
#    as long as the chains still move far enough.
#
# Each is harmless without the other. With endless steps only
# the last level counts, and it is right up to its own small
# noise. Were the condition the clean $y$ at every level,
# notebook 7 would apply as it stands. Together the two can
# hurt, and we are going to measure how much.
#
# ## 11.3 Judged against the truth
#
# Two mixtures in the plane, each of two Gaussians around
# $(-1, -2)$ and $(1, 2)$. The first coordinate is known, the
# second missing. They differ in one number, the standard
# deviation of the known coordinate: 2 in the **gentle** world,
# 0.4 in the **sharp** one.
#
# The known value is chosen such that *the conditional is the
# same in both worlds*: two modes at $\pm 2$, with the weights
# 0.9 below and 0.1 above. From the ratio of the two components
# at $y$,
#
# $$ \log \frac{w_{\text{up}}}{w_{\text{down}}} = \frac{(y + 1)^2 - (y - 1)^2}{2 w^2} = \frac{2 y}{w^2},
#    \qquad\text{so}\quad y = \frac{w^2}{2} \log \frac{w_{\text{up}}}{1 - w_{\text{up}}} . $$
#
# Weights so far from equal are the hard case. A sampler that
# merely finds both modes would pass with 0.5 : 0.5.


# %%
def world(width: float) -> GaussianMixture:  # the standard deviation of the known coordinate
    return GaussianMixture([[-1.0, -2.0], [1.0, 2.0]], [[width**2, 0.25], [width**2, 0.25]])


def value_for(up: float, width: float) -> float:  # the known value that gives the upper mode this weight
    return width**2 / 2 * math.log(up / (1 - up))


widths, known = {"gentle": 2.0, "sharp": 0.4}, torch.tensor([True, False])
for name, width in widths.items():
    weights = world(width).posterior(known, [value_for(0.1, width)]).weights
    print(f"{name:6} world, known {value_for(0.1, width):5.2f}: weights {weights[0]:.2f} and {weights[1]:.2f}")

# %% [markdown]
# Ten levels from 5 to 0.05, 100 steps at each,
# $\epsilon = 0.2\, \sigma_L^2$: the step relative to $\sigma^2$
# and the 1000 evaluations are the paper's. The score is exact,
# so that whatever goes wrong is the algorithm's doing.
#
# We judge by the **Kolmogorov-Smirnov distance**, the largest
# gap between the distribution function of the samples and the
# exact one: 0 is perfect, and 0.3 means that somewhere 30 % of
# the mass is on the wrong side. Perfect samples have a distance
# too, because they are finite in number: 95 % of all samples of
# size $n$ stay below $1.36/\sqrt{n}$. That is the floor. The
# last level leaves its noise in $x$, so we compare with the
# conditional blurred by $\sigma_L$.


# %%
def ks(x: torch.Tensor, truth: GaussianMixture) -> float:
    normal = torch.distributions.Normal(truth.means[:, 0], truth.covariances[:, 0, 0].sqrt())
    cdf = (truth.weights * normal.cdf(x.double().sort().values[:, None])).sum(1)
    steps = torch.arange(len(x) + 1) / len(x)
    return max((cdf - steps[:-1]).max(), (steps[1:] - cdf).max()).item()


# %%
sigmas, settings, floor = ne.geometric(5, 0.05, 10), {"eps": 0.2 * 0.05**2, "n_steps_each": 100}, 1.36 / 2000**0.5
truth = GaussianMixture([[-2.0], [2.0]], 0.25, [0.9, 0.1]).perturb(0.05)
start, completions, shares = sigmas[0] * torch.randn(2000, 2, generator=generator), {}, {}
for name, width in widths.items():
    image = torch.tensor([value_for(0.1, width), 0.0])
    states = list(inpaint(world(width), start, sigmas, image=image, mask=known, **settings, generator=generator))
    completions[name] = states[-1].x[:, 1]
    shares[name] = [(state.x[:, 1] > 0).double().mean().item() for state in states if state.step == 99]

# %% [markdown]
# **Predict:** the next figure shows both worlds with the known
# value as a line, and 2000 completions against the exact
# conditional, which is the same curve twice. Will the two
# histograms be the same too? If one is worse, which, and in
# what: the place of the modes, their width, their weights?
#
# <details><summary>Answer</summary>
#
# Places and widths are right in both. The weights are not. In
# the gentle world the upper mode gets a little too much. In the
# sharp one it gets about 0.4 where 0.1 is right, although
# sampler, score, conditional and number of steps are the same.
# </details>

# %%
fig, axes = plt.subplots(1, 4, figsize=(11, 3.1), width_ratios=[1, 1.1, 1, 1.1])
grid = torch.linspace(-4, 4, 401, dtype=torch.float64)[:, None]
numbers = {}
for (name, width), ax, right in zip(widths.items(), axes[::2], axes[1::2], strict=True):
    density(ax, world(width).log_prob, extent=6)
    ax.axvline(value_for(0.1, width), color=RED, lw=1)
    ax.set(title=f"{name} world", xlabel="known", ylabel="missing")
    right.hist(completions[name].numpy(), bins=60, range=(-4, 4), density=True, color=ORANGE, alpha=0.7)
    right.plot(grid, truth.log_prob(grid).exp(), color=BLUE)
    numbers |= {f"ks_{name}": (gap := ks(completions[name], truth)), f"up_{name}": shares[name][-1]}
    right.set(title=f"above 0: {shares[name][-1]:.2f}, truth 0.10\nKS distance {gap:.2f}, floor {floor:.2f}")
save_figure(
    fig,
    "inpainting_conditional",
    alt="Two worlds of two modes each, with a line at the known value, and histograms of completions with the exact "
    "curve. Gentle world: 17 % above 0 where 10 % is right. Sharp world: 42 % above 0; the humps are in place.",
    caption="The same exact conditional twice: Algorithm 2 finds both modes, and gets the weights wrong in one world.",
    numbers=numbers,
    tolerance=0.02,
)

# %% [markdown]
# Each mode by itself is right: the orange humps stand where the
# blue ones do, and are as wide. Their *areas* are off, and a KS
# distance of 0.3 says just that: three completions in ten would
# have to change sides.
#
# Look at one completion of the sharp world, and nothing is
# wrong with it. Look at ten, and you would say that both modes
# occur. Only counting shows the error, as in notebook 7.
#
# ## 11.4 When does the known part decide?
#
# What does the sampler *ask for* at each level? Given the noisy
# $\tilde y$, the weight of the upper component is a
# responsibility, with $w^2 + \sigma^2$ in place of $w^2$:
#
# $$ \log \frac{w_{\text{up}}}{w_{\text{down}}} = \frac{2\, \tilde y}{w^2 + \sigma^2}, \qquad \tilde y = y + \sigma \tilde z . $$
#
# Put in numbers, at $\sigma = 1$. A weight of 0.1 means
# log-odds of $-\log 9 = -2.2$.
#
# - Sharp, $w = 0.4$ and $y = -0.18$: the log-odds that are
#   asked for are
#   $2 (y + \tilde z)/1.16 = -0.3 + 1.7\, \tilde z$. The signal
#   is a sixth of the noise. To some chains the noise says "up",
#   to others "down", and to hardly any of them it says what is
#   true. On average they ask for a share near one half.
# - Gentle, $w = 2$ and $y = -4.39$: they are
#   $2(y + \tilde z)/5 = -1.8 + 0.4\, \tilde z$. The signal is
#   four times the noise, and not far from the true $-2.2$.
#
# The difference between 0.1 and 0.5 is a shift of $y$ by 0.18
# in the one world and by 4.39 in the other. **A conditional
# that changes quickly with $y$ needs a sharp view of $y$**, and
# a sharp view is what the early levels do not have.
#
# On the other side stands the question of notebook 7: until
# which level do chains still cross from one mode to the other?
# After that it does not matter what is asked for. Here the
# modes are 4 apart.
#
# **Predict:** the next figure shows, level by level, the share
# above 0 that the clean $y$ demands (it is the same in both
# worlds), the share that Algorithm 2 asks for, averaged over
# $\tilde z$, and where the chains are. Does Algorithm 2 ask for
# the right share at the *last* level of the sharp world? Do the
# chains follow?
#
# <details><summary>Answer</summary>
#
# It very nearly does: at $\sigma = 0.05$ the known part is
# legible in both worlds, and the red curve ends close to the
# blue one. But in the sharp world most of its way down lies
# below $\sigma = 0.5$, and the chains have stopped crossing by
# then. They stay where the curve was when they froze.
# </details>


# %%
def above(up: torch.Tensor, sigma: float) -> float:  # the share above 0, if the upper mode has this weight
    inside = 0.5 * (1 + math.erf(2 / math.sqrt(2 * (0.25 + sigma**2))))
    return (up * inside + (1 - up) * (1 - inside)).mean().item()


def asked_for(width: float, sigma: float) -> float:
    noisy = value_for(0.1, width) + sigma * torch.randn(20_000, generator=generator)
    return above((2 * noisy / (width**2 + sigma**2)).sigmoid(), sigma)


# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3.3), sharey=True)
numbers = {}
for ax, (name, width) in zip(axes, widths.items(), strict=True):
    asked = [asked_for(width, sigma) for sigma in sigmas.tolist()]
    ax.semilogx(sigmas, [above(torch.tensor(0.1), sigma) for sigma in sigmas.tolist()], label="given the clean $y$")
    ax.semilogx(sigmas, asked, color=RED, label=r"given the noisy $\tilde y$: asked for")
    ax.semilogx(sigmas, shares[name], "o", color=ORANGE, label="chains")
    ax.set(title=f"{name} world", xlabel=r"$\sigma$, from first to last level", ylim=(0, 0.55), xlim=(6, 0.04))
    numbers |= {f"asked_{name}": asked[-1], f"chains_{name}": shares[name][-1]}
axes[0].set_ylabel("share above 0")
axes[0].legend(fontsize=8, loc="lower left")
save_figure(
    fig,
    "inpainting_when",
    alt="Share above 0 against sigma, from large to small. Gentle world: the share asked for falls to 0.1 by sigma "
    "0.5, the chains stop at 0.17. Sharp world: it stays above 0.35 until sigma 0.4, and the chains stop at 0.42.",
    caption="What Algorithm 2 asks for at each level, and where its chains are: in the sharp world they freeze early.",
    numbers=numbers,
    tolerance=0.02,
)

# %% [markdown]
# The dots leave the red curve between $\sigma = 1$ and 0.4 in
# both panels: there the chains stop crossing, and each stays in
# the mode where it is. In the gentle world the red curve is
# nearly down by then, and what remains is the small excess of
# section 11.3. In the sharp world it has hardly begun to fall.
# That explains the error:
#
# > Algorithm 2 gets a choice right if the known part, *seen through noise of the size
# > at which the choice is made*, already says which way to go.
#
# The red curve in the sharp world is not an error. It is the
# exact answer to the question that is put at that level: what
# is behind the mask, given this much of the rest? A person who
# sees the known part through fog would have to say "half and
# half" as well. The mistake is that the chains keep that
# answer.
#
# More care in the last levels would not repair it. More steps
# help, but slowly: the time to cross grows exponentially with
# the square of the distance in units of the modes' width
# (notebook 2, and exercise 1).
#
# ## 11.5 Why images suffer less
#
# A digit has no single pixel on which all depends. Its stroke
# passes through many pixels, and each of them says the same
# thing with its own noise. Averaged over $K$ pixels the noise
# is $\sigma/\sqrt K$: **many pixels can be read through noise
# in which one would drown.**
#
# We test it in the sharp world. In place of one known
# coordinate there are now $K$, all copies of it (with an error
# of 0.05, so that their covariance has an inverse). The truth
# hardly changes: 64 copies of one fact are one fact. What
# changes is when it can be read.


# %%
def copies(k: int) -> GaussianMixture:
    mean = torch.cat([torch.ones(k), torch.tensor([2.0])])
    covariance = torch.block_diag(0.4**2 + 0.05**2 * torch.eye(k), torch.tensor([[0.25]]))
    return GaussianMixture(torch.stack([-mean, mean]), covariance.expand(2, -1, -1))


def share_above(k: int, n: int = 1000) -> float:
    image = torch.cat([torch.full((k,), value_for(0.1, 0.4)), torch.zeros(1)])
    x = sigmas[0] * torch.randn(n, k + 1, generator=generator)
    states = inpaint(copies(k), x, sigmas, image=image, mask=torch.arange(k + 1) < k, **settings, generator=generator)
    return (last(states)[:, -1] > 0).float().mean().item()


# %% [markdown]
# **Predict:** with $K = 1$ the share above 0 was about 0.4.
# With $K = 4$ the effective noise is half as large, with 16 a
# quarter, with 64 an eighth. Will the share come down to 0.1 in
# a jump, or step by step? Is anything left of the error at 64?
#
# <details><summary>Answer</summary>
#
# Step by step: 0.42, 0.33, 0.28, and 0.17 at 64 copies. Most of
# the error is gone, a part of it stays. The score and the
# sampler were exact and the same throughout.
# </details>

# %%
counts = (1, 4, 16, 64)
found = {f"k_{k}": share_above(k) for k in counts}
fig, ax = plt.subplots(figsize=(5.2, 3.1))
ax.semilogx(counts, list(found.values()), "o-", color=ORANGE, label="completions")
ax.axhline(0.1, color=BLUE, label="exact")
ax.set(xlabel="known pixels that say the same, $K$", ylabel="share above 0", ylim=(0, 0.5))
ax.set_xticks(counts, map(str, counts))
ax.legend()
save_figure(
    fig,
    "inpainting_copies",
    alt="Share of completions above 0 against the number of known pixels that say the same. It falls from 0.42 for "
    "one pixel to 0.33, 0.28 and 0.17 for 4, 16 and 64; the exact share is a level line at 0.1.",
    caption="The sharp world with $K$ copies of the known value: what many pixels know can be read earlier.",
    numbers=found,
    tolerance=0.03,
)

# %% [markdown]
# So there are two reasons why images suffer less: large
# structures are decided at large $\sigma$, and they are also
# the ones that many pixels know about. These are reasons, and
# no proof. Where a choice depends on few pixels (is the loop of
# a 9 closed or open?) expect the weights to be off, towards
# what the net would say without these pixels.
#
# The other side matters as much. In this experiment all copies
# know about the *same* choice. A net that completes a face has
# thousands of pixels that know which way the head is turned,
# and perhaps three that know the colour of the eyes.
#
# ## 11.6 Variants in circulation
#
# Implementations differ in small things, and papers in larger
# ones. We judge them all by the same exact conditional, at the
# same 1000 evaluations. Three of them are switches in the loop
# of Algorithm 2:
#
# - **$\tilde y$ anew at each step**, and not once a level;
# - **pasting before the step** and not after it. The score is
#   then evaluated at the very same points, with two exceptions:
#   the first step of a level already sees the new $\tilde y$,
#   and the last $x$ of all has moved after its last pasting;
# - **no noise on the known part**: paste the clean $y$ at every
#   level.
#
# Why does the paper draw $\tilde y$ only once a level? With one
# $\tilde y$ a level is plain Langevin dynamics for a fixed
# density, $p_{\sigma_i}(\tilde x_m \mid \tilde y)$, and
# everything that notebook 2 says about its stationary
# distribution and its bias holds. Drawn anew at each step, the
# density changes under the chain while it walks. That has a
# stationary distribution too, but nobody can write it down.


# %%
def pasted(score, x, *, image, mask=known, noise=1.0, each_step=False, before=False, ladder=sigmas, **steps):
    eps, n_steps = (settings | steps).values()
    for sigma in ladder.tolist():
        alpha = eps * sigma**2 / ladder[-1].item() ** 2
        for step in range(n_steps):
            if step == 0 or each_step:
                y = image + noise * sigma * noise_like(x, generator)
            x = torch.where(mask, y, x) if before else x
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * noise_like(x, generator)
            x = x if before else torch.where(mask, y, x)
    return x


# %% [markdown]
# With all switches as they are this must be Algorithm 2 itself,
# to the last bit, if both draw the same noise. And a check that
# costs one line and finds the most common mistake, a **mask the
# wrong way round** (many programs say 1 for *missing*): the
# known part must come back, up to the noise of the last level.

# %%
image = torch.tensor([value_for(0.1, 0.4), 0.0])
generator.manual_seed(1)
ours = pasted(world(0.4), start[:500], image=image)
generator.manual_seed(1)
library = last(inpaint(world(0.4), start[:500], sigmas, image=image, mask=known, **settings, generator=generator))
assert torch.equal(ours, library)
inverted = pasted(world(0.4), start[:500], image=image, mask=~known)
back = [(x - image)[:, 0].square().mean().sqrt() / 0.05 for x in (ours, inverted)]  # in units of sigma_L
assert back[0] < 1.2 and back[1] > 10
print(f"the loop and the library end at most {(ours - library).abs().max():.1f} apart")
print(f"the known part comes back to within: mask right {back[0]:.1f} sigma_L, mask inverted {back[1]:.0f} sigma_L")

# %% [markdown]
# The other two variants belong to a different family of
# samplers: **one step a level**, and many levels. Each step
# takes back a small amount of noise (*ancestral* sampling, as
# in DDPM), the more exactly the smaller it is, and after each
# the known part is pasted. With $x + \sigma^2 s(x, \sigma)$ for
# the denoised point, a step from $\sigma$ to $\sigma'$ draws
# from
#
# $$ \mathcal N\Big( \hat x + \tfrac{\sigma'^2}{\sigma^2}\,(x - \hat x),\; \sigma'^2\big(1 - \tfrac{\sigma'^2}{\sigma^2}\big) I \Big), \qquad \hat x = x + \sigma^2 s(x, \sigma) . $$
#
# RePaint (Lugmayr et al. 2022) found that this alone takes too
# little account of the known part, and repeats every step:
# **resampling** adds the noise again that the step took away,
# goes back up by one level, and comes down once more, several
# times. We give it 100 levels with 10 rounds, against 1000
# levels with one.


# %%
def one_step_a_level(score, x, *, image, ladder, rounds, mask=known):
    for sigma, lower in pairwise(ladder.tolist()):
        for again in reversed(range(rounds)):
            clean, ratio = ne.denoise(score, x, sigma), (lower / sigma) ** 2
            x = clean + ratio * (x - clean) + lower * math.sqrt(1 - ratio) * noise_like(x, generator)
            x = torch.where(mask, image + lower * noise_like(x, generator), x)
            if again:  # resampling: back up, by adding the noise that was taken away
                x = x + math.sqrt(sigma**2 - lower**2) * noise_like(x, generator)
    return x


# %% [markdown]
# For reference we add what nobody has on images: annealed
# Langevin dynamics with the score of the **exact conditional**
# at each level, that is $p(\tilde x_m \mid y)$ with the clean
# $y$. It has finite steps but no noisy $\tilde y$, and
# separates the two approximations of section 11.2. Three known
# values, whose exact weights are 0.3, 0.1 and 0.03, and 1500
# completions of each, in one batch.

# %%
fine, coarse = ne.geometric(5, 0.05, 1001), ne.geometric(5, 0.05, 101)
variants = {
    "Algorithm 2": pasted,
    "noisy image anew each step": partial(pasted, each_step=True),
    "pasting before the step": partial(pasted, before=True),
    "no noise on the known part": partial(pasted, noise=0.0),
    "one step a level": partial(one_step_a_level, ladder=fine, rounds=1),
    "one step, resampled": partial(one_step_a_level, ladder=coarse, rounds=10),
}

# %%
targets = {up: GaussianMixture([[-2.0], [2.0]], 0.25, [1 - up, up]) for up in (0.3, 0.1, 0.03)}
table, x = {}, sigmas[0] * torch.randn(4500, 2, generator=generator)
for name, width in widths.items():
    y = torch.tensor([value_for(up, width) for up in targets]).repeat_interleave(1500)
    for variant, run in variants.items():
        ends = run(world(width), x, image=torch.stack([y, torch.zeros_like(y)], 1))[:, 1].split(1500)
        table[name, variant] = [ks(end, p.perturb(0.05)) for end, p in zip(ends, targets.values(), strict=True)]

# %%
exact = "annealing the exact conditional"
runs = [ne.annealed_langevin(p, x[:1500, 1:], sigmas, **settings, generator=generator) for p in targets.values()]
values = [ks(last(run)[:, 0], p.perturb(0.05)) for run, p in zip(runs, targets.values(), strict=True)]
table |= {("gentle", exact): values, ("sharp", exact): values}

# %% [markdown]
# **Predict:** the next figure shows the KS distance of each
# variant to the exact conditional, a dot for each known value
# and a bar for their mean. Which of the six do you expect to be
# clearly worse than Algorithm 2? Is there one that cures the
# sharp world? And "no noise on the known part" breaks the match
# of noise between the known and the missing: will it be the
# worst?
#
# <details><summary>Answer</summary>
#
# Clearly worse is one step a level without resampling, and
# resampling brings it back to Algorithm 2 or better. None cures
# the sharp world. The clean known part is *not* worse here:
# $p_\sigma(\tilde x_m \mid \tilde x_k = y)$ is a perfectly good
# density for any number $y$, it too becomes the right one as
# $\sigma \to 0$, and the exact score knows it everywhere.
# </details>

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True)
for ax, name in zip(axes, widths, strict=True):
    rows = {variant: values for (where, variant), values in table.items() if where == name}
    ax.barh(range(7), [sum(values) / 3 for values in rows.values()], color=[ORANGE, *5 * [GREY], BLUE], alpha=0.6)
    ax.plot(list(rows.values()), range(7), "o", color="black", ms=3)
    ax.axvline(1.36 / 1500**0.5, color=GREEN, ls="--", lw=1, label="floor: 95 % of exact samples")
    ax.set(title=f"{name} world", xlabel="KS distance to the exact conditional", yticks=range(7), yticklabels=rows)
axes[0].invert_yaxis()
axes[0].legend(fontsize=8, loc="lower right")
numbers = {f"{name}_{variant}".replace(" ", "_"): sum(values) / 3 for (name, variant), values in table.items()}
save_figure(
    fig,
    "inpainting_variants",
    alt="Mean KS distance of seven samplers. Gentle world: 0.04 to 0.07, but 0.14 for one step a level. Sharp world: "
    "0.25 to 0.32 for all but the exact conditional, which is at the floor in both.",
    caption="Variants at 1000 evaluations each; dots are the three known values, the bar their mean.",
    numbers=numbers,
    tolerance=0.02,
)

# %% [markdown]
# How much of this is chance? Each dot rests on 1500 completions
# and scatters by about 0.01. So bars that differ by 0.02 cannot
# be told apart. What the figure says, and what it does not:
#
# - The three switches change little: in the sharp world far
#   less than what all of them miss. **Once a level or once a
#   step** makes no measurable difference here. The paper's
#   version is the one whose target can be written down: a level
#   has one $\tilde y$, and its chains aim at the conditional
#   given it.
# - **Resampling** does for a sampler with one step a level what
#   the $T$ Langevin steps do in Algorithm 2: it gives the
#   missing part time to adapt to the known one. RePaint's
#   finding, that resampling is worth more than slowing down at
#   the same cost, comes out clearly in the gentle world. In the
#   sharp one it gains less.
# - The **exact conditional**, with the same steps, is at the
#   floor or near it. So the finite steps alone do no harm, and
#   the error comes from the noisy $\tilde y$.
# - **No noise on the known part** is not wrong in the plane.
#   With a network it asks for scores at points where the net
#   was never trained, half an image with noise and half
#   without. Whether that hurts depends on the net. Section 11.8
#   and exercise 2 measure it.
#
# One exact remedy is to draw many completions at once, and to
# weight and redraw them on the way by how well each one
# explains $y$ (sequential Monte Carlo: Trippe et al. 2023, Wu
# et al. 2023). Another bends the score towards $y$ by a
# gradient through the denoised image (Chung et al. 2023). Both
# cost more than two lines.
#
# ## 11.7 Figure 6: digits
#
# Now the net. It was trained on whole digits of 8x8 pixels, on
# half of scikit-learn's collection; the images below are from
# the other half. Its settings come with it: ten levels, ten
# steps at each. A last denoising step takes the last noise out
# of the missing part, and the known pixels are put back as they
# are.

# %%
net = ne.load_trained("digits")
images, labels = ne.datasets.load("digits", split="test")
images = images / 255  # (899, 1, 8, 8)
sampling = {"eps": net.sampling.eps, "n_steps_each": net.sampling.n_steps_each}


def complete(image, mask, n, generator):  # (B, 1, 8, 8), (B or 1, 1, 8, 8) -> (B, n, 1, 8, 8)
    mask = mask.expand_as(image).repeat_interleave(n, 0)
    image, x = image.repeat_interleave(n, 0), net.start(n * len(image), generator=generator)
    noisy = last(inpaint(net.score, x, net.sigmas, image=image, mask=mask, **sampling, generator=generator))
    filled = torch.where(mask.bool(), image, ne.denoise(net.score, noisy, net.sigmas[-1].item()))
    return filled.unflatten(0, (-1, n)), noisy.unflatten(0, (-1, n))


# %% [markdown]
# Two masks need no experiment. With every pixel known the
# answer is the image, and with none the algorithm is Algorithm
# 1, and the completions are samples. All others lie in between.
# Rows of one batch need not have the same mask, so that eight
# images with four masks and six completions each are a single
# run.

# %%
generator, chosen = torch.Generator().manual_seed(2), images[1:9]
names = ("left", "right", "centre", "random")
masks = torch.stack([preset_mask(name, (8, 8), generator=generator) for name in names]).repeat_interleave(2, 0)
filled, noisy = complete(chosen, masks, 6, generator)

# %% [markdown]
# First two checks that hold for any net, good or bad. The known
# pixels of the chain's end are the image plus the noise of the
# last level, $\sigma_L = 0.01$: their rms difference is
# $\sigma_L$. The missing ones differ from the original by far
# more.

# %%
visible = masks.bool()[:, None].expand_as(noisy)
difference = noisy - chosen[:, None]
apart = [difference[part].square().mean().sqrt() / net.sigmas[-1] for part in (visible, ~visible)]
assert abs(apart[0] - 1) < 0.05 and 10 < apart[1] < 60
print(f"rms difference from the image: known pixels {apart[0]:.1f} sigma_L, missing pixels ≈ {apart[1]:.0f} sigma_L")

# %% [markdown]
# **Predict:** the first column of the next figure is the
# original, the second what the sampler gets (missing is grey),
# and then come six completions. There are two rows for each
# mask: the left half known, the right half, all but the centre,
# and half of all pixels at random. For which mask will the six
# be most alike? For which will they be different digits?
#
# <details><summary>Answer</summary>
#
# Most alike with the random mask, although as many pixels are
# missing as in a half. Every missing pixel has known
# neighbours, and a stroke that is seen at every other pixel is
# seen. A missing half leaves room for another digit. The centre
# is missing least, 16 pixels, and is mostly completed to the
# same digit, with a loop that is open here and closed there.
# But its pixels are the ones in which digits differ, so that
# the spread of a *missing pixel* is largest there: 0.21,
# against 0.18 and 0.14 for the halves and 0.09 for the random
# mask.
# </details>

# %%
grey = torch.where(masks.bool(), chosen, torch.tensor(0.5))
rows = torch.cat([chosen[:, None], grey[:, None], filled], 1)  # (8, 8, 1, 8, 8)
fig, ax = plt.subplots(figsize=(7.6, 7.2))
draw_images(ax, rows.flatten(0, 1), columns=8)
for row, name in enumerate(("left half\nknown", "right half\nknown", "centre\nmissing", "random half\nmissing")):
    ax.text(-1.5, 18 * row + 8.5, name, ha="right", va="center")
for x, title in ((4, "original"), (13, "seen"), (45, "six completions")):
    ax.text(x, -1, title, ha="center", va="bottom")
spread = {name: filled[2 * i : 2 * i + 2].std(1)[:, masks[2 * i] == 0].mean() for i, name in enumerate(names)}
save_figure(
    fig,
    "fig6_inpainting",
    alt="Eight digits of 8x8 pixels in rows: original, what is seen, six completions. With the left or the right half "
    "known the completions are often other digits; with random pixels missing they nearly repeat the original.",
    caption="Completions of held-out digits by Algorithm 2, two rows for each mask (Figure 6 of the paper, small).",
    numbers=spread,
    tolerance=0.01,
)

# %% [markdown]
# Most completions are plausible digits, and not all of them are
# the digit that the image was cut from. That is no error: a
# completion has to fit what is seen, and nothing else. A
# completion that repeats the original every time would be
# suspicious, since half of the information is not there. (The
# pixel values are clamped to $[0, 1]$ by the drawing.)
#
# Look at the thickness of the strokes, and at their slant. Both
# belong to the writer, and both are legible in any half of a
# digit, through a lot of noise: many pixels know about them. In
# the language of section 11.5 they are choices with a large
# $K$.
#
# ## 11.8 Larger digits, and the seam
#
# At 8x8 pixels a border is hard to see. The package also brings
# a net for MNIST's 28x28. Nothing has to be downloaded for this
# section: the images that we cut are samples of the net itself.
# That is even an advantage. Such an image is a perfect draw
# from what the net believes, so that whatever is wrong with a
# completion is the sampler's doing. (The net was trained for
# hours and not for days. Some of its digits are none.)

# %%
large = ne.load_trained("mnist")
generator, lowest = torch.Generator().manual_seed(0), large.sigmas[-1].item()
steps = {"eps": large.sampling.eps, "n_steps_each": 10}
states = ne.annealed_langevin(
    large.score, large.start(16, generator=generator), large.sigmas, **steps, generator=generator
)
uncut = ne.denoise(large.score, last(states), lowest)
cuts = torch.stack([preset_mask(name, (28, 28)) for name in ("left", "centre") for _ in range(8)])

# %% [markdown]
# How do you measure a seam? Where the known and the missing
# part do not fit, neighbouring pixels on the two sides of the
# border differ more than neighbours elsewhere. So take the mean
# absolute difference of neighbours **across** the border, and
# divide it by that of all other neighbours:


# %%
def seam(x, mask):  # (B, 1, H, W), (B, 1, H, W) -> a number
    jumps = torch.cat([x.diff(dim=d).abs().flatten(1) for d in (-1, -2)], 1)
    across = torch.cat([mask.diff(dim=d).abs().flatten(1) for d in (-1, -2)], 1) > 0
    return (jumps[across].mean() / jumps[~across].mean()).item()


pieced = torch.where(cuts.bool(), uncut, uncut.roll(1, 0))  # the missing part of another digit
assert seam(pieced.clamp(0, 1), cuts) > 2 * seam(uncut.clamp(0, 1), cuts)
for name, x in {"whole digits": uncut, "pieced together": pieced}.items():
    print(f"seam of {name:15} ≈ {seam(x.clamp(0, 1), cuts):.1f}")

# %% [markdown]
# Whole digits do not have 1 but more: the border runs through
# the middle of the image, where the strokes are, and the pixels
# elsewhere are mostly paper. So the number means something only
# beside that of whole images **with the same border**. The two
# printed numbers are the ends of the scale: no seam, and no
# agreement at all.
#
# On it we place Algorithm 2 and three variants of section 11.6.
# The net knows its ten levels only: one step a level is ten
# evaluations, and with eleven rounds of each step it is 100, as
# many as Algorithm 2 has with ten steps a level.


# %%
chaos, what = large.start(16, generator=generator), {"image": uncut, "mask": cuts.bool(), "ladder": large.sigmas}
ends = {
    "Algorithm 2": pasted(large.score, chaos, **what, **steps),
    "no noise on\nthe known part": pasted(large.score, chaos, noise=0.0, **what, **steps),
    "one step\na level": one_step_a_level(large.score, chaos + noise_like(uncut, generator), rounds=1, **what),
    "one step,\nresampled": one_step_a_level(large.score, chaos + noise_like(uncut, generator), rounds=11, **what),
}

# %%
finished = {name: torch.where(cuts.bool(), uncut, ne.denoise(large.score, x, lowest)) for name, x in ends.items()}
shown = {"whole": uncut, "seen": torch.where(cuts.bool(), uncut, 0.5), "pieced\ntogether": pieced} | finished
seams = {name: seam(x.clamp(0, 1), cuts) for name, x in shown.items() if name != "seen"}

# %% [markdown]
# **Predict:** the next figure shows eight of the sixteen
# digits, whole, as they are seen, pieced together with another
# digit, and completed in four ways, each with its seam. Which
# of the four has a seam like whole digits? Is it the one that
# was best in the plane?
#
# <details><summary>Answer</summary>
#
# Algorithm 2, resampling and the clean known part have seams
# of 2.0 to 2.3, against 1.8 of whole digits: nearly none. One
# step a level has 3.1, nearly half of the way to digits that
# are pieced together. In the plane, too, one step a level was
# the worst, and resampling repaired it. With sixteen digits
# the number scatters by 0.2 or so: the three best cannot be
# told apart.
# </details>

# %%
fig, ax = plt.subplots(figsize=(9.4, 6.4))
eight = [0, 1, 2, 3, 8, 9, 10, 11]
draw_images(ax, torch.cat([x[eight] for x in shown.values()]), columns=8)
for row, name in enumerate(shown):
    ax.text(-3, 29 * row + 14, name, ha="right", va="center", fontsize=9)
    if name in seams:
        ax.text(8 * 29 + 3, 29 * row + 14, f"{seams[name]:.2f}", va="center", fontsize=10)
ax.text(8 * 29 + 3, -3, "seam", va="bottom", fontsize=10)
save_figure(
    fig,
    "inpainting_seam",
    alt="Eight digits whole, as seen, pieced together from two, and completed in four ways, with their seams: 1.8 for "
    "whole digits, 4.8 for pieced ones, about 2 for Algorithm 2 and for resampling, about 3 for one step a level.",
    caption="Digits of 28x28 with the left half or all but the centre known, completed in four ways, with their seams.",
    numbers={name.replace("\n", " "): value for name, value in seams.items()},
    tolerance=0.1,
)

# %% [markdown]
# So the steps within a level, Langevin steps or resampling, are
# what joins the two parts. With one step a level the missing
# part has no time to react to the known one, and strokes end at
# the border. RePaint found the same on photographs.
#
# **No noise on the known part** does no visible harm here,
# although this net has never seen an image that is half noisy.
# That is a finding about this net and these masks.
#
# And a good seam is not all. A seam is a matter of neighbouring
# pixels, and small noise levels settle it. Whether the two
# halves make *one digit* is settled at large levels: look at
# the second column, where the known part is half of an 8 or of
# a 6, with a stroke further right that only the whole image
# has. No number here says whether that is right, as nobody
# knows the exact weights. In the plane we did (section 11.3).
#
# ## 11.9 Traps: hidden pixels, and clamping
#
# **Hidden pixels must not be used.** The mistake is common: the
# chain starts from the image plus noise, a contrast is
# normalised over all pixels, a progress picture shows the
# original. The completions then look very good. The test takes
# one line: **change what is hidden, and nothing may change, not
# even in the last bit.** We put another digit there, and then
# NaN, which would spread to whatever touches it.

# %%
left = preset_mask("left", (8, 8))
generator = torch.Generator().manual_seed(4)
x, results = net.start(2, generator=generator), {}

# %%
for name, hidden in {"itself": images[1:2], "another digit": images[2:3], "NaN": torch.tensor(torch.nan)}.items():
    image = torch.where(left.bool(), images[1:2], hidden)
    fresh = torch.Generator().manual_seed(3)  # the same noise each time
    states = inpaint(net.score, x, net.sigmas, image=image, mask=left, n_steps_each=1, generator=fresh)
    results[name] = last(states)
    assert torch.equal(results[name], results["itself"])
    print(f"hidden: {name:13}  completions differ by {(results[name] - results['itself']).abs().max():.0f}")

# %% [markdown]
# **Clamping belongs to the display, not to the chain.** Pixels
# live in $[0, 1]$, so why not keep $x$ there after each step?
# Because $x$ is not an image, it is an image *plus noise*, and
# the net was trained on such. At the first levels most of the
# pixels have to be elsewhere.

# %%
for sigma in (1.0, 0.1):
    noised = images + sigma * torch.randn(images.shape, generator=generator)
    outside = ((noised < 0) | (noised > 1)).double().mean().item()
    print(f"at sigma {sigma} outside of [0, 1]: about {5 * round(20 * outside)} % of the pixels")

# %% [markdown]
# The known part shows it best: the net expects
# $\tilde y = y + \sigma \tilde z$ there, and has never seen a
# clamped $\tilde y$. A pixel that is 0 and has noise 1 keeps
# the positive half of its noise only: its mean becomes
# $1/\sqrt{2\pi} = 0.4$ before the upper bound is taken into
# account. The net, which is told that the noise has mean 0,
# takes it for a grey pixel. (Digits have many pixels of exactly 0.
# That is why even little noise puts so many of them outside.)
#
# On digits you may not even notice. The late levels, which cut
# off little, repair a good part of what the early ones did, and
# what stays is a shade too much grey. That makes it an
# insidious trap: nothing breaks, and the samples are a little
# worse than the net could make them.
#
# The traps of this notebook in one table. Each has a test that
# needs no good net. Looking at the pictures is no such test.
#
# | trap | what you see | the test |
# |---|---|---|
# | hidden pixels are used | completions that are too good | change them: nothing may change |
# | the mask is upside down | the known part is invented, the missing one "restored" | the known part comes back up to $\sigma_L$ |
# | $\tilde y$ once a step, or once a level | little difference (section 11.6) | watch the known part: it changes only where a level begins |
# | clamping within the chain | a shade too much grey, or nothing at all | at level $\sigma$ the known part has rms distance $\sigma$ from $y$ |
#
# ## 11.10 Where the net is unsure
#
# Several completions of one image are samples of a
# distribution, and a distribution has a spread. We take four
# digits of which only the upper half is known, draw 20
# completions of each, and look at the standard deviation of
# every pixel.
#
# And we ask *what* the completions are. The judge is the
# simplest there is: the label of the nearest training image. On
# held-out digits it is right in more than 95 of 100 cases. For
# comparison we count the labels of the 20 training digits whose
# upper halves are most like the one that is seen: a rough idea
# of what is possible, without any net.

# %%
train_images, train_labels = ne.datasets.load("digits", split="train")
train_images = train_images / 255


def nearest(x: torch.Tensor, mask: torch.Tensor, n: int) -> torch.Tensor:  # labels of n neighbours, (B, n)
    between = torch.cdist((x * mask).flatten(1), (train_images * mask).flatten(1))
    return train_labels[between.topk(n, largest=False).indices]


right = (nearest(images, torch.ones(1, 8, 8), 1)[:, 0] == labels).double().mean().item()
assert right > 0.95
print(f"the nearest neighbour is right for {right:.1%} of the held-out digits")

# %%
four, top = images[[4, 57, 216, 741]], preset_mask("top", (8, 8))
halves, _ = complete(four, top, 20, generator)
classes = nearest(halves.flatten(0, 1), torch.ones(1, 8, 8), 1).view(4, 20)
similar = nearest(four, top, 20)

# %% [markdown]
# **Predict:** a 0, a 6, a 9 and a 2, of which the upper half is
# seen. The next figure shows, from left to right, what is seen,
# the standard deviation by pixel, eight of the 20 completions,
# and the shares of the ten classes. For which digits do you
# expect more than one class? In the map, is the spread zero in
# the upper half? Where is it largest in the lower one?
#
# <details><summary>Answer</summary>
#
# The upper half is known, and pasted: exactly zero. The 0 and
# the 6 leave little choice. The upper half of the 9 can be that
# of an 8, and that of the 2 is found on 3 and 7 too; there the
# training digits with the most similar upper halves have
# several labels. The spread is largest where one completion has
# a stroke and another has paper, and smallest in the columns at
# the border, which are hardly ever written on.
# </details>

# %%
spread = halves.std(1)
fig, axes = plt.subplots(4, 4, figsize=(10.2, 6.4), width_ratios=[1, 1, 2.6, 2.6])
for i, (seen, deviation, shown, bars) in enumerate(axes):
    draw_images(seen, torch.where(top.bool(), four[i : i + 1], torch.tensor(0.5)))
    deviation.imshow(spread[i, 0], cmap="viridis", vmin=0, vmax=0.5)
    deviation.set_axis_off()
    draw_images(shown, halves[i, :8], columns=4)
    bars.bar(torch.arange(10) - 0.2, classes[i].bincount(minlength=10) / 20, 0.4, color=ORANGE, label="completions")
    bars.bar(torch.arange(10) + 0.2, similar[i].bincount(minlength=10) / 20, 0.4, color=BLUE, label="similar digits")
    bars.set(xticks=range(10), ylim=(0, 1), ylabel="share")
for ax, title in zip(axes[0], ("seen", "spread (0 to 0.5)", "eight of 20 completions", "classes"), strict=True):
    ax.set_title(title)
axes[0, 3].legend(fontsize=8)
numbers = {f"spread_{i}": spread[i, 0, 4:].square().mean().sqrt() for i in range(4)}
save_figure(
    fig,
    "inpainting_diversity",
    alt="Four digits of which the upper half is seen, the spread of each pixel over 20 completions, eight of them, and "
    "bars of their classes. The 0 and the 6 are nearly sure; the 9 is split between 8 and 9, the 2 between 2 and 3.",
    caption="What the net does not know: the spread of the completions by pixel, and by class.",
    numbers=numbers,
    tolerance=0.02,
)

# %%
assert spread[:, :, :4].max() == 0
print(f"largest spread: known half {spread[:, :, :4].max():.0f}, missing half ≈ {spread[:, :, 4:].max():.1f}")

# %% [markdown]
# The two pictures answer different questions. The map says
# *which pixels* differ from completion to completion. It does not say how: a pixel of
# spread 0.3 may be black in one completion of ten, or spread
# evenly over all greys. The bars say *what* it is that differs.
# A digit may have one class in all its completions and yet a
# spread in every pixel of its strokes, because they are drawn a
# little further left or right.
#
# Do not expect orange and blue to agree bar by bar. With 20
# completions a share of one half scatters by
# $\sqrt{0.25/20} = 0.11$; the neighbours are similar digits and
# not digits with the same upper half; and the judge is a
# nearest neighbour itself. But where blue has one class only,
# many orange ones would be a bad sign, and where blue has two,
# a single orange one is worth a second look (section 11.4).
#
# The map says how far the completions *of this sampler, with
# this net* disagree. That need not be the true uncertainty:
# section 11.4 showed a sampler whose completions are split 40 :
# 60 where 10 : 90 is right. But the map is cheap, and it points
# to the pixels for which a single completion would mislead.
#
# What happens as the hole grows? We hide a quarter of the
# pixels, at random, then half, and so on to all of them. The
# masks are nested: what is missing in one is missing in the
# next. With everything missing the completions are plain
# samples, and their spread should be that of the data, which we
# know without any net: the dashed line.
#
# For exact completions the curve must not fall. The law of
# total variance says that for any pixel
#
# $$ \mathbb E \operatorname{Var}(x_j \mid \text{more known}) \;\le\; \mathbb E \operatorname{Var}(x_j \mid \text{less known}) . $$
#
# (On the left the mean runs over both what is added and what
# was known before. For a single image the variance may well
# rise when a surprising pixel is uncovered; only on average
# does knowledge never hurt.) We therefore follow the same set
# of pixels throughout: those that are missing from the first
# mask on.

# %%
order = torch.randperm(64, generator=generator).argsort().view(1, 8, 8)
followed, measured = order < 16, {}
for share in (0.25, 0.5, 0.75, 0.9, 1.0):
    drawn, _ = complete(images[10:22], (order >= round(64 * share)).float(), 5, generator)
    measured[share] = drawn.var(1)[:, followed].mean().sqrt().item()

# %% [markdown]
# **Predict:** from a quarter missing to a half, to three
# quarters, to nine tenths: does the spread jump at some point,
# or does it grow all the way? Does it reach the dashed line?
#
# <details><summary>Answer</summary>
#
# With a good net it grows all the way: each pixel that goes
# takes a little knowledge along. With all of them gone it comes
# to the line, within what 60 samples can tell. (A
# net that was trained too little spreads too much for every
# share.)
# </details>

# %%
fig, ax = plt.subplots(figsize=(5.4, 3.2))
in_data = train_images.var(0)[followed].mean().sqrt().item()
ax.plot(list(measured), list(measured.values()), "o-", color=ORANGE, label="completions")
ax.axhline(in_data, color=BLUE, ls="--", lw=1, label="training digits")
ax.set(xlabel="share of the pixels that is missing", ylabel="spread of the same 16 pixels", ylim=(0, None))
ax.legend()
save_figure(
    fig,
    "inpainting_share",
    alt="The spread of 16 pixels against the share of missing pixels. It rises from 0.08 with a quarter missing to "
    "0.17 with three quarters, and ends with all missing on the dashed line of the training digits, at 0.21.",
    caption="The more is hidden, the further the completions spread, up to the spread of the data.",
    numbers={f"missing_{k:g}": v for k, v in measured.items()},
    tolerance=0.02,
)

# %% [markdown]
# Compare the random masks of Figure 6 with its halves: the same
# number of pixels was missing in both. How much is missing
# matters less than how far the missing pixels are from the next
# known one. (The same holds for scratches: a long thin one
# takes away many pixels and little information.)
#
# ## 11.11 Your turn
#
# The explorer completes an image as often as you like. Choose a
# mask, or paint one with the mouse, and press **Complete**.
#
# - Begin with **random**, then **left**. Which looks harder,
#   and which is?
# - Hide *one* pixel in the middle of a stroke. Is there any
#   spread?
# - Hide all but a few pixels (**Clear**, then paint what is
#   missing). At which point do the completions forget the
#   digit?
# - Change the **seed** and nothing else. Which strokes stay,
#   and which come and go? Are those that stay the ones that you
#   would have drawn?
# - Lower **steps each** to 1. What suffers first, the look of
#   the digits, or the way in which they fit the known part?
#   Look along the border.
#
# <details><summary>Answers</summary>
#
# - Random looks harder and is easier: a missing pixel spreads
#   by 0.09, against 0.18 with the left half known (the figure
#   above).
# - Yes, a little: 0.08 for a pixel in the middle, averaged over
#   ten digits. Over all digits the same pixel spreads by 0.39.
# - Step by step. With 16 of the 64 pixels seen, at random
#   places, a third of the completions keep the class, and with
#   six less than a half, with two as many as guessing would: 8
#   %. (Twenty digits, three completions each: shares scatter by
#   6 %.)
# - The strokes that stay are next to known pixels. What comes
#   and goes is far from them: loops and tails.
# - The look. With one step a level the distance to the nearest
#   training digit is 2.3, where new digits have 1.1 and ten
#   steps 1.3; the seam along the left half is 1.4, where whole
#   digits have 1.3.
# </details>

# %%
InpaintingExplorer(net.score, net.sigmas, images[:20], **sampling)

# %% [markdown]
# Without Python, on a picture of your own or on a digit of the
# data set:
#
# ```
# python -m ncsn_edu inpaint digits:12 --mask left
# python -m ncsn_edu inpaint picture.png --mask mask.png --completions 8
# ```
#
# A mask file is white where the image is known, and black where
# it is missing.
#
# ## What you should be able to do now
#
# - Derive why a slice of the score of whole images is the score
#   of the missing part, and say what became of $p(y)$.
# - State Algorithm 2, and name its two approximations.
# - Predict for which known values a weight will come out wrong:
#   those that cannot be read through noise of the size at which
#   the choice is made.
# - Judge a variant of a sampler against an exact conditional,
#   with a floor and at equal cost, and not by its looks.
# - Measure a seam, beside that of whole images.
# - Test that hidden pixels are not used, that the mask is the
#   right way round, and that the known part comes back.
#
# ## Exercises
#
# 1. Where does the error of the sharp world go with more work?
#    Measure the share above 0 for $T = 10, 100, 1000$ steps a
#    level, and for 10 and 40 levels with 1000 evaluations in
#    all. Compare with the time that a chain needs to cross
#    between modes 4 apart at the level where the red curve of
#    section 11.4 comes down.
#    <details><summary>Hint</summary>
#
#    A mode has variance $v = 0.25 + \sigma^2$. Between two of
#    them the density falls by the factor $e^{4/(2v)}$, and a
#    chain forgets its place within a mode in about $2v/\alpha$
#    steps.
#    </details>
#    <details><summary>Answer</summary>
#
#    0.45, 0.42 and 0.35 for $T = 10, 100, 1000$, and 0.40 for
#    40 levels with 25 steps each: a hundred times the work
#    takes away a quarter of the error. With
#    $\alpha = 0.2\,\sigma^2$ the hint gives about 60 steps for
#    a crossing at $\sigma = 1.1$, 320 at 0.65, 3500 at 0.39 and
#    40,000 at 0.23. So 1000 steps follow the red curve for one
#    level more than 100 do.
#    </details>
# 2. Complete digits of 8x8 pixels with the *clean* known part
#    pasted at all levels (write the loop with `net.score`).
#    Judge completions by their distance to the nearest training
#    image and by the share that keeps the class of the
#    original, against Algorithm 2 with the same settings. What
#    does the net say about images that are half noisy?
#    <details><summary>Answer</summary>
#
#    Nothing bad. With the left half known, 48 digits and three
#    completions each, the distance to the nearest training
#    image is 1.31 for Algorithm 2 and 1.26 with the clean part
#    (1.12 for new digits), and 58 and 59 % keep the class. The
#    differences are within chance, as in section 11.8. This
#    net, told $\sigma$ for the whole image, still reads a clean
#    half.
#    </details>
# 3. A known value can itself be measured with noise of standard
#    deviation $\tau$. Change Algorithm 2: at which levels do
#    you paste, with which noise, and what do you do once
#    $\sigma_i < \tau$? Check it in the gentle world, where the
#    exact answer is `posterior` of a mixture whose known
#    coordinate has $\tau^2$ more variance.
#    <details><summary>Hint</summary>
#
#    Let the noise of the measurement and that of the level be
#    the same noise as far as they go. For $\sigma > \tau$ the
#    noisy point is the measurement with more noise. For
#    $\sigma < \tau$ the measurement is the noisy point with
#    more noise.
#    </details>
#    <details><summary>Answer</summary>
#
#    For $\sigma_i > \tau$ paste
#    $y + \sqrt{\sigma_i^2 - \tau^2}\,\tilde z$. Below, paste
#    nothing, and add $(y - \tilde x_k)/(\tau^2 - \sigma_i^2)$
#    to the score of the known coordinate: it is the gradient of
#    $\log p(y \mid \tilde x)$. With $\tau = 0.5$ and
#    $y = -4.39$ the exact share above 0 is 0.11, and 2000
#    chains have 0.16, the excess of section 11.3. The known
#    coordinate itself comes out at $-4.2 \pm 0.48$, where the
#    exact posterior has $-4.18 \pm 0.49$. Plain Algorithm 2
#    leaves it at $-4.39 \pm 0.05$: it believes the measurement.
#    </details>
#
# ## References
#
# - Y. Song and S. Ermon, *Generative Modeling by Estimating
#   Gradients of the Data Distribution*, NeurIPS 2019: Algorithm
#   2 (appendix B) and Figure 6.
# - A. Lugmayr et al., *RePaint: Inpainting using Denoising
#   Diffusion Probabilistic Models*, CVPR 2022: resampling.
# - B. Trippe et al., *Diffusion Probabilistic Modeling of
#   Protein Backbones in 3D for the Motif-Scaffolding Problem*,
#   ICLR 2023, and L. Wu et al.,
#   *Practical and Asymptotically Exact Conditional Sampling in Diffusion
#   Models*, NeurIPS 2023: weights that make the sampling of a
#   conditional exact.
# - H. Chung et al., *Diffusion Posterior Sampling for General
#   Noisy Inverse Problems*, ICLR 2023: a gradient towards the
#   known part.
#
# **Next:**
# [13 · CIFAR-10 at full scale](13_cifar10_at_full_scale.ipynb)
