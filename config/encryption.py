"""Encryption of what users say, before Postgres and the outage journal have it."""

import re
from base64 import b64decode
from binascii import Error
from collections.abc import Sequence

from pydantic import Field, SecretStr, field_validator

from config.group import Group

_ENTRY = re.compile(r"(?P<key_id>[A-Za-z0-9_.-]{1,64}):(?P<secret>[A-Za-z0-9+/]{43}=)")


class EncryptionSettings(Group):
    """Keys of payloads at rest."""

    keys: SecretStr = Field(
        default=SecretStr(""),
        description="encrypt payloads at rest: id:base64 of 32 bytes, several with commas between;"
        " the first one encrypts, all decrypt; empty = off",
    )
    writes: bool = Field(
        default=True, description="encrypt what is written; false = only decrypt by the keys"
    )

    @field_validator("keys")
    @classmethod
    def _are_keys(cls, keys: SecretStr) -> SecretStr:
        ids = [key_id for key_id, _ in _parsed(keys)]
        if len(ids) != len(set(ids)):
            raise ValueError("two keys have one id")
        return keys

    def parsed(self) -> Sequence[tuple[str, bytes]]:
        """Ids and keys, the one that encrypts first."""
        return _parsed(self.keys)


def _parsed(keys: SecretStr) -> Sequence[tuple[str, bytes]]:
    text = keys.get_secret_value().strip()
    return [_entry(entry.strip()) for entry in text.split(",")] if text else []


def _entry(entry: str) -> tuple[str, bytes]:
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise ValueError(
            "each key must be id:base64, where the base64 is of 32 bytes: openssl rand -base64 32"
        )
    try:
        return found["key_id"], b64decode(found["secret"], validate=True)
    except Error as error:
        raise ValueError("a key's base64 is garbled") from error
