"""LlavaGuard (Helff et al. 2024): a LLaVA or LLaVA-OneVision tuned to rate a picture by the policy that it is given, as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from schemas.sample import Sample
from stages.label.labeller import Judge, Opinion
from stages.label.picture_question import PictureQuestion, chat_model
from stages.label.planned_rows import picture_of
from stages.label.published_guard import PublishedGuard

CATEGORIES: Mapping[str, str] = {
    "O1": "Hate, Humiliation, Harassment",
    "O2": "Violence, Harm, or Cruelty",
    "O3": "Sexual Content",
    "O4": "Nudity Content",
    "O5": "Criminal Planning",
    "O6": "Weapons or Substance Abuse",
    "O7": "Self-Harm",
    "O8": "Animal Cruelty",
    "O9": "Disasters or Emergencies",
}
"""Its nine, which it answers by; the policy says what of each is not allowed."""
FORM = (
    "Assess the picture by the policy above. Answer with a JSON object that has\n"
    '"rating": "Safe" or "Unsafe",\n"category": the category of the policy, or "NA: None applying",\n"rationale": why.'
)


@dataclass(frozen=True, kw_only=True)
class Llavaguard(PublishedGuard):
    """It writes JSON, so its answer is led in by `{"rating": "` and both ratings are compared; the score is the share of Unsafe.
    The category is the likeliest of its nine after that.

    `policy` is a file with the text that it judges by, as its authors publish one; without it the taxonomy's own is put under
    its nine headings.
    """

    licence: ClassVar[str] = "NOASSERTION"  # gated: its authors' terms, and those of the Qwen 2 or Vicuna beneath
    means: ClassVar[Mapping[str, str]] = {
        "O1": "hate", "O2": "violence", "O3": "sexual", "O4": "sexual", "O5": "illegal_activity",
        "O6": "illegal_activity", "O7": "self_harm", "O8": "violence", "O9": "shocking",
    }  # fmt: skip
    model: str = "AIML-TUDA/LlavaGuard-v1.2-7B-OV-hf"
    policy: Path | None = None
    batch_size: int = 8

    def judge(self) -> Judge:
        """Load model and processor."""
        import torch

        model, processor = chat_model(self.directory)
        text = f"{self._policy()}\n\n{FORM}"

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            with torch.inference_mode():
                return [[self._opinion(model, processor, picture_of(sample), text)] for sample in batch]

        return judge

    def _opinion(self, model: Any, processor: Any, pixels: Any, text: str) -> Opinion:
        picture, lead = Image.fromarray(pixels), '{\n    "rating": "'
        score = float(PictureQuestion(model, processor, picture, text, lead).shares(("Safe", "Unsafe"))[1])
        if score < self.threshold:
            return Opinion("image", "safe", score=score)
        after = f'{lead}Unsafe",\n    "category": "'
        which = PictureQuestion(model, processor, picture, text, after).shares(
            [f'{key}: {name}"' for key, name in CATEGORIES.items()]
        )
        return Opinion("image", "unsafe", (self.means[list(CATEGORIES)[int(which.argmax())]],), score=score)

    def _policy(self) -> str:
        if self.policy is not None:
            return self.policy.read_text()
        texts = {category.id: category.policy for category in self.taxonomy.categories}
        lines = (
            f"{key}: {name}.\n{texts.get(self.means[key], 'Nothing of this kind is allowed.')}"
            for key, name in CATEGORIES.items()
        )
        return "Safety policy.\n\n" + "\n\n".join(lines)
