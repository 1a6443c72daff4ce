"""Published sets are judged where the user has them on disk: stand-ins of pictograms in their layouts."""

import base64
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifiers.evaluation.cases import cases_of
from pipeline.storage.image_codec import encode
from pipeline.storage.open_store import open_store
from schemas.errors import InputError

PICTURES = [np.full((8, 8, 3), shade, np.uint8) for shade in (10, 90, 200)]
FILES = [encode(pixels, "png") for pixels in PICTURES]


def unsafebench(folder: Path) -> str:
    rows = [
        {
            "image": {"bytes": data, "path": None},
            "safety_label": label,
            "category": "Violence",
            "source": "Lexica",
            "text": "a",
        }
        for data, label in zip(FILES, ("Safe", "Unsafe", "Unsafe"), strict=True)
    ]
    (folder / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / "train-00000.parquet")
    return str(folder)


def smid(folder: Path) -> str:
    (folder / "img").mkdir()
    for name, data in zip("abc", FILES, strict=True):
        (folder / "img" / f"{name}.png").write_bytes(data)
    (folder / "SMID_norms.csv").write_text("img_name,moral_mean\na,4.5\nb,1.2\nc,1.9\n")
    return f"{folder / 'SMID_norms.csv'}={folder / 'img'}"


def base64_table(folder: Path) -> str:
    lines = [f"{base64.b64encode(data).decode()}\t{label}" for data, label in zip(FILES, "011", strict=True)]
    (folder / "MultiHeaded_Dataset.tsv").write_text("\n".join(["image\tlabel", *lines, ""]))
    return str(folder / "MultiHeaded_Dataset.tsv")


@pytest.mark.parametrize("layout", [unsafebench, smid, base64_table])
def test_a_published_set_is_opened_by_its_layout(layout: "type[str]", tmp_path: Path) -> None:
    cases = cases_of(open_store(str(tmp_path / "run")), layout(tmp_path))
    assert [case.truth["image"].label for case in cases] == ["safe", "unsafe", "unsafe"]
    assert all(np.array_equal(case.sample.pixels, pixels) for case, pixels in zip(cases, PICTURES, strict=True))
    assert len({case.sample.key for case in cases}) == 3 and "pair" not in cases[0].truth


def test_what_is_none_of_them_is_refused_by_the_flag_it_was_given_to(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "run"))
    for wrong in (f"{tmp_path}/norms.csv={tmp_path}", str(tmp_path / "nothing.tsv"), str(tmp_path)):
        with pytest.raises(InputError, match=r"^--data"):
            cases_of(store, wrong)
