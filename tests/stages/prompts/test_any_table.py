"""Whatever is in a file: what is well formed comes back as it was, and everything else is refused or counted."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pandas as pd  # type: ignore[import-untyped]  # an oracle for counting rows
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.errors import InputError
from schemas.prompt import Prompt
from stages.prompts.files import read_prompts
from tests.stages.prompts.test_broken_tables import taken


def duckdb_rows(path: Path) -> int:
    """Rows as DuckDB counts them, for files that it can read."""
    [(count,)] = duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall()
    return int(count)


CELLS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)


def written(path: Path, texts: Sequence[str]) -> Path:
    """The prompts as a well-formed table."""
    if path.suffix == ".csv":
        buffer = io.StringIO()
        csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([["id", "prompt"], *enumerate(texts)])
        path.write_text(buffer.getvalue(), encoding="utf-8", newline="")
    elif path.suffix == ".jsonl":
        path.write_text(
            "".join(json.dumps({"id": n, "prompt": t}) + "\n" for n, t in enumerate(texts)), encoding="utf-8"
        )
    else:
        pq.write_table(pa.table({"id": range(len(texts)), "prompt": pa.array(texts, pa.string())}), path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(CELLS, min_size=1, max_size=8))
def test_well_formed_rows_come_back_as_they_are_and_all_are_accounted_for(
    tmp_path: Path, suffix: str, texts: list[str]
) -> None:
    path = written(tmp_path / f"p{suffix}", texts)
    assert [prompt.text for prompt in read_prompts(path) if isinstance(prompt, Prompt)] == texts
    counts = taken(path)[1]
    oracle = pd.read_csv(path).shape[0] if suffix == ".csv" else duckdb_rows(path)
    assert sum(counts.values()) == len(texts) == oracle


@pytest.mark.slow
@settings(max_examples=6000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.one_of(st.text(st.sampled_from('a",\n\r;\t é\0\ufeff'), max_size=60), CELLS).map(str.encode)
    | st.binary(max_size=60)
)
def test_any_csv_is_read_or_refused_in_one_line(tmp_path: Path, body: bytes) -> None:
    campaign(tmp_path / "p.csv", b"id,prompt\n" + body)


@pytest.mark.slow
@settings(max_examples=6000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.one_of(
        st.lists(
            st.recursive(
                st.none() | st.booleans() | st.floats() | CELLS,
                lambda inner: (
                    st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["prompt", "id", "label"]), inner)
                ),
            ),
            max_size=5,
        ).map(lambda rows: "\n".join(map(json.dumps, rows)).encode()),
        st.binary(max_size=60),
    )
)
def test_any_jsonl_is_read_or_refused_in_one_line(tmp_path: Path, body: bytes) -> None:
    campaign(tmp_path / "p.jsonl", b'{"prompt": "first"}\n' + body)


def campaign(path: Path, content: bytes) -> None:
    """Rows in = admitted + left out by reason; a refusal is one short line."""
    path.write_bytes(content)
    try:
        _, counts, places = taken(path, skip=True)
    except InputError as error:
        assert len(str(error)) < 2000 and "\n" not in str(error)
        return
    assert all(len(place) < 500 and "\n" not in place for place in places)
    lines = content.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    filled = sum(1 for line in lines if line.strip())
    if path.suffix == ".jsonl":
        assert sum(counts.values()) == filled
    else:  # a quoted cell may hold ends of lines; nothing else makes fewer rows than lines
        assert sum(counts.values()) <= len(lines) - 1
        if b'"' not in content:
            assert sum(counts.values()) == sum(1 for line in lines[1:] if line)
    try:
        taken(path)
        assert "malformed" not in counts
    except InputError as error:
        assert "malformed" in counts and len(str(error)) < 2000
