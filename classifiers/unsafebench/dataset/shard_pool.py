"""Any image-caption shards as a place to search, as LAION-5B is for the paper: WebDataset's tars, KEY.jpg beside KEY.txt."""

import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from classifiers.layers.encoder import Encoder
from classifiers.unsafebench.dataset.clip_index import Floats, picture_vectors
from classifiers.unsafebench.dataset.images import Picture, decoded, tensor_of
from schemas.errors import InputError
from schemas.identity import derived_key
from schemas.prompt import Prompt
from schemas.sample import Sample

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
BATCH = 64


@dataclass(eq=False)
class ShardPool:
    """Pictures are read one batch after another, and those that are found once more: only their vectors stay in memory."""

    source: str
    folder: Path
    _places: list[tuple[Path, str]] = field(default_factory=list, init=False)

    def vectors(self, encoder: Encoder) -> Floats:
        """float32 [n, width], in the order of tars and of what is in them. Raises InputError where there are none."""
        self._places.clear()
        pictures, found = self._pictures(), []
        while part := list(islice(pictures, BATCH)):
            self._places += [place for place, _ in part]
            rows = [Picture("", decoded(data), self.source, "", unsafe=False) for _, data in part]
            found.append(picture_vectors(encoder, tensor_of(rows, int(encoder.clip.config.vision_config.image_size))))
        if not found:
            raise InputError(f"{self.folder}: expected tars with pictures ({', '.join(SUFFIXES)}) and captions (.txt)")
        return np.concatenate(found)

    def samples(self, rows: Sequence[int]) -> list[Sample]:
        """Those rows with their pictures and captions, in order."""
        wanted = {self._places[row]: row for row in rows}
        found: dict[int, Sample] = {}
        for tar in sorted({tar for tar, _ in wanted}):
            with tarfile.open(tar) as members:
                for name in (name for other, name in wanted if other == tar):
                    caption = _read(members, f"{Path(name).with_suffix('.txt')}") or b""
                    text = caption.decode("utf-8", "replace").strip()
                    root = Sample.from_prompt(Prompt(text, text, source=self.source), 0)
                    key = derived_key("shard", self.source, tar.name, name)
                    pixels = decoded(_read(members, name) or b"")
                    found[wanted[tar, name]] = replace(root, key=key, root=key, pixels=pixels)
        return [replace(found[row], batch_row=batch_row) for batch_row, row in enumerate(rows)]

    def _pictures(self) -> Iterator[tuple[tuple[Path, str], bytes]]:
        for tar in sorted(self.folder.rglob("*.tar")):
            try:
                with tarfile.open(tar) as members:
                    for member in members:
                        if member.isfile() and Path(member.name).suffix.lower() in SUFFIXES:
                            file = members.extractfile(member)
                            yield (tar, member.name), file.read() if file is not None else b""
            except tarfile.TarError as error:
                raise InputError(f"{tar}: it cannot be read ({error})") from error


def _read(members: tarfile.TarFile, name: str) -> bytes | None:
    try:
        file: io.BufferedReader | None = members.extractfile(name)  # type: ignore[assignment]
    except KeyError:
        return None
    return file.read() if file is not None else None
