"""CLIP's picture tower, trained against the frozen text tower: contrastive, with dense labels as a crutch.

The crutch (which concept each 8x8 patch shows) is what makes a small vision transformer learn from ~10^5 pictures; its
heads are thrown away. With the text tower frozen, diffusion can train on the same words at the same time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer, CLIPVisionConfig

from jobs.world_training import text, tokenizer
from jobs.world_training.card import write_card
from jobs.world_training.loop import averaged_weights
from jobs.world_training.pictures import INDEX, Mixture, as_pixels, cells, render, sample_scene, shown
from jobs.world_training.wording import encode, word_scene

PATCH, SIDE = 8, 64  # pixels
WIDTH, LAYERS, HEADS = 128, 4, 4
EXTRA_CAPTIONS = 64  # of further scenes: negatives that cost no drawing
MIXTURE = Mixture(pairs=0.4, triples=0.06, plain=0.4, normal=0.55, core=1.3)


def build(words: CLIPTokenizer) -> CLIPModel:
    """~1.7 M parameters, 64-px pictures, 77 tokens."""
    vision = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        image_size=SIDE,
        patch_size=PATCH,
    )
    return CLIPModel(CLIPConfig(text_config=text.config(words), vision_config=vision, projection_dim=WIDTH))


class Towers(nn.Module):
    """CLIP and the heads that only training has."""

    def __init__(self, words: CLIPTokenizer) -> None:
        super().__init__()
        self.clip = build(words)
        self.cells = nn.Linear(WIDTH, len(INDEX) + 1)
        self.shown = nn.Linear(WIDTH, len(INDEX))


def image_processor() -> CLIPImageProcessor:
    """Any picture -> 64x64 in [-1, 1]."""
    return CLIPImageProcessor(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )


class VisionTraining:
    """Pictures against captions; only the picture tower and both projections move."""

    name = "clip-vision"
    batch = 64
    peak_rate = 1.5e-3
    hold = 0.3

    def __init__(self, words: CLIPTokenizer, work: Path) -> None:
        self.words = words
        towers = Towers(words)
        trained = averaged_weights(work, "clip-text")
        tower = {k.removeprefix("text."): v for k, v in trained.items() if k.startswith("text.")}
        towers.clip.text_model.load_state_dict(tower)
        towers.clip.text_model.requires_grad_(False)
        self.module: nn.Module = towers

    def loss(self, rng: np.random.Generator, fraction: float) -> dict[str, Tensor]:
        towers = self.module
        assert isinstance(towers, Towers)
        device = towers.cells.weight.device
        scenes = [sample_scene(rng, MIXTURE) for _ in range(self.batch)]
        others = [sample_scene(rng, MIXTURE) for _ in range(EXTRA_CAPTIONS)]
        pixels = as_pixels(render(scenes)).to(device)
        pixels = pixels + torch.randn_like(pixels) * 0.15 * torch.rand(len(pixels), 1, 1, 1, device=device)
        seen = towers.clip.vision_model(pixel_values=pixels)
        with torch.no_grad():
            ids = encode(self.words, [word_scene(s, rng).text for s in scenes + others], full=False).to(device)
            read = towers.clip.text_model(input_ids=ids).pooler_output
        pictures = F.normalize(towers.clip.visual_projection(seen.pooler_output), dim=-1)
        captions = F.normalize(towers.clip.text_projection(read), dim=-1)
        logits = towers.clip.logit_scale.exp().clamp(max=100.0) * pictures @ captions.T
        own = torch.arange(self.batch, device=device)
        contrast = F.cross_entropy(logits, own) + F.cross_entropy(logits[:, : self.batch].T, own)
        patches = towers.cells(seen.last_hidden_state[:, 1:]).flatten(0, 1)
        dense = F.cross_entropy(patches, cells(scenes, SIDE // PATCH).flatten().to(device))
        labels = shown(scenes).to(device)
        whole = F.binary_cross_entropy_with_logits(towers.shown(seen.pooler_output), labels) * 20
        hit = (logits[:, : self.batch].argmax(0) == own).float().mean()
        return {
            "loss": contrast + dense + whole,
            "contrast": contrast,
            "dense": dense,
            "whole": whole,
            "r1": hit.detach(),
        }

    @torch.no_grad()
    def measure(self, module: nn.Module) -> dict[str, float]:
        assert isinstance(module, Towers)
        device = module.cells.weight.device
        rng = np.random.default_rng(90_003)
        hits = 0.0
        for _ in range(3):
            scenes = [sample_scene(rng, MIXTURE) for _ in range(100)]
            ids = encode(self.words, [word_scene(s, rng).text for s in scenes], full=False).to(device)
            captions = F.normalize(module.clip.get_text_features(input_ids=ids).pooler_output, dim=-1)
            pixels = as_pixels(render(scenes)).to(device)
            pictures = F.normalize(module.clip.get_image_features(pixel_values=pixels).pooler_output, dim=-1)
            hits += float(((captions @ pictures.T).argmax(1).cpu() == torch.arange(100)).float().mean()) / 3
        return {"retrieval_r1_of_100": hits}


def trained(work: Path) -> tuple[CLIPModel, CLIPTokenizer]:
    """What the last checkpoint of the picture tower holds (its text tower included)."""
    words = tokenizer.load(work)
    towers = Towers(words)
    towers.load_state_dict(averaged_weights(work, "clip-vision"))
    return towers.clip.eval(), words


def store(work: Path, out: Path) -> None:
    """`CLIPModel.from_pretrained(out)` and `CLIPProcessor.from_pretrained(out)` work offline afterwards."""
    model, words = trained(work)
    model.half().save_pretrained(out)
    CLIPProcessor(image_processor=image_processor(), tokenizer=words).save_pretrained(out)
    write_card(out, "clip", work, ("clip-text", "clip-vision"))
