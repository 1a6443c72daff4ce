"""The one reader of a run's shards: samples with their labels, streamed out of the WebDataset tars or out of the Parquet rows."""

import io
import json
import random
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
import webdataset

from classifiers.data.labelled_sample import KNOWN, LabelledSample, ScopeTruth
from pipeline.dataset.manifest import read_manifest
from pipeline.storage.image_codec import SETTINGS
from pipeline.storage.store import Store
from schemas.catalogue import SCOPES, UNLABELLED
from schemas.control_file import ControlFileError
from schemas.errors import InputError
from schemas.sample import Sample, from_row

SHUFFLE = 2048  # rows in memory, as files; the shards themselves are shuffled over the whole run already


@dataclass(frozen=True)
class LabelledShards:
    """The samples of one split in the order of the shards; re-iterable. With `scopes` only those in which at least one of them is
    known to be safe or unsafe (the others are counted by `survey`).

    Out of "tar" each sample comes with its picture file (`sample.encoded`); out of "parquet" it says where its picture lies.
    Raises InputError for a shard that cannot be read.
    """

    store: Store
    split: str
    scopes: tuple[str, ...] = ()
    source: Literal["tar", "parquet"] = "tar"

    def __iter__(self) -> Iterator[LabelledSample]:
        return self._of_tars(self._tars(), None) if self.source == "tar" else self._of_parquet()

    def shuffled(self, seed: int) -> Iterator[LabelledSample]:
        """Out of the tars: shards in another order, and rows through a buffer of `SHUFFLE`; the same for the same seed."""
        tars = self._tars()
        random.Random(seed).shuffle(tars)
        return self._of_tars(tars, seed)

    def _tars(self) -> list[str]:
        return [str(Path(self.store.url) / name) for name in shard_names(self.store, self.split, ".tar")]

    def _of_tars(self, tars: list[str], seed: int | None) -> Iterator[LabelledSample]:
        steps = [
            webdataset.SimpleShardList(tars),
            webdataset.tarfile_to_samples(),
            webdataset.map(_of_members),
            webdataset.select(self._wanted),
        ]
        if seed is not None:
            steps.append(webdataset.shuffle(SHUFFLE, initial=SHUFFLE, seed=seed))
        try:
            yield from webdataset.DataPipeline(*steps) if tars else ()
        except (tarfile.TarError, EOFError, OSError, ValueError, KeyError) as error:
            message = " ".join(str(part) for part in error.args if not isinstance(part, io.IOBase))
            raise InputError(
                f"a shard of {self.store.url}/shards/{self.split} cannot be read ({type(error).__name__}: {message}); "
                "run jobs/verify.py to find it"
            ) from error

    def _of_parquet(self) -> Iterator[LabelledSample]:
        for name in sorted(self.store.names(f"shards/{self.split}")):
            if name.endswith(".parquet"):
                with self.store.open(name) as file:
                    rows = pq.ParquetFile(file).read().to_pylist()
                yield from filter(self._wanted, (_labelled(from_row(row), row, self.split) for row in rows))

    def _wanted(self, row: LabelledSample) -> bool:
        return not self.scopes or any(row.of(scope).label in KNOWN for scope in self.scopes)


def _of_members(members: dict[str, Any]) -> LabelledSample:
    """A sample out of the members of a tar. What is no fact of the shard's stands in `provenance`, as JSON in a string."""
    facts = json.loads(members["json"])
    kind = next(name for name in SETTINGS if name in members)
    sample = from_row({**json.loads(facts["provenance"]), **facts}).with_(encoded=members[kind], format=kind)
    return _labelled(sample, facts, facts["split"])


def _labelled(sample: Sample, row: dict[str, Any], split: str) -> LabelledSample:
    """With its labels; one that is missing is null in shards of before, `unlabelled` in those of today and in every tar."""
    truth = {
        scope: ScopeTruth(label, tuple(one for one in (row[f"{scope}_categories"] or "").split(",") if one))
        for scope in SCOPES
        if (label := row[f"{scope}_label"]) not in (None, UNLABELLED)
    }
    return LabelledSample(sample, truth, row["test_set"] or split, row["weight"])


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
