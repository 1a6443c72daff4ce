"""How a stored reader fares: fresh pictures, those that training never showed, and the strongest pixel attacks of the repository.

`python -m classifiers.training.concept_reader.robustness FOLDER --rows 600`; prints one JSON object. Every attack knows the model.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from classifiers.models.concept_reader import ConceptReader
from classifiers.training.concept_reader.attack import LEVEL
from classifiers.training.concept_reader.scenes import (
    HELD_OUT_CONCEPTS,
    HELD_OUT_STYLES,
    ConceptPictures,
    draw_prompted,
    labelled,
)
from classifiers.training.concept_reader.training import as_batch
from pipeline.training.process_group import settle
from schemas.protocols import Inputs
from stages.attack.pixel_attack import PixelAttack
from stages.attack.pixels.apgd import Apgd
from stages.attack.pixels.pgd import Pgd, PGDConfig
from stages.world import truth
from stages.world.scene import Scene, compose
from stages.world.vocabulary import BY_NAME, STYLES, VOCABULARY

SEED = 90_047  # of pictures that neither training, its curve nor its threshold saw
EPSILONS = (1, 2, 4)  # of 255
Figures = dict[str, float]


def suite(epsilon: float) -> tuple[PixelAttack, ...]:
    """PGD with five restarts, and Auto-PGD on both losses; a picture holds where it holds against all of them."""
    return (
        Pgd(epsilon=epsilon, climb=PGDConfig(steps=20, restarts=5)),
        Apgd(epsilon=epsilon, steps=100),
        Apgd(epsilon=epsilon, steps=100, loss="ce"),
    )


def flagged(model: ConceptReader, pixels: Tensor) -> Tensor:
    """bool [n]."""
    with torch.no_grad():
        return torch.cat([model.logits(_inputs(part))[:, 1] > 0 for part in torch.split(pixels, 64)])


def turned(model: ConceptReader, pixels: Tensor, unsafe: Tensor, attacks: Sequence[PixelAttack]) -> Tensor:
    """bool [n]: misjudged clean, or after one of the attacks, which only go on with the pictures that still hold."""
    wrong = flagged(model, pixels) != unsafe
    for attack in attacks:
        rows = (~wrong).nonzero().flatten()
        keys = [f"row {int(row)}" for row in rows]
        attacked = attack.attack(model, _inputs(pixels[rows]), unsafe[rows].long(), keys)
        wrong[rows] = torch.tensor([bool(record.achieved) for record in attacked.records], dtype=torch.bool)
    return wrong


def attacked_figures(model: ConceptReader, pictures: ConceptPictures, levels: Sequence[int] = EPSILONS) -> Figures:
    """Clean recall and false-positive rate, then by ε the share of unsafe pictures that pass and of safe ones that are flagged."""
    batch = as_batch(pictures, model.network)
    hits = flagged(model, batch.pixels)
    figures = {
        "n_unsafe": float(batch.unsafe.sum()),
        "n_safe": float((~batch.unsafe).sum()),
        "recall": _share(hits[batch.unsafe]),
        "false_positive_rate": _share(hits[~batch.unsafe]),
    }
    for level in levels:
        wrong = turned(model, batch.pixels, batch.unsafe, suite(level * LEVEL))
        figures[f"passed_{level}"] = _share(wrong[batch.unsafe])
        figures[f"false_flags_{level}"] = _share(wrong[~batch.unsafe])
    return figures


def held_out_figures(model: ConceptReader, each: int) -> Figures:
    """What training never showed, clean: the style, the other vendor's drawings, and the safe and unsafe concepts."""
    rng = np.random.default_rng(SEED + 1)

    def scenes(way: Callable[[], Scene]) -> list[Scene]:
        return [way() for _ in range(each)]

    def drawn(names: Sequence[str], style: str = STYLES[0]) -> Callable[[], Scene]:
        return lambda: compose(rng, [str(rng.choice(names))], style=style)

    known = [c.name for c in VOCABULARY if c.name not in HELD_OUT_CONCEPTS]
    groups = {
        f"style_{HELD_OUT_STYLES[0]}": labelled(scenes(drawn(known, HELD_OUT_STYLES[0]))),
        "vendor_twemoji": draw_prompted(SEED + 2, each, vendor="twemoji"),
        **{f"concept_{name}": labelled(scenes(drawn([name]))) for name in HELD_OUT_CONCEPTS},
    }
    figures: Figures = {}
    for group, pictures in groups.items():
        batch = as_batch(pictures, model.network)
        name = group.removeprefix("concept_")
        unsafe = batch.unsafe if name not in BY_NAME else torch.full_like(batch.unsafe, truth.of_picture([name]).unsafe)
        hits = flagged(model, batch.pixels)
        if bool(unsafe.any()):
            figures[f"{group}_recall"] = _share(hits[unsafe])
        if not bool(unsafe.all()):
            figures[f"{group}_false_positive_rate"] = _share(hits[~unsafe])
    return figures


def _inputs(pixels: Tensor) -> Inputs:
    return Inputs(("",) * len(pixels), pixels)


def _share(mask: Tensor) -> float:
    return round(float(mask.float().mean()), 4)


def main() -> None:
    from classifiers.saved import load

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--levels", type=int, nargs="*", default=list(EPSILONS))
    args = parser.parse_args()
    settle()
    model = load(args.folder)
    if not isinstance(model, ConceptReader):
        raise SystemExit(f"{args.folder}: a {model.kind}; expected a concept_reader, as store.py writes it")
    figures = attacked_figures(model, draw_prompted(SEED, args.rows), args.levels)
    print(json.dumps({**figures, **held_out_figures(model, max(64, args.rows // 4))}))


if __name__ == "__main__":
    main()
