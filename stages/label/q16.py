"""Q16 (Schramowski et al. 2022): is a picture nearer to the soft prompt of what is fine, or to that of what is not?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.storage.weights import weights_digest
from schemas.errors import InputError
from schemas.sample import Sample
from stages.label.device import device, quieten
from stages.label.installed import file_digest
from stages.label.labeller import Judge, Opinion
from stages.label.planned_rows import Floats, picture_of, planned_rows
from stages.label.published_guard import PublishedGuard

SCALE = 100.0  # of cosines, as CLIP's own temperature
PROMPTS = "prompts.npy"


@dataclass(frozen=True, kw_only=True)
class Q16(PublishedGuard):
    """`model` is a CLIP's directory (ViT-L/14 for the published prompts) with `prompts.npy` in it: float [2, width], fine and not.

    The published file is a pickle, `prompts.p`, which can run code: convert it once where you trust it. It tells no categories
    apart; its questions were of the nine that it covers.
    """

    licence: ClassVar[str] = "NOASSERTION"  # its repository states none for the weights; CLIP's are MIT
    means: ClassVar[Mapping[str, str]] = {
        name: name
        for name in (
            "hate", "harassment", "violence", "self_harm", "shocking", "illegal_activity", "deception", "political", "health",
        )
    }  # fmt: skip
    model: str = "q16"
    batch_size: int = 16

    def judge(self) -> Judge:
        """Load the tower and the prompts. Raises InputError."""
        import torch
        from transformers import AutoImageProcessor, CLIPModel

        quieten()
        prompts = self._prompts()
        clip = CLIPModel.from_pretrained(self.directory, local_files_only=True, use_safetensors=True)
        if prompts.shape != (2, clip.config.projection_dim):
            raise InputError(
                f"{self.directory / PROMPTS}: {list(prompts.shape)}; this CLIP needs [2, {clip.config.projection_dim}]"
            )
        clip.eval().to(device())
        processor = AutoImageProcessor.from_pretrained(self.directory, local_files_only=True)

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            pictures = processor(images=[picture_of(s) for s in batch], return_tensors="np")["pixel_values"]
            rows = torch.from_numpy(planned_rows(batch, list(pictures), self.batch_size)).to(device())
            with torch.inference_mode():
                output = clip.get_image_features(pixel_values=rows)
            vectors: Floats = getattr(output, "pooler_output", output).float().cpu().numpy()
            cosines = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)) @ prompts.T
            unsafe = 1 / (1 + np.exp(-SCALE * (cosines[:, 1] - cosines[:, 0])))
            return [[self._opinion(float(unsafe[sample.batch_row]))] for sample in batch]

        return judge

    def _opinion(self, score: float) -> Opinion:
        if not np.isfinite(score):
            raise ValueError("the model gave NaN")
        return Opinion("image", "unsafe" if score >= self.threshold else "safe", score=score)

    def _prompts(self) -> Floats:
        """float32 [2, width] of length 1."""
        file = self.directory / PROMPTS
        try:
            prompts = np.load(file, allow_pickle=False).astype(np.float32)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{file}: expected Q16's prompts as an array [2, width] ({error}); from the published pickle, where you trust it: "
                "numpy.save('prompts.npy', pickle.load(open('prompts.p', 'rb')))"
            ) from error
        lengths = np.linalg.norm(prompts, axis=-1, keepdims=True)
        return np.asarray(prompts / lengths, dtype=np.float32)

    def revision(self) -> str:
        """Digest of the tower and the prompts."""
        return f"{weights_digest(self.directory)}{file_digest(self.directory / PROMPTS)}"
