"""`jobs/evaluate.py --data` opens pictures as LlavaGuard rates them, with stand-ins of our pictograms."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifiers.evaluation.published_pictures import of_published, published
from pipeline.storage.image_codec import encode
from schemas.errors import InputError


def table(path: Path, **columns: list[object]) -> Path:
    rng = np.random.default_rng(0)
    pictures = [
        {"bytes": encode(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8), "png"), "path": None} for _ in range(3)
    ]
    pq.write_table(pa.table({"image": pictures, **columns}), path)
    return path


def test_ratings_and_categories_are_read_from_columns_and_from_json(tmp_path: Path) -> None:
    rating: list[object] = ["Safe", "Unsafe", "Unsafe"]
    category: list[object] = ["NA: None applying", "O2: Violence, Harm, or Cruelty", "O7: Self-Harm"]
    columns = table(tmp_path / "columns.parquet", rating=rating, category=category)
    both = [json.dumps({"rating": a, "category": b, "rationale": "…"}) for a, b in zip(rating, category, strict=True)]
    answers = table(tmp_path / "answers.parquet", assessment=list(both))
    for file in (columns, answers):
        assert published(str(file))
        truths = [row.of("image") for row in of_published(str(file))]
        assert [(truth.label, truth.categories) for truth in truths] == [
            ("safe", ()),
            ("unsafe", ("violence",)),
            ("unsafe", ("self_harm",)),
        ]
    assert len(list(of_published(str(tmp_path)))) == 6, "a folder of them too"


@pytest.mark.parametrize("wrong", ["Review Needed", None, "{}", '["Safe"]'])
def test_a_row_without_a_rating_is_named(wrong: str | None, tmp_path: Path) -> None:
    for column in ("rating", "assessment"):
        file = table(
            tmp_path / f"{column}.parquet",
            **{column: ["Safe" if column == "rating" else '{"rating": "Safe"}', wrong, wrong]},
        )
        with pytest.raises(InputError, match=r"row 2: rating '.*'; expected Safe or Unsafe"):
            list(of_published(str(file)))


def test_a_row_without_a_picture_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [{"bytes": b"", "path": "x.png"}], "rating": ["Safe"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="row 1: no picture in it"):
        list(of_published(str(tmp_path / "a.parquet")))
