# %% [markdown]
# # Assignment 4 · A noise-conditional score network on digits
#
# *About 120 minutes. 29 points: 25 by automatic tests, 4 for a written answer.
# Nothing here needs a GPU or the internet; each cell runs in seconds.*
#
# You write what stands around a network: the data it sees, the loss, the training
# loop with its average of the weights, the sampler, and inpainting. The network
# itself comes with the package, trained on 8x8 digits. Notebooks 8, 10 and 11 are the
# lecture to it.
#
# **How it works.** Put your code where it says `YOUR CODE HERE`, and delete the line
# `raise NotImplementedError()`. Keep the names of the functions and the order of
# their arguments; the rest is yours: loops or none, PyTorch or NumPy, extra functions
# and cells as you like. Below each task is a cell of tests: run it as often as you
# want. What it says is meant to help. When the assignment is graded, more tests run,
# with other inputs. Each task is graded by itself: if you are stuck, go on, and
# use the function of the package that the task names in its last line.

# %% role="setup"
import copy
import math

import numpy as np
import torch
from matplotlib import pyplot as plt

import ncsn_edu as ne
from ncsn_edu.datasets import load
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


# %% role="setup tests"
def _column(sigma, x):
    """sigma, a number or one per row, in double precision and in a shape that multiplies the rows of x."""
    sigma = torch.as_tensor(sigma, dtype=torch.float64)
    return sigma if sigma.shape == x.shape else sigma.reshape(-1, *[1] * (x.ndim - 1))


# %% [markdown]
# Images are tensors of shape (B, C, H, W), with pixels in $[0, 1]$ once they are
# dequantised. A ladder `sigmas` (L,) goes from the largest noise to the smallest. A
# **level** is a place on it: 0 is the largest noise, L - 1 the smallest. A score is
# a function `score(x, sigma)`, where `sigma` is a number, or one number per image,
# (B,); it returns the shape of `x`.
#
# ## Task 1 · Images as a density (2 points)
#
# Stored images are bytes, and a density over whole numbers is a comb of spikes.
# *Uniform dequantisation* spreads each of the 256 values over a cell of its own: a
# byte $v$ becomes a point of the interval from $v/256$ to $(v+1)/256$. The random
# number $u$ in $[0, 1)$ says where in the interval: 0 is its left end. To make
# the task testable, `u` is an argument.
#
# - `images`: (B, C, H, W), bytes (`torch.uint8`); `u`: (B, C, H, W), floating-point
#   numbers in $[0, 1)$
# - returns (B, C, H, W): floating-point numbers in $[0, 1)$
#
# *Stuck? `ne.batches(images, 64)` yields batches that are dequantised already, with
# random numbers of its own.*


# %% role="answer 1"
def dequantise(images, u):
    ### BEGIN SOLUTION
    return (images.float() + u) / 256
    ### END SOLUTION


# %% role="tests 1 2"
task = Task("1", stuck="batches")
answer = task.answer("dequantise")


@task.check("the first of 256 cells goes from 0 to 1/256")
def _():
    black, u = torch.zeros(1, 1, 1, 2, dtype=torch.uint8), torch.tensor([[[[0.0, 0.5]]]])
    close(answer(black, u, shape=(1, 1, 1, 2)), [[[[0.0, 0.5 / 256]]]], atol=1e-6)


@task.check("white stays below 1")
def _():
    white = torch.full((1, 1, 2, 2), 255, dtype=torch.uint8)
    x = answer(white, torch.full((1, 1, 2, 2), 0.99), shape=(1, 1, 2, 2))
    ensure((x < 1).all(), f"a white pixel became {x.max():.4f}")
    ensure((x > 0.999).all(), f"a white pixel became {x.min():.4f}, which is not where u = 0.99 puts it in its cell")


@task.check("the bytes 100 and 31")
def _():
    grey, u = torch.tensor([[[[100]], [[31]]]], dtype=torch.uint8), torch.tensor([[[[0.75]], [[0.5]]]])
    close(answer(grey, u, shape=(1, 2, 1, 1)), [[[[100.75 / 256]], [[31.5 / 256]]]], atol=1e-6)


### BEGIN HIDDEN TESTS
@task.check("all bytes, with random u", points=2)
def _():
    values = torch.arange(256, dtype=torch.uint8).view(4, 1, 8, 8)
    ends = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).repeat(1, 3, 9, 10)
    for images in (values, values.flip(0), torch.randint(256, (2, 3, 5, 6)).byte(), ends):
        u = torch.rand(images.shape)
        cells = torch.tensor(images.tolist(), dtype=torch.float64)
        close(answer(images, u, shape=images.shape), cells / 256 + u.double() / 256, atol=1e-6)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 2 · Noise of its own for each image (2 points)
#
# A noise-conditional network learns all levels at once: each image of a batch gets
# noise at a level of its own, $\tilde x_b = x_b + \sigma_{\ell_b} z_b$, where
# $\ell_b$ is the level of image $b$.
#
# - `x`, `z`: (B, C, H, W); `sigmas`: (L,), from the largest to the smallest; `level`:
#   (B,), whole numbers from 0 to L - 1
# - returns (B, C, H, W): the noisy images
#
# Mind the shapes: all pixels of an image have the same $\sigma$.
#
# *Stuck? `ne.dsm`, which Task 3 names, adds the noise by itself.*


# %% role="answer 2"
def perturb(x, sigmas, level, z):
    ### BEGIN SOLUTION
    return x + sigmas[level].view(-1, 1, 1, 1) * z
    ### END SOLUTION


# %% role="tests 2 2"
task = Task("2", stuck="dsm")
answer = task.answer("perturb")


@task.check("level 0 is the largest noise")
def _():
    x, z = torch.zeros(2, 1, 3, 3), torch.arange(18.0).view(2, 1, 3, 3)
    noisy = answer(x, torch.tensor([300.0, 0.5]), torch.tensor([0, 0]), z, shape=x.shape)
    close(noisy, 300 * z)


@task.check("two images, two levels")
def _():
    x, z = torch.ones(2, 1, 2, 3), torch.ones(2, 1, 2, 3)
    noisy = answer(x, torch.tensor([3.0, 0.5]), torch.tensor([1, 0]), z, shape=x.shape)
    close(noisy[0], torch.full((1, 2, 3), 1.5), what="the image at level 1")
    close(noisy[1], torch.full((1, 2, 3), 4.0), what="the image at level 0")


@task.check("three images of three channels, and only the second gets noise")
def _():
    x, z = torch.rand(3, 3, 2, 3), torch.randn(3, 3, 2, 3)
    noisy = answer(x, torch.tensor([2.0, 0.4, 0.0]), torch.tensor([2, 1, 2]), z, shape=x.shape)
    close(noisy[[0, 2]], x[[0, 2]], what="the images at level 2, where sigma is 0,")
    close((noisy[1] - x[1]) / 0.4, z[1], atol=1e-4, what="the noise of the image at level 1, divided by 0.4,")


### BEGIN HIDDEN TESTS
@task.check("many images of several shapes, levels in any order", points=2)
def _():
    for shape in ((6, 1, 8, 8), (8, 1, 8, 8), (3, 3, 3, 3), (1, 2, 4, 5), (7, 3, 4, 7), (5, 4, 6, 2)):
        x, z, sigmas = torch.rand(shape), torch.randn(shape), 4 * torch.rand(5).sort(descending=True).values
        sigmas = sigmas * torch.logspace(2, -3, 5)
        level = torch.randint(5, shape[:1])
        rows = [x[b].double() + float(sigmas[int(level[b])]) * z[b].double() for b in range(shape[0])]
        close(answer(x, sigmas, level, z, shape=shape), torch.stack(rows))


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 3 · The loss (3 points)
#
# Denoising score matching with the weight $\lambda(\sigma) = \sigma^2$ (Song & Ermon
# 2019, equations 5 and 6) costs, for one image $x$ at the level with noise $\sigma$,
#
# $$ \frac{\sigma^2}{2} \left\| s(\tilde x, \sigma) + \frac{\tilde x - x}{\sigma^2} \right\|^2 ,
#    \qquad \tilde x = x + \sigma z . $$
#
# The square of the norm is a sum over **all** pixels and channels. A score that is
# zero everywhere costs $\frac12 \|z\|^2$, which is $D/2$ on average.
#
# - `score`: a function; `x`, `z`: (B, C, H, W); `sigmas`: (L,); `level`: (B,)
# - returns (B,): the loss of each image
#
# Call `score` with $\tilde x$, and with each image's own $\sigma$ (not its level). Do
# not draw random numbers: all the noise is in `z`. You may use your function of
# Task 2. Right numbers earn 2 of the points. The third is for a loss that can be
# trained with: where `score` is a PyTorch module, PyTorch must be able to
# differentiate the loss with respect to the module's parameters.
#
# *Stuck? `ne.dsm(score, x, sigmas[level])` lets you continue. It draws its own noise.*


# %% role="answer 3"
def ncsn_loss(score, x, sigmas, level, z):
    ### BEGIN SOLUTION
    sigma = sigmas[level]
    s = score(perturb(x, sigmas, level, z), sigma)
    return 0.5 * (sigma.view(-1, 1, 1, 1) * s + z).flatten(1).square().sum(1)
    ### END SOLUTION


# %% role="tests 3 3"
task = Task("3", stuck="dsm")
answer = task.answer("ncsn_loss")


@task.check("a score of zero costs half of the noise's square")
def _():
    x, z = torch.rand(2, 1, 2, 3), torch.ones(2, 1, 2, 3)
    losses = answer(Given(lambda x, sigma: 0 * x), x, torch.tensor([2.0, 0.1]), torch.tensor([0, 1]), z)
    close(losses, [3.0, 3.0], what="the loss of six pixels with z = 1")


@task.check("if all images are black, the score -x / sigma^2 points straight back, and costs nothing")
def _():
    x, z = torch.zeros(3, 1, 2, 2), torch.randn(3, 1, 2, 2)
    score = Given(lambda x, sigma: -x / _column(sigma, x) ** 2)
    close(answer(score, x, torch.tensor([1.0, 0.2]), torch.tensor([0, 1, 0]), z, shape=(3,)), [0, 0, 0], atol=1e-4)


@task.check("a score of 1 everywhere, and no noise: sigma 200 costs 20000 for each pixel, sigma 0.02 costs 0.0002")
def _():
    x, z = torch.rand(3, 2, 1, 3), torch.zeros(3, 2, 1, 3)
    losses = answer(Given(lambda x, sigma: 0 * x + 1), x, torch.tensor([200.0, 0.02]), torch.tensor([1, 0, 1]), z)
    close(losses, [0.0012, 120_000.0, 0.0012], what="the loss of six pixels")


### BEGIN HIDDEN TESTS
task.uses(perturb=Given(lambda x, sigmas, level, z: x + _column(sigmas[level.long()], x) * z))


@task.check("another score, images of several shapes, each at a level of its own", points=2)
def _():
    def bent(x, sigma):
        sigma = _column(sigma, x)
        return (0.4 - x) / (0.3 + sigma**2) + (1 + sigma) * torch.sin(x) / sigma

    for shape in ((16, 1, 8, 8), (3, 3, 3, 3), (1, 2, 4, 5), (5, 3, 2, 7)):
        x, z, sigmas = torch.rand(shape), torch.randn(shape), torch.tensor([40.0, 2.0, 0.5, 0.004])
        level, expected = torch.randint(4, shape[:1]), []
        level[0] = 2
        for b in range(shape[0]):
            sigma, noise = float(sigmas[int(level[b])]), z[b].double()
            s = bent((x[b].double() + sigma * noise)[None], sigma)[0]
            expected.append(0.5 * sigma**2 * ((s + noise / sigma) ** 2).sum())
        close(answer(Given(bent), x, sigmas, level, z, shape=shape[:1]), torch.stack(expected), rtol=1e-3, atol=1e-4)


@task.check("the slope with respect to a parameter of the score", points=1, beyond=True)
def _():
    class Pull(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.strength = torch.nn.Parameter(torch.tensor(0.7))

        def forward(self, x, sigma):
            return -self.strength * x / (0.5 + _column(sigma, x).to(x) ** 2)

    task.uses(perturb=lambda x, sigmas, level, z: x + _column(sigmas[level], x).to(x) * z)
    x, z, sigmas, level = torch.rand(5, 1, 4, 4), torch.randn(5, 1, 4, 4), ne.geometric(1, 0.1, 3), torch.arange(5) % 3
    sigma = _column(sigmas[level], x)
    noisy = x + sigma * z
    unit = -sigma * noisy / (0.5 + sigma**2)  # sigma s = strength * unit
    weight = torch.rand(5)  # so that each image's own slope counts
    expected = (weight * ((0.7 * unit + z) * unit).flatten(1).sum(1)).sum()
    pull = Pull()
    losses = task.value("ncsn_loss")(pull, x, sigmas, level, z)
    ensure(isinstance(losses, torch.Tensor) and losses.requires_grad, "the loss has lost the path back to the score")
    (weight * losses).sum().backward()
    close(pull.strength.grad, expected, rtol=1e-3, what="the slope")
    ensure(pull.training and pull.strength.requires_grad, "the module was taken out of training")


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 4 · One step of training (3 points)
#
# A step of stochastic gradient descent: evaluate the loss of the batch, differentiate
# its **mean** with respect to the parameters, let the optimiser make one step.
#
# - `model`: a `torch.nn.Module`; `optimiser`: a `torch.optim` optimiser of its
#   parameters; `loss_function(model, x)`: returns the losses (B,) of a batch `x`
# - returns a number: the mean loss, as it was **before** the step
#
# Some things must hold besides. Gradients that are left in the parameters from before
# the call must not count. What is returned must be a number (or a tensor without a
# history): a list of losses that drags all their graphs along fills the memory. Call
# `loss_function` once, for it draws new noise whenever it is called, and leave the
# random numbers alone: a seed would make it the same noise in each step. And the next
# step finds the model as this one did: in training mode, with no parameter frozen.
# The step itself earns 2 of the points, these demands the third.
#
# *Stuck? `ncsn_edu.training.train(model, batches, objective=loss_function, n_steps=1)`, after
# `import ncsn_edu.training`, makes such steps, with Adam.*


# %% role="answer 4"
def training_step(model, optimiser, loss_function, x):
    ### BEGIN SOLUTION
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    loss.backward()
    optimiser.step()
    return loss.item()
    ### END SOLUTION


# %% role="setup tests"
class _Slope(torch.nn.Module):
    """x -> w x, one parameter, to test steps of training with."""

    def __init__(self, w):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(float(w)))

    def forward(self, x):
        return self.w * x


def _misfit(model, x):
    """Losses (B,) that are zero where w = 3; the slope of their mean is (w - 3) times the mean of x^2."""
    return 0.5 * (model(x) - 3 * x) ** 2


# %% role="tests 4 3"
import copy

task = Task("4", stuck="training.train")
answer = task.answer("training_step")


@task.check("one step of gradient descent")
def _():
    model = _Slope(1.0)
    loss = answer(model, torch.optim.SGD(model.parameters(), lr=0.1), _misfit, torch.tensor([1.0, 2.0]))
    close(model.w, 1.5, what="w after the step")
    ensure(loss.numel() == 1, f"what was returned has shape {tuple(loss.shape)}, and is no single number")
    close(loss.reshape(()), 5.0, what="the mean loss")


@task.check("one step for a batch that is a thousand times as large, and for one of a thousandth")
def _():
    for size in (1000.0, 0.001):
        model, x = _Slope(1.0), size * torch.tensor([1.0, 2.0])
        loss = answer(model, torch.optim.SGD(model.parameters(), lr=0.1 / size**2), _misfit, x)
        close(model.w, 1.5, what=f"w after a step with numbers of about {size:g}")
        close(loss.reshape(()) / size**2, 5.0, what=f"the mean loss, in units of {size**2:g},")


@task.check("this model is right after one step, and a second one should not move it")
def _():
    model = _Slope(1.0)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.4)
    for _ in range(2):
        answer(model, optimiser, _misfit, torch.tensor([1.0, 2.0]))
    close(model.w, 3.0, what="w after the second step")


@task.check("two steps with momentum 0.5")
def _():
    model = _Slope(1.0)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    for _ in range(2):
        answer(model, optimiser, _misfit, torch.tensor([1.0, 2.0]))
    close(model.w, 2.125, what="w after the second step")  # 1, 1.5, 1.5 + 0.1 (3.75 + 0.5 * 5)


### BEGIN HIDDEN TESTS
def _net(normed=False):
    """Three numbers to one, with several parameters."""
    norm = torch.nn.BatchNorm1d(4) if normed else torch.nn.Identity()
    return torch.nn.Sequential(torch.nn.Linear(3, 4), norm, torch.nn.Tanh(), torch.nn.Linear(4, 1))


def _off(model, x):
    """Losses (B,): how far the model is from the product of the first two numbers."""
    return (model(x)[:, 0] - x[:, 0] * x[:, 1]) ** 2


def _reference(model, optimiser, x):
    optimiser.zero_grad()
    loss = _off(model, x).mean()
    loss.backward()
    optimiser.step()
    return float(loss)


def _alike(model, twin):
    for (name, value), other in zip(model.state_dict().items(), twin.state_dict().values(), strict=True):
        close(value, other, rtol=1e-3, what=f"{name} of the model after the step")


@task.check("five steps with batches of several sizes, by several optimisers", points=2)
def _():
    for make in (
        lambda p: torch.optim.SGD(p, lr=0.03),
        lambda p: torch.optim.SGD(p, lr=0.25, momentum=0.8, weight_decay=0.1),
        lambda p: torch.optim.Adam(p, lr=0.02),
        lambda p: torch.optim.SGD([{"params": p[:2], "lr": 0.2}, {"params": p[2:]}], lr=0.07),
    ):
        model = _net()
        twin = copy.deepcopy(model)
        optimiser, other = make(list(model.parameters())), make(list(twin.parameters()))
        for n in (1, 4, 2, 7, 3):
            x = torch.randn(n, 3)
            loss = answer(model, optimiser, _off, x)
            ensure(loss.numel() == 1, f"what was returned has shape {tuple(loss.shape)}, and is no single number")
            expected = _reference(twin, other, x)
            close(loss.reshape(()), expected, rtol=1e-3, what="the mean loss before the step")
            _alike(model, twin)
    for size in (5e-4, 700.0):
        model, x = _Slope(-1.0), size * torch.tensor([1.0, 2.0, -1.0])
        loss = answer(model, torch.optim.SGD(model.parameters(), lr=0.1 / size**2), _misfit, x)
        close(model.w, -0.2, what=f"w after a step with numbers of about {size:g}")
        close(
            loss.reshape(()) / size**2, 16.0, rtol=1e-3, what="the mean loss before the step, in units of their square"
        )


@task.check(
    "old gradients, one call of the loss, no history, and the model ready for the next step", points=1, beyond=True
)
def _():
    model, calls = _Slope(1.0), []
    model.w.grad = torch.tensor(100.0)

    def counted(model, x):
        calls.append(torch.rand(3).tolist() + np.random.rand(3).tolist())
        return _misfit(model, x)

    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = task.value("training_step")(model, optimiser, counted, torch.tensor([1.0, 2.0]))
    close(model.w, 1.5, what="w after a step, with an old gradient in it before,")
    ensure(len(calls) == 1, f"the loss was called {len(calls)} times in one step")
    ensure(not getattr(loss, "requires_grad", False), "what is returned still holds the graph of the loss")
    task.value("training_step")(model, optimiser, counted, torch.tensor([1.0, 2.0]))
    ensure(calls[0][0] != calls[1][0] and calls[0][3] != calls[1][3], "the loss draws the same noise in each step")

    model = _net(normed=True)
    twin = copy.deepcopy(model)
    optimisers = [torch.optim.SGD(net.parameters(), lr=0.1) for net in (model, twin)]
    for _ in range(2):
        x = torch.randn(6, 3)
        task.value("training_step")(model, optimisers[0], _off, x)
        _reference(twin, optimisers[1], x)
        ensure(all(part.training for part in model.modules()), "the model is in evaluation mode after the step")
        ensure(all(p.requires_grad for p in model.parameters()), "parameters of the model are frozen after the step")
        _alike(model, twin)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 5 · An average of the weights (3 points)
#
# Training with a constant learning rate leaves the weights trembling. NCSNv2 (Song &
# Ermon 2020, technique 5) samples with a copy of the network that follows slowly,
#
# $$ \theta' \;\leftarrow\; m\, \theta' + (1 - m)\, \theta, $$
#
# where $\theta$ are the parameters of the model, $\theta'$ those of the copy, and the
# decay $m$ is near 1, such as 0.999.
#
# - `ema_model`, `model`: two networks of the same build; `decay`: $m$
# - changes `ema_model`; what is returned does not matter. `model` stays as it is, in its
#   mode of training and with nothing frozen.
#
# Two demands beyond the formula. **Buffers**, which are the tensors of a network that
# are not parameters, such as counters and running statistics, are not averaged: they
# are **copied** as they are (some of them are whole numbers). And PyTorch must not
# record a graph of the averaging, or the graph grows with every step. The formula
# earns 2 of the points, the two demands the third.
#
# *Stuck? `ncsn_edu.training.EMA(model, decay)`, after `import ncsn_edu.training`, keeps such
# a copy, and its `update(model)` does what is asked for here.*


# %% role="answer 5"
def ema_update(ema_model, model, decay):
    ### BEGIN SOLUTION
    with torch.no_grad():
        for average, value in zip(ema_model.parameters(), model.parameters(), strict=True):
            average.mul_(decay).add_(value, alpha=1 - decay)
        for average, value in zip(ema_model.buffers(), model.buffers(), strict=True):
            average.copy_(value)
    ### END SOLUTION


# %% role="tests 5 3"
task = Task("5", stuck="training.EMA")


@task.check("half-way between 1 and 3")
def _():
    ema, model = _Slope(1.0).requires_grad_(False), _Slope(3.0)
    task.value("ema_update")(ema, model, 0.5)
    close(ema.w, 2.0, what="the parameter of the copy")


@task.check("with a decay of 0.999 the copy hardly moves, and with a decay of 0 it becomes the model")
def _():
    for decay, wanted in ((0.999, 1.002), (0.0, 3.0)):
        ema, model = _Slope(1.0).requires_grad_(False), _Slope(3.0)
        task.value("ema_update")(ema, model, decay)
        ensure(float(ema.w) != 1, "the copy has not moved at all")
        close(ema.w, wanted, what="the parameter of the copy")
        close(model.w, 3.0, what="the parameter of the model")


@task.check("a network of two layers, the first one frozen, all ones in the copy, with a decay of 0.75")
def _():
    ema, model = (torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)) for _ in range(2))
    model[0].requires_grad_(False)
    for value in ema.requires_grad_(False).parameters():
        value.fill_(1.0)
    task.value("ema_update")(ema, model, 0.75)
    for (name, value), new in zip(ema.named_parameters(), model.parameters(), strict=True):
        close(value, 0.75 + 0.25 * new, what=f"{name} of the copy")


### BEGIN HIDDEN TESTS
class _Normed(torch.nn.Module):
    """Parameters of several shapes, and buffers, one of them of whole numbers."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Conv2d(3, 1, 1))
        self.gain = torch.nn.Parameter(torch.rand(2))
        self.register_buffer("ladder", torch.rand(4))

    def scramble(self):
        with torch.no_grad():
            for value in self.parameters():
                value.normal_()
            for value in self.buffers():
                value.random_(3, 1000)
                if value.is_floating_point():
                    value.div_(7)


def _floats(named):
    return {name: value.detach().double().clone() for name, value in named}


@task.check("six updates of a network with several layers, several decays", points=2)
def _():
    for decay in (0.9, 0.35, 0.0, 0.9995, 1.0):
        model, ema = _Normed(), _Normed().requires_grad_(False)
        model.body[2].requires_grad_(decay != 0.9)  # also where a layer is frozen
        expected = _floats(ema.named_parameters())
        for _ in range(6):
            model.scramble()
            before = _floats(model.named_parameters())
            task.value("ema_update")(ema, model, decay)
            after, averages = _floats(model.named_parameters()), _floats(ema.named_parameters())
            for name, value in before.items():
                close(after[name], value, what=f"{name} of the model after the update")
                expected[name] = decay * expected[name] + (1 - decay) * value
                close(averages[name], expected[name], what=f"{name} of the copy")
        model.scramble()  # what happens to the model later is nothing to the copy
        averages = _floats(ema.named_parameters())
        for name, value in expected.items():
            close(averages[name], value, what=f"{name} of the copy, once the model has changed,")


@task.check("buffers are copied, and no graph is recorded", points=1, beyond=True)
def _():
    model, ema = _Normed(), _Normed().requires_grad_(False)
    for _ in range(2):
        model.scramble()
        wanted = _floats(model.named_buffers())
        task.value("ema_update")(ema, model, 0.9)
        now, copies = _floats(model.named_buffers()), _floats(ema.named_buffers())
        for name, value in wanted.items():
            close(now[name], value, what=f"the buffer {name} of the model")
            close(copies[name], value, what=f"the buffer {name} of the copy")
    for name, value in [*ema.named_parameters(), *ema.named_buffers()]:
        ensure(value.grad_fn is None, f"{name} of the copy drags a graph along")
    kinds = {name: value.dtype for name, value in model.named_buffers()}
    for name, value in ema.named_buffers():
        ensure(value.dtype == kinds[name], f"the buffer {name} of the copy has become {value.dtype}")
    copies = _floats(ema.named_buffers())
    model.scramble()
    for name, value in ema.named_buffers():
        close(value, copies[name], what=f"the buffer {name} of the copy, once the model has changed,")
    ensure(all(part.training for part in model.modules()), "the model is in evaluation mode after the update")
    ensure(all(value.requires_grad for value in model.parameters()), "the model is frozen after the update")


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 6 · The loop (2 points)
#
# Now all of it in a row: for every batch one step of training, and **after** the
# optimiser's step one update of the average. (An average that is updated before it
# lags a step behind.)
#
# - `model`, `ema_model`, `optimiser`, `loss_function`, `decay`: as in Tasks 4 and 5;
#   `batches`: anything that can be looped over, once
# - returns a list of numbers: the mean loss of each batch, as it was before its step;
#   changes `model` and `ema_model`
#
# You may use your functions of Tasks 4 and 5.
#
# *Stuck? `ncsn_edu.training.train(model, batches, objective=ne.Denoising(sigmas),
# n_steps=n, ema=decay)` lets you continue, after `import ncsn_edu.training`. Notebook 10
# shows its inside.*


# %% role="answer 6"
def train(model, ema_model, optimiser, loss_function, batches, decay):
    ### BEGIN SOLUTION
    losses = []
    for x in batches:
        losses.append(training_step(model, optimiser, loss_function, x))
        ema_update(ema_model, model, decay)
    return losses
    ### END SOLUTION


# %% role="tests 6 2"
import copy

task = Task("6", stuck="training.train")
answer = task.answer("train")


@task.check("one batch: a step, then the average of what was and what is")
def _():
    model, ema = _Slope(1.0), _Slope(2.0).requires_grad_(False)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = answer(model, ema, optimiser, _misfit, [torch.tensor([1.0, 2.0])], 0.8)
    close(losses.reshape(-1), [5.0], what="the list of losses")
    close(model.w, 1.5, what="w of the model")
    close(ema.w, 1.9, what="w of the copy, which was 2,")


@task.check("one loss for each batch")
def _():
    model, ema = _Slope(1.0), _Slope(1.0).requires_grad_(False)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    noise = []

    def noisy(model, x):
        noise.append(float(torch.rand(())))
        return _misfit(model, x)

    losses = task.value("train")(model, ema, optimiser, noisy, [torch.tensor([1.0, 2.0])] * 40, 0.9)
    ensure(len(losses) == 40, f"forty batches gave {len(losses)} losses")
    close(ema.w, 2.9557, atol=2e-3, what="w of the copy after forty steps")
    history = any(getattr(loss, "requires_grad", False) for loss in losses)
    ensure(not history, "the losses are no plain numbers: each of them holds its graph")
    ensure(len(set(noise)) == len(noise), "a loss that draws random numbers got the same ones in several steps")


@task.check("two batches: two steps, and two updates of the average")
def _():
    model, ema = _Slope(1.0), _Slope(2.0).requires_grad_(False)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.4)
    batches = iter([torch.tensor([1.0]), torch.tensor([0.5, 0.5])])
    losses = answer(model, ema, optimiser, _misfit, batches, 0.75)
    close(losses.reshape(-1), [2.0, 0.18], what="the list of losses")
    close(model.w, 1.92, what="w of the model")  # 1, 1.8, 1.92
    close(ema.w, 1.9425, what="w of the copy")  # 2, 1.95, 1.9425


### BEGIN HIDDEN TESTS
def _right_step(model, optimiser, loss_function, x):
    optimiser.zero_grad()
    loss = loss_function(model, x).mean()
    loss.backward()
    optimiser.step()
    return loss.item()


@torch.no_grad()
def _right_ema(ema_model, model, decay):
    for average, value in zip(ema_model.parameters(), model.parameters(), strict=True):
        average.lerp_(value, 1 - decay)


task.uses(training_step=_right_step, ema_update=_right_ema)


@task.check("losses, weights and averages over several batches", points=2)
def _():
    for n, decay, lr in ((1, 0.2, 0.2), (5, 0.6, 0.05), (12, 0.9, 0.3), (60, 0.97, 0.4)):
        batches, w, average, expected = [0.5 + torch.rand(1 + i % 4) for i in range(n)], -1.0, 4.0, []
        model, ema = _Slope(w), _Slope(average).requires_grad_(False)
        for x in batches:
            size = float(x.double().square().mean())
            expected.append(0.5 * size * (w - 3) ** 2)
            w -= lr * size * (w - 3)
            average = decay * average + (1 - decay) * w
        optimiser = torch.optim.SGD(model.parameters(), lr=lr)
        losses = answer(model, ema, optimiser, _misfit, iter([x.clone() for x in batches]), decay)
        ensure(losses.numel() == n, f"{n} batches gave {losses.numel()} losses")
        close(losses.reshape(-1), expected, what="the list of losses", rtol=1e-3)
        close(model.w, w, what="w of the model after the last batch")
        close(ema.w, average, what="w of the copy after the last batch")

    model, twin, noise = _Slope(0.5), _Slope(0.5), []
    ema, other = copy.deepcopy(model).requires_grad_(False), copy.deepcopy(twin).requires_grad_(False)

    def noisy(model, x):
        noise.append(torch.rand(2).tolist())
        return _misfit(model, x)

    optimisers = [torch.optim.Adam(net.parameters(), lr=0.3) for net in (model, twin)]
    batches = [torch.randn(3) for _ in range(6)]
    losses = task.value("train")(model, ema, optimisers[0], noisy, batches, 0.7)
    expected = []
    for x in batches:
        expected.append(_right_step(twin, optimisers[1], _misfit, x))
        _right_ema(other, twin, 0.7)
    close([float(loss) for loss in losses], expected, rtol=1e-3, what="the list of losses, with Adam,")
    close(ema.w, other.w, rtol=1e-3, what="w of the copy, with Adam,")
    ensure(not any(getattr(loss, "requires_grad", False) for loss in losses), "the losses still hold their graphs")
    ensure(len(noise) == 6, f"the loss was called {len(noise)} times for six batches")
    ensure(len({draw[0] for draw in noise}) == 6, "the loss draws the same noise in several steps")


### END HIDDEN TESTS
task.done()

# %% [markdown]
# Your functions at work: a small network (a perceptron, not the network of the paper)
# learns digits for a second or two. The loss begins at $D/2 = 32$, as that of the zero
# score does, and should come down to about 20. (The network of the paper gets below
# 10.) If it does not, one of the Tasks 1 to 6 has something to say.


# %%
class Perceptron(torch.nn.Module):
    def __init__(self):
        super().__init__()
        layers = [torch.nn.Linear(65, 128), torch.nn.SiLU(), torch.nn.Linear(128, 128), torch.nn.SiLU()]
        self.layers = torch.nn.Sequential(*layers, torch.nn.Linear(128, 64))

    def forward(self, x, sigma):
        sigma = torch.as_tensor(sigma).reshape(-1, 1).expand(len(x), 1)
        flat = (x.flatten(1) - 0.3) / (0.1 + sigma**2).sqrt()
        return (self.layers(torch.cat([flat, sigma.log()], 1)) / sigma).view_as(x)


def digit_batches(n):
    pictures = load("digits")[0]
    for _ in range(n):
        chosen = pictures[torch.randint(len(pictures), (64,))]
        yield dequantise(chosen, torch.rand(chosen.shape))


def digit_loss(network, x):
    return ncsn_loss(network, x, ne.geometric(1, 0.01, 10), torch.randint(10, (len(x),)), torch.randn(x.shape))


torch.manual_seed(0)
perceptron = Perceptron()
follower = copy.deepcopy(perceptron).requires_grad_(False)
adam = torch.optim.Adam(perceptron.parameters(), lr=2e-3)
curve = train(perceptron, follower, adam, digit_loss, digit_batches(300), 0.99)
print(f"loss of the first ten batches {np.mean(curve[:10]):.1f}, of the last ten {np.mean(curve[-10:]):.1f}")

# %% [markdown]
# ## Task 7 · Samples (3 points)
#
# Algorithm 1 of Song & Ermon 2019, for images. Start from **uniform** noise on
# $[0, 1]$ in every pixel. Go down the ladder, at level $i$ with the step
# $\alpha_i = \epsilon\, \sigma_i^2 / \sigma_L^2$, and make $T$ Langevin steps at
# each level:
#
# $$ x \;\leftarrow\; x + \frac{\alpha_i}{2}\, s(x, \sigma_i) + \sqrt{\alpha_i}\, z,
#    \qquad z \sim \mathcal N(0, I) . $$
#
# At the very end make one denoising step, without noise:
# $x \leftarrow x + \sigma_L^2\, s(x, \sigma_L)$. Never cut $x$ off to $[0, 1]$, not
# even at the end: that belongs to the display.
#
# - `score`: a function; `sigmas`: (L,), from the largest to the smallest; `n`: how many
#   images; `shape`: of one image, such as `(1, 8, 8)`; `eps`: $\epsilon$;
#   `n_steps_each`: $T$
# - returns (n, C, H, W): the images
#
# Where the chains end, by mean and spread, earns one of the points, and the last
# denoising step another. The third is for start and noise themselves: uniform and
# Gaussian, and drawn anew for each pixel, image, step and call.
#
# *Stuck? `ne.last(ne.annealed_langevin(score, torch.rand(n, *shape), sigmas, eps=eps,
# n_steps_each=n_steps_each, denoising=True))` lets you continue.*


# %% role="answer 7"
def sample(score, sigmas, n, shape, eps, n_steps_each):
    ### BEGIN SOLUTION
    x = torch.rand(n, *shape)
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
    return x + sigma**2 * score(x, sigma)
    ### END SOLUTION


# %% role="tests 7 3"
task = Task("7", stuck="annealed_langevin langevin")
answer = task.answer("sample")


@task.check("one evaluation a step, from the first level to the last, and one for the end")
def _():
    heard = []

    def score(x, sigma):
        heard.append(float(torch.as_tensor(sigma).reshape(-1)[0]))
        return 0 * x

    score = Given(score)
    answer(score, torch.tensor([1.0, 0.5, 0.2]), 6, (3, 1, 2), 1e-3, 4, shape=(6, 3, 1, 2))
    ensure(score.rows == 78, f"3 levels of 4 steps, and the end, for 6 images: {score.rows} evaluations, and not 78")
    ensure(abs(heard[0] - 1) < 1e-6, f"the first score is that of sigma {heard[0]:.3g}, and not of the first level, 1")
    ensure(
        abs(heard[-1] - 0.2) < 1e-6, f"the last score is that of sigma {heard[-1]:.3g}, and not of the last level, 0.2"
    )


@task.check("many images around one grey value come out about as that")
def _():
    score = Given(lambda x, sigma: (0.7 - x) / (0.04 + _column(sigma, x) ** 2))
    x = answer(score, ne.geometric(1, 0.1, 6), 50, (1, 4, 3), 0.006, 10, shape=(50, 1, 4, 3))
    ensure(abs(x.mean() - 0.7) < 0.1, f"their mean is {x.mean():.2f}, and 0.70 was expected")
    ensure(x.std() < 0.4, f"their standard deviation is {x.std():.2f}, and should be small")


def _start(shape):
    """Two calls without a score and with hardly any step: where the chains begin."""
    zero = Given(lambda x, sigma: 0 * x)
    return [answer(zero, torch.tensor([0.5]), shape[0], shape[1:], 1e-16, 1, shape=shape) for _ in range(2)]


@task.check("without a score, and with tiny steps, the start is left: uniform, and new for each pixel, image and call")
def _():
    calls = _start((60, 2, 5, 6))
    x = torch.stack(calls)
    ensure(x.min() > -1e-3 and x.max() < 1.001, f"the start goes from {x.min():.2f} to {x.max():.2f}")
    plausible(p_mean(x.flatten(), 0.5, math.sqrt(1 / 12)), f"the mean of the start is {x.mean():.3f}")
    ensure(abs(x.std() - 0.289) < 0.03, f"the standard deviation of the start is {x.std():.3f}, and not 0.289")
    fresh_noise(*(torch.special.ndtri(x.clamp(1e-9, 1 - 1e-9)) for x in calls), what="the start, as Gaussian numbers,")


def _steps(shape):
    """The noise of a single step without a score, so large that nothing is left of the start, in two calls."""
    zero = Given(lambda x, sigma: 0 * x)
    return [answer(zero, torch.tensor([0.7]), shape[0], shape[1:], 1e16, 1, shape=shape) / 1e8 for _ in range(2)]


@task.check("the noise of the steps: Gaussian, and new for each pixel, image and call")
def _():
    fresh_noise(*_steps((70, 2, 6, 5)), what="the noise of a step")


@task.check("a score of 1 or 1000 everywhere: what all steps and the last one do to mean and spread")
def _():
    variance = 1 / 12 + 1.7  # the steps have alpha 0.8, 0.8, 0.05 and 0.05 on both ladders
    for s, sigmas, mean in ((1, [2.0, 0.5], 1.6), (1000, [0.04, 0.01], 850.6)):
        score = Given(lambda x, sigma, s=s: 0 * x + s)
        x = answer(score, torch.tensor(sigmas), 400, (2, 3, 5), 0.05, 2, shape=(400, 2, 3, 5))
        said = f"a score of {s}: the mean at the end is {x.mean():.3f}, and {mean:.3f} was expected"
        plausible(p_mean(x.flatten(), mean, math.sqrt(variance)), said, of=8)
        spread = (x - mean).square().mean()
        said = f"a score of {s}: the variance at the end is {spread:.3f}, and {variance:.3f} was expected"
        plausible(p_variance(x.flatten(), variance, mean), said, of=8)
        said = "different images have the same noise"
        plausible(p_variance(x.mean(0).flatten(), variance / 400, mean), said, of=8)
        said = "the pixels of an image have the same noise"
        plausible(p_variance(x.flatten(1).mean(1), variance / 30, mean), said, of=8)


@task.check("a single image")
def _():
    ones = [z for _ in range(40) for z in _steps((1, 1, 2, 3))]
    said = "the noise of a step is too small, or the same in its mean or size from call to call"
    plausible(p_scatter(torch.stack(ones).flatten(1)), said)


### BEGIN HIDDEN TESTS
_SHAPE = (3, 2, 5)
_MEANS = torch.linspace(-1, 3, 30, dtype=torch.float64)[torch.arange(30) * 7 % 30].view(_SHAPE)


def _gaussian(v):
    """The score of images whose pixels are independent, with means _MEANS and variance v."""
    return Given(lambda x, sigma: (_MEANS - x) / (v + _column(sigma, x) ** 2))


def _moments(v, sigmas, eps, n_steps_each, denoised):
    """Means and variance of each pixel after Algorithm 1, exactly."""
    mean, variance = torch.full_like(_MEANS, 0.5), 1 / 12
    for sigma in sigmas:
        alpha = eps * sigma**2 / sigmas[-1] ** 2
        for _ in range(n_steps_each):
            keep = 1 - alpha / 2 / (v + sigma**2)
            mean, variance = _MEANS + keep * (mean - _MEANS), keep**2 * variance + alpha
    keep = v / (v + sigmas[-1] ** 2) if denoised else 1.0
    return _MEANS + keep * (mean - _MEANS), keep**2 * variance


def _lawful():
    from scipy.stats import chi2

    n = 800
    for v, sigmas, c, n_steps_each in (
        (0.2, [1.0, 0.4, 0.15], 0.6, 3),
        (1.0, [2.0, 0.5], 1.5, 2),
        (0.05, [0.9, 0.8, 0.3, 0.25], 0.9, 1),
        (1e-3, [0.05, 0.02, 0.01], 0.6, 2),
    ):
        eps = c * sigmas[-1] ** 2
        x, found = answer(_gaussian(v), torch.tensor(sigmas), n, _SHAPE, eps, n_steps_each, shape=(n, *_SHAPE)), []
        for denoised in (True, False):  # the last denoising step does not count here
            means, variance = _moments(v, sigmas, eps, n_steps_each, denoised)
            off = x - means
            said = f"sigmas {sigmas}: the variance of a pixel is {off.square().mean():.4f} and not {variance:.4f}"
            laws = [(p_variance(off, variance), said)]
            shift = off.mean(0)
            said = f"sigmas {sigmas}: the means of the pixels are off by {shift.abs().max():.3f} at most"
            twice = 2 * variance / n  # as if the noise were repeated, which is for the next check to find
            laws.append((float(chi2.sf(float(shift.square().sum()) / twice, shift.numel())), said))
            said = f"sigmas {sigmas}: the pixels of an image move together"
            laws.append((p_variance(off.flatten(1).mean(1), variance / shift.numel()), said))
            found.append(min(laws))
        plausible(max(found)[0], found[0][1])
    start = _start((300, *_SHAPE))[0]
    plausible(p_normal(torch.special.ndtri(start.clamp(1e-9, 1 - 1e-9))), "the start is not uniform")
    plausible(p_variance(start.flatten(1).mean(1), 1 / 12 / 30, 0.5), "pixels of an image have the same start")


@task.check("start and chain: where pixels of known mean and variance end", points=1)
def _():
    _lawful()


@task.check("start and noise: new for each pixel, image and call", points=1, beyond=True)
def _():
    fresh_noise(*(torch.special.ndtri(x.clamp(1e-9, 1 - 1e-9)) for x in _start((70, 3, 3, 7))), what="the start")
    fresh_noise(*_steps((90, 3, 4, 6)), what="the noise of a step")
    ones = [z for _ in range(40) for z in _steps((1, 2, 1, 3))]
    said = "with one image the noise of a step is too small, or the same in its mean or size from call to call"
    plausible(p_scatter(torch.stack(ones).flatten(1)), said)


@task.check("the end, after a right chain: if all images are alike, the last step returns just that image", points=1)
def _():
    _lawful()
    for sigmas in ([1.0, 0.3, 0.1], [0.5]):
        x = answer(_gaussian(0.0), torch.tensor(sigmas), 20, _SHAPE, 0.5 * sigmas[-1] ** 2, 3, shape=(20, *_SHAPE))
        close(x, _MEANS.expand(20, *_SHAPE), atol=1e-3, what="an image")


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 8 · Inpainting (3 points)
#
# Algorithm 2 of Song & Ermon 2019. A mask $m$ says which pixels of an image $y$ are
# known: 1 where known, 0 where hidden. The chains go down the ladder as in Task 7,
# and the known pixels are kept at the noise that the level expects:
#
# > at each level $i$: draw $\tilde y = y + \sigma_i \tilde z$ **once**, of its own
# > for each chain;<br>
# > after **each** of the $T$ Langevin steps paste: $x \leftarrow x\,(1 - m) + \tilde y\, m$.
#
# - `score`: a function; `x`: (B, C, H, W), where the chains start (known pixels and
#   hidden ones: paste nothing before the first step); `sigmas`: (L,); `image`:
#   (C, H, W); `mask`: (C, H, W), 0 or 1, not always the same in all channels; `eps`,
#   `n_steps_each`: as in Task 7
# - returns (B, C, H, W): the completions after the last pasting, without a last
#   denoising step
#
# The hidden pixels of `image` may hold anything, and must have no influence. Anything
# includes NaN, "not a number", which turns up wherever an image is really damaged,
# and which spreads: $0 \cdot \text{NaN}$ is NaN. Pixels that end where they should earn
# one of the points, and a function that stands NaN another. The third is for noise that
# is Gaussian, and drawn anew for each pixel, chain and call.
#
# *Stuck? `ne.last(ne.inpaint(score, x, sigmas, image=image, mask=mask, eps=eps,
# n_steps_each=n_steps_each))` lets you continue.*


# %% role="answer 8"
def inpaint(score, x, sigmas, image, mask, eps, n_steps_each):
    ### BEGIN SOLUTION
    for sigma in sigmas.tolist():
        alpha = eps * sigma**2 / float(sigmas[-1]) ** 2
        y = image + sigma * torch.randn_like(x)
        for _ in range(n_steps_each):
            x = x + alpha / 2 * score(x, sigma) + math.sqrt(alpha) * torch.randn_like(x)
            x = torch.where(mask == 1, y, x)
    return x
    ### END SOLUTION


# %% role="tests 8 3"
task = Task("8", stuck="inpaint")
answer = task.answer("inpaint")


@task.check("what is known comes back, and what is hidden has no influence")
def _():
    x, mask = torch.rand(5, 2, 3, 4), torch.zeros(2, 3, 4)
    mask[0, :, :2] = mask[1, :, 2:] = 1  # the left half of the first channel, the right half of the second
    image = torch.where(mask == 1, torch.tensor(0.3), torch.tensor(1e6))
    score = Given(lambda x, sigma: (0.5 - x) / (0.1 + _column(sigma, x) ** 2))
    x = answer(score, x, torch.tensor([1.0, 0.1, 0.01]), image, mask, 5e-5, 3, shape=(5, 2, 3, 4))
    known = x[:, mask == 1]
    ensure((known - 0.3).abs().max() < 0.1, "the known pixels are 0.3, and some are something else at the end")
    ensure(
        x[:, mask == 0].abs().max() < 100, "the hidden pixels of the image hold a million, and it shows in the result"
    )


def _watch(high, low):
    """What a chain with three steps at each of two levels, one four times the other, does."""
    seen = []

    def watched(x, sigma):
        seen.append(x[0].clone())
        return 0 * x - 1

    start, image, mask = torch.randn(1, 2, 8, 40), torch.rand(2, 8, 40), (torch.rand(2, 8, 40) < 0.5).float()
    end = answer(Given(watched), start, torch.tensor([high, low]), image, mask, 0.1, 3, shape=start.shape)[0]
    ensure(len(seen) == 6, f"two levels of three steps asked for {len(seen)} scores")
    known, hidden = mask == 1, mask == 0
    close(seen[0], start[0], what="where the first score was asked for: x as it was given")
    for before, after, where in (
        (seen[1], seen[2], "the second step of a level"),
        (seen[1], seen[3], "the last step of a level"),
        (seen[4], seen[5], "the second step of a level"),
        (seen[4], end, "the last step of all"),
    ):
        close(after[known], before[known], what=f"after {where} a known pixel")
    first, second = (seen[1] - image)[known] / high, (end - image)[known] / low
    for level, noise in ((high, first), (low, second)):
        said = f"the noise of the known pixels at sigma {level} has the standard deviation {level * noise.std():.2g}"
        ensure(0.6 < noise.std() < 1.4, said)
    together = abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1]))
    ensure(together < 0.6, "the known pixels have the same noise at both levels, but for its size")
    for move, alpha in (((seen[1] - seen[0])[hidden], 1.6), ((end - seen[5])[hidden], 0.1)):
        said = f"in a step with alpha {alpha} hidden pixels move by {move.mean():.2f} on average"
        ensure(abs(move.mean() + alpha / 2) < 0.5 * math.sqrt(alpha), said)
        said = f"in a step with alpha {alpha} the hidden pixels spread by {move.std():.2f}"
        ensure(0.6 < move.std() / math.sqrt(alpha) < 1.4, said)


@task.check("what the score gets to see, step by step: one chain, two levels with three steps each, large and small")
def _():
    _watch(2.0, 0.5)
    _watch(0.004, 0.001)


def _one_step(shape, sigma, alpha, share):
    """The noise of a single step without a score, (B, C, H, W), from two calls; share: of the pixels that are known."""
    for _ in range(2):
        start, image, mask = torch.randn(shape), torch.rand(shape[1:]), (torch.rand(shape[1:]) < share).float()
        x = answer(Given(lambda x, sigma: 0 * x), start, torch.tensor([sigma]), image, mask, alpha, 1, shape=shape)
        yield torch.where(mask == 1, (x - image) / sigma, (x - start) / math.sqrt(alpha))


@task.check("noise of its own for each chain, pixel and call")
def _():
    for share in (0.4, 0.0, 1.0):
        fresh_noise(*_one_step((60, 2, 5, 6), 1.0, 2.0, share), of=3)
    ones = [z for _ in range(40) for z in _one_step((1, 1, 2, 3), 1.0, 2.0, 0.5)]
    said = "with one chain the noise is too small, or the same in its mean or size from call to call"
    plausible(p_scatter(torch.stack(ones).flatten(1)), said)


### BEGIN HIDDEN TESTS
_WIDTH, _CENTRE = 6, (0.4, 0.6)  # of a known pixel, and of the hidden one beside it, which is about twice as bright
_COVARIANCE = torch.tensor([[50.05, 100.0], [100.0, 200.05]], dtype=torch.float64)


def _turned(x):
    """Images (..., 2, 2, _WIDTH) with the second channel upside down: there the known pixels lie below."""
    return torch.stack([x[..., 0, :, :], x[..., 1, :, :].flip(-2)], -3)


def _pairs(x, sigma):
    """The score of images (2, 2, _WIDTH) with a known pixel beside a hidden one, the two correlated."""
    precision = torch.linalg.inv(_COVARIANCE + torch.as_tensor(sigma).reshape(-1)[0] ** 2 * torch.eye(2).double())
    off = _turned(x) - torch.tensor(_CENTRE, dtype=torch.float64)[:, None]
    return _turned(-torch.einsum("ij,bcjw->bciw", precision, off))


def _law(known, start, sigmas, c, n_steps_each):
    """Means of the hidden pixels and their variance, after Algorithm 2, exactly. start: (n, 2, 2, _WIDTH)."""
    above, mean = start.unbind(2)  # `above` is what the score sees at the known pixel
    share, own, level = torch.zeros(len(sigmas), dtype=torch.float64), 0.0, None  # of each level's z~ in the hidden one
    for i, sigma in enumerate(sigmas):
        (_, _), (pull, push) = torch.linalg.inv(_COVARIANCE + sigma**2 * torch.eye(2).double()).tolist()
        alpha = c * sigma**2
        for _ in range(n_steps_each):
            keep = 1 - alpha / 2 * push
            mean = mean - alpha / 2 * (push * (mean - _CENTRE[1]) + pull * (above - _CENTRE[0]))
            share = keep * share
            if level is not None:
                share[level] -= alpha / 2 * pull * sigmas[level]
            own = keep**2 * own + alpha
            above, level = known, i
    return mean, own + float(share.square().sum())


def _painted(sigmas, c, n_steps_each, n, hidden):
    known = torch.linspace(0.5, 2.5, 2 * _WIDTH, dtype=torch.float64).view(2, _WIDTH)
    image = _turned(torch.stack([known.float(), torch.full((2, _WIDTH), hidden)], 1))
    mask = _turned(torch.tensor([1.0, 0.0])[None, :, None].repeat(2, 1, _WIDTH))
    start, eps = -8 + 4 * torch.rand(n, 2, 2, _WIDTH), c * sigmas[-1] ** 2
    x = answer(Given(_pairs), start, torch.tensor(sigmas), image, mask, eps, n_steps_each, shape=start.shape)
    mean, variance = _law(known, _turned(start.double()), sigmas, c, n_steps_each)
    x = _turned(x)
    return [z.flatten(1) for z in ((x[:, :, 0] - known) / sigmas[-1], (x[:, :, 1] - mean) / math.sqrt(variance))]


def _standard(known, hidden, sigmas):
    """Are both (n, 2 _WIDTH) independent standard Gaussian numbers?"""
    for name, z in (("known", known), ("hidden", hidden)):
        said = f"sigmas {sigmas}: the {name} pixels have"
        ensure(torch.isfinite(z).all(), f"the {name} pixels are not finite")
        spread = z.square().mean()
        plausible(p_variance(z, 1.0), f"{said} {spread:.3f} times the variance that was expected")
        plausible(p_mean(z, 0.0, 1.0), f"{said} a mean that is {z.mean():.2f} standard deviations off")
        pairs = {"completions": (z[:-1:2], z[1::2]), "pixels": (z[:, :-1:2], z[:, 1::2])}
        for kind, (a, b) in pairs.items():
            a, b = a.flatten(), b.flatten()
            product = float((a * b).sum() / b.square().sum().sqrt())
            said = f"the {name} pixels of different {kind} move together"
            plausible(math.erfc(abs(product) / math.sqrt(2)), said)


def _lawful(hidden):
    for sigmas, c, n_steps_each in (
        ([2.0, 1.0, 0.5], 3.0, 3),
        ([0.8], 3.0, 4),
        ([1.2, 0.6], 3.0, 1),
        ([0.04, 0.02], 3.0, 2),
    ):
        _standard(*_painted(sigmas, c, n_steps_each, 1000, hidden), sigmas)


@task.check("known and hidden pixels have the right mean and spread, whatever is hidden", points=1)
def _():
    _lawful(50.0)


@task.check("noise that is Gaussian, and new for each pixel, chain and call", points=1, beyond=True)
def _():
    for share in (0.4, 0.0, 1.0):
        fresh_noise(*_one_step((80, 3, 4, 7), 0.6, 0.8, share), of=3)
    ones = [z for _ in range(40) for z in _one_step((1, 2, 1, 3), 0.6, 0.8, 0.5)]
    said = "with one chain the noise is too small, or the same in its mean or size from call to call"
    plausible(p_scatter(torch.stack(ones).flatten(1)), said)


@task.check("hidden pixels may be NaN, where the chains are right", points=1)
def _():
    for hidden in (-50.0, math.nan):
        _lawful(hidden)


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 9 · Digits on a budget (3 points)
#
# The paper asks its network a thousand times for an image. You may ask **at most 32
# times**. Write a sampler for the network that comes with the package, which was
# trained on 8x8 digits at ten levels. Anything goes: the ladder or a part of it, any
# steps, Algorithm 1 or another sampler.
#
# - `score`: the network's score, `score(x, sigma)`; `sigmas`: its ten levels (it knows
#   no others, and says so); `n`: how many images
# - returns (n, 1, 8, 8)
#
# Your 48 samples, cut off to $[0, 1]$ first, pass if
#
# - the score was evaluated 32 times for each image or less (a call with a batch of 48
#   counts once for each image in it);
# - **near**: the distance to the nearest of the 1797 real digits is below 1.46 on
#   average (real digits have 1.03, noise has much more);
# - **crisp**: the mean of $x (1 - x)$ over all pixels is below 0.09 (real digits have
#   0.071, blurred ones more);
# - **sure**: a classifier is sure, with a probability above 0.9, of 40 % or more;
# - **various**: no class has more than half of the images, they are not copies of real
#   ones, and not of each other: the distance to the nearest other sample has a median
#   above 0.9 (real digits have 1.7), and hardly any pair is closer than 0.4. Another
#   call of `draw` gives other images.
#
# What `draw` knows of digits it learns from `score`. To see this, the grading hands it
# the score of digits that lie on their side, and puts upright what it returns. For a
# sampler that is no difference.
#
# `try_out(draw)`, in a cell of your own, shows your images and all these numbers. The
# grading draws other random numbers: leave a margin. What to think about: ten steps
# of $\epsilon = 0.6\, \sigma_L^2$ a level, as in notebook 10, are too many. On a
# pixel that is always black a step multiplies what is wrong by
# $1 - \epsilon / 2 \sigma_L^2$, and three such steps leave a lot of the noise of the
# level before. A larger $\epsilon$ leaves less, and settles wider
# (`ne.stationary_variance`): is that anything that can be seen, at $\sigma_L = 0.01$?
#
# *Stuck? `sample` of Task 7 or `ne.annealed_langevin` is a good beginning, with other
# numbers.*

# %% role="setup tests"
from matplotlib import pyplot as plt

from ncsn_edu.datasets import load
from ncsn_edu.metrics import nearest
from ncsn_edu.plots import images as draw_images
from ncsn_edu.trained import load_judge

NET, JUDGE = ne.load_trained("digits"), load_judge("digits").float()
NET.score.float()  # whatever the default type is
DIGITS = torch.cat([load("digits", split=split)[0] for split in ("train", "test")]).float() / 255


def _net_score(x, sigma):
    """The network's score, in the type of x."""
    return NET.score(x.float(), torch.as_tensor(sigma).float()).to(x.dtype)


def _drawn(draw, n=48, budget=math.inf, turns=0):
    """n images by draw, cut off to [0, 1], and how often it evaluated the score for each.

    With turns, draw gets the score of digits that are turned by so many right angles.
    """

    def on_budget(x, sigma):
        ensure(score.rows <= budget * n, f"the score was evaluated more than {budget} times for each image")
        return _net_score(x.rot90(-turns, (-2, -1)), sigma).rot90(turns, (-2, -1))

    score = Given(on_budget)
    with torch.no_grad():
        x = draw(score, NET.sigmas.float(), n)
    x = torch.as_tensor(np.asarray(x)) if not isinstance(x, torch.Tensor) else x.detach()
    ensure(tuple(x.shape) == (n, 1, 8, 8), f"draw returned shape {tuple(x.shape)}, and not {(n, 1, 8, 8)}")
    ensure(torch.isfinite(x).all(), "some of the images are not finite")
    return x.float().clamp(0, 1).rot90(-turns, (-2, -1)), score.rows / n


def _verdict(x):
    """near, crisp, sure, the share of the largest class, and median distances to real digits and to other samples."""
    probabilities = JUDGE(x).softmax(1).max(1)
    distance, _ = nearest(x, DIGITS)
    crisp, sure = (x * (1 - x)).mean(), (probabilities.values > 0.9).float().mean()
    largest = probabilities.indices.bincount().max() / len(x)
    return [float(value) for value in (distance.mean(), crisp, sure, largest, distance.median(), _apart(x).median())]


def _apart(x):
    """The distance of each image to the nearest other one."""
    flat = x.flatten(1).double()
    return (flat[:, None] - flat).norm(dim=2).fill_diagonal_(math.inf).amin(1)


def try_out(draw):
    """Show 48 images by draw, and what the task asks for."""
    x, evaluations = _drawn(draw)
    near, crisp, sure, largest, copied, apart = _verdict(x)
    draw_images(plt.subplots(figsize=(6, 3))[1], x, columns=12)
    plt.show()
    print(f"evaluations {evaluations:g}, near {near:.2f}, crisp {crisp:.3f}, sure {sure:.0%}, class {largest:.0%}")
    print(f"median distance to a real digit {copied:.2f}, to another sample {apart:.2f}")


# %% role="answer 9"
def draw(score, sigmas, n):
    ### BEGIN SOLUTION
    x, eps = torch.rand(n, 1, 8, 8), 1.5 * float(sigmas[-1]) ** 2
    return ne.last(ne.annealed_langevin(score, x, sigmas, eps=eps, n_steps_each=3, denoising=True))
    ### END SOLUTION


# %% role="tests 9 3"
import random

task = Task("9")
answer = task.answer("draw")


def _stand_in():
    """A simple score that knows the network's levels only."""

    def stand_in(x, sigma):
        NET.score.level(torch.as_tensor(sigma).float())  # says which levels there are
        return (0.3 - x) / (0.1 + _column(sigma, x) ** 2)

    return Given(stand_in)


@task.check("four images, on the ladder, within the budget (the score here is a simple stand-in)")
def _():
    score = _stand_in()
    x = answer(score, NET.sigmas.float(), 4, shape=(4, 1, 8, 8))
    ensure(torch.isfinite(x).all(), "some of the images are not finite")
    ensure(score.rows > 0, "the score was never asked")
    ensure(score.rows <= 128, f"the score was evaluated {score.rows / 4:g} times for each image, and 32 are allowed")
    again = answer(_stand_in(), NET.sigmas.float(), 4, shape=(4, 1, 8, 8))
    ensure((x - again).abs().max() > 1e-3, "a second call draws the same images: is there a seed in draw?")


@task.check("eight digits, with the score of digits that lie on their side: are they far from what is asked for?")
def _():
    near, crisp, *_, copied, apart = _verdict(_drawn(answer, n=8, turns=1)[0])
    ensure(near < 1.9, f"near: the distance to the nearest real digit is {near:.2f} on average")
    ensure(crisp < 0.11, f"crisp: the mean of x (1 - x) is {crisp:.3f}")
    ensure(copied > 0.3, f"various: the distance to the nearest real digit has the median {copied:.2f}")
    ensure(apart > 0.6, f"various: the distance to the nearest other sample has the median {apart:.2f}")


### BEGIN HIDDEN TESTS
@task.check("48 digits: near, crisp, sure and various, within the budget", points=3)
def _():
    again = [answer(_stand_in(), NET.sigmas.float(), 2, shape=(2, 1, 8, 8)) for _ in range(2)]
    ensure((again[0] - again[1]).abs().max() > 1e-3, "each call draws the same images")
    x, evaluations = _drawn(answer, budget=32, turns=random.choice([1, 3]))
    ensure(0 < evaluations <= 32, f"the score was evaluated {evaluations:g} times for each image")
    near, crisp, sure, largest, copied, apart = _verdict(x)
    ensure(copied > 0.6, "most of the images are copies of real ones")
    ensure(near < 1.46, f"near: the distance to the nearest real digit, both upright, is {near:.2f} on average")
    ensure(crisp < 0.09, f"crisp: the mean of x (1 - x) is {crisp:.3f}")
    ensure(sure >= 0.4, f"sure: the classifier is sure of {sure:.0%}")
    ensure(largest <= 0.5, f"various: one class has {largest:.0%} of the images")
    close_by = int((_apart(x) < 0.4).sum())
    ensure(apart > 0.9 and close_by <= 2, "various: some of the images are copies of others")


### END HIDDEN TESTS
task.done()

# %% [markdown]
# ## Task 10 · Predict before you run (1 point)
#
# Algorithm 1 starts from uniform noise. What if it does not? All of 24 chains start at
# **one and the same image**, a clean digit 3 that the network has never seen, and go
# down all ten levels from $\sigma_1 = 1$, with three steps each. What comes out?
#
# - `"a"`: nearly all threes, for the chains start at one
# - `"b"`: all kinds of digits, much as from uniform noise
# - `"c"`: nothing that can be read, for a start without noise is nothing that the
#   network was trained for at $\sigma_1$
#
# Decide **before** you run the cell below the tests. Any of the three earns the point:
# what counts is that you have committed yourself. And what do you expect if the
# chains skip three levels, and begin at level 3, where $\sigma$ is 0.22? The cell below
# shows it, too.

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
three = load("digits", split="test")
three = three[0][three[1] == 3][:1].float() / 255
_, axes = plt.subplots(1, 3, figsize=(9, 1.7))
for begin, first, ax in zip(("uniform noise", "a three", "a three"), (0, 0, 3), axes, strict=True):
    torch.manual_seed(3)
    chains = torch.rand(24, 1, 8, 8).float() if begin == "uniform noise" else three.expand(24, 1, 8, 8)
    torch.manual_seed(4)  # the first two get the same noise in their steps
    chains = ne.last(ne.annealed_langevin(_net_score, chains, NET.sigmas[first:], eps=2e-4, n_steps_each=3))
    classes = JUDGE(chains.clamp(0, 1)).argmax(1)
    title, share = f"{begin}, from level {first}", (classes == 3).float().mean()
    draw_images(ax, chains, columns=8).set_title(title, fontsize=9)
    print(f"{title}: {share:.0%} threes, {len(classes.unique())} of the ten classes")
plt.show()

# %% [markdown]
# The chains of the first two pictures get the same noise in their steps. Why are they
# nearly the same pictures?
#
# And your function of Task 8, with the network: the left half of two digits is known,
# and the right half is missing. On the left the digit itself, beside it eight
# completions of it. (If the cell below stops with an error, go back to Task 8.)

# %%
torch.manual_seed(1)
half, rows = torch.zeros(1, 8, 8), []
half[..., :4] = 1
for whole in load("digits", split="test")[0][[4, 216]].float() / 255:
    rows += [whole[None], inpaint(_net_score, torch.rand(8, 1, 8, 8), NET.sigmas, whole, half, 1.5e-4, 3)]
draw_images(plt.subplots(figsize=(5, 1.3))[1], torch.cat(rows), columns=9)
plt.show()

# %% [markdown] role="question 11"
# ## Task 11 · In your own words (4 points)
#
# Two networks were trained on the same 898 digits. A is the one that you have used:
#
# | | training loss | classifier sure of | nearest training image, mean distance | nearest held-out image |
# |---|---|---|---|---|
# | A | 9.5 | 90 % | 1.20 | 1.27 |
# | B | 4.1 | 100 % | 0.08 | 1.12 |
#
# "B is better: its loss is lower, and every one of its samples can be read." In five
# to ten sentences: What is wrong with this? Which samples would the score with the
# lowest training loss of all produce, and why? Which column gives B away, and why
# does it take two columns of distances and not one? How would you have noticed
# during the training, without drawing a single sample?
#
# ### BEGIN MARK SCHEME
# One point each, for saying in any words that
#
# 1. the training loss is smallest for the score of the *training set* itself, blurred
#    with the noise (a mixture of 898 Gaussians; the "ideal denoiser"), and not for
#    that of the distribution which the digits were drawn from;
# 2. Algorithm 1 with that score returns training images, exactly, as the noise goes
#    to zero; B does nearly that: it has learned by heart. A classifier praises copies
#    (as would a Frechet distance), so "sure" says nothing here;
# 3. the distance to the nearest *training* image gives it away, compared with that to
#    equally many *held-out* images: new digits are about as far from both (A: 1.20
#    and 1.27), copies are near to one only. A single distance has no scale: a small
#    one could also mean that all digits are alike;
# 4. the same loss measured on held-out images, during the training: for B it stops
#    falling, and rises, while the training loss goes on falling. (Or what follows from
#    it: stop earlier, a smaller network, more data; but the held-out loss, or an
#    equivalent that uses data which were not trained on, has to be named.)
#    "Look at the pictures" earns nothing here, since it draws samples.
# ### END MARK SCHEME

# %% [markdown] role="written 11 4"
# YOUR ANSWER HERE

# %% [markdown]
# That is all. Run the whole notebook once more from the top (*Kernel > Restart and Run
# All*) before you hand it in: what counts is what runs from a fresh start.
