"""Who is inside a percentage: the same on every process and machine, and nobody leaves while it grows."""

from hashlib import sha256

_BUCKETS = 100_000
_PER_PERCENT = _BUCKETS // 100


def bucket(salt: str, user_id: str) -> int:
    """The user's place in 0..99,999: a digest of salt and id, even over many ids."""
    # The salt's length goes in too: ("a", "bc") and ("ab", "c") are different people.
    digest = sha256(f"{len(salt)}:{salt}{user_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") * _BUCKETS >> 64


def is_inside(salt: str, user_id: str, percentage: float) -> bool:
    """Whether the user is among the first `percentage` of 100, in steps of 0.001."""
    return bucket(salt, user_id) < round(percentage * _PER_PERCENT)
