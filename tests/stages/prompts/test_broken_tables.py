"""Tables that are not what they look like are refused by line, or cost their broken rows only, which are counted."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.recipes.prompts import roots
from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.run import RunConfig
from stages.prompts.files import read_prompts
from stages.prompts.intake import Intake
from stages.prompts.rows import columns_of, rows_of
from tests.stages.prompts.test_files import GATE

CASES = Path(__file__).parents[2] / "data/cases"


def taken(path: Path, *, skip: bool = False, column: str | None = None) -> tuple[list[str], dict[str, int], list[str]]:
    """What the intake admits, what it counts other than zero, and the places that it names."""
    intake = Intake(GATE)
    texts = [prompt.text for prompt in intake.admit(read_prompts(path, column, skip_bad_rows=skip))]
    places = [place for some in intake.examples.values() for place in some]
    return texts, {reason: count for reason, count in intake.counts.items() if count}, places


def test_a_quote_that_nothing_closes_costs_its_own_line() -> None:
    path = CASES / "csv_open_quote/quote.csv"
    with pytest.raises(
        InputError, match=r"quote.csv has broken rows \(line 3: a quote is opened and never closed\).*--skip"
    ):
        taken(path)
    texts, counts, places = taken(path, skip=True)
    assert texts == ["a dog on a beach", "a cat under a chair", "a tree with apples", "a house by night"]
    assert counts == {"admitted": 4, "malformed": 1}
    assert places == ["quote.csv, line 3: a quote is opened and never closed"]
    assert sum(counts.values()) == len(path.read_text().splitlines()) - 1


def test_a_comma_without_quotes_is_never_cut() -> None:
    path = CASES / "csv_unquoted_comma/commas.csv"
    with pytest.raises(InputError, match=r"line 2: 2 cells, the header has 1 \(a text with a comma.*; line 3: 2 cells"):
        taken(path)
    assert taken(path, skip=True)[:2] == (["a tree"], {"admitted": 1, "malformed": 2})


def test_keys_that_come_with_later_rows_are_carried() -> None:
    prompts = list(read_prompts(CASES / "jsonl_first_row_keys/late_keys.jsonl"))
    assert prompts == [
        Prompt("a dog on a beach", source="late_keys.jsonl", source_id="1"),
        Prompt("a cat under a chair", source="late_keys.jsonl", source_id="x2", category="violence", label="safe"),
        Prompt("a tree with apples", source="late_keys.jsonl", source_id="x3", category="hate"),
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("prompt,id\na dog,1,2\n", "line 2: 3 cells, the header has 2"),
        ("prompt,id\na dog\n", "line 2: 1 cells, the header has 2"),
        ('id,prompt\n1,fine\n2,"a\nb"\n3,"c', "line 5: a quote is opened"),
        ('id,prompt\n1,"a dog" on a beach\n', "line 2: a quote inside a cell"),
        ("prompt;id\na dog; asleep;1\n", "line 2: 3 cells"),
        ("prompt\tid\na dog\t1\t\n", "line 2: 3 cells"),
    ],
)
def test_a_row_that_breaks_the_shape_is_refused_by_its_line(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(content)
    with pytest.raises(InputError) as refused:
        taken(path)
    assert why in str(refused.value) and "--skip-bad-rows" in str(refused.value)
    with pytest.raises(InputError, match="broken rows"):
        list(rows_of(path, columns_of(path)))


def test_an_error_names_five_lines_of_many_and_stays_short(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("prompt\n" + "a, b\n" * 10_000)
    with pytest.raises(InputError, match=r"line 6: 2 cells.*; and more") as refused:
        taken(tmp_path / "p.csv")
    assert "line 7" not in str(refused.value) and len(str(refused.value)) < 700


def test_many_open_quotes_cost_their_lines_only(tmp_path: Path) -> None:
    lines = [f'{n},"open {n}' if n % 10 == 0 else f"{n},prompt {n}" for n in range(3000)]
    (tmp_path / "p.csv").write_text("\n".join(["id,prompt", *lines]))
    texts, counts, _ = taken(tmp_path / "p.csv", skip=True)
    # Two open quotes in a row close each other: what stands after the second breaks the row, and reading goes on below the first.
    assert counts == {"admitted": 2700, "malformed": 300} and len(set(texts)) == 2700


def test_a_cell_beyond_the_readers_usual_limit_is_over_long_not_undecodable(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("prompt\ngood\n" + "x" * 200_000 + "\nfine\n")
    assert taken(tmp_path / "p.csv")[:2] == (["good", "fine"], {"admitted": 2, "over_long": 1})
    assert csv.field_size_limit() == 131_072, "the limit is of the whole process"


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.prompts.text_lines.LONGEST_LINE", 5000)
    for suffix, reason in ((".txt", "over_long"), (".jsonl", "undecodable"), (".csv", "over_long")):
        head = '{"prompt": "good"}\n' if suffix == ".jsonl" else "prompt\ngood\n" if suffix == ".csv" else "good\n"
        tail = '\n{"prompt": "fine"}\n' if suffix == ".jsonl" else "\nfine\n"
        (tmp_path / f"p{suffix}").write_text(head + "x" * 12_345 + tail)
        assert taken(tmp_path / f"p{suffix}")[:2] == (["good", "fine"], {"admitted": 2, reason: 1}), suffix


def test_what_is_no_utf8_is_named_with_its_line_and_cure(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes("id,prompt\n1,good\n2,café\n3,naïf\n".encode("latin-1"))
    texts, counts, places = taken(tmp_path / "p.csv")
    assert (texts, counts) == (["good"], {"admitted": 1, "undecodable": 2})
    assert places[0].startswith("p.csv, line 3: byte 0xe9 is not UTF-8 (Latin-1") and "iconv" in places[0]


def test_half_a_character_of_utf16_is_no_prompt(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes("good\n".encode("utf-16") + b"\x00\xd8" + "x\nfine\n".encode("utf-16-le"))
    assert taken(tmp_path / "p.txt")[:2] == (["good", "fine"], {"admitted": 2, "undecodable": 1})


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_a_hundred_thousand_columns_are_not_listed(tmp_path: Path, suffix: str) -> None:
    names = [f"column number {n}" for n in range(100_000)]
    path = tmp_path / f"p{suffix}"
    if suffix == ".csv":
        path.write_text(",".join(names) + "\n")
    elif suffix == ".jsonl":
        path.write_text(json.dumps(dict.fromkeys(names, "x")) + "\n")
    else:
        pq.write_table(pa.table({name: pa.array(["x"]) for name in names[:20_000]}), path)
    with pytest.raises(InputError, match=r"and [\d,]+ more") as refused:
        read_prompts(path)
    assert len(str(refused.value)) < 2000


@pytest.mark.parametrize("column", ["prompt", "id"])
def test_a_column_that_is_there_twice_is_refused(tmp_path: Path, column: str) -> None:
    other = "id" if column == "prompt" else "prompt"
    (tmp_path / "p.csv").write_text(f"{column},{other},{column}\na,b,c\n")
    pq.write_table(pa.table([pa.array(["a"])] * 3, names=[column, other, column]), tmp_path / "p.parquet")
    (tmp_path / "p.jsonl").write_text(f'{{"{other}": "b", "{column}": "a"}}\n{{"{column}": "a", "{column}": "c"}}\n')
    for name in ("p.csv", "p.parquet"):
        with pytest.raises(InputError, match=f"2 columns '{column}'"):
            read_prompts(tmp_path / name)
    assert taken(tmp_path / "p.jsonl")[1].get("undecodable") == 1


def test_a_run_without_prompts_says_where_they_went(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": 5}\n{"prompt": ""}\n')
    with pytest.raises(
        InputError, match=r"p.jsonl is left: 1 empty, 1 undecodable \(p.jsonl, line 1: the prompt is no text"
    ):
        list(roots(RunConfig(out="unused", prompts=str(tmp_path / "p.jsonl")), ()))


def test_a_table_without_rows_and_an_object_that_is_none_say_so(tmp_path: Path) -> None:
    for name, content, reason in (
        ("p.csv", "prompt\n", "p.csv is left: it has none"),
        ("p.jsonl", '{"prompt": "a", "prompt": "b"}\n', "line 1 is no JSON \\(a key is there twice"),
        ("q.jsonl", "[1, 2]\n", "line 1 is JSON, but no object"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=reason):
            list(roots(RunConfig(out="unused", prompts=str(tmp_path / name)), ()))


def test_what_was_left_out_is_counted_by_reason_for_the_summary(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text('prompt\na dog\na dog\n\na cat, asleep\n""\na cow\n')
    items = roots(RunConfig(out="unused", prompts=str(tmp_path / "p.csv"), skip_bad_rows=True), ())
    assert [sample.prompt for sample in items] == ["a dog", "a cow"]
    assert items.left_out == {"duplicate": 1, "empty": 1, "malformed": 1}
    assert "1 malformed (p.csv, line 5: 2 cells" in items.left_out_line()
