# %% [markdown]
# # 2 · Langevin dynamics
#
# *Reading and trying: about 80 minutes, exercises aside. Running every cell: about 30 seconds on a laptop, at full scale (two dimensions, and 8 × 8 images).*
#
# Notebook 1 ended with a balance: climbing along the score pulls points
# together, fresh noise drives them apart, and the two cancel when the points
# are distributed like $p$. This notebook makes a sampler of that balance, and
# takes it apart:
#
# - **Langevin dynamics**, the sampler inside everything that follows;
# - the four names that its step size has in papers and code, a source of many
#   bugs;
# - its **bias** at a finite step, predicted by a formula and then measured,
#   and the step at which it **explodes**;
# - the **Metropolis correction** that removes the bias;
# - the first sign of a problem that no step size solves;
# - the same step on images, and the reason why the rest of the collection is
#   about *learning* scores.
#
# You need: notebook 1. Every score in sections 2.1 to 2.6 is known in closed
# form. The letters are on the page of [symbols](symbols.md).
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

import ncsn_edu as ne
from ncsn_edu import GaussianMixture, every, langevin, last, mala, practice, save_animation, save_figure, show
from ncsn_edu.plots import BLUE, GREEN, GREY, ORANGE, RED, density, images, score_field, use_style
from ncsn_edu.widgets import LangevinExplorer

use_style()

# %% [markdown]
# ## 2.1 One step
#
# From any $x$, repeat (Song & Ermon 2019, eq. 4; $z$ is fresh standard normal
# noise in each step):
#
# $$ x \;\leftarrow\; x + \frac{\alpha}{2}\, \nabla \log p(x) + \sqrt{\alpha}\, z . $$
#
# As $\alpha \to 0$ and the number of steps grows, the distribution of $x$
# tends to $p$. Why these two factors? The drift moves $x$ by
# $\frac{\alpha}{2} s$, the noise spreads it with variance $\alpha$. Count
# time as $t = n \alpha$ after $n$ steps. In the limit of small steps the
# density $q$ of the points follows the Fokker-Planck equation
#
# $$ \partial_t q = -\tfrac12 \nabla\!\cdot(q\, \nabla \log p) + \tfrac12 \Delta q
#    = \tfrac12 \nabla\!\cdot\big( q\, (\nabla \log q - \nabla \log p) \big), $$
#
# and the bracket on the right is zero exactly when $q = p$. The factors
# $\frac12$ and $\sqrt{\;}$ are what makes the two terms match: noise of
# *variance* $\alpha$ against a drift of $\alpha/2$.
#
# Why a square root? The noises of successive steps are independent, so their
# *variances* add up. Cut one step into two of half the size: the drifts add
# up to the old drift, $2 \cdot \frac{\alpha}{4} s$, and the variances to the
# old variance, $2 \cdot \frac{\alpha}{2}$. With noise $\alpha z$ instead,
# finer steps would have less and less noise in all, and in the limit none.
#
# **Write it.** One step, where the noise $z$ is given. One line is enough.
# The last line of the cell says how you are doing, and an unwritten cell
# stops nothing below it.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_step(x, score, alpha, z):
#     return x + alpha / 2 * score(x) + alpha**0.5 * z
# ```
# </details>


# %%
def my_step(x, score, alpha, z):  # x and z: (B, D); score(x): (B, D); returns the new x
    ...


practice.langevin_step(my_step)

# %% [markdown]
# In the library the sampler is a **generator**: it yields its state after
# every step and knows nothing of plots or progress bars. The caller decides
# what to look at: `last(...)` runs to the end, `every(..., k)` yields every
# k-th state, and a plain `for` visits them all.

# %%
show(langevin)

# %% [markdown]
# The first lines check the arguments; `evaluate` calls the score and refuses
# NaN. The two lines in the loop are your step.
#
# **Predict:** three chains start at $(-5, 5)$, $(0, 0)$ and $(5, -5)$ and
# make 400 steps with $\alpha = 0.1$ on the mixture below, whose modes are at
# $(\pm 2, 0)$, the left one with weight 0.2. Will each settle in the mode
# nearest to its start? Will it stay there?
#
# <details><summary>Answer</summary>
#
# At first each walks to a nearby mode; the middle one may go either way. Far
# away the drift always pulls the same way and adds up, while the noise
# cancels. From then on it wanders, and now and then crosses over: the modes
# are four standard deviations apart, which noise can manage. It never comes
# to rest, and it must not: a chain does not search for a place, it visits all
# places in proportion to $p$.
# </details>

# %%
mixture = GaussianMixture([[-2.0, 0.0], [2.0, 0.0]], 1.0, [0.2, 0.8])
starts = torch.tensor([[-5.0, 5.0], [0.0, 0.0], [5.0, -5.0]])
generator = torch.Generator().manual_seed(4)
path = [starts] + [state.x for state in langevin(mixture, starts, alpha=0.1, n_steps=400, generator=generator)]

# %%
fig, (plane, time) = plt.subplots(1, 2, figsize=(10, 4.2), width_ratios=[1, 1.4])
density(plane, mixture.log_prob, extent=6)
for chain, color in zip(torch.stack(path, 1), (ORANGE, GREEN, RED), strict=True):  # (401, 2) each
    plane.plot(*chain[:61].T, color=color, lw=1)
    plane.plot(*chain[0], "o", ms=9, mfc="white", mec=color, mew=2)
    time.plot(chain[:, 0], color=color, lw=0.8)
plane.set(title="the first 60 steps (circles: starts)", xlabel="$x_1$", ylabel="$x_2$")
time.set(title="all 400 steps", xlabel="step", ylabel="$x_1$", yticks=[-5, -2, 0, 2, 5])
time.hlines([-2, 2], 0, 400, color=GREY, lw=0.8, ls="--")
alt = (
    "Left: three paths from marked starts; two come from corners, rather straight, and end in scribbles in one of two "
    "blobs. Right: the first coordinate of each against the step; it scatters about 2 or about minus 2, and changes "
    "from one to the other now and then."
)
caption = "Three Langevin chains: in the plane, and their first coordinate over time (dashed: the modes)."
numbers = {"changes of sign": torch.stack(path)[:, :, 0].sign().diff(dim=0).ne(0).sum()}
save_figure(fig, "langevin_chains", alt=alt, caption=caption, numbers=numbers, tolerance=2)

# %% [markdown]
# In the corners the score has length 5.8, and the drift
# $0.05 \cdot 5.8 \approx 0.3$ is as large as the noise,
# $\sqrt{0.1} \approx 0.3$ in each coordinate; but the drift keeps its
# direction, step after step. Near a mode the drift is only about 0.05, the
# noise dominates each single step, and the path is a scribble. There a chain
# needs some tens of steps to forget where it was: each step takes back a
# twentieth of the distance to the mode.
#
# One chain shows how a sample moves; many chains show a distribution. Here
# are 300 particles, spread evenly over the square at first. We keep every
# eighth step.

# %%
x = 12 * torch.rand(300, 2, generator=generator) - 6
frames = [(0, x)]
for state in every(langevin(mixture, x, alpha=0.1, n_steps=320, generator=generator), 8):
    frames.append((state.step + 1, state.x))

# %% [markdown]
# **Predict:** the next cell shows them as an animation: play it, or move its
# slider. (Where no kernel runs, it plays by itself.) When will the cloud look
# settled? At the start half of the particles are on the left. When will that
# be a fifth, the weight of the left mode?
#
# <details><summary>Answer</summary>
#
# After 40 steps or so both blobs have their shape, and nothing in the picture
# tells that anything is wrong. The share on the left is still near one half
# then. Particles cross one by one, and after some 300 steps about a fifth is
# left. The local shape comes fast, the balance between the modes slowly. Each
# particle goes on moving all the time.
# </details>

# %%
fig, ax = plt.subplots(figsize=(4.2, 4.4))
density(ax, mixture.log_prob, extent=6)
score_field(ax, mixture, extent=6, n=13, max_length=6)
(dots,) = ax.plot([], [], ".", ms=4, color=ORANGE)


def draw(frame: tuple[int, torch.Tensor]) -> None:
    step, x = frame
    dots.set_data(*x.T)
    ax.set_title(f"step {step}: {(x[:, 0] < 0).float().mean():.2f} on the left")


alt = (
    "An animation: 300 dots, first spread over a square, drift along arrows into two blobs within 40 steps. Then they "
    "jitter, and some change from the left blob to the right one, which has nearly four fifths of them in the end."
)
caption = "Langevin dynamics of 300 particles on the score of a mixture with weights 0.2 and 0.8."
numbers = {f"left at {step}": (x[:, 0] < 0).float().mean() for step, x in (frames[0], frames[5], frames[-1])}
save_animation(fig, "langevin_particles", draw, frames, alt=alt, caption=caption, numbers=numbers, tolerance=0.02)

# %% [markdown]
# ## 2.2 One step size, four names
#
# Many bugs in samplers are conversions. The same step is written in four
# ways:
#
# | where | the step | in our letters |
# |---|---|---|
# | Song & Ermon 2019, this collection | $x + \frac{\alpha}{2} s + \sqrt{\alpha}\,z$ | $\alpha$, and `eps` for its value at the lowest noise level |
# | physics, the published NCSN code | $x + \epsilon\, s + \sqrt{2\epsilon}\,z$ | $\alpha = 2 \epsilon$; its `step_lr` is `eps / 2` |
# | score-SDE's corrector | "signal-to-noise ratio" $r$ of a step, `snr` | $\alpha_i = 4 r^2 \sigma_i^2$, for a typical noisy $x$, where the score has length about $\sqrt{D}/\sigma_i$ |
# | technique 4 of Song & Ermon 2020 | $\epsilon$, as in physics | `eps / 2` |
#
# The paper prints $\epsilon = 2 \cdot 10^{-5}$ for its images. Its code uses
# the same number as `step_lr`, which is twice that step in our letters: paper
# and code differ by a factor of two. (`annealed_langevin` has the printed
# value as its default.) The converters in `ncsn_edu.schedules` lead from each
# name to the others. (In the table $\sigma_i$ are the noise levels of
# notebook 7, $\sigma_L$ is the lowest of them, 0.01 in the paper, and $D$ the
# number of coordinates.)

# %%
eps = ne.eps_from_step_lr(2e-5)
print(f"NCSN:   step_lr 2e-5   = eps {eps:.3g} = snr {ne.snr_from_eps(eps, sigma_min=0.01):.3f}")
eps_2 = ne.eps_from_step_lr(6.2e-6)
print(f"NCSNv2: step_lr 6.2e-6 = eps {eps_2:.3g} = snr {ne.snr_from_eps(eps_2, sigma_min=0.01):.3f}")
assert math.isclose(ne.eps_from_snr(ne.snr_from_eps(eps, sigma_min=0.01), sigma_min=0.01), 4e-5)  # and back

# %% [markdown]
# **Trap: mixing two conventions.** What if the drift is taken from one line
# of the table and the noise from another? Take the target
# $\mathcal{N}(0, 1)$, whose score is $-x$, and combine the drifts
# $\frac{\alpha}{2} s$ and $\alpha s$ with the noises $\sqrt{\alpha} z$ and
# $\alpha z$. All four look plausible in code, all four run, and only one
# samples the target.
#
# **Predict:** which variance does each settle in, for small $\alpha$?
#
# <details><summary>Answer</summary>
#
# The drift $c\,\alpha\, s$ and noise of variance $\nu$ balance at variance
# $\nu / (2 c\, \alpha)$: 1 for the right pair, $\frac12$ if the drift is
# twice too strong, $\alpha$ or $\alpha/2$ if the square root is missing.
# Nothing crashes: the samples only lie too close to the modes. With images
# that may even look better.
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
# Gaussian $\mathcal{N}(0, s^2)$ it is known exactly. ($s$ is its standard
# deviation here, and no score.) The step is linear,
# $x \leftarrow (1 - \frac{\alpha}{2 s^2})\, x + \sqrt{\alpha}\, z$, so the
# variance $v$ follows
#
# $$ v \;\leftarrow\; \Big(1 - \frac{\alpha}{2 s^2}\Big)^2 v + \alpha
#    \qquad\Longrightarrow\qquad v_\infty = \frac{s^2}{1 - \alpha / (4 s^2)} . $$
#
# Two consequences. The chain is always too **wide**: its variance is too
# large by the share $\alpha/(4 s^2)$, to first order. And at $\alpha = 4 s^2$
# the denominator is zero: the factor $1 - \alpha/(2 s^2)$ reaches $-1$, so
# that each step lands as far on the other side as the chain was off before
# it. Beyond that the chain explodes.
#
# The sampler without correction is called **ULA**, the *unadjusted* Langevin
# algorithm. The corrected one, **MALA**, regards the step only as a proposal
# $x'$ and accepts it with the Metropolis-Hastings probability
#
# $$ \min\Big(1, \frac{p(x')\, q(x \mid x')}{p(x)\, q(x' \mid x)}\Big), \qquad
#    q(b \mid a) = \mathcal{N}\big(b;\; a + \tfrac{\alpha}{2} \nabla \log p(a),\; \alpha I\big); $$
#
# otherwise the chain stays where it is, and that stay counts. MALA needs
# $\log p$, up to a constant, and not the score alone. A network that was
# taught a score, and nothing else, does not know $\log p$. So image models
# use ULA, with small steps and (notebook 7) annealing.
#
# **Write it.** The probability of acceptance, from the logarithms: of $p(x)$,
# of $p(x')$, of $q(x' \mid x)$, which is the way forth, and of
# $q(x \mid x')$, the way back.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_acceptance(log_p, log_p_new, log_q_forth, log_q_back):
#     return (log_p_new + log_q_back - log_p - log_q_forth).clamp(max=0).exp()
# ```
#
# The minimum is taken before the exponential, which could overflow.
# </details>


# %%
def my_acceptance(log_p, log_p_new, log_q_forth, log_q_back):  # (B,) each; returns (B,)
    ...


practice.acceptance(my_acceptance)

# %% [markdown]
# The library compares logarithms, too: `u.log() < log_ratio` for a uniform
# $u$ accepts with this probability.

# %%
show(mala, docstring=False)

# %% [markdown]
# **Predict:** we run 20,000 chains on $\mathcal{N}(0, 1)$ for 100 steps, at
# six step sizes from 0.1 to 3.5. The formula says that ULA's variance will be
# 1.03 at the small end. What will it be at $\alpha = 3.5$? What will MALA's
# variance be there, and how many of its proposals will be accepted?
#
# <details><summary>Answer</summary>
#
# $1/(1 - 3.5/4) = 8$: a variance eight times too large. MALA's variance is 1
# at every step size; the price is standing still: the acceptance rate falls
# from nearly 1 to about a half. Too small a step wastes time as well, so a
# rate well between 0 and 1 is a good sign (0.57 is the classical advice in
# many dimensions).
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
# The chains start from the target itself, so that no time is lost on the way
# there; what moves them away from it is the bias alone.

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
alt = (
    "Left: a curve that rises from 1 to beyond 10 as the step grows to 3.7, with round dots on it, and squares that "
    "stay at 1. Right: the acceptance rate falls from 1.0 to 0.56."
)
caption = r"Variance of ULA and of MALA on $\mathcal{N}(0, 1)$ against the step size, and MALA's acceptance rate."
save_figure(fig, "langevin_bias", alt=alt, caption=caption, numbers=numbers, tolerance=0.02)

# %% [markdown]
# The orange dots lie on the blue line: the "discretisation error" can be
# predicted to the percent. The statistical error of a variance over 20,000
# chains is $\sqrt{2/20000} = 1\,\%$.

# %%
for alpha, variance, rate in zip(alphas, ula, rates, strict=True):
    predicted = ne.stationary_variance(alpha, 1.0)
    print(f"alpha {alpha:3}: ULA {variance:5.2f}, predicted {predicted:5.2f}; MALA accepts {rate:.2f}")
assert worst < 0.05 and numbers["mala_worst_error"] < 0.04

# %% [markdown]
# ## 2.4 The step at which it explodes
#
# The limit $\alpha < 4 s^2$ concerns the *smallest* variance in any
# direction: in a narrow valley a chain can explode across while it hardly
# moves along. `stable_alpha` says where the limit is. With noise of level
# $\sigma$ on the data it is $4 (s^2 + \sigma^2)$: blurred data allow longer
# steps.

# %%
narrow = GaussianMixture([[0.0, 0.0]], [[1.0, 0.01]])
limit = ne.stable_alpha(torch.tensor([1.0, 0.01]))
print(f"predicted limit: alpha < {limit:.3g}; with noise of sigma 1: {ne.stable_alpha(0.01, sigma=1.0):.3g}")
for share in (0.9, 1.1):
    try:
        start = torch.randn(1000, 2, generator=generator)
        x = last(langevin(narrow, start, alpha=share * limit, n_steps=1000, generator=generator))
        across, predicted = x[:, 1].var(), ne.stationary_variance(share * limit, 0.01)
        print(f"{share} x limit: variance across {across:.2f}, predicted {predicted:.2f}, true 0.01")
        assert abs(across / predicted - 1) < 0.2
    except FloatingPointError as error:
        print(f"{share} x limit: {str(error).split(' at ')[0]}")

# %% [markdown]
# Just below the limit nothing alarming happens, except that the narrow
# direction is far too wide: at 0.9 of the limit its variance is ten times the
# true one, as section 2.3 predicts. Stability is not accuracy. A step of a
# tenth of the limit is a fair start: its bias is 11 %, and half of that step
# has about half of the bias.
#
# A sampler of this package never returns NaN: it stops, and says at which
# step and level. The chain exploded in the narrow direction only, and that
# suggests two classical remedies.
#
# > **Aside: preconditioning, and momentum.** The narrow direction limits the step, the
# > wide one decides how long a chain takes. So the number of steps grows with the ratio of
# > the two variances, the condition number. If a matrix $C$ close to the covariance is
# > known, $x \leftarrow x + \frac{\alpha}{2} C s + \sqrt{\alpha}\, C^{1/2} z$
# > has the same stationary distribution in the limit, and makes all directions alike.
# > **Underdamped** Langevin dynamics needs no $C$: it gives each chain a velocity,
# > which is changed by the score, by friction and by noise. Then the number of
# > steps grows like the square root of the condition number.
#
# Let us count. The preconditioned chain is a plain one of $y = C^{-1/2} x$,
# whose score is $C^{1/2} s$. Both chains take a tenth of their own limit.

# %%
root, far = torch.tensor([1.0, 0.1]), torch.tensor([[6.0, 0.0]]).repeat(4000, 1)  # root: C^(1/2)


def whitened(y: torch.Tensor, sigma: float) -> torch.Tensor:  # the score of y = C^(-1/2) x
    return root * narrow(root * y, sigma)


def steps_until_near(score, alpha: float) -> int:  # until the mean of the wide direction, 6 at the start, is 0.1
    states = langevin(score, far, alpha=alpha, n_steps=5000, generator=generator)
    return next(state.step + 1 for state in states if state.x[:, 0].mean() < 0.1)


# %%
plain, preconditioned = steps_until_near(narrow, 0.1 * limit), steps_until_near(whitened, 0.1 * 4)
print(f"plain: ≈ {plain} steps, preconditioned: ≈ {preconditioned} steps")
assert 1700 < plain < 2300 and 15 < preconditioned < 21

# %% [markdown]
# The plain chain needs $\log 60 / 0.002 \approx 2000$ steps, since each takes
# back $\alpha/2 = 0.002$ of the distance. (An underdamped chain with friction
# 2 and steps of 0.06 needed about 100, without knowing $C$.) Annealing will
# do something related to preconditioning with a single number: its step
# follows the width of the *noise*, $\alpha_i \propto \sigma_i^2$.
#
# ## 2.5 What no step size solves
#
# Between two modes lies a region where $p$ is tiny. A chain crosses it only
# if its noise happens to carry it against the score, many steps in a row.
#
# **Predict:** we start 500 chains in the left one of two *equal* modes, and
# make 1000 steps with $\alpha = 0.1$. After an infinite time half of them
# would be on the right. What share will be there if the modes are 2, 4, 6, 8,
# 10 standard deviations apart?
#
# <details><summary>Answer</summary>
#
# At 2 and 4 about one half: the chain mixes quickly. (At 2 the two bumps have
# just melted into one, see exercise 2 of notebook 1.) At 6 a quarter has
# crossed; at 8 hardly any, and at 10 none. The waiting time grows like
# $e^{d^2/8}$, the ratio of the density in a mode to that in the valley (up to
# a factor of two): 90 at $d = 6$, 270,000 at $d = 10$. Images are far worse.
# Two of the 8 × 8 digits of section 2.7 are typically 3.0 apart, 300 standard
# deviations of the noise of 0.01 that is left in the end.
# </details>

# %%
distances, shares = [2.0, 4.0, 6.0, 8.0, 10.0], []
for distance in distances:
    pair = GaussianMixture([[-distance / 2, 0.0], [distance / 2, 0.0]], 1.0)
    start = torch.tensor([[-distance / 2, 0.0]]).repeat(500, 1)
    end = last(langevin(pair, start, alpha=0.1, n_steps=1000, generator=generator))
    shares.append(ne.mode_weights(end, pair))

# %%
right_share = [share.weight[1].item() for share in shares]
below = [share.weight[1] - share.low[1] for share in shares]
above = [share.high[1] - share.weight[1] for share in shares]
fig, ax = plt.subplots(figsize=(5.2, 3.2))
ax.errorbar(distances, right_share, [below, above], fmt="o-", color=ORANGE, capsize=3)
ax.axhline(0.5, color=GREY, ls="--", lw=0.8)
ax.set(title="share that has crossed after 1000 steps", xlabel="distance of the modes (in std)", ylim=(-0.03, 0.65))
alt = (
    "The share on the other side is one half at distances 2 and 4, about a quarter at 6, 0.02 at 8 and zero at 10; a "
    "dashed line marks one half."
)
caption = "Share of 500 chains that are in the right one of two equal modes (dashed: the truth), with 95 % intervals."
numbers = {f"distance_{d:.0f}": share for d, share in zip(distances, right_share, strict=True)}
tolerance = dict(zip(numbers, (0.04, 0.04, 0.04, 0.01, 0.004), strict=True))
save_figure(fig, "langevin_crossing", alt=alt, caption=caption, numbers=numbers, tolerance=tolerance)

# %% [markdown]
# The error bars are Wilson's intervals for a share among 500 chains; at zero
# crossings the interval still reaches up to 0.008: an event that was never
# seen may be rare. Nothing in the chains themselves would have told us. At a
# distance of 10 they look settled, and half of the distribution is missing.
# Notebook 7 continues here.
#
# **Trap: "MALA is exact, so it needs no more than that."** Metropolis repairs
# the finite *step*: $p$ is stationary. It does nothing about a finite *time*.
# Here are 500 chains of MALA, with modes 8 apart:

# %%
pair = GaussianMixture([[-4.0, 0.0], [4.0, 0.0]], 1.0)
start, accepted = torch.tensor([[-4.0, 0.0]]).repeat(500, 1), []
for state in mala(pair.log_prob_and_score, start, alpha=0.1, n_steps=1000, generator=generator):
    accepted.append(state.accepted.float().mean())
crossed = (state.x[:, 0] > 0).float().mean()
print(f"MALA accepts ≈ {torch.stack(accepted).mean():.3f}, and ≈ {crossed:.3f} have crossed; the truth is 0.5")
assert crossed < 0.06 and torch.stack(accepted).mean() > 0.99

# %% [markdown]
# An acceptance rate of almost 1 says that the steps are small, not that the
# chains have been everywhere.
#
# ## 2.6 Watching a chain converge
#
# How many steps are enough? Two simple checks: follow a number whose true
# value you know, or start chains in very different places and wait until they
# agree. Here 4000 chains start at one far point; `every` yields every 25th
# step.
#
# **Predict:** the target is $\mathcal{N}(0, I)$ and $\alpha = 0.1$. The mean
# starts at 6 and shrinks by $1 - \alpha/2 = 0.95$ a step. After how many
# steps is it below 0.1? Does the variance of the cloud approach 1 from below
# or from above, and does it stop at 1?
#
# <details><summary>Answer</summary>
#
# $6 \cdot 0.95^n < 0.1$ from $n = 80$ on. The variance starts at 0, since all
# chains start at one point, and rises to $1/(1 - 0.1/4) = 1.026$: past the
# truth, to ULA's own stationary variance. (The picture cannot show the
# difference: these 8000 numbers scatter by 1.6 %. Section 2.3 can.)
# </details>

# %%
target, start = GaussianMixture([[0.0, 0.0]], 1.0), torch.full((4000, 2), 6.0)
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
alt = (
    "The mean falls from 6 to 0 within 100 steps. The variance rises from 0 to about 1 within 50 steps, and stays at a "
    "dashed line slightly above 1."
)
caption = "Mean and variance of 4000 chains that start at one far point."
numbers = {"final_mean": means[-1], "final_variance": variances[-1], "mean at 50": means[2]}
save_figure(fig, "langevin_convergence", alt=alt, caption=caption, numbers=numbers, tolerance=0.05)
print(f"mean after 75 steps: {means[3]:.2f}, by the formula {6 * 0.95**75:.2f}")

# %% [markdown]
# Mean and variance do not converge at one rate: the variance forgets its
# start twice as fast, like $\rho^{2n}$ with $\rho = 1 - \alpha/2$ (exercise
# 1). In more dimensions with different widths each direction has a rate of
# its own, and the slowest one decides. Halving $\alpha$ halves the bias and
# doubles the number of steps: every sampler without a correction has this
# trade-off.
#
# Two habits follow from all this.
#
# - States from the way to the distribution do not belong to the sample: they
#   are thrown away (the *burn-in*), here some 100 steps.
# - Neighbouring states of one chain are nearly copies of each other: a long
#   chain is worth far fewer independent samples than it has states (exercise
#   2).
#
# Both are reasons to run many chains side by side, and to take the last state
# of each. So the samplers of this package move a whole batch of chains at
# once.
#
# ## 2.7 The same step on images
#
# Nothing in a Langevin step needs two dimensions. Let $x$ be an image of 8 × 8
# pixels, a point in 64 dimensions. The package brings a network that was trained
# on 898 scans of handwritten digits. It is a `score(x, sigma)` for ten noise
# levels $\sigma$, from 1 down to 0.01.
#
# We start at images of pure chance, and make ten steps at each level, with
# $\alpha = 0.6\,\sigma^2$. (The last line goes to the mean of the clean
# images that may be behind the noisy one. Notebook 3 derives it.) The picture
# cuts values off at black and white, 0 and 1; the chain must not, or it would
# no longer be a chain of $p_\sigma$.
#
# **Predict:** the rows below show eight images at the start, after the first
# level, after the sixth, and at the end. When will you recognise digits? Will
# the eight be the same digit?
#
# <details><summary>Answer</summary>
#
# After the first level, at $\sigma = 1$, there is nothing but noise. After
# the sixth, at 0.08, there are strokes, and most digits can be told. At the
# end they are clean. They are different digits, because each chain has noise
# of its own. A few are none at all: this network is small, and notebook 10
# judges its samples.
# </details>

# %%
trained = ne.load_trained("digits")
generator = torch.Generator().manual_seed(0)
x = trained.start(8, generator=generator)  # uniform noise, (8, 1, 8, 8)
seen = [x]
for sigma in trained.sigmas.tolist():
    x = last(langevin(trained.score, x, alpha=0.6 * sigma**2, n_steps=10, sigma=sigma, generator=generator))
    seen.append(x)
digits = ne.denoise(trained.score, x, sigma)

# %%
fig, axes = plt.subplots(4, 1, figsize=(7.2, 3.9))
rows = {"start": seen[0], r"$\sigma$ = 1": seen[1], r"$\sigma$ = 0.08": seen[6], "end": digits}
for ax, (name, row) in zip(axes, rows.items(), strict=True):
    images(ax, row, columns=8)
    ax.text(-1, 4.5, name, ha="right", va="center")
alt = (
    "Four rows of eight small grey images. Start and sigma 1: noise. Sigma 0.08: strokes of digits with some noise. "
    "End: eight clean handwritten digits, not all the same."
)
caption = r"Langevin dynamics with the score of a trained network, at noise levels $\sigma$ from 1 down to 0.01."
save_figure(fig, "langevin_digits", alt=alt, caption=caption, numbers={"ink": digits.mean()}, tolerance=0.01)

# %% [markdown]
# This is the promise of the collection, in five lines: **whoever knows the
# score can sample.** Three questions are open, and they are the way through
# the next notebooks.
#
# - *Why ten noise levels, and not one?* Section 2.5: at the lowest level the
#   chains would never find their way (notebooks 6 and 7).
# - *Which network, trained how?* (Notebooks 8 to 10.)
# - *Where does the score come from?* That question comes first.
#
# For a mixture we could write the score down. For images nobody can: $p$ is
# unknown, and we have only examples, 898 points in 64 dimensions. The exact
# score of these examples exists (`Empirical`, notebook 0), and it only gives
# the examples back. So the score has to be **learned**, as a function that
# holds between the examples as well. Learning means minimising a distance
# between the network and the right answer, at the examples. And the right
# answer, $\nabla \log p$, is just what we do not know. Notebook 3 shows how
# to minimise that distance all the same.
#
# ## 2.8 Your turn
#
# The explorer runs 600 chains live on the mixture of section 2.1. Try, and
# predict first:
#
# - Start all chains in the **left mode**. How many steps until the left mode
#   keeps only its 0.2?
# - Raise the **step** slowly beyond 4, with 500 steps. Watch the histogram
#   widen long before anything explodes; the line below compares the variance
#   of $x_2$, where there is only one mode, with the prediction. (The variance
#   of 600 chains scatters by some 6 %, at every step size.)
# - Now tick **Metropolis**. The histogram is right again; what does the
#   acceptance rate say? With **one far point** and 20 steps, at which step
#   size do the chains arrive best?
# - **One far point** with 10 or 20 steps at $\alpha = 0.1$, without
#   Metropolis: how far do the chains get? Which of drift and noise takes them
#   there?
#
# <details><summary>Answers</summary>
#
# - After 100 steps the left mode has 0.58, after 300 it has 0.29, after 500
#   it has 0.22, which is 0.2 within the interval.
# - At $\alpha = 1$ the variance is predicted to be 1.33, at 2 it is 2.0, at
#   3.16 it is 4.8, at 3.98 it is 211. The weights go wrong as well: at 3.16
#   the left mode has 0.34. At 4.5 the chains run away.
# - At 3.16 the rate is 0.45 and the left mode has 0.20 after 500 steps. From
#   the far point, 20 steps at 0.1 stay on the way. The larger the step, the
#   more chains have also crossed: 0.80 on the left at 0.5, 0.41 at 2, 0.26 at
#   4, where 0.39 are accepted. At 6.3 nearly every proposal is rejected, and
#   at 10 no chain moves.
# - After 10 steps the cloud's centre is at $(-4.1, 3.3)$, after 20 at
#   $(-3.3, 2.0)$. That is the drift, which takes back 5 % of the distance to
#   the mode in each step. The noise only spreads the cloud, to a standard
#   deviation below 1.
# </details>

# %%
LangevinExplorer()

# %% [markdown]
# ## What you should be able to do now
#
# - Write down a Langevin step, and say where the factors $\frac12$ and
#   $\sqrt{\alpha}$ come from.
# - Translate a step size between the conventions of the papers, and recognise
#   a mixed-up pair by the variance it produces.
# - Predict ULA's variance and its limit of stability for a Gaussian, and say
#   what MALA does about the one and what it costs.
# - Say which states of a chain are worth keeping, and how many independent
#   samples they are worth.
# - Name what a longer run, a smaller step and a Metropolis correction can and
#   cannot repair.
# - Say why a score has to be learned, and what makes that hard.
#
# ## Exercises
#
# 1. Start from $v_0 = 0$ and show that ULA's variance after $n$ steps is
#    $v_\infty (1 - \rho^{2n})$ with $\rho = 1 - \alpha/(2s^2)$. Check it
#    against 100,000 chains on $\mathcal{N}(0, 1)$ with $\alpha = 0.1$ at
#    $n = 1, 2, 5, 20$.
#    <details><summary>Hint</summary>
#
#    Subtract $v_\infty = \rho^2 v_\infty + \alpha$ from the recursion.
#    </details>
#    <details><summary>Answer</summary>
#
#    $v_{n+1} - v_\infty = \rho^2 (v_n - v_\infty)$, so
#    $v_n - v_\infty = -\rho^{2n} v_\infty$. By the formula the variances are
#    0.1000, 0.1903, 0.4116 and 0.8938; 100,000 chains gave 0.1002, 0.1893,
#    0.4092 and 0.8934, within the statistical error of 0.45 %, or 1.3 of it.
#    </details>
# 2. A chain's states are correlated: on $\mathcal{N}(0, 1)$ the correlation
#    of neighbours is $\rho$. How many *independent* samples are 1000
#    successive states worth at $\alpha = 0.1$? Measure it by the variance of
#    the mean over many chains.
#    <details><summary>Hint</summary>
#
#    For a long chain the variance of the mean of $n$ states is
#    $\frac{v_\infty}{n} \big(1 + 2 \sum_{k \ge 1} \rho^k\big)$.
#    </details>
#    <details><summary>Answer</summary>
#
#    The sum in brackets is $(1 + \rho)/(1 - \rho) = 39$, so 1000 states are
#    worth 26. Measured with 20,000 chains that start from
#    $\mathcal{N}(0, v_\infty)$: the mean of 1000 states has variance 0.0392,
#    and $1.026/0.0392 = 26.2$.
#    </details>
# 3. Use `mala` with a log-density of your own, say a ring:
#    $\log p(x) = -20\,(\|x\| - 2)^2$. Write the function that returns
#    `(log_prob, score)`, find the step with an acceptance rate of about 0.6,
#    and plot the chains. Is the mean radius 2?
#    <details><summary>Answer</summary>
#
#    With $r = \|x\|$ the score is $-40\,(r - 2)\, x/r$. The rate is 0.94 at
#    $\alpha = 0.02$, 0.78 at 0.05, 0.60 at 0.08. The mean radius is 2.0125,
#    and not 2: the density of $r$ is $r\, e^{-20 (r - 2)^2}$, as a ring has
#    more room further out. The chains run around the ring slowly, some 0.28 a
#    step; start them in different places.
#    </details>
#
# ## References
#
# - G. Roberts and R. Tweedie, *Exponential convergence of Langevin
#   distributions and their discrete approximations*, Bernoulli 1996: ULA,
#   MALA.
# - G. Roberts and J. Rosenthal, *Optimal scaling of discrete approximations
#   to Langevin diffusions*, JRSS B 1998: the rate 0.574.
# - M. Welling and Y. W. Teh, *Bayesian Learning via Stochastic Gradient
#   Langevin Dynamics*, ICML 2011.
# - Y. Song and S. Ermon, *Generative Modeling by Estimating Gradients of the
#   Data Distribution*, NeurIPS 2019: section 2.2.
# - Y. Song and S. Ermon, *Improved Techniques for Training Score-Based
#   Generative Models*, NeurIPS 2020: technique 4.
# - Y. Song et al., *Score-Based Generative Modeling through Stochastic
#   Differential Equations*, ICLR 2021: Algorithm 4.
#
# **Next:** [3 · Score matching](03_score_matching.ipynb) learns the score
# from examples.
