"""Checks of what a user passes in: every error says what is wrong and what to do.

A function calls the checks of its arguments by name where it begins. This file does NOT know any model or sampler.
"""

import math
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def check_positive(name: str, value: float) -> float:
    """A finite number above zero, as a float."""
    if not _is_real(value) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} must be a finite number above 0, not {value!r}")
    return float(value)


def check_count(name: str, value: int, least: int = 1) -> int:
    """A whole number of at least `least`, as an int."""
    if not _is_real(value) or not math.isfinite(value) or value < least or int(value) != value:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")
    return int(value)


def check_scale(name: str, value: float) -> float:
    """A finite number of 0 or more, as a float."""
    if not _is_real(value) or not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a finite number of 0 or more, not {value!r}")
    return float(value)


def check_choice(name: str, value: str, choices: Collection[str]) -> str:
    """One of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be {' or '.join(choices)}, not {value!r}")
    return value


def check_between(name: str, value: float, low: float, high: float) -> float:
    """A number from low to high, both included, as a float."""
    if not _is_real(value) or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


def check_share(name: str, value: float) -> float:
    """A share: 0 or more, and below 1."""
    if not _is_real(value) or not 0 <= value < 1:
        raise ValueError(f"{name} is a share, from 0 to below 1, not {value!r}")
    return float(value)


def may_look(values: Tensor) -> bool:
    """Whether values can be read at once: on a GPU of any make that waits for all work before, a compiler has none."""
    return values.device.type == "cpu" and not torch.compiler.is_compiling()


def check_class(label: int | Tensor) -> Tensor:
    """A class for all rows, (), or one for each, (B,): whole numbers of 0 or more, as int64."""
    try:
        classes = torch.as_tensor(label)
    except (TypeError, ValueError, RuntimeError):
        classes = torch.empty(())  # no numbers at all
    if classes.is_floating_point() or classes.is_complex() or classes.dtype == torch.bool or classes.ndim > 1:
        raise ValueError(f"label is a class for all rows, or one for each: whole numbers, not {label!r}")
    with torch.inference_mode(False):
        classes = classes.long().clone()  # which autograd can keep, wherever the label was made
    if may_look(classes) and (classes < 0).any():
        raise ValueError(f"label is a class: it must be 0 or more, not {classes[classes < 0][0].item()}")
    return classes


def check_rows(label: Tensor, x: Tensor) -> Tensor:
    """A class for all rows of x (B, *D), or one for each, as (B,) on the device of x."""
    if label.ndim and len(label) not in (1, len(x)):
        raise ValueError(
            f"label is a class for each row, {len(label)} of them, and x has {len(x)} rows: give one class for all, or "
            "as many as there are rows"
        )
    return label.to(x.device).expand(len(x))


def check_label(label: Tensor, n: int, n_classes: int) -> None:
    """Classes (n,), whole numbers from 0 to n_classes - 1, or -1 where no class is told; on a GPU taken on trust."""
    if label.shape != (n,) or label.is_floating_point():
        kind = f"{label.dtype} of shape {tuple(label.shape)}"
        raise ValueError(f"label is a class for each image, whole numbers of shape ({n},), not {kind}")
    if may_look(label) and ((label < -1) | (label >= n_classes)).any():
        found = f"{label.min()} to {label.max()}"
        raise ValueError(f"label must be 0 to {n_classes - 1}, or -1 where no class is told, and it has {found}")


def check_floats(sigma: float | Tensor) -> Tensor:
    """Sigma as a tensor. One of whole numbers is refused: such are DDPM's steps t, which are no noise levels."""
    if isinstance(sigma, Tensor) and not sigma.is_floating_point():
        raise ValueError(
            f"a score is told sigma, and gets whole numbers ({sigma.dtype}), as DDPM's steps are: wrap it in "
            "ScoreNoise(score, alphas_bar), which finds the sigma of a step, or give sigma as floats"
        )
    return torch.as_tensor(sigma)


def check_sigma(sigma: float | Tensor) -> float | Tensor:
    """A standard deviation, or one per row of the batch: no negative number, no NaN, no infinity.

    A tensor on a GPU is taken on trust, as its values can only be read by waiting: a bad one will show as NaN.
    """
    if isinstance(sigma, float) and 0 <= sigma < math.inf:
        return sigma  # the common case, without the price of tensors
    values = check_floats(sigma)
    if not may_look(values):
        return sigma
    bad = ~(values >= 0) | values.isinf()
    if bad.any():
        value = values[bad].flatten()[0].item()
        raise ValueError(f"sigma is a standard deviation: it must be finite and 0 or more, not {value}")
    return sigma


def check_noise(sigma: float | Tensor, why: str) -> float | Tensor:
    """A sigma above 0 throughout; `why` begins the error, for what has no score, or no meaning, without noise."""
    if isinstance(sigma, float) and 0 < sigma < math.inf:
        return sigma  # the common case, without the price of tensors
    values = check_floats(sigma)
    if may_look(values) and not ((values > 0) & (values < math.inf)).all():
        check_sigma(sigma)
        raise ValueError(f"{why}: sigma must be above 0")
    return sigma


def check_known(sigma: float | Tensor, known: float) -> float | Tensor:
    """A sigma within 1 % of the one noise level that a net knows; a tensor on a GPU is taken on trust."""
    if isinstance(sigma, (int, float)) and sigma == known:
        return sigma  # the common case, without the price of tensors
    values = torch.as_tensor(check_sigma(sigma))
    if not may_look(values):
        return sigma
    off = (values - known).abs() > 0.01 * known
    if off.any():
        raise ValueError(
            f"this net knows the score at sigma {known:g} only, not at {values[off].flatten()[0].item():g}: train one "
            "with sigma= at that level, or use a net for any sigma, such as NoiseConditionalMLP"
        )
    return sigma


def check_points(x: Tensor, dim: int | None = None) -> Tensor:
    """A floating-point batch (B, *D); with `dim`, exactly (B, dim)."""
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a torch tensor, not {type(x).__name__}: use torch.as_tensor(x)")
    if x.dtype not in FLOATS:
        raise TypeError(f"x has dtype {x.dtype}, but scores are defined on real numbers: use x.float() or x.double()")
    if x.ndim < 2:
        hint = "x[None] for a single point, or x[:, None] for points on a line"
        raise ValueError(f"x must have a batch dimension, (B, *D), but its shape is {tuple(x.shape)}: use {hint}")
    if dim is not None and tuple(x.shape[1:]) != (dim,):
        raise ValueError(f"x must have shape (B, {dim}) to fit this distribution, not {tuple(x.shape)}")
    return x


def check_images(x: Tensor, channels: int, multiple: int = 2, size: int | None = None) -> Tensor:
    """Floating-point images (B, channels, H, W), H and W multiples of a number, or exactly `size`."""
    check_points(x)
    if x.ndim != 4 or x.shape[1] != channels or x.shape[2] % multiple or x.shape[3] % multiple:
        sizes = {1: "any H and W", 2: "even H and W"}.get(multiple, f"H and W multiples of {multiple}")
        raise ValueError(
            f"x must be images of shape (B, {channels}, H, W) with {sizes}, not {tuple(x.shape)}: crop or resize them"
        )
    if size is not None and x.shape[2:] != (size, size):
        raise ValueError(
            f"this net was made for images of {size} x {size}, not {x.shape[2]} x {x.shape[3]}: crop or resize them, "
            "or make a net with another size"
        )
    return x


def check_ladder(sigmas: Tensor) -> Tensor:
    """Noise levels sigma_1 > ... > sigma_L > 0, shape (L,)."""
    sigmas = torch.as_tensor(sigmas)
    if sigmas.ndim != 1 or len(sigmas) == 0:
        raise ValueError(f"sigmas must be one row of noise levels, shape (L,), not {tuple(sigmas.shape)}")
    if not (torch.isfinite(sigmas) & (sigmas > 0)).all():
        raise ValueError(f"sigmas must all be finite and above 0, but they are {_short(sigmas)}")
    rises = torch.nonzero(sigmas[1:] >= sigmas[:-1]).flatten()
    if len(rises):
        i = int(rises[0])
        raise ValueError(
            f"sigmas must be strictly decreasing, but sigmas[{i}] = {sigmas[i]:.4g} is followed by "
            f"sigmas[{i + 1}] = {sigmas[i + 1]:.4g}: use geometric(sigma_max, sigma_min, n), or sigmas.flip(0)"
        )
    return sigmas


def check_alphas_bar(alphas_bar: Tensor) -> Tensor:
    """Shares of the clean image's variance that are left, 1 >= alpha_bar_1 > ... > alpha_bar_T > 0, shape (T,)."""
    kept = torch.as_tensor(alphas_bar)
    if kept.ndim != 1 or len(kept) == 0:
        raise ValueError(f"alphas_bar must be one row of shares, shape (T,), not {tuple(kept.shape)}")
    within, falls = ((kept > 0) & (kept <= 1)).all(), (kept[1:] < kept[:-1]).all()
    if not (within and falls and (len(kept) == 1 or kept[0] > 0.05)):
        raise ValueError(
            "alphas_bar are shares of the image's variance that are left, falling from near 1 towards 0, and these go "
            f"from {kept[0]:.4g} to {kept[-1]:.4g}: of betas take alphas_bar_of(betas), of noise levels "
            "alphas_bar_of_sigmas(sigmas), both with the least noise first"
        )
    return kept


def check_mask(image: Tensor, mask: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """An image and a mask of zeros and ones that can be broadcast to the chains x; the mask comes back as booleans."""
    image, mask = torch.as_tensor(image, dtype=x.dtype, device=x.device), torch.as_tensor(mask)
    for name, value in (("image", image), ("mask", mask)):
        try:
            fits = torch.broadcast_shapes(value.shape, x.shape) == x.shape
        except RuntimeError:
            fits = False
        if not fits:
            raise ValueError(f"{name} has shape {tuple(value.shape)}, which does not fit the chains x {tuple(x.shape)}")
    if not ((mask == 0) | (mask == 1)).all():
        raise ValueError("mask must hold nothing but 0 (missing) and 1 (known): use mask > 0.5")
    mask = mask.bool().to(x.device)
    if not torch.where(mask, image, 0.0).isfinite().all():
        raise ValueError("the known part of the image holds NaN or infinite values")
    return image, mask


def check_linear(operator: Tensor, y: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """A linear operator A (M, dim), and what was measured by it, y (M,) or one for each row of the batch (B, M)."""
    if operator.ndim != 2 or operator.shape[1] != dim or not len(operator):
        raise ValueError(
            f"the operator must be a matrix of shape (M, {dim}), a row for each number measured, to fit points of "
            f"{dim} numbers, not {tuple(operator.shape)}"
        )
    if y.ndim not in (1, 2) or y.shape[-1] != len(operator):
        raise ValueError(
            f"y must hold the {len(operator)} numbers that the operator measures, shape ({len(operator)},) or "
            f"(B, {len(operator)}), not {tuple(y.shape)}: use y.flatten(), or y.flatten(1) for a batch"
        )
    check_measured("the operator", operator), check_measured("y", y)
    return operator, y


def check_measured(name: str, value: Tensor) -> Tensor:
    """Finite numbers: what was not measured has no row."""
    if not value.isfinite().all():
        raise ValueError(f"{name} holds NaN or infinite values: leave out the rows that were not measured")
    return value


def check_independent(operator: Tensor, rank: int) -> None:
    """A linear operator A (M, D) none of whose rows follows from the others, given its rank."""
    if (empty := torch.nonzero((operator == 0).all(1)).flatten()).numel():
        raise ValueError(f"row {int(empty[0])} of the operator is zero and measures nothing: leave it out")
    if rank < len(operator):
        raise ValueError(
            f"the {len(operator)} rows of the operator are linearly dependent (rank {rank}), so that without noise y "
            "may contradict itself: leave out rows that follow from others, or give noise= above 0"
        )


def check_orthogonal(basis: Tensor, dim: int) -> Tensor:
    """A square matrix (dim, dim) with R R' = I to about four digits."""
    if basis.shape != (dim, dim):
        raise ValueError(f"the basis must be a square matrix of shape ({dim}, {dim}), not {tuple(basis.shape)}")
    off = (basis @ basis.mT - torch.eye(dim, dtype=basis.dtype, device=basis.device)).abs().max()
    if not off < 1e-4:
        raise ValueError(
            f"the basis must be orthogonal, R R' = I, and is off by {off:.2g}: else noise would not stay the same in "
            "every direction. completed(rows) makes an orthogonal one"
        )
    return basis


def check_eta(eta: float, sigmas: Tensor) -> float:
    """A share of the noise that is large enough to come from each level of a ladder down to the next."""
    if not _is_real(eta) or not 0 <= eta <= 1:
        raise ValueError(f"eta is the share of the noise that a step takes away: from 0 to 1, not {eta!r}")
    needed = smallest_eta(sigmas)
    if eta < needed:
        raise ValueError(
            f"eta is {eta:.4g}, but from one level of this ladder to the next {needed:.4g} of the noise must go: "
            "use a larger eta, or a ladder of more levels"
        )
    return float(eta)


def smallest_eta(sigmas: Tensor) -> float:
    """The share of the noise that must go, at least, from some level of a ladder to the next."""
    return (1 - sigmas[1:] / sigmas[:-1]).max().item() if len(sigmas) > 1 else 0.0


def check_generator(generator: torch.Generator | None, device: torch.device) -> torch.Generator | None:
    """A generator draws on its own device only."""
    if generator is not None and generator.device.type != device.type:
        raise ValueError(
            f"the generator lives on {generator.device}, x on {device}: use torch.Generator({str(device)!r})"
        )
    return generator


def _is_real(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, RuntimeError):
        return False
    return not isinstance(value, (str, bool))


def _short(values: Tensor) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in values[:12].tolist()) + (", ...]" if len(values) > 12 else "]")
