"""The encoder of a classifier that was saved without it: a CLIP that lies elsewhere, known by its digest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from classifiers.layers.encoder import ClipEncoder
from classifiers.layers.encoders.by_directory import encoder_of
from pipeline.storage.weights import local_directory, weights_digest
from schemas.errors import InputError


def stands_alone(encoder: ClipEncoder, clip: str) -> str:
    """The digest of the CLIP called `clip`. Raises ValueError where the encoder's weights are not that CLIP's."""
    folder = _folder(clip, clip)
    theirs = encoder_of(folder).state_dict()
    if any(not torch.equal(value.cpu(), theirs[name]) for name, value in encoder.state_dict().items()):
        raise ValueError(f"the encoder was tuned, it is not {clip} any more: save it whole")
    return weights_digest(folder)


def beside(folder: Path, around: Mapping[str, Any]) -> ClipEncoder:
    """The CLIP that `around` names. Raises InputError where it is missing or another one than when the heads were trained."""
    folder_of_base = _folder(str(around["clip"]), str(folder))
    if (digest := weights_digest(folder_of_base)) != around["digest"]:
        raise InputError(
            f"{folder}: its heads were trained on {around['clip']} of digest {around['digest']}, and the one here has "
            f"{digest}; get that CLIP back, or train the heads again"
        )
    return encoder_of(folder_of_base)


def _folder(clip: str, who: str) -> Path:
    if (folder := local_directory(clip)) is None:
        raise InputError(f"{who}: the CLIP {clip} is missing; get it back from the repository")
    return folder
