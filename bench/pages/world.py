"""The tables of docs/results/world.md that come from bench/results/world.json."""

from collections.abc import Mapping
from typing import Any

from bench.pages.markdown import PageTable, number, with_interval

LABELS = ("picture", "surest", "prompt")
TYPOS = ("0", "0.3", "0.6")


def reached(results: Mapping[str, Any]) -> PageTable:
    """Every figure with its interval, and whether it reached what was wanted."""
    rows = [_figure(name, figure) for name, figure in results.items() if isinstance(figure, dict) and "value" in figure]
    return PageTable(("figure", "value", "95 % interval", "n", "wanted", "reached"), rows)


def in_diffusion(results: Mapping[str, Any]) -> PageTable:
    """A probe inside the denoiser against a bag of words, by label and by share of misspelt words."""
    figures, rows = results["in_diffusion"], []
    for label in LABELS:
        for typos in TYPOS:
            probe, words, margin = (figures[f"{part}_{label}_typos_{typos}"] for part in ("probe", "words", "margin"))
            measured = [with_interval(figure) for figure in (probe, words, margin)]
            rows.append([label, typos, *measured, number(probe["commonest"]), str(probe["n"])])
    return PageTable(
        ("label", "typos", "probe after 1 of 10 steps", "bag of words", "margin", "commonest label", "n"), rows
    )


def image_to_image(results: Mapping[str, Any]) -> PageTable:
    """How often image to image changes the style and keeps the concept, by strength."""
    rows = [
        [
            strength,
            with_interval(one["style_changed"]),
            with_interval(one["concept_kept"]),
            str(one["concept_kept"]["n"]),
        ]
        for strength, one in results["img2img"].items()
    ]
    return PageTable(("strength", "read as the style asked for", "concept kept", "n"), rows)


def _figure(name: str, figure: Mapping[str, Any]) -> list[str]:
    value, span = figure["value"], figure.get("ci95") or figure.get("range")
    places = 3 if "ci95" in figure else 1
    said = str(value) if isinstance(value, bool) else number(value, places)
    interval = f"{number(span[0], places)} – {number(span[1], places)}" if span else ""
    goal = "" if "reached" not in figure else "yes" if figure["reached"] else "**no**"
    return [f"`{name}`", said, interval, str(figure["n"]), str(figure.get("target", "")), goal]


TABLES = {"reached": reached, "in_diffusion": in_diffusion, "image_to_image": image_to_image}
