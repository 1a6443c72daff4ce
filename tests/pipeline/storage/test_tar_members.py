"""Every member of a tar is found, whole or damaged, and no archive makes the reader fail or run on."""

import io
import random
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.storage.tar_members import Member, members

CASES = Path(__file__).parents[2] / "data" / "cases"
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def tar_of(files: dict[str, bytes], layout: int = tarfile.PAX_FORMAT, **changes: Any) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=layout) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in changes.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def found(data: bytes) -> list[Member]:
    return list(members(io.BytesIO(data)))


def contents(data: bytes) -> dict[str, bytes]:
    return {m.name: data[m.offset : m.offset + m.size] for m in found(data) if not m.problem and not m.passed}


def header(name: str, kind: bytes = b"0", size: bytes = b"00000000000", data: bytes = b"", link: str = "") -> bytes:
    """One header of these very fields, its checksum right, and its data padded."""
    block = bytearray(512)
    block[0 : len(name)] = name.encode()
    block[100:124] = b"0000644\x000000000\x000000000\x00"
    block[124 : 124 + len(size)] = size
    block[136:147] = b"00000000000"
    block[156:157] = kind
    block[157 : 157 + len(link)] = link.encode()
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block) + data + bytes(-len(data) % 512)


END = bytes(1024)


def test_the_case_of_a_damaged_header_gives_all_four_and_names_the_damage() -> None:
    data = (CASES / "tar_damaged_header/a.tar").read_bytes()
    assert list(contents(data)) == ["000.png", "001.png", "002.png", "003.png"]
    (gap,) = (m for m in found(data) if m.problem)
    assert gap.problem == "bytes 4096 to 5120 of the archive are no header: it is damaged"
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert len(tar.getmembers()) == 1, "what this is for"


@pytest.mark.parametrize("layout", FORMATS)
def test_members_are_those_of_gnu_tar(tmp_path: Path, layout: str) -> None:
    long = "deep/" * 24 + "picture.png"
    files = {"a.png": b"1" * 700, long: b"2" * 512, "empty": b"", "ümlaut 图.png": b"3", "z": b"4" * 1025}
    data = tar_of(files, FORMATS[layout])
    (tmp_path / "a.tar").write_bytes(data)
    listed = subprocess.run(
        ["tar", "--quoting-style=literal", "-tf", str(tmp_path / "a.tar")], capture_output=True, text=True, check=True
    )
    assert [m.name for m in found(data)] == listed.stdout.splitlines() == list(files)
    assert contents(data) == files


def test_gnu_tar_s_own_archives_with_links_folders_and_holes(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a.png").write_bytes(b"picture")
    (tmp_path / "d/b.png").hardlink_to(tmp_path / "d/a.png")
    (tmp_path / "d/c.png").symlink_to("a.png")
    (tmp_path / "d/gone.png").symlink_to("../elsewhere.png")
    with (tmp_path / "d/holes.png").open("wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"x" * 100)
    for layout in ("gnu", "posix"):
        subprocess.run(["tar", "-C", tmp_path, f"--format={layout}", "-S", "-cf", tmp_path / "t.tar", "d"], check=True)
        data = (tmp_path / "t.tar").read_bytes()
        assert contents(data) == {f"d/{name}.png": b"picture" for name in "abc"}
        rest = {m.name.rstrip("/"): m.problem or m.passed for m in found(data) if m.problem or m.passed}
        assert rest.keys() == {"d", "d/gone.png", "d/holes.png"}
        assert "holes" in (rest["d/holes.png"] or "") and "no file of the archive" in (rest["d/gone.png"] or "")


def test_wherever_it_is_cut_no_member_is_lost_in_silence() -> None:
    files = {f"{number}.png": bytes([number + 1]) * 600 for number in range(4)}
    data = tar_of(files, tarfile.USTAR_FORMAT)
    ended = 4 * 1536 + 1024
    for cut in [*range(0, ended, 37), *range(0, ended, 512), ended, len(data)]:
        whole = contents(data[:cut])
        assert whole == {name: files[name] for name in whole}
        assert len(whole) == min(4, max(0, (cut - 512 - 600) // 1536 + 1))
        assert any(m.problem for m in found(data[:cut])) == (cut < ended), cut


def test_whichever_header_is_damaged_the_others_are_found() -> None:
    files = {f"{number}.png": bytes([number + 1]) * 600 for number in range(4)}
    for number in range(4):
        data = bytearray(tar_of(files, tarfile.USTAR_FORMAT))
        data[number * 1536 + 150] ^= 1
        assert list(contents(bytes(data))) == [name for name in files if name != f"{number}.png"]
        (gap,) = (m for m in found(bytes(data)) if m.problem)
        assert (gap.offset, gap.size) == (number * 1536, 1536)


def test_archives_after_one_another_are_all_read_and_what_follows_is_named() -> None:
    first, second = tar_of({"a": b"1"}), tar_of({"b": b"2"})
    assert contents(first + second) == {"a": b"1", "b": b"2"}
    assert not any(m.problem for m in found(first + second))
    assert [m.problem is not None for m in found(first + b"hidden" * 200)] == [False, True]
    assert [m.problem is not None for m in found(first + b"hidden")] == [False, True]


def test_two_files_of_one_name_are_two_members() -> None:
    data = header("a.png", size=b"00000000001", data=b"1") + header("a.png", size=b"00000000001", data=b"2") + END
    assert [data[m.offset : m.offset + m.size] for m in found(data)] == [b"1", b"2"]


GOOD = header("good.png", size=b"00000000004", data=b"good")
HOSTILE = {
    "a loop of pax headers": header("x", b"x", b"00000000013", b"13 mtime=0.0\n") * 3000,
    "a size that is no number": header("a.png", size=b"99999999999"),
    "a size of words": header("a.png", size=b"size????"),
    "a negative size": header("a.png", size=b"\xff" * 12),
    "a size of 2^60": header("a.png", size=b"\x80\0\0\0\x10" + bytes(7)),
    "a pax size of 2^60": header("x", b"x", b"00000000040", b"32 size=1152921504606846976000000\n"[:32]) + header("a"),
    "a pax size of words": header("x", b"x", b"00000000014", b"12 size=big\n") + header("a.png"),
    "pax records without an end": header("x", b"x", b"00000000013", b"99 mtime=0.0\n"),
    "pax records of length 0": header("x", b"x", b"00000000010", b"0 a=\n\0\0\0"),
    "a pax header of 2^60": header("x", b"x", b"\x80\0\0\0\x10" + bytes(7)),
    "a long name of 2^60": header("x", b"L", b"\x80\0\0\0\x10" + bytes(7)),
    "names with surrogates": header("x", b"x", b"00000000016", b"14 path=\xed\xb2\x80\xff\n") + header("a.png"),
    "a sparse map without an end": header("s", b"S", b"00000000000")[:482] + b"\1" + bytes(29),
    "a link to itself": header("l", b"1", link="l"),
    "links in a ring": header("l", b"2", link="m") + header("m", b"2", link="l"),
    "a path out": header("../../../etc/passwd", size=b"00000000001", data=b"x"),
    "a link out": header("l", b"2", link="/etc/passwd"),
    "a kind of its own": header("v", b"V"),
    "a device": header("d", b"3"),
    "global records": header("g", b"g", b"00000000013", b"13 mtime=0.0\n") * 50,
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.timeout(10)
def test_hostile_archives_cost_themselves(kind: str) -> None:
    data = HOSTILE[kind] + GOOD + END
    assert contents(data)["good.png"] == b"good"
    for member in found(data):
        assert 0 <= member.offset <= member.offset + member.size <= len(data)
        assert len(member.problem or "") < 300


def test_any_bytes_are_walked_to_their_end() -> None:
    rng = random.Random(0)
    whole = tar_of({f"{n}.png": b"x" * 300 for n in range(3)}) + HOSTILE["links in a ring"] + GOOD + END
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 30)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        for member in found(bytes(data)):
            assert 0 <= member.offset <= member.offset + member.size <= len(data)
