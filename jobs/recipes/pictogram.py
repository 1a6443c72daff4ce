"""The recipes: each returns the plan of a generating round, read top to bottom. A new one is a function here."""

from collections.abc import Iterable

from jobs.recipes.restricted import guarded
from pipeline.plan import Plan
from pipeline.stage import Stage
from schemas.errors import InputError
from schemas.run import RunConfig
from schemas.sample import Sample
from stages.generate.diffusion import Diffusion
from stages.generate.mixture import Mixture, Part, SortByPart
from stages.generate.render import Render
from stages.generate.replicate import Replicate
from stages.image_io.encode import Encode
from stages.prompts.distinct import Distinct
from stages.prompts.gated import Gated
from stages.prompts.language_model import SMOLLM2
from stages.prompts.rewrite import Rewrite

EMBEDDED = "assets/world/t2i"


def pictogram(config: RunConfig, items: Iterable[Sample]) -> Plan:
    """Grammar or file → the embedded Stable Diffusion → PNG. The default."""
    _draws_without_model(config)
    stages: tuple[Stage, ...] = (
        Replicate(images_per_prompt=config.images_per_prompt),
        Diffusion(model=EMBEDDED, steps=10, guidance_scale=3.0),
        Encode(),
    )
    return Plan(stages, items, unit_size=64, seed=config.seed)


def render(config: RunConfig, items: Iterable[Sample]) -> Plan:
    """Grammar or file → scenes drawn without a model → PNG. For scale, and as ground truth."""
    _draws_without_model(config)
    # 256 items a unit: 0.3 s of work, so that a lost worker costs little and the commit's fsyncs (3 ms) are 1 %.
    stages = (Replicate(images_per_prompt=config.images_per_prompt), Render(), Encode())
    return Plan(stages, items, unit_size=256, seed=config.seed)


def mixture(config: RunConfig, items: Iterable[Sample]) -> Plan:
    """Grammar or file → three in four drawn by the embedded Stable Diffusion, one without a model → PNG."""
    _draws_without_model(config)
    parts = (Part(Diffusion(model=EMBEDDED, steps=10, guidance_scale=3.0), 3), Part(Render(), 1))
    stages: tuple[Stage, ...] = (
        Replicate(images_per_prompt=config.images_per_prompt),
        SortByPart(parts=parts),
        Mixture(parts=parts),
        Encode(),
    )
    return Plan(stages, items, unit_size=64, seed=config.seed)


def rewrite(config: RunConfig, items: Iterable[Sample]) -> Plan:
    """Vocabulary × templates, or file → SmolLM2 writes a sentence → gate → the embedded Stable Diffusion → PNG.

    `--model` names another language model. One core writes about 1.5 sentences a second.
    """
    stages: tuple[Stage, ...] = (
        Rewrite(model=config.model or SMOLLM2),
        Gated(),
        Distinct(),
        Replicate(images_per_prompt=config.images_per_prompt),
        *guarded(config, Diffusion(model=EMBEDDED, steps=10, guidance_scale=3.0)),
        Encode(),
    )
    return Plan(stages, items, unit_size=64, seed=config.seed)


def _draws_without_model(config: RunConfig) -> None:
    """Raise InputError for what this recipe would pass over in silence."""
    given = {"--model": config.model, "--picture-check": config.picture_check, "--hash-list": config.hash_list}
    for flag in (flag for flag, value in given.items() if value is not None):
        raise InputError(
            f"{flag} goes with --recipe diffusion and other recipes that take a model of yours; {config.recipe!r} does not"
        )
