"""What is to be moderated as pairs: a table of prompts and picture paths, or pictures with a text of their name beside them.

As with pictures alone, nothing is left out in silence: a row or picture is judged, unreadable with its reason, or passed over
with one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from classifiers.moderation.folder_walk import Entry, files_below
from classifiers.moderation.sources import Found, Item, PassedOver, PictureSource, found_in_entries, numbered
from classifiers.moderation.texts_beside import pictures_with_texts, with_prompt
from pipeline.catalogue.gather import committed
from pipeline.rounds.existing_run import existing_run
from pipeline.storage.file_names import written_name
from pipeline.storage.local_store import LocalStore
from pipeline.storage.store import OBJECT_SCHEMES, Store
from schemas.errors import InputError
from schemas.prompt import LeftOut
from stages.prompts.rows import Row, columns_of, listed, numbered_rows, require

TABLES = (".csv", ".jsonl", ".parquet")
PROMPTS = ("prompt", "caption", "text")
PICTURES = ("picture", "image", "file_name", "picture_path", "image_path", "path", "file")


@dataclass(frozen=True)
class Columns:
    """Of a table: the prompts' and the picture paths'; None takes the first of the usual names that is there."""

    prompt: str | None = None
    picture: str | None = None


def pairs_of(where: str, columns: Columns | None = None) -> PictureSource:
    """A table, a folder, a tar (WebDataset) or a run. Raises InputError where there is no pair at all.

    Paths in a table are relative to its folder, or below it: others are unreadable, and nothing is fetched from an address.
    """
    path = Path(where)
    store: Store
    if where.startswith(OBJECT_SCHEMES) or (path / "run.json").is_file():
        store, _ = existing_run(where)
        pairs: Sequence[Found] = list(_of_run(store))
    elif path.is_dir():
        store = LocalStore(path.resolve(), follow_links=True)
        pairs = pictures_with_texts(store, files_below(path.resolve()))
    elif path.suffix.lower() in TABLES:
        store = LocalStore(path.resolve().parent, follow_links=True)
        pairs = numbered(_of_table(store, path, columns or Columns()))
    elif path.is_file():
        store = LocalStore(path.resolve().parent, follow_links=True)
        pairs = pictures_with_texts(store, [Entry(path.name)])
    else:
        raise InputError(
            f"{written_name(where)}: no such file or folder; --pairs takes {', '.join(TABLES)}, a folder, a tar or a run"
        )
    items = tuple(each for each in pairs if isinstance(each, Item))
    if not any(item.problem is None for item in items):
        why = next((item.problem for item in items), "nothing is there")
        raise InputError(f"{written_name(where)}: no pair that can be read, of {len(items)} ({why})")
    return PictureSource(store, items, tuple(each for each in pairs if isinstance(each, PassedOver)))


def _of_table(store: Store, table: Path, columns: Columns) -> Iterator[Found]:
    there = columns_of(table)
    prompt = _column(table, there, columns.prompt, PROMPTS, "--column")
    picture = _column(table, there, columns.picture, PICTURES, "--picture-column")
    for line, row in numbered_rows(table, (prompt, picture)):
        key = f"{written_name(table.name)}:{line}"
        if isinstance(row, LeftOut):
            yield Item(key, "", problem=f"the row is {row.reason}: {row.where}")
        else:
            yield _of_row(store, key, row, prompt, picture)


def _column(table: Path, there: list[str], column: str | None, usual: tuple[str, ...], flag: str) -> str:
    name = column or next((name for name in usual if name in there), None)
    if name is None:
        raise InputError(f"{table.name} has {listed(there)}; expected one of {', '.join(usual)}, or name it by {flag}")
    require(table.name, there, name, f"name it by {flag}")
    return name


def _of_row(store: Store, key: str, row: Row, prompt: str, picture: str) -> Found:
    """The pair of a row, under the line and the picture's path."""
    text, place = row[prompt], row[picture]
    if not isinstance(place, str) or not place.strip():
        what = "is empty" if place is None or isinstance(place, str) else "holds no path"
        return Item(key, "", problem=f"the row names no picture: column {picture!r} {what}")
    key = f"{key} {written_name(place)}"
    if "://" in place:
        return Item(key, "", problem="an address, and nothing is fetched: download the picture and name its file")
    name = _below(Path(store.url), place)
    if name is None:
        return Item(key, "", problem=f"it lies outside of {written_name(store.url)}: put the table above its pictures")
    if store.size(name) is None:
        return Item(key, name, problem=f"there is no such file below {written_name(store.url)}")
    entry = next(iter(found_in_entries(store, [Entry(name)])), None)
    if isinstance(entry, PassedOver) or entry is None:
        return Item(key, name, problem=entry.reason if entry else "nothing is there")
    if entry.file == name and entry.offset == 0:
        return with_prompt(replace(entry, key=key), text)
    return Item(key, name, problem="a tar, not a picture: give the tar itself to --pairs")


def _below(root: Path, place: str) -> str | None:
    """The path below the root, None where it leads elsewhere."""
    path = Path(place)
    parts = path.relative_to(root).parts if path.is_absolute() and path.is_relative_to(root) else path.parts
    return None if (path.is_absolute() and not path.is_relative_to(root)) or ".." in parts else "/".join(parts)


def _of_run(store: Store) -> Iterator[Found]:
    """Every committed pair, by the sample's key."""
    for name in committed(store, "raw"):
        with store.open(name) as file:
            table = pq.ParquetFile(file).read(
                columns=["key", "prompt", "tar", "tar_offset", "tar_size", "image_sha256"]
            )
        for row in table.to_pylist():
            if row["tar"] is None:
                yield PassedOver(row["key"], "a row of the run that has no picture")
            else:
                place = (row["tar"], row["tar_offset"], row["tar_size"], row["image_sha256"])
                yield with_prompt(Item(row["key"], *place), row["prompt"])
