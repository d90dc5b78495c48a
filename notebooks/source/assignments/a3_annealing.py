# %% [markdown]
# # Assignment 3 · Two failures, and annealing
#
# *About 100 minutes. 27 points: 23 by automatic tests, 4 for a written answer.
# Nothing here needs a GPU or the internet; each cell runs in seconds.*
#
# Scores that are learned go wrong where there are no data, and chains that follow a
# perfect score still get the weights of the modes wrong. You measure both failures,
# and then write the sampler that fixes them: annealed Langevin dynamics, with its
# ladder of noise, its step sizes and its last step. Notebooks 5 to 8 are the lecture
# to it.
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
from collections import Counter

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
    p_normal,
    p_scatter,
    p_variance,
    plausible,
)

# %% [markdown]
# Throughout, points are the rows of a tensor `x` of shape (B, D). Noise of level
# $\sigma$ turns $x$ into $\tilde x = x + \sigma z$ with $z \sim \mathcal N(0, I)$, and
# turns the density $p$ of the data into $p_\sigma$. A score is a function of both:
# `score(x, sigma)` is $\nabla \log p_\sigma$ at each row of `x`. A ladder is a tensor
# `sigmas` of shape (L,) with the levels $\sigma_1 > \sigma_2 > \dots > \sigma_L$.
#
# ## Task 1 · Counting heads (2 points)
#
# To see that a sampler gets weights wrong, you have to count. A point belongs to the
# mode whose mean is nearest to it, in Euclidean distance.
#
# - `x`: (B, D), `means`: (K, D)
# - returns (K,): the share of the points that belong to each mode. The shares sum to
#   one, and a mode without points has the share 0.
#
# *Stuck? `ne.mode_weights(x, ne.GaussianMixture(means)).weight` lets you continue.*


# %% role="answer 1"
def mode_shares(x, means):
    ### BEGIN SOLUTION
    nearest = (x[:, None] - means).square().sum(-1).argmin(1)  # (B,)
    return torch.bincount(nearest, minlength=len(means)) / len(x)
    ### END SOLUTION


# %% role="tests 1 2"
task = Task("1", stuck="mode_weights")
answer = task.answer("mode_shares")


@task.check("four points on a line, three of them nearer to the first mean, in large and in small units")
def _():
    x = torch.tensor([[0.1], [-2.0], [0.4], [0.9]])
    for unit in (1.0, 0.01):
        close(answer(unit * x, unit * torch.tensor([[0.0], [1.0]]), shape=(2,)), [0.75, 0.25])


@task.check("nine points in the plane, and three means")
def _():
    means = torch.tensor([[4.0, -3.0], [0.0, 0.0], [-4.0, -3.0]])
    x = [[-3.0, -3.0], [0.5, 1.0], [3.0, -2.5], [3.2, 0.0], [3.05, 0.0], [0.0, 2.0], [2.5, 3.0], [-6.0, -4.0]]
    shares = answer(torch.tensor([*x, [-3.5, -6.0]]), means, shape=(3,))
    ensure(abs(shares.sum() - 1) < 1e-5, f"the shares sum to {shares.sum():.3g}")
    close(shares, [2 / 9, 4 / 9, 3 / 9])


### BEGIN HIDDEN TESTS
def counted(shape, empty=(), n=400):
    """Means, points that are clearly nearest to one of them, and the share of each."""
    spread, near = 3 * torch.randn(*shape), 6 * torch.randn(n, shape[1])
    distance = torch.stack([((near - m) ** 2).sum(1) ** 0.5 for m in spread], 1).double()
    two = distance.topk(2, largest=False).values
    keep = (two[:, 1] - two[:, 0] > 0.02) & torch.tensor([int(k) not in empty for k in distance.argmin(1)])
    kept = distance[keep].argmin(1).tolist()
    return near[keep], spread, [kept.count(k) / len(kept) for k in range(shape[0])]


@task.check("several modes in several dimensions", points=1)
def _():
    for shape, n in (((3, 2), 400), ((3, 3), 300), ((2, 5), 250), ((5, 1), 500), ((7, 4), 400)):
        x, means, shares = counted(shape, n=n)
        x = torch.cat([x, means])  # no mode is empty
        shares = [(share * (len(x) - shape[0]) + 1) / len(x) for share in shares]
        close(answer(x, means, shape=shape[:1]), shares)


@task.check("modes to which no point belongs, wherever they are in the list", points=1, beyond=True)
def _():
    for empty in ((3,), (0,), (1, 2), (2, 3)):
        x, means, shares = counted((4, 2), empty)
        close(answer(x, means, shape=(4,)), shares)
    close(
        answer(torch.tensor([[0.3, 0.2, 4.0]]), torch.eye(3), shape=(3,)),
        [0.0, 0.0, 1.0],
        what="the share of a single point",
    )


### END HIDDEN TESTS
task.done()

# %% [markdown]
# The first failure, for the record: Langevin dynamics with the exact score of
# $\frac15 \mathcal N((-5,-5), I) + \frac45 \mathcal N((5,5), I)$, from points that are
# spread evenly over a square. (The package counts here, in case Task 1 is still open.)


# %% role="setup"
def first_failure():
    mixture = ne.GaussianMixture([[-5.0, -5.0], [5.0, 5.0]], 1.0, [0.2, 0.8])
    own = torch.Generator().manual_seed(0)
    start = 16 * torch.rand(1000, 2, generator=own) - 8
    end = ne.last(ne.langevin(mixture, start, alpha=0.1, n_steps=300, generator=own))
    print(f"share at the large mode: {ne.mode_weights(end, mixture).weight[1]:.2f}, and its weight is 0.80")


first_failure()

# %% [markdown]
# ## Task 2 · What training gets to see (2 points)
#
# The second failure: a score that is learned from samples cannot be right where no
# sample falls. How many fall between two modes, and what does noise change about it?
#
# The data are points on a line, from a mixture of K Gaussians with these means,
# variances and weights. Add noise of standard deviation $\sigma$. Which share of the
# noisy points lies between `low` and `high`?
#
# You will need $\Phi(t)$, the probability that a standard normal number is below $t$:
# it is `torch.special.ndtr(t)`. What is the distribution of one noisy component?
#
# - `low`, `high`, `sigma`: numbers; `means`, `variances`, `weights`: (K,)
# - returns a number: the probability
#
# *Stuck? `((x > low) & (x < high)).float().mean()` for many noisy samples `x` of
# your own comes close to it; no later task needs it.*


# %% role="answer 2"
def share_between(low, high, sigma, means, variances, weights):
    ### BEGIN SOLUTION
    sd = (variances + sigma**2).sqrt()
    inside = torch.special.ndtr((high - means) / sd) - torch.special.ndtr((low - means) / sd)
    return (weights * inside).sum()
    ### END SOLUTION


# %% role="tests 2 2"
task = Task("2")
answer = task.answer("share_between")


@task.check(
    "one standard Gaussian without noise: 68.3 percent lie between -1 and 1, and 0.1318 percent between 3 and 4"
)
def _():
    one = torch.ones(1)
    close(answer(-1.0, 1.0, 0.0, torch.zeros(1), one, one, shape=()), 0.6827, atol=1e-4)
    close(answer(3.0, 4.0, 0.0, torch.zeros(1), one, one, shape=()), 0.001318, rtol=1e-3, what="the share far out")


@task.check("a narrow Gaussian, variance 0.0001: 68.3 percent lie between 0.99 and 1.01, and all between -2 and 4")
def _():
    one = torch.ones(1)
    close(answer(0.99, 1.01, 0.0, one, 1e-4 * one, one, shape=()), 0.6827, rtol=1e-3)
    close(answer(-2.0, 4.0, 0.0, one, 1e-4 * one, one, shape=()), 1.0, rtol=1e-3, what="between -2 and 4: the share")


@task.check("a wide interval holds everything, and an empty one nothing")
def _():
    means, half = torch.tensor([-2.0, 2.0]), torch.tensor([0.5, 0.5])
    close(answer(-100.0, 100.0, 1.0, means, torch.ones(2), half, shape=()), 1.0, what="between -100 and 100: the share")
    close(answer(0.7, 0.7, 1.0, means, torch.ones(2), half, shape=()), 0.0, what="between 0.7 and 0.7: the share")


@task.check("a hundred thousand noisy points from two components, counted")
def _():
    means, variances, weights = torch.tensor([-2.0, 3.0]), torch.tensor([4.0, 0.25]), torch.tensor([0.75, 0.25])
    which = torch.multinomial(weights, 100_000, replacement=True)
    clean = means[which] + variances[which].sqrt() * torch.randn(100_000)
    for sigma, low, high in ((0.6, 2.5, 4.0), (3.0, -1.0, 2.0)):
        noisy = clean + sigma * torch.randn(100_000)
        counted = float(((noisy > low) & (noisy < high)).double().mean())
        found = float(answer(low, high, sigma, means, variances, weights, shape=()))
        said = f"sigma {sigma}: {counted:.1%} of the points lie between {low} and {high}, and your share is {found:.1%}"
        ensure(abs(found - counted) < 0.01, said)


### BEGIN HIDDEN TESTS
@task.check("several components, noise and intervals", points=2)
def _():
    three = torch.tensor([[-5.0, 0.5, 4.0], [0.25, 1.0, 2.25], [0.5, 0.2, 0.3]])
    four = torch.tensor([[0.0, -3.0, 1.5, 8.0], [4.0, 0.5, 0.09, 1.0], [0.1, 0.4, 0.2, 0.3]])
    narrow = torch.tensor([[1.01, -3.02], [2e-3, 4e-4], [0.7, 0.3]])
    for means, variances, weights in (three, four, narrow, torch.tensor([[-1.0], [3.0], [1.0]])):
        for low, high in ((-2.0, 1.0), (-4.5, -3.0), (2.0, 9.0)):
            for sigma in (0.0, 0.02, 0.5, 2.0, 8.0):
                t = torch.linspace(low, high, 20_001, dtype=torch.float64)  # the density, summed up
                v = variances.double()[:, None] + sigma**2
                density = torch.exp(-((t - means[:, None]) ** 2) / (2 * v)) / (2 * math.pi * v).sqrt()
                expected = torch.trapezoid((weights.double()[:, None] * density).sum(0), t)
                close(answer(low, high, sigma, means, variances, weights, shape=()), expected, rtol=1e-3)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# With it you can do the sum of notebook 6. Along the diagonal the mixture from above
# has its modes at $\pm 5\sqrt2$, with variance 1. The paper trains on 1,280,000
# points. How many of them lie in the middle, at most 2 away from the line that
# separates the modes?


# %% role="setup"
def second_failure():
    centres, weights = 50**0.5 * torch.tensor([-1.0, 1.0], dtype=torch.float64), torch.tensor([0.2, 0.8])
    for level in (0.0, 1.0, 2.0, 4.0, 8.0):
        edges = (torch.tensor([[-2.0], [2.0]]) - centres) / (1 + level**2) ** 0.5
        inside = (weights * torch.special.ndtr(edges).diff(dim=0)).sum().item()
        print(f"sigma {level:g}: {1_280_000 * inside:12,.2f} points of 1,280,000")


second_failure()

# %% [markdown]
# ## Task 3 · A noise level for each point (3 points)
#
# To train one net for all levels, each point of a batch gets a level of its own:
#
# $$ \tilde x_b = x_b + \sigma_b\, z_b . $$
#
# A point may be a number, a row of numbers, an image or a film: whatever the shape of
# `x` is, its first size B counts the points, and everything in one point gets the same
# $\sigma_b$.
#
# - `x`: any shape that begins with B, such as (B,), (B, D), (B, C, H, W) or with five
#   sizes; `sigma`: (B,); `z`: the noise, of the shape of `x`
# - returns the noisy points, of the shape of `x`
#
# Rows of numbers, (B, D), earn 2 of the points, all other shapes the third.
#
# *Stuck? `x + ne.core.expand_like(sigma, x) * z` lets you continue.*


# %% role="answer 3"
def perturb(x, sigma, z):
    ### BEGIN SOLUTION
    return x + sigma.reshape(-1, *[1] * (x.ndim - 1)) * z
    ### END SOLUTION


# %% role="tests 3 3"
task = Task("3", stuck="core.expand_like")
answer = task.answer("perturb")


@task.check("no noise, no change")
def _():
    x = torch.randn(3, 2)
    close(answer(x, torch.zeros(3), torch.randn(3, 2), shape=x.shape), x)


@task.check("very little noise, and very much")
def _():
    noisy = answer(torch.zeros(2, 1), torch.tensor([0.001, 1234.5]), torch.ones(2, 1), shape=(2, 1))
    close(noisy, [[0.001], [1234.5]])


@task.check("three points, and only the second gets noise")
def _():
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    z = torch.tensor([[7.0, 8.0, 9.0], [-1.0, 0.0, 2.0], [5.0, 5.0, -5.0]])
    noisy = answer(x, torch.tensor([0.0, 0.5, 0.0]), z, shape=x.shape)
    close(noisy[::2], x[::2], what="the first and the last point, whose sigma is 0,")
    close(noisy[1], [3.5, 5.0, 7.0], what="the second point, whose sigma is 0.5,")


### BEGIN HIDDEN TESTS
@task.check("rows of numbers, as many as they are long or not", points=2)
def _():
    for shape in ((7, 5), (4, 4), (1, 3), (3, 1)):
        x, z, sigma = torch.randn(*shape), torch.randn(*shape), torch.logspace(-3, 2, shape[0])
        close(answer(x, sigma, z, shape=shape), np.stack([x[b] + float(sigma[b]) * z[b] for b in range(shape[0])]))


@task.check("images, and points of other shapes", points=1, beyond=True)
def _():
    for shape in ((5, 1, 8, 8), (4, 3, 4, 4), (3, 2, 3), (2, 3, 4, 7), (1, 2, 3, 2), (4,), (1,), (3, 2, 4, 3, 2)):
        x, z, sigma = torch.randn(*shape), torch.randn(*shape), torch.logspace(-3, 2, shape[0])
        close(answer(x, sigma, z, shape=shape), np.stack([x[b] + float(sigma[b]) * z[b] for b in range(shape[0])]))


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 4 · The ladder (2 points)
#
# Noise levels from large to small, with equal ratios (Song & Ermon 2019, section 4.1):
#
# $$ \frac{\sigma_1}{\sigma_2} = \frac{\sigma_2}{\sigma_3} = \dots = \frac{\sigma_{n-1}}{\sigma_n} > 1 ,
#    \qquad \sigma_1 = \sigma_{\max}, \quad \sigma_n = \sigma_{\min} . $$
#
# Both ends belong to the ladder.
#
# - `sigma_max`, `sigma_min`: numbers; `n`: how many levels there are, at least 2
# - returns (n,)
#
# *Stuck? `ne.geometric(sigma_max, sigma_min, n)` lets you continue.*


# %% role="answer 4"
def ladder(sigma_max, sigma_min, n):
    ### BEGIN SOLUTION
    return torch.exp(torch.linspace(math.log(sigma_max), math.log(sigma_min), n))
    ### END SOLUTION


# %% role="tests 4 2"
task = Task("4", stuck="geometric")
answer = task.answer("ladder")


@task.check("both ends belong to it, and all ratios are equal: also for nine from 500 to 0.000005")
def _():
    for top, bottom, n in ((12.0, 3.0, 3), (0.9, 0.05, 6), (500.0, 5e-6, 9)):
        levels = answer(top, bottom, n, shape=(n,))
        close(levels[0], top, what="the first level")
        close(levels[-1], bottom, rtol=1e-3, atol=0, what="the last level")
        ratios = levels[:-1] / levels[1:]
        said = f"the ratios go from {ratios.min():.3g} to {ratios.max():.3g}: they should be equal"
        ensure(ratios.max() / ratios.min() < 1.001, said)


### BEGIN HIDDEN TESTS
@task.check("both ends, equal ratios, the number of levels", points=2)
def _():
    for top, bottom, n in (
        (1.0, 0.01, 10),
        (20.0, 0.5, 2),
        (50.0, 0.01, 232),
        (3.0, 2.0, 5),
        (0.3, 2e-4, 17),
        (900.0, 1e-6, 8),
    ):
        expected = [top * (bottom / top) ** (i / (n - 1)) for i in range(n)]
        close(answer(top, bottom, n, shape=(n,)), expected, rtol=1e-3, atol=0)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 5 · A step for each level (2 points)
#
# At level $i$ the sampler takes Langevin steps
# $x \leftarrow x + \frac{\alpha_i}{2} \nabla \log p_{\sigma_i}(x) + \sqrt{\alpha_i}\, z$
# with
#
# $$ \alpha_i = \epsilon\, \frac{\sigma_i^2}{\sigma_L^2} , $$
#
# where $\sigma_L$ is the last and smallest level (Song & Ermon 2019, Algorithm 1). The
# score has a length of about $1/\sigma_i$. Compare the drift of a step with its noise:
# what do these $\alpha_i$ keep the same at all levels?
#
# - `sigmas`: (L,), largest first; `eps`: a number
# - returns (L,): $\alpha_1, \dots, \alpha_L$
#
# *Stuck? `ne.step_sizes(sigmas, eps)` lets you continue.*


# %% role="answer 5"
def step_sizes(sigmas, eps):
    ### BEGIN SOLUTION
    return eps * (sigmas / sigmas[-1]) ** 2
    ### END SOLUTION


# %% role="tests 5 2"
task = Task("5", stuck="step_sizes")
answer = task.answer("step_sizes")


@task.check("on a ladder of one level the step is eps")
def _():
    close(answer(torch.tensor([0.3]), 0.02, shape=(1,)), [0.02])


@task.check("the first steps are the longest, and the last is eps")
def _():
    alpha = answer(torch.tensor([3.0, 1.5, 0.5]), 0.1, shape=(3,))
    ensure(alpha[0] > alpha[1] > alpha[2], "larger noise takes longer steps")
    close(alpha[2], 0.1, what="the last step")


@task.check("three levels, 600, 3 and 0.02, with eps = 0.000002")
def _():
    close(answer(torch.tensor([600.0, 3.0, 0.02]), 2e-6, shape=(3,)), [1800.0, 0.045, 2e-6], atol=0)


@task.check("three levels, 6, 3 and 2, with eps = 0.5")
def _():
    close(answer(torch.tensor([6.0, 3.0, 2.0]), 0.5, shape=(3,)), [4.5, 1.125, 0.5])


### BEGIN HIDDEN TESTS
@task.check("several ladders, with equal ratios and without", points=2)
def _():
    for levels, eps in (
        ([10.0, 1.0, 0.1], 0.002),
        ([8.0, 5.0, 4.0, 0.5], 1.5),
        ([0.3, 0.02], 2e-5),
        ([300.0, 0.3, 0.01], 3e-6),
    ):
        expected = [eps * level**2 / levels[-1] ** 2 for level in levels]
        close(answer(torch.tensor(levels), eps, shape=(len(levels),)), expected, rtol=1e-3, atol=0)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 6 · How large may eps be? (3 points)
#
# Let the data be $\mathcal N(0, v I)$. At level $i$ the chain looks at
# $p_{\sigma_i} = \mathcal N(0, (v + \sigma_i^2) I)$, whose score is
# $-x / (v + \sigma_i^2)$. A Langevin step multiplies $x$ by a number and adds noise of
# variance $\alpha_i$. Where the size of that number is above 1, each step makes the
# distance from the centre larger: the chain runs away.
#
# With the $\alpha_i$ of Task 5: up to which $\epsilon$ does the chain run away at
# **no** level of the ladder, however many steps it takes there? (The number you look
# for is the bound itself, the $\epsilon$ at which running away begins.)
#
# - `sigmas`: (L,), largest first; `data_var`: $v$, a number, 0 or larger
# - returns a number: the bound
#
# That earns 2 of the points. For the third: data are seldom alike in all directions.
# `data_var` may also be of shape (D,), one variance for each direction, of any D. The
# bound is the one that holds for all directions, and it is still one number.
#
# You may use your function of Task 5.
#
# *Stuck? `ne.stable_eps(sigmas, data_var)` lets you continue.*


# %% role="answer 6"
def largest_eps(sigmas, data_var):
    ### BEGIN SOLUTION
    smallest = float(torch.as_tensor(data_var).min())
    variances = smallest + sigmas**2  # (L,) of the data with noise
    return (4 * variances / step_sizes(sigmas, 1.0)).min()
    ### END SOLUTION


# %% role="tests 6 3"
task = Task("6", stuck="stable_eps")
answer = task.answer("largest_eps")


@task.check("one level of noise 1 on data at a point: alpha = eps, and 4 is the bound (assignment 1, task 7)")
def _():
    close(answer(torch.tensor([1.0]), 0.0, shape=()), 4.0)
    close(answer(torch.tensor([20.0]), 0.0, shape=()), 1600.0, what="with noise 20 the bound")


@task.check("from 10 to 0.1 in ten levels, data of variance 1: eps = 0.1 runs away, eps = 0.001 does not")
def _():
    bound = answer(ne.geometric(10, 0.1, 10), 1.0, shape=())
    ensure(bound < 0.1, f"a bound of {bound:.3g} would allow eps = 0.1, with which chains run away")
    ensure(bound > 0.001, f"a bound of {bound:.3g} would forbid eps = 0.001, with which no chain runs away")


@task.check("levels 2, 1 and 0.5, data of variance 12: eps = 4.5 runs away, eps = 3.5 does not")
def _():
    bound = answer(torch.tensor([2.0, 1.0, 0.5]), 12.0, shape=())
    ensure(bound < 4.5, f"a bound of {bound:.3g} would allow eps = 4.5, with which chains run away")
    ensure(bound > 3.5, f"a bound of {bound:.3g} would forbid eps = 3.5, with which no chain runs away")


### BEGIN HIDDEN TESTS
def runs_away(levels, v, eps):
    """For each level: is the variance of the chain beyond all bounds after six hundred steps?"""
    levels = levels.double()
    alpha, width = eps * levels**2 / levels[-1] ** 2, v + levels**2
    variance = torch.zeros_like(levels)
    for _ in range(600):  # exact for a linear score
        variance = (1 - alpha / (2 * width)) ** 2 * variance + alpha
    return variance > 1e6 * width


def bound_of(levels, data_var, smallest):
    bound = float(answer(levels, data_var, shape=()))
    ensure(0 < bound < math.inf, f"the bound is {bound:.3g}, and no positive number")
    below, above = runs_away(levels, smallest, 0.99 * bound), runs_away(levels, smallest, 1.01 * bound)
    said = f"at sigma {float(levels[below.int().argmax()]):.3g} the chain runs away"
    ensure(not below.any(), f"{said} already 1 percent below your bound of {bound:.4g}")
    ensure(above.any(), f"1 percent above your bound of {bound:.4g} no level runs away: the bound is too small")


task.uses(step_sizes=Given(lambda sigmas, eps: eps * (torch.as_tensor(sigmas) / torch.as_tensor(sigmas)[-1]) ** 2))


@task.check("below the bound the variance stays finite at each level, above it at one it does not", points=2)
def _():
    for levels, v in (([2.0, 1.0, 0.5], 1.0), ([10.0, 1.0, 0.1], 1.0), ([0.6, 0.2], 9.0), ([5.0, 4.0, 3.0, 2.5], 0.0)):
        bound_of(torch.tensor(levels), v, v)
    for levels, v in (([0.05, 0.02], 1e-3), ([0.05, 0.02], 0.0), ([90.0, 40.0], 300.0)):
        bound_of(torch.tensor(levels), v, v)


@task.check("another variance in each direction", points=1, beyond=True)
def _():
    for data_var in ([4.0, 0.3], [0.5, 9.0, 2.0], [3.0, 1.0, 2.0, 8.0], [2.0, 6.0, 0.7, 1.0, 3.0], [5.0], [1.0, 0.0]):
        bound_of(torch.tensor([1.2, 0.8, 0.5]), torch.tensor(data_var), min(data_var))


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 7 · Annealed Langevin dynamics (3 points)
#
# All of it together (Song & Ermon 2019, Algorithm 1). For each level, from the first
# to the last, `n_steps_each` times:
#
# $$ x \;\leftarrow\; x + \frac{\alpha_i}{2}\, s(x, \sigma_i) + \sqrt{\alpha_i}\, z,
#    \qquad z \sim \mathcal N(0, I) \text{ fresh each time} . $$
#
# Each level begins with the points with which the one before it ended.
#
# - `x`: (B, D) where the chains start; `score`: a function of `x` and `sigma` (a
#   number), returns (B, D); `sigmas`: (L,), largest first; `eps`: a number;
#   `n_steps_each`: a whole number
# - returns (B, D): the points after the last step of the last level
#
# The right mean and variance of every chain earn 2 of the points. The third is for the
# noise itself: Gaussian, and drawn anew for each coordinate, row, step and call.
#
# You may use your function of Task 5.
#
# *Stuck? `ne.last(ne.annealed_langevin(score, x, sigmas, eps=eps,
# n_steps_each=n_steps_each))` lets you continue.*


# %% role="answer 7"
def annealed_langevin(x, score, sigmas, eps, n_steps_each):
    ### BEGIN SOLUTION
    for sigma, alpha in zip(sigmas, step_sizes(sigmas, eps), strict=True):
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + alpha.sqrt() * torch.randn_like(x)
    return x
    ### END SOLUTION


# %% role="tests 7 3"
from collections import Counter

task = Task("7", stuck="annealed_langevin langevin")
answer = task.answer("annealed_langevin")


def gaussian_data(mean, v, heard=None):
    """The score of N(mean, v I) with noise, for you to call; `heard` counts the points at each sigma."""

    def score(x, sigma):
        sigma = torch.as_tensor(sigma, dtype=torch.float64).reshape(-1, 1)
        if heard is not None:
            heard.update(f"{level:.3g}" for level in sigma.expand(len(x), 1)[:, 0].tolist())
        return (torch.as_tensor(mean, dtype=torch.float64) - x) / (v + sigma**2)

    return Given(score)


@task.check("it asks for the score five times at each of three levels")
def _():
    heard = Counter()
    answer(torch.zeros(4, 2), gaussian_data(0.0, 1.0, heard), torch.tensor([2.0, 1.0, 0.5]), 0.01, 5, shape=(4, 2))
    for sigma in ("2", "1", "0.5"):
        said = f"the score at sigma {sigma} was asked for at {heard[sigma]} points: 4 chains with 5 steps make 20"
        ensure(heard[sigma] == 20, said)
    others = ", ".join(sorted(set(heard) - {"2", "1", "0.5"}))
    ensure(not others, f"the score was asked for at sigma {others}, which is no level of the ladder")


@task.check("with tiny steps the points stay where they are")
def _():
    x = torch.tensor([[1.0, 2.0], [-30.0, 0.0]])
    close(answer(x, gaussian_data(0.0, 1.0), torch.tensor([2.0, 1.0]), 1e-14, 3, shape=x.shape), x)


@task.check("chains that start far away end where the data are")
def _():
    levels = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5])
    x = answer(torch.full((1000, 1), -40.0), gaussian_data(3.0, 1.0), levels, 0.1, 40, shape=(1000, 1))
    ensure(abs(x.mean() - 3) < 0.5, f"the mean of the chains is {x.mean():.2f}, and that of the data is 3")
    ensure(0.8 < x.std() < 1.6, f"the chains' standard deviation is {x.std():.2f}; data and last noise make about 1.1")


@task.check("a score of 1 or 1000 everywhere: all steps together move the points, and spread them")
def _():
    x = torch.linspace(-1, 1, 2000).repeat(3, 1).T.contiguous()
    for levels, eps, n_steps, total, s in (
        ([3.0, 2.0], 0.1, 2, 0.65, 1),
        ([0.5] * 12, 0.1, 60, 72.0, 1),
        ([9.0, 0.3], 2.0, 1, 1802.0, 1),
        ([0.02, 0.01], 0.1, 2, 1.0, 1000),
    ):
        score, wanted = Given(lambda x, sigma, s=s: 0 * x + s), s * total / 2
        off = answer(x, score, torch.tensor(levels), eps, n_steps, shape=x.shape) - x
        said = f"ladder {levels}: the points moved by {off.mean():.3f} on average, and {wanted:.3f} was expected"
        plausible(p_mean(off.flatten(), wanted, math.sqrt(total)), said, of=8)
        spread = off - wanted
        said = f"the variance of what they moved by is {spread.square().mean():.3f}, and {total:.3f} was expected"
        plausible(p_variance(spread.flatten(), total), f"ladder {levels}: {said}", of=8)


### BEGIN HIDDEN TESTS
task.uses(step_sizes=Given(lambda sigmas, eps: eps * (torch.as_tensor(sigmas) / torch.as_tensor(sigmas)[-1]) ** 2))


def on_the_way(levels, eps, n_steps, v, distance):
    """Distance of the chains' mean from the data's, and their variance, at the end: exact for a linear score."""
    variance = 0.0
    for level in levels:
        alpha = eps * level**2 / levels[-1] ** 2
        keep = 1 - alpha / (2 * (v + level**2))
        for _ in range(n_steps):
            distance, variance = keep * distance, keep**2 * variance + alpha
    return distance, variance


@task.check("mean and variance at the end, on long and short ladders", points=2)
def _():
    from scipy.stats import chi2

    n, centre = 6000, torch.tensor([3.0, -20.0, 0.5], dtype=torch.float64)
    settings = (
        ([4.0, 2.0, 1.0, 0.5], 0.1, 3, 1.0),
        ([0.7], 0.5, 2, 1.0),
        ([1.0, 0.5], 0.2, 1, 2.5),
        ([6.0, 5.0, 0.9], 0.3, 2, 0.3),
        (ne.geometric(3, 0.003, 12).tolist(), 3.6e-6, 1, 1.0),
        (ne.geometric(3, 1.0, 14).tolist(), 0.4, 1, 1.0),
        ([1.0, 0.5], 0.01, 120, 1.0),
        ([60.0, 20.0], 30.0, 1, 3000.0),
        ([0.2], 0.03, 1, 0.0),
    )
    for levels, eps, n_steps, v in settings:
        start = 100 * torch.rand(n, 3) - 50
        off, variance = on_the_way(levels, eps, n_steps, v, start.double() - centre)
        x = answer(start, gaussian_data(centre, v), torch.tensor(levels), eps, n_steps, shape=(n, 3))
        said = f"ladder {levels}, eps {eps}, {n_steps} steps each: "
        left = x - centre - off  # what the noise made
        shift, spread = left.mean(0), left.square().mean()
        wrong = f"the means of the coordinates are off by {shift.abs().max():.3f} at most"
        plausible(chi2.sf(float(shift.square().sum()) * n / variance, 3), said + wrong)
        wrong = f"the variance is {spread:.4f}, and {variance:.4f} was expected"
        plausible(p_variance(left.flatten(), variance), said + wrong)


@task.check("the noise is Gaussian, and another one for each coordinate, row and call", points=1, beyond=True)
def _():
    for levels, eps, n_steps in (([1.5, 0.5], 0.3, 2), ([0.5], 0.9, 1)):
        variance, start = on_the_way(levels, eps, n_steps, 1.0, 0.0)[1], torch.zeros(80, 50)
        calls = (answer(start, gaussian_data(0.0, 1.0), torch.tensor(levels), eps, n_steps) for _ in range(2))
        fresh_noise(*(x / math.sqrt(variance) for x in calls))
    for rows in (1, 2):
        start, score, level = torch.zeros(rows, 2), gaussian_data(0.0, 1.0), torch.tensor([0.5])
        calls = [answer(start, score, level, 0.9, 1, shape=(rows, 2)) / math.sqrt(0.9) for _ in range(80)]
        said = f"with {rows} chain(s) the noise is too small, or the same in its mean or size from call to call"
        plausible(p_scatter(torch.stack(calls).flatten(1)), said)
    x = answer(torch.zeros(4000, 2), gaussian_data(0.0, 1.0), torch.tensor([0.5]), 0.9, 1, shape=(4000, 2))
    plausible(p_normal(x / math.sqrt(0.9)), "the noise of a step is not Gaussian")


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 8 · The last step (2 points)
#
# At the end the points are samples of $p_{\sigma_L}$: they carry noise of standard
# deviation $\sigma_L$. What is the best guess of the clean point? By Tweedie's formula
# the mean of all clean points that a noisy one may come from is
#
# $$ \mathbb E[x \mid \tilde x] = \tilde x + \sigma^2\, \nabla \log p_\sigma(\tilde x) . $$
#
# Samplers that end with it look a little cleaner, and score much better
# (Jolicoeur-Martineau et al. 2021).
#
# - `x`: (B, D) noisy points; `score`: a function of `x` and `sigma`; `sigma`: a number
# - returns (B, D): the best guess for each row
#
# *Stuck? `ne.denoise(score, x, sigma)` lets you continue (note the order).*


# %% role="answer 8"
def denoise(x, score, sigma):
    ### BEGIN SOLUTION
    return x + sigma**2 * score(x, sigma)
    ### END SOLUTION


# %% role="tests 8 2"
task = Task("8", stuck="denoise")
answer = task.answer("denoise")


@task.check("data that are all at one place: the best guess is that place")
def _():
    x = torch.tensor([[1.0, 2.0], [0.5, -4.0]])
    score = Given(lambda x, sigma: (7.0 - x) / torch.as_tensor(sigma).double() ** 2)
    close(answer(x, score, 2.0, shape=x.shape), torch.full((2, 2), 7.0))


@task.check("no noise, no change")
def _():
    x = torch.tensor([[1.0, 2.0]])
    close(answer(x, Given(lambda x, sigma: -x), 0.0, shape=x.shape), x)


@task.check(
    "data and noise of the same variance, 4 or 0.0001 or 2500: the best guess is half-way to the centre of the data"
)
def _():
    x = torch.tensor([[1.0, -2.0], [800.0, 0.0], [-3.0, 5.0]])
    for sigma in (2.0, 0.01, 50.0):
        score = Given(lambda x, told, sigma=sigma: (1.0 - x) / (sigma**2 + torch.as_tensor(told).double() ** 2))
        close(answer(x, score, sigma, shape=x.shape), (1 + x) / 2, what=f"with sigma = {sigma:g} the result")


### BEGIN HIDDEN TESTS
@task.check("the mean over all clean points, by an integral, and for a Gaussian", points=2)
def _():
    mixture = ne.GaussianMixture([[-1.0], [2.0]], [0.3, 1.0], [0.4, 0.6])
    clean = torch.linspace(-12, 14, 20_001, dtype=torch.float64)[:, None]
    prior, x = mixture.log_prob(clean), torch.linspace(-4, 5, 7)[:, None]
    for sigma in (0.2, 0.7, 3.0):
        log_weight = prior - (x.double() - clean.T) ** 2 / (2 * sigma**2)  # (7, 20001)
        score = Given(lambda x, sigma: mixture(x, torch.as_tensor(sigma).double().reshape(-1).expand(len(x))))
        close(answer(x, score, sigma, shape=x.shape), torch.softmax(log_weight, 1) @ clean, rtol=1e-3, atol=1e-4)
    for v, sigma, far in ((0.5, 1.5, 5.0), (3e-4, 0.01, 2.0), (900.0, 40.0, 500.0)):
        rows = far * torch.randn(6, 3)
        score = Given(lambda x, sigma, v=v: (1.0 - x) / (v + torch.as_tensor(sigma).double() ** 2))
        expected = 1 + (rows - 1) * v / (v + sigma**2)
        close(answer(rows, score, sigma, shape=rows.shape), expected, rtol=1e-3, atol=1e-4)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 9 · Predict before you run (1 point)
#
# Once more the mixture $\frac15 \mathcal N((-5,-5), I) + \frac45 \mathcal N((5,5), I)$.
# This time all of two thousand chains start at **one** place, the mean of the *small*
# mode. They run down a ladder of ten levels from $\sigma_1 = 20$ to
# $\sigma_{10} = 0.1$, a hundred steps at each, with the exact score and
# $\epsilon = 0.002$. Which share of them ends at the large mode?
#
# - `"a"`: about 0.0, for that is where they started: Langevin chains do not cross
# - `"b"`: about 0.5, for noise of 20 wipes out the start, and the weights as well
# - `"c"`: about 0.8, the weight of the mode, wherever they started
#
# Decide **before** you run the cell below the tests. Any of the three earns the point:
# what counts is that you have committed yourself.

# %% role="answer 9"
prediction = ...
### BEGIN SOLUTION
prediction = "c"
### END SOLUTION

# %% role="tests 9 1"
task = Task("9")
task.prediction("a", "b", "c")
### BEGIN HIDDEN TESTS
task.prediction("a", "b", "c", points=1)
### END HIDDEN TESTS
task.done()


# %% role="setup"
def experiment():
    mixture = ne.GaussianMixture([[-5.0, -5.0], [5.0, 5.0]], 1.0, [0.2, 0.8])
    own, levels, found, expected = torch.Generator().manual_seed(0), ne.geometric(20, 0.1, 10), [], []
    start = torch.full((2000, 2), -5.0)
    for state in ne.annealed_langevin(mixture, start, levels, eps=0.002, n_steps_each=100, generator=own):
        if state.step == 99:  # the last one of each level
            t = torch.tensor(50**0.5 / (1 + state.sigma**2) ** 0.5)
            found.append((state.x.sum(1) > 0).float().mean().item())
            expected.append(0.2 * torch.special.ndtr(-t).item() + 0.8 * torch.special.ndtr(t).item())
    print(f"share at the large mode, at the end: {found[-1]:.3f}")
    _, ax = plt.subplots(figsize=(5.6, 3.2))
    ax.semilogx(levels, expected, "-", label=r"probability under $p_\sigma$")
    ax.semilogx(levels, found, "o", label="chains, after the level")
    ax.invert_xaxis()
    ax.set(xlabel=r"$\sigma$, from the first to the last level", title="on the large mode's side of the plane")
    ax.legend()
    plt.show()


experiment()

# %% [markdown]
# Look at where the dots leave the line: from there on no chain crosses any more. You
# can use that in the next task.
#
# ## Task 10 · A ladder of your own (3 points)
#
# The target has two modes in the plane,
#
# $$ p = 0.3\, \mathcal N\big((-6,-2),\, 0.01\, I\big) + 0.7\, \mathcal N\big((6,2),\, 0.01\, I\big) , $$
#
# and all chains start at $(-6, -2)$. Annealed Langevin dynamics uses the exact score.
# Choose the ladder `sigmas`, the number `eps` and the number `n_steps_each` such that
# at the end
#
# - the share of the chains at the large mode is between 0.66 and 0.74,
# - their standard deviation around the mean of their mode, taken over both
#   coordinates, is between 0.09 and 0.11 in each of the two modes (the target's is
#   0.1),
# - and each chain evaluates the score at most 2000 times: `len(sigmas) * n_steps_each`
#   is at most 2000.
#
# `sigmas` is a tensor, array or list, largest first. Your `ladder` of Task 4 makes
# one, and so does `ne.geometric`. There are many right answers; the choice of Task 9
# is none of them. Before you try, think: how large must $\sigma_1$ be, how small
# $\sigma_L$, and where does $\epsilon$ have to stay (Task 6)?
#
# The next cell gives you a function to try with. The test runs 4000 chains with other
# random numbers, and allows for chance: a sampler that meets the demands fails once in
# a million times.


# %% role="setup"
def trial(sigmas, eps, n_steps_each, n_chains=1000):
    """Run chains and print what they reach. Stops with an error if they run away."""
    mixture = ne.GaussianMixture([[-6.0, -2.0], [6.0, 2.0]], 0.01, [0.3, 0.7])
    levels = torch.as_tensor(sigmas, dtype=torch.float32)
    start = torch.tensor([-6.0, -2.0]).repeat(n_chains, 1)
    end = ne.last(ne.annealed_langevin(mixture, start, levels, eps=eps, n_steps_each=n_steps_each))
    spread = ne.mode_moments(end, mixture)[1].diagonal(dim1=1, dim2=2).mean(1).sqrt()
    share = ne.mode_weights(end, mixture).weight[1]
    print(f"{len(levels) * n_steps_each} evaluations of the score; share at the large mode {share:.3f};")
    print(f"standard deviation {spread[0]:.3f} in the small mode, {spread[1]:.3f} in the large one")


# %% role="answer 10"
sigmas = ...
eps = ...
n_steps_each = ...
### BEGIN SOLUTION
sigmas = ne.geometric(20, 0.02, 40)
eps = 0.0001
n_steps_each = 50
### END SOLUTION

# %% role="tests 10 3"
task = Task("10")


def chosen():
    levels = torch.as_tensor(np.asarray(task.value("sigmas"), dtype=np.float64))
    ensure(levels.ndim == 1 and len(levels) > 0, "sigmas is a tensor, array or list of numbers, one for each level")
    ensure(torch.isfinite(levels).all() and (levels > 0).all(), "noise levels are positive numbers")
    ensure((levels[1:] <= levels[:-1]).all(), "the largest level comes first, and the smallest last")
    eps, n_steps = float(task.value("eps")), float(task.value("n_steps_each"))
    ensure(0 < eps < math.inf, "eps is a positive number")
    ensure(n_steps == int(n_steps) and n_steps >= 1, "n_steps_each is a whole number, at least 1")
    ensure(len(levels) * n_steps <= 2000, f"{len(levels)} levels with {n_steps:g} steps are more than 2000 evaluations")
    return levels.tolist(), eps, int(n_steps)


def ends(levels, eps, n_steps, n):
    """Where n chains end. The score of two modes at m and -m is (tanh(m.x / variance + lean) m - x) / variance."""
    mean, lean = torch.tensor([6.0, 2.0]), math.log(0.7 / 0.3) / 2
    x = -mean.repeat(n, 1)
    for level in levels:
        alpha, variance = eps * level**2 / levels[-1] ** 2, 0.01 + level**2
        for _ in range(n_steps):
            towards = torch.tanh((x @ mean) / variance + lean)[:, None] * mean
            x = x + alpha / 2 / variance * (towards - x) + math.sqrt(alpha) * torch.randn(n, 2)
        ensure(
            bool(x.abs().max() < 1e6), f"at sigma {level:.3g} the chains run away: is eps below the bound of Task 6?"
        )
    return x, x @ mean > 0, mean


def judged(n):
    """Do n chains show that the demands are not met?"""
    from scipy.stats import binom, chi2

    x, large, mean = ends(*chosen(), n)
    share, count = float(large.double().mean()), int(large.sum())
    said = f"the share at the large mode is {share:.3f}, and between 0.66 and 0.74 was wanted"
    plausible(binom.cdf(count, len(x), 0.66), said)
    plausible(binom.sf(count - 1, len(x), 0.74), said)
    for name, part in (("small", x[~large] + mean), ("large", x[large] - mean)):
        squares, numbers = float(part.double().square().sum()), part.numel()
        sd = math.sqrt(squares / numbers)
        said = f"the standard deviation in the {name} mode is {sd:.3f}, and between 0.09 and 0.11 was wanted"
        plausible(chi2.cdf(squares / 0.09**2, numbers), said)
        plausible(chi2.sf(squares / 0.11**2, numbers), said)


@task.check("a ladder, a positive number and a whole number, within the budget")
def _():
    chosen()


@task.check("a thousand chains: what they show of the shares of the modes and their widths")
def _():
    judged(1000)


### BEGIN HIDDEN TESTS
@task.check("the shares of the modes and their widths", points=3)
def _():
    judged(4000)


### END HIDDEN TESTS
task.done()

# %% [markdown] role="question 11"
# ## Task 11 · In your own words (4 points)
#
# Three people change the sampler of Task 9. Anna starts at $\sigma_1 = 1$, to save
# levels. Ben keeps $\sigma_1 = 20$ and $\sigma_L = 0.1$, and leaves out all levels in
# between. Cem keeps the ladder, and takes steps of the same $\alpha$ at all levels.
# Every one of them gets wrong samples; with a score that was learned from data
# instead of the exact one, Anna would have one more problem.
#
# In six to ten sentences: What goes wrong for each of the three, and why? What is
# Anna's additional problem?
#
# ### BEGIN MARK SCHEME
# One point each, for saying in any words that
#
# 1. (Anna, with the exact score) at $\sigma = 1$ the modes do not overlap yet, so
#    that the weights are not visible in the score where the chains are, and no chain
#    crosses: the shares remain those of the start. Large noise makes one hill of the
#    modes, whose score contains the weights, and every chain forgets its start;
# 2. (Anna, with a learned score) between the modes there are still no (noisy) data at
#    $\sigma = 1$, so that nothing was learned there and the score is arbitrary.
#    Large noise fills the empty regions with training points;
# 3. (Ben) each level is short and starts where the one before it ended, so this has
#    to be near its own equilibrium: the ratio of neighbouring levels must be small,
#    above all where the modes part. From 20 to 0.1 every chain drops into the mode
#    that is nearest at that moment (or is still far out), and the share is that of
#    $p_{20}$, about 0.6, for ever;
# 4. (Cem) the score is about $1/\sigma_i$ long and the structure about $\sigma_i$
#    wide, and $\alpha_i \propto \sigma_i^2$ makes drift and noise both proportional to
#    $\sigma_i$: the same signal-to-noise ratio, the same share of the way, at each
#    level. One $\alpha$ is too small to get anywhere at the first levels, or too large
#    for the last ones, where the chains run away or stay too wide. (For "it is more
#    stable" alone there is no point.)
# ### END MARK SCHEME

# %% [markdown] role="written 11 4"
# YOUR ANSWER HERE

# %% [markdown]
# That is all. Run the whole notebook once more from the top (*Kernel > Restart and Run
# All*) before you hand it in: what counts is what runs from a fresh start.
