"""Runs whose samples and pictures are planted by hand: for what must be found in them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from jobs.recipes.sharding import pictogram
from pipeline.engines.engine import EngineOptions, run_units
from pipeline.plan import Plan
from pipeline.recipe import ShardRecipe
from pipeline.rounds.existing_run import existing_run, write_facts
from pipeline.rounds.items import CommittedItems
from pipeline.rounds.round import open_round, pending
from pipeline.rounds.rounds import further_round
from pipeline.stage import Stage, Step
from pipeline.storage.image_codec import encode
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store
from schemas.attack import AttackRecord
from schemas.prompt import Prompt
from schemas.run import RunConfig
from schemas.sample import Pixels, Sample
from stages.rounds.shards_round import make_shards
from stages.world.draw import Pictures, draw
from stages.world.scene import compose

SAFE = ("apple", "banana", "grapes", "pizza", "donut", "cake", "dog", "cat", "rabbit", "car", "bus", "rocket")


@dataclass(frozen=True)
class Pair:
    """A sample with its picture and the format it is stored in."""

    sample: Sample
    pixels: Pixels
    format: str = "png"


@dataclass(frozen=True, kw_only=True)
class Planted(Stage):
    """Gives each sample the picture file that was planted for it."""

    adds: ClassVar[frozenset[str]] = frozenset({"encoded", "format", "width", "height", "image_sha256"})
    folder: str

    def open(self) -> Step:
        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                (path,) = Path(self.folder).glob(f"{sample.key}.*")
                data = path.read_bytes()
                side = {"width": 64, "height": 64, "image_sha256": sha256(data).hexdigest()}
                yield sample.with_(encoded=data, format=path.suffix[1:], **side)

        return step

    def describe(self) -> dict[str, str]:
        return {"stage": self.name}


def picture(number: int) -> Pixels:
    """A scene of two pictograms, another for each number."""
    rng = np.random.default_rng(number)
    names = [SAFE[int(place)] for place in rng.choice(len(SAFE), 2, replace=False)]
    return draw(compose(rng, names), _noto())


@cache
def _noto() -> Pictures:
    return Pictures.load("noto")


def pair(number: int, text: str | None = None, pixels: Pixels | None = None, **columns: Any) -> Pair:
    """A clean root sample: prompt and picture of its number, unless they are given."""
    prompt = Prompt(text or f"planted picture number {number}", source="planted", category="safe", label="safe")
    sample = Sample.from_prompt(prompt, 0).with_(**{"generator": "planted", **columns})
    return Pair(sample, picture(number) if pixels is None else pixels)


def variant(parent: Pair, attack: str = "noise", family: str = "image", parents: Sequence[Pair] = ()) -> Pair:
    """An attacked child: the picture inverted, so that nothing but lineage ties it to its parent."""
    parameters = json.dumps({"parents": [one.sample.key for one in parents]} if parents else {})
    record = AttackRecord(
        name=attack,
        family=family,
        goal="evade_image",
        knowledge="non_adaptive",
        controls="image",
        preserves=True,
        parameters=parameters,
    )
    child = parent.sample.derive(attack, 0, clean=False, attack=record)
    return Pair(child, np.asarray(255 - parent.pixels, dtype=np.uint8))


def plant(url: str, pairs: Sequence[Pair], files: Path, unit_size: int = 16, engine: str = "local") -> Store:
    """Commit the pairs as a further round of the run at `url`."""
    files.mkdir(parents=True, exist_ok=True)
    for one in pairs:
        (files / f"{one.sample.key}.{one.format}").write_bytes(encode(one.pixels, one.format))
    store = open_store(url)
    write_facts(store, RunConfig(out=url, recipe="render"), {})
    plan = Plan((Planted(folder=str(files)),), [one.sample for one in pairs], unit_size, seed=0)
    round_ = open_round(store, further_round(store, "-planted"), plan)
    for _ in run_units(engine, 1, plan, round_, pending(round_)):
        pass
    return store


def recipe(per_shard: int = 16, **rules: Any) -> ShardRecipe:
    """The pictograms' recipe with small shards."""
    made = pictogram()
    return replace(made, rules=replace(made.rules, per_shard=per_shard, **rules))


def shards(store: Store, made: ShardRecipe | None = None, engine: str = "local", workers: int = 1) -> dict[str, Any]:
    """Bring the run's shards up to date."""
    _, config = existing_run(store.url)
    return make_shards(store, config, made or recipe(), EngineOptions(engine, workers))


def committed_keys(store: Store) -> list[str]:
    """Keys of all committed samples."""
    folders = sorted({"/".join(name.split("/")[:2]) for name in store.names("rounds") if "/raw/" in name})
    return [sample.key for sample in CommittedItems(store, folders)]


def groups(store: Store) -> dict[str, dict[str, Any]]:
    """The rows of groups.parquet by key."""
    import pyarrow.parquet as pq

    with store.open("groups.parquet") as file:
        return {row["key"]: row for row in pq.ParquetFile(file).read().to_pylist()}
