"""Signatures: what a sample is recognised by (exact, perceptual, words, embedding), and how good its picture is.

One row a sample in `rounds/NNN-signatures/signatures/unit-*.parquet`. A column that the round's stages do not make is null.
"""

from collections.abc import Iterable

import pyarrow as pa

from schemas.sample import Sample

PHASH_BYTES = 32  # 256 bits
MINHASH_BYTES = 256  # 64 values of 32 bits

SIGNATURE_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        # exact
        ("bytes_sha256", pa.string()),
        ("pixels_sha256", pa.string()),
        # the words: digest of prompt and drawn prompt (NFC, case folded), of their plain spellings; MinHash of the prompt's
        ("prompt_digest", pa.string()),
        ("spelling_digest", pa.string()),
        ("minhash", pa.binary(MINHASH_BYTES)),
        # the picture's look: 256-bit pHash; unit-length embedding with the model that made it
        ("phash", pa.binary(PHASH_BYTES)),
        ("embedding", pa.list_(pa.float16())),
        ("embedding_model", pa.string()),
        # the picture's quality, over its grey values
        ("snr", pa.float32()),
        ("edge_density", pa.float32()),
        ("entropy", pa.float32()),  # bits
        ("blank", pa.bool_()),
        # of the pictogram world: what is shown, or asked for where nobody can know what is shown
        ("concepts", pa.list_(pa.string())),
        ("style", pa.string()),
    ]
)


def signature_table(samples: Iterable[Sample]) -> pa.Table:
    """Signatures as an Arrow table of `SIGNATURE_SCHEMA`, sorted by key."""
    rows = [{"key": sample.key, **(sample.signatures or {})} for sample in sorted(samples, key=lambda s: s.key)]
    return pa.Table.from_pylist(rows, schema=SIGNATURE_SCHEMA)
