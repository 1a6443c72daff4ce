"""What holds a text tower to an earlier one: the same scene said twice, and the distance of what is said.

On the grammar's wording the tower must stay as it was; in the free wording (`free.py`) each word, the end token and the
padding behind it must say what the teacher says of the same word in the grammar's wording, and strange words nothing.
The teacher's states are what a U-Net and a picture tower were trained on, so both go on working.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextModel

from stages.world.language import OPENINGS
from stages.world.scene import Scene
from stages.world.training.free_wording import FILLER, Encoder, Words, two_wordings
from stages.world.training.scene_batches import SceneMixture, sample_scene
from stages.world.training.tokenizer import MAX_TOKENS

# Much clutter and style: only where all parts are named may the ground stand before the objects (see `free.py`).
MIXTURE = SceneMixture(pairs=0.5, triples=0.08, plain=0.4, normal=0.3, clutter=0.6, core=1.3)
FULL = 0.2  # share of batches that are 77 long, so that all positions are trained


@dataclass(frozen=True)
class Batch:
    """Scenes with both wordings: ids int64 [B, length], last tokens of words, and nouns [N, 4] as `noun_tokens` gives them."""

    scenes: list[Scene]
    plain: Tensor
    free: Tensor
    ends: tuple[Tensor, Tensor]  # position of the end token in each wording: int64 [B]
    shared: Tensor  # (caption, its last token in the grammar's wording, in the free one) of a word: int64 [N, 3]
    fillers: Tensor  # (caption, token) of the free wording: int64 [N, 2]
    nouns: tuple[Tensor, Tensor]  # of each wording


def _nouns(wordings: list[Words], lasts: list[list[int]]) -> Tensor:
    rows = [
        (row, last, word.concept, word.place)
        for row, (words, ends) in enumerate(zip(wordings, lasts, strict=True))
        for word, last in zip(words, ends, strict=True)
        if last >= 0 and word.concept >= 0
    ]
    return torch.tensor(rows, dtype=torch.int64).reshape(-1, 4)


def draw(encoder: Encoder, rng: np.random.Generator, count: int) -> Batch:
    """A batch of scenes, said twice."""
    scenes = [sample_scene(rng, MIXTURE) for _ in range(count)]
    plain, free = (list(wordings) for wordings in zip(*(two_wordings(s, rng) for s in scenes), strict=True))
    length = MAX_TOKENS if rng.random() < FULL else int(rng.integers(26, 44))
    plain_ids, plain_lasts = encoder.encode(plain, length)
    free_ids, free_lasts = encoder.encode(free, length)
    shared, fillers = [], []
    for row in range(count):
        where = {w.key: last for w, last in zip(plain[row], plain_lasts[row], strict=True) if w.key >= 0 and last >= 0}
        for word, last in zip(free[row], free_lasts[row], strict=True):
            if last >= 0 and word.key in where:
                shared.append((row, where[word.key], last))
            elif last >= 0 and word.key == FILLER:
                fillers.append((row, last))
    end = int(encoder.tokenizer.eos_token_id or 0)
    return Batch(
        scenes,
        plain_ids,
        free_ids,
        ((plain_ids == end).int().argmax(1), (free_ids == end).int().argmax(1)),
        torch.tensor(shared, dtype=torch.int64).reshape(-1, 3),
        torch.tensor(fillers, dtype=torch.int64).reshape(-1, 2),
        (_nouns(plain, plain_lasts), _nouns(free, free_lasts)),
    )


class Strangers:
    """A hook on the tower's token embedding: strange words get random vectors, as long as those of known and unknown tokens."""

    def __init__(self, token: int) -> None:
        self.token = token

    def __call__(self, module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        strange = arguments[0] == self.token
        if not bool(strange.any()):
            return output
        norms = 0.15 + 0.55 * torch.rand(*strange.shape, 1, device=output.device)  # untrained tokens .21, trained ~.55
        vectors = norms * nn.functional.normalize(torch.randn_like(output), dim=-1)
        return torch.where(strange.unsqueeze(-1), vectors, output)


class Teacher:
    """The tower as it was: what its states say of the grammar's wording."""

    def __init__(self, tower: CLIPTextModel, encoder: Encoder) -> None:
        self.tower = tower.eval().requires_grad_(False)
        seen = draw(encoder, np.random.default_rng(90_009), 256)
        states = self.tower(input_ids=seen.plain).last_hidden_state
        self.spread = float(states.var(dim=(0, 1)).mean())
        openings = encoder.tokenizer(list(OPENINGS[1:]), padding=True, return_tensors="pt")["input_ids"]
        words = (openings != encoder.tokenizer.eos_token_id) & (openings != encoder.tokenizer.bos_token_id)
        self.nothing = self.tower(input_ids=openings).last_hidden_state[words].mean(0)  # [width]

    def losses(self, batch: Batch, plain: Tensor, free: Tensor) -> dict[str, Tensor]:
        """Squared distances to the teacher, 1 being the spread of its states."""
        device = plain.device
        with torch.no_grad():
            taught = self.tower.to(device)(input_ids=batch.plain.to(device)).last_hidden_state
        rows, there, here = batch.shared.to(device).unbind(1)
        every = torch.arange(len(taught), device=device)
        ends = batch.ends[0].to(device), batch.ends[1].to(device)
        behind = torch.arange(taught.shape[1], device=device) > torch.maximum(*ends).unsqueeze(1)
        filler_rows, fillers = batch.fillers.to(device).unbind(1)
        nothing = self.nothing.to(device).expand(len(fillers), -1)
        losses = {
            "keep": F.mse_loss(plain, taught),
            "words": F.mse_loss(free[rows, here], taught[rows, there]),
            "ends": F.mse_loss(free[every, ends[1]], taught[every, ends[0]]),
            "padding": F.mse_loss(free[behind], taught[behind]) if bool(behind.any()) else plain.new_zeros(()),
            "fillers": 0.2 * F.mse_loss(free[filler_rows, fillers], nothing) if len(fillers) else plain.new_zeros(()),
        }
        return {name: value / self.spread for name, value in losses.items()}
