"""`--explain` says what a model is, from its own files, and measures two pictures; it writes nothing."""

import json
from pathlib import Path

import pytest

from jobs import generate
from schemas.errors import InputError
from tests.support.commands import call
from tests.support.drawing import directory


def test_a_model_is_explained_from_its_files(
    pipelines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = directory(pipelines, "sdxl")
    out = tmp_path / "run"
    assert call(generate, "--out", out, "--model", model, "--explain", "--steps", "1", "--size", "48x32", "--json") == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["class"] == "StableDiffusionXLPipeline" and told["draws"].startswith("48x32")
    assert "UNet2DConditionModel" in told["parts"]["unet"] and "of F32 on disk" in told["parts"]["unet"]
    assert told["settings"]["steps"] == 1 and told["guidance"] == "classifier-free"
    assert float(told["seconds"].split()[0]) >= 0 and "no licence file" in told["licence"]
    assert not out.exists()


def test_what_cannot_be_explained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give --model"):
        call(generate, "--explain")
    with pytest.raises(InputError, match=r"no model_index\.json"):
        call(generate, "--model", tmp_path, "--explain")
