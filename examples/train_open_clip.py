"""open_clip trains a CLIP from a run's shards: picture and `.txt` in each sample. Needs `pip install open-clip-torch`.

python examples/train_open_clip.py runs/demo runs/clip
"""

import json
import sys
from pathlib import Path

import open_clip
from open_clip_train.main import main as train

SMALL = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2},
}
"""An architecture small enough for a laptop; in earnest name one of open_clip's."""


def main(run: str, logs: str, batch: int | str = 8) -> None:
    """One epoch over the whole split; open_clip reads only full batches."""
    shards = Path(run, "shards")
    files = json.loads((shards / "_info.json").read_text())["splits"]["train"]["filenames"]
    rows = sum(json.loads((shards / "_info.json").read_text())["splits"]["train"]["shard_lengths"])
    Path(logs).mkdir(parents=True, exist_ok=True)
    (Path(logs) / "small.json").write_text(json.dumps(SMALL))
    open_clip.add_model_config(Path(logs) / "small.json")
    tars = "::".join(str(shards / name) for name in files)
    flags = "--model small --dataset-type webdataset --epochs 1 --workers 1 --device cpu --precision fp32 --warmup 1"
    train(
        [
            *flags.split(),
            "--train-data",
            tars,
            "--train-num-samples",
            str(rows),
            "--batch-size",
            str(batch),
            "--logs",
            logs,
        ]
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
