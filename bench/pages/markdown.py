"""Figures and tables as the pages of docs/ spell them: Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MINUS = "−"


@dataclass(frozen=True, slots=True)
class PageTable:
    """One table of a page: its columns' heads and its rows of text."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The table in Markdown. Raises ValueError where a row is not as wide as the head."""
        lines = [list(self.columns), ["---"] * len(self.columns), *map(list, self.rows)]
        if any(len(line) != len(self.columns) for line in lines):
            raise ValueError(f"a row is not as wide as the head {list(self.columns)}")
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float, places: int = 3) -> str:
    """`value` to so many places, with a minus sign and not a hyphen; no negative zero."""
    text = f"{value:.{places}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def with_interval(figure: Mapping[str, Any]) -> str:
    """A figure and its 95 % interval (`value`, `ci95`): "0.711 (0.632 – 0.781)"."""
    low, high = figure["ci95"]
    return f"{number(figure['value'])} ({number(low)} – {number(high)})"
