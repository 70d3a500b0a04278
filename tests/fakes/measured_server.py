"""A server process that tells what it holds, so that a test can tell what each stream leaves behind.

`python -m tests.fakes.measured_server service DSN PROVIDER_URL` is the real service. `empty` and `swallowing`
send the same chunks and then wait, and stand for what gRPC itself costs: the first behind our interceptor,
the second without it and with a handler that takes a cancellation for an end. It prints its port, then a
Reading as JSON for every line on its standard input, and leaves when that ends.
"""

import asyncio
import ctypes
import gc
import inspect
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import grpc
import uvloop
from pydantic import TypeAdapter

from main import assembled
from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from providers.file.entries import Timeouts
from telemetry import logs
from tests.harness.service import scripted_models, settings_for_tests
from wiring.limits import edge_of

Kind: TypeAlias = Literal["service", "empty", "swallowing"]
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

REPOSITORY = Path(__file__).parents[2]
_START_SECONDS = 30.0
_READING_SECONDS = 10.0
_STOP_SECONDS = 10.0
_SETTINGS = settings_for_tests(server={"max_streams_per_user": 1000})
_PATIENT = Timeouts(first_token_seconds=300.0, between_tokens_seconds=300.0)
"""So that no run that was left ends by itself, as if it had been stopped."""


@dataclass(frozen=True, slots=True)
class Work:
    """What goes on: handlers of StreamChat, asyncio tasks by the name of their coroutine, descriptors."""

    handlers: int
    tasks: dict[str, int]
    descriptors: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What a process holds: bytes that malloc has given out, objects of Python's own allocator, and work."""

    native_bytes: int
    python_blocks: int
    work: Work


_READING: TypeAdapter[Reading] = TypeAdapter(Reading)


class MeasuredServer:
    """A running one, seen from the test."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.address = f"127.0.0.1:{port}"

    async def reading(self) -> Reading:
        """What it holds now, once the collector has taken what it can."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        async with asyncio.timeout(_READING_SECONDS):
            return _READING.validate_json(await self._process.stdout.readline())


@asynccontextmanager
async def measured_server(kind: Kind, *arguments: str) -> AsyncGenerator[MeasuredServer]:
    """Run one; it must leave with 0."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fakes.measured_server", kind, *arguments),
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_SECONDS):
            port = int(await process.stdout.readline())
        yield MeasuredServer(process, port)
        process.stdin.close()
        async with asyncio.timeout(_STOP_SECONDS):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class _Mallinfo2(ctypes.Structure):
    """glibc's struct: ten sizes, of which the eighth is what malloc has given out."""

    _fields_ = [(name, ctypes.c_size_t) for name in (*"1234567", "uordblks", *"89")]


_LIBC = ctypes.CDLL(None)
_LIBC.mallinfo2.restype = _Mallinfo2


def _read() -> Reading:
    gc.collect()
    _LIBC.malloc_trim(0)
    native: int = _LIBC.mallinfo2().uordblks
    blocks = sys.getallocatedblocks()
    handlers = sum(inspect.isasyncgen(o) and o.__name__ == "StreamChat" for o in gc.get_objects())
    tasks = Counter(str(getattr(task.get_coro(), "__qualname__", "")) for task in asyncio.all_tasks())
    return Reading(native, blocks, Work(handlers, dict(tasks), len(os.listdir("/proc/self/fd"))))


class _Empty(rpc.OrchestratorServiceServicer):
    """Answers as the service does until its caller leaves, and does nothing for it."""

    async def StreamChat(self, request: pb.ChatRequest, context: Context) -> AsyncGenerator[pb.ChatChunk]:
        del request
        await context.send_initial_metadata((("x-run-id", "1"),))
        yield pb.ChatChunk(type="status")
        yield pb.ChatChunk(type="agent_update")
        yield pb.ChatChunk(type="content")
        await asyncio.Event().wait()


class _Swallowing(_Empty):
    """The mistake that house rules forbid."""

    async def StreamChat(self, request: pb.ChatRequest, context: Context) -> AsyncGenerator[pb.ChatChunk]:
        try:
            async for chunk in super().StreamChat(request, context):
                yield chunk
        except asyncio.CancelledError:
            return


@asynccontextmanager
async def _service(dsn: str, provider_url: str) -> AsyncIterator[int]:
    async with (
        scripted_models(provider_url, _PATIENT) as models,
        assembled(_SETTINGS, dsn, models) as (port, _),
    ):
        yield port


@asynccontextmanager
async def _only(servicer: rpc.OrchestratorServiceServicer, *, guarded: bool) -> AsyncIterator[int]:
    guard, options = edge_of(_SETTINGS.server)
    server = grpc.aio.server(interceptors=[guard] if guarded else [], options=options.channel_arguments())
    rpc.add_OrchestratorServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


def _serving(kind: str, arguments: Sequence[str]) -> AbstractAsyncContextManager[int]:
    match kind:
        case "service":
            return _service(*arguments)
        case "empty":
            return _only(_Empty(), guarded=True)
        case "swallowing":
            return _only(_Swallowing(), guarded=False)
    raise ValueError(kind)


async def _run(kind: str, *arguments: str) -> None:
    logs.configure("error")
    asked = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    async with _serving(kind, arguments) as port:
        _say(str(port).encode())
        async for _ in asked:
            _say(_READING.dump_json(_read()))


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(_run(*sys.argv[1:]))
