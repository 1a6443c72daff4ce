"""One run of several sources and several generators: counts, provenance and licences, asked of the rows."""

import json
import subprocess
import sys
from pathlib import Path

import datasets
import duckdb

ROOT = Path(__file__).parents[3]


def test_a_folder_a_windows_csv_and_the_grammar_written_by_two_generators(tmp_path: Path) -> None:
    folder, csv, out = tmp_path / "dataset", tmp_path / "prompts.csv", tmp_path / "run"
    texts = ["a red apple", "two dogs", "a cat next to a balloon"]
    datasets.Dataset.from_dict({"prompt": texts, "license": ["CC0-1.0"] * 3, "language": ["en"] * 3}).save_to_disk(
        folder
    )
    csv.write_bytes(
        '\ufeffprompt,id,licence\r\na blue umbrella,u1,MIT\r\na red apple,u2,MIT\r\n"a bus, striped",u3,MIT\r\n'.encode()
    )
    command = [sys.executable, str(ROOT / "jobs" / "generate.py"), "--out", str(out), "--recipe", "mixture", "--engine", "local",
               "--prompts", f"{folder},{csv},grammar", "--count", "40", "--json"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["samples"] == 40
    assert "1 duplicate" in done.stdout
    asked = duckdb.sql(
        f"SELECT split_part(source, '/', 1) AS source, licence, count(*) AS samples, count(DISTINCT generator) AS generators, "
        f"count(DISTINCT revision) AS revisions FROM '{out}/rounds/*/raw/*.parquet' GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    found = {(source, licence): samples for source, licence, samples, _, _ in asked}
    assert found == {("dataset", "CC0-1.0"): 3, ("prompts.csv", "MIT"): 2, ("grammar", "Apache-2.0"): 35}
    assert max(generators for *_, generators, _ in asked) == 2 == max(revisions for *_, revisions in asked)
    ids = duckdb.sql(
        f"SELECT source_id FROM '{out}/rounds/*/raw/*.parquet' WHERE source = 'prompts.csv' ORDER BY ALL"
    ).fetchall()
    assert ids == [("u1",), ("u3",)]
