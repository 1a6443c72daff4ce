"""Where a labeller's model runs."""

from functools import cache


@cache
def device() -> str:
    """The accelerator if there is one, else the CPU."""
    import torch

    return str(torch.accelerator.current_accelerator()) if torch.accelerator.is_available() else "cpu"
