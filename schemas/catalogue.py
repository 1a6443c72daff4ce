"""The derived tables of a run: which group and split a sample belongs to, and what is kept in the shards.

Both are made from the committed rounds alone, but for one thing: a split that was once assigned stays, so the next
`groups.parquet` is made with the last one at hand.
"""

import pyarrow as pa

SPLITS = ("train", "val", "test")
UNLABELLED = "unlabelled"
CLASSES = ("safe", "unsafe", "na", UNLABELLED)
"""A pair's label as a number is its place in here; `KEY.cls` in the shards holds it, and `_info.json` the names."""
SCOPES = ("prompt", "image", "pair")

GROUPS_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("group", pa.string()),  # the least root of its members; null for a sample that bridges two splits
        ("split", pa.string()),
        ("test_set", pa.string()),  # "test", or what is held out ("style:sketch"); null outside of test
        ("kept", pa.bool_()),
        (
            "reason",
            pa.string(),
        ),  # why it is not kept: the first of bridge, unsigned, blank, held_out, duplicate, over_cap
        ("detail", pa.string()),  # the winner's key, what is held out, …
    ]
)

KEEP_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("split", pa.string()),
        ("shard", pa.int32()),  # within its split
        ("group", pa.string()),
        ("test_set", pa.string()),
        ("weight", pa.float64()),
        # derived labels per scope, where labels.parquet has them; categories joined by commas
        *((f"{scope}_{name}", pa.string()) for scope in SCOPES for name in ("label", "categories")),
    ]
)
