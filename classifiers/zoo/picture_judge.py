"""What the classifiers of the zoo share: the contract for a judge of pictures alone, and heads saved without their CLIP."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from classifiers.layers.no_words import NoWords
from classifiers.zoo.backbone import Backbone
from classifiers.zoo.weights import state_of
from schemas.errors import InputError
from schemas.protocols import Coverage, Inputs, Scores

WEIGHTS = "head.safetensors"


class PictureJudge(NoWords, nn.Module):
    """Eyes → vector → one margin a judgement; it flags a picture where any margin is above 0.

    `claims` is its row of UnsafeBench's table 3. A judge that cannot tell its categories apart says P(unsafe) of each.
    """

    name: ClassVar[str]
    claims: ClassVar[tuple[str, ...]]
    threshold: ClassVar[float] = 0.5  # of sigmoid(margin): the published decision is a margin above 0

    def __init__(self, eyes: Backbone) -> None:
        super().__init__()
        self.eyes = eyes

    @abstractmethod
    def margins(self, vectors: Tensor) -> Tensor:
        """float32 [n, judgements] of the eyes' vectors."""

    def columns(self) -> Sequence[Sequence[int]]:
        """For each category of `claims`, the judgements that speak of it."""
        return [()] * len(self.claims)

    @property
    def coverage(self) -> Coverage:
        return Coverage(frozenset({"image"}), ("image",), self.claims)

    def margin(self, vectors: Tensor) -> Tensor:
        """float32 [n]: the largest."""
        return self.margins(vectors).amax(dim=1)

    def margin_of_normalised(self, normalised: Tensor) -> Tensor:
        """float32 [n] of what the eyes normalised: where `unsafebench_compat` attacks."""
        return self.margin(self.eyes.vectors(normalised))

    def logits(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        del embeddings  # no words are read
        margin = self.margin_of_normalised(self._seen(inputs))
        return torch.stack([torch.zeros_like(margin), margin], dim=1)

    @torch.no_grad()
    def score(self, inputs: Inputs) -> Scores:
        return self.scores_of(self.eyes.vectors(self._seen(inputs)))

    def scores_of(self, vectors: Tensor) -> Scores:
        """P(unsafe) is the sigmoid of the margin, P(category) that of the largest margin that speaks of it."""
        each = self.margins(vectors)
        unsafe = each.amax(dim=1).sigmoid()
        named = [each[:, list(own)].amax(dim=1).sigmoid() if own else unsafe for own in self.columns()]
        return Scores({"image": unsafe}, {"image": torch.stack(named, dim=1)})

    def save_head(self, folder: Path) -> None:
        """head.safetensors: all but the eyes."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        head = {name: value for name, value in self.state_dict().items() if not name.startswith("eyes.")}
        save_file({name: value.contiguous() for name, value in head.items()}, folder / WEIGHTS)

    def load_head(self, folder: Path) -> None:
        """What `save_head` wrote. Raises InputError for another classifier's."""
        state = state_of(folder / WEIGHTS)
        wanted = {name for name in self.state_dict() if not name.startswith("eyes.")}
        if set(state) != wanted:
            raise InputError(f"{folder / WEIGHTS} holds {sorted(state)}; {self.name} wants {sorted(wanted)}")
        self.load_state_dict(state, strict=False)

    def _seen(self, inputs: Inputs) -> Tensor:
        if inputs.pixels is None:
            raise InputError(f"{self.name} judges pictures, and these rows have none")
        return self.eyes.normalised(inputs.pixels)
