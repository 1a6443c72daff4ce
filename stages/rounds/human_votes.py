"""Votes of people: the queue out to Label Studio with blurred pictures, the annotations back in as a round."""

import base64
import io
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from pipeline.engines.resumable import OpenedRound
from pipeline.pack import PackVotes
from pipeline.plan import Plan
from pipeline.rounds.audit_log import append
from pipeline.rounds.existing_run import taxonomy_of
from pipeline.rounds.items import CommittedItems
from pipeline.rounds.rounds import rounds_with
from pipeline.storage.image_codec import blurred, decode, encode
from pipeline.storage.store import Store
from pipeline.votes.label_studio import Exchange, labelling_config, task_of, votes_from
from pipeline.votes.read import read_votes, votes_in
from pipeline.votes.review import for_review
from schemas.errors import InputError
from schemas.sample import Pixels, Sample
from schemas.vote import Vote, votes_of
from stages.label.people_votes import PeopleVotes, WithdrawnVotes
from stages.rounds.label_round import open_round_of

LEAST_SIDE, LONGEST_SIDE = 384, 768  # pixels of the longer side in a task: what people can see, and what a page holds
BLIND_VOTES = 2  # after so many of people, a task shows what the models said


def exchange_of(store: Store) -> Exchange:
    """What people vote by: the run's taxonomy."""
    taxonomy = taxonomy_of(store)
    return Exchange(taxonomy.name, taxonomy.version, taxonomy.ids)


@dataclass(frozen=True)
class SelectedItems:
    """The committed samples of these keys."""

    items: CommittedItems
    keys: frozenset[str]

    def __iter__(self) -> Iterator[Sample]:
        return (sample for sample in self.items if sample.key in self.keys)


def committed(store: Store, keys: frozenset[str]) -> SelectedItems:
    """Those samples of the run."""
    return SelectedItems(CommittedItems(store, rounds_with(store, "raw")), keys)


def export_tasks(
    store: Store, file: Path, count: int, *, reveal: bool = False, only: Collection[str] | None = None
) -> dict[str, object]:
    """Write the `count` items that a person should see first as tasks, and the labelling interface beside them.

    `only` of these samples, if given. Pictures are blurred beyond recognition unless `reveal`; either is kept in the audit log.
    """
    data = store.read("labels.parquet")
    if data is None:
        raise InputError(f"{store.url} has no labels yet; run jobs/label.py {store.url} --aggregate dawid_skene first")
    labels = pq.read_table(io.BytesIO(data))
    if only is not None:
        labels = labels.filter(pc.is_in(labels["key"], pa.array(sorted(only), pa.string())))
        if not len(labels):
            raise InputError(f"none of the {len(only)} keys is of a sample of {store.url} that has a label")
    queue = for_review(labels, count).to_pylist()
    keys = frozenset(row["key"] for row in queue)
    samples = {sample.key: sample for sample in committed(store, keys)}
    shown = _predictions(store, keys)
    said = {"file": file.name, "tasks": len(queue), "keys": sorted(keys)}
    append(store, "reveal" if reveal else "export", said, by=f"jobs/label.py --export{' --reveal' if reveal else ''}")
    tasks = []
    for row in queue:
        sample, scope = samples[row["key"]], row["scope"]
        image = None if scope == "prompt" else picture_uri(store, sample, reveal=reveal)
        tasks.append(task_of(sample.key, scope, sample.prompt, image, shown.get((sample.key, scope), ())))
    _write_private(file, json.dumps(tasks, ensure_ascii=False, indent=1))
    _write_private(file.with_suffix(".xml"), labelling_config(exchange_of(store).categories))
    why: dict[str, int] = {}
    for row in queue:
        why[row["why"]] = why.get(row["why"], 0) + 1
    return {"tasks": len(tasks), "file": str(file), "interface": str(file.with_suffix(".xml")), **why}


def _predictions(store: Store, keys: frozenset[str]) -> dict[tuple[str, str], list[Vote]]:
    """The models' votes on items that enough people have judged blind: shown earlier, they would be followed."""
    votes, _ = read_votes(store)
    cast = votes_of(votes.filter(pc.is_in(votes["key"], pa.array(sorted(keys), pa.string()))))
    people: dict[tuple[str, str], set[str]] = {}
    for vote in cast:
        if vote.annotator_type == "human" and vote.label != "skip":
            people.setdefault((vote.key, vote.scope), set()).add(vote.annotator)
    ready = {item for item, names in people.items() if len(names) >= BLIND_VOTES}
    shown: dict[tuple[str, str], list[Vote]] = {}
    for vote in cast:
        item = (vote.key, vote.scope)
        if item in ready and vote.annotator_type != "human" and vote.label in ("safe", "unsafe"):
            shown.setdefault(item, []).append(vote)
    return shown


def picture_uri(store: Store, sample: Sample, *, reveal: bool) -> str:
    """The sample's picture as a data URI, as large as people need it, and blurred beyond recognition unless `reveal`."""
    assert sample.tar and sample.tar_offset is not None and sample.tar_size is not None and sample.format
    pixels = decode(store.read_range(sample.tar, sample.tar_offset, sample.tar_size), sample.format)
    return (
        f"data:image/png;base64,{base64.b64encode(encode(sized(pixels) if reveal else veiled(pixels), 'png')).decode()}"
    )


def veiled(pixels: Pixels) -> Pixels:
    """`sized`, blurred."""
    return blurred(sized(pixels))


def sized(pixels: Pixels) -> Pixels:
    """uint8 [height, width, 3], its longer side from 384 to 768 pixels."""
    picture = Image.fromarray(pixels)
    longer = max(picture.size)
    scale = max(LEAST_SIDE / longer, 1.0) * min(LONGEST_SIDE / longer, 1.0)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS))


def withdraw_votes(store: Store, folder: str) -> dict[str, object]:
    """Take an import back: a round of votes that stand in its votes' place. The same again changes nothing."""
    keys = frozenset(vote.key for vote in votes_in(store, folder))
    stage = WithdrawnVotes(url=store.url, withdrawn=folder)
    plan = Plan((stage,), committed(store, keys), unit_size=4096, seed=0, pack=PackVotes())
    opened = open_round_of(store, plan, f"people-without-{folder.split('/')[-1][:3]}")
    opened.carry_out("local")
    return {"round": opened.round.folder, "withdrawn": folder, "votes": len(votes_in(store, folder))}


def _write_private(file: Path, text: str) -> None:
    """Readable to the owner only: prompts may be what nobody should have to read."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.chmod(0o600)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--export {file}: {error.strerror or error}") from error


def import_votes(store: Store, file: Path) -> dict[str, object]:
    """Check the file, then commit its votes in a round of their own; the same file again changes nothing."""
    try:
        imported = votes_from(file.read_text(encoding="utf-8"), exchange_of(store))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--import {file}: {error}") from error
    except InputError as error:
        raise InputError(f"--import {file.name}: {error}") from error
    if not imported.votes:
        raise InputError(f"--import {file.name}: no task has an annotation")
    opened = people_round(store, file, frozenset(vote.key for vote in imported.votes))
    opened.carry_out("local")
    people = {vote.annotator for vote in imported.votes}
    return {"round": opened.round.folder, "votes": len(imported.votes), "people": len(people), **dict(imported.items)}


def people_round(store: Store, file: Path, keys: frozenset[str]) -> OpenedRound:
    """The round of one file of people's votes. Raises InputError for votes on samples that the run does not have."""
    stage = PeopleVotes(file=file, exchange=exchange_of(store))
    chosen = committed(store, keys)
    missing = keys - {sample.key for sample in chosen}
    if missing:
        raise InputError(
            f"--import {file.name}: {len(missing)} tasks are of no sample of this run, such as {min(missing)}"
        )
    plan = Plan((stage,), chosen, unit_size=4096, seed=0, pack=PackVotes())
    return open_round_of(store, plan, f"people-{stage.revision()[:8]}")
