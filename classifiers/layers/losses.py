"""What a classifier is trained to: labels by scope, where they are known."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import cross_entropy, normalize

from schemas.protocols import Targets

CATEGORIES = 6.0
"""Weight of the mean over categories beside safe or unsafe: what is shown tells an encoder more than that it is unsafe."""


def label_losses(verdicts: Mapping[str, Tensor], targets: Targets) -> dict[str, Tensor]:
    """Binary cross-entropy of each scope, of its categories, and as `loss` their sum, categories weighted by `CATEGORIES`.

    `verdicts` are by scope [n, 1 + categories]. A row whose label is NaN teaches nothing in that scope, an unsafe one without
    categories nothing about these. Weighted means: weights that sum to n leave the size of the loss alone.
    """
    losses: dict[str, Tensor] = {}
    for scope, out in verdicts.items():
        unsafe, named = targets.unsafe[scope], targets.categories[scope]
        losses[scope] = _mean(bce(out[:, 0], unsafe.nan_to_num(), reduction="none"), unsafe.isfinite(), targets.weights)
        if out.shape[1] > 1:
            known = (unsafe == 0) | (named > 0).any(dim=1)
            each = bce(out[:, 1:], named, reduction="none").mean(dim=1)
            losses[f"{scope}_categories"] = _mean(each, known, targets.weights)
    weighted = [value * CATEGORIES if name.endswith("_categories") else value for name, value in losses.items()]
    return {**losses, "loss": torch.stack(weighted).sum()}


def alignment_loss(words: Tensor, patches: Tensor, alike: Tensor, scale: Tensor) -> Tensor:
    """InfoNCE both ways over the batch (van den Oord et al. 2018; as in CLIP): a prompt is nearest its own picture.

    `words` and `patches` are [n, width]; `alike` bool [n, n] says which prompts are the same, and these are no negatives to one
    another; `scale` is the logarithm of the factor on cosines, which is held below 100.
    """
    near = normalize(words, dim=-1) @ normalize(patches, dim=-1).T * scale.exp().clamp(max=100)
    own = torch.eye(len(near), dtype=torch.bool, device=near.device)
    near = near.masked_fill(alike & ~own, float("-inf"))
    which = torch.arange(len(near), device=near.device)
    return (cross_entropy(near, which) + cross_entropy(near.T, which)) / 2


def _mean(losses: Tensor, known: Tensor, weights: Tensor) -> Tensor:
    """Over the known rows; 0, with a gradient of 0, where there is none."""
    return (losses * weights * known).sum() / known.sum().clamp(min=1)
