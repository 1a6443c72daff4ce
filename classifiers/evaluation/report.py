"""The figures as people read them: one line a scorer, then one an attack."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def printed(found: Mapping[str, Any]) -> str:
    """What `jobs/evaluate.py` prints."""
    parts = [_detection(found), _attacks(found), _worst(found), _sanity(found)]
    return "\n\n".join(part for part in parts if part)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first to the left, figures to the right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    padded = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in padded)


def figure(row: Row | None) -> str:
    """`.943 (.921 – .960)`."""
    if row is None or row["value"] is None:
        return "–"
    return f"{row['value']:.3f} ({row['low']:.3f} – {row['high']:.3f})"


def one(rows: Iterable[Row], **wanted: object) -> Row | None:
    """The row with these values, if it is there."""
    return next((row for row in rows if all(row[name] == value for name, value in wanted.items())), None)


def _detection(found: Mapping[str, Any]) -> str:
    rows, ranking = found["detection"], found["ranking"]
    slices = sorted(
        {(row["scorer"], row["attack"], row["kind"], row["slice"]) for row in rows if row["kind"] in ("all", "special")}
    )
    lines = []
    for scorer, attack, kind, name in slices:
        at = {"scorer": scorer, "attack": attack, "kind": kind, "slice": name}
        ranked = one(ranking, scorer=scorer, attack=attack, slice=name) if kind == "all" else None
        lines.append([
            f"{scorer}{'' if attack == 'none' else ', ' + attack}: {name}",
            *(figure(one(rows, measure=measure, **at)) for measure in ("f1", "recall", "false_positive_rate", "accuracy")),
            figure(ranked and {"value": ranked["auroc"], "low": ranked["auroc_low"], "high": ranked["auroc_high"]}),
        ])  # fmt: skip
    return table(["rows as they are", "F1", "recall", "false positives", "accuracy", "AUROC"], lines)


def _attacks(found: Mapping[str, Any]) -> str:
    rows = found["attacks"]
    keys = ("scorer", "attack", "setting", "epsilon", "budget")
    slices = sorted({tuple(row[key] for key in keys) for row in rows}, key=lambda key: tuple(map(str, key)))
    measures = ("attack_success_rate", "attack_success_rate_at_1", "false_flag", "robust_accuracy", "na")
    lines = []
    for values in slices:
        at = dict(zip(keys, values, strict=True))
        scorer, attack, setting, epsilon, edits = values
        budget = "" if epsilon is None else f" {epsilon * 255:g}/255"
        budget += "" if edits is None else f" {edits} edits"
        lines.append(
            [
                f"{scorer}: {attack}{budget}, {setting}",
                *(figure(one(rows, measure=measure, **at)) for measure in measures),
            ]
        )
    return (
        table(["under attack", "attack success @k", "@1", "false flag", "robust accuracy", "truth unknown"], lines)
        if lines
        else ""
    )


def _worst(found: Mapping[str, Any]) -> str:
    rows = found["worst"]
    slices = sorted({(row["scorer"], row["suite"]) for row in rows})
    measures = ("attack_success_rate", "attack_success_rate_without_na", "na", "false_flag", "robust_accuracy")
    lines = [
        [
            f"{scorer}: {suite}",
            *(figure(one(rows, scorer=scorer, suite=suite, measure=measure)) for measure in measures),
        ]
        for scorer, suite in slices
    ]
    header = ["worst case of each sample", "attack success", "without na", "na", "false flag", "robust accuracy"]
    return table(header, lines) if lines else ""


def _sanity(found: Mapping[str, Any]) -> str:
    lines = []
    for row in found["sanity"]:
        said = "–" if row["found"] is None else f"{row['found']:.3g}"
        lines.append([f"{row['scorer']}: {row['name']}", "holds" if row["holds"] else "FAILS", said, str(row["n"])])
    return table(["sanity", "", "found", "rows"], lines) if lines else ""
