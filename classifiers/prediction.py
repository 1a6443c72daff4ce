"""Judging pairs from anywhere: paths, PIL images or arrays of any size, in batches of a bounded size."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.storage.image_codec import MAX_PIXELS, PictureError, frames
from schemas.errors import InputError
from schemas.protocols import Inputs, Scores

if TYPE_CHECKING:
    from PIL.Image import Image

    from classifiers.classifier import Classifier

Picture: TypeAlias = "str | Path | bytes | Image | NDArray[np.uint8]"
"""A file's path or bytes, an open picture, or pixels [height, width, 3]."""
Floats = NDArray[np.float32]

BATCH = 32  # rows judged at once; pictures are resized one by one before, so that memory does not grow with their sizes
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
    """See `Classifier.predict`. Of a picture of several frames the likeliest to be unsafe counts. Raises InputError for what is
    missing, unreadable, too large, or of unlike numbers.
    """
    count = _checked(model, prompts, images)
    was_training = model.training
    model.eval()
    rows: list[int] = []
    judged: list[Scores] = []
    decided: list[str] = []
    try:
        with torch.no_grad():
            for chosen, batch in _batches(model, prompts, images, count):
                seen = model.features(batch)
                rows += chosen
                judged.append(model.scores_of(seen))
                decided += model.decided_by(seen)
    finally:
        model.train(was_training)
    unsafe = {scope: _joined([each.unsafe[scope] for each in judged]) for scope in model.scopes}
    worst = _worst(rows, unsafe[model.scope])
    categories = {scope: _named(model, judged, scope, worst) for scope in model.scopes}
    unsafe = {scope: scores[worst] for scope, scores in unsafe.items()}
    return Prediction(
        unsafe[model.scope] > model.threshold, unsafe, categories, tuple(decided[place] for place in worst)
    )


def _worst(rows: Sequence[int], unsafe: Floats) -> list[int]:
    """For each row the place of its likeliest frame; places of one row follow one another."""
    worst: dict[int, int] = {}
    for place, row in enumerate(rows):
        if row not in worst or unsafe[place] > unsafe[worst[row]]:
            worst[row] = place
    return list(worst.values())


def _checked(model: "Classifier", prompts: Sequence[str] | None, images: Sequence[Picture] | None) -> int:
    for what, rows in (("prompt", prompts), ("image", images)):
        if isinstance(rows, str | bytes | Path):
            raise InputError(f"{model.name}.predict takes a list of {what}s, and this is one; put it in brackets")
        if what in model.reads and rows is None:
            raise InputError(f"{model.name} judges each {what}, and none were given")
    if prompts is not None and images is not None and len(prompts) != len(images):
        raise InputError(f"{len(prompts)} prompts and {len(images)} images; expected one image for each prompt")
    for row, prompt in enumerate(prompts or ()):
        if not isinstance(prompt, str):
            raise InputError(f"prompt {row} is a {type(prompt).__name__}; expected text")
    return len(prompts if prompts is not None else images if images is not None else ())


def _batches(
    model: "Classifier", prompts: Sequence[str] | None, images: Sequence[Picture] | None, rows: int
) -> Iterator[tuple[list[int], Inputs]]:
    """Rows and their inputs; a row stands there once for each frame of its picture."""
    if images is None or "image" not in model.reads:
        every: Iterator[tuple[int, Tensor | None]] = ((row, None) for row in range(rows))
    else:
        device, resized = model.embedding_table().device, model.encoder.resized
        shown = ((row, frame) for row in range(rows) for frame in frames_of(images[row], f"image {row}"))
        every = ((row, resized(frame.to(device))) for row, frame in shown)
    while part := list(islice(every, BATCH)):
        pixels = [frame for _, frame in part if frame is not None]
        texts = tuple("" if prompts is None else prompts[row] for row, _ in part)
        yield [row for row, _ in part], Inputs(texts, torch.cat(pixels) if pixels else None)


def frames_of(picture: Picture, called: str) -> Iterator[Tensor]:
    """Each frame as people see it, float32 [1, 3, height, width] in [0, 1]. Raises InputError naming the picture."""
    from PIL import Image

    try:
        if isinstance(picture, str | Path):
            called = f"{called} ({picture})"
            shown = frames(Path(picture).read_bytes())
        elif isinstance(picture, Image.Image | bytes):
            shown = frames(picture)
        else:
            shown = iter([_checked_array(picture, called)])
        for pixels in shown:
            yield tensor_of(pixels)
    except (OSError, PictureError) as error:
        raise InputError(f"{called} cannot be read: {error}") from error


def tensor_of(pixels: NDArray[np.uint8]) -> Tensor:
    """uint8 [height, width, 3] as float32 [1, 3, height, width] in [0, 1]."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / LEVELS


def _checked_array(picture: object, called: str) -> NDArray[np.uint8]:
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape[2:] != (3,):
        shown = f"{picture.dtype} {list(picture.shape)}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise InputError(
            f"{called} is {shown}; expected a path, a file's bytes, a PIL image or a uint8 array [height, width, 3]"
        )
    height, width = picture.shape[:2]
    if not 0 < height * width <= MAX_PIXELS:
        raise InputError(f"{called} has {width} x {height} pixels; expected 1 to {MAX_PIXELS}: resize it first")
    return picture.copy()


def _named(model: "Classifier", judged: Sequence[Scores], scope: str, worst: Sequence[int]) -> dict[str, Floats]:
    columns = [each.categories[scope] for each in judged]
    return {name: _joined([each[:, place] for each in columns])[worst] for place, name in enumerate(model.categories)}


def _joined(parts: Sequence[Tensor]) -> Floats:
    joined: Floats = torch.cat([*parts, *([] if parts else [torch.zeros(0)])]).cpu().numpy().astype(np.float32)
    return joined
