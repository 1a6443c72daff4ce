"""Train what tells pictures of the embedded world from pictures of nothing: `python -m classifiers.training.recognition`.

Known are scenes drawn as asked and by the embedded Stable Diffusion, some of them blurred or with noise; unknown are surfaces,
noise, gradients, stripes, clouds and scribbles. Chequers and photographs are never trained on: they show what it makes of kinds
that it has not met. Three minutes on a core; the figures are in assets/world/recognition/README.md.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits

from classifiers.layers.encoder import ClipEncoder
from classifiers.layers.recognition import Recognition
from classifiers.training.pictures_of_nothing import KINDS, UNMET
from pipeline.stage import Stage
from pipeline.storage.weights import model_directory
from schemas.sample import Sample
from stages.generate.diffusion import Diffusion
from stages.generate.render import Render
from stages.prompts.grammar import GrammarPrompts

Pixels = NDArray[np.uint8]
SHARE = 0.005  # of known pictures that may be called nothing
DRAWN, GENERATED, OF_A_KIND = 2500, 128, 300
STEPS, RATE = 400, 1e-2


def known(stage: Stage, count: int, seed: int) -> Pixels:
    """uint8 [count, 64, 64, 3] of the grammar's prompts."""
    step, prompts = stage.open(), iter(GrammarPrompts(seed, count))
    pictures: list[Pixels] = []
    while part := list(islice(prompts, stage.batch_size)):
        samples = [Sample.from_prompt(prompt, seed).with_(batch_row=row) for row, prompt in enumerate(part)]
        pictures += [sample.pixels for sample in step(samples) if sample.pixels is not None]
    return np.stack(pictures)


def disturbed(pictures: Pixels, draw: np.random.Generator) -> Pixels:
    """With noise of up to 16 grey levels, as attacks and compression leave it."""
    noise = draw.normal(0, draw.uniform(0, 16, (len(pictures), 1, 1, 1)), pictures.shape)
    return (pictures + noise).clip(0, 255).astype(np.uint8)


@torch.no_grad()
def vectors(clip: ClipEncoder, pictures: Pixels) -> torch.Tensor:
    """float32 [n, width], CLIP's unit vectors."""
    pixels = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
    return torch.cat([clip.image(clip.resized(part)) for part in torch.split(pixels, 64)])


def fit(model: Recognition, familiar: torch.Tensor, nothing: torch.Tensor) -> float:
    """Logistic loss, all rows in every step; the last loss."""
    rows = torch.cat([familiar, nothing])
    truth = torch.cat([torch.zeros(len(familiar)), torch.ones(len(nothing))])
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=1e-3)
    loss = torch.zeros(())
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(model(rows), truth)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return float(loss.detach())


def drawn(
    makers: dict[str, Callable[[np.random.Generator], Pixels]], count: int, seed: int
) -> Iterator[tuple[str, Pixels]]:
    """By kind, uint8 [count, 64, 64, 3]."""
    draw = np.random.default_rng(seed)
    for name, maker in makers.items():
        yield name, np.stack([maker(draw) for _ in range(count)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("assets/world/recognition"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    draw = np.random.default_rng(args.seed)
    clip = ClipEncoder.from_directory(model_directory("assets/world/clip")).eval()
    generator = Diffusion(model="assets/world/t2i", steps=10, guidance_scale=3.0)
    scenes, generated = known(Render(), DRAWN, 1), known(generator, GENERATED, 2)
    familiar = np.concatenate(
        [scenes, disturbed(scenes[: DRAWN // 2], draw), np.repeat(generated[: GENERATED // 2], 4, 0)]
    )
    unmet = {"scenes": known(Render(), 1000, 3), "generated": generated[GENERATED // 2 :]}
    model = Recognition(clip.width)
    nothing = np.concatenate([pictures for _, pictures in drawn(KINDS, OF_A_KIND, 4)])
    loss = fit(model, vectors(clip, familiar), vectors(clip, nothing))
    held = {name: vectors(clip, pictures) for name, pictures in unmet.items()}
    model.eval().calibrate(torch.cat(list(held.values())), SHARE)
    model.save(args.out)
    unmet |= {"twemoji": known(Render(vendor="twemoji"), 300, 5)} | dict(drawn(KINDS | UNMET, 100, 6))
    called = {
        name: round(float((model.nothing(vectors(clip, each)) > model.cut).float().mean()), 3)
        for name, each in unmet.items()
    }
    print(json.dumps({"loss": round(loss, 5), "cut": round(model.cut, 4), "called_nothing": called}))


if __name__ == "__main__":
    main()
