"""The figures as people read them: the overview that is printed, and every table, which go into a file beside the figures."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from classifiers.evaluation.overview import FLAGS_ALL, warnings

Row = Mapping[str, Any]
ATTACKED = ("non_adaptive", "transfer", "adaptive")
MOST_SCORERS = 8  # in the summary of --json, which is to stay within 4 kB


def printed(metrics: Mapping[str, Any]) -> str:
    """What `jobs/evaluate.py` prints: is it good, is it robust, compared with what; and checks of the attacks that failed."""
    rows = metrics["overview"]
    lines = [
        [row["scorer"], *(figure(row[name]) for name in ("f1", "false_positive_rate", "missed", "missed_attacked"))]
        for row in rows
    ]
    for row in rows:
        if row["f1_gain"]:
            lines.append([f"{row['scorer']} less {row['gain_over']}", figure(row["f1_gain"], signed=True), "", "", ""])
    counts = f"{rows[0]['rows']} {metrics['dataset']} rows, {rows[0]['unsafe']} unsafe" if rows else "no rows"
    parts = [table([counts, "F1", "safe flagged", "unsafe missed", "missed under attack"], lines)]
    parts += [f"warning: {text}" for text in warnings(rows)]
    parts.append(_attacked_by(metrics))
    failed = {**metrics, "sanity": [row for row in metrics["sanity"] if not row["holds"]]}
    return "\n".join(part for part in (*parts, _sanity(failed)) if part)


def _attacked_by(metrics: Mapping[str, Any]) -> str:
    """Which attacks the worst case is taken over: without its own attacks a scorer's robustness is not known."""
    if all(row["missed_attacked"] is None for row in metrics["overview"]):
        return "not attacked: --attacks pgd,token_substitution --adaptive says how robust it is"
    pairs = sorted({(row["attack"], row["setting"]) for row in metrics["attacks"] if row["setting"] in ATTACKED})
    aimed = any(setting == "adaptive" for _, setting in pairs)
    names = ", ".join(f"{attack} ({setting})" for attack, setting in pairs)
    return f"attacks: {names}" + ("" if aimed else "; none was aimed at the scorer: add --adaptive")


def tables(metrics: Mapping[str, Any]) -> str:
    """Every table: by test set and slice, by attack, by suite, and the checks."""
    parts = [printed(metrics), _detection(metrics), _attacks(metrics), _worst(metrics), _sanity(metrics)]
    return "\n\n".join(part for part in parts if part) + "\n"


def brief(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The overview for --json: [value, low, high] to four places, at most MOST_SCORERS scorers and how many more there are."""
    rows = metrics["overview"]
    judged = [row for row in rows if row["scorer"] != FLAGS_ALL]
    kept = [*judged[:MOST_SCORERS], *(row for row in rows if row["scorer"] == FLAGS_ALL)]
    return {
        "run": metrics["run"],
        "dataset": metrics["dataset"],
        "overview": [{name: _short(value) for name, value in row.items()} for row in kept],
        "further_scorers": len(judged) - len(judged[:MOST_SCORERS]),
        "warnings": warnings(kept)[:MOST_SCORERS],
        "failed_checks": sum(not row["holds"] for row in metrics["sanity"]),
    }


def _short(value: Any) -> Any:
    return [round(value[name], 4) for name in ("value", "low", "high")] if isinstance(value, dict) else value


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first to the left, figures to the right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    padded = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in padded)


def figure(row: Row | None, signed: bool = False) -> str:
    """`.943 (.921 – .960)`, a difference `+0.021 (-0.010 – +0.052)`."""
    if row is None or row["value"] is None:
        return "–"
    sign = "+" if signed else ""
    return f"{row['value']:{sign}.3f} ({row['low']:{sign}.3f} – {row['high']:{sign}.3f})"


def one(rows: Iterable[Row], **wanted: object) -> Row | None:
    """The row with these values, if it is there."""
    return next((row for row in rows if all(row[name] == value for name, value in wanted.items())), None)


def _detection(metrics: Mapping[str, Any]) -> str:
    rows, ranking = metrics["detection"], metrics["ranking"]
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


def _attacks(metrics: Mapping[str, Any]) -> str:
    rows = metrics["attacks"]
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


def _worst(metrics: Mapping[str, Any]) -> str:
    rows = metrics["worst"]
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


def _sanity(metrics: Mapping[str, Any]) -> str:
    lines = []
    for row in metrics["sanity"]:
        value = "–" if row["found"] is None else f"{row['found']:.3g}"
        lines.append([f"{row['scorer']}: {row['name']}", "holds" if row["holds"] else "FAILS", value, str(row["n"])])
    return table(["sanity", "", "found", "rows"], lines) if lines else ""
