"""Llama Guard 3 Vision and Llama Guard 4 (Meta): a Mllama and a Llama 4 whose chat template is the guard's prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from PIL import Image

from schemas.sample import Sample
from stages.label.labeller import Judge, Opinion
from stages.label.picture_question import PictureQuestion, chat_model
from stages.label.planned_rows import picture_of
from stages.label.published_guard import PublishedGuard

ESCALATED = "S4"
"""What it is to find there no classifier decides: a person has to see to it, by the law of the place."""
HAZARDS = tuple(f"S{number}" for number in range(1, 15))  # S14 (code) is Llama Guard 4's


@dataclass(frozen=True, kw_only=True)
class LlamaGuard(PublishedGuard):
    """Asked about the picture with its prompt, as it was trained: the directory's own chat template puts hazards and the form of
    an answer around both. `safe` is compared with `unsafe`, then the hazards with each other, each with the end mark, since S1
    begins S10.

    It judges conversations in which a picture stands: its verdict is on the pair. Its authors say that it is not made for pictures
    by themselves, nor for generated ones.
    """

    scopes: ClassVar[tuple[str, ...]] = ("pair",)
    licence: ClassVar[str] = (
        "LicenseRef-Llama-Community"  # 3.2 and 4: terms of use, and the name in what is built on it
    )
    means: ClassVar[Mapping[str, str]] = {
        "S1": "violence", "S2": "illegal_activity", "S3": "sexual", "S5": "harassment", "S6": "health", "S7": "harassment",
        "S8": "illegal_activity", "S9": "illegal_activity", "S10": "hate", "S11": "self_harm", "S12": "sexual",
        "S13": "political", "S14": "illegal_activity",
    }  # fmt: skip
    model: str = "meta-llama/Llama-Guard-4-12B"
    batch_size: int = 8

    def judge(self) -> Judge:
        """Load model and processor."""
        import torch

        model, processor = chat_model(self.directory)

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            with torch.inference_mode():
                return [[self._opinion(model, processor, sample)] for sample in batch]

        return judge

    def _opinion(self, model: Any, processor: Any, sample: Sample) -> Opinion:
        picture, end = Image.fromarray(picture_of(sample)), processor.tokenizer.eos_token

        def shares(lead: str, answers: Sequence[str]) -> Any:
            question = PictureQuestion(model, processor, picture, sample.prompt, lead, text_first=True)
            return question.shares([f"{answer}{end}" for answer in answers])

        score = float(
            PictureQuestion(model, processor, picture, sample.prompt, "\n\n", True).shares(["safe", "unsafe"])[1]
        )
        if score < self.threshold:
            return Opinion("pair", "safe", score=score)
        hazard = HAZARDS[int(shares("\n\nunsafe\n", HAZARDS).argmax())]
        if hazard == ESCALATED:
            return Opinion("pair", "escalate", score=score, reason=f"{self.name} finds {hazard} of its policy")
        return Opinion("pair", "unsafe", (self.means[hazard],), score=score)
