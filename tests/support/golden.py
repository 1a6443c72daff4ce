"""Redo small runs of every recipe that needs no network, and say what they are in digests.

    python -m tests.support.golden                  writes tests/data/golden/digests.json anew
    python -m tests.support.golden render models    or these parts of it

The file was made by the code of 40a546b, before the tree was moved; `test_golden_digests.py` does it all again and compares. Its
`commands` are those of that day; the ones in here are today's.
"""

import io
import json
import runpy
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "data" / "golden" / "digests.json"
Facts = dict[str, Any]

SEED = ("--seed", "7", "--engine", "local")
LABELLERS = "tagger_truth,prompt_truth"
TRUTH = "scene_truth,prompt_truth"  # where scenes were drawn, not guessed
GENERATE: dict[str, tuple[str, ...]] = {
    "render": ("--count", "48"),
    "pictogram": ("--count", "24"),
    "mixture": ("--count", "24"),
    "rewrite": ("--count", "12"),
    "hardened": ("--count", "4"),
    "in_diffusion": ("--count", "24"),
    "diffusion": ("--count", "12", "--model", "assets/world/t2i", "--restricted"),
}
QUICK = ("--epochs", "1", "--batch", "32", "--patience", "0", "--false-positive-rate", "0.4")
ANEW = ("--start", "scratch", *QUICK)
TRAIN: dict[str, tuple[str, ...]] = {
    "text": ("--classifier", "text", *ANEW),
    "late_fusion": ("--classifier", "late_fusion", *ANEW),
    "cascade": ("--classifier", "cascade", *ANEW),
    "hard": ("--classifier", "late_fusion", "--name", "hard", "--start", "models/late_fusion", "--adversarial", "both",
             "--epsilon", "0.0078",
             "--token-budget", "2", *QUICK),
}  # fmt: skip
PARTS = (*GENERATE, "models")
PICTURE = frozenset({"image_sha256", "tar", "tar_offset", "tar_size"})


@dataclass
class Run:
    """A run in `folder`, made by commands; `commands` remembers them."""

    folder: Path
    commands: list[str] = field(default_factory=list)

    def call(self, name: str, *arguments: str) -> Any:
        """`jobs/NAME.py` in this process, with --json; its last line. Raises AssertionError where it does not end well."""
        command = [name, *arguments, *(() if "--format" in arguments else ("--json",))]
        self.commands.append(" ".join([f"jobs/{name}.py", *command[1:]]).replace(str(self.folder), "RUN"))
        said, before = io.StringIO(), sys.argv
        sys.argv = [str(ROOT / "jobs" / f"{name}.py"), *command[1:]]
        try:
            with redirect_stdout(said), redirect_stderr(io.StringIO()) as complained:
                runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as ended:
            assert not ended.code, f"{self.commands[-1]}: {ended.code}\n{said.getvalue()}{complained.getvalue()}"
        finally:
            sys.argv = before
        return json.loads(said.getvalue().splitlines()[-1])

    def on(self, name: str, *arguments: str) -> Any:
        """A command whose first argument is the run."""
        return self.call(name, str(self.folder), *arguments)

    def verified(self) -> str:
        """The digest of a run without a problem."""
        return str(self.on("verify")["digest"])

    def rows(self, pattern: str) -> list[Facts]:
        """The rows of Parquet files of the run."""
        files = sorted(self.folder.glob(pattern))
        return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]

    def plan(self, round_: str = "000-generate") -> Facts:
        """What names a round's plan."""
        card = json.loads((self.folder / "rounds" / round_ / "round.json").read_text())
        return {name: card[name] for name in ("fingerprint", "items_digest", "units")}

    def label(self, labellers: str) -> Facts:
        """A round of votes and what follows from it, but for the time."""
        self.on("label", "--labellers", labellers, "--engine", "local")
        self.on("label", "--aggregate", "majority")
        votes, labels = self.rows("rounds/*/votes/*.parquet"), self.rows("labels.parquet")
        return {"votes": of_rows(votes, {"time"}), "labels": of_rows(labels, {"votes_digest"})}

    def shards(self) -> Facts:
        """The shards' digest, and the run's with them."""
        digest = self.on("shards", "--engine", "local")["digest"]
        return {"shards": digest, "run_with_shards": self.verified()}


def of_rows(rows: Iterable[Facts], without: Iterable[str] = ()) -> str:
    """sha256 of rows as JSON, in any order; columns that hold nothing do not count, so that a later one changes nothing."""
    out = set(without)
    kept = ({k: v for k, v in row.items() if k not in out and v is not None} for row in rows)
    lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in kept)
    assert lines, "no rows"
    return sha256("\n".join(lines).encode()).hexdigest()


def of_pixels(run: Run) -> str:
    """sha256 of what the committed pictures show, by key: what is left if another zlib packs a PNG otherwise."""
    hasher = sha256()
    for row in sorted(run.rows("rounds/000-generate/raw/*.parquet"), key=lambda row: str(row["key"])):
        with (run.folder / row["tar"]).open("rb") as tar:
            tar.seek(row["tar_offset"])
            picture = np.asarray(Image.open(io.BytesIO(tar.read(row["tar_size"]))).convert("RGB"))
        hasher.update(f"{row['key']} {picture.shape}".encode() + picture.tobytes())
    return hasher.hexdigest()


def generated(run: Run, recipe: str, *arguments: str) -> Facts:
    """The generating round."""
    digest = run.call("generate", "--out", str(run.folder), "--recipe", recipe, *arguments)["digest"]
    rows = run.rows("rounds/000-generate/raw/*.parquet")
    return {
        "plan": run.plan(),
        "metadata": of_rows(rows, PICTURE),
        "pixels": of_pixels(run),
        "round": digest,
        "run": run.verified(),
    }


def recipe_facts(recipe: str, folder: Path) -> Facts:
    """A run of `recipe`: generated, labelled, sharded; that of `render` also attacked in words and sharded again."""
    run = Run(folder)
    facts = generated(run, recipe, *GENERATE[recipe], *SEED)
    facts |= run.label(TRUTH if recipe == "render" else LABELLERS)
    facts |= run.shards()
    if recipe == "render":
        (homoglyphs,) = run.on("attack", "--attacks", "homoglyphs", "--engine", "local")["rounds"]
        facts["homoglyphs"] = homoglyphs["digest"]
        facts |= {f"{name}_with_homoglyphs": value for name, value in run.shards().items()}
    return facts | {"commands": run.commands}


def model_facts(folder: Path) -> Facts:
    """Classifiers trained on a run, an attack on one of them, and their evaluation."""
    run = Run(folder)
    generated(run, "render", "--count", "200", *SEED)
    run.label(TRUTH)
    facts: Facts = {"shards": run.shards()["shards"]}
    for name, arguments in TRAIN.items():
        run.on("train", *arguments)
        facts[name] = sha256((folder / "models" / name / "model.safetensors").read_bytes()).hexdigest()
    evaluating = ("--attacks", "homoglyphs,recompress", "--rows", "8,4", "--workers", "1")
    run.on("evaluate", "--classifiers", "text,late_fusion,cascade", *evaluating)
    facts["results"] = of_rows(run.rows("results/**/*.parquet"))
    attacking = ("--attacks", "pgd", "--against", "models/late_fusion", "--aim", "evade", "--engine", "local")
    (pgd,) = run.on("attack", *attacking)["rounds"]
    assert pgd["variants"], "pgd was to find something to attack"
    return facts | {"pgd": pgd["digest"], "run": run.verified(), "commands": run.commands}


def fingerprint() -> dict[str, str]:
    """What bytes may depend on beyond the plan: what receipts name, and what this machine's processor really is.

    Clouds give one name ("Intel(R) Xeon(R) Processor") to many; torch picks its kernels by what the processor can.
    """
    import torch

    from pipeline.rounds.round import environment

    lines = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    cpu = {name.strip(): value.strip() for name, _, value in lines}
    kind = " ".join(cpu.get(name, "?") for name in ("vendor_id", "cpu family", "model"))
    kernels = torch.backends.cpu.get_cpu_capability()
    return {**environment(), "cpu": kind, "kernels": kernels, "duckdb": version("duckdb")}


def everywhere(part: str) -> tuple[str, ...]:
    """The facts that hold on every machine (L0); all others on one hardware and one set of versions (L1, docs/promises.md).

    The prompts of `rewrite` are a language model's, so they are L1; what is trained has nothing that is not.
    """
    return {"models": (), "rewrite": ("plan",)}.get(part, ("plan", "metadata"))


def unlike(recorded: dict[str, str]) -> list[str]:
    """What of a recorded fingerprint is otherwise here, in words."""
    now = fingerprint()
    return [f"{name} {was}, here {now.get(name)}" for name, was in recorded.items() if now.get(name) != was]


def part(name: str, scratch: Path) -> Facts:
    """The facts of one recipe, or of `models`."""
    return model_facts(scratch) if name == "models" else recipe_facts(name, scratch)


def record(names: Iterable[str]) -> None:
    """Put the facts of these parts into `digests.json`; how long each took goes to stderr."""
    known = json.loads(RECORDED.read_text()) if RECORDED.is_file() else {}
    if known.get("fingerprint") != fingerprint():
        known = {"fingerprint": fingerprint(), "parts": {}}
    for name in names:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="hazmat-golden-") as made:
            known["parts"][name] = part(name, Path(made) / "run")
        print(f"{name}: {time.monotonic() - began:.1f} s", file=sys.stderr)
        RECORDED.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    record(sys.argv[1:] or PARTS)
