"""`--long-prompts`: what CLIP would cut off is encoded in chunks, told before drawing, or refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.sample import Sample
from stages.generate.captured_diffusion import CapturedDiffusion
from stages.generate.diffusion import Diffusion
from stages.generate.loading import load
from stages.generate.long_prompts import ChunkTokenizer, chunks_of, encoded
from stages.generate.mixture import Mixture, Part
from stages.generate.prompt_tokens import encoders_on_disk, text_encoders
from tests.support.drawing import drawn, tiny
from tests.support.tiny_parts import SIDE
from tests.support.tiny_pipelines import FAMILIES

CLIP_ALONE = ["sd1", pytest.param("sd2", marks=pytest.mark.slow), "sdxl"]
OTHERS = ["sd3", "flux", "pixart"]
START = "a red dog and a green cat on a striped cloth, " * 3
ONE, TWO = START + "a house", START + "a knife"  # they differ behind token 77 only
LONGER = " ".join([START] * 4)


def sample(text: str) -> Sample:
    return Sample.from_prompt(Prompt(text, seed=7), 0)


def chunked(pipelines: Path, family: str) -> Diffusion:
    return replace(tiny(pipelines, family), long_prompts="chunks")


@pytest.mark.parametrize("family", CLIP_ALONE)
def test_what_truncation_cuts_off_changes_the_picture(pipelines: Path, family: str) -> None:
    cut, whole = tiny(pipelines, family), chunked(pipelines, family)
    assert drawn(cut, [sample(ONE)]) == drawn(cut, [sample(TWO)])
    assert drawn(whole, [sample(ONE)]) != drawn(whole, [sample(TWO)])
    (made,) = whole.open()([sample(ONE)])
    told = json.loads(made.encoder_tokens or "")
    assert made.truncated is False and made.generation_prompt == made.prompt == ONE
    assert all(one["chunks"] == 2 and one["tokens"] > one["limit"] == 77 for one in told.values())
    assert made.prompt_tokens == max(one["tokens"] for one in told.values())


@pytest.mark.parametrize("family", CLIP_ALONE)
def test_a_row_has_its_bytes_in_any_company_and_short_ones_as_without(pipelines: Path, family: str) -> None:
    stage, texts = chunked(pipelines, family), (ONE, "a dog", LONGER)
    batches = list(stage.batches([sample(text) for text in texts]))
    assert [[one.prompt for one in batch] for batch in batches] == [[text] for text in texts]
    together = [one.with_(batch_row=row) for row, one in enumerate(map(sample, texts))]
    alone = [bytes_ for one in together for bytes_ in drawn(stage, [one])]
    assert drawn(stage, together) == alone
    assert alone[1:2] == drawn(tiny(pipelines, family), together[1:2])


@pytest.mark.parametrize("family", CLIP_ALONE)
def test_one_chunk_is_what_the_pipeline_itself_encodes(pipelines: Path, family: str) -> None:
    stage = tiny(pipelines, family)
    weights = stage.weights()
    pipeline = load(weights, SIDE)
    encoders = text_encoders(pipeline, {})
    own = pipeline.tokenizer
    with torch.inference_mode():
        ours = encoded(pipeline, encoders, ["a dog"], ["a cat"], 1)
        longer = encoded(pipeline, encoders, ["a dog"], ["a cat"], 3)
        theirs = pipeline.encode_prompt(
            "a dog",
            device="cpu",
            num_images_per_prompt=1,
            do_classifier_free_guidance=True,
            negative_prompt="a cat",
        )
    assert pipeline.tokenizer is own
    assert all(torch.equal(one, other) for one, other in zip(ours.values(), theirs, strict=True))
    assert longer["prompt_embeds"].shape[1] == longer["negative_prompt_embeds"].shape[1] == 3 * 77
    assert torch.equal(longer["prompt_embeds"][:, :77], ours["prompt_embeds"])


def test_chunks_hold_every_token_once(pipelines: Path) -> None:
    (encoder,) = encoders_on_disk(tiny(pipelines, "sd1").weights().directory)
    count = chunks_of([encoder], LONGER)
    kept = []
    for index in range(count):
        (row,) = ChunkTokenizer(encoder, index)(LONGER).input_ids.tolist()
        assert row[0] == encoder.tokenizer.bos_token_id and len(row) == 77
        kept += row[1 : row.index(encoder.tokenizer.eos_token_id)]
    assert kept == encoder.tokenizer(LONGER, add_special_tokens=False).input_ids


@pytest.mark.parametrize("family", OTHERS)
def test_a_class_that_cannot_says_so_before_it_is_loaded(pipelines: Path, family: str) -> None:
    with pytest.raises(InputError, match=r"--long-prompts chunks: a \w+ encodes prompts with .*; use truncate"):
        chunked(pipelines, family).revision()
    with pytest.raises(InputError, match="early steps are kept"):
        CapturedDiffusion(long_prompts="chunks")


def test_plans_tell_chunks_from_truncation_and_old_ones_stay(pipelines: Path) -> None:
    cut, whole = tiny(pipelines, "sd1"), chunked(pipelines, "sd1")
    assert "long_prompts" not in cut.describe() and whole.describe() == {**cut.describe(), "long_prompts": "'chunks'"}
    assert Mixture(parts=(Part(cut, 1),)).describe() != Mixture(parts=(Part(whole, 1),)).describe()
    assert "long_prompts" not in repr(cut)


@pytest.mark.parametrize(
    "family", [one if one in ("sd1", "sdxl") else pytest.param(one, marks=pytest.mark.slow) for one in FAMILIES]
)
def test_encoders_are_known_before_the_weights_are_loaded(pipelines: Path, family: str) -> None:
    weights = tiny(pipelines, family).weights()
    early = encoders_on_disk(weights.directory)
    loaded = text_encoders(load(weights, SIDE), weights.kind.fixed_arguments())
    assert [(one.name, one.limit) for one in early] == [(one.name, one.limit) for one in loaded]
    for text in ("", "a dog", ONE, LONGER, "ein Hünd — 犬 " * 9):
        counts = [one.tokens(text) for one in early]
        assert counts == [one.tokens(text) for one in loaded]
        assert [one.reads_whole(text) for one in early] == [
            n <= one.limit for n, one in zip(counts, early, strict=True)
        ]
