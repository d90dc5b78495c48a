"""Exercises: inpainting (notebook 11)."""

import torch

from .verdict import Answer, compare, exercise


@exercise
def pasted(answer: Answer) -> None:
    """my_paste(x, image, mask, sigma, z), (B, D) each -> (B, D): the known part of x as noisy as sigma; 1 is known."""
    for rows, dim, sigma in ((4, 6, 0.5), (3, 5, 3.0), (2, 8, 0.05)):
        x, image, z = torch.randn(rows, dim), torch.rand(rows, dim), torch.randn(rows, dim)
        mask = (torch.arange(rows * dim).view(rows, dim) % 3 != 1).float()
        noisy = image + sigma * z
        right = torch.where(mask.bool(), noisy, x)
        mistakes = {
            "the mask is upside down: 1 is known, 0 is missing": torch.where(mask.bool(), x, noisy),
            "the known part is clean; at this level it must be as noisy as the rest": torch.where(
                mask.bool(), image, x
            ),
            "the noise has standard deviation sigma, not sigma^2": torch.where(mask.bool(), image + sigma**2 * z, x),
            "the noise has standard deviation 1; it is to be sigma": torch.where(mask.bool(), image + z, x),
            "the missing part is noised as well; the chain moves it already": (
                mask * image + (1 - mask) * x + sigma * z
            ),
            "the noise falls on x: the known part is the image, with noise": torch.where(mask.bool(), x + sigma * z, x),
            "the image is added to x; paste it in its place": x + mask * noisy,
            "the missing part is gone: it is that of x": mask * noisy,
            "this is the noisy image, hidden pixels and all: paste its known part only": noisy,
        }
        compare(answer(x, image, mask, sigma, z, shape=x.shape), right, mistakes, what="x")
