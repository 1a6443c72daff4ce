"""The deployed defence: what one modality settles alone is settled, and the rest is for both together to judge."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from classifiers.classifier import Features
from classifiers.layers.calibration import FARTHEST, cut_of_safe, cut_of_unsafe
from classifiers.layers.encoder import ClipEncoder
from classifiers.layers.fusion import Read, Shape, head
from classifiers.layers.losses import label_losses
from classifiers.models.multimodal import Multimodal
from schemas.protocols import Inputs, Targets

OBVIOUS_SHARE = 0.2  # of the false positives allowed, what the unimodal stages may spend
MISSED = 0.002  # of the unsafe validation pairs, what may pass as obviously safe


class Cascade(Multimodal):
    """`multimodal` with two heads more: how likely the *pair* is unsafe, by the prompt alone and by the picture alone.

    So a knife, or "ready for a fight", is ambiguous to its head, though each by itself is safe: only both together can tell. With
    u = log(exp(prompt's logit) + exp(picture's logit)), u > `obvious_unsafe` is flagged, u < `obvious_safe` is let through, and
    between fusion decides. The margin is max(u - obvious_unsafe, min(fusion - cut, u - obvious_safe)): its sign is the deployed
    decision, it is continuous, and its gradient is that of the stage that decides.
    """

    kind: ClassVar[str] = "cascade"

    def __init__(self, encoder: ClipEncoder, categories: Sequence[str], name: str, shape: Shape | None = None) -> None:
        super().__init__(encoder, categories, name, shape)
        self.alone = nn.ModuleDict({what: head(self.shape.width, 1) for what in ("prompt", "image")})
        self.obvious_unsafe, self.obvious_safe = FARTHEST, -FARTHEST  # before `calibrate` fusion decides all

    def unimodal(self, words: Read, patches: Read) -> Tensor:
        """float32 [n, 2]: logits of an unsafe pair by the prompt alone and by the picture alone."""
        return torch.cat([self.alone["prompt"](words.pooled), self.alone["image"](patches.pooled)], dim=1)

    def stage_margins(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        """float32 [n, 3]: of prompt, picture and fusion. Where none is above 0, the row is let through."""
        alone, fused = self._raw(self.features(inputs, embeddings))
        # Two logits of at most e - log 2 have a joint one of at most e.
        return torch.cat([alone - self.obvious_unsafe + math.log(2), (fused - self.cut)[:, None]], dim=1)

    def margin_of(self, features: Features) -> Tensor:
        """As above."""
        alone, fused = self._raw(features)
        return self._decision(_either(alone), fused - self.cut)

    def told(self, features: Features) -> dict[str, Tensor]:
        """The pair's logit of unsafe is margin + cut: fusion's own where it decides, and fusion is asked nowhere else.

        Those of categories, where fusion is not asked, are the greater of prompt's and picture's.
        """
        words, patches = self.towers(features)
        out = {scope: self.heads[scope](read.pooled) for scope, read in (("prompt", words), ("image", patches))}
        obvious = _either(self.unimodal(words, patches))
        undecided = self._open(obvious)
        fused, named = self._settled(obvious), torch.maximum(out["prompt"], out["image"])[:, 1:]
        if torch.compiler.is_exporting():  # a graph computes every row, and takes fusion's word where it decides
            told = self.heads["pair"](self.fusion(words, patches))
            fused = torch.where(undecided, told[:, 0] - self.cut, fused)
            named = torch.where(undecided[:, None], told[:, 1:], named)
        elif bool(undecided.any()):
            told = self.heads["pair"](
                self.fusion(*(Read(*(part[undecided] for part in read)) for read in (words, patches)))
            )
            fused, named = (
                fused.index_put((undecided,), told[:, 0] - self.cut),
                named.index_put((undecided,), told[:, 1:]),
            )
        out["pair"] = torch.cat([(self._decision(obvious, fused) + self.cut)[:, None], named], dim=1)
        return out

    def decided_by(self, features: Features) -> tuple[str, ...]:
        """`prompt`, `image` or both where they were obvious, else `fusion`."""
        alone = self.unimodal(*self.towers(features))
        undecided = self._open(_either(alone)).tolist()
        unsafe = (alone > self.obvious_unsafe).tolist()
        return tuple(
            "fusion" if open_ else _OBVIOUS[tuple(each)] for open_, each in zip(undecided, unsafe, strict=True)
        )

    def losses_of(self, features: Features, targets: Targets) -> dict[str, Tensor]:
        """Those of `multimodal`, and of each modality alone for the label of the pair."""
        words, patches = self.towers(features)
        losses = self.losses_of_towers(words, patches, features, targets)
        alone, named = self.unimodal(words, patches), {"pair": targets.categories["pair"]}
        for place, what in enumerate(("prompt", "image")):
            verdict = {"pair": alone[:, place : place + 1]}
            losses[f"pair_by_{what}"] = label_losses(verdict, Targets(targets.unsafe, named, targets.weights))["loss"]
        return {**losses, "loss": losses["loss"] + losses["pair_by_prompt"] + losses["pair_by_image"]}

    @torch.no_grad()
    def calibrate_of(self, features: Iterable[tuple[Features, Targets]], false_positive_rate: float) -> None:
        """First what is obvious, by `OBVIOUS_SHARE` and `MISSED`; then fusion's cut, so that all stages keep the rate together.

        With too few rows to measure such a share nothing is obvious, and fusion decides all.
        """
        alone, fused, unsafe = self._validation(features)
        spent = OBVIOUS_SHARE * false_positive_rate
        enough = int((unsafe == 0).sum()) * spent >= 1, int((unsafe == 1).sum()) * MISSED >= 1
        self.obvious_unsafe = cut_of_safe(alone, unsafe, spent) if enough[0] else FARTHEST
        self.obvious_safe = min(cut_of_unsafe(alone, unsafe, MISSED), self.obvious_unsafe) if enough[1] else -FARTHEST
        deciding = torch.where(self._open(alone), fused, -self._settled(alone))
        self.cut = cut_of_safe(deciding, unsafe, false_positive_rate)

    def settings(self) -> dict[str, Any]:
        """With the edges of the obvious."""
        return {**super().settings(), "obvious_unsafe": self.obvious_unsafe, "obvious_safe": self.obvious_safe}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], encoder: ClipEncoder, name: str) -> Self:
        """As saved."""
        model = super().from_settings(settings, encoder, name)
        model.obvious_unsafe, model.obvious_safe = settings["obvious_unsafe"], settings["obvious_safe"]
        return model

    def _raw(self, features: Features) -> tuple[Tensor, Tensor]:
        """`unimodal`, and fusion's logit [n], of all rows."""
        words, patches = self.towers(features)
        return self.unimodal(words, patches), self.heads["pair"](self.fusion(words, patches))[:, 0]

    def _open(self, obvious: Tensor) -> Tensor:
        """bool [n]: where fusion decides."""
        return (obvious <= self.obvious_unsafe) & (obvious >= self.obvious_safe)

    def _settled(self, obvious: Tensor) -> Tensor:
        """What stands for fusion's margin where it is not asked: the value at which `_decision` leaves it out."""
        return torch.where(obvious > self.obvious_unsafe, float("-inf"), float("inf")).to(obvious.dtype)

    def _decision(self, obvious: Tensor, fused: Tensor) -> Tensor:
        return torch.maximum(obvious - self.obvious_unsafe, torch.minimum(fused, obvious - self.obvious_safe))

    def _validation(self, features: Iterable[tuple[Features, Targets]]) -> tuple[Tensor, Tensor, Tensor]:
        kept = []
        for each, targets in features:
            alone, fused = self._raw(each)
            kept.append((_either(alone), fused, targets.unsafe["pair"]))
        return tuple(torch.cat(column) for column in zip(*kept, strict=True)) if kept else (torch.zeros(0),) * 3  # type: ignore[return-value]


def _either(alone: Tensor) -> Tensor:
    """[n, 2] → [n]. The greater one, smoothly: of a plain maximum no pixel has a gradient where the prompt's is greater."""
    return torch.logaddexp(alone[:, 0], alone[:, 1])


_OBVIOUS = {
    (True, True): "prompt+image",
    (True, False): "prompt",
    (False, True): "image",
    (False, False): "prompt+image",
}
