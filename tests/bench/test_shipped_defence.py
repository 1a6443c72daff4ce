"""The shipped guards still do what bench/results/defence.json says: a small part measured again, on pairs drawn anew."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import beta

from bench.report import RESULTS
from classifiers.data.labelled_sample import LabelledSample, ScopeTruth
from classifiers.evaluation.attack_suite import trials_of
from classifiers.evaluation.preserved_truth import keeps_truth
from classifiers.evaluation.scoring import Relabeller, inputs_of
from classifiers.evaluation.variants import variants_of
from classifiers.saved import load
from pipeline.storage.weights import REPOSITORY
from schemas.sample import Sample
from stages.world import truth
from stages.world.draw import draw
from stages.world.grammar import prompt_at
from stages.world.reader import read
from stages.world.scene import compose
from stages.world.training.scene_batches import pictures

HELD_OUT = {"ogre", "dna", "octopus"}
SEED = 61_417  # of prompts that neither training nor the bench saw
SLACK = 0.03  # of F1: these rows have no crossed pairs


def cases(count: int) -> list[LabelledSample]:
    """Drawn as their prompts ask, without what is held out."""
    rng, found, index = np.random.default_rng(SEED), [], 0
    while len(found) < count:
        made = prompt_at(SEED, index)
        asked = read(made.generation_prompt)
        index += 1
        if asked.style == "vintage" or HELD_OUT & set(asked.concepts):
            continue
        scene = compose(rng, asked.concepts, colour=asked.colour, ground=asked.ground, style=asked.style)
        by_picture, by_words = truth.of_picture(asked.concepts), truth.of_prompt(read(made.prompt))
        labels = {"image": by_picture.unsafe, "prompt": by_words.unsafe, "pair": made.label == "unsafe"}
        sample = Sample(
            key=f"{index:032x}", root=f"{index:032x}", prompt=made.prompt, source="grammar", scene=scene.to_json(),
            pixels=draw(scene, pictures()),
        )  # fmt: skip
        found.append(
            LabelledSample(sample, {scope: ScopeTruth("unsafe" if bad else "safe") for scope, bad in labels.items()})
        )
    return found


@pytest.mark.slow
def test_the_shipped_weights_give_the_committed_figures_within_their_intervals() -> None:
    said = json.loads((Path(RESULTS) / "defence.json").read_text())
    model, rows = load("embedded:guards"), cases(160)
    with torch.no_grad():
        flagged = model.logits(inputs_of(rows)).argmax(1).bool()
    unsafe = torch.tensor([case.overall.label == "unsafe" for case in rows])
    right = int((flagged & unsafe).sum())
    f1 = 2 * right / (int(flagged.sum()) + int(unsafe.sum()))
    assert f1 >= said["f1_pair_lo"] - SLACK, "clean F1"

    some, passed = [case for case in rows if case.overall.label == "unsafe"][:16], set()
    for trial in trials_of(("apgd", "token_substitution"), True, (16, 0), strength="quick"):
        for variant in variants_of(trial, lambda label: model, some, Relabeller(()), keeps_truth):
            if variant.record is not None and variant.record.achieved:
                passed.add(variant.clean.sample.key)
    least = beta.ppf(0.025, len(passed), len(some) - len(passed) + 1) if passed else 0.0
    measured = [said[key] for key in ("asr_many_worst_hi", "asr_adaptive_worst_hi") if said.get(key) is not None]
    assert measured and least <= max(measured), f"{len(passed)} of {len(some)} pass by two quick attacks"
    assert (REPOSITORY / "assets/world/defence/guards/README.md").is_file()
