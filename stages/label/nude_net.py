"""NudeNet 3 (320n): a detector of body parts; an extra of its own, never a default.

Its licence file says AGPL-3.0 where its metadata says MIT. Ask whoever answers for licences before a service is built on its votes;
the tag stands in every one of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from schemas.sample import Sample
from stages.label.installed import file_digest, imported, installed_folder, onnx_session
from stages.label.labeller import Judge, Labeller, Opinion, rated
from stages.label.planned_rows import picture_of


@dataclass(frozen=True, kw_only=True)
class NudeNet(Labeller):
    """Unsafe (sexual) where a part that its authors class as exposed is found with `threshold` or more."""

    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})
    scopes: ClassVar[tuple[str, ...]] = ("image",)
    licence: ClassVar[str] = "AGPL-3.0-only"
    threshold: float = 0.5

    def judge(self) -> Judge:
        """Load the detector, with a session of one thread."""
        detector = imported("nudenet", "nudenet (AGPL-3.0)").NudeDetector()
        detector.onnx_session = onnx_session(_file())

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            return [[self._opinion(detector.detect(picture_of(s)[:, :, ::-1].copy()))] for s in batch]

        return judge

    def _opinion(self, detections: Sequence[dict[str, object]]) -> Opinion:
        scores = [float(str(part["score"])) for part in detections if str(part["class"]) in INTIMATE]
        return rated("image", {"sexual": min(1.0, max(scores, default=0.0))}, self.threshold)

    def covers(self) -> tuple[str, ...]:
        """Nudity."""
        return ("sexual",)

    def revision(self) -> str:
        """Digest of the ONNX file."""
        return file_digest(_file())


INTIMATE = frozenset(
    {
        "BUTTOCKS_EXPOSED",
        "FEMALE_BREAST_EXPOSED",
        "FEMALE_GENITALIA_EXPOSED",
        "MALE_GENITALIA_EXPOSED",
        "ANUS_EXPOSED",
    }
)


def _file() -> Path:
    return installed_folder("nudenet", "nudenet") / "320n.onnx"
