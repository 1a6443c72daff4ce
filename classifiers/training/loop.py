"""The training loop: batches in, steps of AdamW, a validation after every epoch, and a state that a kill does not lose.

The randomness of a step is a function of (seed, step, worker) alone and rows are shuffled by (seed, epoch), so a training that was
killed and started again takes the very steps of one that was not.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import cos, pi
from typing import Any

import torch
from torch import Tensor

from classifiers.classifier import Classifier
from classifiers.training import checkpoint
from classifiers.training.batches import BatchSource, TrainingBatch, epoch_seed, on_device, steps_of
from classifiers.training.checkpoint import Checkpoint, State, load_weights, trained_weights
from classifiers.training.config import Settings
from classifiers.training.dataset_check import widest
from classifiers.training.process_group import Group
from classifiers.training.training_log import TrainingLog
from schemas.errors import HazmatError
from schemas.identity import seed_of

LARGEST_GRADIENT = 1.0  # norm; a batch of heavily weighted rows must not throw the heads away
WARM_UP = 50  # steps

Hardening = Callable[[Classifier, TrainingBatch, int], TrainingBatch]
"""The model, a batch and a seed → the batch with some rows attacked."""


def as_it_is(_: Classifier, batch: TrainingBatch, __: int) -> TrainingBatch:
    """Attack nothing."""
    return batch


@dataclass(frozen=True, eq=False)
class Fit:
    """One training: rows to learn from, rows to stop by, what attacks them, and where its state and its figures go."""

    settings: Settings
    group: Group
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
        steps = steps_of(len(self.train), settings.batch, group)
        optimiser = optimiser_of(model, settings)
        trained = [p for p in model.parameters() if p.requires_grad]
        state = self.checkpoint.restore(model, optimiser)
        journal = TrainingLog(self.checkpoint.store, self.folder, group, steps * settings.epochs, state.log)
        saved = time.monotonic()
        journal.begin(state.taken)
        try:
            while not state.finished:
                for parts in self.train.epoch(
                    epoch_seed(settings.seed, state.epoch), state.step, settings.batch, group
                ):
                    step_seed = seed_of(str(settings.seed), f"step {state.taken} rank {group.rank}")
                    seed_all(step_seed, group.device)
                    set_rate(optimiser, state.taken, steps * settings.epochs)
                    parts = [self.harden(model, on_device(part, group.device), step_seed) for part in parts]
                    losses = mean_losses(model, parts, group.device)
                    optimiser.zero_grad(set_to_none=True)
                    torch.autograd.backward(losses["loss"])
                    group.average_gradients(trained)
                    norm = torch.nn.utils.clip_grad_norm_(trained, LARGEST_GRADIENT)
                    check_finite(norm, losses, parts, state)
                    optimiser.step()
                    state.step, state.taken = state.step + 1, state.taken + 1
                    said = {name: float(value.detach()) for name, value in losses.items()}
                    rows = sum(len(part) for part in parts) * group.size
                    journal.step(state.epoch, state.taken, optimiser.param_groups[0]["lr"], said, rows)
                    if group.is_main_process and time.monotonic() - saved > checkpoint.SECONDS:
                        self.checkpoint.save(state, model, optimiser)
                        saved = time.monotonic()
                self._end_epoch(model, state, journal, optimiser.param_groups[0]["lr"])
        finally:
            journal.end()
        if group.is_main_process:
            self.checkpoint.save(state, model, optimiser)
        load_weights(model, state.best)
        return state

    def _end_epoch(self, model: Classifier, state: State, journal: TrainingLog, rate: float) -> None:
        """Validate, keep the weights if they are the best so far, and say whether it is time to stop."""
        journal.flush(state.epoch, state.taken, rate)
        losses = self.validate(model)
        journal.validated(state.epoch, state.taken, losses)
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


def mean_losses(model: Classifier, parts: Sequence[TrainingBatch], device: torch.device) -> Mapping[str, Tensor]:
    """The losses of a step's rows; parts (of other shapes) count by their rows."""
    rows = sum(len(part) for part in parts)
    found: dict[str, Tensor] = {}
    for part in parts:
        with half(device):
            losses = part.losses(model)
        if len(parts) == 1:
            return {name: value.float() for name, value in losses.items()}
        for name, value in losses.items():
            share = value.float() * (len(part) / rows)
            found[name] = found[name] + share if name in found else share
    return found


def check_finite(norm: Tensor, losses: Mapping[str, Tensor], parts: Sequence[TrainingBatch], state: State) -> None:
    """Raises HazmatError, naming step and rows, when the gradient of any worker's rows is NaN or infinite: all meet it at once."""
    if bool(torch.isfinite(norm)):
        return
    keys = ", ".join(key for part in parts for key in part.keys[:4])
    said = ", ".join(f"{name} is {float(value.detach()):.4g}" for name, value in losses.items())
    raise HazmatError(
        f"the gradient is {float(norm)} in epoch {state.epoch + 1}, step {state.taken + 1} ({said}; rows {keys}, …); {REMEDY}. "
        "The checkpoint of before is kept"
    )


def optimiser_of(model: Classifier, settings: Settings) -> torch.optim.Optimizer:
    """AdamW on all that is trained; encoders take their own, smaller rate."""
    inside = {id(p) for module in encoders_of(model) for p in module.parameters()}
    trained = [p for p in model.parameters() if p.requires_grad]
    heads, encoders = [p for p in trained if id(p) not in inside], [p for p in trained if id(p) in inside]
    groups = [
        {"params": params, "lr": rate, "peak": rate}
        for params, rate in ((heads, settings.learning_rate), (encoders, settings.encoder_rate))
        if params
    ]
    return torch.optim.AdamW(groups, weight_decay=settings.weight_decay)


def encoders_of(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The CLIPs inside."""
    return [module for name, module in model.named_modules() if name.rpartition(".")[2] == "encoder"]


def set_rate(optimiser: torch.optim.Optimizer, step: int, steps: int) -> None:
    """Linear warm-up, then half a cosine down to a hundredth."""
    scale = min(1.0, (step + 1) / min(WARM_UP, 1 + steps // 10)) * (0.01 + 0.99 * 0.5 * (1 + cos(pi * step / steps)))
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * scale


def seed_all(seed: int, device: torch.device) -> None:
    """What `torch.manual_seed` does without its look at every kind of device, which takes as long as a small head's step."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


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
