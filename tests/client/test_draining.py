"""Calls that come to a server that stops, again and again."""

from collections.abc import AsyncIterator

import pytest

from llm_orchestrator_client.errors import UnavailableError
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from tests.client.callers import client_of
from tests.client.relay import Relay, relaying
from tests.harness.service import Service


@pytest.fixture
async def relay(service: Service) -> AsyncIterator[Relay]:
    async with relaying(f"127.0.0.1:{service.port}") as relay:
        yield relay


async def test_a_call_goes_on_while_every_attempt_comes_to_a_server_that_stops(relay: Relay) -> None:
    relay.draining["StartTask"] = 5
    async with client_of(relay.address, attempts=2) as client:
        assert (await client.tasks.start("do it")).task_id
    assert len(relay.of("StartTask")) == 6
    assert len({pb.TaskRequest.FromString(call.request).request_id for call in relay.of("StartTask")}) == 1


async def test_who_wants_one_attempt_is_told_of_a_server_that_stops(relay: Relay) -> None:
    relay.draining["GetServerInfo"] = 50
    async with client_of(relay.address, attempts=1) as client:
        with pytest.raises(UnavailableError) as raised:
            await client.server_info()
    assert raised.value.reason == "DRAINING"
    assert len(relay.of("GetServerInfo")) == 1
