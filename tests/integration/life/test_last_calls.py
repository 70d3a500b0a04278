"""Callers who go on calling while the server stops."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import grpc

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.process import orchestrator_process
from tests.harness.statuses import error_info, retry_delay
from tests.integration.life.callers import Stub

CALLERS = 12
OWN = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]


async def call_until_refused(address: str, begun: asyncio.Barrier) -> grpc.aio.AioRpcError:
    """One call after the other, on a connection of its own; the first failure."""
    async with grpc.aio.insecure_channel(address, options=OWN) as channel:
        stub: Stub = rpc.OrchestratorServiceStub(channel)
        await stub.ListTasks(pb.ListTasksRequest(user_id="ann"))
        await begun.wait()
        while True:
            try:
                await stub.ListTasks(pb.ListTasksRequest(user_id="ann"))
            except grpc.aio.AioRpcError as error:
                return error


async def test_who_calls_while_the_server_stops_is_refused_and_not_cut_off(
    tmp_path: Path, dsn: str, provider: ScriptedProvider
) -> None:
    """Half of them at least: a machine that stands still may keep some from calling again in time."""
    environment = {"DATABASE_URL": dsn, "OPENAI_BASE_URL": provider.base_url}
    async with orchestrator_process(tmp_path, **environment) as process:
        begun = asyncio.Barrier(CALLERS + 1)
        callers = [asyncio.create_task(call_until_refused(process.address, begun)) for _ in range(CALLERS)]
        await begun.wait()
        os.kill(process.pid, signal.SIGTERM)
        errors = await asyncio.gather(*callers)
        assert await process.exit_code() == 0
    refused = [error for error in errors if error.code() is grpc.StatusCode.UNAVAILABLE and told(error)]
    assert len(refused) > CALLERS // 2, Counter((error.code().name, error.details()) for error in errors)
    assert {error_info(error).reason for error in refused} == {"DRAINING"}
    assert None not in [retry_delay(error) for error in refused]


def told(error: grpc.aio.AioRpcError) -> bool:
    """Whether the server has said so itself, and not its connection's end."""
    return "grpc-status-details-bin" in dict(error.trailing_metadata())
