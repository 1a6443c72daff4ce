"""Which trained classifiers an attack may aim at."""

from pathlib import Path

from classifiers.saved import Saved
from pipeline.storage.store import Store
from schemas.errors import InputError


def targets_of(store: Store, names: str | None, digests: str | None) -> tuple[Saved, ...]:
    """The classifiers of `--against A,B`: below the run, else by path.

    One that this run did not train is attacked only if its digest is in `--digest` (DESIGN section 6). Raises InputError.
    """
    found = []
    for name in (part.strip() for part in (names or "").split(",") if part.strip()):
        inside = Path(store.url) / name
        own = inside.is_dir() and inside.resolve().is_relative_to((Path(store.url) / "models").resolve())
        target = Saved(str((inside if own else Path(name)).resolve()))
        digest = target.digest()
        if not own and digest not in (digests or "").split(","):
            raise InputError(
                f"--against {name}: this run did not train it. If it is yours to attack, name it: --digest {digest}"
            )
        found.append(target)
    return tuple(found)
