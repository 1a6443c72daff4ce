"""Where words look, as a picture: a tile for each token, bright where its attention lies."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.nn.functional import interpolate

from classifiers.data.labelled_sample import LabelledSample
from classifiers.evaluation.results import FOLDER
from classifiers.evaluation.scoring import inputs_of
from classifiers.models.multimodal import Multimodal
from classifiers.saved import Saved
from pipeline.rounds.ledger import recorded
from pipeline.storage.image_codec import encode
from pipeline.storage.store import Store
from schemas.errors import InputError
from schemas.protocols import Inputs

TILE = 128  # pixels: of a token's tile
COLUMNS = 6
LINE = 14  # pixels below a tile, for its token
DIM = 0.25  # what is left of a picture's light where nothing looks


def attention_maps(store: Store, dataset: str, saved: Saved, rows: Sequence[LabelledSample], count: int) -> list[str]:
    """Write a sheet of each of the first `count` rows by key, `results/DATASET/attention/SCORER/KEY.png`; their names.

    Raises InputError for a classifier without attention from words to pictures.
    """
    model = saved.load()
    if not isinstance(model, Multimodal):
        raise InputError(f"--attention: {saved.folder} has no attention from words to pictures; name a multimodal one")
    folder = f"{FOLDER}/{dataset}/attention/{Path(saved.folder).name}"
    names = []
    for row in sorted(rows, key=lambda row: row.sample.key)[:count]:
        sheet = draw(model, inputs_of([row]), 0)
        names.append(f"{folder}/{row.sample.key}.png")
        with recorded(store, names[-1], by="jobs/evaluate.py"):
            store.write(names[-1], encode(np.asarray(sheet), "png"))
    return names


def draw(model: Multimodal, inputs: Inputs, row: int, layer: int = -1) -> Image.Image:
    """One pair's tokens over its picture, in reading order, the picture itself first; brightest is the token's own maximum."""
    one = inputs.rows([row])
    maps = model.attention(one)[0, layer].cpu()
    side = round(maps.shape[1] ** 0.5)
    pixels = interpolate(model.pictures(one).cpu(), (TILE, TILE), mode="nearest")[0]
    ids = model.encode(one.prompts)[0]
    named = [model.encoder.tokenizer.decode([token]).strip() for token in ids[: len(maps)].tolist()]
    tiles = [(f"{float(model.alignment(one)):.2f} aligned", pixels)]
    for token, looked in zip(named, maps, strict=True):
        light = interpolate(looked.view(1, 1, side, side), (TILE, TILE), mode="bilinear", align_corners=False)[0]
        tiles.append((token, pixels * (DIM + (1 - DIM) * light / light.max())))
    return _sheet(tiles, one.prompts[0])


def _sheet(tiles: list[tuple[str, torch.Tensor]], prompt: str) -> Image.Image:
    lines = textwrap.wrap(prompt, COLUMNS * TILE // 7) or [""]
    top, rows = LINE * (len(lines) + 1), -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE, top + rows * (TILE + LINE)), "white")
    brush = ImageDraw.Draw(sheet)
    brush.text((2, 2), "\n".join(lines), fill="black")
    for place, (caption, pixels) in enumerate(tiles):
        x, y = place % COLUMNS * TILE, top + place // COLUMNS * (TILE + LINE)
        levels = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
        sheet.paste(Image.fromarray(levels.numpy()), (x, y))
        brush.text((x + 2, y + TILE), caption, fill="black")
    return sheet
