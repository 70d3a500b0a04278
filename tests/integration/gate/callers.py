"""Callers of a real provider through a gate, as many as a test wants."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

import aiohttp

from providers.base import ChatModel, ModelRequest
from providers.gate.base import Permit, Saturated, Unavailable
from providers.gate.gate import ModelGate
from providers.gate.permit import GateSettings
from providers.gate.stream import gated_stream
from providers.http.timeouts import ProviderTimeouts
from providers.openai_compatible.model import OpenAICompatibleModel
from state.errors import ProviderError
from state.models import Message

REQUEST = ModelRequest((Message("user", "hello"),))
_PATIENT = ProviderTimeouts(connect=5, first_token=5, between_tokens=5, total=30)


@dataclass
class Callers:
    """Ask the gate, wait until it has room, call; `ended` holds when each call ended and how."""

    gate: ModelGate
    model: ChatModel
    ended: list[tuple[float, ProviderError | None]] = field(default_factory=list)
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def permit(self) -> Permit:
        while isinstance(answer := self.gate.admit(), Saturated | Unavailable):
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        return answer

    async def call(self) -> ProviderError | None:
        """Make one call; its error, or None."""
        error = None
        async with aclosing(gated_stream(self.model, await self.permit(), REQUEST)) as deltas:
            try:
                async for _ in deltas:
                    pass
            except ProviderError as raised:
                error = raised
        self.ended.append((monotonic(), error))
        return error

    async def call_until(self, stopped: asyncio.Event) -> None:
        while not stopped.is_set():
            await self.call()

    def since(self, moment: float, kind: type[ProviderError] | None = None) -> int:
        """How many calls have ended since then, all or with this error."""
        return sum(at >= moment and (kind is None or isinstance(error, kind)) for at, error in self.ended)


@asynccontextmanager
async def callers_of(
    session: aiohttp.ClientSession, base_url: str, settings: GateSettings
) -> AsyncIterator[Callers]:
    model = OpenAICompatibleModel(
        session,
        provider="acme",
        base_url=base_url,
        model="small",
        api_key=None,
        context_tokens=8192,
        timeouts=_PATIENT,
    )
    async with ModelGate(model.info, settings) as gate:
        callers = Callers(gate, model)
        gate.on_room(callers.wake)
        yield callers
