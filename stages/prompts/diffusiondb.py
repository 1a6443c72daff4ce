"""DiffusionDB (Wang et al., ACL 2023, arXiv 2210.14896): what users asked of Stable Diffusion, from its metadata alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from schemas.prompt import Prompt
from stages.prompts.files import as_prompt, as_text
from stages.prompts.published import PublishedPrompts

LICENCE = "CC0-1.0"  # as the dataset's card says


@dataclass(frozen=True)
class DiffusionDB(PublishedPrompts):
    """The prompts of `metadata.parquet` or `metadata-large.parquet`; `source_id` is the name of the picture.

    Most prompts come several times, once a picture: the intake keeps the first. The table claims no class and no
    category, only scores of a detector, which are left out, as are its users' hashes. The language is not said.
    """

    needs: ClassVar[tuple[str, ...]] = ("prompt", "image_name")

    def __iter__(self) -> Iterator[Prompt]:
        for row in self.rows():
            yield Prompt(
                text=as_prompt(row["prompt"]),
                source="diffusiondb",
                source_id=as_text(row["image_name"]),
                licence=LICENCE,
            )
