"""8,000 pictures: modes × orientations × formats come back as they are seen, damaged ones as a reason, none as a fault."""

import io
import tarfile
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from classifiers.moderation.sources import source_of
from pipeline.storage.image_codec import PictureError, decode, frames

TOLERANCE = {"JPEG": 90, "AVIF": 90}  # levels of one pixel of noise; the mean is held to a tenth of it
MODES = {
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "TIFF": ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "F"],
    "JPEG": ["L", "RGB"],
    "WEBP": ["RGB", "RGBA"],
    "AVIF": ["RGB", "RGBA"],
    "BMP": ["1", "L", "P", "RGB"],
    "GIF": ["L", "P"],
}
SAVING: dict[str, dict[str, Any]] = {
    "WEBP": {"lossless": True, "exact": True},
    "JPEG": {"quality": 95, "subsampling": 0},
    "AVIF": {"quality": 95, "speed": 10, "subsampling": "4:4:4"},
}
TURNING = ("PNG", "TIFF", "JPEG", "WEBP", "AVIF")
CAMPAIGN = settings(max_examples=4000, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@st.composite
def pictures(draw: st.DrawFn) -> tuple[str, Image.Image, Image.Image, int]:
    """Format, what is saved, what is to be seen (RGB, before it is turned), and the orientation."""
    kind = draw(st.sampled_from(sorted(MODES)))
    mode = draw(st.sampled_from(MODES[kind]))
    width, height, seed = draw(st.integers(1, 24)), draw(st.integers(1, 24)), draw(st.integers(0, 2**16))
    small = np.random.default_rng(seed).integers(0, 256, (3, 3, 4), dtype=np.uint8)
    plain = Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR)
    if mode in ("I;16", "F"):
        grey = np.array(plain.convert("L"))
        saved = Image.fromarray(grey.astype(np.uint16) * 257 if mode == "I;16" else grey / np.float32(255))
        return kind, saved, Image.fromarray(grey).convert("RGB"), draw(st.integers(1, 8))
    saved = plain.convert("RGB").quantize(16) if mode == "P" else plain.convert(mode)
    white = Image.new("RGBA", saved.size, "white")
    white.alpha_composite(saved.convert("RGBA"))
    return kind, saved, white.convert("RGB"), draw(st.integers(1, 8))


def bytes_of(kind: str, picture: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    picture.save(buffer, kind, **SAVING.get(kind, {}), **({"exif": exif} if kind in TURNING else {}))
    return buffer.getvalue()


@pytest.mark.slow
@pytest.mark.timeout(600)
@CAMPAIGN
@given(pictures())
def test_what_was_saved_is_seen(case: tuple[str, Image.Image, Image.Image, int]) -> None:
    kind, saved, seen, orientation = case
    if kind in TURNING:
        exif = seen.getexif()
        exif[0x0112] = orientation
        seen = ImageOps.exif_transpose(seen)
    found = decode(bytes_of(kind, saved, orientation))
    wanted = np.asarray(seen)
    assert found.shape == wanted.shape
    off = np.abs(found.astype(int) - wanted)
    assert off.max() <= TOLERANCE.get(kind, 1) and off.mean() <= max(1, TOLERANCE.get(kind, 1) / 10)


@pytest.mark.slow
@pytest.mark.timeout(600)
@CAMPAIGN
@given(pictures(), st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=8), st.integers(1, 2**16))
def test_damage_is_a_reason_or_a_picture(
    case: tuple[str, Image.Image, Image.Image, int], edits: list[tuple[int, int]], cut: int
) -> None:
    kind, saved, _, orientation = case
    data = bytearray(bytes_of(kind, saved, orientation)[:cut])
    for place, value in edits:
        data[place % len(data)] = value
    try:
        assert all(frame.ndim == 3 and frame.dtype == np.uint8 for frame in frames(bytes(data)))
    except PictureError as error:
        assert 0 < len(str(error)) < 300 and "0x" not in str(error)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(CAMPAIGN, max_examples=200)
@given(
    st.lists(
        st.tuples(st.binary(min_size=1, max_size=12), st.sampled_from(["picture", "torn", "words", "apple"])),
        max_size=6,
    )
)
@example([(b"GIF87a", "picture")])  # the archive begins as a GIF does
def test_members_in_are_judged_unreadable_or_passed_over(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[bytes, str]]
) -> None:
    what = {
        "picture": bytes_of("PNG", Image.new("RGB", (4, 4)), 1),
        "torn": b"\xff\xd8\xff torn",
        "words": b"words",
        "apple": b"\0\5\x16\7",
    }
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name, kind in (*files, (b"z.png", "picture")):
            member = tarfile.TarInfo(name.replace(b"\0", b"0").decode("utf-8", "surrogateescape"))
            member.size = len(what[kind])
            tar.addfile(member, io.BytesIO(what[kind]))
    source = source_of(str(path))
    assert len(source.items) + len(source.passed) == len(files) + 1
    assert sum(item.problem is None for item in source.items) == 1 + sum(k in ("picture", "torn") for _, k in files)
    assert len({each.key for each in (*source.items, *source.passed)}) == len(files) + 1
