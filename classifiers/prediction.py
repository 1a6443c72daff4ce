"""Judging pairs from anywhere: paths, PIL images or arrays of any size, in batches of a bounded size."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from schemas.errors import InputError
from schemas.protocols import Inputs, Scores

if TYPE_CHECKING:
    from PIL.Image import Image

    from classifiers.classifier import Classifier

Picture: TypeAlias = "str | Path | Image | NDArray[np.uint8]"
Floats = NDArray[np.float32]

BATCH = 32  # rows judged at once; pictures are resized one by one before, so that memory does not grow with their sizes
MAX_PIXELS = 2**26  # of one picture: 8192 x 8192; larger ones are asked to be resized first
LEVELS = 255


@dataclass(frozen=True, eq=False)
class Prediction:
    """`flagged` bool [n]; by scope, `unsafe` float32 [n] is P(unsafe) and `categories` float32 [n] by taxonomy id P(category).

    `decided_by` names for each row the stage whose word was last, of a cascade; else the kind of classifier.
    """

    flagged: NDArray[np.bool_]
    unsafe: Mapping[str, Floats]
    categories: Mapping[str, Mapping[str, Floats]]
    decided_by: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.flagged)


def predict(model: "Classifier", prompts: Sequence[str] | None, images: Sequence[Picture] | None) -> Prediction:
    """See `Classifier.predict`. Raises InputError for what is missing, unreadable, too large, or of unlike numbers."""
    rows = _checked(model, prompts, images)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            seen = [model.features(batch) for batch in _batches(model, prompts, images, rows)]
            judged = [model.scores_of(each) for each in seen]
            decided = [stage for each in seen for stage in model.decided_by(each)]
    finally:
        model.train(was_training)
    unsafe = {scope: _joined([each.unsafe[scope] for each in judged]) for scope in model.scopes}
    flagged = unsafe[model.scope] > model.threshold
    return Prediction(flagged, unsafe, {scope: _named(model, judged, scope) for scope in model.scopes}, tuple(decided))


def _checked(model: "Classifier", prompts: Sequence[str] | None, images: Sequence[Picture] | None) -> int:
    for what, given in (("prompt", prompts), ("image", images)):
        if isinstance(given, str | bytes | Path):
            raise InputError(f"{model.name}.predict takes a list of {what}s, and this is one; put it in brackets")
        if what in model.reads and given is None:
            raise InputError(f"{model.name} judges each {what}, and none were given")
    if prompts is not None and images is not None and len(prompts) != len(images):
        raise InputError(f"{len(prompts)} prompts and {len(images)} images; expected one image for each prompt")
    for row, prompt in enumerate(prompts or ()):
        if not isinstance(prompt, str):
            raise InputError(f"prompt {row} is a {type(prompt).__name__}; expected text")
    return len(prompts if prompts is not None else images if images is not None else ())


def _batches(
    model: "Classifier", prompts: Sequence[str] | None, images: Sequence[Picture] | None, rows: int
) -> Iterator[Inputs]:
    device = model.embedding_table().device
    for first in range(0, rows, BATCH):
        chosen = range(first, min(first + BATCH, rows))
        texts = tuple("" if prompts is None else prompts[row] for row in chosen)
        pixels = None
        if images is not None and "image" in model.reads:
            read = (pixels_of(images[row], f"image {row}").to(device) for row in chosen)
            pixels = torch.cat([model.encoder.resized(picture) for picture in read])
        yield Inputs(texts, pixels)


def pixels_of(picture: Picture, called: str) -> Tensor:
    """float32 [1, 3, height, width] in [0, 1], transparency on white. Raises InputError naming the picture."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(picture, str | Path):
        try:
            with Image.open(picture) as opened:
                return pixels_of(opened, f"{called} ({picture})")
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise InputError(f"{called} ({picture}) is no picture that can be read: {error}") from error
    if isinstance(picture, Image.Image):
        _bounded(picture.height, picture.width, called)
        flat = Image.new("RGBA", picture.size, "white")
        flat.alpha_composite(picture.convert("RGBA"))
        picture = np.asarray(flat.convert("RGB"))
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape[2:] != (3,):
        shown = f"{picture.dtype} {list(picture.shape)}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise InputError(f"{called} is {shown}; expected a path, a PIL image or a uint8 array [height, width, 3]")
    _bounded(picture.shape[0], picture.shape[1], called)
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / LEVELS


def _bounded(height: int, width: int, called: str) -> None:
    if not 0 < height * width <= MAX_PIXELS:
        raise InputError(f"{called} has {width} x {height} pixels; expected 1 to {MAX_PIXELS}: resize it first")


def _named(model: "Classifier", judged: Sequence[Scores], scope: str) -> dict[str, Floats]:
    columns = [each.categories[scope] for each in judged]
    return {name: _joined([each[:, place] for each in columns]) for place, name in enumerate(model.categories)}


def _joined(parts: Sequence[Tensor]) -> Floats:
    found: Floats = torch.cat([*parts, *([] if parts else [torch.zeros(0)])]).cpu().numpy().astype(np.float32)
    return found
