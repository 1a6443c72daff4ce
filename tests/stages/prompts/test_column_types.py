"""What columns hold: text of any type is read, and what is no text is refused by its type or carried as text."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import InputError
from schemas.prompt import Prompt
from stages.prompts.files import PromptFile, read_prompts
from stages.prompts.hub import HubPrompts
from tests.stages.prompts.test_broken_tables import CASES, taken


def test_a_binary_column_is_named_as_what_it_is() -> None:
    with pytest.raises(InputError, match="'prompt' holds binary, and a prompt is text"):
        read_prompts(CASES / "parquet_binary/binary.parquet")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([["a"], ["b"]]),
        pa.array([1, 2]),
        pa.array([{"text": "a"}, {"text": "b"}]),
        pa.array([b"a", b"b"], pa.large_binary()),
        pa.array([1.5, None]),
        pa.array([True, False]),
    ],
    ids=lambda column: str(column.type),
)
def test_a_column_that_holds_no_text_is_refused_by_its_type(tmp_path: Path, column: Any) -> None:
    pq.write_table(pa.table({"prompt": column}), tmp_path / "p.parquet")
    with pytest.raises(InputError, match=str(column.type).split("<", 1)[0]):
        read_prompts(tmp_path / "p.parquet")


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())], ids=str
)
def test_every_type_of_text_is_read(tmp_path: Path, kind: pa.DataType) -> None:
    pq.write_table(pa.table({"prompt": pa.array(["a dog", None, "a cat"]).cast(kind)}), tmp_path / "p.parquet")
    assert taken(tmp_path / "p.parquet")[:2] == (["a dog", "a cat"], {"admitted": 2, "empty": 1})


FAR = {
    "timestamp": pa.array([2**62, 0, None], pa.int64()).cast(pa.timestamp("us")),
    "nanoseconds": pa.array([2**62 + 1, 7, None], pa.int64()).cast(pa.timestamp("ns")),
    "unknown zone": pa.array([2**62, 0, None], pa.int64()).cast(pa.timestamp("us", "Foo/Bar")),
    "date": pa.array([2**31 - 1, 0, None], pa.int32()).cast(pa.date32()),
    "duration": pa.array([2**62, 1, None], pa.int64()).cast(pa.duration("s")),
    "time": pa.array([86_399_999_999_999, 1, None], pa.int64()).cast(pa.time64("ns")),
}


@pytest.mark.parametrize("kind", FAR)
def test_times_beyond_python_are_carried_and_end_nothing(tmp_path: Path, kind: str) -> None:
    pq.write_table(pa.table({"prompt": ["a dog", "a cat", "a cow"], "id": FAR[kind]}), tmp_path / "p.parquet")
    prompts = list(read_prompts(tmp_path / "p.parquet"))
    assert all(isinstance(prompt, Prompt) for prompt in prompts)
    ids = [prompt.source_id for prompt in prompts if isinstance(prompt, Prompt)]
    assert len(set(ids)) == 3 and ids[2] == "3" and None not in ids


def test_class_labels_come_as_names_from_parquet_and_datasets(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {"prompt": datasets.Value("string"), "label": datasets.ClassLabel(names=["safe", "unsafe"])}
    )
    rows = {"prompt": ["a dog", "a cat", "a cow"], "label": [1, 0, -1]}
    table = datasets.Dataset.from_dict(rows, features=features)
    table.to_parquet(tmp_path / "p.parquet")
    table.save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "folder").mkdir()
    table.to_parquet(tmp_path / "folder/train.parquet")
    for source in (
        PromptFile(tmp_path / "p.parquet"),
        HubPrompts(str(tmp_path / "saved")),
        HubPrompts(str(tmp_path / "folder")),
    ):
        prompts = list(source)
        assert [getattr(prompt, "label", "") for prompt in prompts] == ["unsafe", "safe", None], source


def test_datasets_of_a_wrong_type_or_shape_are_refused(tmp_path: Path) -> None:
    import datasets

    datasets.Dataset.from_dict({"prompt": [["a"], ["b"]]}).save_to_disk(str(tmp_path / "lists"))
    with pytest.raises(InputError, match=r"'prompt' holds .*, and a prompt is text"):
        list(HubPrompts(str(tmp_path / "lists")))
    (tmp_path / "commas").mkdir()
    (tmp_path / "commas/train.csv").write_bytes((CASES / "csv_unquoted_comma/commas.csv").read_bytes())
    with pytest.raises(InputError, match="line 2: 2 cells"):
        list(HubPrompts(str(tmp_path / "commas")))


def test_lists_and_bytes_are_carried_as_text(tmp_path: Path) -> None:
    table = {"prompt": ["a dog"], "category": [["hate", "spam"]], "source": [b"mine"]}
    pq.write_table(pa.table(table), tmp_path / "p.parquet")
    assert list(read_prompts(tmp_path / "p.parquet")) == [
        Prompt("a dog", source="mine", source_id="1", category="hate; spam")
    ]
