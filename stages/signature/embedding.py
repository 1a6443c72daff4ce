"""Recognise what a picture shows, whatever was done to it: the image embedding of any CLIP."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.stage import Resources, Stage, Step
from pipeline.storage.image_codec import decode
from pipeline.storage.weights import model_directory, weights_digest
from schemas.sample import Sample


@dataclass(frozen=True, kw_only=True)
class Embedding(Stage):
    """`embedding`, fp16 and of unit length, and `embedding_model`, the digest of what made it: others are not comparable.

    `model` is a directory or a hub id that `transformers` loads as a CLIP-like model with `get_image_features`.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})
    adds: ClassVar[frozenset[str]] = frozenset({"signatures"})
    resources: ClassVar[Resources] = Resources(accelerator=True)
    model: str = "assets/world/clip"
    batch_size: int = 32

    def revision(self) -> str:
        """Digest of the weights."""
        return weights_digest(model_directory(self.model))

    def open(self) -> Step:
        """Load the model and its preprocessing."""
        import torch
        from transformers import AutoImageProcessor, AutoModel

        directory = model_directory(self.model)
        device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
        model = AutoModel.from_pretrained(directory, use_safetensors=True, local_files_only=True).to(device).eval()
        processor = AutoImageProcessor.from_pretrained(directory, local_files_only=True)
        made_by = self.revision()

        def embed(pictures: list[Any]) -> npt.NDArray[np.float32]:
            inputs = processor(images=pictures, return_tensors="pt").to(device)
            with torch.inference_mode():
                features = model.get_image_features(**inputs)
            features = getattr(features, "pooler_output", features)  # transformers 5 wraps what 4 gave bare
            unit: npt.NDArray[np.float32] = torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()
            return unit

        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            rows = [batch[0]] * self.batch_size  # a batch keeps its planned shape (DESIGN 3.3)
            for sample in batch:
                rows[sample.batch_row] = sample
            vectors = embed([Image.fromarray(sample.pixels) for sample in rows if sample.pixels is not None])
            for sample in batch:
                vector = vectors[sample.batch_row].astype(np.float16)
                yield sample.signed(embedding=list(vector), embedding_model=made_by)

        return step


@dataclass
class FileEmbedder:
    """The embeddings of picture files, for those that no round has signed; the model is loaded when the first is asked for."""

    stage: Embedding
    _step: Step | None = None

    def __call__(self, files: Sequence[bytes], formats: Sequence[str]) -> tuple[list[list[float]], str]:
        """A unit-length vector a file, and the digest of what made them."""
        self._step = self._step or self.stage.open()
        size, vectors, made_by = self.stage.batch_size, list[list[float]](), self.stage.revision()
        for first in range(0, len(files), size):
            pictures = map(decode, files[first : first + size], formats[first : first + size])
            batch = [Sample(key="", root="", pixels=pixels, batch_row=row) for row, pixels in enumerate(pictures)]
            for sample in self._step(batch):
                assert sample.signatures is not None
                vectors.append([float(value) for value in sample.signatures["embedding"]])
        return vectors, made_by
