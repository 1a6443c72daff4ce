"""A vision-language model as a classifier (LLaVA, Liu et al. 2024, or InstructBLIP): three prompts, its answers read, the majority.

A refusal to answer is read as unsafe, since the picture set the model's safeguards off. Who reads is handed in.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from classifiers.vlm.instruct_blip import InstructBlip
from classifiers.vlm.llava import Llava
from classifiers.vlm.vision_language_model import VisionLanguageModel
from classifiers.zoo.vlm_prompts import SAFE, UNSAFE, majority, prompts
from schemas.errors import InputError
from schemas.protocols import Coverage, Inputs, Scores
from schemas.taxonomy import UNSAFEBENCH, Taxonomy

Reader = Callable[[Sequence[str]], Sequence[str]]
"""Answers → safe, unsafe or uncertain, each."""

NEW_TOKENS = 24  # of an answer; "safe" or "unsafe" comes first where it comes
Speaker = Callable[[Path], VisionLanguageModel]
SPEAKERS: Mapping[str, Speaker] = {
    "llava": Llava.from_directory,
    "instructblip": InstructBlip.from_directory,
}
"""By `model_type` of the configuration."""


class Vlm(nn.Module):
    """Covers the whole taxonomy, as the paper assumes (table 3), without telling its categories apart.

    `logits` is for attacks: log P("unsafe") - log P("safe") after the first prompt, so that raising the wrong one of both is the
    targeted attack of equation 2. `score` is the deployed decision of the three prompts.
    """

    threshold: ClassVar[float] = 0.5

    def __init__(
        self, speaker: VisionLanguageModel, reader: Reader, name: str, taxonomy: Taxonomy = UNSAFEBENCH
    ) -> None:
        super().__init__()
        self.speaker, self.reader, self.name = speaker, reader, name
        self.requires_grad_(False)
        self.coverage = Coverage(frozenset({"image"}), ("image",), taxonomy.ids)
        self.questions = prompts(" ".join(category.policy for category in taxonomy.categories))

    @classmethod
    def published(cls, folder: Path, reader: Reader, speakers: Mapping[str, Speaker] = SPEAKERS) -> Self:
        """A directory of transformers of one of the `speakers`, as its configuration says. Raises InputError."""
        try:
            kind = json.loads((folder / "config.json").read_text()).get("model_type")
        except (OSError, ValueError) as error:
            raise InputError(f"{folder}: no configuration of a model ({error})") from error
        if kind not in speakers:
            raise InputError(f"{folder}: a model of type {kind}; expected {' or '.join(speakers)}")
        return cls(speakers[kind](folder), reader, kind).eval()

    @property
    def differentiable(self) -> bool:
        """Whether a gradient reaches the pixels."""
        return self.speaker.differentiable

    def answers(self, pixels: Tensor, question: str) -> list[str]:
        """What it says, greedily, of pictures [n, 3, h, w] in [0, 1]."""
        return self.speaker.written(pixels, question, NEW_TOKENS)

    def readings(self, pixels: Tensor) -> list[tuple[str, ...]]:
        """For each picture the reading of each prompt's answer."""
        each = [tuple(self.reader(self.answers(pixels, question))) for question in self.questions]
        return list(zip(*each, strict=True))

    @torch.no_grad()
    def score(self, inputs: Inputs) -> Scores:
        """P(unsafe) is 1 or 0: the majority's."""
        pixels = self._pixels(inputs)
        decided = [majority(read, _digest(row)) for read, row in zip(self.readings(pixels), pixels, strict=True)]
        unsafe = torch.tensor([float(label == UNSAFE) for label in decided], device=pixels.device)
        named = unsafe[:, None].expand(-1, len(self.coverage.categories))
        return Scores({"image": unsafe}, {"image": named})

    def logits(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        """Of the first prompt. Raises InputError where a gradient is asked of a model that gives none."""
        if inputs.pixels is not None and inputs.pixels.requires_grad and not self.differentiable:
            raise InputError(f"{self.name} reads pictures by its own processor: no gradient reaches the pixels")
        del embeddings  # the sample's prompt is not read
        pixels = self._pixels(inputs)
        return self.speaker.likelihoods(pixels, self.questions[0], (SAFE, UNSAFE))

    def _pixels(self, inputs: Inputs) -> Tensor:
        if inputs.pixels is None:
            raise InputError(f"{self.name} judges pictures, and these rows have none")
        return inputs.pixels

    def encode(self, prompts: Sequence[str]) -> Tensor:
        return self.speaker.encode(prompts)

    def decode(self, ids: Tensor) -> str:
        return self.speaker.decode(ids)

    def embedding_table(self) -> Tensor:
        return self.speaker.embedding_table()

    def editable(self, ids: Tensor) -> Tensor:
        return self.speaker.editable(ids)

    def overruns(self, prompt: str) -> bool:
        return self.speaker.overruns(prompt)


def _digest(picture: Tensor) -> str:
    """Names a picture by its bytes."""
    return blake2b(picture.cpu().contiguous().numpy().tobytes(), digest_size=8).hexdigest()
