"""The truth of a case is that of its widest scope: what nobody can tell of a pair is not told by its picture."""

from dataclasses import replace

import pytest

from classifiers.data.labelled_sample import UNKNOWN, LabelledSample, ScopeTruth
from classifiers.evaluation.attack_suite import trials_of
from classifiers.evaluation.cases import cases_of
from classifiers.evaluation.scoring import Relabeller
from classifiers.evaluation.tasks import attacked_rows
from classifiers.evaluation.variants import variants_of
from schemas.prompt import Prompt
from schemas.sample import Sample
from tests.support.labelled_run import labelled_run, trained_model

SAMPLE = Sample.from_prompt(Prompt("an apple"), 0)
SAFE, UNSAFE = ScopeTruth("safe"), ScopeTruth("unsafe", ("violence",))


@pytest.mark.parametrize("picture", [SAFE, UNSAFE])
def test_a_pair_that_nobody_can_tell_is_unknown_whatever_its_picture(picture: ScopeTruth) -> None:
    assert LabelledSample(SAMPLE, {"prompt": UNKNOWN, "image": picture, "pair": UNKNOWN}).overall == UNKNOWN


def test_where_no_pair_was_judged_the_widest_scope_that_was_speaks() -> None:
    assert LabelledSample(SAMPLE, {"prompt": SAFE, "image": UNSAFE}).overall == UNSAFE
    assert LabelledSample(SAMPLE, {"prompt": SAFE}).overall == SAFE
    assert LabelledSample(SAMPLE).overall == UNKNOWN


def test_words_that_no_judge_reads_leave_an_unknown_pair_and_a_known_picture() -> None:
    cases = attacked_rows(cases_of(labelled_run(), "test"), (3, 1))
    (trial,) = trials_of(["misread"], False, (3, 1))
    model = trained_model("text").load()
    for variant in variants_of(trial, lambda label: model, cases, Relabeller(())):
        if variant.record is not None:
            assert variant.case.overall == UNKNOWN and variant.case.truth["image"] == variant.clean.truth["image"]
    pictures = [replace(case, truth={"image": case.truth["image"]}) for case in cases]
    for variant in variants_of(trial, lambda label: model, pictures, Relabeller(())):
        assert variant.case.overall == variant.clean.overall, "only pictures were judged, and no picture was changed"
