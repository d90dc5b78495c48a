# %% [markdown]
# # 2 · Langevin dynamics
#
# *Reading and trying: about 30 minutes. Running every cell: about 20 seconds on a laptop, at full scale (two dimensions).*
#
# Notebook 1 ended with a balance: climbing along the score pulls points together,
# fresh noise drives them apart, and the two cancel when the points are distributed
# like $p$. This notebook makes a sampler of that balance, and takes it apart:
#
# - **Langevin dynamics**, the sampler inside everything that follows;
# - the four names under which its step size goes in papers and code, a rich source
#   of bugs;
# - its **bias** at a finite step, predicted by a formula and then measured, and the
#   step at which it **explodes**;
# - the **Metropolis correction** that removes the bias;
# - and the first sign of a problem that no step size solves.

# %%
import math

import torch
from matplotlib import pyplot as plt

import ncsn_edu as ne
from ncsn_edu import GaussianMixture, every, langevin, last, mala, mode_weights, save_figure, show
from ncsn_edu.plots import BLUE, GREEN, GREY, ORANGE, RED, density, trajectories, use_style
from ncsn_edu.widgets import LangevinExplorer

use_style()

# %% [markdown]
# ## 2.1 One step
#
# From any $x_0$, repeat (Song & Ermon 2019, eq. 4; $z$ is fresh standard normal
# noise in each step):
#
# $$ x \;\leftarrow\; x + \frac{\alpha}{2}\, \nabla \log p(x) + \sqrt{\alpha}\, z . $$
#
# As $\alpha \to 0$ and the number of steps grows, the distribution of $x$ tends to
# $p$. Why these two factors? The drift moves $x$ by $\frac{\alpha}{2} s$, the noise
# spreads it with variance $\alpha$. Count time as $t = n \alpha$ after $n$ steps.
# In the limit of small steps the density $q$ of the points follows the
# Fokker-Planck equation
#
# $$ \partial_t q = -\tfrac12 \nabla\!\cdot(q\, \nabla \log p) + \tfrac12 \Delta q
#    = \tfrac12 \nabla\!\cdot\big( q\, (\nabla \log q - \nabla \log p) \big), $$
#
# and the bracket on the right is zero exactly when $q = p$. The factors $\frac12$
# and $\sqrt{\;}$ are what makes the two terms match: noise of *variance* $\alpha$
# against a drift of $\alpha/2$.
#
# In code the sampler is a **generator**: it yields its state after every step and
# knows nothing of plots or progress bars. Whoever calls it decides what to look at:
# `last(...)` runs to the end, `every(..., k)` yields every k-th state, and a plain
# `for` visits them all.

# %%
show(langevin)

# %% [markdown]
# The decorators check the arguments and switch off gradient recording; `evaluate`
# calls the score and refuses NaN. The other two lines are the equation.
#
# **Predict:** three chains start at $(-5, 5)$, $(0, 0)$ and $(5, -5)$ and make 400
# steps with $\alpha = 0.1$ on the mixture below, whose modes are at $(\pm 2, 0)$,
# the left one with weight 0.2. Will each settle in the mode nearest to its start?
# Will it stay there?
#
# <details><summary>Answer</summary>
#
# At first each walks to a nearby mode; the middle one may go either way. Far away
# the drift always pulls the same way and adds up, while the noise cancels. From
# then on it wanders, and now and then crosses over: the modes are four standard
# deviations apart, which noise can manage. It never comes to rest, and it must not:
# a chain is not searching for a place, it is visiting all places in proportion to
# $p$.
# </details>

# %%
mixture = GaussianMixture([[-2.0, 0.0], [2.0, 0.0]], 1.0, [0.2, 0.8])
starts = torch.tensor([[-5.0, 5.0], [0.0, 0.0], [5.0, -5.0]])
generator = torch.Generator().manual_seed(4)
path = [starts] + [state.x for state in langevin(mixture, starts, alpha=0.1, n_steps=400, generator=generator)]

fig, ax = plt.subplots(figsize=(4.8, 4.8))
density(ax, mixture.log_prob, extent=6)
trajectories(ax, path, extent=6)
ax.set(title="three chains, 400 steps each", xlabel="$x_1$", ylabel="$x_2$")
crossings = [(torch.stack(path)[:, i, 0].sign().diff() != 0).sum().item() for i in range(3)]
save_figure(fig, "langevin_chains", numbers={"crossings": sum(crossings)}, tolerance=6)
plt.show()

# %% [markdown]
# The long approaches come from the corners. Out there the score has length 5.8, and
# the drift $0.05 \cdot 5.8 \approx 0.3$ is as large as the noise,
# $\sqrt{0.1} \approx 0.3$ in each coordinate; but it keeps its direction, step
# after step. Near a mode the drift is only about 0.05, the noise dominates each
# single step, and the path is a scribble. There it takes some tens of steps to
# forget where one was: the drift takes back a twentieth of the distance in each.
#
# ## 2.2 One step size, four names
#
# Many bugs in samplers are conversions. The same step is written in four ways:
#
# | where | the step | in our letters |
# |---|---|---|
# | Song & Ermon 2019, this collection | $x + \frac{\alpha}{2} s + \sqrt{\alpha}\,z$ | $\alpha$, and `eps` for its value at the lowest noise level |
# | physics, the published NCSN code | $x + \epsilon\, s + \sqrt{2\epsilon}\,z$ | $\alpha = 2 \epsilon$; its `step_lr` is `eps / 2` |
# | score-SDE's corrector | "signal-to-noise ratio" $r$ of a step | $\alpha_i = 4 r^2 \sigma_i^2$, for a typical noisy $x$, where the score has length about $\sqrt{D}/\sigma_i$ |
# | technique 4 of Song & Ermon 2020 | $\epsilon$, as in physics | `eps / 2` |
#
# The paper prints $\epsilon = 2 \cdot 10^{-5}$ for its images. Its code uses the
# same number as `step_lr`, which is twice that step in our letters: paper and code
# differ by a factor of two. (`annealed_langevin` has the printed value as its
# default.) The lowest noise level is $\sigma_L = 0.01$. The converters in
# `ncsn_edu.schedules` take it around the circle. (In the table $\sigma_i$ are the
# noise levels of notebook 7, $\sigma_L$ the lowest of them, and $D$ the number of
# coordinates.)

# %%
eps = ne.eps_from_step_lr(2e-5)
print(f"NCSN:   step_lr 2e-5   = eps {eps:.3g} = snr {ne.snr_from_eps(eps, sigma_min=0.01):.3f}")
eps_2 = ne.eps_from_step_lr(6.2e-6)
print(f"NCSNv2: step_lr 6.2e-6 = eps {eps_2:.3g} = snr {ne.snr_from_eps(eps_2, sigma_min=0.01):.3f}")

# %% [markdown]
# **Trap: mixing two conventions.** What if the drift is taken from one line of the
# table and the noise from another? Take the target $\mathcal{N}(0, 1)$, whose score
# is $-x$, and combine the drifts $\frac{\alpha}{2} s$ and $\alpha s$ with the
# noises $\sqrt{\alpha} z$ and $\alpha z$. All four look plausible in code, all four
# run, and only one samples the target.
#
# **Predict:** which variance does each settle in, for small $\alpha$?
#
# <details><summary>Answer</summary>
#
# The drift $c\,\alpha\, s$ and noise of variance $\nu$ balance at variance
# $\nu / (2 c\, \alpha)$: 1 for the right pair, $\frac12$ if the drift is twice too
# strong, $\alpha$ or $\alpha/2$ if the square root is missing. A missing root does
# not crash anything; the samples just look "a little sharp", and images may even
# look better for it.
# </details>

# %%
alpha, chains = 0.05, torch.zeros(20_000, 1)
for drift_name, drift in (("alpha/2", alpha / 2), ("alpha", alpha)):
    for noise_name, noise in (("sqrt(alpha)", math.sqrt(alpha)), ("alpha", alpha)):
        x = chains
        for _ in range(300):
            x = x - drift * x + noise * torch.randn(x.shape, generator=generator)
        print(f"drift {drift_name:7} and noise {noise_name:11}: variance {x.var().item():.2f}")

# %% [markdown]
# ## 2.3 The bias of a finite step
#
# With a finite $\alpha$ the stationary distribution is not quite $p$. For a
# Gaussian $\mathcal{N}(0, s^2)$ one can say exactly what it is. ($s$ is its
# standard deviation here.) The step is linear,
# $x \leftarrow (1 - \frac{\alpha}{2 s^2})\, x + \sqrt{\alpha}\, z$, so the variance
# $v$ follows
#
# $$ v \;\leftarrow\; \Big(1 - \frac{\alpha}{2 s^2}\Big)^2 v + \alpha
#    \qquad\Longrightarrow\qquad v_\infty = \frac{s^2}{1 - \alpha / (4 s^2)} . $$
#
# Two messages. The chain is always too **wide**: its variance is too large by a
# share of about $\alpha/(4 s^2)$. And at $\alpha = 4 s^2$ the denominator is zero:
# the factor $1 - \alpha/(2 s^2)$ reaches $-1$, each step overshoots by as much as
# it was off, and beyond that the chain explodes.
#
# The sampler without correction is called **ULA**, the *unadjusted* Langevin
# algorithm. The corrected one, **MALA**, regards the step only as a proposal $x'$
# and accepts it with the Metropolis-Hastings probability
#
# $$ \min\Big(1, \frac{p(x')\, q(x \mid x')}{p(x)\, q(x' \mid x)}\Big), \qquad
#    q(b \mid a) = \mathcal{N}\big(b;\; a + \tfrac{\alpha}{2} \nabla \log p(a),\; \alpha I\big); $$
#
# otherwise the chain stays where it is, and that stay counts. It needs $\log p$, up
# to a constant, and not the score alone. Networks trained by score matching do not
# provide it, so image models live with ULA, small steps and (notebook 7) annealing.

# %%
show(mala, docstring=False)

# %% [markdown]
# **Predict:** we run 20,000 chains on $\mathcal{N}(0, 1)$ for 100 steps, at six
# step sizes from 0.1 to 3.5. The formula says that ULA's variance will be 1.03 at
# the small end. What will it be at $\alpha = 3.5$? What will MALA's variance be
# there, and how many of its proposals will be accepted?
#
# <details><summary>Answer</summary>
#
# $1/(1 - 3.5/4) = 8$: eight times too wide. MALA's variance is 1 at every step
# size; it pays by standing still: the acceptance rate falls from nearly 1 to about
# a half. Too small a step wastes time as well, so a rate well between 0 and 1 is a
# good sign (0.57 is the classical advice in many dimensions).
# </details>

# %%
target = GaussianMixture([[0.0]], 1.0)
x0 = target.sample(20_000, generator=generator)
alphas = [0.1, 0.5, 1.0, 2.0, 3.0, 3.5]
ula, corrected, rates = [], [], []
for alpha in alphas:
    x = last(langevin(target, x0, alpha=alpha, n_steps=100, generator=generator))
    ula.append(x.var().item())
    *_, end = mala(target.log_prob_and_score, x0, alpha=alpha, n_steps=100, generator=generator)
    corrected.append(end.x.var().item())
    rates.append(end.accepted.float().mean().item())

# %% [markdown]
# The chains start from the target itself, so that no time is lost on the way there;
# what moves them away from it is the bias alone.

# %%
fine = torch.linspace(0.02, 3.7, 200).tolist()
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
left.plot(fine, [ne.stationary_variance(a, 1.0) for a in fine], color=BLUE, label="predicted for ULA")
left.plot(alphas, ula, "o", color=ORANGE, label="ULA, measured")
left.plot(alphas, corrected, "s", ms=5, color=GREEN, label="MALA, measured")
left.axhline(1, color=GREY, lw=0.8, ls="--")
left.set(title="stationary variance (truth 1)", xlabel=r"step $\alpha$", yscale="log")
left.legend()
right.plot(alphas, rates, "s-", color=GREEN)
right.set(title="MALA: acceptance rate", xlabel=r"step $\alpha$", ylim=(0, 1.05))
worst = max(abs(u / ne.stationary_variance(a, 1.0) - 1) for u, a in zip(ula, alphas, strict=True))
numbers = {"ula_worst_error": worst, "mala_worst_error": max(abs(v - 1) for v in corrected), "rate_at_2": rates[3]}
save_figure(fig, "langevin_bias", numbers=numbers, tolerance=0.02)
plt.show()

# %% [markdown]
# The orange dots sit on the blue line: what looks like a vague "discretisation
# error" is predictable to the percent. The statistical error of a variance over
# 20,000 chains is $\sqrt{2/20000} = 1\,\%$.

# %%
for alpha, variance, rate in zip(alphas, ula, rates, strict=True):
    predicted = ne.stationary_variance(alpha, 1.0)
    print(f"alpha {alpha:3}: ULA {variance:5.2f}, predicted {predicted:5.2f}; MALA accepts {rate:.2f}")
assert worst < 0.05 and numbers["mala_worst_error"] < 0.04

# %% [markdown]
# ## 2.4 The step at which it explodes
#
# The limit $\alpha < 4 s^2$ concerns the *smallest* variance in any direction: in a
# narrow valley a chain can explode across while it hardly moves along.
# `stable_alpha` says where the limit is. With noise of level $\sigma$ on the data
# it is $4 (s^2 + \sigma^2)$: blurred data allow longer steps.

# %%
narrow = GaussianMixture([[0.0, 0.0]], [[1.0, 0.01]])
limit = ne.stable_alpha(torch.tensor([1.0, 0.01]))
print(f"predicted limit: alpha < {limit:.3g}; with noise of sigma 1: {ne.stable_alpha(0.01, sigma=1.0):.3g}")
for share in (0.9, 1.1):
    try:
        start = torch.randn(1000, 2, generator=generator)
        x = last(langevin(narrow, start, alpha=share * limit, n_steps=1000, generator=generator))
        print(f"{share} x limit: stays bounded, largest |x| below 10: {x.abs().max().item() < 10}")
    except FloatingPointError as error:
        print(f"{share} x limit: {str(error).split(' at ')[0]}")

# %% [markdown]
# Just below the limit nothing alarming happens, except that the narrow direction is
# far too wide: at 0.9 of the limit its variance is ten times the true one, as
# section 2.3 predicts. Stability is not accuracy. A step of a tenth of the limit is
# a fair start: its bias is some 11 %, and halving it halves that.
#
# A sampler of this package never hands you NaN: it stops, and says at which step
# and level. That the chain exploded in the narrow direction only is the reason for
# a classical idea, an aside here.
#
# > **Aside: preconditioning.** The narrow direction limits the step, the wide one
# > decides how long a chain takes: their ratio, the condition number, is about the
# > number of steps that are needed. If a matrix $C$ close to the covariance is
# > known, $x \leftarrow x + \frac{\alpha}{2} C s + \sqrt{\alpha}\, C^{1/2} z$ has
# > the same stationary distribution in the limit and makes all directions alike.
# > Annealing will do something related with a single number: its step follows the
# > width of the *noise*, $\alpha_i \propto \sigma_i^2$.
#
# ## 2.5 What no step size solves
#
# Between two modes lies a region where $p$ is tiny. A chain that wants to cross it
# must climb against the score by luck.
#
# **Predict:** we start 500 chains in the left one of two *equal* modes, and make
# 1000 steps with $\alpha = 0.1$. After an infinite time half of them would be on
# the right. What share will be there if the modes are 2, 4, 6, 8, 10 standard
# deviations apart?
#
# <details><summary>Answer</summary>
#
# At 2 and 4 about one half: the chain mixes quickly. (At 2 the two bumps have just
# melted into one, see exercise 2 of notebook 1.) At 6 a quarter has crossed; at 8
# hardly any, and at 10 none. The waiting time grows like $e^{d^2/8}$, the ratio of
# the density in the mode to that in the valley, and an exponential always wins. A
# distance of 10 is nothing for images: two photographs of cats are hundreds of
# "standard deviations" apart.
# </details>

# %%
distances, shares = [2.0, 4.0, 6.0, 8.0, 10.0], []
for distance in distances:
    pair = GaussianMixture([[-distance / 2, 0.0], [distance / 2, 0.0]], 1.0)
    start = torch.tensor([[-distance / 2, 0.0]]).repeat(500, 1)
    end = last(langevin(pair, start, alpha=0.1, n_steps=1000, generator=generator))
    shares.append(mode_weights(end, pair))

# %%
right_share = [share.weight[1].item() for share in shares]
below = [share.weight[1] - share.low[1] for share in shares]
above = [share.high[1] - share.weight[1] for share in shares]
fig, ax = plt.subplots(figsize=(5.2, 3.2))
ax.errorbar(distances, right_share, [below, above], fmt="o-", color=ORANGE, capsize=3)
ax.axhline(0.5, color=GREY, ls="--", lw=0.8)
ax.set(title="share that has crossed after 1000 steps", xlabel="distance of the modes (in std)", ylim=(-0.03, 0.65))
numbers = {f"distance_{d:.0f}": share for d, share in zip(distances, right_share, strict=True)}
save_figure(fig, "langevin_crossing", numbers=numbers, tolerance=0.04)
plt.show()

# %% [markdown]
# The error bars are Wilson's intervals for a share among 500 chains; at zero
# crossings the interval still reaches up to 0.008, because "never seen" is not
# "never". Nothing in the chains themselves would have told us: at a distance of 10
# they look perfectly settled, in one half of the world. Notebook 7 takes up this
# thread.
#
# ## 2.6 Watching a chain converge
#
# How many steps are enough? A simple, honest way is to follow a number whose true
# value you know, or to start chains in very different places and wait until they
# agree. Here 4000 chains start at one far point; `every` yields every 25th step.
#
# **Predict:** the target is $\mathcal{N}(0, I)$ and $\alpha = 0.1$. The mean starts
# at 6 and shrinks by $1 - \alpha/2 = 0.95$ a step. After how many steps is it below
# 0.1? Does the variance of the cloud approach 1 from below or from above, and does
# it stop at 1?
#
# <details><summary>Answer</summary>
#
# $6 \cdot 0.95^n < 0.1$ from $n = 80$ on. The variance starts at 0, since all
# chains start at one point, and rises to $1/(1 - 0.1/4) = 1.026$: past the truth,
# to ULA's own stationary variance. (The picture cannot show the difference: these
# 8000 numbers scatter by 1.6 %. Section 2.3 can.)
# </details>

# %%
target = GaussianMixture([[0.0, 0.0]], 1.0)
start = torch.full((4000, 2), 6.0)
watched = [(0, 6.0, 0.0)]
for state in every(langevin(target, start, alpha=0.1, n_steps=200, generator=generator), 25):
    watched.append((state.step + 1, state.x.mean().item(), state.x.var(0).mean().item()))
steps, means, variances = zip(*watched, strict=True)

# %%
fig, ax = plt.subplots(figsize=(5.2, 3.2))
ax.plot(steps, means, "o-", color=RED, label="mean (truth 0)")
ax.plot(steps, variances, "s-", color=BLUE, label="variance (truth 1)")
ax.axhline(ne.stationary_variance(0.1, 1.0), color=GREY, ls="--", lw=0.8, label="stationary for ULA, 1.026")
ax.set(xlabel="steps", title="from a far start to the stationary distribution")
ax.legend()
numbers = {"final_mean": means[-1], "final_variance": variances[-1]}
save_figure(fig, "langevin_convergence", numbers=numbers, tolerance=0.05)
plt.show()

# %% [markdown]
# Mean and variance do not converge at one rate: the variance forgets its start
# twice as fast, like $\rho^{2n}$ with $\rho = 1 - \alpha/2$ (exercise 1). In more
# dimensions with different widths each direction has a rate of its own, and the
# slowest one decides. Halving $\alpha$ halves the bias and doubles the number of
# steps: that is the bargain of every sampler without a correction.
#
# ## 2.7 Your turn
#
# The explorer runs 600 chains live on the mixture of section 2.1. Try, and predict
# first:
#
# - Start all chains in the **left mode**. How many steps until the left mode keeps
#   only its 0.2?
# - Raise the **step** slowly towards 4. Watch the histogram widen long before
#   anything explodes; the readout compares the variance of $x_2$, where there is
#   only one mode, with the prediction. (The variance of 600 chains scatters by some
#   6 %, at every step size.)
# - Now tick **Metropolis**. The histogram is right again; what does the acceptance
#   rate say? With **one far point** and 20 steps, at which step size do the chains
#   arrive best?
# - **One far point** with 10 or 20 steps: how far do they get, and which of drift
#   and noise is to blame?

# %%
LangevinExplorer()

# %% [markdown]
# ## What you should be able to do now
#
# - Write down a Langevin step, and say where the factors $\frac12$ and
#   $\sqrt{\alpha}$ come from.
# - Translate a step size between the conventions of the papers, and recognise a
#   mixed-up pair by the variance it produces.
# - Predict ULA's variance and its limit of stability for a Gaussian, and say what
#   MALA does about the one and what it costs.
# - Name what a longer run can and cannot repair.
#
# ## Exercises
#
# 1. Start from $v_0 = 0$ and show that ULA's variance after $n$ steps is
#    $v_\infty (1 - \rho^{2n})$ with $\rho = 1 - \alpha/(2s^2)$. Check it against
#    100,000 chains at $n = 1, 2, 5, 20$.
# 2. A chain's states are correlated: on $\mathcal{N}(0, 1)$ the correlation of
#    neighbours is $\rho$. How many *independent* samples are 1000 successive states
#    worth at $\alpha = 0.1$? Measure it by the variance of the mean over many
#    chains.
# 3. Use `mala` with a log-density of your own, say a ring:
#    $\log p(x) = -20\,(\|x\| - 2)^2$. Write the function that returns
#    `(log_prob, score)`, find the step with an acceptance rate of about 0.6, and
#    plot the chains.
#
# ## References
#
# - G. Roberts and R. Tweedie, *Exponential convergence of Langevin distributions
#   and their discrete approximations*, Bernoulli 1996: ULA, MALA.
# - G. Roberts and J. Rosenthal, *Optimal scaling of discrete approximations to
#   Langevin diffusions*, JRSS B 1998: the rate 0.574.
# - M. Welling and Y. W. Teh, *Bayesian Learning via Stochastic Gradient Langevin
#   Dynamics*, ICML 2011.
# - Y. Song and S. Ermon, *Generative Modeling by Estimating Gradients of the Data
#   Distribution*, NeurIPS 2019: section 2.2.
# - Y. Song and S. Ermon, *Improved Techniques for Training Score-Based Generative
#   Models*, NeurIPS 2020: technique 4.
# - Y. Song et al., *Score-Based Generative Modeling through Stochastic Differential
#   Equations*, ICLR 2021: Algorithm 4.
#
# **Next:** [5 · The manifold hypothesis](05_manifold.ipynb) and [6 · Where there
# are no data](06_low_density.ipynb) show what fails when the score is learned; the
# remedy for slow mixing is [7 · Annealing](07_annealing.ipynb).
