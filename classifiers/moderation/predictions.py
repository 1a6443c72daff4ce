"""Judge pictures or pairs part by part; a part that is written is never judged again."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from itertools import islice

import numpy as np
import pyarrow as pa
import torch

from classifiers.classifier import Classifier
from classifiers.moderation.sources import Item, PictureSource
from classifiers.prediction import tensor_of
from pipeline.pack import parquet_bytes
from pipeline.storage.image_codec import PictureError, frames
from pipeline.storage.store import Store, StoreError
from schemas.errors import InputError
from schemas.protocols import Inputs

PART = 512  # pictures a file of answers: what a kill costs at most
QUESTION = "question.json"
PASSED_OVER = "passed_over.parquet"  # key and reason of what is there and was not judged
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("safety", pa.string()),  # safe, unsafe, or unreadable
        ("category", pa.string()),  # the likeliest in scope, of unsafe ones
        ("score", pa.float32()),  # P(unsafe) under the scope
        ("scores", pa.map_(pa.string(), pa.float32())),  # P(category), each in scope
        ("reason", pa.string()),  # why it, or what follows its frame, could not be read
        ("frame", pa.int32()),  # of an animation or a file of several pages, the worst: what score and category are of
        ("frames", pa.int32()),  # that were judged
        ("truncated", pa.bool_()),  # of a pair: the classifier read the beginning of the prompt only
    ]
)
PASSED_SCHEMA = pa.schema([("key", pa.string()), ("reason", pa.string())])


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


def answer(model: Classifier, source: PictureSource, out: Store, question: Question, batch: int) -> Iterator[int]:
    """Judge what is left; the number of pictures after each part. Raises InputError where another question was answered."""
    if not out.create(QUESTION, question.to_json()) and out.read(QUESTION) != question.to_json():
        raise InputError(
            f"{out.url} holds the answers to another question (pictures, classifier or scope); give another --out"
        )
    out.write(PASSED_OVER, parquet_bytes(pa.Table.from_pylist([asdict(each) for each in source.passed], PASSED_SCHEMA)))
    for number in range(parts(source.items)):
        if out.size(part_name(number)) is None:
            items = source.items[number * PART : (number + 1) * PART]
            rows = judged(model, source, items, batch)
            out.write(part_name(number), parquet_bytes(pa.Table.from_pylist(rows, schema=SCHEMA)))
            yield len(items)


@torch.no_grad()
def judged(model: Classifier, source: PictureSource, items: Sequence[Item], batch: int) -> list[dict[str, object]]:
    """A row of `SCHEMA` for each item: of several frames the worst counts. What cannot be read is unreadable, never safe, unless
    a frame before is unsafe. Frames are brought to the model's size one by one, so that memory holds one large picture at a time.
    """
    rows = [_Row(item.key, None if item.prompt is None else model.overruns(item.prompt)) for item in items]
    shown = _frames(model, source, items, rows)
    while part := list(islice(shown, batch)):
        prompts = tuple(items[place].prompt or "" for place, _ in part)
        scores = model.score(Inputs(prompts, torch.cat([pixels for _, pixels in part])))
        unsafe, named = (each[model.scope].cpu().numpy() for each in (scores.unsafe, scores.categories))
        for (place, _), score, each in zip(part, unsafe, named, strict=True):
            rows[place].see(float(score), [float(value) for value in each])
    return [row.said(model) for row in rows]


@dataclass(slots=True)
class _Row:
    """What is known of one item so far."""

    key: str
    truncated: bool | None = None
    frames: int = 0
    frame: int = 0  # the worst so far
    score: float = -1.0
    categories: Sequence[float] = ()
    reason: str | None = None

    def see(self, score: float, categories: Sequence[float]) -> None:
        """The next frame's scores."""
        if score > self.score:
            self.score, self.frame, self.categories = score, self.frames, categories
        self.frames += 1

    def said(self, model: Classifier) -> dict[str, object]:
        """The row of `SCHEMA`."""
        flagged = self.score > model.threshold
        if not self.frames or (self.reason is not None and not flagged):
            return {"key": self.key, "safety": "unreadable", "reason": self.reason}
        return {
            "key": self.key,
            "safety": "unsafe" if flagged else "safe",
            "category": model.categories[int(np.argmax(self.categories))] if flagged else None,
            "score": self.score,
            "scores": list(zip(model.categories, self.categories, strict=True)),
            "reason": self.reason,
            "frame": self.frame,
            "frames": self.frames,
            "truncated": self.truncated,
        }


def _frames(
    model: Classifier, source: PictureSource, items: Sequence[Item], rows: Sequence[_Row]
) -> Iterator[tuple[int, torch.Tensor]]:
    """The place of each item and float32 [1, 3, side, side], frame after frame. What cannot be read costs itself: its row gets
    the reason.
    """
    device = model.embedding_table().device
    for place, item in enumerate(items):
        try:
            for pixels in frames(source.read(item)):
                yield place, model.encoder.resized(tensor_of(pixels).to(device))
        except (PictureError, StoreError) as error:
            rows[place].reason = str(error)
