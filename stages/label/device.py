"""Where a labeller's model runs."""

from functools import cache

from schemas.device import best_device


@cache
def device() -> str:
    """The accelerator if there is one, else the CPU."""
    return str(best_device())


def quieten() -> None:
    """No bars and no warnings of `transformers`: a log holds what Hazmat says, and never a prompt."""
    import transformers.utils.logging

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
