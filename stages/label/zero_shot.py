"""A picture against sentences, by any CLIP or SigLIP of `transformers`: no training, the policy is the input."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipeline.stage import Resources
from pipeline.storage.weights import model_directory, weights_digest
from schemas.sample import Sample
from stages.label.device import device, quieten
from stages.label.labeller import Judge, Labeller, Opinion, rated
from stages.label.planned_rows import Floats, picture_of, planned_rows
from stages.label.statements import softmax, statements
from stages.world.vocabulary import UNSAFE_CATEGORIES


@dataclass(frozen=True, kw_only=True)
class ZeroShot(Labeller):
    """Unsafe if sentences of a category take `threshold` of the softmax over all (CLIP), or any reaches it by sigmoid (SigLIP).

    `compare` names the sentences: `policy` (the taxonomy's texts) or `pictogram` (the embedded CLIP knows no other words).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})
    scopes: ClassVar[tuple[str, ...]] = ("image",)
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    licence: ClassVar[str] = "NOASSERTION"  # the model's, which the user chooses; the embedded one is Apache-2.0
    model: str = "assets/world/clip"
    compare: str = ""  # "" takes `pictogram` for the embedded world's models and `policy` for all others
    threshold: float = 0.3

    def judge(self) -> Judge:
        """Load both towers; the sentences are embedded once."""
        import torch
        from transformers import AutoModel, AutoProcessor

        quieten()
        directory = model_directory(self.model)
        model = AutoModel.from_pretrained(directory, local_files_only=True, dtype=torch.float32).eval().to(device())
        processor = AutoProcessor.from_pretrained(directory, local_files_only=True)
        policy = statements(self._compare(), self.taxonomy)
        with torch.inference_mode():
            texts = torch.cat([_text_features(model, processor, text) for text in policy.texts])
        scale = model.logit_scale.exp().item()
        bias = getattr(model, "logit_bias", None)

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            pictures = processor(images=[picture_of(s) for s in batch], return_tensors="np")["pixel_values"]
            rows = torch.from_numpy(planned_rows(batch, list(pictures), self.batch_size)).to(device())
            with torch.inference_mode():
                cosines = _unit(model.get_image_features(pixel_values=rows)) @ texts.T
            logits: Floats = (cosines * scale).float().cpu().numpy()
            if bias is None:
                scores = [policy.scores(row) for row in softmax(logits)]
            else:
                each = 1 / (1 + np.exp(-(logits + bias.item())))
                scores = [_best(policy.classes, row) for row in each]
            return [[rated("image", scores[sample.batch_row], self.threshold)] for sample in batch]

        return judge

    def covers(self) -> tuple[str, ...]:
        """What its sentences stand for."""
        return UNSAFE_CATEGORIES if self._compare() == "pictogram" else self.taxonomy.ids

    def _compare(self) -> str:
        return self.compare or ("pictogram" if "world" in Path(self.model).parts else "policy")

    @property
    def annotator(self) -> str:
        """With the model's directory."""
        return f"{self.name}/{Path(self.model).name}"

    def revision(self) -> str:
        """Digest of the weights."""
        return weights_digest(model_directory(self.model))


def _text_features(model: Any, processor: Any, text: str) -> Any:
    """[1, dimension]. SigLIP was trained with texts padded to its full length, CLIP does not care."""
    padding = "max_length" if hasattr(model, "logit_bias") else True
    inputs = processor(text=[text], return_tensors="pt", padding=padding, truncation=True)
    return _unit(model.get_text_features(**inputs.to(device())))


def _unit(output: Any) -> Any:
    features = getattr(output, "pooler_output", output)
    return features / features.norm(dim=-1, keepdim=True)


def _best(classes: Sequence[str], likelihood: Floats) -> dict[str, float]:
    scores: dict[str, float] = {}
    for category, value in zip(classes, likelihood, strict=True):
        if category != "safe":
            scores[category] = max(scores.get(category, 0.0), float(value))
    return scores
