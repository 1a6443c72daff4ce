#!/usr/bin/env python3
"""Attack success on the embedded world: every attack against the three baselines, from rows in Parquet.

Makes a run, labels and shards it, trains the baselines; then fresh prompts of another seed are drawn, attacked by the rounds
of `jobs/attack.py`, and labelled, variants and parents alike, by judges that are no part of the defence. The last question in
docs/guide/attack.md gives the table. Prints it, one JSON object on the last line, and writes bench/results/attack_success.json.

    python -m bench.attack_success                    about 10 minutes of one quiet core
    python -m bench.attack_success --share 0.25       a quarter of the prompts
    python -m bench.attack_success --out DIR          keeps everything; the same command goes on where it stopped
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psutil

from bench.defence.data import further
from bench.report import report
from classifiers.saved import Saved
from classifiers.targets import targets_of
from jobs.attack import carry_out
from jobs.label import label
from jobs.recipes.named import recipe_of
from jobs.recipes.prompts import generating_plan
from jobs.recipes.sharding import pictogram
from pipeline.engines.engine import EngineOptions, run_units
from pipeline.rounds.existing_run import write_facts
from pipeline.rounds.round import open_round, pending
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from pipeline.votes.aggregate import aggregate
from schemas.errors import HazmatError
from schemas.run import RunConfig
from stages.attack.by_name import attacks_of
from stages.rounds.attack_round import open_attack_round
from stages.rounds.shards_round import make_shards

# Prompts that the baselines are trained on. With 2,000 scenes the text baseline flagged 4 % of its unsafe test rows, and
# who flags nothing cannot be attacked; for the same reason a filter may flag one safe row in seven.
SCENES = 6000  # drawn without a model, which costs nothing
DRAWN = 160  # by the embedded Stable Diffusion, 0.15 s each
FALSE_POSITIVE_RATE = "0.15"
LABELLERS = "scene_truth,tagger_truth,prompt_truth"
BASELINES = ("text", "image", "late_fusion")
SEEING = ("image", "late_fusion")
DOCS = Path(__file__).parents[1] / "docs" / "guide" / "attack.md"

LETTERS = "homoglyphs,invisible,leetspeak,misread,spacing,swaps,typos"
WORDS = "distractors,synonyms"
PIXELS = "apgd,deep_fool,fgsm,gaussian,pgd,square"
BY_HAND = "blur,crop,grid,overlay,recompress,resize"


@dataclass(frozen=True)
class AttackGroup:
    """Fresh prompts, as many as the attacks' cost allows (some half are flagged), and attacks with whom each is against.

    Each of `against` is attacked for itself; with a comma it is a cascade.
    """

    name: str
    prompts: int
    attacks: tuple[tuple[str, tuple[str, ...]], ...]


TRIALS = (
    AttackGroup("pictures", 240, ((f"{PIXELS},{BY_HAND}", SEEING),)),
    AttackGroup(
        "words",
        80,
        (
            (f"{LETTERS},{WORDS}", BASELINES),
            ("token_substitution", ("text", "late_fusion")),
            ("style", SEEING),
            ("joint", ("late_fusion", "text,image")),
        ),
    ),
    AttackGroup("models", 24, (("embedding_matching,paraphrase", BASELINES),)),
)


def main() -> None:
    """Everything in one temporary folder, which goes away."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the prompts of every trial (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="a folder to work in (default: one that goes away)")
    args = parser.parse_args()
    began, before = time.monotonic(), psutil.Process().cpu_times()
    with nullcontext(args.out) if args.out else tempfile.TemporaryDirectory(prefix="hazmat-success-") as name:
        folder = Path(name)
        baselines(folder / "trained")
        runs = [attacked(folder, trial, args.share, 13 + place) for place, trial in enumerate(TRIALS)]
        rows = answer(runs)
    for row in rows:
        print("  ".join(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    spent = psutil.Process().cpu_times()
    seconds = {
        "wall": round(time.monotonic() - began, 1),
        "processor": round(sum(spent[:4]) - sum(before[:4]), 1),  # with what the trainings took
    }
    settings = {
        "scenes": SCENES,
        "drawn": DRAWN,
        "false_positive_rate": float(FALSE_POSITIVE_RATE),
        "share": args.share,
    }
    report("attack_success", {"settings": settings, "seconds": seconds, "attacks": rows})


def generated(folder: Path, recipe: str, count: int, seed: int) -> tuple[Store, RunConfig]:
    """A run of the grammar's prompts."""
    config = RunConfig(out=str(folder), recipe=recipe, count=count, engine="local", seed=seed)
    store = open_store(str(folder))
    plan = generating_plan(config, recipe_of(config))
    round_ = open_round(store, "rounds/000-generate", plan)
    write_facts(store, config, {})
    list(run_units("local", None, plan, round_, pending(round_)))
    return store, config


def baselines(folder: Path) -> None:
    """Labelled, sharded, and a model of each kind in `models/`. Raises HazmatError if a training fails."""
    store, config = generated(folder, "render", SCENES, seed=11)
    drawn = RunConfig(out=str(folder), recipe="pictogram", count=DRAWN, seed=12)
    further(folder, "-generate-embedded", generating_plan(drawn, recipe_of(drawn)), "local")
    label(store, LABELLERS, "local")
    aggregate(store, "majority")
    make_shards(store, config, pictogram(), EngineOptions("local"))
    for kind in BASELINES:
        if (folder / "models" / kind / "config.json").is_file():
            continue
        command = [
            sys.executable,
            "jobs/train.py",
            store.url,
            "--classifier",
            kind,
            "--start",
            "scratch",
            "--false-positive-rate",
            FALSE_POSITIVE_RATE,
        ]
        if subprocess.run(command, check=False).returncode != 0:
            raise HazmatError(f"jobs/train.py could not train {kind}; its own message stands above")


def attacked(folder: Path, trial: AttackGroup, share: float, seed: int) -> str:
    """The trial's run with all its attack rounds, everything labelled; its folder."""
    store, config = generated(folder / trial.name, "pictogram", max(4, round(trial.prompts * share)), seed)
    for attacks, against in trial.attacks:
        for names in against:
            attack(store, config, attacks, [str(folder / "trained" / "models" / name) for name in names.split(",")])
    label(store, LABELLERS, "local")
    aggregate(store, "majority")
    return store.url


def attack(store: Store, config: RunConfig, attacks: str, models: Sequence[str]) -> None:
    """As `jobs/attack.py RUN --attacks … --against … --digest …` does: the models are another run's."""
    targets = targets_of(store, ",".join(models), ",".join(Saved(model).digest() for model in models))
    for family, some in attacks_of(attacks, targets, "evade", None).items():
        opened = open_attack_round(store, config, recipe_of(config), family, some, targets=targets)
        print(json.dumps(carry_out(opened, "local")), file=sys.stderr, flush=True)


def answer(runs: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of the last question in docs/guide/attack.md, over all runs."""
    question = re.findall(r"```sql\n(.*?)```", DOCS.read_text(), re.DOTALL)[-1]
    statement = question[question.index("WITH") :]  # without its own list of runs
    with duckdb.connect() as con:
        con.execute("SET VARIABLE runs = ?", [list(runs)])
        rows: list[dict[str, Any]] = con.sql(statement).to_arrow_table().to_pylist()
    return [{name: round(v, 4) if isinstance(v, float) else v for name, v in row.items()} for row in rows]


if __name__ == "__main__":
    main()
