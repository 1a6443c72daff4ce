"""The suite of the evaluator: what it tries, how hard, from whom, and how often."""

import torch

from classifiers.evaluation.attack_suite import CURVE, EDIT_CURVE, SUITE, sanity_trials, transfer_trials, trials_of
from classifiers.evaluation.cases import cases_of
from classifiers.evaluation.scoring import Verdict, inputs_of
from classifiers.evaluation.tasks import EvaluationConfig, attacked_rows, tasks_of
from classifiers.evaluation.transfer import NeverFooled
from classifiers.evaluation.variants import Variant
from classifiers.evaluation.worker import aim_of, row_of
from schemas.attack import AttackRecord
from stages.attack.pixels.apgd import Apgd
from stages.attack.pixels.pgd import Pgd, PGDConfig
from stages.attack.text_attack import margin
from tests.support.labelled_run import labelled_run, trained_model


def test_the_strong_suite_goes_round_restarts_puts_words_in_and_climbs_both_losses() -> None:
    trials = {trial.label: trial for trial in trials_of(SUITE, True, (9, 9))}
    assert set(trials) == {*SUITE, "apgd_ce"} and len({trial.name for trial in trials.values()}) == len(trials)
    words, joint = trials["token_substitution"].attack, trials["joint"].attack
    assert (words.query_budget, words.insert) == (2000, True) and min(words.beam, words.restarts, words.patience) > 1  # type: ignore[attr-defined]
    assert joint.rounds >= 3 and joint.restarts > 1 and (joint.climber, joint.steps) == ("apgd", 100)  # type: ignore[attr-defined]
    assert trials["square"].attack.query_budget == 5000 and trials["pgd"].attack.climb.restarts == 5  # type: ignore[attr-defined]
    assert trials["apgd_ce"].attack.loss == "ce" and trials["apgd"].attack.steps == 100  # type: ignore[attr-defined]
    assert all(trial.attack.edit_budget == 4 for trial in (trials["misread"], trials["distractors"]))  # type: ignore[attr-defined]


def test_the_curves_are_over_budgets_of_pixels_and_of_edits() -> None:
    trials = sanity_trials("quick")
    assert [t.epsilon for t in trials if t.label == "pgd"] == list(CURVE)
    assert [t.edit_budget for t in trials if t.label == "token_substitution"] == list(EDIT_CURVE)
    assert len({trial.name for trial in trials}) == len(trials) and all(trial.setting == "sanity" for trial in trials)


def test_an_attack_on_another_scorer_goes_on_to_the_end_of_its_budget() -> None:
    cases = attacked_rows(cases_of(labelled_run(), "test"), (6, 0))
    model = trained_model("image").load()
    inputs, labels = inputs_of(cases), torch.ones(len(cases)).long()
    keys = [case.sample.key for case in cases]
    for attack in (
        Pgd(epsilon=4 / 255, climb=PGDConfig(steps=8, restarts=1)),
        Apgd(epsilon=4 / 255, steps=12, loss="ce"),
    ):
        short = attack.attack(model, inputs, labels, keys).inputs
        far = attack.attack(NeverFooled(model, 1), inputs, labels, keys).inputs
        assert far.pixels is not None and inputs.pixels is not None
        assert (far.pixels - inputs.pixels).abs().flatten(1).amax(1).min() > 3.9 / 255, "every row uses its budget"
        assert (margin(model, far) <= margin(model, short) + 1e-4).all()


def test_in_half_precision_an_attack_on_pictures_gets_as_far_and_is_another_trial() -> None:
    cases = attacked_rows(cases_of(labelled_run(), "test"), (6, 0))
    model = trained_model("image").load()
    inputs, labels = inputs_of(cases), torch.ones(len(cases)).long()
    keys = [case.sample.key for case in cases]
    full, half = (trials_of(["pgd", "misread"], True, (6, 0), strength="quick", half=half) for half in (False, True))
    assert [trial.half for trial in half] == [True, False] and full[1].settings() == half[1].settings()
    assert full[0].settings() != half[0].settings() and aim_of(full[0], model)(1) is model
    before = margin(model, inputs)
    reached = [
        margin(model, one.attack.attack(aim_of(one, model)(1), inputs, labels, keys).inputs)
        for one in (full[0], half[0])
    ]  # type: ignore[attr-defined]
    gains = [before - after for after in reached]
    assert float(gains[0].mean()) > 0.5 and float((gains[1] - gains[0]).min()) > -0.2 * float(gains[0].max())


def test_transfer_is_from_others_only_and_stands_apart_in_the_rows() -> None:
    store = labelled_run()
    text, fused = trained_model("text"), trained_model("late_fusion")
    trials = trials_of(["token_substitution", "misread"], True, (2, 1), strength="quick", seeds=2)
    moved = transfer_trials(trials, [fused, text])
    assert {trial.label for trial in moved} == {
        f"{name}:{source}" for name in ("token_substitution", "misread") for source in ("late_fusion", "text")
    }
    asked = EvaluationConfig(
        store, False, "test", ((text, text.load().coverage),), tuple(moved), "", frozenset({"misread"})
    )
    tasks = [task for task in tasks_of(asked, cases_of(store, "test")) if task.trial]
    assert {task.trial.label for task in tasks if task.trial} == {
        "token_substitution:late_fusion",
        "misread:late_fusion",
    }
    case = cases_of(store, "test")[0]
    record = AttackRecord(
        name="misread", family="text", goal="evade_text", knowledge="grey_box", controls="prompt", preserves=False
    )
    (task,) = [task for task in tasks if task.trial and task.trial.label == "misread:late_fusion"]
    row = row_of(task, text.load(), Variant(case, case, record), Verdict(0.1, False, ()))
    assert (row.setting, row.knowledge, row.attack, row.heldout) == (
        "transfer",
        "transfer",
        "misread:late_fusion",
        True,
    )
