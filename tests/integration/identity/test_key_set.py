"""Keys that an issuer publishes, changes, and at times cannot be asked for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrator.http.jwks import fetch_key_set
from orchestrator.identity.keys import KeySetUnavailableError
from protos import orchestrator_pb2 as pb
from tests.fakes.key_server import KeyServer, key_server
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.identity import AuthenticatedService, Issuer, authenticated_service
from tests.integration.identity.refusals import UNAUTHENTICATED, refused, until_let_in

LIST = pb.ListTasksRequest()
SOON: dict[str, object] = {"jwks_refresh_seconds": 3600, "jwks_retry_seconds": 0.1}


@asynccontextmanager
async def asking(
    dsn: str, provider: ScriptedProvider, folder: Path, server: KeyServer, **security: object
) -> AsyncIterator[AuthenticatedService]:
    """A service that gets its keys from there."""
    own = {"jwt_key_file": None, "jwt_jwks_url": server.url, "jwt_algorithms": "ES256,RS256", **SOON}
    async with authenticated_service(
        dsn, provider, folder, Issuer(), security={**own, **security}
    ) as service:
        yield service


async def accepted(service: AuthenticatedService, token: str) -> None:
    """Return when a token counts: unknown keys are asked for only so often."""
    async with asyncio.timeout(10):
        await until_let_in(service.stub_of(token).ListTasks)


async def asks_again(service: AuthenticatedService, server: KeyServer) -> None:
    """Return when the service has asked for its keys once more, and taken what it was told."""
    before = server.asked
    async with asyncio.timeout(10):
        while server.asked == before:
            await refused(service.stub_of(Issuer("unknown").token("ann")).ListTasks(LIST))
            await asyncio.sleep(0.05)


async def test_keys_that_change_are_followed_while_running(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    first, second, third = Issuer("k1"), Issuer("k2", "RS256"), Issuer("k1")
    async with (
        key_server(first.jwk()) as server,
        asking(dsn, provider, tmp_path, server) as service,
    ):
        old = first.token("ann")
        await service.stub_of(old).ListTasks(LIST)
        assert await refused(service.stub_of(second.token("ann")).ListTasks(LIST)) == UNAUTHENTICATED
        server.keys = (first.jwk(), second.jwk())
        await accepted(service, second.token("ann"))
        await service.stub_of(old).ListTasks(LIST)
        server.keys = (third.jwk(), second.jwk())  # the same id, and another key
        await asks_again(service, server)
        assert await refused(service.stub_of(old).ListTasks(LIST)) == UNAUTHENTICATED
        await service.stub_of(third.token("ann")).ListTasks(LIST)


async def test_a_server_that_is_away_costs_no_key_that_is_known(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    issuer = Issuer("k1")
    async with key_server(issuer.jwk()) as server, asking(dsn, provider, tmp_path, server) as service:
        for status, body in ((500, b"{}"), (200, b"nothing"), (200, b'{"keys": []}'), (302, b"")):
            server.status, server.body = status, body
            await asks_again(service, server)
            await service.stub_of(issuer.token("ann")).ListTasks(LIST)
        server.status, server.body = 200, None
        server.keys = (Issuer("k2").jwk(), issuer.jwk())
        await asks_again(service, server)
    assert server.asked >= 6


async def test_without_any_key_yet_callers_are_told_to_come_back(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    issuer = Issuer("k1")
    async with key_server(issuer.jwk()) as server:
        server.status = 503
        async with asking(dsn, provider, tmp_path, server) as service:
            said = await refused(service.stub_of(issuer.token("ann")).ListTasks(LIST))
            assert said == ("UNAVAILABLE", "IDENTITY_UNAVAILABLE")
            await service.stub_of(service.tokens["ann"]).ListTasks(LIST)  # which needs no key
            server.status = 200
            await accepted(service, issuer.token("ann"))
    assert provider.ledger == []


async def test_unknown_keys_cause_no_more_than_one_fetch_at_a_time(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    issuer = Issuer("k1")
    async with (
        key_server(issuer.jwk()) as server,
        asking(dsn, provider, tmp_path, server, jwks_retry_seconds=3600) as service,
    ):
        calls = [
            refused(service.stub_of(Issuer(f"u{number}").token("ann")).ListTasks(LIST))
            for number in range(50)
        ]
        assert set(await asyncio.gather(*calls)) == {UNAUTHENTICATED}
    assert server.asked == 1


async def test_the_key_set_is_fetched_as_often_as_its_setting(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    first, second = Issuer("k1"), Issuer("k2")
    async with (
        key_server(first.jwk()) as server,
        asking(dsn, provider, tmp_path, server, jwks_refresh_seconds=1, jwks_retry_seconds=3600) as service,
    ):
        await service.stub_of(first.token("ann")).ListTasks(LIST)
        server.keys = (second.jwk(),)
        await server.was_asked(2)
        await accepted(service, second.token("ann"))


@pytest.mark.parametrize(
    ("status", "body"), [(404, b"{}"), (302, b"{}"), (200, b"x" * (300 << 10))], ids=["404", "302", "300 KiB"]
)
async def test_what_is_no_key_set_is_not_taken(status: int, body: bytes) -> None:
    async with key_server() as server:
        server.status, server.body = status, body
        with pytest.raises(KeySetUnavailableError):
            await fetch_key_set(server.url)
        assert server.asked == 1


async def test_nobody_there_is_no_key_set() -> None:
    async with key_server() as server:
        url = server.url
    with pytest.raises(KeySetUnavailableError):
        await fetch_key_set(url)
