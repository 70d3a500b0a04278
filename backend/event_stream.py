"""A response that sends events as they come, and whose reader is missed when it leaves.

reading: events -> frames      ticking: comments into silence      leaving: the browser is gone
Whichever of reading and leaving ends first ends the others; the events are closed in any case.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Protocol

from fastapi import Response
from starlette.types import Receive, Scope, Send

from backend.frames import COMMENT, frame, problem_frame
from backend.problems import of_error
from llm_orchestrator_client.errors import OrchestratorError
from llm_orchestrator_client.events import Event, Failure


class Events(Protocol):
    """A stream that can be closed: a RunStream, or an async generator."""

    def __aiter__(self) -> AsyncIterator[Event]: ...

    async def aclose(self) -> None:
        """Stop reading."""
        ...


class EventStream(Response):
    """Server-sent events. An error before the first of them is raised: it gets a status of its own."""

    media_type = "text/event-stream"

    def __init__(self, events: Events, *, silence_seconds: float) -> None:
        # `no`: a proxy that buffers would keep the answer until it is whole.
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._silence_seconds = silence_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        writer = _Writer(send, self.status_code, self.raw_headers)
        reading = asyncio.create_task(self._read(writer), name="read-events")
        beside = [
            asyncio.create_task(writer.tick(self._silence_seconds), name="tick"),
            asyncio.create_task(_left(receive), name="browser-left"),
        ]
        try:
            await asyncio.wait({reading, beside[1]}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reading, *beside):
                task.cancel()
            await asyncio.wait({reading, *beside})
        if not reading.cancelled():
            reading.result()

    async def _read(self, writer: "_Writer") -> None:
        told = False
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    await writer.write(frame(event))
                    told = isinstance(event, Failure)
        except OrchestratorError as error:
            if not writer.started:
                raise
            if not told:
                await writer.write(problem_frame(of_error(error)))
        await writer.end()


class _Writer:
    """The response's body. Several tasks may write; the first one begins it."""

    def __init__(self, send: Send, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._start = {"type": "http.response.start", "status": status, "headers": headers}
        self._lock = asyncio.Lock()
        self._written = asyncio.Event()
        self.started = False

    async def write(self, data: bytes, *, more: bool = True) -> None:
        self._written.set()
        async with self._lock:
            if not self.started:
                self.started = True
                await self._send(self._start)
            await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def end(self) -> None:
        await self.write(b"", more=False)

    async def tick(self, seconds: float) -> None:
        """A comment whenever nothing was written for so long."""
        while True:
            self._written.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._written.wait()
            except TimeoutError:
                await self.write(COMMENT)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
