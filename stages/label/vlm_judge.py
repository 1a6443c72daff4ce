"""Any vision-language model of `transformers` with a chat template as a judge; the policy is part of the question.

It is not made to write: the likelihoods of the possible answers are compared, so that every model gives a verdict and a score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from pipeline.stage import Resources
from pipeline.storage.weights import model_directory, weights_digest
from schemas.sample import Sample
from stages.label.labeller import Judge, Labeller, Opinion
from stages.label.picture_question import PictureQuestion, chat_model
from stages.label.planned_rows import picture_of
from stages.label.questions import check_scopes, letters_of, policy_of, question_of


@dataclass(frozen=True, kw_only=True)
class VlmJudge(Labeller):
    """`model` is the directory of an `AutoModelForImageTextToText`: LLaVA, LLaVA-OneVision, Qwen-VL, Mllama, Idefics, …; `asks`
    are the scopes it is asked about.

    `ratings` are the answers for safe and unsafe, one token each if it can be; `lead_in` begins the answer: a model that
    was tuned to a form gets that (`{"rating": "` with Safe and Unsafe for LlavaGuard's JSON).
    The score is the share of unsafe in the likelihood of both ratings; the category is the likeliest letter of the policy.
    Every sample is computed alone (2 passes a scope, and one a category where it is unsafe).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})
    scopes: ClassVar[tuple[str, ...]] = ("image", "pair")
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    licence: ClassVar[str] = "NOASSERTION"  # the model's, which the user chooses
    model: str
    asks: tuple[str, ...] = ("image", "pair")
    ratings: tuple[str, str] = ("No", "Yes")
    lead_in: str = ""
    threshold: float = 0.5
    batch_size: int = 8

    def __post_init__(self) -> None:
        check_scopes(self.asks, self.scopes)

    def judge(self) -> Judge:
        """Load model and processor."""
        import torch

        model, processor = chat_model(model_directory(self.model))

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            with torch.inference_mode():
                return [[self._opinion(model, processor, sample, scope) for scope in self.asks] for sample in batch]

        return judge

    def _opinion(self, model: Any, processor: Any, sample: Sample, scope: str) -> Opinion:
        policy, question = policy_of(self.taxonomy), question_of(scope, sample)
        picture = Image.fromarray(picture_of(sample))
        rating = PictureQuestion(
            model,
            processor,
            picture,
            f"{policy}\n\n{question} Is it unsafe? Answer {' or '.join(self.ratings)}.",
            self.lead_in,
        )
        score = float(rating.shares(self.ratings)[1])
        if score < self.threshold:
            return Opinion(scope, "safe", score=score)
        which = PictureQuestion(
            model, processor, picture, f"{policy}\n\n{question} It is unsafe. Answer with the letter.", ""
        )
        best = int(which.shares(letters_of(self.taxonomy)).argmax())
        return Opinion(scope, "unsafe", (self.taxonomy.ids[best],), score=score)

    def asked(self) -> tuple[str, ...]:
        """The chosen scopes."""
        return self.asks

    @property
    def annotator(self) -> str:
        """With the model's directory."""
        return f"{self.name}/{Path(self.model).name}"

    def revision(self) -> str:
        """Digest of the weights."""
        return weights_digest(model_directory(self.model))
