"""CLIP's text tower, trained first and then frozen: by what its words and its end token say about the scene.

Contrastive training alone leaves concept information at the end token; a U-Net attends to all tokens. So every noun
token is supervised with its concept and its place, and the end token with all that the caption says (trial, advice 3).

Half of the captions are said freely (`free.py`). A tower that goes on from committed weights is held to what they said
before: unchanged on the grammar's wording, and on the free wording of the same words it must say the same. So a U-Net and a
picture tower that were trained on the old tower go on working, and now understand orders and words they never saw.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from stages.world.scene import Scene
from stages.world.training.captions_with_nouns import noun_tokens, word_scene
from stages.world.training.distillation import MIXTURE, Strangers, Teacher, draw
from stages.world.training.free_wording import Encoder
from stages.world.training.scene_batches import INDEX, sample_scene
from stages.world.training.tokenizer import MAX_TOKENS
from stages.world.vocabulary import COLOURS, GROUNDS, STYLES

WIDTH, LAYERS, HEADS = 128, 3, 4
SUPERVISED = 0.1  # weight of the heads' losses beside what holds the tower to its teacher
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


class TextTraining:
    """Scenes are only composed, never drawn: with a teacher ~130 scenes a second, each said twice."""

    name = "clip-text"
    batch = 64  # scenes, each said twice
    peak_rate = 2e-3
    hold = 0.2

    def __init__(self, tokenizer: CLIPTokenizer, teacher: CLIPTextModel | None = None) -> None:
        self.tokenizer, self.encoder = tokenizer, Encoder(tokenizer)
        module = Supervised(tokenizer)
        module.text.embeddings.token_embedding.register_forward_hook(Strangers(self.encoder.strange))
        self.module: nn.Module = module
        self.teacher = None if teacher is None else Teacher(teacher, self.encoder)
        if self.teacher is not None:
            self.peak_rate = 1e-3
        rng = np.random.default_rng(90_002)
        self._known = self._said(rng, 512, held_out=False)
        self._unknown = self._said(rng, 512, held_out=True)

    def _said(self, rng: np.random.Generator, count: int, *, held_out: bool) -> tuple[list[Scene], Tensor, Tensor]:
        """Scenes and their captions of one phrasing; the held-out one is only ever measured."""
        scenes = [sample_scene(rng, MIXTURE) for _ in range(count)]
        wordings = [word_scene(s, rng, typos=0.0, held_out=held_out) for s in scenes]
        return scenes, *noun_tokens(self.tokenizer, wordings)

    def loss(self, rng: np.random.Generator, fraction: float) -> dict[str, Tensor]:
        batch = draw(self.encoder, rng, self.batch)
        module = self.module
        assert isinstance(module, Supervised)
        device = module.noun.weight.device
        plain, free = module.text(input_ids=torch.cat([batch.plain, batch.free]).to(device)).last_hidden_state.chunk(2)
        every = torch.arange(self.batch, device=device)
        ways = zip((plain, free), batch.ends, batch.nouns, strict=True)
        read = [
            _supervised(module, batch.scenes, s, s[every, end.to(device)], nouns.to(device)) for s, end, nouns in ways
        ]
        losses = {key: (read[0][key] + read[1][key]) / 2 for key in read[0]}
        total = torch.stack([value for key, value in losses.items() if not key.endswith("accuracy")]).sum()
        if self.teacher is not None:
            held = self.teacher.losses(batch, plain, free)
            total = torch.stack(list(held.values())).sum() + SUPERVISED * total
            losses |= held
        return {"loss": total, **losses}

    @torch.no_grad()
    def measure(self, module: nn.Module) -> dict[str, float]:
        """Read-outs by the heads in the known phrasing and in the held-out one."""
        assert isinstance(module, Supervised)
        figures: dict[str, float] = {}
        for phrasing, (scenes, ids, nouns) in (("known", self._known), ("unknown", self._unknown)):
            device = module.noun.weight.device
            output = module.text(input_ids=ids.to(device))
            read = _supervised(module, scenes, output.last_hidden_state, output.pooler_output, nouns.to(device))
            figures |= {f"{phrasing}_{key}": float(value) for key, value in read.items() if key.endswith("accuracy")}
        return figures


def _supervised(
    module: Supervised, scenes: list[Scene], states: Tensor, at_end: Tensor, nouns: Tensor
) -> dict[str, Tensor]:
    """Losses and accuracies of the heads on states [B, length, width], end states [B, width] and nouns [N, 4]."""
    device = states.device
    at_nouns = states[nouns[:, 0], nouns[:, 1]]
    labels = torch.zeros(len(scenes), len(INDEX), device=device)
    labels[nouns[:, 0], nouns[:, 2]] = 1.0  # only what the caption names
    targets = {
        "first": [INDEX[s.concepts[0]] for s in scenes],
        "colour": [_COLOURS.index(s.colour) for s in scenes],
        "style": [_STYLES.index(s.style) for s in scenes],
        "ground": [_GROUNDS.index(s.ground) for s in scenes],
        "layout": [layout(s) for s in scenes],
    }
    logits = {"first": module.first(at_end), **{key: head(at_end) for key, head in module.attributes.items()}}
    wanted = {key: torch.tensor(values, device=device) for key, values in targets.items()}
    logits |= {"noun": module.noun(at_nouns), "place": module.place(at_nouns)}
    wanted |= {"noun": nouns[:, 2], "place": nouns[:, 3]}
    losses = {key: F.cross_entropy(logits[key], wanted[key]) for key in logits}
    losses["end"] = F.binary_cross_entropy_with_logits(module.concepts(at_end), labels) * 20
    for key in ("noun", "place", "first", "layout"):
        losses[f"{key}_accuracy"] = (logits[key].argmax(1) == wanted[key]).float().mean().detach()
    return losses
