"""The search over tokens goes on where a step gains nothing, puts words in, starts again elsewhere, and keeps the truth."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from stages.attack.token_search import Aim, Limits, search

WORDS = ("", "a", "knife", "on", "red", "cake", "tree", "star", "x", "y", "z")
LENGTH = 6


class Whole:
    """Reads whole words out of a list; 0 is padding. Each token has an axis of its own."""

    def encode(self, prompts: list[str]) -> Tensor:
        ids = torch.zeros((len(prompts), LENGTH), dtype=torch.int64)
        for row, prompt in enumerate(prompts):
            for place, word in enumerate(prompt.split()[:LENGTH]):
                ids[row, place] = WORDS.index(word)
        return ids

    def decode(self, ids: Tensor) -> str:
        return " ".join(WORDS[int(token)] for token in ids if token)

    def editable(self, ids: Tensor) -> Tensor:
        return ids > 0

    def embedding_table(self) -> Tensor:
        return torch.eye(len(WORDS))


READER = Whole()
PLAIN = torch.tensor([False] + [True] * (len(WORDS) - 1))
START = "a knife on red"
GREEDY = Limits(tokens=2, top=8, queries=400)


def aim(value: Callable[[set[str]], float], wanted: str = "") -> Aim:
    """`value` of the set of words; the gradient asks for the words of `wanted` alone. Reached at 1."""

    def slope(text: str, ids: Tensor) -> Tensor:
        each = torch.tensor([float(bool(word) and word in wanted.split()) for word in WORDS])
        return each.expand(ids.shape[1], -1)

    return Aim(
        lambda texts: torch.tensor([value(set(text.split())) for text in texts]), slope, lambda found: found >= 1
    )


def test_two_exchanges_that_gain_only_together_are_found_by_a_beam_with_patience_and_not_greedily() -> None:
    both = aim(lambda words: float({"x", "y"} <= words), "x y")
    assert search(READER, START, both, PLAIN, GREEDY).value == 0
    found = search(READER, START, both, PLAIN, replace(GREEDY, beam=4, patience=3))
    assert found.value == 1 and found.edits == 2 and found.queries <= 400


def test_a_word_is_put_in_where_all_others_have_to_stay() -> None:
    held = set(START.split())
    more = aim(lambda words: float("star" in words), "star")
    stays = {"keeps_truth": lambda text: held <= set(text.split())}
    assert search(READER, START, more, PLAIN, GREEDY, **stays).value == 0
    found = search(READER, START, more, PLAIN, replace(GREEDY, insert=True), **stays)
    assert found.value == 1 and found.edits == 1 and held < set(found.text.split())
    assert int(found.touched.sum()) == 1
    nothing = search(READER, START, more, PLAIN, replace(GREEDY, insert=True, tokens=0), **stays)
    assert nothing.edits == 0 and nothing.text == START


def test_candidates_whose_truth_changes_are_not_even_scored() -> None:
    gone = aim(lambda words: 0.5 * ("knife" not in words) + 0.5 * ("cake" in words), "cake")
    loose = search(READER, START, gone, PLAIN, GREEDY)
    assert "knife" not in loose.text.split()
    asked: list[str] = []
    watched = replace(gone, values=lambda texts: asked.extend(texts) or gone.values(texts))
    kept = search(READER, START, watched, PLAIN, GREEDY, keeps_truth=lambda text: "knife" in text.split())
    assert kept.value == 0.5 and all("knife" in text.split() for text in asked) and len(asked) > 3


@pytest.mark.parametrize(("restarts", "reached"), [(1, False), (12, True)])
def test_restarts_find_what_no_gradient_points_at(restarts: int, reached: bool) -> None:
    hidden = aim(lambda words: float("z" in words), "x y star tree cake")
    limits = Limits(tokens=2, top=1, queries=400, restarts=restarts)
    found = search(READER, START, hidden, PLAIN, limits, seed=3)
    assert (found.value == 1) == reached and found.edits <= 2


def test_queries_are_counted_and_bounded_and_the_result_is_the_best_seen() -> None:
    never = aim(lambda words: 0.9 * ("tree" in words), "tree star")
    found = search(READER, START, never, PLAIN, Limits(tokens=3, top=6, queries=50, beam=3, restarts=9, patience=4))
    assert found.value == pytest.approx(0.9) and "tree" in found.text.split() and found.queries <= 50
    again = search(READER, START, never, PLAIN, Limits(tokens=3, top=6, queries=50, beam=3, restarts=9, patience=4))
    assert (again.text, again.queries) == (found.text, found.queries)


def test_places_that_an_earlier_search_changed_count_already() -> None:
    both = aim(lambda words: 0.5 * ("x" in words) + 0.5 * ("y" in words), "x y")
    touched = torch.tensor([True, True, False, False, False, False])
    found = search(READER, START, both, PLAIN, GREEDY, touched=touched)
    assert found.edits == 2 and found.text.split()[2:] == ["on", "red"] and found.value == 1
