"""The recipe that keeps what early denoising steps knew, for detectors that stop a picture before it is made."""

from jobs.recipes.parts import EMBEDDED, world
from jobs.recipes.prompts import default_prompts
from jobs.recipes.restricted import guarded, outside_model
from pipeline.recipe import Recipe
from pipeline.rounds.captures import PackCaptures
from schemas.run import RunConfig
from stages.generate.capture import Early
from stages.generate.captured_diffusion import CapturedDiffusion
from stages.generate.replicate import Replicate
from stages.image_io.encode import Encode

# At most 20 % of the 10 steps; the first is kept too, so that the gain of waiting can be seen.
EARLY = Early(steps=(1, 2))


def in_diffusion(config: RunConfig) -> Recipe:
    """Grammar or file → the embedded Stable Diffusion (or `--model`), with what its first two steps knew → PNG, captures."""
    model = outside_model(config, EMBEDDED)
    draw = guarded(config, CapturedDiffusion(model=model, steps=10, guidance_scale=3.0, keep=EARLY))
    return Recipe(
        name="in_diffusion",
        prompts=default_prompts(config),
        stages=(Replicate(images_per_prompt=config.images_per_prompt), *draw, Encode()),
        redraw=draw,
        pack=PackCaptures(),
        **world(),
    )
