"""PDQ as its authors compute it, lists in the exchange's shapes both ways, and a search that misses nothing."""

import json
from pathlib import Path

import numpy as np
import pytest

from jobs import hashes
from schemas.errors import InputError
from schemas.prompt import Prompt
from schemas.sample import Pixels, Sample
from stages.generate.finished_check import listed_by, listed_pictures
from stages.generate.render import Render
from stages.signature import pdq_index
from stages.signature.hash_lists import read_hash_list, write_hash_list
from stages.signature.pdq import DISTANCE, QUALITY, pdq
from stages.signature.pdq_index import PdqIndex
from tests.support.commands import call
from tests.support.labelled_run import labelled_run


def scenes() -> list[Pixels]:
    texts = ("a dog", "a red apple", "two keys", "a house", "a moon", "a cat")
    drawn = Render().open()([Sample.from_prompt(Prompt(text), 0) for text in texts])
    return [sample.pixels for sample in drawn if sample.pixels is not None]


def flipped(code: np.ndarray, bits: int, rng: np.random.Generator) -> np.ndarray:
    loose = np.unpackbits(code)
    loose[rng.choice(256, bits, replace=False)] ^= 1
    return np.packbits(loose)


def test_a_picture_keeps_its_hash_in_another_size_and_a_flat_one_has_no_quality() -> None:
    picture = scenes()[0]
    code, quality = pdq(picture)
    larger, _ = pdq(picture.repeat(3, 0).repeat(3, 1))
    assert code.shape == (32,) and quality >= QUALITY
    assert np.bitwise_count(code ^ larger).sum() <= DISTANCE
    assert pdq(np.full((64, 64, 3), 90, np.uint8))[1] < QUALITY


@pytest.mark.parametrize("whole", [100_000, 0], ids=["compared whole", "by bands"])
def test_the_search_finds_all_within_31_bits_and_no_other(whole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdq_index, "WHOLE", whole)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (4000, 32), dtype=np.uint8)
    asked = rng.integers(0, 256, 32, dtype=np.uint8)
    near = dict(zip(range(0, 4000, 40), [*range(60), 31, 31, 31, 32, 32], strict=False))
    for row, bits in near.items():
        codes[row] = flipped(asked, bits, rng)
    found = PdqIndex(codes).within(asked)
    assert found.tolist() == sorted(row for row, bits in near.items() if bits <= DISTANCE)


@pytest.mark.parametrize("name", ["list.csv", "list.json"])
def test_a_list_that_is_written_is_read_again(name: str, tmp_path: Path) -> None:
    codes = [pdq(picture)[0].tobytes().hex() for picture in scenes()]
    rows = [("pdq", code, "violence") for code in codes] + [("md5", "0" * 32, "")]
    assert write_hash_list(tmp_path / name, rows) == len(rows)
    listed = read_hash_list(tmp_path / name)
    assert len(listed.pdq) == len(codes) and listed.md5 == {"0" * 32} and not listed.left_out
    told = [listed_by(picture, listed) for picture in scenes()]
    assert told == ["pdq" if pdq(picture)[1] >= QUALITY else None for picture in scenes()] and told.count("pdq") >= 4
    assert listed_by(255 - scenes()[0][::-1], listed) is None


def test_lists_of_the_exchange_and_of_hma_are_read_and_other_signals_counted(tmp_path: Path) -> None:
    code = "ab" * 32
    (tmp_path / "tx.json").write_text(
        json.dumps(
            {"data": [{"id": "1", "indicator": code, "type": "HASH_PDQ"}, {"indicator": "x.example", "type": "URI"}]}
        )
    )
    (tmp_path / "hma.json").write_text(json.dumps([{"signal_type": "pdq", "signal_value": code}]))
    (tmp_path / "tx.csv").write_text(
        f"signal_type,signal_str,collab,category,tags\npdq,{code},Mine,INVESTIGATION_SEED,\n"
    )
    (tmp_path / "plain.txt").write_text(f"# mine\n{code}\n{'0' * 16}\n{'1' * 32}\n")
    found = [read_hash_list(tmp_path / name) for name in ("tx.json", "hma.json", "tx.csv", "plain.txt")]
    assert [len(each.pdq) for each in found] == [1, 1, 1, 1] and found[0].left_out == 1 and len(found[3]) == 3


@pytest.mark.parametrize(("name", "text", "message"), [
    ("a.csv", "hash\nff\n", "columns signal_type"), ("a.csv", "signal_type,signal_str\npdq,zz\n", "line 2: expected 64 hex"),
    ("a.json", "{", "no JSON"), ("a.json", '{"data": [{"indicator": 3}]}', "entry 1"), ("a.txt", "abc\n", "line 1"),
    ("a.csv", "signal_type,signal_str\n", "holds none"),
])  # fmt: skip
def test_a_list_that_checks_nothing_is_refused_by_its_line(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_hash_list(tmp_path / name)


def test_a_list_of_md5_alone_is_refused_where_pictures_are_drawn(tmp_path: Path) -> None:
    (tmp_path / "md5.txt").write_text("0" * 32)
    with pytest.raises(InputError, match="MD5 alone"):
        listed_pictures(str(tmp_path / "md5.txt"))


def test_a_runs_own_list_matches_all_of_it_and_of_another_nothing(tmp_path: Path) -> None:
    run = labelled_run().url
    assert call(hashes, run, "--out", str(tmp_path / "own.csv"), "-q") == 0
    assert call(hashes, run, "--out", str(tmp_path / "keys.txt"), "--match", str(tmp_path / "own.csv"), "-q") == 0
    keys = (tmp_path / "keys.txt").read_text().split()
    assert len(keys) == len({*keys}) >= 100
    (tmp_path / "other.txt").write_text("f0" * 32)
    assert call(hashes, run, "--out", str(tmp_path / "none.txt"), "--match", str(tmp_path / "other.txt"), "-q") == 0
    assert (tmp_path / "none.txt").read_text() == ""
    assert call(hashes, run, "--out", str(tmp_path / "unsafe.csv"), "--unsafe", "-q") == 0
    assert 0 < len((tmp_path / "unsafe.csv").read_text().split()) < len((tmp_path / "own.csv").read_text().split())
