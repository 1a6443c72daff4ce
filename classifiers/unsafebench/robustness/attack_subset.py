"""Which pictures are attacked: of those a classifier judged right, some at random, three times over (section 4.2)."""

from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

import pyarrow as pa

PICTURES, DRAWS = 500, 3
PICTURES_VLM = 50  # of language models: a question costs five times that of a CLIP, and most take all iterations
SEEDS = (2023, 2024, 2025)  # of the published command line
DRAWN = pa.schema([("classifier", pa.string()), ("source", pa.string()), ("draw", pa.int32()), ("key", pa.string())])


def draws(verdicts: Iterable[Mapping[str, Any]], count: int = PICTURES) -> list[dict[str, Any]]:
    """Rows of `DRAWN`: per classifier and source three draws of at most `count` covered pictures whose label it found.

    An attack on a picture depends on the picture alone, so one that is drawn thrice is attacked once.
    """
    right: dict[tuple[str, str], list[str]] = {}
    for row in verdicts:
        if row["covered"] and row["flagged"] == row["unsafe"]:
            right.setdefault((row["classifier"], row["source"]), []).append(row["key"])
    return [
        {"classifier": classifier, "source": source, "draw": number, "key": key}
        for (classifier, source), keys in sorted(right.items())
        for number, seed in enumerate(SEEDS[:DRAWS])
        for key in sorted(Random(seed).sample(sorted(keys), min(count, len(keys))))
    ]
