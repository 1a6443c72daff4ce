"""The rows that a scorer is judged on: a split of the run's shards, or a folder of somebody else's pairs."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path

from classifiers.data.labelled_sample import NA, LabelledSample, ScopeTruth
from classifiers.data.labelled_shards import LabelledShards
from classifiers.evaluation.published_pictures import of_published, published
from pipeline.storage.image_codec import PictureError, decode
from pipeline.storage.store import Store
from schemas.catalogue import SCOPES, SPLITS
from schemas.errors import InputError
from schemas.identity import derived_key
from schemas.sample import Sample
from stages.prompts.rows import columns_of, listed, rows_of

READ_AT_ONCE = 1024  # pictures
TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""What a folder's table is called: the convention of `datasets`' ImageFolder, whose `file_name` is a path below the folder."""


def cases_of(store: Store, data: str) -> list[LabelledSample]:
    """`--data`: test, val or train of the run's shards, else a folder, or a published set on disk. Raises InputError where there is
    nothing to judge.
    """
    if data in SPLITS:
        cases = list(_of_shards(store, data))
        if not cases:
            raise InputError(
                f"{store.url} has no {data} shards; run jobs/label.py and jobs/shards.py {store.url} first"
            )
    elif published(data):
        cases = list(of_published(data))
    else:
        cases = list(_of_folder(Path(data)))
    if all(case.overall.label == NA for case in cases):
        raise InputError(f"--data {data}: none of {len(cases)} rows has a label; run jobs/label.py and jobs/shards.py")
    return cases


def _of_shards(store: Store, split: str) -> Iterator[LabelledSample]:
    """In the order of the shards, with their pictures."""
    rows = iter(LabelledShards(store, split, source="parquet"))
    while part := list(islice(rows, READ_AT_ONCE)):
        places = [(row.sample.tar or "", row.sample.tar_offset or 0, row.sample.tar_size or 0) for row in part]
        for row, data in zip(part, store.read_ranges(places), strict=True):
            yield replace(row, sample=row.sample.with_(pixels=decode(data, row.sample.format)))


def _of_folder(folder: Path) -> Iterator[LabelledSample]:
    """A table with `file_name`, `prompt`, and `label` (of the pair: safe, unsafe) or `prompt_label`, `image_label`, `pair_label`;
    `categories` (commas between), `source`, `language`, `root` where they are known.
    """
    table = next((folder / name for name in TABLES if (folder / name).is_file()), None)
    if table is None:
        raise InputError(f"--data {folder}: expected test, val, train, or a folder with one of {', '.join(TABLES)}")
    columns = columns_of(table)
    if not {"file_name", "prompt"} <= set(columns) or not any(name.endswith("label") for name in columns):
        raise InputError(f"{table} has {listed(columns)}; expected file_name, prompt and label (or pair_label, …)")
    for number, row in enumerate(rows_of(table, columns)):
        yield _foreign(folder, {name: str(value).strip() for name, value in row.items() if value is not None}, number)


def _foreign(folder: Path, row: Mapping[str, str], number: int) -> LabelledSample:
    path = folder / row.get("file_name", "")
    if not path.is_file() or ".." in Path(row["file_name"]).parts:
        raise InputError(f"{folder}, row {number}: {path} is no picture below the folder")
    data = path.read_bytes()
    try:
        pixels = decode(data)
    except PictureError as error:
        raise InputError(f"{folder}, row {number}: {path}: {error}") from error
    named = _split(row.get("categories", ""))
    truth = {}
    for scope in SCOPES:
        label = row.get(f"{scope}_label") or (row.get("label") if scope == "pair" else None)
        if not label:
            continue
        if label not in ("safe", "unsafe", NA):
            raise InputError(f"{folder}, row {number}: {scope} is {label!r}; expected safe, unsafe or na")
        truth[scope] = ScopeTruth(label, named if label == "unsafe" else ())
    key = derived_key("external", folder.name, number, row["file_name"], row.get("prompt", ""))
    sample = Sample(
        key=key,
        root=row.get("root") or key,
        prompt=row.get("prompt", ""),
        source=row.get("source") or folder.name,
        language=row.get("language"),
        image_sha256=sha256(data).hexdigest(),
        pixels=pixels,
    )
    return LabelledSample(sample, truth)


def _split(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())
