"""Reading the adapter's streams, and servers worse than a scripted one."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp.abc import AbstractResolver, ResolveResult

from providers.base import CallAccepted, ChatModel, Delta, ModelFinished, ModelRequest, TextDelta
from providers.http.model import HTTPChatModel
from providers.http.timeouts import ProviderTimeouts
from state.errors import ProviderError
from state.models import Message

Make = Callable[..., HTTPChatModel]
QUESTION = ModelRequest((Message("user", "how are you"),))
PATIENT = ProviderTimeouts(connect=5, first_token=5, between_tokens=5, total=10)
TOKENS = ("Grüße", " aus", " Zürich", " 🌍", " and", " back")


@dataclass
class Read:
    """All that one call gave."""

    deltas: list[Delta] = field(default_factory=list)
    """What followed the acceptance."""
    accepted: CallAccepted | None = None
    error: ProviderError | None = None

    def add(self, delta: Delta) -> None:
        if isinstance(delta, CallAccepted):
            assert self.accepted is None
            assert not self.deltas
            self.accepted = delta
        else:
            self.deltas.append(delta)

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas if isinstance(delta, TextDelta))

    @property
    def finished(self) -> ModelFinished:
        assert self.error is None
        last = self.deltas[-1]
        assert isinstance(last, ModelFinished)
        return last


async def read(model: ChatModel, request: ModelRequest = QUESTION) -> Read:
    result = Read()
    try:
        async for delta in model.stream(request):
            result.add(delta)
    except ProviderError as error:
        result.error = error
    return result


class Loopback(AbstractResolver):
    """Finds every name on this machine."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


class Nowhere(Loopback):
    """Finds no name."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        raise OSError("no such name")


EVENT_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100000\r\n\r\n"


class RawServer:
    """Answers every connection with the same bytes, then closes it or hangs."""

    def __init__(self, answer: bytes, *, hang: bool = False) -> None:
        self._answer = answer
        self._hang = hang
        self.request_head = b""

    async def __aenter__(self) -> "RawServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.request_head = await reader.readuntil(b"\r\n\r\n")
        writer.write(self._answer)
        await writer.drain()
        if self._hang:
            await reader.read()
        writer.close()
