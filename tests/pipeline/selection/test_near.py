"""The search by buckets finds what comparing everything finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.selection import near
from pipeline.selection.near import cosine_pairs, hamming_pairs, minhash_pairs


def flipped(code: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    """`code` with `count` bits turned."""
    bits = np.unpackbits(code)
    bits[rng.choice(256, count, replace=False)] ^= 1
    return np.packbits(bits)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), limit=st.integers(0, 15))
def test_hamming_pairs_are_all_pairs(seed: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (60, 32), dtype=np.uint8)
    near_ones = [flipped(codes[i % 60], int(rng.integers(1, 20)), rng) for i in range(40)]
    codes = np.concatenate([codes, near_ones])
    bits = np.unpackbits(codes, axis=1).astype(int)
    distance = (bits[:, None] != bits[None]).sum(-1)
    wanted = {(a, b) for a in range(100) for b in range(a + 1, 100) if distance[a, b] <= limit}
    found = hamming_pairs(codes, limit)
    assert set(zip(found.a.tolist(), found.b.tolist(), strict=True)) == wanted
    assert all(distance[a, b] == d for a, b, d in zip(found.a, found.b, found.distance, strict=True))


def test_a_limit_beyond_what_the_bands_are_exact_for_is_refused() -> None:
    with pytest.raises(ValueError, match="exact up to 15"):
        hamming_pairs(np.zeros((2, 32), dtype=np.uint8), 16)


def test_nothing_is_near_nothing() -> None:
    assert len(hamming_pairs(np.zeros((0, 32), dtype=np.uint8), 15).a) == 0
    assert len(cosine_pairs(np.zeros((0, 8), dtype=np.float16), 0.95).a) == 0


def test_what_a_full_bucket_leaves_out_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "WINDOW", 4)
    rng = np.random.default_rng(0)
    codes = np.stack([flipped(np.zeros(32, dtype=np.uint8), 1, rng) for _ in range(30)])
    assert hamming_pairs(np.unique(codes, axis=0), 15).skipped > 0


def test_cosine_pairs_find_what_was_planted() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((3000, 64)).astype(np.float32)
    vectors[1500:] = vectors[:1500] + 0.15 * rng.standard_normal((1500, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = cosine_pairs(vectors.astype(np.float16), 0.95)
    planted = {(i, i + 1500) for i in range(1500)}
    assert len(planted & set(zip(found.a.tolist(), found.b.tolist(), strict=True))) >= 0.98 * len(planted)
    assert found.distance.max() <= 0.051


def test_minhash_pairs_find_equal_rows() -> None:
    rng = np.random.default_rng(4)
    values = rng.integers(0, 2**32, (500, 64), dtype=np.uint32)
    values[250:] = values[:250]
    values[250:, :6] = 0  # Jaccard about 0.9
    found = minhash_pairs(values, 0.8)
    assert set(zip(found.a.tolist(), found.b.tolist(), strict=True)) == {(i, i + 250) for i in range(250)}
