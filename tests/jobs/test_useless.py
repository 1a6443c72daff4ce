"""What is about to be useless is said by the command that makes it: labels, splits."""

import json
import shutil
from pathlib import Path

import pytest

from jobs import label as label_job
from jobs import shards as shards_job
from jobs import world
from jobs.label import useless_labels
from tests.support.commands import call
from tests.support.labelled_run import labelled_run


def test_labels_that_are_mostly_na_or_all_alike_are_named() -> None:
    (most,) = useless_labels({"pair safe": 20, "pair unsafe": 7, "pair na": 131})
    assert most.startswith("131 of 158 pair labels are `na`") and "zero_shot" in most
    assert useless_labels({"image safe": 20}) == ["no image is unsafe: nothing can be learnt of it"]
    assert useless_labels({"pair safe": 20, "pair unsafe": 7, "pair na": 13}) == []
    assert useless_labels({"votes": 3}) == []


def test_aggregation_and_shards_say_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = str(tmp_path / "run")
    shutil.copytree(labelled_run().url, url, ignore=shutil.ignore_patterns("models", "results"))
    assert call(label_job, url, "--aggregate", "majority", "--json") == 0
    assert "warnings" not in json.loads(capsys.readouterr().out.splitlines()[-1])
    shutil.rmtree(Path(url, "rounds"))
    shutil.copytree(Path(labelled_run().url, "rounds/000-generate"), Path(url, "rounds/000-generate"))
    for name in ("labels.parquet", "keep.parquet", "groups.parquet"):
        Path(url, name).unlink(missing_ok=True)
    shutil.rmtree(Path(url, "shards"))
    assert call(shards_job, url, "--engine", "local", "--json") == 0
    out = capsys.readouterr()
    (said,) = json.loads(out.out.splitlines()[-1])["warnings"]
    assert "no kept sample has a label" in said and said in out.err


def test_the_world_lists_its_words_and_says_which_prompts_it_can_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(world, "words", "--json") == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert len(lines) == len(json.loads(last)) and any(line.startswith("knife (") for line in lines)
    prompts = tmp_path / "mine.txt"
    prompts.write_text("a red apple\nune pomme rouge\n")
    assert call(world, "words", "--prompts", prompts, "--json") == 0
    *said, last = capsys.readouterr().out.splitlines()
    assert json.loads(last)["readable"] == 1 and "1 of 2 prompts (50%)" in said[0]
