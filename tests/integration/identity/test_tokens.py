"""Tokens that are not good let nobody in, and nothing is called for them."""

import hashlib
import hmac
from collections.abc import Callable
from time import time
from typing import Any

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.identity import AuthenticatedService, Issuer, encoded, part, stub_with
from tests.harness.service import chat_request, text_of
from tests.integration.identity.refusals import UNAUTHENTICATED, refused


def unsigned(issuer: Issuer, algorithm: str) -> str:
    return f"{part({'alg': algorithm, 'typ': 'JWT', 'kid': issuer.kid})}.{part(issuer.claims('ann'))}."


def confused(issuer: Issuer) -> str:
    """The public key, taken for the secret of an HMAC."""
    signed = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': issuer.kid})}.{part(issuer.claims('ann'))}"
    digest = hmac.new(issuer.public_pem(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{encoded(digest)}"


def altered(issuer: Issuer) -> str:
    """The signature of another token's claims."""
    header, _, signature = issuer.token("bob").split(".")
    return f"{header}.{part(issuer.claims('ann'))}.{signature}"


def with_own_key(issuer: Issuer) -> str:
    """A header that brings the key it is signed with."""
    own = Issuer(kid=issuer.kid)
    return own.token("ann", headers={"jwk": own.jwk(), "x5u": "http://127.0.0.1:1/key"})


BAD: dict[str, Callable[[Issuer], str]] = {
    "no token at all": lambda _: "",
    "no JWT": lambda _: "garbage",
    "three parts of nothing": lambda _: "..",
    "half a token": lambda i: i.token("ann").rpartition(".")[0],
    "header that nests deeply": lambda _: f"{encoded(b'[' * 9000)}.e30.AA",
    "expired": lambda i: i.token("ann", exp=int(time()) - 3600),
    "without an end": lambda i: i.token("ann", exp=None),
    "endless": lambda i: i.token("ann", exp=float("inf")),
    "not yet valid": lambda i: i.token("ann", nbf=int(time()) + 3600),
    "issued tomorrow": lambda i: i.token("ann", iat=int(time()) + 3600),
    "for another audience": lambda i: i.token("ann", aud="somebody-else"),
    "for no audience": lambda i: i.token("ann", aud=None),
    "by another issuer": lambda i: i.token("ann", iss="https://evil.test"),
    "by no issuer": lambda i: i.token("ann", iss=None),
    "for nobody": lambda i: i.token("ann", sub=None),
    "for an empty subject": lambda i: i.token(" "),
    "for a subject with control characters": lambda i: i.token("ann\n"),
    "for a subject of half a character": lambda i: i.token("ann\ud800"),
    "for a subject that is too long": lambda i: i.token("a" * 257),
    "unsigned": lambda i: unsigned(i, "none"),
    "unsigned, in capitals": lambda i: unsigned(i, "None"),
    "without a signature": lambda i: unsigned(i, "ES256"),
    "signed with the public key as a secret": confused,
    "signed with another key": lambda i: Issuer(kid=i.kid).token("ann"),
    "signed with another kind of key": lambda i: Issuer(kid=i.kid, alg="RS256").token("ann"),
    "with a key of its own": with_own_key,
    "with claims of another token": altered,
    "with a part that must be understood": lambda i: i.token("ann", headers={"crit": ["x"], "x": 1}),
    "whose key id is no text": lambda i: i.token("ann", headers={"kid": 7}),
    "whose algorithm is no text": lambda i: i.token("ann", headers={"alg": ["ES256"]}),
    "whose claims are a list": lambda i: i.signed({"kid": i.kid}, []),  # type: ignore[arg-type]
}


async def test_a_bad_token_is_unauthenticated_and_nothing_is_called(
    closed: AuthenticatedService, provider: ScriptedProvider, issuer: Issuer
) -> None:
    said = {}
    for bad, made in BAD.items():
        token = made(issuer)
        stub = closed.stub_of(token) if token else closed.stub
        said[bad] = {
            await refused(stub.StreamChat(chat_request())),
            await refused(stub.StartTask(pb.TaskRequest(user_id="ann", query="hello"))),
        }
    assert said == {bad: {UNAUTHENTICATED} for bad in BAD}
    assert provider.ledger == []
    tasks = await closed.stub_of(closed.tokens["backend"]).ListTasks(pb.ListTasksRequest(user_id="ann"))
    assert list(tasks.tasks) == []


SHOWN: tuple[tuple[tuple[str, str], ...], ...] = (
    (("authorization", "Basic YW5uOmFubg=="),),
    (("authorization", "Bearer"),),
    (("authorization", "Bearer "),),
    (("authorization", "{token}"),),
    (("authorization", "Bearer {token} {token}"),),
    (("authorization", "Bearer {token}"), ("authorization", "Bearer {token}")),
    (("authorization", "Bearer wrong"), ("authorization", "Bearer {token}")),
    (("x-authorization", "Bearer {token}"),),
    (("authorization", "Bearer {token}x"),),
)


async def test_a_token_that_is_not_shown_as_it_must_be_does_not_count(
    closed: AuthenticatedService, provider: ScriptedProvider
) -> None:
    for metadata in SHOWN:
        shown = tuple((name, value.format(token=closed.tokens["ann"])) for name, value in metadata)
        stub = stub_with(closed.channel, shown)
        assert await refused(stub.StreamChat(chat_request())) == UNAUTHENTICATED, metadata
    assert provider.ledger == []


async def test_the_scheme_may_be_written_as_one_likes(closed: AuthenticatedService) -> None:
    stub = stub_with(closed.channel, (("authorization", f"bEARER {closed.tokens['ann']}"),))
    assert (await stub.ListTasks(pb.ListTasksRequest())).next_page_token == ""


async def test_clocks_may_be_apart_by_the_leeway(closed: AuthenticatedService, issuer: Issuer) -> None:
    for claim, seconds in (("exp", -20), ("nbf", 20), ("iat", 20)):
        changes: dict[str, Any] = {claim: int(time()) + seconds}
        stub = closed.stub_of(issuer.token("ann", **changes))
        assert text_of([chunk async for chunk in stub.StreamChat(chat_request())])


async def test_a_token_for_several_audiences_is_for_us_too(
    closed: AuthenticatedService, issuer: Issuer
) -> None:
    stub = closed.stub_of(issuer.token("ann", aud=["somebody-else", "llm-orchestrator"]))
    assert text_of([chunk async for chunk in stub.StreamChat(chat_request())])
