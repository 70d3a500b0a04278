"""Streams that break: the client reads on by sequence, without a gap and without a repeat."""

import asyncio
from pathlib import Path
from time import monotonic

import pytest

from llm_orchestrator_client import Event, OrchestratorClient, Patience
from llm_orchestrator_client.errors import LostError, NotFoundError, SequenceError, UnavailableError
from llm_orchestrator_client.events import ContentDelta, StreamReset
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.values import ResetReason
from tests.client.callers import client_of, first_text, rest_of, sequences
from tests.client.relay import relaying
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.process import OrchestratorProcess, orchestrator_process
from tests.harness.proxy import TcpProxy
from tests.harness.retention import age, value
from tests.harness.service import Service, running_service

TOKENS = tuple(f" word{n}" for n in range(12))
TEXT = "".join(TOKENS)
LEASES = {"lease_seconds": 2.0, "beat_seconds": 0.4, "reap_seconds": 0.1}
IMPATIENT = Patience(connect=0.3, resume=0.5, silence=0.5, first_delay=0.02, most_delay=0.1, leave=0.5)


def environment(dsn: str, provider: ScriptedProvider, port: int = 0) -> dict[str, str]:
    leases = {f"ORCHESTRATOR_RUN__{name.upper()}": str(value) for name, value in LEASES.items()}
    address = {"ORCHESTRATOR_SERVER__ADDRESS": f"127.0.0.1:{port}"}
    return {"DATABASE_URL": dsn, "OPENAI_BASE_URL": provider.base_url, **leases, **address}


def port_of(process: OrchestratorProcess) -> int:
    return int(process.address.rpartition(":")[2])


def resets(events: list[Event]) -> list[ResetReason]:
    return [event.reason for event in events if isinstance(event, StreamReset)]


async def test_a_replica_that_is_killed_in_mid_stream_is_made_up_for_by_the_other(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    """Two chats go to two replicas, round-robin. One dies: both answers are whole, one of them begun anew."""
    held = Script(tokens=TOKENS, hold_after=3)
    provider.enqueue(held, held, Script(tokens=TOKENS))
    async with (
        running_service(dsn, provider, run=LEASES) as survivor,
        orchestrator_process(tmp_path, **environment(dsn, provider)) as victim,
        client_of([f"127.0.0.1:{survivor.port}", victim.address]) as client,
    ):
        await both_reached(client)
        streams = [client.chat("hello"), client.chat("hello")]
        seen = [await first_text(stream) for stream in streams]
        await victim.kill()
        provider.release()
        for events, stream in zip(seen, streams, strict=True):
            events.extend(await rest_of(stream))
    for events, stream in zip(seen, streams, strict=True):
        assert stream.transcript.text == stream.transcript.final_text == TEXT
        assert sequences(events) == list(range(1, len(events) + 1))
    assert sorted(map(resets, seen)) == [[], [ResetReason.NEW_ATTEMPT]]
    assert len(provider.ledger) == 3


async def both_reached(client: OrchestratorClient) -> None:
    """Return when calls reach two servers, which began at different times."""
    began: list[float] = []
    async with asyncio.timeout(10):
        while not began or max(began) - min(began) < 0.5:
            uptime = (await client.health()).uptime
            assert uptime is not None
            began.append(monotonic() - uptime.total_seconds())


async def test_a_server_that_is_killed_and_started_again_goes_on_with_the_stream(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.default = Script(tokens=TOKENS)
    provider.enqueue(Script(tokens=TOKENS, hold_after=3))
    async with orchestrator_process(tmp_path, **environment(dsn, provider)) as first:
        client = client_of(first.address)
        stream = client.chat("hello", conversation_id="c1")
        events = await first_text(stream)
        await first.kill()
    reading = asyncio.create_task(rest_of(stream))
    async with orchestrator_process(tmp_path, **environment(dsn, provider, port_of(first))), client:
        events += await reading
        assert await value(dsn, "SELECT attempt FROM runs") >= 2
    assert stream.transcript.text == TEXT
    assert sequences(events) == list(range(1, len(events) + 1))
    assert set(resets(events)) == {ResetReason.NEW_ATTEMPT}


async def test_a_stream_that_is_cut_after_every_second_message_loses_and_repeats_nothing(
    service: Service,
) -> None:
    service.provider.enqueue(Script(tokens=TOKENS, token_interval=0.03))
    async with relaying(f"127.0.0.1:{service.port}") as relay, client_of(relay.address) as client:
        relay.cut_after = [0, 1, 0, 2, 2, 0, 1]
        stream = client.chat("hello")
        events = await rest_of(stream)
    assert stream.transcript.text == TEXT
    assert sequences(events) == list(range(1, len(events) + 1))
    chats = [pb.ChatRequest.FromString(call.request).request_id for call in relay.of("StreamChat")]
    assert len(chats) == 2  # again while nothing of it was read
    assert len(set(chats)) == 1
    after = [pb.ResumeStreamRequest.FromString(c.request).after_sequence for c in relay.of("ResumeStream")]
    assert after[:3] == [1, 1, 3]  # how many more there are depends on how tokens were gathered
    assert after == sorted(after)
    assert len(service.provider.ledger) == 1


async def test_a_stream_that_goes_silent_is_given_up_and_taken_up(service: Service) -> None:
    service.provider.enqueue(Script(tokens=TOKENS))
    quick = Patience(silence=0.5, first_delay=0.02, most_delay=0.1)
    async with (
        relaying(f"127.0.0.1:{service.port}") as relay,
        client_of(relay.address, patience=quick) as client,
        asyncio.timeout(10),
    ):
        relay.cut_after, relay.stalls = [2], True
        stream = client.chat("hello")
        events = await rest_of(stream)
    assert len(relay.of("ResumeStream")) == 1
    assert stream.transcript.text == TEXT
    assert sequences(events) == list(range(1, len(events) + 1))


async def test_patience_has_an_end_that_says_where_to_go_on(service: Service) -> None:
    service.provider.enqueue(Script(tokens=TOKENS, hold_after=3))
    async with (
        TcpProxy("127.0.0.1", service.port) as proxy,
        client_of(f"127.0.0.1:{proxy.port}", patience=IMPATIENT) as client,
    ):
        stream = client.chat("hello")
        await first_text(stream)
        await proxy.cut()
        with pytest.raises(LostError, match=f"after sequence {stream.sequence}"):
            await rest_of(stream)
    service.provider.release()
    async with client_of(f"127.0.0.1:{service.port}") as other:
        again = other.resume(stream.run_id, after_sequence=stream.sequence)
        for event in await rest_of(again):
            stream.transcript.add(event)
    assert stream.transcript.text == TEXT


async def test_a_server_that_never_accepts_is_tried_only_for_so_long() -> None:
    async with client_of("127.0.0.1:1", patience=IMPATIENT) as client:
        with pytest.raises(UnavailableError) as raised:
            await client.chat("hello").text()
    assert not isinstance(raised.value, LostError)
    assert raised.value.reason == ""


async def test_who_leaves_before_a_server_named_the_run_cancels_it_by_its_request_id(
    service: Service,
) -> None:
    service.provider.enqueue(Script(tokens=TOKENS, hold_after=1))
    async with relaying(f"127.0.0.1:{service.port}") as relay, client_of(relay.address) as client:
        relay.silent = asyncio.Event()
        stream = client.chat("hello", request_id="mine")
        reading = asyncio.create_task(anext(stream))
        await service.provider.call(1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert stream.run_id == ""
    (cancel,) = relay.of("CancelTask")
    assert pb.CancelTaskRequest.FromString(cancel.request).request_id == "mine"
    assert await value(service.dsn, "SELECT state FROM runs") in ("cancelling", "cancelled")


async def test_a_run_that_is_long_over_can_still_be_read_and_watched(
    service: Service, client: OrchestratorClient
) -> None:
    service.provider.enqueue(Script(tokens=TOKENS))
    stream = client.chat("hello", conversation_id="c1")
    live = await rest_of(stream)
    await age(service.dsn, hours=24)
    assert await rest_of(client.resume(stream.run_id)) == live
    assert await rest_of(client.resume(conversation_id="c1")) == live
    assert await rest_of(client.resume(stream.run_id, after_sequence=2)) == live[2:]
    watched = client.tasks.watch(stream.run_id)
    assert (await rest_of(watched))[1:] == live
    assert watched.transcript.text == TEXT


async def test_a_finished_failure_is_replayed_and_raised(
    service: Service, client: OrchestratorClient
) -> None:
    service.provider.enqueue(Script(status=500))
    stream = client.chat("hello")
    with pytest.raises(UnavailableError) as live:
        await stream.text()
    for after in (0, stream.sequence):  # also by who has seen all of it
        with pytest.raises(UnavailableError) as replayed:
            await client.resume(stream.run_id, after_sequence=after).text()
        assert replayed.value.reason == live.value.reason == "PROVIDER_UNAVAILABLE"


async def test_what_cannot_be_read_says_so(service: Service, client: OrchestratorClient) -> None:
    with pytest.raises(NotFoundError):
        await client.resume("0" * 32).text()
    stream = client.chat("hello")
    await stream.text()
    with pytest.raises(SequenceError):
        await client.resume(stream.run_id, after_sequence=99).text()
    with pytest.raises(NotFoundError):
        await client.resume(stream.run_id, user_id="bob").text()
    assert not service.provider.in_flight


async def test_who_leaves_a_resumed_stream_stops_nothing(
    service: Service, client: OrchestratorClient
) -> None:
    service.provider.enqueue(Script(tokens=TOKENS, hold_after=1))
    chat = client.chat("hello")
    seen = await first_text(chat)
    async with client.resume(chat.run_id) as other:
        assert isinstance((await first_text(other))[-1], ContentDelta)
    service.provider.release()
    seen += await rest_of(chat)
    assert chat.transcript.text == TEXT
