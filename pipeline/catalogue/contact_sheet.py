"""A sheet of a run's pictures to look at: what is not claimed safe is blurred."""

import io
from collections.abc import Sequence
from itertools import islice

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.rounds.items import CommittedItems
from pipeline.storage.image_codec import blurred, decode
from pipeline.storage.store import Store
from schemas.sample import Sample

CELL = 96  # pixels of a cell's picture
GAP = 6
CAPTION = 24  # pixels below a picture: two lines of the prompt's beginning
FRAME = {"safe": (70, 150, 90), "unsafe": (190, 60, 60), None: (130, 130, 130)}


def contact_sheet(
    store: Store, rounds: Sequence[str], count: int = 96, columns: int = 12, blur_all: bool = False
) -> bytes:
    """PNG of the first `count` samples by key, framed green (claimed safe), red (unsafe) or grey (no claim)."""
    samples = sorted(islice(CommittedItems(store, rounds), 16 * count), key=lambda sample: sample.key)[:count]
    lines = -(-len(samples) // columns)
    size = (columns * (CELL + GAP) + GAP, lines * (CELL + CAPTION + GAP) + GAP)
    sheet = Image.new("RGB", size, "white")
    for index, sample in enumerate(samples):
        line, column = divmod(index, columns)
        corner = (GAP + column * (CELL + GAP), GAP + line * (CELL + CAPTION + GAP))
        _paste(sheet, corner, sample, store, blur=blur_all or sample.label != "safe")
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _paste(sheet: Image.Image, corner: tuple[int, int], sample: Sample, store: Store, *, blur: bool) -> None:
    left, top = corner
    assert sample.tar and sample.tar_offset is not None and sample.tar_size is not None and sample.format
    data = store.read_range(sample.tar, sample.tar_offset, sample.tar_size)
    picture = Image.fromarray(decode(data, sample.format)).resize((CELL, CELL), Image.Resampling.BICUBIC)
    if blur:
        picture = Image.fromarray(blurred(np.asarray(picture)))
    sheet.paste(picture, corner)
    pen = ImageDraw.Draw(sheet)
    frame = FRAME.get(sample.label, FRAME[None])
    pen.rectangle((left - 1, top - 1, left + CELL, top + CELL), outline=frame, width=2)
    font = ImageFont.load_default(9)
    for number, line in enumerate(_two_lines(sample.prompt, font)):
        pen.text((left, top + CELL + 2 + 11 * number), line, fill=(60, 60, 60), font=font)


def _two_lines(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> list[str]:
    """The beginning of `text`, broken at words to the width of a cell."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= CELL:
            lines[-1] = longer
        elif len(lines) == 2:
            break
        else:
            lines.append(word)
    return lines
