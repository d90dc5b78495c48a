"""Exercises: conditions (notebook 19)."""

import torch

from .verdict import Answer, compare, exercise


@exercise
def class_gradient(answer: Answer) -> None:
    """my_class_gradient(classifier, x, sigma, label) -> grad_x log p(label | x, sigma), (B, D)."""
    for rows, sigma, label in ((4, 0.5, 1), (3, 2.0, 0), (1, 0.1, 2)):
        weights, x = torch.randn(3, 5), torch.randn(rows, 5)

        def classifier(x: torch.Tensor, sigma: float, weights: torch.Tensor = weights) -> torch.Tensor:
            return x @ weights.T / (1 + sigma**2)

        slopes = weights / (1 + sigma**2)  # (K, D) gradients of the logits
        p = classifier(x, sigma).softmax(1)
        right = slopes[label] - p @ slopes
        mistakes = {
            "this is the gradient of the logit; take that of its log_softmax: p(label | x) sums to one over the "
            "classes": slopes[label].expand(rows, -1),
            "this is the gradient of the probability, not of its logarithm": p[:, label, None] * right,
            "the sign is that of the loss, -log p: guidance goes uphill": -right,
            "this is the gradient of the mean over the rows: sum over them, so that each row has its own": right / rows,
            "the gradient is to be of log p itself, not times sigma^2": sigma**2 * right,
            "the classifier is asked at sigma 0; it has to know the noise in x": (
                weights[label] - classifier(x, 0.0).softmax(1) @ weights
            ),
        }
        down_rows = classifier(x, sigma).softmax(0)[:, label, None]
        mistakes["softmax runs over the rows (dim 0); a row's classes are along dim 1"] = slopes[label] * (
            1 - rows * down_rows
        )
        compare(answer(classifier, x, sigma, label, shape=x.shape), right, mistakes, what="the gradient")


@exercise
def guidance(answer: Answer) -> None:
    """my_guidance(s, s_class, scale), (B, D) each -> (B, D): scale 0 is s, the score of all, scale 1 s_class."""
    for rows, scale in ((4, 0.5), (3, 3.0), (2, 7.5), (2, 1.0), (2, 0.0)):
        s, s_class = torch.randn(rows, 3), torch.randn(rows, 3)
        right = s + scale * (s_class - s)
        mistakes = {
            "the two are exchanged: at scale 1 this is the score of all": s_class + scale * (s - s_class),
            "this is another convention, whose 0 is the score of the class: (1 + w) s_class - w s": (
                (1 + scale) * s_class - scale * s
            ),
            "s_class has the score of all in it already: only what it adds is to be scaled": s + scale * s_class,
            "at scale 0 nothing is left; it must be s": scale * s_class,
            "the difference alone is the gradient of log p(y | x); s is missing": scale * (s_class - s),
            "the guide's sign: s_class - s leads to the class, s - s_class away from it": s - scale * (s_class - s),
            "the scale is squared": s + scale**2 * (s_class - s),
            "the scale must not stop at 1: guidance goes beyond": s + min(scale, 1.0) * (s_class - s),
        }
        compare(answer(s, s_class, scale, shape=s.shape), right, mistakes, what="the score")


@exercise
def pull(answer: Answer) -> None:
    """my_pull(A, y, m, variance, noise) -> (B, D): A' (variance A A' + noise^2 I)^-1 (y - A m); A (M, D), m (B, D)."""
    for rows, measured, dim, variance, noise in ((4, 2, 5, 0.3, 0.5), (3, 3, 4, 2.0, 0.2), (2, 1, 3, 0.05, 1.5)):
        a, m = torch.randn(measured, dim), torch.randn(rows, dim)
        y, eye, known = torch.randn(measured), torch.eye(measured), a @ a.T
        off = y - m @ a.T  # (B, M)

        def back(spread: torch.Tensor, off: torch.Tensor = off, a: torch.Tensor = a) -> torch.Tensor:
            return torch.linalg.solve(spread, off.T).T @ a

        right = back(variance * known + noise**2 * eye)
        mistakes = {
            "m is taken for certain: `variance`, which sigma makes large, is missing": back(noise**2 * eye),
            "noise is a standard deviation: square it": back(variance * known + noise * eye),
            "variance is a variance already: it is not squared": back(variance**2 * known + noise**2 * eye),
            "the noise of y is missing": back(variance * known + 1e-9 * eye),
            "the sign: x is pulled towards y, by y - A m": -right,
            "this is the step from m to the mean of x_0 given y too; the pull is the gradient, without `variance` in "
            "front": variance * right,
            "noise^2 belongs on the diagonal alone: the measurements' errors are independent": back(
                variance * known + noise**2
            ),
            "A A' is not diagonal: the measurements go together, solve for all of them at once": (
                off / (variance * known.diagonal() + noise**2) @ a
            ),
            "A A' is missing: y has the covariance of A x_0, not of x_0": back((variance + noise**2) * eye),
            "the covariance of y is not inverted": off @ (variance * known + noise**2 * eye) @ a,
            "the pull is divided by sqrt of the covariance, not by the covariance": back(
                torch.linalg.cholesky(variance * known + noise**2 * eye)
            ),
        }
        compare(answer(a, y, m, variance, noise, shape=m.shape), right, mistakes, what="the pull")
