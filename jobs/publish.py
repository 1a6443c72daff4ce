#!/usr/bin/env python
"""Make a folder of a run that is ready for a dataset hub: card, rows, Croissant, checksums; upload it if asked.

    jobs/publish.py runs/mine --tier metadata --out mine-metadata
    jobs/publish.py runs/mine --tier pictures --out mine --image-folder --push OWNER/mine
    jobs/publish.py runs/mine --tier recipe --out mine-recipe          no picture; jobs/regenerate.py makes them again

What shards keep is published, or all that is committed where there are none; what was revoked never is. Of a restricted run
words are left out and pictures refused, unless --restricted says that they are meant. The run keeps a record.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Option

from jobs.command import DONE, LocalCommand, report, resolve_out, run_command, say, tell_root
from jobs.command.flags import Run
from schemas.errors import InputError

if TYPE_CHECKING:
    from pipeline.release.build import Release

Tier = Literal["metadata", "embeddings", "pictures", "recipe"]


@dataclass(frozen=True, kw_only=True)
class Publish(LocalCommand):
    """What of a run, and where to."""

    resumes = False

    run: Run
    tier: Annotated[Tier, Option(help="what is given away")]
    out: Annotated[Path | None, Option(metavar="FOLDER", help="where it is made (default: RUN-TIER)")] = None
    contact: Annotated[
        str | None, Option(metavar="TEXT", help="who takes revocations (default: the dataset's Community tab)")
    ] = None
    image_folder: Annotated[
        bool, Option("--image-folder", help="write the pictures as files with metadata.jsonl too")
    ] = False
    restricted: Annotated[
        bool, Option("--restricted", help="of a restricted run give prompts, and in the tier pictures pictures, too")
    ] = False
    push: Annotated[
        str | None,
        Option(metavar="OWNER/NAME", help="upload it to this dataset; without a token say what would be done"),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.image_folder and self.tier != "pictures":
            raise InputError("--image-folder goes with --tier pictures")


def main(config: Publish) -> int:
    """Make the folder, keep the record, upload."""
    from pipeline.catalogue.answer_files import outside
    from pipeline.catalogue.views import refresh
    from pipeline.release.build import ReleaseWanted, build_release
    from pipeline.release.facts import COMMUNITY
    from pipeline.release.hub import checked_repo
    from pipeline.release.tables import PictureReaders
    from pipeline.rounds.existing_run import existing_run
    from stages.signature.embedding import Embedding, FileEmbedder
    from stages.signature.perceptual import hash_of_file

    repo = None if config.push is None else checked_repo(config.push)
    store, facts = existing_run(resolve_out(config.run))
    folder = outside(store, config.out or Path(f"{config.run.rstrip('/').rpartition('/')[2]}-{config.tier}")).resolve()
    refresh(store)
    wanted = ReleaseWanted(
        folder=folder,
        tier=config.tier,
        contact=config.contact or COMMUNITY,
        image_folder=config.image_folder,
        restricted=config.restricted,
        read=PictureReaders(hash_of_file, FileEmbedder(Embedding())),
    )
    release = build_release(store, facts, wanted)
    rows = ", ".join(f"{count} {split}" for split, count in release.counts.items())
    say(f"{rows}: {folder} ({release.files} files, {release.bytes / 1e6:.1f} MB); digest {release.digest}")
    pushed = None if repo is None else upload(release, repo)
    summary = {
        "folder": str(folder),
        "tier": release.tier,
        "rows": release.counts,
        "files": release.files,
        "digest": release.digest,
    }
    report(config, {**summary, "pushed": pushed, "root": tell_root(store)})
    return DONE


def upload(release: "Release", repo: str) -> str | None:
    """Where it is on the hub now; None where no token is there, and what would have been done is said."""
    from pipeline.release.hub import HubUpload, token_is_there

    wanted = HubUpload(release.folder, repo, release.gated)
    if not token_is_there():
        say(
            f"no token, so nothing was uploaded: it would be {wanted.said()}. Set HF_TOKEN or `hf auth login`, then push again"
        )
        return None
    address = wanted.push()
    say(f"uploaded {wanted.said()}: {address}")
    return address


if __name__ == "__main__":
    run_command(main)
