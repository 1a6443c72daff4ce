"""The report's numbers are those of the run's own files, whatever is in the run is text, and nothing is asked of the network."""

import html
import json
import re
import shutil
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from classifiers.run_report.charts import Axes, lines
from classifiers.run_report.page import RunFacts, facts_of, page
from classifiers.run_report.questions import SECTIONS, TableRows
from jobs import query, report, verify
from pipeline.catalogue.views import refresh
from pipeline.rounds.existing_run import existing_run
from tests.support.commands import call

NOW = datetime(2026, 11, 28, tzinfo=UTC)
RECORDED = Path(__file__).parents[2] / "data" / "recorded_run"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a run that every command was at, by the code of 40a546b."""
    return Path(shutil.copytree(RECORDED, tmp_path_factory.mktemp("report") / "run"))


def facts(folder: Path) -> RunFacts:
    """What it answers."""
    store, config = existing_run(str(folder))
    refresh(store)
    return facts_of(store, config, "jobs/generate.py")


class Parsed(HTMLParser):
    """Tags that are open, addresses that a browser would fetch, and the text of cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a browser would act on."""
        self.tags.append(tag)
        found = dict(attrs)
        self.fetched += [
            value for name in ("src", "data", "action", "xlink:href") if (value := found.get(name)) and value[0] != "#"
        ]
        self.fetched += [value for value in [found.get("href")] if value and value[0] != "#"]


def test_its_counts_are_those_of_the_runs_own_files(run: Path) -> None:
    shown = facts(run).replies["overview"].records()[0]
    rows = [row for path in run.glob("rounds/*/raw/*.parquet") for row in pq.read_table(path).to_pylist()]
    labels = {
        row["key"]: row["label"] for row in pq.read_table(run / "labels.parquet").to_pylist() if row["scope"] == "pair"
    }
    assert shown["prompts"] == len({row["root"] for row in rows})
    assert shown["clean_pairs"] == sum(row["clean"] for row in rows)
    assert shown["unsafe"] == sum(labels.get(row["key"]) == "unsafe" for row in rows) > 0
    assert shown["in_shards"] == pq.read_table(run / "keep.parquet").num_rows > 0


def test_its_evaluation_is_that_of_the_summary(run: Path) -> None:
    summary = json.loads((run / "results" / "test" / "summary-text.json").read_text())
    rows = {
        row["measure"]: row["value"]
        for row in summary["detection"]
        if (row["kind"], row["slice"], row["attack"]) == ("all", "test", "none")
    }
    (shown,) = [row for row in facts(run).evaluation.good.records() if row["slice"] == "test"]
    assert shown["accuracy"].startswith(f"{rows['accuracy']:.3f} (")


def test_every_table_is_what_the_query_command_answers(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = facts(run)
    questions = [question for section in SECTIONS for question in section.questions]
    assert call(query, run, next(q for q in questions if q.name == "balance").sql, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out) == found.replies["balance"].records()


def test_it_fetches_nothing_and_runs_nothing(run: Path) -> None:
    parsed = Parsed(page([facts(run), facts(run)], NOW))
    assert parsed.fetched == [] and "script" not in parsed.tags and parsed.tags.count("svg") >= 8


def test_what_comes_out_of_a_run_is_text(run: Path) -> None:
    planted = "<img src=x onerror=alert(1)>"
    found = facts(run)
    found.replies["origins"] = TableRows(("generator", "pairs"), ((planted, 3),))
    found.replies["heat_map"] = TableRows(("category", "source", "pairs"), ((planted, planted, 1),))
    text = page([RunFacts(planted, planted, planted, found.replies, found.evaluation)], NOW)
    assert planted not in text and text.count(html.escape(planted)) >= 6 and "img" not in Parsed(text).tags


def test_no_prompt_of_the_run_is_on_the_page(run: Path) -> None:
    prompts = {row["prompt"] for path in run.glob("rounds/*/raw/*.parquet") for row in pq.read_table(path).to_pylist()}
    text = html.unescape(page([facts(run)], NOW))
    assert prompts and not [prompt for prompt in prompts if prompt in text]


def test_a_chart_of_the_same_figures_is_the_same_bytes() -> None:
    axes = Axes(title="a < b", x="x", y="y", diagonal=True)
    first, second = (lines({"one & two": [(0.0, 0.1), (1.0, 0.9)]}, axes) for _ in range(2))
    assert (
        first == second
        and "a &lt; b" in first
        and "one &amp; two" in first
        and re.match(r"<svg [^>]*width=\"100%\"", first)
    )


def test_the_command_writes_a_file_that_the_run_owns(run: Path, tmp_path: Path) -> None:
    assert call(report, run) == 0 and (run / "report" / "index.html").stat().st_size > 10_000
    assert call(verify, run) == 0
    before = (run / "ledger.json").read_bytes()
    assert call(report, run, "--write", tmp_path / "new" / "page.html") == 0
    assert (tmp_path / "new" / "page.html").exists() and (run / "ledger.json").read_bytes() == before
    (run / "report" / "index.html").write_bytes(b"something else")
    assert call(verify, run) == 1
