"""Who calls: shown by a bearer token, by a client certificate, or as the backend decides."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from llm_orchestrator_client.tool_service.errors import UnauthenticatedError

_LEAST_CHARACTERS = 16
_DIGEST_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a call has brought. `token` is the bearer token, empty without one.

    `certificate` is what gRPC knows of the client's certificate, by property, as `x509_common_name`.
    """

    token: str = field(repr=False)
    certificate: Mapping[str, Sequence[bytes]] = field(repr=False)


class Authenticator(Protocol):
    """Decides who calls."""

    async def authenticate(self, credentials: Credentials) -> str:
        """A name for whoever calls.

        Raises:
            UnauthenticatedError: These are not the credentials of anybody who may.
        """
        ...


class BearerTokens:
    """Static tokens, several at a time so that one may follow another. Only their SHA-256 is kept."""

    def __init__(self, digests: Mapping[str, str]) -> None:
        """`digests` are the tokens' SHA-256 in hex, by the name of who has the token.

        Raises:
            ValueError: There is none, or one of them is no such digest.
        """
        if not digests:
            raise ValueError("no token is given: nobody could call")
        if any(len(digest) != _DIGEST_CHARACTERS for digest in digests.values()):
            raise ValueError("a digest is not the SHA-256, in hex, of a token")
        self._digests = {name: bytes.fromhex(digest) for name, digest in digests.items()}

    @classmethod
    def of(cls, *tokens: str) -> Self:
        """From the tokens themselves, of at least 16 characters each.

        Raises:
            ValueError: There is none, or one is too short to be a secret.
        """
        if any(len(token) < _LEAST_CHARACTERS for token in tokens):
            raise ValueError(f"a token has fewer than {_LEAST_CHARACTERS} characters")
        return cls({f"token {number}": _digest(token).hex() for number, token in enumerate(tokens, 1)})

    async def authenticate(self, credentials: Credentials) -> str:
        shown = _digest(credentials.token)
        # All are compared, each in constant time: how long it takes says nothing of any.
        matching = [name for name, digest in self._digests.items() if hmac.compare_digest(digest, shown)]
        if not matching:
            raise UnauthenticatedError("a valid bearer token is needed")
        return matching[0]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
