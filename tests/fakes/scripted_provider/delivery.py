"""How the bytes of one scripted stream go out."""

import asyncio
import socket
import struct
import time
from contextlib import suppress

from aiohttp import web

from tests.fakes.scripted_provider.ledger import Progress
from tests.fakes.scripted_provider.script import Script
from tests.fakes.scripted_provider.vendors.base import Event

_COMMENT = b": keep-alive"


class Delivery:
    """Frames, groups and splits events as the script says, and counts a token once it is written."""

    def __init__(
        self, response: web.StreamResponse, transport: asyncio.Transport, script: Script, progress: Progress
    ) -> None:
        self._response = response
        self._transport = transport
        self._script = script
        self._progress = progress
        self._line_end = b"\r\n" if script.crlf else b"\n"
        self._pending = bytearray()
        self._events = 0
        self._tokens = 0

    async def event(self, event: Event, *, tokens: int = 0) -> None:
        if self._script.comments:
            self._pending += _COMMENT + self._line_end
        if event.name:
            self._pending += b"event: " + event.name + self._line_end
        self._pending += b"data: " + event.data + self._line_end * 2
        self._events += 1
        self._tokens += tokens
        if self._events >= self._script.events_per_write:
            await self.flush()

    async def line(self, data: bytes) -> None:
        """Send one line just as it is, with what waits before it."""
        self._pending += data + self._line_end
        await self.flush()

    async def flush(self) -> None:
        if not self._pending:
            return
        data, tokens = bytes(self._pending), self._tokens
        self._pending.clear()
        self._events = self._tokens = 0
        await self._write(data)
        self._progress.add_tokens(tokens)

    async def wait(self, event: asyncio.Event | None = None, until: float | None = None) -> None:
        """Wait for `event` or for the monotonic time `until`, with keep-alive comments meanwhile."""
        waiting = event or asyncio.Event()
        while not waiting.is_set():
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return
            await self.flush()
            naps = [seconds for seconds in (left, self._script.keep_alive) if seconds is not None]
            with suppress(TimeoutError):
                async with asyncio.timeout(min(naps, default=None)):
                    await waiting.wait()
            if self._script.keep_alive is not None and not waiting.is_set():
                await self.line(_COMMENT)

    async def pace(self, due: float) -> None:
        """Wait for the monotonic time `due`."""
        left = due - time.monotonic()
        if self._script.keep_alive is not None and left > self._script.keep_alive:
            await self.wait(until=due)
        else:
            await asyncio.sleep(max(left, 0.0))

    def cut(self) -> None:
        self._transport.abort()

    def reset(self) -> None:
        connection = self._transport.get_extra_info("socket")
        # Linger time 0: the kernel answers the close with RST instead of FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    async def _write(self, data: bytes) -> None:
        size = self._script.split_bytes
        if size is None:
            await self._response.write(data)
            return
        for start in range(0, len(data), size):
            await self._response.write(data[start : start + size])
            # Lets a client in the same process read before the next piece arrives.
            await asyncio.sleep(0)
