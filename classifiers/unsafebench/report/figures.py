"""The paper's figures from the rows: the same numbers as Parquet beside each picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers.unsafebench.dataset.images import SHOWN, Picture
from classifiers.unsafebench.report import charts
from classifiers.unsafebench.report.case_study import Variation
from classifiers.unsafebench.report.distribution_shift import MEASURES, map_of
from classifiers.unsafebench.report.error_clusters import FIGURES, sheets
from classifiers.unsafebench.report.tables import Rows
from schemas.taxonomy import UNSAFEBENCH

Vectors = Mapping[str, npt.NDArray[np.float32]]
ENDS = {"snr_db": (-5.0, 30.0), "edge_density": (0.0, 1.0), "entropy": (0.0, 8.0)}  # of the axes of figure 13


def figure_3(folder: Path, rows: Rows) -> None:
    """Mean F1 of each category, and by how many classifiers."""
    by_category = {row["category"]: row for row in rows}
    names = [f"{id_} ({by_category[id_]['classifiers'] if id_ in by_category else 0})" for id_ in UNSAFEBENCH.ids]
    values = [by_category[id_]["f1"] if id_ in by_category else None for id_ in UNSAFEBENCH.ids]
    charts.bars(
        folder / "figure_03.png", "Figure 3: mean F1 by category (number of classifiers)", names, {"F1": values}
    )


def figure_4(folder: Path, rows: Rows, order: Sequence[str]) -> None:
    """Mean F1 of each classifier on both sources."""
    f1_of = {(row["classifier"], row["source"]): row["f1"] for row in rows}
    series = {shown: [f1_of.get((name, source)) for name in order] for source, shown in SHOWN.items()}
    charts.bars(folder / "figure_04.png", "Figure 4: mean F1 by classifier and source", order, series)


def misjudged(folder: Path, verdicts: Rows, pictures: Sequence[Picture], vectors: Vectors, *, blur: bool) -> None:
    """Figures 5 and 14."""
    by_key = {picture.key: picture for picture in pictures}
    present = {row["classifier"] for row in verdicts}
    for figure, (category, every) in FIGURES.items():
        names = [name for name in every if name in present]
        title = f"Figure {int(figure[-2:])}: {category} misjudged by {', '.join(names)}: cluster: pictures in it"
        charts.sheet(folder / f"{figure}.png", title, sheets(figure, verdicts, by_key, vectors), blur=blur)


def figure_6(folder: Path, variants: Sequence[Variation], *, blur: bool) -> None:
    """One original of each category with all its variations; what changed the content is marked."""
    rows = []
    for category in sorted({each.category for each in variants}):
        whole = [each for each in variants if each.category == category]
        counts = {each.original: sum(o.preserved for o in whole if o.original == each.original) for each in whole}
        if counts:
            chosen = max(counts, key=lambda key: counts[key])
            cells = [(_named(each), each.pixels) for each in whole if each.original == chosen]
            rows.append((category, cells))
    charts.sheet(
        folder / "figure_06.png", "Figure 6: variations of one picture (x: content not preserved)", rows, blur=blur
    )


def _named(each: Variation) -> str:
    degree = f" {each.degree:g}" if each.degree else ""
    return f"{each.kind}{degree}{'' if each.preserved else ' x'}"


def figure_7(folder: Path, rows: Rows) -> None:
    """Share of preserved variations that are still flagged."""
    for kind, part in (("style", "a"), ("grid", "b")):
        degrees = sorted({row["degree"] for row in rows if row["kind"] in (kind, "original")})
        series: dict[str, list[float | None]] = {}
        for name in sorted({row["classifier"] for row in rows}):
            values = {
                r["degree"]: r["correct"] for r in rows if r["classifier"] == name and r["kind"] in (kind, "original")
            }
            series[name] = [values.get(degree) for degree in degrees]
        ticks = ["original" if not degree else f"{kind} {degree:g}" for degree in degrees]
        charts.lines(folder / f"figure_07{part}.png", f"Figure 7{part}: still flagged, by {kind}", ticks, series)


def figure_8(folder: Path, rows: Rows) -> None:
    """Confidence before the attack of pictures that FGSM fooled and of those it did not."""
    for name in sorted({row["classifier"] for row in rows}):
        groups = {
            f"{shown}, {'fooled' if fooled else 'robust'}": np.array(
                [r["confidence"] for r in rows if (r["classifier"], r["source"], r["fooled"]) == (name, source, fooled)]
            )
            for source, shown in SHOWN.items()
            for fooled in (False, True)
        }
        file = folder / f"figure_08_{name.replace('+', '_')}.png"
        charts.boxes(file, f"Figure 8: confidence of {name}", groups, (0.5, 1.0))


def figure_15(folder: Path, rows: Rows) -> None:
    """Cross-entropy before, and what FGSM adds."""
    for value in ("loss", "change"):
        groups = {
            f"{name}, {shown}": np.array([r[value] for r in rows if (r["classifier"], r["source"]) == (name, source)])
            for name in sorted({row["classifier"] for row in rows})
            for source, shown in SHOWN.items()
        }
        every = np.concatenate(list(groups.values())) if groups else np.zeros(1)
        ends = (min(0.0, float(np.quantile(every, 0.02))), float(np.quantile(every, 0.97)) + 1e-6)
        title = f"Figure 15: {'loss' if value == 'loss' else 'change of loss under FGSM'}"
        charts.boxes(folder / f"figure_15_{value}.png", title, groups, ends)


def figure_11(folder: Path, pictures: Sequence[Picture], vectors: Vectors) -> list[dict[str, Any]]:
    """t-SNE of CLIP's vectors by source and label; its points as rows."""
    places = map_of(np.stack([vectors[picture.key] for picture in pictures]))
    groups: dict[str, list[Any]] = {}
    rows = []
    for picture, (x, y) in zip(pictures, places.tolist(), strict=True):
        name = f"{SHOWN.get(picture.source, picture.source)}, {'unsafe' if picture.unsafe else 'safe'}"
        groups.setdefault(name, []).append((x, y))
        rows.append({"key": picture.key, "source": picture.source, "category": picture.category, "x": x, "y": y})
    points = {name: np.array(members) for name, members in sorted(groups.items())}
    charts.scatter(folder / "figure_11.png", "Figure 11: t-SNE of CLIP's vectors", points)
    return rows


def figure_13(folder: Path, rows: Rows) -> None:
    """Signal-to-noise ratio, edge density, entropy by source."""
    for measure in MEASURES:
        groups = {
            shown: np.array([row[measure] for row in rows if row["source"] == source and row[measure] is not None])
            for source, shown in SHOWN.items()
        }
        charts.boxes(folder / f"figure_13_{measure}.png", f"Figure 13: {measure}", groups, ENDS[measure])
