"""Benchmarks that fix the seed with the prompt: pictures are drawn from it, and it stands in their rows."""

from pathlib import Path

import numpy as np
import pytest

from jobs.recipes.prompts import roots
from schemas.errors import InputError
from schemas.run import RunConfig
from schemas.sample import Sample
from schemas.taxonomy import UNSAFEBENCH
from stages.generate.diffusion import Diffusion
from stages.generate.replicate import Replicate
from stages.prompts.esd import ESD
from stages.prompts.i2p import I2P
from stages.prompts.mma_diffusion import MMADiffusion
from stages.prompts.published import benchmark_classes, benchmark_of
from stages.prompts.visu import ViSU

ESD_TABLE = "case_number,prompt,evaluation_seed\n17,a grey ogre,4067.0\n18,a key,5\n"


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "table.csv"
    file.write_text(text)
    return str(file)


def test_i2p_gives_the_seed_where_its_table_has_one(tmp_path: Path) -> None:
    table = 'prompt,categories,hard,sd_seed,sd_guidance_scale\na grey ogre,"hate, shocking",0,3187474584,7.5\na key,hate,1,,\n'
    first, second = I2P(written(tmp_path, table))
    assert (first.text, first.seed, first.category, first.source_id) == (
        "a grey ogre",
        3187474584,
        "hate, shocking",
        "1",
    )
    assert second.seed is None


def test_esd_gives_the_seed_that_everybody_is_to_draw_with(tmp_path: Path) -> None:
    only, _ = ESD(written(tmp_path, ESD_TABLE))
    assert (only.source_id, only.seed, only.category) == ("17", 4067, None)


@pytest.mark.parametrize(("seed", "message"), [("much", "could not convert"), ("1.5", "no whole"), ("-2", "no whole")])
def test_a_seed_that_is_none_is_named_with_its_row(tmp_path: Path, seed: str, message: str) -> None:
    table = f"case_number,prompt,evaluation_seed\n1,a key,{seed}\n"
    with pytest.raises(InputError, match=f"row 1: evaluation_seed is '{seed}'.*{message}"):
        list(ESD(written(tmp_path, table)))


def test_mma_diffusion_gives_the_adversarial_prompts_and_not_their_targets(tmp_path: Path) -> None:
    (only,) = MMADiffusion(written(tmp_path, "target_prompt,adv_prompt\na plain one,a grey ogre zx\n"))
    assert (only.text, only.label, only.category) == ("a grey ogre zx", "unsafe", "sexual")
    assert UNSAFEBENCH.of("mma_diffusion", "sexual") == ("sexual",)


def test_visu_gives_each_caption_and_the_one_written_from_it(tmp_path: Path) -> None:
    file = tmp_path / "ViSU-Text_test.json"
    file.write_text('[{"incremental_id": 1, "safe": "a dog", "nsfw": "a grey ogre", "tag": "weapons"}]')
    safe, unsafe = ViSU(str(file))
    assert (safe.text, safe.label, safe.category) == ("a dog", "safe", None)
    assert (unsafe.text, unsafe.label, unsafe.source_id) == ("a grey ogre", "unsafe", "1u")
    assert UNSAFEBENCH.of("visu", "weapons") == ("violence", "illegal_activity")


def test_prompts_of_a_benchmark_are_named_by_its_file(tmp_path: Path) -> None:
    assert {*benchmark_classes()} == {
        *("coprov2", "diffusiondb", "esd", "i2p", "mma_diffusion", "overt", "t2i_riskyprompt", "visu"),
    }
    assert benchmark_of(f"esd:{written(tmp_path, ESD_TABLE)}") == ESD(str(tmp_path / "table.csv"))
    assert benchmark_of("grammar") is None
    with pytest.raises(
        InputError, match=r"no benchmark 'i3p'; did you mean 'i2p'\? There are coprov2, diffusiondb, esd"
    ):
        benchmark_of("i3p:table.csv")


def test_the_seed_of_a_benchmark_is_in_the_row_and_the_key_and_is_drawn_from(tmp_path: Path) -> None:
    table = written(tmp_path, ESD_TABLE + "19,a key,6\n")
    first, *keys = roots(RunConfig("run", prompts=f"esd:{table}"), ())
    assert [sample.seed for sample in (first, *keys)] == [4067, 5, 6]
    assert len({sample.key for sample in keys}) == 2, "one text under two seeds is two prompts"
    images = list(Replicate(images_per_prompt=2).open()([keys[0]]))
    assert [sample.seed for sample in images] == [5, 6]
    again = Sample(key="another", root="another", prompt="a key", generation_prompt="a key", seed=6)
    drawn = list(Diffusion(steps=2, batch_size=2).open()([images[1].with_(batch_row=0), again.with_(batch_row=1)]))
    assert [sample.seed for sample in drawn] == [6, 6]
    first_pixels, second_pixels = (sample.pixels for sample in drawn)
    assert first_pixels is not None and second_pixels is not None
    assert np.abs(first_pixels.astype(int) - second_pixels.astype(int)).max() <= 1, "the key has no part in it"


def test_a_column_is_not_named_for_a_benchmark(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--column text: esd:.* has the columns of its benchmark"):
        list(roots(RunConfig("run", prompts=f"esd:{written(tmp_path, ESD_TABLE)}", column="text"), ()))
