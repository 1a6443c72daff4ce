"""A run under a policy of the user's own: what --taxonomy gives to `generate` holds in every later command."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from classifiers.models.vision_language import VisionLanguage
from classifiers.vlm.llava import Llava
from jobs import evaluate, generate, label, moderate, shards, train
from pipeline.rounds.existing_run import existing_run, taxonomy_of
from pipeline.storage.local_store import LocalStore
from pipeline.votes.read import read_votes
from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.protocols import Inputs
from schemas.sample import Sample
from schemas.taxonomy import UNSAFEBENCH, Category, Taxonomy
from schemas.vote import votes_of
from stages.label.by_name import labellers_of
from stages.label.labeller import Opinion, Stamp
from stages.label.prompt_policy import PromptPolicy
from stages.label.questions import letters_of, policy_of, read_answer
from tests.support.commands import call

ROOT = Path(__file__).parents[2]
FILE = ROOT / "examples/own_taxonomy.json"
SCHOOL = Taxonomy.read(FILE)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Generated, labelled, sharded by the own taxonomy."""
    folder = str(tmp_path_factory.mktemp("school") / "run")
    asked = ("--recipe", "render", "--count", 96, "--engine", "local", "--taxonomy", FILE)
    assert call(generate, "--out", folder, *asked) == 0
    assert call(label, folder, "--labellers", "scene_truth,prompt_truth", "--engine", "local") == 0
    assert call(label, folder, "--aggregate", "majority") == 0
    assert call(shards, folder, "--engine", "local") == 0
    return folder


def test_votes_and_labels_are_by_the_runs_own_categories(run: str) -> None:
    votes = votes_of(read_votes(LocalStore(Path(run)))[0])
    assert {(vote.policy, vote.policy_version) for vote in votes} == {("school", "1")}
    named = {one for vote in votes for one in vote.categories}
    assert named == set(SCHOOL.ids) and all(set(vote.covers) == named for vote in votes)
    labels = pq.read_table(f"{run}/labels.parquet").to_pylist()
    assert {row["policy"] for row in labels} == {"school"} and not {row["label"] for row in labels} <= {"na"}


@pytest.mark.slow
def test_a_classifier_of_the_run_has_its_categories(run: str) -> None:
    assert call(train, run, "--classifier", "text", "--epochs", 1) == 0
    about = json.loads(Path(run, "models/text/config.json").read_text())
    assert tuple(about["categories"]) == SCHOOL.ids and about["taxonomy_label"] == "school@1"
    asked = ("--classifiers", "text", "--attacks", "typos", "--rows", "4,2", "--workers", 1)
    assert call(evaluate, run, *asked) == 0
    files = sorted(Path(run, "results/test").rglob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(file, columns=["claims"]).to_pylist()]
    assert rows and all(tuple(row["claims"]) == SCHOOL.ids for row in rows)


def test_a_run_keeps_its_taxonomy_until_label_changes_it(run: str, tmp_path: Path) -> None:
    again = ("--out", run, "--recipe", "render", "--count", 96, "--engine", "local")
    assert call(generate, *again) == 0
    assert existing_run(run)[1].policy == SCHOOL
    other = tmp_path / "other.tsv"
    other.write_text("id\tname\tpolicy\nharm\tHarm\tWeapons.\n")
    with pytest.raises(InputError, match="is judged by school@1"):
        call(generate, *again, "--taxonomy", other)


def test_another_policy_over_a_run_keeps_the_votes_of_the_first(tmp_path: Path) -> None:
    folder = str(tmp_path / "run")
    assert call(generate, "--out", folder, "--recipe", "render", "--count", 24, "--engine", "local") == 0
    for more in ((), ("--taxonomy", FILE)):
        assert call(label, folder, "--labellers", "prompt_truth", "--engine", "local", *more) == 0
    store = LocalStore(Path(folder))
    assert taxonomy_of(store) == SCHOOL
    assert {vote.policy for vote in votes_of(read_votes(store)[0])} == {"unsafebench", "school"}
    assert call(label, folder, "--aggregate", "majority") == 0
    assert {row["policy"] for row in pq.read_table(f"{folder}/labels.parquet").to_pylist()} == {"school"}


def test_what_is_none_of_the_policys_is_safe_and_what_it_does_not_know_is_skipped() -> None:
    part = Taxonomy.from_json({**SCHOOL.to_json(), "mappings": {"unsafebench": {"violence": "harm", "spam": []}}}, "x")
    for taxonomy, said, label_, categories in (
        (part, "spam", "safe", ()),
        (part, "hate", "skip", ()),
        (part, "violence", "unsafe", ("harm",)),
        (UNSAFEBENCH, "hate", "unsafe", ("hate",)),
    ):
        (labeller,) = labellers_of("prompt_truth", taxonomy)
        opinion = Opinion("prompt", "unsafe", (said,), 1.0)
        stamp = Stamp.of(labeller)
        vote = stamp.vote(Sample.from_prompt(Prompt("a word", None, source="t"), 0), opinion)
        assert (vote.label, vote.categories) == (label_, categories), said


def test_a_part_that_a_judge_does_not_know_leaves_the_whole_uncovered() -> None:
    assert SCHOOL.covered(UNSAFEBENCH.ids) == SCHOOL.ids
    assert SCHOOL.covered(("violence", "self_harm", "hate")) == (), "shocking is harm too, harassment cruelty"
    assert SCHOOL.covered(SCHOOL.ids) == SCHOOL.ids
    assert UNSAFEBENCH.covered(("sexual", "hate")) == ("hate", "sexual")
    assert set(PromptPolicy(taxonomy=SCHOOL).covers()) <= set(UNSAFEBENCH.ids)


def test_a_labeller_that_knows_none_of_the_categories_is_refused_by_name(tmp_path: Path) -> None:
    lone = Taxonomy("park", "2", (Category("litter", "Litter", "Things thrown away."),))
    with pytest.raises(InputError, match=r"prompt_truth: it tells hate.*none of park@2's; say which are which"):
        labellers_of("prompt_truth", lone)


def test_more_categories_than_letters_are_all_in_the_question() -> None:
    many = Taxonomy("many", "1", tuple(Category(f"c{n}", f"Class {n}", f"Number {n}.") for n in range(40)))
    assert len(set(letters_of(many))) == 40 and "Number 39." in policy_of(many)
    answer = json.dumps({"rating": "unsafe", "categories": [letters_of(many)[39]]})
    said = read_answer(answer, "image", many)
    assert said.categories == ("c39",)


def test_moderation_takes_a_policy_where_the_model_is_asked_by_one(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "one.png")
    with pytest.raises(InputError, match="--taxonomy goes with a vision_language classifier"):
        call(moderate, tmp_path, "--taxonomy", FILE, "--out", tmp_path / "out")
    small = VisionLanguage(Llava.from_directory(ROOT / "assets/world/vlm"), UNSAFEBENCH, "small", policies=False).eval()
    own = Taxonomy(
        "own", "1", (Category("loud", "Hate", "Shouting."), Category("junk", "Spam", "What nobody asked for."))
    )
    by_own = small.under(own)
    scores = by_own.score(Inputs(("",), torch.full((1, 3, 64, 64), 0.5))).categories["image"]
    assert scores.shape == (1, 2) and by_own.within(["junk"]).categories == ("junk",)
    with pytest.raises(InputError, match="no words that tell all categories of school@1 apart"):
        small.under(SCHOOL)
    assert small.known == UNSAFEBENCH.ids, "the other one stays as it was"
