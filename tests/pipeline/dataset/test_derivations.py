"""A parent that is committed nowhere is known by its key, or it is a problem."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.audit import Audit
from pipeline.dataset.derivations import is_child, made_on_the_way
from pipeline.dataset.leaks import check_lineage
from pipeline.plan import Plan
from pipeline.stage import Stage, Step
from pipeline.storage.local_store import LocalStore
from schemas.sample import SAMPLE_SCHEMA, Sample
from stages.generate.render import Render
from stages.generate.replicate import Replicate
from stages.image_io.encode import Encode
from tests.support.runs import NAME, Texts, carry_out


@dataclass(frozen=True, kw_only=True)
class WriteOut(Stage):
    """Two texts of each, children of it, which goes no further: as a language model does."""

    adds: ClassVar[frozenset[str]] = frozenset({"prompt", "generation_prompt"})

    def open(self) -> Step:
        def step(batch: Sequence[Sample]) -> Iterator[Sample]:
            for sample in batch:
                for index in range(2):
                    text = sample.prompt + "!" * index
                    yield sample.derive(self.name, index, prompt=text, generation_prompt=text)

        return step


def problems(folder: Path, *stages: Stage) -> list[str]:
    """What is wrong with the lineage of a run: of one made of these stages, or of the one that is there."""
    if stages:
        items = Texts(("a red apple", "a dog on a wall", "two keys"))
        carry_out(folder, Plan((*stages, Render(), Encode()), items, unit_size=2, seed=0))
    audit = Audit(LocalStore(folder))
    check_lineage(audit)
    return audit.problems


def test_children_of_texts_that_were_not_committed_are_sound(tmp_path: Path) -> None:
    assert problems(tmp_path / "one", WriteOut(), Replicate(images_per_prompt=3)) == []
    assert problems(tmp_path / "two", WriteOut(), WriteOut(), Replicate()) == []


def test_a_parent_that_no_stage_of_the_run_derives_is_found(tmp_path: Path) -> None:
    assert problems(tmp_path, WriteOut(), Replicate()) == []
    path = tmp_path / "rounds" / NAME / "raw" / "unit-000000.parquet"
    rows = pq.read_table(path).to_pylist()
    strange = [{**rows[0], "parent": "f" * 32}, {**rows[1], "key": "e" * 32}, {**rows[2], "root": rows[3]["root"]}]
    swapped = rows[2]["root"] != rows[3]["root"]
    pq.write_table(pa.Table.from_pylist([*strange, *rows[3:]], SAMPLE_SCHEMA), path)
    found = problems(tmp_path)
    assert found == sorted(
        f"{row['key']} has a parent that no round planned or committed" for row in strange[: 2 + swapped]
    )


def test_a_key_is_of_its_stage_and_within_two_steps() -> None:
    (root,) = Texts(("a red apple",))
    text = root.derive("write_out", 700)
    picture = text.derive("replicate", 3).derive("replicate", 0)
    stages = ["replicate", "write_out"]
    assert made_on_the_way(text.key, [root.key], stages) and is_child(picture.key, [picture.parent or ""], stages)
    assert not made_on_the_way(text.key, [root.key], ["replicate", "somebody_else"])
    assert not made_on_the_way(text.key, ["0" * 32], stages)
    near = root.derive("write_out", 1).derive("replicate", 3)
    assert made_on_the_way(near.key, [root.key], stages)
    assert not made_on_the_way(near.derive("replicate", 0).key, [root.key], stages)
