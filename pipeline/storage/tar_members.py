"""What is in a tar, whole or damaged: every member by its place, and every stretch of bytes that is no member, named.

`tarfile` stops at the first damaged header and says nothing, and hostile archives make it raise a dozen kinds. Here a damaged
header costs itself: the walk goes on at the next block that is a header, as GNU tar does. Nothing is unpacked.
"""

import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO

BLOCK = tarfile.BLOCKSIZE
ZEROS = bytes(BLOCK)
MAX_EXTENSION = 1 << 20  # bytes of a long name or of pax records; real ones have some hundred
MAX_LINKS = 16  # links to links
EXTENSIONS = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
SPARSE = "a sparse file, whose holes are not read; pack it without --sparse"
WITHOUT_DATA = {
    tarfile.DIRTYPE: "a folder",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
}
LINKS = (tarfile.LNKTYPE, tarfile.SYMTYPE)


@dataclass(frozen=True, slots=True)
class Member:
    """`size` bytes at `offset` of the archive. `name` has undecodable bytes as surrogates. `problem`: why there are none to be
    read; `passed`: why there is nothing to be read.
    """

    name: str
    offset: int
    size: int = 0
    problem: str | None = None
    passed: str | None = None
    link: str | None = None  # to the member of this name
    hard: bool = False  # such a link, whose file has to be there


def members(file: BinaryIO) -> Iterator[Member]:
    """In the order of the archive; links have the place of what they point to. Never raises for what the archive says."""
    entries = list(_walk(file))
    places = {member.name: member for member in entries if member.link is None and member.passed is None}
    links = {member.name: member for member in entries if member.link is not None}
    for member in entries:
        yield member if member.link is None else _followed(member, links, places)


def _followed(member: Member, links: Mapping[str, Member], places: Mapping[str, Member]) -> Member:
    target = member.link or ""
    for _ in range(MAX_LINKS):
        if target in places:
            place = places[target]
            return replace(member, offset=place.offset, size=place.size, problem=place.problem, link=None)
        if target not in links:
            break
        target = links[target].link or ""
    lost = "a link to what is no file of the archive"
    return replace(member, link=None, problem=lost) if member.hard else replace(member, link=None, passed=lost)


@dataclass(slots=True)
class _Pending:
    """What extension headers said of the next member."""

    records: dict[str, str]
    name: str | None = None
    link: str | None = None


def _walk(file: BinaryIO) -> Iterator[Member]:
    end = file.seek(0, 2)
    offset, last, damaged, empty, pending, shared = 0, 0, None, 0, _Pending({}), dict[str, str]()
    while offset + BLOCK <= end:
        block = _read(file, offset, BLOCK)
        if block == ZEROS:
            offset, empty, pending = offset + BLOCK, empty + 1, _Pending({})
            continue
        header = _header(block)
        if header is None or (offset + BLOCK + header.size > end and header.type in EXTENSIONS):
            damaged, empty = offset if damaged is None else damaged, 0
            offset = last = offset + BLOCK
            continue
        if damaged is not None:
            yield _gap(damaged, offset)
            damaged, pending = None, _Pending({})
        empty = 0
        start = offset + BLOCK
        if header.type in (*EXTENSIONS, tarfile.XGLTYPE):
            if not _extended(header, _read(file, start, min(header.size, MAX_EXTENSION + 1)), pending, shared):
                damaged, last = offset, start
            offset = start if damaged is not None else start + _padded(header.size)
            continue
        member, offset = _member(
            file, header, start, end, _Pending(shared | pending.records, pending.name, pending.link)
        )
        pending = _Pending({})
        yield member
    if damaged is not None:
        yield _gap(damaged, last)
    elif _read(file, offset, BLOCK).strip(b"\0"):
        yield _gap(offset, end)
    elif empty < 2:
        yield Member("", end, problem="the archive does not end as archives do (two empty blocks): it was cut short")


def _gap(first: int, end: int) -> Member:
    return Member("", first, end - first, problem=f"bytes {first} to {end} of the archive are no header: it is damaged")


def _header(block: bytes) -> tarfile.TarInfo | None:
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError, OverflowError, IndexError):
        return None
    return header if header.size >= 0 else None


def _member(file: BinaryIO, header: tarfile.TarInfo, start: int, end: int, pending: _Pending) -> tuple[Member, int]:
    """The member, and where the next header is."""
    name = (
        pending.name or pending.records.get("GNU.sparse.name") or pending.records.get("path") or header.name
    ).rstrip("\0")
    if header.type in LINKS:
        link = (pending.link or pending.records.get("linkpath") or header.linkname).rstrip("\0")
        base = "" if header.type == tarfile.LNKTYPE else posixpath.dirname(name)
        hard = header.type == tarfile.LNKTYPE
        return Member(name, start, link=posixpath.normpath(posixpath.join(base, link)), hard=hard), start
    if header.type in WITHOUT_DATA:
        return Member(name, start, passed=WITHOUT_DATA[header.type]), start
    text = pending.records.get("size", f"{header.size}")
    size = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else -1
    if header.type == tarfile.GNUTYPE_SPARSE:
        size, start = header.size, _after_sparse_map(file, start - BLOCK, end)
    if not 0 <= size <= end - start:
        left = end - start
        problem = (
            f"it should have {text[:20]} bytes, and the archive has {left} left: cut short, or its header is damaged"
        )
        return Member(name, start, problem=problem), start
    sparse = header.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse") for key in pending.records)
    if sparse:
        return Member(name, start, size, problem=SPARSE), start + _padded(size)
    return Member(posixpath.normpath(name), start, size), start + _padded(size)


def _after_sparse_map(file: BinaryIO, header: int, end: int) -> int:
    """Old GNU sparse files have further blocks of their map behind the header while a flag says so."""
    flag, at = _read(file, header + 482, 1), header + BLOCK
    while flag not in (b"", b"\0") and at < end:
        flag, at = _read(file, at + 504, 1), at + BLOCK
    return min(at, end)


def _extended(header: tarfile.TarInfo, data: bytes, pending: _Pending, shared: dict[str, str]) -> bool:
    """Take in a long name or pax records; whether they could be read."""
    if len(data) != header.size or len(data) > MAX_EXTENSION:
        return False
    if header.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
        text = data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
        if header.type == tarfile.GNUTYPE_LONGNAME:
            pending.name = text
        else:
            pending.link = text
        return True
    records = _records(data)
    if records is not None:
        (shared if header.type == tarfile.XGLTYPE else pending.records).update(records)
    return records is not None


def _records(data: bytes) -> dict[str, str] | None:
    """Of "LENGTH KEY=VALUE\\n" after one another (POSIX 1003.1-2001, pax); None where they are not."""
    records: dict[str, str] = {}
    while data.strip(b"\0"):
        length, space, _ = data.partition(b" ")
        size = int(length) if space and length.isdigit() and len(length) < 8 else 0
        record = data[len(length) + 1 : size]
        key, equals, value = record[:-1].partition(b"=")
        if not equals or record[-1:] != b"\n" or size > len(data):
            return None
        records[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        data = data[size:]
    return records


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)
