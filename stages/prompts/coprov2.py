"""CoProV2 (Liu et al., ICCV 2025, arXiv 2412.10493): what a language model wrote for 723 concepts in 7 categories."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from schemas.prompt import Prompt
from stages.prompts.files import as_prompt, as_text
from stages.prompts.published import PublishedPrompts

LICENCE = "MIT"  # as the cards of Visualignment/CoProv2-SD15 and -SDXL say


@dataclass(frozen=True)
class CoProV2(PublishedPrompts):
    """The prompts of `CoProv2_train.csv` or `CoProv2_test.csv`.

    Columns: `prompt`, `image` (which becomes `source_id`), in the first also `category`. The tables do not say which
    prompt of a pair is the unsafe one, so there is no label. (The spelling of `category` follows the repository's
    README; the file itself was not read.)
    """

    likes: ClassVar[tuple[str, ...]] = ("image", "category")

    def __iter__(self) -> Iterator[Prompt]:
        for number, row in enumerate(self.rows(), 1):
            yield Prompt(
                text=as_prompt(row["prompt"]),
                language="en",
                source="coprov2",
                source_id=as_text(row["image"]) or str(number),
                licence=LICENCE,
                category=as_text(row["category"]),
            )
