"""The rule for weights from outside (DESIGN section 6)."""

from schemas.errors import InputError
from schemas.run import RunConfig
from stages.weights import REPOSITORY, model_directory, weights_digest


def is_embedded(model: str) -> bool:
    """Whether `model` holds the very weights of the embedded world, wherever it lies."""
    embedded = REPOSITORY / "assets" / "world" / "t2i"
    directory = model_directory(model)
    return directory == embedded or weights_digest(directory) == weights_digest(embedded)


def check_restricted(config: RunConfig) -> None:
    """Raise InputError if the run draws with weights from outside without having said so."""
    if config.model is None or config.restricted or is_embedded(config.model):
        return
    raise InputError(
        f"--model {config.model}: these are not the embedded world's weights, so what they draw may be hazardous. Add "
        "--restricted: the run is then readable to you only, every sheet is blurred, and the sexual category is left out."
    )
