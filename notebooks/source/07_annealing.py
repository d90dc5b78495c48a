# %% [markdown]
# # 7 · Slow mixing, and annealing
#
# *Reading and trying: about 90 minutes. Running every cell: about 45 seconds on a laptop, at full scale (the paper's own: 1280 chains).*
#
# Notebook 2 ended with chains that could not cross a valley. Here we see
# that the problem is worse than slowness: where modes fall apart, the score
# **does not contain** their weights at all. Then we meet the idea that made
# score-based models work: look at the data through noise, and take the
# noise away level by level. You will
#
# - see a score that is blind to a weight, and a sampler that gets it wrong
#   with confidence;
# - run **annealed Langevin dynamics** (Song & Ermon 2019, Algorithm 1) and
#   reproduce the paper's Figure 3;
# - choose a ladder of noise levels and a step, and predict from both
#   whether the chains explode;
# - step into four traps: a square that is missing, a ladder that explodes,
#   a variance that is forgotten, and a score that knows the answer.
#
# You need: [1 · Scores](01_scores.ipynb) and
# [2 · Langevin dynamics](02_langevin.ipynb). The letters are on the page of
# [symbols](symbols.md), the four names of the step size too.
#
# On Google's Colab the next cell gets the package; anywhere else it does nothing.

# %%
import sys

if "google.colab" in sys.modules:
    raise SystemExit("Give the address of the project's repository here: %pip install -q git+https://...")

# %%
import torch
from matplotlib import pyplot as plt

import ncsn_edu as ne
from ncsn_edu import GaussianMixture, annealed_langevin, geometric, last, mode_weights, practice, save_figure
from ncsn_edu.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, density, scatter, use_style
from ncsn_edu.widgets import AnnealingExplorer

use_style()
mixture = GaussianMixture([[-5.0, -5.0], [5.0, 5.0]], 1.0, [0.2, 0.8])

# %% [markdown]
# ## 7.1 Blind to the weights
#
# Suppose the data consist of two groups that never meet: $p = \pi\, p_1$ on
# one region, $(1 - \pi)\, p_2$ on another. On the first region
#
# $$ \nabla \log \big(\pi\, p_1(x)\big) = \nabla \log \pi + \nabla \log p_1(x) = \nabla \log p_1(x) . $$
#
# The weight $\pi$ is a constant factor, and notebook 1 praised the score
# for losing constant factors. Here the lost factor is needed. The often
# heard "equal scores, equal densities" holds only where the support is
# connected.
#
# Gaussians never fall apart completely, so the weight is not lost, only
# hidden. How well? With equal covariances the score is
# $\mu_1 - x + r_2(x)\,(\mu_2 - \mu_1)$, so changing the weights changes it
# by the change of a responsibility times the distance of the means.
# (Subtracting two scores would show only rounding: the difference is too
# small for that.)
#
# **Predict:** the next cell draws, along the diagonal from mode to mode,
# how much the score changes when the weights go from 0.2 : 0.8 to 0.5 :
# 0.5. At the left mode, is the change about $10^{-1}$, $10^{-5}$ or
# $10^{-40}$?
#
# <details><summary>Answer</summary>
#
# The responsibility of the far component at $(-5, -5)$ is about
# $e^{-100} \approx 10^{-43}$, and so is the change, times the distance.
# Added to a number of order one, it would be lost even in double precision.
# Only in a strip around the middle does the weight matter, where data
# hardly ever are; and there a network trained on data would be guessing.
# </details>

# %%
even = GaussianMixture(mixture.means, 1.0, [0.5, 0.5])
t = torch.linspace(-6, 6, 401, dtype=torch.float64)
diagonal = torch.stack([t, t], 1)
far = (t < 0).long()[:, None]  # the component on the other side; its responsibility is tiny and exact
change = (even.responsibilities(diagonal) - mixture.responsibilities(diagonal)).gather(1, far)[:, 0].abs()
change = change * (mixture.means[1] - mixture.means[0]).norm()

# %%
fig, ax = plt.subplots(figsize=(5.6, 3.2))
ax.semilogy(t, change, color=RED, label="change of the score")
ax.semilogy(t, mixture.log_prob(diagonal).exp(), color=BLUE, label="density")
ax.axhline(torch.finfo(torch.float32).eps, color=GREY, ls="--", lw=0.8, label="float32 rounding")
ax.set(xlabel="$t$ along $(t, t)$", ylabel="change, density", ylim=(1e-48, 1e3), title="0.2 : 0.8 or 0.5 : 0.5?")
ax.legend(loc="lower center", fontsize=8)
at_left_mode = change[(t + 5).abs().argmin()].log10()
alt = "The change of the score is a sharp peak between the modes, where the density is lowest."
caption = "How much the score changes with the weights of the modes, and where the data are."
numbers = {"log10_change_at_left_mode": at_left_mode}
save_figure(fig, "annealing_blind", alt=alt, caption=caption, numbers=numbers, tolerance=0.01)

# %%
shown = t[change > torch.finfo(torch.float32).eps]
densest = mixture.log_prob(torch.stack([shown, shown], 1)).exp().max()
print(f"change of the score at the left mode: 10^{at_left_mode:.0f}")
print(f"above float32's rounding for t from {shown[0]:.2f} to {shown[-1]:.2f}; density there at most {densest:.0e}")
assert densest < 1e-8

# %% [markdown]
# Read the figure from the left. In the left mode ($t = -5$), where a fifth
# of the data live, the red curve lies 35 orders of magnitude below the
# rounding of float32. Only between $t \approx -1.0$ and $0.9$, where it
# lies above the dashed line, do the weights show at all. There the blue
# curve, the density, is below $10^{-8}$: among a million data points not
# one would lie in that strip.
#
# So the information is not gone, but it sits where there are no data. A
# network learns the score from data, and where there are none it has no
# reason to be right; [notebook 6](06_low_density.ipynb) measures how wrong
# it is there. In this notebook we give the sampler every advantage and let
# it use the *exact* score everywhere.
#
# ## 7.2 A sampler that is wrong with confidence
#
# Now Langevin dynamics with the *exact* score: 1280 chains, started evenly
# over the square $[-8, 8]^2$, 1000 steps with $\alpha = 0.1$.
#
# **Predict:** the truth is 0.2 in the lower left mode. What share will the
# chains have there: 0.2, 0.5, 0.8? Where does the number come from? (The
# next cell prints it with its 95 % confidence interval; the picture follows
# in section 7.4.)
#
# <details><summary>Answer</summary>
#
# About one half. Each chain falls into the mode on its side of the
# watershed, which runs through the middle, so the share is that of the
# *starting points*, not that of $p$. It was decided by our choice of a
# square, and the interval is narrow: more chains would only make us surer
# of the wrong number.
# </details>


# %%
def from_square(n: int, generator: torch.Generator, half: float = 8.0) -> torch.Tensor:
    return half * (2 * torch.rand(n, 2, generator=generator) - 1)


generator = torch.Generator().manual_seed(0)
start = from_square(1280, generator)
x_langevin = last(ne.langevin(mixture, start, alpha=0.1, n_steps=1000, generator=generator))
found = mode_weights(x_langevin, mixture)
print(f"small mode: ≈ {found.weight[0]:.3f} in ≈ [{found.low[0]:.3f}, {found.high[0]:.3f}], where the truth is 0.200")
assert 0.44 < found.weight[0] < 0.54

# %% [markdown]
# Would more steps help? The modes are $10\sqrt2 \approx 14$ standard
# deviations apart. Notebook 2 found that the time to cross grows like
# $e^{d^2/8}$, which is $e^{25}$ here, or $7 \cdot 10^{10}$ steps of a size
# of order one. At a million steps a second that is a day for a single
# crossing, with an exact score, in two dimensions.
#
# Would a better start help? If we knew the right share for the start, we
# would not need the sampler. And note what does *not* warn us: the chains
# in each mode form a perfect Gaussian cloud, every chain looks stationary,
# and repeating the run gives the same answer. The only symptom is that the
# answer depends on the start. That is the test to remember: **start from
# different places, and see whether the results agree.**
#
# ## 7.3 More noise, fewer problems
#
# Blur the data with noise of standard deviation $\sigma$. If $\sigma$ is
# larger than the gap, there is only one mode, its score knows everything
# about the weights, and chains mix quickly. But it is the score of the
# wrong distribution. With little noise the distribution is right and the
# chains are stuck. **Annealing** uses both. It takes a ladder
#
# $$ \sigma_1 > \sigma_2 > \dots > \sigma_L, \qquad \frac{\sigma_1}{\sigma_2} = \dots = \frac{\sigma_{L-1}}{\sigma_L}, $$
#
# and at each level a short Langevin run that starts where the last one
# ended (Algorithm 1 of the paper):
#
# > **for** $i = 1, \dots, L$: &nbsp; $\alpha_i = \epsilon\, \sigma_i^2 / \sigma_L^2$ <br>
# > &nbsp;&nbsp; **repeat** $T$ times: &nbsp; $x \leftarrow x + \frac{\alpha_i}{2}\, s(x, \sigma_i) + \sqrt{\alpha_i}\, z$
#
# Three things make it work. The *first* level has no valleys, so chains
# arrive with the right weights. Neighbouring levels overlap, so every level
# starts nearly in equilibrium. And $\alpha_i \propto \sigma_i^2$ (a
# square!) keeps the ratio of signal to noise in a step the same at all
# levels: where $\sigma_i$ is large beside the width of a mode, each
# coordinate of the score at a typical point of $p_{\sigma_i}$ is of size
# $1/\sigma_i$, so the drift $\frac{\alpha_i}{2} \cdot 1/\sigma_i$ and the
# noise $\sqrt{\alpha_i}$ both scale like $\sigma_i$.
#
# **Write it.** The step sizes $\alpha_i$ of all levels.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_steps(sigmas, eps):
#     return eps * (sigmas / sigmas[-1]) ** 2
# ```
# </details>


# %%
def my_steps(sigmas, eps):  # the ladder (L,), the largest level first, and a number; returns (L,)
    ...


practice.step_sizes(my_steps)

# %% [markdown]
# **Write it.** Algorithm 1, whole. The noise is given: `z[i, t]` is that of
# step $t$ at level $i$, both counted from 0.
#
# <details><summary>Solution</summary>
#
# ```python
# def my_annealing(score, x, sigmas, eps, z):
#     for i, sigma in enumerate(sigmas):
#         alpha = eps * (sigma / sigmas[-1]) ** 2
#         for t in range(z.shape[1]):
#             x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * z[i, t]
#     return x
# ```
# </details>


# %%
def my_annealing(score, x, sigmas, eps, z):  # x (B, D), sigmas (L,), z (L, T, B, D); returns x at the end
    ...


practice.annealing(my_annealing)

# %% [markdown]
# The library's version draws $z$ itself, and yields its state after each
# step:

# %%
ne.show(annealed_langevin)

# %% [markdown]
# ## 7.4 Figure 3 of the paper
#
# Which ladder? Text and code of the paper differ here. The text (2019,
# section 4.3) names noise levels from 10 to 0.1; section 7.6 tries them.
# The published code (`runners/toy_runner.py`) does something simpler: it
# lets the *standard deviation of the components* fall from 20 to 1, over 10
# levels of 100 steps, with $\epsilon = 0.1$. We follow the code. At the
# last level the components have exactly the variance that they should have.
#
# In our language those are five *points*, one at $(-5, -5)$ and four at
# $(5, 5)$, blurred with $\sigma = 20 \dots 1$: the data set is finite, its
# score at every $\sigma > 0$ is known, and at $\sigma = 1$ it *is* our
# mixture.

# %%
five_points = ne.Empirical(torch.tensor([[-5.0, -5.0]] + 4 * [[5.0, 5.0]]))
sigmas = geometric(20, 1, 10)
probe = from_square(5, generator)
difference = (five_points(probe, 1.0) - mixture(probe)).abs().max().item()
print(f"largest difference of the score at sigma 1 from the mixture's: {difference:.3f}")
assert difference < 5e-4
print("levels:", " ".join(f"{sigma:.2f}" for sigma in sigmas.tolist()))
print("steps: ", " ".join(f"{alpha:.2f}" for alpha in ne.step_sizes(sigmas, eps=0.1).tolist()))

# %% [markdown]
# **Predict:** three panels come next: independent samples, Langevin,
# annealed Langevin; 1280 points each. What share will the small mode have
# in the third? And will its points spread as widely as those of the first?
#
# <details><summary>Answer</summary>
#
# About 0.2, like the truth; the scatter of a single run is
# $\sqrt{0.2 \cdot 0.8/1280} = 0.011$ at best. The spread is right up to
# ULA's bias: the last step is $\alpha_L = 0.1$, so the variance is
# $1/(1 - 0.1/4) = 1.026$.
# </details>

# %%
steps = annealed_langevin(five_points, start, sigmas, eps=0.1, n_steps_each=100, generator=generator)
x_annealed = last(ne.progress(steps, total=1000, description="annealing"))
x_iid = mixture.sample(1280, generator=generator)

# %% [markdown]
# `progress` draws a bar while the generator runs and knows nothing of what
# it counts; `last` keeps one state at a time, so that a run of a million
# steps needs no more memory than one of ten. Now the three panels.

# %%
panels = {"independent": x_iid, "Langevin": x_langevin, "annealed Langevin": x_annealed}
shares = {name: mode_weights(x, mixture).weight[0].item() for name, x in panels.items()}
fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.9))
for ax, (name, x) in zip(axes, panels.items(), strict=True):
    density(ax, mixture.log_prob, extent=9)
    scatter(ax, x, extent=9).set(title=f"{name}\nsmall mode: {shares[name]:.3f}", xlabel="$x_1$", ylabel="$x_2$")
alt = "Dots in two clouds, a thin and a dense one; only plain Langevin dynamics makes both equally dense."
caption = "Independent samples, Langevin dynamics and annealed Langevin dynamics (Figure 3 of the paper)."
save_figure(fig, "fig3_annealing", alt=alt, caption=caption, numbers=shares, tolerance=0.02)

# %%
assert 0.44 < shares["Langevin"] < 0.54 and 0.16 < shares["annealed Langevin"] < 0.26


def variances(x: torch.Tensor) -> list[float]:  # of the small and the big mode
    return ne.mode_moments(x, mixture)[1].diagonal(dim1=1, dim2=2).mean(1).tolist()


small, big = variances(x_annealed)
theory = ne.stationary_variance(0.1, 1.0)
print(f"theory {theory:.3f}; variance in the small mode ≈ {small:.3f}, in the big one ≈ {big:.3f}")
assert abs(small / theory - 1) < 0.25 and abs(big / theory - 1) < 0.13

# %% [markdown]
# The clouds in the three panels are of the same shape, and at a glance all
# three panels look fine. Only counting tells the middle one from the
# others. Keep that in mind for images, where nobody can count modes by eye:
# a generator that draws each kind of picture perfectly, but in the wrong
# proportions, looks perfect.
#
# The variance in the small mode rests on some 270 points, so it scatters by
# $\sqrt{2/540} \approx 6\,\%$; a deviation from 1.03 by that much is
# chance. A claim about it needs more chains.
#
# One run of 1280 chains is one number with an error. To compare methods we
# want the spread over repetitions, and since chains do not know of each
# other, twenty repetitions are simply one batch of $20 \times 1280$:

# %%
many = from_square(20 * 1280, generator)
runs = {
    "i.i.d.": mixture.sample(20 * 1280, generator=generator),
    "Langevin": last(ne.langevin(mixture, many, alpha=0.1, n_steps=1000, generator=generator)),
    "annealed": last(annealed_langevin(five_points, many, sigmas, eps=0.1, generator=generator)),
}
for name, x in runs.items():
    repeats = torch.stack([mode_weights(part, mixture).weight[0] for part in x.split(1280)])
    print(f"{name:9} small mode ≈ {repeats.mean():.3f}, spread of single runs ≈ {repeats.std():.3f}")
    assert abs(repeats.mean() - {"i.i.d.": 0.2, "Langevin": 0.49, "annealed": 0.213}[name]) < 0.01

# %%
small, big = variances(runs["annealed"])
print(f"theory {theory:.3f}; variance over all runs, small mode ≈ {small:.3f}, big mode ≈ {big:.3f}")
assert abs(small / theory - 1) < 0.06 and abs(big / theory - 1) < 0.06

# %% [markdown]
# Independent samples scatter by 0.01 around 0.20, as
# $\sqrt{0.2 \cdot 0.8/1280} = 0.011$ demands. Langevin dynamics stays at
# one half. Annealing is close to the truth, but look closely: its mean over
# twenty runs is above 0.20, and with $0.011/\sqrt{20} \approx 0.0025$ for
# the error of that mean this is no accident. The widths, on the other hand,
# agree with ULA's formula within the error. Where does the small excess
# come from?
#
# ## 7.5 Where the weights are decided
#
# At which level do the chains learn that the small mode has weight 0.2? We
# can watch it, and we know what to expect: in equilibrium at level $i$ the
# share of chains in the lower left half of the plane, $x_1 + x_2 < 0$, is
# the mass of $p_{\sigma_i}$ there. Along the diagonal $p_\sigma$ is a pair
# of one-dimensional Gaussians at $\pm 5\sqrt2$ with standard deviation
# $\sigma$, so that this mass is a sum of two normal distribution functions.
#
# **Predict:** at the first level, $\sigma_1 = 20$: is the share in that
# half below 0.2, about 0.2, or nearer to 0.5? From which level on do the
# chains fall behind the theory, and why then?
#
# <details><summary>Answer</summary>
#
# Near 0.4: with so much blur almost half of the mass lies on either side,
# whichever mode it comes from. As the blur shrinks the two modes part, and
# the chains follow as long as some still cross the middle. Around
# $\sigma \approx 3$ the crossing stops, and the share is frozen at its
# value there. A ladder that goes too fast through this *critical range*
# freezes too early, with too many chains in the small mode: 0.21 to 0.22
# instead of 0.20 here.
# </details>

# %%
normal = torch.distributions.Normal(0.0, 1.0)
expected = [0.2 * normal.cdf(5 * 2**0.5 / s) + 0.8 * normal.cdf(-5 * 2**0.5 / s) for s in sigmas]
measured = []
for state in annealed_langevin(five_points, many[:10_000], sigmas, eps=0.1, generator=generator):
    if state.step == 99:  # the last step of each level
        measured.append((state.x.sum(1) < 0).float().mean().item())

# %%
fig, ax = plt.subplots(figsize=(5.6, 3.3))
ax.semilogx(sigmas, expected, "-", color=BLUE, label=r"mass of $p_\sigma$ there")
ax.semilogx(sigmas, measured, "o", color=ORANGE, label="chains there")
ax.axhline(0.2, color=GREY, ls="--", lw=0.8)
ax.invert_xaxis()
ax.set_xticks(sigmas.tolist(), [f"{sigma:.3g}" for sigma in sigmas.tolist()], minor=False)
ax.set_xticks([], minor=True)
ax.set(xlabel=r"$\sigma$, from first to last level", ylabel="share", ylim=(0.15, 0.5), title="where $x_1 + x_2 < 0$")
ax.legend()
alt = "The expected share falls from 0.42 to 0.20; the chains follow down to noise 5.3, then stay above it."
caption = "The share of the chains in the lower left half plane at the end of each level, and in equilibrium."
numbers = {"first_level": measured[0], "last_level": measured[-1]}
save_figure(fig, "annealing_levels", alt=alt, caption=caption, numbers=numbers, tolerance=0.01)

# %% [markdown]
# On the left of the picture the chains follow the curve: at those levels
# they cross the middle freely, and each level reaches equilibrium, whatever
# came before. Between $\sigma = 5$ and 3 they begin to lag behind: the
# levels change faster than the chains can follow. From then on no chain
# crosses any more, and the share stays a little above the truth.
#
# Annealing fails neither at the end nor at the beginning, but in the narrow
# range of noise levels where the modes part. The cure is to spend more time
# there: more levels or more steps at each. (With 30 levels of 100 steps the
# share comes to 0.208, with ten levels of 300 to 0.203; both have a
# standard error of 0.003.) Physicists know the same from quenching: a glass
# that is cooled too fast keeps the disorder of the temperature at which it
# froze.
#
# Now watch it. Each chain keeps the colour of the side on which it was at
# the end of the first level: purple for the lower left, green for the upper
# right. On the right you see the chains' coordinate along the diagonal,
# $u = (x_1 + x_2)/\sqrt2$, as a histogram, and $p_\sigma$ on the diagonal
# as a curve.

# %%
few = from_square(200, generator)
states = list(ne.every(annealed_langevin(five_points, few, sigmas, eps=0.1, generator=generator), 25))
first_side = states[3].x.sum(1) < 0  # at the end of the first level


# %%
def draw(state):
    half = 1.6 * state.sigma + 8  # the picture follows the chains inwards
    plane.lines[0].set_data(*state.x[first_side].T)
    plane.lines[1].set_data(*state.x[~first_side].T)
    plane.set(xlim=(-half, half), ylim=(-half, half), title=rf"$\sigma$ = {state.sigma:.2f}, step {state.step + 1}")
    edges, u = torch.linspace(-1.3 * half, 1.3 * half, 31), torch.linspace(-1.3 * half, 1.3 * half, 401)
    bars.set_data(torch.histogram(state.x.sum(1) / 2**0.5, edges, density=True).hist, edges)
    modes = torch.distributions.Normal(torch.tensor([[-1.0], [1.0]]) * 50**0.5, state.sigma)
    height = torch.tensor([0.2, 0.8]) @ modes.log_prob(u).exp()
    curve.set_data(u, height)
    cut.set(xlim=(-1.3 * half, 1.3 * half), ylim=(0, 1.8 * height.max()))


# %% [markdown]
# **Predict:** at the end, which colours are in the small mode? What would
# the picture be for plain Langevin dynamics? And at which $\sigma$ does the
# last chain cross?
#
# <details><summary>Answer</summary>
#
# Both colours are in both modes: the first levels mix the chains, so that
# the side on which one was says nothing about the mode in which it ends.
# With plain Langevin dynamics each mode would have its own colour.
# Crossings become rare at $\sigma \approx 4$ and stop at about 3, where the
# curve has no mass left in the middle.
# </details>

# %%
fig, (plane, cut) = plt.subplots(1, 2, figsize=(7.2, 3.6))
for color in (PURPLE, GREEN):
    scatter(plane, few, color=color, ms=4, alpha=0.8)
plane.set(xlabel="$x_1$", ylabel="$x_2$")
plane.locator_params(nbins=4, integer=True)
(curve,) = cut.plot([], [], color=BLUE, label=r"$p_\sigma$ on the diagonal")
bars = cut.stairs([0.0], [0.0, 1.0], fill=True, color=ORANGE, alpha=0.5, label="chains")
cut.set(xlabel="$u$", ylabel="density", yticks=[])
cut.legend(loc="upper left", fontsize=8)
alt = "Dots in two colours mix, and then gather in two clouds; both clouds have both colours."
caption = "Chains, coloured by the side they were on after the first level, and $p_\\sigma$ on the diagonal."
ended, left = mode_weights(states[-1].x, mixture).weight[0], (states[-1].x.sum(1) < 0)[first_side].float().mean()
ends = {"small_mode": ended, "of_the_left_ones": left}
ne.save_animation(fig, "annealing_colours", draw, states, alt=alt, caption=caption, fps=6, numbers=ends, tolerance=0.03)
print(f"small mode ≈ {ended:.3f}; of the chains that were on the left ≈ {left:.3f}")
assert 0.12 < ended < 0.32 and abs(left - ended) < 0.1

# %% [markdown]
# A chain that was on the left after the first level ends in the small mode
# hardly more often than any other. The levels above the critical range make
# the chains forget where they were; those below it only sharpen what they
# find.
#
# ### Trap: $\alpha_i$ without squares
#
# What if $\alpha_i = \epsilon\, \sigma_i/\sigma_L$? The program runs, and
# the last level's step is the same, so that the clouds look right. We
# compare both on a ladder that goes down to 0.1.
#
# **Predict:** which share will the small mode get without the squares?
#
# <details><summary>Answer</summary>
#
# About 0.4, between the 0.5 of the starting square and the 0.2 of the
# truth.
# </details>

# %%
ladder = geometric(20, 0.1, 10)
print(f"alpha_1 with squares {0.003 * (20 / 0.1) ** 2:.1f}, and without {0.003 * 20 / 0.1:.1f}")
for power in (2, 1):
    x = many[:5000]
    for sigma in ladder.tolist():
        alpha = 0.003 * (sigma / 0.1) ** power
        x = last(ne.langevin(mixture, x, alpha=alpha, sigma=sigma, n_steps=100, generator=generator))
    share = mode_weights(x, mixture).weight[0].item()
    print(f"power {power}: small mode ≈ {share:.3f}, std of the big mode ≈ {variances(x)[1] ** 0.5:.2f}")
    assert (abs(share - 0.215) < 0.03) if power == 2 else share > 0.3

# %% [markdown]
# Without squares the first level's step is 0.6, and a hundred of them
# spread a chain by $\sqrt{60} \approx 8$, where a width of 20 has to be
# explored. The chains keep much of what they had at the start, as in
# section 7.2. The clouds are hardly wider than with squares, and tell
# nothing.
#
# ## 7.6 Trap: the ladder in the text of the paper
#
# The paper's text, and many texts after it, describe this figure with a
# *noise* ladder, $\sigma$ from 10 to 0.1. Put together with the
# $\epsilon = 0.1$ of the code and the exact perturbed score, that cannot
# run. Compute the first step before running it:
# $\alpha_1 = \epsilon\, \sigma_1^2/\sigma_L^2 = 0.1 \cdot 100/0.01 = 1000$.
# The density there has variance $1 + \sigma_1^2 = 101$, and notebook 2 says
# that a step must stay below $4 \cdot 101 = 404$. In general
#
# $$ \frac{\epsilon}{\sigma_L^2} \;<\; 4\,\Big(1 + \frac{s^2}{\sigma_i^2}\Big) \quad\text{for every } i, $$
#
# with $s^2$ the smallest variance of the clean data. The first level is the
# strictest.
#
# **Predict:** each step multiplies the distance from the centre by
# $|1 - \alpha_1 / (2 \cdot 101)| = 3.95$. Float32 ends near
# $3 \cdot 10^{38}$. After how many steps will the chains have run away?
# What does the sampler do then?
#
# <details><summary>Answer</summary>
#
# $3.95^n = 10^{38}$ gives $n \approx 64$; squares inside the log-density
# overflow at half of that, $n \approx 32$. The sampler stops and says
# where. A loop without a check would go on and hand you NaN.
# </details>

# %%
quoted = geometric(10, 0.1, 10)
print(f"first step {ne.step_sizes(quoted, eps=0.1)[0]:.0f}, limit {ne.stable_alpha(1.0, sigma=10):.0f}")
print(f"eps 0.1, limit {ne.stable_eps(quoted, data_var=1.0):.4f}")

# %%
distance = []
try:
    for state in annealed_langevin(mixture, start, quoted, eps=0.1, generator=generator):
        distance.append(state.x.double().norm(dim=1).mean().item())
except FloatingPointError as error:
    print(str(error).split(".")[0])

# %% [markdown]
# The error names the level and the step (both counted from 0, as always in
# Python), because a NaN that surfaces at the end of a long run says nothing
# about where it came from. We kept the distances on the way; now we compare
# them with the predicted factor of 3.95 a step.

# %%
predicted = [distance[0] * abs(1 - 1000 / (2 * 101)) ** n for n in range(len(distance))]
fig, ax = plt.subplots(figsize=(5.2, 3.1))
ax.semilogy(range(1, len(distance) + 1), predicted, color=BLUE, label="predicted: times 3.95 a step")
ax.semilogy(range(1, len(distance) + 1), distance, ".", color=RED, label="measured")
ax.set(xlabel="step of the first level", ylabel="mean distance", title="distance from the centre")
ax.legend()
growth = (distance[-1] / distance[5]) ** (1 / (len(distance) - 6))
alt = "Measured distances lie on the predicted straight line, from 50 to ten to the power 19 in 30 steps."
caption = "Chains that run away: the mean distance from the centre, predicted and measured."
numbers = {"growth": growth, "steps": len(distance)}
save_figure(fig, "annealing_trap", alt=alt, caption=caption, numbers=numbers, tolerance=0.02)

# %% [markdown]
# Prediction and measurement lie on one line over seventeen orders of
# magnitude: this is no mystery of floating-point numbers, it is a geometric
# series with a ratio beyond 1. Two lines of arithmetic before the run would
# have saved it.
#
# With an $\epsilon$ below the limit the noise ladder works as well. Below
# by how much? Not only stability counts: at the low levels the step
# $\alpha$ must still be large enough to do something in $T$ steps. The next
# table tries three ladders, each with an $\epsilon$ of its own.

# %%
for sigma_1, eps in ((20, 0.003), (10, 0.002), (1, 0.005)):
    ladder = geometric(sigma_1, 0.1, 10)
    x = last(annealed_langevin(mixture, many[:5000], ladder, eps=eps, generator=generator))
    weight, spread = mode_weights(x, mixture).weight[0], variances(x)[1] ** 0.5
    limit = ne.stable_eps(ladder, data_var=1.0)
    print(
        f"sigma {sigma_1:2} to 0.1, eps {eps} < {limit:.3f}: small mode ≈ {weight:.3f}, big mode's std ≈ {spread:.2f}"
    )
    assert (weight > 0.4) if sigma_1 == 1 else (0.19 < weight < 0.25)

# %% [markdown]
# The first two ladders do what they should: widths within a few percent,
# weights within a few hundredths. (5000 chains scatter by 0.006. With
# 25,600 chains the two come to 0.218 and 0.220, the frozen excess of
# section 7.5.) Both cost 1000 evaluations of the score a chain. With a
# closed form that is nothing; with the network of notebook 9 each costs
# 19.5 GFLOP an image, and the choice of ladder becomes a question of money.
# Techniques 1, 2 and 4 of Song & Ermon 2020 (NCSNv2; in
# `ncsn_edu.schedules`) turn it into three small calculations.
#
# The third ladder begins with too little noise: $\sigma_1 = 1$ does not
# bridge a gap of 14, the first level is stuck already, and all the others
# inherit its weights. From this follows the rule of thumb of NCSNv2: take
# $\sigma_1$ about as large as the largest distance between data points.
#
# ## 7.7 Trap: the blurred mixture has variance $s^2 + \sigma^2$
#
# Two mistakes that look alike. (a) Take the *true* perturbed score and stop
# the ladder at $\sigma_L = 1$: you then sample from $p_{\sigma_L}$ and not
# from $p$. (b) Forget the data's own variance, use $\sigma^2$ *instead of*
# $s^2 + \sigma^2$, and anneal to 0.1.
#
# **Predict:** both get the *weights* about right. What is the standard
# deviation of the big mode in each of the two?
#
# <details><summary>Answer</summary>
#
# (a) $\sqrt{1 + 1} = 1.41$, and slightly more by ULA's bias. (b) 0.1.
# Neither shows in the mode weights, which are 0.21 to 0.22 in all three,
# the frozen excess of section 7.5. **Always check the width as well**: one
# number is never enough to judge samples.
# </details>

# %% [markdown]
# The three runs first, 12,800 chains each, of which the figure shows 1280.
# (Of 1280 the share alone would scatter by 0.011.) The runs differ in two
# things only: the model that is asked for the score, and where the ladder
# ends. Note that `five_points` in the last one is the very model that was
# *right* in section 7.4: there the ladder stopped at $\sigma_L = 1$, which
# supplied the width of the modes. A variance may be counted with the data
# or with the noise, but it has to be counted once.

# %%
long, short = geometric(20, 0.1, 10), geometric(20, 1, 10)
settings = {
    "correct": (mixture, long, 0.003),
    "(a) stopped at sigma 1": (mixture, short, 0.1),
    "(b) the variance of the data forgotten": (five_points, long, 0.003),
}
clouds = {
    name: last(annealed_langevin(model, many[:12_800], ladder, eps=eps, generator=generator))
    for name, (model, ladder, eps) in settings.items()
}

# %%
widths = {name: variances(x)[1] ** 0.5 for name, x in clouds.items()}
fig, axes = plt.subplots(1, 3, figsize=(10.5, 3.9))
for ax, (name, x) in zip(axes, clouds.items(), strict=True):
    share = mode_weights(x, mixture).weight[0]
    scatter(ax, x[:1280], extent=11).set(title=f"{name}\nstd {widths[name]:.2f}, small mode {share:.3f}")
    ax.set(xlabel="$x_1$", ylabel="$x_2$")
    widths[f"share, {name}"] = share
alt = "Dots in two clouds: of the right width, wider, and shrunk to two small spots."
caption = "The same chains with the correct score and ladder, and with two mistakes in the width."
save_figure(fig, "annealing_width", alt=alt, caption=caption, numbers=widths, tolerance=0.015)
assert all(0.2 < number < 0.23 for name, number in widths.items() if name.startswith("share"))

# %% [markdown]
# For data that are not blurred, such as images, $\sigma_L$ must therefore
# be so small that nobody sees it (0.01 for pixels in $[0, 1]$), or a last
# **denoising** step removes what is left: $x + \sigma_L^2\, s(x, \sigma_L)$
# is the mean of the clean data given the noisy one. On case (a):

# %%
too_wide = clouds["(a) stopped at sigma 1"]
for name, x in (("before", too_wide), ("after", ne.denoise(mixture, too_wide, 1.0))):
    width = variances(x)[1] ** 0.5
    print(f"{name:6} denoising: std ≈ {width:.3f}")
    assert abs(width - 2 ** (0.5 if name == "before" else -0.5)) < 0.04

# %% [markdown]
# Denoising moves every point to the place where its clean original is on
# average, and an average is less spread out than what it is taken of. The
# arithmetic: given a noisy point at distance $d$ from its mode, the clean
# one lies at $d \cdot s^2/(s^2 + \sigma^2) = d/2$ on average, so that the
# standard deviation $\sqrt2$ becomes $\sqrt2/2$.
#
# After denoising the modes are too *narrow*, $1/\sqrt2 = 0.71$: the mean of
# the clean data given the noisy one is not a sample of it. At
# $\sigma_L = 0.01$ the difference is invisible; here it is the whole width.
# Denoising cannot repair a ladder that stops too early.
#
# ## 7.8 Trap: the kernel's score is not the marginal's
#
# Denoising score matching (notebook 3) has the target
# $-(\tilde x - x_0)/\sigma^2$, the score of the *kernel*
# $\mathcal{N}(x_0, \sigma^2 I)$ around one data point. Some texts put this
# formula into the sampler, as if it were the score of $p_\sigma$. The score
# of $p_\sigma$ is its mean over all $x_0$ that may be behind $\tilde x$. We
# give each of 1280 chains a data point $x_0$ of its own, and anneal with
# its kernel's score.
#
# **Predict:** the weights of the modes will be right, and the widths too.
# What is wrong?
#
# <details><summary>Answer</summary>
#
# Each chain returns its own $x_0$, up to the last noise of 0.1. Nothing was
# sampled: the data points went in, and the same data points came out. With
# one $x_0$ for all chains all of them would end at the same place.
# </details>

# %%
x_0 = mixture.sample(1280, generator=generator)
for name, score in (("kernel", lambda x, sigma: (x_0 - x) / sigma**2), ("marginal", mixture)):
    x = last(annealed_langevin(score, many[:1280], long, eps=0.003, generator=generator))
    away, share = (x - x_0).norm(dim=1).median(), mode_weights(x, mixture).weight[0]
    print(f"{name:8} small mode ≈ {share:.3f}, std ≈ {variances(x)[1] ** 0.5:.2f}, distance from x_0 ≈ {away:.2f}")
    assert 0.15 < share < 0.26 and ((away < 0.2) if name == "kernel" else (away > 1))

# %% [markdown]
# All statistics of the first run are perfect, because they are those of the
# data. The distance from $x_0$ shows what happened. A sampler must work
# without being told any data point. In training the kernel's score is a
# fair target, because the regression averages over everything that the
# network cannot know.
#
# ## 7.9 Your turn
#
# The explorer predicts before it runs: the middle panel shows, level by
# level, the step as a share of its limit; a level in the shaded area
# explodes. Change the sliders, say what will happen, then press **Run**.
#
# - Raise **eps** until the prediction says unstable, and Run. At which level do
#   the chains run away just beyond the limit, and at which far beyond it?
#   Why never at a late one?
# - Lower **sigma_1** to 1. The share in the small mode freezes; at which
#   value, and why that one?
# - Spend the same 1000 evaluations as 5 **levels** of 200 **steps each**,
#   and as 20 levels of 50. Which of the two would you rather have?
# - Set **sigma_L** to 1 and **eps** to 0.1. The weights are fine. What is
#   not? Then put **eps** back to 0.003: why do the chains hardly move now?
#   (Compute $\alpha_1$ for both.)
# - The cheapest good sampler: how far can you push L times T down while the
#   interval still covers 0.2 and the std stays within 10 % of 1?
#
# <details><summary>Answers</summary>
#
# - The limit is 0.040. At 0.045, the first value beyond it, the distances
#   grow by a factor of 1.23 a step, and overflow at the second level. From
#   0.05 on they do so at the first. The first level has the strictest
#   limit, so that a run which survives it has little to fear later. Just
#   *below* the limit, at 0.0398, the chains jump to and fro across the
#   centre without forgetting it, and the share is 0.37.
# - At 0.51: the share of starts in the lower left half of the square. No
#   level is wide enough to let a chain cross.
# - Twenty levels of 50: 0.217 against 0.255. With five levels the ratio of
#   neighbours is 3.8, so that the ladder steps over the critical range.
# - The widths are 1.41 in place of 1. With **eps** at 0.003 $\alpha_1$
#   falls from 40 to 1.3, which moves a chain by $\sqrt{130} \approx 11$ in
#   a hundred steps at a width of 20: the share stays at 0.41 and the widths
#   are near 5.
# - 100 evaluations will do: $L = 10$, $T = 10$, **eps** 0.016 give 0.228 in
#   [0.197, 0.262] and widths of 1.02 and 1.08. (640 chains do not see an
#   excess of 0.02 for certain.)
# </details>

# %%
AnnealingExplorer()

# %% [markdown]
# ## What you should be able to do now
#
# - Explain why a score can be perfect on the data and know nothing about
#   the weights of two modes.
# - State Algorithm 1 with the right powers of $\sigma$, and say why the
#   step follows $\sigma^2$.
# - Choose $\sigma_1$, $\sigma_L$ and $\epsilon$ for a mixture, and predict
#   stability before running.
# - Judge samples by more than one number: weights with an interval, and
#   widths.
# - Tell, from a picture alone, a sampler that is stuck from one that
#   stopped too early and from one with the wrong variance.
#
# ## Exercises
#
# 1. Two ways to give the chains more time: ten levels from 20 to 1 as in
#    section 7.4, but (a) 300 steps each, or (b) $\epsilon = 0.3$ and 100
#    steps each. Predict for both: does the frozen excess shrink? What does
#    (b) cost? Measure with twenty repetitions.
#    <details><summary>Hint</summary>
#
#    What counts is the time $T \alpha_i$ at each level. What else depends
#    on $\alpha_L$?
#    </details>
#    <details><summary>Answer</summary>
#
#    Both shrink it: the shares are 0.203 and 0.209, with a standard error
#    of 0.003, in place of 0.216. The time $T\alpha_i$ is three times as
#    long in both. (a) costs three times the evaluations. (b) costs
#    accuracy: the variance is $1/(1 - 0.3/4) = 1.081$.
#    </details>
# 2. Measure the share in the small mode for $L = 3, 5, 10, 30$ at a
#    constant number of $L \cdot T = 1000$ evaluations, with error bars over
#    twenty repetitions. Is the number of levels or the number of steps
#    worth more?
#    <details><summary>Answer</summary>
#
#    0.234, 0.231, 0.215 and 0.216, each with a standard error of 0.003.
#    From three levels to ten the share improves, since neighbours begin to
#    overlap. From ten on levels and steps are worth the same: what counts
#    is the time spent in the critical range.
#    </details>
# 3. Sample `ncsn_edu.spiral()` and `ncsn_edu.checkerboard()` by annealing.
#    Find ladder and $\epsilon$ by `stable_eps` and by the rule for
#    $\sigma_1$, and check the result with `ncsn_edu.energy_test` against
#    independent samples.
#    <details><summary>Answer</summary>
#
#    `max_pairwise_distance` of 2000 samples gives $\sigma_1$ = 1.9 and 5.6.
#    With $\sigma_L = 0.05$, ten levels of 100 steps and a tenth of
#    `stable_eps` ($\epsilon = 0.001$) the test finds no difference between
#    2000 chains and 2000 samples: $p = 0.68$ and $p = 0.86$ with the seeds
#    used here.
#    </details>
#
# ## References
#
# - Y. Song and S. Ermon, *Generative Modeling by Estimating Gradients of
#   the Data Distribution*, NeurIPS 2019: sections 3.2.2 and 4.3, Algorithm
#   1, Figure 3.
# - Y. Song and S. Ermon, *Improved Techniques for Training Score-Based
#   Generative Models*, NeurIPS 2020: how to choose the ladder.
# - A. Jolicoeur-Martineau et al., *Adversarial score matching and improved
#   sampling for image generation*, ICLR 2021: the denoising step.
# - The published code: github.com/ermongroup/ncsn, `runners/toy_runner.py`.
# - R. Neal, *Annealed importance sampling*, Statistics and Computing 2001:
#   annealing of distributions, with weights.
#
# **Next:**
# [8 · One network for all noise levels](08_noise_conditional.ipynb) trains
# one network that knows the score at every level of the ladder.
