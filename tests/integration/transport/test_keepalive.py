"""A peer that has fallen silent is noticed, as soon as the settings say; one that answers is left alone."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.proxy import TcpProxy
from tests.harness.service import Service, running_service, text_of
from tests.integration.transport.callers import Held, calling, hold, rest_of

SOON = {"keepalive_seconds": 0.3, "keepalive_timeout_seconds": 0.3}


@dataclass(frozen=True, slots=True)
class Conversation:
    """A held stream of a caller behind a proxy."""

    service: Service
    proxy: TcpProxy
    held: Held


@asynccontextmanager
async def conversation(
    dsn: str, provider: ScriptedProvider, settings: Mapping[str, float]
) -> AsyncIterator[Conversation]:
    async with (
        running_service(dsn, provider, server={"drain_seconds": 0.0, **settings}) as service,
        TcpProxy("127.0.0.1", service.port) as proxy,
        calling(proxy.port) as caller,
    ):
        yield Conversation(service, proxy, await hold(service, caller.stub))


@pytest.mark.parametrize(
    ("to_server", "to_client"), [(True, True), (True, False), (False, True)], ids=["both", "up", "down"]
)
async def test_a_peer_that_falls_silent_frees_its_provider_and_ends_its_run(
    dsn: str, provider: ScriptedProvider, to_server: bool, to_client: bool
) -> None:
    settings = {"keepalive_seconds": 0.2, "keepalive_timeout_seconds": 0.2}
    async with conversation(dsn, provider, settings) as talk:
        talk.proxy.swallow(to_server=to_server, to_client=to_client)
        assert await talk.held.upstream.ended(within=3.0) is Outcome.CLIENT_GONE
        assert await talk.service.run_ended(talk.held.run_id) == "cancelled"


async def test_a_silent_peer_is_asked_and_given_up_when_the_settings_say(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with (
        conversation(dsn, provider, SOON) as soon,
        conversation(dsn, provider, {**SOON, "keepalive_seconds": 30.0}) as asked_late,
        conversation(dsn, provider, {**SOON, "keepalive_timeout_seconds": 30.0}) as given_up_late,
    ):
        for talk in (soon, asked_late, given_up_late):
            talk.proxy.swallow()
        assert await soon.held.upstream.ended(within=3.0) is Outcome.CLIENT_GONE
        await asyncio.sleep(1.0)
        assert asked_late.held.upstream.outcome is given_up_late.held.upstream.outcome is None


async def test_a_peer_that_answers_may_have_nothing_to_say_for_as_long_as_it_likes(
    dsn: str, provider: ScriptedProvider
) -> None:
    settings = {"keepalive_seconds": 0.1, "keepalive_timeout_seconds": 0.4}
    async with conversation(dsn, provider, settings) as talk:
        await asyncio.sleep(0.8)  # eight times asked
        talk.held.upstream.release()
        assert text_of(await rest_of(talk.held.stream)) == " two"
        assert talk.proxy.connections == 1
