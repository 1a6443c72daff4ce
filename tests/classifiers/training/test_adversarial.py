"""Rows attacked on the way: within the budget, with the meaning they had, and worse for the model than before."""

from dataclasses import replace

import pytest
import torch

from classifiers.classifier import Classifier
from classifiers.data.labelled_shards import LabelledShards
from classifiers.training.adversarial import EXCHANGED, REWRITTEN, SHARE, BatchHardening, exchanged
from classifiers.training.adversarial_of_recipe import harden_of, non_adaptive_rewrites
from classifiers.training.batches import Streamed, TrainingBatch
from classifiers.training.config import Settings
from classifiers.training.dataset_check import survey
from classifiers.training.prompt_augmentation import Rewording
from classifiers.training.train import train
from jobs.recipes.named import recipe_of
from pipeline.training.process_group import ProcessGroup
from schemas.errors import InputError
from schemas.protocols import Targets
from schemas.run import RunConfig
from schemas.wording import PromptMeaning
from stages.label.pictogram_wording import PictogramWording
from stages.world.purposes import PURPOSES
from tests.support.labelled_run import labelled_run, recipe_of_labelled_run, trained_model

EPSILON = 4 / 255
asked_by, same_meaning = PictogramWording().asked_by, PictogramWording().same_meaning
BOTH = Settings(classifier="late_fusion", name="hard", epsilon=EPSILON, token_budget=3)


def batch_for(model: Classifier, rows: int = 16) -> TrainingBatch:
    store = labelled_run()
    source = Streamed(
        LabelledShards(store, "train", model.scopes), model.coverage, survey(store, "train", model.coverage), "none"
    )
    return next(source.once(rows, ProcessGroup()))


def harden(settings: Settings) -> BatchHardening:
    return harden_of(settings, recipe_of_labelled_run())


def loss_of(model: Classifier, batch: TrainingBatch, rows: int) -> float:
    part = TrainingBatch(batch.keys[:rows], batch.targets, batch.seen.rows(range(rows)))
    targets = replace(
        batch.targets,
        unsafe={s: v[:rows] for s, v in batch.targets.unsafe.items()},
        categories={s: v[:rows] for s, v in batch.targets.categories.items()},
        weights=batch.targets.weights[:rows],
    )
    with torch.no_grad():
        return float(replace(part, targets=targets).losses(model)["loss"])


def test_half_a_batch_is_attacked_within_the_budget_and_the_other_half_is_left_alone() -> None:
    model = trained_model("late_fusion").load()
    batch = batch_for(model)
    found, count = harden(BOTH)(model, batch, 7), round(len(batch) * SHARE)
    before, after = batch.seen, found.seen
    assert before.pixels is not None and after.pixels is not None
    moved = (after.pixels - before.pixels).abs().flatten(1).amax(1)
    assert bool((moved[:count] > 0).all()) and float(moved.max()) <= EPSILON + 1e-6 and not bool(moved[count:].any())
    assert float(after.pixels.min()) >= 0 and float(after.pixels.max()) <= 1
    assert after.prompts[count:] == before.prompts[count:] and after.prompts[:count] != before.prompts[:count]
    kept = round(count * (EXCHANGED + REWRITTEN))
    assert kept and all(same_meaning(old, new) for old, new in zip(before.prompts[:kept], after.prompts, strict=False))
    assert found.keys == batch.keys
    for scope in model.scopes:
        assert torch.equal(found.targets.unsafe[scope][count:], batch.targets.unsafe[scope][count:])
        assert torch.equal(found.targets.unsafe[scope][:kept], batch.targets.unsafe[scope][:kept])


def test_other_words_bring_their_own_truth_and_pictures_keep_theirs() -> None:
    """Rows of every kind, reworded many times: each pair's label is the world's own for these words and this picture."""
    model = trained_model("late_fusion").load()
    batch = batch_for(model, 16)
    shown = batch.targets.unsafe["image"] if "image" in model.scopes else torch.tensor([0.0, 1.0] * 8)
    words = ("knife", "apple", "fight", "and", "zzz", "a")
    rewording = Rewording(words, 4, asked_by, same_meaning, model.categories)
    changed, known = 0, set()
    for seed in range(40):
        labels = {"prompt": torch.zeros(16), "image": shown.clone(), "pair": shown.clone()}
        targets = Targets(
            labels, {s: torch.zeros(16, len(model.categories)) for s in ("prompt", "image", "pair")}, torch.ones(16)
        )
        made = rewording(range(4, 16), batch.seen.prompts, targets, seed)
        assert made[:4] == batch.seen.prompts[:4] and torch.equal(targets.unsafe["image"], shown)
        for row in range(4, 16):
            if same_meaning(batch.seen.prompts[row], made[row]):
                continue
            changed += 1
            asked, pair = asked_by(made[row]), float(targets.unsafe["pair"][row])
            known.add((asked.unsafe, asked.open, float(shown[row]), pair if pair == pair else None))
            assert bool(targets.categories["prompt"][row].any()) == bool(asked.unsafe)
    assert changed > 100
    wanted: float | None
    for unsafe, open_, picture, pair in known:
        wanted = 1.0 if unsafe or picture == 1 else 0.0 if unsafe is False and not open_ else None
        assert pair == wanted, (unsafe, open_, picture, pair)
    assert {pair for *_, pair in known} == {0.0, 1.0, None}


def test_a_purpose_without_an_object_is_open_and_strange_words_are_unknown() -> None:
    assert asked_by("a picture of a small dog") == PromptMeaning(False)
    assert asked_by("a zzz").unsafe is None
    purpose = next(p.phrases[0] for p in PURPOSES)
    assert asked_by(purpose).open and not asked_by(f"a dog {purpose}").open


def test_what_is_attacked_is_harder_than_it_was_and_more_steps_are_no_easier() -> None:
    model = trained_model("late_fusion").load()
    batch = batch_for(model)
    count = round(len(batch) * SHARE)
    clean = loss_of(model, batch, count)
    pixels = replace(BOTH, token_budget=0)
    weak, strong = (loss_of(model, harden(replace(pixels, attack_steps=n))(model, batch, 7), count) for n in (1, 8))
    assert clean < weak <= strong * 1.02
    words = loss_of(model, harden(replace(BOTH, epsilon=0.0))(model, batch, 7), count)
    assert words > clean


def test_an_attack_hangs_on_its_seed_alone_and_leaves_the_model_as_it_was() -> None:
    model = trained_model("late_fusion").load().train()
    batch = batch_for(model, 8)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    one, same, other = (harden(BOTH)(model, batch, seed).seen for seed in (1, 1, 2))
    assert one.prompts == same.prompts and torch.equal(one.pixels, same.pixels)  # type: ignore[arg-type]
    assert not torch.equal(one.pixels, other.pixels)  # type: ignore[arg-type]
    assert model.training and all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_words_are_exchanged_within_the_budget_and_never_those_that_say_what_is_asked_for() -> None:
    model = trained_model("text").load()
    prompts = ("a picture of a knife beside two apples on a red background", "a sketch of a small dog")
    slopes = torch.randn((2, *model.embedding_table()[model.encode(prompts)].shape[1:]), generator=torch.manual_seed(0))
    for budget in (1, 3):
        made = exchanged(model, prompts, slopes, budget, same_meaning)
        old, new = model.encode(prompts), model.encode(made)
        assert made != prompts and bool(((old != new).sum(dim=1) <= budget).all())
        assert all("knife" in made[0] and same_meaning(a, b) for a, b in zip(prompts, made, strict=True))


def test_what_is_held_out_of_training_is_not_let_in_by_the_back_door() -> None:
    used = {kind().name for kind in non_adaptive_rewrites(recipe_of_labelled_run())}
    assert "homoglyphs" in used and not used & {"misread", "paraphrase", "typos"}


def test_words_nobody_can_read_back_are_not_exchanged() -> None:
    outside = recipe_of(RunConfig(out="unused", recipe="diffusion", model="assets/world/t2i"))
    with pytest.raises(InputError, match=r"--token-budget 3: .* diffusion, .* train on stored variants"):
        harden_of(BOTH, outside)
    assert harden_of(replace(BOTH, token_budget=0), outside).epsilon == EPSILON, "pictures can be attacked all the same"


def test_adversarial_training_makes_the_picture_harder_to_turn() -> None:
    """A few steps from the same weights: the loss on attacked validation rows falls more than without attacks."""
    start = trained_model("image")
    losses = {}
    for name, epsilon in (("plain", 0.0), ("hard", EPSILON)):
        settings = Settings(
            classifier="image", name=f"image-{name}", start="models/image", tune_encoder=True, epochs=1, batch=32,
            epsilon=epsilon, attack_steps=2, patience=0, encoder_rate=1e-3, false_positive_rate=0.4,
        )  # fmt: skip
        train(labelled_run().url, settings, recipe_of_labelled_run())
        model = trained_model("image").load() if not name else _loaded(f"image-{name}")
        batch = batch_for(model, 32)
        attack = harden(replace(BOTH, classifier="image", token_budget=0, attack_steps=4))
        losses[name] = loss_of(model, attack(model, batch, 3), round(len(batch) * SHARE))
    assert losses["hard"] < losses["plain"], (losses, start)


def _loaded(name: str) -> Classifier:
    from classifiers.saved import load

    return load(f"{labelled_run().url}/models/{name}")
