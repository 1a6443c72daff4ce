"""PerspectiveVision's methods keep the contract, narrow with the user's scope, learn from shards, and come back as they were."""

import json
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from classifiers.data.labelled_pictures import LabelledPictures
from classifiers.families.perspective import PerCategory, Perspective
from classifiers.layers.encoder import ClipEncoder
from classifiers.layers.visual_words import VisualWords
from classifiers.models.linear_probe import LinearProbe
from classifiers.models.prompt_learning import PromptLearning
from classifiers.models.vision_language import VisionLanguage
from classifiers.perspective import fit_probes, lora
from classifiers.perspective.list_supervision import cross_entropy, marks
from classifiers.perspective.threshold import best_cut, best_threshold
from classifiers.saved import Saved, load
from classifiers.vlm.llava import IGNORED, Llava
from classifiers.vlm.moderation_prompt import question
from pipeline.storage.weights import model_directory
from pipeline.training import checkpoint
from schemas.errors import InputError
from schemas.protocols import Differentiable, Inputs, Trainable
from schemas.taxonomy import UNSAFEBENCH
from tests.support.labelled_run import labelled_run
from tests.support.tiny_models import llava

METHODS = ("linear_probe", "prompt_learning", "vision_language")
each = pytest.mark.parametrize("method", METHODS)
INPUTS = Inputs(("",) * 3, torch.rand((3, 3, 70, 64), generator=torch.Generator().manual_seed(0)))
CLIP = model_directory("assets/world/clip")
FAST = {
    "linear_probe": fit_probes.ProbeRecipe(epochs=150, rate=1e-3),
    "prompt_learning": fit_probes.ProbeRecipe(epochs=2, rate=1e-2),
}


@cache
def trained(method: str) -> Path:
    """A folder with the method trained on the small run; the vision-language one is random and tuned for three steps."""
    folder = Path(mkdtemp(prefix=f"hazmat-{method}-"))
    pictures = LabelledPictures.of(labelled_run(), "train")
    if method == "vision_language":
        base = llava(folder / "base")
        few = LabelledPictures(pictures.store, pictures.rows[:24])
        tuning = lora.LoraTuning(judge(base), few, lora.TuningRecipe(rank=4, rate=1e-2), folder / "work")
        assert len(list(tuning.run())) == 1
        tuning.store(folder / "judge", str(base))
        return folder / "judge"
    torch.manual_seed(0)
    kind = {"linear_probe": LinearProbe, "prompt_learning": PromptLearning}[method]
    model = kind(ClipEncoder.from_directory(CLIP), UNSAFEBENCH.ids, method)
    fit_probes.fit(model, pictures, FAST[method])
    model.save(folder)
    return folder


def judge(base: Path) -> VisionLanguage:
    return VisionLanguage(Llava.from_directory(base), UNSAFEBENCH, "small", policies=False).eval()


def loaded(method: str) -> Perspective:
    found = load(trained(method))
    assert isinstance(found, Perspective)
    return found


@each
def test_a_judge_of_pictures_keeps_the_contract(method: str) -> None:
    model = loaded(method)
    assert isinstance(model, Differentiable) and isinstance(model, Trainable)
    scores, logits = model.score(INPUTS), model.logits(INPUTS)
    assert scores.unsafe["image"].shape == (3,) and scores.categories["image"].shape == (3, 11)
    assert torch.equal(logits[:, 1] > logits[:, 0], scores.unsafe["image"] > model.threshold)
    assert torch.allclose(model.logits(INPUTS.rows([1])), logits[1:2], atol=1e-4), "no row depends on its company"
    assert all(0 <= value <= 1 for value in scores.categories["image"].flatten().tolist())


@each
def test_gradients_reach_the_pixels(method: str) -> None:
    assert INPUTS.pixels is not None
    pixels = INPUTS.pixels.clone().requires_grad_(True)
    loaded(method).logits(Inputs(INPUTS.prompts, pixels))[:, 1].sum().backward()
    assert pixels.grad is not None and bool(pixels.grad.flatten(1).any(dim=1).all())


@each
def test_it_comes_back_from_disk_as_it_was(method: str, tmp_path: Path) -> None:
    model = loaded(method)
    model.save(tmp_path)
    assert torch.equal(load(tmp_path).logits(INPUTS), model.logits(INPUTS))
    model.threshold = 0.9
    model.save(tmp_path)
    assert load(tmp_path).threshold == 0.9 and Saved(str(tmp_path)).digest() != Saved(str(trained(method))).digest()


@each
def test_the_scope_is_the_users_and_shares_the_weights(method: str) -> None:
    model = loaded(method)
    narrow = model.within(["spam", "hate"])
    assert narrow.coverage.categories == ("hate", "spam"), "in the taxonomy's order"
    assert narrow.score(INPUTS).categories["image"].shape == (3, 2)
    assert model.coverage.categories == UNSAFEBENCH.ids, "the wide one stays wide"
    with pytest.raises(InputError, match="can't be asked about fruit"):
        model.within(["hate", "fruit"])
    with pytest.raises(InputError, match="nothing"):
        model.within([])


@pytest.mark.parametrize("method", METHODS[:2])
def test_the_independent_judges_do_not_see_the_scope(method: str) -> None:
    model = loaded(method)
    wide, narrow = model.score(INPUTS), model.within(["hate", "spam"]).score(INPUTS)
    columns = [UNSAFEBENCH.ids.index("hate"), UNSAFEBENCH.ids.index("spam")]
    assert torch.allclose(narrow.categories["image"], wide.categories["image"][:, columns])
    assert torch.allclose(narrow.unsafe["image"], wide.categories["image"][:, columns].amax(dim=1))


def test_a_narrowed_judge_is_saved_whole(tmp_path: Path) -> None:
    model = loaded("linear_probe")
    model.within(["hate"]).save(tmp_path)
    assert torch.equal(load(tmp_path).logits(INPUTS), model.logits(INPUTS))


def test_linear_probes_learn_safety_and_category_from_shards() -> None:
    model = loaded("linear_probe")
    pictures = LabelledPictures.of(labelled_run(), "train")
    index = list(range(len(pictures)))
    scores = model.score(pictures.inputs(index))
    unsafe = torch.tensor([row.unsafe for row in pictures.rows])
    assert ((scores.unsafe["image"] > 0.5) == unsafe).float().mean() > 0.85
    named = scores.categories["image"].argmax(dim=1)
    right = [model.categories[named[row]] in pictures.rows[row].categories for row in index if unsafe[row]]
    assert sum(right) / len(right) > 0.7


def test_visual_words_say_which_kind_of_patch_is_there_anywhere() -> None:
    rng = torch.Generator().manual_seed(0)
    kinds = torch.randn((5, 32), generator=rng) * 3
    which = torch.randint(5, (200, 10), generator=rng)
    words = VisualWords(5, 32)
    words.learn(kinds[which] + 0.1 * torch.randn((200, 10, 32), generator=rng), seed=0)
    of_kind = words.centres @ torch.nn.functional.normalize((kinds - words.mean) @ words.whitening, dim=1).T
    assert of_kind.argmax(dim=1).unique().numel() == 5, "each kind has its word"
    ground, alone = kinds[0].expand(10, 32), kinds[0].expand(10, 32).clone()
    alone[7] = kinds[3]
    more = words(torch.stack([ground, alone]))
    assert (more[1] - more[0]).argmax() == of_kind[:, 3].argmax()
    assert torch.allclose(more[1], words(alone.flip(0)[None])[0], atol=1e-4), "wherever it is"


def test_probes_with_visual_words_learn_and_come_back(tmp_path: Path) -> None:
    pictures = LabelledPictures.of(labelled_run(), "train")
    torch.manual_seed(0)
    model = LinearProbe(ClipEncoder.from_directory(CLIP), UNSAFEBENCH.ids, "words", words=16).eval()
    losses = fit_probes.fit(model, pictures, replace(fit_probes.WITH_WORDS, epochs=40))
    assert losses[-1] < 0.5 * losses[0]
    read, width = model.features(INPUTS)["vectors"], model.encoder.width
    assert INPUTS.pixels is not None and read.shape == (3, width + 16)
    assert torch.allclose(read[:, :width], model.encoder.image(INPUTS.pixels) * width**0.5)
    model.save(tmp_path)
    assert torch.equal(load(tmp_path).logits(INPUTS), model.logits(INPUTS))


def test_the_published_probe_has_the_published_shape() -> None:
    encoder = ClipEncoder.from_directory(CLIP)
    shapes = [tuple(p.shape) for p in LinearProbe(encoder, UNSAFEBENCH.ids, "x").probes[0].parameters()]
    assert shapes == [(encoder.width // 2, encoder.width), (encoder.width // 2,), (2, encoder.width // 2), (2,)]


@pytest.mark.parametrize("words", [0, 16])
def test_probes_that_refer_to_their_clip_are_small_and_notice_another(tmp_path: Path, words: int) -> None:
    model = LinearProbe(ClipEncoder.from_directory(CLIP), UNSAFEBENCH.ids, "small", words=words).eval()
    model.origin = "assets/world/clip"
    model.save(tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size < 1e6
    assert torch.equal(load(tmp_path).logits(INPUTS), model.logits(INPUTS))
    about = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**about, "base_digest": "0" * 32}))
    with pytest.raises(InputError, match="not the one trained on"):
        load(tmp_path)


def test_soft_prompts_are_eight_vectors_begun_from_words_and_nothing_else_moves() -> None:
    fresh = PromptLearning(ClipEncoder.from_directory(CLIP), UNSAFEBENCH.ids, "fresh")
    assert fresh.vectors.shape[:2] == (22, 8)
    table = fresh.encoder.embedding_table()
    assert (fresh.vectors.detach().flatten(0, 1)[:, None] == table).all(dim=2).any(dim=1).all(), (
        "each begins as a word's vector"
    )
    moved = loaded("prompt_learning")
    assert isinstance(moved, PerCategory)
    state, start = moved.state_dict(), fresh.state_dict()
    changed = {name for name in start if not torch.equal(start[name], state[name])}
    assert changed == {"vectors"}


def test_a_killed_tuning_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = llava(tmp_path / "base")
    pictures = LabelledPictures.of(labelled_run(), "train")
    few = LabelledPictures(pictures.store, pictures.rows[:24])
    recipe = lora.TuningRecipe(rank=4, rate=1e-2, batch=8)
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    monkeypatch.setattr(lora, "REPORT", 1)
    whole = lora.LoraTuning(judge(base), few, recipe, tmp_path / "whole")
    assert len(list(whole.run())) == whole.steps > 2
    killed = lora.LoraTuning(judge(base), few, recipe, tmp_path / "killed")
    assert [step for step, _ in islice(killed.run(), 3)] == [1, 2, 3]  # the checkpoint is of step 2
    again = lora.LoraTuning(judge(base), few, recipe, tmp_path / "killed")
    assert again.loop.step == 2
    list(again.run())
    ours, theirs = again.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    with pytest.raises(InputError, match="another training"):
        lora.LoraTuning(judge(base), few, lora.TuningRecipe(rank=2), tmp_path / "killed")


def test_marks_stand_at_the_names_that_a_question_lists(tmp_path: Path) -> None:
    pictures = LabelledPictures.of(labelled_run(), "train")
    few = LabelledPictures(pictures.store, pictures.rows[:24])
    tuning = lora.LoraTuning(judge(Path("assets/world/vlm")), few, replace(lora.SMALL, batch=8), tmp_path)
    words, eye = tuning.judge.llava.tokenizer, tuning.judge.llava
    for each in tuning.examples:
        asked = tuning.judge.categories_of(each.asked)
        ids, _ = eye.answered(eye.chat(question(asked, policies=False)), "safe")
        marked = tuning._marks(each, ids)
        places = torch.nonzero(marked != IGNORED).flatten().tolist()
        assert [ids[place] for place in places] == [words(category.name)["input_ids"][-1] for category in asked]
        said = words.convert_ids_to_tokens(marked[places].tolist())
        assert said == ["yes" if name in few.rows[each.row].categories else "no" for name in each.asked]
    assert all(torch.isfinite(torch.tensor(loss)) for _, loss in tuning.run())


def test_an_adapter_is_refused_on_another_base(tmp_path: Path) -> None:
    model = loaded("vision_language")
    model.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "base_digest": "0"}))
    with pytest.raises(InputError, match="the base is not the one that was tuned"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "base": str(tmp_path / "gone")}))
    with pytest.raises(InputError, match="base model is not there"):
        load(tmp_path)


def test_what_cannot_be_trained_on_is_refused() -> None:
    with pytest.raises(InputError, match="labelled safe or unsafe by another generator"):
        LabelledPictures.of(labelled_run(), "train", without=("render/noto",))
    safe = LabelledPictures.of(labelled_run(), "train")
    only = LabelledPictures(safe.store, tuple(row for row in safe.rows if not row.unsafe))
    model = LinearProbe(ClipEncoder.from_directory(CLIP), UNSAFEBENCH.ids, "x")
    with pytest.raises(InputError, match="safe and unsafe pictures"):
        fit_probes.fit(model, only, fit_probes.RECIPES["linear_probe"])


def test_the_threshold_is_of_the_greatest_f1() -> None:
    scores, unsafe = np.array([0.9, 0.8, 0.6, 0.6, 0.2]), np.array([True, True, False, True, False])
    assert best_cut(scores, unsafe) == pytest.approx(0.4)  # 3 of 4 flagged are unsafe, and no cut parts the two at .6
    assert best_cut(scores, np.array([True, True, False, False, False])) == pytest.approx(0.7)
    assert best_cut(scores, np.zeros(5, dtype=bool)) == 0.5
    assert best_threshold(loaded("linear_probe"), LabelledPictures.of(labelled_run(), "train")) < 1


def test_marks_stand_where_the_names_of_a_question_end() -> None:
    words = PreTrainedTokenizerFast.from_pretrained("assets/world/vlm")
    ids = words("hate, spam. a hate", add_special_tokens=False)["input_ids"]
    yes, no = words.convert_tokens_to_ids(["yes", "no"])
    found = marks(ids, [("hate", True), ("spam", False)], words)
    assert found.tolist() == [yes, IGNORED, no, *[IGNORED] * (len(ids) - 3)]
    assert float(cross_entropy(torch.zeros(1, 3, 5), [torch.full((3,), IGNORED)])) == 0
