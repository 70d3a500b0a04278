"""The HTTP face of the scripted provider: every vendor's paths."""

import asyncio
from typing import Any

import orjson
from aiohttp import web

from tests.fakes.scripted_provider.delivery import Delivery
from tests.fakes.scripted_provider.ledger import Call, Outcome
from tests.fakes.scripted_provider.performance import Performance
from tests.fakes.scripted_provider.script import FaultKind, Script
from tests.fakes.scripted_provider.state import State
from tests.fakes.scripted_provider.vendors.base import Asked, RefusedRequestError, Vendor, VendorAnswer

_JSON = "application/json"
_HTML = "<!doctype html><html><body><h1>Welcome to nginx!</h1></body></html>"


class Endpoints:
    """Answers a vendor's calls from the state's scripts and writes them into the state's ledger."""

    def __init__(self, state: State, vendor: Vendor) -> None:
        self._state = state
        self._vendor = vendor

    def routes(self) -> list[web.RouteDef]:
        routes = [web.post(self._vendor.path, self.complete)]
        if self._vendor.unknown_path:
            routes.append(web.post(self._vendor.unknown_path, self.unknown))
        return routes

    async def unknown(self, request: web.Request) -> web.Response:
        self._refuse(request, _parse(await request.read()))
        return self._error(404, "Invalid URL")

    async def complete(self, request: web.Request) -> web.StreamResponse:
        body = _parse(await request.read())
        asked = Asked(body, request.headers, request.query, request.match_info.get("model", ""))
        if (refusal := self._refusal(asked)) is not None:
            self._refuse(request, body)
            return refusal
        script = self._state.next_script(body)
        # A reset while this call is in flight puts another ledger into the state.
        ledger = self._state.ledger
        call = self._begin(request, body, script.generation_id or self._state.new_generation_id())
        outcome = Outcome.FAULT
        try:
            response, outcome = await self._answer(request, asked, script, call)
        except (asyncio.CancelledError, ConnectionError):
            outcome = Outcome.CLIENT_GONE
            raise
        finally:
            ledger.end(call, outcome)
        return response

    def _refuse(self, request: web.Request, body: Any) -> None:
        self._state.ledger.end(self._begin(request, body, generation_id=""), Outcome.REFUSED)

    def _begin(self, request: web.Request, body: Any, generation_id: str) -> Call:
        transport = _transport(request)
        return self._state.ledger.begin(
            abort=transport.abort,
            path=request.path,
            body=body,
            authorized=self._vendor.key(request.headers) is not None,
            header_names=tuple(sorted(name.lower() for name in request.headers)),
            traceparent=request.headers.get("traceparent", ""),
            peer_port=transport.get_extra_info("peername")[1],
            generation_id=generation_id,
        )

    def _refusal(self, asked: Asked) -> web.Response | None:
        """What the real API answers to a wrong request, and an overloaded one to any."""
        key = self._state.api_key
        if key is not None and self._vendor.key(asked.headers) != key:
            return self._error(401, "Incorrect API key provided.")
        try:
            self._vendor.check(asked)
        except RefusedRequestError as error:
            return self._error(400, error.message, param=error.param)
        if self._state.full:
            refusal = self._error(429, "Rate limit reached.")
            refusal.headers["Retry-After"] = "1"
            return refusal
        return None

    async def _answer(
        self, request: web.Request, asked: Asked, script: Script, call: Call
    ) -> tuple[web.StreamResponse, Outcome]:
        if script.status != 200:
            return self._status(script), Outcome.REFUSED
        answer = self._vendor.answer(script, asked, call.generation_id)
        match None if script.fault is None else script.fault.kind:
            case FaultKind.HANG_BEFORE_HEADERS:
                await asyncio.Event().wait()
            case FaultKind.CUT_BEFORE_HEADERS:
                _transport(request).abort()
                return web.Response(), Outcome.FAULT
            case FaultKind.HTML:
                return web.Response(text=_HTML, content_type="text/html"), Outcome.FAULT
            case FaultKind.EMPTY_BODY:
                return web.Response(content_type="text/event-stream"), Outcome.FAULT
        if not self._vendor.streams(asked):
            await asyncio.sleep(script.first_token_delay + script.token_interval * len(answer.pieces))
            return _json(200, answer.whole()), Outcome.COMPLETED
        return await _stream(request, script, answer, call), Outcome.COMPLETED

    def _error(self, status: int, message: str, param: str | None = None) -> web.Response:
        return _json(status, self._vendor.error(status, message, param=param))

    def _status(self, script: Script) -> web.Response:
        body = script.body
        if body is None:
            body = self._vendor.error(script.status, f"Scripted status {script.status}.").decode()
        response = web.Response(status=script.status, text=body, content_type=_JSON)
        response.headers.extend(script.headers)
        if script.retry_after is not None:
            response.headers["Retry-After"] = str(script.retry_after)
        return response


async def list_models(_: web.Request) -> web.Response:
    """OpenAI's list of models."""
    models = [{"id": name, "object": "model", "owned_by": "scripted"} for name in ("scripted",)]
    return _json(200, orjson.dumps({"object": "list", "data": models}))


async def _stream(
    request: web.Request, script: Script, answer: VendorAnswer, call: Call
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    response.headers.extend(script.headers)
    await response.prepare(request)
    delivery = Delivery(response, _transport(request), script, call.progress)
    await Performance(script, answer, delivery, call).play()
    return response


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _transport(request: web.Request) -> asyncio.Transport:
    if request.transport is None:
        raise ConnectionResetError("the client has left")
    return request.transport


def _json(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type=_JSON)
