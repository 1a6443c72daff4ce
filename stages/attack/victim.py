"""What an image attack sees of a classifier: margins and their gradients, row by row, with the questions counted.

Rows are computed in tiles of a fixed shape, so that what a sample gets does not hang on how many others are still at work.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

Margins = Callable[[Tensor, Tensor], Tensor]
"""Pixels [m, 3, h, w] and their rows, int64 [m] → margins [m, stages]: a stage flags where its margin is above 0."""

LEVELS = 255  # of an 8-bit picture
SLACK = 1e-3  # levels: a budget of exactly k levels must not become k - 1 by float32's rounding


class Victim:
    """A classifier bound to the rows of one batch. `clean` float32 [n, 3, h, w] in [0, 1]; `labels` int64 [n], 1 is unsafe.

    Several deployed stages flag a row if any does. `as_stored` judges pictures as they are after 8-bit encoding, rounded towards
    the clean ones; gradients are then taken there (straight through). `queries` int64 [n] and `flat` (rows whose gradient was zero
    or not finite, times) are counted for the result's record. Raises ValueError for pixels outside [0, 1].
    """

    def __init__(self, margins: Margins, clean: Tensor, labels: Tensor, *, tile: int = 16, as_stored: bool = False):
        if clean.dtype != torch.float32 or (clean.numel() and not (clean.min() >= 0 and clean.max() <= 1)):
            raise ValueError(
                f"pictures are {clean.dtype} in [{clean.min()}, {clean.max()}]; expected float32 in [0, 1]"
            )
        self.clean = clean
        self.labels = labels.to(clean.device)
        self.queries = torch.zeros(len(clean), dtype=torch.int64)
        self.zero_gradient_rows = 0
        self._margins, self._tile, self._as_stored = margins, tile, as_stored

    def __len__(self) -> int:
        return len(self.clean)

    def all_rows(self) -> Tensor:
        """All rows, int64 [n]."""
        return torch.arange(len(self.clean), device=self.clean.device)

    @torch.no_grad()
    def margins(self, pixels: Tensor, rows: Tensor) -> Tensor:
        """[m, stages] of the pictures of these rows."""
        parts = [self._ask(part, chosen)[:size] for part, chosen, size in self._tiles(pixels, rows)]
        return torch.cat(parts) if parts else pixels.new_zeros((0, 1))

    def margin(self, pixels: Tensor, rows: Tensor) -> Tensor:
        """[m]: how far the decision is from wrong; `fooled` where there is none left."""
        return self._lead(self.margins(pixels, rows), rows)

    def fooled(self, lead: Tensor, rows: Tensor) -> Tensor:
        """bool [m]. A margin of exactly 0 is not flagged: an unsafe row is fooled by it, a safe one is not."""
        return torch.where(self.labels[rows] == 1, lead <= 0, lead < 0)

    def loss(self, pixels: Tensor, rows: Tensor, kind: str = "margin") -> tuple[Tensor, Tensor]:
        """[m] to be raised by the attacker, and the lead; no gradients."""
        margins = self.margins(pixels, rows)
        return self._loss(margins, rows, kind), self._lead(margins, rows)

    def gradient(self, pixels: Tensor, rows: Tensor, kind: str = "margin") -> tuple[Tensor, Tensor, Tensor]:
        """Gradient [m, 3, h, w] of the loss, the loss [m] and the lead [m]."""
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        for part, chosen, size in self._tiles(pixels, rows):
            with torch.enable_grad():
                at = part.detach().requires_grad_(True)
                margins = self._ask(at, chosen)
                loss = self._loss(margins, chosen, kind)
                (slope,) = torch.autograd.grad(loss.sum(), at)
            parts.append((slope[:size], loss[:size].detach(), self._lead(margins, chosen)[:size].detach()))
        slope, loss, lead = (torch.cat(column) for column in zip(*parts, strict=True))
        total = torch.linalg.vector_norm(
            slope.flatten(1), ord=1, dim=1
        )  # one pass over the pixels tells of both zeros and NaN
        self.zero_gradient_rows += int((~total.isfinite() | (total == 0)).sum())
        return slope if bool(total.isfinite().all()) else slope.nan_to_num(0.0, 0.0, 0.0), loss, lead

    def stored(self, pixels: Tensor, rows: Tensor) -> Tensor:
        """The pictures after 8-bit encoding and decoding: whole levels from the clean picture, rounded towards it."""
        clean = self.clean[rows]
        moved = (pixels - clean) * LEVELS
        return clean + moved.sign() * (moved.abs() + SLACK).floor() / LEVELS

    def _ask(self, pixels: Tensor, rows: Tensor) -> Tensor:
        if self._as_stored:
            pixels = pixels + (self.stored(pixels, rows) - pixels).detach()
        margins = self._margins(pixels, rows)
        return margins if margins.ndim == 2 else margins[:, None]

    def _tiles(self, pixels: Tensor, rows: Tensor) -> Iterator[tuple[Tensor, Tensor, int]]:
        """Pixels and rows in the fixed shape, the last filled up with its first row, and how many of it count."""
        self.queries += torch.bincount(rows.cpu(), minlength=len(self.clean))
        for first in range(0, len(rows), self._tile):
            part, chosen = pixels[first : first + self._tile], rows[first : first + self._tile]
            missing = self._tile - len(chosen)
            if missing:
                part = torch.cat([part, part[:1].expand(missing, *part.shape[1:])])
                yield part, torch.cat([chosen, chosen[:1].expand(missing)]), len(chosen)
            else:
                yield part, chosen, self._tile

    def _lead(self, margins: Tensor, rows: Tensor) -> Tensor:
        decided = margins.max(dim=1).values
        return torch.where(self.labels[rows] == 1, decided, -decided)

    def _loss(self, margins: Tensor, rows: Tensor, kind: str) -> Tensor:
        """`margin`: minus the sum of the margins that stand in the way. `ce`: minus log P of the right decision.

        To pass unsafe content every stage must be silent, so each counts; one that is safely silent no longer does.
        A false flag needs one stage. With two classes the difference of logits is the margin; DLR is not defined.
        """
        if kind == "ce":
            signed = torch.where(self.labels[rows, None] == 1, margins, -margins.max(dim=1, keepdim=True).values)
            per_stage = softplus(-signed)
            return torch.where(self.labels[rows] == 1, per_stage.sum(dim=1), per_stage[:, 0])
        if margins.shape[1] == 1:
            return -self._lead(margins, rows)
        standing = margins.clamp(min=-1.0).sum(dim=1)
        return torch.where(self.labels[rows] == 1, -standing, margins.max(dim=1).values)


def within(pixels: Tensor, clean: Tensor, epsilon: float) -> Tensor:
    """Project to the L-infinity ball of `epsilon` around `clean`, and to [0, 1]."""
    return torch.minimum(torch.maximum(pixels, clean - epsilon), clean + epsilon).clamp(0, 1)


@contextmanager
def at_rest(model: Any) -> Iterator[None]:
    """Eval mode and no gradients to parameters inside; after it everything is as it was, module by module."""
    modules = list(model.modules()) if isinstance(model, torch.nn.Module) else []
    modes = [module.training for module in modules]
    wanted = [(p, p.requires_grad) for p in model.parameters()] if modules else []
    try:
        for module in modules:
            module.training = False
        for parameter, _ in wanted:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, training in zip(modules, modes, strict=True):
            module.training = training
        for parameter, needs in wanted:
            parameter.requires_grad_(needs)
