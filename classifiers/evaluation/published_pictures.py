"""Published sets of pictures as rows to be judged, in the layouts that their authors give them: docs/guide/data.md lists them."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from classifiers.data.labelled_sample import LabelledSample, ScopeTruth
from classifiers.unsafebench.dataset.external_sets import external
from classifiers.unsafebench.dataset.images import read_set
from schemas.errors import InputError
from schemas.identity import derived_key
from schemas.sample import Pixels, Sample

UNSAFEBENCH = {"image", "safety_label"}


def published(text: str) -> bool:
    """Whether it is a published set: NORMS.csv=FOLDER, a TSV, or Parquet with the columns of one of them."""
    path = Path(text.partition("=")[0])
    return (
        "=" in text
        or path.suffix == ".tsv"
        or bool(_columns(path) & {"safety_label", "label"} and "image" in _columns(path))
    )


def of_published(text: str) -> Iterator[LabelledSample]:
    """Each picture with the label of its image. Raises InputError for a layout that is none of them."""
    path = Path(text.partition("=")[0])
    if _columns(path) >= UNSAFEBENCH:
        for picture in read_set(path):
            yield _row(picture.key, picture.text, picture.pixels, (picture.category,) if picture.unsafe else None, path)
        return
    try:
        name, pictures = external(text)
        for each in pictures:
            yield _row(derived_key("external", name, each.name), "", each.pixels, () if each.unsafe else None, path)
    except InputError as error:
        raise InputError(str(error).replace("--external", "--data")) from error


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
