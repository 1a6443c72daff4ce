"""What the denoiser predicts in an early step, judged by a small network."""

from typing import ClassVar

from classifiers.families.in_diffusion import GridProbe


class PredictedNoise(GridProbe):
    """Judges the guided prediction; the idea is IGD's (arXiv 2508.03006), the network is ours: theirs is not published.

    The prediction is read as the model makes it: noise, v or velocity.
    """

    kind: ClassVar[str] = "predicted_noise"
    reads: ClassVar[frozenset[str]] = frozenset({"noise"})
    capture: ClassVar[str] = "noise"
