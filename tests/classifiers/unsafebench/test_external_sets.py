"""Sets of pictures are read in the layouts that they are published in; what is damaged is named."""

import base64
import csv
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from classifiers.layers.encoder import ClipEncoder
from classifiers.unsafebench.dataset.construction import ExternalPools, Size, of_shards
from classifiers.unsafebench.dataset.external_sets import base64_set, smid
from classifiers.unsafebench.dataset.images import (
    GENERATED,
    REAL,
    SCHEMA,
    Picture,
    category_id,
    read_set,
    tensor_of,
    write_set,
)
from classifiers.unsafebench.dataset.shard_pool import ShardPool
from classifiers.unsafebench.dataset.world_pool import TRAINING, world_pool
from classifiers.unsafebench.protocol import Bench, external
from classifiers.unsafebench.report import tables
from pipeline.storage.image_codec import encode
from pipeline.storage.weights import model_directory
from schemas.errors import InputError
from schemas.protocols import Coverage, Inputs, Scores
from schemas.sample import Sample

NONE: Any = None  # a bench that only judges needs no CLIP


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), (shade, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def published(path: Path, **changes: object) -> Path:
    """Two rows as huggingface.co/datasets/yiting/UnsafeBench spells them."""
    row = {
        "image": {"bytes": png(9), "path": "a.png"},
        "safety_label": "Unsafe",
        "source": "Lexica",
        "text": "a red card",
    }
    rows = [
        {**row, "category": "Self-harm", **changes},
        {**row, "safety_label": "Safe", "category": "Illegal activity"},
    ]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
    return path


def test_the_published_layout_is_read(tmp_path: Path) -> None:
    published(tmp_path / "train-00000-of-00001.parquet")
    first, second = read_set(tmp_path)
    assert (first.category, first.unsafe, first.source, first.text) == ("self_harm", True, "Lexica", "a red card")
    assert (second.category, second.unsafe) == ("illegal_activity", False)
    assert first.pixels.shape == (4, 6, 3) and first.pixels[0, 0].tolist() == [9, 0, 0] and first.key != second.key


def test_a_set_that_was_written_reads_as_it_was(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    write_set(tmp_path / "set.parquet", [Picture("k", pixels, "Laion5B", "health", True, "words")])
    (again,) = read_set(tmp_path / "set.parquet")
    assert np.array_equal(again.pixels, pixels)
    assert (again.source, again.category, again.unsafe, again.text) == ("Laion5B", "health", True, "words")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"safety_label": "Perhaps"}, "row 0: safety_label 'Perhaps'"),
        ({"category": "Weather"}, "category 'Weather': expected one of Hate"),
        ({"image": {"bytes": b"no picture", "path": "a"}}, "cannot be read"),
    ],
)
def test_a_damaged_set_names_the_fault(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_set(published(tmp_path / "a.parquet", **changes))


def test_another_table_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="lacks category, safety_label, source"):
        read_set(tmp_path)
    with pytest.raises(InputError, match="expected Parquet"):
        read_set(tmp_path / "nowhere")


def test_categories_are_known_however_they_are_spelt() -> None:
    spelt = ("Hate", "Self-harm", "Self-Harm", "Public and personal health", "health", "illegal_activity")
    assert [category_id(name) for name in spelt] == [
        "hate", "self_harm", "self_harm", "health", "health", "illegal_activity",
    ]  # fmt: skip


def test_unlike_sizes_are_squeezed_only_when_asked() -> None:
    pictures = [Picture(str(n), np.zeros((n, 4, 3), np.uint8), "Lexica", "hate", True) for n in (4, 6)]
    with pytest.raises(InputError, match="unlike sizes"):
        tensor_of(pictures)
    assert tensor_of(pictures, 8).shape == (2, 3, 8, 8)


@pytest.mark.parametrize("suffix", ["parquet", "tsv"])
def test_a_base64_set_is_read_and_a_number_points_to_another_row(tmp_path: Path, suffix: str) -> None:
    rows = [
        {"index": "0", "image": base64.b64encode(png(1)).decode(), "label": "1"},
        {"index": "1", "image": base64.b64encode(png(2)).decode(), "label": "0"},
        {"index": "2", "image": "1", "label": "0"},
    ]
    file = tmp_path / f"SMID.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    else:
        with file.open("w", newline="") as out:
            writer = csv.DictWriter(out, rows[0].keys(), delimiter="\t")
            writer.writeheader()
            writer.writerows(rows)
    usual = csv.field_size_limit()
    found = list(base64_set(file))
    assert csv.field_size_limit() == usual, "the limit is the process's"
    assert [each.unsafe for each in found] == [True, False, False]
    assert [int(each.pixels[0, 0, 0]) for each in found] == [1, 2, 2]


@pytest.mark.parametrize(
    ("row", "message"), [(("!!", 0), "no base64"), (("7", 0), "points to row 7"), (("1", 5), "label '5'")]
)
def test_a_base64_row_at_fault_is_named(tmp_path: Path, row: tuple[str, int], message: str) -> None:
    pq.write_table(pa.table({"image": [row[0]], "label": [row[1]]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=f"row 0.*{message}"):
        list(base64_set(tmp_path / "a.parquet"))


def test_smid_is_cut_at_the_published_scores(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"b{number}_p.jpg").write_bytes(png(number))
    norms = tmp_path / "norms.csv"
    norms.write_text("img_name,moral_mean\nb0_p,4.1\nb1_p,3.5\nb2_p,2.5\nb3_p,1.2\n")
    assert [(each.name, each.unsafe) for each in smid(norms, tmp_path)] == [("b0_p", False), ("b3_p", True)]
    norms.write_text("img_name,moral_mean\nb,4.1\n")  # the beginning of a name is another picture's
    with pytest.raises(InputError, match="line 2: no picture b in"):
        list(smid(norms, tmp_path))
    norms.write_text("img_name,moral_mean\nmissing,4.1\n")
    with pytest.raises(InputError, match="line 2: no picture missing"):
        list(smid(norms, tmp_path))
    norms.write_text("name,score\na,1\n")
    with pytest.raises(InputError, match="expected img_name and moral_mean"):
        list(smid(norms, tmp_path))


def base64_file(file: Path, shades: tuple[tuple[int, int], ...]) -> Path:
    rows = [{"image": base64.b64encode(png(shade)).decode(), "label": label} for shade, label in shades]
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file


class Red:
    """Flags what is redder than level 100."""

    name, threshold = "red", 100 / 255
    coverage = Coverage(frozenset({"image"}), ("image",), ("hate",))

    def score(self, inputs: Inputs) -> Scores:
        assert inputs.pixels is not None and inputs.pixels.shape[1:] == (3, 8, 8)
        return Scores({"image": inputs.pixels[:, 0].mean(dim=(1, 2))}, {"image": torch.zeros((len(inputs), 1))})


def test_every_published_layout_is_judged_as_an_external_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base64_file(tmp_path / "Violence_Dataset.parquet", ((200, 1), (200, 0), (9, 1), (9, 0)))
    folder = tmp_path / "Self-harm_Dataset"
    folder.mkdir()
    base64_file(folder / "train-0.parquet", ((200, 1),))
    base64_file(folder / "train-1.parquet", ((200, 1),))
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "b1.jpg").write_bytes(png(200))
    (tmp_path / "SMID_norms.csv").write_text("img_name,moral_mean\nb1,1.2\n")
    published(tmp_path / "test.parquet")
    names = ("Violence_Dataset.parquet", "Self-harm_Dataset", "SMID_norms.csv", "test.parquet")
    given = [f"{tmp_path / name}" for name in names]
    given[2] += f"={tmp_path / 'img'}"
    bench = Bench(tmp_path / "out", NONE, [], 8, blur=True)
    counts = external(bench, [Red()], ",".join(given))["external"]
    assert counts == {"Violence_Dataset": 4, "Self-harm_Dataset": 2, "SMID_norms": 1, "test": 2}
    rows = pq.read_table(bench.rows / "external.parquet").to_pylist()
    assert len({row["key"] for row in rows}) == len(rows) == 9
    found = {row["dataset"]: row for row in pq.read_table(bench.out / "tables" / "table_external.parquet").to_pylist()}
    assert (found["Violence_Dataset"]["f1"], found["Violence_Dataset"]["recall"]) == (0.5, 0.5)
    assert found["Violence_Dataset"]["false_alarms"] == 0.5 and found["Self-harm_Dataset"]["false_alarms"] is None
    assert found["SMID_norms"]["f1"] == 1.0 and found["test"]["f1"] == 0.0
    assert "| Self-harm_Dataset | red | 2 (2) | 1.000 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [("nowhere", "no such file"), ("norms.csv", "expected NORMS.csv=FOLDER"), ("a.parquet,a.parquet", "two sets")],
)
def test_an_external_set_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "norms.csv").write_text("img_name,moral_mean\n")
    base64_file(tmp_path / "a.parquet", ((1, 1),))
    with pytest.raises(InputError, match=message):
        external(Bench(tmp_path, NONE, [], 8, blur=True), [Red()], ",".join(f"{tmp_path / t}" for t in text.split(",")))


def shards(folder: Path, source: str, count: int) -> list[Sample]:
    """Drawings of the world in two tars as img2dataset lays them out, the first one twice."""
    folder.mkdir()
    drawn = world_pool(source, count, 6, TRAINING)
    for number, part in enumerate((drawn[: count // 2], [*drawn[count // 2 :], drawn[0]])):
        with tarfile.open(folder / f"{number:05d}.tar", "w") as tar:
            for place, sample in enumerate(part):
                assert sample.pixels is not None
                for suffix, data in ((".png", encode(sample.pixels, "png")), (".txt", sample.prompt.encode())):
                    info = tarfile.TarInfo(f"{number:05d}{place:04d}{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    return drawn


@pytest.mark.slow
def test_a_set_is_built_from_shards_with_the_captions_beside_the_pictures(tmp_path: Path) -> None:
    encoder = ClipEncoder.from_directory(model_directory("assets/world/clip"))
    drawn = [sample for source in (REAL, GENERATED) for sample in shards(tmp_path / source, source, 20)]
    pool = ShardPool(REAL, tmp_path / REAL)
    vectors = pool.vectors(encoder)
    assert vectors.shape == (21, encoder.width) and np.allclose(vectors[0], vectors[20], atol=1e-5)
    found = ExternalPools(str(tmp_path / REAL), str(tmp_path / GENERATED), "tagger_truth,zero_shot,tagger_truth")
    built = of_shards(encoder, found, Size(a_keyword=21))
    captions = {(sample.source, sample.prompt): sample for sample in drawn}
    for picture in built.pictures:
        assert np.array_equal(picture.pixels, captions[picture.source, picture.text].pixels)  # type: ignore[arg-type]
    real, generated, whole = built.counts
    assert real["found"] == generated["found"] == 21 and real["all"] == generated["all"] == 20
    assert whole["right"] is None and "| real-world | 21 | 20 |" in tables.table_2(built.counts)
    assert len({picture.key for picture in built.pictures}) == len(built.pictures) > 10
    with pytest.raises(InputError, match="expected three labellers"):
        of_shards(encoder, ExternalPools("a", "b", "zero_shot"), Size())
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "0.tar").write_bytes((tmp_path / REAL / "00000.tar").read_bytes()[:700])
    with pytest.raises(InputError, match="cannot be read"):
        ShardPool(REAL, tmp_path / "torn").vectors(encoder)
