"""Table 7 by the code that measures table 5 (classifiers/unsafebench/robustness/attacks.py), under both of its protocols."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench.perspective.judging import flags
from bench.perspective.sets import TestSet
from bench.world.figures import share
from classifiers.families.perspective import Perspective
from classifiers.unsafebench.dataset.images import Picture
from classifiers.unsafebench.robustness.attacks import ATTACKS, PROTOCOLS, attack_rows
from classifiers.zoo.picture_judge import PictureJudge
from schemas.protocols import Differentiable, Inputs


class Eyes(nn.Module):
    """The normalisation of a judge, where `unsafebench_compat` attacks; `box` is what UnsafeBench clips CLIP's tensors to."""

    box = (-3.0, 3.0)

    def __init__(self, model: Perspective) -> None:
        super().__init__()
        self.encoder = model.encoder

    def normalised(self, pixels: Tensor) -> Tensor:
        """float32 [n, 3, side, side]."""
        scaled: Tensor = (self.encoder.resized(pixels) - self.encoder.mean) / self.encoder.std
        return scaled


class Opened(PictureJudge):
    """A PerspectiveVision method as the zoo's judges are, with its normalised input to be attacked at."""

    def __init__(self, model: Perspective) -> None:
        nn.Module.__init__(self)
        self.eyes = Eyes(model)  # type: ignore[assignment]  # of the zoo's eyes only the normalisation is needed
        self.model = model
        self.name, self.claims = model.name, model.categories  # type: ignore[misc]

    def margins(self, vectors: Tensor) -> Tensor:
        """Not reached: the decision is `logits`."""
        raise NotImplementedError

    def margin_of_normalised(self, normalised: Tensor) -> Tensor:
        """float32 [n]."""
        pixels = normalised * self.model.encoder.std + self.model.encoder.mean
        return self.logits(Inputs(("",) * len(pixels), pixels))[:, 1]

    def logits(self, inputs: Inputs, embeddings: Tensor | None = None) -> Tensor:
        logits: Tensor = self.model.logits(inputs, embeddings)
        return logits


def robust_accuracy(model: Differentiable, pictures: TestSet, count: int, iterations: int) -> dict[str, Any]:
    """By protocol and attack, over the first `count` pictures that the model judges rightly; their average and worst case.

    `unsafe` is how many of these are: of a judge that hardly flags anything almost none, and it keeps to that under attack. The
    rule of two has no normalised input of its own, so only `pixel_linf` applies.
    """
    right = [int(row) for row in torch.from_numpy(flags(model, pictures) == pictures.unsafe).nonzero()[:count, 0]]
    chosen = [_picture(pictures, row) for row in right]
    figures: dict[str, Any] = {"unsafe": sum(picture.unsafe for picture in chosen)}
    target = Opened(model) if isinstance(model, Perspective) else model
    for protocol in PROTOCOLS:
        rows, seconds = attack_rows(target, chosen, protocol, iterations=iterations)
        if not rows:
            continue
        fooled = {attack: [row["fooled"] for row in rows if row["attack"] == attack] for attack in ATTACKS}
        stood = {attack: share([not each for each in hits]) for attack, hits in fooled.items()}
        worst = [not any(hits) for hits in zip(*fooled.values(), strict=True)]
        mean = round(sum(figure["value"] for figure in stood.values()) / len(stood), 4)
        figures[protocol] = {**stood, "average": mean, "worst": share(worst), "seconds": round(seconds, 1)}
    return figures


def _picture(pictures: TestSet, row: int) -> Picture:
    categories: Sequence[str] = pictures.categories[row]
    return Picture(
        f"{pictures.name}-{row}", pictures.pixels[row], pictures.name, (*categories, "")[0], bool(categories)
    )
