#!/usr/bin/env python
"""Make the pictures of a published recipe again, and prove that they are the ones.

    jobs/regenerate.py --from mine-recipe --verify
    jobs/regenerate.py --from mine-recipe --out runs/again --engine ray --workers 8
    jobs/regenerate.py --from theirs --model DIR --restricted --prompts prompts.csv --verify

The release's checksums, stages, settings and digests of weights are checked before anything is drawn. What comes out is a run
like any other; the same command goes on where it stopped. --verify compares every picture's bytes (L1) where versions and
hardware are those that made the release, else its look (L2).
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from typer import Option

from jobs.command import DONE, FAILED, ScatteredCommand, report, resolve_out, run_command, say, tell_root
from schemas.errors import InputError

if TYPE_CHECKING:
    from pipeline.recipe import Recipe
    from pipeline.release.again import ReleasedPlan, ReleasedRecipe
    from pipeline.release.proof import RemadeProof
    from schemas.run import RunConfig

ROUND = "rounds/000-generate"


@dataclass(frozen=True, kw_only=True)
class Regenerate(ScatteredCommand):
    """Which release, and where its pictures go."""

    exits: ClassVar = {FAILED: "it could not go on, or a picture is not what was published"}

    release: Annotated[Path, Option("--from", metavar="FOLDER", help="what jobs/publish.py --tier recipe made")]
    out: Annotated[str | None, Option(metavar="RUN", help="a folder or url for the run (default: FOLDER-again)")] = None
    verify: Annotated[bool, Option("--verify", help="compare every picture with what was published")] = False
    model: Annotated[str | None, Option(metavar="DIR_OR_ID", help="where the weights are; their digest is checked")] = (
        None
    )
    recipe: Annotated[
        str | None, Option(metavar="NAME", help="FILE.py:FUNCTION, if its makers wrote a recipe of their own")
    ] = None
    prompts: Annotated[
        str | None, Option(metavar="FILE", help="the run's prompts, where the release leaves them out")
    ] = None
    restricted: Annotated[
        bool, Option("--restricted", help="of a restricted run: draw what may be hazardous, readable to you only")
    ] = False


def main(config: Regenerate) -> int:
    """Check the release, carry out its plan, compare."""
    from pipeline.engines.engine import EngineOptions
    from pipeline.release.again import read_released
    from pipeline.release.checksums import check_checksums
    from pipeline.release.proof import prove
    from pipeline.rounds.existing_run import write_facts
    from pipeline.rounds.round import environment, open_round
    from pipeline.storage.open_store import open_store
    from stages.signature.perceptual import hash_of_file

    digest = check_checksums(config.release)
    released = read_released(config.release)
    plan, recipe = plan_of(config, released)
    out = resolve_out(config.out or f"{config.release.resolve()}-again")
    store = open_store(out, private=released.facts.restricted)
    round_ = open_round(store, ROUND, plan)
    facts = replace(facts_here(config, released), out=out)
    write_facts(store, facts, environment())
    samples = EngineOptions(config.engine, config.workers).carry_out(plan, round_, "drawing again")
    say(f"{round_.units} units at {store.url} ({sum(receipt.samples for receipt in samples)} pictures made now)")
    summary = {"out": store.url, "release": digest, "recipe": recipe.name, "root": tell_root(store)}
    if not config.verify:
        report(config, summary)
        return DONE
    proof = prove(config.release, released, round_, hash_of_file)
    tell(proof)
    counts = {name: getattr(proof, name) for name in ("same", "alike", "different", "missing", "beside")}
    report(config, {**summary, **counts, "proved": proof.holds})
    return DONE if proof.holds else FAILED


def plan_of(config: Regenerate, released: "ReleasedRecipe") -> "tuple[ReleasedPlan, Recipe]":
    """The plan of the release by this checkout's recipe. Raises InputError, also where a restricted run is not meant."""
    from jobs.recipes.named import recipe_of
    from jobs.recipes.prompts import roots

    if released.facts.restricted and not config.restricted:
        raise InputError(
            f"--from {config.release}: the run was restricted, so what it drew may be hazardous. Add --restricted: what comes "
            "out is then readable to you only"
        )
    facts = facts_here(config, released)
    recipe = recipe_of(facts)
    if released.has_words:
        if config.prompts is not None:
            raise InputError("--prompts: the release holds its prompts; leave it out")
        return released.plan(recipe, None), recipe
    if facts.prompts is not None and config.prompts is None:
        raise InputError(
            f"--from {config.release} holds no prompts: give the run's own with --prompts FILE; their keys tell whether they are"
        )
    return released.plan(recipe, roots(replace(facts, prompts=config.prompts), recipe.prompts)), recipe


def facts_here(config: Regenerate, released: "ReleasedRecipe") -> "RunConfig":
    """The run's facts, with the places of recipe and model on this machine."""
    from pipeline.release.again import named_recipe

    return named_recipe(released.facts, config.recipe, config.model)


def tell(proof: "RemadeProof") -> None:
    """The verdict, and what is wrong."""
    for example in proof.examples:
        print(f"problem: {example}")
    beside = f"; {proof.beside} more were drawn that the release does not have" if proof.beside else ""
    print(
        f"{proof.same} pictures are byte-equal (L1), {proof.alike} look alike (L2), {proof.different} are different, "
        f"{proof.missing} were not made{beside}: {'proved' if proof.holds else 'NOT PROVED'}"
    )


if __name__ == "__main__":
    run_command(main)
