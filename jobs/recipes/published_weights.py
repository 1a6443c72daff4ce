"""Recipes that draw with published weights, each needing --restricted. `--model` names a local directory instead of the hub's.

Gigabytes are the weights alone in bf16, two bytes a parameter, counted from the models' configs; activations and the
autoencoder come on top (some 2.5 GB for 1024 pixels). Seconds are others' figures for one picture
(research/pipelines_and_engines.md 4.1), none of ours.
"""

from dataclasses import replace

from jobs.recipes.generators import generator_of
from jobs.recipes.parts import outside
from jobs.recipes.prompts import default_prompts
from jobs.recipes.restricted import guarded, outside_model
from jobs.recipes.several_models import drawn_by_several, held_out
from pipeline.recipe import Recipe
from pipeline.stage import Stage
from pipeline.storage.weights import local_directory
from schemas.run import RunConfig
from stages.generate.diffusion import Diffusion
from stages.generate.replicate import Replicate
from stages.image_io.encode import Encode

LIGHTNING = "sdxl_lightning_4step_unet.safetensors"


def sd15(config: RunConfig) -> Recipe:
    """Stable Diffusion 1.5 at 512 pixels, 25 steps of DPM-Solver++: 2.1 GB; 50 PNDM steps took 1.6 s on an A100.

    Licence of the weights: CreativeML OpenRAIL-M.
    """
    model = outside_model(config, "stable-diffusion-v1-5/stable-diffusion-v1-5")
    return _drawn_with(
        config, "sd15", Diffusion(model=model, scheduler="dpm", steps=25, guidance_scale=7.5, batch_size=16)
    )


def sdxl_turbo(config: RunConfig) -> Recipe:
    """SDXL-Turbo at its own 512 pixels, 4 steps, no guidance: 6.9 GB; 0.08 s on an H100 with TensorRT.

    Licence of the weights: Stability AI Community Licence.
    """
    model = outside_model(config, "stabilityai/sdxl-turbo")
    stage = Diffusion(model=model, scheduler="euler_ancestral_trailing", steps=4, guidance_scale=0.0, batch_size=16)
    return _drawn_with(config, "sdxl_turbo", stage)


def sdxl_lightning(config: RunConfig) -> Recipe:
    """SDXL with Lightning's 4-step UNet at 1024 pixels, no guidance: 6.9 GB; 4 LCM steps took 0.23 s on an H100 with TensorRT.

    A local `--model` directory is SDXL base with the UNet's file (`LIGHTNING`) laid into it.
    Licence of the weights: CreativeML OpenRAIL++-M.
    """
    model = outside_model(config, "stabilityai/stable-diffusion-xl-base-1.0")
    own = None if config.model is None else local_directory(config.model)
    unet = f"ByteDance/SDXL-Lightning/{LIGHTNING}" if own is None else str(own / LIGHTNING)
    stage = Diffusion(model=model, unet=unet, scheduler="euler_trailing", steps=4, guidance_scale=0.0, batch_size=8)
    return _drawn_with(config, "sdxl_lightning", stage)


def sd35(config: RunConfig) -> Recipe:
    """Stable Diffusion 3.5 medium at 1024 pixels, 40 steps, guidance 4.5 (its card): 15.8 GB, 9.5 of it T5. Gated on the hub.

    Licence of the weights: Stability AI Community Licence.
    """
    model = outside_model(config, "stabilityai/stable-diffusion-3.5-medium")
    return _drawn_with(config, "sd35", Diffusion(model=model, steps=40, guidance_scale=4.5, batch_size=4))


def flux(config: RunConfig) -> Recipe:
    """FLUX.1-schnell at 1024 pixels, 4 steps, no guidance (its card): 33.7 GB, so an accelerator of 48 GB or more.

    Licence of the weights: Apache-2.0.
    """
    model = outside_model(config, "black-forest-labs/FLUX.1-schnell")
    return _drawn_with(config, "flux", Diffusion(model=model, steps=4, guidance_scale=0.0, batch_size=4))


def diffusion(config: RunConfig) -> Recipe:
    """Grammar or file → any text-to-image directory (`--model`), or several together → PNG below 256 pixels, else JPEG."""
    if not config.models:
        stage = generator_of(config, outside_model(config, None))
        return _drawn_with(config, "diffusion", stage)
    choose, mixture = drawn_by_several(config)
    recipe = _drawn_with(config, "diffusion", mixture, choose)
    return replace(recipe, shards=held_out(config, recipe.sharding()))


def _drawn_with(config: RunConfig, name: str, stage: Stage, *before: Stage) -> Recipe:
    draw = guarded(config, stage)
    return Recipe(
        name=name,
        prompts=default_prompts(config),
        stages=(Replicate(images_per_prompt=config.images_per_prompt), *before, *draw, Encode()),
        redraw=draw,
        unit_size=64,  # pictures: from 5 s (Turbo) to some minutes (SD 3.5) of work, which is what a lost worker costs
        **outside(),
    )
