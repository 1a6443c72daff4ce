"""Lookups a second in lists of PDQ hashes: make bench-hashes writes bench/results/hashes.json.

Random hashes are as far apart as unrelated pictures are said to be; half of the lookups are of a listed one with 20 bits turned.
"""

import time

import numpy as np

from bench.report import report
from stages.signature.pdq import pdq
from stages.signature.pdq_index import PdqIndex

SIZES = (1_000_000, 10_000_000)
LOOKUPS, TURNED = 400, 20


def lookups_per_second(size: int) -> dict[str, float]:
    """Of one thread, the index built before."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (size, 32), dtype=np.uint8)
    started = time.perf_counter()
    index = PdqIndex(codes)
    index.within(codes[0])
    built = time.perf_counter() - started
    queries = []
    for number in range(LOOKUPS):
        loose = np.unpackbits(codes[number * 7] if number % 2 else rng.integers(0, 256, 32, dtype=np.uint8))
        loose[rng.choice(256, TURNED, replace=False)] ^= 1
        queries.append(np.packbits(loose))
    started = time.perf_counter()
    matched = sum(len(index.within(code)) > 0 for code in queries)
    taken = time.perf_counter() - started
    return {
        "per_second": round(LOOKUPS / taken, 1),
        "build_seconds": round(built, 1),
        "found_of_listed": matched / (LOOKUPS // 2),
    }


def main() -> None:
    """Sizes, and how long a picture's hash takes."""
    picture = np.random.default_rng(1).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    started = time.perf_counter()
    for _ in range(50):
        pdq(picture)
    figures: dict[str, object] = {"pdq_ms_512px": round(1000 * (time.perf_counter() - started) / 50, 2)}
    for size in SIZES:
        rate = lookups_per_second(size)
        figures |= {f"pdq_lookups_{key}_{size // 1_000_000}m": value for key, value in rate.items()}
    report("hashes", figures)


if __name__ == "__main__":
    main()
