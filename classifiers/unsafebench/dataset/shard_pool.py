"""Any image-caption shards as a place to search, as LAION-5B is for the paper: WebDataset's tars, KEY.jpg beside KEY.txt."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from classifiers.layers.encoder import ClipEncoder
from classifiers.unsafebench.dataset.clip_index import Floats, picture_vectors
from classifiers.unsafebench.dataset.images import Picture, decoded, tensor_of
from pipeline.storage.file_names import written_name
from pipeline.storage.image_codec import PREFIX, SUFFIXES, format_of
from pipeline.storage.tar_members import Member, members
from schemas.errors import InputError
from schemas.identity import derived_key
from schemas.prompt import Prompt
from schemas.sample import Pixels, Sample

BATCH = 64


@dataclass(eq=False)
class ShardPool:
    """Pictures are read one batch after another, and those that are found once more: only their vectors stay in memory.

    `unreadable` holds the pictures that could not be read, with the reason; they are not found.
    """

    source: str
    folder: Path
    unreadable: list[str] = field(default_factory=list, init=False)
    _places: list[tuple[Path, Member]] = field(default_factory=list, init=False)

    def vectors(self, encoder: ClipEncoder) -> Floats:
        """float32 [n, width], in the order of tars and of what is in them. Raises InputError where there are none, and for a
        damaged tar.
        """
        self._places.clear()
        self.unreadable.clear()
        pictures, vectors = self._pictures(), []
        while part := list(islice(pictures, BATCH)):
            self._places += [place for place, _ in part]
            rows = [Picture("", pixels, self.source, "", unsafe=False) for _, pixels in part]
            vectors.append(picture_vectors(encoder, tensor_of(rows, encoder.side)))
        if self.unreadable:
            print(
                f"{self.folder}: {len(self.unreadable)} pictures left out, the first: {self.unreadable[0]}", flush=True
            )
        if not vectors:
            raise InputError(f"{self.folder}: expected tars with pictures ({', '.join(SUFFIXES)}) and captions (.txt)")
        return np.concatenate(vectors)

    def samples(self, rows: Sequence[int]) -> list[Sample]:
        """Those rows with their pictures and captions, in order."""
        samples: dict[int, Sample] = {}
        for tar in sorted({self._places[row][0] for row in rows}):
            with tar.open("rb") as file:
                named = {member.name: member for member in members(file)}
                for row in (row for row in rows if self._places[row][0] == tar):
                    picture = self._places[row][1]
                    caption = named.get(f"{Path(picture.name).with_suffix('.txt')}")
                    text = "" if caption is None else _read(file, caption).decode("utf-8", "replace").strip()
                    root = Sample.from_prompt(Prompt(text, text, source=self.source), 0)
                    key = derived_key("shard", self.source, tar.name, written_name(picture.name))
                    samples[row] = replace(root, key=key, root=key, pixels=decoded(_read(file, picture)))
        return [replace(samples[row], batch_row=batch_row) for batch_row, row in enumerate(rows)]

    def _pictures(self) -> Iterator[tuple[tuple[Path, Member], Pixels]]:
        for tar in sorted(self.folder.rglob("*.tar")):
            with tar.open("rb") as file:
                for member in members(file):
                    if member.problem is not None:
                        raise InputError(
                            f"{tar}: it cannot be read whole: {written_name(member.name)} {member.problem}"
                        )
                    if member.passed is None and _is_picture(file, member):
                        try:
                            yield (tar, member), decoded(_read(file, member))
                        except InputError as error:
                            self.unreadable.append(f"{tar.name}/{written_name(member.name)}: {error}")


def _is_picture(file: BinaryIO, member: Member) -> bool:
    head = replace(member, size=min(member.size, PREFIX))
    return member.name.lower().endswith(SUFFIXES) or format_of(_read(file, head)) is not None


def _read(file: BinaryIO, member: Member) -> bytes:
    file.seek(member.offset)
    return file.read(member.size)
