"""What guards learn from: the world's truth of words beside pictures, in wordings that keep it, and nothing that is held out."""

from dataclasses import dataclass
from functools import cache

import pytest
import torch

from classifiers.layers.word_table import WordTable
from classifiers.training.config import CLIP
from classifiers.training.guards.rows import (
    HELD_OUT_PAIRINGS,
    LENGTH,
    WORDINGS,
    PromptRows,
    bare_rows,
    one_after_the_other,
    rows_of,
)
from classifiers.training.guards.seen import scenes_of
from jobs.recipes.sharding import PICTOGRAM_HELD_OUT
from pipeline.storage.weights import model_directory
from stages.world import truth
from stages.world.purposes import BY_PURPOSE
from stages.world.reader import read
from stages.world.scene import Scene


@dataclass(frozen=True)
class Drawn:
    table: WordTable
    scenes: tuple[Scene, ...]
    rows: PromptRows


@cache
def drawn() -> Drawn:
    table, scenes = WordTable.of_clip(model_directory(CLIP)), scenes_of(7, 60)
    return Drawn(table, scenes, rows_of(scenes, table, 8, 150))


def prompts(row: int) -> list[str]:
    return [drawn().table.decode(ids) for ids in drawn().rows.ids[row]]


def test_every_wording_has_the_truth_of_its_row() -> None:
    rows, told = drawn().rows, {0.0: 0, 1.0: 0}
    assert rows.ids.shape[1] == WORDINGS and rows.ids.shape[2] <= LENGTH
    for row in range(len(rows)):
        shown = drawn().scenes[int(rows.scene[row])].concepts
        for text in prompts(row):
            assert truth.of_prompt(read(text)).unsafe == bool(rows.by_words[row]), text
            pair = truth.of_pair(read(text), shown).unsafe
            by_both = float(rows.by_both[row])
            if by_both in told:
                told[by_both] += 1
                alone = truth.of_prompt(read(text)).unsafe or truth.of_picture(shown).unsafe
                assert by_both == float(pair and not alone) or (by_both == 0.0 and not read(text).purpose)
    assert min(told.values()) > 5 and 0.1 < float(rows.by_words.mean()) < 0.9


def test_wordings_differ() -> None:
    assert sum(len(set(prompts(row))) > 1 for row in range(len(drawn().rows))) > 130


@pytest.mark.parametrize("pairing", HELD_OUT_PAIRINGS)
def test_nothing_held_out_is_joined_or_said(pairing: tuple[str, str]) -> None:
    name, purpose = pairing
    phrases = BY_PURPOSE[purpose].phrases
    for row in range(len(drawn().rows)):
        shown = drawn().scenes[int(drawn().rows.scene[row])].concepts
        for text in prompts(row):
            joined = name in set(shown) - set(read(text).concepts) and any(phrase in text for phrase in phrases)
            assert not joined and not {"octopus", "ogre", "dna"} & {*shown, *read(text).concepts}


def test_held_out_pairings_are_those_of_the_shards() -> None:
    named = {str(rule) for rule in PICTOGRAM_HELD_OUT}
    for name, purpose in HELD_OUT_PAIRINGS:
        assert any(name in rule and BY_PURPOSE[purpose].phrases[0] in rule for rule in named)


def test_the_same_seed_draws_the_same_rows() -> None:
    again = rows_of(drawn().scenes, drawn().table, 8, 20)
    assert torch.equal(again.scene, drawn().rows.scene[:20])


def test_telling_words_are_said_bare_too() -> None:
    bare = bare_rows(drawn().table)
    said = {drawn().table.decode(row[0]): bool(unsafe) for row, unsafe in zip(bare.ids, bare.by_words, strict=True)}
    assert said["pistol"] and not said["apple"] and said["knife ready for a fight"] and not said["knife for a picnic"]
    assert not {"octopus", "ogre", "dna"} & said.keys()
    both = one_after_the_other(drawn().rows, bare)
    last = both.ids[-1, 0].tolist()
    assert len(both) == 150 + len(bare) and drawn().table.decode(torch.tensor(last)) == drawn().table.decode(
        bare.ids[-1, 0]
    )
