"""The recipe that keeps what early denoising steps knew, for detectors that stop a picture before it is made."""

from collections.abc import Iterable

from jobs.recipes.restricted import guarded, outside_model
from pipeline.plan import Plan
from pipeline.rounds.captures import PackCaptures
from pipeline.stage import Stage
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.generate.capture import Early
from stages.generate.captured_diffusion import CapturedDiffusion
from stages.generate.replicate import Replicate
from stages.image_io.encode import Encode

# At most 20 % of the 10 steps; the first is kept too, so that the gain of waiting can be seen.
EARLY = Early(steps=(1, 2))


def in_diffusion(config: RunConfig, items: Iterable[Sample]) -> Plan:
    """Grammar or file → the embedded Stable Diffusion (or `--model`), with what its first two steps knew → PNG, captures."""
    model = outside_model(config, "assets/world/t2i")
    stages: tuple[Stage, ...] = (
        Replicate(images_per_prompt=config.images_per_prompt),
        *guarded(config, CapturedDiffusion(model=model, steps=10, guidance_scale=3.0, keep=EARLY)),
        Encode(),
    )
    return Plan(stages, items, unit_size=64, seed=config.seed, pack=PackCaptures())
