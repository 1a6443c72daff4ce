"""timm trains a classifier of pictures from a run's shards: they have its own layout. Needs `pip install timm`.

python examples/train_timm.py runs/demo
"""

import sys
from pathlib import Path

import timm
import torch
from timm.data import create_dataset, create_loader
from torch.nn.functional import cross_entropy

SIDE, BATCH = 64, 16


def main(run: str) -> None:
    """One epoch; the classes are those of `_info.json`."""
    data = create_dataset("wds/", root=str(Path(run, "shards")), split="train", is_training=False, batch_size=BATCH)
    model = timm.create_model("resnet10t", num_classes=4)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    seen = 0
    for pictures, classes in create_loader(data, (3, SIDE, SIDE), BATCH, use_prefetcher=False, num_workers=1):
        loss = cross_entropy(model(pictures), classes)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        seen += len(classes)
        print(f"{seen} of {len(data)} pictures, loss {loss.item():.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
