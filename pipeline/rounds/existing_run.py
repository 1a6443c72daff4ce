"""Find a run that is there already: what reads a run must not make an empty one out of a misspelt path."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.rounds.ledger import recorded
from pipeline.storage.open_store import open_store
from pipeline.storage.store import OBJECT_SCHEMES, Store
from schemas.errors import InputError
from schemas.run import RunConfig


def existing_run(url: str) -> tuple[Store, RunConfig]:
    """The store and the facts of the run at `url`. Raises InputError if no run is there."""
    if not url.startswith(OBJECT_SCHEMES) and not Path(url).is_dir():
        raise InputError(f"{url}: there is no such folder; give the --out of a run that jobs/generate.py made")
    store = open_store(url)
    data = store.read("run.json")
    if data is None:
        raise InputError(f"{store.url}: there is no run.json, so it is no run; give the --out of jobs/generate.py")
    config = RunConfig.from_json(data, f"{store.url}/run.json")
    return (open_store(url, private=True) if config.restricted else store), config


def write_facts(store: Store, config: RunConfig, environment: Mapping[str, str]) -> None:
    """`run.json`: that this is a run, and what it was asked to be."""
    with recorded(store, "run.json", by="jobs/generate.py"):
        store.write("run.json", config.to_json(environment))


def open_run(url: str) -> Store:
    """The store of the run; what is written to a restricted one stays its owner's alone. Raises InputError if there is no run."""
    store, config = existing_run(url)
    return open_store(store.url, private=config.restricted)
