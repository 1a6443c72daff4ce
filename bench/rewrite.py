#!/usr/bin/env python3
"""Measure prompt synthesis: SmolLM2 writes 200 vocabulary prompts out, and the embedded world draws both.

How fast, whether the same seed gives the same text, how much is near-duplicate or refused, and how often the concept survives:
in the text (as the grammar's reader understands it) and in the picture (as the tagger sees it), beside pictures of the short
prompts themselves. One JSON object on the last line and in bench/results/rewrite.json; about fifteen minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bench.report import report
from bench.world.figures import Figure, share
from pipeline.stage import Stage, Step
from pipeline.storage.weights import REPOSITORY
from schemas.sample import Sample
from stages.generate.diffusion import Diffusion
from stages.prompts.distinct import Distinct
from stages.prompts.gated import Gated
from stages.prompts.rewrite import Rewrite
from stages.prompts.vocabulary import VocabularyPrompts
from stages.world.reader import read
from stages.world.vocabulary import VOCABULARY

REPEATED = 3  # batches written a second time
ALONE = 2  # of them, samples written once more without company
WORLD = REPOSITORY / "assets" / "world"


def batched(stage: Stage, step: Step, samples: Sequence[Sample]) -> Iterator[Sample]:
    """What the stage makes of the samples, in its planned batches."""
    for first in range(0, len(samples), stage.batch_size):
        batch = samples[first : first + stage.batch_size]
        print(f"{stage.name}: {first} of {len(samples)}", file=sys.stderr, flush=True)
        yield from step([sample.with_(batch_row=batch_row) for batch_row, sample in enumerate(batch)])


def written_again(
    stage: Rewrite, step: Step, roots: Sequence[Sample], texts: dict[str | None, str]
) -> dict[str, Figure]:
    """Whether a second time and alone the same text comes."""
    some = roots[: REPEATED * stage.batch_size]
    again = {sample.parent: sample.prompt for sample in batched(stage, step, some)}
    spread = np.linspace(0, len(some) - 1, ALONE).astype(int)
    lone = [(some[i].key, list(step([some[i].with_(batch_row=int(i) % stage.batch_size)]))) for i in spread]
    return {
        "same_text_again": share([again.get(root.key) == texts.get(root.key) for root in some]),
        "same_text_alone": share([(sample[0].prompt if sample else None) == texts.get(key) for key, sample in lone]),
    }


def seen(samples: Sequence[Sample], concepts: Sequence[str]) -> dict[str, Figure]:
    """How often the tagger finds each picture's concept at all, and on top."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    stage = Diffusion()
    drawn = [sample.pixels for sample in batched(stage, stage.open(), samples)]
    model = AutoModelForImageClassification.from_pretrained(
        WORLD / "tagger", local_files_only=True, dtype=torch.float32
    )
    inputs = AutoImageProcessor.from_pretrained(WORLD / "tagger", local_files_only=True)(
        images=drawn, return_tensors="pt"
    )
    with torch.inference_mode():
        probabilities = model.eval()(**inputs).logits.sigmoid().numpy()
    columns = {name: int(index) for index, name in model.config.id2label.items()}
    wanted = np.array([columns[concept] for concept in concepts])
    thresholds = np.asarray(getattr(model.config, "thresholds", [0.5] * len(columns)))
    rows = np.arange(len(wanted))
    of_concepts = probabilities[:, [columns[concept.name] for concept in VOCABULARY]]
    top = np.array([columns[VOCABULARY[index].name] for index in of_concepts.argmax(1)])
    return {"found": share(probabilities[rows, wanted] >= thresholds[wanted]), "top_1": share(top == wanted)}


def measure(count: int) -> dict[str, Any]:
    """All figures."""
    roots = [Sample.from_prompt(prompt, 0) for prompt in VocabularyPrompts(count)]
    concept = {root.key: VOCABULARY[index % len(VOCABULARY)].name for index, root in enumerate(roots)}
    stage = Rewrite(prompt_tokens=64)  # vocabulary prompts are short: a third less to read than by default
    started, used = time.perf_counter(), time.process_time()
    step = stage.open()
    loaded, used_loading = time.perf_counter(), time.process_time()
    rewritten = list(batched(stage, step, roots))
    done, used_writing = time.perf_counter(), time.process_time()
    print(f"written in {done - started:.0f} s", file=sys.stderr)
    texts = {sample.parent: sample.prompt for sample in rewritten}
    passed = list(Gated().open()(rewritten))
    distinct = list(Distinct().open()(passed))
    of_made = [concept[str(sample.parent)] for sample in rewritten]
    figures: dict[str, Any] = {
        "model": stage.model,
        "prompts": count,
        "seconds_to_load": round(loaded - started, 1),
        "cpu_seconds_to_load": round(used_loading - used, 1),
        "seconds_per_prompt": round((done - loaded) / count, 2),
        "cpu_seconds_per_prompt": round((used_writing - used_loading) / count, 2),
        "declined_or_empty": count - len(rewritten),
        "refused_by_the_gate": len(rewritten) - len(passed),
        "near_duplicates": len(passed) - len(distinct),
        "words_per_text": round(float(np.mean([len(sample.prompt.split()) for sample in rewritten])), 1),
        "concept_in_prompt": share([concept[root.key] in read(root.prompt).concepts for root in roots]),
        "concept_in_text": share([name in read(s.prompt).concepts for s, name in zip(rewritten, of_made, strict=True)]),
        **written_again(stage, step, roots, texts),
    }
    if (WORLD / "tagger" / "config.json").is_file():
        figures["drawn_from_the_prompt"] = seen(roots, [concept[root.key] for root in roots])
        figures["drawn_from_the_text"] = seen(rewritten, of_made)
        kept = [(s, name) for s, name in zip(rewritten, of_made, strict=True) if name in read(s.prompt).concepts]
        figures["drawn_from_texts_that_name_it"] = seen([s for s, _ in kept], [name for _, name in kept])
    figures["examples"] = [[root.prompt, texts.get(root.key)] for root in roots[60 :: max(1, count // 8)]]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    report("rewrite", measure(parser.parse_args().count))


if __name__ == "__main__":
    main()
