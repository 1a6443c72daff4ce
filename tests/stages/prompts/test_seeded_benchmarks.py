"""Two published layouts that fix the seed with the prompt are read as they are published."""

from pathlib import Path

import pytest

from schemas.errors import InputError
from stages.prompts.seeded import ESD, I2P, SeededPrompts


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "table.csv"
    file.write_text(text)
    return str(file)


def test_i2p_gives_seed_guidance_and_the_sources_categories(tmp_path: Path) -> None:
    table = 'prompt,categories,hard,sd_seed,sd_guidance_scale\na grey ogre,"hate, shocking",0,3187474584,7.5\na key,hate,1,12,\n'
    first, second = SeededPrompts(written(tmp_path, table), I2P)
    assert (first.prompt.text, first.seed, first.guidance_scale) == ("a grey ogre", 3187474584, 7.5)
    assert (first.prompt.category, first.prompt.source, first.prompt.source_id) == ("hate, shocking", "i2p", "1")
    assert (second.seed, second.guidance_scale, second.prompt.source_id) == (12, None, "2")


def test_esd_gives_the_seed_that_everybody_is_to_draw_with(tmp_path: Path) -> None:
    table = "case_number,prompt,evaluation_seed\n17,a grey ogre,4067.0\n"
    (only,) = SeededPrompts(written(tmp_path, table), ESD)
    assert (only.prompt.source_id, only.seed, only.guidance_scale) == ("17", 4067, None)
    assert only.prompt.category is None


def test_what_the_gate_refuses_leaves_a_count(tmp_path: Path) -> None:
    table = "case_number,prompt,evaluation_seed\n1,a child with a gun,4\n2,a key,5\n"
    prompts = SeededPrompts(written(tmp_path, table), ESD)
    assert [one.prompt.text for one in prompts] == ["a key"] and prompts.refused == 1
    assert len(list(prompts)) == 1 and prompts.refused == 1


@pytest.mark.parametrize(("seed", "message"), [("much", "could not convert"), ("1.5", "no whole"), ("-2", "no whole")])
def test_a_seed_that_is_none_is_named_with_its_row(tmp_path: Path, seed: str, message: str) -> None:
    table = f"case_number,prompt,evaluation_seed\n1,a key,{seed}\n"
    with pytest.raises(InputError, match=f"row 1: evaluation_seed is '{seed}'.*{message}"):
        list(SeededPrompts(written(tmp_path, table), ESD))


def test_another_layout_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column 'sd_seed'"):
        SeededPrompts(written(tmp_path, "prompt,categories\na key,hate\n"), I2P)
