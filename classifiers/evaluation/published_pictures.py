"""Published sets of pictures as rows to be judged, in the layouts that their authors give them: docs/guide/data.md lists them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from classifiers.data.labelled_sample import LabelledSample, ScopeTruth
from classifiers.unsafebench.dataset.external_sets import external
from classifiers.unsafebench.dataset.images import decoded, read_set
from schemas.errors import InputError
from schemas.identity import derived_key
from schemas.sample import Pixels, Sample
from stages.label.llavaguard import Llavaguard

UNSAFEBENCH = {"image", "safety_label"}
LLAVAGUARD = {"rating", "assessment"}  # beside `image`: a column of ratings, or the whole answer as JSON


def published(text: str) -> bool:
    """Whether it is a published set: NORMS.csv=FOLDER, a TSV, or Parquet with the columns of one of them."""
    path = Path(text.partition("=")[0])
    return (
        "=" in text
        or path.suffix == ".tsv"
        or bool(_columns(path) & {"safety_label", "label", *LLAVAGUARD} and "image" in _columns(path))
    )


def of_published(text: str) -> Iterator[LabelledSample]:
    """Each picture with the label of its image. Raises InputError for a layout that is none of them."""
    path = Path(text.partition("=")[0])
    if _columns(path) >= UNSAFEBENCH:
        for picture in read_set(path):
            yield _row(picture.key, picture.text, picture.pixels, (picture.category,) if picture.unsafe else None, path)
        return
    if _columns(path) & LLAVAGUARD and "label" not in _columns(path):
        yield from of_llavaguard(path)
        return
    try:
        name, pictures = external(text)
        for each in pictures:
            yield _row(derived_key("external", name, each.name), "", each.pixels, () if each.unsafe else None, path)
    except InputError as error:
        raise InputError(str(error).replace("--external", "--data")) from error


def of_llavaguard(path: Path) -> Iterator[LabelledSample]:
    """Parquet as LlavaGuard's set and what LlavaGuard annotated: `image`, `rating` (Safe, Unsafe) and `category` (O1: … to O9: …
    or NA), or both in the JSON of `assessment`. Raises InputError for a row that has no rating.
    """
    for file in sorted(path.rglob("*.parquet")) if path.is_dir() else [path]:
        number = 0
        for batch in pq.ParquetFile(file).iter_batches(64):
            for row in batch.to_pylist():
                number += 1
                where = f"--data {file}, row {number}"
                rating, category = _rated(row, where)
                if not isinstance(row["image"], dict) or not row["image"].get("bytes"):
                    raise InputError(f"{where}: no picture in it; expected the bytes of a file in `image`")
                unsafe = None if rating == "safe" else tuple(each for each in (category,) if each)
                key = derived_key("llavaguard", file.name, number)
                yield _row(key, str(row.get("prompt") or ""), decoded(row["image"]["bytes"]), unsafe, path)


def _rated(row: dict[str, Any], where: str) -> tuple[str, str | None]:
    """safe or unsafe, and the category that it is in our taxonomy."""
    facts = row
    if not row.get("rating"):
        try:
            facts = json.loads(str(row.get("assessment")))
        except ValueError:
            facts = {}
    rating = str(facts.get("rating", "") if isinstance(facts, dict) else "").lower()
    if rating not in ("safe", "unsafe"):
        raise InputError(f"{where}: rating {rating!r}; expected Safe or Unsafe")
    code = str(facts.get("category") or "").partition(":")[0].strip()
    return rating, Llavaguard.means.get(code)


def _row(key: str, prompt: str, pixels: Pixels, unsafe: tuple[str, ...] | None, path: Path) -> LabelledSample:
    """`unsafe` are the categories; None is safe."""
    truth = ScopeTruth("safe") if unsafe is None else ScopeTruth("unsafe", unsafe)
    sample = Sample(key=key, root=key, prompt=prompt, source=path.stem, pixels=pixels)
    return LabelledSample(sample, {"image": truth})


def _columns(path: Path) -> set[str]:
    """Of the first Parquet file at a path; none where there is no such file."""
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path] if path.suffix == ".parquet" else []
    if not files or not files[0].is_file() or files[0].name == "metadata.parquet":
        return set()
    try:
        return set(pq.read_schema(files[0]).names)
    except pa.ArrowInvalid as error:
        raise InputError(f"--data {files[0]}: no Parquet ({error})") from error
