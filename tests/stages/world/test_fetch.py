"""Building an atlas from a package: the same bytes again, and no trust in what the archive names."""

import io
import tarfile
from pathlib import Path

import pytest

from stages.world.draw import Pictures
from stages.world.fetch import PACKAGES, VERSION, build, pictures_in
from stages.world.vocabulary import ASSETS, VOCABULARY


def package(cache: Path, vendor: str, *, without: str = "") -> Path:
    """An archive as the registry's, from the committed sprites, with hostile members beside them."""
    name, folder = PACKAGES[vendor]
    sprites = Pictures.load(vendor).sprites
    archive = cache / f"{name}-{VERSION}.tgz"
    with tarfile.open(archive, "w:gz") as tar:

        def add(path: str, data: bytes) -> None:
            member = tarfile.TarInfo(path)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))

        add("../../outside.png", b"not a picture")
        link = tarfile.TarInfo(f"package/{folder}/{VOCABULARY[0].codepoint}.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
        for concept in VOCABULARY:
            if concept.name != without:
                buffer = io.BytesIO()
                sprites[concept.name].save(buffer, "PNG")
                add(f"package/{folder}/{concept.codepoint}.png", buffer.getvalue())
    return archive


def test_atlases_are_built_to_the_committed_bytes_and_nothing_is_unpacked(tmp_path: Path) -> None:
    cache, out = tmp_path / "cache", tmp_path / "out"
    cache.mkdir()
    for vendor in PACKAGES:
        package(cache, vendor)
    build(cache, out)
    for name in ("noto.png", "twemoji.png", "order.json"):
        assert (out / name).read_bytes() == (ASSETS / "pictures" / name).read_bytes()
    assert sorted(p.name for p in tmp_path.rglob("*.*")) == sorted(
        [*(p.name for p in cache.iterdir()), "noto.png", "order.json", "twemoji.png"]
    )


def test_package_without_a_picture_is_refused_by_name(tmp_path: Path) -> None:
    archive = package(tmp_path, "noto", without="apple")
    with pytest.raises(ValueError, match="apple"):
        pictures_in(archive, PACKAGES["noto"][1])
