"""Whatever bytes come in through a door, a clear error goes out; and the campaign that says so would notice anything else."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.fuzz import __main__ as fuzz
from bench.fuzz.__main__ import campaign
from bench.fuzz.doors import Door, doors
from schemas.errors import HazmatError, InputError
from stages.generate.pipeline_directory import PipelineDirectory
from stages.prompts.files import read_prompts
from stages.remote.address import Address


def test_every_door_takes_its_whole_inputs_and_refuses_broken_ones_clearly() -> None:
    found = campaign(doors(), 390, seed=4)
    assert found.failures == [] and set(found.inputs) == {door.name for door in doors()}
    assert {"picture", "prompts.csv", "label_studio", "receipt", "safetensors", "model_index", "address"} <= set(
        found.refused
    )
    whole = campaign([replace(door, seeds=door.seeds[:1]) for door in doors()], len(doors()), seed=0)
    assert whole.refused.total() == 0


@pytest.mark.slow
def test_thirty_thousand_inputs() -> None:
    found = campaign(doors(), 30_000, seed=27)
    figures = found.figures()
    assert found.failures == [] and figures["inputs"] == 30_000 and figures["within_memory"]


def _breaks(data: bytes, folder: Path) -> None:
    if data != b"whole":
        raise ZeroDivisionError


def _talks(data: bytes, folder: Path) -> None:
    if data != b"whole":
        raise LongError


class LongError(HazmatError):
    """Says too much."""

    def __str__(self) -> str:
        return "x" * 3_000


def _sleeps(data: bytes, folder: Path) -> None:
    if data != b"whole":
        time.sleep(5)


@pytest.mark.parametrize(
    ("feed", "said"), [(_breaks, "ZeroDivisionError"), (_talks, "3000 characters"), (_sleeps, "took 0.05")]
)
def test_the_campaign_notices(feed: "object", said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "SECONDS", 0.05)
    door = Door("planted", (b"whole",), feed)  # type: ignore[arg-type]
    found = campaign([door], 4, seed=1, keep=tmp_path)
    assert 1 <= len(found.failures) <= 3 and all(said in failure["what"] for failure in found.failures)
    assert len(list(tmp_path.iterdir())) == len({failure["input"] for failure in found.failures})


def test_the_same_seed_gives_the_same_inputs() -> None:
    seen: list[list[bytes]] = [[], []]
    for inputs in seen:
        campaign(
            [Door("one", (b'{"a": [1, 2]}', b"other"), lambda data, folder, inputs=inputs: inputs.append(data))],
            50,
            seed=3,
        )  # type: ignore[misc]
    assert seen[0] == seen[1] and len(set(seen[0])) > 30


# What the campaigns found, one a kind.


@pytest.mark.parametrize("address", [
    "http://[::1/v1#x", "http://[:z1]:80/v1#x", "http://127.0.0.1:99999/v1#x", "http://127.0.0.1:-1/v1#x", "http://127.0.0.1:x/v1#x",
    "http://127.0.0.1:0/v1#x", "http://#x",
])  # fmt: skip
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(InputError, match="expected URL#MODEL"):
        Address.of(address, ())


@pytest.mark.parametrize(
    "index", ["null", "3", "[1, 2]", '[["_class_name", "x"]]', '{"_class_name": ["a", "b"]}', "[" * 100_000]
)
def test_a_model_index_that_is_no_object(index: str, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(InputError):
        PipelineDirectory.checked(tmp_path)


def test_a_table_of_a_hundred_thousand_columns_is_refused_in_a_short_message(tmp_path: Path) -> None:
    columns = {f"column_{number}": [1] for number in range(20_000)}
    pq.write_table(pa.table(columns), tmp_path / "wide.parquet")
    (tmp_path / "wide.jsonl").write_text(json.dumps(dict.fromkeys(columns, 1)))
    for name in ("wide.parquet", "wide.jsonl"):
        with pytest.raises(InputError) as refused:
            list(read_prompts(tmp_path / name))
        assert len(str(refused.value)) <= 2_000


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    text = str(InputError("begin " + "x" * 10_000 + " end"))
    assert text.startswith("begin") and text.endswith("end") and len(text) <= 2_000
    assert str(InputError("short")) == "short"
