"""The recipes: each returns the plan of a generating round, read top to bottom. A new one is a function here."""

from collections.abc import Callable, Iterable

from pipeline.plan import Plan
from pipeline.stage import Stage
from schemas.errors import InputError
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.generate.diffusion import Diffusion
from stages.generate.render import Render
from stages.generate.replicate import Replicate
from stages.sink.encode import Encode

EMBEDDED = "assets/world/t2i"


def pictogram(config: RunConfig, items: Iterable[Sample]) -> Plan:
    """Grammar or file → the embedded Stable Diffusion → PNG. The default."""
    if config.model is not None:
        raise InputError("--model goes with --recipe diffusion; the recipe 'pictogram' draws with the embedded model")
    stages: tuple[Stage, ...] = (
        Replicate(images_per_prompt=config.images_per_prompt),
        Diffusion(model=EMBEDDED, steps=10, guidance_scale=3.0),
        Encode(),
    )
    return Plan(stages, items, unit_size=64, seed=config.seed)


def render(config: RunConfig, items: Iterable[Sample]) -> Plan:
    """Grammar or file → scenes drawn without a model → PNG. For scale, and as ground truth."""
    if config.model is not None:
        raise InputError("--model goes with --recipe diffusion; the recipe 'render' draws without a model")
    # 256 items a unit: 0.3 s of work, so that a lost worker costs little and the commit's fsyncs (3 ms) are 1 %.
    return Plan(
        (Replicate(images_per_prompt=config.images_per_prompt), Render(), Encode()),
        items,
        unit_size=256,
        seed=config.seed,
    )


def diffusion(config: RunConfig, items: Iterable[Sample]) -> Plan:
    """Grammar or file → any text-to-image directory (`--model`) → PNG below 256 pixels, else JPEG."""
    if config.model is None:
        raise InputError("--recipe diffusion draws with a model of yours: give --model DIR_OR_ID")
    stages: tuple[Stage, ...] = (
        Replicate(images_per_prompt=config.images_per_prompt),
        Diffusion(model=config.model, steps=30, guidance_scale=7.5),
        Encode(),
    )
    return Plan(stages, items, unit_size=64, seed=config.seed)


Recipe = Callable[[RunConfig, Iterable[Sample]], Plan]
RECIPES: dict[str, Recipe] = {"pictogram": pictogram, "render": render, "diffusion": diffusion}
