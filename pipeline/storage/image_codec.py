"""Picture files to pixels and back: the only door. Whoever decodes a picture anywhere in Hazmat decodes it here."""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter, UnidentifiedImageError

from pipeline.storage.image_colours import as_seen
from schemas.sample import Pixels

SETTINGS: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG", "compress_level": 6},
    "jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "webp": {"format": "WEBP", "quality": 90, "method": 4},
}
"""The kinds that a run stores its pictures as, and how."""

HEIF = "HEIF"


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """A format that is read, by Pillow's name: what its files are usually called, and how they begin; `format_of` has the rules for
    formats that have no one beginning. What a file holds is told by its first bytes, not by its name.
    """

    name: str
    suffixes: tuple[str, ...]
    beginnings: tuple[bytes, ...] = ()


READ = (
    PictureFormat("PNG", (".png", ".apng"), (b"\x89PNG\r\n\x1a\n",)),
    PictureFormat("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".jif"), (b"\xff\xd8\xff",)),
    PictureFormat("WEBP", (".webp",)),
    PictureFormat("AVIF", (".avif", ".avifs")),
    PictureFormat("GIF", (".gif",), (b"GIF87a", b"GIF89a")),
    PictureFormat("TIFF", (".tif", ".tiff"), (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    PictureFormat("BMP", (".bmp", ".dib")),
    PictureFormat("JPEG2000", (".jp2", ".jpx", ".j2k"), (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")),
    PictureFormat(HEIF, (".heic", ".heif", ".hif")),  # where the package pillow-heif is installed
)
"""What is read; a further format is a line here."""
FORMATS = tuple(one.name for one in READ if one.name != HEIF)
SUFFIXES = tuple(suffix for one in READ for suffix in one.suffixes)

MAX_PIXELS = 2**26  # an 8192 x 8192 picture; more in one file is an attack on memory, not a sample
MAX_FRAMES = 2048
MAX_FRAME_PIXELS = 2**29  # of all frames of one file: some ten seconds of decoding
MAX_BYTES = 2**29  # of one file: the largest TIFF of 32-bit floats fits
BLUR = 0.1  # of the picture's longer side: colours stay, what is shown goes
PREFIX = 32  # bytes that `format_of` looks at
LONGEST_REASON = 200  # characters

warnings.filterwarnings("ignore", module=r"PIL\.")  # what cannot be read is an error here, what can be needs no warning


class PictureError(ValueError):
    """A picture cannot be read; the message is the reason, for people."""


def encode(pixels: Pixels, kind: str) -> bytes:
    """uint8 [height, width, 3] as the bytes of a picture file; the same pixels give the same bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, **SETTINGS[kind])
    return buffer.getvalue()


def decode(data: bytes, kind: str | None = None) -> Pixels:
    """A still picture as people see it, uint8 [height, width, 3]; `kind` is what the file has to be, where that is known.

    Raises PictureError for what cannot be read, is too large or of another format, and for an animation: which of its frames
    is meant nobody said (`frames` gives all).
    """
    with _opened(data, kind) as picture:
        count = _count(picture)
        if count > 1 and picture.format != "MPO":  # the first picture of an MPO is the photograph
            raise PictureError(f"the picture has {count} frames, and one is expected; give each as a file of its own")
        return as_seen(picture)


def frames(source: bytes | Image.Image) -> Iterator[Pixels]:
    """Every frame or page of a picture (a file's bytes, or opened) as people see it, uint8 [height, width, 3], one after another.

    GIF, APNG, WebP and AVIF: as composed on screen. TIFF: pages. HEIF and JPEG (MPO): the pictures within. Raises PictureError,
    also after some frames: what follows cannot be read.
    """
    with _opened(source, None) as picture:
        count = _count(picture)
        if count > MAX_FRAMES or count * picture.width * picture.height > MAX_FRAME_PIXELS:
            raise PictureError(
                f"the picture has {count} frames of {picture.width} x {picture.height} pixels; read are at most "
                f"{MAX_FRAMES} frames and {MAX_FRAME_PIXELS} pixels in all"
            )
        for number in range(count):
            if count > 1:
                picture.seek(number)
                _bounded(picture)
            yield as_seen(picture)


PNG_HEAD = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


def extent(data: bytes) -> tuple[int, int, int]:
    """Width, height and number of frames, of a file whose pixels are not decoded. Raises PictureError.

    Of an ordinary PNG they stand in its first bytes; one that could say something else further on is opened.
    """
    if data.startswith(PNG_HEAD) and len(data) > 24 and data.count(b"IHDR") == 1 and b"acTL" not in data:
        width, height = struct.unpack(">II", data[16:24])
        if 0 < width * height <= MAX_FRAME_PIXELS:
            return width, height, 1
    with _opened(data, None) as picture:
        return picture.width, picture.height, _count(picture)


def format_of(prefix: bytes) -> str | None:
    """The format, of `READ`, of a file that begins so (`PREFIX` bytes); None for what is no such picture."""
    for one in READ:
        if prefix.startswith(one.beginnings):
            return one.name
    if prefix[:4] == b"RIFF" and prefix[8:12] == b"WEBP":
        return "WEBP"
    if prefix[:2] == b"BM" and int.from_bytes(prefix[14:18], "little") in BMP_HEADERS:
        return "BMP"
    if prefix[4:8] == b"ftyp":
        brands = {prefix[at : at + 4] for at in (8, *range(16, PREFIX, 4))}
        return "AVIF" if brands & {b"avif", b"avis"} else HEIF if brands & HEIF_BRANDS else None
    return None


BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})  # bytes; "BM" alone also begins words
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})


def blurred(pixels: Pixels) -> Pixels:
    """uint8 [height, width, 3] in which nothing can be made out."""
    radius = max(pixels.shape[:2]) * BLUR
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def open_sprites(file: Path | io.BytesIO) -> Image.Image:
    """A committed sheet of pictograms, or one of a vendor's, with its transparency: RGBA."""
    with Image.open(file, formats=["PNG"]) as sheet:
        return sheet.convert("RGBA")


@contextmanager
def _opened(data: bytes | Image.Image, kind: str | None) -> Iterator[Image.Image]:
    """The picture, its header read; whatever a decoder raises within is a PictureError."""
    try:
        if isinstance(data, Image.Image):
            _bounded(data)
            yield data
            return
        if len(data) > MAX_BYTES:
            raise PictureError(f"the file has {len(data)} bytes, more than {MAX_BYTES}")
        formats = [SETTINGS[kind]["format"]] if kind else list(_readable())
        with Image.open(io.BytesIO(data), formats=formats) as picture:
            _bounded(picture)
            yield picture
    except (PictureError, MemoryError):
        raise
    except UnidentifiedImageError:  # Pillow's own words name an address in memory
        assert isinstance(data, bytes)
        raise PictureError(_unidentified(data, kind)) from None
    except Exception as error:  # on damaged bytes decoders raise two dozen kinds, which all mean the same
        reason = f"{error}" or type(error).__name__
        raise PictureError(f"the picture is damaged ({reason[:LONGEST_REASON]})") from error


def _unidentified(data: bytes, kind: str | None) -> str:
    if not data:
        return "the file is empty"
    format_ = format_of(data[:PREFIX])
    if kind is None and format_ == HEIF and HEIF not in _readable():
        return "the file is a HEIC/HEIF picture, which need the package pillow-heif: pip install pillow-heif"
    wanted = SETTINGS[kind]["format"] if kind else f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    return f"the file is no {wanted} picture, or its beginning is damaged"


def _bounded(picture: Image.Image) -> None:
    if not 0 < picture.width * picture.height <= MAX_PIXELS:
        raise PictureError(
            f"the picture has {picture.width} x {picture.height} pixels; expected 1 to {MAX_PIXELS}: resize it first"
        )


def _count(picture: Image.Image) -> int:
    return int(getattr(picture, "n_frames", 1))


@cache
def _readable() -> tuple[str, ...]:
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return FORMATS
    register_heif_opener()
    return (*FORMATS, HEIF)
