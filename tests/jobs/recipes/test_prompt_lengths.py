"""Prompts beyond the text encoders are counted before drawing, and refused where that is asked for."""

from pathlib import Path

import pytest

from jobs.recipes.named import recipe_of
from jobs.recipes.prompt_lengths import lengths_of
from jobs.recipes.prompts import checked_roots
from schemas.errors import InputError
from schemas.run import RunConfig
from stages.generate.diffusion import Diffusion

LONG = "a red knife and a green apple, " * 20


def facts(folder: Path, how: str = "truncate", **settings: object) -> RunConfig:
    table = folder / "prompts.csv"
    table.write_text(f'prompt\na red apple\n"{LONG}"\n"{LONG} a dog"\n')
    return RunConfig(out="unused", prompts=str(table), long_prompts=how, **settings)  # type: ignore[arg-type]


def test_long_prompts_are_counted_by_encoder_before_anything_is_drawn(tmp_path: Path) -> None:
    config = facts(tmp_path)
    recipe = recipe_of(config)
    found = lengths_of(config, recipe, checked_roots(config, recipe))
    assert (found.cut, found.figures()["text_encoder"]["longer"]) == (2, 2)
    assert found.figures()["text_encoder"] == {"limit": 77, "longer": 2, "longest": 164}
    assert "2 prompts are longer" in found.sentence("truncate") and "beginning only" in found.sentence("truncate")
    assert "encoded whole" in found.sentence("chunks")


def test_long_prompts_are_refused_by_row_or_left_out_and_counted(tmp_path: Path) -> None:
    config = facts(tmp_path, "refuse")
    with pytest.raises(InputError, match=r"prompts.csv, row 2: 162 tokens, and text_encoder reads 77"):
        list(checked_roots(config, recipe_of(config)))
    skipping = facts(tmp_path, "refuse", skip_bad_rows=True)
    items = checked_roots(skipping, recipe_of(skipping))
    assert [one.prompt for one in items] == ["a red apple"] and items.left_out == {"longer_than_encoders": 2}


def test_chunks_reach_what_draws_and_are_refused_where_nothing_encodes(tmp_path: Path) -> None:
    drawing = [stage for stage in recipe_of(facts(tmp_path, "chunks")).stages if isinstance(stage, Diffusion)]
    assert [stage.long_prompts for stage in drawing] == ["chunks"]
    with pytest.raises(InputError, match="--long-prompts"):
        recipe_of(facts(tmp_path, "chunks", recipe="render"))
    config = facts(tmp_path, recipe="render")
    assert not lengths_of(config, recipe_of(config), []).encoders
