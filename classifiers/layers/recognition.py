"""Is anything recognisable in this picture? Judges answer surely about pictures of nothing; this says when not to believe them."""

import json
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from schemas.errors import InputError

HIDDEN = 64
FILES = ("config.json", "model.safetensors")


class Recognition(nn.Module):
    """From CLIP's unit vectors [n, width] to P(nothing recognisable), trained on pictures of nothing (outlier exposure, Hendrycks
    et al. 2019): a distance from the vectors of known pictures told a white one from them in no form that was tried
    (docs/log.md). `cut` in (0, 1) is set so that few known pictures lie above it.
    """

    def __init__(self, width: int, cut: float = 0.5) -> None:
        super().__init__()
        self.width, self.cut = width, cut
        self.layers = nn.Sequential(nn.Linear(width, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, 1))

    def forward(self, vectors: Tensor) -> Tensor:
        """float32 [n], logits of nothing."""
        score: Tensor = self.layers(vectors)[:, 0]
        return score

    @torch.no_grad()
    def nothing(self, vectors: Tensor) -> Tensor:
        """float32 [n], P(nothing recognisable)."""
        return self.forward(vectors).sigmoid()

    @torch.no_grad()
    def calibrate(self, known: Tensor, share: float) -> None:
        """Set the cut so that at most `share` of the known pictures' vectors lie above it."""
        self.cut = float(self.nothing(known).quantile(1 - share))

    def save(self, folder: Path) -> None:
        """The weights, then config.json."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in self.state_dict().items()}, folder / FILES[1])
        (folder / FILES[0]).write_text(json.dumps({"width": self.width, "cut": self.cut}, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote. Raises InputError."""
        try:
            config = json.loads((folder / FILES[0]).read_text())
            model = cls(int(config["width"]), float(config["cut"]))
            model.load_state_dict(load_file(folder / FILES[1]))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise InputError(f"{folder}: no recognition of pictures ({error})") from error
        return model.eval()
