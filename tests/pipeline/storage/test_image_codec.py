"""One decoder: every mode, orientation, profile and frame comes out as people see it, or with the reason why not."""

import io
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin

from pipeline.storage import image_codec
from pipeline.storage.image_codec import PictureError, blurred, decode, encode, format_of, frames
from schemas.sample import Pixels

CASES = Path(__file__).parents[2] / "data" / "cases"
ORIENTATION = 0x0112


def case(name: str) -> bytes:
    return (CASES / name).read_bytes()


def saved(picture: Image.Image, kind: str, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **settings)
    return buffer.getvalue()


def scene(width: int = 40, height: int = 24, seed: int = 0) -> Pixels:
    """Smooth, in colour, and another one after every turn and flip."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (3, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def off(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> int:
    """The largest difference in levels; 256 for other shapes."""
    return 256 if first.shape != second.shape else int(np.abs(first.astype(int) - second.astype(int)).max())


def grey(pixels: Pixels) -> Pixels:
    return np.array(Image.fromarray(pixels).convert("L"))


def test_the_case_of_an_orientation_is_the_upright_picture() -> None:
    tagged, upright = (decode(case(f"exif_orientation/{name}/4730fa88.jpg")) for name in ("tagged", "upright"))
    difference = np.abs(tagged.astype(int) - upright)
    assert tagged.shape == upright.shape and difference.mean() < 2, "two JPEGs of one picture"


def test_the_case_of_16_bits_is_the_8_bit_picture() -> None:
    assert off(decode(case("png_16bit/12255f39_16bit.png")), decode(case("png_16bit/12255f39_8bit.png"))) == 0


def test_the_case_of_an_animation_gives_both_frames() -> None:
    good, bad = frames(case("animated/anim.webp"))
    for found, name in ((good, "good"), (bad, "bad")):
        assert np.abs(found.astype(int) - decode(case(f"animated/{name}.png"))).mean() < 8, name
    with pytest.raises(PictureError, match="2 frames, and one is expected"):
        decode(case("animated/anim.webp"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_every_orientation_of_every_format_is_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}, "AVIF": {"quality": 95}}
    data = saved(Image.fromarray(scene()), kind, exif=exif, **lossless.get(kind, {}))
    with Image.open(io.BytesIO(data)) as picture:  # an own implementation: Pillow's
        wanted = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    assert off(decode(data), wanted) == 0
    plain = ImageOps.exif_transpose(Image.fromarray(scene()), in_place=False)
    assert orientation != 1 or off(decode(data), np.asarray(plain)) < 24
    assert decode(data).shape[:2] == ((40, 24) if orientation > 4 else (24, 40))


def test_a_damaged_orientation_is_passed_over_as_viewers_do() -> None:
    data = saved(Image.fromarray(scene()), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7fnonsense")
    assert decode(data).shape == (24, 40, 3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mode", ["I;16 PNG", "I;16 TIFF", "I;16B TIFF", "I 0-255", "I 0-65535", "F 0-1", "F 0-255"])
def test_deep_greys_are_their_8_bit_pictures(mode: str, seed: int) -> None:
    plain = grey(scene(seed=seed))
    plain[0, 0], plain[0, 1] = 0, 255
    values: npt.NDArray[Any] = {
        "I;16 PNG": plain.astype(np.uint16) * 257,
        "I;16 TIFF": plain.astype(np.uint16) * 257,
        "I;16B TIFF": (plain.astype(np.uint16) * 257).astype(">u2"),
        "I 0-255": plain.astype(np.int32),
        "I 0-65535": plain.astype(np.int32) * 257,
        "F 0-1": plain.astype(np.float32) / 255,
        "F 0-255": plain.astype(np.float32),
    }[mode]
    data = saved(Image.fromarray(values), "PNG" if mode.endswith("PNG") else "TIFF")
    assert off(decode(data), np.repeat(plain[..., None], 3, axis=2)) == 0


def test_measurements_are_stretched_and_what_is_not_finite_is_refused() -> None:
    ramp = np.linspace(-4e5, 9e5, 64, dtype=np.float32).reshape(8, 8)
    found = decode(saved(Image.fromarray(ramp), "TIFF"))[..., 0]
    assert found[0, 0] == 0 and found[-1, -1] == 255 and (np.diff(found.ravel().astype(int)) >= 0).all()
    ramp[3, 3] = np.nan
    with pytest.raises(PictureError, match="no finite numbers"):
        decode(saved(Image.fromarray(ramp), "TIFF"))


def test_16_bit_tiff_whose_white_is_zero_is_turned() -> None:
    plain = grey(scene())
    info = TiffImagePlugin.ImageFileDirectory_v2()
    data = bytearray(saved(Image.fromarray(plain.astype(np.uint16) * 257), "TIFF", tiffinfo=info))
    entry = struct.pack("<HHI", 262, 3, 1)  # PhotometricInterpretation, one SHORT
    at = data.index(entry) + len(entry)
    assert data[at] == 1
    data[at] = 0
    assert off(decode(bytes(data))[..., 0], 255 - plain) == 0


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "TIFF"])
def test_what_is_clear_is_white(kind: str) -> None:
    picture = Image.fromarray(scene()).convert("RGBA")
    picture.paste((255, 0, 0, 0), (0, 0, 20, 24))
    data = saved(picture, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    assert (decode(data)[:, :20] == 255).all() and not (decode(data)[:, 20:] == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_palettes_and_small_modes_keep_their_colours(mode: str) -> None:
    source = Image.fromarray(scene())
    picture = source.quantize(16) if mode == "P" else source.convert(mode)
    assert off(decode(saved(picture, "PNG")), np.asarray(picture.convert("RGB"))) == 0


def test_a_level_that_is_clear_is_white_in_8_and_16_bits() -> None:
    plain = grey(scene())
    plain[:5] = 7
    for picture, level in ((Image.fromarray(plain), 7), (Image.fromarray(plain.astype(np.uint16) * 257), 7 * 257)):
        found = decode(saved(picture, "PNG", transparency=level))
        assert (found[:5] == 255).all(), picture.mode


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_what_pillow_makes_of_it(kind: str) -> None:
    picture = Image.fromarray(scene()).convert("CMYK")
    data = saved(picture, kind, **({"quality": 95} if kind == "JPEG" else {}))
    assert np.abs(decode(data).astype(int) - scene()).mean() < 6


def test_a_profile_is_brought_to_srgb() -> None:
    """A profile that swaps nothing keeps colours; one of linear light brightens them, as little CMS says."""
    plain = Image.fromarray(scene())
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert off(decode(saved(plain, "PNG", icc_profile=srgb)), scene()) <= 1
    wide = linear_profile()
    wanted = ImageCms.profileToProfile(
        plain, ImageCms.ImageCmsProfile(io.BytesIO(wide)), ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert wanted is not None and off(np.asarray(wanted), scene()) > 40, "the profile matters"
    for kind in ("PNG", "TIFF", "WEBP"):
        data = saved(plain, kind, icc_profile=wide, **({"lossless": True} if kind == "WEBP" else {}))
        assert off(decode(data), np.asarray(wanted)) == 0, kind


def linear_profile() -> bytes:
    """sRGB's primaries with a curve of gamma 1: little CMS's sRGB, its three curves replaced."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for number in range(struct.unpack(">I", data[128:132])[0]):
        name, offset, _ = struct.unpack(">4sII", data[132 + 12 * number : 144 + 12 * number])
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            data[offset : offset + 12] = b"curv\0\0\0\0\0\0\0\0"  # of no points: the identity
    return bytes(data)


@pytest.mark.parametrize("profile", [b"no profile", b"\0" * 128, b"\xff" * 500])
def test_a_damaged_profile_is_passed_over(profile: bytes) -> None:
    assert off(decode(saved(Image.fromarray(scene()), "PNG", icc_profile=profile)), scene()) == 0


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_every_frame_is_there(kind: str) -> None:
    shown = [Image.fromarray(np.full((16, 24, 3), level, dtype=np.uint8)) for level in (0, 120, 255, 60)]
    more = {"duration": 80} if kind != "TIFF" else {}
    lossless = {"lossless": True} if kind == "WEBP" else {}
    data = saved(shown[0], kind, save_all=True, append_images=shown[1:], **more, **lossless)
    found = list(frames(data))
    assert [int(frame.mean().round()) for frame in found] == pytest.approx([0, 120, 255, 60], abs=2)
    with pytest.raises(PictureError, match="4 frames"):
        decode(data)


def test_a_picture_of_several_in_a_jpeg_gives_all_and_its_first_is_the_photograph() -> None:
    shown = [Image.fromarray(np.full((16, 24, 3), level, dtype=np.uint8)) for level in (40, 200)]
    data = saved(shown[0], "MPO", save_all=True, append_images=shown[1:])
    assert [int(frame.mean()) for frame in frames(data)] == [40, 200] and int(decode(data).mean()) == 40


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "JPEG2000"])
def test_each_format_is_told_by_its_first_bytes_and_read_whatever_its_name(kind: str) -> None:
    data = saved(Image.fromarray(scene()), kind)
    assert format_of(data[: image_codec.PREFIX]) == kind
    assert np.abs(decode(data).astype(int) - scene()).mean() < 20


def test_stored_pictures_decode_as_they_always_did() -> None:
    """The line that decoded them before there was one codec is kept here."""
    for seed in range(5):
        for kind, name in (("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP")):
            data = encode(scene(67, 43, seed), kind)
            with Image.open(io.BytesIO(data), formats=[name]) as picture:
                assert off(decode(data, kind), np.asarray(picture.convert("RGB"), dtype=np.uint8)) == 0
    with pytest.raises(PictureError, match="no JPEG picture"):
        decode(encode(scene(), "png"), "jpg")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"GIF89a", "damaged"),
        (b"\xff\xd8\xff\xe0 no picture", "damaged"),
        (b"just words", "no PNG, JPEG, WEBP, AVIF, GIF, TIFF, BMP or JPEG2000 picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40, "pillow-heif|damaged"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no PNG"),
    ],
)
def test_what_is_no_picture_has_a_reason(data: bytes, said: str) -> None:
    for read in (decode, lambda data: list(frames(data))):
        with pytest.raises(PictureError, match=said) as caught:
            read(data)
        assert "0x" not in str(caught.value) and len(str(caught.value)) < 300


def test_pixels_frames_and_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    still, moving = saved(Image.fromarray(scene()), "PNG"), case("animated/anim.webp")
    for name, limit, data, said in (
        ("MAX_PIXELS", 100, still, "resize it first"),
        ("MAX_FRAMES", 1, moving, "at most 1 frames"),
        ("MAX_FRAME_PIXELS", 5000, moving, "5000 pixels in all"),
        ("MAX_BYTES", 50, still, "more than 50"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(image_codec, name, limit)
            with pytest.raises(PictureError, match=said):
                list(frames(data))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
def test_every_damage_is_a_picture_error_or_a_picture(kind: str) -> None:
    data, rng = saved(Image.fromarray(scene()), kind), random.Random(kind)
    for _ in range(60):
        torn = bytearray(data[: rng.randrange(1, len(data) + 1)])
        for _ in range(rng.randrange(4)):
            torn[rng.randrange(len(torn))] = rng.randrange(256)
        try:
            found = list(frames(bytes(torn)))
        except PictureError:
            continue
        assert all(frame.dtype == np.uint8 and frame.shape[2] == 3 for frame in found)


def test_heic_is_read_where_its_package_is() -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    data = saved(Image.fromarray(scene(64, 64)), "HEIF", quality=95)
    assert format_of(data[: image_codec.PREFIX]) == "HEIF"
    assert np.abs(decode(data).astype(int) - scene(64, 64)).mean() < 6


def test_blurred_has_no_edges() -> None:
    halves = np.zeros((64, 64, 3), dtype=np.uint8)
    halves[:, 32:] = 255
    assert np.abs(np.diff(blurred(halves).astype(int), axis=1)).max() < 32
