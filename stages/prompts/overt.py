"""OVERT (Cheng et al., NeurIPS 2025, arXiv 2505.21347): benign prompts that sound alarming, and harmful twins."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import InputError
from schemas.prompt import Prompt
from stages.prompts.files import as_prompt, as_text
from stages.prompts.published import Published
from stages.prompts.rows import columns_of, listed

LICENCE = "Apache-2.0"  # as the repository yixiao-huang/OVERT says


@dataclass(frozen=True)
class OVERT:
    """The prompts of `OVERT_full.csv`, `OVERT_mini.csv` or `OVERT_unsafe.csv`.

    The first two claim all theirs to be safe; a row of the third has an unsafe and a safe one. `category` is one of
    nine in the table's words, also for safe prompts: what the alarm is about. `source_id` is the row, from 1, in the
    last file with `/unsafe` or `/safe`. Raises `InputError`. (The gate refuses some of the benign ones too: that is
    meant.)
    """

    where: Path

    def __post_init__(self) -> None:
        self._texts()

    def __iter__(self) -> Iterator[Prompt]:
        texts = self._texts()
        for number, row in enumerate(Published(str(self.where), (*texts, "category")), 1):
            for column, label in texts.items():
                yield Prompt(
                    text=as_prompt(row[column]),
                    language="en",
                    source="overt",
                    source_id=f"{number}/{label}" if len(texts) > 1 else str(number),
                    licence=LICENCE,
                    category=as_text(row["category"]),
                    label=label,
                )

    def _texts(self) -> dict[str, str]:
        """The columns that hold prompts, and the class each is claimed to be of."""
        columns = columns_of(self.where)
        if "image_prompt" in columns:
            texts = {"image_prompt": "safe"}
        elif "unsafe_image_prompt" in columns:
            texts = {"unsafe_image_prompt": "unsafe", "benign_image_prompt": "safe"}
        else:
            wanted = "'image_prompt' (OVERT_full, OVERT_mini) or 'unsafe_image_prompt' (OVERT_unsafe)"
            raise InputError(f"{self.where.name} is not laid out as OVERT: no column {wanted}, only {listed(columns)}")
        Published(str(self.where), (*texts, "category"))
        return texts
