"""Q16 (Schramowski et al. 2022): is a picture nearer to the soft prompt of what is fine, or to that of what is not?

The published weights are one array [2, 768] for CLIP ViT-L/14, a pickle `prompts.p`; row 1 is the inappropriate one.
"""

from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import normalize

from classifiers.layers.encoder import ClipEncoder
from classifiers.zoo.backbone import Backbone, eyes_of
from classifiers.zoo.fitting import FittingSchedule, FittingSet, balance, descend
from classifiers.zoo.picture_judge import PictureJudge
from classifiers.zoo.weights import state_of, wanted
from schemas.errors import InputError

SCHEDULE = FittingSchedule(epochs=60, rate=5e-3)  # a prompt has two vectors to move, and cosines are steep

SCALE = 100.0  # of cosines, as CLIP's own temperature
STARTS = ("This image is positive.", "This image is negative.")


class Q16Judge(PictureJudge):
    """`prompts` float32 [2, width]: fine, not fine."""

    name: ClassVar[str] = "q16"
    claims: ClassVar[tuple[str, ...]] = (
        "hate", "harassment", "violence", "self_harm", "shocking", "illegal_activity", "deception", "political", "health",
    )  # fmt: skip

    def __init__(self, eyes: Backbone, prompts: Tensor) -> None:
        super().__init__(eyes)
        if prompts.shape != (2, eyes.width):
            raise InputError(f"Q16's prompts are {list(prompts.shape)}; this CLIP needs [2, {eyes.width}]")
        self.prompts = nn.Parameter(prompts.detach().clone())

    def margins(self, vectors: Tensor) -> Tensor:
        """[n, 1]: the difference of the scaled cosines."""
        cosines = SCALE * normalize(vectors, dim=-1) @ normalize(self.prompts, dim=-1).T
        return cosines[:, 1:] - cosines[:, :1]

    @classmethod
    def published(cls, eyes: Backbone, file: Path) -> Self:
        """From `prompts.npy` (the pickle converted) or safetensors with one array. Raises InputError."""
        (prompts,) = state_of(file).values() or (torch.zeros(0),)
        return cls(eyes, wanted({"prompts": prompts}, {"prompts": (2, eyes.width)}, file)["prompts"]).eval()

    @classmethod
    @torch.no_grad()
    def untrained(cls, encoder: ClipEncoder) -> Self:
        """Before any training: the two sentences."""
        return cls(eyes_of(encoder), encoder.text(encoder.encode(STARTS))).eval()

    def fit(self, lesson: FittingSet, schedule: FittingSchedule = SCHEDULE) -> None:
        """Prompt tuning on rows whose labels are moral, whatever the category (SMID has none). Raises InputError for one class."""
        weight = balance(lesson.unsafe, self.name)

        def loss(rows: Tensor) -> Tensor:
            return bce(self.margins(lesson.vectors[rows])[:, 0], lesson.unsafe[rows], pos_weight=weight)

        descend(self, loss, len(lesson.unsafe), schedule)
