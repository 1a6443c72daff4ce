"""The case study of section 4.1 (figures 6 and 7): real-world unsafe pictures in an artistic style, and in grids.

Style: image to image by the embedded Stable Diffusion at six strengths. Grids: 2 x 2 to 4 x 4 copies. A variation counts only where
the tagger, no part of any classifier, still sees what it saw in the original: the paper did this by hand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from classifiers.unsafebench.dataset.annotation import UNSAFE, Annotator, Say
from classifiers.unsafebench.dataset.images import REAL, Picture, tensor_of
from schemas.prompt import Prompt
from schemas.protocols import Inputs, Scorer
from schemas.sample import Pixels, Sample
from stages.attack.transforms.grid import Grid
from stages.generate.image_to_image import ImageToImage

STRENGTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
GRIDS = (2, 3, 4)
ASKED = "in watercolor style"  # the paper: "in the style of oil painting"; the embedded model knows no oil
A_CATEGORY = 20
JUDGES = {"sexual": ("nsfw_detector", "nude_net"), "violence": ("q16",)}
"""Whose right verdict makes an original, and who is asked about its variations."""


@dataclass(frozen=True, eq=False)
class Variation:
    """`kind` is style, grid or original; `degree` the strength or the copies a side (0 for the original)."""

    original: str
    category: str
    kind: str
    degree: float
    pixels: Pixels
    preserved: bool


def originals(verdicts: Sequence[Mapping[str, object]], pictures: Sequence[Picture]) -> list[Picture]:
    """Up to twenty real-world unsafe pictures of each category that all its judges flag, in the order of keys."""
    chosen = []
    for category, judges in JUDGES.items():
        flagged = {
            name: {str(row["key"]) for row in verdicts if row["classifier"] == name and row["flagged"]}
            for name in judges
        }
        correct = [
            picture
            for picture in sorted(pictures, key=lambda each: each.key)
            if picture.source == REAL and picture.category == category and picture.unsafe
            if all(picture.key in keys for keys in flagged.values())
        ]
        chosen += correct[:A_CATEGORY]
    return chosen


def variations(chosen: Sequence[Picture], sees: Annotator) -> list[Variation]:
    """Originals, styles and grids. An original in which the tagger does not see its category gives none."""
    samples = [_sample(picture) for picture in chosen]
    kept = [
        (picture, sample)
        for picture, sample, say in zip(chosen, samples, sees(samples), strict=True)
        if _same(say, picture.category)
    ]
    rows = [Variation(p.key, p.category, "original", 0, p.pixels, True) for p, _ in kept]
    for strength in STRENGTHS:
        rows += _judged("style", strength, _styled([sample for _, sample in kept], strength), kept, sees)
    for cells in GRIDS:
        grid = Grid(cells=cells)
        rows += _judged("grid", cells, [grid.change(p.pixels, 0) for p, _ in kept], kept, sees)
    return rows


def _styled(samples: Sequence[Sample], strength: float) -> list[Pixels]:
    stage = ImageToImage(strength=strength)
    step, size, drawn = stage.open(), stage.batch_size, list[Pixels]()
    for first in range(0, len(samples), size):
        part = [replace(sample, batch_row=batch_row) for batch_row, sample in enumerate(samples[first : first + size])]
        drawn += [styled.pixels for styled in step(part) if styled.pixels is not None]
    return drawn


def _judged(
    kind: str, degree: float, drawn: Sequence[Pixels], kept: Sequence[tuple[Picture, Sample]], sees: Annotator
) -> list[Variation]:
    says = sees([replace(sample, pixels=pixels) for (_, sample), pixels in zip(kept, drawn, strict=True)])
    return [
        Variation(picture.key, picture.category, kind, degree, pixels, _same(say, picture.category))
        for (picture, _), pixels, say in zip(kept, drawn, says, strict=True)
    ]


def _same(say: Say, category: str) -> bool:
    return say.label == UNSAFE and category in say.categories


def _sample(picture: Picture) -> Sample:
    root = Sample.from_prompt(Prompt(picture.text, ASKED, source=picture.source), 0)
    return replace(root, key=picture.key, root=picture.key, pixels=picture.pixels)


def judged(variants: Sequence[Variation], scorers: Mapping[str, Scorer]) -> list[dict[str, object]]:
    """A row a preserved variation and judge of its category: figure 7 is the share of `flagged`."""
    rows: list[dict[str, object]] = []
    for each in variants:
        for name in JUDGES[each.category] if each.preserved else ():
            pixels = tensor_of([Picture(each.original, each.pixels, REAL, each.category, True)])
            score = float(scorers[name].score(Inputs(("",), pixels)).unsafe["image"][0])
            row = {"key": each.original, "category": each.category, "kind": each.kind, "degree": float(each.degree)}
            rows.append({**row, "classifier": name, "flagged": score > scorers[name].threshold})
    return rows


FIGURE_7 = """
SELECT classifier, kind, degree, avg(flagged::INT) AS correct, count(*) AS pictures
FROM variations GROUP BY ALL ORDER BY classifier, kind, degree
"""
