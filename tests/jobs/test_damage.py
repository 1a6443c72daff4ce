"""Whatever is done to whatever file of a run: `jobs/verify.py` names it, and nothing ends in a traceback."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifiers.evaluation.summary_checks import check_summaries
from pipeline.catalogue.views import refresh
from pipeline.dataset.audit import Audit
from pipeline.dataset.derived_checks import check_derived
from pipeline.dataset.repair import repair
from pipeline.rounds.ledger import recorded, root_digest
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
def test_damage_to_control_files_is_named_and_says_what_mends_it(kind: str, files: list[str], tmp_path: Path) -> None:
    control = [name for name in files if is_control(name)]
    seals = [name for name in control if name.endswith("/seal.json")]
    rest = [name for name in control if name not in ("run.json", "ledger.json", *seals)]
    for number, names in enumerate([["run.json"], ["ledger.json"], seals, rest]):
        run = copy_of(finished_run(), tmp_path / str(number))
        for name in names:
            DAMAGE[kind](run / name, tmp_path)
        said = [line for line in problems(run).splitlines() if ";" in line or "give" in line]
        assert [name for name in names if not any(name in line for line in said)] == []


def all_safe(run: Path) -> None:
    """Rewrite the labels so that nothing is unsafe, and put the ledger right, as somebody would who knows the layout."""
    table = pq.read_table(run / "labels.parquet")
    safe = table.set_column(table.column_names.index("label"), "label", pa.array(["safe"] * len(table)))
    with recorded(open_store(str(run)), "labels.parquet", by="an attacker"):
        (run / "labels.parquet").unlink()
        pq.write_table(safe, run / "labels.parquet")


def test_labels_and_figures_that_do_not_follow_from_votes_and_rows_are_found_by_making_them_again(
    tmp_path: Path,
) -> None:
    run = copy_of(finished_run(), tmp_path / "run")
    store = open_store(str(run))
    refresh(store)
    sound = Audit(store)
    check_derived(sound)
    check_summaries(sound)
    assert sound.problems == [] and sound.notes == []
    all_safe(run)
    summary = "results/test/summary-text.json"
    with recorded(store, summary, by="an attacker"):
        store.write(summary, re.sub(rb'"value": 0\.\d+', b'"value": 0.99', store.read(summary) or b""))
    found = Audit(store)
    check_derived(found)
    check_summaries(found)
    assert any("labels.parquet" in one and "not what the votes give" in one for one in found.problems)
    assert any(summary in one for one in found.problems)


def test_repair_makes_labels_and_catalogue_again_and_leaves_what_only_its_command_can_make(tmp_path: Path) -> None:
    run = copy_of(finished_run(), tmp_path / "run")
    labels = (run / "labels.parquet").read_bytes()
    for name in ("catalogue/samples.parquet", "catalog.sql", "models/text/config.json"):
        (run / name).unlink()
        (run / name).write_bytes(b"damaged")
    table = pq.read_table(run / "labels.parquet")
    (run / "labels.parquet").unlink()
    pq.write_table(table.slice(5), run / "labels.parquet")
    assert any("labels.parquet" in line for line in list(repair(open_store(str(run)))))
    assert (run / "labels.parquet").read_bytes() == labels
    said = problems(run)
    assert "models/text/config.json" in said and "catalog" not in said and "labels.parquet" not in said


def test_a_run_of_an_older_layout_verifies_and_says_what_has_no_owner_until_repair_gives_it_one(tmp_path: Path) -> None:
    run = copy_of(finished_run(), tmp_path / "run")
    as_of_before(run)
    audit = verified(run)
    assert not isinstance(audit, str) and audit.problems == [] and audit.root is None
    assert any("older layout" in note and "no owner" in note for note in audit.notes)
    list(repair(open_store(str(run))))
    audit = verified(run)
    assert not isinstance(audit, str) and audit.problems == [] and audit.notes == [] and audit.root is not None


def as_of_before(run: Path) -> None:
    """Take out what the chain added: ledger, seals, versions, checksums, the digests of plans."""
    (run / "ledger.json").unlink()
    for path in [*run.rglob("*.json")]:
        if path.name == "seal.json":
            path.unlink()
        elif is_control(path.relative_to(run).as_posix()):
            fields = json.loads(path.read_bytes())
            for name in ("version", "checksum", "plan_sha256"):
                fields.pop(name, None)
            path.unlink()
            path.write_text(json.dumps(fields))


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
