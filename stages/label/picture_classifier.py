"""A published `AutoModelForImageClassification` as a labeller: its classes' probabilities, and what of them counts as unsafe."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from schemas.errors import InputError
from schemas.sample import Sample
from stages.label.device import device, quieten
from stages.label.labeller import Judge, Opinion, rated
from stages.label.planned_rows import picture_of, planned_rows
from stages.label.published_guard import PublishedGuard


@dataclass(frozen=True, kw_only=True)
class PictureClassifier(PublishedGuard):
    """`classes` are the names that its configuration has to give to its outputs; all are about sexual pictures."""

    classes: ClassVar[frozenset[str]]
    means: ClassVar[Mapping[str, str]] = {"nsfw": "sexual"}
    batch_size: int = 8

    @abstractmethod
    def unsafe(self, chances: Mapping[str, float]) -> float:
        """P(unsafe), from the probability of each class."""

    def judge(self) -> Judge:
        """Load model and processor. Raises InputError for another model."""
        import torch

        model, processor = self._opened()
        names = {int(place): str(name).lower() for place, name in model.config.id2label.items()}
        if set(names.values()) != self.classes:
            raise InputError(
                f"{self.directory}: its classes are {', '.join(names.values())}; expected {', '.join(sorted(self.classes))}"
            )

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            pictures = processor(images=[picture_of(sample) for sample in batch], return_tensors="pt")["pixel_values"]
            rows = torch.from_numpy(planned_rows(batch, list(pictures.numpy()), self.batch_size)).to(device())
            with torch.inference_mode():
                shares = model(pixel_values=rows).logits.float().softmax(dim=1).cpu().tolist()
            each = [dict(zip((names[place] for place in sorted(names)), row, strict=True)) for row in shares]
            return [
                [rated("image", {"sexual": min(1.0, self.unsafe(each[sample.batch_row]))}, self.threshold)]
                for sample in batch
            ]

        return judge

    def _opened(self) -> tuple[Any, Any]:
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        quieten()
        try:
            model = AutoModelForImageClassification.from_pretrained(
                self.directory, local_files_only=True, use_safetensors=True
            )
            return model.eval().to(device()), AutoImageProcessor.from_pretrained(self.directory, local_files_only=True)
        except (OSError, ValueError, ImportError) as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"{self.directory}: it cannot be opened as a classifier of pictures ({reason})") from error
