"""ViSU's captions (Poppi et al., ECCV 2024, "Safe-CLIP", arXiv 2311.16254): a safe one a row, and an unsafe one made from it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from schemas.errors import InputError
from schemas.prompt import Prompt
from stages.prompts.files import as_prompt, as_text
from stages.prompts.published import PublishedPrompts
from stages.prompts.rows import Row

LICENCE = "NOASSERTION"


@dataclass(frozen=True)
class ViSU(PublishedPrompts):
    """The columns `safe` and `nsfw` of `ViSU-Text_*.json`, or of the hub's `aimagelab/ViSU-Text`: two prompts a row.

    `source_id` is the row, from 1, with `s` or `u`; `category` is the row's `tag` where it has one.
    """

    needs: ClassVar[tuple[str, ...]] = ("safe", "nsfw")
    likes: ClassVar[tuple[str, ...]] = ("tag",)

    def __post_init__(self) -> None:
        if Path(self.where).suffix.lower() == ".json":
            self._records()
        else:
            super().__post_init__()

    def rows(self) -> Iterator[Row]:
        """The rows of the table, or of the authors' file, which is one list of JSON and read whole."""
        if Path(self.where).suffix.lower() == ".json":
            yield from ({**dict.fromkeys(self.likes), **record} for record in self._records())
        else:
            yield from super().rows()

    def _records(self) -> list[dict[str, Any]]:
        try:
            content = json.loads(Path(self.where).read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{self.where} can't be read as JSON ({error})") from error
        if not isinstance(content, list) or not all(
            isinstance(row, dict) and {*self.needs} <= {*row} for row in content
        ):
            raise InputError(
                f"{self.where} is not laid out as ViSU-Text: want a list of records with 'safe' and 'nsfw'"
            )
        return content

    def __iter__(self) -> Iterator[Prompt]:
        for number, row in enumerate(self.rows(), 1):
            for column, mark, label in (("safe", "s", "safe"), ("nsfw", "u", "unsafe")):
                yield Prompt(
                    text=as_prompt(row[column]),
                    language="en",
                    source="visu",
                    source_id=f"{number}{mark}",
                    licence=LICENCE,
                    category=as_text(row["tag"]) if label == "unsafe" else None,
                    label=label,
                )
