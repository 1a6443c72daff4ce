#!/usr/bin/env python
"""Judge classifiers of a run: on its test rows, on held-out ones, under attack; every row kept, every figure a query over rows.

    jobs/evaluate.py RUN --classifiers late_fusion,multimodal
    jobs/evaluate.py RUN --classifiers multimodal --attacks homoglyphs,typos,recompress      made blind, 4 variants a sample
    jobs/evaluate.py RUN --classifiers multimodal --attacks pgd,token_substitution,joint --adaptive
    jobs/evaluate.py RUN --classifiers multimodal --data my_pairs/                           metadata.csv beside the pictures

The same command goes on where it stopped; results of other attacks stay beside.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from typer import Option

from jobs.command import DONE, LocalCommand, report, resolve_out, run_command, say, tell_root
from jobs.command.flags import Digest, Epsilon, Run, named, pair
from schemas.budgets import EPSILON
from schemas.errors import InputError

if TYPE_CHECKING:
    from classifiers.data.labelled_sample import LabelledSample
    from classifiers.evaluation.tasks import EvaluationConfig
    from pipeline.recipe import Recipe

Strength = Literal["strong", "quick"]
"""As `classifiers.evaluation.attack_suite.STRENGTHS`, which is not imported before it is needed."""


@dataclass(frozen=True, kw_only=True)
class Evaluate(LocalCommand):
    """Who is judged on what."""

    lists = ("attacks", "labellers")
    renamed: ClassVar = {"--judges": "write --labellers"}

    run: Run
    classifiers: Annotated[
        str, Option(metavar="A,B", help="NAME below RUN/models, embedded:NAME, or a folder with --digest")
    ]
    digest: Digest = None
    attacks: Annotated[str, named("attacks", "attacks, listed below; variants in the shards always count")] = ""
    data: Annotated[str, Option(metavar="test|val|DIR", help="a split, or a folder with metadata.csv")] = "test"
    adaptive: Annotated[bool, Option("--adaptive", help="attack each classifier itself, and check the attacks")] = False
    strength: Annotated[Strength, Option(help="settings of the attacks")] = "strong"
    seeds: Annotated[int, Option(min=1, metavar="N", help="tries of each adaptive attack; the worst counts")] = 1
    transfer_from: Annotated[
        str | None, Option(metavar="A,B", help="with --adaptive: also attacks made against these classifiers")
    ] = None
    epsilon: Epsilon = EPSILON
    rows: Annotated[
        Any, Option(parser=pair, metavar="N,M", help="unsafe and safe rows to attack", show_default="500,150")
    ] = (500, 150)
    checks: Annotated[
        int, Option(min=0, metavar="N", help="with --adaptive: unsafe rows that the attacks are checked on; 0: on none")
    ] = 48
    half: Annotated[
        bool, Option("--half", help="attacks on pictures see classifiers in half precision; verdicts stay in full")
    ] = False
    labellers: Annotated[
        str | None,
        named(
            "labellers", "who says what an attack changed, listed below (default: those that the run's recipe trusts)"
        ),
    ] = None
    latency: Annotated[
        bool, Option("--latency", help="also time each classifier, at batch 1 and at its best batch")
    ] = False
    attention: Annotated[
        int | None,
        Option(min=1, metavar="N", help="also draw where the words of N rows look, of multimodal classifiers"),
    ] = None
    workers: Annotated[
        int | None,
        Option(min=1, metavar="N", help="size of the engine's pool (default: what the machine has room for)"),
    ] = None


def main(config: Evaluate) -> int:
    """Judge what is not judged yet, ask, print."""
    from classifiers.evaluation.attention_maps import attention_maps
    from classifiers.evaluation.captures import judged_by, kept_for
    from classifiers.evaluation.cases import cases_of
    from classifiers.evaluation.latency import latency
    from classifiers.evaluation.report import brief, printed, tables
    from classifiers.evaluation.results import FOLDER
    from classifiers.evaluation.tasks import carry_out_all, tasks_of
    from pipeline.engines.stop_signals import note_standing
    from pipeline.rounds.ledger import recorded, unrecorded

    request = request_of(config)
    if config.attention and request.private:
        raise InputError("--attention draws pictures as they are, and a restricted run shows none")
    cases = cases_of(request.store, request.data)
    tasks = tasks_of(request, cases)
    say(f"{len(cases)} rows, {len(tasks)} chunks of (scorer, attack)")
    left = [task.chunk.name for task in tasks if not task.chunk.done(request.store)]
    with recorded(request.store, *left, by="jobs/evaluate.py") as written:
        for number, task in enumerate(carry_out_all(request.store, tasks, config.workers or os.cpu_count() or 1), 1):
            note_standing(f"{number} of {len(left)} chunks are judged in {request.store.url}/{FOLDER}")
            if not config.quiet:
                print(f"  {task.chunk.name}: {len(task.keys)} rows", file=sys.stderr)
        written += unrecorded(request.store, f"{FOLDER}/{request.dataset}")
    metrics = metrics_of(request, cases, sanity=config.adaptive and config.checks > 0)
    if config.latency:
        metrics["latency"] = [
            latency(
                model := saved.load(), judged_by(request.store, coverage, cases), kept_for(request.store.url, model)
            )
            for saved, coverage in request.scorers
        ]
    for saved, _ in request.scorers if config.attention else ():
        drawn = attention_maps(request.store, request.dataset, saved, cases, config.attention or 0)
        say(f"attention of {len(drawn)} rows: {request.store.url}/{drawn[0].rpartition('/')[0]}")
    name = f"{FOLDER}/{request.dataset}/summary-{'-'.join(metrics['scorers'])}"
    with recorded(request.store, f"{name}.json", f"{name}.txt", by="jobs/evaluate.py"):
        request.store.write(f"{name}.json", json.dumps(metrics, indent=1).encode())
        request.store.write(f"{name}.txt", tables(metrics).encode())
    print(tables(metrics) if config.verbose else printed(metrics))
    say(f"by slice and attack: {request.store.url}/{name}.txt; figures {name}.json; rows {FOLDER}/{request.dataset}")
    tell_root(request.store)
    report(config, {**brief(metrics), "figures": f"{request.store.url}/{name}.json"})
    return DONE


def request_of(config: Evaluate) -> "EvaluationConfig":
    """The command line as what is asked for. Raises InputError for names that are none."""
    from classifiers.evaluation.attack_suite import sanity_trials, transfer_trials, trials_of
    from classifiers.evaluation.tasks import EvaluationConfig
    from classifiers.targets import targets_of
    from jobs.recipes.named import run_with_recipe
    from schemas.catalogue import SPLITS

    store, facts, recipe = run_with_recipe(resolve_out(config.run))
    scorers = tuple((saved, saved.load().coverage) for saved in targets_of(store, config.classifiers, config.digest))
    wanted = [name.strip() for name in config.attacks.split(",") if name.strip()]
    strength, seeds = config.strength, config.seeds
    how: dict[str, Any] = {"strength": strength, "seeds": seeds, "half": config.half}
    trials = trials_of(wanted, config.adaptive, config.rows, config.epsilon, **how)
    if config.transfer_from:
        trials += transfer_trials(trials, targets_of(store, config.transfer_from, None))
    return EvaluationConfig(
        store=store,
        private=facts.restricted,
        data=config.data if config.data in SPLITS else str(Path(config.data).absolute()),
        scorers=scorers,
        trials=(*trials, *(sanity_trials(strength, config.checks) if config.adaptive and config.checks else ())),
        judges=trusted(recipe) if config.labellers is None else config.labellers,
        held_out=recipe.held_out_attacks,
    )


def trusted(recipe: "Recipe") -> str:
    """The recipe's labellers. Nobody where it trusts none, which is said; what an attack changed is then `na`."""
    try:
        return recipe.labellers()
    except InputError as none:
        print(f"what an attack changed has no label: {none}", file=sys.stderr)
        return ""


def metrics_of(config: "EvaluationConfig", cases: "Sequence[LabelledSample]", sanity: bool) -> dict[str, Any]:
    """All figures of these scorers on this data, of every attack that their rows hold."""
    from classifiers.evaluation.captures import judged_by, kept_for
    from classifiers.evaluation.gradient_checks import gradient_checks
    from classifiers.evaluation.metrics import measures, opened
    from classifiers.evaluation.tasks import attacked_rows

    names = [Path(saved.folder).name for saved, _ in config.scorers]
    with opened(config.store, config.dataset, names) as con:
        metrics: dict[str, Any] = {
            "run": config.store.url,
            "dataset": config.dataset,
            "scorers": names,
            **measures(con),
        }
    for saved, coverage in config.scorers if sanity else ():
        judged = judged_by(config.store, coverage, cases)
        rows, model = attacked_rows([case for case in judged if case.sample.clean], (16, 0)), saved.load()
        if rows:
            metrics["sanity"] += gradient_checks(model, rows, config.dataset, kept_for(config.store.url, model))
    return metrics


if __name__ == "__main__":
    run_command(main)
