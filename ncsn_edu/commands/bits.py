"""evaluate --bits: the likelihood of held-out images under a trained net, in bits a pixel.

This file does NOT compute it: likelihood.py does.
"""

import argparse
import json
import math
from typing import Any

from ..files import write_whole
from .common import Failed, WrongUsage, find_device, in_memory, load_images

TOLERANCE = 1e-4  # a tenth of it moves the number by less than its standard error


def report_bits(arguments: argparse.Namespace) -> int:
    """Print bits a pixel with their standard error, and write them where asked."""
    if arguments.data or arguments.alone or arguments.features != "classifier":
        raise WrongUsage("--bits takes images of the net's own data set: leave out --data, --features and --alone")
    if arguments.bf16:
        raise WrongUsage("--bits solves an equation more exactly than bfloat16 is rounded: leave out --bf16")
    import torch

    from ..adapters import Accelerated
    from ..likelihood import bits_of_images
    from ..odes import NotSolved
    from ..trained import load_trained

    device, n = find_device(arguments.device), arguments.n or 64
    net = load_trained(str(arguments.samples), device=device)
    if not net.recipe.network.any_sigma:
        raise Failed(
            f"{arguments.samples} knows its own {len(net.sigmas)} noise levels only, and the flow asks for all between "
            "them: give a net for any level, such as ddpm_digits or ncsnv2_digits"
        )
    train, held_out = load_images(net.recipe.data, "train"), load_images(net.recipe.data, "test")
    if n > len(held_out):
        raise Failed(f"there are {len(held_out)} held-out images of {net.recipe.data}, fewer than --n {n}")
    score = Accelerated(net.score, mode=arguments.compile) if arguments.compile else net.score
    generator, levels = torch.Generator(device).manual_seed(arguments.seed), len(train.unique())
    chosen = held_out[torch.randperm(len(held_out), generator=torch.Generator().manual_seed(arguments.seed))[:n]]
    options: dict[str, Any] = {"levels": levels, "rtol": TOLERANCE, "atol": TOLERANCE, "generator": generator}
    try:
        with in_memory(f"there is too little memory for {n} images at once on {device}: give a smaller --n"):
            bits = bits_of_images(score, chosen.to(device).float() / 255, net.sigmas, **options)
    except (NotSolved, FloatingPointError) as error:
        raise Failed(str(error)) from error
    mean, scatter = bits.mean().item(), bits.std().item() / math.sqrt(n)
    of = f"{n} held-out images of {net.recipe.data}, at noise {net.sigmas[-1].item():.4g}"
    print(f"{mean:.3f} ± {scatter:.3f} bits a pixel of {levels} greys ({of}); a uniform model: {math.log2(levels):.3f}")
    if arguments.out:
        numbers = {"bits": mean, "standard_error": scatter, "levels": levels, "n": n, "sigma": net.sigmas[-1].item()}
        write_whole(arguments.out, (json.dumps(numbers, indent=2) + "\n").encode())
        print(f"wrote {arguments.out}")
    return 0
