"""Make assets/world/vlm: lessons about the world until the budget is used, then the weights in transformers' own layout."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import LlavaForConditionalGeneration

from classifiers.perspective.pretraining.captioning import Captioning
from classifiers.perspective.pretraining.card import write_card
from classifiers.perspective.pretraining.llava import picture_tower, processor
from classifiers.perspective.pretraining.tokenizer import build
from pipeline.training.process_group import ProcessGroup, settle
from stages.world.training.card import declare_float32
from stages.world.training.loop import Budget, fit, progress_of, save_start


@dataclass(frozen=True)
class Order:
    """What to make of which CLIP. `warm` is an earlier directory to go on from, whose picture tower is replaced by the CLIP's."""

    clip: Path
    out: Path
    work: Path
    samples: int
    seed: int = 0
    warm: Path | None = None


def pretrain(order: Order) -> None:
    """Train and store; the same order goes on where a killed one stopped, and ends with the same weights."""
    settle()
    torch.manual_seed(order.seed)
    words = build()
    training = Captioning(order.clip, words)
    if order.warm is not None and progress_of(order.work, training.name) is None:
        save_start(warmed(order.warm, order.clip), order.work, training.name)
    model: Any = fit(training, Budget(samples=order.samples), order.work, order.seed, ProcessGroup.alone())
    order.out.mkdir(parents=True, exist_ok=True)
    processor(order.clip, words).save_pretrained(order.out)
    model.half().save_pretrained(order.out)
    declare_float32(order.out)
    purpose = "lists, then captions and taxonomies of things"
    purpose = purpose if order.warm is None else f"{purpose}, from {order.warm.name}"
    write_card(order.out, {purpose: order.work})


def warmed(folder: Path, clip: Path) -> dict[str, torch.Tensor]:
    """The weights in `folder` with the picture tower of `clip`."""
    model = LlavaForConditionalGeneration.from_pretrained(folder, local_files_only=True).float()
    model.model.vision_tower.load_state_dict(picture_tower(clip).state_dict())
    weights: dict[str, torch.Tensor] = model.state_dict()
    return weights
