"""Notes of what a worker is about to do, so that its successor knows what it died of."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.storage.store import Store


@dataclass(frozen=True, slots=True)
class Attempts:
    """`attempts/unit-000123-00-STAGE.json` in a round: the batch a worker is in, and the batches that killed earlier ones.

    A note that is still there when a worker starts on the unit means that its predecessor died in that batch.
    """

    store: Store
    folder: str

    def suspects(self, unit: int, stage: str, index: int) -> list[int]:
        """The batches of this unit and stage that some process did not come back from."""
        data = self.store.read(self._name(unit, stage, index))
        if data is None:
            return []
        try:
            note = json.loads(data)
            return sorted({*note["suspects"], note["batch"]})
        except (ValueError, KeyError):  # torn by a crash of the machine: as good as none
            return []

    def note(self, unit: int, stage: str, index: int, *, batch: int, suspects: Iterable[int]) -> None:
        """Say that `batch` is about to run."""
        data = json.dumps({"batch": batch, "suspects": list(suspects)}).encode()
        self.store.write(self._name(unit, stage, index), data, durable=False)

    def clear(self, unit: int, stage: str, index: int) -> None:
        """Say that the stage is through with the unit."""
        self.store.delete(self._name(unit, stage, index))

    def _name(self, unit: int, stage: str, index: int) -> str:
        return f"{self.folder}/attempts/unit-{unit:06d}-{index:02d}-{stage}.json"
