"""The example of an own recipe does what it says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_recipe_in_a_file_of_the_users_works_from_prompts_to_shards(tmp_path: Path) -> None:
    """The file lies outside the checkout, and the commands are called somewhere else."""
    file, out = tmp_path / "my_recipe.py", tmp_path / "run"
    source = (ROOT / "examples" / "own_recipe.py").read_text()
    file.write_text(source.replace("Path(__file__).parents[1]", f"Path({str(ROOT)!r})"))
    ran = subprocess.run(
        [sys.executable, str(file), str(out)], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    facts = json.loads((out / "run.json").read_text())
    assert facts["recipe"] == f"{file}:cats" and facts["recipe_sha256"]
    kept = pq.read_table(out / "keep.parquet").to_pylist()
    attacked = [
        row["attack"] for path in out.glob("rounds/*-attack-*/raw/*.parquet") for row in pq.read_table(path).to_pylist()
    ]
    assert {attack["name"] for attack in attacked} == {"homoglyphs", "typos"}
    manifest = json.loads((out / "shards" / "manifest.json").read_text())
    assert (
        manifest["samples"] == sum(row["kept"] for row in kept)
        if "kept" in kept[0]
        else manifest["samples"] == len(kept)
    )
    assert "attack:typos" in manifest["made_from"]["test_sets"]
