"""Training a classifier on a run's rows: epochs of AdamW, a validation after every one, the best weights at the end.

The randomness of a step is a function of (seed, step, worker) alone and rows are shuffled by (seed, epoch), so a training that was
killed and started again takes the very steps of one that was not.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import cos, pi
from typing import Any

import torch
from torch import Tensor

from classifiers.classifier import Classifier
from classifiers.training.batches import BatchSource, TrainingBatch, epoch_seed, on_device, steps_of
from classifiers.training.config import Settings
from classifiers.training.dataset_check import widest
from classifiers.training.encoder_tuning import encoders_of
from classifiers.training.training_log import TrainingLog
from pipeline.training.checkpoint import Checkpoint, Facts, Tensors, load_weights, trained_weights
from pipeline.training.loop import TrainingLoop, seed_all
from pipeline.training.process_group import ProcessGroup
from schemas.errors import HazmatError
from schemas.identity import seed_of

LARGEST_GRADIENT = 1.0  # norm; a batch of heavily weighted rows must not throw the heads away
WARM_UP = 50  # steps

Hardening = Callable[[Classifier, TrainingBatch, int], TrainingBatch]
"""The model, a batch and a seed → the batch with some rows attacked."""
Parts = list[TrainingBatch]
"""A step's rows, cut by shape."""


def as_it_is(_: Classifier, batch: TrainingBatch, __: int) -> TrainingBatch:
    """Attack nothing."""
    return batch


@dataclass
class State:
    """Beside weights and steps: `step` of `epoch` is the next to take. `best` are the weights of the least validation loss."""

    epoch: int = 0
    step: int = 0
    taken: int = 0  # steps in all
    best_loss: float = float("inf")
    best_epoch: int = -1
    finished: bool = False
    log: list[dict[str, Any]] = field(default_factory=list)
    best: Tensors = field(default_factory=dict)

    def kept(self) -> tuple[Facts, Tensors]:
        """As a checkpoint holds it."""
        facts = {name: value for name, value in vars(self).items() if name != "best"}
        return facts, self.best


@dataclass(frozen=True, eq=False)
class ClassifierTraining:
    """One training: rows to learn from, rows to stop by, what attacks them, and where its state and its figures go."""

    settings: Settings
    group: ProcessGroup
    train: BatchSource
    val: BatchSource
    checkpoint: Checkpoint
    folder: str
    harden: Hardening = as_it_is

    def run(self, model: Classifier) -> State:
        """Train until the epochs are used up or `patience` of them brought nothing better; leaves the best weights in `model`.

        Raises HazmatError when the loss is no number.
        """
        settings, group = self.settings, self.group
        steps = steps_of(len(self.train), settings.batch, group) * settings.epochs
        loop = self._loop(model, steps)
        resumed = loop.restore()
        state = State() if resumed is None else State(**resumed[0], best=resumed[1])
        if resumed is None and settings.start is not None and settings.patience:
            losses = self.validate(model)  # what it starts from stays where no epoch is better: few rows ruin nothing
            state.best_loss, state.best = losses.get(widest(model.coverage), losses["loss"]), trained_weights(model)
        log = TrainingLog(self.checkpoint.store, self.folder, group, steps, state.log)
        log.begin(state.taken)
        try:
            for parts, losses in loop.run(self._steps(loop, state, log), state.kept):
                state.step, state.taken = state.step + 1, loop.step
                rows = sum(len(part) for part in parts) * group.size
                log.step(state.epoch, state.taken, loop.optimizer.param_groups[0]["lr"], losses, rows)
        finally:
            log.end()
        loop.save(state.kept)
        load_weights(model, state.best)
        return state

    def _loop(self, model: Classifier, steps: int) -> TrainingLoop[Parts]:
        def losses(step: int, parts: Parts) -> Mapping[str, Tensor]:
            seed = seed_of(str(self.settings.seed), f"step {step} rank {self.group.rank}")
            seed_all(seed, self.group.device)
            parts[:] = [self.harden(model, on_device(part, self.group.device), seed) for part in parts]
            return mean_losses(model, parts, loop.autocast)

        loop = TrainingLoop(
            module=model,
            optimizer=optimiser_of(model, self.settings),
            losses=losses,
            rate=lambda peak, step, _: peak * rate_at(step, steps),
            group=self.group,
            checkpoint=self.checkpoint,
            precision=torch.bfloat16 if self.group.device.type == "cuda" else None,
            largest_gradient=LARGEST_GRADIENT,
            check=partial(check_finite, steps // self.settings.epochs),
        )
        return loop

    def _steps(self, loop: TrainingLoop[Parts], state: State, log: TrainingLog) -> Iterator[Parts]:
        """The rows of every step that is left, epoch after epoch, and what is done between two of these."""
        settings = self.settings
        while not state.finished:
            seed = epoch_seed(settings.seed, state.epoch)
            yield from self.train.epoch(seed, state.step, settings.batch, self.group)
            self._end_epoch(loop, state, log)

    def _end_epoch(self, loop: TrainingLoop[Parts], state: State, log: TrainingLog) -> None:
        """Validate, keep the weights if they are the best so far, and say whether it is time to stop."""
        model = loop.module
        assert isinstance(model, Classifier)
        log.flush(state.epoch, state.taken, loop.optimizer.param_groups[0]["lr"])
        losses = self.validate(model)
        log.validated(state.epoch, state.taken, losses)
        # What decides is judged by the widest scope; the other terms are there for it to learn better, and overfit at other times.
        patience, loss = self.settings.patience, losses.get(widest(model.coverage), losses["loss"])
        if loss < state.best_loss or not patience:
            state.best_loss, state.best_epoch, state.best = loss, state.epoch, trained_weights(model)
        state.epoch, state.step = state.epoch + 1, 0
        out_of_patience = state.epoch - 1 - state.best_epoch >= patience > 0
        state.finished = out_of_patience or state.epoch >= self.settings.epochs

    def validate(self, model: Classifier) -> dict[str, float]:
        """Mean losses of the validation rows over all workers; attacked as the training rows are, where these are.

        Raises HazmatError when the loss is no number.
        """
        sums: dict[str, float] = {}
        rows = 0
        with eval_mode(model):
            for number, part in enumerate(self.val.once(self.settings.batch, self.group)):
                batch = self.harden(model, on_device(part, self.group.device), number)
                with torch.no_grad(), half(self.group.device):
                    losses = batch.losses(model)
                for name, value in losses.items():
                    sums[name] = sums.get(name, 0.0) + float(value) * len(batch)
                rows += len(batch)
        names = sorted(sums)
        totals = self.group.total(torch.tensor([*(sums[name] for name in names), rows], dtype=torch.float64)).tolist()
        means = {name: total / totals[-1] for name, total in zip(names, totals[:-1], strict=True)}
        if not means["loss"] < float("inf"):
            raise HazmatError(f"the validation loss is {means['loss']}; {REMEDY}")
        return means


REMEDY = "the weights were thrown away. Train with a lower --learning-rate, or look at what --start brought"


def mean_losses(model: Classifier, parts: Sequence[TrainingBatch], autocast: Callable[[], Any]) -> Mapping[str, Tensor]:
    """The losses of a step's rows; parts (of other shapes) count by their rows."""
    rows = sum(len(part) for part in parts)
    means: dict[str, Tensor] = {}
    for part in parts:
        with autocast():
            losses = part.losses(model)
        if len(parts) == 1:
            return {name: value.float() for name, value in losses.items()}
        for name, value in losses.items():
            share = value.float() * (len(part) / rows)
            means[name] = means[name] + share if name in means else share
    return means


def check_finite(
    steps: int, step: int, norm: Tensor, losses: Mapping[str, Tensor], parts: Sequence[TrainingBatch]
) -> None:
    """Raises HazmatError, naming step (an epoch has `steps`) and rows, for a gradient of NaN or infinity: all workers meet it."""
    if bool(torch.isfinite(norm)):
        return
    keys = ", ".join(key for part in parts for key in part.keys[:4])
    message = ", ".join(f"{name} is {float(value.detach()):.4g}" for name, value in losses.items())
    raise HazmatError(
        f"the gradient is {float(norm)} in epoch {step // steps + 1}, step {step + 1} ({message}; rows {keys}, …); {REMEDY}. "
        "The checkpoint of before is kept"
    )


def optimiser_of(model: Classifier, settings: Settings) -> torch.optim.Optimizer:
    """AdamW on all that is trained; encoders take their own, smaller rate."""
    inside = {id(p) for module in encoders_of(model) for p in module.parameters()}
    trained = [p for p in model.parameters() if p.requires_grad]
    heads, encoders = [p for p in trained if id(p) not in inside], [p for p in trained if id(p) in inside]
    groups = [
        {"params": params, "lr": rate}
        for params, rate in ((heads, settings.learning_rate), (encoders, settings.encoder_rate))
        if params
    ]
    return torch.optim.AdamW(groups, weight_decay=settings.weight_decay)


def rate_at(step: int, steps: int) -> float:
    """Share of the peak: linear warm-up, then half a cosine down to a hundredth."""
    return min(1.0, (step + 1) / min(WARM_UP, 1 + steps // 10)) * (0.01 + 0.99 * 0.5 * (1 + cos(pi * step / steps)))


def half(device: torch.device) -> Any:
    """bf16 where the accelerator has it; full precision on CPUs, whose bytes are to be the same again."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


@contextmanager
def eval_mode(model: torch.nn.Module) -> Iterator[None]:
    """Eval mode inside; after it everything is as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
