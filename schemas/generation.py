"""The settings of generation that every user of diffusers knows: of a run, of a recipe's stage, or of one row."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Self

from schemas.errors import InputError

DTYPES = ("float32", "bfloat16", "float16")
ADDRESS = "openai:"
"""What the name of a generator behind an address begins with."""
WRITER = "chat:"
"""What the name of a language model behind an address begins with."""
ADDRESSES = (ADDRESS, WRITER)
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSettings:
    """None, or an empty tuple, leaves a setting to the recipe. `size` is (width, height) in pixels; `loras` are FILE[:WEIGHT].

    Raises InputError, which begins with the setting's name, for a value that no generator could draw with.
    """

    steps: int | None = None
    guidance_scale: float | None = None
    true_cfg_scale: float | None = None
    size: tuple[int, int] | None = None
    scheduler: str | None = None
    negative_prompt: str | None = None
    loras: tuple[str, ...] = ()
    dtype: str | None = None
    model: str | None = None  # of a run's several

    def __post_init__(self) -> None:
        if self.steps is not None and not 1 <= self.steps <= 10_000:
            raise InputError(f"steps {self.steps}: a picture takes at least 1, and at most 10,000")
        for name in ("guidance_scale", "true_cfg_scale"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 100:
                raise InputError(f"{name} {value}: expected a number from 0 to 100")
        if self.dtype is not None and self.dtype not in DTYPES:
            raise InputError(f"dtype {self.dtype}: expected one of {', '.join(DTYPES)}")
        for lora in self.loras:
            lora_and_weight(lora)

    def given(self) -> dict[str, Any]:
        """Those that are not left to the recipe."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) not in (None, ())}

    def over(self, others: Self) -> Self:
        """These settings, and where one is not given here that of `others`."""
        return replace(others, **self.given())

    def to_json(self) -> str | None:
        """Those that are given as one line of canonical JSON, None where there are none."""
        values = {name: value for name, value in asdict(self).items() if name in self.given()}
        return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":")) if values else None


@lru_cache(maxsize=4096)
def settings_of(text: str | None) -> GenerationSettings:
    """Inverse of `GenerationSettings.to_json`. Raises InputError for text that it did not write."""
    try:
        values = json.loads(text or "{}")
        lists = {name: tuple(values[name]) for name in ("size", "loras") if name in values}
        return GenerationSettings(**{**values, **lists})
    except (ValueError, TypeError) as error:
        raise InputError(f"settings {str(text)[:120]!r} are none that a generator knows ({error})") from error


def read_settings(cells: Mapping[str, str]) -> GenerationSettings:
    """Settings by name, as people write them: `lora` takes several files with `;` between. Raises InputError that names it."""
    known: dict[str, Any] = {}
    for name, text in cells.items():
        if name == "lora":
            known["loras"] = tuple(filter(None, (one.strip() for one in text.split(";"))))
        else:
            known[name] = READ[name](text)
    return GenerationSettings(**known)


def whole(name: str, text: str) -> int:
    """A whole number. Raises InputError."""
    number = text.strip().removesuffix(".0")  # tables of numbers with holes hold them as floats
    if not re.fullmatch(r"\d{1,19}", number):
        raise InputError(f"{name} {text[:40]}: expected a whole number")
    return int(number)


def seed_in(text: str) -> int:
    """A picture's seed, in [0, 2^63). Raises InputError."""
    seed = whole("seed", text)
    if seed > LARGEST_SEED:
        raise InputError(f"seed {text[:40]}: expected a whole number from 0 to 2^63 - 1")
    return seed


def number(name: str, text: str) -> float:
    """A number. Raises InputError."""
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{name} {text[:40]}: expected a number") from None


def size_of(text: str) -> tuple[int, int]:
    """`1024x768` or `512` as (width, height). Raises InputError."""
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text.strip())
    if match is None:
        raise InputError(f"size {text[:40]}: expected WIDTHxHEIGHT in pixels, such as 1024x768, or one side")
    return int(match[1]), int(match[2] or match[1])


READ: dict[str, Any] = {
    "steps": lambda text: whole("steps", text),
    "guidance_scale": lambda text: number("guidance_scale", text),
    "true_cfg_scale": lambda text: number("true_cfg_scale", text),
    "size": size_of,
    "scheduler": str,
    "negative_prompt": str,
    "dtype": str,
}
"""How each setting is read out of a text."""
COLUMNS = ("steps", "guidance_scale", "true_cfg_scale", "size", "scheduler", "negative_prompt", "lora", "dtype")
"""Columns of a prompt file that set those of their rows."""


def lora_and_weight(text: str) -> tuple[str, float]:
    """`FILE:0.8` as the file and its weight, 1 unless given. Raises InputError for a weight beyond ±10."""
    file, colon, weight = text.rpartition(":")
    if not colon or not re.fullmatch(r"-?\d+(\.\d+)?", weight):
        return text, 1.0
    if abs(float(weight)) > 10:
        raise InputError(f"lora {text}: a weight of {weight} is beyond 10")
    return file, float(weight)
