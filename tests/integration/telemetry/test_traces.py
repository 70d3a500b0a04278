"""Traces: one id from who asks to whom we ask, over processes and restarts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from telemetry.attributes import AGENT, INPUT_TOKENS, RPC_METHOD, RUN_OUTCOME, STEP, TOOL
from telemetry.families import Counts
from telemetry.names import SPANS
from telemetry.otel import TraceOptions, tracing
from telemetry.spans import SpanKind
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.collector import Collected, Seen, rotel, sink
from tests.harness.process import orchestrator_process
from tests.harness.service import chat_request, collect
from tests.harness.tooled import DONE, tooled, wish, wishing

LOOK = wish("get_weather_data", {"location": "Bonn"})
SERVICE = "orchestrator.OrchestratorService"
FILE = """
[providers.small]
kind = "openai"
base_url = "{url}"
limits = {{ max_concurrency = 1 }}
[models.m]
provider = "small"
context_tokens = 8192
routing = false
[classes]
chat = ["m"]
fast = ["m"]
"""


def above(collected: Collected, span: Seen) -> list[str]:
    """The names of the spans above one, the nearest first."""
    by_id = {one.span: one for one in collected.spans}
    names = []
    while (found := by_id.get(span.parent)) is not None:
        names.append(found.name)
        span = found
    return names


async def test_one_trace_runs_from_the_caller_through_server_queue_and_worker_to_provider_and_tools_in_rotel(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    (tmp_path / "providers.toml").write_text(FILE.format(url=provider.base_url))
    async with FakeToolService() as backend, rotel(tmp_path) as collected:
        environment = _environment(dsn, tmp_path / "providers.toml", backend.address, collected.endpoint)
        options = TraceOptions(collected.endpoint, batch_seconds=0.05)
        async with tracing(options, {"service.name": "caller"}, Counts(SPANS)) as spans:
            span = spans.begin("a caller's work", SpanKind.CLIENT)
            async with (
                orchestrator_process(tmp_path, **environment) as server,
                _queued(server.address, provider, span.traceparent) as task_id,
            ):
                await collected.has(f"{SERVICE}/StartTask")
                await server.kill()
            provider.enqueue(wishing(LOOK), DONE)
            calls = len(provider.ledger)
            async with orchestrator_process(tmp_path, **environment) as worker:
                assert await _ended(worker.address, task_id) == pb.TASK_STATE_SUCCEEDED
            span.end()
        await collected.has("a caller's work", "invoke_agent weather", "execute_tool get_weather_data")
        trace = span.traceparent[3:35]
        run, caller = collected.named("invoke_agent weather")[-1], collected.named("a caller's work")[0]
        asked = next(s for s in collected.named(f"{SERVICE}/StartTask") if s.trace == trace)
        assert asked.parent == caller.span
        assert run.trace == trace
        assert run.links == ((trace, asked.span),)
        assert len({caller.instance, asked.instance, run.instance}) == 3
        headers = [call.traceparent[:-3] for call in provider.ledger[calls:]]
        [tool] = collected.named("execute_tool get_weather_data")
        chats = [s for s in collected.named("chat m") if s.trace == trace]
        assert headers == [f"00-{trace}-{chat.span}" for chat in chats]
        [called] = backend.ledger.calls
        assert called.metadata["traceparent"][:-3] == f"00-{trace}-{tool.span}"
        way = ["invoke_agent weather", f"{SERVICE}/StartTask", "a caller's work"]
        assert above(collected, tool) == ["step act", *way]
        assert [above(collected, chat) for chat in chats] == [["step model", *way]] * 2


def _environment(dsn: str, file: Path, tools: str, collector: str) -> dict[str, str]:
    return {
        "DATABASE_URL": dsn,
        "ORCHESTRATOR_PROVIDER__FILE": str(file),
        "ORCHESTRATOR_TOOLS__ADDRESS": tools,
        "USE_GRPC_TOOL_SERVICE": "true",
        "ORCHESTRATOR_TRACES__ENDPOINT": collector,
        "ORCHESTRATOR_TRACES__BATCH_SECONDS": "0.05",
    }


@asynccontextmanager
async def _queued(address: str, provider: ScriptedProvider, traceparent: str) -> AsyncIterator[str]:
    """A task that stands in line, because a chat has the provider's only place until the block ends."""
    provider.enqueue(Script(tokens=("held", "for ever"), hold_after=1))
    async with grpc.aio.insecure_channel(address) as channel:
        stub = rpc.OrchestratorServiceStub(channel)
        chat = stub.StreamChat(chat_request("held"))
        async for chunk in chat:
            if chunk.HasField("content"):
                break
        request = pb.TaskRequest(user_id="ann", query="weather?", agent_type="weather")
        started = await stub.StartTask(request, metadata=(("traceparent", traceparent),))
        assert started.state == pb.TASK_STATE_QUEUED
        yield started.task_id


async def _ended(address: str, task_id: str) -> int:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = rpc.OrchestratorServiceStub(channel)
        request = pb.WatchTaskRequest(user_id="ann", task_id=task_id)
        state = pb.TASK_STATE_UNSPECIFIED
        async for response in stub.WatchTask(request):
            if response.HasField("snapshot"):
                state = response.snapshot.state
        return state


async def test_spans_say_what_was_done_and_not_what_was_said_in_a_server_of_our_own(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with sink() as collected, FakeToolService() as backend:
        traces = {"endpoint": collected.endpoint, "batch_seconds": 0.05}
        async with tooled(dsn, provider, backend, traces=traces) as service:
            provider.enqueue(wishing(LOOK), DONE)
            chunks = await service.chat("weather in Canarytown?", agent_type="weather")
            provider.enqueue(Script(status=400))
            await collect_failing(service.stub)
            await collected.until(lambda: len(collected.named("invoke_agent weather")) == 1)
            await collected.until(lambda: len(collected.named(f"{SERVICE}/StreamChat")) == 2)
    [run] = collected.named("invoke_agent weather")
    assert (run.attributes[AGENT], run.attributes[RUN_OUTCOME], run.failed) == ("weather", "succeeded", False)
    assert run.attributes[INPUT_TOKENS] == chunks[-1].usage.input_tokens
    steps = [s.attributes[STEP] for s in collected.spans if s.trace == run.trace and STEP in s.attributes]
    assert steps == ["open", "model", "decide", "act", "model"]
    [tool] = collected.named("execute_tool get_weather_data")
    assert tool.attributes[TOOL] == "get_weather_data"
    calls = collected.named(f"{SERVICE}/StreamChat")
    assert {call.attributes[RPC_METHOD] for call in calls} == {f"{SERVICE}/StreamChat"}
    [failed] = [s for s in collected.named("chat scripted-1") if s.failed]
    assert failed.attributes["error.type"] == "PROVIDER_REJECTED"
    assert b"Canarytown" not in collected.raw
    assert b"Bonn" not in collected.raw


async def collect_failing(stub: "rpc.OrchestratorServiceAsyncStub") -> None:
    try:
        await collect(stub.StreamChat(chat_request("it fails")), [])
    except grpc.aio.AioRpcError:
        return
    raise AssertionError("it did not fail")
