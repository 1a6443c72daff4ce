"""A labeller of your own: pictures that are mostly red. To keep it, put the class into stages/label/NAME.py.

python examples/own_labeller.py
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.generate.render import Render
from stages.label.labeller import Judge, Labeller, Opinion, rated


@dataclass(frozen=True, kw_only=True)
class MostlyRed(Labeller):
    """Unsafe (shocking) by the share of red in a picture's light, from `threshold` on."""

    needs: ClassVar[frozenset[str]] = frozenset({"pixels"})
    scopes: ClassVar[tuple[str, ...]] = ("image",)
    licence: ClassVar[str] = "Apache-2.0"
    threshold: float = 0.4

    def judge(self) -> Judge:
        """Nothing is heavy here; a model would be loaded now, once a worker."""

        def judge(batch: Sequence[Sample]) -> list[list[Opinion]]:
            pictures = [np.asarray(sample.pixels, dtype=float) for sample in batch]
            shares = (picture[..., 0].sum() / max(1.0, picture.sum()) for picture in pictures)
            return [[rated("image", {"shocking": float(share)}, self.threshold)] for share in shares]

        return judge

    def covers(self) -> tuple[str, ...]:
        """The categories that it can find; it is never asked about others."""
        return ("shocking",)


def main() -> None:
    """A vote is a row that is never overwritten; labels are derived from all votes later."""
    prompts = ("a red apple on a red background", "a dog on a blue background")
    drawn = Render().open()([Sample.from_prompt(Prompt(text), 0) for text in prompts])
    for sample in MostlyRed().open()(list(drawn)):
        for vote in sample.votes:
            print(f"{sample.prompt!r}: {vote.scope} {vote.label} by {vote.annotator}")


if __name__ == "__main__":
    main()
