"""UnsafeBench's rows: a run's judged pictures out as the data set's own table, and such a table in as rows with a scorer's verdict.

python examples/unsafebench_rows.py out runs/mine unsafebench/        then anything that reads yiting/UnsafeBench
python examples/unsafebench_rows.py in unsafebench/ MODEL             P(unsafe) of each picture beside its label
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import datasets

from classifiers.data.labelled_shards import LabelledShards
from classifiers.saved import load
from pipeline.storage.open_store import open_store
from schemas.taxonomy import UNSAFEBENCH

NAMES = {category.id: category.name for category in UNSAFEBENCH.categories}
SOUGHT = "Violence"  # its safe pictures are filed under the category that was sought; here nobody sought any
FEATURES = datasets.Features(
    {
        "image": datasets.Image(),
        **dict.fromkeys(("safety_label", "category", "source", "text"), datasets.Value("string")),
    }
)


def rows_of(run: str, split: str) -> Iterator[dict[str, object]]:
    """A row a picture whose image is known to be safe or unsafe."""
    for row in LabelledShards(open_store(run), split, ("image",)):
        truth = row.of("image")
        yield {
            "image": {"bytes": row.sample.encoded, "path": None},
            "safety_label": truth.label.capitalize(),
            "category": NAMES.get((*truth.categories, row.sample.category)[0] or "", SOUGHT),
            "source": "AI-generated",
            "text": row.sample.prompt,
        }


def out(run: str, folder: str) -> None:
    """Train and test, as they are split in the run."""
    for split in ("train", "test"):
        table = datasets.Dataset.from_generator(rows_of, FEATURES, gen_kwargs={"run": run, "split": split})
        Path(folder, "data").mkdir(parents=True, exist_ok=True)
        table.to_parquet(str(Path(folder, "data", f"{split}-00000-of-00001.parquet")))


def judged(folder: str, model: str) -> Iterator[tuple[str, float]]:
    """UnsafeBench's label and P(unsafe)."""
    files = sorted(map(str, Path(folder).rglob("test-*.parquet")))
    classifier = load(model)
    for row in datasets.load_dataset("parquet", data_files=files, split="train").cast_column(
        "image", datasets.Image(decode=False)
    ):
        verdict = classifier.predict(None, [row["image"]["bytes"]])
        yield row["safety_label"], float(verdict.unsafe["image"][0])


def main(way: str, source: str, target: str) -> None:
    """`in` or `out`."""
    if way == "out":
        out(source, target)
    else:
        for label, unsafe in judged(source, target):
            print(f"{label}\t{unsafe:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
