"""A name of any bytes is written as text that prints, and read back as it was."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.file_names import original_name, written_name

NAMES = {
    b"plain.png": "plain.png",
    "Übung 图.png".encode(): "Übung 图.png",
    b"caf\xe9.png": r"caf\xe9.png",
    b"a\\xe9.png": r"a\\xe9.png",
    b"line\nbreak\x1b[31m": r"line\x0abreak\x1b[31m",
    b"\xff\xfe\x00\x80": r"\xff\xfe\x00\x80",
    "\u0085\u009b".encode(): r"\xc2\x85\xc2\x9b",
    "👩\u200d🚒.gif".encode(): "👩\u200d🚒.gif",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_escaped_and_comes_back(name: bytes) -> None:
    assert written_name(name) == written_name(os.fsdecode(name)) == NAMES[name]
    assert os.fsencode(original_name(NAMES[name])) == name


@given(st.binary(max_size=40))
def test_any_bytes_come_back_and_unlike_names_stay_unlike(name: bytes) -> None:
    written = written_name(name)
    written.encode()  # UTF-8
    assert os.fsencode(original_name(written)) == name
