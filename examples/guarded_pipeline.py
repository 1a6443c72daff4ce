"""A text-to-image pipeline with a guard before it and one behind it. Any diffusers pipeline and any trained classifier will do.

python examples/guarded_pipeline.py runs/guarded
"""

import sys
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline

from classifiers.saved import load
from schemas.protocols import Coverage, Inputs, Scores
from stages.generate.guarded_pipeline import GuardedPipeline

ROOT = Path(__file__).resolve().parents[1]
PROMPTS = ["a red apple on a blue background", "a pistol", "a dog", "a bomb"]


class WordList:
    """What a guard is asked: scores for prompts, and from which score on it refuses. This one knows a single word."""

    name, threshold = "word list", 0.5
    coverage = Coverage(frozenset({"prompt"}), ("prompt",), ("violence",))

    def score(self, inputs: Inputs) -> Scores:
        """1 for prompts about bombs, else 0."""
        scores = torch.tensor(["bomb" in prompt for prompt in inputs.prompts]).float()
        return Scores({"prompt": scores}, {"prompt": scores[:, None]})


def main(out: str) -> None:
    """Refused prompts are not drawn, refused pictures are not given out; each refusal says who, when and with which score."""
    pipeline = StableDiffusionPipeline.from_pretrained(ROOT / "assets" / "world" / "t2i", safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    guard = GuardedPipeline(pipeline, text=WordList(), image=load(ROOT / "assets" / "world" / "linear_probe"))
    generators = [torch.Generator().manual_seed(row) for row in range(len(PROMPTS))]
    answer = guard(PROMPTS, num_inference_steps=10, guidance_scale=3.0, generator=generators, height=64, width=64)
    Path(out).mkdir(parents=True, exist_ok=True)
    for row, (prompt, image, refusal) in enumerate(zip(PROMPTS, answer.images, answer.refusals, strict=True)):
        if refusal is None:
            image.save(Path(out) / f"{row}.png")
            print(f"{prompt!r}: {out}/{row}.png")
        else:
            print(f"{prompt!r}: refused by the {refusal.where} guard after {refusal.step} steps ({refusal.unsafe:.2f})")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/guarded")
