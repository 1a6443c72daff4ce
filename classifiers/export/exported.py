"""What every export shares: which classifiers can be, an empty folder to write into, and what the folder says of itself."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from classifiers.classifier import Classifier
from classifiers.families.in_diffusion import InDiffusion
from classifiers.families.perspective import PerCategory
from classifiers.models.vision_language import VisionLanguage
from classifiers.saved import Saved
from pipeline.storage.weights import local_directory
from schemas.errors import InputError

LICENCE = "Apache-2.0"


def exportable(folder: str) -> tuple[Classifier, str]:
    """A trained classifier on the CPU, all weights its own, and its digest. Raises InputError for a kind that has no export."""
    saved = Saved(str(local_directory(folder) or folder))
    model = saved.load().cpu().eval()
    if isinstance(model, InDiffusion):
        raise InputError(f"{folder}: a {model.kind} judges during denoising, which only a diffusion pipeline does")
    if isinstance(model, VisionLanguage):
        raise InputError(f"{folder}: a {model.kind} is a model of transformers already; open its directory there")
    if isinstance(model, PerCategory):
        model.origin = None  # else its CLIP would be named and not saved
    return model, saved.digest()


def empty_folder(out: str) -> Path:
    """A folder that is there and holds nothing. Raises InputError for one that holds something."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(f"--out {folder}: there is something in it already; name an empty folder")
    except OSError as error:
        raise InputError(f"--out {folder}: {error.strerror or error}; name a folder that can be written to") from error
    return folder


def facts(model: Classifier, digest: str) -> dict[str, Any]:
    """What whoever judges with the exported model has to know."""
    return {
        "kind": model.kind,
        "reads": sorted(model.reads),
        "scope": model.scope,
        "labels": labels(model),
        "threshold": model.threshold,
        "source_digest": digest,
        "taxonomy": model.taxonomy_label,
    }


def labels(model: Classifier) -> list[str]:
    """Of the columns of logits."""
    return ["unsafe", *model.categories]


def write_card(folder: Path, model: Classifier, known: Mapping[str, Any], how: str) -> None:
    """README.md: what it judges, how it is called."""
    reads = " and ".join(sorted(model.reads))
    text = f"""---
license: {LICENCE.lower()}
tags: [safety, moderation, hazmat]
---
# {model.name}

A `{model.kind}` classifier of Hazmat. It reads {reads} and judges the {model.scope}: flagged where P(unsafe) is above
{model.threshold:.6g}. Logits are independent (a sigmoid each): {", ".join(labels(model))}.

{how}

    {json.dumps(known)}
"""
    (folder / "README.md").write_text(text)
