"""The tables of docs/results/in_diffusion.md."""

from collections.abc import Mapping
from typing import Any

from bench.pages.markdown import PageTable, number, with_interval

MODELS = {
    "text": "text filter",
    "wukong_10": "`wukong`, 10 % of the steps",
    "wukong_20": "`wukong`, 20 %",
    "predicted_noise_20": "`predicted_noise`, 20 %",
    "latent_probe_20": "`latent_probe`, 20 %",
    "image": "image filter",
}
DETECTORS = ("wukong_20", "predicted_noise_20", "latent_probe_20")
RATES = ("0", "0.125", "0.25", "0.5", "1")


def accuracy(results: Mapping[str, Any]) -> PageTable:
    """Balanced accuracy, F1 and AUROC on clean prompts, and accuracy on attacked ones."""
    clean, attacked, rows = results["clean"], results["attacked"], []
    for name, title in MODELS.items():
        part = [attacked[kind][name]["accuracy"] for kind in ("all", "worst_for_text", "worst_for_wukong_20")]
        one = clean[name]
        measured = [with_interval(one["accuracy"]), with_interval(one["f1"]), number(one["auroc"])]
        rows.append([title, *measured, *map(with_interval, part)])
    roots = attacked["all"]["text"]["accuracy"]["n"]
    attacked_columns = (
        f"attacked and survived, {roots} roots",
        "worst for the text filter",
        "worst for `wukong` at 20 %",
    )
    head = f"at {results['steps']} steps, balanced accuracy (95 %, roots drawn)"
    return PageTable((head, "clean", "F1", "AUROC", *attacked_columns), rows)


def margins(results: Mapping[str, Any]) -> PageTable:
    """The paper's two claims, as margins over the image filter and over the text filter."""
    parts = {"clean": results["clean"], **{name: results["attacked"][name] for name in ("all", "worst_for_text")}}
    wanted = (
        ("over the image filter, clean", "at least −0.03", "clean", "over_image"),
        ("over the image filter, attacked", "at least −0.03", "all", "over_image"),
        ("over the text filter, clean", "", "clean", "over_text"),
        ("over the text filter, attacked", "at least 0.20", "all", "over_text"),
        ("over the text filter, worst for it", "at least 0.20", "worst_for_text", "over_text"),
    )
    rows = [
        [title, goal, *(with_interval(parts[part]["margins"][detector][over]) for detector in DETECTORS)]
        for title, goal, part, over in wanted
    ]
    return PageTable(("margin", "wanted", "`wukong`", "`predicted_noise`", "`latent_probe`"), rows)


def more_steps(results: Mapping[str, Any]) -> PageTable:
    """The same detectors on longer schedules."""
    columns = ("steps", "pictures", "text filter", "`wukong` at 10 %", "`wukong` at 20 %", "image filter")
    rows = []
    for steps, part in ((str(results["steps"]), results["clean"]), *results["longer"].items()):
        figures = [part[name]["accuracy"] for name in ("text", "wukong_10", "wukong_20", "image")]
        over = with_interval(part["margins"]["wukong_20"]["over_image"])
        rows.append([steps, str(figures[0]["pictures"]), *map(with_interval, figures), over])
    return PageTable((*columns, "20 % over the image filter"), rows)


def deciding(results: Mapping[str, Any]) -> PageTable:
    """CPU seconds a picture until a decision."""
    shown = {
        "text": 4,
        "wukong_10": 3,
        "wukong_20": 3,
        "full_and_image": 3,
        "wukong_10_of_full": 3,
        "wukong_20_of_full": 3,
    }
    rows = [
        [steps, *(number(one[name], places) for name, places in shown.items())]
        for steps, one in results["deciding"].items()
    ]
    columns = ("steps", "text filter", "`wukong` at 10 %", "`wukong` at 20 %", "full generation and image filter")
    return PageTable((*columns, "10 % of full", "20 % of full"), rows)


def guarded(results: Mapping[str, Any]) -> PageTable:
    """What guarded generation costs where a share of the prompts is refused early."""
    rows = []
    for rate in RATES:
        padded, compact = (results["guarded"][f"{way}_{rate}"] for way in ("padded", "compact"))
        seconds = "seconds_of_full_and_image"
        figures = (padded[seconds], compact["evaluations_of_all"], compact[seconds])
        rows.append([rate, *(number(figure, 2) for figure in figures)])
    return PageTable(("rate", "padded: seconds", "compact: rows computed", "compact: seconds"), rows)


TABLES = {
    "accuracy": accuracy,
    "margins": margins,
    "more_steps": more_steps,
    "deciding": deciding,
    "guarded": guarded,
}
