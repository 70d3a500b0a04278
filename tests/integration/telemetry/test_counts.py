"""What is counted is what happened: each counter against the count of somebody else."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import asyncpg
import grpc
import orjson
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.script import Script as Answer
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.metrics import Scrape, free_address, samples, scrape
from tests.harness.raw import raw_unary
from tests.harness.service import Service, chat_request, collect
from tests.harness.tooled import ADDS_MILK, DONE, decide, pending, tooled, wish, wishing
from tests.integration.tasks.asking import start

SERVICE = "orchestrator.OrchestratorService/"
CALLS = "rpc_server_call_duration_seconds_count"
LOOK = wish("get_weather_data", {"location": "Bonn"})
NOBODYS = wish("no_such_tool_a8f3")


@dataclass
class Caller:
    """Makes calls and keeps their statuses, as a caller sees them."""

    service: Service
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def chat(self, query: str = "hello", **fields: object) -> list[pb.ChatChunk]:
        chunks: list[pb.ChatChunk] = []
        call = self.service.stub.StreamChat(chat_request(query, **fields))
        with suppress(grpc.aio.AioRpcError):
            await collect(call, chunks)
        self.note("StreamChat", (await call.code()).name)
        return chunks

    async def leave(self, provider: ScriptedProvider) -> None:
        """Begin a chat and cancel it once it is being answered."""
        before = len(provider.ledger)
        provider.enqueue(Script(tokens=("a", "b"), hold_after=1))
        call = self.service.stub.StreamChat(chat_request("I leave", conversation_id=f"left-{before}"))
        async for chunk in call:
            if chunk.HasField("content"):
                break
        call.cancel()
        self.note("StreamChat", (await call.code()).name)
        assert await provider.ledger[before].ended() is Outcome.CLIENT_GONE

    def note(self, method: str, code: str) -> None:
        self.statuses[SERVICE + method, code] += 1


@pytest.fixture
async def backend() -> AsyncIterator[FakeToolService]:
    async with FakeToolService() as backend:
        yield backend


@pytest.fixture
def address() -> str:
    return free_address()


@pytest.fixture
async def service(
    dsn: str, provider: ScriptedProvider, backend: FakeToolService, address: str
) -> AsyncIterator[Service]:
    async with tooled(dsn, provider, backend, metrics={"address": address}) as service:
        yield service


async def quiet(address: str) -> Scrape:
    """A scrape once nothing is going on: a server learns of a caller that left a moment later."""
    async with asyncio.timeout(10):
        while True:
            found = await scrape(address)
            busy = samples(found, "orchestrator_active_streams") + samples(found, "orchestrator_active_runs")
            if not busy:
                return found
            await asyncio.sleep(0.02)


async def rows(service: Service, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(service.dsn, server_settings={"search_path": "orchestrator"})
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


async def mix(caller: Caller, provider: ScriptedProvider, backend: FakeToolService) -> None:
    """Calls, cancels, failures, tasks, tools and questions."""
    service = caller.service
    for number in range(3):
        await caller.chat(f"well {number}")
    provider.enqueue(Script(status=400))
    await caller.chat("refused by the provider")
    await caller.chat("", agent_type="chat")
    await caller.chat("who?", agent_type="no_such_agent_b7c1")
    for _ in range(2):
        await caller.leave(provider)
    await tasks(caller, provider)
    backend.script("GetWeatherData", Answer(), Answer(status="INVALID_ARGUMENT"))
    provider.enqueue(wishing(LOOK), wishing(LOOK), wishing(NOBODYS), DONE)
    await caller.chat("weather?", agent_type="weather")
    for decision in ("approved", "denied"):
        provider.enqueue(ADDS_MILK, DONE)
        chunks = await caller.chat("milk?", agent_type="org_inbox")
        [asked] = await pending(service)
        caller.note("GetPendingPermissions", "OK")
        await decide(service, asked, decision)
        caller.note("ApprovePermission", "OK")
        assert await service.run_ended(chunks[0].run_id) == "succeeded"


async def tasks(caller: Caller, provider: ScriptedProvider) -> None:
    service = caller.service
    for _ in range(2):
        task = await start(service)
        caller.note("StartTask", "OK")
        assert await service.run_ended(task.task_id) == "succeeded"
    provider.enqueue(Script(status=400))
    failing = await start(service)
    caller.note("StartTask", "OK")
    assert await service.run_ended(failing.task_id) == "failed"
    provider.enqueue(Script(tokens=("a", "b"), hold_after=1))
    before = len(provider.ledger)
    stopped = await start(service)
    caller.note("StartTask", "OK")
    await (await provider.call(before + 1)).sent(1)
    await service.stub.CancelTask(pb.CancelTaskRequest(user_id="ann", task_id=stopped.task_id))
    caller.note("CancelTask", "OK")
    assert await service.run_ended(stopped.task_id) == "cancelled"


async def test_after_a_mix_of_all_that_happens_each_counter_is_what_the_others_have_counted(
    service: Service, provider: ScriptedProvider, backend: FakeToolService, address: str
) -> None:
    caller = Caller(service)
    await mix(caller, provider, backend)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await raw_unary(service.channel, "/orchestrator.OrchestratorService/NoSuchMethod")
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    caller.statuses["_OTHER", "UNIMPLEMENTED"] += 1
    found = await quiet(address)
    labels = ("rpc_method", "rpc_response_status_code")
    assert samples(found, CALLS, *labels) == caller.statuses
    await check_runs(service, found)
    await check_usage(service, found)
    check_calls(found, provider)
    check_tools(found, backend)
    waits = samples(found, "orchestrator_permission_wait_seconds_count", "decision")
    assert waits == {("approved",): 1, ("denied",): 1}
    assert samples(found, "orchestrator_run_suspended_total") == {(): 2}
    assert samples(found, "orchestrator_queue_wait_seconds_count", "kind") == {("chat",): 2}
    text = " ".join(name + " ".join(value for _, value in pairs) for name, pairs in found)
    for invented in ("no_such_tool_a8f3", "no_such_agent_b7c1", "NoSuchMethod", "ann"):
        assert invented not in text.split()


async def check_runs(service: Service, found: Scrape) -> None:
    stored = await rows(
        service,
        "SELECT agent_name, kind, state, coalesce(error_reason, '') AS reason, count(*) AS n"
        " FROM runs GROUP BY 1, 2, 3, 4",
    )
    expected = {(r["agent_name"], r["kind"], r["state"], r["reason"]): r["n"] for r in stored}
    labels = ("gen_ai_agent_name", "kind", "outcome", "reason")
    assert samples(found, "orchestrator_runs_total", *labels) == expected
    assert {state for _, _, state, _ in expected} == {"succeeded", "failed", "cancelled"}
    durations = samples(found, "gen_ai_invoke_agent_duration_seconds_count", *labels[:3])
    assert durations == Counter({key[:3]: n for key, n in expected.items()})


async def check_usage(service: Service, found: Scrape) -> None:
    tokens: Counter[tuple[str, ...]] = Counter()
    for row in await rows(service, "SELECT agent_name, usage FROM runs WHERE usage IS NOT NULL"):
        for part in orjson.loads(row["usage"])["by_model"]:
            for kind in ("input", "output"):
                tokens[row["agent_name"], part["model"], kind] += part[f"{kind}_tokens"]
    labels = ("gen_ai_agent_name", "gen_ai_request_model", "gen_ai_token_type")
    assert tokens
    assert samples(found, "orchestrator_tokens_total", *labels) == tokens


def check_calls(found: Scrape, provider: ScriptedProvider) -> None:
    name = "gen_ai_client_operation_duration_seconds_count"
    calls = samples(found, name, "error_type")
    outcomes = Counter(call.outcome for call in provider.ledger)
    assert calls == {
        ("",): outcomes[Outcome.COMPLETED],
        ("PROVIDER_REJECTED",): outcomes[Outcome.REFUSED],
        ("LEFT",): outcomes[Outcome.CLIENT_GONE],
    }


def check_tools(found: Scrape, backend: FakeToolService) -> None:
    calls = samples(found, "gen_ai_execute_tool_duration_seconds_count", "gen_ai_tool_name", "outcome")
    assert calls == {
        ("get_weather_data", "ok"): 1,
        ("get_weather_data", "failed"): 1,
        ("add_org_inbox_item", "ok"): 1,
    }
    assert calls.total() == len(backend.ledger.calls)
    refused = samples(found, "orchestrator_tool_refusals_total", "gen_ai_tool_name", "reason")
    assert refused == {("other", "UNKNOWN_TOOL"): 1, ("add_org_inbox_item", "PERMISSION_DENIED"): 1}
