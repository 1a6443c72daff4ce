"""Whether parts of a pipeline wait in the machine's memory while others draw: so that a card runs what it can."""

import logging
from typing import Any

_log = logging.getLogger("hazmat")
ROOM = 1.3  # of the weights' bytes: activations and the autoencoder come on top; no figure of ours, and errs on the safe side


def chosen_offload(wanted: str, sizes: dict[str, int], free: int) -> str:
    """`auto` as what fits `free` bytes: all parts at once, one at a time (`model`), or one layer at a time (`sequential`)."""
    if wanted != "auto":
        return wanted
    if sum(sizes.values()) * ROOM <= free:
        return "none"
    return "model" if max(sizes.values(), default=0) * ROOM <= free else "sequential"


def place(pipeline: Any, wanted: str) -> str:
    """Put the pipeline where it draws; how is said in the log and returned. On a CPU nothing is offloaded: it is there already."""
    import torch

    if not torch.accelerator.is_available():
        pipeline.to("cpu")
        return "none"
    device = str(torch.accelerator.current_accelerator())
    free, whole = torch.accelerator.get_memory_info()
    sizes = part_sizes(pipeline)
    how = chosen_offload(wanted, sizes, free)
    if how == "none":
        pipeline.to(device)
    elif how == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif how == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.enable_group_offload(torch.device(device), offload_type="leaf_level")
    _log.info(
        "weights of %.1f GB, %.1f of %.1f GB free: offload %s", sum(sizes.values()) / 1e9, free / 1e9, whole / 1e9, how
    )
    return how


def part_sizes(pipeline: Any) -> dict[str, int]:
    """Bytes of each part's weights as they are loaded."""
    import torch

    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    return {
        name: sum(tensor.numel() * tensor.element_size() for tensor in part.parameters())
        for name, part in parts.items()
    }
