"""The rounds of a run: which there are, which is next, and how one is opened again."""

from collections.abc import Iterator

from pipeline.pack import Pack
from pipeline.rounds.control_files import card, read_receipt
from pipeline.rounds.round import Round
from pipeline.storage.store import Store


def rounds_with(store: Store, kind: str) -> list[str]:
    """The rounds of a run that hold committed files of a kind ("raw", "votes", "signatures"), in order."""
    folders = {name.split("/", 2)[1] for name in store.names("rounds") if f"/{kind}/" in name}
    return [f"rounds/{folder}" for folder in sorted(folders)]


def all_rounds(store: Store) -> list[str]:
    """Every round of a run that has been opened, in order."""
    names = (name for name in store.names("rounds") if name.endswith("/round.json"))
    return sorted(name.removesuffix("/round.json") for name in names)


def further_round(store: Store, suffix: str) -> str:
    """The folder of a further round: its number is one more than the last."""
    numbers = [int(folder.split("/")[1].split("-")[0]) for folder in all_rounds(store)]
    return f"rounds/{max(numbers, default=-1) + 1:03d}{suffix}"


def stage_names(store: Store, folder: str) -> list[str]:
    """The names of a round's stages, in order."""
    return [str(stage["stage"]) for stage in card(store, folder)["stages"]]


def reopen_round(store: Store, folder: str, pack: Pack) -> Round:
    """A round as it was planned, without planning it again."""
    known = card(store, folder)
    return Round(store, folder, known["fingerprint"], known["units"], known["items"], pack)


def planned_and_committed(store: Store) -> tuple[list[str], list[str]]:
    """Names of all plans and of all committed rows: where a parent may be found."""
    rounds = all_rounds(store)
    rows = [name for folder in rounds for name in committed_files(store, folder, "raw/", ".parquet")]
    return [f"{folder}/plan.parquet" for folder in rounds], rows


def committed_files(store: Store, folder: str, start: str, end: str) -> Iterator[str]:
    """Names within the run of the files of a round's committed units that start and end so, by unit; others do not count."""
    for name in store.names(f"{folder}/receipts"):
        receipt = read_receipt(store, name)
        yield from (f"{folder}/{e.name}" for e in receipt.files if e.name.startswith(start) and e.name.endswith(end))


def next_round(store: Store, name: str) -> str:
    """`rounds/NNN-name`: the folder that bears this name already, or the next number."""
    numbers = sorted({folder.split("/")[1] for folder in store.names("rounds") if folder.count("/") >= 2})
    same = [folder for folder in numbers if folder[4:] == name]
    number = int(numbers[-1][:3]) + 1 if numbers else 0
    return f"rounds/{same[0]}" if same else f"rounds/{number:03d}-{name}"
