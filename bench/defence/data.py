"""The data of the defence bench, one run of three rounds: scenes drawn without a model as their prompts ask, pictures by the
embedded Stable Diffusion, and scenes under the words of another prompt, so that words and picture disagree in both directions.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count as count_from
from pathlib import Path
from typing import Any

from jobs.recipes.named import recipe_of
from jobs.recipes.prompts import generating_plan
from pipeline.engines.engine import run_units
from pipeline.plan import Plan
from pipeline.rounds.existing_run import existing_run
from pipeline.rounds.round import open_round, pending
from pipeline.rounds.rounds import all_rounds, further_round
from schemas.errors import HazmatError
from schemas.prompt import Prompt
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.world.grammar import prompt_at

JUDGED = (1_150, 120, 1_000)
"""Pairs drawn, by the embedded model, and crossed (words of one prompt, picture of another). Seven in ten go to test."""
TRAINED = (8_000, 600, 2_800)  # where baselines are trained on them first: half are unsafe, and a tenth goes to test
SEED = 2_811  # of all data; no weights were trained or chosen on rows of it. Whoever looks at them takes another one
LABELLERS = "scene_truth,tagger_truth,prompt_truth"  # a scene is known; what the model drew has to be recognised


def job(script: str, *arguments: str) -> dict[str, Any]:
    """Run one of the jobs as its user would; its summary. Raises HazmatError if it fails."""
    command = [sys.executable, f"jobs/{script}", *arguments]
    print("$ " + " ".join(command[1:]), file=sys.stderr, flush=True)
    done = subprocess.run([*command, "--json"], check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 3):
        raise HazmatError(f"jobs/{script} ended with status {done.returncode}; its own message stands above")
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return summary


@dataclass(frozen=True)
class Crossed:
    """Root samples of grammar prompts, each with another prompt's scene: all four of (words, picture) x (safe, unsafe)."""

    count: int
    seed: int

    def __iter__(self) -> Iterator[Sample]:
        admitted = 0
        for index in count_from(0):
            words, drawn = prompt_at(self.seed, index), prompt_at(self.seed + 1, index + 61)
            if words.kind == "confounder":
                continue  # its words name nothing: crossed, it would be another confounder
            prompt = Prompt(
                words.prompt, drawn.generation_prompt, language="en", source="crossed", licence="Apache-2.0"
            )
            yield Sample.from_prompt(prompt, self.seed)
            admitted += 1
            if admitted == self.count:
                return


def generate(
    out: Path, counts: tuple[int, int, int], engine: str = "ray", *, recipe: str = "render", seed: int = SEED
) -> None:
    """All three rounds (drawn, embedded, crossed); asked again, what is left of them. `recipe` says how rows are split."""
    drawn, embedded, crossed = counts
    job(
        "generate.py", "--out", str(out), "--recipe", recipe, "--prompts", "grammar", "--count", str(drawn),
        "--engine", "local", "--seed", str(seed),
    )  # fmt: skip
    config = RunConfig(out=str(out), recipe="pictogram", count=embedded, seed=seed + 1)  # another seed: other prompts
    further(out, "-generate-embedded", generating_plan(config, recipe_of(config)), engine)
    config = RunConfig(out=str(out), recipe="render", count=crossed, seed=seed + 2)
    further(out, "-generate-crossed", recipe_of(config).plan(Crossed(crossed, config.seed), config.seed), "local")


def further(out: Path, suffix: str, plan: Plan, engine: str) -> None:
    """Carry out what is left of a further generating round."""
    store, _ = existing_run(str(out))
    rounds = [folder for folder in all_rounds(store) if folder.endswith(suffix)]
    round_ = open_round(store, rounds[0] if rounds else further_round(store, suffix), plan)
    for receipt in run_units(engine, 2, plan, round_, pending(round_)):
        print(f"{round_.folder}: {receipt.samples} pictures", file=sys.stderr)


def label_and_shard(out: Path, engine: str = "ray") -> dict[str, Any]:
    """Votes, labels, shards; the manifest's figures."""
    job("label.py", str(out), "--labellers", LABELLERS, "--engine", engine)
    job("label.py", str(out), "--aggregate", "majority")
    return job("shards.py", str(out), "--engine", "local")
