"""Training as an iterator: one optimiser step, one state; what watches it is an ordinary `for` around it.

The same lines train two-dimensional points on a laptop and images on several GPUs: under `torchrun` every process
makes its own batches, and the gradients are averaged. This file does NOT know images, networks or files: batches say
from what is learned, a loss or a ladder of noise levels says what, checkpoints.py keeps `state_dict()`.
"""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from . import distributed
from .checks import check_count, check_ladder, check_positive
from .losses import dsm, log_normal_sigmas, random_levels, sigmas_between

Net = Callable[..., Tensor]  # the model, or what stands for it: compiled, parallel, told the labels
Loss = Callable[[Any, Tensor], Tensor]  # (Net, x (B, *D)) -> (B,)
SigmaSampler = Callable[[int, torch.Generator | None], Tensor]
Weight = Callable[[Tensor], Tensor]
Batch = Tensor | tuple[Tensor, Tensor]  # x, or x and the label of each row
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
            raise ValueError("there are no levels: give train() a ladder, sigmas=")
        return mean_by_level(self.losses, self.level, n_levels)


def mean_by_level(losses: Tensor, level: Tensor, n_levels: int) -> Tensor:
    """Means of losses (N,) over the rows of each level (N,), shape (n_levels,); NaN for a level without rows."""
    total = losses.new_zeros(n_levels).index_add_(0, level, losses)
    return total / torch.bincount(level, minlength=n_levels)


def train(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    loss: Loss | None = None,
    sigmas: Tensor | None = None,
    sigma_sampler: SigmaSampler | None = None,
    continuous: bool = False,
    log_normal: tuple[float, float] | None = None,
    weight: Weight | None = None,
    unlabelled: float = 0.0,
    n_steps: int,
    lr: float = 1e-3,
    warmup: int = 0,
    cooldown: int = 0,
    betas: tuple[float, float] = (0.9, 0.999),
    ema: float | None = None,
    ema_power: float | None = None,
    clip: float | None = None,
    bf16: bool = False,
    compiled: bool | str = False,
    generator: torch.Generator | None = None,
) -> "Training":
    """Minimise a loss over batches x (B, *D) with Adam (Kingma & Ba 2015). Say what is learned in one of three ways:

    sigmas         (L,): denoising at a random level of the ladder for each example (Song & Ermon 2019, eq. 6); with
                   continuous=True at any sigma between the first and the last, uniform in its logarithm; with
                   log_normal=(mean, std) of log sigma, Gaussian (Karras et al. 2022)
    sigma_sampler  (n, generator) -> sigma (n,): denoising at noise levels of your own distribution
    loss           (model, x) -> (B,): another loss, such as `sliced` or `partial(dsm, sigma=0.1)`

    batches of pairs (x, label (B,)) tell the model the class of each image, model(x, sigma, label=label), for all but
    the share `unlabelled` of them, which get -1 (Ho & Salimans 2022): one net, two scores.

    weight     sigma (B,) -> (B,): how much the loss of an example counts, by its noise level; the losses that are told
               stay without it
    warmup     steps in which the learning rate rises to lr, linearly
    cooldown   last steps of n_steps, in which it falls to 0, linearly
    ema        decay of an exponential moving average of the weights, updated after each step (NCSNv2: 0.999)
    ema_power  an average that grows with the run instead: step t counts as t^ema_power (Karras et al. 2024)
    clip       largest norm of the gradient
    bf16       run the model in bfloat16 (autocast); weights and losses stay float32
    compiled   torch.compile the model: True, or a mode such as "reduce-overhead" (CUDA graphs). Tried before the first
               step, for up to minutes; where it fails, training goes on without, and says so
    generator  draws levels and noise, on the device of the batches

    A model that was trained before goes on from where it is, with new averages in the optimiser; `load_state_dict`
    goes on exactly. Raises FloatingPointError at a loss that is not finite, before it reaches the parameters; on a GPU,
    where to look means to wait, within CHECK_EVERY steps, and before anything is saved.
    """
    if [loss is None, sigmas is None, sigma_sampler is None].count(False) != 1:
        raise ValueError("say what to learn by exactly one of loss=, sigmas= and sigma_sampler=")
    n_steps, lr = check_count("n_steps", n_steps), check_positive("lr", lr)
    if (continuous or log_normal) and sigmas is None:
        raise ValueError("continuous=True and log_normal= need a ladder, sigmas=, to say between which noise levels")
    if continuous and log_normal:
        raise ValueError("continuous=True and log_normal= are two ways to draw sigma: give one of them")
    if not 0 <= unlabelled < 1:
        raise ValueError(f"unlabelled is a share of the examples, from 0 to below 1, not {unlabelled}")
    if weight is not None and loss is not None:
        raise ValueError("weight= is for sigmas= and sigma_sampler=: let loss= return what each example counts")
    warmup, cooldown = check_count("warmup", warmup, least=0), check_count("cooldown", cooldown, least=0)
    for name, value in (("ema", ema), ("ema_power", ema_power), ("clip", clip)):
        if value is not None:
            check_positive(name, value)
    if ema is not None and ema >= 1:
        raise ValueError(f"ema is a decay below 1, such as 0.999, not {ema}")
    if ema is not None and ema_power is not None:
        raise ValueError("ema= and ema_power= are two averages: give one of them")
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError(f"{type(model).__name__} has no parameters to train")
    device = parameters[0].device
    optimiser = torch.optim.Adam(parameters, lr=lr, betas=betas, fused=device.type == "cuda")
    if loss is not None:
        objective: Objective = _as_it_is(loss)
    elif sigmas is not None:
        ladder = check_ladder(sigmas).to(device)
        if log_normal is not None:
            mean, std = log_normal
            objective = _drawn(lambda x: log_normal_sigmas(x, ladder, mean, std, generator), generator, weight)
        elif continuous:
            objective = _drawn(lambda x: sigmas_between(x, ladder, generator), generator, weight)
        else:
            objective = _ladder(ladder, generator, weight)
    else:
        objective = _sampled(sigma_sampler, generator, weight)  # type: ignore[arg-type]  # given, if the other two are not
    return Training(
        model,
        batches,
        objective,
        optimiser,
        n_steps,
        rate=lambda step: lr * min(1.0, (step + 1) / max(warmup, 1), (n_steps - step) / max(cooldown, 1)),
        ema=EMA(model, ema, ema_power) if ema or ema_power else None,
        clip=clip,
        bf16=bf16,
        compiled=compiled,
        generator=generator,
        unlabelled=unlabelled,
    )


class Training(Iterator[TrainState]):
    """What `train` returns: iterate to train; `state_dict` and `load_state_dict` to stop and go on exactly."""

    def __init__(
        self,
        model: nn.Module,
        batches: Iterable[Batch],
        objective: "Objective",
        optimiser: torch.optim.Optimizer,
        n_steps: int,
        *,
        rate: Callable[[int], float],
        ema: "EMA | None",
        clip: float | None,
        bf16: bool,
        compiled: bool | str,
        generator: torch.Generator | None,
        unlabelled: float,
    ) -> None:
        self.model, self.batches, self.optimiser, self.generator = model, iter(batches), optimiser, generator
        self.n_steps, self.step = n_steps, 0
        self.broken = False  # in the middle of a step, or stopped there: `state_dict` is that of no step
        self.ema, self._unlabelled = ema, unlabelled
        self._objective, self._rate, self._clip, self._bf16 = objective, rate, clip, bf16
        self._parameters = [p for group in optimiser.param_groups for p in group["params"]]
        self._compiled = compiled
        self._forward = distributed.data_parallel(model)
        self._unchecked: list[tuple[int, Tensor, Tensor | None]] = []  # steps whose losses nobody has looked at
        self._check_every = CHECK_EVERY if self._parameters[0].is_cuda else 1
        self.compile_seconds: float | None = None  # how long compiling took, once it is done

    def __next__(self) -> TrainState:
        if self.step >= self.n_steps:
            raise StopIteration
        if not self.model.training:  # at the start, and after a watcher that has looked at samples
            self.model.train()
        self.broken = True
        losses, level = self._losses(self._next_batch())
        self.optimiser.zero_grad()
        losses.mean().backward()
        if self._clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._clip)
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate(self.step)
        self.optimiser.step()
        if self.ema is not None:
            self.ema.update(self.model, self.step + 1)
        self.step, self.broken = self.step + 1, False
        return TrainState(self.step, losses.detach(), level, self.model, self.ema.model if self.ema else self.model)

    def _next_batch(self) -> Batch:
        try:
            return next(self.batches)
        except StopIteration:
            raise ValueError(
                f"the batches ended after {self.step} of {self.n_steps} steps: give more, or an endless iterator"
            ) from None

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Losses (B,) of a batch, and levels; they are looked at once in a while, and before they are used."""
        if self._compiled:
            self._compile(batch)
        losses, level = self._run(self._forward, batch)
        self._unchecked.append((self.step + 1, losses.detach(), level))
        if len(self._unchecked) >= self._check_every:
            self.check()
        return losses, level

    def _run(self, forward: Net, batch: Batch) -> tuple[Tensor, Tensor | None]:
        x, label = (batch, None) if isinstance(batch, Tensor) else batch
        if label is not None:
            hidden = torch.rand(len(x), generator=self.generator, device=x.device) < self._unlabelled
            forward = partial(forward, label=label.masked_fill(hidden, -1))
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self._bf16):
            losses, level = self._objective(forward, x)
        if losses.shape != x.shape[:1]:
            raise ValueError(f"the loss must be one number a row, shape ({len(x)},), not {tuple(losses.shape)}")
        return losses, level

    def check(self) -> None:
        """Look at the losses of all steps since the last check; raise FloatingPointError if one is not finite."""
        steps, self._unchecked = self._unchecked, []
        finite = [losses.sum().isfinite() for _, losses, _ in steps]
        if not steps or torch.stack(finite).all():
            return
        self.broken = True
        step, losses, level = steps[[flag.item() for flag in finite].index(False)]
        row = int((~losses.isfinite()).nonzero()[0]) if not losses.isfinite().all() else 0
        at = f", level {int(level[row])}" if level is not None else ""
        reached = "with" if step > self.step else "and it has reached"
        raise FloatingPointError(
            f"the loss is {losses[row].item()} at step {step}{at}: training stops, {reached} the parameters "
            f"of step {self.step}. Are the data finite, and sigma one that the net knows? If so, a smaller lr may help"
        )

    def _compile(self, batch: Batch) -> None:
        """Compile by a step that is not made: it draws what the next one draws, and leaves no trace but its time."""
        mode, self._compiled = self._compiled, False
        began, before = time.monotonic(), self.generator.get_state() if self.generator else None
        compiled = cast(nn.Module, torch.compile(self.model, mode=mode if isinstance(mode, str) else None))
        try:
            self._run(compiled, batch)[0].mean().backward()
            self._forward = distributed.data_parallel(compiled)
            self.compile_seconds = time.monotonic() - began
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever a compiler may come up with
            why = (str(error) or type(error).__name__).splitlines()[0]
            warnings.warn(f"compiling failed, training goes on without it: {why}", stacklevel=3)
        finally:
            self.optimiser.zero_grad()
            if self.generator is not None and before is not None:
                self.generator.set_state(before)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on exactly: tensors, numbers and names, for checkpoints.save."""
        self.check()
        return {
            "step": self.step,
            "device": self._parameters[0].device.type,
            "model": self.model.state_dict(),
            "ema": self.ema.model.state_dict() if self.ema else None,
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state() if self.generator else None,
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
        fused = self.optimiser.param_groups[0]["fused"]  # belongs to the device, and not to the run
        groups = [{**group, "fused": fused} for group in state["optimiser"]["param_groups"]]
        self.optimiser.load_state_dict({**state["optimiser"], "param_groups": groups})
        for parameter, moments in self.optimiser.state.items():  # fused Adam wants them laid out as their parameter is
            for name, moment in moments.items():
                if moment.shape == parameter.shape:
                    moments[name] = torch.empty_like(parameter).copy_(moment)
        self.step, batches = state["step"], state["batches"]
        device = self._parameters[0].device.type
        if state["device"] != device:
            batches = batches and {**batches, "generator": None}
            if self.generator is not None:
                self.generator.manual_seed((self.generator.initial_seed() + self.step) % 2**32)
        elif self.generator is not None and state["generator"] is not None:
            self.generator.set_state(state["generator"].cpu())
        if hasattr(self.batches, "load_state_dict") and batches is not None:
            self.batches.load_state_dict(batches)
        self.model.train()


class EMA:
    """Moving average of a model's weights, theta' <- m theta' + (1 - m) theta, with one of two profiles.

    decay  m is this number: an exponential average over about 1 / (1 - m) steps (Song & Ermon 2020, section 5)
    power  m = (1 - 1/t)^(power + 1): step t counts as t^power, so that the average is as long as suits the run so far
           (Karras et al. 2024, section 3.1; power 6.94 has a width of a tenth of the run)
    """

    def __init__(self, model: nn.Module, decay: float | None, power: float | None = None) -> None:
        self.decay, self.power, self.model = decay, power, deepcopy(model).eval().requires_grad_(False)
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


# ---- what is learned: (model, x) -> losses (B,), levels (B,) or None ---------------------------------------

Objective = Callable[[Net, Tensor], tuple[Tensor, Tensor | None]]


def _as_it_is(loss: Loss) -> Objective:
    return lambda model, x: (loss(model, x), None)


def _ladder(sigmas: Tensor, generator: torch.Generator | None, weight: Weight | None) -> Objective:
    def objective(model: Net, x: Tensor) -> tuple[Tensor, Tensor]:
        level = random_levels(x, len(sigmas), generator)
        return _denoising(model, x, sigmas[level].to(x), generator, weight), level

    return objective


def _drawn(
    draw: Callable[[Tensor], tuple[Tensor, Tensor]], generator: torch.Generator | None, weight: Weight | None
) -> Objective:
    def objective(model: Net, x: Tensor) -> tuple[Tensor, Tensor]:
        sigma, level = draw(x)
        return _denoising(model, x, sigma.to(x), generator, weight), level

    return objective


def _sampled(sampler: SigmaSampler, generator: torch.Generator | None, weight: Weight | None) -> Objective:
    return lambda model, x: (_denoising(model, x, sampler(len(x), generator).to(x), generator, weight), None)


def _denoising(
    model: Net, x: Tensor, sigma: Tensor, generator: torch.Generator | None, weight: Weight | None
) -> Tensor:
    """The losses dsm (B,); with weights their gradient, and it alone, is that of weight(sigma) * losses."""
    losses = dsm(model, x, sigma, generator=generator)
    if weight is None:
        return losses
    told = losses.detach()
    return told + weight(sigma) * (losses - told)
