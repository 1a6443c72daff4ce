#!/usr/bin/env python
"""Show what a run made on one page: counts, balance, near-duplicates, labels, evaluation, attacks, versions.

    jobs/report.py runs/mine                                   writes runs/mine/report/index.html
    jobs/report.py runs/mine --beside runs/other --write page.html    two runs side by side

The page is one file without scripts, pictures or prompts, and asks nothing of the network: it can be sent to anybody who may know
the figures. Every table shows its SQL, which jobs/query.py answers too.
"""

import shlex
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from jobs.command import DONE, LocalCommand, report, resolve_out, run_command, say, tell_root
from jobs.command.flags import Run
from schemas.errors import InputError

if TYPE_CHECKING:
    from classifiers.run_report.page import RunFacts
    from schemas.run import RunConfig

NAME = "report/index.html"


@dataclass(frozen=True, kw_only=True)
class Report(LocalCommand):
    """Which run, beside which, and where the page goes."""

    resumes = False

    run: Run
    beside: Annotated[str | None, Option(metavar="RUN", help="another run to show beside it")] = None
    write: Annotated[
        Path | None, Option(metavar="FILE", help="write the page there (default: RUN/report/index.html)")
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.write is not None and self.write.suffix != ".html":
            raise InputError(f"--write {self.write}: the page is HTML; give a name that ends in .html")


def main(config: Report) -> int:
    """Ask every run all questions, write the page."""
    from classifiers.run_report.page import page
    from pipeline.rounds.existing_run import existing_run
    from pipeline.rounds.ledger import recorded

    runs = [run_facts(name) for name in (config.run, config.beside) if name is not None]
    html = page(runs, datetime.now(UTC)).encode()
    summary = {"bytes": len(html), "runs": [run.root for run in runs]}
    if config.write is not None:
        config.write.parent.mkdir(parents=True, exist_ok=True)
        config.write.write_bytes(html)
        say(f"the report: {config.write}")
        report(config, {"report": str(config.write), **summary})
        return DONE
    store, _ = existing_run(resolve_out(config.run))
    with recorded(store, NAME, by="jobs/report.py"):
        store.write(NAME, html)
    say(f"the report: {store.url}/{NAME}")
    report(config, {"report": f"{store.url}/{NAME}", **summary, "root": tell_root(store)})
    return DONE


def run_facts(name: str) -> "RunFacts":
    """What one run answers."""
    from classifiers.run_report.page import facts_of
    from pipeline.catalogue.views import refresh
    from pipeline.rounds.existing_run import existing_run

    store, facts = existing_run(resolve_out(name))
    refresh(store)
    return facts_of(store, facts, command_of(facts))


def command_of(facts: "RunConfig") -> str:
    """The command that made the run's first pairs, of the facts that it kept."""
    words = ["jobs/generate.py"]
    defaults = {field.name: field.default for field in fields(facts)}
    for name, default in defaults.items():
        value = getattr(facts, name)
        if name in ("recipe_sha256",) or (value == default and name not in ("out", "recipe")):
            continue
        flag = f"--{name.replace('_', '-')}"
        words += [flag] if value is True else [word for one in _listed(value) for word in (flag, shlex.quote(str(one)))]
    return " ".join(words)


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]


if __name__ == "__main__":
    run_command(main)
