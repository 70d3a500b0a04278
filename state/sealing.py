"""Payloads at rest: encrypted on the way into a store, authenticated and decrypted on the way out of it.

A sealed payload is bound to its place, so it opens nowhere else. Its form:

    00 01 | length of the key's id, the id | salt, 16 bytes | nonce, 12 bytes | AES-256-GCM's text and tag

No protobuf message and no JSON begins with a zero byte, so what was stored without a key is told from it.
Each process derives a key of its own, from the configured one and the salt: a random nonce of 96 bits is
good for 2**32 messages under one key (NIST SP 800-38D, 8.3), which one busy table would pass in weeks.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from state.errors import StateUnreadableError
from state.models import Owner, Record, RunId

Place = tuple[str | int, ...]
"""Which value of which row: table and column first, then what identifies the row."""

_MARK = b"\x00\x01"
_SALT_BYTES = 16
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_BYTES = 32
_MOST_ID_BYTES = 255
_MOST_PER_SALT = 2**30
"""A quarter of what random nonces are good for; then the process takes another salt."""
_SALTS_KEPT = 1024
_PURPOSE = b"llm-orchestrator payloads at rest, form 1"


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A key by which payloads are sealed, 32 bytes. `key_id` stands in the clear before each of them."""

    key_id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != _KEY_BYTES:
            raise ValueError("a key has 32 bytes")
        if not 0 < len(self.key_id.encode()) <= _MOST_ID_BYTES:
            raise ValueError("a key's id has 1 to 255 bytes")


class Sealing:
    """Seals by the first of its keys, unless it only `reads`, and opens by any of them.

    Without keys everything goes through as it is, and what is sealed is refused.
    """

    def __init__(self, keys: Sequence[SealingKey] = (), *, reads: bool = False) -> None:
        self._keys = {key.key_id: key.secret for key in keys}
        self._first = keys[0].key_id.encode() if keys and not reads else b""
        self._opening: dict[tuple[bytes, bytes], AESGCM] = {}
        self._left = 0

    @property
    def on(self) -> bool:
        """Whether it seals."""
        return bool(self._first)

    def seal(self, place: Place, plain: bytes) -> bytes:
        """The payload as it is to be stored at its place."""
        if not self._first:
            return plain
        if not self._left:
            self._take_salt()
        self._left -= 1
        nonce = os.urandom(_NONCE_BYTES)
        return self._head + nonce + self._cipher.encrypt(nonce, plain, self._head + orjson.dumps(place))

    def open(self, place: Place, stored: bytes) -> bytes:
        """What was sealed for this place, or stored without a key.

        Raises:
            StateUnreadableError: Its key is none of ours, or it was changed, or sealed for another place.
        """
        if not is_sealed(stored):
            return stored
        salt = len(_MARK) + 1 + stored[len(_MARK)] if len(stored) > len(_MARK) else 0
        nonce = salt + _SALT_BYTES
        text = nonce + _NONCE_BYTES
        if not salt or len(stored) < text + _TAG_BYTES:
            raise StateUnreadableError("a sealed payload is cut short")
        cipher = self._cipher_of(stored[len(_MARK) + 1 : salt], stored[salt:nonce])
        try:
            return cipher.decrypt(stored[nonce:text], stored[text:], stored[:nonce] + orjson.dumps(place))
        except InvalidTag as error:
            raise StateUnreadableError("a sealed payload was changed, or belongs elsewhere") from error

    def records(self, owner: Owner, run_id: RunId, records: Sequence[Record]) -> Sequence[Record]:
        """Records of a run's log as they are to be stored."""
        if not self._first:
            return records
        return [self.record(owner, run_id, record) for record in records]

    def record(self, owner: Owner, run_id: RunId, record: Record) -> Record:
        """One of them."""
        if not self._first:
            return record
        return replace(record, payload=self.seal(of_record(owner, run_id, record.sequence), record.payload))

    def _take_salt(self) -> None:
        salt = os.urandom(_SALT_BYTES)
        self._head = _MARK + bytes([len(self._first)]) + self._first + salt
        self._cipher, self._left = self._derived(self._first, salt), _MOST_PER_SALT

    def _cipher_of(self, key_id: bytes, salt: bytes) -> AESGCM:
        """The one that was wanted lately, if it was; deriving takes longer than opening."""
        cipher = self._opening.pop((key_id, salt), None) or self._derived(key_id, salt)
        self._opening[key_id, salt] = cipher
        if len(self._opening) > _SALTS_KEPT:
            del self._opening[next(iter(self._opening))]
        return cipher

    def _derived(self, key_id: bytes, salt: bytes) -> AESGCM:
        secret = self._keys.get(key_id.decode(errors="replace"))
        if secret is None:
            raise StateUnreadableError(
                f"a payload is sealed by the key {key_id.decode(errors='replace')!r}, which is not configured"
            )
        return AESGCM(HKDF(SHA256(), _KEY_BYTES, salt, _PURPOSE).derive(secret))


PLAIN = Sealing()
"""No keys: off."""


def is_sealed(stored: bytes) -> bool:
    """Whether it is, by whatever key."""
    return stored[:2] == _MARK


def of_record(owner: Owner, run_id: RunId, sequence: int) -> Place:
    return ("run_events.payload", owner, run_id, sequence)


def of_result(owner: Owner, run_id: RunId) -> Place:
    return ("runs.result", owner, run_id)


def of_request(owner: Owner, run_id: RunId) -> Place:
    return ("runs.request", owner, run_id)


def of_permission(owner: Owner, permission_id: str, column: str) -> Place:
    return (f"permissions.{column}", owner, permission_id)
