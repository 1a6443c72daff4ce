"""A run's shards as rows to learn from: streamed out of the WebDataset tars, in the order of the shards or shuffled by a seed."""

import io
import json
import random
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import webdataset

from pipeline.dataset.manifest import read_manifest
from pipeline.storage.image_codec import SETTINGS, decode
from pipeline.storage.store import Store
from schemas.control_file import ControlFileError
from schemas.errors import InputError
from schemas.sample import Pixels

SHUFFLE = 2048  # rows in memory, as files; the shards themselves are shuffled over the whole run already


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One labelled pair; its picture is a file's bytes until it is asked for. `labels` and `categories` are by scope."""

    key: str
    prompt: str
    picture: bytes
    format: str
    labels: dict[str, str]
    categories: dict[str, tuple[str, ...]]
    weight: float
    clean: bool

    @property
    def pixels(self) -> Pixels:
        """uint8 [height, width, 3], decoded anew. Raises InputError for a picture that does not decode."""
        try:
            return decode(self.picture, self.format)
        except (OSError, ValueError) as error:
            raise InputError(f"the picture of {self.key} does not decode ({error}); run jobs/verify.py RUN") from error


@dataclass(frozen=True)
class ShardRows:
    """The rows of one split in which at least one of `scopes` is known to be safe or unsafe; re-iterable.

    Rows of which all is `na` are left out, and counted by `survey`. Raises InputError for a tar that cannot be read.
    """

    store: Store
    split: str
    scopes: tuple[str, ...]

    def __iter__(self) -> Iterator[Row]:
        return self._read(self._tars(), None)

    def shuffled(self, seed: int) -> Iterator[Row]:
        """Shards in another order, and rows through a buffer of `SHUFFLE`; the same for the same seed."""
        tars = self._tars()
        random.Random(seed).shuffle(tars)
        return self._read(tars, seed)

    def _tars(self) -> list[str]:
        return [str(Path(self.store.url) / name) for name in shard_names(self.store, self.split, ".tar")]

    def _read(self, tars: list[str], seed: int | None) -> Iterator[Row]:
        steps = [
            webdataset.SimpleShardList(tars),
            webdataset.tarfile_to_samples(),
            webdataset.map(self._row),
            webdataset.select(lambda row: any(label in KNOWN for label in row.labels.values())),
        ]
        if seed is not None:
            steps.append(webdataset.shuffle(SHUFFLE, initial=SHUFFLE, seed=seed))
        try:
            yield from webdataset.DataPipeline(*steps) if tars else ()
        except (tarfile.TarError, EOFError, OSError, ValueError, KeyError) as error:
            said = " ".join(str(part) for part in error.args if not isinstance(part, io.IOBase))
            raise InputError(
                f"a shard of {self.store.url}/shards/{self.split} cannot be read ({type(error).__name__}: {said}); "
                "run jobs/verify.py to find it"
            ) from error

    def _row(self, sample: dict[str, Any]) -> Row:
        said = json.loads(sample["json"])
        kind = next(name for name in SETTINGS if name in sample)
        return Row(
            key=said["key"],
            prompt=said["prompt"],
            picture=sample[kind],
            format=kind,
            labels={scope: said[f"{scope}_label"] for scope in self.scopes},
            categories={scope: tuple(c for c in said[f"{scope}_categories"].split(",") if c) for scope in self.scopes},
            weight=said["weight"],
            clean=said["clean"],
        )


KNOWN = ("safe", "unsafe")


def manifest_of(store: Store) -> dict[str, Any]:
    """The shards' manifest. Raises InputError where there is none, or a damaged one."""
    try:
        return read_manifest(store)
    except ControlFileError as error:
        raise InputError(str(error)) from error


def shard_names(store: Store, split: str, ending: str) -> list[str]:
    """Names within the run of one split's files, in the order of the manifest."""
    shards = [shard for shard in manifest_of(store)["shards"] if shard["split"] == split]
    return [f"shards/{file['name']}" for shard in shards for file in shard["files"] if file["name"].endswith(ending)]
