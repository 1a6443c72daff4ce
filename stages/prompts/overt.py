"""OVERT (Cheng et al., NeurIPS 2025, arXiv 2505.21347): benign prompts that sound alarming, and harmful twins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from schemas.errors import InputError
from schemas.prompt import Prompt
from stages.prompts.files import as_prompt, as_text
from stages.prompts.published import PublishedPrompts
from stages.prompts.rows import columns_of, listed

LICENCE = "Apache-2.0"  # as the repository yixiao-huang/OVERT says
FULL = {"image_prompt": "safe"}
PAIRS = {"unsafe_image_prompt": "unsafe", "benign_image_prompt": "safe"}


@dataclass(frozen=True)
class OVERT(PublishedPrompts):
    """The prompts of `OVERT_full.csv`, `OVERT_mini.csv` or `OVERT_unsafe.csv`.

    The first two claim all theirs to be safe; a row of the third has an unsafe and a safe one. `category` is one of
    nine in the table's words, also for safe prompts: what the alarm is about. `source_id` is the row, from 1, in the
    last file with `/unsafe` or `/safe`. (The gate refuses some of the benign ones too: that is meant.)
    """

    needs: ClassVar[tuple[str, ...]] = ("category",)
    likes: ClassVar[tuple[str, ...]] = (*FULL, *PAIRS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.is_file:
            self._layout(columns_of(Path(self.where)))

    def __iter__(self) -> Iterator[Prompt]:
        texts: dict[str, str] = {}
        for number, row in enumerate(self.rows(), 1):
            texts = texts or self._layout([name for name, cell in row.items() if cell is not None])
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

    def _layout(self, columns: Sequence[str]) -> dict[str, str]:
        """The columns that hold prompts, and the class each is claimed to be of."""
        for texts in (FULL, PAIRS):
            if set(texts) <= set(columns):
                return texts
        wanted = "'image_prompt' (OVERT_full, OVERT_mini) or 'unsafe_image_prompt' (OVERT_unsafe)"
        raise InputError(
            f"{Path(self.where).name} is not laid out as OVERT: no column {wanted}, only {listed(columns)}"
        )
