"""The concept reader: rules over concepts, gradients that show everything, honest data, and the same back from disk."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from classifiers.layers.concept_reader import ConceptNet, ReaderConfig, Rule
from classifiers.models.concept_reader import ConceptReader, rounded
from classifiers.saved import classifier_names, load
from classifiers.training.concept_reader.attack import LEVEL, Strength, attacked
from classifiers.training.concept_reader.scenes import (
    CONCEPTS,
    HELD_OUT_CONCEPTS,
    HELD_OUT_STYLES,
    draw_batch,
    labelled,
    reader_config,
    training_scenes,
)
from classifiers.training.concept_reader.training import Stream, as_batch
from jobs.recipes.sharding import PICTOGRAM_HELD_OUT
from schemas.errors import InputError
from schemas.protocols import Differentiable, Inputs, Targets
from stages.attack.pixels.pgd import Pgd, PGDConfig
from stages.world import truth
from stages.world.scene import compose

SMALL = ReaderConfig(
    ("bomb", "knife", "blood", "apple"),
    (Rule("violence", ("bomb",)), Rule("violence", ("knife", "blood")), Rule("shocking", ("blood", "apple"))),
    stem=8,
    widths=(8, 16, 16),
    depths=(1, 1, 1),
)


def small(seed: int = 0) -> ConceptReader:
    """Untrained, its cut in the middle of what it says of `pixels()`."""
    torch.manual_seed(seed)
    model = ConceptReader(ConceptNet(SMALL), ("violence", "shocking", "spam"), "small").eval()
    with torch.no_grad():
        model.cut = float(model.network.unsafe(model.network(pixels())).median())
    return model


def pixels(count: int = 8, side: int = 64) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def rows(count: int = 8, side: int = 64) -> Inputs:
    return Inputs(("a prompt that is not read",) * count, pixels(count, side))


def test_the_rules_are_the_worlds_truth_of_a_picture() -> None:
    config, network = reader_config(), ConceptNet(reader_config())
    rng = np.random.default_rng(0)
    shown = [tuple(rng.choice(CONCEPTS, 2, replace=False)) for _ in range(300)]
    shown += [rule.concepts for rule in config.rules]
    logits = torch.full((len(shown), len(CONCEPTS)), -20.0)
    for row, names in enumerate(shown):
        for name in names:
            logits[row, CONCEPTS.index(name)] = 20.0
    told = network.unsafe(logits) > 0
    true = [truth.of_picture(names).unsafe for names in shown]
    assert told.tolist() == true and 0 < sum(true) < len(true)


def test_one_of_two_concepts_that_turn_each_other_is_not_enough() -> None:
    network = small().network
    both, knife, bomb, none = torch.tensor([[-9.0, 9, 9, -9], [-9, 9, -9, -9], [9, -9, -9, -9], [-9, -9, -9, -9]])
    told = network.unsafe(torch.stack([both, knife, bomb, none]))
    assert told[0] > 5 and told[2] > 5 and told[1] < -5 and told[3] < -5
    named = network.by_category(torch.stack([both, knife, bomb]), ("violence", "shocking", "spam"))
    assert (named > 0).tolist() == [[True, False, False], [False, False, False], [True, False, False]]


def test_every_concept_has_a_gradient_even_beside_a_greater_one() -> None:
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0]], requires_grad=True)
    small().network.unsafe(logits).sum().backward()
    assert logits.grad is not None and bool((logits.grad > 0).all())


def test_it_conforms_and_no_picture_hides_from_its_gradient() -> None:
    model, inputs = small(), rows()
    assert isinstance(model, Differentiable)
    moved = pixels().requires_grad_(True)
    logits = model.logits(Inputs(inputs.prompts, moved))
    logits[:, 1].sum().backward()
    assert moved.grad is not None and bool(moved.grad.flatten(1).any(dim=1).all())
    scores = model.score(inputs)
    assert torch.equal(scores.unsafe["image"] > model.threshold, logits[:, 1] > logits[:, 0])
    assert scores.categories["image"].shape == (8, 3)
    assert model.encode(inputs.prompts).shape == (8, 0) and not model.overruns("word " * 999)
    with pytest.raises(InputError, match="judges pictures"):
        model.logits(Inputs(("words alone",)))


def test_a_row_alone_scores_as_in_company() -> None:
    model, inputs = small(), rows()
    together = model.score(inputs).unsafe["image"]
    alone = torch.cat([model.score(inputs.rows([row])).unsafe["image"] for row in range(len(inputs))])
    assert torch.allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("side", [33, 64, 200])
def test_pictures_of_any_size_are_judged(side: int) -> None:
    assert small().predict(None, [np.full((side, side + 7, 3), 90, np.uint8)]).flagged.shape == (1,)
    assert bool(small().logits(rows(2, side)).isfinite().all())


def test_a_thumbnail_is_read_like_the_large_picture_that_it_was_made_of() -> None:
    model = small()
    large = pixels(4, 8).repeat_interleave(16, 2).repeat_interleave(16, 3)
    little = pixels(4, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    told = [model.network(each) for each in (large, little)]
    assert torch.allclose(told[0], told[1], atol=0.2 * float(told[1].std()))


def test_what_was_saved_comes_back_and_rounded_weights_take_half_the_bytes(tmp_path: Path) -> None:
    whole, half = small(), small()
    rounded(half.network)
    for model, name in ((whole, "whole"), (half, "half")):
        model.save(tmp_path / name)
        again = load(tmp_path / name)
        assert isinstance(again, ConceptReader)
        assert torch.equal(again.logits(rows()), model.logits(rows())) and again.network.config == SMALL
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.75 * sizes[0]


def test_the_trainer_of_runs_does_not_offer_it() -> None:
    assert "concept_reader" not in classifier_names() and "cascade" in classifier_names()


def test_it_keeps_the_rate_of_false_positives_it_is_calibrated_to() -> None:
    model, inputs = small(), rows(40)
    unsafe = {"image": (torch.arange(40) % 2).float()}
    model.calibrate([(inputs, Targets(unsafe, {"image": torch.zeros(40, 3)}, torch.ones(40)))], 0.1)
    assert int((model.logits(inputs)[:, 1] > 0)[::2].sum()) == 2


def test_nothing_that_tests_hold_out_is_ever_drawn_for_training() -> None:
    held_out = {rule.name for rule in PICTOGRAM_HELD_OUT}
    mine = {f"concept:{name}" for name in HELD_OUT_CONCEPTS} | {f"style:{name}" for name in HELD_OUT_STYLES}
    assert mine == {name for name in held_out if name.startswith(("concept:", "style:"))}
    for scene in islice(training_scenes(np.random.default_rng(0)), 1500):
        assert scene.style not in HELD_OUT_STYLES and not set(scene.concepts) & set(HELD_OUT_CONCEPTS)
    assert not set(CONCEPTS) & set(HELD_OUT_CONCEPTS)


def test_a_batch_is_a_function_of_its_seed_and_number_and_each_is_new() -> None:
    first, again, next_ = (draw_batch(seed, 12) for seed in ((5, 1), (5, 1), (5, 2)))
    assert np.array_equal(first.pixels, again.pixels) and not np.array_equal(first.pixels, next_.pixels)
    resumed = next(iter(Stream(5, 12, 1, None)))
    assert np.array_equal(resumed.pixels, first.pixels)


def test_labels_say_what_was_drawn_and_where() -> None:
    scene = compose(np.random.default_rng(0), ("knife", "octopus"), style="normal")
    drawn = labelled([scene])
    assert [CONCEPTS[i] for i in np.flatnonzero(drawn.concepts[0])] == ["knife"]
    assert set(np.unique(drawn.cells)) == {0, CONCEPTS.index("knife") + 1}
    assert drawn.cells[0, :, :4].any() and not drawn.cells[0, :, 5:].any(), "the first concept stands left"


@pytest.mark.parametrize("steps", [1, 2])
def test_the_attacker_stays_within_its_budget_and_moves_scores_his_way(steps: int) -> None:
    network = small().network
    truth_of = torch.arange(16) % 2 == 0
    clean = pixels(16)
    strength = Strength(least=4 * LEVEL, most=4 * LEVEL, clean=0.0, on_safe=0.5, steps=steps)
    moved = attacked(network, clean, truth_of, strength, torch.Generator().manual_seed(0))
    distance = (moved - clean).abs().flatten(1).amax(1) / LEVEL
    assert float(distance[truth_of].max()) <= 4.001 and float(distance[~truth_of].max()) <= 2.001
    assert float(moved.min()) >= 0 and float(moved.max()) <= 1
    with torch.no_grad():
        change = network.unsafe(network(moved)) - network.unsafe(network(clean))
    assert bool((change[truth_of] < 0).all()) and bool((change[~truth_of] > 0).all())


def test_rows_that_are_to_stay_clean_do() -> None:
    strength = Strength(clean=1.0)
    moved = attacked(small().network, pixels(), torch.ones(8, dtype=torch.bool), strength, torch.Generator())
    assert torch.equal(moved, pixels())


def test_the_repositorys_attacks_turn_an_untrained_reader() -> None:
    """Else a figure of robustness would say nothing: what has learnt nothing has nothing to hold."""
    model, inputs = small(), rows()
    flagged = (model.logits(inputs)[:, 1] > 0).long()
    made = Pgd(epsilon=8 * LEVEL, climb=PGDConfig(steps=10, restarts=1)).attack(
        model, inputs, flagged, list("abcdefgh")
    )
    turned = (model.logits(made.inputs)[:, 1] > 0).long() != flagged
    assert turned.tolist() == [bool(record.achieved) for record in made.records] and int(turned.sum()) >= 6


def test_the_truth_of_a_batch_follows_from_its_concepts() -> None:
    network = ConceptNet(reader_config())
    scenes = [
        compose(np.random.default_rng(0), names) for names in (("bomb",), ("knife",), ("knife", "blood"), ("dog",))
    ]
    assert as_batch(labelled(scenes), network).unsafe.tolist() == [True, False, True, False]
