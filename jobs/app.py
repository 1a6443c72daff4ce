#!/usr/bin/env python
"""Look through a run and review it, in a browser: everything is masked on the server until somebody asks, and that is kept.

    jobs/app.py runs/mine                                                   on http://127.0.0.1:8500, you as its operator
    jobs/app.py runs/mine --people lead=operator,anna=annotator,ben=annotator,carla=adjudicator,olga=auditor

Operators filter, sort, search, reveal, take keys out and begin reviews; two annotators vote blind, an adjudicator where they
differ; auditors see everything masked. Everybody has a token, in --token-file. Every vote is on disk before the next is shown.
"""

import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from typer import Option

from jobs.command import DONE, LocalCommand, report, resolve_out, run_command, say
from jobs.command.flags import Run
from schemas.errors import InputError

if TYPE_CHECKING:
    from classifiers.review_app.application import AppSettings

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class App(LocalCommand):
    """Which run, for whom, where."""

    resumes: ClassVar = False

    run: Run
    people: Annotated[
        str, Option(metavar="NAME=ROLE,…", help="who may come in: operator, annotator, adjudicator or auditor")
    ] = "operator=operator"
    token_file: Annotated[str, Option(metavar="FILE", help="where everybody's token is kept; only you can read it")] = (
        "runs/app.tokens"
    )
    host: Annotated[str, Option(metavar="ADDRESS", help="to listen on; anything but loopback needs TLS before it")] = (
        LOOPBACK
    )
    port: Annotated[int, Option(min=0, max=65535, metavar="N", help="to listen on (0: a free one)")] = 8500
    allow_host: Annotated[
        str | None, Option(metavar="A,B", help="names that it answers under, behind a proxy (default: loopback's)")
    ] = None
    per_day: Annotated[int, Option(min=1, metavar="N", help="samples that a person may reveal a day")] = 400
    stretch: Annotated[int, Option(min=1, metavar="MINUTES", help="of looking before a break is due")] = 50
    pause: Annotated[int, Option(min=1, metavar="MINUTES", help="that a break takes")] = 10


def main(config: App) -> int:
    """Lay out the gallery, listen until a signal comes."""
    try:
        from classifiers.review_app.application import AppSettings
    except ImportError as error:
        raise InputError('the app needs the packages starlette and uvicorn: pip install "hazmat[serve]"') from error
    from classifiers.review_app.exposure import ExposureLimits
    from classifiers.review_app.people import asked_people, kept_people
    from pipeline.rounds.existing_run import existing_run

    roles = asked_people(config.people)
    store, _ = existing_run(resolve_out(config.run))
    tokens = Path(resolve_out(config.token_file))
    names = frozenset(name.strip().lower() for name in (config.allow_host or "").split(",") if name.strip())
    settings = AppSettings(
        store=store,
        people=kept_people(tokens, roles),
        limits=ExposureLimits(
            per_day=config.per_day, stretch=timedelta(minutes=config.stretch), pause=timedelta(minutes=config.pause)
        ),
        hosts=names | {config.host},
    )
    address = listen(config, settings, tokens)
    report(config, {"address": address, "people": roles})
    return DONE


def listen(config: App, settings: "AppSettings", tokens: Path) -> str:
    """Serve until a signal comes. Raises InputError where the address is taken or a package is missing."""
    from classifiers.review_app.application import application
    from classifiers.serving.local_server import bounded, serve, socket_on

    bound = socket_on(config.host, config.port)
    bound.listen()  # who comes before the app is ready waits, and is not turned away
    address = f"http://{config.host}:{bound.getsockname()[1]}"
    say(f"laying out the gallery of {settings.store.url}")
    with application(settings) as app:
        say(f"the app is on {address}; tokens of {len(settings.people.people)} people are in {tokens}")
        if sys.stdout.isatty():  # as notebooks do: a terminal is its user's, a log is not
            first = settings.people.people[0]
            say(f"{first.name}: {address}/enter?token={first.token}")
        serve(bounded(app), bound)
    return address


if __name__ == "__main__":
    run_command(main)
