"""Image to image at rising strength: does the style change, and does the tagger still see the concept?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.world.figures import Figure, share
from bench.world.models import BATCH, Models, Pictures, picture_features, tag
from bench.world.scenes import NAMES, drawn
from bench.world.tagging import top1
from stages.world.captions import caption
from stages.world.scene import compose
from stages.world.training.generation_accuracy import GUIDANCE
from stages.world.vocabulary import STYLES

STRENGTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
STEPS = 20  # of which `strength` are taken: 10 would leave one for strength 0.1


def _style_reader(models: Models, rng: np.random.Generator) -> Any:
    """A linear reader of styles on CLIP's picture features, fitted on renders."""
    styles = [STYLES[i % len(STYLES)] for i in range(1500)]
    scenes = [compose(rng, [str(rng.choice(NAMES))], style=style) for style in styles]
    features = picture_features(models, drawn(scenes)).numpy()
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(features, styles)


def _edited(pipe: Any, prompts: list[str], sources: Pictures, strength: float) -> Pictures:
    edited = []
    for start in range(0, len(prompts), BATCH):
        some = slice(start, start + BATCH)
        generators = [torch.Generator().manual_seed(5_000_000 + start + i) for i in range(len(prompts[some]))]
        out = pipe(
            prompts[some],
            image=[Image.fromarray(picture) for picture in sources[some]],
            strength=strength,
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            generator=generators,
            output_type="np",
        )
        edited.append(np.rint(out.images * 255).astype(np.uint8))
    return np.concatenate(edited)


def measure(models: Models) -> dict[str, dict[str, Figure]]:
    """For each strength: share of pictures read as the style asked for, and share whose concept the tagger keeps."""
    rng = np.random.default_rng(70_006)
    reader = _style_reader(models, rng)
    pipe = StableDiffusionImg2ImgPipeline(**models.pipe.components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    sources = [compose(rng, [name], ground="plain") for name in NAMES]
    wanted = [STYLES[1 + i % (len(STYLES) - 1)] for i in range(len(sources))]
    captions = [
        compose(rng, s.concepts, colour=s.colour, ground="plain", style=w) for s, w in zip(sources, wanted, strict=True)
    ]
    prompts = [caption(scene, rng, typos=0.0, drop=0.0) for scene in captions]
    pictures = drawn(sources)
    curve: dict[str, dict[str, Figure]] = {}
    for strength in (0.0, *STRENGTHS):
        edited = pictures if strength == 0.0 else _edited(pipe, prompts, pictures, strength)
        styled = reader.predict(picture_features(models, edited).numpy()) == np.array(wanted)
        curve[f"{strength:g}"] = {
            "style_changed": share(styled),
            "concept_kept": share(top1(tag(models, edited), sources)),
        }
    return curve
