"""Other people's trainers take the shards as they are: open_clip and timm each train an epoch and see every row of the manifest."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.labelled_run import labelled_run

ROOT = Path(__file__).parents[3]
INTEGRATIONS = Path(sys.prefix) / "integrations"
"""A folder of its own: where torchvision can be imported, transformers imports it, and beside a CPU build of torch it cannot be."""
TINY_CLIP = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
OPEN_CLIP = """
import sys
from tests.support.torchvision_without_kernels import declare_operators
kept = declare_operators()
import open_clip
open_clip.add_model_config(sys.argv[1])
from open_clip_train.main import main
main(sys.argv[2:])
"""
ROWS = """
import json, sys
from tests.support.torchvision_without_kernels import declare_operators
kept = declare_operators()
import open_clip
open_clip.add_model_config(sys.argv[1])
from open_clip_train.data import get_data
from open_clip_train.params import parse_args
args = parse_args(sys.argv[2:])
args.distributed, args.rank, args.world_size = False, 0, 1
_, prepare, _ = open_clip.create_model_and_transforms("tiny")
texts = []
for pictures, tokens in get_data(args, (prepare, prepare), tokenizer=open_clip.get_tokenizer("tiny"))["train"].dataloader:
    texts += [open_clip.decode(row[row > 0]) for row in tokens]
print(json.dumps(texts))
"""
TIMM = """
import json, sys
from tests.support.torchvision_without_kernels import declare_operators
kept = declare_operators()
import timm, torch
from timm.data import create_dataset, create_loader
torch.manual_seed(0)
model = timm.create_model("resnet10t", num_classes=4)
optimizer = torch.optim.SGD(model.parameters(), 0.01)
data = create_dataset("wds/", root=sys.argv[1], split="train", is_training=False, batch_size=16)
classes, before = [], [parameter.clone() for parameter in model.parameters()]
for pictures, target in create_loader(data, (3, 64, 64), 16, use_prefetcher=False, num_workers=1):
    torch.nn.functional.cross_entropy(model(pictures), target).backward()
    optimizer.step(); optimizer.zero_grad()
    classes += target.tolist()
moved = sum(not torch.equal(a, b) for a, b in zip(before, model.parameters()))
print(json.dumps({"classes": classes, "moved": moved, "length": len(data)}))
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shards() -> Path:
    if not INTEGRATIONS.is_dir():
        pytest.skip("open_clip and timm are not installed; make setup puts them into .venv/integrations")
    return Path(labelled_run().url) / "shards"


def run(script: str, *args: str) -> str:
    """What the script printed, and what it logged."""
    command = [sys.executable, "-c", script, *args]
    path = os.pathsep.join((str(ROOT), str(INTEGRATIONS)))
    ran = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout + ran.stderr


def train_rows(shards: Path) -> int:
    manifest = json.loads((shards / "manifest.json").read_text())
    return sum(shard["samples"] for shard in manifest["shards"] if shard["split"] == "train")


def open_clip_args(shards: Path, folder: Path) -> list[str]:
    (folder / "tiny.json").write_text(json.dumps(TINY_CLIP))
    count = train_rows(shards)
    batch = max(size for size in range(1, 17) if count % size == 0)  # open_clip leaves a partial batch out
    flags = "--model tiny --dataset-type webdataset --epochs 1 --workers 1 --device cpu --precision fp32 --warmup 1"
    data = ["--train-data", str(shards / "train" / "000000.tar"), "--train-num-samples", str(count)]
    return [
        str(folder / "tiny.json"),
        *flags.split(),
        *data,
        "--batch-size",
        str(batch),
        "--logs",
        str(folder / "logs"),
    ]


def test_open_clip_trains_an_epoch_from_the_shards(shards: Path, tmp_path: Path) -> None:
    said = run(OPEN_CLIP, *open_clip_args(shards, tmp_path))
    assert re.findall(r"Train Epoch: 0 \[ *(\d+)/(\d+) \(100%\)\]", said)[-1] == (str(train_rows(shards)),) * 2
    assert list(tmp_path.glob("logs/*/checkpoints/epoch_1.pt"))


def test_open_clip_sees_every_prompt_of_the_split(shards: Path, tmp_path: Path) -> None:
    said = run(ROWS, *open_clip_args(shards, tmp_path))
    seen = Counter(
        text.removesuffix("<end_of_text>").removeprefix("<start_of_text>").strip()
        for text in json.loads(said.splitlines()[0])
    )
    prompts = pq.read_table(shards / "train" / "000000.parquet", columns=["prompt"])["prompt"].to_pylist()
    letters = Counter("".join(c for c in prompt.lower() if c.isalnum()) for prompt in prompts)
    assert Counter("".join(c for c in text if c.isalnum()) for text in seen.elements()) == letters


def test_timm_trains_an_epoch_from_the_shards(shards: Path) -> None:
    found = json.loads(run(TIMM, str(shards)).splitlines()[0])
    table = pq.read_table(shards / "train" / "000000.parquet", columns=["pair_label"])
    names = json.loads((shards / "_info.json").read_text())["classes"]
    assert Counter(names[index] for index in found["classes"]) == Counter(table["pair_label"].to_pylist())
    assert found["length"] == train_rows(shards) and found["moved"] > 0
