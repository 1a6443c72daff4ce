"""Pictures that the embedded Stable Diffusion draws, labelled as a run labels them: by what the tagger sees in them.

`python -m classifiers.training.concept_reader.generated OUT.npz --count 2000`; drawn once, then a share of every batch.
"""

import argparse
from collections.abc import Iterator
from itertools import count as count_from
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from transformers import AutoModelForImageClassification

from classifiers.training.concept_reader.scenes import CONCEPTS, HELD_OUT_CONCEPTS, HELD_OUT_STYLES
from pipeline.training.process_group import settle
from stages.world.grammar import prompt_at
from stages.world.reader import read
from stages.world.training.generation_accuracy import generate, tag
from stages.world.vocabulary import ASSETS

SEED = 7_023  # of prompts and noise; the benches draw with other seeds


def prompts(seed: int) -> Iterator[str]:
    """Prompts of the grammar that ask for nothing held out."""
    for index in count_from(0):
        drawn = prompt_at(seed, index).generation_prompt
        request = read(drawn)
        if request.style not in HELD_OUT_STYLES and not set(request.concepts) & set(HELD_OUT_CONCEPTS):
            yield drawn


def draw_generated(count: int, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [n, 64, 64, 3] and bool [n, concepts], n <= count: without pictures in which the tagger sees what is held out."""
    pipe = StableDiffusionPipeline.from_pretrained(
        ASSETS / "t2i", safety_checker=None, requires_safety_checker=False, local_files_only=True
    )
    pipe.set_progress_bar_config(disable=True)
    pixels = generate(pipe, list(islice(prompts(seed), count)), seed)
    tagger = AutoModelForImageClassification.from_pretrained(ASSETS / "tagger", local_files_only=True).float().eval()
    names = tagger.config.id2label
    with torch.no_grad():
        seen = (tag(tagger, pixels).sigmoid() >= torch.tensor(tagger.config.thresholds)).numpy()
    column = {name: seen[:, index] for index, name in names.items()}
    kept = ~np.any([column[name] for name in HELD_OUT_CONCEPTS], axis=0)
    return pixels[kept], np.stack([column[name] for name in CONCEPTS], axis=1)[kept]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    settle()
    pixels, concepts = draw_generated(args.count, args.seed)
    np.savez(args.out, pixels=pixels, concepts=concepts)


if __name__ == "__main__":
    main()
