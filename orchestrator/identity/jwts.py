"""JSON Web Tokens. The only module that knows PyJWT."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from orchestrator.identity.errors import IdentityFileError
from orchestrator.identity.file import USER_CHARACTERS
from state.errors import UnauthenticatedError

_MOST_KEYS = 100
_REQUIRED = ("exp", "sub", "iss", "aud")
_INVALID = "the bearer token is not valid"

KeyTable = Mapping[tuple[str, str], Any]
"""Keys by their id and the one algorithm that each is used with; a single key has an empty id too."""


@dataclass(frozen=True, slots=True)
class JwtRules:
    """What a token must be. `algorithms` are the only ones that count; `leeway_seconds` for clocks."""

    issuer: str
    audience: str
    algorithms: Sequence[str]
    leeway_seconds: float


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """`expires` is the last moment that it is taken, leeway included, in seconds of the epoch."""

    subject: str
    expires: float


def named_key(token: str) -> tuple[str, str]:
    """The key's id and the algorithm that a token says it is signed with, which nobody has checked.

    Raises:
        UnauthenticatedError: It is no JSON Web Token.
    """
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, UnicodeError) as error:
        raise UnauthenticatedError(_INVALID) from error
    key_id, algorithm = header.get("kid", ""), header.get("alg")
    if not isinstance(key_id, str) or not isinstance(algorithm, str):
        raise UnauthenticatedError(_INVALID)
    return key_id, algorithm


def verified(token: str, key: Any, algorithm: str, rules: JwtRules) -> VerifiedToken:  # noqa: ANN401 - PyJWT's
    """A token that `key` has signed by `algorithm`, one of the rules'.

    Raises:
        UnauthenticatedError: It is not, or breaks a rule; nobody is told which.
    """
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=rules.audience,
            issuer=rules.issuer,
            leeway=rules.leeway_seconds,
            options={"require": list(_REQUIRED)},
        )
        subject, expires = claims["sub"], float(claims["exp"]) + rules.leeway_seconds
    except jwt.ExpiredSignatureError as error:
        raise UnauthenticatedError("the bearer token has expired") from error
    except (jwt.PyJWTError, UnicodeError, OverflowError, RecursionError) as error:
        raise UnauthenticatedError(_INVALID) from error
    if not _is_name(subject):
        raise UnauthenticatedError(_INVALID)
    return VerifiedToken(subject, expires)


def _is_name(subject: str) -> bool:
    # JSON can escape halves of characters, which no message can hold.
    plain = all(c >= " " and not "\ud800" <= c <= "\udfff" for c in subject)
    return plain and bool(subject.strip()) and len(subject) <= USER_CHARACTERS


def key_set(content: bytes, algorithms: Sequence[str]) -> KeyTable:
    """The keys of a JSON Web Key Set that sign by one of `algorithms`; others are passed over.

    Raises:
        IdentityFileError: It is no key set, or has no key that could be used.
    """
    try:
        found = json.loads(content)["keys"]
        keys = [key for key in found if isinstance(key, dict)][:_MOST_KEYS]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IdentityFileError("it is no JSON Web Key Set") from error
    table: dict[tuple[str, str], Any] = {}
    usable = [key for key in keys if _is_public(key)]
    for key in usable:
        for algorithm in algorithms:
            if key.get("alg") in (None, algorithm):
                # A key of another kind than the algorithm's.
                with suppress(
                    jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm
                ):
                    table[str(key.get("kid", "")), algorithm] = jwt.PyJWK(key, algorithm)
    if not table:
        raise IdentityFileError("no key of it can be used")
    if len(usable) == 1:
        table |= {("", algorithm): key for (_, algorithm), key in table.items()}
    return table


def single_key(content: bytes, algorithms: Sequence[str]) -> KeyTable:
    """A public key in PEM, or a key set.

    Raises:
        IdentityFileError: It is neither, or does not fit to an algorithm.
    """
    if content.lstrip().startswith(b"{"):
        return key_set(content, algorithms)
    table: dict[tuple[str, str], Any] = {}
    for algorithm in algorithms:
        with suppress(jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
            table["", algorithm] = jwt.get_algorithm_by_name(algorithm).prepare_key(content)
    if any(hasattr(key, "private_bytes") for key in table.values()):
        raise IdentityFileError("a private key has no place here: only its public half is needed")
    if not table:
        raise IdentityFileError(f"no public key in PEM for {', '.join(algorithms)}")
    return table


def secret_key(secret: str, algorithms: Sequence[str]) -> KeyTable:
    """A key that both sides know."""
    return {("", algorithm): secret.encode() for algorithm in algorithms}


def _is_public(key: dict[str, Any]) -> bool:
    """Whether it may verify signatures: neither a secret, nor a private key, nor one to encrypt by."""
    return key.get("kty") != "oct" and "d" not in key and key.get("use", "sig") == "sig"
