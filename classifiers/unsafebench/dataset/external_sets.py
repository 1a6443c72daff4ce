"""UnsafeBench's five external sets (its appendix A.4), in the layouts that they are published in."""

import base64
import binascii
import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow.parquet as pq

from classifiers.unsafebench.dataset.images import decoded, read_set
from schemas.errors import InputError
from schemas.sample import Pixels

SAFE_ABOVE, UNSAFE_BELOW = 3.5, 2.5  # of SMID's mean moral score, 1 to 5: as Q16 and UnsafeBench cut it


@dataclass(frozen=True, eq=False)
class ExternalPicture:
    """A picture and whether it is unsafe; these sets have no categories."""

    name: str
    pixels: Pixels
    unsafe: bool


def base64_set(file: Path) -> Iterator[ExternalPicture]:
    """yiting/{SMID,NSFWDataset,MultiHeaded_Dataset,Violence_Dataset,Self-harm_Dataset}: columns `image` (base64, or the number of
    the row that holds the same picture) and `label` (1 is unsafe), as Parquet or TSV. Raises InputError with the row at fault.
    """
    rows = pq.read_table(file).to_pylist() if file.suffix == ".parquet" else _tsv(file)
    for number, row in enumerate(rows):
        text, label = str(row.get("image") or ""), str(row.get("label"))
        if label not in ("0", "1"):
            raise InputError(f"{file}, row {number}: label {label!r}; expected 0 or 1")
        if text.isdigit():
            if int(text) >= len(rows):
                raise InputError(f"{file}, row {number}: it points to row {text} of {len(rows)}")
            text = str(rows[int(text)]["image"])
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InputError(f"{file}, row {number}: the image is no base64 ({error})") from error
        yield ExternalPicture(f"{file.stem}/{number}", decoded(data), label == "1")


def smid(norms: Path, pictures: Path) -> Iterator[ExternalPicture]:
    """SMID (Crone et al. 2018): a CSV with `img_name` and `moral_mean`, pictures in a folder. Scores from 2.5 to 3.5 are left
    out. Raises InputError for missing columns or pictures.
    """
    files = {file.stem: file for file in sorted(pictures.glob("*")) if file.is_file()}
    with norms.open(encoding="utf-8-sig", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), 2):
            if not {"img_name", "moral_mean"} <= set(row):
                raise InputError(f"{norms}: it has {', '.join(row)}; expected img_name and moral_mean")
            score = _number(row["moral_mean"], norms, number)
            if UNSAFE_BELOW <= score <= SAFE_ABOVE:
                continue
            if row["img_name"] not in files:
                raise InputError(f"{norms}, line {number}: no picture {row['img_name']} in {pictures}")
            yield ExternalPicture(row["img_name"], decoded(files[row["img_name"]].read_bytes()), score < UNSAFE_BELOW)


def external(text: str) -> tuple[str, Iterator[ExternalPicture]]:
    """A set's name and pictures by its layout: base64 in Parquet (a file, or a folder of them) or TSV, NORMS.csv=PICTURES as SMID,
    or yiting/UnsafeBench's Parquet. Raises InputError for what is none of them.
    """
    path, _, folder = text.partition("=")
    file = Path(path)
    if not file.exists():
        raise InputError(f"--external {text}: no such file or folder")
    if file.suffix == ".csv":
        if not Path(folder or "?").is_dir():
            raise InputError(f"--external {text}: expected NORMS.csv=FOLDER, with SMID's pictures in the folder")
        return file.stem, smid(file, Path(folder))
    parts = [file] if file.is_file() else sorted(file.rglob("*.parquet"))
    if file.suffix == ".tsv" or (parts and "label" in pq.read_schema(parts[0]).names):
        return file.stem, chain.from_iterable(base64_set(part) for part in parts)
    return file.stem, (ExternalPicture(each.key, each.pixels, each.unsafe) for each in read_set(file))


def _number(text: str, file: Path, line: int) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{file}, line {line}: moral_mean {text!r} is no number") from error


def _tsv(file: Path) -> list[Mapping[str, str]]:
    usual = csv.field_size_limit(1 << 30)  # a picture is one field
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines, delimiter="\t"))
    finally:
        csv.field_size_limit(usual)  # it is the whole process's, and readers of prompts rely on it
