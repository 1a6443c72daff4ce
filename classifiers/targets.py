"""Which trained classifiers an attack may aim at."""

from pathlib import Path

from classifiers.saved import Saved, embedded
from pipeline.storage.store import Store
from schemas.errors import InputError


def within(url: str, name: str) -> Path | None:
    """The folder of NAME or models/NAME of the run, if it is there."""
    models = Path(url) / "models"
    for folder in (models / name, Path(url) / name):
        if folder.is_dir() and folder.resolve().is_relative_to(models.resolve()):
            return folder
    return None


def _hint(url: str) -> str:
    known = sorted(path.parent.name for path in (Path(url) / "models").glob("*/config.json"))
    has = f"This run has {', '.join(known)}; " if known else ""
    return f"{has}train one with jobs/train.py RUN --classifier NAME"


def targets_of(store: Store, names: str | None, digests: str | None) -> tuple[Saved, ...]:
    """The classifiers of A,B: each is NAME below RUN/models, embedded:NAME, or a folder.

    One that neither this run trained nor the repository holds is attacked only if its digest is in `--digest` (DESIGN section 6).
    Raises InputError.
    """
    targets = []
    for name in (part.strip() for part in (names or "").split(",") if part.strip()):
        inside = embedded(name) or within(store.url, name)
        own = inside is not None
        if inside is None and not Path(name).is_dir():
            raise InputError(
                f"there is no classifier {name}: neither {store.url}/models/{name} nor such a folder. {_hint(store.url)}"
            )
        target = Saved(str((inside or Path(name)).resolve()))
        digest = target.digest()
        if not own and digest not in (digests or "").split(","):
            raise InputError(f"{name}: this run did not train it. If it is yours to attack, name it: --digest {digest}")
        targets.append(target)
    return tuple(targets)
