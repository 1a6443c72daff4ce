"""Judge pictures part by part; a part that is written is never judged again."""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import torch
from PIL import Image, UnidentifiedImageError

from classifiers.classifier import Classifier
from classifiers.moderation.sources import Item, Source
from classifiers.prediction import pixels_of
from pipeline.pack import parquet_bytes
from pipeline.storage.store import Store
from schemas.errors import InputError
from schemas.protocols import Inputs

PART = 512  # pictures a file of answers: what a kill costs at most
QUESTION = "question.json"
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("safety", pa.string()),  # safe, unsafe, or unreadable
        ("category", pa.string()),  # the likeliest in scope, of unsafe ones
        ("score", pa.float32()),  # P(unsafe) under the scope
        ("scores", pa.map_(pa.string(), pa.float32())),  # P(category), each in scope
        ("reason", pa.string()),  # why it could not be read
    ]
)


@dataclass(frozen=True)
class Question:
    """What was asked. Answers of different questions never mix."""

    images: str
    pictures: int
    items: str
    classifier: str
    digest: str
    scope: tuple[str, ...]

    def to_json(self) -> bytes:
        """One line, canonical."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @property
    def name(self) -> str:
        """Short, for a folder."""
        return blake2b(self.to_json(), digest_size=4).hexdigest()


def parts(items: Sequence[Item]) -> int:
    """How many files of answers there will be."""
    return -(-len(items) // PART)


def part_name(number: int) -> str:
    """Of one file of answers."""
    return f"part-{number:06d}.parquet"


def answer(model: Classifier, source: Source, out: Store, question: Question, batch: int) -> Iterator[int]:
    """Judge what is left; the number of pictures after each part. Raises InputError where another question was answered."""
    if not out.create(QUESTION, question.to_json()) and out.read(QUESTION) != question.to_json():
        raise InputError(
            f"{out.url} holds the answers to another question (pictures, classifier or scope); give another --out"
        )
    for number in range(parts(source.items)):
        if out.size(part_name(number)) is None:
            items = source.items[number * PART : (number + 1) * PART]
            rows = [
                row for first in range(0, len(items), batch) for row in judged(model, source, items[first:][:batch])
            ]
            out.write(part_name(number), parquet_bytes(pa.Table.from_pylist(rows, schema=SCHEMA)))
            yield len(items)


@torch.no_grad()
def judged(model: Classifier, source: Source, items: Sequence[Item]) -> list[dict[str, object]]:
    """A row of `SCHEMA` for each item. Each picture is brought to the model's size before it joins the others, so that memory
    holds one large picture at a time.
    """
    read = [_read(model, source, item) for item in items]
    good = [place for place, found in enumerate(read) if isinstance(found, torch.Tensor)]
    rows: list[dict[str, object]] = [
        {"key": item.key, "safety": "unreadable", "reason": str(found)} for item, found in zip(items, read, strict=True)
    ]
    if not good:
        return rows
    pixels = torch.cat([found for found in read if isinstance(found, torch.Tensor)])
    scores = model.score(Inputs(("",) * len(good), pixels))
    unsafe, named = scores.unsafe["image"].cpu().numpy(), scores.categories["image"].cpu().numpy()
    for place, score, each in zip(good, unsafe, named, strict=True):
        flagged = bool(score > model.threshold)
        rows[place] = {
            "key": items[place].key,
            "safety": "unsafe" if flagged else "safe",
            "category": model.categories[int(np.argmax(each))] if flagged else None,
            "score": float(score),
            "scores": [(name, float(value)) for name, value in zip(model.categories, each, strict=True)],
        }
    return rows


def _read(model: Classifier, source: Source, item: Item) -> torch.Tensor | Exception:
    """float32 [1, 3, side, side], or why not: a picture that can't be read costs itself."""
    try:
        with Image.open(io.BytesIO(source.read(item)), formats=["PNG", "JPEG", "WEBP"]) as opened:
            pixels = pixels_of(opened, item.key)
    except UnidentifiedImageError:  # Pillow's own words name an address in memory
        return InputError("the file is no PNG, JPEG or WEBP picture, or its beginning is damaged")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, InputError) as error:
        return error
    return model.encoder.resized(pixels.to(model.embedding_table().device))
