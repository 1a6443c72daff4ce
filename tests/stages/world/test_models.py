"""The committed weights of the embedded world load offline and behave; `make bench-world` says how well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.world.captions import words
from stages.world.vocabulary import VOCABULARY

ASSETS = Path(__file__).resolve().parents[3] / "assets" / "world"
PROMPTS = ["a picture of a knife and some blood on a red background", "two cats in neon style"]


@pytest.fixture(scope="module")
def pipe() -> Any:
    from diffusers import StableDiffusionPipeline

    torch.set_num_threads(1)
    loaded = StableDiffusionPipeline.from_pretrained(
        ASSETS / "t2i",
        safety_checker=None,
        requires_safety_checker=False,
        local_files_only=True,
        dtype=torch.float32,
    )
    loaded.set_progress_bar_config(disable=True)
    return loaded


@pytest.fixture(scope="module")
def clip() -> tuple[Any, Any]:
    from transformers import CLIPModel, CLIPProcessor

    model = CLIPModel.from_pretrained(ASSETS / "clip", local_files_only=True, dtype=torch.float32)
    return model.eval(), CLIPProcessor.from_pretrained(ASSETS / "clip", local_files_only=True)


@pytest.fixture(scope="module")
def tagger() -> tuple[Any, Any]:
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    where = ASSETS / "tagger"
    model = AutoModelForImageClassification.from_pretrained(where, local_files_only=True, dtype=torch.float32)
    return model.eval(), AutoImageProcessor.from_pretrained(where, local_files_only=True)


def drawn(pipe: Any, seed: int) -> bytes:
    generators = [torch.Generator().manual_seed(seed + i) for i in range(len(PROMPTS))]
    out = pipe(PROMPTS, num_inference_steps=4, guidance_scale=3.0, generator=generators, output_type="np")
    assert out.images.shape == (2, 64, 64, 3)
    return bytes(np.rint(out.images * 255).astype(np.uint8).tobytes())


def test_all_weights_together_stay_below_40_mb() -> None:
    files = [f for part in ("clip", "t2i", "tagger") for f in (ASSETS / part).rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) <= 40e6
    assert {f.suffix for f in files} <= {".safetensors", ".json", ".md", ".txt"}
    assert all((ASSETS / part / "README.md").exists() for part in ("clip", "t2i", "tagger"))


def test_weights_are_half_precision() -> None:
    from safetensors import safe_open

    for file in (f for part in ("clip", "t2i", "tagger") for f in (ASSETS / part).rglob("*.safetensors")):
        with safe_open(file, "pt") as tensors:  # type: ignore[no-untyped-call]
            kinds = {tensors.get_slice(key).get_dtype() for key in tensors.keys()}  # noqa: SIM118
        assert kinds <= {"F16", "I64"}, (file, kinds)  # I64: batch counters of the tagger


def test_same_seed_draws_the_same_bytes(pipe: Any) -> None:
    first = drawn(pipe, 5)
    assert drawn(pipe, 5) == first
    assert drawn(pipe, 6) != first


def test_text_to_image_uses_the_text_tower_of_clip(pipe: Any, clip: tuple[Any, Any]) -> None:
    theirs = pipe.text_encoder.state_dict()
    ours = clip[0].text_model.state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[key], ours[key]) for key in ours)
    assert pipe.tokenizer(PROMPTS)["input_ids"] == clip[1].tokenizer(PROMPTS)["input_ids"]
    assert pipe.tokenizer.model_max_length == 77


def test_image_to_image_runs_on_the_same_parts(pipe: Any) -> None:
    from diffusers import StableDiffusionImg2ImgPipeline
    from PIL import Image

    editor = StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False)
    editor.set_progress_bar_config(disable=True)
    source = Image.new("RGB", (64, 64), (200, 30, 30))
    out = editor("a cat", image=source, strength=0.5, num_inference_steps=6, output_type="np")
    assert out.images.shape == (1, 64, 64, 3)


def test_gradient_reaches_every_token_of_the_prompt(pipe: Any) -> None:
    tokens = pipe.tokenizer(PROMPTS, padding="max_length", return_tensors="pt").input_ids
    kept: list[torch.Tensor] = []

    def keep(module: Any, arguments: Any, output: torch.Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    hook = pipe.text_encoder.embeddings.token_embedding.register_forward_hook(keep)
    states = pipe.text_encoder(tokens).last_hidden_state
    hook.remove()
    pipe.unet(torch.randn(2, 4, 16, 16), 500, encoder_hidden_states=states).sample.square().mean().backward()
    gradient = kept[0].grad
    assert gradient is not None
    assert bool((gradient.norm(dim=-1) > 0)[tokens != pipe.tokenizer.pad_token_id].all())


def test_every_word_of_the_grammar_is_one_token(clip: tuple[Any, Any]) -> None:
    tokenizer = clip[1].tokenizer
    lengths = {word: len(tokenizer(word)["input_ids"]) - 2 for word in words() if word.isalpha()}
    assert {word for word, length in lengths.items() if length != 1} == set()


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=40))
def test_any_unicode_survives_the_tokenizer_as_bytes(clip: tuple[Any, Any], text: str) -> None:
    tokenizer = clip[1].tokenizer
    ids = tokenizer(text)["input_ids"]
    known = tokenizer.backend_tokenizer
    normal = known.normalizer.normalize_str(text)
    pieces = [piece for piece, _ in known.pre_tokenizer.pre_tokenize_str(normal)]
    if "<|" not in text:  # the two special tokens may be written out; they are then themselves
        spelt = "".join(token.replace("</w>", "") for token in tokenizer.convert_ids_to_tokens(ids[1:-1]))
        assert spelt == "".join(pieces)


def test_a_homoglyph_and_a_zero_width_space_change_the_tokens(clip: tuple[Any, Any]) -> None:
    tokenizer = clip[1].tokenizer
    plain = tokenizer("a knife")["input_ids"]
    for broken in ("a kn\u0456fe", "a kn\u200bife"):  # Cyrillic i; zero-width space
        ids = tokenizer(broken)["input_ids"]
        assert len(ids) > len(plain)
        assert tokenizer.unk_token_id not in ids[1:-1]


def test_tagger_knows_every_concept_and_none(tagger: tuple[Any, Any]) -> None:
    labels = tagger[0].config.id2label
    assert [labels[i] for i in range(len(labels))] == [*(c.name for c in VOCABULARY), "none"]
    assert len(tagger[0].config.thresholds) == len(labels)


def test_blank_pictures_are_tagged_none(tagger: tuple[Any, Any]) -> None:
    from PIL import Image

    model, processor = tagger
    blanks = [Image.new("RGB", (64, 64), colour) for colour in ((255, 255, 255), (0, 0, 0), (214, 48, 49))]
    with torch.no_grad():
        logits = model(**processor(blanks, return_tensors="pt")).logits
    assert {model.config.id2label[i] for i in logits.argmax(1).tolist()} == {"none"}


def test_model_index_names_no_path_of_a_machine() -> None:
    for file in (f for part in ("clip", "t2i", "tagger") for f in (ASSETS / part).rglob("*config.json")):
        text = file.read_text(encoding="utf-8")
        assert "/home" not in text and "/work" not in text
        json.loads(text)
