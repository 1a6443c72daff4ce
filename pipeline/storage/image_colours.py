"""A decoded picture as people see it on a screen: upright, in sRGB, 8 bits, transparency on white."""

import io
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from schemas.sample import Pixels

ORIENTATION = 0x0112  # of EXIF and TIFF
BITS, PHOTOMETRIC = 258, 262  # of TIFF
TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of each orientation upright (EXIF 2.32, 4.6.4)."""


def as_seen(picture: Image.Image) -> Pixels:
    """The current frame, uint8 [height, width, 3]. Raises what Pillow's decoders raise."""
    picture.load()
    turn = TURNED.get(_orientation(picture))
    if picture.mode == "RGB" and not picture.has_transparency_data and not picture.info.get("icc_profile"):
        return np.array(picture if turn is None else picture.transpose(turn), dtype=np.uint8)
    colour, alpha = _in_srgb(picture)
    if alpha is not None:
        colour.putalpha(alpha)
        colour = Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour).convert("RGB")
    return np.array(colour if turn is None else colour.transpose(turn), dtype=np.uint8)


def _orientation(picture: Image.Image) -> int:
    """1 to 8; 1 where the EXIF data is damaged, as viewers take it: the pixels are whole."""
    try:
        return int(picture.getexif().get(ORIENTATION, 1))
    except Exception:  # Pillow's reader raises a dozen kinds on damaged EXIF data
        return 1


def _in_srgb(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """RGB, and how opaque each pixel is (L) where any may not be."""
    profile, alpha = picture.info.get("icc_profile"), None
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        picture, alpha = _grey_levels(picture)
    elif picture.has_transparency_data:
        alpha = picture.convert("RGBA").getchannel("A")
        grey = picture.mode in ("L", "LA", "La", "1")
        picture = picture.convert("LA" if picture.mode == "La" else "RGBA").convert("L" if grey else "RGB")
    if picture.mode not in ("RGB", "L", "CMYK", "LAB"):
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    if picture.mode == "LAB" or profile:
        picture = _by_profile(picture, profile)
    return picture.convert("RGB"), alpha


def _by_profile(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """In sRGB. A profile that is damaged, or of another kind of picture, is passed over, as viewers do."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else ImageCms.createProfile("LAB")
        converted = ImageCms.profileToProfile(picture, source, _srgb(), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        if picture.mode != "LAB":
            return picture
        if profile is None:
            raise
        return _by_profile(picture, None)
    assert converted is not None
    return converted


@cache
def _srgb() -> Any:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _grey_levels(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """16-bit, 32-bit and float grey as L, and how opaque it is where one level is said to be clear."""
    values = np.asarray(picture)
    tags: Any = getattr(picture, "tag_v2", {})
    bits = int(tags.get(BITS, (16,))[0])
    black, white = (0.0, 2.0 ** min(bits, 16) - 1) if picture.mode.startswith("I;16") else _range(values)
    grey = _scaled(values, black, white)
    if tags.get(PHOTOMETRIC) == 0:  # white is zero; Pillow turns 8-bit pictures alone
        grey = 255 - grey
    clear = picture.info.get("transparency")
    alpha = Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)) if isinstance(clear, int) else None
    return Image.fromarray(grey), alpha


def _range(values: npt.NDArray[Any]) -> tuple[float, float]:
    """Black and white of numbers that come without them: 0 and the least of 1, 255 and 65,535 that holds all; else their own
    least and largest, as viewers of measurements do. Raises ValueError for NaN and infinities.
    """
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("some of its pixels are no finite numbers")
    white = next((top for top in (1.0, 255.0, 65535.0) if high <= top), None)
    return (low, high) if low < 0 or white is None else (0.0, white)


def _scaled(values: npt.NDArray[Any], black: float, white: float) -> Pixels:
    share = (values.astype(np.float32) - np.float32(black)) / np.float32(max(white - black, 1e-12))
    levels: Pixels = (share.clip(0, 1) * 255).round().astype(np.uint8)
    return levels
