"""What published guards of pictures have in common: a directory of `transformers`, and categories of their own."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.stage import Resources
from pipeline.storage.weights import model_directory, weights_digest
from stages.label.labeller import Judge, Labeller


@dataclass(frozen=True, kw_only=True)
class PublishedGuard(Labeller):
    """`model` is a directory, or a hub id that was fetched before; `means` says what its own categories are in UnsafeBench's."""

    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})
    scopes: ClassVar[tuple[str, ...]] = ("image",)
    resources: ClassVar[Resources] = Resources(cpus=1.0, accelerator=True)
    means: ClassVar[Mapping[str, str]]
    model: str
    threshold: float = 0.5

    @abstractmethod
    def judge(self) -> Judge:
        """Load what its class needs. Raises InputError for another model."""

    def covers(self) -> tuple[str, ...]:
        """What its categories stand for."""
        return tuple(dict.fromkeys(self.means.values()))

    @property
    def directory(self) -> Path:
        """Where the model lies. Raises InputError."""
        return model_directory(self.model)

    @property
    def annotator(self) -> str:
        """With the model's directory."""
        return f"{self.name}/{Path(self.model).name}"

    def revision(self) -> str:
        """Digest of the weights."""
        return weights_digest(self.directory)
