"""Names of files as text, whatever bytes they are: written so that they can be read back."""

import os
import re

LAST_CONTROL = 0x9F
_ESCAPED = re.compile(r"\\(?:\\|x[0-9a-f]{2})")


def written_name(name: str | bytes) -> str:
    """The name as text that prints and is UTF-8: bytes that are not, and control characters, as \\xNN; a backslash twice.

    `name` is as the operating system gives it: bytes, or text with undecodable bytes as surrogates (PEP 383).
    """
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    escaped = text.replace("\\", "\\\\").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() or ord(char) > LAST_CONTROL else _in_bytes(char) for char in escaped)


def _in_bytes(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode())


def original_name(written: str) -> str:
    """The name that `written_name` was given, as `os.fsdecode` gives it: what `open` takes."""

    def byte(match: re.Match[str]) -> str:
        escape = match.group()
        return "\\" if escape == "\\\\" else bytes([int(escape[2:], 16)]).decode("latin-1")

    raw = b"".join(
        os.fsencode(part) if not _ESCAPED.fullmatch(part) else _ESCAPED.sub(byte, part).encode("latin-1")
        for part in re.split(r"(\\(?:\\|x[0-9a-f]{2}))", written)
    )
    return raw.decode("utf-8", "surrogateescape")
