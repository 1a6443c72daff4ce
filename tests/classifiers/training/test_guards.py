"""What guards learn from: the world's truth of words beside pictures, in wordings that keep it, and nothing that is held out."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch

from classifiers.layers.concept_reader import ConceptNet
from classifiers.layers.word_table import WordTable
from classifiers.models.guards import Guards
from classifiers.training.concept_reader.scenes import CONCEPTS, reader_config
from classifiers.training.config import CLIP
from classifiers.training.guards.rows import (
    HELD_OUT_PAIRINGS,
    LENGTH,
    TOLD,
    WORDINGS,
    PromptRows,
    bare_rows,
    one_after_the_other,
    rows_of,
    spellings,
    truths,
)
from classifiers.training.guards.search import EDITS, WordSearch, searched_rows
from classifiers.training.guards.seen import AMBIVALENT, SeenPictures, scenes_of
from classifiers.training.guards.tables import SaidWords, rules_of, scores
from jobs.recipes.sharding import PICTOGRAM_HELD_OUT
from pipeline.storage.weights import model_directory
from stages.world import truth
from stages.world.purposes import BY_PURPOSE, HARMFUL
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
    assert "octopus" not in said and not said["apple ready for a fight"]
    assert all(said[word] for name in TOLD for word in spellings(name)), (
        "as a policy lists them: told, but never joined or shown"
    )
    assert not any(" " in text and set(text.split()) & {"ogre", "dna"} for text in said)
    both = one_after_the_other(drawn().rows, bare)
    last = both.ids[-1, 0].tolist()
    assert len(both) == 150 + len(bare) and drawn().table.decode(torch.tensor(last)) == drawn().table.decode(
        bare.ids[-1, 0]
    )


@dataclass(frozen=True)
class Judged:
    """An untrained judge, louder than one begins, over the drawn rows; readings of pictures at random."""

    model: Guards
    said: SaidWords
    rows: PromptRows
    shown: SeenPictures

    def told(self, rows: PromptRows) -> torch.Tensor:
        with torch.no_grad():
            terms = self.model.evidence.terms(self.model.embedding_table()[self.said.tokens].float())
            return scores(terms, rows.ids[:, 0], self.shown.feigned[rows.scene])


@cache
def judged() -> Judged:
    torch.manual_seed(4)
    model = Guards(drawn().table, ConceptNet(reader_config()), ("violence",), "guards").eval()
    with torch.no_grad():
        for part in (model.evidence.alone, model.evidence.roles, model.evidence.beside):
            part.weight.mul_(6)
    model.said = torch.bincount(drawn().rows.ids.flatten(), minlength=len(model.said)) > 0
    said = SaidWords.of(drawn().table, model.said)
    logits = torch.randn(len(drawn().scenes), len(CONCEPTS)) * 4
    shown = SeenPictures(drawn().scenes, logits, logits, logits)
    return Judged(model, said, said.placed(drawn().rows, drawn().table), shown)


def test_tables_score_rows_as_the_deployed_judge_does() -> None:
    """But for concepts that words cannot turn, which tables leave out: the judge is asked about pictures that lack them."""
    one = judged()
    ambivalent = torch.tensor([name in AMBIVALENT for name in CONCEPTS])
    seen = one.shown.feigned.masked_fill(~ambivalent, -60.0)[one.rows.scene]
    ids = drawn().rows.ids[:, 0]
    features = {"tokens": one.model.embedding_table()[ids], "spoken": one.model.spoken(ids), "concepts": seen}
    with torch.no_grad():
        wanted = one.model.stages(features)[:, (0, 2)]
    assert torch.allclose(one.told(one.rows), wanted, atol=1e-3)


@pytest.mark.parametrize("side", ["words", "both"])
def test_a_search_moves_the_judge_and_keeps_every_truth(side: str) -> None:
    one = judged()
    with torch.no_grad():
        search = WordSearch.of(one.said, one.model.evidence.terms(one.model.embedding_table()[one.said.tokens].float()))
    safe = ((one.rows.by_words == 0) & (one.rows.by_both == 0)).nonzero().flatten()[:20]
    unsafe = (one.rows.by_words == 1).nonzero().flatten()[:20]
    for chosen, rises in ((safe, True), (unsafe, False)):
        found = searched_rows(search, one.rows, one.shown, chosen, np.random.default_rng(1), side=side)
        before = one.told(PromptRows(one.rows.ids[chosen], *(getattr(found, n) for n in COLUMNS)))
        column = 1 if side == "both" and rises else 0
        moved = (one.told(found) - before)[:, column] * (1 if rises else -1)
        assert float(moved.min()) >= -1e-3 and float((moved > 0.1).float().mean()) > 0.6
        for row, places in zip(chosen.tolist(), found.ids[:, 0].tolist(), strict=True):
            shown = drawn().scenes[int(one.rows.scene[row])].concepts
            first, last = (one.said.text(each) for each in (one.rows.ids[row, 0].tolist(), places))
            assert truths(first, shown) == truths(last, shown), (first, last)
            assert len(last.split()) <= len(first.split()) + EDITS


COLUMNS = ("scene", "by_words", "by_both", "categories")


def test_rules_say_which_terms_have_to_tell_and_which_may() -> None:
    said = SaidWords.of(drawn().table, torch.ones(len(judged().model.said)).bool())
    rules, place = rules_of(said), {word: at for at, word in enumerate(said.words)}
    (alone, pairs, beside), knife = rules.have_to, CONCEPTS.index("knife")
    assert alone[place["skull"]] and alone[place["ogre"]] and not alone[place["knife"]] and not alone[place["octopus"]]
    for some, others in (("knife", "blood"), ("knife", "fight"), ("dice", "sure"), ("lipstick", "tease")):
        assert pairs[place[some], place[others]] and pairs[place[others], place[some]]
    assert rules.may[1][place["knife"], place["ready"]] and not pairs[place["knife"], place["ready"]], "ready for lunch"
    assert not rules.may[1][place["knife"], place["apple"]] and not rules.may[1][place["knife"], place["gamble"]]
    assert beside[place["fight"], knife] and not rules.may[2][place["gamble"], knife]
    for name, purpose in ((name, each) for each in HARMFUL for name in each.turns):
        words = [place[word] for word in spellings(name)]
        for phrase in purpose.phrases:
            there = [place[word] for word in phrase.split() if word in place]
            assert pairs[words][:, there].any(dim=1).all(), f"{name} {phrase} is told by a word of its own"


def test_a_piece_of_a_harmful_purpose_teaches_nothing() -> None:
    assert truths("a knife ready for a fight", ()) == (True, True) and truths("a knife on red", ()) == (False, False)
    assert truths("a knife fight", ()) is None and truths("a pistol fight", ()) == (True, True)
