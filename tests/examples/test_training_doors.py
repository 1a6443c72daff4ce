"""Each example that trains or reads from shards does so on one small run, with the packages themselves."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.labelled_run import labelled_run

ROOT = Path(__file__).parents[2]
INTEGRATIONS = Path(sys.prefix) / "integrations"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def run_folder() -> Path:
    return Path(labelled_run().url)


def labels(folder: Path) -> list[str]:
    files = sorted(folder.glob("shards/train/*.parquet"))
    return [label for file in files for label in pq.read_table(file, columns=["pair_label"])["pair_label"].to_pylist()]


def printed(name: str, *arguments: object, beside: str | None = None) -> str:
    """What an example prints; with `beside`, a package that stands apart from the environment."""
    command, path = [sys.executable, f"examples/{name}.py"], str(ROOT)
    if beside is not None:
        if not (INTEGRATIONS / beside).is_dir():
            pytest.skip(f"{beside} is not installed; make setup puts it into .venv/integrations")
        path = os.pathsep.join((path, str(INTEGRATIONS)))
        command = [sys.executable, "-m", "tests.support.torchvision_without_kernels", f"examples.{name}"]
    env = {**os.environ, "PYTHONPATH": path}
    ran = subprocess.run(
        [*command, *map(str, arguments)], cwd=ROOT, env=env, capture_output=True, text=True, timeout=380, check=False
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout + ran.stderr


def test_timm_trains_and_sees_every_row(run_folder: Path) -> None:
    count = len(labels(run_folder))
    assert f"{count} of {count} pictures" in printed("train_timm", run_folder, beside="timm")


def test_open_clip_trains_an_epoch(run_folder: Path, tmp_path: Path) -> None:
    told = printed("train_open_clip", run_folder, tmp_path, beside="open_clip")
    assert "100%" in told and list(tmp_path.rglob("epoch_1.pt"))


def test_four_readers_count_the_same_labels(run_folder: Path) -> None:
    told, rows = printed("read_shards", run_folder), labels(run_folder)
    expected = {label: rows.count(label) for label in dict.fromkeys(rows)}
    for reader in ("webdataset", "datasets, tars", "datasets, rows", "ray data"):
        [line] = re.findall(rf"^{reader} (\{{.*\}})$", told, re.MULTILINE)
        assert dict(re.findall(r"'(\w+)': (\d+)", line)) == {label: str(count) for label, count in expected.items()}
    [line] = re.findall(r"^torch (\{.*\})$", told, re.MULTILINE)
    assert sum(int(count) for count in re.findall(r": (\d+)", line)) == len(rows)


def test_a_lora_is_tuned_and_drawn_with(run_folder: Path, tmp_path: Path) -> None:
    told = printed("train_lora", run_folder, tmp_path, 6)
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", told)]
    assert len(losses) == 6 and all(0 < loss < 10 for loss in losses)
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(ROOT / "assets/world/t2i", safety_checker=None)
    pipeline.load_lora_weights(tmp_path, weight_name="pytorch_lora_weights.safetensors")
    assert pipeline.get_active_adapters()
