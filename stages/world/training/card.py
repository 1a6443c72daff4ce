"""Model cards: what a part is, what it was trained on and with which settings, what it is not for."""

from __future__ import annotations

import json
from pathlib import Path

from stages.world.training.loop import progress_of
from stages.world.training.warm_start import earlier_rows

ABOUT = {
    "clip": (
        "A small CLIP of the pictogram world",
        "`transformers.CLIPModel` and `CLIPProcessor`: 64-px pictures, 77 byte-level BPE tokens. The text tower was trained"
        " first (noun tokens by concept and place, end token by all the caption says), then frozen; the picture tower was"
        " trained against it, contrastively and with dense labels.",
    ),
    "t2i": (
        "A small Stable Diffusion of the pictogram world",
        "`diffusers.StableDiffusionPipeline`: `AutoencoderTiny` (f4, 16x16x4), `UNet2DConditionModel` (32, 96, 160,"
        " v-prediction, zero terminal SNR), the text tower of `../clip`. 10 DDIM steps at guidance 3. Load it with"
        " `safety_checker=None, requires_safety_checker=False, local_files_only=True`.",
    ),
    "tagger": (
        "The tagger of the pictogram world",
        "`transformers` image classification, multi-label over all concepts and `none`; no CLIP in it. The threshold of each"
        " label stands in `config.json` (`thresholds`). Trained on renders with noise, blur, compression and round trips"
        " through the autoencoder of `../t2i`.",
    ),
}


def declare_float32(directory: Path) -> None:
    """Weights are stored in half precision to be small; `from_pretrained` loads what config.json names as `dtype`."""
    path = directory / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"dtype": "float32"}
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def curve(work: Path, name: str) -> list[dict[str, float]]:
    """The rows of a training's curve, oldest first."""
    path = work / name / "curve.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def write_card(out: Path, part: str, work: Path, trainings: tuple[str, ...]) -> None:
    """Store README.md in the model's directory."""
    load_in_single(out)
    title, about = ABOUT[part]
    rows = []
    for name in trainings:
        rows += earlier_rows(work, name)
        done = progress_of(work, name)
        if done is None:  # adopted as it was
            continue
        measured = [row for row in curve(work, name) if len(row) > 4]
        last = ", ".join(f"{k} {v:.4g}" for k, v in measured[-1].items() if k not in vars(done)) if measured else ""
        rows.append(f"| {name} | {done.step} | {done.samples} | {done.seconds / 60:.1f} | {last} |")
    table = "\n".join(rows)
    out.mkdir(parents=True, exist_ok=True)
    (out / "README.md").write_text(
        f"""---
license: apache-2.0
tags: [hazmat, synthetic, pictograms]
---
# {title}

{about}

Made by `jobs/world.py train`; fp16 weights, the exponential average of the training weights. Settings stand at the top
of `jobs/world_training/*.py`, figures and curves in `docs/results/world.md`; `make bench-world` measures them again.

| training | steps | samples | minutes | last row of its curve |
|---|---|---|---|---|
{table}

**Data**: scenes composed from Noto emoji (Apache-2.0, see NOTICE) with synthetic captions; no photograph, no person.
**Use**: developing and testing Hazmat. **Not for**: anything about real pictures. Harmless pictograms stand in for unsafe
categories; the model knows no hazardous content.
""",
        encoding="utf-8",
    )


def load_in_single(out: Path) -> None:
    """Have half-precision files load as float32: transformers would load what the file holds, diffusers float32, and a plain
    `StableDiffusionPipeline.from_pretrained(out)` would mix the two."""
    for config in out.rglob("config.json"):
        config.write_text(config.read_text().replace('"dtype": "float16"', '"dtype": "float32"'))
