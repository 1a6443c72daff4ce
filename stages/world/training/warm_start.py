"""Start from committed weights: what `jobs/world.py train PART --start assets/world` takes from there.

A training that has no checkpoint of its own begins from `start.safetensors` in its work directory, and one that only needs another
part's weights reads them from there. Heads that training throws away are not in the assets: they begin anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diffusers import AutoencoderTiny, UNet2DConditionModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForImageClassification, CLIPModel, CLIPTextModel, CLIPTokenizer

from stages.world.training.loop import save_start, start_path

EARLIER = "earlier.json"  # in a training's work directory: its rows in the card of the weights it starts from
_CARDS = {"vae": "t2i", "t2i": "t2i", "clip-text": "clip", "clip-vision": "clip", "tagger": "tagger"}


def _prefixed(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value.float() if value.is_floating_point() else value for key, value in weights.items()}


def _without_text(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The text tower is `clip-text`'s to give."""
    return {key: value for key, value in weights.items() if not key.startswith("text_model.")}


def _of(model: Any, directory: Path) -> Any:
    return model.from_pretrained(directory, local_files_only=True)


_READERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    "vae": lambda assets: _prefixed("", _of(AutoencoderTiny, assets / "t2i" / "vae").state_dict()),
    "t2i": lambda assets: _prefixed("", _of(UNet2DConditionModel, assets / "t2i" / "unet").state_dict()),
    "clip-text": lambda assets: _prefixed("text_tower.", _of(CLIPModel, assets / "clip").text_model.state_dict()),
    "clip-vision": lambda assets: _prefixed("clip.", _without_text(_of(CLIPModel, assets / "clip").state_dict())),
    "tagger": lambda assets: _prefixed("tagger.", _of(AutoModelForImageClassification, assets / "tagger").state_dict()),
}


def adopt(assets: Path, work: Path) -> None:
    """Lay the weights of every part that `assets` holds, and the tokenizer, ready under `work`; what is there stays.

    Raises OSError where `assets` has no such models.
    """
    if not (work / "tokenizer").exists():
        _of(CLIPTokenizer, assets / "clip").save_pretrained(work / "tokenizer")
    for name, read in _READERS.items():
        goal = start_path(work, name)
        if not goal.exists():
            rows = _card_rows(assets / _CARDS[name] / "README.md", name)
            goal.parent.mkdir(parents=True, exist_ok=True)
            (goal.parent / EARLIER).write_text(json.dumps(rows), encoding="utf-8")
            save_start(read(assets), work, name)


def _card_rows(card: Path, name: str) -> list[str]:
    """The table rows of one training in a model card, oldest first."""
    lines = card.read_text(encoding="utf-8").splitlines() if card.exists() else []
    return [line for line in lines if line.startswith(f"| {name} |")]


def earlier_rows(work: Path, name: str) -> list[str]:
    """The card's rows of the weights that the training started from, or none."""
    path = work / name / EARLIER
    rows: list[str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return rows


def tower_to_start_from(work: Path, words: CLIPTokenizer) -> CLIPTextModel:
    """CLIP's text tower as it was adopted, before any training here."""
    from stages.world.training import text_tower

    tower = CLIPTextModel(text_tower.config(words))
    weights = load_file(start_path(work, "clip-text"))
    tower.load_state_dict({key.removeprefix("text_tower."): value for key, value in weights.items()})
    return tower
