"""The robust concept reader: which concepts a picture shows, and by rules over them whether it is unsafe. It reads no words."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from classifiers.classifier import Classifier, Features
from classifiers.layers.concept_reader import SIDE, ConceptNet, ReaderConfig, sized
from classifiers.layers.encoder import ClipEncoder
from classifiers.layers.no_words import NoWords
from schemas.protocols import Inputs


class PixelsAlone(NoWords, ClipEncoder):
    """Stands where other classifiers have a CLIP."""

    filter: ClassVar[Literal["bicubic", "bilinear"]] = "bilinear"

    def __init__(self) -> None:
        nn.Module.__init__(self)

    @property
    def side(self) -> int:
        """64 pixels."""
        return SIDE

    def resized(self, pixels: Tensor) -> Tensor:
        """As the network sees them: float32 [n, 3, 64, 64] of [n, 3, h, w]."""
        return sized(pixels)


class ConceptReader(Classifier):
    """Trained apart on scenes drawn anew and attacked (`classifiers.training.concept_reader`), not on a run's rows.

    Its margin is the network's unsafe logit above the cut; nothing in it is random, saturated or hidden from gradients.
    """

    kind: ClassVar[str] = "concept_reader"
    reads: ClassVar[frozenset[str]] = frozenset({"image"})
    scopes: ClassVar[tuple[str, ...]] = ("image",)
    trained_apart: ClassVar[bool] = True

    def __init__(self, network: ConceptNet, categories: Sequence[str], name: str) -> None:
        super().__init__(PixelsAlone(), categories, name)
        self.network = network

    def features(self, inputs: Inputs, embeddings: Tensor | None = None) -> Features:
        """Logits of concepts, float32 [n, concepts]. Raises InputError for rows without pictures."""
        del embeddings  # no words are read
        return {"concepts": self.network(self.pictures(inputs).to(self.network.head.weight.device))}

    def verdicts(self, features: Features) -> dict[str, Tensor]:
        """One scope."""
        concepts = features["concepts"]
        unsafe = self.network.unsafe(concepts)[:, None]
        return {"image": torch.cat([unsafe, self.network.by_category(concepts, self.categories)], dim=1)}

    def save(self, folder: Path) -> None:
        """model.safetensors and config.json last. Weights that are whole in half precision are stored so: nothing is lost."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        weights = {name: packed(value.detach().cpu()) for name, value in self.network.state_dict().items()}
        save_file(weights, folder / "model.safetensors")
        about = {
            "kind": self.kind,
            "categories": self.categories,
            **self.settings(),
            "network": self.network.config.to_json(),
        }
        (folder / "config.json").write_text(json.dumps(about, indent=1))

    @classmethod
    def restore(cls, folder: Path, config: Mapping[str, Any]) -> Self:
        """What `save` wrote, in eval mode."""
        from safetensors.torch import load_file

        network = ConceptNet(ReaderConfig.from_json(config["network"]))
        network.load_state_dict(load_file(folder / "model.safetensors"))
        model = cls(network, config["categories"], folder.name)
        model.threshold = config["threshold"]
        return model.eval()


def rounded(network: ConceptNet) -> ConceptNet:
    """The network with matrices and kernels at half precision, computed in float32: what `save` stores in half the bytes.

    Vectors (biases, norms and their running statistics) stay as they are: they are small, and variances may be tiny.
    """
    rounded_matrices(network)
    return network


@torch.no_grad()
def rounded_matrices(part: nn.Module) -> None:
    """In place: what is no vector, at half precision."""
    for value in part.parameters():
        if value.ndim > 1:
            value.copy_(value.half().float())


def packed(value: Tensor) -> Tensor:
    """Stored in half precision where that loses nothing."""
    half = value.half() if value.is_floating_point() and value.ndim > 1 else value
    return (half if torch.equal(half.to(value.dtype), value) else value).contiguous()
