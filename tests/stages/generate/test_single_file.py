"""Weights as people have them: one file with configs beside it, other denoisers, words that were taught, parts that wait."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from jobs.recipes.named import recipe_of
from schemas.errors import InputError
from schemas.run import RunConfig
from stages.generate.diffusion import Diffusion
from stages.generate.load_options import LoadOptions
from stages.generate.offloading import chosen_offload
from tests.support.drawing import directory, drawn, samples, tiny
from tests.support.original_layout import configs_alone, save_original
from tests.support.tiny_parts import WIDTH, clip
from tests.support.tiny_pipelines import sdxl, stable_diffusion


def encoder(width: int, projection: bool) -> Any:
    """CLIP's text encoder of another width: SDXL's two are told apart by it."""
    config = clip(projection=True).config
    config.hidden_size, config.intermediate_size = width, 2 * width
    return type(clip(projection=projection))(config).eval()


def sdxl_of_two_widths() -> Any:
    pipeline = sdxl()
    pipeline.register_modules(text_encoder=encoder(WIDTH // 2, False), text_encoder_2=encoder(WIDTH * 3 // 2, True))
    return pipeline


@pytest.mark.parametrize("make", [stable_diffusion, sdxl_of_two_widths], ids=["sd15", "sdxl"])
def test_a_checkpoint_in_one_file_draws_as_its_directory_does(make: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    pipeline = make()
    pipeline.save_pretrained(tmp_path / "whole", safe_serialization=True)
    file = save_original(pipeline, tmp_path / "community.safetensors")
    whole = Diffusion(model=str(tmp_path / "whole"), steps=2, size=32, batch_size=2)
    with pytest.raises(InputError, match="give the directory of the model that it was trained from"):
        replace(whole, model=str(file)).weights()
    configs_alone(tmp_path / "whole", tmp_path / "community")  # beside it, by its name
    single = replace(whole, model=str(file))
    assert single.weights().digest() != whole.weights().digest()
    assert drawn(single, samples(2)) == drawn(whole, samples(2))
    told = replace(single, load=LoadOptions(config=str(tmp_path / "whole")))
    assert drawn(told, samples(2)) == drawn(whole, samples(2))


def test_a_file_that_is_no_checkpoint_and_parts_that_are_nowhere_are_named(pipelines: Path, tmp_path: Path) -> None:
    whole = Path(directory(pipelines, "sd1"))
    configs = configs_alone(whole, tmp_path / "configs")
    told = LoadOptions(config=str(configs))
    save_file({"lora_unet.down.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    save_file({"model.diffusion_model.out.0.bias": torch.zeros(1)}, tmp_path / "part.safetensors")
    (tmp_path / "old.ckpt").write_bytes(b"pickle")
    for name, said in (
        ("other.safetensors", "a LoRA is given with --lora"),
        ("part.safetensors", "its part '(vae|text_encoder)' holds no weights"),
        ("old.ckpt", "pickled weights are never loaded"),
    ):
        with pytest.raises(InputError, match=said):
            Diffusion(model=str(tmp_path / name), load=told).weights()
    with pytest.raises(InputError, match=r"--model-config .*: goes with a checkpoint in one file"):
        Diffusion(model=str(whole), load=told).weights()


def test_a_denoiser_of_gguf_takes_the_place_of_the_directorys_own(pipelines: Path, tmp_path: Path) -> None:
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    whole = replace(tiny(pipelines, "flux"), batch_size=2)
    loaded = whole.weights().directory
    from safetensors.torch import load_file

    tensors = {}
    for file in (loaded.path / loaded.denoiser).glob("*.safetensors"):
        tensors |= load_file(file)
    writer = GGUFWriter(tmp_path / "small.gguf", "flux")
    for name, tensor in tensors.items():
        kind = (
            GGMLQuantizationType.Q8_0 if tensor.dim() == 2 and tensor.shape[1] % 32 == 0 else GGMLQuantizationType.F32
        )
        writer.add_tensor(name, quants.quantize(tensor.float().numpy(), kind), raw_dtype=kind)
    for write in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        write()
    writer.close()
    packed = replace(whole, load=LoadOptions(denoiser=str(tmp_path / "small.gguf")))
    assert packed.describe() != whole.describe() and packed.weights().digest() != whole.weights().digest()
    (first, *_), (own, *_) = packed.open()(samples(2)), whole.open()(samples(2))
    assert (
        first.pixels is not None
        and own.pixels is not None
        and str(first.generator).endswith("+" + str(tmp_path / "small.gguf"))
    )
    difference = np.abs(first.pixels.astype(int) - own.pixels.astype(int)).mean()
    assert 0 < difference < 8, "eight bits draw nearly what 32 draw"
    (tmp_path / "no.gguf").write_bytes(b"something else")
    with pytest.raises(InputError, match="it is no GGUF file"):
        replace(whole, load=LoadOptions(denoiser=str(tmp_path / "no.gguf"))).weights()


def test_a_textual_inversion_teaches_its_word_and_no_other_changes(pipelines: Path, tmp_path: Path) -> None:
    save_file({"emb_params": torch.full((2, WIDTH), 3.0)}, tmp_path / "zorbly.safetensors")
    save_file({"emb_params": torch.zeros(2, WIDTH + 1)}, tmp_path / "wide.safetensors")
    plain = replace(tiny(pipelines, "sd1"), batch_size=1)
    taught = replace(plain, load=LoadOptions(embeddings=(str(tmp_path / "zorbly.safetensors"),)))
    (apple,) = samples(1)
    word = apple.with_(prompt="a zorbly", generation_prompt="a zorbly")
    assert drawn(taught, [apple]) == drawn(plain, [apple])
    assert drawn(taught, [word]) != drawn(plain, [word]) and taught.describe() != plain.describe()
    with pytest.raises(InputError, match="made for another model"):
        replace(plain, load=LoadOptions(embeddings=(str(tmp_path / "wide.safetensors"),))).open()


def test_parts_wait_where_the_card_is_too_small_for_all() -> None:
    sizes = {"unet": 5_000, "text_encoder": 3_000}
    assert chosen_offload("auto", sizes, 20_000) == "none"
    assert chosen_offload("auto", sizes, 7_000) == "model"
    assert chosen_offload("auto", sizes, 5_100) == "sequential"
    assert chosen_offload("group", sizes, 10**9) == "group"


def test_what_cannot_be_loaded_so_is_said_first_and_older_runs_go_on(pipelines: Path) -> None:
    with pytest.raises(InputError, match="expected one of"):
        LoadOptions(quantise="int3")
    with pytest.raises(InputError, match="--quantise nf4 needs the package bitsandbytes"):
        LoadOptions(quantise="nf4")
    plain = tiny(pipelines, "sd1")
    assert replace(plain, load=LoadOptions(offload="model")).describe() == plain.describe(), "it changes no bytes"
    assert "load" not in plain.describe()
    address = "openai:http://127.0.0.1:9/v1#m"
    with pytest.raises(InputError, match="loads its weights itself"):
        recipe_of(RunConfig("x", recipe="diffusion", model=address, restricted=True, denoiser="a.gguf"))
