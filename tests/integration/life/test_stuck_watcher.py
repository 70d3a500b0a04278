"""A caller of grpc.health.v1 Watch who takes no data, as HTTP/2 lets anybody: he harms nobody but himself."""

import asyncio
import os
import signal
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.process import orchestrator_process
from tests.integration.life.callers import NOT_SERVING, READY, SERVING, Watcher

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
NO_FLAGS, ACK, END_STREAM, END_HEADERS = 0, 1, 1, 4
NO_WINDOW = struct.pack("!HI", 4, 0)
"""SETTINGS_INITIAL_WINDOW_SIZE: no stream may send a byte of data before it is allowed to."""
REQUEST = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/grpc.health.v1.Health/Watch",
    ":authority": "localhost",
    "content-type": "application/grpc",
    "te": "trailers",
}


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def literal(text: str) -> bytes:
    """A string of HPACK, as it is."""
    return bytes([len(text)]) + text.encode()


@asynccontextmanager
async def stuck_watcher(address: str) -> AsyncIterator[None]:
    """One who has been answered by headers and will never take the first status."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    headers = b"".join(b"\0" + literal(name) + literal(value) for name, value in REQUEST.items())
    message = health_pb2.HealthCheckRequest(service=READY).SerializeToString()
    writer.write(PREFACE + frame(SETTINGS, NO_FLAGS, 0, NO_WINDOW) + frame(SETTINGS, ACK, 0, b""))
    writer.write(frame(HEADERS, END_HEADERS, 1, headers))
    writer.write(frame(DATA, END_STREAM, 1, struct.pack("!BI", 0, len(message)) + message))
    try:
        async with asyncio.timeout(5):
            await reader.readuntil(b"application/grpc")
        yield
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_watcher_who_takes_no_data_holds_up_neither_readiness_nor_the_end(
    tmp_path: Path, dsn: str, provider: ScriptedProvider
) -> None:
    settings = {"DATABASE_URL": dsn, "OPENAI_BASE_URL": provider.base_url}
    async with (
        orchestrator_process(tmp_path, **settings) as process,
        grpc.aio.insecure_channel(process.address) as channel,
        stuck_watcher(process.address),
        asyncio.timeout(4),
    ):
        watcher = Watcher(channel)
        await watcher.told(SERVING)
        os.kill(process.pid, signal.SIGTERM)
        await watcher.told(NOT_SERVING)
        assert await process.exit_code() == 0
