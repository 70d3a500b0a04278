"""What the callers of these tests say and read."""

import asyncio
from collections.abc import Awaitable

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.harness.service import Service


async def start(service: Service, query: str = "work", **fields: object) -> pb.TaskResponse:
    values: dict[str, object] = {"user_id": "ann", "query": query, **fields}
    response: pb.TaskResponse = await service.stub.StartTask(pb.TaskRequest(**values))  # type: ignore[arg-type]
    return response


async def status(service: Service, task_id: str, user_id: str = "ann") -> pb.TaskStatusResponse:
    request = pb.TaskStatusRequest(user_id=user_id, task_id=task_id)
    response: pb.TaskStatusResponse = await service.stub.GetTaskStatus(request)
    return response


async def ended(service: Service, task_id: str) -> pb.TaskStatusResponse:
    """How the task stands once it has ended."""
    await service.run_ended(task_id, within=15.0)
    return await status(service, task_id)


async def watched(
    service: Service, task_id: str, after: int = 0, *, begun: asyncio.Event | None = None
) -> tuple[list[pb.TaskStatusResponse], list[pb.ChatChunk], grpc.StatusCode]:
    """Every snapshot and every chunk of one WatchTask, and how it ended; `begun` is set by the first."""
    request = pb.WatchTaskRequest(user_id="ann", task_id=task_id, after_sequence=after)
    snapshots: list[pb.TaskStatusResponse] = []
    chunks: list[pb.ChatChunk] = []
    call = service.stub.WatchTask(request)
    try:
        async for response in call:
            if begun is not None:
                begun.set()
            if response.HasField("snapshot"):
                snapshots.append(response.snapshot)
            else:
                chunks.append(response.chunk)
    except grpc.aio.AioRpcError:
        pass
    return snapshots, chunks, await call.code()


async def refused(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value
