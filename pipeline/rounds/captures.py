"""Captures on disk: `captures/unit-000123.tar` with a member KEY.npz a sample, and rows that say what is in it and where.

They lie beside the pictures' tar, not in it: readers of pictures need not carry ten times their bytes along, and revoking and
verifying a run treat the file like any other tar with rows.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.pack import PackPictures, add_member, end_tar, padded, parquet_bytes
from pipeline.rounds.rounds import committed_files, rounds_with
from pipeline.storage.store import Store
from schemas.capture import CAPTURE_SCHEMA, Array, CapturedArray, CapturedSample, at_step, step_of
from schemas.errors import InputError
from schemas.sample import Sample

FORMAT = "npz"
PLACE = ("key", "tar", "tar_offset", "tar_size", "of_steps")


@dataclass(frozen=True)
class PackCaptures(PackPictures):
    """What `PackPictures` makes, and the captures of samples that have any: tar (webdataset and datasets read .npz) and rows."""

    def files(self, unit: int, samples: Sequence[Sample], folder: str) -> Iterator[tuple[str, bytes]]:
        """Pictures first."""
        yield from PackPictures.files(self, unit, samples, folder)
        captured = [sample for sample in samples if isinstance(sample, CapturedSample) and sample.caught]
        if captured:
            name = f"captures/unit-{unit:06d}"
            tar, rows = _pack(sorted(captured, key=lambda sample: sample.key), f"{folder}/{name}.tar")
            yield f"{name}.tar", tar
            yield f"{name}.parquet", parquet_bytes(pa.Table.from_pylist(rows, CAPTURE_SCHEMA))


def _pack(samples: Sequence[CapturedSample], tar: str) -> tuple[bytes, list[dict[str, Any]]]:
    """The tar, with KEY.json (what, when, by which weights) before KEY.npz, and its rows."""
    buffer = io.BytesIO()
    rows = []
    for sample in samples:
        row = _row(sample)
        data = npz(sample.caught)
        add_member(buffer, f"{sample.key}.json", _json(row))
        add_member(buffer, f"{sample.key}.{FORMAT}", data)
        offset = buffer.tell() - padded(len(data))
        place = {"tar": tar, "tar_offset": offset, "tar_size": len(data), "image_sha256": sha256(data).hexdigest()}
        rows.append({**row, **place})
    end_tar(buffer)
    return buffer.getvalue(), rows


def _row(sample: CapturedSample) -> dict[str, Any]:
    return {
        "key": sample.key,
        "format": FORMAT,
        "names": [one.member for one in sample.caught],
        "steps": [one.step for one in sample.caught],
        "timesteps": [one.timestep for one in sample.caught],
        "of_steps": sample.steps,
        "generator": sample.generator,
        "revision": sample.revision,
    }


def _json(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, sort_keys=True, separators=(",", ":")).encode()


def npz(caught: Sequence[CapturedArray]) -> bytes:
    """The arrays as one uncompressed .npz; numpy writes no times into it, so equal arrays are equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{one.member: one.array for one in caught})
    return buffer.getvalue()


@dataclass(frozen=True)
class CaptureReader:
    """The captures of a run by the keys of its samples. Holds places, some 200 bytes a sample; arrays are read when asked for."""

    store: Store
    places: Mapping[str, tuple[str, int, int]]
    steps: Mapping[str, int]  # of each sample's whole schedule

    @classmethod
    def of(cls, store: Store) -> "CaptureReader":
        """All rounds of the run. Raises InputError where none kept any."""
        places: dict[str, tuple[str, int, int]] = {}
        steps: dict[str, int] = {}
        for folder in rounds_with(store, "captures"):
            for name in committed_files(store, folder, "captures/", ".parquet"):
                with store.open(name) as file:
                    table = pq.ParquetFile(file).read(columns=list(PLACE))
                for key, tar, offset, size, of_steps in zip(*(table[name].to_pylist() for name in PLACE), strict=True):
                    places[key], steps[key] = (tar, offset, size), of_steps
        if not places:
            raise InputError(f"{store.url} kept nothing of its drawings; generate with --recipe in_diffusion")
        return cls(store, places, steps)

    def read(self, keys: Sequence[str]) -> list[dict[str, Array]]:
        """Everything kept of these samples, in their order. Raises InputError for a sample without captures."""
        missing = [key for key in keys if key not in self.places]
        if missing:
            raise InputError(f"{self.store.url}: nothing was kept of the drawing of {missing[0]} ({len(missing)} such)")
        files = self.store.read_ranges([self.places[key] for key in keys])
        return [_arrays(key, data) for key, data in zip(keys, files, strict=True)]

    def stacked(self, keys: Sequence[str], share: float) -> dict[str, Array]:
        """What was kept when `share` of the schedule was done, float16 [n, …] by the names that classifiers read them under.

        Raises InputError as `read`, and for samples of unlike drawings, which cannot stand in one batch.
        """
        rows = [at_step(row, step_of(share, self.steps[key])) for key, row in zip(keys, self.read(keys), strict=True)]
        shapes = {name: {row[name].shape if name in row else None for row in rows} for row in rows for name in row}
        unlike = sorted(name for name, sizes in shapes.items() if len(sizes) > 1)
        if unlike or not all(rows):
            what = (
                f"the captures {unlike} differ in form" if unlike else f"nothing was kept at {share:.0%} of the steps"
            )
            raise InputError(f"{self.store.url}: {what}; train on the rows of one model and schedule")
        return {name: np.stack([row[name] for row in rows]) for name in shapes}


def _arrays(key: str, data: bytes) -> dict[str, Array]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except (OSError, ValueError) as error:
        raise InputError(f"the captures of {key} cannot be read ({error}); run jobs/verify.py RUN") from error
