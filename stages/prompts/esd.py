"""The tables of ESD (Gandikota et al., ICCV 2023, github.com/rohitgandikota/erasing), which later work evaluates on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from schemas.prompt import Prompt
from stages.prompts.files import as_prompt, as_text
from stages.prompts.published import PublishedPrompts, seed_in

LICENCE = "NOASSERTION"
SEED = "evaluation_seed"


@dataclass(frozen=True)
class ESD(PublishedPrompts):
    """The prompts of `unsafe-prompts4703.csv` and its siblings, each with the `seed` that everybody is to draw it with.

    `source_id` is the table's `case_number`; all are claimed to be unsafe.
    """

    needs: ClassVar[tuple[str, ...]] = ("prompt", SEED, "case_number")
    likes: ClassVar[tuple[str, ...]] = ("categories",)

    def __iter__(self) -> Iterator[Prompt]:
        for number, row in enumerate(self.rows(), 1):
            yield Prompt(
                text=as_prompt(row["prompt"]),
                language="en",
                source="esd",
                source_id=as_text(row["case_number"]),
                licence=LICENCE,
                category=as_text(row["categories"]),
                label="unsafe",
                seed=seed_in(row[SEED], SEED, number, self.where),
            )
