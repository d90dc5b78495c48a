"""Exercises: the losses of score matching (notebooks 3 and 4)."""

import math

import torch
from torch import Tensor

from ..grading.tasks import Given, Wrong
from .verdict import Answer, compare, exercise


@exercise
def denoising_loss(answer: Answer) -> None:
    """my_loss(score, x (B, D), sigma, z (B, D)) -> (B,): 1/2 ||sigma s(x~) + z||^2 of each example; score(x, sigma)."""
    for rows, dim, sigma in ((5, 3, 0.5), (4, 2, 3.0), (2, 6, 0.01)):
        x, z = torch.randn(rows, dim), torch.randn(rows, dim)
        score = Given(lambda x, sigma: torch.sin(x) - x / (1 + sigma**2))
        at = lambda place, sigma=sigma: torch.sin(place) - place / (1 + sigma**2)  # noqa: E731
        noisy = x + sigma * z
        half = lambda residual: 0.5 * residual.square().sum(1)  # noqa: E731
        right = half(sigma * at(noisy) + z)
        mistakes = {
            "the sign of the noise: the target is -z / sigma, so that sigma s + z is to vanish": half(
                sigma * at(noisy) - z
            ),
            "the network must see the noisy point; it sees the clean one": half(sigma * at(x) + z),
            "the noise is sigma z, not sigma^2 z": half(sigma * at(x + sigma**2 * z) + z),
            "the target -z / sigma^2 is too long: one sigma too many": half(at(noisy) + z / sigma**2),
            "it is the loss without its weight: multiply by sigma^2": half(at(noisy) + z / sigma),
            "the score is not multiplied by sigma": half(at(noisy) + z),
            "the half is missing": 2 * right,
            "sum over the coordinates; a mean makes it smaller by their number": right / dim,
        }
        value = answer(score, x, sigma, z)
        _of_each_example(value, rows)
        compare(value, right, mistakes, what="the loss")


@exercise
def denoised(answer: Answer) -> None:
    """my_denoised(x (B, D), s (B, D), sigma) -> (B, D): the mean of the clean points behind x, by Tweedie's formula."""
    for rows, dim, sigma in ((3, 2, 0.5), (2, 4, 3.0)):
        x, s = torch.randn(rows, dim), torch.randn(rows, dim)
        mistakes = {
            "the step is sigma^2 s, not sigma s": x + sigma * s,
            "the score points to the clean points: add it": x - sigma**2 * s,
            "half of the way: Tweedie's formula has no 1/2": x + sigma**2 / 2 * s,
            "this is the step; the denoised point is x plus it": sigma**2 * s,
        }
        compare(answer(x, s, sigma, shape=x.shape), x + sigma**2 * s, mistakes, what="the point")


@exercise
def on_sphere(answer: Answer) -> None:
    """my_direction(g (B, D)) -> (B, D): Gaussian vectors made directions v with E[v v'] = I, of one length."""
    for rows, dim in ((4, 3), (2, 50), (1, 7)):
        g = torch.randn(rows, dim)
        unit = g / g.norm(dim=1, keepdim=True)
        mistakes = {
            "unit vectors have E[v v'] = I / D: the trace would count a D-th of what it should": unit,
            "the length is D; its square has to be D": dim * unit,
            "these are the Gaussian vectors, whose lengths differ": g,
            "one length for the whole batch: divide each row by its own": math.sqrt(dim) * g / g.norm(),
            "each column is divided by its length; it is rows that are vectors": math.sqrt(dim) * g / g.norm(dim=0),
        }
        compare(answer(g, shape=g.shape), math.sqrt(dim) * unit, mistakes, what="the vector")


@exercise
def slice_loss(answer: Answer) -> None:
    """my_slice(score, x (B, D), v (B, D)) -> (B,): v' (grad s) v + 1/2 ||s||^2; score(x) -> (B, D)."""
    for rows, dim in ((4, 3), (2, 5), (1, 2)):
        x, v, mix = torch.randn(rows, dim), torch.randn(rows, dim), torch.randn(dim, dim)
        s, slope = torch.sin(x) @ mix, torch.einsum("bi,bi,ij,bj->b", v, torch.cos(x), mix, v)
        squares = s.square().sum(1)
        value = answer(lambda x, mix=mix: torch.sin(x) @ mix, x, v)
        _of_each_example(value, rows)
        mistakes: dict[str, Tensor] = {
            "this is the plain form, 1/2 (v's)^2 in the place of 1/2 ||s||^2: right on average, with more scatter": (
                slope + 0.5 * (v * s).sum(1).square()
            ),
            "the half is missing": slope + squares,
            "the term 1/2 ||s||^2 is missing": slope,
            "the first term has the wrong sign": 0.5 * squares - slope,
            "v stands on one side only: multiply v' (grad s) by v once more before you sum": (
                torch.einsum("bi,ij,bj->b", torch.cos(x), mix, v) + 0.5 * squares
            ),
            "v stands on one side only: multiply (grad s) v by v before you sum": (
                torch.einsum("bi,bi,ij->b", v, torch.cos(x), mix) + 0.5 * squares
            ),
            "it is the exact trace; one direction is enough": (
                torch.einsum("bi,ii->b", torch.cos(x), mix) + 0.5 * squares
            ),
        }
        compare(value, slope + 0.5 * squares, mistakes, what="the loss")
    _can_be_trained(answer)


def _can_be_trained(answer: Answer) -> None:
    """Raises Wrong unless the slope of the loss in the score's parameters is right."""
    x, v = torch.randn(3, 2), torch.randn(3, 2)
    factor = torch.ones((), requires_grad=True)
    loss = answer.raw(lambda x: factor * x**2, x, v)
    expected = (2 * x * v**2).sum() + x.pow(4).sum()  # of sum_b v' diag(2 f x) v + 1/2 f^2 ||x^2||^2, at f = 1
    if not (isinstance(loss, Tensor) and loss.requires_grad):
        raise Wrong("the values are right, but no gradient reaches the network's parameters: nothing would be learned")
    (slope,) = torch.autograd.grad(loss.sum(), factor)
    half = "the values are right, but the derivative's own gradient is lost: autograd.grad needs create_graph=True"
    compare(slope, expected.detach(), {half: x.pow(4).sum()}, what="the gradient for the parameters")


def _of_each_example(value: Tensor, rows: int) -> None:
    if isinstance(value, Tensor) and value.dim() == 0:
        raise Wrong(f"it is one number; return the loss of each example, shape ({rows},)")
    if not isinstance(value, Tensor) or tuple(value.shape) != (rows,):
        shape = tuple(value.shape) if isinstance(value, Tensor) else f"{len(value)} parts"
        raise Wrong(f"the loss has shape {shape}; return one number for each example, shape ({rows},)")
