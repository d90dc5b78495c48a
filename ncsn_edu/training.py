"""Training as an iterator: one optimiser step, one state; what watches it is an ordinary `for` around it.

The same lines train two-dimensional points on a laptop and images on several GPUs: under `torchrun` every process
makes its own batches, and the gradients are averaged. This file does NOT know images, networks or files: batches say
from what is learned, an objective of losses.py says what, checkpoints.py keeps `state_dict()`.
"""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from . import distributed
from .checks import check_count, check_positive, check_scale
from .devices import random_state_apart
from .errors import first_line
from .losses import Losses

Objective = Callable[..., Tensor | Losses]  # (model, x (B, *D)), with labels (model, x, label (B,)) -> losses (B,)
Batch = Tensor | tuple[Tensor, ...]  # x, or x and the label of each row
DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
CHECK_EVERY = 50  # steps on a GPU between two looks at the losses


class TrainState(NamedTuple):
    """What training yields, AFTER each optimiser step and the EMA update that follows it."""

    step: int  # steps made so far, from 1
    losses: Tensor  # (B,) of this batch, before the step, on the device
    level: Tensor | None  # (B,) places on the ladder, if there is one
    model: nn.Module  # the model itself, not a copy
    ema: nn.Module  # its average over the past; the model itself if no average is kept

    @property
    def loss(self) -> float:
        """Mean over the batch; reading it waits for the device."""
        return self.losses.mean().item()

    def level_losses(self, n_levels: int) -> Tensor:
        """Mean loss at each level (n_levels,); NaN where the batch had none."""
        if self.level is None:
            raise ValueError("there are no levels: give train() an objective with a ladder, Denoising(sigmas)")
        return mean_by_level(self.losses, self.level, n_levels)


def mean_by_level(losses: Tensor, level: Tensor, n_levels: int) -> Tensor:
    """Means of losses (N,) over the rows of each level (N,), shape (n_levels,); NaN for a level without rows."""
    total = losses.new_zeros(n_levels).index_add_(0, level, losses)
    return total / torch.bincount(level, minlength=n_levels)


def train(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    objective: Objective,
    n_steps: int,
    lr: float = 1e-3,
    warmup: int = 0,
    cooldown: int = 0,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.0,
    ema: float | None = None,
    ema_power: float | None = None,
    clip: float | None = None,
    bf16: bool = False,
    compiled: bool | str = False,
) -> "Training":
    """Minimise the mean of an objective over batches x (B, *D) with Adam (Kingma & Ba 2015).

    objective  (model, x) -> losses (B,): a loss of losses.py such as `sliced` or `partial(dsm, sigma=0.1)`; or one
               with levels and weights, `Denoising(sigmas)`. Batches of pairs (x, label) are passed on as two arguments.
               To resume exactly, one of your own names what it draws from in an attribute `generators`
    lr         learning rate; it rises to this over the first `warmup` steps and falls to 0 over the last `cooldown`
    weight_decay  each step also takes lr * weight_decay of every weight away from it (Loshchilov & Hutter 2019)
    ema        decay of an exponential moving average of the weights, updated after each step (NCSNv2: 0.999)
    ema_power  an average that grows with the run instead: step t counts as t^ema_power (Karras et al. 2024)
    clip       largest norm of the gradient
    bf16       run the model in bfloat16 (autocast); weights and losses stay float32
    compiled   torch.compile the model: True, or a mode such as "reduce-overhead" (CUDA graphs). Tried before the first
               step, for up to minutes; where it fails, training continues without it, and says so

    A model that was trained before starts from its weights, with new averages in the optimiser; `load_state_dict`
    resumes exactly. Raises FloatingPointError at a loss that is not finite, before it reaches the parameters; on a GPU,
    where to look means to wait, within CHECK_EVERY steps, and before anything is saved.
    """
    rate = LearningRate(lr, warmup, cooldown, n_steps)
    average = EMA(model, ema, ema_power) if ema is not None or ema_power is not None else None
    return Training(model, batches, objective, rate, betas, weight_decay, average, clip, bf16, compiled)


class LearningRate:
    """The learning rate of each step, counted from 0: a rise, a constant, a fall.

    The rise is for the optimiser, whose averages are empty at its `first` step.
    """

    def __init__(self, lr: float, warmup: int, cooldown: int, n_steps: int) -> None:
        self.lr, self.n_steps = check_positive("lr", lr), check_count("n_steps", n_steps)
        self.warmup = check_count("warmup", warmup, least=0)
        self.cooldown = check_count("cooldown", cooldown, least=0)
        self.first = 0

    def __call__(self, step: int) -> float:
        """The rate of a step."""
        rise, fall = (step - self.first + 1) / max(self.warmup, 1), (self.n_steps - step) / max(self.cooldown, 1)
        return self.lr * min(1.0, rise, fall)


class Training(Iterator[TrainState]):
    """What `train` returns: iterate to train; `state_dict` and `load_state_dict` to stop and resume exactly."""

    def __init__(
        self,
        model: nn.Module,
        batches: Iterable[Batch],
        objective: Objective,
        rate: LearningRate,
        betas: tuple[float, float],
        weight_decay: float,
        ema: "EMA | None",
        clip: float | None,
        bf16: bool,
        compiled: bool | str,
    ) -> None:
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        if not self._parameters:
            raise ValueError(f"{type(model).__name__} has no parameters to train")
        self.device = self._parameters[0].device
        self.model, self.batches, self.objective, self.ema = model, iter(batches), objective, ema
        self.optimiser = torch.optim.Adam(
            self._parameters,
            rate.lr,
            betas,
            weight_decay=check_scale("weight_decay", weight_decay),
            decoupled_weight_decay=True,
            fused=self.device.type == "cuda",
            foreach=True if self.device.type == "cpu" else None,  # the same numbers, by fewer calls
        )
        self.generators = generators_of(objective)
        self.n_steps, self.step = rate.n_steps, 0
        self.broken = False  # in the middle of a step, or stopped there: `state_dict` is that of no step
        self._rate, self._clip, self._bf16, self._compiled = rate, clip, bf16, compiled
        if clip is not None:
            check_positive("clip", clip)
        self._drops = any(isinstance(module, DROPOUT) and module.p > 0 for module in model.modules())
        self._forward = distributed.data_parallel(model)
        self._unchecked: list[tuple[int, Tensor, Tensor | None]] = []  # steps whose losses nobody has looked at
        self._check_every = 1 if self.device.type == "cpu" else CHECK_EVERY
        self.compile_seconds: float | None = None  # how long compiling took, once it is done

    def __next__(self) -> TrainState:
        if self.step >= self.n_steps:
            raise StopIteration
        batch = self._begin()
        with self._setting():
            losses = as_losses(self.objective(self._forward, *batch), len(batch[0]))
        self._look_at(losses)
        self.optimiser.zero_grad()
        losses.weighted.mean().backward()
        if self._clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._clip)
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate(self.step)
        self.optimiser.step()
        if self.ema is not None:
            self.ema.update(self.model, self.step + 1)
        self.step, self.broken = self.step + 1, False
        ema = self.ema.model if self.ema is not None else self.model
        return TrainState(self.step, losses.losses.detach(), losses.level, self.model, ema)

    def _begin(self) -> tuple[Tensor, ...]:
        """The next batch, for a model in training mode whatever a watcher has done, compiled if that was asked for."""
        if not self.model.training:
            self.model.train()
        self.broken = True
        try:
            batch = next(self.batches)
        except StopIteration:
            raise ValueError(
                f"the batches ended after {self.step} of {self.n_steps} steps: give more, or an endless iterator"
            ) from None
        parts = (batch,) if isinstance(batch, Tensor) else tuple(batch)
        if self._compiled:
            self._compile(parts)
        return parts

    @contextmanager
    def _setting(self) -> Iterator[None]:
        """bfloat16 where asked for; dropout drawn by the number of the step, so that a resumed run draws the same."""
        with ExitStack() as settings:
            if self._bf16:
                settings.enter_context(torch.autocast(self.device.type, torch.bfloat16))
            if self._drops:
                seed = self.generators[0].initial_seed() if self.generators else torch.initial_seed()
                settings.enter_context(random_state_apart(self.device, (seed + self.step) % 2**32))
            yield

    def _look_at(self, losses: Losses) -> None:
        """Check the losses once in a while: on a GPU to look is to wait."""
        both = losses.losses.detach()
        if losses.weighted is not losses.losses:  # what is not finite of the two
            both = torch.where(losses.weighted.isfinite(), both, losses.weighted.detach())
        self._unchecked.append((self.step + 1, both, losses.level))
        if len(self._unchecked) >= self._check_every:
            self.check()

    def check(self) -> None:
        """Look at the losses of all steps since the last check; raise FloatingPointError if one is not finite."""
        steps, self._unchecked = self._unchecked, []
        if not steps or torch.stack([losses.sum().isfinite() for _, losses, _ in steps]).all():
            return
        self.broken = True
        step, losses, level = next(each for each in steps if not each[1].sum().isfinite())
        bad = (~losses.isfinite()).nonzero()
        row = int(bad[0]) if len(bad) else 0  # large losses may be finite each, and their sum not
        at = f", level {int(level[row])}" if level is not None else ""
        reached = "with" if step > self.step else "and it has reached"
        raise FloatingPointError(
            f"the loss is {losses[row].item()} at step {step}{at}: training stops, {reached} the parameters "
            f"of step {self.step}. Are the data finite, and sigma one that the net knows? If so, a smaller lr may help"
        )

    def _compile(self, batch: tuple[Tensor, ...]) -> None:
        """Compile by a step that is not made: it draws what the next one draws, and leaves no trace but its time."""
        mode, self._compiled = self._compiled, False
        began, before = time.monotonic(), [generator.get_state() for generator in self.generators]
        buffers = [(buffer, buffer.clone()) for buffer in self.model.buffers()]  # averages of batch norms move
        compiled = cast(nn.Module, torch.compile(self.model, mode=mode if isinstance(mode, str) else None))
        try:
            with random_state_apart(self.device), self._setting():
                losses = as_losses(self.objective(compiled, *batch), len(batch[0]))
            losses.weighted.mean().backward()
            self._forward = distributed.data_parallel(compiled)
            self.compile_seconds = time.monotonic() - began
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever a compiler may come up with
            warnings.warn(f"compiling failed, training continues without it: {first_line(error)}", stacklevel=3)
        finally:
            self.optimiser.zero_grad()
            for generator, state in zip(self.generators, before, strict=True):
                generator.set_state(state)
            for buffer, then in buffers:
                buffer.copy_(then)

    def begin_at(self, step: int) -> None:
        """Count the steps on from those that the model has behind it; the optimiser is new, and its rate rises."""
        self.step = self._rate.first = step

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to resume exactly: tensors, numbers and names, for checkpoints.save."""
        self.check()
        return {
            "step": self.step,
            "first": self._rate.first,
            "device": self.device.type,
            "model": self.model.state_dict(),
            "ema": self.ema.model.state_dict() if self.ema else None,
            "optimiser": self.optimiser.state_dict(),
            "generators": [generator.get_state() for generator in self.generators],
            "batches": self.batches.state_dict() if hasattr(self.batches, "state_dict") else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume where `state_dict` was taken: with the same settings, the same numbers as without a stop.

        On a device of another kind generators cannot continue: the draws from here on are then new ones.
        """
        if (state["ema"] is None) != (self.ema is None):
            raise ValueError("one of the two runs averages its weights and the other does not: give the same ema=")
        self.model.load_state_dict(state["model"])
        if self.ema is not None:
            self.ema.model.load_state_dict(state["ema"])
        ours = self.optimiser.param_groups[0]
        kernels = {name: ours[name] for name in ("fused", "foreach")}  # belong to the device, and not to the run
        groups = [{**group, **kernels} for group in state["optimiser"]["param_groups"]]
        self.optimiser.load_state_dict({**state["optimiser"], "param_groups": groups})
        for parameter, moments in self.optimiser.state.items():  # fused Adam wants them laid out as their parameter is
            for name, moment in moments.items():
                if moment.shape == parameter.shape:
                    moments[name] = torch.empty_like(parameter).copy_(moment)
        self.step, self._rate.first, batches = state["step"], state["first"], state["batches"]
        if state["device"] != self.device.type:
            batches = batches and {**batches, "generator": None}
            drawn_from = [*self.generators, getattr(self.batches, "generator", None)]
            for generator in {id(each): each for each in drawn_from if each is not None}.values():
                generator.manual_seed((generator.initial_seed() + self.step) % 2**32)
        else:
            for generator, then in zip(self.generators, state["generators"], strict=True):
                generator.set_state(then.cpu())
        if hasattr(self.batches, "load_state_dict") and batches is not None:
            self.batches.load_state_dict(batches)


class EMA:
    """Moving average of a model's weights, theta' <- m theta' + (1 - m) theta, with one of two profiles.

    decay  m is this number: an exponential average over about 1 / (1 - m) steps (Song & Ermon 2020, section 5)
    power  m = (1 - 1/t)^(power + 1): step t counts as t^power, so that the average is as long as suits the run so far
           (Karras et al. 2024, section 3.1; power 6.94 has a width of a tenth of the run)
    """

    def __init__(self, model: nn.Module, decay: float | None, power: float | None = None) -> None:
        if (decay is None) == (power is None):
            raise ValueError("ema= and ema_power= are two averages: give one of them")
        if decay is not None and check_positive("ema", decay) >= 1:
            raise ValueError(f"ema is a decay below 1, such as 0.999, not {decay}")
        self.decay, self.power = decay, power if power is None else check_positive("ema_power", power)
        self.model = deepcopy(model).eval().requires_grad_(False)
        self._averages: list[Tensor] = [*self.model.parameters()]

    @torch.no_grad()
    def update(self, model: nn.Module, step: int | None = None) -> None:
        """To be called after the optimiser's step; with a power, step is its number from 1. Buffers are copied."""
        if self.power is not None:
            if step is None:
                raise ValueError("an average with a power needs the number of the step: update(model, step)")
            decay = (1 - 1 / step) ** (self.power + 1)
        else:
            decay = self.decay
        torch._foreach_lerp_(self._averages, [*model.parameters()], 1 - decay)
        for average, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            average.copy_(buffer)


def generators_of(objective: Objective) -> list[torch.Generator]:
    """What an objective draws from: what it says itself, or the generator= of a partial."""
    named = getattr(objective, "generators", None)
    if named is None:
        named = [getattr(objective, "keywords", {}).get("generator")]
    return [each for each in named if each is not None]


def as_losses(found: Tensor | Losses, n: int) -> Losses:
    """What an objective returned, if it is one number a row, (n,)."""
    losses = found if isinstance(found, Losses) else Losses(found, found)
    for each in losses[:2]:
        if each.shape != (n,):
            raise ValueError(f"the loss must be one number a row, shape ({n},), not {tuple(each.shape)}")
    return losses
