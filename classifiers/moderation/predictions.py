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
from classifiers.moderation.doubt import NOTHING, Doubt, words_reason
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
        ("safety", pa.string()),  # safe, unsafe, unsure (reason says why), or unreadable
        ("category", pa.string()),  # the likeliest in scope, of unsafe ones
        ("score", pa.float32()),  # P(unsafe) under the scope
        ("scores", pa.map_(pa.string(), pa.float32())),  # P(category), each in scope
        ("reason", pa.string()),  # why it, or what follows its frame, could not be read, or why the answer is unsure
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
    doubt: str = ""  # digest of what may call an answer unsure; "" where nothing may

    def to_json(self) -> bytes:
        """One line, canonical; without doubt as before there was any."""
        fields = asdict(self)
        return json.dumps({name: value for name, value in fields.items() if value != ""}, sort_keys=True).encode()

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


def answer(
    model: Classifier, source: PictureSource, out: Store, question: Question, batch: int, doubt: Doubt | None = None
) -> Iterator[int]:
    """Judge what is left; the number of pictures after each part. Raises InputError where another question was answered."""
    if not out.create(QUESTION, question.to_json()) and out.read(QUESTION) != question.to_json():
        raise InputError(
            f"{out.url} holds the answers to another question (pictures, classifier or scope); give another --out"
        )
    out.write(PASSED_OVER, parquet_bytes(pa.Table.from_pylist([asdict(each) for each in source.passed], PASSED_SCHEMA)))
    for number in range(parts(source.items)):
        if out.size(part_name(number)) is None:
            items = source.items[number * PART : (number + 1) * PART]
            rows = judged(model, source, items, batch, doubt)
            out.write(part_name(number), parquet_bytes(pa.Table.from_pylist(rows, schema=SCHEMA)))
            yield len(items)


@torch.no_grad()
def judged(
    model: Classifier, source: PictureSource, items: Sequence[Item], batch: int, doubt: Doubt | None = None
) -> list[dict[str, object]]:
    """A row of `SCHEMA` for each item: of several frames the worst counts. What cannot be read is unreadable, never safe, unless
    a frame before is unsafe; with `doubt` what it doubts is unsure. Frames are brought to the model's size one by one, so that
    memory holds one large picture at a time.
    """
    rows = [_Row(item.key, None if item.prompt is None else model.overruns(item.prompt)) for item in items]
    if doubt is not None and "prompt" in model.reads:
        for row, item in zip(rows, items, strict=True):
            row.unknown_words = doubt.unknown_words(item.prompt)
    shown = _frames(model, source, items, rows)
    while part := list(islice(shown, batch)):
        prompts = tuple(items[place].prompt or "" for place, _ in part)
        shown_now = torch.cat([pixels for _, pixels in part])
        scores = model.score(Inputs(prompts, shown_now))
        recognised = [True] * len(part) if doubt is None else doubt.recognised(shown_now)
        unsafe, named = (each[model.scope].cpu().numpy() for each in (scores.unsafe, scores.categories))
        for (place, _), score, each, known in zip(part, unsafe, named, recognised, strict=True):
            rows[place].see(float(score), [float(value) for value in each], known)
        foreign = [n for n, (place, _) in enumerate(part) if rows[place].unknown_words and unsafe[n] > model.threshold]
        if doubt is not None and foreign:
            grounds = doubt.grounded([prompts[n] for n in foreign], shown_now[foreign])
            for n, grounded in zip(foreign, grounds, strict=True):
                rows[part[n][0]].grounded |= grounded
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
    recognised: bool = False  # the worst frame so far
    unrecognised_score: float = -1.0  # the highest of frames in which nothing is recognised
    unknown_words: Sequence[str] = ()
    grounded: bool = False  # whether any flagged frame is, without the unknown words

    def see(self, score: float, categories: Sequence[float], recognised: bool = True) -> None:
        """The next frame's scores. A frame in which nothing is recognised gives way to any other."""
        if not recognised:
            self.unrecognised_score = max(self.unrecognised_score, score)
        if (recognised, score) > (self.recognised, self.score):
            self.recognised = recognised
            self.score, self.frame, self.categories = score, self.frames, categories
        self.frames += 1

    def doubted(self, flagged: bool, model: Classifier) -> str | None:
        """Why the answer has no ground. Known words alone can make a pair unsafe: what is flagged by them stays so."""
        if flagged and self.unknown_words and not self.grounded:
            return words_reason(self.unknown_words)
        if flagged and (self.recognised or "prompt" in model.reads):
            return None
        if not self.recognised or self.unrecognised_score > model.threshold:
            return NOTHING
        return words_reason(self.unknown_words) if self.unknown_words else None

    def said(self, model: Classifier) -> dict[str, object]:
        """The row of `SCHEMA`."""
        flagged = self.score > model.threshold
        if not self.frames or (self.reason is not None and not flagged):
            return {"key": self.key, "safety": "unreadable", "reason": self.reason}
        doubted = self.doubted(flagged, model)
        return {
            "key": self.key,
            "safety": "unsure" if doubted else "unsafe" if flagged else "safe",
            "category": model.categories[int(np.argmax(self.categories))] if flagged and not doubted else None,
            "score": self.score,
            "scores": list(zip(model.categories, self.categories, strict=True)),
            "reason": doubted or self.reason,
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
