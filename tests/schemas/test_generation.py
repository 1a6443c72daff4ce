"""Settings and distributions are read as people write them, and what no generator could draw with is refused by name."""

import pytest

from schemas.distribution import Choice, Uniform, read_distribution
from schemas.errors import InputError
from schemas.generation import READ, GenerationSettings, read_settings, seed_in, settings_of
from schemas.run import RunConfig


def test_settings_of_a_row_come_back_out_of_their_json() -> None:
    asked = read_settings({"steps": "20.0", "size": "64x32", "lora": "a.safetensors:0.5; b.safetensors"})
    assert (asked.steps, asked.size) == (20, (64, 32))
    assert asked.loras == ("a.safetensors:0.5", "b.safetensors")
    assert settings_of(asked.to_json()) == asked
    assert GenerationSettings().to_json() is None and settings_of(None) == GenerationSettings()


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"steps": "many"}, "steps many: expected a whole number"),
        ({"steps": "0"}, "steps 0: a picture takes at least 1"),
        ({"guidance_scale": "nan"}, "guidance_scale nan: expected a number from 0"),
        ({"size": "large"}, "size large: expected WIDTHxHEIGHT"),
        ({"dtype": "int4"}, "dtype int4: expected one of"),
    ],
)
def test_a_setting_that_is_none_is_named(cells: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=f"^{said}"):
        read_settings(cells)


@pytest.mark.parametrize("text", ["-1", "1.5", str(2**63)])
def test_a_seed_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"^seed {text}: expected a whole number"):
        seed_in(text)


def test_distributions_are_read_and_cover_what_they_say() -> None:
    points = [index / 1000 for index in range(1000)]
    guidance = read_distribution("guidance_scale", "uniform(3, 9.5)", READ["guidance_scale"])
    drawn = [guidance.at(point) for point in points]
    assert guidance == Uniform(3.0, 9.5) and 3 <= min(drawn) < 3.1 and 9.4 < max(drawn) <= 9.5
    steps = read_distribution("steps", "uniform(2, 4)", READ["steps"])
    assert {steps.at(point) for point in points} == {2, 3, 4}
    sizes = read_distribution("size", "1024x768, 768x1024:2", READ["size"])
    assert sizes == Choice((((1024, 768), 1.0), ((768, 1024), 2.0)))
    assert abs([sizes.at(point) for point in points].count((768, 1024)) - 667) < 2
    assert read_distribution("size", "64", READ["size"]) == (64, 64)


@pytest.mark.parametrize("text", ["uniform(9, 3)", "3,,4", "3,3", "uniform(3)", "3:x,4"])
def test_a_distribution_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"uniform|guidance_scale"):
        read_distribution("guidance_scale", text, READ["guidance_scale"])


def test_flags_say_which_of_them_is_wrong() -> None:
    for wrong in ({"steps": "0"}, {"guidance_scale": "uniform(3, 200)"}, {"size": "large"}, {"dtype": "int4"}):
        (name,) = wrong
        config = RunConfig("x", **wrong)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=f"^--{name.replace('_', '-')} "):
            assert config.generation and config.varied
