"""Every labeller there is, found by walking `stages/label`, keeps the contract."""

import pickle
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import FrozenInstanceError, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline.stage import Step
from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.sample import Sample
from schemas.taxonomy import UNSAFEBENCH
from schemas.vote import ANNOTATOR_TYPES, SCOPES, Vote
from stages.generate.render import Render
from stages.label.by_name import labeller_classes, labellers_of
from stages.label.labeller import Labeller
from stages.label.open_nsfw import OpenNsfw
from stages.label.remote_judge import RemoteJudge
from stages.label.vlm_judge import VlmJudge
from stages.label.zero_shot import ZeroShot
from stages.world.grammar import prompts
from tests.support import tiny_models
from tests.support.chat_server import ChatServer, serving

BATCH = 4
HEAVY = {"text_embedding", "vlm_judge", "safety_checker", "image_safety", "nude_net", "open_nsfw"}
ELSEWHERE = {"llavaguard", "llama_guard", "shield_gemma", "falconsai", "freepik", "q16", "vllm_judge"}
"""Tried with a model of their own class in test_published_guards.py."""
NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if name in HEAVY else name
    for name in labeller_classes()
    if name not in ELSEWHERE
]


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Three rendered pairs of the grammar."""
    roots = [Sample.from_prompt(Prompt(p.prompt, p.generation_prompt), 0) for p in prompts(3, 3)]
    return [sample.with_(batch_row=batch_row) for batch_row, sample in enumerate(Render().open()(roots))]


@pytest.fixture(scope="module", params=NAMES)
def labeller(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labeller]:
    """The labeller as its file has it; tiny random weights where it ships none."""
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    with ExitStack() as stack:
        models = {
            "vlm_judge": lambda: str(tiny_models.llava(folder / "tiny")),
            "safety_checker": lambda: str(tiny_models.safety_checker(folder / "tiny")),
            "remote_judge": lambda: stack.enter_context(serving(ChatServer())).model,
        }
        build = partial(labeller_classes()[name], batch_size=BATCH)
        built = build(model=models[name]()) if name in models else build()
        try:
            built.revision()
        except InputError as error:
            if "not installed" not in str(error):
                raise
            pytest.skip(str(error))
        yield built


@pytest.fixture(scope="module")
def step(labeller: Labeller) -> Step:
    return labeller.open()


def votes_on(step: Step, batch: list[Sample]) -> list[tuple[Vote, ...]]:
    return [sample.votes for sample in step(batch)]


def test_a_labeller_says_who_it_is_and_what_it_covers(labeller: Labeller) -> None:
    assert labeller.name in labeller_classes()
    assert labeller.adds == {"votes"}
    assert labeller.asked() and set(labeller.asked()) <= set(labeller.scopes) <= set(SCOPES)
    assert labeller.covers() and set(labeller.covers()) <= set(UNSAFEBENCH.ids)
    assert labeller.annotator_type in ANNOTATOR_TYPES and labeller.licence
    assert "pixels" in labeller.needs or "image" not in labeller.asked() or labeller.name == "scene_truth"


def test_a_labeller_is_frozen_and_pickles(labeller: Labeller) -> None:
    with pytest.raises(FrozenInstanceError):
        labeller.batch_size = 1  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(labeller)) == labeller


def test_every_sample_gets_one_vote_a_scope_and_is_else_unchanged(
    labeller: Labeller, step: Step, samples: list[Sample]
) -> None:
    for before, after in zip(samples, step(samples), strict=True):
        assert [vote.scope for vote in after.votes] == list(labeller.asked())
        assert replace(after, votes=()).with_(pixels=None) is not before
        assert (after.key, after.prompt, after.parent) == (before.key, before.prompt, before.parent)
        assert after.pixels is before.pixels
        for vote in after.votes:
            assert vote.key == before.key and vote.annotator == labeller.annotator
            assert set(vote.categories) <= set(vote.covers) == set(labeller.covers())
            assert vote.licence == labeller.licence and vote.version and vote.policy == "unsafebench"
            assert (vote.weights or "") == labeller.revision()


def test_a_sample_gets_the_same_votes_alone_as_in_company(step: Step, samples: list[Sample]) -> None:
    together = votes_on(step, samples)
    alone = [votes_on(step, [sample])[0] for sample in samples]
    assert alone == together


def test_a_sample_that_it_fails_on_is_skipped_with_the_reason(
    labeller: Labeller, step: Step, samples: list[Sample]
) -> None:
    if "pixels" not in labeller.needs:
        pytest.skip("reads text, which is always there")
    blind = samples[1].with_(pixels=None)
    votes = votes_on(step, [samples[0], blind, samples[2]])
    assert votes[0] == votes_on(step, samples)[0]
    seen = [scope for scope in labeller.asked() if scope != "prompt"]
    assert {vote.scope: vote.label for vote in votes[1] if vote.scope in seen} == dict.fromkeys(seen, "skip")
    assert all("no picture" in str(vote.reason) for vote in votes[1])


@pytest.mark.slow
@pytest.mark.parametrize("build", [tiny_models.llava, tiny_models.idefics3], ids=["llava", "idefics3"])
def test_the_vlm_judge_works_with_two_classes_of_model(tmp_path: Path, build: object, samples: list[Sample]) -> None:
    folder = build(tmp_path / "model")  # type: ignore[operator]
    certain = VlmJudge(model=str(folder), threshold=0.0).open()
    votes = [vote for sample in certain(samples) for vote in sample.votes]
    assert {vote.scope for vote in votes} == {"image", "pair"}
    assert all(vote.label == "unsafe" and len(vote.categories) == 1 for vote in votes)
    doubting = VlmJudge(model=str(folder), threshold=1.0, lead_in='{"rating": "', ratings=("Safe", "Unsafe")).open()
    assert all(vote.label == "safe" for sample in doubting(samples[:1]) for vote in sample.votes)
    assert len({vote.score for vote in votes}) > 1, "the pictures and texts make no difference"


@pytest.mark.slow
def test_zero_shot_takes_a_siglip_too(tmp_path: Path, samples: list[Sample]) -> None:
    folder = tiny_models.siglip(tmp_path / "model")
    (vote,) = next(iter(ZeroShot(model=str(folder), batch_size=BATCH).open()(samples))).votes
    assert vote.annotator == "zero_shot/model" and vote.score is not None and 0 < vote.score < 1


def test_labellers_are_chosen_by_their_files_names(tmp_path: Path) -> None:
    chosen = labellers_of("prompt_truth, zero_shot=some/dir")
    assert [labeller.annotator for labeller in chosen] == ["prompt_truth", "zero_shot/dir"]
    with pytest.raises(InputError, match="no such labeller; there are falconsai"):
        labellers_of("nobody")
    with pytest.raises(InputError, match="needs a model"):
        labellers_of("vlm_judge")
    with pytest.raises(InputError, match="takes no model"):
        labellers_of("prompt_truth=x")


def test_every_field_of_a_labeller_is_reached_by_its_name() -> None:
    text = (
        'open_nsfw,threshold=0.8, vlm_judge=some/dir,asks=image,ratings=Safe|Unsafe,lead_in={"a"\\, "rating": ",batch_size=2,'
        "remote_judge=http://127.0.0.1:1/v1#m,budget=2.5,zero_shot,taxonomy=examples/own_taxonomy.json"
    )
    filter_, judge, remote, clip = labellers_of(text)
    assert filter_ == OpenNsfw(threshold=0.8)
    assert judge == VlmJudge(
        model="some/dir", asks=("image",), ratings=("Safe", "Unsafe"), lead_in='{"a", "rating": "', batch_size=2
    )
    assert isinstance(remote, RemoteJudge) and remote.budget == 2.5
    assert clip.taxonomy.label == "school@1"
    names = {field.name for kind in labeller_classes().values() for field in fields(kind)}
    assert not names & set(labeller_classes()), "a field that is called like a labeller could not be given"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("open_nsfw,threshold=high", "open_nsfw: threshold takes a number, got 'high'"),
        ("open_nsfw,threshold=nan", "threshold takes a number, got 'nan'"),
        ("open_nsfw,threshold=1.5", "threshold takes a number from 0 to 1"),
        ("open_nsfw,treshold=0.5", "no field 'treshold', only .*did you mean 'threshold'"),
        ("open_nsfw,batch_size=0", "batch_size takes a whole number from 1 on"),
        ("open_nsfw,batch_size=2.5", "batch_size takes a whole number, got"),
        ("vlm_judge=d,ratings=Safe", r"ratings takes 2 texts with \| between"),
        ("vlm_judge=d,asks=sound", r"asks is \('sound',\); expected some of"),
        ("prompt_policy,lexicon=gone.tsv", "lexicon takes a file that is there"),
        ("zero_shot,taxonomy=gone.json", "no taxonomy file"),
        ("remote_judge=http://127.0.0.1:1/v1#m,allowed_hosts=evil.example", "no field 'allowed_hosts'"),
    ],
)
def test_a_wrong_field_is_named_with_what_it_takes(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        labellers_of(text)


def test_a_score_that_is_no_number_is_a_skip_not_a_label(samples: list[Sample]) -> None:
    from stages.label.labeller import Judge, Opinion, rated

    class Broken(Labeller):
        scopes = ("image",)
        licence = "Apache-2.0"

        def judge(self) -> Judge:
            def judge(batch: object) -> list[list[Opinion]]:
                return [[rated("image", {"sexual": float(np.nan)}, 0.5)]]

            return judge

    (vote,) = next(iter(Broken().open()(samples[:1]))).votes
    assert vote.label == "skip" and "nan" in str(vote.reason)
