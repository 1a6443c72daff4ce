"""Trainings of the world can be killed at any moment and end with the weights they would have had."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.world.training.captions_with_nouns import noun_tokens, word_scene
from stages.world.training.loop import Budget, averaged_weights, learning_rate, progress_of
from stages.world.training.scene_batches import NAMES, SceneMixture, cells, sample_scene, shown
from stages.world.training.tokenizer import build, learn_merges

ROOT = Path(__file__).resolve().parents[3]


def test_budget_wants_minutes_or_samples() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Budget()
    with pytest.raises(ValueError, match="exactly one"):
        Budget(minutes=1, samples=1)
    assert Budget(minutes=2).fraction(60, 0) == 0.5
    assert Budget(samples=10).fraction(0, 25) == 1.0


def test_learning_rate_warms_up_holds_and_ends_at_zero() -> None:
    assert learning_rate(1.0, 0.25, 0.0, step=0) == 0.01
    assert learning_rate(1.0, 0.25, 0.2, step=500) == 1.0
    assert learning_rate(1.0, 0.25, 1.0, step=500) == pytest.approx(0.0)


def test_merges_make_every_word_one_token() -> None:
    words = ["knife", "knives", "pistol", "picture", "a"]
    tokenizer = build(words)
    assert all(len(tokenizer(word)["input_ids"]) == 3 for word in words)
    assert learn_merges(["ab", "ab"]) == learn_merges(["ab"])


def test_nouns_are_found_in_captions_even_when_misspelt() -> None:
    rng = np.random.default_rng(0)
    scenes = [sample_scene(rng, SceneMixture(pairs=0.5, triples=0.2)) for _ in range(300)]
    wordings = [word_scene(scene, rng, typos=0.5) for scene in scenes]
    named = [
        {NAMES[noun.concept] for noun in wording.nouns} == set(s.concepts)
        for s, wording in zip(scenes, wordings, strict=True)
    ]
    assert np.mean(named) > 0.97
    ids, rows = noun_tokens(build(["a", "knife"]), wordings)
    assert rows[:, 1].max() < ids.shape[1]


def test_cells_lie_where_the_scene_says() -> None:
    rng = np.random.default_rng(1)
    scene = sample_scene(rng, SceneMixture(pairs=1.0))
    found = set(cells([scene], 8).flatten().tolist()) - {0}
    assert found == {NAMES.index(name) + 1 for name in scene.concepts}
    assert shown([scene]).sum() == len(set(scene.concepts))


def _train(work: Path, samples: int) -> list[str]:
    out = ["--work", str(work), "--out", str(work / "out"), "--samples", str(samples), "--seed", "3"]
    return [sys.executable, str(ROOT / "jobs" / "world.py"), "train", "vae", *out]


def _weights(work: Path) -> dict[str, torch.Tensor]:
    return averaged_weights(work, "vae")


@pytest.mark.slow
def test_killed_training_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    environment = {**os.environ, "HAZMAT_CHECKPOINT_SECONDS": "0.5"}
    subprocess.run(_train(tmp_path / "whole", 480), check=True, env=environment)
    killed = subprocess.Popen(_train(tmp_path / "killed", 480), env=environment)
    checkpoint = tmp_path / "killed" / "vae" / "checkpoint.safetensors"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    steps = progress_of(tmp_path / "killed", "vae").step
    assert 0 < steps < 20, "the kill came too late to show anything"
    subprocess.run(_train(tmp_path / "killed", 480), check=True, env=environment)
    whole, resumed = _weights(tmp_path / "whole"), _weights(tmp_path / "killed")
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    rows = (tmp_path / "killed" / "vae" / "curve.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(rows[-1])["fraction"] == 1.0
