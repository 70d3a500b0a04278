"""The outside world's test double: an HTTP server that plays scripts in the protocols of its vendors."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.fakes.scripted_provider.control import ControlEndpoints
from tests.fakes.scripted_provider.endpoints import Endpoints, list_models
from tests.fakes.scripted_provider.ledger import PATIENCE_SECONDS, Call
from tests.fakes.scripted_provider.script import Script
from tests.fakes.scripted_provider.state import State
from tests.fakes.scripted_provider.vendors.anthropic import Anthropic
from tests.fakes.scripted_provider.vendors.gemini import Gemini
from tests.fakes.scripted_provider.vendors.openai import OpenAI

_MAX_REQUEST_BYTES = 64 << 20
_BACKLOG = 1024


class ScriptedProvider:
    """A real server on 127.0.0.1, running while its context is open.

    Every call plays the next enqueued script, or `default` when none is left. With an `api_key`, calls
    without it get a 401; with a `capacity`, calls beyond so many in flight get a 429. Neither takes a script.
    """

    def __init__(
        self,
        *,
        default: Script = Script(),  # noqa: B008  # frozen
        capacity: int | None = None,
        api_key: str | None = None,
        port: int = 0,
    ) -> None:
        self._state = State(default=default, capacity=capacity, api_key=api_key)
        self._port = port
        app = web.Application(client_max_size=_MAX_REQUEST_BYTES)
        app.add_routes([web.get("/v1/models", list_models)])
        # OpenAI last: it answers every other path under /v1.
        for vendor in (Anthropic(), Gemini(), OpenAI()):
            app.add_routes(Endpoints(self._state, vendor).routes())
        app.add_routes(ControlEndpoints(self._state).routes())
        # Handler cancellation is how a client that leaves is noticed at once.
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, backlog=_BACKLOG).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state.ledger.abort_open_calls()
        await self._runner.cleanup()

    @property
    def port(self) -> int:
        return self._port

    @property
    def address(self) -> str:
        """Without a path: Gemini's begin with /v1beta."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def base_url(self) -> str:
        """What an adapter for OpenAI or Anthropic is configured with."""
        return f"{self.address}/v1"

    @property
    def ledger(self) -> list[Call]:
        """Every call since the start or the last reset, in the order of arrival."""
        return self._state.ledger.calls

    @property
    def in_flight(self) -> int:
        return self._state.ledger.in_flight

    @property
    def most_in_flight(self) -> int:
        return self._state.ledger.most_in_flight

    @property
    def default(self) -> Script:
        return self._state.default

    @default.setter
    def default(self, script: Script) -> None:
        self._state.default = script

    def answer_with(self, answering: Callable[[Any], Script]) -> None:
        """What calls are answered with that find no enqueued script, by what they ask."""
        self._state.answering = answering

    @property
    def capacity(self) -> int | None:
        return self._state.capacity

    @capacity.setter
    def capacity(self, capacity: int | None) -> None:
        self._state.capacity = capacity

    def enqueue(self, *scripts: Script) -> None:
        """What the next calls are answered with, in order."""
        self._state.scripts.extend(scripts)

    async def call(self, number: int, *, within: float = PATIENCE_SECONDS) -> Call:
        """Wait until call `number`, counted from 1, has arrived."""
        ledger = self._state.ledger
        await ledger.changes.until(lambda: len(ledger.calls) >= number, f"call {number} has arrived", within)
        return ledger.calls[number - 1]

    def release(self, number: int | None = None) -> None:
        """Release the held call `number`, or all that have arrived."""
        self._state.release(number)

    def reset(self) -> None:
        """Forget scripts and calls, abort calls in flight, go back to what it was made with."""
        self._state.reset()
