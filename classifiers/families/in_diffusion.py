"""What the detectors inside a drawing share: they read captures of an early step and foretell the finished picture's label."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from classifiers.classifier import Classifier, Features
from classifiers.layers.encoder import ClipEncoder
from schemas.errors import InputError
from schemas.protocols import Inputs

SHARE = 0.2  # of the schedule's steps are done when a detector is asked
WIDTH = 64  # channels of the convolutions
LATENT = 4  # channels of the latent of Stable Diffusion 1.x, 2.x, XL and PixArt, and of what they predict of it


class InDiffusion(Classifier):
    """Captures (`reads`) → logits of the finished picture's labels. `share` of the schedule is done when it is asked.

    It reads no prompt: the words that it sees are those that were drawn from (a capture). So an attack on words must draw anew, and
    one that does not is refused rather than found harmless.
    """

    scopes: ClassVar[tuple[str, ...]] = ("image",)
    share: float = SHARE

    def features(self, inputs: Inputs, embeddings: Tensor | None = None) -> Features:
        """The captures in float32. Raises InputError for rows without them, and for words that nothing was drawn from."""
        if embeddings is not None:
            raise InputError(
                f"{self.name} judges during denoising: attack its words by drawing anew, as bench/in_diffusion/__main__.py does"
            )
        missing = sorted(self.reads - inputs.captures.keys())
        if missing:
            raise InputError(f"{self.name} reads {missing}, which these rows lack; generate with --recipe in_diffusion")
        device = self.embedding_table().device
        return {name: inputs.captures[name].to(device, torch.float32) for name in sorted(self.reads)}

    def settings(self) -> dict[str, Any]:
        """With the share of the schedule."""
        return {**super().settings(), "share": self.share}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], encoder: ClipEncoder, name: str) -> Self:
        """As in `Classifier`."""
        model = super().from_settings(settings, encoder, name)
        model.share = settings["share"]
        return model


class CaptureConvolutions(nn.Module):
    """Captures that are laid out like the picture → [n, 4 · WIDTH]: means and maxima of three convolutions over all of them.

    `grids` are as large as the latent, `blocks` as small as attention to words keeps them; both come with their channels.
    """

    width: ClassVar[int] = 4 * WIDTH

    def __init__(self, grids: Mapping[str, int], blocks: Mapping[str, int] | None = None) -> None:
        super().__init__()
        self.grids, blocks = tuple(grids), blocks or {}
        # GroupNorm, so that it is batch-invariant.
        self.fine = nn.Sequential(
            *_convolved(sum(grids.values()), WIDTH),
            *_convolved(WIDTH, WIDTH, stride=2),
        )
        self.coarse = nn.ModuleDict(
            {name: nn.Sequential(nn.GroupNorm(1, c), nn.Conv2d(c, WIDTH, 1)) for name, c in blocks.items()}
        )
        self.both = nn.Sequential(*_convolved(2 * WIDTH if blocks else WIDTH, 2 * WIDTH))

    def forward(self, seen: Mapping[str, Tensor]) -> Tensor:
        """Of captures [n, channels, height, width] by name."""
        fine = self.fine(torch.cat([seen[name] for name in self.grids], dim=1))
        if self.coarse:
            sides = max((seen[name].shape[2], seen[name].shape[3]) for name in self.coarse)
            coarse = [interpolate(read(seen[name]), sides) for name, read in self.coarse.items()]
            fine = torch.cat([adaptive_avg_pool2d(fine, sides), torch.stack(coarse).sum(dim=0)], dim=1)
        laid = self.both(fine)
        return torch.cat([laid.mean(dim=(2, 3)), laid.amax(dim=(2, 3))], dim=1)


def _convolved(channels: int, width: int, stride: int = 1) -> Sequence[nn.Module]:
    return nn.Conv2d(channels, width, 3, padding=1, stride=stride), nn.GroupNorm(8, width), nn.GELU()


class GridProbe(InDiffusion):
    """One capture that is laid out like the picture, and one layer over what convolutions make of it."""

    capture: ClassVar[str]

    def __init__(self, encoder: ClipEncoder, categories: Sequence[str], name: str, channels: int = LATENT) -> None:
        super().__init__(encoder, categories, name)
        self.channels = channels
        self.layout = CaptureConvolutions({self.capture: channels})
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(self.layout.width, 1 + len(categories)))

    def verdicts(self, features: Features) -> dict[str, Tensor]:
        """One scope. Raises InputError for a capture of another form."""
        check_grid(self.name, features[self.capture], self.capture, self.channels)
        return {"image": self.head(self.layout(features))}

    def settings(self) -> dict[str, Any]:
        """With the number of channels."""
        return {**super().settings(), "channels": self.channels}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], encoder: ClipEncoder, name: str) -> Self:
        """As in `Classifier`."""
        model = cls(encoder, settings["categories"], name, settings["channels"])
        model.threshold, model.share = settings["threshold"], settings["share"]
        return model


def check_grid(reader: str, seen: Tensor, capture: str, channels: int) -> None:
    """Raises InputError for a capture that is not [n, channels, height, width]."""
    if seen.ndim != 4 or seen.shape[1] != channels:
        raise InputError(f"{reader}: the {capture} is {list(seen.shape)}, expected [n, {channels}, height, width]")
