"""Words written over a picture: CLIP reads them (typographic attacks, Goh et al. 2021)."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from schemas.errors import InputError
from schemas.sample import Pixels
from stages.attack.transform import Transform

WORDS = ("apple", "a nice tree", "fresh fruit", "good morning", "a happy day")


@dataclass(frozen=True, kw_only=True)
class Overlay(Transform):
    """One of `words`, by the sample's seed, on a strip along the upper or lower edge; `height` is a share of the picture's."""

    words: tuple[str, ...] = WORDS
    height: float = 0.18

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.words or not 0 < self.height <= 0.5:
            raise InputError(
                f"overlay: {len(self.words)} words, height {self.height}; expected some, and a share to 0.5"
            )

    def change(self, pixels: Pixels, seed: int) -> Pixels:
        """Black on white in Pillow's own font, so that no machine's fonts matter."""
        draw = np.random.default_rng(seed)
        words = self.words[int(draw.integers(len(self.words)))]
        height, width, _ = pixels.shape
        tall = max(8, round(height * self.height))
        top = 0 if draw.integers(2) else height - tall
        picture = Image.fromarray(pixels.copy())
        canvas = ImageDraw.Draw(picture)
        canvas.rectangle((0, top, width, top + tall), fill="white")
        font = ImageFont.load_default(size=max(6, round(tall * 0.8)))
        left = max(0, round((width - canvas.textlength(words, font=font)) / 2))
        canvas.text((left, top + tall / 2), words, fill="black", font=font, anchor="lm")
        return np.array(picture)
