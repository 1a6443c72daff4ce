"""Make and read small runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.engines.engine import run_units
from pipeline.plan import Plan
from pipeline.rounds.round import Round, open_round, pending, run_digest
from pipeline.stage import Stage
from pipeline.storage.open_store import open_store
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.generate.replicate import Replicate
from stages.image_io.encode import Encode

NAME = "000-generate"


@dataclass(frozen=True)
class Texts:
    """Root samples of given prompts."""

    texts: tuple[str, ...]

    def __iter__(self) -> Iterator[Sample]:
        return (Sample.from_prompt(Prompt(text), 0) for text in self.texts)


def texts(count: int, **special: int) -> Texts:
    """`count` neutral prompts; `texts(9, kill=4)` makes the fourth say `kill`."""
    marked = {index: word for word, index in special.items()}
    return Texts(tuple(f"neutral prompt {index} {marked.get(index, '')}".strip() for index in range(count)))


def plan_of(items: Texts, *stages: Stage, images: int = 1, unit_size: int = 8) -> Plan:
    """A plan of `stages` between fan-out and encoding."""
    return Plan((Replicate(images_per_prompt=images), *stages, Encode()), items, unit_size, seed=0)


def carry_out(folder: Path, plan: Plan, engine: str = "local", workers: int = 1) -> Round:
    """Run what is left of `plan` in `folder`."""
    round_ = open_round(open_store(str(folder)), f"rounds/{NAME}", plan)
    for _ in run_units(engine, workers, plan, round_, pending(round_)):
        pass
    return round_


def digest(round_: Round) -> str:
    """The digest of a finished round."""
    assert pending(round_) == []
    return run_digest(list(round_.receipts()))


def rows(folder: Path, kind: str = "raw") -> pa.Table:
    """All rows of a kind of Parquet file of the round."""
    files = sorted((folder / "rounds" / NAME / kind).glob("*.parquet"))
    return pa.concat_tables([pq.read_table(file) for file in files]) if files else pa.table({})
