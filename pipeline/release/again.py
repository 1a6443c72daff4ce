"""The plan of a released recipe, so that an engine carries it out again. A release is other people's: nothing in it is run."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.plan import Plan
from pipeline.recipe import Recipe
from pipeline.release.recipe_parts import public_stages, refuse_unmade
from pipeline.rounds.control_files import CARD
from pipeline.rounds.round import stages_as_begun
from schemas.control_file import read_control
from schemas.errors import InputError
from schemas.manifest import Receipt
from schemas.run import RunConfig
from schemas.sample import Sample, from_table

MEND = "fetch the release again"


@dataclass(frozen=True)
class ReleasedItems:
    """The items of `plan.parquet`, a row group a unit; `texts` has prompt and drawn prompt by key where the release has none."""

    plan: Path
    texts: Mapping[str, Sample] | None = None

    def __iter__(self) -> Iterator[Sample]:
        return (sample for unit in self.units() for sample in unit)

    def units(self) -> Iterator[list[Sample]]:
        """Cut as they were: a batch's shape is part of how a picture is drawn. Raises InputError for a prompt that is missing."""
        try:
            with pq.ParquetFile(self.plan) as file:
                for unit in range(file.num_row_groups):
                    samples = from_table(file.read_row_group(unit))
                    if samples:  # of an empty one everything was revoked
                        yield samples if self.texts is None else [self._told(sample) for sample in samples]
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{self.plan} cannot be read ({str(error).splitlines()[0][:120]}); {MEND}") from error

    def _told(self, sample: Sample) -> Sample:
        assert self.texts is not None
        text = self.texts.get(sample.key)
        if text is None:
            raise InputError(
                f"the prompts at hand have none of the key {sample.key}; give the very prompts of the run with --prompts FILE"
            )
        return sample.with_(prompt=text.prompt, generation_prompt=text.generation_prompt)


@dataclass(frozen=True)
class ReleasedPlan(Plan):
    """A plan whose units are those of the release, whatever was revoked of them."""

    items: ReleasedItems

    def units(self) -> Iterator[list[Sample]]:
        """As the release has them."""
        return self.items.units()


@dataclass(frozen=True)
class ReleasedRecipe:
    """The folder `recipe` of a release, read: the run's facts and the card of its round."""

    folder: Path
    facts: RunConfig
    card: Mapping[str, Any]

    @property
    def has_words(self) -> bool:
        """Whether the plan holds its prompts."""
        first = next(iter(ReleasedItems(self.folder / "plan.parquet")), None)
        return first is None or bool(first.prompt)

    def receipts(self) -> dict[int, Receipt]:
        """By unit, as published. Raises ControlFileError for a damaged one."""
        receipts = (
            Receipt.from_json(path.read_bytes(), str(path)) for path in sorted(self.folder.glob("receipts/*.json"))
        )
        return {receipt.unit: receipt for receipt in receipts}

    def plan(self, recipe: Recipe, roots: Iterable[Sample] | None) -> ReleasedPlan:
        """To be carried out by this checkout's `recipe`; `roots` are the prompts where the release has none.

        Raises InputError where stages, settings or weights are not those that the release was made by.
        """
        recipe = replace(recipe, stages=stages_as_begun(recipe.stages, self.card["stages"]))
        refuse_changed(recipe, self.card["stages"])
        texts = None if roots is None else {sample.key: sample for sample in roots}
        items = ReleasedItems(self.folder / "plan.parquet", texts)
        return ReleasedPlan(recipe.stages, items, int(self.card["unit_size"]), int(self.card["seed"]), recipe.pack)


def read_released(release: Path) -> ReleasedRecipe:
    """Of a release's folder. Raises InputError where it is not of the tier recipe, ControlFileError for a damaged file."""
    folder = release / "recipe"
    if not (folder / "run.json").is_file() or not (folder / "plan.parquet").is_file():
        raise InputError(f"--from {release}: there is no recipe in it; give a folder of jobs/publish.py --tier recipe")
    facts = RunConfig.from_json((folder / "run.json").read_bytes(), str(folder / "run.json"))
    refuse_unmade(facts, str(release))
    name = folder / "round.json"
    card = read_control(name.read_bytes() if name.is_file() else None, str(name), MEND, CARD)
    return ReleasedRecipe(folder, facts, card)


def refuse_changed(recipe: Recipe, released: list[dict[str, Any]]) -> None:
    """Raise InputError that names the first setting that differs. Where a model lies is no matter, only its digest is."""
    ours = public_stages([stage.describe() for stage in recipe.stages])
    if [stage.get("stage") for stage in ours] != [stage.get("stage") for stage in released]:
        raise InputError(
            f"the release was made by {' → '.join(str(stage.get('stage')) for stage in released)}, and this checkout's recipe "
            f"{recipe.name} is {' → '.join(stage['stage'] for stage in ours)}: check out the revision that made it"
        )
    for mine, theirs in zip(ours, released, strict=True):
        placed = {"model"} if theirs.get("revision") and mine["revision"] == theirs["revision"] else set()
        for name in sorted((mine.keys() | theirs.keys()) - placed):
            if mine.get(name) != theirs.get(name):
                raise InputError(
                    f"the stage {mine['stage']} has {name} {mine.get(name)} here and {theirs.get(name)} in the release, so other "
                    "pictures would come out. Check out the revision that made it, or give the same weights with --model DIR"
                )


def named_recipe(facts: RunConfig, recipe: str | None, model: str | None) -> RunConfig:
    """The facts with the user's own places of a recipe file and of a model. Raises InputError for a file that nobody named."""
    if ".py:" in facts.recipe and recipe is None:
        raise InputError(
            f"the release was made by {facts.recipe}, a recipe of its makers' own. Read that file (sha256 "
            f"{facts.recipe_sha256}), and name it with --recipe FILE.py:FUNCTION"
        )
    if recipe is not None and ".py:" not in facts.recipe:
        raise InputError(
            f"--recipe {recipe}: the release was made by {facts.recipe}, which this checkout has; leave it out"
        )
    return replace(facts, recipe=recipe or facts.recipe, model=model or facts.model)
