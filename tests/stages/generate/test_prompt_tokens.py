"""A row says how much of its prompt its picture's text encoders have read, and `generation_prompt` is just that."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.rounds.truncated import truncated_samples
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.attack.text.typos import Typos
from stages.generate.loading import load
from stages.generate.prompt_tokens import text_encoders
from tests.support.drawing import drawn, tiny
from tests.support.runs import carry_out, plan_of
from tests.support.tiny_pipelines import FAMILIES, SIDE

FAST = ["sd1", "sdxl"]
ALL = [family if family in FAST else pytest.param(family, marks=pytest.mark.slow) for family in FAMILIES]
LONG = " ".join(f"a red dog number {number} runs," for number in range(120))


def sample(text: str, generation: str | None = None) -> Sample:
    return Sample.from_prompt(Prompt(text, generation), 0)


@pytest.mark.parametrize("family", ALL)
def test_of_a_long_prompt_the_row_holds_what_was_encoded(pipelines: Path, family: str) -> None:
    stage = tiny(pipelines, family)
    (made,) = stage.open()([sample(LONG)])
    counted = json.loads(made.encoder_tokens or "")
    worst = max(
        counted.values(), key=lambda one: one["tokens"] / one["limit"]
    )  # CLIP's 77 before T5's 256, which has more tokens
    assert made.truncated and made.prompt_tokens == worst["tokens"]
    assert any(one["tokens"] > one["limit"] for one in counted.values())
    if all(one["tokens"] > one["limit"] for one in counted.values()):
        assert LONG.startswith(made.generation_prompt) and len(made.generation_prompt) < len(LONG)
    assert made.prompt == LONG and made.follows_prompt


@pytest.mark.parametrize("family", FAST)
def test_what_is_beyond_the_limit_changes_no_picture_and_what_is_recorded_does(pipelines: Path, family: str) -> None:
    stage = tiny(pipelines, family)
    whole = sample(LONG)
    (made,) = stage.open()([whole])
    alone, shorter = (
        whole.with_(generation_prompt=text) for text in (made.generation_prompt, made.generation_prompt[:-30])
    )
    assert drawn(stage, [alone]) == drawn(stage, [whole]) != drawn(stage, [shorter])


@pytest.mark.parametrize("family", ALL)
def test_a_short_prompt_is_read_to_its_end(pipelines: Path, family: str) -> None:
    stage = tiny(pipelines, family)
    (made,) = stage.open()([sample("a red dog")])
    assert made.truncated is False and made.generation_prompt == made.prompt == "a red dog"
    encoders = text_encoders(load(stage.weights(), SIDE), stage.weights().kind.fixed_arguments())
    counted = json.loads(made.encoder_tokens or "")
    assert set(counted) == {one.name for one in encoders}
    assert all(len(one.tokenizer("a red dog").input_ids) == counted[one.name]["tokens"] for one in encoders)


def test_an_attack_on_a_cut_prompt_still_rewrites_what_is_drawn(pipelines: Path) -> None:
    (made,) = tiny(pipelines, "sd1").open()([sample(LONG)])
    (child, *_) = Typos().open()([made])
    assert child.generation_prompt == child.prompt != LONG
    assert child.truncated is child.prompt_tokens is child.encoder_tokens is None
    (other,) = tiny(pipelines, "sd1").open()([sample("ready for a fight", LONG)])
    assert not other.follows_prompt


def test_a_run_counts_the_prompts_that_were_cut(pipelines: Path, tmp_path: Path) -> None:
    samples = [sample(text) for text in (LONG, "a red dog", "a cat")]
    carry_out(tmp_path, plan_of(samples, tiny(pipelines, "sd1")))
    (rows,) = tmp_path.glob("rounds/*/raw/*.parquet")
    assert sorted(pq.read_table(rows)["truncated"].to_pylist()) == [False, False, True]
    from pipeline.storage.open_store import open_store

    assert truncated_samples(open_store(str(tmp_path)), str(rows.parents[1].relative_to(tmp_path))) == 1
