"""Exercises: diffusion in continuous time (notebook 17)."""

import torch
from torch import Tensor

from .verdict import Answer, compare, exercise

# f, g and the length of a step, of the shapes of batches that are asked for
CASES = ((-0.4, 0.9, 0.1, (4, 2)), (0.0, 3.0, 0.04, (2, 3)), (-2.5, 2.2, 0.3, (3, 1)))


def _normals(shape: tuple[int, ...], n: int) -> list[Tensor]:
    return list(torch.randn(n, *shape, dtype=torch.float64))


@exercise
def forward_step(answer: Answer) -> None:
    """my_step(x (B, D), f, g, dt, z (B, D)) -> (B, D): a step of Euler and Maruyama of dx = f x dt + g dw."""
    for f, g, dt, shape in CASES:
        x, z = _normals(shape, 2)
        mistakes = {
            "the noise of a step has variance g^2 dt: multiply z by g sqrt(dt), not by g dt": x
            + f * x * dt
            + g * dt * z,
            "the noise of a step has standard deviation g sqrt(dt), and this is its variance": (
                x + f * x * dt + g**2 * dt * z
            ),
            "dt is missing in the noise": x + f * x * dt + g * z,
            "x itself is lost: this is the change of x in the step": f * x * dt + g * dt**0.5 * z,
            "the drift is f x, and not f": x + f * dt + g * dt**0.5 * z,
            "dt is missing in the drift": x + f * x + g * dt**0.5 * z,
            "the drift's sign is wrong: time goes forward here": x - f * x * dt + g * dt**0.5 * z,
            "the noise is missing": x + f * x * dt,
            "the drift is missing": x + g * dt**0.5 * z,
        }
        compare(answer(x, f, g, dt, z, shape=shape), x + f * x * dt + g * dt**0.5 * z, mistakes, what="x")


@exercise
def reverse_step(answer: Answer) -> None:
    """my_back(x (B, D), s (B, D), f, g, dt, z (B, D)) -> (B, D): from t to t - dt by the reverse SDE; s the score."""
    for f, g, dt, shape in CASES:
        x, s, z = _normals(shape, 3)
        noise = g * dt**0.5 * z
        mistakes = {
            "this walks forward: going back, the drift f x - g^2 s is subtracted": x + (f * x - g**2 * s) * dt + noise,
            "f has kept its sign: all of the drift turns round": x + (f * x + g**2 * s) * dt + noise,
            "the score pushes away from the data: its sign is wrong": x - (f * x + g**2 * s) * dt + noise,
            "half of g^2 belongs to the flow; with fresh noise it is all of it": (
                x - (f * x - g**2 * s / 2) * dt + noise
            ),
            "g^2 multiplies the score, and this is g": x - (f * x - g * s) * dt + noise,
            "the noise is missing: without it half of g^2 would be right, and this is neither": (
                x - (f * x - g**2 * s) * dt
            ),
            "the noise has standard deviation g sqrt(dt)": x - (f * x - g**2 * s) * dt + g * dt * z,
            "this is a step of the flow: here all of g^2 is right, and noise": x - (f * x - g**2 * s / 2) * dt,
            "x itself is lost: this is the change of x in the step": -(f * x - g**2 * s) * dt + noise,
            "the score is missing: this only undoes the drift": x - f * x * dt + noise,
            "the drift f x is missing": x + g**2 * s * dt + noise,
        }
        compare(answer(x, s, f, g, dt, z, shape=shape), x - (f * x - g**2 * s) * dt + noise, mistakes, what="x")


@exercise
def flow_slope(answer: Answer) -> None:
    """my_slope(x (B, D), s (B, D), f, g) -> (B, D): dx/dt of the probability flow; s is the score at x."""
    for f, g, _, shape in CASES:
        x, s = _normals(shape, 2)
        mistakes = {
            "this is the drift of the reverse SDE; without noise half of g^2 is right": f * x - g**2 * s,
            "the score's sign is wrong: forward in time the flow spreads, away from the score": f * x + g**2 * s / 2,
            "g^2 multiplies the score, and this is g": f * x - g * s / 2,
            "the half multiplies g^2: squared with g it is a quarter": f * x - (g / 2) ** 2 * s,
            "the drift f x is missing": -(g**2) * s / 2,
            "the whole is turned round: this is the slope backwards in time": -(f * x - g**2 * s / 2),
            "the half belongs to the score alone": (f * x - g**2 * s) / 2,
            "the score is missing: this is the SDE without its noise": f * x,
            "the drift is f x, and not f": f - g**2 * s / 2,
        }
        compare(answer(x, s, f, g, shape=shape), f * x - g**2 * s / 2, mistakes, what="the slope")
