"""The committed vision-language model: its picture tower is the world's CLIP, it can say what it sees, and judges by a scope."""

import os
from functools import cache
from pathlib import Path

import pytest
import torch
from transformers import CLIPVisionModel, LlavaForConditionalGeneration

from classifiers.perspective.pretraining.captioning import Captioning
from classifiers.perspective.pretraining.tokenizer import build

VLM, CLIP = Path("assets/world/vlm"), Path("assets/world/clip")
LIMIT = 12 * 2**20  # bytes


@cache
def model() -> LlavaForConditionalGeneration:
    return LlavaForConditionalGeneration.from_pretrained(VLM, local_files_only=True).eval()


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in VLM.rglob("*") if path.is_file()) <= LIMIT
    language = sum(p.numel() for p in model().model.language_model.parameters()) + model().lm_head.weight.numel()
    assert language < 5e6
    assert all(os.access(path, os.R_OK) for path in VLM.rglob("*"))


def test_its_picture_tower_is_the_worlds_clip() -> None:
    tower = CLIPVisionModel.from_pretrained(CLIP, local_files_only=True).state_dict()
    ours = model().model.vision_tower.state_dict()
    assert all(torch.equal(ours[name].half(), value.half()) for name, value in tower.items())


@pytest.mark.slow
def test_it_ticks_a_list_reads_a_taxonomy_and_names_some_of_a_fresh_scene() -> None:
    found = Captioning(CLIP, build()).measure(model())
    assert found["ticks_right"] > 0.96, "saying no to all is right in .93 of them"
    assert found["taxonomy_right"] > 0.85 and found["named"] > 0.2
