"""CLIP's text tower, trained first and then frozen: by what its words and its end token say about the scene.

Contrastive training alone leaves concept information at the end token; a U-Net attends to all tokens. So every noun
token is supervised with its concept and its place, and the end token with all that the caption says (trial, advice 3).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from jobs.world_training.pictures import INDEX, Mixture, sample_scene
from jobs.world_training.tokenizer import MAX_TOKENS
from jobs.world_training.wording import Wording, noun_tokens, word_scene
from stages.world.scene import Scene
from stages.world.vocabulary import COLOURS, GROUNDS, STYLES

WIDTH, LAYERS, HEADS = 128, 3, 4
MIXTURE = Mixture(pairs=0.5, triples=0.08, plain=0.4, normal=0.5, core=1.3)
PREFIXED = 0.15  # share of batches whose captions stand behind filler, so that all 77 positions are trained
_COLOURS, _GROUNDS, _STYLES = list(COLOURS), list(GROUNDS), list(STYLES)
_LAYOUTS = ("none", "one", "beside", "above", "three")


def config(tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    """~0.9 M parameters at a vocabulary of 1,600."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def layout(scene: Scene) -> int:
    """Index into the layouts a caption can tell apart."""
    count = len(scene.pictograms)
    return 3 if scene.stacked else min(count, 2) if count < 3 else 4


class Supervised(nn.Module):
    """The tower and the heads that are thrown away after training."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.text = CLIPTextModel(config(tokenizer))
        concepts = len(INDEX)
        self.noun = nn.Linear(WIDTH, concepts)
        self.place = nn.Linear(WIDTH, 3)
        self.concepts = nn.Linear(WIDTH, concepts)
        self.first = nn.Linear(WIDTH, concepts)
        self.attributes = nn.ModuleDict(
            {
                "colour": nn.Linear(WIDTH, len(COLOURS)),
                "style": nn.Linear(WIDTH, len(STYLES)),
                "ground": nn.Linear(WIDTH, len(GROUNDS)),
                "layout": nn.Linear(WIDTH, len(_LAYOUTS)),
            }
        )


def _filler(rng: np.random.Generator) -> str:
    letters = rng.integers(0, 26, int(rng.integers(5, 45)))
    return "".join(chr(97 + int(v)) + (" " if rng.random() < 0.3 else "") for v in letters) + " "


class TextTraining:
    """Scenes are only composed, never drawn: ~1,000 captions a second."""

    name = "clip-text"
    batch = 128
    peak_rate = 2e-3
    hold = 0.2

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        self.tokenizer = tokenizer
        self.module: nn.Module = Supervised(tokenizer)
        self._held_out = self._draw(np.random.default_rng(90_002), 512)

    def _draw(self, rng: np.random.Generator, count: int) -> tuple[list[Scene], list[Wording]]:
        scenes = [sample_scene(rng, MIXTURE) for _ in range(count)]
        prefixed = rng.random() < PREFIXED
        return scenes, [word_scene(s, rng, prefix=_filler(rng) if prefixed else "") for s in scenes]

    def loss(self, rng: np.random.Generator, fraction: float) -> dict[str, Tensor]:
        scenes, wordings = self._draw(rng, self.batch)
        return self._losses(self.module, scenes, wordings)

    def _losses(self, module: nn.Module, scenes: list[Scene], wordings: list[Wording]) -> dict[str, Tensor]:
        assert isinstance(module, Supervised)
        device = module.noun.weight.device
        ids, nouns = (part.to(device) for part in noun_tokens(self.tokenizer, wordings))
        output = module.text(input_ids=ids)
        at_nouns, at_end = output.last_hidden_state[nouns[:, 0], nouns[:, 1]], output.pooler_output
        said = torch.zeros(len(scenes), len(INDEX), device=device)
        said[nouns[:, 0], nouns[:, 2]] = 1.0  # only what the caption names
        first = torch.tensor([INDEX[s.concepts[0]] for s in scenes], device=device)
        noun_logits = module.noun(at_nouns)
        losses = {
            "noun": F.cross_entropy(noun_logits, nouns[:, 2]),
            "place": F.cross_entropy(module.place(at_nouns), nouns[:, 3]),
            "end": F.binary_cross_entropy_with_logits(module.concepts(at_end), said) * 20,
            "first": F.cross_entropy(module.first(at_end), first),
        }
        targets = {
            "colour": [_COLOURS.index(s.colour) for s in scenes],
            "style": [_STYLES.index(s.style) for s in scenes],
            "ground": [_GROUNDS.index(s.ground) for s in scenes],
            "layout": [layout(s) for s in scenes],
        }
        for key, head in module.attributes.items():
            losses[key] = F.cross_entropy(head(at_end), torch.tensor(targets[key], device=device))
        accuracy = (noun_logits.argmax(1) == nouns[:, 2]).float().mean()
        return {"loss": torch.stack(list(losses.values())).sum(), **losses, "noun_accuracy": accuracy.detach()}

    @torch.no_grad()
    def measure(self, module: nn.Module) -> dict[str, float]:
        return {f"held_out_{k}": float(v) for k, v in self._losses(module, *self._held_out).items()}
