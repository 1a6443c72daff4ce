"""One Latin square, drawn: pairs on which the prompt alone and the picture alone are right half the time, and no more."""

from functools import cache

import numpy as np
import torch

from classifiers.layers.encoder import ClipEncoder
from classifiers.models.cascade import Cascade
from pipeline.storage.weights import model_directory
from schemas.protocols import Inputs, Targets
from schemas.taxonomy import UNSAFEBENCH
from stages.world.confounders import SQUARES, category_of
from stages.world.draw import Pictures, draw
from stages.world.purposes import BY_PURPOSE
from stages.world.scene import compose

OBJECTS = tuple(dict.fromkeys(cell.object for cell in SQUARES[0].cells))
GROUND = {
    "colour": "white",
    "ground": "plain",
    "second_colour": None,
    "style": None,
    "stacked": False,
    "clutter": False,
}


def square_rows(times: int, seed: int) -> tuple[Inputs, Targets]:
    """`times` pictures of each object of the first square, each under both purposes, said by their three phrases in turn.

    So a picture learnt by heart helps no more than a prompt does.
    """
    rng, pictures = np.random.default_rng(seed), Pictures.load()
    prompts, pixels, unsafe, named = [], [], [], []
    for number in range(times):
        shown = {name: draw(compose(rng, (name,), **GROUND), pictures) for name in OBJECTS}  # type: ignore[arg-type]
        for cell in SQUARES[0].cells:
            prompts.append(f"something {BY_PURPOSE[cell.purpose].phrases[number % 3]}")
            pixels.append(shown[cell.object])
            unsafe.append(float(cell.unsafe))
            named.append([float(cell.unsafe and name == category_of(cell)) for name in UNSAFEBENCH.ids])
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    none, n = torch.zeros(len(prompts)), len(prompts)
    by_scope = {"prompt": none, "image": none, "pair": torch.tensor(unsafe)}
    empty = torch.zeros(n, len(UNSAFEBENCH.ids))
    categories = {"prompt": empty, "image": empty, "pair": torch.tensor(named)}
    return Inputs(tuple(prompts), stacked), Targets(by_scope, categories, torch.ones(n))


@cache
def trained_on_square() -> Cascade:
    """A cascade's heads after a hundred steps on 48 pairs of the square; thresholds at 5 % false positives on 24 others."""
    torch.manual_seed(0)
    model = Cascade(ClipEncoder.from_directory(model_directory("assets/world/clip")), UNSAFEBENCH.ids, "cascade")
    rows, targets = square_rows(12, seed=1)
    with torch.no_grad():
        features = model.features(rows)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 2e-3)
    for _ in range(100):
        optimiser.zero_grad()
        torch.autograd.backward(model.losses_of(features, targets)["loss"])
        optimiser.step()
    model.eval().calibrate([square_rows(6, seed=2)], 0.05)
    return model
