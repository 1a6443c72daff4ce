"""What `jobs/world.py train PART` does for each part: which trainings, with which default budget, stored where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from pipeline.training.process_group import ProcessGroup, run_in_group
from stages.world.training.loop import Budget, fit
from stages.world.training.warm_start import adopt

# Minutes of two free cores that should reach all figures of issue 3: by the curves in docs/results/world.md, several times the
# samples that the committed weights saw (t2i ~1.2 M instead of 0.3 M).
DEFAULT_MINUTES = {"tokenizer": 1.0, "vae": 10.0, "clip-text": 15.0, "clip": 90.0, "t2i": 240.0, "tagger": 60.0}
TEXT_SHARE = (
    0.085  # of the minutes of `clip`; the text tower is then frozen, and t2i can start beside the picture tower
)
# Of what goes on from annealed weights: less than the full rate, and falling soon.
WARM_RATE, WARM_HOLD = 8e-4, 0.35
PARTS = tuple(DEFAULT_MINUTES)


@dataclass(frozen=True)
class TrainConfig:
    """What to train and how long."""

    part: str
    out: Path
    work: Path
    minutes: float | None = None
    samples: int | None = None
    processes: int = 1
    seed: int = 0
    export_only: bool = False
    warm: Path | None = None  # committed assets to start from
    data_share: float = 1.0  # of the cached scenes of `t2i`: less for tests

    def budget(self, share: float = 1.0) -> Budget:
        """A share of what was ordered."""
        if self.samples is not None:
            if self.minutes is not None:
                raise ValueError("give --minutes or --samples, not both")
            return Budget(samples=max(1, round(self.samples * share)))
        return Budget(minutes=(self.minutes or DEFAULT_MINUTES[self.part]) * share)


def train(order: TrainConfig) -> None:
    """Train the ordered part (in several processes where ordered), then store it."""
    work, store = _PARTS[order.part]
    if order.warm is not None:
        adopt(order.warm, order.work)
    if not order.export_only:
        processes = 1 if order.part == "tokenizer" else order.processes
        run_in_group(partial(work, order), processes, order.work / order.part)
    store(order)


def _tokenizer(order: TrainConfig, group: ProcessGroup) -> None:
    from stages.world.training import tokenizer

    tokenizer.train(order.work)


def _vae(order: TrainConfig, group: ProcessGroup) -> None:
    from stages.world.training.vae import AutoencoderTraining

    torch.manual_seed(order.seed)
    fit(AutoencoderTraining(), order.budget(), order.work, order.seed, group)


def _clip_text(order: TrainConfig, group: ProcessGroup) -> None:
    from stages.world.training import tokenizer
    from stages.world.training.text_tower import TextTraining
    from stages.world.training.warm_start import tower_to_start_from

    words = tokenizer.load(order.work)
    teacher = None if order.warm is None else tower_to_start_from(order.work, words)
    share = 1.0 if order.part == "clip-text" else TEXT_SHARE
    torch.manual_seed(order.seed)
    fit(TextTraining(words, teacher), order.budget(share), order.work, order.seed, group)


def _clip(order: TrainConfig, group: ProcessGroup) -> None:
    from stages.world.training import tokenizer
    from stages.world.training.image_tower import VisionTraining

    if order.warm is None:  # else the text tower is a training of its own, `clip-text`
        _clip_text(order, group)
    share = 1.0 if order.warm is not None else 1.0 - TEXT_SHARE
    torch.manual_seed(order.seed)
    training = VisionTraining(tokenizer.load(order.work), order.work)
    if order.warm is not None:
        training.peak_rate, training.hold = WARM_RATE, WARM_HOLD
    fit(training, order.budget(share), order.work, order.seed, group)


def _store_clip(order: TrainConfig) -> None:
    from stages.world.training.image_tower import store

    store(order.work, order.out / "clip")


def _t2i(order: TrainConfig, group: ProcessGroup) -> None:
    from stages.world.training.diffusion import DiffusionTraining
    from stages.world.training.generation_accuracy import judge_of
    from stages.world.training.latents import prepare

    data = prepare(order.work, order.seed, group, share=order.data_share)
    data.early = order.warm is None
    judge = judge_of(order.out / "tagger") if group.rank == 0 else None
    torch.manual_seed(order.seed)  # every process starts from the same weights
    training = DiffusionTraining(data, order.work, group.device, judge)
    if order.warm is not None:
        training.peak_rate, training.hold = WARM_RATE, WARM_HOLD
    fit(training, order.budget(), order.work, order.seed, group)


def _store_t2i(order: TrainConfig) -> None:
    from stages.world.training.diffusion import store

    store(order.work, order.out / "t2i")


def _tagger(order: TrainConfig, group: ProcessGroup) -> None:
    from stages.world.training.tagger import TaggerTraining

    torch.manual_seed(order.seed)
    training = TaggerTraining(order.work)
    if order.warm is not None:
        training.peak_rate, training.hold = WARM_RATE, WARM_HOLD
    fit(training, order.budget(), order.work, order.seed, group)


def _store_tagger(order: TrainConfig) -> None:
    from stages.world.training.tagger import store

    store(order.work, order.out / "tagger")


def _nothing(order: TrainConfig) -> None:
    """The tokenizer, the autoencoder and the text tower are stored as parts of `clip` and `t2i`."""


_PARTS: dict[str, tuple[Callable[[TrainConfig, ProcessGroup], None], Callable[[TrainConfig], None]]] = {
    "tokenizer": (_tokenizer, _nothing),
    "vae": (_vae, _nothing),
    "clip-text": (_clip_text, _nothing),
    "clip": (_clip, _store_clip),
    "t2i": (_t2i, _store_t2i),
    "tagger": (_tagger, _store_tagger),
}
