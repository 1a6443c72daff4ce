"""I2P, inappropriate image prompts (Schramowski et al., CVPR 2023, arXiv 2211.05105): 4,703 prompts of real users."""

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.prompt import Prompt
from stages.prompts.files import as_prompt, as_text
from stages.prompts.published import Published

LICENCE = "MIT"  # as the dataset's card says


@dataclass(frozen=True)
class I2P:
    """The prompts of `i2p_benchmark.csv`, or of the hub's `AIML-TUDA/i2p`. `source_id` is the row, from 1.

    `category` is the table's list of categories in its own words ("hate, sexual"); the benchmark claims all its
    prompts to be unsafe. Raises `InputError` if the table is laid out otherwise.
    """

    where: str

    def __post_init__(self) -> None:
        self._rows()

    def __iter__(self) -> Iterator[Prompt]:
        for number, row in enumerate(self._rows(), 1):
            yield Prompt(
                text=as_prompt(row["prompt"]),
                language="en",
                source="i2p",
                source_id=str(number),
                licence=LICENCE,
                category=as_text(row["categories"]),
                label="unsafe",
            )

    def _rows(self) -> Published:
        return Published(self.where, ("prompt", "categories"))
