"""Which family an encoder is of: by the `model_type` of its config, or by a plus sign between two directories."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from classifiers.layers.encoder import ClipEncoder
from classifiers.layers.encoders.align import AlignEncoder
from classifiers.layers.encoders.meta_clip import MetaClipEncoder
from classifiers.layers.encoders.pair import PairedEncoder
from classifiers.layers.encoders.siglip import NaFlexEncoder, SiglipEncoder
from pipeline.storage.weights import model_directory
from schemas.errors import InputError

PLUS = "+"
FAMILIES: Mapping[str, type[ClipEncoder]] = {
    kind.model_type: kind
    for kind in (ClipEncoder, MetaClipEncoder, SiglipEncoder, NaFlexEncoder, AlignEncoder, PairedEncoder)
}


def directories_of(clip: str) -> list[Path]:
    """The directory that `--clip` names, or both of a pair. Raises InputError where one is missing."""
    names = [clip] if Path(clip).is_dir() else clip.split(PLUS)
    if len(names) > 2 or not all(names):
        raise InputError(
            f"--clip {clip}: expected a directory, or an image and a text encoder as IMAGE_DIR{PLUS}TEXT_DIR"
        )
    return [model_directory(name) for name in names]


def encoder_named(clip: str) -> ClipEncoder:
    """The encoder that `--clip` names: a directory or a hub id, or a pair of them. Raises InputError."""
    folders = directories_of(clip)
    return encoder_of(folders[0]) if len(folders) == 1 else PairedEncoder.of_directories(*folders)


def encoder_of(folder: Path) -> ClipEncoder:
    """The encoder that a directory of transformers holds. Raises InputError for one of no family that is known."""
    return _family(model_type_of(folder), f"--clip {folder}").from_directory(folder)


def encoder_from_config(settings: Mapping[str, Any], folder: Path) -> ClipEncoder:
    """That of a saved classifier, its weights still to be loaded; the tokenizer lies in `folder`."""
    return _family(settings["clip"].get("model_type", "clip"), str(folder)).from_config(dict(settings), folder)


def model_type_of(folder: Path) -> str:
    """What the directory's `config.json` says it is. Raises InputError where there is none."""
    if (folder / "open_clip_config.json").is_file() and not (folder / "config.json").is_file():
        raise InputError(
            f"--clip {folder}: a model in open_clip's own layout; take its transformers version, or convert it"
        )
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"--clip {folder}: no config.json that can be read ({error})") from error
    return str(config.get("model_type")) if isinstance(config, dict) else str(config)[:40]


def _family(model_type: str, who: str) -> type[ClipEncoder]:
    if model_type not in FAMILIES:
        raise InputError(
            f"{who}: a model of type {model_type!r}; expected one of {', '.join(FAMILIES)}, or an image and a text encoder as "
            "IMAGE_DIR+TEXT_DIR"
        )
    return FAMILIES[model_type]
