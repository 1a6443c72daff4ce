"""The settings of generation that every user of diffusers knows, as a run asks for them."""

import re
from dataclasses import dataclass

from schemas.errors import InputError

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationSettings:
    """None, or an empty tuple, leaves a setting to the recipe. `size` is (width, height) in pixels; `loras` are FILE[:WEIGHT].

    Raises InputError for a value that no generator could draw with.
    """

    steps: int | None = None
    guidance_scale: float | None = None
    true_cfg_scale: float | None = None
    size: tuple[int, int] | None = None
    scheduler: str | None = None
    negative_prompt: str | None = None
    loras: tuple[str, ...] = ()
    dtype: str | None = None

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise InputError(f"--steps {self.steps}: a picture takes at least 1")
        for name in ("guidance_scale", "true_cfg_scale"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 100:
                raise InputError(f"--{name.replace('_', '-')} {value}: expected a number from 0 to 100")
        if self.dtype is not None and self.dtype not in DTYPES:
            raise InputError(f"--dtype {self.dtype}: expected one of {', '.join(DTYPES)}")
        for lora in self.loras:
            lora_and_weight(lora)

    def given(self) -> dict[str, object]:
        """Those that are not left to the recipe."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) not in (None, ())}


def size_of(text: str) -> tuple[int, int]:
    """`1024x768` or `512` as (width, height). Raises InputError."""
    found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    if found is None:
        raise InputError(f"--size {text}: expected WIDTHxHEIGHT in pixels, such as 1024x768, or one side")
    return int(found[1]), int(found[2] or found[1])


def lora_and_weight(text: str) -> tuple[str, float]:
    """`FILE:0.8` as the file and its weight, 1 unless given. Raises InputError for a weight beyond ±10."""
    file, colon, weight = text.rpartition(":")
    if not colon or not re.fullmatch(r"-?\d+(\.\d+)?", weight):
        return text, 1.0
    if abs(float(weight)) > 10:
        raise InputError(f"--lora {text}: a weight of {weight} is beyond 10")
    return file, float(weight)
