"""Keys and seeds: everything random or named in Hazmat is derived from these two functions (DESIGN 3.3)."""

from hashlib import blake2b

KEY_HEX_LENGTH = 32  # 128 bits: a clash among 10^12 samples has a chance of about 10^-15


def derived_key(*parts: str | int) -> str:
    """Hash `parts` to a 32-digit hex key; parts are framed by length, so ("ab", "c") and ("a", "bc") differ."""
    digest = blake2b(digest_size=KEY_HEX_LENGTH // 2)
    for part in parts:
        data = str(part).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def seed_of(key: str, purpose: str) -> int:
    """A seed in [0, 2^63) for one purpose of one sample; other purposes get independent seeds."""
    return int(derived_key(key, purpose)[:16], 16) >> 1
