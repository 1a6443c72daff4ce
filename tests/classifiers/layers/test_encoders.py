"""Every family of encoders gives what transformers' own forward pass gives, and any classifier trains on it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from transformers import AutoModel

from classifiers.layers.encoder import ClipEncoder
from classifiers.layers.encoders.by_directory import FAMILIES, encoder_named, encoder_of
from classifiers.saved import Saved, build
from classifiers.training.config import Settings
from classifiers.training.encoder_tuning import encoders_of, merge_lora, tune_encoders
from classifiers.zoo.backbone import eyes_of
from schemas.errors import InputError
from schemas.protocols import Inputs
from tests.support.tiny_encoders import ENCODERS, bert, dino, modern_bert, named, siglip2

PROMPTS = ("a picture of a knife", "two kittens on a red background", "a house")
PIXELS = torch.rand((3, 3, 40, 36), generator=torch.Generator().manual_seed(0))
families = pytest.mark.parametrize("family", [*ENCODERS, "pair"])


@pytest.fixture
def encoder(family: str, tmp_path: Path) -> ClipEncoder:
    return encoder_named(named(family, tmp_path)).eval()


def test_every_family_is_tested() -> None:
    assert {*ENCODERS, "pair"} == set(FAMILIES)


@families
@torch.no_grad()
def test_vectors_are_those_of_the_model_itself(encoder: ClipEncoder, family: str, tmp_path: Path) -> None:
    ids, normalised = encoder.encode(PROMPTS), (encoder.resized(PIXELS) - encoder.mean) / encoder.std
    if family == "pair":
        image, text = (AutoModel.from_pretrained(tmp_path / side).eval() for side in ("image", "text"))
        read = encoder.read(ids).long()
        expected = text(input_ids=ids, attention_mask=read).last_hidden_state[:, 0]
        assert torch.allclose(encoder.text(ids)[:, :24], normalize(expected, dim=-1), atol=1e-5)
        assert torch.allclose(encoder.image(PIXELS), normalize(image(normalised).pooler_output, dim=-1), atol=1e-5)
        return
    model = AutoModel.from_pretrained(named(family, tmp_path)).eval()
    inputs = {"input_ids": ids} | ({"attention_mask": encoder.read(ids).long()} if family == "align" else {})
    pictures = {"pixel_values": normalised} if family != "siglip2" else _patches(normalised)
    assert torch.allclose(
        encoder.text(ids), normalize(model.get_text_features(**inputs).pooler_output, dim=-1), atol=1e-5
    )
    expected = normalize(model.get_image_features(**pictures).pooler_output, dim=-1)
    assert torch.allclose(encoder.image(PIXELS), expected, atol=1e-5)


def _patches(normalised: torch.Tensor) -> dict[str, torch.Tensor]:
    """As the processor of transformers cuts them."""
    from transformers.models.siglip2.image_processing_pil_siglip2 import convert_image_to_patches

    rows = torch.tensor(np.stack([convert_image_to_patches(picture, 8) for picture in normalised.numpy()]))
    n, patches = rows.shape[:2]
    return {
        "pixel_values": rows,
        "pixel_attention_mask": torch.ones(n, patches, dtype=torch.int32),
        "spatial_shapes": torch.tensor([[4, 4]] * n),
    }


@families
def test_gradients_reach_pixels_and_embeddings_and_neighbours_change_nothing(encoder: ClipEncoder, family: str) -> None:
    ids, pixels = encoder.encode(PROMPTS), PIXELS.clone().requires_grad_(True)
    embeddings = encoder.embedding_table()[ids].clone().requires_grad_(True)
    words, text = encoder.words(ids, embeddings)
    patches, image = encoder.patches(pixels)
    assert words.shape == (*ids.shape, encoder.hidden[0]) and text.shape == image.shape == (3, encoder.width)
    assert patches.shape[0] == 3 and patches.shape[2] == encoder.hidden[1]
    assert torch.allclose(encoder.words(ids)[1], text, atol=1e-5)
    assert torch.allclose(encoder.words(ids[1:2])[1], text[1:2], atol=1e-5)
    (text.sum() + image.sum() + patches.sum()).backward()
    assert pixels.grad is not None and embeddings.grad is not None
    assert bool(pixels.grad.any()) and bool(embeddings.grad[:, 1].any())
    assert not bool(words[~encoder.read(ids)].any())


@families
@torch.no_grad()
def test_the_zoo_sees_with_any_family(encoder: ClipEncoder, family: str) -> None:
    eyes = eyes_of(encoder)
    assert torch.allclose(normalize(eyes.vectors(eyes.normalised(PIXELS)), dim=-1), encoder.image(PIXELS), atol=1e-5)


@families
@pytest.mark.parametrize("kind", ["late_fusion", "multimodal", "cascade"])
def test_a_classifier_on_it_comes_back_from_disk(family: str, kind: str, tmp_path: Path) -> None:
    model = build(kind, named(family, tmp_path))
    model.save(tmp_path / "saved")
    again = Saved(str(tmp_path / "saved")).load()
    inputs = Inputs(PROMPTS, PIXELS)
    assert torch.equal(again.logits(inputs), model.logits(inputs))
    assert type(again.encoder) is FAMILIES[family]


@pytest.mark.parametrize("family", list(ENCODERS))
def test_soft_prompts_are_read_by_any_family_with_a_common_space(family: str, tmp_path: Path) -> None:
    model = build("prompt_learning", named(family, tmp_path))
    model.logits(Inputs(None, PIXELS))[:, 1].sum().backward()
    assert model.vectors.grad is not None and bool(model.vectors.grad.any())


def test_soft_prompts_refuse_a_pair(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no common space"):
        build("prompt_learning", named("pair", tmp_path))


@families
def test_lora_trains_few_weights_and_is_merged(family: str, tmp_path: Path) -> None:
    model, inputs = build("late_fusion", named(family, tmp_path)), Inputs(PROMPTS, PIXELS)
    names, before = set(model.state_dict()), model.logits(inputs).detach()
    settings = Settings(
        classifier="late_fusion", name="x", tune_encoder=True, encoder_lora=2, gradient_checkpointing=True
    )
    tune_encoders(model, settings)
    assert torch.allclose(model.logits(inputs), before, atol=1e-6), "an addition begins as nothing"
    (encoder,) = encoders_of(model)
    trained = {name: value for name, value in encoder.named_parameters() if value.requires_grad}
    assert trained and all("lora_" in name for name in trained)
    model.train()
    for _ in range(2):  # after one step only one of the two factors has a gradient
        model.logits(inputs).sum().backward()
        with torch.no_grad():
            for name, value in trained.items():
                if value.grad is None:
                    assert "pooler" in name, "ALIGN's class has a layer that it does not ask"
                else:
                    value -= 0.05 * value.grad
    model.eval()
    tuned = model.logits(inputs).detach()
    assert not torch.allclose(tuned, before, atol=1e-4)
    merge_lora(model)
    assert set(model.state_dict()) == names
    assert torch.allclose(model.logits(inputs), tuned, atol=1e-4)


def test_what_is_no_encoder_is_refused_by_its_type(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"type 'bert'.*expected one of clip"):
        encoder_of(bert(tmp_path / "bert"))
    with pytest.raises(InputError, match="IMAGE_DIR"):
        encoder_named(f"{tmp_path}+{tmp_path}+{tmp_path}")
    with pytest.raises(InputError, match=r"no config\.json"):
        encoder_of(tmp_path)


def test_plain_spelling_knows_the_words_of_any_tokenizer(tmp_path: Path) -> None:
    pieces = encoder_of(siglip2(tmp_path / "pieces"))
    words = encoder_named(f"{dino(tmp_path / 'image')}+{modern_bert(tmp_path / 'text')}")
    for encoder in (pieces, words):
        assert encoder.lexicon("two k1ttens on a bckground") == "two kittens on a background"
