# %% [markdown]
# # Assignment 1 · Scores and Langevin dynamics on mixtures
#
# *About 90 minutes. 27 points: 23 by automatic tests, 4 for a written answer.
# Nothing here needs a GPU or the internet; each cell runs in seconds.*
#
# You write the score of a Gaussian mixture, with and without noise, and a sampler
# that needs nothing but this score. Notebooks 1 and 2 are the lecture to it.
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
from ncsn_edu.grading.tasks import (
    Given,
    Task,
    close,
    ensure,
    fresh_noise,
    p_mean,
    p_scatter,
    p_variance,
    plausible,
)

# %% [markdown]
# Throughout, points are the rows of a tensor `x` of shape (B, D) in float32, and
# covariances are multiples of the identity, given by a **variance**. A mixture of K Gaussians has
# `means` (K, D), `variances` (K,) and `weights` (K,) that sum to one:
#
# $$ p(x) = \sum_k w_k\, \mathcal N(x;\, \mu_k,\, v_k I), \qquad
#    \mathcal N(x;\, \mu,\, v I) = (2 \pi v)^{-D/2} \, e^{-\|x - \mu\|^2 / 2v} . $$
#
# ## Task 1 · The score of one Gaussian (2 points)
#
# The score is $\nabla_x \log p(x)$. Work it out on paper for
# $p = \mathcal N(\mu, v I)$, then write it for many points at once.
#
# - `x`: (B, D), `mean`: (D,), `variance`: a number
# - returns (B, D): the score at each row
#
# *Stuck? `ne.GaussianMixture(mean[None], variance).score(x)` lets you continue.*


# %% role="answer 1"
def gaussian_score(x, mean, variance):
    ### BEGIN SOLUTION
    return (mean - x) / variance
    ### END SOLUTION


# %% role="tests 1 2"
task = Task("1", stuck="GaussianMixture")
answer = task.answer("gaussian_score")


@task.check("one point on a line: mean 1, variance 4, at x = 3")
def _():
    close(answer(torch.tensor([[3.0]]), torch.tensor([1.0]), 4.0, shape=(1, 1)), [[-0.5]])


@task.check("the score vanishes at the mean")
def _():
    mean = torch.tensor([1.0, -2.0])
    close(answer(mean[None], mean, 0.5, shape=(1, 2)), torch.zeros(1, 2))


@task.check("two points in the plane: mean (1, -2), variance 0.25, at (2, -2) and (1, 1)")
def _():
    x = torch.tensor([[2.0, -2.0], [1.0, 1.0]])
    close(answer(x, torch.tensor([1.0, -2.0]), 0.25, shape=(2, 2)), [[-4.0, 0.0], [0.0, -12.0]])


@task.check("two points on opposite sides of the mean: opposite scores, and longer ones farther away")
def _():
    x, mean = torch.randn(4, 3), torch.randn(3)
    score = answer(x, mean, 2.0, shape=x.shape)
    close(answer(2 * mean - x, mean, 2.0, shape=x.shape), -score)
    farther = answer(3 * x - 2 * mean, mean, 2.0, shape=x.shape)
    ensure((farther.norm(dim=1) > 1.01 * score.norm(dim=1)).all(), "three times as far away the score is no longer")


@task.check("a very narrow Gaussian, variance 0.000001, and a very wide one")
def _():
    close(answer(torch.tensor([[0.002]]), torch.zeros(1), 1e-6, shape=(1, 1)), [[-2000.0]])
    close(1e4 * answer(torch.tensor([[500.0]]), torch.zeros(1), 1e6, shape=(1, 1)), [[-5.0]])


### BEGIN HIDDEN TESTS
@task.check("many points and one, in 1 to 5 dimensions, several variances", points=2)
def _():
    for shape in ((7, 5), (1, 4), (5, 1), (3, 3), (1, 1)):
        for variance in (0.04, 1.0, 1.0, 9.0, 3e-5, 4e4):
            x, mean = 2 * torch.randn(shape[1], shape[0]).T, torch.randn(shape[1])
            expected = ne.GaussianMixture(mean[None].double(), variance).score(x.double())
            close(answer(x, mean, variance, shape=x.shape), expected)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 2 · The log-density of a mixture (3 points)
#
# Mind two things. The exponentials underflow: at a point fifteen standard deviations
# from all means, each $e^{-\|x - \mu_k\|^2 / 2 v_k} = e^{-112.5}$ is zero in float32,
# whose smallest number above zero is $1.4 \cdot 10^{-45}$; but $\log p(x)$ is not $-\infty$.
# `torch.logsumexp` takes the logarithm of a sum of exponentials without forming them.
# And the constant $(2 \pi v_k)^{-D/2}$ differs from component to component, so that
# it may not be left out.
#
# - `x`: (B, D), `means`: (K, D), `variances`: (K,), `weights`: (K,)
# - returns (B,): $\log p(x)$ at each row
#
# *Stuck? `ne.GaussianMixture(means, variances, weights).log_prob(x)` lets you continue.*


# %% role="answer 2"
def mixture_log_density(x, means, variances, weights):
    ### BEGIN SOLUTION
    squares = (x[:, None] - means).square().sum(-1)  # (B, K)
    log_normal = -squares / (2 * variances) - x.shape[1] / 2 * torch.log(2 * math.pi * variances)
    return torch.logsumexp(torch.log(weights) + log_normal, dim=1)
    ### END SOLUTION


# %% role="tests 2 3"
task = Task("2", stuck="GaussianMixture")
answer = task.answer("mixture_log_density")
one, two = torch.ones(1), torch.tensor([0.25, 0.75])


@task.check("one standard Gaussian in one dimension, at 0: log(1 / sqrt(2 pi)) = -0.9189")
def _():
    close(answer(torch.zeros(1, 1), torch.zeros(1, 1), one, one, shape=(1,)), [-0.9189], atol=1e-4)


@task.check("two equal components are as good as one")
def _():
    x = torch.tensor([[0.3, -1.0]])
    close(
        answer(x, torch.zeros(2, 2), torch.ones(2), two, shape=(1,)),
        answer(x, torch.zeros(1, 2), one, one, shape=(1,)),
    )


@task.check("two components that differ, with variances 0.5 and 2, at three points in space")
def _():
    x = torch.tensor([[0.0, 0.0, 1.0], [1.0, -1.0, 0.0], [0.5, 0.5, 0.0]])
    means, variances = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 1.0, 0.0]]), torch.tensor([0.5, 2.0])
    close(answer(x, means, variances, two, shape=(3,)), [-4.2666, -3.9742, -3.3175], atol=2e-4)


@task.check("a point and a mixture that are moved together")
def _():
    x, means, move = torch.randn(4, 3), torch.randn(2, 3), torch.randn(3)
    before = answer(x, means, torch.tensor([0.5, 3.0]), two, shape=(4,))
    close(answer(x + move, means + move, torch.tensor([0.5, 3.0]), two, shape=(4,)), before, atol=1e-4)
    ensure(before.std() > 1e-3, "four different points have one log-density")


@task.check("a hundred times smaller in all lengths: in the plane the density is 10000 times as large")
def _():
    x, means, variances = torch.randn(4, 2), torch.randn(2, 2), torch.tensor([0.5, 3.0])
    before = answer(x, means, variances, two, shape=(4,))
    found = answer(x / 100, means / 100, variances / 10_000, two, shape=(4,))
    close(found, before + math.log(10_000), atol=1e-3)


### BEGIN HIDDEN TESTS
def random_mixture(n, dim):
    means, variances, weights = 2 * torch.randn(n, dim), 0.2 + 3 * torch.rand(n), 0.1 + torch.rand(n)
    return means, variances, weights / weights.sum()


def exact(means, variances, weights):
    return ne.GaussianMixture(means.double(), variances.double(), weights.double())


@task.check("several components of different variance and weight, in 1 to 4 dimensions", points=2)
def _():
    for rows, n, dim in ((6, 3, 1), (6, 3, 2), (6, 3, 4), (1, 2, 3), (3, 3, 3), (5, 1, 2), (2, 5, 1), (4, 4, 1)):
        mixture = random_mixture(n, dim)
        for x in 2 * torch.randn(2, rows, dim):
            close(answer(x, *mixture, shape=(rows,)), exact(*mixture).log_prob(x.double()), atol=1e-4)
    means, variances, weights = random_mixture(3, 2)
    for unit in (0.005, 300.0):  # the same in other units
        x, scaled = unit * torch.randn(6, 2), (unit * means, unit**2 * variances, weights)
        close(answer(x, *scaled, shape=(6,)), exact(*scaled).log_prob(x.double()), atol=1e-3)


@task.check("far from all components: large and negative, not minus infinity", points=1, beyond=True)
def _():
    x = torch.tensor([[60.0, 0.0], [0.3, 0.2], [0.0, -90.0], [45.0, 45.0], [-15.0, -15.0]])
    for variances in (torch.tensor([1.0, 2.0]), torch.ones(2)):  # with the latter both count at [45, 45]
        expected = exact(torch.eye(2), variances, two).log_prob(x.double())
        close(answer(x, torch.eye(2), variances, two, shape=(5,)), expected, rtol=3e-5, atol=1e-4)
        close(answer(x[:1], torch.eye(2), variances, two, shape=(1,)), expected[:1], rtol=3e-5)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 3 · The score of a mixture (3 points)
#
# Differentiate $\log p$ of Task 2. You will meet the *responsibilities*
# $r_k(x) = w_k \mathcal N(x; \mu_k, v_k I) / p(x)$, which sum to one; compute them so
# that they stay finite far away, too (`torch.softmax` does for them what `logsumexp`
# did for the density). Or let PyTorch differentiate your log-density for you: any way
# that is right is right.
#
# - arguments as in Task 2; returns (B, D): $\nabla \log p(x)$ at each row
#
# *Stuck? `ne.GaussianMixture(means, variances, weights).score(x)` lets you continue.*


# %% role="answer 3"
def mixture_score(x, means, variances, weights):
    ### BEGIN SOLUTION
    squares = (x[:, None] - means).square().sum(-1)  # (B, K)
    log_joint = torch.log(weights) - squares / (2 * variances) - x.shape[1] / 2 * torch.log(variances)
    responsibilities = torch.softmax(log_joint, dim=1)  # (B, K)
    pull = (means - x[:, None]) / variances[:, None]  # (B, K, D)
    return (responsibilities[..., None] * pull).sum(1)
    ### END SOLUTION


# %% role="tests 3 3"
task = Task("3", stuck="GaussianMixture")
answer = task.answer("mixture_score")


@task.check("half-way between two equal components the pulls cancel")
def _():
    means = torch.tensor([[-2.0, 1.0], [2.0, 1.0]])
    x = torch.tensor([[0.0, 1.0]])
    close(answer(x, means, torch.ones(2), torch.full((2,), 0.5), shape=(1, 2)), torch.zeros(1, 2))


@task.check("with one component it is the score of a Gaussian")
def _():
    x = torch.tensor([[3.0, 0.0]])
    close(answer(x, torch.ones(1, 2), torch.tensor([2.0]), torch.ones(1), shape=(1, 2)), [[-1.0, 0.5]])


@task.check("two components that differ, with variances 0.5 and 2, at three points in space")
def _():
    x = torch.tensor([[0.0, 0.0, 1.0], [1.0, -1.0, 0.0], [0.5, 0.5, 0.0]])
    means, variances = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 1.0, 0.0]]), torch.tensor([0.5, 2.0])
    found = answer(x, means, variances, torch.tensor([0.25, 0.75]), shape=(3, 3))
    close(found, [[0.5828, 0.2834, -1.1497], [-0.1212, 1.8788, 0.0], [0.5649, -0.6892, 0.0]], atol=2e-3)


@task.check("two hundred times smaller in all lengths: the slopes are as many times as steep; and 300 times larger")
def _():
    x, means, variances = 3 * torch.randn(4, 2), torch.randn(2, 2), torch.tensor([0.5, 3.0])
    before = answer(x, means, variances, torch.tensor([0.25, 0.75]), shape=(4, 2))
    for unit in (0.005, 300.0):
        found = answer(unit * x, unit * means, unit**2 * variances, torch.tensor([0.25, 0.75]), shape=(4, 2))
        close(unit * found, before, rtol=1e-3, atol=1e-3, what=f"{unit} times the score")


### BEGIN HIDDEN TESTS
task.uses(
    mixture_log_density=Given(
        lambda x, means, variances, weights: ne.GaussianMixture(means, variances, weights).log_prob(x)
    )
)


@task.check("it is the slope of the log-density: components that differ in all respects", points=2)
def _():
    for rows, n, dim in ((8, 3, 1), (8, 3, 3), (1, 2, 2), (3, 3, 3), (5, 1, 2), (2, 5, 1), (8, 3, 3)):
        means, variances, weights = 1.5 * torch.randn(n, dim), 0.3 + 3 * torch.rand(n), 0.1 + torch.rand(n)
        weights = weights / weights.sum()
        truth = ne.GaussianMixture(means.double(), variances.double(), weights.double())
        h = 1e-5 * torch.eye(dim, dtype=torch.float64)
        for x in 2 * torch.randn(2, rows, dim):
            slopes = [(truth.log_prob(x.double() + e) - truth.log_prob(x.double() - e)) / 2e-5 for e in h]
            close(answer(x, means, variances, weights, shape=x.shape), torch.stack(slopes, 1), rtol=1e-3, atol=5e-4)
            for unit in (0.005, 300.0):  # the same in other units
                score = unit * answer(unit * x, unit * means, unit**2 * variances, weights, shape=x.shape)
                said = f"multiplied by {unit}, for a mixture that is {unit} times as large, the score"
                close(score, torch.stack(slopes, 1), rtol=1e-3, atol=1e-3, what=said)


@task.check("far from all components: finite, and towards them", points=1, beyond=True)
def _():
    x = torch.tensor([[70.0, 0.0], [0.5, 0.2], [0.0, -80.0], [60.0, 60.0], [-15.0, -15.0]])
    means, weights = 4 * torch.eye(2), torch.tensor([0.3, 0.7])
    for variances in (torch.tensor([1.0, 2.0]), torch.ones(2)):  # with the latter both pull at [60, 60]
        expected = ne.GaussianMixture(means.double(), variances.double(), weights.double()).score(x.double())
        close(answer(x, means, variances, weights, shape=x.shape), expected, rtol=1e-3, atol=1e-3)
        close(answer(x[:1], means, variances, weights, shape=(1, 2)), expected[:1], rtol=1e-3)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# A look at it, with the function of the package. Arrows are the score, shades the
# density.

# %% role="setup"
from ncsn_edu.plots import density, score_field, use_style

use_style()
example = ne.GaussianMixture([[-2.0, -2.0], [2.0, 2.0]], [0.5, 1.5], [0.3, 0.7])
fig, ax = plt.subplots(figsize=(4, 4))
density(ax, example.log_prob, extent=5)
score_field(ax, example.score, extent=5)
plt.show()

# %% [markdown]
# ## Task 4 · The score of the noisy mixture (3 points)
#
# Add Gaussian noise of standard deviation $\sigma$ to every sample of the mixture.
# What is the distribution of $\tilde x = x + \sigma z$? (It is a mixture again: which
# of its parameters have changed, and how?) Return **its** score.
#
# - `x`: (B, D); `sigma`: a number, or one number per row, (B,); the rest as before
# - returns (B, D): $\nabla \log p_\sigma(x)$ at each row
#
# You may use your function of Task 3. One number for all rows earns 2 of the points,
# one per row the third.
#
# *Stuck? `ne.GaussianMixture(means, variances, weights).score(x, sigma)` lets you continue.*


# %% role="answer 4"
def noisy_mixture_score(x, sigma, means, variances, weights):
    ### BEGIN SOLUTION
    sigma = torch.as_tensor(sigma, dtype=x.dtype).expand(len(x))
    rows = [mixture_score(row[None], means, variances + s**2, weights) for row, s in zip(x, sigma, strict=True)]
    return torch.cat(rows)
    ### END SOLUTION


# %% role="tests 4 3"
task = Task("4", stuck="GaussianMixture")
answer = task.answer("noisy_mixture_score")


@task.check("without noise nothing changes")
def _():
    x, means = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    variances, weights = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 0.5])
    close(
        answer(x, 0.0, means, variances, weights, shape=(1, 2)),
        ne.GaussianMixture(means, variances, weights).score(x),
    )


@task.check("much noise makes the score small")
def _():
    x = torch.tensor([[1.0, 0.0]])
    score = answer(x, 100.0, torch.zeros(1, 2), torch.ones(1), torch.ones(1), shape=(1, 2))
    ensure(score.abs().max() < 1e-2, "at sigma = 100 the score at a distance of 1 should be almost nothing")


@task.check("two components that differ, with variances 0.5 and 2, at three points in space, with sigma = 0.5 and 2")
def _():
    x = torch.tensor([[0.0, 0.0, 1.0], [1.0, -1.0, 0.0], [0.5, 0.5, 0.0]])
    means, variances = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 1.0, 0.0]]), torch.tensor([0.5, 2.0])
    expected = {
        0.5: [[0.3923, 0.2352, -0.8628], [-0.1420, 1.2624, 0.0], [0.2451, -0.3856, 0.0]],
        2.0: [[-0.0323, 0.1091, -0.1859], [-0.1760, 0.2809, 0.0], [-0.1149, 0.0106, 0.0]],
    }
    for sigma, scores in expected.items():
        found = answer(x, sigma, means, variances, torch.tensor([0.25, 0.75]), shape=(3, 3))
        close(found, scores, atol=2e-3, what=f"with sigma = {sigma:g} the result")


@task.check("200 times smaller in all lengths, also sigma: the slopes are as many times as steep; and 300 times larger")
def _():
    x, means, variances = 3 * torch.randn(4, 2), torch.randn(2, 2), torch.tensor([0.5, 3.0])
    before = answer(x, 0.7, means, variances, torch.tensor([0.25, 0.75]), shape=(4, 2))
    for unit in (0.005, 300.0):
        scaled = unit * x, unit * 0.7, unit * means, unit**2 * variances
        found = answer(*scaled, torch.tensor([0.25, 0.75]), shape=(4, 2))
        close(unit * found, before, rtol=1e-3, atol=1e-3, what=f"{unit} times the score")


@task.check("a sigma of its own for each row: the same as row after row (for the third point)")
def _():
    x, sigma = torch.tensor([[0.0, 0.0], [1.0, -1.0], [2.0, 0.5]]), torch.tensor([0.5, 3.0, 1.0])
    rest = torch.tensor([[1.0, 0.0], [-1.0, 1.0]]), torch.tensor([0.5, 2.0]), torch.tensor([0.25, 0.75])
    rows = [answer(row[None], float(s), *rest, shape=(1, 2)) for row, s in zip(x, sigma, strict=True)]
    close(answer(x, sigma, *rest, shape=(3, 2)), torch.cat(rows))


### BEGIN HIDDEN TESTS
task.uses(
    mixture_score=Given(lambda x, means, variances, weights: ne.GaussianMixture(means, variances, weights).score(x))
)
means, variances = torch.tensor([[-1.0, 0.5], [2.0, 1.0], [0.0, -2.0]]), torch.tensor([0.3, 1.0, 2.0])
mixture = ne.GaussianMixture(means, variances, torch.tensor([0.2, 0.5, 0.3]))


@task.check("one sigma for all rows", points=2)
def _():
    for rows in (6, 1, 3, 6):
        x = 2 * torch.randn(rows, 2)
        for sigma in (0.0, 0.1, 0.5, 3.0, 40.0):
            close(answer(x, sigma, means, variances, mixture.weights.float(), shape=x.shape), mixture.score(x, sigma))
    for n, dim in ((1, 3), (2, 1), (5, 4)):
        given = 2 * torch.randn(n, dim), 0.2 + 2 * torch.rand(n), torch.softmax(torch.randn(n), 0)
        x = 2 * torch.randn(4, dim)
        expected = ne.GaussianMixture(*given).score(x, 0.7)
        close(answer(x, 0.7, *given, shape=x.shape), expected, rtol=1e-3, atol=1e-4)
        for unit in (0.005, 300.0):  # the same in other units
            score = answer(unit * x, unit * 0.7, unit * given[0], unit**2 * given[1], given[2], shape=x.shape)
            said = f"multiplied by {unit}, for a mixture that is {unit} times as large, the score"
            close(unit * score, expected, rtol=1e-3, atol=1e-3, what=said)


@task.check("a sigma of its own for each row", points=1, beyond=True)
def _():
    x, sigma = 2 * torch.randn(6, 2), torch.tensor([0.05, 0.1, 0.5, 1.0, 2.0, 8.0])
    close(answer(x, sigma, means, variances, mixture.weights.float(), shape=x.shape), mixture.score(x, sigma))
    # As many rows as dimensions, as components, and one.
    for s in (torch.tensor([0.2, 4.0]), torch.tensor([3.0, 0.1, 1.0]), torch.tensor([0.6]), torch.tensor([0.02, 50.0])):
        x = 2 * torch.randn(len(s), 2)
        close(answer(x, s, means, variances, mixture.weights.float(), shape=x.shape), mixture.score(x, s))


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 5 · One Langevin step (3 points)
#
# $$ x \;\leftarrow\; x + \frac{\alpha}{2}\, \nabla \log p(x) + \sqrt{\alpha}\, z,
#    \qquad z \sim \mathcal N(0, I) $$
#
# with fresh noise for every coordinate of every row. The score is an argument: any
# function that maps (B, D) to (B, D).
#
# - `x`: (B, D), `score`: a function, `alpha`: a number
# - returns (B, D): the points after the step
#
# *Stuck? `ne.last(ne.langevin(lambda x, sigma: score(x), x, alpha=alpha, n_steps=1))`
# lets you continue.*


# %% role="answer 5"
def langevin_step(x, score, alpha):
    ### BEGIN SOLUTION
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * torch.randn_like(x)
    ### END SOLUTION


# %% role="tests 5 3"
task = Task("5", stuck="langevin annealed_langevin")
answer = task.answer("langevin_step")


@task.check("without noise to speak of (alpha tiny), the points stay where they are")
def _():
    x = torch.tensor([[1.0, 2.0], [-3.0, 0.0]])
    close(answer(x, Given(lambda x: -x), 1e-12, shape=x.shape), x)


@task.check("on average a step moves by alpha / 2 times the score")
def _():
    moved = answer(torch.zeros(20_000, 1), Given(lambda x: x + 3.0), 0.5, shape=(20_000, 1))
    plausible(p_mean(moved, 0.75, math.sqrt(0.5)), f"the mean moved by {moved.mean():.3f}, and 0.750 was expected")


@task.check("at 0 the score s(x) = -x vanishes, and a step of alpha = 0.64 spreads the points by 0.8")
def _():
    moved = answer(torch.zeros(20_000, 1), Given(lambda x: -x), 0.64, shape=(20_000, 1))
    plausible(p_variance(moved, 0.64), f"the standard deviation is {moved.std():.3f}, and 0.800 was expected")


@task.check("each row follows the score at its own place: s(x) = -x takes 1000 to 750 if alpha = 0.5, to -9000 if 20")
def _():
    x = torch.tensor([[1000.0, 0.0], [0.0, -2000.0], [400.0, 800.0]])
    for alpha, factor in ((0.5, 0.75), (20.0, -9.0)):
        close(answer(x, Given(lambda x: -x), alpha, shape=x.shape), factor * x, atol=11 * math.sqrt(alpha))


### BEGIN HIDDEN TESTS
# A step's noise and its score. The noise is N(0, 1) if the step is right.
def noise_of_a_step(start, alpha):
    pull = 30 * torch.sin(start.double()) - start
    ends = answer(start, Given(lambda x: 30 * torch.sin(x) - x), alpha, shape=start.shape)
    return (ends - start - alpha / 2 * pull) / math.sqrt(alpha), pull


@task.check("drift and noise for several alpha, at points that differ", points=2)
def _():
    for point in 5 * torch.randn(20, 1, 2):
        z = noise_of_a_step(point, 0.7)[0]
        ensure(z.abs().max() < 7, f"a single row is {z.abs().max():.2g} standard deviations from where it should be")
    for alpha, dim in ((1e-7, 1), (0.01, 3), (0.3, 2), (2.5, 1), (30.0, 1)):
        noise, pull = noise_of_a_step(5 * torch.randn(4000, dim), alpha)
        for z, s in zip(noise.T, pull.T, strict=True):
            along = float(z @ s / s.norm())
            times = 1 + 2 * along / float(s.norm()) / math.sqrt(alpha)
            said = f"alpha {alpha}: the step goes {times:.3g} times as far along the score as expected"
            plausible(math.erfc(abs(along) / math.sqrt(2)), said, of=24)
            said = f"alpha {alpha}: the noise's mean is {z.mean():.3g}, and 0 was expected"
            plausible(p_mean(z, 0.0, 1.0), said, of=24)
            spread = alpha * z.square().mean()
            said = f"alpha {alpha}: the noise's variance is {spread:.4g}, and {alpha:.4g} was expected"
            plausible(p_variance(z, 1.0), said, of=24)


@task.check("the noise is Gaussian, and another one in each row, coordinate and call", points=1, beyond=True)
def _():
    for shape, alpha in (((100, 60), 1.0), ((2000, 4), 0.16)):
        calls = [answer(torch.zeros(shape), Given(torch.zeros_like), alpha, shape=shape) for _ in range(3)]
        fresh_noise(*(call / math.sqrt(alpha) for call in calls), what="the step's noise", of=4)
    for rows in (1, 2):
        calls = [answer(torch.zeros(rows, 2), Given(torch.zeros_like), 1.0, shape=(rows, 2)) for _ in range(80)]
        said = f"with {rows} row(s) the noise is too small, or the same in its mean or size from call to call"
        plausible(p_scatter(torch.stack(calls).flatten(1)), said, of=4)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 6 · Langevin dynamics (3 points)
#
# Many steps: return the points **after the last one**.
#
# - `x`: (B, D) where the chains start, `score`: a function, `alpha`: a number,
#   `n_steps`: a whole number
# - returns (B, D)
#
# You may use your function of Task 5.
#
# *Stuck? `ne.last(ne.langevin(lambda x, sigma: score(x), x, alpha=alpha,
# n_steps=n_steps))` lets you continue.*


# %% role="answer 6"
def langevin(x, score, alpha, n_steps):
    ### BEGIN SOLUTION
    for _ in range(n_steps):
        x = langevin_step(x, score, alpha)
    return x
    ### END SOLUTION


# %% role="tests 6 3"
task = Task("6", stuck="langevin annealed_langevin")
answer = task.answer("langevin")


@task.check("it calls the score once a step")
def _():
    score = Given(lambda x: -x)
    answer(torch.zeros(4, 2), score, 0.1, 25, shape=(4, 2))
    ensure(score.rows == 100, f"25 steps of 4 chains evaluated the score at {score.rows} points, and not at 100")


@task.check("after many steps the chains are spread as the target")
def _():
    x = answer(torch.full((2000, 1), 5.0), Given(lambda x: -x), 0.1, 150, shape=(2000, 1))
    ensure(abs(x.mean()) < 0.2, f"the mean is {x.mean():.2f}, and the target's is 0")
    ensure(0.8 < x.std() < 1.25, f"the standard deviation is {x.std():.2f}, and the target's is 1")


@task.check("each chain starts at its own row: three small steps take none of them far")
def _():
    x = torch.tensor([[0.0, 0.0], [300.0, -40.0], [-50.0, 7.0]])
    ends = answer(x, Given(torch.zeros_like), 0.01, 3, shape=x.shape)
    ensure((ends - x).abs().max() < 2, f"a chain that starts at {x[1].tolist()} ends at {ends[1].tolist()}")


@task.check("without a score one step of alpha = 0.25 spreads the chains by 0.5, and four steps by 1")
def _():
    for n_steps, sd in ((1, 0.5), (4, 1.0)):
        x = answer(torch.zeros(10_000, 2), Given(torch.zeros_like), 0.25, n_steps, shape=(10_000, 2))
        for column in x.T:
            said = f"after {n_steps} step(s) the standard deviation is {column.std():.3f}, and {sd:.3f} was expected"
            plausible(p_variance(column, sd**2), said, of=4)


### BEGIN HIDDEN TESTS
def right_step(x, score, alpha):
    noise = torch.randn(*x.shape)
    return x + alpha / 2 * score(x) + math.sqrt(alpha) * (noise.numpy() if isinstance(x, np.ndarray) else noise.to(x))


task.uses(langevin_step=right_step)


# The chains' ends, as standard normal numbers: exact for the score -x / v.
def standardised(start, v, alpha, n_steps):
    factor, variance = 1.0, 0.0
    for _ in range(n_steps):
        factor, variance = (1 - alpha / 2 / v) * factor, (1 - alpha / 2 / v) ** 2 * variance + alpha
    ends = answer(start, Given(lambda x: -x / v), alpha, n_steps, shape=start.shape).double()
    return (ends - factor * start) / math.sqrt(variance)


@task.check("mean and variance on the way to a Gaussian, step by step, from many starts", points=2)
def _():
    for alpha, v, n_steps, shape in ((0.4, 2.0, 12, (8000, 2)), (0.05, 0.5, 7, (4000, 1)), (3.0, 1.5, 2, (4000, 3))):
        start = 60 + 20 * torch.randn(shape)
        for z, x in zip(standardised(start, v, alpha, n_steps).T, start.double().T, strict=True):
            off = x - x.mean()
            said = f"after {n_steps} steps of alpha {alpha} chains from different starts are not where they should be"
            plausible(math.erfc(abs(float(z @ off / off.norm())) / math.sqrt(2)), said, of=19)
            said = f"after {n_steps} steps of alpha {alpha} the mean is off by {z.mean():.3f} standard deviations"
            plausible(p_mean(z, 0.0, 1.0), said, of=19)
            said = f"after {n_steps} steps of alpha {alpha} the variance is {z.square().mean():.3f} times the right one"
            plausible(p_variance(z, 1.0), said, of=19)
    for start in 60 * torch.randn(20, 1, 1):
        z = standardised(start, 2.0, 0.4, 4)
        ensure(z.abs().max() < 7, f"a single chain ends {z.abs().max():.2g} standard deviations from where it should")
    z = standardised(torch.full((8000, 2), 60.0), 2.0, 0.4, 3)
    said = "the two coordinates move together"
    plausible(math.erfc(abs(float(z[:, 0] @ z[:, 1] / z[:, 1].norm())) / math.sqrt(2)), said, of=19)


@task.check("no more steps and no fewer, and Gaussian noise, another one for each row and call", points=1, beyond=True)
def _():
    for n_steps, rows in ((1, 20_000), (2, 20_000), (7, 20_000), (300, 1000)):
        x = answer(torch.zeros(rows, 1), Given(torch.zeros_like), 0.25, n_steps, shape=(rows, 1))
        said = f"after {n_steps} steps of alpha 0.25 the variance is {x.var():.3f}, and {n_steps / 4} was expected"
        plausible(p_variance(x, n_steps / 4), said, of=8)
    for n_steps, shape in ((1, (2000, 4)), (3, (100, 60))):
        calls = [standardised(torch.zeros(shape), 1.0, 0.5, n_steps) for _ in range(3)]
        fresh_noise(*calls, what=f"the noise of {n_steps} steps", of=8)
    for rows in (1, 2):
        calls = [standardised(torch.zeros(rows, 2), 1.0, 0.5, 2) for _ in range(80)]
        said = f"with {rows} chain(s) the noise is too small, or the same in its mean or size from call to call"
        plausible(p_scatter(torch.stack(calls).flatten(1)), said, of=8)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 7 · Where the chain settles (2 points)
#
# A step of finite length does not settle at the target. Take the target
# $\mathcal N(0, v)$ on a line, with its exact score, and chains that have any mean and
# any variance. What does one step of Task 5 make of the two? Where does the variance
# settle after many steps, and for which $\alpha$ does it settle at all?
#
# - `alpha`, `variance`: numbers; `variance` is the target's $v$
# - returns the variance at which the chain settles, and `math.inf` where it settles
#   nowhere
#
# *Stuck? Nothing after this task needs it: go on.*


# %% role="answer 7"
def settled_variance(alpha, variance):
    ### BEGIN SOLUTION
    return variance / (1 - alpha / (4 * variance)) if alpha < 4 * variance else math.inf
    ### END SOLUTION


# %% role="tests 7 2"
task = Task("7")
answer = task.answer("settled_variance")


@task.check("small steps settle at the target")
def _():
    close(answer(1e-6, 2.0, shape=()), 2.0)


@task.check("twenty thousand chains, fifty steps: alpha = 1.6 and 1.95 at a target of variance 0.5")
def _():
    for alpha in (1.6, 1.95):
        x = ne.last(ne.langevin(lambda x, sigma: -x / 0.5, torch.zeros(20_000, 1), alpha=alpha, n_steps=50))
        found = float(answer(alpha, 0.5, shape=()))
        said = f"with alpha = {alpha} the chains' variance is {x.var():.2f}, and yours is {found:.2f}"
        ensure(abs(found / x.var() - 1) < 0.1, said)


@task.check("ten thousand chains that begin with your variance keep it: alpha = 1.995 at a target of variance 0.5")
def _():
    found = float(answer(1.995, 0.5, shape=()))
    ensure(0 < found < math.inf, f"with alpha = 1.995 the chains settle, and yours is {found:.3g}")
    start = math.sqrt(found) * torch.randn(10_000, 1)
    x = ne.last(ne.langevin(lambda x, sigma: -x / 0.5, start, alpha=1.995, n_steps=200))
    said = f"chains that begin with your variance, {found:.4g}, have a variance of {x.var():.4g} after 200 steps"
    ensure(abs(found / x.var() - 1) < 0.1, said)


@task.check("in other units: with alpha and the target's variance both 100 times as large, so is the settled variance")
def _():
    for times in (100.0, 0.01):
        found = answer(times * 1.6, times * 0.5, shape=())
        said = f"for alpha = {times * 1.6:g} and a variance of {times * 0.5:g}, {1 / times:g} times the result"
        close(found / times, answer(1.6, 0.5, shape=()), rtol=1e-3, what=said)


### BEGIN HIDDEN TESTS
def where_it_goes(alpha, v):
    variance = v
    for _ in range(20_000):
        variance = (1 - alpha / (2 * v)) ** 2 * variance + alpha
    return variance


@task.check("it is the variance that twenty thousand steps lead to", points=1)
def _():
    for alpha, v in (
        (0.1, 1.0),
        (1.0, 1.0),
        (0.5, 0.25),
        (3.9, 1.0),
        (10.0, 5.0),
        (0.02, 0.04),
        (6.0, 2.0),
        (3.99, 1.0),
        (0.002, 0.001),
    ):
        close(answer(alpha, v, shape=()), where_it_goes(alpha, v), rtol=1e-3)


@task.check("infinite where the chain settles nowhere", points=1, beyond=True)
def _():
    for alpha, v in (
        (4.5, 1.0),
        (8.0, 1.0),
        (1.0, 0.2),
        (50.0, 3.0),
        (4.0, 1.0),
        (1.0, 0.25),
        (32.0, 8.0),
        (4.01, 1.0),
    ):
        value = answer(alpha, v, shape=())
        ensure(value == math.inf, f"alpha {alpha}, variance {v}: it settles nowhere, and {value:.3g} is not infinite")


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 8 · Predict before you run (1 point)
#
# The target is $\frac15 \mathcal N((-5,-5), I) + \frac45 \mathcal N((5,5), I)$. A
# thousand chains start uniformly in $[-8, 8]^2$ and take a thousand steps of
# $\alpha = 0.1$ with the exact score. Which share of them ends at the large mode?
#
# - `"a"`: about 0.8, the weight of the mode, for the score is exact
# - `"b"`: about 0.5, for about that many start nearer to it
# - `"c"`: about 1.0, for the small mode empties in time
#
# Decide **before** you run the cell below the tests. Any of the three earns the point:
# what counts is that you have committed yourself.

# %% role="answer 8"
prediction = ...
### BEGIN SOLUTION
prediction = "b"
### END SOLUTION

# %% role="tests 8 1"
task = Task("8")
task.prediction("a", "b", "c")
### BEGIN HIDDEN TESTS
task.prediction("a", "b", "c", points=1)
### END HIDDEN TESTS
task.done()

# %% role="setup"
target = ne.GaussianMixture([[-5.0, -5.0], [5.0, 5.0]], 1.0, [0.2, 0.8])
chains = 16 * torch.rand(1000, 2, generator=torch.Generator().manual_seed(0)) - 8
chains = ne.last(ne.langevin(target, chains, alpha=0.1, n_steps=1000))
print(f"share at the large mode: {ne.mode_weights(chains, target).weight[1]:.2f}")

# %% [markdown]
# ## Task 9 · A sampler on a budget (3 points)
#
# The target is $\mathcal N(0, 1)$, and all chains start at $x = 8$. Choose `alpha` and
# `n_steps` such that at the end
#
# - the mean of the chains is below 0.05 (in absolute value),
# - their variance is between 0.97 and 1.03,
# - and at most 300 steps are taken.
#
# There are many right answers. A small $\alpha$ is too slow, a large one settles too
# wide (Task 7). Two steps of pen and paper save a lot of trying: by which factor does a
# step shrink the mean?

# %% role="answer 9"
alpha = ...
n_steps = ...
### BEGIN SOLUTION
alpha = 0.1
n_steps = 120
### END SOLUTION

# %% role="tests 9 3"
task = Task("9")


@task.check("a positive number and a whole number of at most 300")
def _():
    ensure(0 < float(task.value("alpha")) < math.inf, "alpha is a positive number")
    ensure(int(task.value("n_steps")) == float(task.value("n_steps")), "n_steps is a whole number")
    ensure(1 <= task.value("n_steps") <= 300, f"n_steps is {task.value('n_steps')}: from 1 to 300 are allowed")


@task.check("twenty thousand chains that take these steps are, up to chance, where they should be")
def _():
    alpha, n_steps = float(task.value("alpha")), min(int(task.value("n_steps")), 300)
    x = ne.last(ne.langevin(lambda x, sigma: -x, torch.full((20_000, 1), 8.0), alpha=alpha, n_steps=n_steps))
    ensure(abs(x.mean()) < 0.05 + 0.035, f"the mean of the chains is {x.mean():.3g}")
    ensure(0.97 - 0.05 < x.var() < 1.03 + 0.05, f"the variance of the chains is {x.var():.3g}")


### BEGIN HIDDEN TESTS
def moments(alpha, n_steps):
    mean, variance = 8.0, 0.0
    for _ in range(n_steps):
        mean, variance = (1 - alpha / 2) * mean, (1 - alpha / 2) ** 2 * variance + alpha
    return mean, variance


@task.check("mean and variance after the steps, within the budget", points=3)
def _():
    alpha, n_steps = float(task.value("alpha")), int(task.value("n_steps"))
    ensure(1 <= n_steps <= 300 and n_steps == float(task.value("n_steps")), f"{n_steps} steps are not in the budget")
    mean, variance = moments(alpha, n_steps)
    ensure(abs(mean) < 0.05, f"the mean is still {mean:.3g}")
    ensure(0.97 <= variance <= 1.03, f"the variance is {variance:.3g}")


### END HIDDEN TESTS
task.done()

# %% [markdown] role="question 10"
# ## Task 10 · In your own words (4 points)
#
# In Task 8 the score is exact, the number of steps is large, and the answer is wrong
# all the same. In five to ten sentences: Which piece of information about the target
# does the score near each mode not contain, and why not? Why do the chains not find
# it out on their own, by travelling? What would you change?
#
# ### BEGIN MARK SCHEME
# One point each, for saying in any words that
#
# 1. near a mode the other component contributes almost nothing, so that
#    $\log p \approx \log w_k + \log \mathcal N_k$ there, and the constant $\log w_k$
#    has no gradient: the weights are not in the score (it is not enough that
#    "the normaliser vanishes": that of the whole density does so always);
# 2. the weights do show between the modes, where there is almost no probability, so
#    that a chain would have to pass through there;
# 3. passing takes a time that grows exponentially with the depth of the valley, so a
#    thousand steps are nothing, and the shares at the end are those of the starting
#    points' basins;
# 4. a remedy that works and why: noise that fills the valley, annealed (or
#    tempering, or good starting points, or jumps with a Metropolis correction). "More
#    steps" or "a smaller alpha" earns nothing here.
# ### END MARK SCHEME

# %% [markdown] role="written 10 4"
# YOUR ANSWER HERE

# %% [markdown]
# That is all. Run the whole notebook once more from the top (*Kernel > Restart and Run
# All*) before you hand it in: what counts is what runs from a fresh start.
