"""ShieldGemma 2 (Google 2025): a Gemma 3 that says Yes or No to each of its policies about a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from PIL import Image

from schemas.errors import InputError
from schemas.sample import Sample
from stages.label.device import device, quieten
from stages.label.labeller import Judge, Opinion, rated
from stages.label.planned_rows import picture_of
from stages.label.published_guard import PublishedGuard


@dataclass(frozen=True, kw_only=True)
class ShieldGemma(PublishedGuard):
    """`ShieldGemma2ForImageClassification`, whose processor writes the prompts: the score of a policy is P(Yes, it is violated)."""

    licence: ClassVar[str] = "LicenseRef-Gemma"  # Gemma's terms of use
    means: ClassVar[Mapping[str, str]] = {
        "dangerous": "illegal_activity",
        "sexual": "sexual",
        "violence": "violence",
    }
    model: str = "google/shieldgemma-2-4b-it"
    batch_size: int = 4

    def judge(self) -> Judge:
        """Load model and processor. Raises InputError for what is no ShieldGemma 2."""
        import torch
        from transformers import AutoProcessor, ShieldGemma2ForImageClassification

        quieten()
        dtype = torch.bfloat16 if device() != "cpu" else torch.float32
        try:
            model = ShieldGemma2ForImageClassification.from_pretrained(
                self.directory, local_files_only=True, use_safetensors=True, dtype=dtype
            )
            processor = AutoProcessor.from_pretrained(self.directory, local_files_only=True)
            policies = list(processor.policy_definitions)
        except (OSError, ValueError, AttributeError) as error:
            raise InputError(
                f"{self.directory}: no ShieldGemma 2 of transformers with safetensors ({error})"
            ) from error
        if unknown := sorted(set(policies) - self.means.keys()):
            raise InputError(f"{self.directory}: policies {', '.join(unknown)}; expected {', '.join(self.means)}")
        model.eval().to(device())

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            opinions = []
            for sample in batch:
                picture = Image.fromarray(picture_of(sample))
                inputs = processor(images=[picture], return_tensors="pt").to(device())
                with torch.inference_mode():
                    yes = model(**inputs).probabilities[:, 0].float().cpu().tolist()
                scores = {self.means[policy]: value for policy, value in zip(policies, yes, strict=True)}
                opinions.append([rated("image", scores, self.threshold)])
            return opinions

        return judge
