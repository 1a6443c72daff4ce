"""Prompt and picture judged together: every word of the one meets every patch of the other."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from classifiers.classifier import Classifier, Features
from classifiers.layers.encoder import ClipEncoder, columns
from classifiers.layers.fusion import Fusion, Read, Shape, Tower, head
from classifiers.layers.losses import alignment_loss, label_losses
from schemas.protocols import Inputs, Targets

SAME = 1e-2  # distance of unit vectors: far above rounding, far below two prompts that differ
ALIGNMENT_WEIGHT = 0.1  # beside six terms of labels; what the labels say comes first


class Multimodal(Classifier):
    """Tokens of a CLIP → a tower each → cross-attention both ways → heads for prompt, image and pair.

    The heads of prompt and image see their own modality alone. A contrastive loss keeps the towers' vectors of one pair together
    (Radford et al. 2021, CLIP, figure 3). Features: `words` [n, length, hidden], `read` bool [n, length], `patches` [n, patches,
    hidden], and CLIP's own unit vectors `text` and `image` [n, width].
    """

    kind: ClassVar[str] = "multimodal"
    reads: ClassVar[frozenset[str]] = frozenset({"prompt", "image"})
    scopes: ClassVar[tuple[str, ...]] = ("prompt", "image", "pair")
    canonical: ClassVar[bool] = True

    def __init__(self, encoder: ClipEncoder, categories: Sequence[str], name: str, shape: Shape | None = None) -> None:
        super().__init__(encoder, categories, name)
        # Half of the common space: 64 with the embedded CLIP, a quarter of the time of 128.
        self.shape = shape = shape or Shape(width=encoder.width // 2)
        (words, patches), outputs = encoder.hidden, 1 + len(categories)
        self.words, self.patches, self.fusion = Tower(words, shape), Tower(patches, shape), Fusion(shape)
        self.heads = nn.ModuleDict(
            {
                "prompt": head(shape.width, outputs),
                "image": head(shape.width, outputs),
                "pair": head(Fusion.parts * shape.width, outputs),
            }
        )
        self.scale = nn.Parameter(torch.tensor(2.6592))  # log(1 / 0.07), where CLIP starts

    def features(self, inputs: Inputs, embeddings: Tensor | None = None) -> Features:
        """Raises InputError for rows without pictures."""
        ids = self.encode(inputs.prompts)
        words, text = self.encoder.words(ids, embeddings)
        patches, image = self.encoder.patches(self.pictures(inputs))
        return {"words": words, "read": self.encoder.read(ids), "patches": patches, "text": text, "image": image}

    def towers(self, features: Features) -> tuple[Read, Read]:
        """Words, cut after the longest of the batch, and patches, of which none is padding."""
        read, patches = features["read"], features["patches"]
        longest = columns(read)
        words = self.words(features["words"][:, :longest].to(self.scale.dtype), ~read[:, :longest])
        shown = torch.zeros(patches.shape[:2], dtype=torch.bool, device=patches.device)
        return words, self.patches(patches.to(self.scale.dtype), shown)

    def verdicts(self, features: Features) -> dict[str, Tensor]:
        """All three scopes."""
        return self._judge(*self.towers(features))

    def losses_of(self, features: Features, targets: Targets) -> dict[str, Tensor]:
        """Labels of all scopes, and the alignment of the towers."""
        return self.losses_of_towers(*self.towers(features), features, targets)

    def losses_of_towers(self, words: Read, patches: Read, features: Features, targets: Targets) -> dict[str, Tensor]:
        """As `losses_of`, of towers that were built."""
        text = features["text"].detach()
        alike = torch.cdist(text, text) < SAME  # one prompt with several pictures is no negative
        losses = label_losses(self._judge(words, patches), targets)
        losses["alignment"] = alignment_loss(words.pooled, patches.pooled, alike, self.scale)
        return {**losses, "loss": losses["loss"] + ALIGNMENT_WEIGHT * losses["alignment"]}

    @torch.no_grad()
    def alignment(self, inputs: Inputs) -> Tensor:
        """float32 [n] in [-1, 1]: the cosine of CLIP's vectors of prompt and picture."""
        features = self.features(inputs)
        return (features["text"] * features["image"]).sum(dim=1)

    @torch.no_grad()
    def attention(self, inputs: Inputs) -> Tensor:
        """float32 [n, layers, tokens, patches]: where each token looks. `attention_maps.draw` shows it."""
        return self.fusion.maps(*self.towers(self.features(inputs)))

    def settings(self) -> dict[str, Any]:
        """With the network's shape."""
        return {**super().settings(), "shape": asdict(self.shape)}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], encoder: ClipEncoder, name: str) -> Self:
        """As saved."""
        model = cls(encoder, settings["categories"], name, Shape(**settings["shape"]))
        model.threshold = settings["threshold"]
        return model

    def _judge(self, words: Read, patches: Read) -> dict[str, Tensor]:
        seen = {"prompt": words.pooled, "image": patches.pooled, "pair": self.fusion(words, patches)}
        return {scope: self.heads[scope](vector) for scope, vector in seen.items()}
