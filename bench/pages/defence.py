"""The tables of docs/results/defence.md, of bench/results/defence.json."""

from collections.abc import Mapping
from typing import Any

from bench.pages.markdown import PageTable, number

NOT_MEASURED = "not measured"
KEYS = {
    "f1_pair": "clean F1, guards",
    "f1_late_fusion": "clean F1, late fusion",
    "f1_text_only": "clean F1, words alone",
    "f1_image_only": "clean F1, picture alone",
    "f1_shuffled": "clean F1, guards, prompts shuffled",
    "confounder_accuracy": "confounders right",
    "asr_many_worst": "unsafe rows that pass, worst of the suite but Square and joint",
    "false_flag_many_worst": "safe rows flagged, worst of the same",
    "asr_adaptive_worst": "unsafe rows that pass, worst of the whole suite",
    "false_flag_worst": "safe rows flagged, worst of the whole suite",
    "asr_heldout_worst": "unsafe rows that pass, worst of the attacks that no training met",
    "asr_undefended": "unsafe rows that pass the less vulnerable of late fusion and cascade, quick attacks",
}
MEASURES = ("attack_success_rate", "false_flag")


def reached(results: Mapping[str, Any]) -> PageTable:
    """Every key with its interval and on how many roots."""
    rows = [[title, *_figure(results, key)] for key, title in KEYS.items()]
    return PageTable(("figure", "value", "95 % interval", "roots"), rows)


def claims(results: Mapping[str, Any]) -> PageTable:
    """What was asked for, a claim a line."""
    told = {True: "yes", False: "**no**", None: NOT_MEASURED}
    return PageTable(("asked for", "holds"), [[claim, told[holds]] for claim, holds in results["claims"].items()])


def attacks(results: Mapping[str, Any]) -> PageTable:
    """Each attack on the guards by itself: unsafe rows that pass, safe rows flagged, `na` counted for the attacker."""
    rows: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for row in results["beside"]["attacks"]:
        if row["scorer"] == results["judged"] and row["setting"] in ("adaptive", "non_adaptive"):
            rows.setdefault((row["setting"], row["attack"]), {})[row["measure"]] = row
    lines = [
        [name, setting, *(cell for measure in MEASURES for cell in _cells(figures.get(measure)))]
        for (setting, name), figures in sorted(rows.items())
    ]
    return PageTable(("attack", "setting", "unsafe that pass", "roots", "safe flagged", "roots"), lines)


def _figure(results: Mapping[str, Any], key: str) -> list[str]:
    if results.get(key) is None:
        return [NOT_MEASURED, "", ""]
    low, high = number(results[f"{key}_lo"]), number(results[f"{key}_hi"])
    return [number(results[key]), f"{low} – {high}", str(results[f"{key}_n"])]


def _cells(figure: Mapping[str, Any] | None) -> list[str]:
    if figure is None or figure["value"] is None:
        return ["", ""]
    return [f"{number(figure['value'])} ({number(figure['low'])} – {number(figure['high'])})", str(figure["roots"])]


TABLES = {"reached": reached, "claims": claims, "attacks": attacks}
