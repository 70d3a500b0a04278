"""Finding out whether a provider is back before a caller has to."""

import asyncio
from types import TracebackType
from typing import Self

from providers.base import ChatModel
from providers.breaker import Ticket
from providers.gate.base import Gate
from state.errors import ProviderUnavailableError


class BackgroundProbe:
    """While its context is open, the provider is reached for when the gate's breaker may probe.

    `ChatModel.probe` is no paid call, and shows no more than that the provider can be reached. If it cannot,
    the breaker stays open for longer and no caller has waited for that; if it can, the next call is the probe
    that counts.
    """

    def __init__(self, gate: Gate, model: ChatModel) -> None:
        self._gate = gate
        self._model = model
        self._found = asyncio.Event()
        self._ticket: Ticket | None = None
        self._reached = False

    def begin(self) -> asyncio.Task[None]:
        """Listen at the gate from now on. `end` ends the task, and whoever began it has to wait for that."""
        self._deaf = self._gate.on_room(self._look)
        self._gate.probed_by(self._look)
        self._task = asyncio.create_task(self._run(), name="background probe")
        return self._task

    def end(self) -> None:
        self._deaf()
        self._gate.probed_by(None)
        self._task.cancel()

    async def __aenter__(self) -> Self:
        self.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        await asyncio.gather(self._task, return_exceptions=True)

    async def died(self) -> None:
        """Complete when it has ended by itself, which it never should."""
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.result()

    def _look(self) -> None:
        # Taken here and not in the task: by then one of the callers who wait would have it.
        if self._ticket is not None:
            return
        if not self._gate.may_probe:
            self._reached = False
        elif not self._reached:
            self._ticket = self._gate.probe_ticket()
            self._found.set()

    async def _run(self) -> None:
        while True:
            await self._found.wait()
            self._found.clear()
            if self._ticket is not None:
                await self._probe(self._ticket)

    async def _probe(self, ticket: Ticket) -> None:
        reached = True
        try:
            await self._model.probe()
        except ProviderUnavailableError:
            reached = False
        finally:
            # Cancelled it says nothing, and the next call may probe.
            self._ticket = None
            self._reached = reached
            self._gate.probed(ticket, reached=reached)
