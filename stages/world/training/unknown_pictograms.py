"""Pictograms that are no concept of the world: what the tagger must call `none`.

`python -m stages.world.training.unknown_pictograms` builds their atlas from the package of `make world-data`. `HELD_OUT` of
them are only seen by the bench. With 144 to train on, 73 % of those held out were called `none`; hence as many as there are.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from functools import lru_cache
from typing import Any

from PIL import Image

from pipeline.storage.image_codec import open_sprites
from stages.world.draw import COLUMNS, SIDE, Pictures
from stages.world.fetch import CACHE, PACKAGES, pack
from stages.world.vocabulary import ASSETS, VOCABULARY

ATLAS = ASSETS / "pictures" / "unknown.png"
SPREAD = 192  # the first sprites, spread evenly over the package; every fourth is held out
COUNT = 432  # the rest fill up, for training
HELD_OUT = range(3, SPREAD, 4)
_GROUPS = ("Animals & Nature", "Food & Drink", "Objects", "Travel & Places", "Activities", "Symbols")
# Look-alikes of concepts under names that share no word with them.
_ALIKE = re.compile(
    "heart|love|face|moon|skull|person|man|woman|hand|ball|letter|mail|train|bus|car|auto|truck|house|home|cat|dog|tiger"
    "|rose|flower|tree|clock|money|dollar|yen|euro|pound|arrow|button|square|sign|input|medal|star|sun|sword|dagger|gun"
    "|capital|virus|drop|phone|camera|video|moai|fish|monkey|evil|cell|medical|building|button|keycap|circle"
)


def _chosen(table: list[dict[str, Any]]) -> list[str]:
    """File stems of unknown pictograms, spread evenly over the package's order."""
    words = {word for concept in VOCABULARY for word in (*concept.words, concept.name)}
    known = {concept.codepoint for concept in VOCABULARY}
    stems = []
    for row in sorted(table, key=lambda row: int(row["sort_order"])):
        named = set(re.findall("[a-z]+", f"{row['name']} {row['short_name']}".lower()))
        stem = row["image"].removesuffix(".png")
        drawn = row["category"] in _GROUPS and row["has_img_google"]
        if drawn and stem not in known and not named & words and not any(_ALIKE.fullmatch(word) for word in named):
            stems.append(stem)
    spread = [stems[i * len(stems) // SPREAD] for i in range(SPREAD)]
    rest = [stem for stem in stems if stem not in spread]
    return spread + [rest[i * len(rest) // (COUNT - SPREAD)] for i in range(COUNT - SPREAD)]


def build() -> None:
    """Store the atlas: `COUNT` sprites of 64 px, `COLUMNS` a row."""
    package, folder = PACKAGES["noto"]
    with tarfile.open(pack(package, CACHE), "r:gz") as tar:
        files = {m.name: m for m in tar.getmembers()}
        table = tar.extractfile(files["package/emoji.json"])
        if table is None:
            raise ValueError(f"{package} has no emoji.json: `make world-data` fetches it anew after deleting {CACHE}")
        sheet = Image.new("RGBA", (COLUMNS * SIDE, -(-COUNT // COLUMNS) * SIDE))
        for i, stem in enumerate(_chosen(json.load(table))):
            handle = tar.extractfile(files[f"package/{folder}/{stem}.png"])
            if handle is None:
                raise ValueError(f"{package} has no picture {stem}.png")
            sprite = open_sprites(io.BytesIO(handle.read())).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            sheet.paste(sprite, (i % COLUMNS * SIDE, i // COLUMNS * SIDE))
    sheet.save(ATLAS, optimize=True)


@lru_cache(maxsize=1)
def unknown_pictures() -> Pictures:
    """Sprites named `unknown-0` … `unknown-431`."""
    sheet = open_sprites(ATLAS)
    cells = [(i % COLUMNS * SIDE, i // COLUMNS * SIDE) for i in range(COUNT)]
    return Pictures(
        "unknown", {f"unknown-{i}": sheet.crop((x, y, x + SIDE, y + SIDE)) for i, (x, y) in enumerate(cells)}
    )


def names(*, held_out: bool) -> list[str]:
    """The unknown pictograms of training, or those that only the bench sees."""
    return [f"unknown-{i}" for i in range(COUNT) if (i in HELD_OUT) == held_out]


if __name__ == "__main__":
    build()
