"""Build the two picture atlases from the vendors' npm packages: `python -m stages.world.fetch` (`make world-data`).

The packages go to a cache that git ignores; only the sprites of the vocabulary are kept, as one RGBA PNG a vendor. The
same packages give the same bytes. Archives are read in place: nothing is unpacked by a path that they name.
"""

import argparse
import io
import json
import subprocess
import tarfile
from pathlib import Path

from PIL import Image

from pipeline.storage.image_codec import open_sprites
from stages.world.draw import COLUMNS, SIDE
from stages.world.vocabulary import ASSETS, VOCABULARY

CACHE = ASSETS.parents[1] / ".cache" / "world"
VERSION = "16.0.0"
PACKAGES = {  # vendor: npm package, folder of its 64-px pictures
    "noto": ("emoji-datasource-google", "img/google/64"),
    "twemoji": ("emoji-datasource-twitter", "img/twitter/64"),
}


def pack(package: str, cache: Path) -> Path:
    """`npm pack` once; returns the archive."""
    archive = cache / f"{package}-{VERSION}.tgz"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", "--silent", f"{package}@{VERSION}", "--pack-destination", str(cache)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return archive


def pictures_in(archive: Path, folder: str) -> dict[str, Image.Image]:
    """Concept name -> its 64x64 RGBA picture, read from the archive's members by exact name."""
    wanted = {f"package/{folder}/{c.codepoint}.png": c.name for c in VOCABULARY}
    pictures: dict[str, Image.Image] = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            name = wanted.get(member.name)
            handle = tar.extractfile(member) if name is not None and member.isfile() else None
            if name is not None and handle is not None:
                pictures[name] = open_sprites(io.BytesIO(handle.read()))
    missing = sorted(set(wanted.values()) - pictures.keys())
    if missing:
        raise ValueError(f"{archive.name}: no pictures in {folder} for {missing}; mend assets/world/concepts.tsv")
    return pictures


def sheet_of(pictures: dict[str, Image.Image]) -> Image.Image:
    """One RGBA sheet in the vocabulary's order, `COLUMNS` sprites a row."""
    rows = -(-len(VOCABULARY) // COLUMNS)
    sheet = Image.new("RGBA", (COLUMNS * SIDE, rows * SIDE))
    for i, concept in enumerate(VOCABULARY):
        sprite = pictures[concept.name]
        sheet.paste(sprite.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (i % COLUMNS * SIDE, i // COLUMNS * SIDE))
    return sheet


def build(cache: Path = CACHE, out: Path = ASSETS / "pictures") -> None:
    out.mkdir(parents=True, exist_ok=True)
    for vendor, (package, folder) in PACKAGES.items():
        sheet_of(pictures_in(pack(package, cache), folder)).save(out / f"{vendor}.png", optimize=True)
    order = json.dumps([c.name for c in VOCABULARY], indent=0)
    (out / "order.json").write_text(order + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="fetch the pictogram packages and build both atlases")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the packages are kept")
    build(parser.parse_args().cache)
