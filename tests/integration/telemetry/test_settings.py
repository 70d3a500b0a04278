"""Each setting of metrics, traces and logs changes what it says."""

import asyncio
import io
import logging
from pathlib import Path

import aiohttp
import orjson
import pytest

from protos import orchestrator_pb2 as pb
from telemetry import logs
from tests.fakes.scripted_provider.addresses import refusing_address, silent_address
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.collector import sink
from tests.harness.metrics import free_address, page, samples, scrape
from tests.harness.process import run_main
from tests.harness.service import running_service

KNOWN = "5e2b9f"


async def test_the_pages_are_where_their_address_says_and_nowhere_without_one(
    dsn: str, provider: ScriptedProvider
) -> None:
    address = free_address()
    async with running_service(dsn, provider, metrics={"address": address}):
        assert (await page(address))[0] == 200
    async with running_service(dsn, provider, metrics={"address": "off"}):
        with pytest.raises(aiohttp.ClientConnectorError):
            await page(address)


async def test_an_address_for_metrics_that_is_taken_ends_the_start_with_one_line(
    dsn: str, tmp_path: Path
) -> None:
    with refusing_address() as taken:
        environment = {
            "DATABASE_URL": dsn,
            "ORCHESTRATOR_METRICS__ADDRESS": taken,
            "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        }
        code, _, errors = await run_main(tmp_path, **environment)
    assert code == 1
    assert (
        errors.strip()
        .splitlines()[-1]
        .endswith(f"cannot listen on {taken} for metrics: is something else listening there?")
    )


async def test_no_spans_go_out_where_no_endpoint_is_named_and_no_header_names_a_trace(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with sink() as collected:
        async with running_service(dsn, provider, traces={"endpoint": ""}) as service:
            await service.chat()
        async with running_service(dsn, provider, traces={"endpoint": collected.endpoint}) as service:
            await service.chat()
        assert len(collected.named("invoke_agent chat")) == 1
    off, on = (call.traceparent for call in provider.ledger)
    assert (off, len(on)) == ("", 55)


async def test_a_ratio_of_none_keeps_none_but_what_a_caller_has_begun(
    dsn: str, provider: ScriptedProvider
) -> None:
    begun = f"00-{'ab' * 16}-{'cd' * 8}-01"
    async with sink() as collected:
        traces = {"endpoint": collected.endpoint, "ratio": 0.0}
        async with running_service(dsn, provider, traces=traces) as service:
            await service.chat()
            request = pb.ChatRequest(user_id="ann", query="hello")
            call = service.stub.StreamChat(request, metadata=(("traceparent", begun),))
            assert [chunk async for chunk in call]
        assert {span.trace for span in collected.spans} == {"ab" * 16}


async def test_spans_wait_for_each_other_as_long_as_the_batch_says(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with sink() as collected:
        traces = {"endpoint": collected.endpoint, "batch_seconds": 60.0}
        async with running_service(dsn, provider, traces=traces) as service:
            await service.chat()
            assert collected.spans == []
        assert collected.spans, "what is left goes out at the end"
    async with sink() as collected:
        traces["endpoint"], traces["batch_seconds"] = collected.endpoint, 0.05
        async with running_service(dsn, provider, traces=traces) as service:
            await service.chat()
            await collected.has("invoke_agent chat")


@pytest.mark.parametrize("content", [False, True])
async def test_what_models_are_asked_is_in_spans_with_the_switch_for_debugging_alone(
    dsn: str, provider: ScriptedProvider, content: bool
) -> None:
    async with sink() as collected:
        traces = {"endpoint": collected.endpoint, "content": content}
        async with running_service(dsn, provider, traces=traces) as service:
            await service.chat(f"what is {KNOWN}?")
    assert (KNOWN.encode() in collected.raw) is content


@pytest.mark.parametrize("address", [refusing_address, silent_address])
async def test_a_collector_that_is_away_keeps_neither_calls_nor_the_end_waiting(
    dsn: str, provider: ScriptedProvider, address: object
) -> None:
    loop = asyncio.get_running_loop()
    with address() as nowhere:  # type: ignore[operator]
        traces = {"endpoint": f"http://{nowhere}", "batch_seconds": 0.05}
        pages = free_address()
        async with running_service(dsn, provider, traces=traces, metrics={"address": pages}) as service:
            for _ in range(5):
                chunks = await service.chat()
                assert chunks[-1].HasField("complete")
            assert not samples(await scrape(pages), "orchestrator_spans_total", "result")["exported",]
            began = loop.time()
        assert loop.time() - began < 10.0


def test_a_user_is_told_by_a_hash_that_depends_on_the_key() -> None:
    names = {logs.hashed("ann", key) for key in (b"", b"one", b"two")}
    assert len(names) == 3
    assert all(len(name) == 16 and "ann" not in name for name in names)


async def test_the_lines_of_a_run_name_its_trace_request_run_and_user_by_the_key_of_the_settings(
    dsn: str, provider: ScriptedProvider
) -> None:
    stream = io.StringIO()
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    level = root.level
    try:
        logs.configure("info", stream, user_key="k1")
        async with sink() as collected:
            async with running_service(
                dsn, provider, traces={"endpoint": collected.endpoint, "batch_seconds": 0.05}
            ) as service:
                request = pb.ChatRequest(user_id="ann", query="hello")
                call = service.stub.StreamChat(request, metadata=(("x-request-id", "r-77"),))
                chunks = [chunk async for chunk in call]
            [run] = collected.named("invoke_agent chat")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    lines = map(orjson.loads, stream.getvalue().splitlines())
    [line] = [line for line in lines if line["message"] == "run ended"]
    assert (line["run_id"], line["request_id"]) == (chunks[0].run_id, "r-77")
    assert line["trace_id"] == run.trace
    assert line["user_hash"] == logs.hashed("ann", b"k1")
    assert (line["agent"], line["kind"], line["state"]) == ("chat", "chat", "succeeded")
    assert "ann" not in line.values()
