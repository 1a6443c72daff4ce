"""Several generators in one run: `--model A --model B --model-weight 3 --model-weight 1`."""

from dataclasses import replace
from pathlib import Path

from jobs.recipes.generators import generator_of
from jobs.recipes.restricted import outside_model
from pipeline.catalogue.duck import quoted
from pipeline.recipe import ShardRecipe
from pipeline.selection.splits import HeldOut, SplitRules
from pipeline.stage import Stage
from schemas.distribution import Choice
from schemas.errors import InputError
from schemas.generation import ADDRESS, WRITER
from schemas.run import RunConfig
from stages.generate.choose_model import ChooseModel
from stages.generate.mixture import Mixture, Part


def models_of(config: RunConfig) -> tuple[tuple[str, float], ...]:
    """The models with their weights. Raises InputError for weights that are not theirs, and for models that need --restricted."""
    models, weights = config.models or [], config.model_weights or [1.0] * len(config.models or [])
    if len(weights) != len(models):
        raise InputError(
            f"--model-weight: {len(weights)} weights for {len(models)} models; give one for each --model, in order"
        )
    if len(set(models)) < len(models):
        raise InputError("--model: a model is there twice; give it a weight instead")
    for model in models:
        outside_model(replace(config, model=model), None)
    return tuple(zip(models, weights, strict=True))


def drawn_by_several(config: RunConfig) -> tuple[Stage, Mixture]:
    """What says which of the models draws each picture, and what draws it: each with its family's own steps and guidance."""
    models = models_of(config)
    parts = tuple(Part(generator_of(config, model), weight) for model, weight in models)
    return ChooseModel(models=Choice(models)), Mixture(parts=parts)


def held_out(config: RunConfig, shards: ShardRecipe) -> ShardRecipe:
    """These shards without the pictures of `--held-out-model` in training. Raises InputError where it is none of the models."""
    model = config.held_out_model
    if model is None:
        return shards
    if model not in (config.models or []):
        raise InputError(
            f"--held-out-model {model}: expected one of the --model that are given, which are to be several"
        )
    where = f"(generator = {quoted(model)} OR starts_with(generator, {quoted(model + '+')}))"
    name = Path(model).name.replace(",", "-").replace("|", "-")
    rules = replace(shards.rules, splits=SplitRules(held_out=(HeldOut(f"generator:{name}", where),)))
    return replace(shards, rules=rules, nothing_held_out=None)


def refuse_several(config: RunConfig) -> None:
    """Raise InputError for a recipe that draws with one model."""
    if config.models and config.recipe != "diffusion":
        raise InputError(
            f"--model {config.models[1]}: recipe {config.recipe} takes one model; several go with --recipe diffusion"
        )
    if config.writer is not None and (config.recipe != "rewrite" or not config.writer.startswith(WRITER)):
        raise InputError(f"--writer {config.writer}: expected chat:URL#NAME, with --recipe rewrite")
    models = [config.model, *(config.models or [])]
    if config.image_price is not None and not any(model and model.startswith(ADDRESS) for model in models):
        raise InputError("--image-price: goes with a generator behind an address, --model openai:URL#NAME")
    for flag, value in (("--model-weight", config.model_weights), ("--held-out-model", config.held_out_model)):
        if value is not None and not config.models:
            raise InputError(f"{flag}: goes with several --model")
