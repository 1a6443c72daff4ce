"""The one record of Hazmat: a prompt, at most one picture, its lineage and its provenance."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.attack import ATTACK_TYPE, AttackRecord
from schemas.identity import derived_key, seed_of
from schemas.prompt import Prompt
from schemas.vote import Vote

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One row. Frozen: a stage makes a new one with `with_` (same identity) or `derive` (a child).

    A *root* is the original prompt (`key == root`, no parent); *clean* means no attack in the ancestry.
    """

    # identity and lineage
    key: str
    root: str
    parent: str | None = None
    clean: bool = True
    # the prompt: what is judged, and what the generator saw
    prompt: str = ""
    generation_prompt: str = ""
    language: str | None = None
    # the source's claims, carried along and never taken for labels
    source: str = ""
    source_id: str | None = None
    licence: str | None = None
    category: str | None = None
    label: str | None = None
    # how the picture was made; `generation_prompt` above is what was encoded: of a text too long for every encoder the beginning
    prompt_tokens: int | None = (
        None  # of the whole text, special ones too, for the encoder that it overruns most or fills most
    )
    truncated: bool | None = None  # whether that encoder read the beginning only
    encoder_tokens: str | None = None  # JSON: for each text encoder the tokens of the whole text and how many it reads
    generator: str | None = None
    revision: str | None = None  # blake2b of the weights
    scheduler: str | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    true_cfg_scale: float | None = None
    negative_prompt: str | None = None
    dtype: str | None = None
    asked_settings: str | None = None  # JSON of what this row set of its generator, beyond what the recipe gives all
    cost: float | None = None  # of a picture that was paid for, in the currency of its price list
    seed: int | None = None  # of its picture; before there is one, what its source fixes
    scene: str | None = None  # JSON of the Scene a drawn picture shows: its ground truth
    attack: AttackRecord | None = None
    # the picture as it is stored
    format: str | None = None
    width: int | None = None
    height: int | None = None
    image_sha256: str | None = None  # of the encoded file
    # where it lies once committed: bytes [tar_offset, tar_offset + tar_size) of this file of the run
    tar: str | None = None
    tar_offset: int | None = None
    tar_size: int | None = None
    # in memory only
    refused: str | None = None  # why its generator will not draw it: a result, which is committed in a table of its own
    pixels: Pixels | None = None  # uint8 [height, width, 3]
    encoded: bytes | None = None  # the picture file
    votes: tuple[Vote, ...] = ()  # committed beside the sample, never in its row
    signatures: dict[str, Any] | None = None  # columns of `schemas.signature`, gathered by its stages
    batch_row: int = 0  # row in the planned batch: a re-run of this sample alone must use the same row (DESIGN 3.3)
    batch_rows: int = 0  # rows that its planned batch computes; 0: as many as the stage's batches have

    @property
    def follows_prompt(self) -> bool:
        """Whether the generator was given the judged prompt (or what it can read of it), not a text of its own."""
        whole = self.generation_prompt == self.prompt
        return whole or bool(self.truncated and self.prompt.startswith(self.generation_prompt))

    @classmethod
    def from_prompt(cls, prompt: Prompt, run_seed: int) -> Self:
        """The root sample of a prompt; its key depends on the run's seed, both texts, and what its source fixes of seed and
        settings, not on its place in a file.
        """
        drawn = prompt.text if prompt.drawn_text is None else prompt.drawn_text
        fixed = () if prompt.seed is None else (prompt.seed,)
        own = () if prompt.settings is None else (prompt.settings,)
        key = derived_key("root", run_seed, prompt.text, drawn, *fixed, *own)
        return cls(
            key=key,
            root=key,
            prompt=prompt.text,
            generation_prompt=drawn,
            language=prompt.language,
            source=prompt.source,
            source_id=prompt.source_id,
            licence=prompt.licence,
            category=prompt.category,
            label=prompt.label,
            seed=prompt.seed,
            asked_settings=prompt.settings,
        )

    def drawing_seed(self, purpose: str) -> int:
        """What its picture is drawn from: the seed that came with its prompt, else one of its key."""
        return seed_of(self.key, purpose) if self.seed is None or self.pixels is not None else self.seed

    def with_(self, **changes: Any) -> Self:
        """The same sample with more known about it."""
        return replace(self, **changes)

    def signed(self, **columns: Any) -> Self:
        """The same sample with further signatures beside those it has."""
        return replace(self, signatures={**(self.signatures or {}), **columns})

    def derive(self, stage: str, index: int, **changes: Any) -> Self:
        """The `index`-th child that `stage` makes of this sample; its key hashes this one's. No vote or signature is inherited."""
        own = {"key": derived_key(self.key, stage, index), "parent": self.key, "votes": (), "signatures": None}
        return replace(self, **{**own, **changes})


TRANSIENT = ("refused", "pixels", "encoded", "votes", "batch_row", "batch_rows", "signatures")
GENERATION = (
    "true_cfg_scale",
    "negative_prompt",
    "dtype",
    "asked_settings",
    "cost",
)  # settings of a generator that the first runs did not know
READING = ("prompt_tokens", "truncated", "encoder_tokens")  # how the text encoders read the prompt
LOCATION = ("tar", "tar_offset", "tar_size")
RENAMED = {"drawn_prompt": "generation_prompt"}  # columns of older runs, and what they are called now
STORED = tuple(field.name for field in fields(Sample) if field.name not in TRANSIENT)

_NOT_TEXT: dict[str, pa.DataType] = {
    "clean": pa.bool_(),
    "prompt_tokens": pa.int32(),
    "truncated": pa.bool_(),
    "steps": pa.int32(),
    "guidance_scale": pa.float64(),
    "true_cfg_scale": pa.float64(),
    "cost": pa.float64(),
    "seed": pa.int64(),
    "attack": ATTACK_TYPE,
    "width": pa.int32(),
    "height": pa.int32(),
    "tar_offset": pa.int64(),
    "tar_size": pa.int64(),
}
SAMPLE_SCHEMA = pa.schema([(name, _NOT_TEXT.get(name, pa.string())) for name in STORED])


def to_row(sample: Sample) -> dict[str, Any]:
    """The stored columns as plain Python values (`attack` as a dict)."""
    row = {name: getattr(sample, name) for name in STORED}
    if sample.attack is not None:
        row["attack"] = asdict(sample.attack)
    return row


def from_row(row: dict[str, Any]) -> Sample:
    """Inverse of `to_row`, also of older runs' rows; further columns are ignored."""
    row = {RENAMED.get(name, name): value for name, value in row.items()}
    values = {name: row[name] for name in STORED if name in row}
    if values.get("attack") is not None:
        values["attack"] = AttackRecord.from_row(values["attack"])
    return Sample(**values)


def to_table(samples: Iterable[Sample]) -> pa.Table:
    """Samples as an Arrow table of `SAMPLE_SCHEMA`, built a column at a time (4 x faster than from rows)."""
    rows = list(samples)
    columns = {name: [getattr(sample, name) for sample in rows] for name in STORED}
    columns["attack"] = [None if attack is None else asdict(attack) for attack in columns["attack"]]
    return pa.table([pa.array(columns[field.name], field.type) for field in SAMPLE_SCHEMA], schema=SAMPLE_SCHEMA)


def from_table(table: pa.Table) -> list[Sample]:
    """Inverse of `to_table`."""
    return [from_row(row) for row in table.to_pylist()]


def upgraded(table: pa.Table) -> pa.Table:
    """Rows of an older run with today's columns: renamed, and null where there was none."""
    table = table.rename_columns([RENAMED.get(name, name) for name in table.column_names])
    for field in SAMPLE_SCHEMA:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table


def to_json(sample: Sample) -> bytes:
    """The stored columns that are known, but for the location, as one line of canonical JSON: the member beside the picture."""
    known = {name: value for name, value in to_row(sample).items() if value is not None and name not in LOCATION}
    return json.dumps(known, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
