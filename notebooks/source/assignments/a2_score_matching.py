# %% [markdown]
# # Assignment 2 · Score matching: trace, slices, denoising
#
# *About 100 minutes. 27 points: 23 by automatic tests, 4 for a written answer.
# Nothing here needs a GPU or the internet; each cell runs in seconds, and the training
# in Task 9 in less than a minute.*
#
# You write the losses that a score is learned with: the one that nobody can compute,
# two that need derivatives, and one that needs noise. Then you train with one of them.
# Notebook 3 is the lecture to it.
#
# **How it works.** Put your code where it says `YOUR CODE HERE`, and delete the line
# `raise NotImplementedError()`. Keep the names of the functions and the order of
# their arguments; the rest is yours: loops or none, PyTorch or NumPy, extra functions
# and cells as you like. Below each task is a cell of tests: run it as often as you
# want. What it says is meant to help. When the assignment is graded, more tests run,
# with other inputs. Each task is graded by itself: if you are stuck, go on, and
# use the function of the package that the task names in its last line.

# %% role="setup"
import contextlib
import inspect
import math

import numpy as np
import torch
from matplotlib import pyplot as plt

import ncsn_edu as ne
from ncsn_edu.grading.tasks import Given, Task, close, ensure, p_apart, p_share, plausible, rows_alone


# %% role="setup tests"
# A vector field that bends, and its Jacobian at each row of x, (B, D, D), worked out on paper.
def curved_field(dim):
    linear, bend = torch.randn(2, dim, dim, dtype=torch.float64)

    def jacobian(x):
        return linear + (1 - torch.tanh(x.double() @ bend.T) ** 2)[..., None] * bend

    return Given(lambda x: x @ linear.T + torch.tanh(x @ bend.T)), jacobian


# The same for a field that is a matrix: s(x) = A x. A matrix in float64 can be changed afterwards.
def linear_field(matrix):
    return Given(lambda x: x @ torch.as_tensor(matrix, dtype=torch.float64).T)


# %% [markdown]
# Throughout, points are the rows of a tensor `x` of shape (B, D), in float32. A score is
# a function that maps (B, D) to (B, D): any vector field. Row $b$ of what it returns
# depends on row $b$ of `x` alone. It accepts float32 and float64, tensors and NumPy
# arrays; PyTorch can differentiate it where it is given a tensor.
#
# All losses here are **per example**: one number for each row, shape (B,), summed over
# the $D$ coordinates. The mean over the rows is the loss of the papers.
#
# ## Task 1 · What we would like to minimise (2 points)
#
# Explicit score matching compares a field $s$ with the true score (Hyvärinen 2005,
# section 2):
#
# $$ \ell(x) = \tfrac12\, \big\| s(x) - \nabla \log p(x) \big\|^2 . $$
#
# - `x`: (B, D); `score`, `true_score`: functions
# - returns (B,)
#
# *Stuck? `ne.explicit(lambda x, sigma: score(x), x, lambda x, sigma: true_score(x))`
# lets you continue.*


# %% role="answer 1"
def explicit_loss(x, score, true_score):
    ### BEGIN SOLUTION
    return 0.5 * (score(x) - true_score(x)).square().sum(1)
    ### END SOLUTION


# %% role="tests 1 2"
task = Task("1", stuck="explicit")
answer = task.answer("explicit_loss")


@task.check("the true score costs nothing")
def _():
    points, truth = torch.tensor([[1.0, 2.0], [0.0, -3.0]]), Given(lambda x: -x)
    close(answer(points, truth, truth, shape=(2,)), torch.zeros(2))


@task.check("an arrow that is off by (2, 3, 6) is off by a length of 7, and costs 24.5")
def _():
    points, off = torch.tensor([[1.0, 2.0, 0.0], [0.0, -3.0, 1.0]]), torch.tensor([2.0, 3.0, 6.0])
    close(answer(points, Given(lambda x: off - x), Given(lambda x: -x), shape=(2,)), [24.5, 24.5])


@task.check("each row has a loss of its own: s(x) = x, where the true score is zero")
def _():
    points = torch.tensor([[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]])
    close(answer(points, Given(lambda x: x), Given(lambda x: 0 * x), shape=(3,)), [12.5, 2.0, 0.5])


@task.check("a score that is trained between two calls: s(x) = x, then 2 x, at (3, 4), where the truth is zero")
def _():
    matrix = torch.eye(2).double()
    field, zero = linear_field(matrix), Given(lambda x: 0 * x)
    close(answer(torch.tensor([[3.0, 4.0]]), field, zero, shape=(1,)), [12.5])
    matrix *= 2
    close(answer(torch.tensor([[3.0, 4.0]]), field, zero, shape=(1,)), [50.0])


@task.check("arrows that are a thousand times as long, or as short: a million times the loss, or a millionth")
def _():
    points = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    for unit in (1000.0, 0.001):
        found = answer(points, Given(lambda x, unit=unit: unit * x), Given(lambda x: 0 * x), shape=(2,))
        close(found / unit**2, [12.5, 2.0], what=f"with arrows of {unit:g} times the length the result")


### BEGIN HIDDEN TESTS
@task.check("two fields that bend, in 1 to 6 dimensions", points=2)
def _():
    for dim in (1, 2, 6):
        points, (first, _), (second, _) = torch.randn(7, dim), curved_field(dim), curved_field(dim)
        expected = sum((first(points.double()) - second(points.double()))[:, i] ** 2 / 2 for i in range(dim))
        close(answer(points, first, second, shape=(7,)), expected, rtol=1e-3, atol=1e-4)
        close(answer(points[:1], first, second, shape=(1,)), expected[:1], rtol=1e-3, atol=1e-4)
        close(answer(points[:dim], first, second), expected[:dim], rtol=1e-3, atol=1e-4)
        for unit in (0.002, 500.0):
            fields = [Given(lambda x, field=field, unit=unit: unit * field(x)) for field in (first, second)]
            close(answer(points, *fields, shape=(7,)) / unit**2, expected, rtol=1e-3, atol=1e-3)
    matrix, points = torch.randn(3, 3).double(), torch.randn(3, 4).T  # a score that is trained between the calls
    first, second = linear_field(matrix), linear_field(torch.eye(3))
    for _ in range(3):
        expected = (points.double() @ (matrix - torch.eye(3)).T).norm(dim=1) ** 2 / 2
        close(answer(points, first, second, shape=(4,)), expected, rtol=1e-3, atol=1e-4)
        matrix += torch.randn(3, 3)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 2 · The trace of the Jacobian (3 points)
#
# The derivative of a field at a point is a matrix, the Jacobian
# $J_{ij}(x) = \partial s_i / \partial x_j$. Its trace is the sum of the diagonal,
# $\mathrm{tr}\, J = \sum_i \partial s_i / \partial x_i$: do the arrows flow apart here
# (positive), or together (negative)?
#
# Automatic differentiation gives one row of the Jacobian for each backward pass:
# `torch.autograd.grad(s[:, i].sum(), x, retain_graph=True)[0]` is row $i$ at every
# point of the batch, if `s` was computed from an `x` with `requires_grad`. (Why may
# one sum over the batch there?) `torch.func.jacrev` is another way, and a difference
# quotient a third; the latter needs double precision.
#
# - `x`: (B, D); `score`: a function
# - returns (B,): the trace at each row
#
# An approximation within a few percent earns 2 of the points, the exact trace the
# third.
#
# *Stuck? `torch.func.vmap(torch.func.jacrev(lambda row: score(row[None])[0]))(x)` is the
# whole Jacobian, (B, D, D), and lets you continue.*


# %% role="answer 2"
def jacobian_trace(x, score):
    ### BEGIN SOLUTION
    x = x.detach().requires_grad_()
    s = score(x)
    rows = [torch.autograd.grad(s[:, i].sum(), x, retain_graph=True)[0] for i in range(x.shape[1])]
    return sum(row[:, i] for i, row in enumerate(rows))
    ### END SOLUTION


# %% role="tests 2 3"
task = Task("2")
answer = task.answer("jacobian_trace")


@task.check("s(x) = A x with A = [[-2, 5], [1, -3]]: the Jacobian is A everywhere")
def _():
    points = torch.tensor([[1.0, 2.0], [0.0, -3.0], [4.0, 4.0]])
    trace = answer(points, linear_field([[-2.0, 5.0], [1.0, -3.0]]), shape=(3,))
    ensure((trace - 1).abs().max() > 1e-3, "1 is the sum of all four entries, and the trace is that of two of them")
    ensure((trace + 2.5).abs().max() > 1e-3, "-2.5 is the mean of the diagonal, and the trace is its sum")
    close(trace, [-5.0, -5.0, -5.0], rtol=0.02)


@task.check("s(x) = -x^3, coordinate by coordinate: the trace differs from row to row")
def _():
    points = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0], [-1.0, 0.0, 1.0]])
    close(answer(points, Given(lambda x: -(x**3)), shape=(3,)), [-15.0, 0.0, -6.0], rtol=0.02, atol=0.02)


@task.check("s(x, y) = (x^2 y, x y^2), whose trace is 4 x y")
def _():
    field = Given(lambda x: x * x[..., :1] * x[..., 1:])
    points = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.0, 5.0]])
    close(answer(points, field, shape=(3,)), [8.0, -12.0, 0.0], rtol=0.02, atol=0.02)


@task.check("s(x) = A x with A = [[-2000, 5], [1, 800]]: large slopes")
def _():
    close(answer(torch.zeros(1, 2), linear_field([[-2000.0, 5.0], [1.0, 800.0]]), shape=(1,)), [-1200.0], rtol=0.02)


@task.check("a score, and points, that change between two calls")
def _():
    matrix, points = torch.eye(2).double(), torch.tensor([[1.0, 1.0]])
    field = linear_field(matrix)
    close(answer(points, field, shape=(1,)), [2.0], rtol=0.02)
    matrix *= 3
    close(answer(points, field, shape=(1,)), [6.0], rtol=0.02, what="after the score was trained the result")
    trace, field = task.value("jacobian_trace"), Given(lambda x: -(x**3))
    close([float(value) for value in trace(points, field)], [-6.0], rtol=0.02)
    points.requires_grad_(False).fill_(2.0)
    points.grad = None
    found = [float(value) for value in trace(points, field)]
    close(found, [-24.0], rtol=0.02, what="after the points were changed in place the result")


### BEGIN HIDDEN TESTS
POINTS, FIELDS = [torch.randn(6, dim) for dim in (1, 2, 5)], [curved_field(dim) for dim in (1, 2, 5)]


@task.check("fields that bend, in 1 to 5 dimensions, within five percent", points=2)
def _():
    for points, (field, jacobian) in zip(POINTS, FIELDS, strict=True):
        expected = jacobian(points).diagonal(dim1=1, dim2=2).sum(1)
        off = (answer(points, field, shape=(6,)) - expected).abs() / (1 + expected.abs())
        ensure(off.max() < 0.05, f"in {points.shape[1]} dimension(s) it is off by up to {off.max():.0%}")
        steep = answer(points, Given(lambda x, field=field: 500 * field(x)), shape=(6,)) / 500
        off = (steep - expected).abs() / (1 + expected.abs())
        ensure(off.max() < 0.05, f"for a field that is 500 times as steep it is off by up to {off.max():.0%}")
    matrix, points = torch.randn(3, 3).double(), torch.randn(3, 4).T
    field = linear_field(matrix)
    for _ in range(3):
        off = (answer(points, field, shape=(4,)) - matrix.trace()).abs() / (1 + matrix.trace().abs())
        ensure(off.max() < 0.05, f"for a score that has been trained between two calls it is off by {off.max():.0%}")
        matrix += torch.randn(3, 3)
    points, (field, jacobian), trace = torch.randn(4, 2), curved_field(2), task.value("jacobian_trace")
    for new in torch.randn(3, 4, 2):
        points.requires_grad_(False).copy_(new)
        points.grad = None
        expected = jacobian(new).diagonal(dim1=1, dim2=2).sum(1)
        found = torch.tensor([float(value) for value in trace(points, field)])
        off = (found - expected).abs() / (1 + expected.abs())
        ensure(off.max() < 0.05, f"for points that have been changed in place it is off by up to {off.max():.0%}")


@task.check("exactly, and for a single row", points=1, beyond=True)
def _():
    for points, (field, jacobian) in zip(POINTS, FIELDS, strict=True):
        expected = jacobian(points).diagonal(dim1=1, dim2=2).sum(1)
        close(answer(points, field, shape=(6,)), expected, rtol=1e-4, atol=1e-4)
        for rows in (1, points.shape[1]):
            close(answer(points[:rows], field, shape=(rows,)), expected[:rows], rtol=1e-4, atol=1e-4)
    matrix = torch.randn(17, 17)
    close(answer(torch.randn(3, 17), linear_field(matrix), shape=(3,)), matrix.trace().expand(3), rtol=1e-4, atol=1e-4)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 3 · Implicit score matching (2 points)
#
# Expand the square of Task 1 and integrate by parts: the true score drops out, up to a
# constant, and what is left can be computed (Hyvärinen 2005, Theorem 1; Song & Ermon
# 2019, equation 1):
#
# $$ \ell(x) = \mathrm{tr}\big(\nabla_x s(x)\big) + \tfrac12\, \| s(x) \|^2 . $$
#
# - `x`: (B, D); `score`: a function
# - returns (B,)
#
# You may use your function of Task 2.
#
# *Stuck? `ne.implicit(lambda x, sigma: score(x), x)` lets you continue.*


# %% role="answer 3"
def implicit_loss(x, score):
    ### BEGIN SOLUTION
    return jacobian_trace(x, score) + 0.5 * score(x).square().sum(1)
    ### END SOLUTION


# %% role="tests 3 2"
task = Task("3", stuck="implicit")
answer = task.answer("implicit_loss")


@task.check("s(x) = -x at (1, 2, 2): the trace is -3, and half the squared length 4.5")
def _():
    close(answer(torch.tensor([[1.0, 2.0, 2.0]]), Given(lambda x: -x), shape=(1,)), [1.5], rtol=1e-2)


@task.check("s(x) = -1000 x at (0.01, 0.02, 0.02): the trace is -3000, and half the squared length 450")
def _():
    points = torch.tensor([[0.01, 0.02, 0.02], [10.0, 0.0, 0.0]])
    found = answer(points, Given(lambda x: -1000 * x), shape=(2,))
    close(found, [-2550.0, 49_997_000.0], rtol=1e-2)


@task.check("s(x) = A x with A = [[-2, 5], [1, -3]], at (1, 1), (1, 0) and the origin: the last two are negative")
def _():
    points = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    found = answer(points, linear_field([[-2.0, 5.0], [1.0, -3.0]]), shape=(3,))
    ensure(
        abs(found[2] + 5) < 0.1, f"at the origin s vanishes, and the trace of -5 is left, but this is {found[2]:.3g}"
    )
    close(found, [1.5, -2.5, -5.0], rtol=1e-2)


@task.check("s(x) = -x^3, coordinate by coordinate, at (1, 1), (2, 0) and (0, 1)")
def _():
    points = torch.tensor([[1.0, 1.0], [2.0, 0.0], [0.0, 1.0]])
    close(answer(points, Given(lambda x: -(x**3)), shape=(3,)), [-5.0, 20.0, -2.5], rtol=1e-2)


@task.check("a score that is trained between two calls: s(x) = x, then 2 x, at (1, 0)")
def _():
    matrix = torch.eye(2).double()
    field = linear_field(matrix)
    close(answer(torch.tensor([[1.0, 0.0]]), field, shape=(1,)), [2.5], rtol=1e-2)
    matrix *= 2
    close(answer(torch.tensor([[1.0, 0.0]]), field, shape=(1,)), [6.0], rtol=1e-2)


### BEGIN HIDDEN TESTS
def right_trace(x, score):
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        field = score(x)
        rows = [torch.autograd.grad(field[:, i].sum(), x, retain_graph=True)[0] for i in range(x.shape[1])]
    return torch.stack([row[:, i] for i, row in enumerate(rows)]).sum(0)


task.uses(jacobian_trace=Given(right_trace))


@task.check("fields that bend, in 1 to 5 dimensions", points=2)
def _():
    for dim in (1, 2, 5):
        points, (field, jacobian) = torch.randn(6, dim), curved_field(dim)
        expected = jacobian(points).diagonal(dim1=1, dim2=2).sum(1) + field(points.double()).norm(dim=1) ** 2 / 2
        close(answer(points, field, shape=(6,)), expected, rtol=1e-3, atol=1e-3)
        for rows in (1, dim):
            close(answer(points[:rows], field, shape=(rows,)), expected[:rows], rtol=1e-3, atol=1e-3)
        for unit in (0.01, 300.0):
            expected = jacobian(points).diagonal(dim1=1, dim2=2).sum(1)
            expected += unit * field(points.double()).norm(dim=1) ** 2 / 2
            steep = Given(lambda x, field=field, unit=unit: unit * field(x))
            close(answer(points, steep, shape=(6,)) / unit, expected, rtol=1e-3, atol=1e-3)
    matrix, points = torch.randn(3, 3).double(), torch.randn(3, 4).T  # a score that is trained between the calls
    field = linear_field(matrix)
    for _ in range(3):
        expected = matrix.trace() + (points.double() @ matrix.T).norm(dim=1) ** 2 / 2
        close(answer(points, field, shape=(4,)), expected, rtol=1e-3, atol=1e-3)
        matrix += torch.randn(3, 3)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 4 · One slice (3 points)
#
# The trace costs $D$ backward passes, and an image has thousands of coordinates. Sliced
# score matching (Song et al. 2019) looks along one direction $v$ for each example:
#
# $$ \ell(x, v) = v^\top \big(\nabla_x s(x)\big)\, v + \tfrac12\, \big( v^\top s(x) \big)^2 . $$
#
# Here the directions are given: any numbers, not of length one, and another direction
# for each row. One backward pass is enough:
# $v^\top (\nabla_x s)$ is the gradient of the number $v^\top s(x)$ with $v$ fixed.
#
# - `x`: (B, D); `score`: a function; `v`: (B, D)
# - returns (B,)
#
# Directions with entries of $\pm 1$ earn 2 of the points, any others the third.
#
# *Stuck? From Task 2: with the Jacobian `J` of shape (B, D, D) the first term is
# `torch.einsum("bi,bij,bj->b", v, J, v)`.*


# %% role="answer 4"
def sliced_loss(x, score, v):
    ### BEGIN SOLUTION
    x = x.detach().requires_grad_()
    along = (v * score(x)).sum(1)  # v's of each row
    row = torch.autograd.grad(along.sum(), x)[0]  # v'(grad s) of each row
    return (row * v).sum(1) + 0.5 * along**2
    ### END SOLUTION


# %% role="tests 4 3"
task = Task("4")
answer = task.answer("sliced_loss")


@task.check("s(x) = A x with A = [[-2, 5], [1, -3]] at (1, 1), in the directions (1, 1) and (0, 1)")
def _():
    points, v = torch.ones(2, 2), torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    found = answer(points, linear_field([[-2.0, 5.0], [1.0, -3.0]]), v, shape=(2,))
    ensure((found - torch.tensor([7.5, 3.5])).abs().max() > 1e-2, "the second term is half of (v's)^2, not of ||s||^2")
    close(found, [1.0 + 0.5, -3.0 + 2.0], rtol=1e-2)


@task.check("a direction twice as long: four times the loss")
def _():
    points, v = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, -1.0]])
    field = Given(lambda x: -(x**3))
    close(answer(points, field, 2 * v, shape=(1,)), 4 * answer(points, field, v, shape=(1,)), rtol=2e-2, atol=2e-2)
    close(answer(points, field, 0 * v, shape=(1,)), [0.0], what="for a direction of length zero the result")


@task.check("s(x) = -x^3 at (1, 2) and (2, 0), in the directions (1, -1) and (1, 1)")
def _():
    points, v = torch.tensor([[1.0, 2.0], [2.0, 0.0]]), torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    close(answer(points, Given(lambda x: -(x**3)), v, shape=(2,)), [9.5, 20.0], rtol=1e-2)


### BEGIN HIDDEN TESTS
def compare_slices(*directions):
    points, (field, jacobian) = torch.randn(*directions[0].shape), curved_field(directions[0].shape[1])
    for v in directions:
        along = (v * field(points.double())).sum(1)
        expected = torch.einsum("bi,bij,bj->b", v.double(), jacobian(points), v.double()) + along**2 / 2
        close(answer(points, field, v, shape=(len(v),)), expected, rtol=1e-3, atol=1e-3)


@task.check("fields that bend, directions of random signs", points=2)
def _():
    for rows, dim in ((7, 2), (7, 3), (7, 6), (1, 4), (3, 3), (5, 1)):
        compare_slices(*(2.0 * torch.randint(0, 2, (2, rows, dim)) - 1.0))
    matrix, points = torch.randn(3, 3).double(), torch.randn(3, 4).T  # a score that is trained between the calls
    field, v = linear_field(matrix), 2.0 * torch.randint(0, 2, (4, 3)) - 1.0
    for _ in range(3):
        expected = torch.einsum("bi,ij,bj->b", v.double(), matrix, v.double())
        expected += (v * (points.double() @ matrix.T)).sum(1) ** 2 / 2
        close(answer(points, field, v, shape=(4,)), expected, rtol=1e-3, atol=1e-3)
        matrix += torch.randn(3, 3)


@task.check("directions of any length", points=1, beyond=True)
def _():
    for rows, dim in ((8, 1), (8, 2), (8, 5), (1, 3), (3, 3)):
        compare_slices(torch.randn(rows, dim) * torch.linspace(0.0, 2.0, rows)[:, None], 20 * torch.randn(rows, dim))


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 5 · Random slices, and a calmer second term (3 points)
#
# Let each direction have independent random signs: every entry is $+1$ or $-1$ with
# probability $\frac12$. Then $\mathbb E[v v^\top] = I$, so that
# $\mathbb E[v^\top J v] = \mathrm{tr}\, J$ and $\mathbb E[(v^\top s)^2] = \|s\|^2$. The
# second expectation is known, so there is no need to estimate it. The
# variance-reduced loss (Song & Ermon 2019, equation 3) puts $\|s\|^2$ in its place.
# Averaged over $n$ directions for each example it reads
#
# $$ \ell(x) = \frac1n \sum_{j=1}^n v_j^\top \big(\nabla_x s(x)\big)\, v_j
#    + \tfrac12\, \| s(x) \|^2 . $$
#
# - `x`: (B, D); `score`: a function; `n_projections`: the whole number $n$
# - returns (B,)
#
# Draw the directions inside, new ones for every row, every $j$ and every call. You may
# use your function of Task 4, if you see how. The right mean earns 2 of the points,
# independent directions the third.
#
# *Stuck? `ne.sliced(lambda x, sigma: score(x), x, n_projections=n_projections)` lets you continue.*


# %% role="answer 5"
def sliced_vr_loss(x, score, n_projections):
    ### BEGIN SOLUTION
    x = x.detach().requires_grad_()
    s = score(x)
    total = 0.5 * s.square().sum(1)
    for _ in range(n_projections):
        v = torch.randint(0, 2, x.shape).to(x) * 2 - 1
        row = torch.autograd.grad(s, x, v, retain_graph=True)[0]  # v'(grad s)
        total = total + (row * v).sum(1) / n_projections
    return total
    ### END SOLUTION


# %% role="tests 5 3"
task = Task("5", stuck="sliced")
answer = task.answer("sliced_vr_loss")


@task.check("s(x) = -x: its Jacobian is diagonal, so random signs find the trace without any error")
def _():
    points = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    for n in (1, 2, 10):
        found = answer(points, Given(lambda x: -x), n, shape=(2,))
        close(found, [-0.5, -3.0], rtol=1e-2, what=f"with {n} direction(s) the result")


@task.check("s(x) = A x with A = [[-1, 1], [1, -1]]: right on average over many rows")
def _():
    points = torch.tensor([1.0, 2.0]).expand(4000, 2).contiguous()
    found = answer(points, linear_field([[-1.0, 1.0], [1.0, -1.0]]), 1, shape=(4000,))
    ensure(abs(found.mean() + 1) < 0.4, f"the mean over 4000 rows is {found.mean():.2f}, and -1.00 was expected")


### BEGIN HIDDEN TESTS
def right_sliced(x, score, v):
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        along = (v * score(x)).sum(1)
        row = torch.autograd.grad(along.sum(), x)[0]
    return (row * v).sum(1) + along**2 / 2


task.uses(sliced_loss=Given(right_sliced))


# What v'Av adds to the trace, (B,), for s(x) = A x.
def beside_trace(matrix, rows, n):
    points = 0.5 + torch.rand(rows, len(matrix))
    field = linear_field(matrix)
    exact = matrix.diagonal().sum() + field(points.double()).square().sum(1) / 2
    return answer(points, field, n, shape=(rows,)) - exact


# The products v_1 v_2, v_1 v_3, ... v_1 v_9 of each row, (B, 8), averaged over n = 1 or 2 directions. The loss of this
# field at whole numbers is the sum of 3^j v_1 v_(j+2), of which each term can be told.
def seen_signs(rows, n):
    powers = 3.0 ** torch.arange(8, dtype=torch.float64)

    def field(x):
        first = (torch.sin(2 * math.pi * x[..., 1:]) / (2 * math.pi) * powers).sum(-1, keepdim=True)
        return torch.cat([first, 0 * x[..., 1:]], -1)

    loss = answer(torch.randint(-3, 4, (rows, 9)).float(), Given(field), n, shape=(rows,))
    close(loss, loss.round(), atol=0.1, what="for a Jacobian of whole numbers the loss")
    left, signs = loss.round(), []
    for _ in powers:
        signs.append((left + 1) % 3 - 1)
        left = (left - signs[-1]) / 3
    return torch.stack(signs, 1)


@task.check("no error for diagonal Jacobians, and the right mean for others", points=2)
def _():
    for rows, dim, n in ((6, 1, 2), (6, 2, 1), (6, 4, 3), (1, 3, 2), (3, 3, 5), (6, 2, 1)):
        points, size = torch.randn(rows, dim), torch.randn(dim, dtype=torch.float64) - 1.0
        field = Given(lambda x, size=size: size * x + torch.sin(2 * x))
        trace = (size + 2 * torch.cos(2 * points.double())).sum(1)
        close(
            answer(points, field, n, shape=(rows,)),
            trace + field(points.double()).square().sum(1) / 2,
            rtol=1e-3,
            atol=1e-3,
        )
    matrix = torch.tensor([[-1.0, 1.5, 0.4], [0.5, -2.0, 0.2], [0.2, 0.2, 0.5]], dtype=torch.float64)
    for n in (1, 4):  # each number is between -3 and 3: Hoeffding's inequality
        off = float(beside_trace(matrix, 10_000, n).mean())
        said = f"{n} direction(s) a row: the mean over 10000 rows is off by {off:.3f}"
        plausible(2 * np.exp(-10_000 * off**2 / (2 * 3.0**2)), said, of=2)


@task.check("other directions for each row, projection and call", points=1, beyond=True)
def _():
    signs = torch.stack([seen_signs(64, 1) for _ in range(20)])  # (calls, rows, coordinates)
    close(signs.abs(), torch.ones(signs.shape), what="the product of two entries of a direction")
    plausible(p_apart(signs.flatten(1)), "the directions of two calls are not independent", of=16)
    plausible(p_apart(signs.transpose(0, 1).flatten(1)), "the directions of two rows are not independent", of=16)
    plausible(p_apart(signs.flatten(0, 1).T), "the entries of a direction are not independent", of=16)
    both = seen_signs(1000, 2)
    for column in both.T:  # zero where the two directions differ
        said = "the two directions of a row are not independent"
        plausible(p_share(int((column == 0).sum()), 1000, 0.5), said, of=16)
    matrix, rows = torch.tensor([[-1.0, 0.5], [0.5, 2.0]], dtype=torch.float64), 3000  # beside the trace: v_1 v_2
    alone = torch.cat([beside_trace(matrix, 1, 1) for _ in range(80)])
    said = f"with one row v_1 v_2 is +1 in {int((alone > 0).sum())} of 80 calls"
    plausible(p_share(int((alone > 0).sum()), 80, 0.5), said, of=16)
    plus = (beside_trace(matrix, rows, 8) * 8 + 8) / 2  # how many of the eight v_1 v_2 are +1
    close(plus, plus.round(), atol=1e-2, what="eight directions: how often v_1 v_2 is +1")
    many = (beside_trace(matrix, rows, 64) * 64 + 64) / 2
    seen, share = int(((many - 32).abs() < 4.5).sum()), sum(math.comb(64, count) for count in range(28, 37)) / 2**64
    said = f"64 directions: in {seen / rows:.1%} of the rows v_1 v_2 is +1 28 to 36 times, {share:.1%} were expected"
    plausible(p_share(seen, rows, share), said, of=16)
    for count in (0, 4, 8):
        seen, share = int((plus.round() == count).sum()), math.comb(8, count) / 2**8
        said = (
            f"eight directions: in {seen / rows:.1%} of the rows v_1 v_2 is +1 {count} times, {share:.1%} were expected"
        )
        plausible(p_share(seen, rows, share), said, of=16)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 6 · Denoising score matching (3 points)
#
# Add noise of standard deviation $\sigma$ to a clean point, $\tilde x = x + \sigma z$,
# and ask the score for the noise. With the weight $\lambda(\sigma) = \sigma^2$ the loss
# of one example is (Vincent 2011; Song & Ermon 2019, equations 5 and 6)
#
# $$ \ell(x, z) = \frac{\sigma^2}{2}\, \Big\| s(\tilde x, \sigma)
#    + \frac{\tilde x - x}{\sigma^2} \Big\|^2
#    = \tfrac12\, \big\| \sigma\, s(\tilde x, \sigma) + z \big\|^2 . $$
#
# From here on a score is a function of two arguments, `score(x, sigma)`, where
# `sigma` is a number or has one entry per row, (B,) or (B, 1).
#
# - `x`: (B, D), clean; `score`: a function of `x` and `sigma`; `sigma`: a number, or
#   one number per row, (B,); `z`: (B, D), the noise
# - returns (B,)
#
# One number for all rows earns 2 of the points, one per row the third.
#
# *Stuck? `ne.dsm(score, x, sigma)` draws the noise itself. It cannot pass the tests, but
# lets you continue in Task 9.*


# %% role="answer 6"
def denoising_loss(x, score, sigma, z):
    ### BEGIN SOLUTION
    sigmas = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)  # (B, 1) or (1, 1)
    return 0.5 * (sigmas * score(x + sigmas * z, sigma) + z).square().sum(1)
    ### END SOLUTION


# %% role="tests 6 3"
import contextlib

task = Task("6", stuck="dsm")
answer = task.answer("denoising_loss")


@task.check("the score is asked at the noisy point, and told sigma: x = 1, z = 0.5, sigma = 2, so at 2")
def _():
    asked = []

    def field(x, sigma):
        with contextlib.suppress(RuntimeError):  # inside torch.vmap nobody can look
            asked.append((float(x.flatten()[0]), float(torch.as_tensor(sigma).flatten()[0])))
        return -x

    field = Given(field)
    answer(torch.ones(1, 1), field, 2.0, torch.full((1, 1), 0.5), shape=(1,))
    ensure(field.calls, "the score was not asked at all")
    for where, told in asked[:1]:
        ensure(abs(where - 2) < 1e-3, f"it was asked at {where:.3g}, and the noisy point is 2")
        ensure(abs(told - 2) < 1e-3, f"it was told that sigma is {told:.3g}, and it is 2")


@task.check("there, with s(x) = -0.4 x: 0.5 (2 * (-0.8) + 0.5)^2 = 0.605; and 1.62 where x = 3 and z = -1")
def _():
    x, z = torch.tensor([[1.0], [3.0]]), torch.tensor([[0.5], [-1.0]])
    close(answer(x, Given(lambda x, sigma: -0.4 * x), 2.0, z, shape=(2,)), [0.605, 1.62])


@task.check("a score of 1000 everywhere, and no noise: sigma 0.01 costs 50, and sigma 40 costs 800,000,000")
def _():
    for size, cost in ((0.01, 50.0), (40.0, 8e8)):
        close(
            answer(torch.ones(1, 1), Given(lambda x, sigma: 0 * x + 1000), size, torch.zeros(1, 1), shape=(1,)), [cost]
        )


@task.check("a score of zero costs half the squared length of z, at any sigma")
def _():
    z = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    for size in (0.1, 1.0, 10.0):
        found = answer(torch.ones(2, 2), Given(lambda x, sigma: 0 * x), size, z, shape=(2,))
        close(found, [12.5, 2.0], what=f"at sigma = {size:g} the result")


### BEGIN HIDDEN TESTS
def sigma_by_row(sigma, x):
    sigma = torch.as_tensor(sigma).double()
    return (sigma if sigma.ndim == x.ndim else sigma.reshape(-1, 1)).expand_as(x)


# s(x, sigma) = (m - x) / (v + sigma^2): the score of a noisy Gaussian.
def compare_denoising(rows, dim, sigma, far=3.0):
    points, z, mean, variance = torch.randn(rows, dim), torch.randn(rows, dim), far * torch.randn(dim).double(), 0.7
    field = Given(
        lambda x, sigma: (mean - x) / (variance + sigma_by_row(sigma, x if x.ndim == 2 else x[None]).reshape_as(x) ** 2)
    )
    size, noise = torch.as_tensor(sigma).double().expand(rows), z.double()
    expected = torch.zeros(rows).double()
    for i in range(dim):
        off = mean[i] - points[:, i].double()
        expected += 0.5 * ((size * off + variance * noise[:, i]) / (variance + size**2)) ** 2
    close(answer(points, field, sigma, z, shape=(rows,)), expected, rtol=1e-3, atol=1e-4)


@task.check("noisy Gaussians in 1 to 5 dimensions, one sigma for all rows", points=2)
def _():
    for rows, dim in ((6, 1), (6, 2), (6, 5), (1, 3), (3, 3)):
        for size in (0.004, 0.1, 0.6, 4.0, 50.0):
            compare_denoising(rows, dim, size)
    compare_denoising(6, 2, 0.6, far=2000.0)


@task.check("a sigma of its own for each row", points=1, beyond=True)
def _():
    compare_denoising(6, 3, torch.tensor([0.005, 0.1, 0.5, 1.0, 2.0, 40.0]))
    compare_denoising(4, 1, torch.tensor([0.3, 3.0, 1.0, 0.1]))
    compare_denoising(3, 3, torch.tensor([0.2, 4.0, 1.0]))  # as many rows as dimensions
    compare_denoising(1, 4, torch.tensor([0.7]))
    compare_denoising(6, 3, 0.05 + 4 * torch.rand(6))


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 7 · Which score is it that denoising finds? (3 points)
#
# Take the smallest family of scores that there is, $s(x) = -k x$ with one number $k$,
# and clean data $x_1, \dots, x_N$. Put the family into the loss of Task 6 and work out
# its mean over the noise on paper. All that you need to know of
# $z \sim \mathcal N(0, I)$ is that its mean is zero and that
# $\mathbb E \|z\|^2 = D$. Average over the data, and find the $k$ for which
# $\frac1N \sum_n \mathbb E_z\, \ell(x_n, z)$ is smallest.
#
# Data on a line, $D = 1$, earn 2 of the points, several dimensions the third. No noise
# is drawn in this task.
#
# - `x`: (N, D), clean, and not necessarily of mean zero; `sigma`: a number above 0
# - returns the number $k$
#
# Then look at your result once more: $-kx$ is the score of a Gaussian of mean zero, with
# a variance of $1/k$. Is that the spread of the clean data or of the noisy ones?
#
# *Stuck? Nothing after this task needs it: go on.*


# %% role="answer 7"
def best_slope(x, sigma):
    ### BEGIN SOLUTION
    # E l = (k^2 sigma^2 ||x||^2 + (1 - k sigma^2)^2 D) / 2
    return 1 / (x.square().mean() + sigma**2)
    ### END SOLUTION


# %% role="tests 7 3"
task = Task("7")
answer = task.answer("best_slope")


@task.check("data at +1 and -1 with sigma = 1: k is 0.5")
def _():
    close(answer(torch.tensor([[1.0], [-1.0]]), 1.0, shape=()), 0.5, rtol=1e-3)


@task.check("data at +2 and -2 with hardly any noise: k is 0.25")
def _():
    close(answer(torch.tensor([[2.0], [-2.0], [2.0], [-2.0]]), 1e-3, shape=()), 0.25, rtol=1e-3)


@task.check("data at +0.02 and -0.02 with sigma = 0.01: k is 2000")
def _():
    close(answer(torch.tensor([[0.02], [-0.02]]), 0.01, shape=()), 2000.0, rtol=1e-3)


@task.check("a single point at 3 with sigma = 4: k is 0.04")
def _():
    close(answer(torch.tensor([[3.0]]), 4.0, shape=()), 0.04, rtol=1e-3)


@task.check("data at 1 and 3 with sigma = 1: k is 1/6")
def _():
    close(answer(torch.tensor([[1.0], [3.0]]), 1.0, shape=()), 1 / 6, rtol=1e-3)


@task.check("much noise: k is nearly nothing")
def _():
    k = float(answer(torch.tensor([[1.0], [-1.0]]), 100.0, shape=()))
    ensure(0 < k < 1e-3, f"at sigma = 100 it is {k:.3g}")


### BEGIN HIDDEN TESTS
def compare_slopes(points, size):
    from scipy.optimize import minimize_scalar

    # Exact for what is quadratic in z: the mean over z = +-sqrt(D) e_i has the same first and second moments.
    points, dim = points.double(), points.shape[1]
    z = math.sqrt(dim) * torch.cat([torch.eye(dim), -torch.eye(dim)]).double()[:, None]  # (2 D, 1, D)

    def mean_loss(k):
        return float(((-size * k * (points + size * z) + z) ** 2).sum(-1).mean())

    expected = minimize_scalar(mean_loss, bracket=(0.0, 1.0), tol=1e-10).x
    close(answer(points.float(), size, shape=()), expected, rtol=1e-3, atol=0)


@task.check("data on a line, of any mean: the minimum that a numerical search finds", points=2)
def _():
    for size in (0.1, 0.5, 3.0):
        compare_slopes(torch.randn(9, 1) * 0.7 + 2.0, size)
    compare_slopes(torch.tensor([[3.0]]), 0.6)
    compare_slopes(0.01 * torch.randn(9, 1), 0.005)
    compare_slopes(50 * torch.randn(9, 1), 80.0)


@task.check("the same in several dimensions", points=1, beyond=True)
def _():
    for dim in (2, 5):
        for size in (0.2, 1.5):
            compare_slopes(torch.randn(8, dim) * torch.linspace(0.3, 2.0, dim) + 0.5, size)
    compare_slopes(torch.randn(1, 3), 0.8)
    compare_slopes(torch.randn(2, 12) - 1.0, 0.4)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 8 · Predict before you run (1 point)
#
# The data come from a mixture whose score is known exactly, at every noise level. You
# give the **exact** score of the noisy mixture to the denoising loss of Task 6, with
# $\sigma = 0.5$, and average over twenty thousand points. What is the mean loss?
#
# - `"a"`: zero, up to chance, for the score is exact
# - `"b"`: positive, and no score can get below it
# - `"c"`: negative, as the implicit loss of a good score is
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
def experiment():
    mixture, generator = ne.GaussianMixture([[-2.0, -1.0], [2.0, 1.0]], 0.75), torch.Generator().manual_seed(0)
    clean = mixture.sample(20_000, generator=generator)
    noisy = clean + 0.5 * torch.randn(clean.shape, generator=generator)
    rows = {
        "denoising loss, exact score": ne.dsm(mixture, clean, 0.5, generator=generator),
        "its floor, by another formula": ne.dsm_floor(mixture, clean, 0.5, generator=generator),
        "denoising loss, exact score of the clean mixture": ne.dsm(
            lambda x, sigma: mixture(x, 0.0), clean, 0.5, generator=generator
        ),
        "denoising loss, zero everywhere": ne.dsm(lambda x, sigma: 0 * x, clean, 0.5, generator=generator),
        "implicit loss, exact score": ne.implicit(mixture, noisy, 0.5),
    }
    for name, values in rows.items():
        print(f"{name:50} {values.mean().item():6.3f}")


experiment()

# %% [markdown]
# ## Task 9 · Learn a score (3 points)
#
# `data` holds 3000 points in the plane. Learn from them the score of the distribution
# that they come from, **at the noise level** $\sigma = 0.5$, and call it
# `learned_score`. It is called as `learned_score(x)` or as `learned_score(x, 0.5)`,
# whichever it takes, with `x` of shape (B, 2) in float32, and returns (B, 2).
#
# Row $b$ of what it returns depends on row $b$ of `x` alone, as before: a network with
# batch normalisation or dropout needs `eval()` at the end.
#
# How you learn it is up to you: a small network and one of the losses of this
# assignment, or something else altogether. Two layers of 64 units, a few hundred steps
# and batches of 256 are enough. Use `data` alone, and nothing that the cell below says
# about where they come from: of real data you would not know it. Keep the whole cell
# below one minute on a laptop. If you train with your own functions, PyTorch must be
# able to differentiate what they return: those of Tasks 2 to 5 then need
# `create_graph=True` in `torch.autograd.grad`.
#
# Graded is the relative distance from the true score $s^*$ of the noisy distribution,
#
# $$ r = \frac{\mathbb E_{p_\sigma} \| s(x) - s^*(x) \|^2}
#    {\mathbb E_{p_\sigma} \| s^*(x) \|^2} , $$
#
# on 5000 fresh noisy points. A score of zero has $r = 1$. Below 0.2 earns 2 points,
# below 0.1 the third. Both can be had with room to spare.
#
# *Stuck? `ncsn_edu.training.train` with `ne.ScoreMLP(sigma=0.5)` and the loss `ne.dsm` is
# shown in notebook 3.*


# %% role="setup tests"
import contextlib
import inspect

from matplotlib import pyplot as plt


def draw_data(n):
    generator = torch.Generator().manual_seed(2)
    centres, variances = torch.tensor([[-2.0, -1.0], [2.0, 0.0], [0.0, 2.0]]), [0.1, 0.3, 0.2]
    return ne.GaussianMixture(centres, variances, [0.5, 0.3, 0.2]).sample(n, generator=generator)


# How a score is called: with the noise level or without, and if both can be done, as it is closer to the data's score.
def arguments_of(function, points, sigma):
    clean = draw_data(300)
    z = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    costs = {}
    for level in ((sigma,), ()):
        with contextlib.suppress(Exception):  # it does not take these
            arrows = torch.as_tensor(function(clean + sigma * z, *level)).detach()
            costs[level] = float((sigma * arrows + z).square().mean().nan_to_num(math.inf))
    if not costs:  # neither can be done: as its signature says
        with contextlib.suppress(TypeError, ValueError):
            inspect.signature(getattr(function, "forward", function)).bind(points)
            return (points,)
    return points, *min(costs, key=costs.get, default=(sigma,))


# To look at a score: its arrows, at the data with noise.
def look(function):
    from ncsn_edu.plots import score_field

    def arrows(x, sigma):
        return torch.as_tensor(function(*arguments_of(function, x.float(), sigma)))

    _, ax = plt.subplots(figsize=(4, 4))
    ax.plot(*(draw_data(1000) + 0.5 * torch.randn(1000, 2)).T, ".", ms=2, alpha=0.4)
    score_field(ax, arrows, sigma=0.5, extent=4)
    plt.show()


data = draw_data(3000)

# %% role="answer 9"
learned_score = ...
### BEGIN SOLUTION
torch.manual_seed(0)
learned_score = torch.nn.Sequential(
    torch.nn.Linear(2, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2)
)
optimiser = torch.optim.Adam(learned_score.parameters(), lr=1e-2)
decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, 600)
for _ in range(600):
    batch = data[torch.randint(len(data), (256,))]
    noise = torch.randn_like(batch)
    loss = 0.5 * (0.5 * learned_score(batch + 0.5 * noise) + noise).square().sum(1).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    decay.step()
### END SOLUTION

# %% role="tests 9 3"
task = Task("9")
answer = task.answer("learned_score")


@task.check("one finite arrow for each point")
def _():
    points = torch.tensor([[0.0, 0.0], [3.0, -1.0], [-4.0, 4.0]])
    found = answer(*arguments_of(task.value("learned_score"), points, 0.5), shape=points.shape)
    ensure(found.isfinite().all(), "some arrows are infinite or not a number")


@task.check("each arrow depends on its own point alone, and is the same when asked again")
def _():
    points = draw_data(40) + 0.5 * torch.randn(40, 2)
    level = arguments_of(task.value("learned_score"), points, 0.5)[1:]
    rows_alone(lambda x: answer(x, *level, shape=x.shape), points, rtol=0.02, atol=0.02)


@task.check("its denoising loss on points that it has not seen")
def _():
    clean = draw_data(5_000)
    z = torch.randn(clean.shape)
    arrows = answer(*arguments_of(task.value("learned_score"), clean + 0.5 * z, 0.5), shape=clean.shape)
    cost = float((0.5 * arrows + z).square().sum(1).mean() / 2)
    ensure(cost < 0.5, f"it is {cost:.3f}; zero everywhere costs 1.000, and a good score less than 0.500")


### BEGIN HIDDEN TESTS
def distance_from_truth():
    truth = ne.GaussianMixture([[-2.0, -1.0], [2.0, 0.0], [0.0, 2.0]], [0.1, 0.3, 0.2], [0.5, 0.3, 0.2]).perturb(0.5)
    points = truth.sample(5000, generator=torch.Generator().manual_seed(9))
    found, right = answer(*arguments_of(task.value("learned_score"), points, 0.5), shape=points.shape), truth(points)
    few = arguments_of(task.value("learned_score"), points[:40], 0.5)
    rows_alone(lambda x: answer(x, *few[1:], shape=x.shape), points[:40], rtol=0.02, atol=0.02)
    return float((found - right).square().sum() / right.square().sum())


@task.check("the relative distance from the true score is below 0.2", points=2)
def _():
    r = distance_from_truth()
    ensure(r < 0.2, f"it is {r:.3f}")


@task.check("it is below 0.1", points=1, beyond=True)
def _():
    r = distance_from_truth()
    ensure(r < 0.1, f"it is {r:.3f}")


### END HIDDEN TESTS
task.done()

# %% [markdown]
# `look(learned_score)` draws the arrows, in a cell of your own.

# %% [markdown] role="question 10"
# ## Task 10 · In your own words (4 points)
#
# In Task 9 the target of each example is $-z/\sigma$, an arrow that is almost never the
# true score at that point, and in Task 8 the loss of the perfect score is far from zero.
# Prove that denoising finds the right score all the same (Vincent 2011): that for every
# field $s$
#
# $$ \tfrac12\, \mathbb E \Big\| s(\tilde x) - \nabla_{\tilde x} \log q(\tilde x \mid x) \Big\|^2
#    \quad\text{and}\quad
#    \tfrac12\, \mathbb E \Big\| s(\tilde x) - \nabla_{\tilde x} \log p_\sigma(\tilde x) \Big\|^2 $$
#
# differ by a number that has no $s$ in it, and say what this number is. Here
# $q(\tilde x \mid x) = \mathcal N(\tilde x;\, x, \sigma^2 I)$ and
# $p_\sigma(\tilde x) = \int p(x)\, q(\tilde x \mid x)\, dx$. Give a reason for each
# step. Formulas and five to ten sentences are enough.
#
# ### BEGIN MARK SCHEME
# One point each, for
#
# 1. expanding both squares, and seeing that $\frac12 \mathbb E \|s(\tilde x)\|^2$ is the
#    same in both, for $\tilde x$ has the density $p_\sigma$ in both, so that all
#    depends on the two cross terms;
# 2. writing the cross term with the true score as an integral,
#    $\int p_\sigma \langle s, \nabla \log p_\sigma \rangle\, d\tilde x
#    = \int \langle s, \nabla p_\sigma \rangle\, d\tilde x$, because
#    $p \nabla \log p = \nabla p$ (or the same with a conditional expectation:
#    $\nabla \log p_\sigma(\tilde x) = \mathbb E[\nabla \log q(\tilde x \mid x) \mid
#    \tilde x]$, if this is shown and not only quoted);
# 3. moving the gradient under the integral over $x$, using
#    $\nabla q = q \nabla \log q$, and reading the result as
#    $\mathbb E \langle s(\tilde x), \nabla \log q(\tilde x \mid x) \rangle$ over pairs:
#    the cross terms agree for every $s$;
# 4. the number: $\frac12 \mathbb E \|\nabla \log q\|^2 -
#    \frac12 \mathbb E \|\nabla \log p_\sigma\|^2$ (the first is
#    $D / 2\sigma^2$) has no $s$ in it, so that both have the same minimiser and the
#    same gradients.
#
# That the two *targets* have the same mean is true, but earns neither point 2 nor
# point 3: it does not follow that the cross terms agree. An integration by parts is not
# needed here; one that is right does no harm.
# ### END MARK SCHEME

# %% [markdown] role="written 10 4"
# YOUR ANSWER HERE

# %% [markdown]
# That is all. Run the whole notebook once more from the top (*Kernel > Restart and Run
# All*) before you hand it in: what counts is what runs from a fresh start.
