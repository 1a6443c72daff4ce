"""Whatever is done to whatever file of a run: `jobs/verify.py` names it, and nothing ends in a traceback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.rounds.ledger import root_digest
from pipeline.storage.open_store import open_store
from tests.support.damage import DAMAGE, copy_of, problems, verified
from tests.support.finished_run import finished_run

CONTROL = ("run.json", "ledger.json", "seal.json", "round.json", "manifest.json")
OF_CONTROL = ("empty", "half", "zeros", "null", "an object", "a list", "a deep list", "gone")


def is_control(name: str) -> bool:
    return Path(name).name in CONTROL or "/receipts/" in name


@pytest.fixture(scope="module")
def files() -> list[str]:
    """Names of all files of the run."""
    return list(open_store(str(finished_run())).names(""))


def of_each_kind(names: list[str]) -> Iterator[str]:
    """One file of each kind: of receipts, of shards' tars, …"""
    seen = set()
    for name in names:
        kind = (Path(name).name if is_control(name) and "receipts" not in name else Path(name).suffix, name[:6])
        if kind not in seen:
            seen.add(kind)
            yield name


def test_every_file_that_the_commands_write_has_an_owner(files: list[str]) -> None:
    audit = verified(finished_run())
    assert not isinstance(audit, str) and audit.problems == [] and audit.notes == []
    assert set(files) <= audit.owned and audit.root == root_digest(open_store(str(finished_run())))


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_to_every_file_that_holds_data_is_named_file_by_file(
    kind: str, files: list[str], tmp_path: Path
) -> None:
    run = copy_of(finished_run(), tmp_path / "run")
    damaged = [name for name in files if not is_control(name)]
    for number, name in enumerate(damaged):
        (tmp_path / str(number)).mkdir()
        DAMAGE[kind](run / name, tmp_path / str(number))
    said = problems(run)
    assert [name for name in damaged if name not in said] == []


@pytest.mark.parametrize("kind", OF_CONTROL)
def test_damage_to_a_control_file_is_named_and_says_what_mends_it(kind: str, files: list[str], tmp_path: Path) -> None:
    for number, name in enumerate(of_each_kind([name for name in files if is_control(name)])):
        run = copy_of(finished_run(), tmp_path / str(number))
        DAMAGE[kind](run / name, tmp_path)
        said = problems(run)
        assert name in said and (";" in said or "give" in said), f"{name}: {said}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_to_any_one_file_is_named(kind: str, files: list[str], tmp_path: Path) -> None:
    missed = []
    for number, name in enumerate(files):
        run, outside = copy_of(finished_run(), tmp_path / f"run-{number}"), tmp_path / f"outside-{number}"
        outside.mkdir()
        DAMAGE[kind](run / name, outside)
        if name not in problems(run):
            missed.append(name)
    assert missed == []
