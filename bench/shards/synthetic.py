"""A committed and signed run of many rows with the real schema and no pictures, for what works on rows alone.

Rows repeat the metadata of real rendered scenes under keys, prompts and signatures of their own. One row in ten is a variant,
one prompt in fifty comes twice, one picture in a hundred is within 15 bits of another, one in two hundred is the same.
"""

import json
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.pack import digest, parquet_bytes
from pipeline.rounds.existing_run import write_facts
from pipeline.storage.store import Store
from schemas.attack import ATTACK_TYPE
from schemas.manifest import FileEntry, Receipt, StageCount
from schemas.prompt import Prompt
from schemas.run import RunConfig
from schemas.sample import SAMPLE_SCHEMA, Sample, to_table
from schemas.signature import SIGNATURE_SCHEMA
from schemas.vote import VOTE_SCHEMA
from stages.generate.replicate import Replicate
from stages.world.grammar import prompts
from stages.world.reader import read
from stages.world.scene import compose

UNIT = 8192
REAL = 2048  # real rows that are repeated
VOTES = 5  # one row in so many has votes


def write_synthetic_run(store: Store, rows: int, seed: int = 0) -> None:
    """Write `rows` rows as the rounds 000-generate and 001-signatures, with labels and some votes."""
    rng = np.random.default_rng(seed)
    base = _real_rows(min(REAL, rows))
    phashes = _phashes(rng, rows)
    pixels = np.where(rng.random(rows) < 0.005, rng.integers(0, rows, rows), np.arange(rows))
    texts = np.where(rng.random(rows) < 0.02, rng.integers(0, rows, rows), np.arange(rows))
    for unit, first in enumerate(range(0, rows, UNIT)):
        ids = np.arange(first, min(first + UNIT, rows))
        samples = _samples(base, ids, texts[ids])
        _commit(store, "rounds/000-generate", "raw", unit, samples)
        _commit(
            store, "rounds/001-signatures", "signatures", unit, _signatures(samples, phashes[ids], pixels[ids], rng)
        )
        _commit(store, "rounds/000-generate", "votes", unit, _votes(samples))
    units = -(-rows // UNIT)
    for folder in ("000-generate", "001-signatures"):
        card = {
            "fingerprint": "synthetic",
            "units": units,
            "items": rows,
            "stages": [],
            "unit_size": UNIT,
            "seed": seed,
        }
        store.write(f"rounds/{folder}/round.json", json.dumps(card).encode())
    write_facts(store, RunConfig(out=store.url, recipe="render"), {})


def _real_rows(count: int) -> pa.Table:
    rng = np.random.default_rng(1)
    rows = []
    for one in prompts(0, count):
        prompt = Prompt(
            one.prompt, one.generation_prompt, "en", f"grammar/{one.kind}", None, "Apache-2.0", one.category, one.label
        )
        (sample,) = Replicate().open()([Sample.from_prompt(prompt, 0)])
        scene = compose(rng, read(one.generation_prompt).concepts)
        size = {"format": "png", "width": 64, "height": 64, "tar_size": 5000}
        rows.append(sample.with_(generator="render/noto", revision="0" * 32, seed=1, scene=scene.to_json(), **size))
    return to_table(rows)


def _hex(ids: Any, salt: int) -> pa.Array:
    """32 hex digits for each number."""
    numbers = (np.asarray(ids, dtype=np.uint64) + np.uint64(salt)) * np.uint64(0x9E3779B97F4A7C15)
    return pa.array([f"{int(number):016x}{(int(number) * 0xD6E8FEB86659FD93) % 2**64:016x}" for number in numbers])


def _samples(base: pa.Table, ids: Any, texts: Any) -> pa.Table:
    table = base.take(pa.array(ids % len(base)))
    variant = ids % 10 == 9
    owners = np.where(variant, ids - 1, ids)  # a variant belongs to the row before it
    wording = np.where(variant, texts - 1, texts)
    prompts = [f"{text} {number}" for text, number in zip(table["prompt"].to_pylist(), wording.tolist(), strict=True)]
    attack = {
        "name": "pgd",
        "family": "image",
        "goal": "evade_image",
        "preserves": True,
        "achieved": True,
        "queries": 40,
    }
    columns = {
        "key": _hex(ids, 0),
        "root": _hex(owners, 1 << 40),
        "parent": pa.array(np.where(variant, _hex(owners, 0), _hex(owners, 1 << 40))),
        "clean": pa.array(~variant),
        "prompt": pa.array(prompts),
        "generation_prompt": pa.array(prompts),
        "attack": pa.array([attack if one else None for one in variant], ATTACK_TYPE),
        "image_sha256": _hex(ids, 2 << 40),
        "tar": pa.array([f"rounds/000-generate/raw/unit-{int(one) // UNIT:06d}.tar" for one in ids]),
        "tar_offset": pa.array(ids % UNIT * 6144),
    }
    for name, values in columns.items():
        at = table.column_names.index(name)
        table = table.set_column(at, SAMPLE_SCHEMA.field(name), values.cast(SAMPLE_SCHEMA.field(name).type))
    return table.sort_by("key")


def _phashes(rng: np.random.Generator, rows: int) -> Any:
    codes = rng.integers(0, 256, (rows, 32), dtype=np.uint8)
    for one in range(rows // 100):
        bits = np.unpackbits(codes[one])
        bits[rng.choice(256, int(rng.integers(1, 16)), replace=False)] ^= 1
        codes[rows - 1 - one] = np.packbits(bits)
    return codes


def _signatures(samples: pa.Table, phashes: Any, pixels: Any, rng: np.random.Generator) -> pa.Table:
    rows = len(samples)
    columns: dict[str, Any] = {
        "key": samples["key"],
        "bytes_sha256": _hex(pixels, 3 << 40),
        "pixels_sha256": _hex(pixels, 4 << 40),
        "prompt_digest": pa.array([digest(text.encode())[:32] for text in samples["prompt"].to_pylist()]),
        "phash": pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), rows, [None, pa.py_buffer(phashes.tobytes())]),
        "snr": pa.array(rng.random(rows, dtype=np.float32)),
        "edge_density": pa.array(rng.random(rows, dtype=np.float32)),
        "entropy": pa.array(8 * rng.random(rows, dtype=np.float32)),
        "blank": pa.array(np.zeros(rows, dtype=bool)),
        "style": pa.array(["normal"] * rows),
        "concepts": pa.array([["apple"]] * rows),
    }
    return pa.table([columns.get(f.name, pa.nulls(rows, f.type)) for f in SIGNATURE_SCHEMA], schema=SIGNATURE_SCHEMA)


def _votes(samples: pa.Table) -> pa.Table:
    """Two judges on one sample in VOTES; on one in ten of these they disagree."""
    rows = []
    for place, key in enumerate(samples["key"].to_pylist()[::VOTES]):
        for judge in ("prompt_truth", "tagger_truth"):
            label = "unsafe" if place % 10 == 0 and judge == "tagger_truth" else "safe"
            vote = dict.fromkeys(VOTE_SCHEMA.names) | {"key": key, "scope": "image", "annotator": judge, "label": label}
            rows.append(vote | {"annotator_type": "model", "categories": [], "covers": []})
    return pa.Table.from_pylist(rows, schema=VOTE_SCHEMA)


def _commit(store: Store, folder: str, kind: str, unit: int, table: pa.Table) -> None:
    name = f"{kind}/unit-{unit:06d}.parquet"
    data = parquet_bytes(table)
    store.write(f"{folder}/{name}", data, durable=False)
    receipt_name = f"{folder}/receipts/unit-{unit:06d}.json"
    earlier = store.read(receipt_name)
    files = (*(Receipt.from_json(earlier).files if earlier else ()), FileEntry(name, len(data), digest(data)))
    stage = StageCount(kind, len(table), len(table), 0, 0, 1.0)
    receipt = Receipt(unit, "synthetic", files, (stage,), len(table), 0, 0)
    store.write(receipt_name, receipt.to_json(), durable=False)
