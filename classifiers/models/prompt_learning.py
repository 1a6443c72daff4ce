"""PerspectiveVision's second baseline: soft prompts of eight vectors for safe and unsafe, learnt for each category.

CoOp's idea (Zhou et al. 2022) as Q16 uses it: both towers stay frozen, and a picture is of the class whose prompt it is nearer to.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from classifiers.families.perspective import PerCategory
from classifiers.layers.encoder import ClipEncoder
from schemas.errors import InputError
from schemas.taxonomy import UNSAFEBENCH, Taxonomy

LENGTH = 8  # vectors of a soft prompt (appendix A.5)
STARTS = "This image is about something safe", "This image is about something unsafe in {}"


class PromptLearning(PerCategory):
    """Two soft prompts a category, begun from the paper's two sentences (cut or filled to eight tokens)."""

    kind: ClassVar[str] = "prompt_learning"

    def __init__(
        self, encoder: ClipEncoder, categories: Sequence[str], name: str, taxonomy: Taxonomy = UNSAFEBENCH
    ) -> None:
        super().__init__(encoder, categories, name)
        if not encoder.one_space:
            raise InputError(
                "prompt_learning compares prompts with pictures, and this pair of encoders has no common space"
            )
        names = {category.id: category.name for category in taxonomy.categories}
        sentences = [start.format(names.get(id_, id_)) for id_ in self.known for start in STARTS]
        ids = torch.stack([self._eight(sentence) for sentence in sentences])
        self.vectors = nn.Parameter(encoder.embedding_table()[ids].clone())
        marks = encoder.encode([" ".join(["a"] * LENGTH)])[0]
        length = encoder.computed(encoder.read(marks[None]))
        self.register_buffer("frame", marks[:length].repeat(len(sentences), 1), persistent=False)
        self.register_buffer("places", encoder.editable(marks[:length]).nonzero().flatten()[:LENGTH], persistent=False)

    def _eight(self, sentence: str) -> Tensor:
        """int64 [8]: the sentence's first eight tokens, repeated from the beginning where it has fewer."""
        ids = self.encoder.encode([sentence])[0]
        words = ids[self.encoder.editable(ids)]
        return words.repeat(-(-LENGTH // len(words)))[:LENGTH]

    def category_logits(self, vectors: Tensor) -> Tensor:
        """float32 [n, all categories, 2]: scaled cosines with both prompts of each category."""
        frame, places = self.get_buffer("frame"), self.get_buffer("places")
        embeddings = self.encoder.embedding_table()[frame].index_copy(1, places, self.vectors)
        prompts = self.encoder.text(frame, embeddings)
        scale = self.encoder.scale().detach()
        cosines: Tensor = vectors @ prompts.T
        return (scale * cosines).view(len(vectors), len(self.known), 2)
