"""The card that is measured: its name, its peak, and what NVML saw of it over time."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

NO_CARD = "not run on a card"
EVERY = 0.1  # seconds between two looks
PEAKS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "GH200": 989e12,
    "B200": 2250e12,
    "A100": 312e12,
    "A10": 125e12,
    "L40S": 362e12,
    "L4": 121e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}
"""Dense bfloat16 operations per second that makers' data sheets promise, by a part of the name; the longest that fits counts."""


def card() -> str | None:
    """The name of the first CUDA device, None where there is none."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def memory() -> int:
    """Bytes of the card."""
    import torch

    return int(torch.cuda.get_device_properties(0).total_memory)


def peak(name: str | None) -> float | None:
    """Operations per second, None for a card that is not in the table."""
    known = sorted((part for part in PEAKS if name and part in name), key=len)
    return PEAKS[known[-1]] if known else None


def mfu(flops_an_image: float, images_per_second: float, name: str | None) -> float | None:
    """Share of the card's peak that the denoiser's arithmetic alone takes (model FLOPs utilisation, Chowdhery et al. 2022)."""
    top = peak(name)
    return None if top is None else round(flops_an_image * images_per_second / top, 4)


@dataclass
class Watch:
    """What NVML says while something runs: (unix seconds, share of the time in which a kernel ran, bytes in use)."""

    seen: list[tuple[float, float, int]] = field(default_factory=list)

    def utilisation(self, start: float, stop: float) -> float | None:
        """Mean share in [0, 1] between two times; None where nothing was seen."""
        shares = [share for at, share, _ in self.seen if start <= at <= stop]
        return round(mean(shares), 3) if shares else None

    def peak_gib(self, start: float, stop: float) -> float | None:
        """Most memory in use on the card, of all processes."""
        used = [size for at, _, size in self.seen if start <= at <= stop]
        return round(max(used) / 2**30, 2) if used else None


@contextmanager
def watched_card() -> Iterator[Watch]:
    """Look at the first card every `EVERY` seconds; needs `nvidia-ml-py` (the extra `gpu`), else nothing is seen."""
    watch, done = Watch(), threading.Event()
    looking = threading.Thread(target=_look, args=(watch, done), daemon=True)
    looking.start()
    try:
        yield watch
    finally:
        done.set()
        looking.join()


def _look(watch: Watch, done: threading.Event) -> None:
    import torch

    cuda: Any = torch.cuda
    if card() is None:
        return
    while not done.wait(EVERY):
        try:
            share, used = cuda.utilization(0) / 100, cuda.device_memory_used(0)
        except ModuleNotFoundError:  # no nvidia-ml-py
            return
        watch.seen.append((time.time(), share, used))
