"""Where words look, as a picture: a tile for each token, bright where its attention lies."""

import textwrap

import torch
from PIL import Image, ImageDraw
from torch.nn.functional import interpolate

from classifiers.models.multimodal import Multimodal
from schemas.protocols import Inputs

TILE = 128  # pixels: of a token's tile
COLUMNS = 6
LINE = 14  # pixels below a tile, for its token
DIM = 0.25  # what is left of a picture's light where nothing looks


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
    for place, (said, pixels) in enumerate(tiles):
        x, y = place % COLUMNS * TILE, top + place // COLUMNS * (TILE + LINE)
        levels = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
        sheet.paste(Image.fromarray(levels.numpy()), (x, y))
        brush.text((x + 2, y + TILE), said, fill="black")
    return sheet
