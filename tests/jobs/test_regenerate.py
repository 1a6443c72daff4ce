"""A released recipe makes the same bytes again, and whatever was changed in it or in what came out is found."""

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs import regenerate, revoke
from pipeline.plan import PICTURES
from pipeline.release.again import named_recipe, read_released
from pipeline.release.checksums import write_checksums
from pipeline.release.proof import prove
from pipeline.rounds.rounds import reopen_round
from pipeline.storage.local_store import LocalStore
from schemas.errors import HazmatError, InputError
from schemas.manifest import Receipt
from stages.signature.perceptual import hash_of_file
from tests.support.commands import call, status
from tests.support.released import released, restricted, small_run

ROUND = "rounds/000-generate"
LOCAL = ("--engine", "local", "-q")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pairs."""
    return small_run(tmp_path_factory.mktemp("again"))


@pytest.fixture(scope="module")
def recipe(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its release."""
    return released(run, "recipe", tmp_path_factory.mktemp("recipe") / "mine")


def changed(recipe: Path, to: Path, file: str, column: str, value: object) -> Path:
    """A copy of the release in which a forger changed the first row's `column`, and the checksums too."""
    shutil.copytree(recipe, to)
    [path] = to.glob(file)
    table = pq.read_table(path)
    values = [value, *table[column].to_pylist()[1:]]
    at = table.column_names.index(column)
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type)), path)
    write_checksums(to)
    return to


def test_a_recipe_holds_no_picture(recipe: Path) -> None:
    data = b"".join(path.read_bytes() for path in recipe.rglob("*") if path.is_file())
    assert b"\x89PNG" not in data and "image" not in pq.read_schema(next(recipe.glob("data/*"))).names


def test_pictures_come_out_byte_equal_also_when_given_again(
    run: Path, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert call(regenerate, "--from", recipe, "--out", tmp_path / "out", "--verify", *LOCAL) == 0
        said = capsys.readouterr().out
        assert "12 pictures are byte-equal (L1), 0 look alike (L2), 0 are different, 0 were not made: proved" in said
    tar = "rounds/000-generate/raw/unit-000000.tar"
    assert (tmp_path / "out" / tar).read_bytes() == (run / tar).read_bytes()


def test_a_changed_byte_of_the_release_is_found_before_anything_is_drawn(recipe: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(recipe, tmp_path / "copy"))
    plan = bytearray((copy / "recipe" / "plan.parquet").read_bytes())
    plan[200] ^= 1
    (copy / "recipe" / "plan.parquet").write_bytes(plan)
    with pytest.raises(HazmatError, match=r"recipe/plan\.parquet has changed"):
        call(regenerate, "--from", copy, "--out", tmp_path / "out", "--verify", *LOCAL)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "column", "value", "said"),
    [
        ("data/train-*.parquet", "seed", 7, "seed is "),
        ("data/train-*.parquet", "image_sha256", "0" * 64, "000000000000… in the release"),
        ("data/train-*.parquet", "revision", "another", "revision is "),
        ("data/train-*.parquet", "key", "nobody", "nobody was not made"),
        ("recipe/plan.parquet", "seed", 7, "seed is 7 now"),
        ("recipe/plan.parquet", "generation_prompt", "a red apple", "sha256 "),
    ],
)
def test_a_forged_seed_prompt_or_digest_is_found(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, column: str, value: object, said: str
) -> None:
    forged = changed(recipe, tmp_path / "forged", file, column, value)
    assert status(regenerate, "--from", forged, "--verify", *LOCAL) == 1
    out = capsys.readouterr().out
    assert "NOT PROVED" in out and said in out


def test_where_bytes_may_differ_the_look_decides(recipe: Path, tmp_path: Path) -> None:
    """Other bytes pass where the receipts say another machine, and not on the same; another look passes nowhere."""
    assert call(regenerate, "--from", recipe, "--out", tmp_path / "out", *LOCAL) == 0
    made = reopen_round(LocalStore(tmp_path / "out"), ROUND, PICTURES)
    elsewhere = Path(shutil.copytree(recipe, tmp_path / "elsewhere"))
    path = elsewhere / "recipe" / "receipts" / "unit-000000.json"
    path.write_bytes(replace(Receipt.from_json(path.read_bytes()), environment={"machine": "another"}).to_json())
    other = pq.read_table(next(recipe.glob("data/*")))["phash"][1].as_py()
    for folder, alike, different in ((recipe, 0, 1), (elsewhere, 1, 0)):
        forged = changed(folder, tmp_path / f"{folder.name}-1", "data/*.parquet", "image_sha256", "0" * 64)
        proof = prove(forged, read_released(forged), made, hash_of_file)
        assert (proof.same, proof.alike, proof.different) == (11, alike, different)
    unlike = changed(forged, tmp_path / "unlike", "data/*.parquet", "phash", other)
    assert prove(unlike, read_released(unlike), made, hash_of_file).different == 1


def test_a_restricted_recipe_takes_the_words_from_their_owner(run: Path, tmp_path: Path) -> None:
    secret = restricted(run, tmp_path / "secret")
    release = released(secret, "recipe", tmp_path / "r")
    assert not read_released(release).has_words
    with pytest.raises(InputError, match="Add --restricted"):
        call(regenerate, "--from", release, "--verify", *LOCAL)
    assert call(regenerate, "--from", release, "--verify", "--restricted", *LOCAL) == 0  # the grammar's prompts
    assert (tmp_path / "r-again").stat().st_mode & 0o077 == 0
    (tmp_path / "others.csv").write_text("prompt\na red apple\n")
    with pytest.raises(InputError, match="give the very prompts of the run"):
        call(
            regenerate,
            "--from",
            release,
            "--out",
            tmp_path / "o",
            "--restricted",
            "--prompts",
            tmp_path / "others.csv",
            *LOCAL,
        )


def test_what_was_revoked_is_not_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = small_run(tmp_path)
    key = pq.read_table(next(run.glob("rounds/*/plan.parquet")))["key"][3].as_py()
    (tmp_path / "keys.txt").write_text(f"{key}\n")
    assert call(revoke, run, "--keys", tmp_path / "keys.txt") == 0
    release = released(run, "recipe", tmp_path / "r")
    assert call(regenerate, "--from", release, "--verify", *LOCAL) == 0
    assert "11 pictures are byte-equal" in capsys.readouterr().out


def test_code_and_stages_that_the_release_brings_are_refused(recipe: Path, tmp_path: Path) -> None:
    facts = read_released(recipe).facts
    with pytest.raises(InputError, match="name it with --recipe"):
        named_recipe(replace(facts, recipe="mine.py:cats"), None, None)
    with pytest.raises(InputError, match="leave it out"):
        named_recipe(facts, "mine.py:cats", None)
    with pytest.raises(InputError, match="there is no recipe in it"):
        read_released(tmp_path)
