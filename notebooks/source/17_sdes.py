# %% [markdown]
# # 17 · SDEs
#
# *Reading and trying: about 140 minutes, and another hour for the exercises. Running every cell: about 30 seconds on a laptop, at laptop scale (points on a line and in the plane, and pictures of 8x8 pixels).*
#
# NCSN has ten noise levels and DDPM has a thousand steps. Song et
# al. 2021 let the steps become infinitely small. Both chains turn
# into a **stochastic differential equation** (SDE), and three
# things follow that no chain has: an exact way back, which needs
# nothing but the score; a second way back without any noise; and
# with it the likelihood of an image. You will
#
# - get the half page about differential equations that is needed,
#   and see why noise goes with the square root of the step;
# - meet VE and VP, and see that NCSN and DDPM are what one gets by
#   cutting them into steps;
# - derive the reverse SDE and the probability flow from the same
#   five lines, and write a step of each;
# - measure what solvers do: orders of convergence, tolerances,
#   predictor and corrector, a round trip from image to noise and
#   back;
# - compute likelihoods, against the exact ones on mixtures, and in
#   bits per pixel for the nets of this collection;
# - meet the errors that are in circulation, each beside the right
#   version.
#
# Nothing here is trained. All of it works with any score that is
# there already: the exact one of two peaks on a line, which judges
# every claim, and the nets of notebooks 14 and 16.
#
# You need: the score at many noise levels from [8 · One network
# for all noise levels](08_noise_conditional.ipynb), and the chain
# of [16 · DDPM](16_ddpm.ipynb). The letters are on the page of
# [symbols](symbols.md).
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

import ncsn_edu as ne
from ncsn_edu import VE, VP, GaussianMixture, SubVP, datasets, last, plots, practice, save_figure, show
from ncsn_edu.adapters import AffineScore
from ncsn_edu.odes import NotSolved
from ncsn_edu.plots import BLUE, GREEN, ORANGE, PURPLE, RED
from ncsn_edu.trained import WEIGHTS, load_trained
from ncsn_edu.widgets import DiffusionExplorer, SolverExplorer

plots.use_style()
generator = torch.Generator().manual_seed(0)
F64 = torch.float64

# %% [markdown]
# ## 17.1 A rule for the slope
#
# A **differential equation** is a rule for a slope. In
#
# $$ \frac{dx}{dt} = a(x, t) $$
#
# the unknown is a curve $x(t)$, and the rule says how steep it has
# to be wherever it passes. This is an *ordinary* differential
# equation (ODE): there is one variable, $t$, in whose direction one
# can go. It is of **first order**, because no derivative higher
# than the first occurs. The rule alone has many solutions. One
# starting point picks one curve, and two curves never meet. (This
# needs a rule without jumps and without infinitely steep places, as
# ours are where there is noise.) For us it means: one noise image,
# one picture.
#
# You may picture the rule as a current. At each place of a river
# the water has a velocity. A leaf that is put in at a point goes
# where the current takes it, and if you put in another leaf at the
# same point and the same time, it goes the same way. An equation of
# second order would be a rule for the acceleration. It would need a
# starting velocity as well. We will not meet any.
#
# Few such equations can be solved by a formula. All of them can be
# followed in small steps.
#
# **Euler's method** takes the rule at its word for a short time:
# $x(t + dt) \approx x(t) + a(x, t)\, dt$. For $dx/dt = -x$ from
# $x(0) = 1$ the solution is $e^{-t}$:

# %%
for n in (10, 20, 40, 80):
    x = 1.0
    for _ in range(n):
        x = x + (-x) * 2 / n  # n steps of length 2 / n
    print(f"{n:3} steps: x(2) = {x:.5f}, error {x - math.exp(-2):+.5f}")

# %% [markdown]
# Twice as many steps, half the error: the method is of order 1. In
# each step it goes straight on, along the slope at the beginning,
# while the curve bends away. What it misses in one step grows as
# $dt^2$. The number of steps grows as $1/dt$, and so the sum as $dt$.
#
# (This is another "order". That of an equation counts derivatives,
# that of a method says by which power of the step its error falls.)
#
# In a *partial* differential equation (PDE) the unknown is a
# function of several variables, such as a density $p(x, t)$. The
# rule relates its slopes in different directions. The one that
# matters here is the **heat equation**,
#
# $$ \frac{\partial p}{\partial t} = \frac12\, \frac{\partial^2 p}{\partial x^2} . $$
#
# It says how heat spreads along a rod, and just so the density of
# the data spreads when noise of variance $t$ is added: where $p$
# is curved downwards, as at a peak, it falls, and where it is
# curved upwards, as in a valley, it rises. (The $\partial$ says that
# there are several variables, and that all but one are held fixed.)
# A solution of a PDE is not picked by a point but by a whole
# function, the density at $t = 0$.
#
# So noise can be described in two ways. One follows a single
# particle, which jumps about at random. The other follows the
# density of very many particles, and nothing in it is random. The
# whole of section 17.5 lives on going from one to the other.
#
# Notebook 13 had one of each. In this collection the heat equation,
# with its relative of section 17.5, is the PDE, and the probability
# flow is the ODE.
#
# The data of this notebook are two peaks on a line, whose noisy
# densities we know exactly. Both sides of the heat equation are
# taken by finite differences: what a small change in $t$ does, and
# how the value at $x$ compares with its neighbours'.

# %%
data = GaussianMixture(torch.tensor([[-1.5], [1.0]], dtype=F64), 0.06, [0.3, 0.7])
x = torch.linspace(-4, 4, 801, dtype=F64)[:, None]


def density(x, variance):  # of the data with noise of this variance, at x (N, 1)
    return data.log_prob(x, math.sqrt(variance)).exp()


# %%
h, t = 1e-3, 0.5
in_time = (density(x, t + h) - density(x, t - h)) / (2 * h)
in_space = (density(x + h, t) - 2 * density(x, t) + density(x - h, t)) / h**2
apart = (in_time - in_space / 2).abs().max()
print(f"dp/dt is at most {in_time.abs().max():.4f}, and differs from p''/2 by {apart:.0e} at most")
assert apart < 1e-5 < 0.1 < in_time.abs().max()

# %% [markdown]
# Noise and heat obey the same law. Note what this means for the way
# back. To take noise away is to run heat backwards, from the even to
# the concentrated. Read backwards, the heat equation magnifies
# every small error of $p$ without bound. We will not solve it
# backwards. Section 17.5 turns it into a rule for particles, which
# needs nothing but the score, and a net can learn the score.
#
# ## 17.2 Noise in small steps
#
# Now the curve is pushed at random on its way. The **Wiener
# process** $w_t$, also called Brownian motion, is pure noise: it
# starts at 0, and what it does in a short time $dt$ is independent
# of all before and normal with variance $dt$. We write
# $dw = \sqrt{dt}\; z$ with $z \sim \mathcal{N}(0, 1)$.
#
# **Why the square root?** The variances of independent steps add
# up. Cut the time from 0 to 1 into $n$ steps of $dt = 1/n$. Steps
# of variance $dt$ make a sum of variance $n \cdot 1/n = 1$, however
# many there are. Noise that is proportional to $dt$, as the drift
# is, has variance $dt^2$, and its sum has variance $1/n$: it
# vanishes as the steps get small. Noise of the same size in each
# step makes the sum grow without end.

# %%
for n in (10, 100, 1000):
    z = torch.randn(5000, n, generator=generator)
    stds = [(scale * z).sum(1).std().item() for scale in (n**-1.0, n**-0.5, 1.0)]
    print(f"{n:4} steps: noise dt {stds[0]:.2f}, noise sqrt(dt) {stds[1]:.2f}, noise 1: {stds[2]:5.1f}")
    assert abs(stds[1] - 1) < 0.05 and abs(stds[0] * n**0.5 - 1) < 0.05

# %% [markdown]
# Only with $\sqrt{dt}$ is there a limit that is neither nothing nor
# infinite. It follows that a random walk gets twice as far in four
# times the time. It also follows that its paths are rough at every
# scale: the slope $dw/dt \approx z/\sqrt{dt}$ has no limit as
# $dt \to 0$. This is why one writes $dw$ and not $dw/dt$. What holds
# in the limit is a statement about sums of small steps.
#
# An SDE has both parts,
#
# $$ dx = f(t)\, x\; dt + g(t)\; dw . $$
#
# $f(t)\,x$ is the **drift** and $g(t)$ the **diffusion
# coefficient**. (In general the drift is any function of $x$ and
# $t$. For diffusion models it is linear in $x$.) What happens next
# depends on $x$ and $t$ *now*, and not on how $x$ got there. This is the
# **Markov property**, and it is why a net needs to see $x_t$ and $t$
# alone: whoever knows $x_t$ learns nothing more about what comes
# next from the path before it. The same holds backwards in time,
# since "past and future are independent, given the present" treats
# both alike. A net that is to undo noise needs no memory.
#
# Euler's method for this equation, with $\sqrt{dt}\,z$ for $dw$, is
# the method of **Euler and Maruyama**.
#
# **Write it.** One step from $t$ to $t + dt$. `f`, `g` and `dt` are
# numbers.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_step(x, f, g, dt, z):
#     return x + f * x * dt + g * math.sqrt(dt) * z
# ```
# </details>


# %%
def my_step(x, f, g, dt, z):  # x and z: (B, D); returns (B, D)
    ...


practice.forward_step(my_step)

# %% [markdown]
# In integral form the same equation reads
#
# $$ X_t = X_0 + \int_0^t a(X_s, s)\, ds + \int_0^t g(s)\, dw_s , $$
#
# and Euler-Maruyama is its sum: each step adds one term of each
# integral. This *is* the meaning of an SDE. The line with $dx$ and
# $dw$ is short for it.
#
# **Trap: $a(X_s, t)$ inside the integral.** The drift at the time
# $s$ of the step belongs there, and not the one at the end. With
# $a(x, s) = -\tfrac12\beta(s)\,x$ and a $\beta$ that rises from 0.1
# to 20, as VP has it below, the difference is large. The mean at
# $t = 0.5$, for all chains started at 1:

# %%
sde, n, end = VP(), 1000, 0.5
right, wrong = 1.0, 1.0
for i in range(n):
    right += sde.drift_rate((i + 0.5) * end / n) * right * end / n  # a(X_s, s)
    wrong += sde.drift_rate(end) * wrong * end / n  # a(X_s, t)
print(f"a(X_s, s): {right:.4f}; a(X_s, t): {wrong:.4f}; closed form: {sde.scale(end):.4f}")
assert abs(right - sde.scale(end)) < 1e-3 < 0.1 < right - wrong

# %% [markdown]
# **One more assumption.** In all SDEs here $g$ depends on $t$ alone;
# the noise is called *additive*. If it also depends on $x$, as in
# $dx = x\, dw$ (*multiplicative* noise), it matters at which end
# of a small step $g$ is taken. The left end gives what is called
# Itô's integral, the middle Stratonovich's, and they do not agree
# even in the limit. For additive noise it makes no difference. The
# code runs 20,000 paths of both kinds. `left` takes $g$ at the left
# end of each step. `middle` first looks ahead by such a step, and
# then takes the mean of $g$ at both ends:

# %%
n, paths = 400, 20_000
ends = {}
for kind, g in (("dx = x dw", lambda x: x), ("dx = dw", torch.ones_like)):
    left = middle = torch.ones(paths, dtype=F64)
    for _ in range(n):
        dw = torch.randn(paths, generator=generator, dtype=F64) / n**0.5
        ahead = middle + g(middle) * dw
        left, middle = left + g(left) * dw, middle + (g(middle) + g(ahead)) / 2 * dw
    ends[kind] = left.mean().item(), middle.mean().item()
    print(f"{kind:9}: mean at t = 1 by the left end {ends[kind][0]:.2f}, by both ends {ends[kind][1]:.2f}")
assert abs(ends["dx = x dw"][0] - 1) < 0.05 and abs(ends["dx = x dw"][1] - math.exp(0.5)) < 0.08

# %% [markdown]
# The second mean is $e^{1/2} = 1.65$. Whoever takes $g(x, t)$ has to
# say which integral is meant, and gets a correction in the drift
# and in everything that is derived from it below. (The reason: in
# $x\,dw$ the factor at the right end knows something of $dw$
# already. The mean of both ends adds about $x\, dt/2$ on average in
# each step, a drift that nobody wrote down.) We have $g(t)$, and
# are spared.
#
# ## 17.3 VE and VP
#
# Let $x_0$ be an image. Where is $x_t$? A step of Euler-Maruyama
# multiplies by a number and adds normal noise. What is normal stays
# normal, so that two numbers say all: the mean $m$ and the variance
# $v$ of $x_t$, given $x_0$. They follow equations of their own. Over
# a short time the mean grows by $f m\, dt$, and a variance $v$
# becomes $(1 + f dt)^2 v + g^2 dt$, where terms of $dt^2$ vanish:
#
# $$ \frac{dm}{dt} = f(t)\, m , \qquad \frac{dv}{dt} = 2 f(t)\, v + g(t)^2 . $$
#
# The first has the solution $m = s(t)\, x_0$ with
# $s(t) = e^{\int_0^t f}$, the *scale*. Put $v = s^2\sigma^2$ into
# the second: what is left is $d\sigma^2/dt = g^2 / s^2$. So
#
# $$ x_t = s(t)\,\big(x_0 + \sigma(t)\, z\big), \qquad z \sim \mathcal{N}(0, I) , $$
#
# which is an image with noise of standard deviation $\sigma(t)$, as
# in all notebooks before, times a number. Three choices have names:
#
# | | $f$ | $g^2$ | $s(t)$ | $\sigma(t)$ |
# |---|---|---|---|---|
# | **VE**, variance exploding | $0$ | $\frac{d\sigma^2}{dt}$ | $1$ | $\sigma_{\min}\,(\sigma_{\max}/\sigma_{\min})^t$ |
# | **VP**, variance preserving | $-\frac12\beta(t)$ | $\beta(t)$ | $e^{-\frac12 \int \beta}$ | $\sqrt{1/s^2 - 1}$ |
# | **sub-VP** | $-\frac12\beta(t)$ | $\beta(t)\,(1 - s^4)$ | as VP | $1/s - s$ |
#
# with $t$ from 0 to 1 and $\beta(t) = 0.1 + 19.9\, t$.
#
# Check a row: for VP, $s^2 = e^{-\int\beta}$ and
# $\sigma^2 = 1/s^2 - 1 = e^{\int\beta} - 1$. Its derivative is
# $\beta\, e^{\int\beta} = g^2/s^2$, as it must be. And the variance
# of the noise in $x_t$ is $s^2\sigma^2 = 1 - s^2$: what the image
# loses the noise gains, which is why it is called variance
# *preserving*.
#
# VE is Brownian motion with a clock of its own, on data that have
# noise of $\sigma_{\min}$ at the start: the variance at $t$ is
# $\sigma(t)^2$. VP is the **Ornstein-Uhlenbeck process**, the
# simplest one that is pulled back to 0 and forgets where it began,
# with the clock $\int\beta$. Sub-VP adds less noise than VP, so
# that the standard deviation of its noise is what VP has as
# variance.
#
# What the letters do *not* change is the noise itself. Every path
# of VP, divided by its scale, is a path of data with noise that
# grows from 0 to 152, and $t$ is only the clock by which it does.
# The code is the table. `_scale` is inherited, as sub-VP shares it,
# and $\int\beta$ is called `_integral`:

# %%
show(VP)

# %% [markdown]
# **Predict:** the next figure has 30 paths of VE and of VP from
# our two peaks, and a histogram of 2000 particles at the end. The
# noise of VE goes from 0.02 to 8. In which picture can you see
# at $t = 0.4$ from which peak a path came? And how far from 0 do the
# paths end in each?
#
# <details><summary>Answer</summary>
#
# In VE: $\sigma(0.4) = 0.22$ there, which is less than the distance of the
# peaks. VP has $\sigma(0.4) = 2.0$ already. The ends have the standard
# deviations of the priors, 8 and 1: nearly all lie within 24 and within 3.
# (Divided by its scale, $x_t$ of VP is data with growing noise too. At equal
# $\sigma$ its distribution is that of VE.)
# </details>

# %%
pair = {"VE": VE(0.02, 8.0), "VP": VP()}
start = data.sample(2000, generator=generator)
forward = {}
for name, sde in pair.items():
    times, path = sde.times(201)[::-1], [start]
    for s, t in itertools.pairwise(times):
        factor, std = sde.kernel(s, t)  # x_t = factor x_s + std z, exactly
        path.append(factor * path[-1] + std * torch.randn(start.shape, generator=generator, dtype=F64))
    forward[name] = torch.stack(path)[:, :, 0]  # (201, 2000)

# %% [markdown]
# `kernel(s, t)` is the step from an earlier time to $t$ in closed
# form, of any length. It is the formula for $x_t$ once more: the
# factor is the ratio of the two scales, and the noise has the
# variance that is still missing at $t$. So there is no need to
# simulate an SDE forward in small steps. In the trainings of
# notebooks 8 and 16 each example jumps to its noise level at once.
#
# In the figure the curves beside the histograms are the priors of
# section 17.4.

# %%
fig, axes = plt.subplots(1, 4, figsize=(11, 3.2), width_ratios=(3, 1, 3, 1))
numbers = {}
for (name, sde), ax, side in zip(pair.items(), axes[::2], axes[1::2], strict=True):
    colors = [PURPLE if x < 0 else ORANGE for x in start[:30, 0]]
    for path, color in zip(forward[name].T[:30], colors, strict=True):
        ax.plot(sde.times(201)[::-1], path, lw=0.7, color=color)
    height = 2.6 * max(1.2, sde.prior_std)
    y = torch.linspace(-height, height, 200, dtype=F64)
    side.hist(forward[name][-1], 40, density=True, orientation="horizontal", color=BLUE, alpha=0.4)
    side.plot(torch.distributions.Normal(0, sde.prior_std).log_prob(y).exp(), y, color="black")
    ax.set(title=f"{name}: paths", xlabel="$t$", ylabel="$x_t$", ylim=(-height, height))
    side.set(title="$t = 1$", xlabel="density", ylim=(-height, height), yticks=[])
    numbers[f"{name}_std"] = forward[name][-1].std()
alt = (
    "Paths under VE and under VP, coloured by the peak they start from, and histograms at the end. VE stays in two "
    "narrow bundles for half of the time and then spreads to 20; VP mixes early and stays between -3 and 3."
)
caption = (
    r"Paths from two peaks, and their ends on the priors, $\mathcal{N}(0, 8^2)$ for VE and $\mathcal{N}(0, 1)$ for VP."
)
save_figure(fig, "sde_forward", alt=alt, caption=caption, numbers=numbers)

# %% [markdown]
# Paths of VE look as if nothing happened for a long time. This is
# the geometric ladder: each step multiplies the noise, so that half
# of the time is spent below $\sigma = 0.4$. NCSN's ladder of
# notebook 7 does just this.
#
# The paths above used the closed form. Are drift and diffusion
# those that belong to it? We simulate the equation itself, from the
# point $x_0 = 1.3$, by Euler-Maruyama in 1000 steps, with 10,000
# particles. (Means may be off by the hundredth part of the standard
# deviation, which is their standard error.)

# %%
for sde in (VE(0.02, 8.0), VP(), SubVP()):
    n, x = 1000, torch.full((10_000, 1), 1.3, dtype=F64)
    for i in range(n):
        t = (i + 0.5) / n  # the middle of the step
        z = torch.randn(x.shape, generator=generator, dtype=F64)
        x = x + sde.drift(x, t) / n + sde.diffusion(t) * z / n**0.5
    mean, std = sde.marginal(torch.full((1, 1), 1.3, dtype=F64), 1.0)
    name, formula = type(sde).__name__, f"{mean.item():.3f} and {std:.3f}"
    print(f"{name:5}: mean {x.mean():6.3f}, std {x.std():.3f}; closed form {formula}")
    assert abs(x.mean() - mean) < 5 * std / 100 and abs(x.std() / std - 1) < 0.04

# %% [markdown]
# Two kernels in a row have to be the direct one: the factors
# multiply, and the variance of the first is shrunk by the second
# before its own is added.

# %%
for sde in (VE(0.02, 8.0), VP(), SubVP()):
    (a, u), (b, v) = sde.kernel(0.1, 0.4), sde.kernel(0.4, 0.9)
    factor, std = sde.kernel(0.1, 0.9)
    both = math.hypot(b * u, v)  # standard deviation after both steps
    print(f"{type(sde).__name__:5}: two steps {a * b:.6f}, {both:.6f}; one {factor:.6f}, {std:.6f}")
    assert abs(a * b - factor) < 1e-12 and abs(both - std) < 1e-12

# %% [markdown]
# **Any score runs under any SDE.** $x_t / s(t)$ is an image with
# noise $\sigma(t)$, whose score we have: all notebooks so far are
# about `score(x, sigma)`. By the chain rule the density of $x_t$
# itself has the score
#
# $$ \nabla \log p_t(x_t) = \frac{1}{s(t)}\;\mathrm{score}\!\left(\frac{x_t}{s(t)},\ \sigma(t)\right) . $$
#
# So NCSN and DDPM are not trained for "their" SDE. They learn the
# score of noisy data, and the SDE says in which letters it is
# used. In `ncsn_edu` this line is `sde.score(score, x, t)`. (The
# factor $1/s$ comes from the change of units: where $x_t$ is
# squeezed by $s$, the log-density is steeper by $1/s$. The
# normalising constant $s^{-D}$ has no gradient.)
#
# Training does not change either. A net for an SDE is trained with
# the loss of notebook 8, with a $t$ drawn from all of $(0, 1]$ in the
# place of one of ten levels, and told $t$ or $\sigma(t)$. The clock
# says how often each noise level is drawn, and a weight how much it
# counts. A net that was trained at a thousand levels, as DDPM's, can
# be asked between them. NCSN with its tables for ten levels cannot.
#
# **DDPM is VP in steps.** Its step is
# $x_{i+1} = \sqrt{1 - b}\; x_i + \sqrt{b}\; z$. Put
# $b = \beta(t)\, dt$ and expand the root:
# $\sqrt{1 - b} \approx 1 - \tfrac12\beta\, dt$. This is
# Euler-Maruyama for VP. With $dt = 1/1000$ the betas are
# $\beta/1000$, from 0.0001 to 0.02: Ho et al.'s numbers exactly.
#
# **NCSN is VE in steps.** From one level to the next noise of
# variance $\sigma_{i+1}^2 - \sigma_i^2$ is added, and for a
# geometric ladder this is VE's $d\sigma^2/dt$ times $dt$. How fast
# do both come near the limit? For DDPM we compare the $\bar a$ of
# the chain with $s(t)^2$, and for NCSN the variance that a step
# adds, by the length of the step, with $g^2$:

# %%
print(f"betas of VP in 1000 steps: {VP().betas(1000)[0]:.4f} ... {VP().betas(1000)[-1]:.4f}, ", end="")
print(f"off DDPM's by {(VP().betas(1000) - ne.ddpm_betas(1000)).abs().max():.0e}")
errors = {}
for n in (250, 500, 1000, 2000):
    at = torch.arange(1, n + 1, dtype=F64) / n
    ddpm_error = (ne.alphas_bar_of(VP().betas(n)) - VP().scale(at) ** 2).abs().max().item()
    sigmas = VE().sigmas(n + 1).double().flip(0)
    ncsn_error = ((sigmas**2).diff() * n / VE().diffusion(at) ** 2 - 1).abs().max().item()
    errors[n] = ddpm_error, ncsn_error
    print(f"{n:4} steps: alpha_bar is off by {ddpm_error:.5f}, the variance that NCSN adds by {ncsn_error:.2%}")
assert all(1.9 < errors[n][k] / errors[2 * n][k] < 2.1 for n in (250, 500, 1000) for k in (0, 1))

# %% [markdown]
# Twice as many steps, half the difference: the chains are of first
# order, as Euler's method is. A thousand steps of DDPM are within
# a thousandth of VP. Whoever prefers the chain may keep it. What
# the limit buys is freedom: any steps, any solver, and formulas
# that do not depend on how time was cut.
#
# ## 17.4 Where it ends
#
# At $t = 1$ next to nothing of the data is left, and samplers start
# from noise. But from which?
#
# **Trap: "the prior is $\mathcal{N}(0, I)$".** It is for VP, where
# the variance 1 was preserved. VE ends with noise of $\sigma_{\max}$,
# here 50, on top of the data: its prior is
# $\mathcal{N}(0, \sigma_{\max}^2 I)$. (Neither is exact. The data's
# own mean and variance are still there, of size
# $x_0/\sigma(1)$: 0.02 for VE, and 0.007 for VP.) We start the
# flow of section 17.5 under VE from both, and measure by how much
# the ends miss the data, on average and in standard deviations of
# the data. (`quantiles` gives the points that lie perfectly on
# a density; sorted samples are compared with them.)


# %%
def off(x, sde, t):  # distance of points (N, 1) from the exact density of x_t, in its standard deviations
    exact = sde.scale(t) * ne.quantiles(data, (torch.arange(len(x)) + 0.5) / len(x), sde.sigma(t))
    return ((x.sort(0).values - exact).abs().mean() / exact.std()).item()


# %%
wide, found = VE(0.01, 50.0), {}
noise = ne.quantiles(GaussianMixture([[0.0]], 1.0), (torch.arange(2000) + 0.5) / 2000)  # of N(0, 1)
for name, x in (("N(0, 50^2)", 50 * noise), ("N(0, 1)", noise)):
    end = last(ne.probability_flow(data, x, wide.sigmas(200)))  # a ladder is taken as it is: nothing is checked
    found[name] = off(end, wide, wide.t_min)
    print(f"VE from {name:10}: error {found[name]:.4f}; {(end < -0.25).double().mean():.3f} end left (truth 0.300)")
found["VP"] = off(last(ne.probability_flow(data, noise, VP(), n_steps=200)), VP(), VP().t_min)
print(f"VP from N(0, 1)   : error {found['VP']:.4f}")
assert found["N(0, 50^2)"] < 0.02 and found["VP"] < 0.01 and found["N(0, 1)"] > 0.4

# %% [markdown]
# The wrong start lies in the middle of a density that is 50 wide,
# and the flow, which keeps the order of points on a line, brings
# all of it to one peak. With images it is worse. At $t = 1$ the net
# was trained on inputs of the size of $\sigma_{\max}$ in every pixel.
# An input that is fifty times as small is none that it has ever
# seen.
#
# The small errors of the two right starts are what is left of the
# data's mean at $t = 1$. One may read them as a KL divergence. For a
# point $x_0$ it is $\|x_0\|^2/(2\sigma(1)^2)$ to first order, which
# is the prior term of DDPM's bound in notebook 16.
#
# Given the SDE itself and not its levels, the samplers of
# `ncsn_edu` look at their start:

# %%
try:
    ne.probability_flow(data, noise, wide, n_steps=200)
except ValueError as error:
    print(error)

# %% [markdown]
# ## 17.5 The way back
#
# Samplers have to go from noise to data. Of a single path nothing
# can be said: it was random, and it is gone. But we do not want that
# path. We want particles that have, at each time, the same *density*
# as those that went forward. That is a weaker wish, and it can be
# granted in more than one way.
#
# So look at the density. Every particle walks at random, and the
# density of all of them follows a rule without any randomness. In a
# short time the drift $f x$ carries density along, and the noise
# spreads it, as heat spreads. This is the **Fokker-Planck equation**,
#
# $$ \text{(1)}\qquad \frac{\partial p}{\partial t} = -\nabla\cdot(f x\, p) + \tfrac12 g^2\, \Delta p , $$
#
# where $\nabla\cdot$ is the divergence and $\Delta = \nabla\cdot\nabla$
# the Laplacian, the sum of the second derivatives. Without noise
# the first term alone says that no particle is lost: what flows out
# of a small box is missing in it. (On a line: in a box from $x$ to
# $x + dx$ there are $p\, dx$ particles. In a time $dt$ about
# $f x\, p\, dt$ of them come in at the left edge, and as many as the
# same formula says at $x + dx$ leave at the right.) Without drift the
# second term is the heat equation of section 17.1, with a clock that
# runs at the speed $g^2$.
#
# *Where (1) comes from*, on a line. Take any smooth function $h(x)$
# and ask how its mean over the particles changes in a step
# $dx = f x\, dt + g\sqrt{dt}\, z$. Expand
# $h(x + dx) = h + h'\,dx + \tfrac12 h''\, dx^2 + \dots$ and take the
# mean over $z$. The mean of $z$ is 0 and that of $z^2$ is 1, so that
# $dx^2$ leaves $g^2 dt$, which is as large as the drift's part:
#
# $$ \frac{d}{dt}\,\mathbb{E}[h] = \mathbb{E}\big[h' f x + \tfrac12 g^2 h''\big] . $$
#
# (That squares of $dw$ count like $dt$ is all we need of what is
# called Itô's lemma.) Write the means as integrals
# $\int h\, p\, dx$, and move the derivatives from $h$ to the rest by
# integrating by parts, once and twice. What stands beside $h$ is
# then the same on both sides, for every $h$: this is (1).
#
# Now write the Laplacian by the score. By definition
# $\nabla\log p = \nabla p / p$, so that
# $\nabla p = p\,\nabla\log p$, and
#
# $$ \text{(2)}\qquad \Delta p = \nabla\cdot(p\,\nabla \log p) . $$
#
# Put (2) into (1). What comes out has *no second derivative left*:
#
# $$ \text{(3)}\qquad \frac{\partial p}{\partial t} = -\nabla\cdot\Big(\big[f x - \tfrac12 g^2\,\nabla\log p\big]\; p\Big) . $$
#
# It is equation (1) for particles without noise that move with the
# velocity in brackets. What noise does to a density can also be done
# by a current: away from where there is much, along minus the
# score. This is the **probability flow**:
#
# $$ \frac{dx}{dt} = f x - \tfrac12 g^2\, \nabla\log p_t(x) . $$
#
# Its particles take other ways than those of the SDE, and at every
# time they have the same density. An ODE can be run backwards as
# it stands, so this is the first way back.
#
# To run noise backwards, let $\tau = T - t$ be the time
# that goes back. In (3) the sign changes:
#
# $$ \text{(4)}\qquad \frac{\partial p}{\partial \tau} = \nabla\cdot\Big(\big[f x - \tfrac12 g^2\,\nabla\log p\big]\, p\Big)
#    = -\nabla\cdot\Big(\big[-f x + g^2\,\nabla\log p\big]\, p\Big) + \tfrac12 g^2\,\Delta p . $$
#
# For the second equality $\tfrac12 g^2\,\Delta p$ was added, and
# by (2) taken away again in the bracket: there the current pushes
# towards the data with a second half of $g^2$, as much as the new
# noise spreads. And (4) is (1) once more: the Fokker-Planck equation
# of an SDE in the time $\tau$, with the drift $-fx + g^2\nabla\log p$
# and the noise $g$. In the time $t$, with $dt < 0$:
#
# $$ \text{(5)}\qquad dx = \big[f x - g^2\,\nabla\log p_t(x)\big]\, dt + g\, d\bar w . $$
#
# This is the **reverse SDE** (Anderson 1982). Five lines, and one
# idea: *noise spreads a density, and so does a drift along minus the
# score; half a $g^2$ of it does as much as the noise.* The flow has
# minus a half and no noise, the reverse SDE minus one and noise.
#
# There is another way to read (5), with words from notebook 2. Going
# back by $dt$, the reverse SDE moves $x$ by the flow's step, and in
# addition by $\tfrac12 g^2 dt\,\nabla\log p + g\sqrt{dt}\, z$. This is
# a step of Langevin dynamics with $\alpha = g^2 dt$. It leaves $p_t$
# as it is, up to terms of $dt^2$, and it repairs what was wrong. So the reverse SDE is the
# flow with a Langevin step after each step: annealed Langevin
# dynamics, the method of NCSN, with a flow that carries the chains
# from one level to the next. (Exercise 2 puts in more of it or
# less.)
#
# Do the five lines hold? The three right-hand sides, of VP at $t = 0.3$ on our two peaks, by
# finite differences. (In the time $\tau$ the sign of $\partial p$
# changes, and so do those of both terms of (4).) `carried` is the
# divergence of what is carried along, `bend` the second derivative:

# %%
sde, t, h = VP(), 0.3, 1e-3
f, g2 = sde.drift_rate(t), sde.variance_rate(t)


def p_at(x, t):  # the density of x_t under VP
    return data.log_prob(x / sde.scale(t), sde.sigma(t)).exp() / sde.scale(t)


def carried(share):  # -d/dx of [(f x - share g^2 score) p]
    flux = [(f * y - share * g2 * sde.score(data, y, t)) * p_at(y, t)[:, None] for y in (x + h, x - h)]
    return -(flux[0] - flux[1])[:, 0] / (2 * h)


# %%
x = torch.linspace(-3, 3, 601, dtype=F64)[:, None]
true = (p_at(x, t + h) - p_at(x, t - h)) / (2 * h)
bend = (p_at(x + h, t) - 2 * p_at(x, t) + p_at(x - h, t)) / h**2
right_sides = {
    "(1) drift and noise": carried(0) + g2 / 2 * bend,
    "(3) flow": carried(0.5),
    "(4) reverse SDE": carried(1) - g2 / 2 * bend,
}
for name, value in right_sides.items():
    error = (value - true).abs().max()
    print(f"{name:20}: off dp/dt by {error:.0e} at most; dp/dt goes up to {true.abs().max():.2f}")
    assert error < 1e-3

# %% [markdown]
# **Write it.** One step of (5) from $t$ to $t - dt$, where `dt` is
# positive and `s` is the score at `x`.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_back(x, s, f, g, dt, z):
#     return x - (f * x - g**2 * s) * dt + g * math.sqrt(dt) * z
# ```
# </details>


# %%
def my_back(x, s, f, g, dt, z):  # x, s and z: (B, D); returns (B, D)
    ...


practice.reverse_step(my_back)

# %% [markdown]
# **Write it.** The slope $dx/dt$ of the flow.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_slope(x, s, f, g):
#     return f * x - 0.5 * g**2 * s
# ```
# </details>


# %%
def my_slope(x, s, f, g):  # x and s: (B, D); returns (B, D)
    ...


practice.flow_slope(my_slope)

# %% [markdown]
# **By hand.** Let the data be $\mathcal{N}(0, 1)$ and the SDE be VP.
# Then $x_t$ is $\mathcal{N}(0, 1)$ at every time, and its score is
# $-x$. The flow's slope is
# $-\tfrac12\beta x - \tfrac12\beta \cdot (-x) = 0$: every particle
# stands still, and the density stays what it is. The reverse SDE has
# the drift $-\tfrac12\beta x + \beta x = \tfrac12\beta x$. Gone
# through with $dt < 0$ this pulls to 0, just as VP does forward, and
# the noise spreads as much. So this process looks the same in both
# directions, and after a time nothing is left of where a particle
# began. Both ways keep $\mathcal{N}(0, 1)$, one by doing nothing and
# the other by stirring. Try your two functions on it:
# `my_slope(x, -x, -beta / 2, beta**0.5)` is 0.
#
# In both, $f x$ undoes what the scale did, and the score brings the
# particles together. If you mix up a sign, the particles run away,
# and you will see it at once. If you mix up the half, nothing runs
# away, and the density is wrong all the same: the trap at the end of
# this section has the numbers.
#
# **Where to stop.** Samplers do not go down to $t = 0$ but to a small
# $t_{\min}$: $10^{-5}$ for VE and 0.001 for VP, as in the paper. There
# the noise is 0.01. At $t = 0$ there may be no score at all: images
# lie near a surface of few dimensions (notebook 5), and the score
# grows like $1/\sigma$ as the noise goes. A net does not know it
# there. The last noise is taken away in one step, by Tweedie's
# formula, or left in.
#
# The library's version is a loop around your step. `OnPath` is the
# score in the letters of the SDE, and `path_of` cuts the time:

# %%
show(ne.reverse_sde, docstring=False)

# %% [markdown]
# (`denoising` is that last step.)
#
# **Predict:** 24 particles start at $t = 1$ and go back by the flow,
# and again by the reverse SDE, in 200 steps of VP. How many of them
# end at the same peak both times?
#
# <details><summary>Answer</summary>
#
# A little more than half. The reverse SDE forgets its start, and chance decides,
# 0.3 to 0.7: both ways lead left with the probability $0.3^2$ and right with
# $0.7^2$, which is 0.58 together. What they have in common is the density: the
# histograms of 2000 particles agree with the exact curve.
# </details>

# %%
begin = sde.prior(2000, 1, generator=generator, dtype=F64)
back = {
    "reverse SDE": [begin, *(s.x for s in ne.reverse_sde(data, begin, sde, n_steps=200, generator=generator))],
    "flow": [begin, *(s.x for s in ne.probability_flow(data, begin, sde, n_steps=200))],
}
walk_left, flow_left = (path[-1] < -0.25 for path in back.values())
same = (walk_left == flow_left).double().mean()
print(f"{same:.2f} of 2000 particles end at the same peak both times; by chance it would be 0.58")
assert abs(same - 0.58) < 0.04

# %%
fig, axes = plt.subplots(1, 4, figsize=(11, 3.2), width_ratios=(3, 1, 3, 1))
y = torch.linspace(-3, 3, 241, dtype=F64)
for (name, path), ax, side in zip(back.items(), axes[::2], axes[1::2], strict=True):
    for line, left in zip(torch.cat(path, 1)[:24], flow_left[:24, 0], strict=True):
        ax.plot(sde.times(201), line, lw=0.8, color=PURPLE if left else ORANGE)
    side.hist(path[-1][:, 0], 60, density=True, orientation="horizontal", color=BLUE, alpha=0.4)
    side.plot(p_at(y[:, None], sde.t_min), y, color="black")
    ax.set(title=name, xlabel="$t$, from right to left", ylabel="$x_t$", ylim=(-3, 3))
    side.set(title="ends", xlabel="density", ylim=(-3, 3), yticks=[])
errors = {name: off(path[-1], sde, sde.t_min) for name, path in back.items()}
alt = (
    "Left, jagged paths of the reverse SDE from noise to two peaks; right, smooth paths of the flow from the same "
    "starts, which do not cross. Beside each a histogram of the ends, on the exact density with its two peaks."
)
caption = "The same starts by the reverse SDE and by the flow: other ways, one density. Colours: where the flow leads."
tolerance = {"reverse SDE": 0.002, "flow": 1e-4}
save_figure(fig, "sde_back", alt=alt, caption=caption, numbers=errors, tolerance=tolerance)

# %% [markdown]
# On the left the colours are mixed at the data: where the flow
# leads says little about where the walk ends. On the right they
# cannot mix. Each path of the flow is a curve of the current, and
# in between the paths the share of particles never changes.
#
# Both histograms agree with the curve. "Agree" deserves a test. The
# energy test asks whether two sets of samples come from one
# distribution, and answers with a p-value. To know what such a test
# can see we also give it ends that were moved by 0.15 of a standard
# deviation: it must find them.

# %%
z = torch.randn(1000, 1, generator=generator, dtype=F64)
truth = sde.scale(sde.t_min) * (data.sample(1000, generator=generator) + sde.sigma(sde.t_min) * z)
sets = {name: path[-1][:1000] for name, path in back.items()}
sets["moved by 0.15"] = sets["flow"] + 0.15 * truth.std()
p_values = {name: ne.energy_test(x, truth, generator=generator)[1] for name, x in sets.items()}
for name, p_value in p_values.items():
    print(f"{name:13}: p = {p_value:.2f}")
assert min(p_values["reverse SDE"], p_values["flow"]) > 0.02 > p_values["moved by 0.15"]

# %% [markdown]
# **Trap: an ODE by dropping $dw$.** "Leave out the noise, and the
# SDE becomes an ODE." It does, but not ours. VE has no drift. Drop
# $dw$ and $dx = 0$ is left: nothing moves. Drop it from the reverse
# SDE, and the drift that made up for noise is still there: the score
# has all of $g^2$ and not a half, and the particles are pushed
# together until they all end on one point of one peak. The other way
# round, with the flow's half and with noise, they are spread too far.
# (VP without $dw$ multiplies the data by $s(1) = 0.0066$: it shrinks
# them to a point, and noise never comes.)

# %%
still = start.clone()
for i in range(200):
    still = still + wide.drift(still, (i + 0.5) / 200) / 200
print(f"VE without dw: the standard deviation stays {still.std():.2f}; it should be {wide.sigma(1.0):.0f} at the end")
assert torch.equal(still, start) and abs(sde.scale(1.0) - 0.0066) < 1e-4


def gone_back(share, noise):  # from `begin`, with this share of g^2 for the score and this one of g for the noise
    x, draws = begin, torch.Generator().manual_seed(1)
    for t, before in itertools.pairwise(sde.times(401)):
        g2dt, z = sde.variance_rate(t) * (t - before), torch.randn(x.shape, generator=draws, dtype=F64)
        x = x - sde.drift(x, t) * (t - before) + share * g2dt * sde.score(data, x, t) + noise * g2dt**0.5 * z
    return x


# %%
mixed_up = {"reverse SDE without dw": gone_back(1, 0), "flow with dw": gone_back(0.5, 1)}
for name, x in ({name: path[-1] for name, path in back.items()} | mixed_up).items():
    print(f"{name:22}: standard deviation {x.std():.3f} (truth 1.172), ", end="")
    print(f"{(x < -0.25).double().mean():.2f} end left (truth 0.30)")
bare, spread_out = mixed_up.values()
assert bare.std() < 0.05 and spread_out.std() > 1.5

# %% [markdown]
# (The flow has no noise of its own. Its 0.33 is the share of these
# 2000 random starts that lie below the 30 % point of $p_1$, and the
# exact starts of the next section will have 0.30.)
#
# The explorer runs particles forward, or back by either way, and
# shows them while they go. Press **Run**.
#
# - Go **forward** under VE and then under VP. When do the purple
#   and the orange paths begin to mix?
# - Go **back** by the flow and by the reverse SDE. (Both start from
#   the same points.) Which of them can tell you, at $t = 1$, where a
#   particle will end?
# - Lower the **steps** to 10. Which of the two ways suffers more?
#
# <details><summary>Answers</summary>
#
# - VE: at about $t = 0.65$, where $\sigma$ has come to 1. VP: at $t = 0.2$ or
#   so, where it is 0.7. The time is another, the noise level about the same.
# - The flow: purple ends low, orange high, since the paths never cross.
# - The reverse SDE: its peaks are too wide, and the distance is several times
#   that of the flow.
# </details>

# %%
DiffusionExplorer(sde="VP", way="back: reverse SDE", n_steps=100)

# %% [markdown]
# ## 17.6 Solvers
#
# **Predictor and corrector.** Besides Euler-Maruyama there is a way
# to go back that undoes the discrete chain itself. From
# $x_t = r\,x_s + \mathrm{std}\; z$ Song et al. get
# $x_s = (2 - r)\,x_t + \mathrm{std}^2\,\nabla\log p_t + \mathrm{std}\; z$,
# the *reverse diffusion* step. ($2 - r$ is $1/r$ to first order. With
# $r = 1 + f\,dt$ and $\mathrm{std}^2 = g^2 dt$ it is a step of
# Euler-Maruyama on (5): the two differ in terms of $dt^2$.) For
# DDPM's chain $r = \sqrt{1 - b}$ and the variance is $b$. For
# NCSN's $r = 1$ and the variance is $\sigma_t^2 - \sigma_s^2$. This
# is the **predictor**. It leaves small errors in the density,
# and a few Langevin steps at the same time $t$ can mend them:
# they are the **corrector**,
#
# $$ x \leftarrow x + a\, s + \sqrt{2a}\; z, \qquad a = 2\left(\mathrm{snr}\;\frac{\|z\|}{\|s\|}\right)^2 . $$
#
# Where does this $a$ come from? The step moves $x$ by a signal of
# length $a\|s\|$ and by noise of length $\sqrt{2a}\,\|z\|$. Ask for
# signal : noise = snr, and solve for $a$: this is the formula. So
# `snr` = 0.16 says that in a step of the corrector the signal has one
# sixth of the length of the noise. The lengths are means over the
# batch: a chain that sits on a peak has a small score, and with a
# length of its own would be thrown out again. (Under VP the paper
# multiplies $a$ by the share of the variance that one step keeps,
# $1 - b$, which is nearly 1.)
#
# What does 0.16 cost? For a Gaussian of variance $v$ the score has
# about the length $\|z\|/\sqrt v$, so that $a = 2\,\mathrm{snr}^2 v$.
# Langevin steps of this length settle at the variance
# $v/(1 - \mathrm{snr}^2)$ (notebook 2: $v/(1 - \alpha/4v)$ with
# $\alpha = 2a$). For 0.16 this is 2.6 % too much. Measured with
# 3000 chains in 8 dimensions, which is good to about 0.01:

# %%
normal = GaussianMixture(torch.ones(1, 8, dtype=F64), 0.25)
for snr in (0.08, 0.16, 0.32):
    x = VE(0.01, 20).prior(3000, 8, generator=generator, dtype=F64)
    end = last(ne.predictor_corrector(normal, x, VE(0.01, 20), n_steps=400, snr=snr, generator=generator))
    ratio = end.var(0).mean() / (0.25 + 0.01**2)
    print(f"snr {snr}: variance {ratio:.3f} times what it should be; theory {1 / (1 - snr**2):.3f}")
    assert abs(ratio - 1 / (1 - snr**2)) < 0.03

# %% [markdown]
# A larger snr corrects more in a step, and leaves the samples wider.
# The paper found 0.16 by looking at samples. For images the price is
# lower than for this Gaussian. At small noise their score has the
# length $\|z\|/\sigma$, as it points across the thin surface on which
# images lie. So $a$ is about $2\,\mathrm{snr}^2\sigma^2$, and what is
# too much is 2.6 % of the last noise.
#
# **The flow has no noise**, so that all the solvers of a hundred
# years can be used for it. Two have fixed steps. Euler's is of
# order 1. **Heun's** takes an Euler step, asks for the slope there
# too, and starts again with the mean of both:
#
# $$ \tilde x = x + v(x, t)\, dt, \qquad x_{\text{new}} = x + \tfrac12\big[v(x, t) + v(\tilde x, t + dt)\big]\, dt . $$
#
# A mean of the slopes at both ends follows the bend of the curve.
# What is missed in one step is about $dt^3$, and $dt^2$ in all:
# order 2, for two evaluations of the net in each step.
#
# On a line everything about the flow is known. It keeps
# the order of points, so that the point with 30 % of the particles
# below it at $t = 1$ ends where 30 % of the data are below. So we
# know where each point has to end, to the last digit, and need no
# finer solver as a judge. We start 200 quantiles of the density at
# $t = 1$ and compare where they end with those at $t_{\min}$.
#
# **Predict:** from 40 steps to 320, by what factor does the error of
# each fall? And how many evaluations does each take for an error of
# 0.001?
#
# <details><summary>Answer</summary>
#
# 8 times as many steps, to the power of the order: Euler by 8, Heun by 64 (56 in
# the figure, where 40 steps are not small yet). For 0.001 Heun takes about 130
# evaluations, and Euler 350. Where 0.01 is enough they are alike; every further
# digit costs Euler ten times as much, and Heun three times.
# </details>

# %%
shares = (torch.arange(200) + 0.5) / 200
top = sde.scale(1.0) * ne.quantiles(data, shares, sde.sigma(1.0))
bottom = sde.scale(sde.t_min) * ne.quantiles(data, shares, sde.sigma(sde.t_min))
curves = {"euler": {}, "heun": {}}
for solver, errors in curves.items():
    for n in (10, 20, 40, 80, 160, 320):
        end = last(ne.probability_flow(data, top, sde, n_steps=n, solver=solver))
        errors[n] = (end - bottom).abs().mean().item()

# %%
slopes = {solver: math.log2(errors[160] / errors[320]) for solver, errors in curves.items()}
for solver, errors in curves.items():
    listed = ", ".join(f"{n}: {error:.1e}" for n, error in errors.items())
    print(f"{solver:5}, steps: error {listed}; order {slopes[solver]:.2f}")
assert abs(slopes["euler"] - 1) < 0.15 and abs(slopes["heun"] - 2) < 0.15

# %% [markdown]
# The **adaptive** solver chooses its steps itself. It is scipy's
# pair of Runge-Kutta methods of orders 5 and 4: both use the same
# evaluations, and their difference says what a step errs. If this
# is more than the tolerance the step is taken again, shorter. You
# say how exact, and not how many steps. (`odes.py` steps the solver
# by hand. A State comes after each step, and a solver that gives up
# is an error and no result. The whole batch shares its steps, which
# are as short as its hardest row needs them.)
#
# The price is that nobody knows beforehand how often the net will be
# asked. We count, for five tolerances:

# %%
adaptive, asked = [], []  # of (evaluations, error), and of the calls of one run


def counted(x, sigma):  # the score, which notes that it was asked
    asked.append(sigma)
    return data(x, sigma)


# %%
for k in (2, 3, 4, 5, 6):
    asked.clear()
    end = last(ne.probability_flow(counted, top, sde, solver="adaptive", rtol=10.0**-k, atol=10.0**-k))
    adaptive.append((len(asked), (end - bottom).abs().mean().item()))
    print(f"tolerance 1e-{k}: error {adaptive[-1][1]:.0e} with {len(asked):3} evaluations")
    assert adaptive[-1][1] < 10.0**-k

# %%
fig, ax = plt.subplots(figsize=(6.2, 3.6))
for solver, color in (("euler", GREEN), ("heun", BLUE)):
    asks, name = (1, "Euler") if solver == "euler" else (2, "Heun")
    ax.loglog([asks * n for n in curves[solver]], list(curves[solver].values()), "o-", color=color, label=name)
ax.loglog(*zip(*adaptive, strict=True), "s-", color=RED, label="adaptive")
ax.set(xlabel="evaluations of the score", ylabel="mean error at the end")
ax.legend()
alt = (
    "The error of three solvers of the flow against evaluations, both logarithmic. Euler falls by one decade in a "
    "decade, Heun by two; the adaptive one begins at 50 evaluations, lies lowest, and falls most steeply."
)
caption = "Errors against the exact ends, for VP on two peaks: lines of slope 1 and 2, and the adaptive solver."
save_figure(fig, "sde_orders", alt=alt, caption=caption, numbers=slopes)

# %% [markdown]
# The adaptive solver wins because of its order, 5, and because it
# spends its steps where the flow bends: at small $t$, where the
# peaks form. Its tolerance is for one step and the hardest row. The
# mean error at the end comes out at a fifth to a twentieth of it
# here, which is no law. With too few evaluations it gives up, and says so:

# %%
try:
    last(ne.probability_flow(data, top, sde, solver="adaptive", max_evaluations=30))
except NotSolved as error:
    print(error)

# %% [markdown]
# **There and back.** The flow can be run upwards too: `encode` takes
# $x$ at $t_{\min}$ to its noise at $t = 1$, and the flow down
# decodes it again. No encoder was trained: the code of an image is
# where the current comes from that leads to it. The reverse SDE has
# nothing like it, since its noise is drawn anew each time. What
# comes back differs by the solver's error in both directions, in
# units in which the data have a width of about 1:

# %%
points = bottom[::10]
for options in ({"n_steps": 20}, {"n_steps": 80}, {"n_steps": 320}, {"solver": "adaptive"}):
    code = last(ne.encode(data, points, sde, **options))
    again = last(ne.probability_flow(data, code, sde, **options))
    name = f"Heun, {options['n_steps']} steps" if "n_steps" in options else "adaptive, 1e-5"
    print(f"{name:15}: comes back to within {(again - points).abs().max():.0e}")
assert (again - points).abs().max() < 1e-3

# %% [markdown]
# For codes that are to be taken seriously, twenty steps of Heun are
# too few, although the pictures of section 17.8 will look the same.
#
# The next explorer puts all solvers side by side, the random ones
# too. The error is the distance of 500 ends to the exact density, as
# `off` computes it above.
#
# - Under VP, take the **flow, Heun** with 20, 100 and 200 steps. What
#   order does the line find?
# - Choose the **reverse SDE**. From how many steps on does its curve
#   not fall any more? Why?
# - Under VE, how many evaluations does the flow need for 0.05, by
#   Heun and by Euler?
#
# <details><summary>Answers</summary>
#
# - 1.7, 1.9 and 2.0: the order is a statement about small steps.
# - From 20 or so, at about 0.03 (and 0.1 at 40 steps, by chance). The rest is the
#   scatter of 500 random particles; with more of them the curve would fall further.
# - Heun about 20 (10 steps), and Euler about 80.
# </details>

# %%
SolverExplorer(sde="VP", solver="flow, Heun", n_steps=20)

# %% [markdown]
# **Where the samplers of the other notebooks are.** With the words
# of this section they can be told in a line each.
#
# | sampler | is | notebook |
# |---|---|---|
# | annealed Langevin dynamics | the corrector alone, at each level | 7 |
# | ancestral sampling, DDPM's | a predictor alone, exact for a single image | 13, 16 |
# | DDIM with $\eta = 0$ | Euler's method for the flow, with $\sigma$ as the time | 16 |
# | consistent annealed sampling | DDIM's step with another share of fresh noise | 13 |
# | `reverse_sde` | Euler-Maruyama for (5) | 17 |
# | `predictor_corrector` | both in turn | 17 |
# | `probability_flow` | the flow, by Euler, Heun or adaptive | 17 |
#
# **Which time?** The third line hints at a choice that has been
# open since section 17.3. The path of data with growing noise is one.
# The clock $t$ and the scale are ours. The simplest take no letters
# at all: scale 1 and $\sigma(t) = t$ (Karras et al. 2022; `EDM` in
# `ncsn_edu`). The flow is then $dx/d\sigma = -\sigma\,\mathrm{score}(x, \sigma)$,
# its paths are straight where the noise is large, and any ladder of
# noise levels is a row of times. This is why all samplers here take
# a ladder in the place of an SDE.
#
# The choice does not change where the flow leads, only where a
# solver spends its steps. It does change what equal steps mean:

# %%
clocks = {"VE": VE(0.01, 80), "EDM": ne.EDM(0.01, 80), "VP": VP()}
clock_errors = {}


def ends_of(clock):  # quantiles at T, and where the flow has to take them
    return [clock.scale(t) * ne.quantiles(data, shares, clock.sigma(t)) for t in (clock.T, clock.t_min)]


# %%
for name, clock in clocks.items():
    first, final = ends_of(clock)
    flows = [last(ne.probability_flow(data, first, clock, n_steps=n)) for n in (20, 80)]
    clock_errors[name] = [(x - final).abs().mean().item() for x in flows]
first, final = ends_of(clocks["EDM"])
flows = [last(ne.probability_flow(data, first, ne.karras(80, 0.01, n + 1))) for n in (20, 80)]
clock_errors["EDM, ladder of Karras"] = [(x - final).abs().mean().item() for x in flows]
for name, (few, many) in clock_errors.items():
    print(f"{name:21}: error {few:.4f} with 20 steps of Heun, {many:.4f} with 80")
assert clock_errors["EDM"][1] > 10 * clock_errors["EDM, ladder of Karras"][1]

# %% [markdown]
# Equal steps of VE's $t$ are equal factors of $\sigma$, and each
# takes the same share of the noise away. Equal steps of
# $\sigma$ itself are wasted: nearly all of them lie where the noise
# is larger than the data and nothing is decided, and the last one
# has to do everything. So Karras et al. take the time
# $\sigma$ and levels in equal steps of $\sigma^{1/7}$, the ladder
# `karras`. VP's own clock is good as it is. It runs fast where the
# noise is large, and slowly at the end.
#
# ## 17.7 How likely is an image?
#
# Follow one particle of the flow, $dx/dt = v(x, t)$, and the
# density at its place. By the chain rule, and by equation (3), which
# reads $\partial p/\partial t = -\nabla\cdot(v p) = -v\cdot\nabla p - p\,\nabla\cdot v$:
#
# $$ \frac{d}{dt}\log p_t(x_t) = \frac{1}{p}\Big(\frac{\partial p}{\partial t} + v\cdot\nabla p\Big) = -\nabla\cdot v . $$
#
# Where the flow spreads, the density falls. (The density at a *fixed*
# place changes by $\partial p/\partial t$. Who drifts with the
# current sees $v\cdot\nabla p$ on top, and the two together leave the
# divergence alone.) Integrated from the image to the noise, whose
# density is known:
#
# $$ \log p_0(x_0) = \log p_T(x_T) + \int_0^T \nabla\cdot v(x_t, t)\, dt . $$
#
# This is the change of variables of probability theory, cut into
# infinitely small pieces: the logarithm of a determinant has become
# the integral of a trace. One more number is carried along in the
# solver, and the likelihood is there. No bound, and no encoder: VAE
# and DDPM have a bound only. Nor is there a condition on the net, as
# there is for models that are built to have determinants which are
# easy to compute (normalising flows).
#
# Compare what the two are models *of*. The bound of notebook 16 is
# for the random chain. The likelihood here is for the flow with the
# same net. With the exact score both are the data's density. With a
# net's they are two models that share a net, and their numbers
# need not be in any order.
#
# The divergence of $v$ is the trace of its Jacobian. In
# $D$ dimensions the exact trace takes $D$ backward passes. On
# mixtures we can compare with the truth, in 2 and in 10 dimensions:


# %%
def log_density_at(mixture, t):  # of x_t under VP: the density of x_t / scale, and the change of units
    scale, sigma = sde.scale(t), sde.sigma(t)
    return lambda x: mixture.log_prob(x / scale, sigma) - x.shape[1] * math.log(scale)


# %%
for dim in (2, 10):
    means = 2 * torch.randn(3, dim, generator=generator, dtype=F64)
    mixture = GaussianMixture(means, torch.tensor([0.3, 1.0, 0.5]), [0.5, 0.3, 0.2])
    x = sde.scale(sde.t_min) * mixture.sample(20, generator=generator)
    true = log_density_at(mixture, sde.t_min)(x)
    for name, prior in (("the exact p_T", log_density_at(mixture, 1.0)), ("N(0, I)", None)):
        log_p = ne.log_likelihood(mixture, x, sde, n_projections=None, rtol=1e-6, atol=1e-6, prior=prior)
        print(f"{dim:2}-D, prior {name:13}: off the exact log p by {(log_p - true).abs().max():.0e} nats at most")
        assert (log_p - true).abs().max() < (1e-3 if prior else 0.2)

# %% [markdown]
# "The exact $p_T$" uses what only a mixture has, the density of
# $x_T$ in closed form, so that nothing but the solver's error is
# left. It is below a thousandth of a nat. What the
# second lines show is no error of the flow: it is how much of the
# data is left in $x_T$. If the *model* is noise from
# $\mathcal{N}(0, I)$ and then the flow, its likelihood is that of the
# second lines.
#
# **Hutchinson's estimate.** For images $D$ backward passes are too
# many. Draw a random $u$ with $\mathbb{E}[u u^\top] = I$. Then
#
# $$ \mathbb{E}[u^\top J u] = \sum_{ij} J_{ij}\, \mathbb{E}[u_i u_j] = \sum_i J_{ii} = \mathrm{tr}\, J , $$
#
# and $u^\top J$ is one backward pass, as in the sliced loss of
# notebook 4. $u$ may have entries of $\pm 1$ (*Rademacher*) or
# be normal. The same $u$ is used along the whole flow, so that the
# solver sees a smooth function. The estimate is unbiased, and
# scatters. We take 20 points of the mixture in 10 dimensions, 20
# estimates for each, and compare with the exact trace. The bias is
# given in standard errors: beyond 3 or so it would be real.

# %%
many = x.repeat(20, 1)  # (400, 10)
options = {"solver": "heun", "n_steps": 40}
target = ne.log_likelihood(mixture, x, sde, n_projections=None, **options).repeat(20)
spread = {}
for distribution in ("rademacher", "gaussian"):
    for n in (1, 4, 16):
        draws = {"n_projections": n, "distribution": distribution, "generator": generator}
        misses = ne.log_likelihood(mixture, many, sde, **draws, **options) - target
        spread[distribution, n], z = misses.std().item(), misses.mean().item() / misses.std().item() * 20
        print(f"{distribution:10}, {n:2} projections: spread {misses.std():.2f} nats, bias {z:+.1f} standard errors")
        assert abs(z) < 4
assert all(spread["rademacher", n] < spread["gaussian", n] for n in (1, 4, 16))

# %% [markdown]
# Four times as many projections, half the spread. Signs scatter
# less than normal numbers: the diagonal of $J$ comes out without
# any error, since $(\pm1)^2 = 1$, and only the other entries are
# noise. (What is estimated is the divergence of all of $v$. Where $v$
# is nearly 0, as at large $t$ under VP, its two parts cancel for
# each $u$. Taking the drift's part exactly and only the score's by
# $u$ sounds better, and for normal $u$ it is ten times worse.) One
# reports the mean over many images, and one projection
# for each is enough for that, as the scatter averages out together
# with the one between images.
#
# **Bits per dimension.** Images are stored in whole numbers $k$ from
# 0 to $L - 1$, and a density says nothing about whole numbers. One
# fills the gaps: $y = (k + u)/L$ with $u$ uniform in $[0, 1)$, which
# lies in $[0, 1]$. The probability of $k$ is the integral of the
# density over its cell of side $1/L$, and by Jensen's inequality
#
# $$ -\frac{1}{D}\log_2 P(k) \;\le\; \mathbb{E}_u\left[-\frac{\log p(y)}{D \log 2}\right] + \log_2 L . $$
#
# The number says how many bits a pixel takes in a file, if a coder
# uses the model as well as can be (notebook 15 has more on nats and
# bits). The last term is the **offset**, and it is where numbers go
# wrong. It is there because a density is one for each unit of $y$, and
# a cell is only $1/L$ of a unit. A check that costs nothing: the uniform density on $[0, 1]^D$ knows
# nothing, and must score $\log_2 L$.

# %%
for levels in (17, 256):
    score = ne.bits_per_dim(torch.zeros(1, dtype=F64), 64, levels).item()
    print(f"uniform density, {levels:3} levels: {score:.9f} bits, log2 {levels} = {math.log2(levels):.9f}")
    assert abs(score - math.log2(levels)) < 1e-9

# %% [markdown]
# **Trap: the offset.** Two ways to lose it. Without $+\log_2 L$ one
# reports the bits of a density, which may be negative and depend on
# the unit. And nets that work in $[-1, 1]$ have cells that are twice
# as wide. Their density is half as large in each dimension, and the
# offset is $\log_2(L/2)$: with $\log_2 L$ every number is one bit
# too large. (The uniform density on $[-1, 1]^D$ has the logarithm
# $-D\log 2$, and would score $\log_2 L + 1$.) The nets of this collection are for images in
# $[0, 1]$ whose greys are $k/(L - 1)$, so that a cell has side
# $1/(L - 1)$. Our digits have 17 greys.
#
# `bits_of_images` draws a place in each cell, runs the flow from
# there to the net's largest noise, and puts the offset right. (What
# it takes is `log_likelihood` with the net's own range of $\sigma$ as
# the time, as Karras et al. 2022 have it.) For 32 held-out digits
# and two nets:

# %%
held_out = datasets.load("digits", split="test")[0][:32].float() / 255
results = {}
for name in ("ddpm_digits", "ncsnv2_digits"):
    net = load_trained(name)
    options = {"levels": 17, "rtol": 1e-3, "atol": 1e-3, "generator": torch.Generator().manual_seed(1)}
    results[name] = ne.bits_of_images(net.score, held_out, net.sigmas, **options)
    mean, error = results[name].mean().item(), results[name].std().item() / 32**0.5
    print(f"{name:13}: ≈ {mean:.2f} bits a pixel (standard error ≈ {error:.2f}); uniform {math.log2(17):.2f}")
    print(f"    without the offset ≈ {mean - math.log2(17):.2f}, with log2 17 for a net in [-1, 1] ≈ {mean + 1:.2f}")
    assert 1.8 < mean < 2.6

# %% [markdown]
# A uniform model takes 4.09 bits for each pixel, and the nets about
# half of that: 64 pixels in 16 or 17 bytes. (The wrong offsets look no less
# plausible. A negative number of bits should wake us up. One bit
# too many would not.) Is this good? A Gaussian with the mean and the
# covariance of the training images is a fair rival. It knows all
# pairs of pixels, and nothing else:

# %%
train = datasets.load("digits")[0].float() / 255


def jitter(images):  # anywhere in the cells of the 17 greys, (N, 64)
    return (images + (torch.rand(images.shape, generator=generator) - 0.5) / 16).flatten(1).double()


cells = jitter(train)
rival = torch.distributions.MultivariateNormal(cells.mean(0), cells.T.cov())
bits = ne.bits_per_dim(rival.log_prob(jitter(held_out)) + 64 * math.log(17 / 16), 64, 17)
print(f"Gaussian: {bits.mean():.2f} bits a pixel (standard error {bits.std() / 32**0.5:.2f})")
assert bits.mean() < math.log2(17)

# %% [markdown]
# The nets save 0.7 and 0.9 bits of every pixel against the Gaussian,
# 45 bits and more an image: what they know beyond pairs of pixels.
#
# **Trap: another last level.** NCSNv2 is 0.17 bits ahead, far more
# than chance. But its last level is 0.01, and DDPM's is 0.005: the
# flows end at the densities of two different things. Which level is
# asked counts, because the nets saw the 17 greys themselves and no
# places drawn from whole cells. Those scatter around the greys by
# $0.0625/\sqrt{12} = 0.018$, and a net that is told 0.005 does not
# expect so much. We start both flows at the same levels. (The
# adaptive solver takes the two ends of a ladder.)

# %%
same_level = {}
for lowest in (0.01, 0.02):
    for name in results:
        net = load_trained(name)
        options["generator"] = torch.Generator().manual_seed(1)  # the same places in the cells
        bits = ne.bits_of_images(net.score, held_out, torch.tensor([net.sigmas[0], lowest]), **options)
        same_level[name, lowest] = bits.mean().item()
        print(f"{name:13} from noise {lowest}: ≈ {same_level[name, lowest]:.2f} bits")
gap = results["ddpm_digits"] - results["ncsnv2_digits"]
assert gap.mean() > 2 * gap.std() / 32**0.5 > 0 > same_level["ddpm_digits", 0.02] - same_level["ncsnv2_digits", 0.02]
assert abs(same_level["ddpm_digits", 0.01] - same_level["ncsnv2_digits", 0.01]) < 0.05

# %% [markdown]
# From the same 0.01 the two are alike, and from 0.02 DDPM is ahead.
# (NCSNv2's net is not told the level, so that its flow is the same at
# each.) Bits without the last level beside them say little. The
# samples do tell the nets apart. Their cards have the Fréchet
# distance of samples to held-out digits and the precision, the share
# of samples among real ones:

# %%
cards = json.loads((WEIGHTS / "digits_compared.json").read_text())
for name, key in (("ncsnv2_digits", "NCSNv2"), ("ddpm_digits", "DDPM, 1000 steps")):
    card, mean = cards[key], same_level[name, 0.01]
    judged = f"distance {card['Frechet distance']['value']:.1f}, precision {card['precision']['value']:.2f}"
    print(f"{name:13}: ≈ {mean:.2f} bits from 0.01, {judged}")
assert cards["DDPM, 1000 steps"]["precision"]["value"] > cards["NCSNv2"]["precision"]["value"]

# %% [markdown]
# Equal bits and unequal samples are no contradiction. Likelihood asks
# what the model thinks of *given* images, down to the noise in their
# last digits. Samples are judged by what the eye and a classifier see.
# A model may be good at one and not at the other (Theis et al. 2016).
# Report both.
#
# (On the command line: `python -m ncsn_edu evaluate ddpm_digits
# --bits`. For MNIST with its 256 greys, `ddpm_mnist` needs 1.43 bits
# a pixel, give or take 0.07, of 16 images.)
#
# A net that knows its own levels only, such as NCSN, has no score
# between them, and an adaptive solver asks there:

# %%
try:
    last(ne.encode(load_trained("digits").score, held_out, load_trained("digits").sigmas, solver="adaptive"))
except ValueError as error:
    print(error)

# %% [markdown]
# ## 17.8 Digits, by every way back
#
# One net of notebook 16, and four ways from the same noise. The net
# gives the score of images in $[0, 1]$. VP is made for values in
# $[-1, 1]$, whose variance is about 1. `AffineScore` changes the
# units. Then every sampler of this notebook runs with the net as it
# ran with the two peaks: nothing else is different.
#
# **Predict:** which rows of the next figure will agree with each
# other, column by column?
#
# <details><summary>Answer</summary>
#
# The first two: Heun with 20 steps and the adaptive solver follow the same
# flow, from the same starts. The reverse SDE draws noise on its way and ends
# at other digits, each time it is run.
# </details>

# %%
net = load_trained("ddpm_digits")
score = AffineScore(net.score, 0.5, 0.5)  # of 2 x - 1
vp, begin = VP(), VP().prior(12, 1, 8, 8, generator=generator)
rows = {
    "flow, Heun, 20 steps": last(ne.probability_flow(score, begin, vp, n_steps=20)),
    "flow, adaptive, 1e-3": last(ne.probability_flow(score, begin, vp, solver="adaptive", rtol=1e-3, atol=1e-3)),
    "reverse SDE, 200 steps": last(ne.reverse_sde(score, begin, vp, n_steps=200, denoising=True, generator=generator)),
    "predictor-corrector, 100": last(ne.predictor_corrector(score, begin, vp, n_steps=100, generator=generator)),
}

# %%
fig, axes = plt.subplots(4, 1, figsize=(8, 3.4))
for ax, (name, x) in zip(axes, rows.items(), strict=True):
    plots.images(ax, (x + 1) / 2, columns=12)
    ax.text(-2, 4, name, ha="right", va="center", fontsize=9)
first, *others = rows.values()
gaps = [(x - first).square().mean().sqrt().item() for x in others]
print("root mean square distance from the first row: ≈ " + ", ≈ ".join(f"{gap:.2f}" for gap in gaps))
assert gaps[0] < 0.2 < min(gaps[1:])
alt = (
    "Four rows of twelve digits, made from the same twelve noise images. The two rows of the flow are the same digits; "
    "those of the reverse SDE and of predictor and corrector are other digits in most columns."
)
caption = "One net, one noise a column: the flow leads to one picture, the random ways to another each time."
save_figure(fig, "sde_digits", alt=alt, caption=caption)

# %% [markdown]
# The flow makes a *dictionary* between noise and images: each noise
# has its digit. The random ways do not. What all rows have in
# common is the distribution that the columns are drawn from.
#
# The adaptive solver agrees with Heun's 20 steps to within what the
# eye sees. For pictures one does not need more. For likelihoods and
# codes one does.
#
# The flow turns images into noise as well. We encode two held-out
# digits, and decode points between their codes. Draws from
# $\mathcal{N}(0, I)$ in 64 dimensions all have a length of about
# $\sqrt{64} = 8$, and codes should look like draws. So we go along an
# arc, on which the length hardly changes, and not along a chord, whose
# middle would be shorter by a factor of $\sqrt2$.
#
# **Predict:** what will the picture in the middle be: a blend of the
# two digits, as from pixels, or a digit?
#
# <details><summary>Answer</summary>
#
# A digit, or nearly one: every point of the arc is a likely noise image, and
# the flow brings each to where the data are. A mean of pixels is a double
# exposure.
# </details>

# %%
ends = 2 * held_out[[3, 5]] - 1
codes = last(ne.encode(score, vp.scale(vp.t_min) * ends, vp, solver="adaptive", rtol=1e-4, atol=1e-4))
angle = torch.linspace(0, math.pi / 2, 9)[:, None, None, None]
arc = angle.cos() * codes[:1] + angle.sin() * codes[1:]
decoded = last(ne.probability_flow(score, arc, vp, solver="adaptive", rtol=1e-4, atol=1e-4)) / vp.scale(vp.t_min)
share = torch.linspace(0, 1, 9)[:, None, None, None]
blend = (1 - share) * ends[:1] + share * ends[1:]
trip = (decoded[[0, 8]] - ends).abs().max().item()
print(f"the two ends come back to within ≈ {trip:.3f}; ", end="")
print("lengths of their codes " + ", ".join(f"≈ {length:.1f}" for length in codes.flatten(1).norm(dim=1)))
assert trip < 0.05

# %%
fig, axes = plt.subplots(2, 1, figsize=(7, 1.9))
for ax, (name, x) in zip(axes, {"by codes": decoded, "by pixels": blend}.items(), strict=True):
    plots.images(ax, (x + 1) / 2, columns=9)
    ax.text(-2, 4, name, ha="right", va="center", fontsize=9)
alt = (
    "Two rows of nine pictures between two held-out digits. Above, decoded from codes between theirs: each is a digit "
    "or nearly one. Below, mixtures of pixels: a double exposure in the middle."
)
caption = "From one held-out digit to another, through the noise and through the pixels."
save_figure(fig, "sde_between", alt=alt, caption=caption)

# %% [markdown]
# **Which way back, then?** For pictures in few evaluations, the flow
# by Heun. For codes, interpolation and likelihoods, the flow with
# an adaptive solver, as exact as is needed. Where there is time and
# the score is imperfect, a random way: its noise and its Langevin
# part forget the errors of early steps, while the flow carries them
# to the end. Notebook 18 has the numbers for all nets.
#
# The codes of the two digits are longer than 8. Is the net surprised by
# what it has not seen? Here are the codes of 32 digits of either kind:

# %%
lengths = {}
for name, x in (("held-out", held_out), ("training", train[:32])):
    code = last(ne.encode(score, vp.scale(vp.t_min) * (2 * x - 1), vp, solver="adaptive", rtol=1e-3, atol=1e-3))
    lengths[name] = code.flatten(1).norm(dim=1)
    print(f"{name} digits: length of a code ≈ {lengths[name].mean():.1f}, scatter ≈ {lengths[name].std():.1f}")
assert lengths["training"].mean() + 1 < lengths["held-out"].mean()

# %% [markdown]
# Draws have 8, with a scatter of 0.7. The codes of training digits are
# shorter: they lie nearer to the middle of the noise, where the
# density is larger. So the net knows the digits that it was trained
# on, and has learned more about them than holds for all digits
# (overfitting). In bits: a hundred training digits take 1.91 a pixel,
# and a hundred held-out ones 2.21. This is why likelihoods are
# reported for held-out images.
#
# ## What you should be able to do now
#
# - Say what an ODE, a PDE and an SDE are, and why noise comes with
#   $\sqrt{dt}$.
# - Write $x_t = s(t)(x_0 + \sigma(t) z)$ for VE and VP, and say from
#   it which score a sampler has to ask for.
# - Derive the flow and the reverse SDE from the Fokker-Planck
#   equation.
# - Choose a solver by its order, tell what snr 0.16 means, and check
#   a round trip.
# - Compute a likelihood by the flow, and its bits per dimension with
#   the right offset.
#
# ## Exercises
#
# 1. Ornstein-Uhlenbeck: for $dx = -\tfrac12 x\,dt + dw$ from
#    $x_0 = 3$, what are mean and variance at $t = 2$? Check with
#    10,000 paths.
#
#    <details><summary>Answer</summary>
#
#    $m = 3 e^{-1} = 1.104$, and $v = 1 - e^{-2} = 0.865$, since
#    $dv/dt = -v + 1$. `VP(2.0, 2.0)` is this process with a clock that goes
#    twice as fast: `VP(2.0, 2.0).kernel(1e-9, 1.0)` is (0.3679, 0.9299), and
#    $0.9299^2 = 0.865$.
#    </details>
#
# 2. Between the flow and the reverse SDE there is a family: show that
#    $dx = [f x - \tfrac12(1 + \lambda^2) g^2\,\nabla\log p]\,dt + \lambda g\,d\bar w$
#    has the same densities for every $\lambda$. Which $\lambda$ are the
#    two of this notebook? Try $\lambda = 2$ with 1000 steps.
#
#    <details><summary>Hint</summary>
#
#    In (4), add and take away $\tfrac12 \lambda^2 g^2\,\Delta p$ in the place of
#    $\tfrac12 g^2\,\Delta p$.
#    </details>
#
#    <details><summary>Answer</summary>
#
#    By (2), $\tfrac12\lambda^2 g^2\,\Delta p$ is a drift of
#    $\tfrac12\lambda^2 g^2\,\nabla\log p$. $\lambda = 0$ is the flow, 1 the reverse
#    SDE. With $\lambda = 2$ and 1000 steps of VP on the two peaks the distance
#    `off` of 2000 particles is 0.01 to 0.03, their scatter. With 60 steps (and
#    40,000 particles) the right peak comes out too wide, 0.273 and not 0.245,
#    where $\lambda = 1$ gives 0.253: more noise needs more steps.
#    </details>
#
# 3. `ncsnv2_digits` ends at $\sigma = 0.01$, `ddpm_digits` at 0.005. Suppose the
#    images had 256 greys and a model were perfect, so that at its last
#    level it has the density of the data with noise $\sigma$. For pixels
#    that are all alike, what is the lowest number of bits a pixel that
#    each could report, at the best place?
#
#    <details><summary>Answer</summary>
#
#    At the centre of a Gaussian of width $\sigma$ the density of a pixel is
#    $1/(\sqrt{2\pi}\sigma)$: 39.9 and 79.8. With the offset for greys $k/255$
#    that is $\log_2 255 - \log_2 39.9 = 2.68$ and 1.68 bits. A smaller last
#    level is a bit less for each halving. So bits per pixel of two models
#    are comparable only if both end with the same noise (or if both were
#    trained on greys that fill their cells, and end with noise far below a
#    cell). Section 17.7 has the same trap with the other sign: there the
#    smaller level costs bits, as places drawn from cells are not the best ones.
#    </details>
#
# ## References
#
# - Y. Song, J. Sohl-Dickstein, D. Kingma, A. Kumar, S. Ermon & B.
#   Poole, [Score-based generative modeling through stochastic
#   differential equations](https://arxiv.org/abs/2011.13456), ICLR
#   2021.
# - B. Anderson, Reverse-time diffusion equation models, *Stochastic
#   Processes and their Applications* 12, 1982.
# - L. Theis, A. van den Oord & M. Bethge, [A note on the evaluation
#   of generative models](https://arxiv.org/abs/1511.01844), ICLR 2016.
# - R. Chen, Y. Rubanova, J. Bettencourt & D. Duvenaud, [Neural
#   ordinary differential equations](https://arxiv.org/abs/1806.07366),
#   NeurIPS 2018: the change of the density along a flow.
# - W. Grathwohl et al., [FFJORD](https://arxiv.org/abs/1810.01367),
#   ICLR 2019: Hutchinson's estimate for it.
# - T. Karras, M. Aittala, T. Aila & S. Laine, [Elucidating the design
#   space of diffusion-based generative
#   models](https://arxiv.org/abs/2206.00364), NeurIPS 2022: Heun's
#   method, and $\sigma(t) = t$.
#
# Next: [18 · Any model, any sampler](18_any_model_any_sampler.ipynb)
# runs every net under every sampler. How the score is told what is
# wanted, a class, half of an image, or its grey version, is the
# subject of [19 · Conditions](19_conditions.ipynb).
