"""Prompts out of files, and the door they pass."""

import csv
import json
import tracemalloc
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import InputError
from schemas.prompt import Prompt
from stages.prompts.files import PromptFile, read_prompts
from stages.prompts.gate import Gate
from stages.prompts.intake import DigestSet, Intake
from stages.prompts.terms import by_class

GATE = Gate.of(
    by_class({"minor": ["zorblet"], "sexual": ["quaxify"], "violence": ["blorvane"], "self_harm": ["glimsted"]})
)
ROWS = [
    {"id": "a1", "prompt": "a red apple", "category": "safe", "label": "safe", "language": "en", "source": "mine"},
    {
        "id": "a2",
        "prompt": 'two "green" pears, ripe\nand round',
        "category": "",
        "label": "",
        "language": "",
        "source": "",
    },
    {"id": "a3", "prompt": "ein blaues Boot", "category": "safe", "label": "safe", "language": "de", "source": "mine"},
]


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    """The rows in the file's format."""
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def admitted(prompts: Iterable[Prompt], gate: Gate = GATE) -> tuple[list[str], dict[str, int]]:
    """What the intake lets through, and its counts other than zero."""
    intake = Intake(gate)
    texts = [prompt.text for prompt in intake.admit(prompts)]
    return texts, {reason: count for reason, count in intake.counts.items() if count}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_table_gives_the_same_prompts_with_what_they_carry(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"p{suffix}", ROWS)
    assert list(read_prompts(path)) == [
        Prompt("a red apple", language="en", source="mine", source_id="a1", category="safe", label="safe"),
        Prompt('two "green" pears, ripe\nand round', source=path.name, source_id="a2"),
        Prompt("ein blaues Boot", language="de", source="mine", source_id="a3", category="safe", label="safe"),
    ]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_another_column_holds_the_prompts_and_rows_are_numbered(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"p{suffix}", [{"caption": "a", "license": "MIT"}, {"caption": "b", "license": ""}])
    prompts = PromptFile(path, "caption", licence="CC0-1.0")
    assert [(p.text, p.source_id, p.licence) for p in prompts] == [("a", "1", "MIT"), ("b", "2", "CC0-1.0")]
    assert list(prompts) == list(prompts)


def test_text_file_has_one_prompt_a_line(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_bytes("\ufeffa red apple\r\n\r\n  two pears\nlast \u2028 line".encode())
    assert [p.text for p in read_prompts(path)] == ["a red apple", "", "  two pears", "last \u2028 line"]
    assert admitted(read_prompts(path)) == (
        ["a red apple", "  two pears", "last \u2028 line"],
        {"admitted": 3, "empty": 1},
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_with_bom_crlf_and_any_usual_delimiter(tmp_path: Path, delimiter: str) -> None:
    lines = ["prompt,id", "a red apple,7", '"two ""green"" pears",8', ",9", ""]
    path = tmp_path / "p.csv"
    path.write_bytes(("\ufeff" + "\r\n".join(lines).replace(",", delimiter)).encode())
    assert [(p.text, p.source_id) for p in read_prompts(path)] == [
        ("a red apple", "7"),
        ('two "green" pears', "8"),
        ("", "9"),
    ]


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".jsonl"])
def test_what_windows_calls_unicode_is_read(tmp_path: Path, suffix: str) -> None:
    content = {".txt": "ein Öl\r\n", ".csv": "prompt\r\nein Öl\r\n", ".jsonl": '{"prompt": "ein Öl"}\r\n'}[suffix]
    (tmp_path / f"p{suffix}").write_bytes(content.encode("utf-16"))
    assert [p.text for p in read_prompts(tmp_path / f"p{suffix}")] == ["ein Öl"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.txt", b"good\n\xff\xfe\xfd bad\nfine\n"),
        ("p.csv", b"prompt,id\ngood,1\n\xe9t\xe9,2\nfine,3\n"),
        ("p.jsonl", b'{"prompt": "good"}\n{"prompt": "\xe9"}\n{"prompt": "fine"}\n'),
        ("p.jsonl", b'{"prompt": "good"}\n{"prompt": "cut o\n{"prompt": "fine"}\n'),
        ("p.jsonl", b'{"prompt": "good"}\n[1, 2]\n{"prompt": "fine"}\n'),
        ("p.jsonl", b'{"prompt": "good"}\n{"prompt": 5}\n{"prompt": "fine"}\n'),
        ("p.jsonl", b'{"prompt": "good"}\n{"prompt": "\\ud800"}\n{"prompt": "fine"}\n'),
    ],
)
def test_an_undecodable_row_is_counted_and_the_rest_read(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert admitted(read_prompts(tmp_path / name)) == (["good", "fine"], {"admitted": 2, "undecodable": 1})


def test_bytes_that_are_no_text_in_parquet_are_counted(tmp_path: Path) -> None:
    broken = pa.array([b"good", b"\xff\xfe", b"fine", None], pa.binary()).cast(pa.string(), safe=False)
    pq.write_table(pa.table({"prompt": broken}), tmp_path / "p.parquet")
    assert admitted(read_prompts(tmp_path / "p.parquet")) == (
        ["good", "fine"],
        {"admitted": 2, "undecodable": 1, "empty": 1},
    )


def test_parquet_is_streamed_in_flat_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.prompts.parquet_rows._BATCH_ROWS", 256)
    path = tmp_path / "p.parquet"
    texts = pa.array([f"prompt number {n} of many, all of them alike" for n in range(10_000)])
    pq.write_table(pa.table({"prompt": texts, "id": pa.array(range(10_000))}), path)
    peaks = []
    tracemalloc.start()
    for taken in (500, 10_000):
        tracemalloc.reset_peak()
        assert sum(1 for _ in islice(read_prompts(path), taken)) == taken
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_wrong_column_names_those_there_and_the_nearest(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"p{suffix}", [{"Prompt": "a", "id": "1"}])
    with pytest.raises(InputError, match=r"no column 'prompt', only 'Prompt', 'id'; did you mean 'Prompt'\?.*--column"):
        read_prompts(path)
    with pytest.raises(InputError, match="no column 'xyz', only 'Prompt', 'id' "):
        read_prompts(path, "xyz")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.csv", None, "there is no file"),
        ("p.xlsx", b"x", r"from .txt, .csv, .jsonl, .parquet files, not from .xlsx"),
        ("prompts", b"x", "without a suffix"),
        ("p.csv", b"", "p.csv is empty"),
        ("p.parquet", b"PAR1 this is none", "p.parquet can't be read, it may be broken"),
        ("p.jsonl", b"[1, 2]\n", "doesn't begin with a JSON object"),
        ("p.jsonl", b"\n\n", "doesn't begin with a JSON object"),
    ],
)
def test_what_cannot_be_read_at_all_is_one_clear_error(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_prompts(tmp_path / name)


def test_a_folder_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder: give one file"):
        read_prompts(tmp_path)


def test_parquet_cut_off_in_the_middle_is_an_error_not_a_crash(tmp_path: Path) -> None:
    path = write(tmp_path / "p.parquet", [{"prompt": f"prompt {n}"} for n in range(5000)])
    content = bytearray(path.read_bytes())
    content[100:2000] = bytes(1900)
    path.write_bytes(content)
    with pytest.raises(InputError, match="broken or cut off"):
        list(read_prompts(path))


def test_intake_counts_each_reason_and_keeps_order() -> None:
    prompts = [
        Prompt("one"),
        Prompt("  \n "),
        Prompt("x" * 2001),
        Prompt("one"),
        Prompt(" one  "),
        Prompt("one", drawn_text="another"),
        Prompt("one", drawn_text="one"),
        Prompt("a zorblet, quaxify"),
        Prompt("a zorblet, quaxify"),
        Prompt("fine", drawn_text="z0rblet blorvane"),
        Prompt("fine", drawn_text="  "),
        Prompt("bad \udc80"),
        Prompt("two"),
    ]
    intake = Intake(GATE)
    assert [(p.text, p.drawn_text) for p in intake.admit(prompts)] == [("one", None), ("one", "another"), ("two", None)]
    assert intake.counts == {
        "admitted": 3,
        "empty": 2,
        "over_long": 1,
        "undecodable": 1,
        "duplicate": 3,
        "refused_minor_sexual": 2,
        "refused_minor_violence": 1,
    }
    intake.reset()
    assert [p.text for p in intake.admit(prompts[:1])] == ["one"]
    assert sum(intake.counts.values()) == 1


def test_intake_takes_several_sources_in_turn_and_sees_doubles_across_them() -> None:
    intake = Intake(GATE, max_length=5)
    assert [p.text for p in intake.admit([Prompt("one"), Prompt("longer")])] == ["one"]
    assert [p.text for p in intake.admit([Prompt("one"), Prompt("two")])] == ["two"]
    assert intake.counts["over_long"] == intake.counts["duplicate"] == 1


def test_refused_text_leaves_no_trace_in_the_intake() -> None:
    intake = Intake(GATE)
    assert list(intake.admit([Prompt("a zorblet, quaxify")])) == []
    assert len(intake._seen) == 0
    assert "zorblet" not in repr(vars(intake))


def test_digest_set_is_a_set() -> None:
    digests = [(n * 0x9E3779B97F4A7C15) % 2**64 for n in range(1, 20_000)] + [0, 1, 2**64 - 1, 1024, 2048, 4096]
    seen = DigestSet()
    for digest in digests:
        assert digest not in seen or digest in (0, 1)
        seen.add(digest)
        seen.add(digest)
    assert all(digest in seen for digest in digests)
    assert 12345 not in seen
    assert len(seen) == len(digests) - 1  # 0 counts as 1
