"""A digest is remembered for the very files that were hashed, and for no others."""

import os
import time
from pathlib import Path

import pytest

from pipeline.storage import digest_cache
from pipeline.storage.digest_cache import cache_folder, remembered


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as large and as settled."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digest_cache, "SMALLEST", 4)
    monkeypatch.setattr(digest_cache, "SETTLED", -1.0)
    (path := tmp_path / "model.safetensors").write_bytes(b"weights")
    return path


def digests(path: Path, *answers: str) -> tuple[str, int]:
    """The answer, and how often the file was read for it."""
    read: list[str] = []

    def compute() -> str:
        read.append(path.read_text())
        return (answers or ("a" * 32,))[0]

    return remembered([path], compute), len(read)


def test_the_second_command_reads_no_byte(weights: Path) -> None:
    assert digests(weights) == ("a" * 32, 1)
    assert digests(weights, "b" * 32) == ("a" * 32, 0)


def test_bytes_exchanged_under_the_same_size_and_time_are_hashed_again(weights: Path) -> None:
    digests(weights)
    was = weights.stat()
    time.sleep(0.02)  # the clock's grain
    weights.write_bytes(b"WEIGHTS")
    os.utime(weights, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert weights.stat().st_mtime_ns == was.st_mtime_ns
    assert digests(weights, "b" * 32) == ("b" * 32, 1)


def test_a_file_that_has_just_changed_is_not_remembered(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_cache, "SETTLED", 3600.0)
    assert digests(weights)[1] == digests(weights)[1] == 1


@pytest.mark.parametrize("planted", [b"", b"a" * 31, b"\xff" * 32, b"../../etc", b"a" * 33])
def test_a_damaged_entry_is_not_believed(weights: Path, planted: bytes) -> None:
    digests(weights)
    (entry,) = cache_folder().iterdir()
    entry.write_bytes(planted)
    assert digests(weights, "c" * 32) == ("c" * 32, 1)
    assert entry.read_text() == "c" * 32


def test_a_cache_that_cannot_be_written_costs_time_alone(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(weights))  # a file
    assert digests(weights)[1] == digests(weights)[1] == 1
