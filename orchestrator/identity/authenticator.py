"""From what a caller shows to whom it stands for."""

import hashlib
import hmac
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import time

from orchestrator.identity.file import Identities, KnownToken
from orchestrator.identity.jwts import JwtRules, KeyTable, VerifiedToken, named_key, verified
from orchestrator.identity.keys import Keys
from orchestrator.identity.principals import Principal, UserPrincipal
from state.errors import UnauthenticatedError

logger = logging.getLogger(__name__)

_MOST_REMEMBERED = 10_000
_NEEDED = "a bearer token is needed"
_INVALID = "the bearer token is not valid"


class JwtSubjects:
    """The subjects of tokens. A token that was verified is remembered by its hash until it expires."""

    def __init__(self, rules: JwtRules, keys: Keys) -> None:
        self._rules = rules
        self._keys = keys
        self._remembered: OrderedDict[bytes, VerifiedToken] = OrderedDict()
        self._by: KeyTable | None = None

    async def subject(self, token: str, digest: bytes) -> str:
        """Whom a token is for; `digest` is its SHA-256.

        Raises:
            UnauthenticatedError: It is not valid, or not any more.
            IdentityUnavailableError: There are no keys yet.
        """
        if self._by is not self._keys.current:  # what a key has signed that is gone counts no more
            self._remembered.clear()
            self._by = self._keys.current
        known = self._remembered.get(digest)
        if known is not None and time() < known.expires:
            return known.subject
        key_id, algorithm = named_key(token)
        if algorithm not in self._rules.algorithms:
            raise UnauthenticatedError(_INVALID)
        key = await self._keys.find(key_id, algorithm)
        if key is None:
            raise UnauthenticatedError(_INVALID)
        return self._remember(digest, verified(token, key, algorithm, self._rules))

    def _remember(self, digest: bytes, token: VerifiedToken) -> str:
        if self._by is self._keys.current:  # else they changed while we looked for the key
            self._remembered[digest] = token
            if len(self._remembered) > _MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        return token.subject


class Authenticator:
    """Knows callers by a static token, a JWT, or their certificate; a token counts before a certificate."""

    def __init__(self, identities: Callable[[], Identities], jwts: JwtSubjects | None = None) -> None:
        self._identities = identities
        self._jwts = jwts

    async def principal(self, token: str | None, names: Sequence[str]) -> Principal:
        """Who calls. `token`: None = none was sent. `names`: those of the certificate, the best first.

        Raises:
            UnauthenticatedError: Nobody that is known here.
            IdentityUnavailableError: That cannot be said yet.
        """
        identities = self._identities()
        if token is None:
            found = (identities.certificates.get(name) for name in names)
            principal = next((one for one in found if one is not None), None)
            if principal is None:
                raise UnauthenticatedError(_NEEDED)
            return principal
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        # Found by its hash: how long that takes says nothing of a token that somebody else has.
        known = identities.tokens.get(digest)
        if known is not None and hmac.compare_digest(known.digest, digest):
            return _current(known)
        if self._jwts is None:
            raise UnauthenticatedError(_INVALID)
        subject = await self._jwts.subject(token, digest)
        return identities.subjects.get(subject) or UserPrincipal(subject)


def _current(token: KnownToken) -> Principal:
    if token.expires is not None and datetime.now(UTC) >= token.expires:
        raise UnauthenticatedError("the bearer token has expired")
    return token.principal
