"""The model card of assets/world/vlm: what it is, what it saw, what it is not for."""

from pathlib import Path

from stages.world.training.card import curve
from stages.world.training.loop import progress_of

CARD = """---
license: apache-2.0
tags: [hazmat, synthetic, pictograms]
---
# A small LLaVA of the pictogram world

`transformers.LlavaForConditionalGeneration` and `LlavaProcessor`: the picture tower of `../clip` (frozen; all patches and the class
token of its last layer), a projector, and a Llama of 0.75 M parameters besides its vocabulary of 708 words. `lora/` is the
adapter that makes it PerspectiveVision (UnsafeBench, arXiv 2405.03486, section 5), in peft's layout: `jobs/moderate.py` takes it.

Made by `jobs/perspective.py pretrain` (below), then `jobs/perspective.py tune RUN --method vision_language` (`lora/metrics.json`;
RUN as in assets/world/linear_probe/README.md). fp16 weights, of the base the exponential average of the training weights.
Settings stand at the top of `jobs/perspective_training/*.py`, figures in `docs/results/perspective.md`; `make bench-perspective`
measures them again.

| training | steps | samples | minutes | last rows of its curve |
|---|---|---|---|---|
{rows}

**Data**: scenes composed from Noto emoji (Apache-2.0, see NOTICE) with synthetic captions; no photograph, no person.
**Limits**: it ticks which of a list's names a picture shows; describing it, it names a small part (`named`).
**Use**: developing and testing Hazmat. **Not for**: anything about real pictures. Harmless pictograms stand in for unsafe
categories; the model knows no hazardous content.
"""


def write_card(out: Path, trainings: dict[str, Path]) -> None:
    """Store README.md; `trainings` are work folders by the name that the table gives them."""
    rows = []
    for purpose, work in trainings.items():
        done, seen = progress_of(work, "llava-captions"), curve(work, "llava-captions")
        assert done is not None, work
        figures = {key: value for row in seen[-2:] for key, value in row.items() if key not in vars(done)}
        last = ", ".join(f"{key} {value:.4g}" for key, value in figures.items() if key != "fraction")
        rows.append(f"| {purpose} | {done.step} | {done.samples} | {done.seconds / 60:.1f} | {last} |")
    (out / "README.md").write_text(CARD.format(rows="\n".join(rows)), encoding="utf-8")
