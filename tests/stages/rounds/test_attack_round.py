"""Attack rounds append, resume, and say in their rows what the attack was; success is a definition that can be asked."""

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from classifiers.targets import targets_of
from jobs import attack as attack_job
from jobs.recipes.named import run_with_recipe
from pipeline.rounds.items import CommittedItems
from pipeline.rounds.round import open_round, run_digest
from pipeline.rounds.rounds import further_round
from pipeline.storage.image_codec import decode
from pipeline.storage.store import Store
from schemas.attack import FAMILIES, GOALS, KNOWLEDGE
from schemas.errors import InputError
from schemas.protocols import Differentiable, Inputs
from schemas.sample import Sample
from stages.attack.by_name import attack_classes, attacks_of
from stages.attack.joint import Joint, cascade_margins
from stages.attack.variants import Variants
from stages.rounds.attack_round import CleanItems, attack_plan, open_attack_round
from tests.support.commands import call
from tests.support.labelled_run import attacked_run, trained_model


def test_an_image_round_appends_variants_within_the_budget_and_a_second_call_does_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = attacked_run()
    trained_model("image")
    command = [store.url, "--attacks", "fgsm,grid", "--against", "models/image", "--engine", "local", "--json"]
    said = []
    for _ in range(2):
        assert call(attack_job, *command) == 0
        said.append(json.loads(capsys.readouterr().out.splitlines()[-1])["rounds"][0])
    assert said[0]["made_now"] == said[0]["variants"] > 0 and said[1]["made_now"] == 0
    assert said[0]["digest"] == said[1]["digest"] and said[0]["quarantined"] == 0
    parents = {sample.key: sample for sample in CommittedItems(store, ["rounds/000-generate"])}
    for child in CommittedItems(store, [said[0]["round"]]):
        parent, record = parents[child.parent or ""], child.attack
        assert record is not None and child.format == "png" and not child.clean and child.root == parent.root
        pictures = [_picture(store, sample) for sample in (parent, child)]
        assert record.name == "grid" or np.abs(pictures[0] - pictures[1]).max() <= 4
        before, after = (
            _flagged("image", sample.prompt, picture) for sample, picture in zip((parent, child), pictures, strict=True)
        )
        assert before and record.goal == "evade_image" and record.achieved == (not after)


def _picture(store: Store, sample: Sample) -> np.ndarray:
    data = store.read_range(sample.tar or "", sample.tar_offset or 0, sample.tar_size or 0)
    return decode(data, sample.format or "").astype(int)


@cache
def _loaded(kind: str) -> Differentiable:
    return trained_model(kind).load()


def _flagged(kind: str, prompt: str, picture: np.ndarray) -> bool:
    pixels = torch.tensor(picture).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        logits = _loaded(kind).logits(Inputs((prompt,), pixels))[0]
    return bool(logits[1] > logits[0])


def test_a_round_goes_on_with_the_batches_that_it_was_begun_with() -> None:
    store, facts, recipe = run_with_recipe(attacked_run().url)
    trained_model("image")
    targets = targets_of(store, "image", None)
    (attack,) = attacks_of("fgsm", targets, "evade", 3 / 255)["image"]
    variants = Variants(attacks=(attack,), targets=targets)
    plan = attack_plan(store, recipe, "image", variants, items=CleanItems(whole(store)), seed=facts.seed)
    assert [stage.batch_size for stage in plan.stages if isinstance(stage, Variants)] == [64]
    earlier = tuple(replace(stage, batch_size=16) if isinstance(stage, Variants) else stage for stage in plan.stages)
    begun = open_round(store, further_round(store, "-attack-image-fgsm"), replace(plan, stages=earlier))
    again = open_attack_round(store, facts, recipe, "image", [attack], targets=targets)
    assert (again.round.folder, again.round.fingerprint) == (begun.folder, begun.fingerprint)
    assert again.plan.stages == earlier


def whole(store: Store) -> CommittedItems:
    return CommittedItems(store, ["rounds/000-generate"])


@pytest.mark.slow
def test_words_are_judged_again_with_the_picture_that_they_yield() -> None:
    store = attacked_run()
    _, config, recipe = run_with_recipe(store.url)
    targets = (trained_model("image"), trained_model("text"))
    attacks = attacks_of("typos", (), "both", None)["text"]
    opened = open_attack_round(store, config, recipe, "text", attacks, targets=targets, aim="both")
    opened.carry_out("local")
    parents = {sample.key: sample for sample in CommittedItems(store, ["rounds/000-generate"])}
    goals = set()
    for child in list(CommittedItems(store, [opened.round.folder]))[:40]:
        record, parent = child.attack, parents[child.parent or ""]
        assert record is not None and record.target == " ".join(target.digest() for target in targets)
        before, after = (
            any(_flagged(kind, sample.prompt, _picture(store, sample)) for kind in ("image", "text"))
            for sample in (parent, child)
        )
        assert record.goal == ("evade_joint" if before else "false_flag") and record.achieved == (before != after)
        goals.add(record.goal)
    assert goals == {"evade_joint", "false_flag"}


def test_the_threat_model_can_be_asked_in_sql() -> None:
    store = attacked_run()
    _, config, recipe = run_with_recipe(store.url)
    opened = open_attack_round(store, config, recipe, "image", attacks_of("recompress", (), "evade", None)["image"])
    opened.carry_out("local")
    rows = duckdb.sql(
        f"""SELECT attack.family, attack.knowledge, attack.goal, count(*) AS n, avg(attack.epsilon)
            FROM read_parquet('{store.url}/{opened.round.folder}/raw/*.parquet') GROUP BY ALL"""
    ).fetchall()
    assert rows == [("image", "non_adaptive", "evade_image", 160, None)]
    assert run_digest(list(opened.round.receipts())) == run_digest(list(opened.round.receipts()))
    struct = pq.read_schema(next(Path(store.url, opened.round.folder, "raw").glob("*.parquet"))).field("attack").type
    assert {"controls", "achieved", "target", "seed", "truncated"} <= {field.name for field in struct}


def test_names_targets_and_aims_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    store = attacked_run()
    own = targets_of(store, f"models/{Path(trained_model('text').folder).name}", None)
    assert own[0].digest() == trained_model("text").digest()
    elsewhere = shutil.copytree(trained_model("text").folder, tmp_path / "text")
    with pytest.raises(InputError, match="did not train it"):
        targets_of(store, str(elsewhere), None)
    (named,) = targets_of(store, str(elsewhere), own[0].digest())
    assert named.digest() == own[0].digest()
    for names in ("nothing", "", "pgd,pgd"):
        with pytest.raises(InputError, match="expected names"):
            attacks_of(names, own, "evade", None)
    with pytest.raises(InputError, match="against one classifier"):
        attacks_of("pgd", (), "evade", None)
    with pytest.raises(InputError, match="expected one of"):
        attacks_of("pgd", own, "harm", None)
    families = attacks_of("pgd,typos,joint", own, "both", 2 / 255)
    assert list(families) == ["text", "image", "joint"] and families["image"][0].epsilon == 2 / 255  # type: ignore[attr-defined]


def test_every_attack_declares_family_knowledge_control_and_what_it_does_to_the_truth() -> None:
    for name, kind in attack_classes().items():
        assert kind.family in FAMILIES and kind.knowledge in KNOWLEDGE and isinstance(kind.preserves, bool), name
        assert kind.controls in ("prompt", "image", "both") and kind.goal(kind.__new__(kind), 0, None) in GOALS


def test_joint_gets_past_a_cascade_that_each_modality_alone_does_not() -> None:
    text, image = trained_model("text").load(), trained_model("image").load()
    samples = list(CommittedItems(attacked_run(), ["rounds/000-generate"]))[:40]
    store = attacked_run()
    pixels = np.stack(
        [decode(store.read_range(s.tar or "", s.tar_offset or 0, s.tar_size or 0), "png") for s in samples]
    )
    inputs = Inputs(tuple(s.prompt for s in samples), torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
    with torch.no_grad():
        both = (cascade_margins((text, image), inputs) > 0).all(dim=1).nonzero().flatten().tolist()[:4]
    assert len(both) == 4
    keys = [samples[row].key for row in both]
    ones = torch.ones(4).long()
    rows = inputs.rows(both)
    made = Joint(epsilon=8 / 255, edit_budget=4).attack_all((text, image), rows, ones, keys)
    won = [bool(record.achieved) for record in made.records]
    with torch.no_grad():
        assert won == (cascade_margins((text, image), made.inputs) <= 0).all(dim=1).tolist()
        assert not (cascade_margins((text, image), rows) <= 0).all(dim=1).any()
    assert sum(won) >= 2
    for record in made.records:
        assert record.edits is not None and record.edits <= 4
        assert record.distance is not None and record.distance <= 8 / 255 + 1e-6


@pytest.mark.slow
def test_a_text_round_draws_pictures_of_its_own() -> None:
    store = attacked_run()
    trained_model("text")
    _, config, recipe = run_with_recipe(store.url)
    attacks = attacks_of("homoglyphs,token_substitution", targets_of(store, "models/text", None), "evade", None)
    opened = open_attack_round(store, config, recipe, "text", attacks["text"])
    opened.carry_out("local")
    parents = {sample.key: sample for sample in CommittedItems(store, ["rounds/000-generate"])}
    children = list(CommittedItems(store, [opened.round.folder]))
    assert children and {c.attack.name for c in children if c.attack} == {"homoglyphs", "token_substitution"}
    for child in children:
        parent = parents[child.parent or ""]
        assert child.prompt != parent.prompt and child.image_sha256 != parent.image_sha256 and child.scene is None
        assert child.generator == "assets/world/t2i"
