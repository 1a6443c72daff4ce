"""The page: one HTML file without scripts, pictures, prompts, or anything from the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from classifiers.run_report.evaluation_figures import Evaluation, evaluation
from classifiers.run_report.questions import SECTIONS, CatalogueQuestion, TableRows, ask
from pipeline.catalogue.question import confined
from pipeline.rounds.ledger import root_digest
from pipeline.storage.store import Store
from schemas.run import RunConfig

TEMPLATE = Path(__file__).parent / "page.html"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run as the page shows it."""

    name: str
    root: str
    command: str
    replies: dict[str, TableRows]
    evaluation: Evaluation


def facts_of(store: Store, config: RunConfig, command: str) -> RunFacts:
    """Ask a run every question of the report. Its catalogue has to be up to date (`pipeline.catalogue.views.refresh`)."""
    with confined(store) as con:
        replies = {question.name: ask(con, question) for section in SECTIONS for question in section.questions}
        judged = evaluation(store, con)
    return RunFacts(Path(store.url).name, root_digest(store), command, replies, judged)


def page(runs: Sequence[RunFacts], created: datetime) -> str:
    """The HTML of one run, or of two side by side. Whatever comes out of a run is escaped."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"cell": _cell, "is_number": _is_number, "is_interval": _is_interval, "svg": Markup}
    template = environment.from_string(TEMPLATE.read_text())
    return template.render(runs=runs, sections=SECTIONS, made=created, pivot=_pivot, shade=_shade)


def _cell(value: Any) -> str:
    """A figure with spaces between thousands, a null as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    return f"{value:,g}".replace(",", "\u202f") if isinstance(value, float) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_interval(value: Any) -> bool:
    return isinstance(value, str) and value.endswith(")") and " – " in value


def _pivot(
    question: CatalogueQuestion, reply: TableRows
) -> tuple[list[str], list[tuple[str, list[int | None]]]] | None:
    """The heat map's rows as a grid: its columns, and each line's name and cells. None for any other question."""
    if question.name != "heat_map" or not reply.rows:
        return None
    counts = {(category, source): pairs for category, source, pairs in reply.rows}
    sources = sorted({source for _, source in counts})
    categories = sorted({category for category, _ in counts})
    return sources, [(name, [counts.get((name, source)) for source in sources]) for name in categories]


def _shade(value: int | None, grid: list[tuple[str, list[int | None]]]) -> int:
    """How dark a cell of the heat map is, 0 to 60 percent."""
    largest = max((cell or 0) for _, cells in grid for cell in cells)
    return 0 if not value else 8 + round(52 * value / largest)
