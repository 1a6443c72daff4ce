"""The safety checker of `diffusers`: cosines of a CLIP picture with 17 hidden concepts (Rando et al. 2022 say what they are)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipeline.stage import Resources
from pipeline.storage.weights import model_directory, weights_digest
from schemas.errors import InputError
from schemas.sample import Sample
from stages.label.device import device, quieten
from stages.label.labeller import Judge, Labeller, Opinion
from stages.label.planned_rows import picture_of, planned_rows


@dataclass(frozen=True, kw_only=True)
class SafetyChecker(Labeller):
    """`model` is the directory of a `StableDiffusionSafetyChecker` (or of a pipeline that has one as its part `safety_checker`).

    The votes are those of the checker as it is deployed, special-care concepts included; the score is 0.5 plus half the largest
    margin of a cosine over its threshold. The checker blackens pictures it flags: here it gets copies.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})
    scopes: ClassVar[tuple[str, ...]] = ("image",)
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    licence: ClassVar[str] = "CreativeML-OpenRAIL-M"  # CompVis/stable-diffusion-safety-checker
    model: str = "CompVis/stable-diffusion-safety-checker"

    def judge(self) -> Judge:
        """Load the checker and its CLIP processor."""
        import torch
        from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
        from transformers import AutoImageProcessor

        quieten()
        directory = self._directory()
        checker = StableDiffusionSafetyChecker.from_pretrained(directory, local_files_only=True, use_safetensors=True)
        checker.eval().to(device())
        processor = _processor(AutoImageProcessor, directory)

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            pictures = processor(images=[picture_of(s) for s in batch], return_tensors="np")["pixel_values"]
            rows = torch.from_numpy(planned_rows(batch, list(pictures), self.batch_size)).to(device())
            with torch.inference_mode():
                margins = _margins(checker, rows)
            return [[_opinion(margins[sample.batch_row])] for sample in batch]

        return judge

    def _directory(self) -> Path:
        directory = model_directory(self.model)
        part = directory / "safety_checker"
        return part if part.is_dir() else directory

    def covers(self) -> tuple[str, ...]:
        """Its concepts are all sexual."""
        return ("sexual",)

    @property
    def annotator(self) -> str:
        """With the model's directory."""
        return f"{self.name}/{Path(self.model).name}"

    def revision(self) -> str:
        """Digest of the weights."""
        return weights_digest(self._directory())


def _processor(kind: Any, directory: Path) -> Any:
    """The processor beside the checker, or that of the pipeline around it. Raises InputError."""
    for folder in (directory, directory.parent / "feature_extractor"):
        if (folder / "preprocessor_config.json").is_file():
            return kind.from_pretrained(folder, local_files_only=True)
    raise InputError(f"{directory}: no preprocessor_config.json in it, nor in feature_extractor beside it")


def _margins(checker: Any, pixels: Any) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """float32 [rows]: the largest margin over a concept's threshold; above 0 the checker flags the picture.

    As `StableDiffusionSafetyChecker.forward_onnx`: a special-care concept that is met lowers all thresholds by 0.01.
    """
    features = checker.visual_projection(checker.vision_model(pixels)[1])
    features = features / features.norm(dim=-1, keepdim=True)

    def cosines(concepts: Any) -> Any:
        return features @ (concepts / concepts.norm(dim=-1, keepdim=True)).T

    special = cosines(checker.special_care_embeds) - checker.special_care_embeds_weights
    adjustment = 0.01 * (special > 0).any(dim=1, keepdim=True).float()
    margins = cosines(checker.concept_embeds) - checker.concept_embeds_weights + adjustment
    best: np.ndarray[tuple[int], np.dtype[np.float32]] = margins.max(dim=1).values.float().cpu().numpy()
    return best


def _opinion(margin: float) -> Opinion:
    if not np.isfinite(margin):
        raise ValueError("the checker gave NaN")
    score = float(np.clip(0.5 + margin / 2, 0.0, 1.0))
    return Opinion("image", "unsafe", ("sexual",), score) if margin > 0 else Opinion("image", "safe", score=score)
