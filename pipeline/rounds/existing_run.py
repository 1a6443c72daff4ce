"""Find a run that is there already: what reads a run must not make an empty one out of a misspelt path."""

from pathlib import Path

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
    try:
        config = RunConfig.from_json(data)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{store.url}/run.json is torn ({error!r}); give the command that made the run again"
        ) from error
    return (open_store(url, private=True) if config.restricted else store), config


def open_run(url: str) -> Store:
    """The store of the run; what is written to a restricted one stays its owner's alone. Raises InputError if there is no run."""
    store, config = existing_run(url)
    return open_store(store.url, private=config.restricted)
