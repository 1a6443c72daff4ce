"""The simplest look into a drawing: its latent after an early step."""

from typing import ClassVar

from classifiers.families.in_diffusion import GridProbe


class LatentProbe(GridProbe):
    """Judges the latent; like FlowGuard (arXiv 2604.07879) in what it reads, without its decoding and curriculum."""

    kind: ClassVar[str] = "latent_probe"
    reads: ClassVar[frozenset[str]] = frozenset({"latent"})
    capture: ClassVar[str] = "latent"
