"""Files of identities and keys, and what is remembered of tokens."""

import asyncio
import json
from collections.abc import Sequence
from time import perf_counter, time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from orchestrator.identity.authenticator import Authenticator, JwtSubjects
from orchestrator.identity.errors import IdentityFileError
from orchestrator.identity.file import Identities, parse_identities
from orchestrator.identity.jwts import JwtRules, KeyTable, key_set, single_key
from orchestrator.identity.keys import FixedKeys
from orchestrator.identity.making import new_token, token_line
from orchestrator.identity.principals import ServicePrincipal, UserPrincipal
from state.errors import UnauthenticatedError
from tests.harness.identity import AUDIENCE, ISSUER, Issuer

DIGEST = "0" * 64
ALGORITHMS = ("ES256", "RS256")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tokens = 1", "tokens"),
        ("[tokens", "TOML"),
        ("[token]", "token"),
        ('[tokens]\na = { user = "ann" }', "tokens.a.sha256"),
        (f'[tokens]\na = {{ sha256 = "{DIGEST}" }}', "either user or service"),
        (f'[tokens]\na = {{ sha256 = "{DIGEST}", user = "ann", service = "s" }}', "either user or service"),
        (f'[tokens]\na = {{ sha256 = "{DIGEST}", service = "s" }}', "users"),
        (f'[tokens]\na = {{ sha256 = "{DIGEST}", user = "ann", users = "*" }}', "users"),
        (f'[tokens]\na = {{ sha256 = "{DIGEST}", user = "" }}', "tokens.a.user"),
        (f'[tokens]\na = {{ sha256 = "{DIGEST}", user = "ann", expires = 2027-01-01 }}', "a.expires"),
        (f'[tokens]\na = {{ sha256 = "{DIGEST}", user = "ann", more = 1 }}', "tokens.a.more"),
        ('[tokens]\na = { sha256 = "canary-token-in-clear", user = "ann" }', "tokens.a.sha256"),
        (
            f'[tokens]\na = {{ sha256 = "{DIGEST}", user = "a" }}\nb = {{ sha256 = "{DIGEST}", user = "b" }}',
            "same sha256",
        ),
        (f"a = {'[' * 5000}", "too deeply"),
        (f"a = {'1' * 5000}", "cannot be read"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_and_not_quoted(line: str, words: str) -> None:
    with pytest.raises(IdentityFileError) as raised:
        parse_identities(line.encode())
    assert words in str(raised.value)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("user", "users", "principal"),
    [
        ("ann", (), UserPrincipal("ann")),
        ('a"b\\ü😀', (), UserPrincipal('a"b\\ü😀')),
        ("", ("*",), ServicePrincipal("back end", None)),
        ("", ("ann", "bob"), ServicePrincipal("back end", frozenset({"ann", "bob"}))),
    ],
)
async def test_the_line_of_a_new_token_lets_it_in(user: str, users: Sequence[str], principal: object) -> None:
    token = new_token()
    line = token_line("back end", token, user=user, users=users)
    assert token not in line
    identities = parse_identities(f"[tokens]\n{line}\n".encode())
    assert await Authenticator(lambda: identities).principal(token, ()) == principal
    with pytest.raises(UnauthenticatedError):
        await Authenticator(lambda: identities).principal(new_token(), ())


@pytest.mark.parametrize(
    ("expires", "counts"), [("2020-01-01T00:00:00Z", False), ("2999-01-01T00:00:00Z", True)]
)
async def test_a_static_token_may_expire(expires: str, counts: bool) -> None:
    line = token_line("a", "token", user="ann").replace("}", f", expires = {expires} }}")
    authenticator = Authenticator(lambda: parse_identities(f"[tokens]\n{line}\n".encode()))
    if counts:
        assert await authenticator.principal("token", ()) == UserPrincipal("ann")
    else:
        with pytest.raises(UnauthenticatedError, match="expired"):
            await authenticator.principal("token", ())


def private_jwk(issuer: Issuer) -> dict[str, Any]:
    return {**issuer.jwk(), "d": "AAAA"}


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ", "kid": "k1", "alg": "HS256"}],
        [private_jwk(Issuer())],
        [{**Issuer().jwk(), "use": "enc"}],
        [{**Issuer().jwk(), "alg": "ES512"}],
        [{"kty": "EC", "crv": "P-256", "x": "!", "y": "!"}],
        ["text", 1, None],
    ],
)
def test_keys_that_cannot_verify_are_no_keys(keys: list[object]) -> None:
    with pytest.raises(IdentityFileError):
        key_set(json.dumps({"keys": keys}).encode(), (*ALGORITHMS, "HS256"))


def test_one_broken_key_of_a_set_does_not_cost_the_others() -> None:
    keys = [{"kty": "?"}, Issuer("k1").jwk(), Issuer("k2", "RS256").jwk()]
    table = key_set(json.dumps({"keys": keys}).encode(), ALGORITHMS)
    assert set(table) == {("k1", "ES256"), ("k2", "RS256")}


def test_a_private_key_is_not_taken_for_a_public_one() -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(IdentityFileError, match="private key"):
        single_key(pem, ALGORITHMS)


UNKNOWN_KIND = b"-----BEGIN PUBLIC KEY-----\nMA4wCAYEKgMEBQUAAwIAAQ==\n-----END PUBLIC KEY-----\n"
"""A key of an algorithm that nobody has."""


@pytest.mark.parametrize(
    "content", [b"", b"nothing", b"{}", b"-----BEGIN PUBLIC KEY-----\n", b"\xff", UNKNOWN_KIND]
)
def test_what_is_no_key_is_refused(content: bytes) -> None:
    with pytest.raises(IdentityFileError):
        single_key(content, ALGORITHMS)


RULES = JwtRules(ISSUER, AUDIENCE, ALGORITHMS, 0.0)


class ChangingKeys:
    """Keys that are others when a test says so."""

    def __init__(self, current: KeyTable) -> None:
        self.current = current

    async def find(self, key_id: str, algorithm: str) -> object | None:
        return self.current.get((key_id, algorithm))


def subjects(issuer: Issuer, *, most_remembered: int = 1000) -> JwtSubjects:
    keys = FixedKeys(single_key(issuer.public_pem(), (issuer.alg,)))
    return JwtSubjects(RULES, keys, most_remembered=most_remembered)


async def seconds_of(known: JwtSubjects, tokens: Sequence[str]) -> float:
    began = perf_counter()
    authenticator = Authenticator(Identities, known)
    for token in tokens:
        await authenticator.principal(token, ())
    return (perf_counter() - began) / len(tokens)


async def test_a_token_that_was_seen_costs_a_fraction_of_a_new_one() -> None:
    issuer = Issuer()
    tokens, known = [issuer.token(f"u{number}") for number in range(100)], subjects(issuer)
    new = await seconds_of(known, tokens)
    again = min([await seconds_of(known, tokens) for _ in range(5)])
    assert again * 4 < new, (again, new)


async def test_what_is_remembered_of_tokens_is_bounded() -> None:
    issuer = Issuer()
    known = subjects(issuer, most_remembered=10)
    await seconds_of(known, [issuer.token(f"u{number}") for number in range(25)])
    assert known.remembered == 10


async def asked_again_and_again(authenticator: Authenticator, token: str) -> None:
    async with asyncio.timeout(10):
        while True:
            await authenticator.principal(token, ())
            await asyncio.sleep(0.05)


async def test_a_token_that_was_seen_ends_with_its_time() -> None:
    issuer = Issuer()
    authenticator = Authenticator(Identities, subjects(issuer))
    token = issuer.token("ann", exp=int(time()) + 2)
    assert await authenticator.principal(token, ()) == UserPrincipal("ann")
    with pytest.raises(UnauthenticatedError, match="expired"):
        await asked_again_and_again(authenticator, token)


async def test_a_token_that_was_seen_counts_no_more_when_its_key_is_gone() -> None:
    first, second = Issuer("k1"), Issuer("k2")
    keys = ChangingKeys(key_set(json.dumps({"keys": [first.jwk()]}).encode(), ALGORITHMS))
    authenticator = Authenticator(Identities, JwtSubjects(RULES, keys))
    token = first.token("ann")
    assert await authenticator.principal(token, ()) == UserPrincipal("ann")
    keys.current = key_set(json.dumps({"keys": [second.jwk()]}).encode(), ALGORITHMS)
    with pytest.raises(UnauthenticatedError):
        await authenticator.principal(token, ())


async def test_a_subject_may_stand_for_a_service() -> None:
    issuer = Issuer()
    identities = parse_identities(b'[subjects]\n"b@clients" = { service = "b", users = ["ann"] }\n')
    authenticator = Authenticator(lambda: identities, subjects(issuer))
    assert await authenticator.principal(issuer.token("b@clients"), ()) == ServicePrincipal(
        "b", frozenset({"ann"})
    )
    assert await authenticator.principal(issuer.token("b"), ()) == UserPrincipal("b")


async def test_an_algorithm_that_is_not_the_rules_does_not_count_though_there_is_a_key() -> None:
    issuer = Issuer()
    keys = FixedKeys(single_key(issuer.public_pem(), ("ES256",)))
    rules = JwtRules(ISSUER, AUDIENCE, ("RS256",), 0.0)
    with pytest.raises(UnauthenticatedError):
        await Authenticator(Identities, JwtSubjects(rules, keys)).principal(issuer.token("ann"), ())
