#!/usr/bin/env python
"""Turn prompts into committed units of prompt/picture pairs.

    jobs/generate.py --out runs/mine --count 256
    jobs/generate.py --out runs/mine --recipe my_recipe.py:cats
    jobs/generate.py --out runs/mine --prompts prompts.csv --column text --images-per-prompt 2
    jobs/generate.py --out runs/mine --prompts i2p:i2p_benchmark.csv
    jobs/generate.py --out runs/mixed --size 64x64,96x64:2,64x96 --guidance-scale "uniform(3, 9)"
    ray job submit --working-dir . -- python jobs/generate.py --out /shared/runs/mine

Steps, guidance, size and scheduler also take uniform(A, B), or values A,B:2 with weights, drawn for each picture;
a prompt file's columns of these names set those of their rows. The same command on the same --out goes on where it stopped.
"""

import time
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from typer import Option

from jobs.command import DONE, QUARANTINED, report, resolve_out, run_command, say, tell_root
from jobs.command.flags import Seed, TaxonomyFile, named
from jobs.command.generator_flags import GeneratorCommand
from schemas.run import RunConfig

if TYPE_CHECKING:
    from pipeline.engines.time_spent import StartUp
    from pipeline.rounds.round import Round
    from schemas.manifest import Receipt

ROUND = "rounds/000-generate"


@dataclass(frozen=True, kw_only=True)
class Generate(GeneratorCommand):
    """The run's facts."""

    lists = ("recipes", "benchmarks")
    exits: ClassVar = {QUARANTINED: "done, with quarantined samples"}

    out: Annotated[str, Option(metavar="RUN", help="a folder or object-store url for the run")] = "runs/generate"
    recipe: Annotated[str, named("recipes", "what is done, listed below, or yours: FILE.py:FUNCTION", "NAME")] = (
        "pictogram"
    )
    prompts: Annotated[
        str | None,
        named("benchmarks", "file, datasets folder or hub id, of a benchmark NAME:FILE; several: A,B,grammar", "FILE"),
    ] = None
    column: Annotated[
        str | None, Option(metavar="NAME", help="the column that holds the prompts (default: prompt)")
    ] = None
    skip_bad_rows: Annotated[
        bool, Option("--skip-bad-rows", help="leave out rows that break a file's shape, and count them")
    ] = False
    count: Annotated[
        int | None,
        Option(min=1, metavar="N", help="prompts to make, or to take of the file (default: 256, or all of the file)"),
    ] = None
    images_per_prompt: Annotated[int, Option(min=1, metavar="K", help="images drawn for each prompt")] = 1
    seed: Seed = 0
    seed_column: Annotated[
        str | None, Option(metavar="NAME", help="the prompt file's column with the pictures' seeds")
    ] = None
    restricted: Annotated[
        bool, Option("--restricted", help="allow weights from outside; the run is readable to you only")
    ] = False
    picture_check: Annotated[
        str | None, Option(metavar="MODULE:FUNCTION", help="with --restricted: your check of every finished picture")
    ] = None
    hash_list: Annotated[
        str | None, Option(metavar="FILE", help="with --restricted: PDQ or perceptual hashes that must not be made")
    ] = None
    explain: Annotated[
        bool, Option("--explain", help="say what --model is and what drawing with it takes; write nothing")
    ] = False
    taxonomy: TaxonomyFile = None
    dry_run: Annotated[
        bool, Option("--dry-run", help="print units, images, expected bytes and time; write nothing")
    ] = False

    def facts(self) -> RunConfig:
        """What run.json holds of it."""
        from schemas.taxonomy import Taxonomy

        own = None if self.taxonomy is None else Taxonomy.read(self.taxonomy).to_json()
        known = [field.name for field in fields(RunConfig) if hasattr(self, field.name)]
        models = self.model or []
        told = {name: getattr(self, name) for name in known} | {"model": models[0] if len(models) == 1 else None}
        config = RunConfig(**told, models=models if len(models) > 1 else None, model_weights=self.model_weight or None)
        return replace(config, out=resolve_out(config.out), taxonomy=own)


def main(config: Generate) -> int:
    """Plan, carry out what is left of the plan, and sum up."""
    if config.explain:
        return explain(config)
    from jobs.recipes.guards import guard_folders
    from jobs.recipes.named import chosen, recipe_of
    from jobs.recipes.prompt_count import prompt_count
    from jobs.recipes.prompts import checked_roots
    from jobs.recipes.restricted import check_restricted
    from jobs.recipes.unread_prompts import say_what_is_cut, say_what_is_unread
    from pipeline.engines.engine import EngineOptions
    from pipeline.engines.estimate import drawn_on_cpu, print_estimate
    from pipeline.engines.time_spent import StartUp
    from pipeline.rounds.existing_run import with_taxonomy, write_facts
    from pipeline.rounds.round import as_begun, environment, open_round, run_digest
    from pipeline.storage.open_store import open_store

    start_up = StartUp()
    start_up.mark("imported")
    facts = chosen(config.facts())
    if facts.guard is not None:
        facts = replace(facts, guard=guard_folders(facts.guard))
    check_restricted(facts)
    recipe = recipe_of(facts)
    items = checked_roots(facts, recipe)
    plan = recipe.plan(items, facts.seed, on_cpu=drawn_on_cpu(facts.engine))
    if config.dry_run:
        counted = prompt_count(items)
        return print_estimate(plan, facts, counted.items, counted.how, config.json)
    unread = {**say_what_is_unread(facts, recipe, items), **say_what_is_cut(facts, recipe, items)}
    store = open_store(facts.out, private=facts.restricted)
    facts = with_taxonomy(store, facts)
    started = time.monotonic()
    plan = as_begun(store, ROUND, plan)
    round_ = open_round(store, ROUND, plan)
    write_facts(store, facts, environment())
    if items.left_out:
        say(f"prompts left out: {items.left_out_line()}")
    if items.unheeded:
        say(f"{items.unheeded} rows set steps, size or the like: recipe {recipe.name} draws with none of them")
    start_up.mark("planned")
    engine = EngineOptions(config.engine, config.workers)
    receipts = engine.carry_out(plan, round_, "generating", on_first=lambda: start_up.mark("first_unit"))
    summary = summary_of(round_, sum(receipt.samples for receipt in receipts), time.monotonic() - started)
    digests = {"digest": run_digest(list(round_.receipts())), "root": tell_root(store)}
    report(
        config, {**summary, **say_where_time_went(start_up, receipts), "left_out": items.left_out, **unread, **digests}
    )
    return QUARANTINED if summary["quarantined"] else DONE


def explain(config: Generate) -> int:
    """Say what the models are; two pictures of each are drawn to be timed, and not kept."""
    from jobs.recipes.explained import explanations
    from schemas.errors import InputError

    if not config.model:
        raise InputError("--explain: give --model DIR_OR_ID")
    for told in explanations(config.facts(), config.model, measure=not config.dry_run):
        for name, value in told.items():
            several = [f"{part}: {text}" for part, text in value.items()] if isinstance(value, dict) else [value]
            say(f"{name:<16}" + f"\n{'':<16}".join(map(str, several)))
        report(config, told)
    return DONE


def say_where_time_went(start_up: "StartUp", receipts: "list[Receipt]") -> dict[str, object]:
    """Nothing where nothing was drawn now."""
    from pipeline.engines.time_spent import bound_by, by_stage

    parts, bound = start_up.parts(receipts), bound_by(receipts)
    if bound is None:
        return {}
    say(
        f"start-up in seconds: {', '.join(f'{name} {seconds:.1f}' for name, seconds in parts.items())}; bound by: {bound}"
    )
    return {"start_up": parts, "seconds_by_stage": by_stage(receipts), "bound_by": bound}


def summary_of(round_: "Round", drawn: int, seconds: float) -> dict[str, object]:
    """What the round holds now, said and returned; `drawn` samples are of this call."""
    from pipeline.rounds.truncated import truncated_samples

    receipts = list(round_.receipts())
    samples, quarantined = (sum(getattr(receipt, what) for receipt in receipts) for what in ("samples", "quarantined"))
    summary: dict[str, object] = {
        "out": round_.store.url,
        "units": len(receipts),
        "samples": samples,
        "dropped": sum(receipt.dropped for receipt in receipts),
        "quarantined": quarantined,
        "refused": sum(receipt.refused for receipt in receipts),
        "seconds": round(seconds, 2),
        "images_per_second": round(drawn / seconds, 2),
        "truncated": truncated_samples(round_.store, round_.folder),
    }
    say(
        f"{samples} pairs in {summary['units']} units at {summary['out']} ({drawn} made now, "
        f"{summary['images_per_second']}/s); {summary['dropped']} dropped, {quarantined} quarantined"
    )
    if summary["refused"]:
        say(
            f'{summary["refused"]} were refused by the generator\'s own guard: jobs/query.py {round_.store.url} "FROM refusals"'
        )
    if summary["truncated"]:
        print(
            f"{summary['truncated']} prompts were longer than the text encoders read: the pictures show their beginning only "
            "(columns truncated, prompt_tokens, encoder_tokens, generation_prompt)"
        )
    if quarantined:
        say(f"see {round_.store.url}/{round_.folder}/quarantine/*.parquet for the samples and the reasons")
    return summary


if __name__ == "__main__":
    run_command(main)
