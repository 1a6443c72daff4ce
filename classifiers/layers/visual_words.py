"""A bag of visual words (Sivic & Zisserman 2003) of CLIP's patches: for each word, how near to it the nearest patch is.

Words are centres of clusters, so they need no labels, and any number of pictures shows them.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

ROUNDS = 12  # of k-means; the mean cosine to the nearest centre moves by less than .001 in the last ones
RIDGE = 1e-2  # share of the mean variance that every direction is given before whitening


class VisualWords(nn.Module):
    """`count` words over patches of `width` channels; they say nothing until `learn`."""

    mean: Tensor
    whitening: Tensor
    centres: Tensor
    usual: Tensor
    spread: Tensor

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        shapes = {"mean": (width,), "whitening": (width, width), "centres": (count, width)}
        for name, shape in {**shapes, "usual": (count,)}.items():
            self.register_buffer(name, torch.zeros(shape))
        self.register_buffer("spread", torch.ones(count))

    def forward(self, patches: Tensor) -> Tensor:
        """float32 [n, words] of unit variance over the pictures learnt from, of patches [n, patches, width]."""
        return (self._nearest(patches) - self.usual) / self.spread

    def _nearest(self, patches: Tensor) -> Tensor:
        cosines: Tensor = normalize((patches - self.mean) @ self.whitening, dim=2) @ self.centres.T
        return cosines.amax(dim=1)

    @torch.no_grad()
    def learn(self, patches: Tensor, seed: int) -> None:
        """Spherical k-means on the whitened patches [n, patches, width] of some hundreds of pictures."""
        rng = torch.Generator().manual_seed(seed)
        flat = patches.flatten(0, 1).cpu()
        values, axes = torch.linalg.eigh(torch.cov(flat.T))
        self.mean.copy_(flat.mean(dim=0))
        self.whitening.copy_(axes @ torch.diag((values + RIDGE * values.mean()) ** -0.5) @ axes.T)
        units = normalize((flat - self.mean.cpu()) @ self.whitening.cpu(), dim=1)
        self.centres.copy_(_clustered(units, len(self.centres), rng))
        nearest = self._nearest(patches)
        self.usual.copy_(nearest.mean(dim=0))
        self.spread.copy_(nearest.std(dim=0) + 1e-4)


def _clustered(units: Tensor, count: int, rng: torch.Generator) -> Tensor:
    centres = units[torch.randperm(len(units), generator=rng)[:count]]
    for _ in range(ROUNDS):
        nearest = (units @ centres.T).argmax(dim=1)
        centres = torch.zeros_like(centres).index_add_(0, nearest, units)
        empty = torch.bincount(nearest, minlength=count) == 0
        centres[empty] = units[torch.randint(len(units), (int(empty.sum()),), generator=rng)]
        centres = normalize(centres, dim=1)
    return centres
