"""CLIP's picture tower, trained against the frozen text tower: contrastive, with dense labels as a crutch.

The crutch (which concept each 8x8 patch shows) is what makes a small vision transformer learn from ~10^5 pictures; its
heads are thrown away. With the text tower frozen, diffusion can train on the same words at the same time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer, CLIPVisionConfig

from stages.world.training import text_tower, tokenizer
from stages.world.training.captions_with_nouns import encode, word_scene
from stages.world.training.card import declare_float32, write_card
from stages.world.training.loop import averaged_weights
from stages.world.training.scene_batches import INDEX, SceneMixture, as_pixels, cells, render, sample_scene, shown
from stages.world.vocabulary import VOCABULARY

PATCH, SIDE = 8, 64  # pixels
WIDTH, LAYERS, HEADS = 128, 4, 4
EXTRA_CAPTIONS = 8  # of further scenes: negatives that cost no drawing
KEPT = 32  # of 64 patches, until WHOLE_FROM of the budget
WHOLE_FROM = 0.85
MIXTURE = SceneMixture(pairs=0.55, triples=0.06, plain=0.4, normal=0.55, core=1.3)


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
    return CLIPModel(CLIPConfig(text_config=text_tower.config(words), vision_config=vision, projection_dim=WIDTH))


class Towers(nn.Module):
    """CLIP and the heads that only training has."""

    def __init__(self, words: CLIPTokenizer) -> None:
        super().__init__()
        self.clip = build(words)
        self.cells = nn.Linear(WIDTH, len(INDEX) + 1)
        self.named = nn.ParameterDict({"bias": torch.tensor(-10.0)})  # of the logits of names, where each is yes or no


def image_processor() -> CLIPImageProcessor:
    """Any picture -> 64x64 in [-1, 1]."""
    return CLIPImageProcessor(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )


def see(vision: Any, pixels: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor]:
    """The picture tower on the patches int64 [B, K] (all if None): states float32 [B, 1 + K, width], pooled [B, width].

    Half of the patches train it twice as fast (FLIP, Li et al. 2023); here those that show ground are left out first.
    """
    states = vision.embeddings(pixels)
    if kept is not None:
        chosen = kept.unsqueeze(-1).expand(-1, -1, states.shape[-1])
        states = torch.cat([states[:, :1], states[:, 1:].gather(1, chosen)], dim=1)
    states = vision.encoder(inputs_embeds=vision.pre_layrnorm(states)).last_hidden_state.float()
    return states, vision.post_layernorm(states[:, 0])


class VisionTraining:
    """Pictures against captions; only the picture tower and both projections move."""

    name = "clip-vision"
    batch = 32  # 64 took 1,075 steps in 10 core-minutes, and steps are what a transformer wants
    peak_rate = 1.2e-3
    hold = 0.3

    def __init__(self, words: CLIPTokenizer, work: Path) -> None:
        self.words = words
        towers = Towers(words)
        trained = averaged_weights(work, "clip-text")
        tower = {k.removeprefix("text_tower."): v for k, v in trained.items() if k.startswith("text_tower.")}
        towers.clip.text_model.load_state_dict(tower)
        towers.clip.text_model.requires_grad_(False)
        self.module: nn.Module = towers
        named = [f"a picture of {concept.words[0]}" for concept in VOCABULARY]
        with torch.no_grad():
            self.anchors = towers.clip.text_model(input_ids=encode(words, named, full=False)).pooler_output

    def loss(self, rng: np.random.Generator, fraction: float) -> dict[str, Tensor]:
        towers = self.module
        assert isinstance(towers, Towers)
        device = towers.cells.weight.device
        scenes = [sample_scene(rng, MIXTURE) for _ in range(self.batch)]
        others = [sample_scene(rng, MIXTURE) for _ in range(EXTRA_CAPTIONS)]
        pixels = as_pixels(render(scenes)).to(device)
        pixels = pixels + torch.randn_like(pixels) * 0.15 * torch.rand(len(pixels), 1, 1, 1, device=device)
        half = torch.autocast(device.type, torch.bfloat16)
        labels = cells(scenes, SIDE // PATCH).flatten(1).to(device)
        if fraction < WHOLE_FROM:
            kept = ((labels > 0) + torch.rand(labels.shape, device=device)).topk(KEPT, dim=1).indices
            labels = labels.gather(1, kept)
        with half:
            states, pooled = see(towers.clip.vision_model, pixels, kept if fraction < WHOLE_FROM else None)
        with torch.no_grad(), half:
            ids = encode(self.words, [word_scene(s, rng).text for s in scenes + others], full=False).to(device)
            read = towers.clip.text_model(input_ids=ids).pooler_output
        pictures = F.normalize(towers.clip.visual_projection(pooled.float()), dim=-1)
        captions = F.normalize(towers.clip.text_projection(read.float()), dim=-1)
        scale = towers.clip.logit_scale.exp().clamp(max=100.0)
        logits = scale * pictures @ captions.T
        own = torch.arange(self.batch, device=device)
        contrast = F.cross_entropy(logits, own) + F.cross_entropy(logits[:, : self.batch].T, own)
        dense = F.cross_entropy(towers.cells(states[:, 1:]).flatten(0, 1), labels.flatten())
        wanted = shown(scenes).to(device)
        # Zero-shot by name must work whatever the ground and style: a picture is near the bare names of what it shows.
        names = F.normalize(towers.clip.text_projection(self.anchors.to(device)), dim=-1)
        near = scale * pictures @ names.T
        whole = F.cross_entropy(near, wanted / wanted.sum(1, keepdim=True))
        # One softmax is content with one of two things in a picture; yes or no for each name asks for both (as SigLIP,
        # Zhai et al. 2023, equation 1, asks of captions).
        each = F.binary_cross_entropy_with_logits(near + towers.named["bias"], wanted) * 20
        hit = (logits[:, : self.batch].argmax(0) == own).float().mean()
        return {
            "loss": contrast + dense + whole + each,
            "contrast": contrast,
            "dense": dense,
            "whole": whole,
            "each": each,
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
    declare_float32(out)
    CLIPProcessor(image_processor=image_processor(), tokenizer=words).save_pretrained(out)
    write_card(out, "clip", work, ("clip-text", "clip-vision"))
