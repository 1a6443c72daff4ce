"""Signatures recognise what they should, and nothing else."""

import io
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.stage import Stage
from pipeline.storage.image_codec import encode
from schemas.prompt import Prompt
from schemas.sample import Pixels, Sample
from stages.prompts.normalise import plain
from stages.signature.concepts import Concepts
from stages.signature.embedding import Embedding
from stages.signature.exact import Exact
from stages.signature.perceptual import Perceptual
from stages.signature.prompt_text import PromptText, minhash
from stages.signature.quality import Quality, quality
from tests.support.planted import pair, picture

STAGES: list[Stage] = [Exact(), Perceptual(), PromptText(), Quality(), Concepts()]


def signed(stage: Stage, *samples: Sample) -> list[dict[str, object]]:
    """The signatures that a stage gives."""
    placed = [sample.with_(batch_row=batch_row) for batch_row, sample in enumerate(samples)]
    return [sample.signatures or {} for sample in stage.open()(placed)]


def with_picture(pixels: Pixels, kind: str = "png") -> Sample:
    """A sample of these pixels."""
    return pair(0).sample.with_(pixels=pixels, encoded=encode(pixels, kind))


def again(pixels: Pixels, quality: int) -> Pixels:
    """The picture after JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def bits(first: bytes, second: bytes) -> int:
    """Hamming distance."""
    return (int.from_bytes(first) ^ int.from_bytes(second)).bit_count()


def phashes(pictures: Sequence[Pixels]) -> list[bytes]:
    """pHash of each."""
    return [row["phash"] for row in signed(Perceptual(), *map(with_picture, pictures))]  # type: ignore[misc]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_signature_is_frozen_picklable_and_the_same_twice(stage: Stage) -> None:
    sample = with_picture(picture(1))
    travelled = pickle.loads(pickle.dumps(stage))
    assert signed(stage, sample) == signed(travelled, sample) != [{}]
    assert stage.adds == {"signatures"}
    with pytest.raises(AttributeError):
        stage.batch_size = 1  # type: ignore[misc]


def test_the_same_pixels_in_another_file_are_known_by_their_pixels() -> None:
    png, webp = with_picture(picture(3)), with_picture(picture(3), "webp")
    first, second = signed(Exact(), png, webp)
    assert first["pixels_sha256"] == second["pixels_sha256"]
    assert first["bytes_sha256"] != second["bytes_sha256"]


def test_phash_stays_within_the_limit_under_jpeg_and_resize_and_tells_scenes_apart() -> None:
    scenes = [picture(number) for number in range(100)]
    own = phashes(scenes)
    jpeg = [bits(a, b) for a, b in zip(own, phashes([again(one, 75) for one in scenes]), strict=True)]
    larger = [np.asarray(Image.fromarray(one).resize((128, 128), Image.Resampling.BICUBIC)) for one in scenes]
    resized = [bits(a, b) for a, b in zip(own, phashes(larger), strict=True)]
    assert np.mean(np.array(jpeg) <= 15) >= 0.98 and max(resized) <= 15
    others = [bits(own[i], own[j]) for i in range(100) for j in range(i)]
    assert min(others) > 15


def test_spelling_is_folded_and_other_words_are_not() -> None:
    assert plain("A  Bomb, on\tRED") == plain("А bоmb on red") == plain("a bomb on red\u200b")
    samples = [Sample.from_prompt(Prompt(text), 0) for text in ("a red dog", "а RED dog!", "a red frog")]
    rows = signed(PromptText(), *samples)
    first, second, third = (row["spelling_digest"] for row in rows)
    assert first == second != third
    assert len({row["prompt_digest"] for row in rows}) == 3, "another spelling is another prompt"


def test_confounders_with_one_sentence_and_other_drawings_are_not_one_prompt() -> None:
    samples = [Sample.from_prompt(Prompt("ready for a fight", drawn), 0) for drawn in ("a knife", "two dice")]
    for column in ("prompt_digest", "spelling_digest"):
        first, second = (row[column] for row in signed(PromptText(), *samples))
        assert first != second


def test_minhash_estimates_jaccard() -> None:
    base = "the quick brown fox jumps over the lazy dog and runs through the green forest until night"
    near, far = base.replace("night", "dawn"), "an entirely different sentence about pictures of fruit in bowls"

    def shingles(text: str) -> set[str]:
        return {text[i : i + 5] for i in range(len(text) - 4)}

    for other in (near, far, base):
        truth = len(shingles(base) & shingles(other)) / len(shingles(base) | shingles(other))
        assert abs(float((minhash(base) == minhash(other)).mean()) - truth) < 0.2


def test_quality_of_known_pictures() -> None:
    flat = quality(np.full((64, 64, 3), 90, dtype=np.uint8))
    assert flat["blank"] and flat["snr"] is None and flat["entropy"] == 0.0 and flat["edge_density"] == 0.0
    halves = np.zeros((64, 64, 3), dtype=np.uint8)
    halves[:, 32:] = 255
    two = quality(halves)
    assert two["entropy"] == pytest.approx(1.0) and two["snr"] == pytest.approx(1.0, rel=0.01)
    assert two["edge_density"] == pytest.approx(2 / 62) and not two["blank"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((255, 0, 0), (0, 130, 0)),
        ((0, 0, 255), (29, 29, 29)),
        ((200, 40, 90), (0, 120, 200)),
        ((90, 90, 90), (90, 98, 51)),
    ],
)
def test_two_hues_of_one_brightness_are_no_blank_picture(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    halves = np.zeros((64, 64, 3), dtype=np.uint8)
    halves[:, :32], halves[:, 32:] = first, second
    assert (halves @ np.array([0.299, 0.587, 0.114])).std() < 1.0, "what made it blank"
    assert not quality(halves)["blank"]
    assert quality(halves[:, :32])["blank"] and quality(halves[:, 32:])["blank"]


def test_concepts_are_read_from_the_scene_or_else_from_the_words() -> None:
    (said,) = signed(Concepts(), Sample.from_prompt(Prompt("a dog and an apple, in neon style"), 0))
    assert said["concepts"] == ["apple", "dog"]
    (nothing,) = signed(Concepts(), Sample.from_prompt(Prompt("words of another world"), 0))
    assert (nothing["concepts"], nothing["style"]) == ([], None)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A CLIP directory with small random weights."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = small | {"image_size": 32, "patch_size": 16}
    config = CLIPConfig(text_config=small | {"vocab_size": 99}, vision_config=vision, projection_dim=16)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("clip")
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)
    return str(folder)


def test_embeddings_are_of_unit_length_and_the_same_alone_as_in_company(clip: str) -> None:
    stage = Embedding(model=clip, batch_size=4)
    samples = [with_picture(picture(number)).with_(batch_row=number) for number in range(4)]
    together = [one.signatures for one in stage.open()(samples)]
    (alone,) = (one.signatures for one in stage.open()([samples[2]]))
    assert alone == together[2]
    vector = np.array(alone["embedding"], dtype=np.float32)  # type: ignore[index]
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-2)
    assert Path(clip).is_dir() and alone["embedding_model"] == stage.revision()  # type: ignore[index]
