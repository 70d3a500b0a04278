"""Session cookies: who, until when, and a signature. Nothing of them is kept here."""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable


class CookieSigner:
    """Signs with HMAC-SHA256. The key is what makes a session ours: whoever has it can be anybody."""

    def __init__(self, key: str, *, seconds: float, clock: Callable[[], float] = time.time) -> None:
        self._key = key.encode()
        self._seconds = seconds
        self._clock = clock

    def sign(self, user_id: str, secret: str) -> str:
        """A cookie's value. `secret`: what ends the session when it changes, as the password's hash."""
        said = json.dumps([user_id, int(self._clock() + self._seconds), _mark(secret)])
        body = urlsafe_b64encode(said.encode()).decode()
        return f"{body}.{self._signature(body)}"

    def user_of(self, value: str, secret_of: Callable[[str], str | None]) -> str | None:
        """Whose it is; None where it is not ours, or over. `secret_of`: None for who is no user any more."""
        body, _, signature = value.partition(".")
        if not hmac.compare_digest(self._signature(body).encode(), signature.encode()):
            return None
        user_id, until, mark = json.loads(urlsafe_b64decode(body))
        secret = secret_of(user_id)
        if secret is None or self._clock() >= until or not hmac.compare_digest(_mark(secret), mark):
            return None
        return str(user_id)

    def _signature(self, body: str) -> str:
        return hmac.digest(self._key, body.encode(), "sha256").hex()


def _mark(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:16]
