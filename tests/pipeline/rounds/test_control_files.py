"""A command that goes on with a round whose control files were damaged mends them, or says which file and what to do."""

import json
from pathlib import Path

import pytest

from pipeline.dataset.verify import check_expected, verify_run
from pipeline.engines.unit import BrokenStageError
from pipeline.rounds.ledger import read_ledger, recorded, root_digest
from pipeline.rounds.round import open_round, pending
from pipeline.selection.edges import GroupRules
from pipeline.storage.open_store import open_store
from pipeline.storage.store import Store, StoreError
from schemas.control_file import ControlFileError, control_json, read_control
from stages.rounds.retry_round import undo_empty_retries
from tests.support.misbehaving import Broken, Paint
from tests.support.runs import NAME, carry_out, digest, plan_of, texts

ROUND = f"rounds/{NAME}"
PLAN = plan_of(texts(24), Paint())
HURT = {"empty": b"", "half": b'{"fin', "zeros": bytes(40), "null": b"null", "an object": b"{}", "a list": b"[]"}


def unfinished(folder: Path) -> str:
    """A run of three units of which the second is missing; the digest that it has when it is whole."""
    whole = digest(carry_out(folder, PLAN))
    (folder / ROUND / "receipts/unit-000001.json").unlink()
    return whole


@pytest.mark.parametrize("damage", HURT)
@pytest.mark.parametrize("name", ["round.json", "plan.parquet", "receipts/unit-000000.json"])
def test_the_same_command_mends_a_damaged_control_file_and_ends_in_the_same_bytes(
    name: str, damage: str, tmp_path: Path
) -> None:
    whole = unfinished(tmp_path)
    (tmp_path / ROUND / name).write_bytes(HURT[damage])
    assert digest(carry_out(tmp_path, PLAN)) == whole


@pytest.mark.parametrize("name", ["round.json", "plan.parquet"])
def test_the_same_command_writes_what_is_gone_again(name: str, tmp_path: Path) -> None:
    whole = unfinished(tmp_path)
    (tmp_path / ROUND / name).unlink()
    assert digest(carry_out(tmp_path, PLAN)) == whole


@pytest.mark.parametrize("units_left", [0, 1])
def test_the_plan_of_another_run_is_refused(units_left: int, tmp_path: Path) -> None:
    unfinished(tmp_path / "mine")
    carry_out(tmp_path / "other", plan_of(texts(24, other=3), Paint()))
    if not units_left:
        carry_out(tmp_path / "mine", PLAN)
    (tmp_path / "mine" / ROUND / "plan.parquet").write_bytes((tmp_path / "other" / ROUND / "plan.parquet").read_bytes())
    with pytest.raises(ControlFileError, match=r"plan\.parquet is damaged, or the plan of another round.*delete"):
        carry_out(tmp_path / "mine", PLAN)


def test_a_torn_card_of_another_plan_is_not_taken_for_ours(tmp_path: Path) -> None:
    carry_out(tmp_path, plan_of(texts(24, other=3), Paint()))
    (tmp_path / ROUND / "round.json").write_bytes(b"{")
    with pytest.raises(ControlFileError, match=r"round\.json is torn"):
        open_round(open_store(str(tmp_path)), ROUND, PLAN)


def test_a_fact_changed_by_hand_is_refused_and_an_older_file_without_checksum_is_read() -> None:
    needs = {"restricted": bool}
    text = control_json({"restricted": True})
    assert read_control(text, "run.json", "again", needs) == {"restricted": True}
    with pytest.raises(ControlFileError, match="changed by hand"):
        read_control(text.replace(b"true", b"false"), "run.json", "again", needs)
    assert read_control(b'{"restricted": false}', "run.json", "again", needs) == {"restricted": False}


def test_a_receipt_cannot_name_a_file_outside_of_its_round(tmp_path: Path) -> None:
    round_ = carry_out(tmp_path, PLAN)
    file = tmp_path / ROUND / "receipts/unit-000000.json"
    raw = {key: value for key, value in json.loads(file.read_bytes()).items() if key not in ("version", "checksum")}
    raw["files"][0]["name"] = "../../../etc/passwd"
    file.write_bytes(json.dumps(raw).encode())
    assert pending(round_) == [0]
    assert any("outside of its round" in problem for problem in verify_run(round_.store, GroupRules()).problems)


def test_no_name_and_no_link_leads_out_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not yours")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "file").symlink_to(tmp_path / "secret")
    (tmp_path / "run" / "folder").symlink_to(tmp_path)
    store = open_store(str(tmp_path / "run"))
    for name in ("file", "folder/secret", "../secret", "/etc/passwd", "a\0b"):
        with pytest.raises(StoreError, match="out"):
            store.read(name)
        with pytest.raises(StoreError, match="out"):
            store.write(name, b"mine now")
    assert (tmp_path / "secret").read_text() == "not yours"
    assert sorted(store.links()) == ["file", "folder"]


def with_retry_that_failed(folder: Path) -> Store:
    """A whole run, and a round of a retry whose stage failed on every sample."""
    store = carry_out(folder, PLAN).store
    broken = plan_of(texts(8), Paint(), Broken())
    round_ = open_round(store, "rounds/001-retry-broken", broken)
    from pipeline.engines.engine import run_units

    with pytest.raises(BrokenStageError):
        list(run_units("local", None, broken, round_, pending(round_)))
    return store


def test_an_unfinished_round_is_a_note_and_a_retry_that_committed_nothing_can_be_undone(tmp_path: Path) -> None:
    store = with_retry_that_failed(tmp_path)
    audit = verify_run(store, GroupRules())
    assert audit.problems == []
    assert any("0 of 1 units" in note and "--undo" in note for note in audit.notes)
    assert undo_empty_retries(store) == ["rounds/001-retry-broken"]
    after = verify_run(store, GroupRules())
    assert after.problems == [] and not any("retry" in note for note in after.notes)


def test_the_root_digest_changes_with_any_byte_and_is_what_expect_compares(tmp_path: Path) -> None:
    store = carry_out(tmp_path, PLAN).store
    root = root_digest(store)
    same = verify_run(store, GroupRules())
    check_expected(same, root)
    assert same.problems == []
    with recorded(store, "note.txt", by="this test"):
        store.write("note.txt", b"an owned file")
    later = verify_run(store, GroupRules())
    check_expected(later, root)
    assert any("the root digest is" in problem for problem in later.problems)


def test_what_a_command_began_to_write_is_unfinished_and_what_somebody_changed_is_a_problem(tmp_path: Path) -> None:
    store = carry_out(tmp_path, PLAN).store
    with recorded(store, "labels.parquet", by="jobs/label.py"):
        store.write("labels.parquet", b"first")
    with pytest.raises(KeyboardInterrupt), recorded(store, "labels.parquet", by="jobs/label.py"):
        store.write("labels.parquet", b"half of the second")
        raise KeyboardInterrupt
    audit = verify_run(store, GroupRules())
    assert not any("labels.parquet" in problem for problem in audit.problems)
    assert any("labels.parquet is unfinished: jobs/label.py" in note for note in audit.notes)
    with recorded(store, "labels.parquet", by="jobs/label.py"):
        store.write("labels.parquet", b"second")
    with recorded(store, "other.parquet", by="another command"):
        store.write("labels.parquet", b"changed while another command ran")
    assert any("labels.parquet is not what was written" in one for one in verify_run(store, GroupRules()).problems)


def test_a_command_that_fails_before_it_wrote_leaves_nothing_open(tmp_path: Path) -> None:
    store = carry_out(tmp_path, PLAN).store
    with recorded(store, "labels.parquet", by="jobs/label.py"):
        store.write("labels.parquet", b"first")
    with pytest.raises(ValueError), recorded(store, "labels.parquet", by="jobs/label.py"):
        raise ValueError("bad input")
    ledger = read_ledger(store)
    assert ledger is not None and not ledger.open and "labels.parquet" in ledger.files
