# %% [markdown]
# # Assignment 5 · DDPM and SDEs: the same score on another ladder
#
# *About 120 minutes. 29 points: 25 by automatic tests, 4 for a written answer.
# Nothing here needs a GPU or the internet; each cell runs in seconds.*
#
# A net that guesses noise is a score in other letters. You write DDPM's chain and its
# way back, the loss, and the change of letters; then you let the number of steps go to
# infinity, and run the same score as a stochastic differential equation, as a flow
# without noise, and as a likelihood. Notebook 16 is the lecture to Tasks 1 to 5,
# notebook 17 to the others.
#
# **How it works.** Put your code where it says `YOUR CODE HERE`, and delete the line
# `raise NotImplementedError()`. Keep the names of the functions and the order of
# their arguments; the rest is yours: loops or none, PyTorch or NumPy, extra functions
# and cells as you like. Below each task is a cell of tests: run it as often as you
# want. What it says is meant to help. When the assignment is graded, more tests run,
# with other inputs. Each task is graded by itself: if you are stuck, go on, and
# use the function of the package that the task names in its last line.

# %% role="setup"
import math

import numpy as np
import torch
from matplotlib import pyplot as plt

import ncsn_edu as ne
from ncsn_edu.grading.tasks import Given, Task, close, ensure, fresh_noise, p_share, plausible


# %% role="setup tests"
def _steps(t, n, x):
    """The steps that a net was told, one number or one for each row of x: whole numbers from 0 to n - 1, (B,)."""
    t = torch.as_tensor(t).double().reshape(-1)
    ensure(len(t) in (1, len(x)), f"the net was told {len(t)} steps t for {len(x)} points")
    ensure((t == t.round()).all(), f"the net was told t = {t[0]:.3g}, ...: steps are whole numbers")
    ensure(((t >= 0) & (t < n)).all(), f"the net was told t from {t.min():g} to {t.max():g}, and not from 0 to {n - 1}")
    return t.long().expand(len(x))


def _wide(values, x):
    """Numbers, one for each row of x or one for all, in a shape that multiplies the rows of x."""
    return torch.as_tensor(values, dtype=torch.float64).reshape(-1, *[1] * (x.ndim - 1))


def _net_of_one_place(place, factors, spreads):
    """The net for data that are all at one place, where x_t = factors[t] x_0 + spreads[t] e."""

    def net(x, t):
        t = _steps(t, len(factors), x)
        return (x - _wide(factors[t], x) * place) / _wide(spreads[t], x)

    return Given(net)


def _two(found, what):
    """The two things that a function has returned."""
    if isinstance(found, torch.Tensor) and found.ndim and len(found) == 2:
        found = tuple(found)
    ensure(isinstance(found, tuple) and len(found) == 2, f"return two things: {what}")
    return found


def _known(found, mistakes):
    """Says what is wrong where numbers are those of a known mistake: {words: numbers}."""
    for words, numbers in mistakes.items():
        numbers = torch.as_tensor(numbers, dtype=torch.float64)
        ensure(found.shape != numbers.shape or not torch.allclose(found, numbers, rtol=2e-3, atol=1e-4), words)


# %% [markdown]
# **DDPM's letters.** A schedule `betas` (T,), in double precision, holds the variances
# $\beta_t$ of the noise. One step of the chain is
#
# $$ x_t = \sqrt{1 - \beta_t}\; x_{t-1} + \sqrt{\beta_t}\; e_t, \qquad e_t \sim \mathcal N(0, I) . $$
#
# Steps are counted as places in `betas`: $t = 0$ is the first step, which makes $x_0$,
# the point with a little noise, from the clean one. So that nobody is confused, the
# clean point has a name of its own here: `clean`, $c$ in formulas. The net is a
# function `net(x_t, t)`, with `x_t` of shape (B, D) and `t` (B,) whole numbers; it
# returns its guess of the noise, (B, D).
#
# **NCSN's letters.** A score is a function `score(x, sigma)`, with `x` of shape (B, D)
# and `sigma` a number or (B,): it is $\nabla_x \log p_\sigma(x)$, where $p_\sigma$ is
# the density of $c + \sigma z$. It returns (B, D).
#
# ## Task 1 · All steps at once (2 points)
#
# After step $t$ of the chain $x_t$ is Gaussian, given the clean point: its mean is a
# share of $c$, and its noise is a sum of $t + 1$ Gaussians. So one can go there at once,
# with a single standard normal $e$ in place of all $e_0, \dots, e_t$. What is the
# factor before $c$, and what is the one before $e$?
#
# - `clean`: (B, D), or images (B, C, H, W); `t`: (B,), whole numbers, a step for each
#   row or image; `betas`: (T,); `e`: of the shape of `clean`
# - returns $x_t$, of the shape of `clean`
#
# *Stuck? `ne.alphas_bar_of(betas)` is $\bar\alpha$, and lets you continue.*


# %% role="answer 1"
def diffuse(clean, t, betas, e):
    ### BEGIN SOLUTION
    kept = torch.cumprod(1 - betas, 0)[t]  # (B,)
    kept = kept.reshape(-1, *[1] * (clean.ndim - 1))
    return kept.sqrt() * clean + (1 - kept).sqrt() * e
    ### END SOLUTION


# %% role="tests 1 2"
task = Task("1", stuck="alphas_bar_of")
answer = task.answer("diffuse")
two_steps = torch.tensor([0.36, 0.4375], dtype=torch.float64)


@task.check("one step with beta = 0.36: 0.8 of the point, and 0.6 of the noise")
def _():
    clean, e = torch.tensor([[10.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    found = answer(clean, torch.tensor([0]), two_steps, e, shape=(1, 2))
    mistakes = {
        "these are the factors of the second step, or point and noise are exchanged: t = 0 is the first step": [
            [6.0, 0.8]
        ],
        "a root is missing: 1 - beta is what is left of the point's variance, and beta is the noise's": [[6.4, 0.36]],
        "0.36 is the variance of the noise, and its standard deviation is wanted before e": [[8.0, 0.36]],
        "this is the point as it was: t = 0 is the first step, and not the point before it": [[10.0, 0.0]],
        "the point is not shrunk: this is NCSN's noisy point, not DDPM's": [[10.0, 0.75]],
    }
    _known(found, mistakes)
    close(found, [[8.0, 0.6]])


@task.check("and one with beta = 0.4375 after it: 0.6 of the point, and 0.8 of the noise")
def _():
    clean, e = torch.tensor([[10.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    found = answer(clean, torch.tensor([1]), two_steps, e, shape=(1, 2))
    _known(found, {"this is the second step alone, from the clean point": [[7.5, 0.66144]]})
    close(found, [[6.0, 0.8]])


@task.check("three points, each at a step of its own")
def _():
    clean, e = torch.tensor([[10.0], [20.0], [-10.0]]), torch.tensor([[5.0], [0.0], [10.0]])
    close(answer(clean, torch.tensor([0, 1, 1]), two_steps, e, shape=(3, 1)), [[11.0], [12.0], [2.0]])


@task.check("images, each at a step of its own")
def _():
    clean, e = torch.ones(2, 1, 2, 3), torch.zeros(2, 1, 2, 3)
    found = answer(clean, torch.tensor([1, 0]), two_steps, e, shape=clean.shape)
    close(found[0], 0.6 * clean[0], what="the image at t = 1, without noise,")
    close(found[1], 0.8 * clean[1], what="the image at t = 0, without noise,")


### BEGIN HIDDEN TESTS
def walked(betas):
    """What the chain, walked step by step, makes of the clean point and of the noise's variance: (T,), (T,)."""
    factor, variance, found = 1.0, 0.0, []
    for beta in betas.tolist():
        factor, variance = math.sqrt(1 - beta) * factor, (1 - beta) * variance + beta
        found.append([factor, math.sqrt(variance)])
    return torch.tensor(found, dtype=torch.float64).T


@task.check("points and images of several shapes, on several schedules", points=2)
def _():
    schedules = (
        ne.ddpm_betas(1000),
        0.02 + 0.5 * torch.rand(12).double(),
        torch.tensor([0.3], dtype=torch.float64),
        ne.ddpm_betas(40, 0.001, 0.4).flip(0),
    )
    for betas in schedules:
        factors, spreads = walked(betas)
        for shape in ((7, 5), (4, 4), (1, 3), (3, 1), (5, 1, 8, 8), (3, 3, 3, 3), (8, 1, 8, 8)):
            clean, e, t = torch.randn(shape), torch.randn(shape), torch.randint(len(betas), shape[:1])
            t[0] = len(betas) - 1
            t[-1] = 0
            expected = [
                float(factors[s]) * c.double() + float(spreads[s]) * z for s, c, z in zip(t, clean, e, strict=True)
            ]
            close(answer(clean, t, betas, e, shape=shape), torch.stack(expected), rtol=1e-3, atol=1e-4)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 2 · One step back, if the clean point is known (3 points)
#
# Where was the chain at $t - 1$, if we know where it is at $t$ *and* the clean point that
# it came from? By Bayes
#
# $$ q(x_{t-1} \mid x_t, c) \;\propto\; q(x_t \mid x_{t-1})\; q(x_{t-1} \mid c) , $$
#
# a product of two Gaussians in $x_{t-1}$: again a Gaussian. Complete the square, and
# mind which factor belongs to one step, and which to all steps so far.
#
# - `x_t`, `clean`: (B, D); `t`: (B,), whole numbers; `betas`: (T,)
# - returns two things: the mean, (B, D), and the variance of each coordinate, (B,)
#
# Steps with $t \ge 1$ earn 2 of the points. The third is for $t = 0$, where the step
# before is the clean point itself: there the question has a certain answer.
#
# *Stuck? No later task needs it: go on.*


# %% role="answer 2"
def posterior(x_t, clean, t, betas):
    ### BEGIN SOLUTION
    kept = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=betas.dtype), kept])[t]  # alpha_bar of the step before
    beta, kept = betas[t], kept[t]
    near = (1 - beta).sqrt() * (1 - before) / (1 - kept)
    far = before.sqrt() * beta / (1 - kept)
    return near[:, None] * x_t + far[:, None] * clean, beta * (1 - before) / (1 - kept)
    ### END SOLUTION


# %% role="tests 2 3"
task = Task("2")
answer = task.answer("posterior")


def means_and_variances(*arguments):
    mean, variance = _two(answer(*arguments), "the mean (B, D) and the variance (B,)")
    ensure(mean.shape == arguments[0].shape, f"the mean has shape {tuple(mean.shape)}, and x_t {arguments[0].shape}")
    rows = tuple(arguments[0].shape[:1])
    ensure(variance.shape == rows, f"the variance has shape {tuple(variance.shape)}, and {rows} was expected")
    return mean, variance


@task.check("DDPM's own schedule of 1000 steps, t = 499: x_t = -0.3 that came from 0.7")
def _():
    mean, variance = means_and_variances(
        torch.tensor([[-0.3]]), torch.tensor([[0.7]]), torch.tensor([499]), ne.ddpm_betas()
    )
    wrong = abs(mean - -0.0819) < 2e-3
    ensure(not wrong, f"the mean is {mean.item():.4f}: does the factor of x_t belong to one step, or to all of them?")
    close(mean, [[-0.2961]], atol=2e-4, what="the mean")
    ensure(variance.item() < 0.0101, f"the variance is {variance.item():.4g}: the clean point is known as well")
    close(variance, [0.010031], rtol=1e-4, atol=0, what="the variance")


@task.check("two steps, beta = 0.36 and 0.4375, from the second to the first")
def _():
    betas = torch.tensor([0.36, 0.4375], dtype=torch.float64)
    x_t, clean = torch.tensor([[6.4, 0.0], [0.0, 6.4]]), torch.tensor([[0.0, 6.4], [0.0, 0.0]])
    mean, variance = means_and_variances(x_t, clean, torch.tensor([1, 1]), betas)
    close(mean, [[2.7, 3.5], [0.0, 2.7]], what="the mean")
    close(variance, [0.24609, 0.24609], rtol=1e-3, what="the variance")


@task.check("a third one, beta = 0.75: two rows at t = 2 and 1, each by its own step")
def _():
    betas = torch.tensor([0.36, 0.4375, 0.75], dtype=torch.float64)
    mean, variance = means_and_variances(torch.ones(2, 2), torch.zeros(2, 2), torch.tensor([2, 1]), betas)
    close(mean, [[0.35165, 0.35165], [0.42188, 0.42188]], rtol=1e-3, what="the mean")
    close(variance, [0.52747, 0.24609], rtol=1e-3, what="the variance")


@task.check("from t = 0 there is one way back: to the clean point (for the third point)")
def _():
    betas = torch.tensor([0.36, 0.4375], dtype=torch.float64)
    mean, variance = means_and_variances(torch.tensor([[3.0]]), torch.tensor([[5.0]]), torch.tensor([0]), betas)
    close(mean, [[5.0]], what="the mean")
    close(variance, [0.0], what="the variance")


### BEGIN HIDDEN TESTS
def by_the_grid(x_t, clean, before, beta):
    """Mean and variance of a step of beta backwards, one number, with the product of densities on a grid.

    before: what the chain up to there makes of the clean point, and of the noise.
    """
    factor, spread = before
    half = 12 * min(spread, math.sqrt(beta / (1 - beta)))
    middle = factor * clean if spread**2 < beta / (1 - beta) else x_t / math.sqrt(1 - beta)
    grid = middle + torch.linspace(-half, half, 4001, dtype=torch.float64)
    log_product = -((grid - factor * clean) ** 2) / (2 * spread**2) - (x_t - math.sqrt(1 - beta) * grid) ** 2 / 2 / beta
    weight = torch.softmax(log_product, 0)
    mean = (weight * grid).sum()
    return mean, (weight * (grid - mean) ** 2).sum()


def chain_before(betas, t):
    """What the chain makes of the clean point, and of the noise, up to the step before t."""
    factor, variance = 1.0, 0.0
    for beta in betas.tolist()[:t]:
        factor, variance = math.sqrt(1 - beta) * factor, (1 - beta) * variance + beta
    return factor, math.sqrt(variance)


@task.check("the product of the two densities, on a grid", points=2)
def _():
    large = 0.02 + 0.6 * torch.rand(9).double()
    for betas, rows, dim in ((ne.ddpm_betas(1000), 4, 2), (large, 3, 3), (large, 5, 1), (large.flip(0), 1, 4)):
        t = torch.randint(1, len(betas), (rows,))
        t[0] = 1
        clean = torch.randn(rows, dim)
        here = torch.tensor([chain_before(betas, s + 1) for s in t.tolist()])
        x_t = here[:, :1] * clean + 1.5 * here[:, 1:] * torch.randn(rows, dim)
        mean, variance = means_and_variances(x_t, clean, t, betas)
        for b, s in enumerate(t.tolist()):
            for d in range(dim):
                at = (float(x_t[b, d]), float(clean[b, d]), chain_before(betas, s), float(betas[s]))
                right = by_the_grid(*at)
                close(mean[b, d], right[0], rtol=1e-3, atol=1e-3, what=f"the mean at t = {s} of {len(betas)}")
                close(variance[b], right[1], rtol=2e-3, atol=0, what=f"the variance at t = {s} of {len(betas)}")


@task.check("at t = 0 the clean point, and no variance, among other steps", points=1, beyond=True)
def _():
    for betas in (ne.ddpm_betas(1000), 0.02 + 0.6 * torch.rand(4).double(), torch.tensor([0.5]).double()):
        t = torch.tensor([0, len(betas) - 1, 0])
        x_t, clean = torch.randn(3, 2), torch.randn(3, 2)
        mean, variance = means_and_variances(x_t, clean, t, betas)
        close(mean[[0, 2]], clean[[0, 2]], atol=1e-4, what="the mean at t = 0")
        close(variance[[0, 2]], [0.0, 0.0], atol=1e-7, what="the variance at t = 0")
        ensure(len(betas) == 1 or variance[1] > 0, "the variance at a later step is zero, too")


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 3 · A noise-guessing net is a score (2 points)
#
# $x_t$ is the noisy point of NCSN in another unit: with $\bar\alpha_t$ for what is left
# of the clean point's variance,
#
# $$ \frac{x_t}{\sqrt{\bar\alpha_t}} = c + \sigma_t\, e . $$
#
# Which $\sigma_t$ is that? And the best guess of the noise, $\mathbb E[e \mid x_t]$, is a
# score up to a factor, by Tweedie's formula. Write both ways:
#
# - `score_of_net(net, x, t, betas)`: `x` (B, D) are points $c + \sigma_t z$; `t` (B,);
#   returns the score at $x$ and $\sigma_t$, (B, D), by one call of `net`
# - `net_of_score(score, x_t, t, betas)`: `x_t` (B, D) are DDPM's points; returns the noise
#   in them, (B, D), by one call of `score`
#
# Each earns a point of its own.
#
# *Stuck? With `kept = ne.alphas_bar_of(betas)`, `ne.EpsScore(net, kept)` is a score, and
# `ne.ScoreNoise(score, kept)` is a net.*


# %% role="answer 3"
def score_of_net(net, x, t, betas):
    ### BEGIN SOLUTION
    kept = torch.cumprod(1 - betas, 0)[t][:, None]  # (B, 1)
    return -net(kept.sqrt() * x, t) / ((1 - kept) / kept).sqrt()
    ### END SOLUTION


def net_of_score(score, x_t, t, betas):
    ### BEGIN SOLUTION
    kept = torch.cumprod(1 - betas, 0)[t]  # (B,)
    sigma = ((1 - kept) / kept).sqrt()
    return -sigma[:, None] * score(x_t / kept.sqrt()[:, None], sigma)
    ### END SOLUTION


# %% role="tests 3 2"
task = Task("3", stuck="EpsScore ScoreNoise")
to_score, to_net = task.answer("score_of_net"), task.answer("net_of_score")
two_steps = torch.tensor([0.36, 0.4375], dtype=torch.float64)
factors, spreads = torch.tensor([0.8, 0.6]).double(), torch.tensor([0.6, 0.8]).double()


@task.check("with beta = 0.36 and 0.4375 the noise is sigma = 0.75 and 4/3: what the score is told")
def _():
    told = []

    def score(x, sigma):
        told.append(torch.as_tensor(sigma).double().reshape(-1).expand(len(x)))
        return torch.zeros_like(x)

    to_net(Given(score), torch.zeros(3, 2), torch.tensor([0, 1, 0]), two_steps, shape=(3, 2))
    told = torch.cat(told)
    _known(told, {"0.6 and 0.8 are the noise in x_t: what is it in x_t / sqrt(alpha_bar_t)?": [0.6, 0.8, 0.6]})
    close(told, [0.75, 4 / 3, 0.75], what="sigma")


@task.check("data that are all at 7: the score at x points there, (7 - x) / sigma^2")
def _():
    net = _net_of_one_place(7.0, factors, spreads)
    found = to_score(net, torch.tensor([[7.0, 1.0], [11.0, 7.0]]), torch.tensor([0, 1]), two_steps, shape=(2, 2))
    close(found, [[0.0, 6 / 0.5625], [-4 / (16 / 9), 0.0]])


@task.check("and back: at x_t = 6, with t = 0, the noise is 6 = 0.8 x 7 + 0.6 e, so e is 2/3")
def _():
    score = Given(lambda x, sigma: (7 - x) / _wide(sigma, x) ** 2)
    close(to_net(score, torch.tensor([[6.0], [5.0]]), torch.tensor([0, 1]), two_steps, shape=(2, 1)), [[2 / 3], [1.0]])


### BEGIN HIDDEN TESTS
# A schedule, and points of data with two modes on each axis: the net by an integral over the noise, the score of NCSN.
def pair(betas):
    kept = ne.alphas_bar_of(betas)
    mixture = ne.GaussianMixture([[-2.0], [1.0]], [0.3, 0.8], [0.35, 0.65])
    e = torch.linspace(-9, 9, 3001, dtype=torch.float64)

    def net(x, t):
        left = kept[_steps(t, len(betas), x)].reshape(-1, 1, 1)
        clean = (x[..., None] - (1 - left).sqrt() * e) / left.sqrt()
        log_weight = mixture.log_prob(clean.reshape(-1, 1)).view(clean.shape) - e**2 / 2
        return torch.softmax(log_weight, -1) @ e

    def score(x, sigma):
        sigma = torch.as_tensor(sigma, dtype=torch.float64).reshape(-1).expand(len(x))
        return torch.stack([mixture(column[:, None], sigma)[:, 0] for column in x.T], 1)

    return Given(net), Given(score), (1 / kept - 1).sqrt()


def schedules():
    yield 0.05 + 0.4 * torch.rand(6).double(), 4, 2
    yield ne.ddpm_betas(50, 0.01, 0.2), 3, 3
    yield torch.tensor([0.3, 0.7]).double(), 1, 2
    yield ne.ddpm_betas(1000), 5, 1


@task.check("the net of two modes, made a score", points=1)
def _():
    for betas, rows, dim in schedules():
        t = torch.randint(len(betas) // 3, len(betas), (rows,))
        net, score, sigmas = pair(betas)
        x = torch.randn(rows, dim) + sigmas[t, None] * torch.randn(rows, dim)
        expected = score(x.double(), sigmas[t])
        close(
            sigmas[t, None] * to_score(net, x.float(), t, betas, shape=x.shape), sigmas[t, None] * expected, atol=1e-3
        )
    net = _net_of_one_place(-3.0, torch.tensor([0.8, 0.6]).double(), torch.tensor([0.6, 0.8]).double())
    close(to_score(net, torch.zeros(2, 2), torch.tensor([1, 0]), two_steps)[:, 0], [-27 / 16, -16 / 3], rtol=1e-3)


@task.check("the score of two modes, made a net", points=1)
def _():
    for betas, rows, dim in schedules():
        t = torch.randint(len(betas) // 3, len(betas), (rows,))
        net, score, sigmas = pair(betas)
        x_t = (torch.randn(rows, dim) + torch.randn(rows, dim) * sigmas[t, None]) / (1 + sigmas[t, None] ** 2).sqrt()
        close(to_net(score, x_t.float(), t, betas, shape=x_t.shape), net(x_t, t), rtol=1e-3, atol=1e-3)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 4 · The simple loss (3 points)
#
# What DDPM is trained with (Ho et al. 2020, Algorithm 1) costs, for one example $c$,
#
# $$ \ell = \big\| e - e_\theta(x_t, t) \big\|^2 , $$
#
# where $t$ is **one** step, drawn uniformly from all $T$ of them, and $x_t$ is the
# example after that step, with the noise $e$. Nobody walks along the chain. The square of the norm is
# a sum over all coordinates.
#
# - `net`: a function; `clean`: (B, D), or images (B, C, H, W); `betas`: (T,)
# - returns (B,): the loss of each example
#
# Draw for each example a `t` of its own and an `e` of its own, and let `net` guess once
# for each example. You may use your function of Task 1. Right losses for the steps and noise that you have drawn earn 2 of the
# points; the third is for drawing them as they should be.
#
# *Stuck? No later task needs it: go on.*


# %% role="answer 4"
def simple_loss(net, clean, betas):
    ### BEGIN SOLUTION
    t, e = torch.randint(len(betas), clean.shape[:1]), torch.randn(clean.shape)
    kept = torch.cumprod(1 - betas, 0)[t].reshape(-1, *[1] * (clean.ndim - 1))
    guess = net(kept.sqrt() * clean + (1 - kept).sqrt() * e, t)
    return (e - guess).flatten(1).square().sum(1)
    ### END SOLUTION


# %% role="setup tests"
def _drawn(answer, net, clean, betas, factors, spreads):
    """Losses by the learner; steps, points and noise that his net was asked for, (n,), (n, ...), (n, ...)."""
    asked = []

    def watched(x, t):
        ensure(x.shape[1:] == clean.shape[1:], f"the net got points of shape {tuple(x.shape[1:])}")
        asked.append((_steps(t, len(betas), x), x.detach()))
        return net(x, asked[-1][0])

    losses = answer(Given(watched), clean, betas, shape=clean.shape[:1])
    n = sum(len(t) for t, _ in asked)
    ensure(n == len(clean), f"for {len(clean)} examples the net was asked {n} times")
    t, x = torch.cat([t for t, _ in asked]), torch.cat([x for _, x in asked])
    which = _nearest(x, clean)
    return losses, t, x, (x - _wide(factors[t], x) * clean.double()[which]) / _wide(spreads[t], x), which


def _nearest(x, clean):
    """From which example each point comes: those of the tests are all alike, or lie in directions of their own."""
    if (clean == clean[:1]).all():
        return torch.arange(len(x))
    return (x.flatten(1) @ clean.double().flatten(1).T).argmax(1)


# %% role="tests 4 3"
task = Task("4")
answer = task.answer("simple_loss")
two_steps = torch.tensor([0.36, 0.4375], dtype=torch.float64)
factors, spreads = torch.tensor([0.8, 0.6]).double(), torch.tensor([0.6, 0.8]).double()


@task.check("a net that knows that all data are at 7 guesses the noise, and costs nothing")
def _():
    net = _net_of_one_place(7.0, factors, spreads)
    close(answer(net, torch.full((20, 3), 7.0), two_steps, shape=(20,)), torch.zeros(20), atol=1e-3)


@task.check("a net that guesses no noise costs its square: as much as there are coordinates, on average")
def _():
    for shape in ((600, 3), (400, 1, 2, 3)):
        losses = answer(Given(lambda x, t: 0 * x), torch.randn(shape), two_steps)
        coordinates = math.prod(shape[1:])
        ensure(abs(losses.mean() - 1) > 0.15, "the mean loss is 1: is it the mean over the coordinates, not their sum?")
        half = abs(losses.mean() / coordinates - 0.5) < 0.07
        ensure(
            not half,
            "the mean loss is half of what it should be: there is no factor 1/2, no weight, and the norm is squared",
        )
        said = f"with {coordinates} coordinates the mean loss is {losses.mean():.3g}"
        ensure(abs(losses.mean() / coordinates - 1) < 0.15, said)


@task.check("the net is asked once for each example, at x_t and t, and both steps of two come up")
def _():
    clean = torch.zeros(60, 2)
    _, t, x, *_ = _drawn(answer, lambda x, t: 0 * x, clean, two_steps, factors, spreads)
    ensure(0 < t.sum() < 60, f"the net was asked for t = {t[0]} only, in sixty examples")
    for step, spread in ((0, 0.6), (1, 0.8)):
        found = x[t == step].std()
        ensure(0.55 < found / spread < 1.6, f"at t = {step} x_t has a spread of {found:.2f}, and {spread} was expected")


### BEGIN HIDDEN TESTS
def chain(betas):
    factor, variance, found = 1.0, 0.0, []
    for beta in betas.tolist():
        factor, variance = math.sqrt(1 - beta) * factor, (1 - beta) * variance + beta
        found.append([factor, math.sqrt(variance)])
    return torch.tensor(found, dtype=torch.float64).T


def right_diffuse(clean, t, betas, e):
    factors, spreads = chain(betas)
    t = torch.as_tensor(t).long()
    return _wide(factors[t], clean) * clean + _wide(spreads[t], clean) * e


task.uses(diffuse=Given(right_diffuse))


def bent(x, t):
    return torch.sin(3 * x) + 0.3 + 0.1 * _wide(t, x)


@task.check("the loss of each example for what was drawn, with a net that bends", points=2)
def _():
    betas = 0.05 + 0.3 * torch.rand(7).double()
    for shape, value in (((40, 3), 0.7), ((3, 3), -1.5), ((20, 1), 4.0), ((9, 1, 3, 3), 0.2), ((3, 3, 3, 3), 1.0)):
        clean = torch.full(shape, value)
        losses, t, x, e, _ = _drawn(answer, bent, clean, betas, *chain(betas))
        expected = (e - bent(x, t)).square().flatten(1).sum(1)
        close(losses.sort().values, expected.sort().values, rtol=2e-3, atol=1e-3)  # in any order
    far = 1000 * torch.eye(6)[:, :, None].expand(6, 6, 2).reshape(6, 3, 4)
    for clean in (far.flatten(1), far[:, None], far.flatten(1)[:1]):
        losses, t, x, e, which = _drawn(answer, bent, clean, betas, *chain(betas))
        ensure(which.sort().values.equal(torch.arange(len(clean))), "not each example was given to the net")
        ensure(
            e.abs().max() < 8, f"x_t is up to {e.abs().max():.2g} standard deviations from where its example puts it"
        )
        expected = torch.empty(len(clean), dtype=torch.float64)
        expected[which] = (e - bent(x, t)).square().flatten(1).sum(1)
        close(losses, expected, rtol=0.02, atol=0.05)
    _, t, _, e, _ = _drawn(answer, bent, torch.zeros(20, 100), betas, *chain(betas))
    ensure(abs(e.square().mean() - 1) < 0.4, f"the noise e has a variance of {e.square().mean():.3g}")


@task.check(
    "steps that are uniform from first to last, and Gaussian noise: others in each example and call",
    points=1,
    beyond=True,
)
def _():
    for n in (2, 5):
        betas = torch.full((n,), 0.3).double()
        counts = torch.zeros(n)
        for _ in range(2):
            counts += torch.bincount(_drawn(answer, bent, torch.zeros(700, 1), betas, *chain(betas))[1], minlength=n)
        for step, count in enumerate(counts.tolist()):
            said = f"step {step} of {n} comes up {count:g} times in 1400, and {1400 / n:g} times were expected"
            plausible(p_share(count, 1400, 1 / n), said, of=40)
    betas = torch.full((4,), 0.3).double()
    steps = torch.stack([_drawn(answer, bent, torch.zeros(2, 1), betas, *chain(betas))[1] for _ in range(200)])
    alike = {
        "two examples of a batch": steps[:, 0] == steps[:, 1],
        "the first examples of two calls": steps[::2, 0] == steps[1::2, 0],
    }
    for what, same in alike.items():
        said = f"{what} have the same step in {same.double().mean():.0%} of the cases, and in 25% with four steps"
        plausible(p_share(int(same.sum()), len(same), 1 / 4), said, of=40)
    noise = [_drawn(answer, bent, torch.zeros(80, 50), betas, *chain(betas))[3] for _ in range(2)]
    fresh_noise(*noise, what="the noise e", of=2)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 5 · A step back, with or without fresh noise (3 points)
#
# From $x_t$ to the point at an earlier step $s < t$ (Song, Meng & Ermon 2021,
# section 4.1). The net's guess of the noise, $\hat e$, gives a guess of the clean point,
# $\hat c$, by Task 1 read backwards. The new point is made of three parts:
#
# 1. $\hat c$, shrunk as $c$ is at step $s$;
# 2. fresh noise $z$, with the standard deviation $\eta \sqrt v$, where $v$ is the variance
#    of $q(x_s \mid x_t, c)$: that of Task 2 if $s = t - 1$, and if more steps lie
#    between, they are one step, with one larger $\beta$;
# 3. of the old noise $\hat e$ as much as is missing, so that the variances of both noises
#    add up to that of $q(x_s \mid c)$.
#
# With $\eta = 1$ this is DDPM's ancestral step, and with $\eta = 0$ the step of DDIM.
# You may use your functions of Tasks 1 and 2. Behind the first step lies the clean point itself: `s` is then -1, $c$ is not shrunk, and
# there is no noise, whatever $\eta$.
#
# - `net`: a function; `x`: (B, D); `t`, `s`: whole numbers, $-1 \le s < t$; `betas`: (T,);
#   `eta`: a number from 0 to 1; `z`: (B, D), the fresh noise, standard normal
# - returns (B, D)
#
# Steps with $\eta = 1$ and $s = t - 1$, the last one included, earn 2 of the points, all
# others the third.
#
# *Stuck? No later task needs it: go on.*


# %% role="answer 5"
def step_back(net, x, t, s, betas, eta, z):
    ### BEGIN SOLUTION
    kept = [1.0, *torch.cumprod(1 - betas, 0).tolist()]  # one place later, so that -1 is the clean point
    here, there = kept[t + 1], kept[s + 1]
    guess = net(x, torch.full((len(x),), t))
    clean = (x - math.sqrt(1 - here) * guess) / math.sqrt(here)
    fresh = eta**2 * (1 - there) / (1 - here) * (1 - here / there)
    return math.sqrt(there) * clean + math.sqrt(1 - there - fresh) * guess + math.sqrt(fresh) * z
    ### END SOLUTION


# %% role="tests 5 3"
task = Task("5")
answer = task.answer("step_back")
two_steps = torch.tensor([0.36, 0.4375], dtype=torch.float64)


@task.check("x_t without a trace of noise (the net guesses 0): at 6, after two steps, it comes from 10 and goes to 8")
def _():
    none = Given(lambda x, t: 0 * x)
    x = torch.tensor([[6.0, 0.0]])
    found = answer(none, x, 1, 0, two_steps, 1.0, torch.zeros(1, 2), shape=(1, 2))
    close(found, [[8.0, 0.0]], what="from t = 1 to t = 0, with z = 0, the result")
    found = answer(none, 0.8 / 0.6 * x, 0, -1, two_steps, 1.0, torch.zeros(1, 2), shape=(1, 2))
    close(found, [[10.0, 0.0]], what="from t = 0 to the clean point the result")


@task.check("fresh noise, eta = 1, from t = 1 to 0: a variance of 0.2461; to the clean point: none")
def _():
    none, z = Given(lambda x, t: 0 * x), torch.tensor([[1.0], [-2.0]])
    found = answer(none, torch.zeros(2, 1), 1, 0, two_steps, 1.0, z, shape=(2, 1))
    mistakes = {
        "this is sqrt(beta) z: the clean point is known as well, and leaves less": [[0.66144], [-1.32288]],
        "0.2461 is the variance of the fresh noise, and its standard deviation is wanted before z": [
            [0.24609],
            [-0.49219],
        ],
    }
    _known(found, mistakes)
    close(found, [[0.49608], [-0.99215]], what="with x = 0, z = 1 and -2, the result")
    found = answer(none, torch.zeros(2, 1), 0, -1, two_steps, 1.0, z, shape=(2, 1))
    close(found, [[0.0], [0.0]], what="from t = 0 to the clean point, with x = 0, z = 1 and -2, the result")


@task.check("old noise, eta = 1: of a guess of 1, at x = 0.8, where the clean point is 0, 0.3375 are left")
def _():
    net = Given(lambda x, t: 0 * x + 1)
    found = answer(net, torch.tensor([[0.8]]), 1, 0, two_steps, 1.0, torch.zeros(1, 1), shape=(1, 1))
    mistakes = {
        "all of the old noise is still there: the fresh noise takes the place of a part of it": [[0.6]],
        "variances add up to 0.36, and not standard deviations to 0.6": [[0.6 - 0.49608]],
    }
    _known(found, mistakes)
    close(found, [[0.3375]])


@task.check("without fresh noise (eta = 0) all of the old noise stays, 0.6 at t = 0; with eta = 0.5 a part of it")
def _():
    net, x, z = Given(lambda x, t: 0 * x + 1), torch.tensor([[0.8]]), torch.ones(1, 1)
    close(answer(net, x, 1, 0, two_steps, 0.0, z, shape=(1, 1)), [[0.6]], what="with eta = 0 the result")
    close(
        answer(net, x, 1, 0, two_steps, 0.5, 0 * z, shape=(1, 1)), [[0.54631]], what="with eta = 0.5, z = 0 the result"
    )


@task.check("from t = 1 to the clean point at once: the guess of it, whatever eta")
def _():
    net = _net_of_one_place(7.0, torch.tensor([0.8, 0.6]).double(), torch.tensor([0.6, 0.8]).double())
    for eta in (0.0, 1.0):
        found = answer(net, torch.tensor([[1.0, -3.0]]), 1, -1, two_steps, eta, torch.ones(1, 2), shape=(1, 2))
        close(found, [[7.0, 7.0]], what=f"with eta = {eta:g}, for data that are all at 7, the result")


### BEGIN HIDDEN TESTS
def between(betas, first, last):
    """What the steps after `first` up to `last` make of a point and of the noise's variance."""
    factor, variance = 1.0, 0.0
    for beta in betas.tolist()[first + 1 : last + 1]:
        factor, variance = math.sqrt(1 - beta) * factor, (1 - beta) * variance + beta
    return factor, variance


def right_diffuse(clean, t, betas, e):
    kept = ne.alphas_bar_of(betas)[torch.as_tensor(t).long()]
    return _wide(kept.sqrt(), clean) * clean + _wide((1 - kept).sqrt(), clean) * e


def right_posterior(x_t, clean, t, betas):
    x, c, t, betas = (torch.as_tensor(part) for part in (x_t, clean, t, betas))
    steps, rows = t.reshape(-1).expand(len(x)), []
    for point, origin, last in zip(x.double(), c.double(), steps.tolist(), strict=True):
        (to_s, before), (step, new) = between(betas, -1, last - 1), between(betas, last - 1, last)
        gain = step * before / (step**2 * before + new)
        rows.append((to_s * origin + gain * (point - step * to_s * origin), before * new / (new + step**2 * before)))
    found = torch.stack([mean for mean, _ in rows]), torch.tensor([variance for _, variance in rows])
    return tuple(part.numpy() for part in found) if isinstance(x_t, np.ndarray) else found


task.uses(diffuse=Given(right_diffuse), posterior=right_posterior)


def bends(x, t):
    return torch.sin(2 * x) + 0.2 * _wide(t, x) - 0.3


def compared(x, t, s, betas, eta):
    """A step by the learner against a Gaussian of x_s and x_t, given the clean point, that is conditioned on x_t."""
    (to_s, before), (step, new), (to_t, spread) = between(betas, -1, s), between(betas, s, t), between(betas, -1, t)
    guess = bends(x.double(), torch.tensor(t))
    clean = (x - math.sqrt(spread) * guess) / to_t
    variance = before * new / (new + step**2 * before)  # the precisions 1 / before and step^2 / new add up
    fresh = eta * math.sqrt(variance)
    old = math.sqrt(before - fresh**2)
    if eta == 1:  # the mean of that Gaussian
        middle = to_s * clean + step * before / (step**2 * before + new) * (x - step * to_s * clean)
    else:
        middle = to_s * clean + old * guess
    net = Given(lambda x, t: bends(x, _steps(t, len(betas), x)))
    z = torch.randn(x.shape)
    at = f"from t = {t} to {s}, with eta = {eta:g}, the result"
    close(answer(net, x, t, s, betas, eta, z, shape=x.shape), middle + fresh * z, rtol=1e-3, atol=2e-3, what=at)


@task.check("ancestral steps: the mean and the noise of a Gaussian that is conditioned on x_t", points=2)
def _():
    betas = 0.03 + 0.4 * torch.rand(6).double()
    for rows, dim, t in ((4, 2, 5), (3, 3, 1), (1, 3, 2), (5, 1, 0), (2, 2, 0)):
        compared(1.5 * torch.randn(rows, dim), t, t - 1, betas, 1.0)
    for t in (700, 3):
        compared(torch.randn(3, 2), t, t - 1, ne.ddpm_betas(1000), 1.0)


@task.check("any eta, and steps left out", points=1, beyond=True)
def _():
    betas = 0.03 + 0.4 * torch.rand(8).double()
    for rows, dim, t, s, eta in ((4, 2, 7, 3, 1.0), (3, 3, 7, 0, 0.0), (2, 3, 5, 2, 0.6), (5, 1, 1, 0, 0.3)):
        compared(1.5 * torch.randn(rows, dim), t, s, betas, eta)
        compared(1.5 * torch.randn(rows, dim), t, -1, betas, eta)
    sigmas = (1 / ne.alphas_bar_of(betas) - 1).sqrt()
    x, z = torch.randn(4, 2), torch.randn(4, 2)  # with eta = 0: Euler's step of the flow, in NCSN's letters
    net = Given(lambda x, t: bends(x, _steps(t, 8, x)))
    found = answer(net, x, 6, 2, betas, 0.0, z, shape=x.shape)
    moved = x * (1 + sigmas[6] ** 2).sqrt() + (sigmas[2] - sigmas[6]) * bends(x.double(), torch.tensor(6))
    close(
        found * (1 + sigmas[2] ** 2).sqrt(),
        moved,
        rtol=1e-3,
        atol=2e-3,
        what="in NCSN's letters, with eta = 0, the result",
    )


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 6 · Infinitely many steps (2 points)
#
# Let the number of steps grow, and the $\beta_t$ shrink with it. What is left of the chain
# is a stochastic differential equation, that of the *variance preserving* process (VP;
# Song et al. 2021, equation 11),
#
# $$ dx = -\tfrac12\, \beta(t)\, x\, dt + \sqrt{\beta(t)}\; dw, \qquad
#    \beta(t) = 0.1 + 19.9\, t, \qquad 0 \le t \le 1 . $$
#
# Time $t$ is a number now, and no place in a list; at $t = 0$ is the clean point $c$.
# Given $c$, the point at $t$ is Gaussian again. Write it in the letters of NCSN, as
#
# $$ x_t = \mathrm{scale}(t)\, \big( c + \sigma(t)\, z \big) . $$
#
# For small $dt$ one step of the chain has $\beta = \beta(t)\, dt$. What becomes of the product of
# all $1 - \beta$?
#
# - `vp_marginal(t)`: `t` (n,), times above 0; returns two things, the scale (n,) and
#   $\sigma$ (n,)
# - `vp_time(sigma)`: `sigma` (n,); returns (n,), the times at which $\sigma(t)$ is that
#
# Each earns a point of its own.
#
# *Stuck? Later tasks need `vp_marginal`, and are graded with a right one where yours
# fails them.*


# %% role="answer 6"
def vp_marginal(t):
    ### BEGIN SOLUTION
    spent = 0.1 * t + 19.9 / 2 * t**2  # the integral of beta
    return torch.exp(-spent / 2), torch.expm1(spent).sqrt()
    ### END SOLUTION


def vp_time(sigma):
    ### BEGIN SOLUTION
    spent = torch.log1p(sigma**2)
    return (-0.1 + torch.sqrt(0.01 + 2 * 19.9 * spent)) / 19.9
    ### END SOLUTION


# %% role="tests 6 2"
task = Task("6")
marginal, time = task.answer("vp_marginal"), task.answer("vp_time")


def scale_and_sigma(t):
    scale, sigma = _two(marginal(t), "the scale (n,) and sigma (n,)")
    for name, found in (("the scale", scale), ("sigma", sigma)):
        ensure(found.shape == t.shape, f"{name} has shape {tuple(found.shape)}, and {tuple(t.shape)} was expected")
    return scale, sigma


@task.check("two thousand points that start at 1 and walk to t = 0.5, in 500 steps of the equation")
def _():
    dt, x = 0.001, torch.ones(2000)
    for i in range(500):
        beta = 0.1 + 19.9 * (i + 0.5) * dt
        x = x - 0.5 * beta * x * dt + math.sqrt(beta * dt) * torch.randn(2000)
    scale, sigma = scale_and_sigma(torch.tensor([0.5, 0.2]))
    said = f"their mean is {x.mean():.2f}, and your scale {scale[0]:.2f}"
    ensure(abs(x.mean() - scale[0]) < 0.12, said)
    spread = scale[0] * sigma[0]
    said = f"their standard deviation is {x.std():.2f}, and your scale times sigma is {spread:.2f}"
    ensure(abs(x.std() - spread) < 0.12, said)


@task.check("the variance is preserved: of points of variance 1, scale^2 + (scale sigma)^2 is 1 at all times")
def _():
    scale, sigma = scale_and_sigma(torch.tensor([0.01, 0.3, 1.0]))
    close(scale**2 + (scale * sigma) ** 2, [1.0, 1.0, 1.0], rtol=1e-3)


@task.check("at t = 1 little is left of the point, 0.0066; at t = 0.01 nearly all of it")
def _():
    scale, sigma = scale_and_sigma(torch.tensor([1.0, 0.01]))
    mistakes = {
        "this is exp of the integral of beta, without the half": [4.3186e-5, 0.998007],
        "this is exp(-beta(t) t / 2): beta changes on the way, and its integral is wanted": [4.5400e-5, 0.998506],
    }
    _known(100 * scale, {words: [100 * number for number in numbers] for words, numbers in mistakes.items()})
    said = "this is the noise in x_t itself: sigma is that in x_t / scale"
    _known(sigma, {said: [0.99998, 0.044643]})
    close(scale, [0.0065716, 0.9990], rtol=1e-3, what="the scale")
    close(sigma, [152.17, 0.044688], rtol=2e-3, what="sigma")


@task.check("sigma is 3.4129 at t = 0.5, and 0.34018 at t = 0.1: the times are found again")
def _():
    close(time(torch.tensor([3.4129, 0.34018]), shape=(2,)), [0.5, 0.1], rtol=1e-3)


### BEGIN HIDDEN TESTS
def solved():
    """Mean and variance of the process, given c = 1, by a solver of their own differential equations."""
    from scipy.integrate import solve_ivp

    def slopes(t, y):
        return [-(0.1 + 19.9 * t) / 2 * y[0], (0.1 + 19.9 * t) * (1 - y[1])]

    path = solve_ivp(slopes, (0.0, 1.0), [1.0, 0.0], rtol=1e-9, atol=1e-12, dense_output=True, method="DOP853").sol
    return lambda t: torch.as_tensor(path(np.asarray(t)))


@task.check("mean and variance as their own differential equations have them", points=1)
def _():
    path = solved()
    for t in (
        torch.rand(7) * 0.98 + 0.01,
        torch.tensor([1.0]),
        torch.tensor([0.005, 0.9]),
        torch.linspace(1, 0.01, 30),
    ):
        mean, variance = path(t.double())
        scale, sigma = scale_and_sigma(t)
        close(scale, mean, rtol=2e-3, atol=0, what="the scale")
        close(sigma, variance.sqrt() / mean, rtol=2e-3, atol=0, what="sigma")


@task.check("at the times that are found, sigma is what it should be", points=1)
def _():
    path = solved()
    for sigma in (torch.logspace(-1.5, 2, 9), torch.tensor([150.0]), torch.tensor([0.7, 0.03]), torch.full((3,), 5.0)):
        t = time(sigma, shape=sigma.shape)
        ensure(
            ((t > 0) & (t <= 1)).all(),
            f"for sigma = {sigma.tolist()[0]:.3g}, ... t is from {t.min():.3g} to {t.max():.3g}",
        )
        mean, variance = path(t)
        close(variance.sqrt() / mean, sigma, rtol=2e-3, atol=0, what="sigma at your times")


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 7 · Backwards in time (3 points)
#
# The process runs backwards as well (Anderson 1982; Song et al. 2021, equation 6). With
# the drift $f(x, t) = -\frac12 \beta(t)\, x$ and $g(t)^2 = \beta(t)$,
#
# $$ dx = \big[ f(x, t) - g(t)^2\, \nabla_x \log p_t(x) \big]\, dt + g(t)\, d\bar w , $$
#
# read with $t$ falling: $dt$ is negative. Write one step of Euler and Maruyama, from $t$ to
# $t - h$, with the coefficients at $t$. All you are given is a score in the letters of
# NCSN. It knows nothing of times, nor of $p_t$, the density of $x_t$ itself: what is the
# slope of $\log p_t$ at $x$, if the density of $x_t / \mathrm{scale}$ is known to it? (The
# chain rule.)
#
# - `score`: a function `score(x, sigma)`; `x`: (B, D), points of the process at time `t`;
#   `t`, `h`: numbers, $0 < h < t \le 1$; `z`: (B, D), standard normal noise
# - returns (B, D): the points at time `t - h`
#
# You may use your function of Task 6. The right drift earns 2 of the points, the right
# noise the third.
#
# *Stuck? No later task needs it: go on.*


# %% role="answer 7"
def reverse_step(score, x, t, h, z):
    ### BEGIN SOLUTION
    scale, sigma = vp_marginal(torch.tensor([t], dtype=torch.float64))
    beta = 0.1 + 19.9 * t
    slope = score(x / scale, sigma.expand(len(x))) / scale
    return x + (0.5 * x + slope) * beta * h + math.sqrt(beta * h) * z
    ### END SOLUTION


# %% role="setup tests"
def _score_of_axes(means, variances, weights):
    """The score of data whose coordinates are independent, each a mixture on a line; all arguments (D, K)."""
    means, variances, weights = (torch.as_tensor(part, dtype=torch.float64) for part in (means, variances, weights))

    def score(x, sigma):
        noisy = variances + _wide(sigma, x)[..., None] ** 2  # (1 or B, D, K)
        off = means - x[..., None]
        share = torch.softmax(weights.log() - noisy.log() / 2 - off**2 / (2 * noisy), -1)
        return (share * off / noisy).sum(-1)

    return Given(score)


# %% role="tests 7 3"
task = Task("7")
answer = task.answer("reverse_step")


@task.check("the slope of a score that is 0 everywhere: what is left is 1 + beta h / 2 times the point")
def _():
    x = torch.tensor([[1.0, -2.0]])
    found = answer(Given(lambda x, sigma: 0 * x), x, 0.5, 0.01, torch.zeros(1, 2), shape=(1, 2))
    close(found, 1.05025 * x, what="at t = 0.5, with h = 0.01, z = 0, the result")


@task.check("data that are standard normal: so is x_t at all times, and a step pulls it in, 0.94975 at t = 0.5")
def _():
    x = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    found = answer(
        Given(lambda x, sigma: -x / (1 + _wide(sigma, x) ** 2)), x, 0.5, 0.01, torch.zeros(2, 2), shape=(2, 2)
    )
    mistakes = {
        "a score in another unit: is it asked at x / scale, and what does the chain rule make of its value?": 1.02199
        * x,
        "a score in another unit: it wants to be asked at x / scale, and its value to be divided by something": 1.0423
        * x,
        "the score pushes outwards: look at its sign, and at that of dt": 1.15075 * x,
        "the drift of the way forwards: dt is negative": 0.84925 * x,
        "half of the score is missing: that is the flow": x,
    }
    _known(found, mistakes)
    close(found, 0.94975 * x, what="with h = 0.01, z = 0 the result")


@task.check("the noise of a step at t = 0.5 with h = 0.01: 0.317 z")
def _():
    z = torch.tensor([[1.0, -2.0]])
    found = answer(Given(lambda x, sigma: 0 * x), torch.zeros(1, 2), 0.5, 0.01, z, shape=(1, 2))
    close(found, 0.31702 * z, rtol=1e-3, what="at x = 0 the result")


@task.check("two hundred chains in sixty steps from noise to data that are N(2, 0.25)")
def _():
    x, times = torch.randn(200, 1), (torch.linspace(1, 0.05, 61) ** 2).tolist()
    score = Given(lambda x, sigma: (2 - x) / (0.25 + _wide(sigma, x) ** 2))
    for i, t in enumerate(times[:-1]):
        x = answer(score, x, t, t - times[i + 1], torch.randn(200, 1), shape=(200, 1)).float()
    ensure(abs(x.mean() - 2) < 0.25, f"their mean is {x.mean():.2f}, and 2 was expected")
    ensure(abs(x.std() - 0.5) < 0.15, f"their standard deviation is {x.std():.2f}, and 0.5 was expected")


### BEGIN HIDDEN TESTS
def right_marginal(t):
    exact = torch.as_tensor(t, dtype=torch.float64)
    kept = torch.exp(-0.1 * exact - 9.95 * exact**2)
    parts = kept.sqrt(), (1 / kept - 1).sqrt()
    if isinstance(t, torch.Tensor):
        return tuple(part.to(t.dtype) for part in parts)
    return tuple(part.numpy() if isinstance(t, np.ndarray) else float(part) for part in parts)


task.uses(vp_marginal=right_marginal)
AXES = (
    [[-2.0, 1.0], [0.5, 3.0], [0.0, -1.0]],
    [[0.2, 0.5], [0.05, 1.0], [0.3, 0.4]],
    [[0.3, 0.7], [0.6, 0.4], [0.5, 0.5]],
)


def forward(t, after):
    """Factor and variance of the way from `t` to `after`, in many small steps of the equation."""
    factor, variance, n = 1.0, 0.0, 2000
    for i in range(n):
        spent = (0.1 + 19.9 * (t + (i + 0.5) / n * (after - t))) * (after - t) / n
        factor, variance = (
            factor * (1 - spent / 2 + spent**2 / 8),
            variance * (1 - spent + spent**2 / 2) + spent * (1 - spent / 2),
        )
    return factor, variance


def drift_by_bayes(x, t, axes):
    """(E[x_s | x_t] - x_t) / (t - s) for s just below t, (B, D), from densities on a grid: the drift backwards."""
    h = 1e-4
    (to_s, spread), (step, new) = forward(0.0, t - h), forward(t - h, t)
    means, variances, weights = (torch.tensor(part, dtype=torch.float64)[:, :, None, None] for part in axes)
    grid = x.double().T[..., None] + 10 * math.sqrt(new) * torch.linspace(-1, 1, 801).double()  # (D, B, n)
    v = to_s**2 * variances + spread
    log_before = torch.logsumexp(weights.log() - v.log() / 2 - (grid[:, None] - to_s * means) ** 2 / (2 * v), 1)
    weight = torch.softmax(log_before - (x.double().T[..., None] - step * grid) ** 2 / (2 * new), -1)
    return ((weight * grid).sum(-1).T - x) / h


def axes_of(dim):
    return tuple(part[:dim] for part in AXES)


@task.check("the drift is that of Bayes: from where, a moment earlier, does a point come on average?", points=2)
def _():
    for rows, dim, t, h in (
        (4, 2, 0.9, 0.01),
        (3, 3, 0.5, 0.05),
        (1, 2, 0.2, 0.001),
        (5, 1, 0.05, 0.02),
        (2, 2, 1.0, 0.2),
    ):
        axes = axes_of(dim)
        x = 1.2 * torch.randn(rows, dim)
        moved = answer(_score_of_axes(*axes), x, t, h, torch.zeros(rows, dim), shape=x.shape)
        beta = 0.1 + 19.9 * t
        said = f"at t = {t}, with z = 0, the way divided by h and beta"
        right = drift_by_bayes(x, t, axes) / beta
        close((moved - x) / h / beta, right, rtol=0.03, atol=0.03, what=said)


@task.check("the noise is that of the equation, whatever the step", points=1, beyond=True)
def _():
    for rows, dim, t, h in (
        (4, 2, 0.9, 0.01),
        (3, 3, 0.5, 0.05),
        (1, 2, 0.2, 0.001),
        (5, 1, 0.05, 0.02),
        (2, 2, 1.0, 0.2),
    ):
        x, z, score = torch.randn(rows, dim), torch.randn(rows, dim), _score_of_axes(*axes_of(dim))
        noise = answer(score, x, t, h, z, shape=x.shape) - answer(score, x, t, h, 0 * z, shape=x.shape)
        per_time = forward(t, t + 1e-5)[1] / 1e-5  # what the equation adds to the variance
        close(
            noise / math.sqrt(per_time * h),
            z,
            rtol=5e-3,
            atol=2e-3,
            what=f"at t = {t}, h = {h}, in its unit, the noise",
        )


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 8 · The flow (3 points)
#
# There is a process without noise that has the same densities $p_t$ at all times, the
# *probability flow* (Song et al. 2021, equation 13):
#
# $$ \frac{dx}{dt} = f(x, t) - \tfrac12\, g(t)^2\, \nabla_x \log p_t(x) . $$
#
# An ordinary differential equation: every start has one way to go, and it can be gone in
# both directions. Follow it along the given times by Heun's method: a step of Euler's with
# the slope at its beginning; the slope where that ends; and then the step again, with the
# mean of the two.
#
# - `score`: a function `score(x, sigma)`; `x`: (B, D), points of the process of Task 6 at
#   time `times[0]`; `times`: (n + 1,), rising or falling, not always in equal steps, all
#   above 0
# - returns (B, D): the points at time `times[-1]`, after $n$ steps
#
# Euler's method earns 2 of the points; the third is for an error as small as Heun's, with
# two evaluations of the score a step at most.
#
# *Stuck? `scale * ne.last(ne.probability_flow(score, x / scale_0, sigmas))` lets you
# continue: the same flow, in NCSN's letters. There `scale_0` is the scale of `times[0]`,
# `scale` that of `times[-1]`, and `sigmas` is falling.*


# %% role="answer 8"
def flow(score, x, times):
    ### BEGIN SOLUTION
    scales, sigmas = vp_marginal(times)

    def slope(x, i):
        here = score(x / scales[i], sigmas[i].expand(len(x))) / scales[i]
        return -0.5 * (0.1 + 19.9 * times[i]) * (x + here)

    for i in range(len(times) - 1):
        h, first = times[i + 1] - times[i], slope(x, i)
        x = x + h / 2 * (first + slope(x + h * first, i + 1))
    return x
    ### END SOLUTION


# %% role="tests 8 3"
task = Task("8", stuck="probability_flow")
answer = task.answer("flow")


@task.check("data that are standard normal: so is x_t at all times, and nothing moves")
def _():
    x = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    score = Given(lambda x, sigma: -x / (1 + _wide(sigma, x) ** 2))
    close(answer(score, x, torch.linspace(1, 0.1, 101), shape=x.shape), x, atol=0.02)


@task.check("data that are all at 3: from t = 0.5 to 0.1, and back")
def _():
    score = Given(lambda x, sigma: (3 - x) / _wide(sigma, x) ** 2)
    high, low = torch.tensor([[0.84355, 1.80316]]), torch.tensor([[2.84017, 3.16223]])
    times = torch.cat([torch.linspace(0.5, 0.3, 41), torch.linspace(0.3, 0.1, 81)[1:]])  # in steps that differ
    close(answer(score, high, times, shape=(1, 2)), low, atol=0.03, what="the end at t = 0.1")
    close(answer(score, low, times.flip(0), shape=(1, 2)), high, atol=0.03, what="the end at t = 0.5, going up,")


@task.check("Heun's method has the same in twenty steps, to three digits (for the third point)")
def _():
    score = Given(lambda x, sigma: (3 - x) / _wide(sigma, x) ** 2)
    found = answer(score, torch.tensor([[0.84355, 1.80316]]), torch.linspace(0.5, 0.1, 21), shape=(1, 2))
    close(found, [[2.84017, 3.16223]], atol=4e-3, what="the end at t = 0.1")


### BEGIN HIDDEN TESTS
def right_marginal(t):
    exact = torch.as_tensor(t, dtype=torch.float64)
    kept = torch.exp(-0.1 * exact - 9.95 * exact**2)
    parts = kept.sqrt(), (1 / kept - 1).sqrt()
    if isinstance(t, torch.Tensor):
        return tuple(part.to(t.dtype) for part in parts)
    return tuple(part.numpy() if isinstance(t, np.ndarray) else float(part) for part in parts)


task.uses(vp_marginal=right_marginal)
AXES = (
    [[-2.0, 1.0], [0.5, 3.0], [0.0, -1.0]],
    [[0.2, 0.5], [0.05, 1.0], [0.3, 0.4]],
    [[0.3, 0.7], [0.6, 0.4], [0.5, 0.5]],
)


def share_below(x, t, axes):
    """The share of each coordinate's density at time t that lies below x."""
    means, variances, weights = (torch.tensor(part, dtype=torch.float64) for part in axes)
    scale, sigma = right_marginal(t)
    return (weights * torch.special.ndtr((x[..., None] / scale - means) / (variances + sigma**2).sqrt())).sum(-1)


def carried(x, t, after, axes):
    """Where a flow on a line has to carry x: nobody overtakes, so that the share below stays what it is."""
    share = share_below(x.double(), t, axes)
    low, high = torch.full_like(x, -60.0).double(), torch.full_like(x, 60.0).double()
    for _ in range(60):
        middle = (low + high) / 2
        below = share_below(middle, after, axes) < share
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return low


def off(rows, dim, times):
    """The largest distance between where the learner's flow carries points and where they belong."""
    axes = tuple(part[:dim] for part in AXES)
    x = torch.linspace(-1.4, 1.6, rows * dim).view(rows, dim) + 0.1 * torch.randn(rows, dim)
    if times[0] < times[-1]:
        x = carried(x, 1.0, float(times[0]), axes).float()
    score = _score_of_axes(*axes)
    found = answer(score, x, times, shape=x.shape)
    ensure(found.isfinite().all(), "some points are not finite")
    right = carried(x, float(times[0]), float(times[-1]), axes)
    return float((found - right).abs().max()), score.rows / rows / (len(times) - 1)


@task.check("each point comes where the shares of the density put it", points=2)
def _():
    for rows, dim, times, most in (
        (5, 2, torch.linspace(1, 0.05, 121) ** 2, 0.2),
        (3, 3, torch.linspace(0.8, 0.1, 121), 0.06),
        (1, 2, torch.linspace(0.3, 0.9, 81), 0.05),
        (2, 1, torch.tensor([0.4, 0.39]), 0.002),
    ):
        error, _ = off(rows, dim, times)
        said = f"from t = {times[0]:g} to {times[-1]:g} in {len(times) - 1} steps a point ends {error:.2g} away"
        ensure(error < most, f"{said}, and Euler's method comes nearer than {most}")


@task.check("as exact as Heun's method, with two evaluations a step at most", points=1, beyond=True)
def _():
    for rows, dim, times, most in (
        (5, 2, torch.linspace(1, 0.05, 41) ** 2, 0.035),
        (3, 3, torch.linspace(0.8, 0.1, 41), 0.008),
        (4, 2, torch.linspace(0.2, 0.9, 41), 0.006),
        (4, 2, torch.tensor([0.4, 0.36, 0.33]), 0.0028),
        (4, 2, torch.tensor([0.9, 0.86, 0.83]), 0.0003),
    ):
        error, evaluations = off(rows, dim, times)
        ensure(evaluations <= 2.2, f"the score is evaluated {evaluations:.2g} times a step for each point")
        said = f"from t = {times[0]:g} to {times[-1]:g} in {len(times) - 1} steps a point ends {error:.2g} away"
        ensure(error < most, f"{said}, and Heun's method comes nearer than {most}")


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 9 · The likelihood (3 points)
#
# A flow carries density along. Where its slopes $v(x, t) = dx/dt$ drive points apart, the
# density falls:
#
# $$ \frac{d}{dt} \log p_t(x_t) = -\,\nabla \cdot v(x_t, t) $$
#
# along the way of each point, where $\nabla \cdot v$ is the divergence, the trace of the
# Jacobian. At $t = 1$ the density is known, a standard normal to a good approximation. So
# follow the flow of Task 8 up to there, add up what happens on the way, and you have
# $\log p$ at the start.
#
# The divergence of the score is given, in the letters of NCSN: `divergence(x, sigma)`,
# (B,), is the trace of the Jacobian of `score(x, sigma)`. That of $v$ is up to you: mind
# the other part of $v$, the number of dimensions, and once more the chain rule.
#
# - `score`, `divergence`: functions; `x`: (B, D), points of the process at time `times[0]`;
#   `times`: (n + 1,), rising up to 1
# - returns (B,): $\log p_t(x)$ at $t$ = `times[0]`, in nats
#
# You may use your functions of Tasks 6 and 8.
# Use any method for the integral, and evaluate score and divergence as often as you like. An
# error below 0.2 nats, when a hundred steps are given, earns 2 of the points: Euler's method
# does that. One below 0.01 earns the third: Heun's does that.
#
# *Stuck? No later task needs it: go on.*


# %% role="answer 9"
def log_likelihood(score, divergence, x, times):
    ### BEGIN SOLUTION
    scales, sigmas = vp_marginal(times)
    log_p, dim = 0.0, x.shape[1]

    def slopes(x, i):
        y, sigma, half = x / scales[i], sigmas[i].expand(len(x)), -0.5 * (0.1 + 19.9 * times[i])
        return half * (x + score(y, sigma) / scales[i]), half * (dim + divergence(y, sigma) / scales[i] ** 2)

    for i in range(len(times) - 1):
        h, (first, apart) = times[i + 1] - times[i], slopes(x, i)
        second, apart_then = slopes(x + h * first, i + 1)
        x, log_p = x + h / 2 * (first + second), log_p + h / 2 * (apart + apart_then)
    return log_p - x.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)
    ### END SOLUTION


# %% role="setup tests"
def _modes(means, variances, weights):
    """The score of a mixture of round Gaussians with noise, and the trace of its Jacobian."""
    means, variances, weights = (torch.as_tensor(part, dtype=torch.float64) for part in (means, variances, weights))

    def parts(x, sigma):
        noisy = variances + _wide(sigma, x) ** 2  # (1 or B, K)
        pull = (means - x[:, None]) / noisy[..., None]  # (B, K, D)
        squares = pull.square().sum(-1)
        share = torch.softmax(weights.log() - x.shape[1] / 2 * noisy.log() - noisy * squares / 2, 1)
        return share, (share[..., None] * pull).sum(1), squares - x.shape[1] / noisy

    def divergence(x, sigma):
        share, score, apart = parts(x, sigma)
        return (share * apart).sum(1) - score.square().sum(1)

    return Given(lambda x, sigma: parts(x, sigma)[1]), Given(divergence)


# %% role="tests 9 3"
task = Task("9")
answer = task.answer("log_likelihood")


@task.check("data that are standard normal: so is x_t at all times; at (0, 0) log p is -1.8379, at (1, 2) -4.3379")
def _():
    x, normal = torch.tensor([[0.0, 0.0], [1.0, 2.0]]), _modes([[0.0, 0.0]], [1.0], [1.0])
    found = answer(*normal, x, torch.linspace(0.1, 1, 41), shape=(2,))
    close(found, [-1.8379, -4.3379], atol=0.1)


@task.check("data N(0, 0.01) in three dimensions: at the origin, at t = 0.05, log p is 2.1041")
def _():
    times = torch.linspace(0.05**0.5, 1, 81) ** 2
    found = answer(*_modes([[0.0, 0.0, 0.0]], [0.01], [1.0]), torch.zeros(1, 3), times, shape=(1,))
    close(found, [2.1041], atol=0.2)


@task.check("two modes on a line, (-2, 0.3) and (1, 0.8) with weights 0.35 and 0.65, at 0.3 and -1, at t = 0.2")
def _():
    x, modes = torch.tensor([[0.3], [-1.0]]), _modes([[-2.0], [1.0]], [0.3, 0.8], [0.35, 0.65])
    close(answer(*modes, x, torch.linspace(0.2, 1, 81), shape=(2,)), [-1.4043, -1.7442], atol=0.1)


### BEGIN HIDDEN TESTS
def right_marginal(t):
    exact = torch.as_tensor(t, dtype=torch.float64)
    kept = torch.exp(-0.1 * exact - 9.95 * exact**2)
    parts = kept.sqrt(), (1 / kept - 1).sqrt()
    if isinstance(t, torch.Tensor):
        return tuple(part.to(t.dtype) for part in parts)
    return tuple(part.numpy() if isinstance(t, np.ndarray) else float(part) for part in parts)


def right_flow(score, x, times):
    y = torch.as_tensor(x).double()
    times = torch.as_tensor(times).double().tolist()

    def slope(y, t):
        scale, sigma = right_marginal(t)
        return -(0.05 + 9.95 * t) * (y + score(y / scale, sigma) / scale)

    for i, t in enumerate(times[:-1]):
        h, first = times[i + 1] - t, slope(y, t)
        y = y + h / 2 * (first + slope(y + h * first, times[i + 1]))
    return y.numpy() if isinstance(x, np.ndarray) else y.to(x.dtype)


task.uses(vp_marginal=right_marginal, flow=right_flow)


def worst(modes, rows, times):
    """The largest error of the learner's likelihood, in nats, against the density of the modes at times[0]."""
    means, variances, weights = (torch.tensor(part, dtype=torch.float64) for part in modes)
    scale, sigma = right_marginal(float(times[0]))
    noisy = ne.GaussianMixture(scale * means, scale**2 * (variances + sigma**2), weights)
    x = noisy.sample(rows).float()
    found = answer(*_modes(*modes), x, times, shape=(rows,))
    return float((found - noisy.log_prob(x.double())).abs().nan_to_num(math.inf).max())


# Their mean is 0, so that at t = 1 they are standard normal to 0.001 nats.
ONE = [[-2.0], [1.0]], [0.3, 0.8], [1 / 3, 2 / 3]
TWO = [[-2.0, 0.0], [1.0, 1.0], [1.0, -1.0]], [0.3, 0.8, 0.5], [1 / 3, 1 / 3, 1 / 3]
FIVE = [[1.0, -0.5, 0.2, 1.2, 0.0], [-1.0, 0.5, -0.2, -1.2, 0.0]], [0.6, 1.4], [0.5, 0.5]
EARLY, LATE = torch.linspace(0.02**0.5, 1, 101) ** 2, torch.linspace(0.3, 1, 101)


@task.check("the density of mixtures, to 0.2 nats", points=2)
def _():
    for modes, rows, times in ((ONE, 4, EARLY), (TWO, 6, LATE)):
        error = worst(modes, rows, times)
        where = f"in {len(modes[0][0])} dimension(s), from t = {times[0]:.3g} on"
        ensure(error < 0.2, f"{where}, it is off by up to {error:.2g} nats")


@task.check("to 0.01 nats", points=1, beyond=True)
def _():
    for modes, rows, times in ((TWO, 16, EARLY), (FIVE, 16, LATE)):
        error = worst(modes, rows, times)
        ensure(error < 0.01, f"in {len(modes[0][0])} dimensions it is off by up to {error:.2g} nats")


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 10 · Predict before you run (1 point)
#
# Once more the mixture $\frac15 \mathcal N((-5,-5), I) + \frac45 \mathcal N((5,5), I)$,
# with the exact score, told to DDPM as a net. A thousand chains start at **one** place,
# $x_T = (0.3, -0.2)$, and go down in a hundred steps, once with $\eta = 0$ and once with
# $\eta = 1$. Which share of them ends at the large mode?
#
# - `"a"`: about 0.8 with both, the weight of the mode, wherever they start
# - `"b"`: all or none with $\eta = 0$, and about 0.8 with $\eta = 1$
# - `"c"`: all or none with both, for the net is the same, and so is the start
#
# Decide **before** you run the cell below the tests. Any of the three earns the point:
# what counts is that you have committed yourself.

# %% role="answer 10"
prediction = ...
### BEGIN SOLUTION
prediction = "b"
### END SOLUTION

# %% role="tests 10 1"
task = Task("10")
task.prediction("a", "b", "c")
### BEGIN HIDDEN TESTS
task.prediction("a", "b", "c", points=1)
### END HIDDEN TESTS
task.done()


# %% role="setup"
def experiment():
    mixture = ne.GaussianMixture([[-5.0, -5.0], [5.0, 5.0]], 1.0, [0.2, 0.8])
    kept, own = ne.alphas_bar_of(ne.ddpm_betas()), torch.Generator().manual_seed(0)
    net, start = ne.ScoreNoise(mixture, kept), torch.tensor([[0.3, -0.2]]).repeat(1000, 1)
    _, axes = plt.subplots(1, 2, figsize=(7, 3.4), sharex=True, sharey=True)
    for eta, ax in zip((0.0, 1.0), axes, strict=True):
        states = ne.ddpm(net, start, kept, steps=range(9, 1000, 10), eta=eta, generator=own)
        ends = ne.last(states)
        ax.plot(*ends.T, ".", ms=3, alpha=0.4)
        ax.set_title(rf"$\eta = {eta:g}$: {ne.mode_weights(ends, mixture).weight[1]:.2f} at the large mode")
    plt.show()


experiment()

# %% [markdown] role="question 11"
# ## Task 11 · In your own words (4 points)
#
# A net was trained on images with the loss of Task 4 and $T = 1000$. Ada samples with it
# by Task 5, with $\eta = 1$ and all thousand steps. Ben takes $\eta = 1$ and ten steps,
# Cleo $\eta = 0$ and ten steps. Dan turns the net into a score by Task 3, and runs the
# annealed Langevin dynamics of Assignment 3 on the ladder $\sigma_t$: "with $L = 1000$
# levels and $T = 1$ step at each this is what Ada does".
#
# In six to ten sentences: Why may all four use one and the same net: what has it seen of
# the chain, and what has it never seen? Why are Ben's images so much worse than Cleo's?
# What can Cleo do with her sampler that Ada cannot, and why? Where is Dan right, and where
# is he wrong?
#
# ### BEGIN MARK SCHEME
# One point each, for saying in any words that
#
# 1. (the net) the loss sees pairs $(c, x_t)$ at one $t$ at a time, the marginals
#    $q(x_t \mid c)$; its minimum is $\mathbb E[e \mid x_t]$, the score of $p_t$ up to a
#    factor. How $x_t$ and $x_{t-1}$ go together it never sees, so that every process with
#    these marginals, in discrete or continuous time, may use it;
# 2. (Ben and Cleo) a step with fresh noise draws from a *Gaussian* in place of
#    $p(x_s \mid x_t)$, which is one for small steps only: with large ones it has many
#    modes, one for each image that $x_t$ may come from, and the Gaussian around their
#    mean misses them. The flow has nothing random to approximate; its error is that of a
#    solver, and small where the curve is nearly straight;
# 3. (Cleo and Ada) her sampler is a function of its start: one noise has one image, so
#    that it can be run upwards (encoding, editing, blending between starts), and the
#    change of density along it gives a likelihood. With fresh noise in each step the
#    start does not fix the result (as Task 10 shows);
# 4. (Dan) the losses are the same, up to the weight of the levels, and so is the net. The
#    coefficients of the samplers are not: a Langevin step stays at its level, with
#    $\frac{\alpha}{2} s + \sqrt\alpha\, z$ and $\alpha \propto \sigma_t^2$, and relies on mixing there;
#    Ada's step leads to the next level, with $(\sigma_t^2 - \sigma_s^2)\, s$ and less
#    noise than $\sqrt{\sigma_t^2 - \sigma_s^2}$. (It is not enough to say that one has a
#    predictor and the other a corrector.)
# ### END MARK SCHEME

# %% [markdown] role="written 11 4"
# YOUR ANSWER HERE

# %% [markdown]
# That is all. Run the whole notebook once more from the top (*Kernel > Restart and Run
# All*) before you hand it in: what counts is what runs from a fresh start.
