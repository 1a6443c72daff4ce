"""Words that an attacker may write: only those with which an unsafe pair is still unsafe, and a safe one still safe."""

import numpy as np
import pytest

from classifiers.data.labelled_sample import LabelledSample, ScopeTruth
from classifiers.evaluation.attack_suite import trials_of
from classifiers.evaluation.cases import cases_of
from classifiers.evaluation.preserved_truth import keeps_truth
from classifiers.evaluation.scoring import Relabeller
from classifiers.evaluation.tasks import attacked_rows
from classifiers.evaluation.variants import variants_of
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.label.by_name import labellers_of
from stages.world.confounders import SQUARES
from stages.world.purposes import BY_PURPOSE
from stages.world.scene import compose
from tests.support.labelled_run import labelled_run, trained_model

SAFE, UNSAFE = ScopeTruth("safe"), ScopeTruth("unsafe")


def case(label: str, picture: str, concepts: tuple[str, ...] = (), prompt: str = "a knife") -> LabelledSample:
    """`concepts` of a scene that is known, or none."""
    sample = Sample.from_prompt(Prompt(prompt), 0)
    if concepts:
        sample = sample.with_(scene=compose(np.random.default_rng(0), list(concepts)).to_json())
    return LabelledSample(
        sample, {"prompt": ScopeTruth(label), "image": ScopeTruth(picture), "pair": ScopeTruth(label)}
    )


def test_unsafe_words_over_a_safe_picture_keep_their_unsafe_noun() -> None:
    keeps = keeps_truth(case("unsafe", "safe", ("rabbit",)))
    assert keeps("a lovely skull on red") and not keeps("a lovely rabbit on red") and not keeps("a zzyx on red")


@pytest.mark.parametrize("concepts", [("skull",), ()])
def test_under_an_unsafe_picture_any_words_will_do(concepts: tuple[str, ...]) -> None:
    keeps = keeps_truth(case("unsafe", "unsafe", concepts))
    assert keeps("a rabbit") and keeps("zzyx")


def test_a_safe_pair_stays_safe_only_under_words_that_are_read_whole_and_turn_nothing() -> None:
    for concepts in (("rabbit",), ()):
        keeps = keeps_truth(case("safe", "safe", concepts, "a rabbit"))
        assert keeps("a cake on red") and not keeps("a skull") and not keeps("a zzyx")


def test_words_that_turn_an_object_keep_a_pair_unsafe_only_with_that_object_in_sight() -> None:
    square = SQUARES[0]
    (shown, purpose), other = square.first, square.second[1]
    phrase, harmless = (BY_PURPOSE[name].phrases[0] for name in (purpose, other))
    keeps = keeps_truth(case("unsafe", "safe", (shown,)))
    assert keeps(phrase) and not keeps(harmless)


def test_the_word_search_of_the_suite_never_makes_an_unsafe_pair_safe() -> None:
    cases = attacked_rows(cases_of(labelled_run(), "test"), (8, 0))
    (trial,) = trials_of(["token_substitution"], True, (8, 0), strength="quick")
    model = trained_model("text").load()
    model.threshold = 0.01  # so that nothing passes, and the search goes on to the end
    judges = Relabeller(labellers_of("scene_truth,tagger_truth,prompt_truth"))
    labels = {
        name: [v.case.overall.label for v in variants_of(trial, lambda label: model, cases, judges, keeps)]
        for name, keeps in (("blindly", None), ("kept", keeps_truth))
    }
    assert set(labels["kept"]) == {"unsafe"} and set(labels["blindly"]) - {"unsafe"}
