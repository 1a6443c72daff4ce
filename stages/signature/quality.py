"""How good a picture is technically: the three statistics of UnsafeBench's Figure 13, and whether it shows anything."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.stage import Stage, Step
from schemas.sample import Pixels, Sample

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
EDGE = 0.25  # of the largest gradient magnitude possible; the paper gives no threshold
BLANK = 1.0  # standard deviation in levels of every colour: below, nothing can be seen


@dataclass(frozen=True, kw_only=True)
class Quality(Stage):
    """`snr`, `edge_density`, `entropy` and `blank`. The paper names the statistics without their formulae; these are usual ones.

    SNR: mean over standard deviation of the grey values (null for a flat picture). Edge density: share of pixels whose
    central-difference gradient exceeds a quarter of the possible. Entropy: Shannon's, of the 256 grey levels, in bits.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})
    adds: ClassVar[frozenset[str]] = frozenset({"signatures"})

    def open(self) -> Step:
        """Nothing to load."""

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                assert sample.pixels is not None
                yield sample.signed(**quality(sample.pixels))

        return step


def quality(pixels: Pixels) -> dict[str, Any]:
    """The four columns for uint8 [height, width, 3]. The pipeline refuses NaN before a picture is encoded, so none comes here."""
    grey = pixels @ LUMA
    deviation = float(grey.std())
    return {
        "snr": float(grey.mean()) / deviation if deviation > 0 else None,
        "edge_density": _edge_density(grey),
        "entropy": _entropy(grey),
        "blank": bool(pixels.reshape(-1, 3).std(axis=0).max() < BLANK),  # two hues may be of one grey
    }


def _edge_density(grey: npt.NDArray[np.float32]) -> float:
    if min(grey.shape) < 3:
        return 0.0
    across = (grey[1:-1, 2:] - grey[1:-1, :-2]) / 510
    down = (grey[2:, 1:-1] - grey[:-2, 1:-1]) / 510
    return float((np.hypot(across, down) > EDGE * np.sqrt(0.5)).mean())


def _entropy(grey: npt.NDArray[np.float32]) -> float:
    share = np.bincount(grey.astype(np.uint8).ravel(), minlength=256) / grey.size
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())
