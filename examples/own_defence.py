#!/usr/bin/env python
"""From 300 prompts of your own to a judged classifier, on the embedded world: every line with a $ can be typed by hand.

    examples/own_defence.py runs/own                     writes runs/own.csv, half of it outside of the world's words
    examples/own_defence.py runs/own --prompts mine.csv  with a column `prompt`

docs/guide/own_prompts.md says what each step prints and what to do where the world cannot read your prompts.
"""

import csv
import random
import shlex
import subprocess
import sys
from pathlib import Path

import typer

ROOT = Path(__file__).parents[1]
OUTSIDE = (
    "une {0} rouge sur la table", "ein Bild von einer {0}", "una {0} muy grande", "a photo of three {0}s at dawn",
    "{0} でいっぱいの部屋", "en gammal {0} i regnet", "kırmızı bir {0}", "my grandmother's favourite {0}",
)  # fmt: skip
FOREIGN = ("pomme", "Kerze", "guitarra", "bicycle", "窓", "båt", "elma", "teapot", "lighthouse", "tram")


def own_prompts(count: int, seed: int = 0) -> list[str]:
    """Half of them sentences of words that the world knows, half in words that it does not."""
    from stages.world.purposes import PURPOSES
    from stages.world.vocabulary import SAFE, VOCABULARY

    draw = random.Random(seed)
    unsafe = [concept.words[0] for concept in VOCABULARY if concept.category != SAFE and concept.kind != "ambivalent"]
    safe = [concept.words[0] for concept in VOCABULARY if concept.category == SAFE]
    ambivalent = [concept for concept in VOCABULARY if concept.kind == "ambivalent"]
    unique: dict[str, None] = {}
    while len(unique) < count // 2:
        ground = draw.choice(("gray", "blue", "white", "green", "pink"))
        kind = draw.random()
        if kind < 0.2:
            concept = draw.choice(ambivalent)
            meant = [
                each for each in PURPOSES if (concept.name in each.turns if draw.random() < 0.5 else not each.turns)
            ]
            purpose = draw.choice(meant or [each for each in PURPOSES if not each.turns])
            unique[f"{concept.words[0]} {draw.choice(purpose.phrases)} on plain {ground}"] = None
        else:
            unique[f"{draw.choice(unsafe if kind < 0.6 else safe)} on plain {ground}"] = None
    while len(unique) < count:
        unique[draw.choice(OUTSIDE).format(draw.choice(FOREIGN)) + f", {len(unique)}"] = None
    prompts = list(unique)
    draw.shuffle(prompts)
    return prompts


def command(script: str, *arguments: object) -> None:
    """Run one of the commands as its user would; stop where it fails (3: done, but something could not be read)."""
    words = [f"jobs/{script}", *map(str, arguments)]
    print(f"\n$ {shlex.join(words)}", flush=True)
    done = subprocess.run([sys.executable, *words], cwd=ROOT, check=False)
    if done.returncode not in (0, 3):
        sys.exit(done.returncode)


def main(run: Path, prompts: Path | None = None, count: int = 300, engine: str = "local") -> None:
    """Generate, label, shard, start from the shipped cascade, evaluate, and judge every pair."""
    run = run.absolute()
    table = prompts or run.with_suffix(".csv")
    if prompts is None:
        table.parent.mkdir(parents=True, exist_ok=True)
        with table.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["prompt"], *([prompt] for prompt in own_prompts(count))])
    command("world.py", "words", "--prompts", table)
    command("generate.py", "--out", run, "--prompts", table, "--engine", engine)
    command("label.py", run, "--labellers", "tagger_truth,prompt_truth", "--engine", engine)
    command("label.py", run, "--aggregate", "majority")
    command("shards.py", run, "--engine", "local")
    command("train.py", run, "--classifier", "cascade")
    command("evaluate.py", run, "--classifiers", "cascade")
    command("moderate.py", "--pairs", run, "--classifier", "cascade")


if __name__ == "__main__":
    typer.run(main)
