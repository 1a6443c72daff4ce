"""What a file is to the moderator, by its first bytes and its name: a picture, a tar, something not read, or nothing to judge."""

import mimetypes
import tarfile
from dataclasses import dataclass

from pipeline.storage.image_codec import SUFFIXES, format_of

HEAD = 512  # bytes that are looked at
PICTURE, TAR, PROBLEM, PASSED = "picture", "tar", "problem", "passed"
APPLE_DOUBLE = b"\x00\x05\x16\x07"
ARCHIVES = (".zip", ".cbz", ".7z", ".rar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")  # gzip, bzip2, xz, zstd
PACKED = (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")
SQUEEZED = (".gz", ".bz2", ".xz", ".zst")
TYPES = mimetypes.MimeTypes()  # not the machine's own table: the same everywhere
UNPACK = "an archive that is not looked into; unpack it, or pack it as .tar"
SHOWING = ("image/", "video/", "application/pdf", "application/postscript")


@dataclass(frozen=True, slots=True)
class Triage:
    """`kind` is PICTURE or TAR; PROBLEM (could show something and is not read) or PASSED with the reason."""

    kind: str
    reason: str | None = None


def triage(name: str, head: bytes) -> Triage:
    """Of the file `name` that begins with `head`. Bytes go before names: a picture is one however it is called."""
    lower = name.lower()
    if _begins_a_tar(head):  # before pictures: its first bytes are its first member's name, which may be "GIF87a"
        return Triage(TAR)
    if format_of(head) is not None:
        return Triage(PICTURE)
    if head.startswith(PACKED) or (head.startswith(COMPRESSED) and _may_hold_pictures(lower)):
        return Triage(PROBLEM, UNPACK)
    if head[257:262] == b"ustar" or lower.endswith(".tar"):
        return Triage(TAR)
    if head.startswith(APPLE_DOUBLE):
        return Triage(PASSED, "what macOS keeps beside a file (._ files)")
    if lower.endswith(SUFFIXES):
        return Triage(PICTURE)  # the decoder says what is wrong with it
    if lower.endswith(ARCHIVES):
        return Triage(PROBLEM, UNPACK)
    kind, _ = TYPES.guess_type(f"x.{lower.rsplit('.', 1)[-1]}", strict=False)
    if kind is not None and kind.startswith(SHOWING):
        return Triage(PROBLEM, f"{kind} is not read; convert it to PNG or JPEG")
    return Triage(PASSED, "no picture by its first bytes and its name")


def _may_hold_pictures(name: str) -> bool:
    """Whether what is compressed under this name could be a picture or a tar: "a.png.gz" and "all.tar", not "rows.csv.gz"."""
    inner = next((name.removesuffix(end) for end in SQUEEZED if name.endswith(end)), name)
    return inner.endswith((*SUFFIXES, *ARCHIVES, ".tar")) or "." not in inner.rsplit("/", 1)[-1]


def _begins_a_tar(head: bytes) -> bool:
    """Whether the first block is a tar's header by its magic and its checksum."""
    if head[257:262] != b"ustar":
        return False
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True
