"""Find a run that is there already: what reads a run must not make an empty one out of a misspelt path."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pipeline.rounds.ledger import recorded
from pipeline.storage.open_store import open_store
from pipeline.storage.store import OBJECT_SCHEMES, Store
from schemas.errors import InputError
from schemas.run import RunConfig
from schemas.taxonomy import UNSAFEBENCH, Taxonomy


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


def taxonomy_of(store: Store) -> Taxonomy:
    """What the run is judged by: its own taxonomy, or UnsafeBench's. Raises ControlFileError for a damaged run.json."""
    data = store.read("run.json")
    return UNSAFEBENCH if data is None else RunConfig.from_json(data, f"{store.url}/run.json").policy


def with_taxonomy(store: Store, config: RunConfig) -> RunConfig:
    """The facts of a run that is begun or gone on with, with the taxonomy that it has already. Raises InputError for another."""
    if store.size("run.json") is None:
        return config
    taxonomy = taxonomy_of(store)
    if config.taxonomy is not None and config.policy != taxonomy:
        raise InputError(
            f"--taxonomy: {store.url} is judged by {taxonomy.label}, and this is {config.policy.label} or another text of it; "
            f"jobs/label.py {store.url} --taxonomy FILE changes it"
        )
    return config if taxonomy == UNSAFEBENCH else replace(config, taxonomy=taxonomy.to_json())


def adopt(store: Store, taxonomy: Taxonomy, environment: Mapping[str, str]) -> None:
    """Judge the run by this taxonomy from now on. Votes by the one before are kept, and count no longer."""
    config = RunConfig.from_json(store.read("run.json"), f"{store.url}/run.json")
    if config.policy != taxonomy:
        own = None if taxonomy == UNSAFEBENCH else taxonomy.to_json()
        write_facts(store, replace(config, taxonomy=own), environment)
