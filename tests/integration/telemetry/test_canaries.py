"""Nothing that callers, tools or models say is in logs, metrics or traces, wherever it was said."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import grpc

from protos import orchestrator_pb2 as pb
from telemetry import logs
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.fakes.tool_service.script import Script as Answer
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.collector import sink
from tests.harness.metrics import free_address, page
from tests.harness.service import Service, collect
from tests.harness.tooled import DONE, MILK, decide, tooled, wish, wishing

CANARY = "c4n4ry7"
"""Stands in all texts."""


def canary(place: str) -> str:
    return f"{CANARY}-{place}"


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """All that is logged meanwhile, at every level that operators may set."""
    stream, root = io.StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        logs.configure("debug", stream)
        yield stream
    finally:
        root.handlers[:] = before
        root.setLevel(level)


def request(query: str, **fields: object) -> pb.ChatRequest:
    """A canary in every field that holds a text."""
    values: dict[str, object] = {
        "user_id": canary("user"),
        "conversation_id": canary("conversation"),
        "query": f"{query} {canary('query')}",
        "conversation_history": [{"role": "user", "content": canary("history")}],
        "persona": {"ai_name": canary("persona"), "custom_preferences": {"k": canary("preferences")}},
        **fields,
    }
    return pb.ChatRequest(**values)  # type: ignore[arg-type]


METADATA = (
    ("authorization", f"Bearer {canary('token')}"),
    ("x-request-id", f"{canary('request')} with a blank"),
    ("traceparent", canary("traceparent")),
    ("tracestate", f"vendor={canary('tracestate')}"),
    ("baggage", f"key={canary('baggage')}"),
    ("x-anything", canary("metadata")),
)


async def ask(service: Service, query: str, **fields: object) -> None:
    with suppress(grpc.aio.AioRpcError):
        await collect(service.stub.StreamChat(request(query, **fields), metadata=METADATA), [])


async def everything(service: Service, provider: ScriptedProvider, backend: FakeToolService) -> None:
    """Ways that go well, and ways that go wrong at each place where a text could be quoted."""
    backend.default("GetWeatherData", Answer(answer={"location": canary("result")}))
    look, odd = wish("get_weather_data", {"location": canary("argument")}), wish(canary("tool"))
    provider.enqueue(wishing(look, odd, text=canary("text")), Script(tokens=(canary("answer"),)))
    await ask(service, "weather", agent_type="weather")
    for script in (
        Script(status=400, body=canary("error")),
        Script(status=429, body=canary("limit")),
        Script(status=500, body=canary("crash")),
        Script(tokens=(canary("a"),), fault=Fault(FaultKind.ERROR_OBJECT, after=1)),
        Script(tokens=(canary("b"),), fault=Fault(FaultKind.GARBAGE_LINE, after=1)),
    ):
        provider.enqueue(script)
        await ask(service, "fails", conversation_id=canary(str(script.status)))
    backend.script("GetWeatherData", Answer(status="INTERNAL", details=canary("details")))
    provider.enqueue(wishing(look), DONE)
    await ask(service, "weather", agent_type="weather", conversation_id=canary("second"))
    await ask(service, "who", agent_type=canary("agent"))
    await ask(service, "what", run_options=pb.RunOptions())
    await consent(service, provider)
    task = pb.TaskRequest(user_id=canary("user"), query=canary("task"), labels={"l": canary("label")})
    started = await service.stub.StartTask(task, metadata=METADATA)
    assert await service.run_ended(started.task_id) == "succeeded"


async def consent(service: Service, provider: ScriptedProvider) -> None:
    adds = wish("add_org_inbox_item", {**MILK, "text": canary("item")})
    provider.enqueue(wishing(adds), DONE)
    await ask(service, "milk", agent_type="org_inbox", conversation_id=canary("third"))
    asked = await service.stub.GetPendingPermissions(pb.PermissionRequest(user_id=canary("user")))
    [permission] = asked.permissions
    await decide(service, permission, "denied", user_id=canary("user"), reason=canary("reason"))
    assert await service.run_ended(permission.run_id) == "succeeded"


async def test_no_text_of_callers_tools_and_models_is_in_logs_metrics_or_traces(
    dsn: str, provider: ScriptedProvider
) -> None:
    address = free_address()
    async with sink() as collected, FakeToolService() as backend:
        with logged() as told:
            traces = {"endpoint": collected.endpoint, "batch_seconds": 0.05}
            metrics = {"address": address}
            async with tooled(
                dsn, provider, backend, metrics=metrics, traces=traces, tools={"token": canary("secret")}
            ) as service:
                await everything(service, provider, backend)
                _, text = await page(address)
    assert "orchestrator_runs_total" in text
    assert CANARY not in text
    assert len(collected.spans) > 20
    assert CANARY.encode() not in collected.raw
    assert "run ended" in told.getvalue()
    assert [line for line in told.getvalue().splitlines() if CANARY in line] == []
    seen = [call for call in provider.ledger if CANARY in str(call.body)]
    assert len(seen) == len(provider.ledger), "they came through to the model each time"
