"""The audit log: an entry that is changed, taken out, put in or cut off is found, and two writers make one chain."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.dataset.audit import Audit
from pipeline.dataset.audit_log_checks import check_audit_log
from pipeline.dataset.ownership import check_ledger
from pipeline.rounds.audit_log import append, entries, name_of
from pipeline.rounds.ledger import Ledger, read_ledger, write_ledger
from pipeline.storage.local_store import LocalStore
from schemas.control_file import control_json, read_control
from schemas.errors import HazmatError


def filled(folder: Path, count: int = 4) -> LocalStore:
    store = LocalStore(folder)
    for number in range(count):
        append(store, "reveal", {"keys": [f"key-{number}"]}, by="a test", person="anna" if number % 2 else None)
    return store


def problems(store: LocalStore) -> list[str]:
    audit = Audit(store)
    check_ledger(audit)
    check_audit_log(audit)
    return audit.problems + [note for note in audit.notes if "audit" in note]


def test_entries_follow_each_other_and_say_who_did_what(tmp_path: Path) -> None:
    store = filled(tmp_path)
    log = list(entries(store))
    assert [entry.number for entry in log] == [1, 2, 3, 4]
    assert [entry.person for entry in log] == [None, "anna", None, "anna"]
    assert all(entry.user and entry.time and entry.details["keys"] for entry in log)
    assert problems(store) == []


def _edited(store: LocalStore) -> None:
    fields = read_control(store.read(name_of(2)), "", "", {})
    store.write(name_of(2), control_json({**fields, "user": "somebody else"}))  # with a checksum that fits


def _taken_out(store: LocalStore) -> None:
    store.delete(name_of(2))


def _renumbered(store: LocalStore) -> None:
    store.delete(name_of(2))
    for number in (3, 4):
        fields = read_control(store.read(name_of(number)), "", "", {})
        store.write(name_of(number - 1), control_json({**fields, "number": number - 1}))
    store.delete(name_of(4))


def _put_in(store: LocalStore) -> None:
    store.write("audit/00000002b.json", store.read(name_of(2)) or b"")


def _cut_off(store: LocalStore) -> None:
    store.delete(name_of(4))


def _torn(store: LocalStore) -> None:
    store.write(name_of(3), (store.read(name_of(3)) or b"")[:40])


@pytest.mark.parametrize("damage", [_edited, _taken_out, _renumbered, _put_in, _cut_off, _torn])
def test_whatever_is_done_to_the_log_is_found(tmp_path: Path, damage: Callable[[LocalStore], None]) -> None:
    store = filled(tmp_path)
    damage(store)
    assert any("audit/" in problem for problem in problems(store))


@pytest.mark.parametrize("damage", [_edited, _taken_out, _renumbered, _put_in, _torn])
def test_the_chain_alone_shows_it_too(tmp_path: Path, damage: Callable[[LocalStore], None]) -> None:
    """Also to whoever wrote the ledger again."""
    store = filled(tmp_path)
    damage(store)
    with pytest.raises(HazmatError, match="put it back from a copy"):
        list(entries(store))


def test_nothing_is_entered_after_a_damaged_end(tmp_path: Path) -> None:
    store = filled(tmp_path, 3)
    _torn(store)
    with pytest.raises(HazmatError, match=r"00000003.json .*put it back"):
        append(store, "reveal", {}, by="a test")


def test_writers_at_the_same_time_make_one_chain(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)

    def write() -> None:
        for _ in range(5):
            append(store, "export", {}, by="a test")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.number for entry in entries(store)] == list(range(1, 21))
    assert problems(store) == []


def test_an_entry_whose_writer_was_killed_is_entered_by_the_next(tmp_path: Path) -> None:
    store = filled(tmp_path, 2)
    ledger = read_ledger(store) or Ledger()
    known = {name: sha for name, sha in ledger.files.items() if name != name_of(2)}
    write_ledger(store, Ledger(known, {name_of(2): "a test"}))  # as a kill between the two leaves it
    append(store, "publish", {}, by="a test")
    assert problems(store) == [] and (read_ledger(store) or Ledger()).files.keys() >= {name_of(2), name_of(3)}


def test_an_action_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no action"):
        append(LocalStore(tmp_path), "look", {}, by="a test")
