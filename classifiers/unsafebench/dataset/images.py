"""A benchmark's pictures: from where, of which category, safe or not; stored in the layout of the published set."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor

from pipeline.storage.image_codec import PictureError, decode, encode
from schemas.device import best_device
from schemas.errors import InputError
from schemas.identity import derived_key
from schemas.sample import Pixels
from schemas.taxonomy import UNSAFEBENCH

REAL, GENERATED = "Laion5B", "Lexica"
"""What the published set calls its sources; the embedded world's stand-ins for them carry the same names."""
SHOWN = {REAL: "real-world", GENERATED: "AI-generated"}
LABELS = ("Safe", "Unsafe")

SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        *((name, pa.string()) for name in ("safety_label", "category", "source", "text")),
    ]
)
"""Of huggingface.co/datasets/yiting/UnsafeBench; `category` is spelt as there."""


@dataclass(frozen=True, eq=False)
class Picture:
    """`category` is a taxonomy id: what an unsafe picture violates, and what a safe one was found by."""

    key: str
    pixels: Pixels
    source: str
    category: str
    unsafe: bool
    text: str = ""  # the caption or prompt that came with it


def tensor_of(pictures: Sequence[Picture], side: int | None = None) -> Tensor:
    """float32 [n, 3, h, w] in [0, 1] where classifiers lie, squeezed to `side` if given. Raises InputError for unlike sizes."""
    arrays = [picture.pixels if side is None else squeezed(picture.pixels, side) for picture in pictures]
    if len({array.shape for array in arrays}) > 1:
        raise InputError("the pictures are of unlike sizes; give them one (--side)")
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).to(best_device()).float() / 255


def squeezed(pixels: Pixels, side: int) -> Pixels:
    """To a square, bicubic."""
    if pixels.shape[:2] == (side, side):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))


def write_set(path: Path, pictures: Iterable[Picture]) -> None:
    """One Parquet file in the published layout, pictures as PNG."""
    rows = [
        {
            "image": {"bytes": encode(picture.pixels, "png"), "path": f"{picture.key}.png"},
            "safety_label": LABELS[picture.unsafe],
            "category": UNSAFEBENCH[picture.category].name,
            "source": picture.source,
            "text": picture.text,
        }
        for picture in pictures
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)


def read_set(folder: Path, side: int | None = None) -> list[Picture]:
    """The published set's Parquet files below a folder, or one such file, squeezed to `side` if it is given: the training split
    takes many gigabytes as it is. Raises InputError for another layout.
    """
    files = sorted(folder.rglob("*.parquet")) if folder.is_dir() else [folder]
    if not files or not files[0].is_file():
        raise InputError(f"--data {folder}: expected Parquet files with image, safety_label, category and source")
    pictures = []
    for file in files:
        table = pq.read_table(file)
        missing = {"image", "safety_label", "category", "source"} - set(table.column_names)
        if missing:
            raise InputError(
                f"{file}: it lacks {', '.join(sorted(missing))}; expected the layout of yiting/UnsafeBench"
            )
        pictures += [_picture(row, file, number, side) for number, row in enumerate(table.to_pylist())]
    return pictures


def _picture(row: dict[str, object], file: Path, number: int, side: int | None) -> Picture:
    image, label = row["image"], str(row["safety_label"])
    if label not in LABELS or not isinstance(image, dict):
        raise InputError(
            f"{file}, row {number}: safety_label {label!r}; expected one of {', '.join(LABELS)}, and an image"
        )
    pixels = decoded(image["bytes"])
    pixels = pixels if side is None else squeezed(pixels, side)
    key = derived_key("unsafebench", file.name, number)
    category = category_id(str(row["category"]))
    return Picture(key, pixels, str(row["source"]), category, label == "Unsafe", str(row.get("text") or ""))


def category_id(name: str) -> str:
    """The taxonomy's id of a category however it is spelt: Self-harm, Public and personal health. Raises InputError."""
    plain = "".join(char for char in name.lower() if char.isalpha())
    for category in UNSAFEBENCH.categories:
        if plain in ("".join(char for char in text.lower() if char.isalpha()) for text in (category.id, category.name)):
            return category.id
    raise InputError(f"category {name!r}: expected one of {', '.join(each.name for each in UNSAFEBENCH.categories)}")


def decoded(data: bytes) -> Pixels:
    """uint8 [h, w, 3] of an image file. Raises InputError."""
    try:
        return decode(data)
    except PictureError as error:
        raise InputError(f"a picture cannot be read ({error})") from error
