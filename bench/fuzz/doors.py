"""The doors: for each, whole inputs to begin with, and the code that a command feeds them to."""

import io
import json
import tarfile
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.catalogue.duck import Connection
from pipeline.catalogue.question import checked
from pipeline.storage.image_codec import PictureError, decode, frames
from pipeline.storage.tar_members import members
from pipeline.votes.label_studio import Exchange, votes_from
from schemas.errors import HazmatError
from schemas.manifest import Receipt
from schemas.run import RunConfig
from stages.generate.pipeline_directory import PipelineDirectory, tensor_shapes
from stages.prompts.files import read_prompts
from stages.remote.address import Address

Feed = Callable[[bytes, Path], None]

EXPECTED = (HazmatError, PictureError)
"""What a door may raise: each is one line for people."""
EXCHANGE = Exchange("policy", "1", ("violence", "spam"))
REPOSITORY = Path(__file__).parents[2]
WORLD = REPOSITORY / "assets" / "world"
RECEIPT = REPOSITORY / "tests/data/recorded_run/rounds/000-generate/receipts/unit-000000.json"


@dataclass(frozen=True, slots=True)
class Door:
    """`seeds` are whole inputs, `feed` takes one (and an empty folder to put files in)."""

    name: str
    seeds: tuple[bytes, ...]
    feed: Feed


def doors() -> tuple[Door, ...]:
    """All of them."""
    return (
        *(Door(f"prompts.{kind}", seeds, partial(_prompts, kind)) for kind, seeds in _prompt_files().items()),
        Door("picture", _pictures(), _picture),
        Door("tar", _tars(), _tar),
        Door("label_studio", (_label_studio(),), _people),
        Door("receipt", (RECEIPT.read_bytes(),), _receipt),
        Door("run_json", (RunConfig("runs/x", lora=["a.safetensors"]).to_json({}),), _run),
        Door("safetensors", (_safetensors(),), _weights),
        Door("model_index", ((WORLD / "t2i" / "model_index.json").read_bytes(),), _model_directory),
        Door("sql", tuple(text.encode() for text in SQL), _sql),
        Door("address", tuple(text.encode() for text in ADDRESSES), _address),
    )  # fmt: skip


SQL = (
    "SELECT split, count(*) FROM samples GROUP BY ALL ORDER BY 1",
    "WITH a AS (SELECT * FROM votes) SELECT * FROM a JOIN labels USING (key) WHERE scope = 'pair'",
    "EXPLAIN SELECT unnest([1, 2, 3])",
    "FROM samples SELECT key -- a comment",
)
ADDRESSES = ("http://127.0.0.1:8000/v1#NAME", "https://[::1]:443/v1#a/b", "http://localhost/v1#x")


def _prompt_files() -> dict[str, tuple[bytes, ...]]:
    rows = [{"prompt": f"a red apple, number {n}", "language": "en", "label": n % 2, "tags": ["a"]} for n in range(8)]
    table = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), table)
    text = "prompt,language,id\n" + "".join(f'"a ""red"" apple, {n}",en,{n}\n' for n in range(8))
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    return {
        "csv": (text.encode(), text.replace("\n", "\r\n").encode("utf-8-sig")),
        "jsonl": (lines.encode(),),
        "parquet": (table.getvalue(),),
        "txt": ("a red apple\neine Birne\nचित्र\n".encode(),),
    }


def _prompts(kind: str, data: bytes, folder: Path) -> None:
    path = folder / f"prompts.{kind}"
    path.write_bytes(data)
    deque(read_prompts(path, skip_bad_rows=len(data) % 2 == 0), maxlen=0)


def _pictures() -> tuple[bytes, ...]:
    pixels = np.arange(24 * 16 * 3, dtype=np.uint8).reshape(24, 16, 3)
    picture, files = Image.fromarray(pixels), []
    for kind, more in (
        ("PNG", {}),
        ("JPEG", {"exif": _turned()}),
        ("WEBP", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ):
        file = io.BytesIO()
        picture.save(file, kind, **more)
        files.append(file.getvalue())
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        file = io.BytesIO()
        picture.save(file, kind, save_all=True, append_images=[picture.rotate(90), picture.rotate(180)])
        files.append(file.getvalue())
    for mode in ("I;16", "CMYK", "P", "LA", "1"):
        file = io.BytesIO()
        grey = (
            Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16))
            if mode == "I;16"
            else picture.convert(mode)
        )
        grey.save(file, "TIFF")
        files.append(file.getvalue())
    return tuple(files)


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _picture(data: bytes, folder: Path) -> None:
    deque(frames(data), maxlen=0)
    decode(data)


def _tars() -> tuple[bytes, ...]:
    picture, tars = _pictures()[0], []
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=form) as tar:
            for name in ("a.png", "ä" * 20 + ".png", "b.json"):
                entry = tarfile.TarInfo(name)
                entry.size = len(picture)
                tar.addfile(entry, io.BytesIO(picture))
            link = tarfile.TarInfo("c.png")
            link.type, link.linkname = tarfile.LNKTYPE, "a.png"
            tar.addfile(link)
        tars.append(file.getvalue())
    return tuple(tars)


def _tar(data: bytes, folder: Path) -> None:
    """Places of members lie within the archive."""
    for member in members(io.BytesIO(data)):
        if (
            member.problem is None
            and member.passed is None
            and not 0 <= member.offset <= member.offset + member.size <= len(data)
        ):
            raise AssertionError(f"{member.name!r} lies outside of the archive")


def _label_studio() -> bytes:
    choices = [
        {"from_name": name, "to_name": "text", "type": "choices", "value": {"choices": [value]}}
        for name, value in (("label", "unsafe"), ("category", "spam"))
    ]
    votes = [
        {"id": n, "completed_by": n, "result": choices, "created_at": f"2026-01-0{n}T00:00:00Z",
         "updated_at": f"2026-01-0{n}T00:00:00Z",
         "was_cancelled": False, "lead_time": 3.5}
        for n in (1, 2)
    ]  # fmt: skip
    return json.dumps(
        [{"id": 1, "data": {"key": "0" * 32, "scope": "pair"}, "annotations": votes, "predictions": []}]
    ).encode()


def _people(data: bytes, folder: Path) -> None:
    votes_from(data.decode(errors="surrogateescape"), EXCHANGE)


def _receipt(data: bytes, folder: Path) -> None:
    Receipt.from_json(data, "receipts/unit-000000.json")


def _run(data: bytes, folder: Path) -> None:
    _ = RunConfig.from_json(data).generation


def _safetensors() -> bytes:
    from safetensors.numpy import save

    data: bytes = save({"a": np.zeros((2, 3), np.float32), "b.c": np.ones(4, np.float16)})
    return data


def _weights(data: bytes, folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(data)
    tensor_shapes(path)


def _model_directory(data: bytes, folder: Path) -> None:
    """The index of the embedded pipeline, whose parts stay whole."""
    for part in (WORLD / "t2i").iterdir():
        link = folder / part.name
        if part.is_dir() and not link.exists():
            link.symlink_to(part)
    (folder / "model_index.json").write_bytes(data)
    PipelineDirectory.checked(folder)


@cache
def _database() -> Connection:
    """One for all questions: none of them is run."""
    return duckdb.connect()


def _sql(data: bytes, folder: Path) -> None:
    """As `jobs/query.py` reads it; `pipeline.catalogue.question.asked` turns what DuckDB says of it into a line."""
    with suppress(duckdb.Error):
        checked(_database(), data.decode(errors="replace"))


def _address(data: bytes, folder: Path) -> None:
    Address.of(data.decode(errors="replace"), ("example.com",))
