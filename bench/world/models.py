"""The committed weights, loaded offline as anybody would load them, in float32 on one thread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor
from transformers import AutoModelForImageClassification, CLIPModel, CLIPProcessor

BATCH = 32
Pictures = npt.NDArray[np.uint8]  # [N, 64, 64, 3]


@dataclass(frozen=True)
class Models:
    """All parts of the world."""

    clip: Any
    processor: Any
    pipe: Any
    tagger: Any
    thresholds: Tensor  # of each label's probability, [concepts + 1]

    @classmethod
    def load(cls, assets: Path) -> Models:
        tagger = AutoModelForImageClassification.from_pretrained(
            assets / "tagger", local_files_only=True, dtype=torch.float32
        ).eval()
        return cls(
            clip=CLIPModel.from_pretrained(assets / "clip", local_files_only=True, dtype=torch.float32).eval(),
            processor=CLIPProcessor.from_pretrained(assets / "clip", local_files_only=True),
            pipe=load_pipeline(assets),
            tagger=tagger,
            thresholds=torch.tensor(tagger.config.thresholds),
        )


def load_pipeline(assets: Path) -> Any:
    """Text to image; image to image from `**pipe.components`."""
    pipe = StableDiffusionPipeline.from_pretrained(
        assets / "t2i",
        safety_checker=None,
        requires_safety_checker=False,
        local_files_only=True,
        dtype=torch.float32,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def pixels(pictures: Pictures) -> Tensor:
    """uint8 [N, 64, 64, 3] -> float32 [N, 3, 64, 64] in [-1, 1], what all three processors make of 64-px pictures."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1.0


@torch.no_grad()
def tag(models: Models, pictures: Pictures) -> Tensor:
    """Label probabilities float32 [N, concepts + 1]; the last label is `none`."""
    parts = torch.split(pixels(pictures), 64)
    return torch.cat([models.tagger(pixel_values=part).logits for part in parts]).sigmoid()


@torch.no_grad()
def picture_features(models: Models, pictures: Pictures) -> Tensor:
    """CLIP's unit vectors float32 [N, 128]."""
    parts = torch.split(pixels(pictures), 64)
    features = torch.cat([models.clip.get_image_features(pixel_values=part).pooler_output for part in parts])
    return torch.nn.functional.normalize(features, dim=-1)


@torch.no_grad()
def text_features(models: Models, texts: list[str]) -> Tensor:
    """CLIP's unit vectors float32 [N, 128]."""
    tokens = models.processor.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
    return torch.nn.functional.normalize(models.clip.get_text_features(**tokens).pooler_output, dim=-1)
