"""Find a run that is there already: what reads a run must not make an empty one out of a misspelt path."""

import json
from dataclasses import fields
from pathlib import Path

from pipeline.store import OBJECT_SCHEMES, Store, open_store
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
        known = json.loads(data)
    except ValueError as error:
        raise InputError(f"{store.url}/run.json is torn ({error}); give the command that made the run again") from error
    names = {field.name for field in fields(RunConfig)}
    return store, RunConfig(**{name: value for name, value in known.items() if name in names})
