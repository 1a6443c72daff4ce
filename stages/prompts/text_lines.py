"""The lines of a text file of any usual encoding; what can't be decoded comes as lone surrogates (PEP 383), which no text holds."""

import codecs
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

UNDECODABLE = "\udcff"
LONGEST_LINE = 1 << 24  # characters: a prompt is over-long at 2,000; a file without line ends must not fill the memory

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # what Windows tools call "Unicode"


@contextmanager
def open_lines(path: Path, newline: str | None = None) -> Iterator[Iterator[str]]:
    """The file's lines with their ends, each cut after `LONGEST_LINE` characters. `newline` as for `open`. Raises OSError."""
    with path.open("rb") as raw:
        utf16 = raw.read(2) in _UTF16
    encoding, errors = ("utf-16", "replace") if utf16 else ("utf-8-sig", "surrogateescape")
    with path.open(encoding=encoding, errors=errors, newline=newline) as file:
        lines = _bounded(file.readline)
        yield (line.replace("\ufffd", UNDECODABLE) for line in lines) if utf16 else lines


def _bounded(readline: Callable[[int], str]) -> Iterator[str]:
    while line := readline(LONGEST_LINE):
        rest = line
        while len(rest) == LONGEST_LINE and rest[-1] not in "\r\n":
            rest = readline(LONGEST_LINE)
        yield line


def undecodable(text: str) -> str | None:
    """What is wrong with a text that holds lone surrogates, and how to mend it; None if it holds none."""
    if text.isascii():
        return None
    foreign = next((char for char in text if "\ud800" <= char <= "\udfff"), None)
    if foreign is None:
        return None
    if "\udc80" <= foreign < "\udcff":
        byte = ord(foreign) - 0xDC00
        return (
            f"byte 0x{byte:02x} is not UTF-8 (Latin-1 or Windows-1252? convert the file: "
            "iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW)"
        )
    return "the prompt is no text"
