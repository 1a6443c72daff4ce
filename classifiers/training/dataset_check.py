"""What a run's shards hold for a classifier to learn, seen before anything is trained: whole, labelled, of known categories."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from classifiers.data.labelled_sample import KNOWN
from classifiers.data.labelled_shards import manifest_of, shard_names
from pipeline.dataset.shards import MANIFEST
from pipeline.storage.store import Store
from schemas.catalogue import UNLABELLED
from schemas.errors import InputError
from schemas.protocols import Coverage

LARGEST_WEIGHT = 5.0
"""Of a row. The shards' weights make every class count alike; a class of one row would count a hundredfold and lead alone."""

FEW_TRAIN = 100
"""Safe, and unsafe, train rows below which a classifier from scratch is of little use (docs/guide/own_prompts.md)."""
FEW_JUDGED = 20
"""Val and test rows of a label below which a rate is known to ±.2, and no threshold for 5 % false positives can be found."""


@dataclass(frozen=True)
class Survey:
    """One split: `rows` in it, `usable` ones with a label in a scope of the classifier, `unsafe` and `safe` of these in `scope`.

    `mean_weight` is of the shards' weights, cut at `LARGEST_WEIGHT`.
    """

    split: str
    scope: str
    rows: int
    usable: int
    unsafe: int
    safe: int
    mean_weight: float = 1.0

    @property
    def left_out(self) -> int:
        """Rows of which nobody knows anything the classifier could learn (`na`)."""
        return self.rows - self.usable


def widest(coverage: Coverage) -> str:
    """The scope whose P(unsafe) decides: pair, else image, else prompt (as in `contract.Scorer`)."""
    return next(scope for scope in ("pair", "image", "prompt") if scope in coverage.scopes)


def check_shards(store: Store, splits: tuple[str, ...]) -> None:
    """Hash what will be read (~1 GB/s). Raises InputError naming the first file that is not what the manifest says."""
    for shard in manifest_of(store)["shards"]:
        for file in shard["files"] if shard["split"] in splits else ():
            name = f"shards/{file['name']}"
            if store.size(name) != file["size"] or store.digest(name) != file["sha256"]:
                raise InputError(
                    f"{store.url}/{name} is missing or damaged: it is not what {MANIFEST} says. "
                    f"Delete it and run jobs/shards.py {store.url}"
                )


def survey(store: Store, split: str, coverage: Coverage) -> Survey:
    """Count one split's labels. Raises InputError for rows never labelled, and for categories that the classifier does not have."""
    scope = widest(coverage)
    usable: list[bool] = []
    labels: Counter[str] = Counter()
    weight = 0.0
    for part in _parts(store, split, coverage):
        for each in coverage.scopes:
            _all_labelled(store, split, each, part[f"{each}_label"])
            _all_of(coverage, split, each, part[f"{each}_categories"])
        columns = zip(*(part[f"{each}_label"] for each in coverage.scopes), strict=True)
        usable += [any(label in KNOWN for label in row) for row in columns]
        labels.update(part[f"{scope}_label"])
        weight += sum(min(one, LARGEST_WEIGHT) for one in part["weight"])
    mean_weight = weight / len(usable) if usable else 1.0
    return Survey(split, scope, len(usable), sum(usable), labels["unsafe"], labels["safe"], mean_weight)


def survey_all(store: Store, coverage: Coverage) -> tuple[Survey, Survey]:
    """Train and val. Raises InputError where one of them lacks safe or unsafe rows."""
    surveys = survey(store, "train", coverage), survey(store, "val", coverage)
    for each in surveys:
        if not (each.unsafe and each.safe):
            raise InputError(
                f"{store.url}/shards/{each.split} holds {each.unsafe} unsafe and {each.safe} safe rows ({each.scope} label), "
                "and both are needed; add samples, or label them with jobs/label.py, then run jobs/shards.py"
            )
    return surveys


def test_survey(store: Store, coverage: Coverage) -> tuple[Survey | None, dict[str, str]]:
    """Test, None where nothing can be measured on it; and by split what cannot be measured, and why."""
    advice = f"label it (jobs/label.py {store.url}), then run jobs/shards.py; training goes on without"
    try:
        result = survey(store, "test", coverage)
    except InputError as error:
        return None, {"test": f"nothing is measured on test: {error}"}
    if not result.rows or not result.usable:
        what = "there are no test rows" if not result.rows else f"none of {result.rows} test rows has a label"
        return None, {"test": f"nothing is measured on test: {what}; {advice}"}
    return result, {}


def doubts(surveys: Sequence[Survey], start: str | None = None) -> list[str]:
    """What will make the classifier, or the figures about it, useless; a sentence each, said before anything is trained.

    `start` is the classifier that it goes on from.
    """
    messages = []
    for each in surveys:
        few = FEW_TRAIN if each.split == "train" else FEW_JUDGED
        for count, what in ((each.unsafe, "unsafe"), (each.safe, "safe")):
            if count < few:
                messages.append(f"{each.split} has {count} {what} rows ({each.scope} label), fewer than {few}")
        if each.left_out * 2 > each.rows:
            messages.append(
                f"{each.left_out} of {each.rows} {each.split} rows have no label that can be learnt: most are `na`"
            )
    if messages:
        messages.append(
            "so little teaches or tells little: add samples, let other labellers vote, or start from a trained one (--start)"
            if start is None
            else f"so little teaches or tells little beyond what {start} knows, which stays where no epoch is better on val"
        )
    return messages


def _parts(store: Store, split: str, coverage: Coverage) -> Iterator[dict[str, list[Any]]]:
    """The columns of one shard after the other."""
    wanted = [f"{scope}_{what}" for scope in coverage.scopes for what in ("label", "categories")]
    for name in shard_names(store, split, ".parquet"):
        with store.open(name) as file:
            yield pq.ParquetFile(file).read(columns=[*wanted, "weight"]).to_pydict()


def _all_labelled(store: Store, split: str, scope: str, labels: list[str | None]) -> None:
    missing = sum(label in (None, UNLABELLED) for label in labels)
    if missing:
        raise InputError(
            f"{missing} of {len(labels)} rows of a shard of {split} have no {scope} label: nobody voted on them. Run "
            f"jobs/label.py {store.url} --labellers A,B, then --aggregate METHOD, then jobs/shards.py"
        )


def _all_of(coverage: Coverage, split: str, scope: str, named: list[str | None]) -> None:
    strange = sorted({one for each in named for one in (each or "").split(",") if one} - set(coverage.categories))
    if strange:
        raise InputError(
            f"{split} holds {scope} labels of the categories {', '.join(strange)}, which this classifier does not know "
            f"({', '.join(coverage.categories)}); label with the taxonomy that it was built for"
        )
