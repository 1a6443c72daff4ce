"""The safety filter of Stable Diffusion (Rombach et al. 2022): `diffusers`' StableDiffusionSafetyChecker, with gradients.

A picture is unsafe if its cosine with one of 17 concepts is above that concept's threshold; meeting one of 3 special-care concepts
lowers all thresholds by 0.01. What the concepts are was hidden; Rando et al. 2022 found them out. Table 3 of UnsafeBench gives it
Shocking too; its table 4 and its code judge it on Sexual alone, and so does this.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import normalize

from classifiers.layers.encoder import ClipEncoder
from classifiers.zoo.backbone import Backbone, ClipEyes, eyes_of
from classifiers.zoo.fitting import FittingSet, balance
from classifiers.zoo.picture_judge import PictureJudge
from schemas.errors import InputError

CONCEPTS, SPECIAL = 17, 3
ADJUSTMENT = 0.01  # of every threshold, where a special-care concept is met


class SdFilter(PictureJudge):
    """`concepts` float32 [17, width] and `special` [3, width], with their thresholds on cosines [17] and [3]."""

    name: ClassVar[str] = "sd_filter"
    claims: ClassVar[tuple[str, ...]] = ("sexual",)
    concepts: Tensor
    special: Tensor
    limits: Tensor
    special_limits: Tensor

    def __init__(
        self, eyes: Backbone, concepts: Tensor, special: Tensor, limits: Tensor, special_limits: Tensor
    ) -> None:
        super().__init__(eyes)
        shapes = [tuple(each.shape) for each in (concepts, special, limits, special_limits)]
        expected = [(CONCEPTS, eyes.width), (SPECIAL, eyes.width), (CONCEPTS,), (SPECIAL,)]
        if shapes != expected:
            raise InputError(f"the safety filter's concepts and thresholds are {shapes}; expected {expected}")
        for name, value in zip(
            ("concepts", "special", "limits", "special_limits"),
            (concepts, special, limits, special_limits),
            strict=True,
        ):
            self.register_buffer(name, value.detach().clone())

    def margins(self, vectors: Tensor) -> Tensor:
        """[n, 17]: each cosine less its threshold. As `forward_onnx` of the checker, special care included."""
        unit = normalize(vectors, dim=-1)
        met = (unit @ normalize(self.special, dim=-1).T - self.special_limits > 0).any(dim=1, keepdim=True)
        return unit @ normalize(self.concepts, dim=-1).T - self.limits + ADJUSTMENT * met

    @classmethod
    def published(cls, folder: Path) -> Self:
        """A directory of the checker as `diffusers` stores it. Raises InputError for anything else."""
        from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker

        try:
            checker = StableDiffusionSafetyChecker.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        except (OSError, ValueError) as error:
            raise InputError(f"{folder}: no safety checker of diffusers with safetensors ({error})") from error
        parts = (checker.concept_embeds, checker.special_care_embeds)
        limits = (checker.concept_embeds_weights, checker.special_care_embeds_weights)
        return cls(ClipEyes.of_checker(checker, folder), *(each.float() for each in (*parts, *limits))).eval()

    @classmethod
    @torch.no_grad()
    def untrained(cls, encoder: ClipEncoder, concepts: Sequence[str], special: Sequence[str]) -> Self:
        """Of 17 and 3 texts (repeated where there are fewer), with thresholds that nothing meets."""
        chosen, careful = _repeated(concepts, CONCEPTS), _repeated(special, SPECIAL)
        texts = encoder.text(encoder.encode([*chosen, *careful]))
        never = torch.full((CONCEPTS + SPECIAL,), 2.0)
        return cls(eyes_of(encoder), texts[:CONCEPTS], texts[CONCEPTS:], never[:CONCEPTS], never[CONCEPTS:]).eval()

    @torch.no_grad()
    def fit(self, lesson: FittingSet, false_positive_rate: float = 0.05) -> None:
        """Thresholds alone, by hand as its makers did: one rank of the safe rows' cosines for all concepts, so that together they
        flag at most this share of the safe. Raises InputError for one class.
        """
        labels = lesson.named(self.claims)
        balance(labels, self.name)
        unit = normalize(lesson.vectors, dim=-1)
        safe = unit[lesson.unsafe == 0]
        special = safe @ normalize(self.special, dim=-1).T
        self.special_limits.copy_(special.quantile(1 - false_positive_rate, dim=0))
        cosines = safe @ normalize(self.concepts, dim=-1).T
        for rank in torch.linspace(1 - false_positive_rate, 1, 21).tolist():
            self.limits.copy_(cosines.quantile(rank, dim=0) + 1e-6)
            if float((self.margins(safe).amax(dim=1) > 0).float().mean()) <= false_positive_rate:
                return
        self.limits.add_(ADJUSTMENT)


def _repeated(texts: Sequence[str], count: int) -> list[str]:
    if not texts:
        raise InputError("the safety filter needs at least one concept")
    return [texts[place % len(texts)] for place in range(count)]
