"""Passwords as they are kept: scrypt, with a salt of their own."""

import asyncio
import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode

_COST, _BLOCK, _PARALLEL = 1 << 14, 8, 1
_AT_ONCE = 2


def hashed(password: str) -> str:
    """What to put into BACKEND_USERS."""
    salt = secrets.token_bytes(16)
    digest = _digest(password, salt, _COST, _BLOCK, _PARALLEL)
    return f"scrypt${_COST}${_BLOCK}${_PARALLEL}${b64encode(salt).decode()}${b64encode(digest).decode()}"


class PasswordCheck:
    """Compares in threads, a few at a time: each takes 50 ms of a processor and 16 MiB."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._nobodys = hashed(secrets.token_urlsafe(16))

    async def matches(self, password: str, kept: str) -> bool:
        """Whether it is the one that was hashed. An empty `kept` takes as long, and is nobody's."""
        async with self._room:
            same = await asyncio.to_thread(_matches, password, kept or self._nobodys)
        return same and bool(kept)


def _matches(password: str, kept: str) -> bool:
    try:
        kind, cost, block, parallel, salt, digest = kept.split("$")
        numbers = int(cost), int(block), int(parallel)
        expected, salted = b64decode(digest), b64decode(salt)
    except ValueError:
        return False
    return kind == "scrypt" and hmac.compare_digest(_digest(password, salted, *numbers), expected)


def _digest(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    memory = 256 * cost * block  # twice what it needs
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=parallel, maxmem=memory)
