"""Charts as SVG inside the page: text stays text, ink is the page's own colour, and the same figures give the same bytes."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

Points = Sequence[tuple[float, float]]

INK = "#123456"
"""Drawn with, then exchanged for `currentColor`: black on white by day and in print, white on black by night."""
COLOURS = ("#3b82c4", "#d9730d", "#2f9e6e", "#b35fb0", "#a08a1f", "#d04f5e", "#5b7fa6", "#8a6d5a")
"""Told apart on white and on black, and by people who see no red or green; dashes tell the rest apart."""
DASHES = ("-", "--", "-.", ":")
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hazmat",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """What a chart's axes say; `diagonal` where points on it are right."""

    title: str
    x: str
    y: str
    diagonal: bool = False
    x_limits: tuple[float, float] | None = (0.0, 1.0)


def lines(
    series: Mapping[str, Points], axes: Axes, bounds: Mapping[str, Sequence[tuple[float, float]]] | None = None
) -> str:
    """One line a name, with a band where there are bounds. y from 0 to 1.

    Args:
        series: Points of each line, in the order in which they are joined.
        bounds: Low and high of each point.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.4), layout="constrained")
        plot = figure.add_subplot()
        if axes.diagonal:
            plot.plot([0, 1], [0, 1], color=INK, linewidth=0.6, linestyle=":")
        for number, (name, points) in enumerate(series.items()):
            colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // 2 % len(DASHES)]
            x, y = [point[0] for point in points], [point[1] for point in points]
            plot.plot(
                x, y, color=colour, linestyle=dash, marker="o" if len(points) < 25 else None, markersize=3, label=name
            )
            if bounds is not None and name in bounds:
                low, high = zip(*bounds[name], strict=True)
                plot.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        plot.set(xlabel=axes.x, ylabel=axes.y, ylim=(-0.02, 1.02))
        if axes.x_limits is not None:
            plot.set_xlim(axes.x_limits[0] - 0.02, axes.x_limits[1] + 0.02)
        plot.set_title(axes.title, loc="left", fontsize=10)
        plot.legend(fontsize=8)
        return _svg(figure)


def intervals(rows: Sequence[tuple[str, float, float, float]], axes: Axes) -> str:
    """One line a row: a point and its interval. Rows are (name, value, low, high), values from 0 to 1."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 0.9 + 0.24 * len(rows)), layout="constrained")
        plot = figure.add_subplot()
        for place, (_, value, low, high) in enumerate(reversed(rows)):
            plot.plot([low, high], [place, place], color=COLOURS[0], linewidth=2, alpha=0.6)
            plot.plot([value], [place], color=COLOURS[0], marker="o", markersize=5)
        plot.set_yticks(range(len(rows)), [row[0] for row in reversed(rows)], fontsize=8)
        plot.set(xlabel=axes.x, xlim=(-0.02, 1.02), ylim=(-0.6, len(rows) - 0.4))
        plot.set_title(axes.title, loc="left", fontsize=10)
        plot.grid(axis="x", alpha=0.25)
        return _svg(figure)


def _svg(figure: Figure) -> str:
    """Without the XML head, and with the page's ink."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'width="100%"', svg, count=1)
