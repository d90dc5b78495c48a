"""Batches of images, drawn without end or for a number of steps: shuffled, flipped, dequantised.

Classifiers have changes of their own, in augment.py. This file does NOT know any data set. torch is imported inside
functions, so that the package can be imported where it is missing.
"""

from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def batches(
    images: "Tensor",
    batch_size: int,
    *,
    flip: bool = False,
    dequantize: bool = True,
    generator: "torch.Generator | None" = None,
    device: "torch.device | str | None" = None,
    n_batches: int | None = None,
    labels: "Tensor | None" = None,
) -> "Batches":
    """Yield float32 batches (B, C, H, W) in [0, 1] of uint8 images (N, C, H, W): endlessly, or n_batches of them.

    The images move to `device` (default: where they are) once, as uint8, and all else happens there, with nothing
    that waits for the device. Each epoch is a fresh shuffle of all N images, and a batch that the end of one epoch
    does not fill is filled from the next: every image is seen once an epoch, and every batch has B rows.

    dequantize  (images + u) / 256 with u uniform on (0, 1), in steps of 1/256, for every value, so that the data have a
                density (Theis et al. 2016, arXiv:1511.01844); otherwise images / 255. floor(256 x) is the image again.
    flip        flip each image left to right with probability 1/2.
    generator   draws all the randomness; it must live on `device`. The global one where there is none.
    labels      (N,): yields pairs (batch, labels (B,) of its images) instead.

    The iterator that is returned can be stopped and resumed exactly: `state_dict`, `load_state_dict`.

    Raises TypeError for images that are not uint8, ValueError for a wrong shape, size or device.
    """
    from ..checks import check_count, check_generator

    _check_images(images)
    images = images.to(device)
    batch_size = check_count("batch_size", batch_size)
    if batch_size > len(images):
        raise ValueError(f"batch_size is {batch_size}, but there are {len(images)} images: use {len(images)} or fewer")
    check_generator(generator, images.device)
    n_batches = None if n_batches is None else check_count("n_batches", n_batches)
    if labels is not None and labels.shape != images.shape[:1]:
        raise ValueError(f"labels must have one number for each of the {len(images)} images, not {tuple(labels.shape)}")
    labels = None if labels is None else labels.to(images.device)
    return Batches(images, batch_size, flip, dequantize, generator, n_batches, labels)


def _check_images(images: "Tensor") -> None:
    import torch

    if not isinstance(images, torch.Tensor):
        raise TypeError(f"images must be a torch tensor, not {type(images).__name__}: use torch.as_tensor(images)")
    if images.dtype != torch.uint8:
        raise TypeError(f"images must be uint8, as load() returns them, not {images.dtype}{_to_bytes(images)}")
    if images.ndim != 4:
        raise ValueError(f"images must have shape (N, C, H, W), not {tuple(images.shape)}: one channel is [:, None]")
    if images.numel() == 0:
        raise ValueError(f"there are no images: the shape is {tuple(images.shape)}")


def _to_bytes(images: "Tensor") -> str:
    """How to make bytes of images that are none: it depends on the range they lie in."""
    if images.numel() == 0 or images.is_complex():
        return ""
    if images.is_floating_point() and not images.isfinite().all():
        return "; and some of their pixels are NaN or infinite"
    low, high = images.min().item(), images.max().item()
    if low < 0 or high > 255:
        return (
            f"; they lie in [{low:.4g}, {high:.4g}]: bring them to [0, 1] first, then use (255 * images).round().byte()"
        )
    return ": use (255 * images).round().byte()" if high <= 1 else ": use images.round().byte()"


class Batches(Iterator[Any]):
    """What `batches` returns: an iterator over x (B, C, H, W), or over pairs (x, label (B,)) where it has labels."""

    def __init__(
        self,
        images: "Tensor",
        batch_size: int,
        flip: bool,
        dequantize: bool,
        generator: "torch.Generator | None",
        n_batches: int | None,
        labels: "Tensor | None" = None,
    ) -> None:
        import torch

        self.images, self.batch_size, self.flip, self.dequantize = images, batch_size, flip, dequantize
        self.generator, self.left, self.labels = generator, n_batches, labels
        self._order = torch.empty(0, dtype=torch.int64, device=images.device)  # what is left of this epoch

    def __next__(self) -> "Tensor | tuple[Tensor, Tensor]":
        import torch

        if self.left == 0:
            raise StopIteration
        if self.left is not None:
            self.left -= 1
        device = self.images.device
        if len(self._order) < self.batch_size:
            shuffled = torch.randperm(len(self.images), generator=self.generator, device=device)
            self._order = torch.cat([self._order, shuffled])
        index, self._order = self._order[: self.batch_size], self._order[self.batch_size :]
        x = self.images.index_select(0, index)  # (B, C, H, W), uint8
        if self.flip:
            x = _flipped(x, torch.rand(len(x), 1, 1, 1, generator=self.generator, device=device) < 0.5)
        x = _dequantized(x, self.generator) if self.dequantize else x.float() / 255
        return x if self.labels is None else (x, self.labels[index])

    def state_dict(self) -> dict[str, Any]:
        """Where the iterator stands: rows left in the epoch, batches left, the generator's state."""
        if self.generator is None:
            raise ValueError("batches without a generator cannot be repeated: give batches(..., generator=)")
        # On the CPU, as other processes get it: a tensor on a GPU would bring each of them a context on that GPU.
        return {"order": self._order.cpu().clone(), "left": self.left, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume where `state_dict` was taken, over the same images; a generator that is None stays as it is here."""
        order = state["order"].to(self.images.device)
        if self.generator is None:
            raise ValueError("batches without a generator cannot be repeated: give batches(..., generator=)")
        if len(order) and order.max() >= len(self.images):
            raise ValueError(f"the stopped run had more than these {len(self.images)} images: use the same data")
        self._order, self.left = order, state["left"]
        if state["generator"] is not None:
            self.generator.set_state(state["generator"].cpu())


def _flipped(x: "Tensor", chosen: "Tensor") -> "Tensor":
    """Images, uint8 (B, C, H, W), with those flipped left to right for which `chosen`, bool (B, 1, 1, 1), holds.

    It is torch.where(chosen, x.flip(-1), x) in a fifth of the time. Bytes wrap around, so this sum is exact:
    x + chosen (flipped - x), with chosen 1 or 0.
    """
    difference = x.flip(-1).sub_(x)
    return difference.mul_(chosen.byte()).add_(x)


def _dequantized(x: "Tensor", generator: "torch.Generator | None") -> "Tensor":
    """(x + u) / 256 for uint8 x, with u = (b + 1/2) / 256 and b a random byte: exact in float32, and below x + 1."""
    b = _random_bytes(x.shape, x.device, generator)
    # (256 x + b + 1/2) / 256^2, in place: fresh memory for each step takes longer than the arithmetic.
    return b.float().add_(x.float(), alpha=256).add_(0.5).mul_(256**-2)


def _random_bytes(shape: "torch.Size", device: "torch.device", generator: "torch.Generator | None") -> "Tensor":
    """Uniform bytes 0..255, uint8.

    On the CPU eight of them come from one random number of 64 bits: with a draw for each byte, dequantising takes four
    times as long. Not every accelerator draws all numbers of 64 bits (Apple's does not), and there a draw costs little.
    """
    import torch

    if device.type != "cpu":
        return torch.randint(256, shape, dtype=torch.uint8, generator=generator, device=device)
    words = torch.empty(ceil(shape.numel() / 8), dtype=torch.int64, device=device)
    words.random_(-(2**63), None, generator=generator)  # any int64
    return words.view(torch.uint8)[: shape.numel()].view(shape)
