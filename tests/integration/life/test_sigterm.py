"""Told to stop: what callers see, how long it takes, and what is left."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import asyncpg
import grpc
import pytest

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.process import OrchestratorProcess, orchestrator_process
from tests.harness.service import text_of
from tests.harness.statuses import error_info, retry_delay
from tests.integration.life.callers import NOT_SERVING, SERVING, Stub, Watcher, begun, check, refusal

HELD = Script(tokens=("one", " two"), hold_after=1)
STREAMS = 50
GRACE_SECONDS = 3.0
SLACK_SECONDS = 2.0
ENDS = """
SELECT state::text, coalesce(error_reason, '') AS reason, end_time IS NOT NULL AS ended,
    EXISTS (SELECT FROM orchestrator.run_events e WHERE e.run_id = runs.run_id AND e.terminal) AS terminal
FROM orchestrator.runs AS runs
"""


def environment(dsn: str, provider: ScriptedProvider, drain_seconds: float = 30.0) -> dict[str, str]:
    return {
        "DATABASE_URL": dsn,
        "OPENAI_BASE_URL": provider.base_url,
        "ORCHESTRATOR_SERVER__DRAIN_SECONDS": str(drain_seconds),
    }


@asynccontextmanager
async def calling(process: OrchestratorProcess) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(process.address) as channel:
        yield channel


async def ends(dsn: str) -> Counter[tuple[str, str, bool, bool]]:
    """How many runs ended how: state, reason, whether the row has an end, and its log a terminal chunk."""
    connection = await asyncpg.connect(dsn)
    try:
        return Counter(tuple(row) for row in await connection.fetch(ENDS))
    finally:
        await connection.close()


def complaints(lines: Sequence[str]) -> list[str]:
    """What stands on standard error beside the log's ordinary lines."""
    ordinary = '{"time": '
    return [line for line in lines if not line.startswith(ordinary) or json.loads(line)["level"] == "error"]


def assert_may_come_back(error: grpc.aio.AioRpcError) -> None:
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert retry_delay(error) is not None


async def test_sigterm_under_50_streams_ends_each_of_them_well(
    tmp_path: Path, dsn: str, provider: ScriptedProvider
) -> None:
    provider.default = HELD
    async with (
        orchestrator_process(tmp_path, **environment(dsn, provider, GRACE_SECONDS)) as process,
        calling(process) as channel,
        calling(process) as newcomers,
    ):
        watcher = Watcher(channel)
        await watcher.told(SERVING)
        callers = await begun(channel, STREAMS)
        told_at = monotonic()
        os.kill(process.pid, signal.SIGTERM)
        await watcher.told(NOT_SERVING)
        assert [await check(channel), await check(channel, ""), await check(newcomers)] == [NOT_SERVING] * 3
        for refused in (await refusal(channel), await refusal(newcomers)):
            assert_may_come_back(refused)
            assert error_info(refused).reason == "DRAINING"
        stub: Stub = rpc.OrchestratorServiceStub(channel)
        assert (await stub.HealthCheck(pb.HealthCheckRequest())).draining
        for upstream in provider.ledger[::2]:
            upstream.release()
        await asyncio.gather(*(caller.finish() for caller in callers))
        assert await process.exit_code() == 0
        assert GRACE_SECONDS <= monotonic() - told_at < GRACE_SECONDS + SLACK_SECONDS
    assert all(caller.run_id for caller in callers)
    endings = Counter(caller.ending for caller in callers)
    assert endings == {("complete", "OK"): STREAMS // 2, ("DRAINING", "DRAINING"): STREAMS // 2}
    for caller in callers:
        if caller.error is None:
            assert text_of(caller.chunks) == "one two"
        else:
            assert_may_come_back(caller.error)
    assert await ends(dsn) == {
        ("succeeded", "", True, True): STREAMS // 2,
        ("failed", "DRAINING", True, True): STREAMS // 2,
    }
    assert complaints(process.errors) == []


@pytest.mark.parametrize(
    ("first", "second"), [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)]
)
async def test_a_second_signal_leaves_at_once(
    tmp_path: Path, dsn: str, provider: ScriptedProvider, first: signal.Signals, second: signal.Signals
) -> None:
    provider.default = HELD
    async with (
        orchestrator_process(tmp_path, **environment(dsn, provider)) as process,
        calling(process) as channel,
    ):
        watcher = Watcher(channel)
        await watcher.told(SERVING)
        callers = await begun(channel, 5)
        os.kill(process.pid, first)
        await watcher.told(NOT_SERVING)
        async with asyncio.timeout(3):
            os.kill(process.pid, second)
            await asyncio.gather(*(caller.finish() for caller in callers))
            assert await process.exit_code() == 0
    assert {caller.ending for caller in callers} == {("DRAINING", "DRAINING")}
    assert await ends(dsn) == {("failed", "DRAINING", True, True): 5}
    assert complaints(process.errors) == []


async def test_sigint_lets_a_run_end_as_sigterm_does(
    tmp_path: Path, dsn: str, provider: ScriptedProvider
) -> None:
    provider.default = HELD
    async with (
        orchestrator_process(tmp_path, **environment(dsn, provider)) as process,
        calling(process) as channel,
    ):
        watcher = Watcher(channel)
        await watcher.told(SERVING)
        (caller,) = await begun(channel, 1)
        os.kill(process.pid, signal.SIGINT)
        await watcher.told(NOT_SERVING)
        provider.release()
        await caller.finish()
        assert await process.exit_code() == 0
    assert caller.ending == ("complete", "OK")
    assert text_of(caller.chunks) == "one two"
    assert complaints(process.errors) == []


async def test_an_open_watch_does_not_delay_the_end(
    tmp_path: Path, dsn: str, provider: ScriptedProvider
) -> None:
    async with (
        orchestrator_process(tmp_path, **environment(dsn, provider)) as process,
        calling(process) as channel,
    ):
        for watcher in (Watcher(channel), Watcher(channel, "")):
            await watcher.told(SERVING)
        async with asyncio.timeout(2):
            assert await process.stop() == 0
    assert complaints(process.errors) == []
