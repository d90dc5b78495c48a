# %% [markdown]
# # 4 · Slices, and their price
#
# *Reading and trying: about 70 minutes, exercises aside. Running every cell: about 20 seconds on a laptop, at full scale (the costs are measured up to 3072 dimensions).*
#
# Notebook 3 ended with two ways to learn a score from samples. Denoising is
# cheap, and learns the score of data with noise. The implicit loss learns the
# score of what it is shown, and needs the trace of a Jacobian: $D$ backward
# passes. This notebook makes the trace affordable by looking in random
# directions, and asks what that costs. You will
#
# - derive the **sliced** loss, and the factor $\sqrt D$ that is easily
#   forgotten;
# - predict how much slices scatter, by formulas, and check them from 2 to 64
#   dimensions;
# - count backward passes and memory of each way, and measure time up to the
#   3072 numbers of a CIFAR-10 image;
# - learn an energy instead of a vector field;
# - know which way to choose.
#
# You need: notebook 3. The letters are on the page of [symbols](symbols.md).
#
# On Google's Colab the next cell gets the package; anywhere else it does nothing.

# %%
import sys

if "google.colab" in sys.modules:
    raise SystemExit("Give the address of the project's repository here: %pip install -q git+https://...")

# %%
import itertools
import math
import timeit
from functools import partial

import torch
from matplotlib import pyplot as plt

import ncsn_edu as ne
from ncsn_edu import GaussianMixture, ScoreMLP, dsm, explicit, implicit, practice, save_figure, show, sliced
from ncsn_edu.losses import projection
from ncsn_edu.plots import BLUE, GREEN, GREY, ORANGE, RED, grid, use_style
from ncsn_edu.training import train
from ncsn_edu.widgets import ObjectiveExplorer

use_style()
generator = torch.Generator().manual_seed(0)
randn = partial(torch.randn, generator=generator, dtype=torch.float64)

# %% [markdown]
# The laboratory of notebook 3: a mixture seen through noise of
# $\sigma = 0.5$; a `student`, a field that is wrong in a known way; and
# `fisher`, the Fisher divergence $J$ as a sum over a fine grid.

# %%
means = torch.tensor([[-2.0, -1.0], [2.0, 1.0]], dtype=torch.float64)
mixture, sigma = GaussianMixture(means, 0.75, [0.3, 0.7]), 0.5
noisy, student = mixture.perturb(sigma), GaussianMixture([[-1.5, 0.0], [2.5, 0.0]], 1.0)
points = grid(9, 301)
mass = noisy.log_prob(points).exp() * (18 / 300) ** 2


@torch.no_grad()
def fisher(score) -> float:
    return (mass * explicit(score, points, mixture, sigma)).sum().item()


constant = fisher(lambda x, sigma: 0 * x)  # 1/2 E||grad log p_sigma||^2
print(f"J of the student: {fisher(student):.3f}, of the zero score: {constant:.3f}")

# %% [markdown]
# ## 4.1 Sliced: look in random directions
#
# The trace of a matrix can be estimated without its entries. Draw a random
# vector with $\mathbb{E}[v v^\top] = I$. Then
#
# $$ \mathbb{E}_v[\,v^\top A\, v\,] = \mathbb{E}_v\,\mathrm{tr}(A\, v v^\top) = \mathrm{tr}\big(A\; \mathbb{E}[v v^\top]\big) = \mathrm{tr}(A) . $$
#
# This is **Hutchinson's estimator**. With $A = \nabla s$ it needs one product
# $v^\top \nabla s$ instead of $D$ of them, and the **sliced** loss is (Song
# et al. 2019)
#
# $$ \mathbb{E}_x \mathbb{E}_v \Big[\, v^\top (\nabla s)\, v + \tfrac12 (v^\top s)^2 \Big], $$
#
# that is, implicit score matching of the projections $v^\top s$. As
# $\mathbb{E}_v (v^\top s)^2 = \|s\|^2$, the second term may be replaced by
# its mean:
#
# $$ \mathbb{E}_x \mathbb{E}_v \Big[\, v^\top (\nabla s)\, v + \tfrac12 \|s\|^2 \Big] \qquad\text{(variance reduced, SSM-VR)} . $$
#
# Look at the plain form in one direction $v$ of length 1. Project the data on
# $v$, and the scores, too: $v^\top \nabla \log p$ is what one would have to
# match along that line, and partial integration along that line is all that
# is needed. If the scores agree along every line, they agree. The network
# still sees the whole $x$; only the *comparison* is one-dimensional.
#
# Three distributions are in use, and each needs $\mathbb{E}[v v^\top] = I$:
#
# - **Gaussian**: independent coordinates of variance 1. Nothing to show.
# - **Rademacher**, random signs: $v_i^2 = 1$ always, and
#   $\mathbb{E}[v_i v_j] = 0$ because the signs are independent.
# - **Sphere**: on the *unit* sphere no coordinate is special, so
#   $\mathbb{E}[v v^\top]$ is a multiple of $I$; and the $D$ squares sum to
#   one, so it is $I/D$. The vector has to be multiplied by $\sqrt D$.
#
# The last one is easily got wrong.
#
# **Write it.** Turn Gaussian vectors, the rows of $g$, into vectors on the
# sphere with $\mathbb{E}[v v^\top] = I$.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_direction(g):
#     return math.sqrt(g.shape[1]) * g / g.norm(dim=1, keepdim=True)
# ```
# </details>


# %%
def my_direction(g):  # (B, D); returns (B, D)
    ...


practice.on_sphere(my_direction)

# %% [markdown]
# Both cells are checked when you run them, by values that are computed in
# another way; any way that is right is right: loops, NumPy, or a call of the
# library.
#
# **Write it**, too: the loss itself, in the variance-reduced form, for one
# direction $v$ of each example.
# `torch.autograd.grad(s, x, v, create_graph=True)` returns $v^\top \nabla s$
# in a tuple of one, if $x$ requires a gradient.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_slice(score, x, v):
#     x = x.requires_grad_()
#     s = score(x)
#     (row,) = torch.autograd.grad(s, x, v, create_graph=True)
#     return (row * v).sum(1) + 0.5 * s.square().sum(1)
# ```
#
# Without `create_graph=True` the values are the same, and the first term has
# no gradient for the parameters: the net would learn to be zero.
# </details>


# %%
def my_slice(score, x, v):  # x and v: (B, D); returns (B,)
    ...


practice.slice_loss(my_slice)

# %% [markdown]
# The library's:

# %%
show(sliced, projection, docstring=False)

# %% [markdown]
# The first lines say what may be asked for, the last ones are the two forms
# of the equation. `_differentiable` makes $x$ a leaf of a fresh graph, so
# that the derivative with respect to it exists also where the caller wanted
# none. With `n_projections` above 1 the network runs once, and one more
# product is taken for each direction.
#
# **Trap: the unit sphere.** Forgetting the $\sqrt D$ is a mistake that
# nothing reports: the loss falls, the net learns, and its arrows point in the
# right direction. One number tells, the mean of $v^\top A v$ for a matrix
# whose trace is known.
#
# Here is a matrix of 10 dimensions with trace 10, and 100,000 directions of
# each kind.

# %%
matrix, zeros = randn(10, 10).fill_diagonal_(1.0), torch.zeros(100_000, 10, dtype=torch.float64)
directions = {name: projection(zeros, name, generator) for name in ("gaussian", "rademacher", "sphere")}
directions["unit sphere"] = directions["sphere"] / math.sqrt(10)
for name, v in directions.items():
    print(f"{name:12} mean of v'Av: {((v @ matrix) * v).sum(1).mean():5.1f}")

# %% [markdown]
# With the unit sphere the trace counts a tenth of what it should, and the
# minimiser of the loss is a tenth of the score: too short, in the right
# direction, so that a picture of arrows looks fine. (In the plain form both
# terms shrink alike, and the mistake does no harm. The variance-reduced one
# mixes the two scales.)
#
# A product with the Jacobian can be had in two ways. **Reverse mode** gives
# $v^\top \nabla s$, and its scalar product with $v$ follows. **Forward mode**
# gives $(\nabla s)\, v$ along with $s$ in one sweep and keeps no graph. The
# library uses the first, which every operation of PyTorch supports. Both give
# the same number:

# %%
x = noisy.sample(5, generator=generator).requires_grad_()
v = projection(x, "rademacher", generator)
reverse = (torch.autograd.grad(student(x, sigma), x, v)[0] * v).sum(1)
_, product = torch.func.jvp(lambda x: student(x, sigma), (x.detach(),), (v,))
forward = (v * product).sum(1)
assert torch.allclose(reverse, forward)
for mode, values in {"reverse": reverse, "forward": forward}.items():
    print(f"{mode}:", "  ".join(f"{value:8.4f}" for value in values.tolist()))

# %% [markdown]
# ## 4.2 Six slices, one number
#
# Three distributions, two forms: each estimates the student's $J$ from 50,000
# fresh samples, as the loss + $\frac12 \mathbb{E}\|\nabla \log p_\sigma\|^2$.
# The exact trace and denoising stand beside them.

# %%
n, floor, draw = 50_000, 1 - sigma**2 * constant, partial(noisy.sample, 50_000, generator=generator)
with torch.no_grad():
    rows = {"exact trace": implicit(student, draw(), sigma, rows_at_once=2) + constant}
    for vr, kind in itertools.product((True, False), ("rademacher", "gaussian", "sphere")):
        loss = sliced(student, draw(), sigma, distribution=kind, variance_reduced=vr, generator=generator)
        rows[f"sliced {'VR' if vr else 'plain'}, {kind}"] = loss + constant
    x = mixture.sample(n, generator=generator)
    rows["denoising"] = (dsm(student, x, sigma, generator=generator) - floor) / sigma**2

# %% [markdown]
# **Predict:** the next cell draws the eight means with bars of two standard
# errors, and the value from the grid as a line. Which bar is the shortest? Do
# plain slices scatter more than those of reduced variance, in *two*
# dimensions?
#
# <details><summary>Answer</summary>
#
# The exact trace has the shortest bar: one random direction in its place only
# adds scatter. In two dimensions plain and reduced slices are about alike;
# section 4.4 says what happens in more. A bar of two standard errors misses
# about one time in twenty, so one miss among eight would be no reason to
# worry.
# </details>

# %%
estimates, exact = {name: (row.mean(), row.std() / n**0.5) for name, row in rows.items()}, fisher(student)
fig, ax = plt.subplots(figsize=(6.8, 3.4))
for place, (mean, error) in enumerate(estimates.values()):
    ax.errorbar(mean, -place, xerr=2 * error, fmt="o", ms=4, capsize=3, color=[GREEN, *6 * [ORANGE], RED][place])
ax.axvline(exact, color=GREY, lw=0.8)
ax.set_yticks([-place for place in range(len(rows))], list(rows))
ax.set(xlabel="estimate of $J$, bars of two standard errors", title=f"the student's $J$: {exact:.3f}")
alt = (
    "Eight estimates with error bars around a vertical line at 0.530. The exact trace has the shortest bar, slices "
    "have bars up to twice as long, and denoising has the longest. All bars cross the line."
)
caption = "The Fisher divergence of the student: by the exact trace, by six kinds of slices, and by denoising."
numbers = {name: value[0] for name, value in estimates.items()}
save_figure(fig, "slices_agree", alt=alt, caption=caption, numbers=numbers, tolerance=1e-3)
far = max(abs(mean - exact) / error for mean, error in estimates.values())
print(f"the farthest mean is {far:.1f} standard errors from {exact:.3f}")
assert far < 4

# %% [markdown]
# Replacing the exact trace by one random direction costs accuracy; how much
# depends on the distribution. Denoising has the longest bar of all at this
# $\sigma$, and it is the only one that never asks for a derivative. Remember
# that the loss of a *single* example is another matter: all eight have one
# mean, and no two of them agree on a point.
#
# ## 4.3 Do slices learn the same?
#
# Equal minimisers in theory; what do nets do in 500 steps?
#
# Four copies of one net, 300 steps on batches of 512 points and 200 more with
# a tenth of the learning rate, as in notebook 3: by the exact trace, by
# slices of both forms, and by denoising.


# %%
def learn(net: torch.nn.Module, name: str) -> torch.nn.Module:
    source, loss = losses[name]
    batches = (source.sample(512, generator=generator).float() for _ in itertools.count())
    for n_steps, lr in ((300, 5e-3), (200, 5e-4)):
        list(train(net, batches, objective=loss, n_steps=n_steps, lr=lr))
    return net.double()


losses = {
    "exact trace": (noisy, partial(implicit, sigma=sigma, rows_at_once=2)),
    "sliced VR": (noisy, partial(sliced, sigma=sigma, generator=generator)),
    "sliced plain": (noisy, partial(sliced, sigma=sigma, variance_reduced=False, generator=generator)),
    "denoising": (mixture, partial(dsm, sigma=sigma, generator=generator)),
}

# %%
nets = {}
for name in losses:
    torch.manual_seed(0)
    nets[name] = learn(ScoreMLP(2, [64, 64], sigma=sigma), name)
    print(f"{name:12} leaves ≈ {100 * fisher(nets[name]) / constant:.1f} % of the zero score's J")
assert all(fisher(net) < 0.06 * constant for net in nets.values())

# %% [markdown]
# The printed shares are $J$ from the grid, so they are exact for each net;
# what differs from seed to seed is the net. All four learn one score, and the
# differences between the shares are no larger than those between two seeds.
# In two dimensions there is little to choose: a slice costs half of an exact
# trace here, and scatters a little more. So why slices at all?
#
# > **A score-based model of images by slices alone?** Nothing in NCSN asks for
# > denoising. The paper's authors say that their method works with sliced score
# > matching of the noisy data as well, at about four times the cost: the same
# > $p_\sigma$, the same minimiser, no clean image needed in the loss. Where clean data
# > exist, denoising is the cheaper way to the same field.
#
# ## 4.4 How much do slices scatter?
#
# In two dimensions it hardly mattered whether slices were plain or reduced:
# in the figure of section 4.2 their bars were about equally long. Images have
# thousands of dimensions. What happens on the way?
#
# A slice replaces a trace by a random number with the right mean. How large
# is its variance? For a fixed $x$ the trace term is a quadratic form
# $v^\top A v$ with $A = \nabla s(x)$, symmetric if $s$ is a gradient. The
# plain form is a quadratic form, too:
# $v^\top A v + \frac12 (v^\top s)^2 = v^\top \big(A + \frac12 s s^\top\big) v$.
# So three formulas serve both. For a symmetric matrix $M$:
#
# | distribution of $v$ | $\mathrm{Var}(v^\top M v)$ | zero for |
# |---|---|---|
# | Gaussian | $2 \lVert M\rVert_F^2$ | $M = 0$ |
# | Rademacher | $2 \big(\lVert M\rVert_F^2 - \sum_i M_{ii}^2\big)$ | diagonal $M$ |
# | sphere of radius $\sqrt D$ | $\frac{2D}{D+2} \big(\lVert M\rVert_F^2 - \frac1D (\mathrm{tr}\, M)^2\big)$ | multiples of $I$ |
#
# Why? In the eigenbasis of $M$ a Gaussian form is $\sum_i \lambda_i v_i^2$
# with independent $v_i$ and $\mathrm{Var}(v_i^2) = 2$: the first row. Signs
# have $v_i^2 = 1$ without any variance, and only the products
# $2 M_{ij} v_i v_j$, $i < j$, are random, uncorrelated, each with variance
# $4 M_{ij}^2$: the second. A Gaussian vector is a direction times an
# independent length, $\mathbb{E}\|v\|^4 = D(D+2)$, and dividing the length
# out of $\mathbb{E}(v^\top M v)^2 = (\mathrm{tr} M)^2 + 2\|M\|_F^2$ gives the
# third.
#
# The rows tell when a slice is exact. For independent coordinates the
# Jacobian of the score is diagonal, and *one* vector of signs gives the trace
# without error. For an isotropic Gaussian it is a multiple of the identity,
# and the sphere is exact as well, because $v^\top v = D$ always. The Gaussian
# vector is never exact: its length is random, and that adds scatter only. By
# the same table it never scatters less than the signs.
#
# To compare this with the library, take a Gaussian $\mathcal{N}(0, \Sigma)$
# with correlations $\Sigma_{ij} = 0.7^{|i-j|}$ between neighbours, like
# pixels in a row. Its score is $-Px$ with $P = \Sigma^{-1}$. For the plain
# form the formulas have to be averaged over $x$, with
# $s \sim \mathcal{N}(0, P)$: then $\|M\|_F^2$ and $(\mathrm{tr} M)^2$ both
# become $\frac14 (\mathrm{tr} P)^2 + \frac12 \|P\|_F^2$, and $M_{ii}^2$
# becomes $\frac34 P_{ii}^2$ (exercise 1).


# %%
def correlated(dim: int) -> GaussianMixture:
    apart = (torch.arange(dim)[:, None] - torch.arange(dim)).abs()
    return GaussianMixture(torch.zeros(1, dim), (0.7 ** apart.double())[None])


def variance(dim: int, distribution: str, reduced: bool = True) -> float:
    P = correlated(dim).covariances[0].inverse()
    squares, trace_2, diagonal = P.square().sum(), P.trace() ** 2, P.diagonal().square().sum()
    if not reduced:
        squares = trace_2 = trace_2 / 4 + squares / 2
        diagonal = 0.75 * diagonal
    sphere = 2 * dim / (dim + 2) * (squares - trace_2 / dim)
    return {"gaussian": 2 * squares, "rademacher": 2 * (squares - diagonal), "sphere": sphere}[distribution].item()


# %% [markdown]
# Measuring is simple: ask `sliced` twice for the same $x$, with fresh
# directions. Half the mean square of the difference is the variance due to
# $v$ alone. What also scatters, in training, is $x$. Over samples *and*
# directions the variance of an example's loss is
#
# $$ \mathrm{Var} = \mathrm{Var}_x\big(\text{exact loss}\big) + \frac{1}{n}\, \mathbb{E}_x \mathrm{Var}_v ,\qquad n \text{ directions for each } x. $$
#
# **Predict:** the left panel shows the variance due to $v$ against $D$, on
# double logarithmic axes. How steep are the plain forms, how steep the
# reduced ones? Which distribution wins? In the right panel, $D = 32$, more
# directions are spent on each $x$. How far down do the curves go?
#
# <details><summary>Answer</summary>
#
# $\|A\|_F^2$ is a sum of order $D$, so the reduced forms grow like $D$. The
# plain ones hold $\|s\|^4 \sim D^2$: at large $D$ they are useless. The three
# distributions differ by factors, not by powers; signs and the sphere never
# do worse than the Gaussian. The curves on the right go down to
# $\mathrm{Var}_x$ and no further: once that dominates, spend your time on
# more data, not on more directions.
# </details>


# %%
@torch.no_grad()
def slices(dim: int, **options) -> torch.Tensor:  # the loss twice, with fresh directions for the same x: (2, 4000)
    x = correlated(dim).sample(4000, generator=generator)
    return torch.stack([sliced(correlated(dim), x, generator=generator, **options) for _ in range(2)])


dims, counts = [2, 4, 8, 16, 32, 64], [1, 2, 4, 8, 16, 32]
colors = {"gaussian": BLUE, "rademacher": GREEN, "sphere": ORANGE}
from_x = variance(32, "gaussian") / 4  # Var of 1/2 ||s||^2 is ||P||^2 / 2; the trace does not vary

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(9.8, 3.8))
off = []
for name, color in colors.items():
    for vr, marks in ((True, ("o", "-")), (False, ("x", ":"))):
        theory = [variance(dim, name, vr) for dim in dims]
        measured = [slices(dim, distribution=name, variance_reduced=vr).diff(dim=0).square().mean() / 2 for dim in dims]
        left.loglog(dims, theory, marks[1], color=color, lw=1)
        left.loglog(dims, measured, marks[0], ms=5, color=color, label=f"{name}, {'VR' if vr else 'plain'}")
        off += [a / b - 1 for a, b in zip(measured, theory, strict=True)]
    right.loglog(counts, [from_x + variance(32, name) / k for k in counts], color=color, lw=1)
    whole = [slices(32, distribution=name, n_projections=k)[0].var() for k in counts]
    right.loglog(counts, whole, "o", ms=5, color=color, label=name)
right.axhline(from_x, color=GREY, ls="--", lw=0.8, label="from $x$ alone")
left.set(xlabel="$D$", title="variance due to $v$", xticks=dims, xticklabels=dims)
right.set(xlabel="directions for each $x$", title="whole variance, VR, $D$ = 32", xticks=counts, xticklabels=counts)
right.set_yticks([200, 400, 800], [200, 400, 800])
left.minorticks_off(), right.minorticks_off()
left.legend(fontsize=8), right.legend(fontsize=8)
alt = (
    "Left: variance against D on logarithmic axes; plain forms rise twice as steeply as reduced ones. Right: variance "
    "against directions falls towards a dashed line; Gaussian directions start twice as high as the others."
)
caption = "Variance of a slice due to its direction (left), and of an example's loss (right): measured and by formula."
off = torch.tensor(off).square().mean().sqrt()
save_figure(fig, "slices_variance", alt=alt, caption=caption, numbers={"rms_off": off}, tolerance=0.005)

# %% [markdown]
# Points are measured, lines are the formulas. At $D = 64$ the variance of the
# plain form is some ten times that of the reduced one for Gaussian
# directions, and more than thirty times for signs. At $D = 2$ there is little
# between the two, and for Gaussian directions the plain form is even a bit
# better. By the formulas above it is better exactly where
# $(\mathrm{tr} P)^2 < 2 \|P\|_F^2$. Here that is $15.4 < 22.9$; for
# uncorrelated coordinates, $P = I$, the two forms tie at $D = 2$ (exercise
# 1). The ranking of signs and sphere depends on $A$: signs are exact for a
# diagonal Jacobian, the sphere for a multiple of the identity. The library
# takes signs and reduced variance where you do not ask for something else.
#
# The right panel answers a practical question. A second direction for each
# $x$ costs half of what a second example costs, or more. With signs it
# removes a quarter of the variance at $D = 32$, a second example removes half
# of it (in the mean of a batch). So one direction and a larger batch is the
# usual choice, and the sensible one.
#
# ## 4.5 What does it cost?
#
# Count backward passes through the network for one step of training.
# Denoising: one, for the gradient with respect to the parameters. Sliced: one
# for $v^\top \nabla s$ and another for the parameters, which now
# differentiates the first one as well. The exact trace: $D$, and then one for
# the parameters, through all of them. Before that last one everything has to
# stay in memory.
#
# | | forward | backward, with respect to $x$ | backward, for the parameters |
# |---|---|---|---|
# | denoising | 1 | 0 | 1 |
# | sliced, $n$ directions | 1 | $n$ | 1, through $1 + n$ passes |
# | exact trace | 1 | $D$ | 1, through $1 + D$ passes |
#
# What has to stay? PyTorch keeps, for each operation, the arrays that its
# derivative needs: for a linear layer its input, for a SiLU its argument. A
# forward pass through a net with one hidden layer keeps a few arrays of the
# size of $x$ and of the hidden layer. With `create_graph=True` each backward
# pass is recorded as well, and keeps as much again, because the last pass
# will differentiate it.
#
# The next function counts both exactly: a hook on the output of the network
# is called once in each backward pass, and PyTorch reports what it keeps for
# later.


# %%
def count_costs(loss, dim: int) -> tuple[int, int]:
    net, kept, passes = ScoreMLP(dim, [64], sigma=sigma), {}, []

    def watched(x, sigma):
        s = net(x, sigma)
        s.register_hook(lambda gradient: passes.append(1))
        return s

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        mean = loss(watched, torch.ones(4, dim), sigma).mean()
    mean.backward()
    return len(passes), sum(kept.values()) / 2**20


# %%
ways = {"exact trace": (implicit, GREEN), "sliced": (sliced, ORANGE), "denoising": (dsm, RED)}
sizes = [2, 8, 32, 128, 512, 1024]
prices = {name: torch.tensor([count_costs(loss, dim) for dim in sizes]).T for name, (loss, _) in ways.items()}

# %% [markdown]
# **Predict:** on double logarithmic axes, a network with one hidden layer of
# 64 and a batch of 4. What is the slope of the exact trace in the number of
# backward passes? And in memory: one pass keeps arrays as long as $D$; how
# steep does that make the trace, and how steep are the other two?
#
# <details><summary>Answer</summary>
#
# $D + 1$ passes, slope 1; the others are flat at two and one. In memory the
# trace keeps $D$ passes of about $D$ numbers each, so it turns to slope 2,
# and the others to slope 1. For an image of CIFAR-10, $D = 3072$, the exact
# trace is out of the question; a slice costs about as much as two ordinary
# steps.
# </details>

# %%
fig, axes = plt.subplots(1, 2, figsize=(9.2, 3.4))
for ax, which, title in zip(axes, (0, 1), ("backward passes a step", "kept for the last pass [MiB]"), strict=True):
    for name, (_, color) in ways.items():
        ax.loglog(sizes, prices[name][which], "o-", ms=4, color=color, label=name)
    ax.set(xlabel="$D$", title=title)
axes[0].legend()
numbers = {f"{name}, passes": price[0, -1] for name, price in prices.items()}
numbers["slope of memory"] = (prices["exact trace"][1, -1] / prices["exact trace"][1, -2]).log2()
alt = (
    "Two panels against D from 2 to 1024 on logarithmic axes. Backward passes: the exact trace rises to 1025, sliced "
    "stays at 2, denoising at 1. Memory: all rise, the exact trace in the end twice as steeply as the other two."
)
caption = "Backward passes, and what is kept in memory, for one step of training by each way."
save_figure(fig, "slices_cost", alt=alt, caption=caption, numbers=numbers, tolerance=0.05)

# %% [markdown]
# The memory of the trace could be bought back: take the gradient with respect
# to the parameters row by row, and throw each row's graph away at once. Then
# the memory is that of a single slice, and the passes double. The time stays
# what it is. A random row instead of all of them, $v = \sqrt D\, e_i$ with a
# random $i$, also has $\mathbb{E}[v v^\top] = I$ and costs one pass. It is
# one more distribution for section 4.4, unbiased like the others, and good
# only where the entries of the diagonal are all alike.
#
# These were counts, the same on every machine. What does *your* machine say?
# The next figure is measured while the cell runs, up to the 3072 numbers of a
# CIFAR-10 image, so it will look a little different for you. It is the one
# figure of this notebook that no test compares.


# %%
def milliseconds(loss, dim: int) -> float:
    net, x = ScoreMLP(dim, [64], sigma=sigma), torch.ones(4, dim)
    repeat = 1 if loss is implicit and dim > 100 else 20
    return 1e3 * min(timeit.repeat(lambda: loss(net, x, sigma).mean().backward(), number=1, repeat=repeat))


sizes = [2, 8, 32, 128, 512, 1024, 3072]
clock = {name: [milliseconds(loss, dim) for dim in sizes] for name, (loss, _) in ways.items()}

# %% [markdown]
# **Predict:** the slope of the exact trace in time? It makes $D$ passes, and
# a pass through a net with $D$ inputs costs something like $D$, so is it 2?
# And by which factor is a slice slower than denoising?
#
# <details><summary>Answer</summary>
#
# For these small nets the time of a pass is mostly the overhead of calling
# PyTorch, whatever $D$ is. So the slope is about 1 at first and steepens only
# when the arrays become large. A slice makes two passes for one, the second
# through a graph twice as long. The title says what your machine measured.
# Factors of about four are often quoted; the counts do not demand it, and the
# factor depends on net, batch and machine.
# </details>

# %%
factor = torch.tensor([a / b for a, b in zip(clock["sliced"], clock["denoising"], strict=True)]).median()
fig, ax = plt.subplots(figsize=(6.0, 3.6))
for name, (_, color) in ways.items():
    ax.loglog(sizes, clock[name], "o-", ms=4, color=color, label=name)
    ax.annotate(f"  {clock[name][-1]:,.1f} ms", (3072, clock[name][-1]), va="center", fontsize=8)
ax.set(xlabel="$D$", ylabel="ms a step", xlim=(1.5, 15_000), title=f"here a slice costs {factor:.1f} times denoising")
ax.legend()
alt = (
    "Time of a step against D from 2 to 3072 on logarithmic axes, measured on this machine: the exact trace rises "
    "steeply, sliced and denoising hardly, with sliced above denoising."
)
ne.show_figure(fig, alt=alt, caption="Time of one step by each way, measured while this cell ran.")

# %% [markdown]
# The numbers at the right end belong to 3072 coordinates and 4 examples. For
# a real network on images each of these passes is many times as much work. If
# it is a hundred times as much, multiply the number at the end of the upper
# curve by a hundred: minutes, for a *single step*.
#
# ## 4.6 A variant: learn an energy
#
# A network with $D$ outputs can be any vector field; the score is a gradient.
# One can have that by construction: let the net compute a single number, the
# energy $E_\theta(x)$, and take $s = -\nabla_x E_\theta$. Every loss works as
# before, at the price of one backward pass more for each evaluation of $s$.
# Trained by denoising, the step is then about that of a slice; trained by
# slices, it contains third derivatives of the network. That is why the
# activations should be smooth: the second derivative of a ReLU is zero
# wherever it exists, and a plain network of ReLUs, taken as an energy, has a
# score that is constant in patches.
#
# Our energy is $\frac12 \|x - f(x)\|^2$ with a network $f$, which grows far
# from the data, as an energy should: $e^{-E}$ then has a chance to be a
# density.

# %%
show(ne.EnergyScore.forward, docstring=False)


# %%
class Energy(ScoreMLP):  # any network that gives one number will do
    def forward(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        return 0.5 * (x - super().forward(x, sigma)).square().sum(1)


nets["energy"] = learn(ne.EnergyScore(Energy(2, [64, 64], sigma=sigma)), "denoising")

# %% [markdown]
# A smooth field on the plane is a gradient exactly when its Jacobian is
# symmetric, that is, when it has no curl $\partial_1 s_2 - \partial_2 s_1$.
# (That is the third feature of section 3.7.) We ask both denoisers at the
# same hundred points, and the referee about $J$.

# %%
for name in ("denoising", "energy"):
    score = lambda row, net=nets[name]: net(row[None], sigma)[0]  # noqa: E731
    jacobians = torch.stack(
        [torch.autograd.functional.jacobian(score, row) for row in noisy.sample(100, generator=generator)]
    )
    curl = (jacobians[:, 0, 1] - jacobians[:, 1, 0]).abs().mean()
    print(
        f"{name:10} mean |curl| ≈ {curl:.3f}, and ≈ {100 * fisher(nets[name]) / constant:.1f} % of the zero score's J"
    )
    assert (curl < 1e-6) == (name == "energy") and fisher(nets[name]) < 0.05 * constant

# %% [markdown]
# Both are good scores, and only one of them is the gradient of something. In
# practice the free field is the usual choice: it is cheaper, and samplers do
# not mind a little curl. An energy pays where you want to *compare* points,
# $\log p(a) - \log p(b) = E(b) - E(a)$, which a free field cannot offer.
#
# Three warnings go with such comparisons.
#
# - $E$ is known up to a constant, so $e^{-E}$ is not a density, and nobody
#   has computed $Z$. Two points can be compared under one model, two models
#   at one point cannot.
# - $E(b) - E(a)$ is the integral of the learned score along *any* path from
#   $a$ to $b$. If every path crosses a region without data, where the score
#   was never checked, the difference is as wrong as the score is there. So
#   the weights of two distant modes cannot be read off an energy (notebook 6
#   shows the field between modes, notebook 7 what it does to weights).
# - A score that is a gradient is not a better score. It is a smaller family,
#   which contains the truth. With little data that can help; with a large net
#   it hardly matters.
#
# > **By hand.** Why is a field without curl a gradient? Walk from 0 to $x$ along a
# > straight line and integrate: $E(x) = -\int_0^1 x^\top s(t x)\, dt$. Differentiate under
# > the integral, and use that the Jacobian is symmetric:
# > $\partial_i E = -\int_0^1 \big( s_i(tx) + t \sum_j x_j \partial_j s_i(tx) \big) dt
# > = -\int_0^1 \frac{d}{dt} \big( t\, s_i(tx) \big) dt = -s_i(x)$. Without the symmetry the
# > sum would hold $\partial_i s_j$, and the integrand would be no derivative.
#
# ## 4.7 Which one, then?
#
# | what you have, and want | take | because |
# |---|---|---|
# | clean data, and the score of noisy data | denoising | one pass each way; no derivative of the net with respect to $x$; many noise levels at once |
# | noisy data only, and *their* score | slices | denoising would need the clean points, and add noise to the noise |
# | the score of the data themselves, or $\sigma$ so small that the targets $-z/\sigma$ drown in their own variance | slices | their scatter does not grow as $\sigma \to 0$ |
# | two or three coordinates, or a yardstick for the others | the exact trace | no scatter but that of the data |
# | a net without second derivatives (ReLU as an energy, a compiled operation) | denoising | the others differentiate the net twice |
#
# For images the first row decides: samplers that anneal ask for the score of
# noisy data, at ten levels or a thousand. That is why every later notebook
# trains by denoising.
#
# Three sentences in circulation deserve a second look.
#
# - *"One random direction is enough."* It is enough for the right **mean**.
#   The loss of one example with one direction is a different number from its
#   exact loss, often by more than the loss itself. What makes one direction
#   enough is that a step of training averages over a batch, and training over
#   steps.
# - *"Sliced score matching is four times as expensive as denoising."* The
#   number is from the NCSN paper and holds for its networks on its GPUs. The
#   counts say: one product with the Jacobian, and a gradient through it.
#   Measure your own.
# - *"The lower loss is the better model."* Not across objectives. Denoising
#   has a floor, implicit losses are negative, slices differ from the exact
#   trace by their scatter, and each has its own constant. Compare losses of
#   one objective at one $\sigma$, or compare $J$, where you can.
#
# ## 4.8 Your turn
#
# The explorer of notebook 3 once more, with slices in mind. Say what you
# expect, then press **Train**.
#
# - Lower the **noise sigma** to 0.1 and compare denoising with **sliced,
#   variance reduced**. Whose loss is the noisier now?
# - Take the plain **sliced** objective with the Gaussian distribution and one
#   **projection**; then twenty; then signs and reduced variance with one.
#   Which of the two remedies buys more, and which is free?
#
# <details><summary>Answers</summary>
#
# - That of denoising: at $\sigma = 0.1$ its estimate of $J$ divides noise of
#   order one by 0.01. Single batches scatter by 8, those of slices by 0.4.
#   The slices do not know about $\sigma$.
# - One Gaussian projection in the plain form: single batches scatter by 0.31.
#   Twenty of them: 0.20, for twenty products with the Jacobian. One
#   projection of signs with reduced variance: 0.22, and it costs nothing.
#   What is left is the scatter of $x$.
# </details>

# %%
ObjectiveExplorer()

# %% [markdown]
# ## What you should be able to do now
#
# - Explain why one random direction is enough for an unbiased trace, where
#   $\sqrt D$ comes from on the sphere, and what reduces the variance.
# - Predict the scatter of a slice from the Jacobian.
# - Say what each way costs in passes and memory, and choose one for given
#   $D$, noise and budget.
# - Say what an energy offers that a free field does not.
#
# If you ever write a sliced loss yourself, test that the mean over many
# directions is the exact trace, *in more than one dimension*, so that a
# forgotten $\sqrt D$ shows.
#
# ## Exercises
#
# 1. Fill in the averages of section 4.4: for $s \sim \mathcal{N}(0, P)$ and
#    $M = -P + \frac12 s s^\top$ compute $\mathbb{E}\|M\|_F^2$,
#    $\mathbb{E}(\mathrm{tr} M)^2$ and $\mathbb{E} M_{ii}^2$. For $P = I$ and
#    Gaussian $v$ compare the plain form, $D(D+2)/2$, with the reduced one,
#    $2D$. At which $D$ do they tie? Show that for any $P$ the plain one is
#    better where $(\mathrm{tr} P)^2 < 2 \|P\|_F^2$. Confirm both with
#    `sliced`.
#    <details><summary>Hint</summary>
#
#    $\mathbb{E}(s^\top s)^2 = (\mathrm{tr} P)^2 + 2\|P\|_F^2$, and
#    $\mathbb{E}\, s_i s_j s_k s_l$ by Isserlis' formula.
#    </details>
#    <details><summary>Answer</summary>
#
#    $\|M\|_F^2 = \|P\|_F^2 - s^\top P s + \frac14 (s^\top s)^2$ has the mean
#    $\|P\|_F^2 - \|P\|_F^2 + \frac14 (\mathrm{tr} P)^2 + \frac12 \|P\|_F^2$.
#    The trace is $-\mathrm{tr} P + \frac12 s^\top s$, whose square has the
#    same mean. And $M_{ii} = -P_{ii} + \frac12 s_i^2$ gives
#    $P_{ii}^2 (1 - 1 + \frac34)$. For $P = I$:
#    $2(\frac14 D^2 + \frac12 D) = D(D+2)/2$ against $2D$; they tie at
#    $D = 2$. In general $\frac12 (\mathrm{tr} P)^2 + \|P\|_F^2 < 2 \|P\|_F^2$
#    exactly where $(\mathrm{tr} P)^2 < 2\|P\|_F^2$.
#    </details>
# 2. Draw $v = \sqrt D\, e_i$ with a random $i$, one row of the Jacobian. Show
#    that $\mathbb{E}[v v^\top] = I$, derive $\mathrm{Var}(v^\top M v)$, and
#    compare it with signs for $M = I$, for
#    $M = \mathrm{diag}(1, 0, \dots, 0)$, and for a matrix of ones.
#    <details><summary>Answer</summary>
#
#    $v^\top M v = D M_{ii}$, with mean $\mathrm{tr} M$ and variance
#    $D \sum_i M_{ii}^2 - (\mathrm{tr} M)^2$. For $I$: 0, like signs. For
#    $\mathrm{diag}(1, 0, \dots)$: $D - 1$, and signs have 0. For ones: 0, and
#    signs have $2 D (D - 1)$. It sees the diagonal only; signs err by what is
#    off it.
#    </details>
# 3. Train the net of section 4.3 by slices of the *unit* sphere (divide by
#    $\sqrt D$) in the variance-reduced form. Which field does it learn, and
#    what is its $J$?
#    <details><summary>Answer</summary>
#
#    The trace counts half ($1/D$ with $D = 2$), so the loss is
#    $\frac12 \mathrm{tr} \nabla s + \frac12 \|s\|^2$, minimised by half the
#    score:
#    $J = \frac14 \cdot \frac12 \mathbb{E}\|\nabla\log p_\sigma\|^2 = 0.228$,
#    a quarter of the zero score's. A net trained in this way came to 0.24.
#    </details>
#
# ## References
#
# - Y. Song, S. Garg, J. Shi and S. Ermon, *Sliced Score Matching: A Scalable
#   Approach to Density and Score Estimation*, UAI 2019: slices, and SSM-VR.
# - M. Hutchinson, *A Stochastic Estimator of the Trace of the Influence
#   Matrix for Laplacian Smoothing Splines*, Communications in Statistics
#   1989.
# - A. Hyvärinen, *Estimation of Non-Normalized Statistical Models by Score
#   Matching*, JMLR 2005.
# - Y. Song and S. Ermon, *Generative Modeling by Estimating Gradients of the
#   Data Distribution*, NeurIPS 2019: section 2.1.
#
# **Next:** [5 · The manifold hypothesis](05_manifold.ipynb): what becomes of
# these losses when data fill no volume.
