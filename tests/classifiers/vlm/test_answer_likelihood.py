"""Whatever tokens the answers are made of, their likelihoods are those of a model that may say nothing else."""

import numpy as np
import pytest
import torch

from classifiers.data.labelled_sample import LabelledSample, ScopeTruth
from classifiers.perspective.instructions import instructions
from classifiers.perspective.pretraining.tokenizer import build
from classifiers.vlm.answer_likelihood import Answers
from classifiers.vlm.moderation_prompt import answer, question, read_answer
from schemas.sample import Sample
from schemas.taxonomy import UNSAFEBENCH

# "safe", "unsafe hate" and "unsafe health" in a vocabulary where all begin alike
LIKE_BYTES = ((9, 1, 5), (9, 2, 3, 7, 5), (9, 2, 3, 8, 5))


def test_a_model_chooses_only_where_answers_part() -> None:
    tree = Answers.of(LIKE_BYTES)
    assert dict(tree.branches) == {(9,): (1, 2), (9, 2, 3): (7, 8)}
    assert tree.passes == ((9, 2, 3),), "one forward pass shows both branches"


def test_likelihoods_are_products_of_the_choices_and_sum_to_one() -> None:
    tree = Answers.of(LIKE_BYTES)
    first, second = torch.zeros(2, 12), torch.zeros(2, 12)
    first[0, 1], second[0, 8] = np.log(3.0), np.log(4.0)
    first[:, 11] = 50.0  # a token that no answer has must not matter
    found = tree.log_probabilities({(9,): first, (9, 2, 3): second}).exp()
    assert torch.allclose(found[0], torch.tensor([3 / 4, 1 / 4 * 1 / 5, 1 / 4 * 4 / 5]))
    assert torch.allclose(found.sum(dim=1), torch.ones(2))


def test_answers_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="another one's beginning"):
        Answers.of([(1, 2), (1, 2, 3)])


def test_the_embedded_vocabulary_knows_every_word_of_the_task() -> None:
    words = build()
    for policies in (False, True):
        ids = words(question(UNSAFEBENCH.categories, policies=policies))["input_ids"]
        assert words.unk_token_id not in ids
    for category in (None, *UNSAFEBENCH.categories):
        said = words.decode(words(answer(category))["input_ids"])
        assert read_answer(said, UNSAFEBENCH.categories) == category


def test_an_answer_outside_of_the_form_is_no_answer() -> None:
    for said in ("", "perhaps", "unsafe", "unsafe fruit"):
        with pytest.raises(ValueError, match="neither safe nor unsafe"):
            read_answer(said, UNSAFEBENCH.categories)


def _labelled(*categories: str) -> LabelledSample:
    truth = ScopeTruth("unsafe" if categories else "safe", categories)
    return LabelledSample(Sample("k", "k"), {"image": truth})


def test_the_taxonomy_asked_about_always_fits_the_answer() -> None:
    rows = [_labelled("violence"), _labelled(), _labelled("hate", "spam"), *[_labelled()] * 20]
    made = instructions(rows, UNSAFEBENCH.ids, np.random.default_rng(0))
    for each in made:
        touched = set(rows[each.row].categories) & set(each.asked)
        assert touched == ({each.category} if each.category else set()), each
        assert 1 <= len(each.asked) == len(set(each.asked)) <= len(UNSAFEBENCH.ids)


def test_unsafe_pictures_are_asked_twice_and_classes_are_balanced() -> None:
    rows = [_labelled("violence")] * 5 + [_labelled()] * 20
    plain = instructions(rows, UNSAFEBENCH.ids, np.random.default_rng(0), balance=False)
    assert [each.row for each in plain if each.row < 5] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert sum(each.category is not None for each in plain) == 5
    even = instructions(rows, UNSAFEBENCH.ids, np.random.default_rng(0))
    assert 2 * sum(each.category is not None for each in even) == len(even)


def test_scope_and_order_of_the_taxonomy_vary() -> None:
    rows = [_labelled("violence")] * 200
    asked = [e.asked for e in instructions(rows, UNSAFEBENCH.ids, np.random.default_rng(0)) if e.category]
    assert {len(each) for each in asked} == set(range(1, 12)), "K is any number of other categories"
    assert len({each.index("violence") for each in asked}) == 11, "the right one stands anywhere"
