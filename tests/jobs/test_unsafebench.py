"""The whole protocol on a small embedded world: tables and figures are there, their numbers the rows', nothing is made twice."""

import base64
import io
import subprocess
import sys
from collections import Counter
from pathlib import Path
from statistics import mean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from classifiers.unsafebench.dataset.images import SCHEMA
from schemas.taxonomy import UNSAFEBENCH

TABLES = ("table_2", "table_4", "table_5", "table_8", "table_9", "table_external", "cost")
FIGURES = (
    "figure_03", "figure_04", "figure_05", "figure_08_q16", "figure_11", "figure_13_snr_db", "figure_13_edge_density",
    "figure_13_entropy", "figure_14", "figure_15_loss", "figure_15_change",
)  # fmt: skip
ATTACKS = ("gaussian", "fgsm", "pgd", "deep_fool")
CONVENTIONAL = {"q16", "multi_headed", "sd_filter", "nsfw_detector", "nude_net"}


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "jobs/unsafebench.py", *arguments], capture_output=True, text=True, check=False
    )


def base64_set(file: Path) -> Path:
    """Two plain pictures, one of them called unsafe."""
    texts = []
    for colour in ("red", "blue"):
        Image.new("RGB", (40, 30), colour).save(buffer := io.BytesIO(), "PNG")
        texts.append(base64.b64encode(buffer.getvalue()).decode())
    pq.write_table(pa.table({"image": texts, "label": [1, 0]}), file)
    return file


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_one_command_makes_every_table_and_figure_from_its_rows(tmp_path: Path) -> None:
    out = tmp_path / "out"
    small = (str(out), "--pool", "300,32", "--training-pictures", "500", "--attacked", "8", "--attack-steps", "5")
    small += (
        "--vlm",
        "assets/world/vlm",
        "--attacked-vlm",
        "3",
        "--external",
        str(base64_set(tmp_path / "cards.parquet")),
    )
    done = command(*small)
    assert done.returncode == 0, done.stderr
    for name in TABLES:
        assert (out / "tables" / f"{name}.parquet").is_file() and (out / "tables" / f"{name}.md").is_file()
    for name in FIGURES:
        assert Image.open(out / "figures" / f"{name}.png").size > (500, 100), name
    assert pq.read_schema(out / "set.parquet").equals(SCHEMA)
    check_table_4(out)
    check_table_5(out)
    external = rows(out / "tables" / "table_external.parquet")
    assert {row["classifier"] for row in external} == CONVENTIONAL | {"q16+nude_net", "llava"}
    assert {(row["dataset"], row["pictures"], row["unsafe_pictures"]) for row in external} == {("cards", 2, 1)}
    attacked = sorted((out / "rows").glob("attacked-*.parquet"))
    before = {file: file.stat().st_mtime_ns for file in [*attacked, out / "set.parquet"]}
    again = command(*small)
    assert again.returncode == 0 and {file: file.stat().st_mtime_ns for file in before} == before


def rows(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return found


def check_table_4(out: Path) -> None:
    """A cell for what a classifier claims, counted by hand; a dash for all else."""
    verdicts, cells = rows(out / "rows" / "verdicts.parquet"), rows(out / "tables" / "table_4.parquet")
    pictures = len(rows(out / "set.parquet"))
    assert Counter(row["classifier"] for row in verdicts) == dict.fromkeys(
        [*CONVENTIONAL, "q16+nude_net", "llava"], pictures
    )
    claimed: dict[str, set[str]] = {}
    for row in verdicts:
        if row["covered"]:
            claimed.setdefault(row["classifier"], set()).add(row["category"])
    assert claimed["sd_filter"] == claimed["nude_net"] == {"sexual"} and claimed["llava"] == set(UNSAFEBENCH.ids)
    for cell in cells:
        own = [
            row
            for row in verdicts
            if row["covered"] and row["classifier"] == cell["classifier"]
            if cell["part"] in ("Overall", row["source"]) and cell["category"] in ("Overall", row["category"])
        ]
        counts = Counter((row["unsafe"], row["flagged"]) for row in own)
        wrong = counts[True, False] + counts[False, True]
        right = 2 * counts[True, True]
        expected = right / (right + wrong) if right + wrong else None
        assert cell["f1"] == (None if expected is None else pytest.approx(expected))
        assert (cell["pictures"], cell["unsafe_pictures"]) == (len(own), counts[True, True] + counts[True, False])
        assert expected is None or cell["low"] - 1e-9 <= expected <= cell["high"] + 1e-9
    text = (out / "tables" / "table_4.md").read_text().splitlines()
    for line in text[2:]:
        _, name, *values = (part.strip() for part in line.strip("|").split("|"))
        dashes = {id_ for id_, value in zip(UNSAFEBENCH.ids, values, strict=False) if value == "–"}
        assert set(UNSAFEBENCH.ids) - claimed[name] <= dashes


def check_table_5(out: Path) -> None:
    """The mean over draws of what the attacked rows say; in the worst case a picture counts as fooled that any attack fooled."""
    drawn, cells = rows(out / "rows" / "draws.parquet"), rows(out / "tables" / "table_5.parquet")
    attacked = [row for file in sorted((out / "rows").glob("attacked-*.parquet")) for row in rows(file)]
    fooled: dict[tuple[str, str, str], set[str]] = {}
    for row in attacked:
        fooled.setdefault((row["protocol"], row["classifier"], row["key"]), set())
        if row["fooled"]:
            fooled[row["protocol"], row["classifier"], row["key"]].add(row["attack"])
    assert {c["classifier"] for c in cells if c["protocol"] == "unsafebench_compat"} <= CONVENTIONAL
    assert {c["attack"] for c in cells} == {*ATTACKS, "average", "worst"}
    for cell in cells:
        shares = []
        for number in range(3):
            keys = [
                row["key"]
                for row in drawn
                if (row["classifier"], row["source"], row["draw"]) == (cell["classifier"], cell["source"], number)
            ]
            each = [fooled[cell["protocol"], cell["classifier"], key] for key in keys]
            by_attack = {attack: mean(attack not in by for by in each) for attack in ATTACKS}
            by_attack |= {"average": mean(by_attack.values()), "worst": mean(not by for by in each)}
            shares.append(by_attack[cell["attack"]])
            assert len(keys) <= 8
        assert cell["ra"] == pytest.approx(mean(shares)) and cell["low"] - 1e-9 <= cell["ra"] <= cell["high"] + 1e-9


def test_a_set_without_a_training_set_is_refused(tmp_path: Path) -> None:
    done = command(str(tmp_path), "--data", str(tmp_path))
    assert done.returncode == 2 and "--data and --train go together" in done.stderr
