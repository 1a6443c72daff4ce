"""The rule for weights from outside (DESIGN section 6)."""

from dataclasses import replace

from jobs.recipes.generators import refuse_address
from pipeline.stage import Stage
from pipeline.storage.weights import REPOSITORY, local_directory, weights_digest
from schemas.errors import InputError
from schemas.run import RunConfig
from stages.generate.finished_check import FinishedCheck
from stages.prompts.leave_out import LeaveOut


def is_embedded(model: str) -> bool:
    """Whether `model` holds the very weights of the embedded world, wherever it lies. A hub id never does, and is not asked."""
    embedded = REPOSITORY / "assets" / "world" / "t2i"
    directory = local_directory(model)
    if directory is None or not embedded.is_dir():
        return False
    return directory == embedded or weights_digest(directory) == weights_digest(embedded)


def outside_model(config: RunConfig, default: str | None) -> str:
    """The weights to draw with: `--model`, else the recipe's own. Raises InputError if they need --restricted and lack it."""
    model = config.model or default
    if model is None:
        raise InputError(f"--recipe {config.recipe} draws with a model of yours: give --model DIR_OR_ID")
    refuse_address(config, model)
    if not config.restricted and not is_embedded(model):
        named = f"--model {model}" if config.model else f"--recipe {config.recipe} ({model})"
        raise InputError(
            f"{named}: these are not the embedded world's weights, so what they make may be hazardous. Add --restricted: "
            "the run is then readable to you only, every sheet is blurred, and the sexual category is left out."
        )
    return model


def check_restricted(config: RunConfig) -> None:
    """Raise InputError if `--model` names weights from outside and the run does not say so; recipes ask for their own."""
    for model in (config.model, *(config.models or [])):
        if model is not None:
            outside_model(replace(config, model=model), None)


def guarded(config: RunConfig, *drawing: Stage) -> tuple[Stage, ...]:
    """The stages that draw, with what a restricted run adds: the sexual category left out, or every finished picture checked.

    Raises InputError if only one of check and hash list is there, or either without --restricted.
    """
    check, hashes = config.picture_check, config.hash_list
    if (check is None) != (hashes is None):
        raise InputError(
            "the sexual category is kept only with both: give --picture-check MODULE:FUNCTION and --hash-list FILE"
        )
    if check is not None and not config.restricted:
        raise InputError("--picture-check and --hash-list go with --restricted")
    if check is not None and hashes is not None:
        return (*drawing, FinishedCheck(check=check, hash_list=hashes))
    return (LeaveOut(), *drawing) if config.restricted else drawing
