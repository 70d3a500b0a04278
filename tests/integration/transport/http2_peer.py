"""A peer that speaks just enough HTTP/2 to ask a server whether it lives, as often as it likes."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

TOO_MANY_PINGS = (11, b"too_many_pings")
"""ENHANCE_YOUR_CALM, and what gRPC says with it."""

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS, _PING, _GOAWAY = 4, 6, 7
_ACK = 1
_PATIENCE_SECONDS = 5.0


class Http2Peer:
    """One connection. `farewell` is the code and the text of the server's last GOAWAY, None without one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._answered = asyncio.Event()
        self._gone = asyncio.Event()
        self.farewell: tuple[int, bytes] | None = None
        writer.write(_PREFACE)
        self._send(_SETTINGS)

    async def ping(self) -> None:
        """Ask, and return when it has answered or gone."""
        if self._gone.is_set():
            return
        self._answered.clear()
        self._send(_PING, payload=bytes(8))
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await self._answered.wait()

    async def gone(self) -> None:
        """Return when the server has closed the connection."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await self._gone.wait()

    async def read(self) -> None:
        """Answer and note what comes, until the server closes."""
        try:
            while True:
                head = await self._reader.readexactly(9)
                body = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
                self._take(head[3], bool(head[4] & _ACK), body)
        except (asyncio.IncompleteReadError, ConnectionError):
            self._gone.set()
            self._answered.set()

    def _take(self, kind: int, ack: bool, body: bytes) -> None:
        if kind == _PING and ack:
            self._answered.set()
        elif kind == _GOAWAY:
            self.farewell = struct.unpack(">I", body[4:8])[0], body[8:]
        elif kind in (_SETTINGS, _PING) and not ack:
            self._send(kind, flags=_ACK, payload=body if kind == _PING else b"")

    def _send(self, kind: int, *, flags: int = 0, payload: bytes = b"") -> None:
        self._writer.write(struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + bytes(4) + payload)


@asynccontextmanager
async def http2_peer(port: int) -> AsyncIterator[Http2Peer]:
    """A peer of 127.0.0.1:`port`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    peer = Http2Peer(reader, writer)
    reading = asyncio.create_task(peer.read(), name="http2-peer")
    try:
        yield peer
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        writer.close()
