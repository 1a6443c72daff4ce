"""The three methods: the committed ones, and baselines in the paper's form trained on a run where they are not there yet."""

import subprocess
import sys
from pathlib import Path

from bench.perspective.sets import EMBEDDED
from classifiers.families.perspective import Perspective
from classifiers.saved import load

METHODS = PROBE, WORDS, PROMPTS, VLM = "linear_probe", "linear_probe_words", "prompt_learning", "vision_language"
COMMITTED = {WORDS: Path("assets/world/linear_probe"), VLM: Path("assets/world/vlm/lora")}


def method(name: str, run: str, folder: Path) -> Perspective:
    """Trained on the run's drawings alone: pictures by the embedded model are out of distribution."""
    place = COMMITTED.get(name, folder / name)
    if not (place / "config.json").is_file():
        command = [sys.executable, "jobs/perspective.py", "tune", run, "--method", name, "--without", EMBEDDED]
        subprocess.run([*command, "--out", str(place)], check=True, stdout=sys.stderr)
    model = load(place)
    assert isinstance(model, Perspective)
    return model
