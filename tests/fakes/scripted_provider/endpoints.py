"""The HTTP face of the scripted provider: OpenAI's paths."""

import asyncio
from typing import Any

import orjson
from aiohttp import web

from tests.fakes.scripted_provider.completion import Completion, error_body
from tests.fakes.scripted_provider.delivery import Delivery
from tests.fakes.scripted_provider.ledger import Call, Outcome
from tests.fakes.scripted_provider.performance import Performance
from tests.fakes.scripted_provider.request_checks import RefusedRequestError, check_request
from tests.fakes.scripted_provider.script import FaultKind, Script
from tests.fakes.scripted_provider.state import State

_JSON = "application/json"
_HTML = "<!doctype html><html><body><h1>Welcome to nginx!</h1></body></html>"


class Endpoints:
    """Answers every call from the state's scripts and writes it into the state's ledger."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/models", self.models),
            web.post("/v1/chat/completions", self.chat_completions),
            web.post("/v1/{path:.*}", self.unknown),
        ]

    async def models(self, _: web.Request) -> web.Response:
        models = [{"id": name, "object": "model", "owned_by": "scripted"} for name in self._state.models]
        return _json(200, orjson.dumps({"object": "list", "data": models}))

    async def unknown(self, request: web.Request) -> web.Response:
        self._refuse(request, _parse(await request.read()))
        return _json(404, error_body("Invalid URL", "invalid_request_error"))

    async def chat_completions(self, request: web.Request) -> web.StreamResponse:
        body = _parse(await request.read())
        if (refusal := self._refusal(request, body)) is not None:
            self._refuse(request, body)
            return refusal
        script = self._state.next_script()
        # A reset while this call is in flight puts another ledger into the state.
        ledger = self._state.ledger
        call = self._begin(request, body, script.generation_id or self._state.new_generation_id())
        outcome = Outcome.FAULT
        try:
            response, outcome = await self._answer(request, script, call)
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
            authorized="Authorization" in request.headers,
            header_names=tuple(sorted(name.lower() for name in request.headers)),
            peer_port=transport.get_extra_info("peername")[1],
            generation_id=generation_id,
        )

    def _refusal(self, request: web.Request, body: Any) -> web.Response | None:
        """What the real API answers to a wrong request, and an overloaded one to any."""
        key = self._state.api_key
        if key is not None and request.headers.get("Authorization") != f"Bearer {key}":
            message = error_body(
                "Incorrect API key provided.", "invalid_request_error", code="invalid_api_key"
            )
            return _json(401, message)
        try:
            check_request(body)
        except RefusedRequestError as error:
            return _json(400, error_body(error.message, "invalid_request_error", param=error.param))
        if self._state.full:
            return _json(429, error_body("Rate limit reached.", "requests"), {"Retry-After": "1"})
        return None

    async def _answer(
        self, request: web.Request, script: Script, call: Call
    ) -> tuple[web.StreamResponse, Outcome]:
        if script.status != 200:
            return _status(script), Outcome.REFUSED
        completion = Completion(script, call.body, call.generation_id)
        kind = None if script.fault is None else script.fault.kind
        transport = _transport(request)
        match kind:
            case FaultKind.HANG_BEFORE_HEADERS:
                await asyncio.Event().wait()
            case FaultKind.CUT_BEFORE_HEADERS:
                transport.abort()
                return web.Response(), Outcome.FAULT
            case FaultKind.HTML:
                return web.Response(text=_HTML, content_type="text/html"), Outcome.FAULT
            case FaultKind.EMPTY_BODY:
                return web.Response(content_type="text/event-stream"), Outcome.FAULT
        if not call.body.get("stream"):
            await asyncio.sleep(script.first_token_delay + script.token_interval * len(completion.pieces))
            return _json(200, completion.whole()), Outcome.COMPLETED
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        response.headers.extend(script.headers)
        await response.prepare(request)
        delivery = Delivery(response, transport, script, call.progress)
        await Performance(script, completion, delivery, call).play()
        return response, Outcome.COMPLETED


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _transport(request: web.Request) -> asyncio.Transport:
    if request.transport is None:
        raise ConnectionResetError("the client has left")
    return request.transport


def _json(status: int, body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=body, content_type=_JSON, headers=headers)


def _status(script: Script) -> web.Response:
    body = script.body
    if body is None:
        body = error_body(f"Scripted status {script.status}.", "scripted_error").decode()
    response = web.Response(status=script.status, text=body, content_type=_JSON)
    response.headers.extend(script.headers)
    if script.retry_after is not None:
        response.headers["Retry-After"] = str(script.retry_after)
    return response
