"""What PerspectiveVision's three methods share (UnsafeBench, arXiv 2405.03486, section 5): one judgement a category, and a
scope that the user chooses when asking: what is unsafe only outside of the scope is safe.
"""

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from classifiers.classifier import Classifier, Features
from classifiers.layers.encoders.by_directory import encoder_of
from pipeline.storage.weights import base_folder, digest
from schemas.errors import InputError
from schemas.protocols import Inputs


class Perspective(Classifier):
    """A judge of pictures. `known` are the categories that it was trained on, `categories` those of them in scope."""

    reads: ClassVar[frozenset[str]] = frozenset({"image"})
    scopes: ClassVar[tuple[str, ...]] = ("image",)

    def __init__(self, encoder: Any, categories: Sequence[str], name: str) -> None:
        super().__init__(encoder, categories, name)
        self.known = self.categories

    def within(self, categories: Sequence[str]) -> Self:
        """The same weights asked about these categories only, in the order of the taxonomy. Raises InputError for unknown ones."""
        unknown = sorted(set(categories) - set(self.known))
        if unknown or not categories:
            raise InputError(
                f"{self.name} can't be asked about {', '.join(unknown) or 'nothing'}; "
                f"its categories are {', '.join(self.known)}"
            )
        narrowed = copy(self)  # shares every weight
        narrowed.categories = tuple(each for each in self.known if each in categories)
        return narrowed

    @property
    def columns(self) -> list[int]:
        """Where the categories in scope stand among all."""
        return [self.known.index(each) for each in self.categories]

    def settings(self) -> dict[str, Any]:
        """With all categories: a scope is asked for, not kept."""
        return {**super().settings(), "categories": self.known}


class PerCategory(Perspective):
    """Independent judges, one a category; the picture is unsafe if one of those in scope says so.

    `origin` is the place of the CLIP, if it is to be referred to and not saved once more.
    """

    origin: str | None = None

    @abstractmethod
    def category_logits(self, vectors: Tensor) -> Tensor:
        """float32 [n, all categories, 2]: safe and unsafe, of unit CLIP vectors [n, width]."""

    def features(self, inputs: Inputs, embeddings: Tensor | None = None) -> Features:
        """CLIP's unit vectors of the pictures."""
        del embeddings  # the prompt is not read
        return {"vectors": self.encoder.image(self.pictures(inputs))}

    def verdicts(self, features: Features) -> dict[str, Tensor]:
        """The margin of the likeliest category in scope, then each one's."""
        logits = self.category_logits(features["vectors"])
        margins = (logits[..., 1] - logits[..., 0])[:, self.columns]
        return {"image": torch.cat([margins.amax(dim=1, keepdim=True), margins], dim=1)}

    def losses_of(self, features: Features, targets: Any) -> dict[str, Tensor]:
        """Cross-entropy of each category's two classes, summed over the categories, each with all rows: a picture that is unsafe
        otherwise is safe for this category (appendix A.5). As Adam works on each weight alone, that trains them independently.
        """
        logits = self.category_logits(features["vectors"])
        if logits.shape[1] != targets.categories["image"].shape[1]:
            raise InputError(f"{self.name} trains all its categories at once; narrow the scope afterwards")
        known = targets.unsafe["image"].isfinite()
        each = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.categories["image"].long().flatten(), reduction="none"
        ).view(logits.shape[:2])
        loss = (each.sum(dim=1) * targets.weights * known).sum() / known.sum().clamp(min=1)
        return {"image": loss, "loss": loss}

    def save(self, folder: Path) -> None:
        """As every classifier; with an `origin` the judges' own weights alone, and config.json says where which CLIP is."""
        if self.origin is None:
            super().save(folder)
            return
        folder.mkdir(parents=True, exist_ok=True)
        own = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items() if not _clips(name)}
        save_file(own, folder / "model.safetensors")
        base = {"base": self.origin, "base_digest": digest(base_folder(self.origin))}
        about = {"kind": self.kind, "categories": self.categories, **self.settings(), **base}
        (folder / "config.json").write_text(json.dumps(about, indent=1) + "\n")

    @classmethod
    def restore(cls, folder: Path, config: Mapping[str, Any]) -> Self:
        """What `save` wrote, in eval mode. Raises InputError where the CLIP is not there or not what it was."""
        if "base" not in config:
            return super().restore(folder, config)
        base = base_folder(config["base"])
        if (actual := digest(base)) != config["base_digest"]:
            raise InputError(f"{folder}: the CLIP at {base} is not the one trained on (digest {actual}); train again")
        model = cls.from_settings(config, encoder_of(base), folder.name)
        clip = {name: value for name, value in model.state_dict().items() if _clips(name)}
        model.load_state_dict({**clip, **load_file(folder / "model.safetensors")})
        model.origin, model.taxonomy_label = config["base"], config.get("taxonomy_label", model.taxonomy_label)
        return model.eval()


def _clips(name: str) -> bool:
    return name.startswith("encoder.")
