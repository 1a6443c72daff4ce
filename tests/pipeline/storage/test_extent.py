"""How large a picture is is told before it is decoded, and a file cannot say one thing there and be another."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.storage.image_codec import PictureError, encode, extent

PIXELS = np.zeros((10, 20, 3), dtype=np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def animated() -> bytes:
    file = io.BytesIO()
    pictures = [Image.fromarray(PIXELS + row) for row in range(3)]
    pictures[0].save(file, "png", save_all=True, append_images=pictures[1:])
    return file.getvalue()


def test_every_format_tells_its_extent() -> None:
    for kind in ("png", "jpg", "webp"):
        assert extent(encode(PIXELS, kind)) == (20, 10, 1)
    assert extent(animated()) == (20, 10, 3), "frames of an animated PNG are counted"


def test_a_second_header_is_not_hidden_behind_the_first() -> None:
    plain = encode(PIXELS, "png")
    second = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    forged = plain[:33] + second + plain[33:]
    with pytest.raises(PictureError):
        extent(forged)


@pytest.mark.parametrize("data", [b"", b"\x89PNG", encode(PIXELS, "png")[:20]])
def test_what_is_no_picture_has_no_extent(data: bytes) -> None:
    with pytest.raises(PictureError):
        extent(data)
