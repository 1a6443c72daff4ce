"""MMA-Diffusion's adversarial prompts (Yang et al., CVPR 2024, arXiv 2311.17516): a thousand that stand for sexual ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from schemas.prompt import Prompt
from stages.prompts.files import as_prompt
from stages.prompts.published import PublishedPrompts

LICENCE = "NOASSERTION"


@dataclass(frozen=True)
class MMADiffusion(PublishedPrompts):
    """The column `adv_prompt` of `mma-diffusion-nsfw-adv-prompts.csv`. `source_id` is the row, from 1.

    The prompts that they were made from (`target_prompt`) are not read. As everywhere the gate stands before them.
    """

    needs: ClassVar[tuple[str, ...]] = ("adv_prompt", "target_prompt")

    def __iter__(self) -> Iterator[Prompt]:
        for number, row in enumerate(self.rows(), 1):
            yield Prompt(
                text=as_prompt(row["adv_prompt"]),
                language="en",
                source="mma_diffusion",
                source_id=str(number),
                licence=LICENCE,
                category="sexual",
                label="unsafe",
            )
