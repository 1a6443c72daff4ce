"""The questions of the report: each is a file of SQL over the run's views, asked as `jobs/query.py` asks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.catalogue.duck import Connection

FOLDER = Path(__file__).parent / "sql"


@dataclass(frozen=True, slots=True)
class CatalogueQuestion:
    """A file of SQL, what its answer is called, and what is said where the answer is empty."""

    name: str
    title: str
    empty: str = "nothing yet"

    @property
    def text(self) -> str:
        """The file as it is."""
        return (FOLDER / f"{self.name}.sql").read_text()

    @property
    def note(self) -> str:
        """The comment at its beginning, for the reader of the page."""
        return " ".join(line.removeprefix("-- ") for line in self.text.splitlines() if line.startswith("-- "))

    @property
    def sql(self) -> str:
        """The statement alone."""
        return "\n".join(line for line in self.text.splitlines() if not line.startswith("-- ")).strip()


@dataclass(frozen=True, slots=True)
class Section:
    """Questions that belong together."""

    name: str
    title: str
    questions: tuple[CatalogueQuestion, ...]


SECTIONS = (
    Section("counts", "From prompts to shards", (
        CatalogueQuestion("overview", "All at a glance"),
        CatalogueQuestion("stages", "Stage by stage"),
        CatalogueQuestion("quarantine", "Put aside", "no sample was put aside"),
    )),
    Section("data", "What the data holds", (
        CatalogueQuestion("balance", "Splits and labels"),
        CatalogueQuestion("heat_map", "Categories by source", "no pair is labelled unsafe yet; jobs/label.py"),
        CatalogueQuestion("origins", "Generators, styles, languages"),
        CatalogueQuestion("settings", "Settings of the generators"),
        CatalogueQuestion("attacks", "Variants", "no attack was run on it; jobs/attack.py"),
    )),
    Section("groups", "Near-duplicates and leaks", (
        CatalogueQuestion("groups", "What was kept"),
        CatalogueQuestion("leaks", "Groups in two splits"),
    )),
    Section("labels", "Labels", (
        CatalogueQuestion("labellers", "Who voted", "nobody labelled it yet; jobs/label.py"),
        CatalogueQuestion("agreement", "Agreement", "no two labellers judged the same samples"),
    )),
    Section("errors", "Where classifiers err", (
        CatalogueQuestion("misjudged", "Clusters of errors", "no classifier was evaluated on it, or none erred; jobs/evaluate.py"),
    )),
    Section("environment", "How it was made", (CatalogueQuestion("environment", "Units and versions"),)),
)  # fmt: skip
CURVES = CatalogueQuestion("curves", "Recall, precision and false positives at every threshold")
RELIABILITY = CatalogueQuestion("reliability", "Reliability")


@dataclass(frozen=True, slots=True)
class TableRows:
    """A question's columns and rows."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def records(self) -> list[dict[str, Any]]:
        """A dictionary a row."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def ask(con: Connection, question: CatalogueQuestion) -> TableRows:
    """The answer, over views made by `pipeline.catalogue.question.confined`.

    A run without results has a narrower view of them; a question to columns that are not there has an empty answer.
    """
    known = {name for (name,) in con.execute("SELECT column_name FROM (DESCRIBE results)").fetchall()}
    if "setting" not in known and "FROM results" in question.sql:
        return TableRows((), ())
    answer = con.execute(question.sql)
    return TableRows(tuple(column[0] for column in answer.description), tuple(answer.fetchall()))
