"""A run's shards by four readers that know nothing of Hazmat: Ray Data, datasets (tars and rows), webdataset, plain PyTorch.

python examples/read_shards.py runs/demo
"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import ray
import ray.data
import torch
import webdataset


def by_ray_data(shards: Path) -> Counter[str]:
    """Rows with the members' bytes decoded; on a cluster in parallel."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)  # on a cluster: no arguments
    rows = ray.data.read_webdataset(str(shards / "train"), file_extensions=["tar"])
    return Counter(row["json"]["pair_label"] for row in rows.iter_rows())


def by_datasets(shards: Path) -> Iterator[Counter[str]]:
    """Streamed out of the tars, and as the table beside them."""
    tars = datasets.load_dataset("webdataset", data_files=str(shards / "train/*.tar"), split="train", streaming=True)
    yield Counter(row["json"]["pair_label"] for row in tars)
    rows = datasets.load_dataset("parquet", data_files=str(shards / "train/*.parquet"), split="train")
    yield Counter(rows["pair_label"])


def by_webdataset(shards: Path) -> Counter[str]:
    """With pictures as arrays."""
    tars = sorted(map(str, shards.glob("train/*.tar")))
    return Counter(row["json"]["pair_label"] for row in webdataset.WebDataset(tars, shardshuffle=False).decode("rgb8"))


def by_torch(shards: Path) -> Counter[int]:
    """A training loop without any framework: a linear model on pixels, two workers, classes from `.cls`."""
    tars = sorted(map(str, shards.glob("train/*.tar")))
    samples = webdataset.WebDataset(tars, shardshuffle=False).decode("rgb8").to_tuple("png", "cls")
    loader = torch.utils.data.DataLoader(samples, batch_size=16, num_workers=min(2, len(tars)))
    model, seen = torch.nn.LazyLinear(4), Counter[int]()
    for pictures, classes in loader:
        pixels = torch.from_numpy(np.asarray(pictures)).flatten(1).float() / 255
        loss = torch.nn.functional.cross_entropy(model(pixels), classes)
        model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for weight in model.parameters():
                weight.sub_(0.01 * weight.grad if weight.grad is not None else 0)
        seen.update(classes.tolist())
    return seen


def main(run: str) -> None:
    """What each counts of the training split."""
    shards = Path(run, "shards")
    print("webdataset", dict(by_webdataset(shards)))
    for name, labels in zip(("datasets, tars", "datasets, rows"), by_datasets(shards), strict=True):
        print(name, dict(labels))
    print("torch", dict(by_torch(shards)))
    print("ray data", dict(by_ray_data(shards)))


if __name__ == "__main__":
    main(*sys.argv[1:])
