# %% [markdown]
# # 3 · Score matching
#
# *Reading and trying: about 90 minutes, exercises aside. Running every cell: about 25 seconds on a laptop, at full scale (two dimensions).*
#
# Notebook 1 computed scores from known densities, notebook 2 sampled with them. Here we
# learn them from samples. The obvious loss needs the very score that we are looking for.
# **Score matching** minimises that loss without knowing the score. Two ways to do so are
# in this notebook: integrate by parts, or add noise and predict it. Notebook 4 makes the
# first one affordable. You will
#
# - derive both, and read the few lines of the library that compute them;
# - see that they estimate **one and the same number** and have one and the same
#   minimiser, on a mixture where everything is known;
# - learn the proof behind denoising, and recognise a popular one that proves
#   nothing;
# - find out why the loss of a perfect denoiser is not zero;
# - flip a sign and mix up $x$ and $\tilde x$, and learn how to notice.
#
# The map, with names as in the library. $D$ is the number of coordinates:
#
# | loss | section | what it asks of the network | what it learns |
# |---|---|---|---|
# | `explicit` | 3.1 | its value; and the true score | the score of what it sees |
# | `implicit` | 3.2 | its value and $D$ backward passes | the same |
# | `dsm` | 3.3 | its value | the score of what it sees, which is data with noise |
# | `sliced` | 4.1 | its value and one backward pass | the same as `implicit` |
#
# You need: notebook 1, integration by parts, conditional expectations. The letters are
# on the page of [symbols](symbols.md).
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

import ncsn_edu as ne
from ncsn_edu import GaussianMixture, ScoreMLP, dsm, explicit, implicit, practice, save_figure, show
from ncsn_edu.plots import BLUE, GREEN, GREY, ORANGE, RED, density, grid, score_field, use_style
from ncsn_edu.training import train
from ncsn_edu.widgets import ObjectiveExplorer

use_style()
generator = torch.Generator().manual_seed(0)
randn = partial(torch.randn, generator=generator, dtype=torch.float64)

# %% [markdown]
# ## 3.1 The loss we want, and cannot have
#
# We look for a vector field $s_\theta(x)$ that is close to the score of the density
# $p$, where data are. The natural measure is the mean squared distance. Half of it
# is called the **Fisher divergence** (some authors leave the half out):
#
# $$ J(\theta) = \tfrac12\, \mathbb{E}_{x \sim p}\, \big\| s_\theta(x) - \nabla_x \log p(x) \big\|^2 . $$
#
# This is **explicit** score matching. It is zero exactly when the two fields agree
# wherever $p > 0$. An error at $x$ is weighted by the density $p(x)$: where $p$ is
# zero, any arrow is as good as any other. And $J$ needs $\nabla \log p$ inside the
# expectation. For data, nobody knows it.
#
# Our laboratory is a mixture, so here we do know it. We look at it through noise of
# standard deviation $\sigma = 0.5$ and take $p_\sigma = p * \mathcal{N}(0, \sigma^2 I)$
# as the density whose score is sought, in every section. The first methods would
# work without noise as well. Denoising needs it, and we want to compare.

# %%
means = torch.tensor([[-2.0, -1.0], [2.0, 1.0]], dtype=torch.float64)
mixture, sigma = GaussianMixture(means, 0.75, [0.3, 0.7]), 0.5
noisy = mixture.perturb(sigma)  # p_sigma: variance 0.75 + 0.25 = 1
show(explicit, docstring=False)

# %% [markdown]
# In two dimensions an expectation under $p_\sigma$ can also be computed without any
# samples, as a sum over a fine grid. For smooth functions that vanish at the edge
# such a sum is as good as exact. It will be our referee: `fisher(s)` is $J$ itself,
# not an estimate of it.

# %%
points = grid(9, 301)
mass = noisy.log_prob(points).exp() * (18 / 300) ** 2  # p_sigma times the area of a cell


@torch.no_grad()
def fisher(score) -> float:
    return (mass * explicit(score, points, mixture, sigma)).sum().item()


constant = fisher(lambda x, sigma: 0 * x)  # 1/2 E||grad log p_sigma||^2
assert abs(mass.sum() - 1) < 1e-10
print(f"mass on the grid: {mass.sum():.4f}")
print(f"J of the true score: {fisher(mixture):.4f}, of the zero score: {constant:.4f}")

# %% [markdown]
# We also need somebody to judge. `student` is a fixed vector field, neither good nor
# absurd: the score of a mixture whose groups are in the wrong places, and equally
# heavy. Any other field would do as well. Until section 3.7 nothing learns. We only
# ask each method *how wrong is the student?* and compare the answers.

# %%
student = GaussianMixture([[-1.5, 0.0], [2.5, 0.0]], 1.0)
print(f"J of the student: {fisher(student):.2f}")

# %% [markdown]
# ## 3.2 Implicit: integrate by parts
#
# Expand the square:
#
# $$ J = \tfrac12\,\mathbb{E}\|s\|^2 \;-\; \mathbb{E}\langle s, \nabla \log p\rangle \;+\; \underbrace{\tfrac12\,\mathbb{E}\|\nabla \log p\|^2}_{\text{no } \theta \text{ in it}} . $$
#
# Only the middle term is a problem. Write $p \nabla \log p = \nabla p$ and integrate
# by parts, one coordinate at a time:
#
# $$ \mathbb{E}\langle s, \nabla \log p\rangle = \sum_i \int s_i\, \partial_i p \; dx
#    = \sum_i \Big( \int \big[\, s_i\, p\, \big]_{x_i = -\infty}^{x_i = \infty} dx_{\neg i} - \int p\, \partial_i s_i \; dx \Big)
#    = -\,\mathbb{E}\,\mathrm{tr}(\nabla s), $$
#
# provided that **$p(x)\, s(x) \to 0$ at infinity**, fast enough for the bracket to
# vanish, and that $p$ lives on the whole space, so that infinity is its only
# boundary. Then (Hyvärinen 2005, Theorem 1)
#
# $$ J(\theta) = \mathbb{E}_{x\sim p}\Big[\, \mathrm{tr}\big(\nabla_x s_\theta(x)\big) + \tfrac12 \|s_\theta(x)\|^2 \Big] + \tfrac12\,\mathbb{E}\|\nabla \log p\|^2 . $$
#
# The unknown score is gone. The first term asks that arrows *flow together* at the data
# (negative divergence), the second that they are short there.
#
# Try it by hand once. Let the data have mean 0 and variance $v$ on the line, and let
# $s(x) = -a x$. The loss is $-a + \frac12 a^2 v$, a parabola in $a$ with its minimum
# at $a = 1/v$: the score of a Gaussian of variance $v$, found from the second moment
# of the data and nothing else. The value there is $-\frac{1}{2v}$, and the constant
# $\frac12 \mathbb{E}[x^2/v^2] = \frac{1}{2v}$ brings $J$ to zero, as it must. **An
# implicit loss is negative when it is good**, and how negative is a property of the
# data. So one value of it says nothing; a difference of two does.
#
# The trace costs. Automatic differentiation gives $v^\top \nabla s$ for a vector
# $v$ in one backward pass. With $v = e_i$ that is row $i$ of the Jacobian, of which
# we keep a single entry. All rows by hand:

# %%
x = noisy.sample(5, generator=generator).requires_grad_()
s, trace = student(x, sigma), 0
for i in range(2):
    row = torch.autograd.grad(s[:, i].sum(), x, retain_graph=True)[0]  # row i of each example's Jacobian
    trace = trace + row[:, i]
by_hand, library = trace + 0.5 * s.square().sum(1), implicit(student, x, sigma)
assert torch.allclose(by_hand, library)
for name, losses in {"by hand": by_hand, "library": library}.items():
    print(f"{name}:", "  ".join(f"{loss:8.4f}" for loss in losses.tolist()))

# %%
show(implicit, ne.losses._jacobian_diagonal, docstring=False)

# %% [markdown]
# Read `_jacobian_diagonal` as the loop above, for several rows at once: `unit` holds
# a vector $e_i$ for each of them, `_vjp` returns the rows, and `gather` keeps the
# diagonal entry of each. `rows_at_once` buys speed with memory, and changes nothing
# else. The whole Jacobian, $D \times D$ numbers for every example, is never held
# unless you ask for $D$ rows at once. (`_vjp` and `_dot` are the vector-Jacobian
# product and the scalar product of each example.)
#
# `s[:, i].sum()` sums over the examples, and still each row of the gradient belongs
# to one example alone, because example $b$ of the output depends on example $b$ of
# the input only. A network with batch normalisation breaks that, and the trace with
# it.
#
# **What if the boundary does not vanish?** Take the uniform density on $[0, 1]$.
# Inside, its score is 0, so the explicit loss of $s(x) = -3x$ is
# $\frac12 \mathbb{E}[9 x^2] = 1.5$ and that of $s = 0$ is 0. Now ask the implicit
# loss:

# %%
uniform = torch.rand(100_000, 1, generator=generator)
for slope in (0.0, -3.0):
    print(f"s = {slope:2.0f} x: implicit loss {implicit(lambda x, sigma, a=slope: a * x, uniform).mean():5.2f}")

# %% [markdown]
# It prefers the wrong field. The constant here is zero, so the loss should be $J$
# itself and can never be negative. What is missing is the bracket:
# $[\,s\,p\,]_0^1 = s(1) - s(0) = -3$, and $-1.5 + 3 = 1.5$ is the explicit loss
# again. Pixels that are clipped to $[0, 1]$, data on a line, a finite data set: all
# of them have such boundaries. A little noise removes every one. (Notebook 5 is
# about this.)
#
# ## 3.3 Denoising: predict the noise
#
# The second way changes the question. Take a clean $x \sim p$, add noise,
# $\tilde x = x + \sigma z$, and write $q(\tilde x \mid x) = \mathcal{N}(\tilde x; x, \sigma^2 I)$.
# The score of *that* Gaussian is known:
#
# $$ \nabla_{\tilde x} \log q(\tilde x \mid x) = -\frac{\tilde x - x}{\sigma^2} = -\frac{z}{\sigma} . $$
#
# **Denoising** score matching (Vincent 2011) takes it as the target:
#
# $$ \tfrac12\, \mathbb{E}_{x,\tilde x} \Big\| s(\tilde x) + \frac{\tilde x - x}{\sigma^2} \Big\|^2 . $$
#
# Ordinary regression, no derivatives of the network. Data of mean 0 and variance $v$
# on the line show that it works: fit $s(\tilde x) = -a \tilde x$ by least squares to
# the target $-z/\sigma$. The slope is
# $-a = \mathbb{E}[\tilde x \cdot (-z/\sigma)] / \mathbb{E}[\tilde x^2] = -1/(v + \sigma^2)$.
# That is the score of a Gaussian with the variance of the *noisy* data.
#
# But why should it find $\nabla \log p_\sigma(\tilde x)$ in general? The target is a
# different arrow for every pair $(x, \tilde x)$, and hardly ever is it the score of
# $p_\sigma$.
#
# **The proof.** Expand both squares. Under either loss $s$ meets the same
# $\frac12 \mathbb{E}\|s(\tilde x)\|^2$. So all depends on the term where $s$ meets its
# target. Use $p_\sigma \nabla \log p_\sigma = \nabla p_\sigma$ and
# $p_\sigma(\tilde x) = \int p(x)\, q(\tilde x \mid x)\, dx$:
#
# $$ \mathbb{E}\langle s, \nabla \log p_\sigma\rangle
#    = \int \Big\langle s(\tilde x), \nabla_{\tilde x}\! \int p(x)\, q(\tilde x \mid x)\, dx \Big\rangle d\tilde x
#    = \iint p(x)\, q(\tilde x \mid x)\, \big\langle s(\tilde x), \nabla_{\tilde x} \log q(\tilde x \mid x) \big\rangle\, dx\, d\tilde x , $$
#
# which is $\mathbb{E}\langle s(\tilde x), \nabla \log q(\tilde x \mid x)\rangle$. **For
# every field $s$ the two targets have the same scalar product with it.** (A
# derivative passed under an integral, which a Gaussian allows; nothing was
# integrated by parts, so no boundary condition is needed.) Hence
#
# $$ \tfrac12 \mathbb{E}\Big\|s + \frac{z}{\sigma}\Big\|^2 \;=\; \underbrace{\tfrac12 \mathbb{E}\|s - \nabla \log p_\sigma\|^2}_{J} \;+\; \underbrace{\tfrac12\Big(\frac{D}{\sigma^2} - \mathbb{E}\|\nabla \log p_\sigma\|^2\Big)}_{\text{no } s \text{ in it}} . $$
#
# The library multiplies by $\sigma^2$, which keeps the loss of order one at every
# noise level. Before you look at its code:
#
# **Write it.** The loss $\frac12 \|\sigma\, s(\tilde x, \sigma) + z\|^2$ of each example,
# where the noise $z$ is given. Two lines are enough. Run the cell: it says how you
# are doing, and an unwritten cell stops nothing below it.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_loss(score, x, sigma, z):
#     residual = sigma * score(x + sigma * z, sigma) + z
#     return 0.5 * residual.square().sum(1)
# ```
# </details>


# %%
def my_loss(score, x, sigma, z):  # x and z: (B, D); returns (B,)
    ...


practice.denoising_loss(my_loss)

# %% [markdown]
# The library's version samples $z$ itself, and takes a noise level for each example, and
# images as well as points:

# %%
show(dsm, ne.dsm_floor, docstring=False)

# %% [markdown]
# Compare with the formula. The sign of `+ z` is that of *minus* the target: the loss
# is $\frac12 \|\sigma s - (-z)\|^2$. The score gets `x + sigmas * z`, the noisy point,
# and never sees $x$ or $z$ on their own. `dsm_floor` estimates the constant of the
# last equation, times $\sigma^2$, by a formula of section 3.5. It needs the true
# score, so it is there for laboratories like this one. Section 3.8 is about what
# happens if one of the two, the sign or the noisy point, goes wrong.
#
# **The same proof in other words.** The best prediction of a random target, in mean
# square, is its conditional expectation. So the minimiser of denoising is
#
# $$ s^*(\tilde x) = \mathbb{E}\Big[ -\frac{\tilde x - x}{\sigma^2} \,\Big|\, \tilde x \Big] = \frac{\mathbb{E}[x \mid \tilde x] - \tilde x}{\sigma^2} ,
#    \qquad\text{and the proof says}\qquad s^* = \nabla \log p_\sigma . $$
#
# The right-hand one is **Tweedie's formula**. It reads: the score points from the
# noisy point to the mean of the clean points that may be behind it. The arrows that
# the network sees are all different; *on average over what it cannot know* they are
# the score.
#
# There is a third way to see it. Differentiate
# $p_\sigma(\tilde x) = \int p(x)\, q(\tilde x \mid x)\, dx$ and divide by
# $p_\sigma(\tilde x)$:
#
# $$ \nabla \log p_\sigma(\tilde x) = \int \underbrace{\frac{p(x)\, q(\tilde x \mid x)}{p_\sigma(\tilde x)}}_{p(x \mid \tilde x)} \Big({-\frac{\tilde x - x}{\sigma^2}}\Big) dx . $$
#
# The weight is Bayes' rule, the integral is the conditional expectation. For a
# mixture the responsibilities of notebook 1 play that part: they are the posterior
# probabilities of the components. For a finite data set they are a softmax over its
# points, which is what `ncsn_edu.Empirical` computes.
#
# We check it twice, on a line, where one can draw targets against $\tilde x$. First
# without samples: $\mathbb{E}[x \mid \tilde x]$ is an integral over $x$, and the
# library's `denoise(score, x, sigma)` is one line. Which?
#
# **Write it.** The mean of the clean points behind $\tilde x$, from the score there.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_denoised(x, s, sigma):
#     return x + sigma**2 * s
# ```
# </details>


# %%
def my_denoised(x, s, sigma):  # x, the noisy points, and s, the scores there: (B, D); returns (B, D)
    ...


practice.denoised(my_denoised)

# %%
line = GaussianMixture(means[:, :1] * 0.75, 0.2, [0.3, 0.7])
clean, seen = torch.linspace(-8, 8, 4001).double(), torch.linspace(-3.5, 3.5, 71).double()[:, None]
joint = line.log_prob(clean[:, None]) - (seen - clean) ** 2 / (2 * sigma**2)  # log p(x) q(x~|x) + const
posterior_mean = joint.softmax(1) @ clean
denoised = ne.denoise(line, seen, sigma)[:, 0]
assert torch.allclose(posterior_mean, denoised, atol=1e-10)
for at, k in {-1.5: 20, 0.0: 35, 1.0: 45}.items():
    print(f"E[x | x~ = {at:4.1f}]: integral {posterior_mean[k]:.6f}, Tweedie {denoised[k]:.6f}")

# %% [markdown]
# Then with samples, the way a network would see it: 200,000 pairs
# $(\tilde x, -z/\sigma)$, sorted into bins of $\tilde x$.
#
# **Predict:** the next cell draws 1500 of the targets as dots, the mean target of
# each bin, and the score of $p_\sigma$. How wide is the cloud of dots, compared with
# the curve? Is it equally wide everywhere?
#
# <details><summary>Answer</summary>
#
# Wide: the targets scatter as much as the score itself varies, and a single one is
# next to useless. Near a mode, the clean point behind $\tilde x$ is uncertain by
# less than $\sigma$, but division by $\sigma^2$ makes much of it. Between the modes
# the cloud is widest: the clean point may be on either side. The mean of each bin
# sits on the curve all the same.
# </details>

# %%
x, z = line.sample(200_000, generator=generator), randn(200_000, 1)
noisy_x, target = x + sigma * z, -z / sigma
in_bin = torch.bucketize(noisy_x[:, 0], torch.linspace(-3, 3, 31).double())
bins = [in_bin == k for k in range(1, 31)]
errors = target - line(noisy_x, sigma)  # target minus the score of p_sigma
deviations = torch.stack([errors[b].mean() / errors[b].std() * b.sum().sqrt() for b in bins])
rms, middles = deviations.square().mean().sqrt(), [noisy_x[b].mean() for b in bins]

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.6))
ax.plot(noisy_x[:1500], target[:1500], ".", ms=2, color=GREY, alpha=0.5, label=r"targets $-z/\sigma$")
ax.plot(seen, line(seen, sigma), color=BLUE, label=r"$\nabla \log p_\sigma$")
ax.plot(middles, [target[b].mean() for b in bins], "o", ms=4, color=ORANGE, label="mean target")
ax.set(xlim=(-3.4, 3.4), ylim=(-6.5, 7.5), xlabel=r"$\tilde x$", title=f"rms deviation: {rms:.2f} standard errors")
ax.legend(ncols=3, fontsize=8, loc="upper center")
alt = (
    "A cloud of grey dots, the targets, scattered widely about a curve that falls, rises steeply between two modes and "
    "falls again; larger dots, the mean target of each bin, lie on the curve."
)
caption = r"Targets of denoising at noisy points, their means in bins, and the score of $p_\sigma$."
numbers = {"rms": rms, "target_std": target.std()}
save_figure(fig, "score_matching_tweedie", alt=alt, caption=caption, numbers=numbers, tolerance=0.005)

# %% [markdown]
# The deviation of a bin's mean from the score, in units of its standard error, is a
# standard normal number if the theory holds. The root mean square of thirty of them
# is then 1, give or take $1/\sqrt{60} = 0.13$, and the title agrees within two of
# those. (With the score of the *clean* density in the place of $p_\sigma$'s the number
# is about 95. Try it: `line(noisy_x)` instead of `line(noisy_x, sigma)`.)
#
# So denoising is regression on targets that are wrong one by one, and right on average.
# That is also the reason why it takes large batches.
#
# ## 3.4 Trap: a proof that proves 0 = 0
#
# Many texts argue for denoising like this: "the expectation of the target
# $\nabla \log q(\tilde x \mid x)$ equals the expectation of $\nabla \log p_\sigma(\tilde x)$,
# therefore matching one is matching the other." The first half is true:
#
# $$ \mathbb{E}\big[\nabla \log p_\sigma(\tilde x)\big] = \int \nabla p_\sigma \, d\tilde x = 0 \qquad\text{and}\qquad
#    \mathbb{E}\big[-z/\sigma\big] = 0 . $$
#
# Both are zero, whatever the data are. If that made two targets interchangeable,
# then *every* field with mean zero could replace the score: none at all, the score
# with the wrong sign, arrows that run in circles. We take four such fields, and ask
# them two questions. Is the mean zero? And does the proof of section 3.3 hold,
# $\mathbb{E}\langle s, \nabla \log p_\sigma\rangle = \mathbb{E}\langle s, -z/\sigma\rangle$?

# %%
center = mixture.weights @ mixture.means
fields = {
    "the score": mixture,
    "zero": lambda x, sigma: 0 * x,
    "-2 (x - mean)": lambda x, sigma: -2 * (x - center),
    "-1 x the score": lambda x, sigma: -mixture(x, sigma),
    "in circles": lambda x, sigma: (x - center).flip(1) * torch.tensor([-1.0, 1.0]),
}

# %%
x, z = mixture.sample(200_000, generator=generator), randn(200_000, 2)
for name, field in fields.items():
    s = field(x + sigma * z, sigma)
    off = (s.mean(0).abs() / (s.std(0) / len(s) ** 0.5 + 1e-12)).max()  # in standard errors
    products = [round((s * t).sum(1).mean().item(), 1) + 0.0 for t in (mixture(x + sigma * z, sigma), -z / sigma)]
    print(f"{name:15} mean 0 to {off:.1f} s.e.  <s, score>, <s, target>: {products}  J = {fisher(field):.2f}")

# %% [markdown]
# All five have mean zero, and four of them are wrong; by the last column, the $J$ of
# one of them is ten times that of the zero field. A mean over the whole space
# compares two *numbers*; two fields agree only if they agree *at every point*. The
# scalar products in the middle see the difference. They agree in every row (up to
# chance), and since they do so for every $s$, also for one that is zero outside a
# tiny region, they compare the targets point by point. That is what "orthogonal"
# means here: the error target − score is uncorrelated with *every function* of
# $\tilde x$, not just with the constant ones.
#
# How would you have found the gap without being told? Ask of each step of a proof
# **what it would also prove**. An argument that shows "matching one is matching the
# other" and never uses anything of the two targets but their mean proves the same
# for all targets with that mean. One counterexample ends it. And put a test
# function into an identity: $s$ was missing on both sides of the false one.
#
# ## 3.5 The floor: denoising never gets to zero
#
# A loss that stops at 0.77 looks like a network that is too small. Look at the
# constant of section 3.3 once more, multiplied by $\sigma^2$:
#
# $$ \mathbb{E}\,\tfrac12\|\sigma s(\tilde x) + z\|^2 = \sigma^2 J(s) + \underbrace{\frac D2 - \frac{\sigma^2}2\, \mathbb{E}\|\nabla \log p_\sigma\|^2}_{\text{floor}} . $$
#
# The floor is what nobody can know: the variance of the noise given the noisy
# point. For $\mathcal{N}(0, s^2)$ on the line $\nabla \log p_\sigma$ is
# $-\tilde x/(s^2 + \sigma^2)$, and the floor is $\frac12 \frac{s^2}{s^2 + \sigma^2}$.
# The zero score costs $D/2$ at every noise level: 1 here, 1536 on CIFAR-10's 3072
# numbers. That is the number to beat.
#
# Where does the floor come from? The perfect answer is
# $-\sigma s^*(\tilde x) = \mathbb{E}[z \mid \tilde x]$, the best guess of the noise, and
# what is left of the loss is half the variance of $z$ around it, summed over the coordinates:
#
# $$ \text{floor} = \tfrac12\, \mathbb{E}\, \mathrm{tr}\, \mathrm{Cov}(z \mid \tilde x) \qquad\text{between } 0 \text{ and } \tfrac D2 . $$
#
# A better network cannot lower it, nor can more data. In two dimensions, for the
# standard normal, it is $1/(1 + \sigma^2)$.
#
# The covariance can be read off the true score. Differentiate Tweedie's formula once
# more:
#
# $$ \mathrm{Cov}(z \mid \tilde x) = I + \sigma^2\, \nabla s^*(\tilde x), \qquad \text{floor} = \frac D2 + \frac{\sigma^2}{2}\, \mathbb{E}\, \mathrm{tr}\, \nabla s^*(\tilde x) . $$
#
# `dsm_floor` returns $\frac D2 + \frac{\sigma^2}{2} \mathrm{tr}\, \nabla s^*$ at each noisy
# point. Two other averages have the same mean: the loss `dsm` of the true score, and
# $\frac D2 - \frac{\sigma^2}{2} \|s^*(\tilde x)\|^2$. But the loss scatters at small
# $\sigma$, where its mean is near $D/2$, and the other one at large $\sigma$, where its
# mean is near 0. The trace does better than the loss at *every* $\sigma$: it is the
# conditional mean of the loss given $\tilde x$, and a conditional mean never varies
# more (Rao-Blackwell).
#
# **Predict:** the left panel shows both losses for the fields $\theta \cdot \nabla \log p_\sigma$,
# where $\theta = 1$ is perfect. What is the difference between the two curves? The
# right panel shows the floor against $\sigma$. Where does it go for tiny noise, and
# where for huge noise?
#
# <details><summary>Answer</summary>
#
# The difference is the floor, the same at each $\theta$: two parabolas, one above
# the other. For $\sigma \to 0$ the noise is too small to be told from the data, its
# sign cannot be guessed, and the floor rises to $D/2$: a perfect score is hardly
# better than none. For large $\sigma$ the noisy point *is* nearly all noise, which
# is then easy to predict, and the floor goes to 0.
# </details>

# %%
thetas, x = torch.linspace(-0.5, 2.5, 25).double(), mixture.sample(20_000, generator=generator)
scaled = [lambda x, sigma, theta=theta: theta * mixture(x, sigma) for theta in thetas]
denoising = [dsm(score, x, sigma, generator=generator).mean() for score in scaled]
floor = 1 - sigma**2 * constant  # D/2 - sigma^2/2 E||score||^2
levels, gaussian = torch.logspace(-1.3, 1.3, 14), GaussianMixture([[0.0, 0.0]])
x = gaussian.sample(20_000, generator=generator)
floors = [ne.dsm_floor(gaussian, x, level, generator=generator).mean() for level in levels.tolist()]


# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.5))
matching = sigma**2 * constant * (thetas - 1) ** 2  # sigma^2 J, on the grid
left.plot(thetas, matching, color=BLUE, label=r"$\sigma^2 \cdot$ explicit")
left.plot(thetas, floor + matching, color=RED, label="the same + floor")
left.plot(thetas, denoising, "o", ms=4, color=RED, label="denoising, 20,000 samples")
left.set(xlabel=r"$\theta$ in $\theta \cdot \nabla \log p_\sigma$", title=f"floor {floor:.3f}")
right.semilogx(levels, 1 / (1 + levels**2), color=RED, label=r"closed form, $\mathcal{N}(0, I)$")
right.semilogx(levels, floors, "o", ms=4, color=RED, label="dsm_floor, 20,000 samples")
right.set(xlabel=r"$\sigma$", ylim=(0, 1.1), title="the best loss that can be had ($D/2$ = 1)")
left.legend(), right.legend()
left.set(ylabel="loss")
alt = (
    "Left: two parabolas with minimum at theta 1, one down to zero, the other above it by 0.772, with dots along it. "
    "Right: the floor falls from 1 at small sigma to 0 at large sigma, dots on a curve."
)
caption = r"Denoising lies above $\sigma^2 J$ by the floor (left); it falls from $D/2$ to 0 as $\sigma$ grows (right)."
numbers = {"floor": floor, "perfect": denoising[12]}
save_figure(fig, "score_matching_floor", alt=alt, caption=caption, numbers=numbers, tolerance=1e-3)

# %% [markdown]
# Each red dot on the left has its own noise on the same clean points, so the dots
# scatter around their curve. The curves come from the grid and do not scatter. The
# dots on the right do not scatter either: for a Gaussian the trace is the same at
# every point.
#
# Two lessons. First, judge a denoising loss against $D/2$ and, where you can, the
# floor, not against 0: here the whole difference between a perfect score and none
# is 0.23 of 1. Second, a *difference* of denoising losses is a difference of Fisher
# divergences (times $\sigma^2$), so training curves can be compared with each
# other, at one $\sigma$.
#
# ## 3.6 One number, three ways
#
# Now all together. Each method gives an estimate of the student's $J$ from 50,000
# fresh samples:
#
# | method | samples | estimate of $J$ |
# |---|---|---|
# | explicit | $x \sim p_\sigma$ | the loss |
# | implicit | $x \sim p_\sigma$ | the loss $+ \frac12 \mathbb{E}\lVert\nabla \log p_\sigma\rVert^2$ |
# | denoising | $x \sim p$ | (the loss − the floor) $/ \sigma^2$ |

# %%
n = 50_000
with torch.no_grad():
    rows = {"explicit": explicit(student, noisy.sample(n, generator=generator), mixture, sigma)}
    rows["implicit"] = implicit(student, noisy.sample(n, generator=generator), sigma, rows_at_once=2) + constant
    x = mixture.sample(n, generator=generator)
    rows["denoising"] = (dsm(student, x, sigma, generator=generator) - floor) / sigma**2

# %% [markdown]
# **Predict:** the next cell draws the three means with bars of two standard errors,
# and the value from the grid as a line. Which bar is the shortest, and why? Should
# all three bars touch the line?
#
# <details><summary>Answer</summary>
#
# The explicit one, half as long as the next: it compares $s$ with the truth at every
# sample, so what scatters is the error alone. The others estimate the difference of
# large numbers. Denoising divides a noise of order one by $\sigma^2 = 0.25$.
# A bar of two standard errors misses about one time in twenty, so a miss would be no
# reason to worry.
# </details>

# %%
estimates, exact = {name: (row.mean(), row.std() / n**0.5) for name, row in rows.items()}, fisher(student)
fig, ax = plt.subplots(figsize=(6.4, 2.2))
for place, (mean, error) in enumerate(estimates.values()):
    ax.errorbar(mean, -place, xerr=2 * error, fmt="o", ms=4, capsize=3, color=(BLUE, GREEN, RED)[place])
ax.axvline(exact, color=GREY, lw=0.8)
ax.set_yticks([-place for place in range(len(rows))], list(rows))
ax.set(xlabel="estimate of $J$, bars of two standard errors", title=f"the student's $J$: {exact:.3f}")
alt = (
    "Three estimates with error bars beside a vertical line at 0.530: explicit has the shortest bar, denoising the "
    "longest, and all three bars cross the line."
)
caption = "The Fisher divergence of the student, estimated in three ways from 50,000 samples each (line: the grid)."
numbers = {name: value[0] for name, value in estimates.items()}
save_figure(fig, "score_matching_agree", alt=alt, caption=caption, numbers=numbers, tolerance=1e-3)
for name, (mean, error) in estimates.items():
    print(f"{name:9} {mean:.3f} ± {error:.3f}: {abs(mean - exact) / error:.1f} standard errors from {exact:.3f}")
assert all(abs(mean - exact) < 4 * error for mean, error in estimates.values())

# %% [markdown]
# Read it from the top. The explicit estimate needs the truth and is there for
# comparison. Replacing the unknown score by a derivative (implicit) costs some
# accuracy. Denoising needs no derivative, and pays for that here: its bar is the
# longest. That is a statement about $\sigma = 0.5$ and this student. For a larger
# $\sigma$ the targets are calmer, but then one learns the score of a more blurred
# density.
#
# On *single* samples they do not agree: the implicit loss of one point can be far below
# zero. Even with the constant $\frac12 \mathbb{E}\|\nabla \log p_\sigma\|^2 = 0.91$
# added, explicit and implicit differ at one point by a random number, and only the
# *mean* of that number is zero.
#
# ## 3.7 One minimiser
#
# Losses that are equal up to constants have equal minimisers, for infinitely many samples.
# With finitely many samples each loss has its own, and they scatter. To see that without an optimiser
# in between, take a family that is **linear in its parameters**:
#
# $$ s_\theta(x) = \theta_1\, x + \theta_2\, m \tanh(m^\top x + c) + \theta_3 \begin{pmatrix} -x_2 \\ x_1 \end{pmatrix},
#    \qquad m = \begin{pmatrix} 2 \\ 1 \end{pmatrix},\; c = \tfrac12 \log\tfrac{0.7}{0.3} . $$
#
# For two components at $\pm m$ with variance 1 (which is what $p_\sigma$ has here)
# the responsibilities of notebook 1 turn into that $\tanh$, and the true score is
# the member $\theta = (-1, 1, 0)$. The third feature runs in circles, and no
# gradient does that; its coefficient should come out zero.

# %%
m, c, truth = means[1], 0.5 * math.log(0.7 / 0.3), torch.tensor([-1.0, 1.0, 0.0]).double()


def family(theta: torch.Tensor):
    features = lambda x: (x, m * torch.tanh(x @ m + c)[:, None], torch.stack([-x[:, 1], x[:, 0]], 1))  # noqa: E731
    return lambda x, sigma: sum(t * feature for t, feature in zip(theta, features(x), strict=True))


gap = (family(truth)(points, sigma) - mixture(points, sigma)).abs().max()
assert gap < 1e-9
print(f"the truth is in the family: J of theta = (-1, 1, 0) is {fisher(family(truth)):.4f}")

# %% [markdown]
# Each objective contains $s$ at most squared, and its derivative at most once. In
# $\theta$ it is therefore exactly a quadratic, $\frac12 \theta^\top H \theta + g^\top \theta$
# plus a constant, as in least squares. With features $\phi_k$ the matrix is
# $H_{kl} = \mathbb{E}\langle \phi_k, \phi_l \rangle$ for all of them, and the objectives
# differ only in where they take $g$ from:
#
# | objective | $g_k$ |
# |---|---|
# | explicit | $-\,\mathbb{E}\langle \phi_k, \nabla \log p_\sigma \rangle$ |
# | implicit | $\mathbb{E}\,\mathrm{tr}(\nabla \phi_k)$ |
# | denoising | $\mathbb{E}\langle \phi_k(\tilde x), z/\sigma \rangle$, with $\sigma^2$ before all of it |
#
# The sections above say that these three are the same number. We let the library
# compute the losses and take two derivatives at $\theta = 0$, which give $g$ and
# $H$; one linear system gives the minimum.


# %%
def minimiser(loss) -> torch.Tensor:
    theta = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(loss(family(theta)).mean(), theta, create_graph=True)
    hessian = torch.stack([torch.autograd.grad(entry, theta, retain_graph=True)[0] for entry in g])
    return -torch.linalg.solve(hessian, g.detach())


losses = {
    "explicit": (noisy, partial(explicit, true_score=mixture, sigma=sigma)),
    "implicit": (noisy, partial(implicit, sigma=sigma, rows_at_once=2)),
    "denoising": (mixture, partial(dsm, sigma=sigma, generator=generator)),
}

# %% [markdown]
# **Predict:** forty data sets of 1000 points each; the next cell draws the mean of
# the forty minimisers and bars of one standard deviation. Where are the means? And
# why has the explicit one no bar at all?
#
# <details><summary>Answer</summary>
#
# All means are at the truth. The explicit loss is zero at the truth for *every*
# sample, so its minimiser does not depend on the data: knowing the answer, one
# needs no statistics. The others know it on average only.
# </details>

# %%
found = {}  # (40, 3) each: forty data sets, three parameters
for name, (source, loss) in losses.items():
    data = [source.sample(1000, generator=generator) for _ in range(40)]
    found[name] = torch.stack([minimiser(lambda s, x=x, loss=loss: loss(s, x)) for x in data])

fig, axes = plt.subplots(1, 3, figsize=(10.2, 2.4), sharey=True)
for (place, values), k in itertools.product(enumerate(found.values()), range(3)):
    style = {"fmt": "o", "ms": 4, "capsize": 3, "color": (BLUE, GREEN, RED)[place]}
    axes[k].errorbar(values[:, k].mean(), -place, xerr=values[:, k].std(), **style)
    axes[k].axvline(truth[k], color=GREY, lw=0.8)
    axes[k].set_title(rf"$\theta_{k + 1}$, truth {truth[k]:.0f}")
    axes[k].locator_params(axis="x", nbins=5)
axes[0].set_yticks([-place for place in range(len(found))], list(found))
spreads = {name: values[:, 1].std() for name, values in found.items()}
alt = (
    "Three panels, one for each parameter. The explicit minimiser is a dot without a bar on the truth; the implicit "
    "one and, with longer bars, the denoising one have means near the truth."
)
caption = "Minimisers of three losses on forty data sets: means, and bars of one standard deviation (line: the truth)."
save_figure(fig, "score_matching_minimisers", alt=alt, caption=caption, numbers=spreads, tolerance=2e-4)

# %%
for name, values in found.items():
    off = (values.mean(0) - truth).abs() / (values.std(0) / 40**0.5 + 1e-9)
    assert (off < 4).all()
    print(
        f"{name:9} mean theta",
        [round(t, 2) + 0.0 for t in values.mean(0).tolist()],
        f"off by {off.max():.1f} s.e. at most",
    )

# %% [markdown]
# All of them are unbiased here up to terms that vanish with $1/n$: a minimiser is a
# ratio of two means, and the mean of a ratio is not the ratio of the means. With 1000
# points that is far below the bars. The bars themselves shrink like $1/\sqrt n$.
# (Try 4000 points: half as long.) No objective sees the circles of $\theta_3$ where
# there are none: a gradient comes out although nobody asked for one.
#
# Now networks, where no formula gives the minimum. Three copies of one net (same
# initial weights), three objectives, 300 steps of Adam on fresh batches of 512, and
# 200 more with a tenth of the learning rate, to let the noise of the last batches
# settle. The denoiser gets clean points and makes its own noise. The other two
# get noisy points, because they learn the score of what they are shown.


# %%
def learn(net: torch.nn.Module, name: str) -> torch.nn.Module:
    source, loss = losses[name]
    batches = (source.sample(512, generator=generator).float() for _ in itertools.count())
    for n_steps, lr in ((300, 5e-3), (200, 5e-4)):
        list(train(net, batches, objective=loss, n_steps=n_steps, lr=lr))
    return net.double()


nets = {}
for name in ("explicit", "implicit", "denoising"):
    torch.manual_seed(0)
    nets[name] = learn(ScoreMLP(2, [64, 64], sigma=sigma), name)

# %% [markdown]
# **Predict:** the next cell draws each net's arrows over those of the truth (blue),
# with $J$ from the grid in the title. Which nets reach a small $J$? And where do
# black and blue arrows part, if anywhere?
#
# <details><summary>Answer</summary>
#
# All of them come close: the explicit one leaves 0.2 % of the zero score's $J$, the
# other two between 1 and 2.5 %. The explicit one is the best, as its targets
# carry no noise. The arrows part where data are rare, in the corners: $J$ weighs
# the error with $p_\sigma$, so that nothing forces a net to be right there.
# (Notebook 6 is about those places.)
# </details>

# %%
reached = {name: fisher(net) for name, net in nets.items()}
fig, axes = plt.subplots(1, 3, figsize=(9.4, 3.9))
for ax, (name, net) in zip(axes, nets.items(), strict=True):
    density(ax, noisy.log_prob, extent=6)
    for field, color in ((mixture, BLUE), (net, "#303030")):
        score_field(ax, field, extent=6, sigma=sigma, n=14, max_length=6, color=color, width=0.006)
    ax.set(title=f"{name}\n$J$ = {reached[name]:.3f}", xticks=[], yticks=[])
alt = (
    "Three fields of arrows over a density with two blobs, black for the net on blue for the truth: explicit, "
    "implicit, denoising. The black arrows cover the blue ones, but for some in the corners."
)
caption = "Scores learned by three losses (black) over the true one (blue), with the Fisher divergence that is left."
save_figure(fig, "score_matching_trained", alt=alt, caption=caption, numbers=reached, tolerance=0.005)
for name, value in reached.items():
    print(f"{name:9} leaves ≈ {100 * value / constant:.1f} % of the zero score's J = {constant:.2f}")
assert all(value < 0.05 * constant for value in reached.values())

# %% [markdown]
# The two that learn from data end up alike, and a little worse than the explicit
# one: its targets are exact, theirs are right on average only. Denoising comes
# last here, in line with the bars of section 3.6: at this $\sigma$ its loss scatters
# most, and so do its gradients. It is also the cheapest, and could have had more
# steps in the same time: section 4.5 counts.
#
# One more warning. Matching scores on the data is matching
# *densities* only where the support is connected: "equal scores, equal densities"
# fails for modes that lie far apart, as [7 · Slow mixing, and annealing](07_annealing.ipynb)
# shows.
#
# ## 3.8 Trap: the sign of the target, and the wrong point
#
# Two mistakes of one character each. (a) The target is $-z/\sigma$, so the loss is
# $\|\sigma s + z\|^2$; write $\sigma s - z$. (b) The network must see $\tilde x$; give
# it $x$. Neither crashes, both train. The family of section 3.7 tells us without
# any training where they lead.
#
# **Predict:** for the right loss and both mistakes the next cell draws the field
# that minimises it, with the *value of the loss* there, and the error of the
# denoised point $\tilde x + \sigma^2 s$, compared with $\mathbb{E}\|\tilde x - x\|^2 = D \sigma^2 = 0.5$.
# By which of the numbers could you notice each mistake?
#
# <details><summary>Answer</summary>
#
# (a) gives the score with its sign flipped, and the same loss: since $z$ and $-z$
# are equally likely, the loss curve cannot tell. Denoising with it makes points
# *worse* than they were. (b) asks the network to guess a noise that it does not see.
# $x$ and $z$ are independent, the best guess is 0, and the loss is stuck at
# $D/2 = 1$, the mark of a network that learned nothing.
# </details>

# %%
x, z = mixture.sample(200_000, generator=generator), randn(200_000, 2)
mistakes, outcomes = {"right": (x + sigma * z, z), "sign flipped": (x + sigma * z, -z), "score at x": (x, z)}, {}
for name, (at, noise) in mistakes.items():
    loss = lambda s, at=at, noise=noise: 0.5 * (sigma * s(at, sigma) + noise).square().sum(1)  # noqa: E731
    theta = minimiser(loss)
    denoised = ne.denoise(family(theta), x + sigma * z, sigma)
    outcomes[name] = theta, loss(family(theta)).mean(), (denoised - x).square().sum(1).mean()

# %%
fig, axes = plt.subplots(1, 3, figsize=(10.2, 3.9))
for ax, (name, (theta, value, error)) in zip(axes, outcomes.items(), strict=True):
    density(ax, noisy.log_prob, extent=6)
    score_field(ax, family(theta), extent=6, sigma=sigma, n=14, max_length=6)
    ax.set_title(f"{name}: loss {value:.2f}\nerror 0.50 before, {error:.2f} after denoising")
numbers = {name: error for name, (*_, error) in outcomes.items()}
alt = (
    "Three fields of arrows over two blobs. Right: the arrows point to the blobs. Sign flipped: they point away. Score "
    "at x: there are no arrows, only dots."
)
caption = "What minimises the right loss, one with the sign flipped, and one that sees the clean point."
save_figure(fig, "score_matching_mistakes", alt=alt, caption=caption, numbers=numbers, tolerance=1e-3)
for name, (theta, *_) in outcomes.items():
    print(f"{name:12} theta = {[round(t, 1) + 0.0 for t in theta.tolist()]}")

# %% [markdown]
# A third relative of these: the target divided by $\sigma$ instead of $\sigma^2$, that
# is $-z$ for $-z/\sigma$. It gives a field that is too short by the factor $\sigma$,
# in the right direction, with the same kind of picture. The denoised error finds it
# as well: for $\sigma = 0.5$ the points move only half of the way.
#
# Two flipped signs hide each other. One in the loss and one in the sampler cancel;
# when somebody fixes one of them, the chains run away. Check each part
# against something known, and not only the whole.
#
# Two habits follow. **Know the two marks of a denoising loss** before you train:
# $D/2$, where learning begins, and (if you can compute it) the floor. A loss that
# never leaves $D/2$ means that the network does not see the noise, or cannot. And
# **denoise a batch**: $\tilde x + \sigma^2 s(\tilde x)$ must be nearer to $x$ than
# $\tilde x$ is. It is one line, it needs no sampler and no known density, and it
# catches the sign, the power of $\sigma$, and the wrong point.
#
# If you ever write a score-matching loss yourself, these are the tests it should
# pass, all of them from this notebook:
#
# 1. On a density with a known score, loss + constant equals the explicit loss, for
#    some *wrong* field, within the standard error (section 3.6). A right field hides
#    factors: whatever multiplies zero is zero.
# 2. The minimiser in a linear family is the truth (section 3.7).
# 3. The zero score costs what it should: 0 for the implicit losses, $D/2$ for
#    denoising (section 3.5).
# 4. What is learned denoises (this section).
#
# Notebook 4 adds a fifth, for slices.
#
# ## 3.9 Your turn
#
# The explorer trains one small net under the objective of your choice. Left: the
# true field and the learned one. Right: the loss minus its constant (a running
# mean), which estimates the Fisher divergence, and the divergence itself. Say what
# you expect, then press **Train**.
#
# - Train with **denoising**, then with **explicit**. Where do the blue curves end, and how
#   much rougher is the orange one? Which of the two curves would you have on real data?
# - Raise **sigma** to 2. The divergence falls fast, for every objective. Have the
#   nets become better, or the question easier?
# - Lower **sigma** to 0.1 with **denoising**. What does the orange curve do, and what
#   does the floor, divided by $\sigma^2$, have to do with it?
#
# <details><summary>Answers</summary>
#
# - The divergence falls from 1.88 to 0.15 with denoising, to 0.03 with the explicit loss.
#   The orange curve of denoising is the rougher one: single batches scatter by 0.26, those
#   of the explicit loss by 0.014. The targets of denoising scatter, and the
#   difference loss − floor is divided by $\sigma^2$. On real data nobody has the
#   explicit loss, the blue curve or the constant: only the orange one, shifted.
# - The question is easier: $p_\sigma$ is nearly one wide Gaussian, its score nearly
#   linear, and the divergence before training is 0.53 instead of 1.88. It ends below 0.002.
# - It gets rougher by far: single batches scatter by 8. Near $\sigma = 0$ the floor is nearly $D/2$; what is left to
#   learn is of order $\sigma^2$, and its estimate divides noise of order one by it.
# </details>

# %%
ObjectiveExplorer()

# %% [markdown]
# ## What you should be able to do now
#
# - Derive the implicit loss, and name the condition at the boundary that it needs.
# - Prove that denoising finds the score of $p_\sigma$, by the scalar product or by
#   conditional expectation, and say why equal means prove nothing.
# - Name the floor and the starting value of a denoising loss, and read a training
#   curve by them.
# - Notice a flipped sign or a missing tilde without looking at the code.
#
# ## Exercises
#
# 1. Replace the Gaussian noise of denoising by another one, such as
#    $\tilde x = x + \sigma u$ with Laplace-distributed $u$. What is the target now?
#    Which step of the proof changes? Fit the family of section 3.7 with it. Which
#    density's score do you expect to find?
#    <details><summary>Hint</summary>
#
#    The proof never uses that $q$ is Gaussian. It uses $\nabla_{\tilde x} \log q(\tilde x \mid x)$.
#    </details>
#    <details><summary>Answer</summary>
#
#    The target is $-\mathrm{sign}(\tilde x - x)/b$ in each coordinate, where $b$ is the
#    scale of the noise ($b = \sigma/\sqrt2$ if its standard deviation is $\sigma$). No step
#    changes. The score that is found is that of $p * \text{Laplace}$, which is not in the
#    family: its components are no longer Gaussian, and the fit is the nearest member. From
#    200,000 points it is $\theta = (-1.02, 1.05, -0.01)$.
#    </details>
# 2. Let $\sigma$ go to 0 in section 3.7: repeat the fit of $\theta_1$ and $\theta_2$
#    for $\sigma$ = 0.5, 0.2, 0.05 by denoising and by implicit matching. (Change
#    the features: the variance is $0.75 + \sigma^2$, and the tanh needs it.) Whose
#    bars explode, and how does that follow from the floor?
#    <details><summary>Answer</summary>
#
#    Those of denoising, about like $1/\sigma$. For $\theta_1$ and 1000 points they are
#    0.04, 0.12 and 0.52; those of implicit matching are 0.03, 0.04 and 0.04. The $g$ of
#    denoising is the mean of
#    $\langle \phi, z/\sigma\rangle$, whose standard deviation grows like $1/\sigma$, while
#    its mean stays. In terms of the floor: nearly all of the loss is the floor,
#    $D/2$, whose scatter does not shrink with $\sigma$, and what depends on $\theta$ is of
#    order $\sigma^2$.
#    </details>
# 3. Fit an **unnormalised model** without ever computing $Z$: data on the line from
#    $p(x) \propto e^{-x^4/4}$, the model $\log p_\theta(x) = -\theta_1 x^2/2 - \theta_2 x^4/4 - \log Z(\theta)$,
#    the implicit loss. (Draw the data with `ne.mala`, or by rejection.) Which linear
#    system gives $\theta$? What would maximum likelihood have to know in addition?
#    <details><summary>Hint</summary>
#
#    $s = -\theta_1 x - \theta_2 x^3$ is linear in $\theta$, and its derivative is
#    $-\theta_1 - 3\,\theta_2\, x^2$.
#    </details>
#    <details><summary>Answer</summary>
#
#    With $m_k = \mathbb{E}\,x^k$ the loss is
#    $-\theta_1 - 3\theta_2 m_2 + \frac12(\theta_1^2 m_2 + 2\theta_1\theta_2 m_4 + \theta_2^2 m_6)$,
#    and the system $\begin{pmatrix} m_2 & m_4 \\ m_4 & m_6 \end{pmatrix} \theta = \begin{pmatrix} 1 \\ 3 m_2 \end{pmatrix}$.
#    With the exact moments $m_2 = 0.676$, $m_4 = 1$ and $m_6 = 3 m_2$ its solution is $(0, 1)$;
#    100,000 samples gave $(-0.007, 1.000)$. The gradient of the log-likelihood is
#    $\mathbb{E}_{\text{data}}[\phi] - \mathbb{E}_{p_\theta}[\phi]$: the second mean is taken over
#    the *model*, so that every step needs samples from it. Score matching avoids $Z$ and
#    this mean; what it leaves you with is still unnormalised.
#    </details>
#
# ## References
#
# - A. Hyvärinen, *Estimation of Non-Normalized Statistical Models by Score
#   Matching*, JMLR 2005: the implicit loss, Theorem 1 and its conditions.
# - P. Vincent, *A Connection Between Score Matching and Denoising Autoencoders*,
#   Neural Computation 2011: the proof by the scalar product.
# - Y. Song and S. Ermon, *Generative Modeling by Estimating Gradients of the Data
#   Distribution*, NeurIPS 2019: section 2.1, where these losses meet.
# - B. Efron, *Tweedie's Formula and Selection Bias*, JASA 2011.
#
# **Next:** [4 · Slices, and their price](04_slices.ipynb): the implicit loss for more
# than a few dimensions, what each way costs, and energies.
