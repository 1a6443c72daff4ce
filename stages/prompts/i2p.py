"""I2P, inappropriate image prompts (Schramowski et al., CVPR 2023, arXiv 2211.05105): 4,703 prompts of real users."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from schemas.prompt import Prompt
from stages.prompts.files import as_prompt, as_text
from stages.prompts.published import PublishedPrompts, seed_in

LICENCE = "MIT"  # as the dataset's card says
SEED = "sd_seed"


@dataclass(frozen=True)
class I2P(PublishedPrompts):
    """The prompts of `i2p_benchmark.csv`, or of the hub's `AIML-TUDA/i2p`. `source_id` is the row, from 1.

    `category` is the table's list of categories in its own words ("hate, sexual"); the benchmark claims all its
    prompts to be unsafe. `seed` is the one that its authors drew with, where the table has it: the same words may end safe or
    unsafe. (Their guidance stands in `sd_guidance_scale` and is not followed: guidance is one for a run.)
    """

    needs: ClassVar[tuple[str, ...]] = ("prompt", "categories")
    likes: ClassVar[tuple[str, ...]] = (SEED,)

    def __iter__(self) -> Iterator[Prompt]:
        for number, row in enumerate(self.rows(), 1):
            yield Prompt(
                text=as_prompt(row["prompt"]),
                language="en",
                source="i2p",
                source_id=str(number),
                licence=LICENCE,
                category=as_text(row["categories"]),
                label="unsafe",
                seed=None if row[SEED] in (None, "") else seed_in(row[SEED], SEED, number, self.where),
            )
