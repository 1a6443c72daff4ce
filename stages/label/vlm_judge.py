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
from stages.label.device import device, quieten
from stages.label.labeller import Judge, Labeller, Opinion
from stages.label.planned_rows import picture_of
from stages.label.questions import check_scopes, letters_of, policy_of, question_of


@dataclass(frozen=True, kw_only=True)
class VlmJudge(Labeller):
    """`model` is the directory of an `AutoModelForImageTextToText`; `asks` are the scopes it is asked about.

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
        from transformers import AutoModelForImageTextToText, AutoProcessor

        quieten()
        directory = model_directory(self.model)
        dtype = torch.bfloat16 if device() != "cpu" else torch.float32
        model = AutoModelForImageTextToText.from_pretrained(directory, local_files_only=True, dtype=dtype)
        model.eval().to(device())
        processor = AutoProcessor.from_pretrained(directory, local_files_only=True)

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


@dataclass(frozen=True, slots=True)
class PictureQuestion:
    """One question about one picture, ready for its possible answers."""

    model: Any
    processor: Any
    picture: Image.Image
    text: str
    lead_in: str

    def shares(self, answers: Sequence[str]) -> Any:
        """float32 [answers] that sum to 1: the likelihood of each answer against the others. Raises ValueError for NaN."""
        import torch

        base = self._inputs("")["input_ids"][0]
        logs = torch.stack([self._log_likelihood(answer, base) for answer in answers])
        if not torch.isfinite(logs).all():
            raise ValueError("the model gave NaN")
        return logs.softmax(dim=0).float().cpu()

    def _log_likelihood(self, answer: str, base: Any) -> Any:
        """Sum over the answer's tokens, which begin where the ids first differ from those without an answer."""
        inputs = self._inputs(answer)
        ids = inputs["input_ids"][0]
        shared = min(len(ids), len(base))
        differ = (ids[:shared] != base[:shared]).nonzero()
        start = int(differ[0]) if len(differ) else shared
        logits = self.model(**inputs).logits[0, start - 1 : -1].float()
        logs = logits.log_softmax(dim=-1)
        return logs.gather(1, ids[start:, None].to(logs.device)).sum()

    def _inputs(self, answer: str) -> Any:
        content = [{"type": "image"}, {"type": "text", "text": self.text}]
        chat = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        inputs = self.processor(text=[chat + self.lead_in + answer], images=[self.picture], return_tensors="pt")
        return inputs.to(device())
