"""T2I-RiskyPrompt (Zhang et al., AAAI 2026, arXiv 2510.22300): 6,432 prompts, each checked by people."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.errors import InputError
from schemas.prompt import Prompt
from stages.prompts.files import as_prompt
from stages.prompts.published import PublishedPrompts

LICENCE = None  # the repository datar001/T2I-RiskyPrompt has no licence file; its images' dataset says Apache-2.0


@dataclass(frozen=True)
class T2IRiskyPrompt(PublishedPrompts):
    """The prompts of `T2I-RiskyPrompt.json`: 6 categories, 14 below them.

    Records are `{"prompt", "label": {"primary--sub": [reasons]}}`, by id or in a list. `category` has every label in
    the file's words, with `; ` between; all are claimed to be unsafe. The file is a few MB: it is read whole.
    """

    def __post_init__(self) -> None:
        self._records()

    def __iter__(self) -> Iterator[Prompt]:
        for key, record in self._records():
            labels = record.get("label")
            yield Prompt(
                text=as_prompt(record.get("prompt")),
                language="en",
                source="t2i_riskyprompt",
                source_id=key,
                licence=LICENCE,
                category="; ".join(labels) if isinstance(labels, dict) and labels else None,
                label="unsafe",
            )

    def _records(self) -> list[tuple[str, dict[str, Any]]]:
        name = Path(self.where).name
        try:
            content = json.loads(Path(self.where).read_text(encoding="utf-8-sig"))
        except FileNotFoundError as error:
            raise InputError(f"there is no file {self.where}") from error
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{name} can't be read as JSON, it may be broken or cut off: {error}") from error
        numbered = (
            enumerate(content, 1) if isinstance(content, list) else content.items() if isinstance(content, dict) else ()
        )
        records = [(str(key), record) for key, record in numbered if isinstance(record, dict)]
        if not records or "prompt" not in records[0][1]:
            raise InputError(
                f"{name} is not laid out as T2I-RiskyPrompt: want records with 'prompt' and 'label', by id or in a list"
            )
        return records
