"""Steering the scripted provider from another process, over HTTP."""

from collections.abc import Callable

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from tests.fakes.scripted_provider.ledger import PATIENCE_SECONDS, Ledger
from tests.fakes.scripted_provider.script import Script
from tests.fakes.scripted_provider.state import State


class Scripts(BaseModel):
    """Body of `POST /control/scripts`. What is absent stays as it is; `scripts` are enqueued."""

    model_config = ConfigDict(extra="forbid")

    scripts: tuple[Script, ...] = ()
    default: Script | None = None
    capacity: int | None = None


class Wish(BaseModel):
    """Query of `GET /control/ledger`: answer once so much is true, or 408."""

    model_config = ConfigDict(extra="forbid")

    arrived: int = 0
    ended: int = 0
    call: int = 0
    sent: int = 0
    """Tokens sent by call number `call`."""
    within: float = PATIENCE_SECONDS

    def fulfilled(self, ledger: Ledger) -> Callable[[], bool]:
        def check() -> bool:
            calls = ledger.calls
            if len(calls) < max(self.arrived, self.call):
                return False
            if self.call and calls[self.call - 1].tokens_sent < self.sent:
                return False
            return sum(call.outcome is not None for call in calls) >= self.ended

        return check


class ControlEndpoints:
    """`/control/...`; a wrong body or query is answered 400 with what is wrong."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/control/scripts", self.scripts),
            web.get("/control/ledger", self.ledger),
            web.post("/control/release", self.release),
            web.post("/control/reset", self.reset),
        ]

    async def scripts(self, request: web.Request) -> web.Response:
        try:
            wanted = Scripts.model_validate_json(await request.read())
        except ValidationError as error:
            return web.Response(status=400, text=str(error))
        self._state.scripts.extend(wanted.scripts)
        if wanted.default is not None:
            self._state.default = wanted.default
        if "capacity" in wanted.model_fields_set:
            self._state.capacity = wanted.capacity
        return web.Response(status=204)

    async def ledger(self, request: web.Request) -> web.Response:
        ledger = self._state.ledger
        try:
            wish = Wish.model_validate(dict(request.query))
            await ledger.changes.until(wish.fulfilled(ledger), f"{wish}", wish.within)
        except ValidationError as error:
            return web.Response(status=400, text=str(error))
        except TimeoutError as error:
            return web.Response(status=408, text=str(error))
        report = {
            "calls": [call.report() for call in ledger.calls],
            "in_flight": ledger.in_flight,
            "most_in_flight": ledger.most_in_flight,
            "scripts_left": len(self._state.scripts),
        }
        return web.Response(body=orjson.dumps(report), content_type="application/json")

    async def release(self, request: web.Request) -> web.Response:
        self._state.release(int(request.query["call"]) if "call" in request.query else None)
        return web.Response(status=204)

    async def reset(self, _: web.Request) -> web.Response:
        self._state.reset()
        return web.Response(status=204)
