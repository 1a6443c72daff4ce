"""Make the run that `test_old_runs.py` opens again: `python -m tests.support.recorded`, done once, with the code of 40a546b.

It holds all that a run can: a generating round, votes, labels, signatures, shards, a classifier (on a CLIP of a few thousand random
weights, to keep it small), an attack on that classifier, and results.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from tests.support import golden

FOLDER = golden.ROOT / "tests" / "data" / "recorded_run"
FACTS = FOLDER.with_suffix(".json")
PROMPTS = FOLDER.with_name("recorded_prompts.csv")
MODEL = "text"
GENERATE = ("--recipe", "render", "--prompts", "tests/data/recorded_prompts.csv", "--seed", "7", "--engine", "local")
TRAIN = (
    "--classifier",
    MODEL,
    "--epochs",
    "3",
    "--patience",
    "0",
    "--learning-rate",
    "0.01",
    "--false-positive-rate",
    "0.4",
)
ATTACK = ("--attacks", "typos", "--against", f"models/{MODEL}", "--engine", "local")
EVALUATE = ("--classifiers", MODEL, "--attacks", "homoglyphs", "--rows", "4,2", "--workers", "1")


def small_clip(folder: Path) -> Path:
    """A CLIP of transformers that reads letters."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    from tests.support.tiny_pipelines import _clip_tokenizer

    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    marks = {"bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513}
    text = {**small, **marks, "vocab_size": 514, "max_position_embeddings": 77, "projection_dim": 16}
    vision = {**small, "image_size": 32, "patch_size": 16, "projection_dim": 16}
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).save_pretrained(folder)
    _clip_tokenizer().save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 32}).save_pretrained(folder)
    return folder


def shards_digest(run: golden.Run) -> str:
    """As the manifest has it."""
    return str(json.loads((run.folder / "shards" / "manifest.json").read_text())["digest"])


def evaluated(run: golden.Run) -> list[tuple[str, float]]:
    """What each row was judged under, and its score; judged now, where it is not yet."""
    run.on("evaluate", *EVALUATE)
    rows = run.rows("results/**/*.parquet")
    names = ("key", "attack", "setting", "variant", "label")
    return sorted((" ".join(str(row[name]) for name in names), float(row["score"])) for row in rows)


def record(run: golden.Run, clip: Path) -> golden.Facts:
    """All of it; what the tests compare."""
    generated = golden.generated(run, *GENERATE[1:])
    run.label(golden.TRUTH)
    run.shards()
    threshold = run.on("train", *TRAIN, "--clip", str(clip))["threshold"]
    (attack,) = run.on("attack", *ATTACK)["rounds"]
    run.label(golden.TRUTH)
    digests = run.shards()
    evaluated(run)
    return {
        "fingerprint": golden.fingerprint(),
        "commands": [command.replace(str(clip), "CLIP") for command in run.commands],
        "round": generated["round"],
        "samples": len(PROMPTS.read_text().splitlines()) - 1 + attack["variants"],
        "attack": attack,
        "shards": digests["shards"],
        "threshold": threshold,
        "run": run.verified(),
    }


def main() -> None:
    """Made in a temporary folder; what is derived, or names the machine, stays there."""
    with tempfile.TemporaryDirectory(prefix="hazmat-recorded-") as scratch:
        run = golden.Run(Path(scratch) / "run")
        facts = record(run, small_clip(Path(scratch) / "clip"))
        for name in ("catalogue", f"models/{MODEL}/training"):
            shutil.rmtree(run.folder / name, ignore_errors=True)
        shutil.rmtree(FOLDER, ignore_errors=True)
        shutil.copytree(run.folder, FOLDER)
    FACTS.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    print(sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()), "bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
