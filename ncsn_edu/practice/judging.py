"""Exercises: numbers for samples (notebook 12)."""

import torch
from torch import Tensor

from .verdict import Answer, compare, exercise


@exercise
def gaussian_distance(answer: Answer) -> None:
    """my_distance(mean_x (D,), mean_y (D,), cov_x (D, D), cov_y (D, D)) -> (): Frechet distance of two Gaussians."""
    for dim in (3, 5, 1):
        mean_x, mean_y = torch.randn(2, dim)
        cov_x, cov_y = _covariance(dim), _covariance(dim)
        root_x, root_y = _root(cov_x), _root(cov_y)
        apart, traces = (mean_x - mean_y).square().sum(), cov_x.trace() + cov_y.trace()
        overlap = _root(root_x @ cov_y @ root_x).trace()  # the eigenvalues of S_x S_y, in a symmetric matrix
        right = apart + traces - 2 * overlap
        mistakes = {
            "the overlap is counted twice: -2 tr (S_x S_y)^(1/2)": apart + traces - overlap,
            "the root is missing: (S_x S_y)^(1/2)": apart + traces - 2 * (cov_x @ cov_y).trace(),
            "the root is the matrix root, not the root of each entry": (
                apart + traces - 2 * (cov_x @ cov_y).diagonal().abs().sqrt().sum()
            ),
            "the root of the trace is not the trace of the root": apart + traces - 2 * (cov_x @ cov_y).trace().sqrt(),
            "the product of the two roots is the root of the product only where S_x and S_y commute": (
                apart + traces - 2 * (root_x @ root_y).trace()
            ),
            "only variances are compared: the covariances off the diagonal are missing": (
                apart + (cov_x.diagonal().sqrt() - cov_y.diagonal().sqrt()).square().sum()
            ),
            "this is the squared difference of the covariances: a quarter of it is right near the identity": (
                apart + (cov_x - cov_y).square().sum()
            ),
            "the distance of the means has to be squared": apart.sqrt() + traces - 2 * overlap,
            "the means are missing": traces - 2 * overlap,
            "sum over the coordinates; this is their mean": apart / dim + traces - 2 * overlap,
            "this is its root: by habit the square is called the distance": right.sqrt(),
        }
        compare(answer(mean_x, mean_y, cov_x, cov_y, shape=()), right, mistakes, what="the distance")


def _covariance(dim: int) -> Tensor:
    root = torch.randn(dim, dim)
    return root @ root.mT + 0.5 * torch.eye(dim)


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.mT
