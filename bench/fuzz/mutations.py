"""Mutations of bytes: of their bits, of their blocks, and, where they are JSON, of their structure."""

import json
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

Bytes = Callable[[bytearray, random.Random], None]

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 60, (1 << 64) - 1)
TOKENS = (
    b"\x00", b"\n", b'"', b",", b"{", b"[", b"]}", b"null", b"-1", b"1e999", b"NaN", b"\xff\xfe", b"\xed\xa0\x80",
    b"../../etc/passwd", b"=1+1",
    b"<script>", b"GNU.sparse.map=0,1", b"9999999999999999999", b"size=-1", b"PAX", b"\x89PNG\r\n\x1a\n", b"PAR1", b"__metadata__",
)  # fmt: skip
WRONG: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1e308, 10**30, "", "x" * 5_000, "\ud800", "../../x", "/etc/passwd", [],
    [[]], {}, {"": None}, ["a", 1, None],
    [0] * 1_000, {"a": {"a": {"a": {}}}},
)  # fmt: skip
"""What stands in JSON where something else is expected."""
LARGEST = 1 << 20  # bytes of a mutated input


def mutated(seed: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """One to eight mutations of `seed`; `others` are spliced in."""
    if seed[:1] in b"{[" and rng.random() < 0.7:
        try:
            return json.dumps(_bent(json.loads(seed), rng)).encode(errors="surrogatepass")
        except (ValueError, RecursionError):
            pass  # it is no JSON after all
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        if rng.random() < 0.1:
            other = rng.choice(others)
            data = data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]
        else:
            rng.choice(OF_BYTES)(data, rng)
    return bytes(data[:LARGEST])


def _bent(value: Any, rng: random.Random) -> Any:
    """The same JSON with one place of another kind, left out, doubled, or under another name."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(list(value))
        change = rng.random()
        if change < 0.6:
            return {**value, name: _bent(value[name], rng)}
        if change < 0.75:
            return {key: one for key, one in value.items() if key != name}
        if change < 0.9:
            return {**value, name: rng.choice(WRONG)}
        return {**{key: one for key, one in value.items() if key != name}, str(rng.choice(WRONG))[:50]: value[name]}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        change = rng.random()
        if change < 0.7:
            return [*value[:at], _bent(value[at], rng), *value[at + 1 :]]
        return [*value[:at], *value[at + 1 :]] if change < 0.85 else [*value, value[at]]
    return rng.choice(WRONG)


def _flip(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite(data: bytearray, rng: random.Random) -> None:
    if data:
        at = rng.randrange(len(data))
        data[at : at + 4] = rng.randbytes(4)


def _number(data: bytearray, rng: random.Random) -> None:
    """A number at the edge of its width, in either order of bytes."""
    width, form = rng.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q")))
    number = rng.choice(NUMBERS) & ((1 << (8 * width)) - 1)
    at = rng.randrange(max(1, len(data) - width + 1))
    data[at : at + width] = struct.pack(rng.choice("<>") + form, number)


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randint(0, len(data)) :]


def _remove(data: bytearray, rng: random.Random) -> None:
    at = rng.randint(0, len(data))
    del data[at : at + rng.choice((1, 4, 64, 512))]


def _repeat(data: bytearray, rng: random.Random) -> None:
    at = rng.randint(0, len(data))
    block = data[at : at + rng.choice((1, 16, 512, 4096))]
    data[at:at] = block * rng.choice((1, 2, 16))


def _insert(data: bytearray, rng: random.Random) -> None:
    at = rng.randint(0, len(data))
    data[at:at] = rng.choice(TOKENS)


def _zero(data: bytearray, rng: random.Random) -> None:
    at = rng.randint(0, len(data))
    end = min(len(data), at + rng.choice((4, 64, 512)))
    data[at:end] = bytes(end - at)


OF_BYTES: tuple[Bytes, ...] = (_flip, _flip, _overwrite, _number, _cut, _remove, _repeat, _insert, _zero)
