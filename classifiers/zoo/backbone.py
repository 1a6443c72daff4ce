"""What a classifier of the zoo sees with: pixels in [0, 1] → its normalised input → a vector. Both halves can be differentiated."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention

from classifiers.layers.encoder import ClipEncoder, picture_statistics
from schemas.errors import InputError


class Backbone(nn.Module):
    """`side` in pixels; `mean` and `std` per channel, of pixels in [0, 1].

    `box` is the range of normalised values that UnsafeBench's code allows an attack (`assess_robustness.py`, commit 8e763e8).
    """

    box: ClassVar[tuple[float, float]] = (-3.0, 3.0)
    mean: Tensor
    std: Tensor

    def __init__(self, side: int, width: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.side, self.width = side, width
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @abstractmethod
    def vectors(self, normalised: Tensor) -> Tensor:
        """float32 [n, width] of normalised pictures [n, 3, side, side]; not of unit length."""

    def normalised(self, pixels: Tensor) -> Tensor:
        """float32 [n, 3, side, side] of [n, 3, h, w] in [0, 1]: squeezed to the side (bicubic, antialiased), then normalised.

        The published code crops the middle out instead, which differs for pictures that are not square.
        """
        if pixels.shape[-2:] != (self.side, self.side):
            size = (self.side, self.side)
            pixels = interpolate(pixels, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        return (pixels - self.mean) / self.std


class EncoderEyes(Backbone):
    """The picture side of an encoder of another family than CLIP's."""

    def __init__(self, encoder: ClipEncoder) -> None:
        mean, std = (buffer.flatten().tolist() for buffer in (encoder.mean, encoder.std))
        super().__init__(encoder.side, encoder.width, mean, std)
        self.encoder = encoder
        self.requires_grad_(False)

    def vectors(self, normalised: Tensor) -> Tensor:
        """As above."""
        return self.encoder.see(normalised)[1]


class ClipEyes(Backbone):
    """The picture tower of a CLIP with its projection."""

    def __init__(self, tower: Any, projection: Any, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(int(tower.config.image_size), int(projection.out_features), mean, std)
        self.tower, self.projection = tower, projection
        self.requires_grad_(False)

    @classmethod
    def of(cls, encoder: ClipEncoder) -> Self:
        """Those of a whole CLIP, shared with it."""
        mean, std = (buffer.flatten().tolist() for buffer in (encoder.mean, encoder.std))
        return cls(encoder.clip.vision_model, encoder.clip.visual_projection, mean, std).to(encoder.mean.device)

    @classmethod
    def of_checker(cls, checker: Any, folder: Path) -> Self:
        """Those of a `StableDiffusionSafetyChecker`; its processor's statistics lie in `folder`."""
        return cls(checker.vision_model, checker.visual_projection, *picture_statistics(folder))

    def vectors(self, normalised: Tensor) -> Tensor:
        """As above: CLIP's projected features as they come."""
        vectors: Tensor = self.projection(pooled(self.tower, normalised))
        return vectors


def eyes_of(encoder: ClipEncoder) -> Backbone:
    """What a judge on this encoder sees with; its weights are shared."""
    return ClipEyes.of(encoder) if encoder.model_type == ClipEncoder.model_type else EncoderEyes(encoder)


def pooled(tower: Any, normalised: Tensor) -> Tensor:
    """The `pooler_output` of a `CLIPVisionModel`, its last layer computed at the class token alone: nobody reads the others, and an
    attack of 100 iterations takes a quarter less time.
    """
    states = tower.pre_layrnorm(tower.embeddings(normalised))
    *layers, last = tower.encoder.layers
    for layer in layers:
        states = layer(states, attention_mask=None)
    attention, seen = last.self_attn, last.layer_norm1(states)
    wanted = attention.q_proj(seen[:, :1]), attention.k_proj(seen), attention.v_proj(seen)
    query, key, value = (each.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for each in wanted)
    attended = scaled_dot_product_attention(query, key, value, scale=attention.scale)
    row = states[:, :1] + attention.out_proj(attended.transpose(1, 2).flatten(2))
    row = row + last.mlp(last.layer_norm2(row))
    vector: Tensor = tower.post_layernorm(row[:, 0])
    return vector


@torch.no_grad()
def all_vectors(eyes: Backbone, pixels: Tensor, batch: int = 64) -> Tensor:
    """float32 [n, width] of pictures [n, 3, h, w] in [0, 1], in batches. Raises InputError for none."""
    if not len(pixels):
        raise InputError("no pictures to look at")
    return torch.cat([eyes.vectors(eyes.normalised(part)) for part in torch.split(pixels, batch)])
