"""The results: one row per (sample, scorer, attack), written a chunk at a time; a chunk is done when its file is there."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import blake2b

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.pack import parquet_bytes
from pipeline.storage.store import Store

FOLDER = "results"
SETTINGS = ("clean", "control", "static", "non_adaptive", "transfer", "adaptive", "sanity")
"""`clean`: the sample as it is. `control`: prompts shuffled. `static`: a variant out of the shards. `non_adaptive`: made without a
look at any scorer. `transfer`: made against another scorer. `adaptive`: made against the very scorer that is judged. `sanity`:
likewise, to check the attacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one scorer said of one sample under one attack. `None`: does not apply. No prompt and no picture is in here.

    `label` is the verdict on the pair (on the image or the prompt where there is no pair), `label_before` that on the clean sample
    that the attack began with: `safe`, `unsafe` or `na`. A scope that nobody labelled is `unlabelled` (`na` in rows of before).
    """

    key: str  # of the clean sample, or of a static variant
    sample: str  # of the clean sample in either case: what worst cases are taken over
    root: str  # what intervals are drawn over
    dataset: str  # test, val, or the name of a folder
    test_set: str  # "test", or what is held out ("style:vintage")
    source: str
    generator: str | None
    style: str | None
    language: str | None
    prompt_label: str
    image_label: str
    pair_label: str
    label: str
    label_before: str
    categories: list[str]  # of `label`
    scorer: str
    scorer_digest: str
    scope: str  # the one that its decision is about
    score: float  # P(unsafe) of that scope
    threshold: float
    flagged: bool
    claims: list[str]  # the categories that it can tell
    category_scores: list[float]  # one for each of `claims`
    attack: str  # none | shuffled_prompts | the file in stages/attack
    setting: str  # of SETTINGS
    variant: int = 0  # of several of one attack on one sample
    family: str | None = None
    heldout: bool = False  # the attack is one that the shard recipe keeps out of training
    goal: str | None = None
    knowledge: str | None = None
    protocol: str | None = (
        None  # pixel_linf | text_edits | pixel_linf+text_edits | unbounded; never mixed in one figure
    )
    preserves: bool | None = None
    epsilon: float | None = None
    distance: float | None = None
    edit_budget: int | None = None
    edits: int | None = None
    queries: int | None = None
    seed: int | None = None
    truncated: bool | None = None  # the generator read the beginning of the prompt only; None: it has no text encoder


_TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(("score", "threshold", "epsilon", "distance"), pa.float64()),
    **dict.fromkeys(("truncated", "flagged", "heldout", "preserves"), pa.bool_()),
    **dict.fromkeys(("variant", "edit_budget", "edits", "queries", "seed"), pa.int64()),
    **dict.fromkeys(("categories", "claims"), pa.list_(pa.string())),
    "category_scores": pa.list_(pa.float64()),
}
RESULT_SCHEMA = pa.schema([(field.name, _TYPES.get(field.name, pa.string())) for field in fields(Result)])
_FINGERPRINT = b"hazmat.fingerprint"


def fingerprint(*parts: object) -> str:
    """blake2b of what a chunk depends on: rows, scorer, attack, settings."""
    return blake2b(json.dumps(parts, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where the rows of one chunk of one (scorer, attack) lie, and what they depend on."""

    dataset: str
    scorer: str
    attack: str
    number: int
    fingerprint: str

    @property
    def name(self) -> str:
        """The file within the run."""
        return f"{FOLDER}/{self.dataset}/{self.scorer}/{self.attack}/{self.number:05d}.parquet"

    def done(self, store: Store) -> bool:
        """Whether the file is there, readable, and of this fingerprint."""
        if store.size(self.name) is None:
            return False
        try:
            with store.open(self.name) as file:
                fingerprint = (pq.ParquetFile(file).schema_arrow.metadata or {}).get(_FINGERPRINT)
        except (pa.ArrowException, OSError):
            return False  # torn by another program; ours are whole or absent
        return fingerprint == self.fingerprint.encode()

    def write(self, store: Store, rows: Sequence[Result]) -> None:
        """Whole or not at all."""
        schema = RESULT_SCHEMA.with_metadata({_FINGERPRINT: self.fingerprint.encode()})
        table = pa.Table.from_pylist([asdict(row) for row in rows], schema)
        store.write(self.name, parquet_bytes(table))


def remove_stale(store: Store, wanted: Sequence[Chunk]) -> int:
    """Delete chunks of the same (dataset, scorer, attack) beyond those wanted: left over from more rows. Returns how many."""
    names = {chunk.name for chunk in wanted}
    folders = {chunk.name.rsplit("/", 1)[0] for chunk in wanted}
    folders |= {folder.replace("-non_adaptive", "-black_box") for folder in folders}  # as it was called before
    stale = [name for folder in sorted(folders) for name in store.names(folder) if name not in names]
    for name in stale:
        store.delete(name)
    return len(stale)
