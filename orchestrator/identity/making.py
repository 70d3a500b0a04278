"""A new static token, and what of it is kept."""

import hashlib
import json
import secrets
from collections.abc import Sequence

_BYTES = 32
_PREFIX = "orc_"
"""So that tools that look for secrets in code find one."""


def new_token() -> str:
    """256 bits that nobody can guess."""
    return _PREFIX + secrets.token_urlsafe(_BYTES)


def token_line(name: str, token: str, *, user: str = "", users: Sequence[str] = ()) -> str:
    """The line of the file of identities for a token of a user, or of the service `name` for `users`."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    if user:
        whom = f"user = {_quoted(user)}"
    else:
        allowed = _quoted("*") if "*" in users else f"[{', '.join(map(_quoted, users))}]"
        whom = f"service = {_quoted(name)}, users = {allowed}"
    return f'{_quoted(name)} = {{ sha256 = "{digest}", {whom} }}'


def _quoted(text: str) -> str:
    return json.dumps(text)  # as TOML's basic strings are written, too
