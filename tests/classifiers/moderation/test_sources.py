"""Whatever is under the given path is judged, unreadable with a reason, or passed over with a reason."""

import bz2
import gzip
import io
import lzma
import os
import shutil
import subprocess
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from classifiers.moderation.sources import PictureSource, source_of
from pipeline.storage.file_names import original_name
from pipeline.storage.image_codec import PictureError
from schemas.errors import InputError

CASES = Path(__file__).parents[2] / "data" / "cases"


def png(level: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), level, dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def sorted_out(source: PictureSource) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """Keys to be judged; problems and what was passed over, by key."""
    problems = {item.key: item.problem for item in source.items if item.problem is not None}
    return (
        [item.key for item in source.items if item.problem is None],
        problems,
        {passed.key: passed.reason for passed in source.passed},
    )


def filled(folder: Path, **files: bytes) -> Path:
    for name, data in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def test_the_case_of_a_stray_tar_hides_no_picture() -> None:
    judged, problems, passed = sorted_out(source_of(str(CASES / "stray_tar")))
    assert judged == ["000.png", "001.png", "002.png", "003.png"] and not problems
    assert passed.keys() == {"notes.tar/notes.txt", "notes.txt"}


def test_the_case_of_a_damaged_header_judges_four_and_is_unreadable_itself() -> None:
    for given in (CASES / "tar_damaged_header", CASES / "tar_damaged_header/a.tar"):
        judged, problems, _ = sorted_out(source_of(str(given)))
        assert judged == [f"a.tar/00{number}.png" for number in range(4)]
        assert list(problems) == ["a.tar@4096"] and "damaged" in problems["a.tar@4096"]


def test_the_case_of_a_name_that_is_not_utf8_costs_nothing() -> None:
    judged, problems, _ = sorted_out(source_of(str(CASES / "names_not_utf8")))
    assert judged == ["a.tar/000.png", r"a.tar/caf\xe9.png"] and not problems


def test_the_case_of_a_file_replaced_under_its_name_and_size_is_another_question(tmp_path: Path) -> None:
    good, bad = (CASES / f"same_size_replaced/{name}.png" for name in ("good", "bad"))
    size = max(good.stat().st_size, bad.stat().st_size)
    digests, times = [], (1_700_000_000, 1_700_000_000)
    for file in (good, bad, good):
        (tmp_path / "a.png").write_bytes(file.read_bytes().ljust(size, b"\0"))
        os.utime(tmp_path / "a.png", times)
        digests.append(source_of(str(tmp_path)).digest())
    assert digests[0] == digests[2] != digests[1]


def test_a_file_replaced_while_it_is_judged_is_unreadable(tmp_path: Path) -> None:
    source = source_of(str(filled(tmp_path, **{"a.png": png(1)})))
    (tmp_path / "a.png").write_bytes(png(2).ljust(len(png(1)), b"\0"))
    with pytest.raises(PictureError, match="changed meanwhile"):
        source.read(source.items[0])


@pytest.mark.parametrize(
    "name", [b"caf\xe9.png", b"\xff\xfe.jpg", b"sub\xe9/a.png", b"back\\slash\xe9.png", b"new\nline.png"]
)
def test_names_of_any_bytes_cost_only_themselves(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(png())
    (tmp_path / "plain.png").write_bytes(png(9))
    source = source_of(str(tmp_path))
    keys = {item.key: item for item in source.items}
    assert len(keys) == 2 and "plain.png" in keys
    (odd,) = keys.keys() - {"plain.png"}
    odd.encode()
    assert os.fsencode(original_name(odd)) == name and source.read(keys[odd]) == png()


def test_a_folder_of_a_name_that_is_not_utf8_is_judged(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    assert sorted_out(source_of(str(filled(folder, **{"a.png": png()}))))[0] == ["a.png"]
    empty = folder / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"caf\\xe9/empty: no pictures here"):
        source_of(str(empty))


def test_pictures_are_told_by_their_bytes_and_the_rest_has_a_reason(tmp_path: Path) -> None:
    filled(
        tmp_path,
        **{
            "no_suffix": png(1),
            "photo.JPG_large": png(2),
            "shot.jfif": png(3),
            ".hidden.png": png(4),
            "._shot.jfif": b"\0\5\x16\7" + b"\0" * 90,
            "._real.png": png(5),
            "empty.png": b"",
            "torn.avif": b"no picture",
            "drawing.svg": b"<svg/>",
            "film.mp4": b"\0\0\0\x18ftypisom" + b"\0" * 40,
            "more.zip": b"PK\3\4",
            "more.tar.gz": b"\x1f\x8b",
            "BMW.txt": b"BMW is a word",
            "notes.txt": b"words",
        },
    )
    judged, problems, passed = sorted_out(source_of(str(tmp_path)))
    assert {*judged} == {
        *("no_suffix", "photo.JPG_large", "shot.jfif", ".hidden.png", "._real.png", "empty.png", "torn.avif")
    }, "the decoder says of the last two why not"
    assert problems.keys() == {"drawing.svg", "film.mp4", "more.zip", "more.tar.gz"}
    assert "image/svg+xml is not read" in problems["drawing.svg"] and "unpack" in problems["more.zip"]
    assert passed.keys() == {"._shot.jfif", "BMW.txt", "notes.txt"} and "macOS" in passed["._shot.jfif"]


def test_what_is_compressed_is_unreadable_where_it_may_be_pictures_whatever_it_is_called(tmp_path: Path) -> None:
    filled(
        tmp_path,
        **{
            "a.png": png(),
            "b.png.gz": gzip.compress(png(1)),
            "shards.tar": gzip.compress(b"a tar"),
            "backup": lzma.compress(png(2)),
            "c.webp.bz2": bz2.compress(png(3)),
            "renamed.bin": b"Rar!\x1a\x07\0",
            "rows.csv.gz": gzip.compress(b"prompt"),
        },
    )
    judged, problems, passed = sorted_out(source_of(str(tmp_path)))
    assert {*judged} == {"a.png"} and {*passed} == {"rows.csv.gz"}
    assert {*problems} == {"b.png.gz", "shards.tar", "backup", "c.webp.bz2", "renamed.bin"}
    assert all("unpack it" in reason for reason in problems.values())


def test_linked_folders_are_walked_once_and_no_link_leads_round(tmp_path: Path) -> None:
    elsewhere = filled(tmp_path / "elsewhere", **{"far.png": png(1), "deep__er.png": png(2)})
    given = filled(tmp_path / "given", **{"a.png": png(3), "below__b.png": png(4)})
    (given / "linked").symlink_to(elsewhere)
    (given / "again").symlink_to(given / "below")
    (given / "round").symlink_to(given)
    (given / "up").symlink_to(tmp_path)
    (elsewhere / "back").symlink_to(given)
    (given / "file.png").symlink_to(elsewhere / "far.png")
    (given / "nothing.png").symlink_to(tmp_path / "gone")
    (given / "itself.png").symlink_to(given / "itself.png")
    os.mkfifo(given / "pipe.png")
    judged, problems, passed = sorted_out(source_of(str(given)))
    assert judged == ["a.png", "below/b.png", "file.png", "linked/deep/er.png", "linked/far.png"]
    assert list(problems) == ["itself.png"]
    assert passed.keys() == {"again", "round", "up", "linked/back", "nothing.png", "pipe.png"}


def test_tars_and_pictures_beside_one_another_are_all_judged(tmp_path: Path) -> None:
    filled(tmp_path, **{"a.png": png(1), "sub__b.png": png(2), "c.png": png(3), "note.txt": b"x"})
    (tmp_path / "link.png").hardlink_to(tmp_path / "a.png")
    for name, layout in (("one.tar", "gnu"), ("two.bin", "posix")):
        subprocess.run(
            [
                "tar",
                "-C",
                tmp_path,
                f"--format={layout}",
                "-cf",
                tmp_path / name,
                "a.png",
                "link.png",
                "sub",
                "note.txt",
            ],
            check=True,
        )
    shutil.copy(tmp_path / "one.tar", tmp_path / "sub/one.tar")
    listed = subprocess.run(["tar", "-tf", tmp_path / "one.tar"], capture_output=True, text=True, check=True)
    source = source_of(str(tmp_path))
    judged, problems, passed = sorted_out(source)
    for archive in ("one.tar", "two.bin", "sub/one.tar"):
        mine = [key for key in (*judged, *problems, *passed) if key.startswith(f"{archive}/")]
        assert {key.removeprefix(f"{archive}/").rstrip("/") for key in mine} == {
            line.rstrip("/") for line in listed.stdout.splitlines()
        }
    assert {"a.png", "c.png", "link.png", "sub/b.png"} <= {*judged}
    assert source.read(next(i for i in source.items if i.key == "one.tar/link.png")) == png(1), "a hard link"


def test_a_cut_tar_and_an_archive_in_an_archive_are_told(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as tar:
        member = tarfile.TarInfo("x.png")
        member.size = len(png())
        tar.addfile(member, io.BytesIO(png()))
    with tarfile.open(tmp_path / "outer.tar", "w") as tar:
        for name in ("inner.tar", "a.png", "a.png"):
            data = inner.getvalue() if name == "inner.tar" else png()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    judged, problems, _ = sorted_out(source_of(str(tmp_path)))
    assert judged == ["outer.tar/a.png", "outer.tar/a.png#2"]
    assert problems == {"outer.tar/inner.tar": "an archive within an archive; unpack it"}
    whole = (tmp_path / "outer.tar").read_bytes()
    (tmp_path / "outer.tar").write_bytes(whole[: len(inner.getvalue()) + 512 + 1024])  # at the second a.png
    judged, problems, _ = sorted_out(source_of(str(tmp_path / "outer.tar")))
    assert judged == ["outer.tar/a.png"] and "cut short" in problems["outer.tar"]


def test_one_picture_may_be_given_and_nothing_at_all_is_refused(tmp_path: Path) -> None:
    filled(tmp_path, **{"a.png": png(), "b.txt": b"words", "x__y.txt": b"words"})
    assert sorted_out(source_of(str(tmp_path / "a.png")))[0] == ["a.png"]
    for name in ("b.txt", "x"):
        with pytest.raises(InputError, match=r"no pictures here \(1 files passed over\)"):
            source_of(str(tmp_path / name))


def test_what_may_not_be_read_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run as root, who may read all: the refusal is the operating system's, called by hand."""
    filled(tmp_path, **{"a.png": png(), "b.png": png(1)})
    opened = Path.open

    def refusing(path: Path, *arguments: object, **settings: object) -> object:
        if path.name == "a.png":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **settings)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refusing)
    judged, problems, _ = sorted_out(source_of(str(tmp_path)))
    assert judged == ["b.png"] and "Permission denied" in problems["a.png"]


@pytest.mark.parametrize("seed", range(6))
def test_every_file_is_counted_once(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = [png(3), b"", b"words", b"\xff\xd8\xff torn", b"\0\5\x16\7", b"BM" + b"\0" * 40]
    names = ["a.png", "._a.png", "b", "c.txt", "d.JPG", "e.mp4", "f.svg", "g.bmp", "h.tar", "i.tgz"]
    written = set()
    for _ in range(40):
        folder = "/".join(rng.choice(["x", "y", "z"], rng.integers(0, 3)))
        path = tmp_path / folder / f"{rng.integers(9)}{rng.choice(names)}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data[rng.integers(len(data))])
        written.add(path.relative_to(tmp_path).as_posix())
    source = source_of(str(tmp_path))
    keys = Counter(each.key.split("@")[0] for each in (*source.items, *source.passed))
    assert {*keys} == written and set(keys.values()) == {1}
