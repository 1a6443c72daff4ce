"""Build the folder of a release beside its place, and put it there whole."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from pipeline.release.card import write_card
from pipeline.release.checksums import write_checksums
from pipeline.release.croissant import write_croissant
from pipeline.release.facts import facts_of_release
from pipeline.release.image_folder import write_image_folder
from pipeline.release.recipe_parts import write_recipe
from pipeline.release.rows import release_rows
from pipeline.release.tables import PictureReaders, write_tables
from pipeline.rounds.audit_log import append
from pipeline.storage.store import Store
from schemas.errors import InputError
from schemas.run import RunConfig


@dataclass(frozen=True, kw_only=True)
class ReleaseWanted:
    """What is asked for. `restricted`: words and pictures of a restricted run are meant."""

    folder: Path
    tier: str
    contact: str
    image_folder: bool
    restricted: bool
    read: PictureReaders


@dataclass(frozen=True, kw_only=True)
class Release:
    """What was made: rows by split, files, bytes, and the digest of the list of checksums."""

    folder: Path
    tier: str
    counts: dict[str, int]
    files: int
    bytes: int
    digest: str
    gated: bool


def build_release(store: Store, run: RunConfig, wanted: ReleaseWanted) -> Release:
    """Make the folder, enter it in the run's records, and only then put it where it can be seen.

    Raises InputError where pictures of a restricted run are not meant, or the folder is there already.
    """
    if run.restricted and wanted.tier == "pictures" and not wanted.restricted:
        raise InputError(
            f"{store.url} is restricted: its pictures may be hazardous. --tier recipe lets others make them again; "
            "--restricted publishes them all the same, and the run keeps a record of who did"
        )
    folder = wanted.folder
    if folder.exists():
        raise InputError(f"--out {folder}: it is there already; delete it, or give another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))  # readable to its owner only
    try:
        release = _filled(store, run, wanted, scratch)
        words = wanted.restricted or not run.restricted
        said = {"tier": release.tier, "rows": dict(release.counts), "words": words, "digest": release.digest}
        append(store, "publish", said, by="jobs/publish.py")  # before anybody can see it
        if not run.restricted:
            mask = os.umask(0)
            os.umask(mask)
            scratch.chmod(0o777 & ~mask)
        scratch.rename(folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return release


def _filled(store: Store, run: RunConfig, wanted: ReleaseWanted, scratch: Path) -> Release:
    words = wanted.restricted or not run.restricted
    pictures = wanted.tier == "pictures"
    with release_rows(store, wanted.tier, words=words) as rows:
        facts = facts_of_release(
            rows, wanted.folder, wanted.tier, wanted.contact, restricted=run.restricted, words=words
        )
        if wanted.tier == "recipe":
            write_recipe(store, run, scratch, words=words)
        files = write_tables(rows, scratch, pictures=pictures, read=wanted.read)
        if wanted.image_folder:
            write_image_folder(rows, scratch)
    write_croissant(facts, scratch, files)
    write_card(facts, scratch)
    digest = write_checksums(scratch)
    sizes = [path.stat().st_size for path in scratch.rglob("*") if path.is_file()]
    return Release(
        folder=wanted.folder,
        tier=wanted.tier,
        counts=facts.counts,
        files=len(sizes),
        bytes=sum(sizes),
        digest=digest,
        gated=facts.gated,
    )
