"""Caps that a request asks for: a run that reaches one is complete, with what it has."""

import asyncio
from pathlib import Path
from uuid import UUID

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script, ScriptedUsage
from tests.harness.priced import CONTINUE, PRICED, resumed, service_with_file, until_text
from tests.harness.retention import connected, value
from tests.harness.service import Service, chat_request, text_of
from tests.harness.statuses import violations

CUT = Script(tokens=("one", " two"), finish_reason="length", usage=ScriptedUsage(20, 2))
HELD = Script(tokens=("one", " two"), hold_after=1)
ONE_AT_A_TIME = PRICED.replace('base_url = "{url}"', 'base_url = "{url}"\nlimits = {{ max_concurrency = 1 }}')


def limit_of(chunks: list[pb.ChatChunk]) -> str:
    """Which limit ended a run, whose answer is whole as far as it goes."""
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_LIMIT
    assert text_of(chunks) == chunks[-1].complete.final_text
    return chunks[-1].metadata["limit"]


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (pb.RunLimits(max_output_tokens=2), "max_output_tokens"),
        (pb.RunLimits(max_total_tokens=1000), "max_total_tokens"),
        (pb.RunLimits(max_cost_micros=1000), "max_cost_micros"),
    ],
)
async def test_an_answer_that_a_cap_cuts_is_complete_names_the_cap_and_is_remembered(
    service: Service, limits: pb.RunLimits, name: str
) -> None:
    service.provider.enqueue(CUT)
    chunks = await service.chat(conversation_id="c1", limits=limits)
    assert limit_of(chunks) == name
    assert text_of(chunks) == "one two"
    sent = service.provider.ledger[0].body["max_tokens"]
    assert sent == 2 if name == "max_output_tokens" else 0 < sent < 1000
    await service.chat("and then?", conversation_id="c1")
    said = [m["content"] for m in service.provider.ledger[1].body["messages"][1:]]
    assert said == ["hello", "one two", "and then?"]


async def test_a_prompt_that_uses_up_a_cap_is_not_sent(service: Service) -> None:
    chunks = await service.chat("x" * 900, limits=pb.RunLimits(max_total_tokens=200))
    assert limit_of(chunks) == "max_total_tokens"
    assert service.provider.ledger == []
    assert chunks[-1].usage.model_calls == 0


async def test_a_run_whose_time_is_over_keeps_what_it_has(service: Service) -> None:
    service.provider.enqueue(HELD)
    chunks = await service.chat(limits=pb.RunLimits(max_duration=Duration(nanos=300_000_000)))
    assert limit_of(chunks) == "max_duration"
    assert text_of(chunks) == "one"


async def test_time_in_line_is_no_time_of_the_run(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with service_with_file(dsn, provider, tmp_path, ONE_AT_A_TIME) as service:
        provider.enqueue(HELD)
        first = service.stub.StreamChat(chat_request("held"))
        await until_text(first)
        limits = pb.RunLimits(max_duration=Duration(seconds=1))
        second = service.stub.StreamChat(chat_request("waits", limits=limits))
        async for chunk in second:
            if chunk.status.queue_position:
                break
        await asyncio.sleep(1.2)  # what must not count
        provider.release()
        chunks = [chunk async for chunk in second]
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_STOP


async def handed_back(dsn: str, provider: ScriptedProvider, folder: Path, limits: pb.RunLimits) -> str:
    """A run that its process left behind after a piece of its answer."""
    provider.enqueue(HELD)
    drained = {"drain_seconds": 0.05}
    async with service_with_file(dsn, provider, folder, PRICED, server=drained) as service:
        request = chat_request(conversation_id="c1", limits=limits, run_options=CONTINUE)
        return await until_text(service.stub.StreamChat(request))


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (pb.RunLimits(max_steps=1), "max_steps"),
        (pb.RunLimits(max_output_tokens=1), "max_output_tokens"),
        (pb.RunLimits(max_total_tokens=400), "max_total_tokens"),
    ],
)
async def test_what_an_earlier_attempt_spent_counts(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, limits: pb.RunLimits, name: str
) -> None:
    run_id = await handed_back(dsn, provider, tmp_path, limits)
    spent = await value(dsn, "SELECT usage ->> 'currency' FROM runs WHERE state = 'queued'")
    assert spent == "EUR"
    async with service_with_file(dsn, provider, tmp_path) as service:
        chunks = await resumed(service, run_id)
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_LIMIT
    assert chunks[-1].metadata["limit"] == name
    assert len(provider.ledger) == 1
    usage = chunks[-1].usage
    assert (usage.model_calls, usage.output_tokens, usage.estimated) == (1, 2, True)


async def test_the_time_that_earlier_attempts_were_running_counts(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    limits = pb.RunLimits(max_duration=Duration(seconds=60))
    run_id = await handed_back(dsn, provider, tmp_path, limits)
    async with connected(dsn) as connection:
        took = await connection.fetchval(
            "UPDATE runs SET running_seconds = running_seconds + 60 WHERE run_id = $1"
            " RETURNING running_seconds - 60",
            UUID(run_id),
        )
    assert 0 < took < 20
    async with service_with_file(dsn, provider, tmp_path) as service:
        chunks = await resumed(service, run_id)
    assert chunks[-1].metadata["limit"] == "max_duration"
    assert len(provider.ledger) == 1


async def test_an_attempt_within_the_caps_goes_on_and_its_usage_is_that_of_all(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    run_id = await handed_back(dsn, provider, tmp_path, pb.RunLimits(max_steps=2))
    provider.enqueue(Script(tokens=("whole",), usage=ScriptedUsage(20, 1)))
    async with service_with_file(dsn, provider, tmp_path) as service:
        last = (await resumed(service, run_id))[-1]
    assert last.complete.final_text == "whole"
    assert last.complete.finish_reason == pb.FINISH_REASON_STOP
    assert last.usage.model_calls == 2
    assert last.usage.output_tokens == 2 + 1
    assert [(part.provider, part.model) for part in last.usage.by_model] == [("acme", "m")]


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        (pb.RunLimits(max_output_tokens=-1), "limits.max_output_tokens"),
        (pb.RunLimits(max_total_tokens=-1), "limits.max_total_tokens"),
        (pb.RunLimits(max_steps=-1), "limits.max_steps"),
        (pb.RunLimits(max_tool_calls=-1), "limits.max_tool_calls"),
        (pb.RunLimits(max_cost_micros=-1), "limits.max_cost_micros"),
        (pb.RunLimits(max_duration=Duration(seconds=-1)), "limits.max_duration"),
        (pb.RunLimits(currency="EURO"), "limits.currency"),
        (pb.RunLimits(currency="USD", max_cost_micros=1), "limits.currency"),
    ],
)
async def test_a_cap_that_makes_no_sense_is_named(service: Service, limits: pb.RunLimits, field: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await service.chat(limits=limits)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert list(violations(raised.value)) == [field]
    assert service.provider.ledger == []


@pytest.mark.parametrize(
    "limits", [pb.RunLimits(max_output_tokens=100_000), pb.RunLimits(max_cost_micros=1_000_000)]
)
async def test_a_cap_beyond_the_models_context_is_not_asked_of_the_vendor(
    service: Service, limits: pb.RunLimits
) -> None:
    """Vendors refuse to be asked for more than a model can write."""
    await service.chat(limits=limits)
    assert "max_tokens" not in service.provider.ledger[0].body


async def test_caps_that_are_not_reached_change_nothing(service: Service) -> None:
    limits = pb.RunLimits(
        max_duration=Duration(seconds=60),
        max_output_tokens=1000,
        max_total_tokens=2000,
        max_steps=3,
        max_tool_calls=1,
        max_cost_micros=100_000,
        currency="EUR",
    )
    last = (await service.chat(limits=limits))[-1]
    assert last.complete.finish_reason == pb.FINISH_REASON_STOP
    assert "limit" not in last.metadata


@pytest.mark.parametrize(("server", "asked"), [(5, 3), (3, 9), (3, 0), (None, 3)])
async def test_the_lower_of_the_servers_cap_and_the_requests_counts(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, server: int | None, asked: int
) -> None:
    run = {"max_output_tokens": server}
    async with service_with_file(dsn, provider, tmp_path, PRICED, run=run) as service:
        await service.chat(limits=pb.RunLimits(max_output_tokens=asked))
    assert provider.ledger[0].body["max_tokens"] == 3
