"""The settings of generation that the command line gives, laid over what a recipe draws with; and those of single rows, checked."""

from collections.abc import Callable
from dataclasses import replace

from pipeline.recipe import Recipe
from pipeline.stage import Stage
from schemas.errors import InputError
from schemas.generation import GenerationSettings, settings_of
from schemas.run import RunConfig
from stages.generate.drawing import Drawing
from stages.generate.load_options import AS_IT_IS, LoadOptions
from stages.generate.long_prompts import CHUNKS, TRUNCATE
from stages.generate.mixture import Mixture
from stages.generate.replicate import Replicate
from stages.generate.row_settings import kind_of
from stages.generate.settable import SettableGenerator
from stages.generate.tuning import UNTUNED, SpeedTuning
from stages.generate.vary_settings import VarySettings

FLAGS = {"loras": "--lora", "tuning": "--compile and --fp8"}
Check = Callable[[str], None]
"""Raises InputError for what a row asks of its generator (`Prompt.settings`) and cannot have."""


def as_asked(config: RunConfig, recipe: Recipe) -> Recipe:
    """The recipe, whose generator draws with what was asked for in place of its own; pictures of attacked prompts alike.

    A setting with a distribution is drawn picture by picture; a variant in words is drawn as its parent was. Raises InputError for
    values out of range, and for settings that the recipe has no generator to give them to, or that it cannot draw with.
    """
    settings, varied = config.generation.given(), config.varied
    if config.long_prompts != TRUNCATE:
        settings |= {"long_prompts": CHUNKS if config.long_prompts == CHUNKS else TRUNCATE}
    options = load_options(config)
    settings |= options.given()
    if config.compile or config.fp8:
        settings["tuning"] = SpeedTuning(config.compile, config.fp8)
    if not settings and not varied:
        return recipe
    if not generators(recipe.stages):
        flags = ", ".join(FLAGS.get(name, f"--{name.replace('_', '-')}") for name in {**settings, **varied})
        raise InputError(f"{flags}: recipe {recipe.name} has no single diffusion model to give them to; leave them out")

    def asked(stage: Stage) -> Stage:
        if isinstance(stage, Mixture):
            return replace(stage, parts=tuple(replace(part, generator=asked(part.generator)) for part in stage.parts))
        if not isinstance(stage, SettableGenerator):
            return stage
        laid = _loaded_as(stage.with_settings(config.generation), options)
        laid = _tuned(laid, SpeedTuning(config.compile, config.fp8))
        return _with_chunks(laid) if config.long_prompts == CHUNKS else laid

    stages = tuple(map(asked, recipe.stages))
    if varied:
        vary = VarySettings(**varied)  # type: ignore[arg-type]
        _check(vary, stages)
        at = _before_drawing(stages)
        stages = (*stages[:at], vary, *stages[at:])
    return replace(recipe, stages=stages, redraw=tuple(map(asked, recipe.redraw)))


def load_options(config: RunConfig) -> LoadOptions:
    """How weights are read, as the command line says. Raises InputError."""
    if config.model_config is not None and config.models:
        raise InputError("--model-config: of several --model each finds its configs beside its file; leave it out")
    return LoadOptions(
        config=config.model_config,
        denoiser=config.denoiser,
        quantise=config.quantise,
        embeddings=tuple(config.textual_inversion or ()),
        offload=config.offload,
    )


def _loaded_as(stage: SettableGenerator, options: LoadOptions) -> SettableGenerator:
    if options == AS_IT_IS:
        return stage
    if not isinstance(stage, Drawing):
        raise InputError(f"--{next(iter(options.given()))}: {stage.model} loads its weights itself; leave it out")
    return replace(stage, load=options)


def _tuned(stage: SettableGenerator, tuning: SpeedTuning) -> SettableGenerator:
    if tuning == UNTUNED:
        return stage
    if not isinstance(stage, Drawing):
        raise InputError(f"--compile and --fp8: {stage.model} is not loaded here; leave them out")
    return replace(stage, tuning=tuning)


def _with_chunks(stage: SettableGenerator) -> Stage:
    if not isinstance(stage, Drawing):
        raise InputError(f"--long-prompts chunks: {stage.model} encodes prompts by itself; leave it out")
    return replace(stage, long_prompts=CHUNKS)


def row_check(recipe: Recipe) -> Check | None:
    """Whether the recipe's generators can draw as a row asks; None where the recipe has none that heeds settings."""
    drawing = generators(recipe.stages)
    seen: set[GenerationSettings] = set()

    def check(settings: str) -> None:
        kind = kind_of(settings_of(settings))
        if kind not in seen:
            for generator in drawing:
                generator.check_row(settings)
            seen.add(kind)

    return check if drawing else None


def generators(stages: tuple[Stage, ...]) -> list[SettableGenerator]:
    """All diffusion models, those of a mixture too if it is of nothing else: the others would pass settings over in silence."""
    found = [stage for stage in stages if isinstance(stage, SettableGenerator)]
    for mixture in (stage for stage in stages if isinstance(stage, Mixture)):
        parts = [part.generator for part in mixture.parts if isinstance(part.generator, SettableGenerator)]
        found += parts if len(parts) == len(mixture.parts) else []
    return found


def _before_drawing(stages: tuple[Stage, ...]) -> int:
    """Behind the fan-out, so that each picture is drawn for, and variants have their parent's settings; else before what draws."""
    fans = [index + 1 for index, stage in enumerate(stages) if isinstance(stage, Replicate)]
    return fans[0] if fans else next(index for index, stage in enumerate(stages) if generators((stage,)))


def _check(vary: VarySettings, stages: tuple[Stage, ...]) -> None:
    for generator in generators(stages):
        for end in vary.ends():
            try:
                generator.check_row(end.to_json())
            except InputError as error:
                raise InputError(f"--{str(error).replace('_', '-', 1)}") from error
