"""Rows and answers on disk: Parquet for programs, Markdown as the paper prints it for people."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from classifiers.unsafebench.dataset.images import SHOWN
from schemas.taxonomy import UNSAFEBENCH

Rows = Sequence[Mapping[str, Any]]
DASH = "–"
SHORT = {"self_harm": "Self-Harm", "illegal_activity": "Illegal", "health": "Health"}


def write(folder: Path, name: str, rows: Rows, schema: pa.Schema | None = None) -> None:
    """FOLDER/NAME.parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema), folder / f"{name}.parquet")


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; floats with three places, None as a dash."""
    lines = [header, ["---"] * len(header), *[[_cell(value) for value in row] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return DASH
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def table_2(rows: Rows) -> str:
    """As the paper's, with what was found before doubles went, and how often a label is the drawn truth."""
    names = ("source", "found", "all", "safe", "unsafe", "na", "kappa", "right")
    return markdown(
        names, [[SHOWN.get(str(r["source"]), r["source"]) if n == "source" else r[n] for n in names] for r in rows]
    )


def table_8(keywords: Mapping[str, Sequence[str]]) -> str:
    """Categories, their policies, and what was looked for."""
    rows = [
        [number, each.name, each.policy, len(keywords.get(each.id, ())), ", ".join(keywords.get(each.id, ())[:10])]
        for number, each in enumerate(UNSAFEBENCH.categories, 1)
    ]
    return markdown(("no.", "category", "policy", "keywords", "the first ten"), rows)


def table_9(rows: Rows) -> str:
    """Pictures by source, label and category."""
    counts = {(r["source"], r["label"], r["category"]): int(r["pictures"]) for r in rows}
    body = []
    for source, label in sorted({key[:2] for key in counts}):
        each = [counts.get((source, label, id_), 0) for id_ in UNSAFEBENCH.ids]
        body.append([SHOWN.get(source, source), label, *each, sum(each)])
    return markdown(("source", "label", *_categories(), "Total"), body)


def table_4(rows: Rows, order: Sequence[str]) -> str:
    """F1 by part, classifier and category; a dash where a classifier does not claim the category. Then the interval of the last,
    the F1 of who flags everything, and the pictures (unsafe ones).
    """
    cells = {(r["part"], r["classifier"], r["category"]): r["f1"] for r in rows}
    whole = {
        (r["part"], r["classifier"]): [_interval(r), r["flag_all"], _counts(r)]
        for r in rows
        if r["category"] == "Overall"
    }
    parts = [part for part in (*SHOWN, "Overall") if any(key[0] == part for key in cells)]
    body = [
        [
            SHOWN.get(part, part),
            name,
            *(cells.get((part, name, id_)) for id_ in (*UNSAFEBENCH.ids, "Overall")),
            *whole[part, name],
        ]
        for part in parts
        for name in order
        if (part, name, "Overall") in cells
    ]
    return markdown(("source", "classifier", *_categories(), "Overall", "95 %", "flag all", "pictures (unsafe)"), body)


def table_external(rows: Rows) -> str:
    """As the paper's table 6: sets without categories, so every classifier's decision counts."""
    body = [
        [r["dataset"], r["classifier"], _counts(r), r["f1"], _interval(r), r["recall"], r["false_alarms"]] for r in rows
    ]
    return markdown(("set", "classifier", "pictures (unsafe)", "F1", "95 %", "recall", "false alarms"), body)


def table_5(rows: Rows, order: Sequence[str]) -> str:
    """Robust accuracy ± deviation over draws, a table a protocol; `different`: pictures in all draws, as the interval counts."""
    columns = ("gaussian", "fgsm", "pgd", "deep_fool", "average", "worst")
    cells = {(r["protocol"], r["source"], r["classifier"], r["attack"]): r for r in rows}
    text = ""
    for protocol in sorted({key[0] for key in cells}):
        body = []
        for source in SHOWN:
            for name in order:
                values = [cells.get((protocol, source, name, column)) for column in columns]
                if (first := values[0]) is not None and (last := values[-1]) is not None:
                    sizes = int(first["pictures"]), int(first["different"])
                    body.append([SHOWN[source], name, *sizes, *(_with_deviation(f) for f in values), _interval(last)])
        header = ("source", "classifier", "a draw", "different", *columns, "worst, 95 %")
        text += f"**{protocol}**\n\n" + markdown(header, body) + "\n"
    return text


def _interval(cell: Mapping[str, Any]) -> str | None:
    return None if cell["low"] is None else f"{cell['low']:.3f} to {cell['high']:.3f}"


def _counts(cell: Mapping[str, Any]) -> str:
    return f"{cell['pictures']} ({cell['unsafe_pictures']})"


def _with_deviation(cell: Mapping[str, Any] | None) -> str | None:
    return None if cell is None else f"{cell['ra']:.3f} ±{cell['deviation'] or 0.0:.3f}"


def _categories() -> list[str]:
    return [SHORT.get(each.id, each.name) for each in UNSAFEBENCH.categories]
