"""A backend that serves ToolService as it is scripted, over real gRPC."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass

from protos import tool_service_pb2 as pb
from tests.fakes.tool_service.ledger import Call, Ledger
from tests.fakes.tool_service.script import Script

SERVICE = pb.DESCRIPTOR.services_by_name["ToolService"]
GARBAGE = b"\xff\xff\xff\xffgarbage"
_MAX_BYTES = 64 << 20
OWN_TIME = "x-handler-nanoseconds"
"""Trailing metadata of a unary answer: how long the handler itself took."""


class FakeToolService(grpc.GenericRpcHandler):
    """A server on 127.0.0.1:`port` inside its context.

    Each method follows its own scripts, then its default. The same x-tool-call-id has its effect once.
    """

    def __init__(
        self, port: int = 0, *, credentials: grpc.ServerCredentials | None = None, served: bool = True
    ) -> None:
        self.port = port
        self.ledger = Ledger()
        self._credentials = credentials
        self._served = served
        self._scripts: dict[str, deque[Script]] = defaultdict(deque)
        self._defaults: dict[str, Script] = {}
        self._answering: dict[str, Callable[[dict[str, Any]], Script]] = {}
        self._server: grpc.aio.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Serve, on the port it had before if there was one."""
        options = [("grpc.max_send_message_length", _MAX_BYTES), ("grpc.so_reuseport", 0)]
        self._server = grpc.aio.server(options=options)
        self._server.add_generic_rpc_handlers((self,))
        if self._credentials is None:
            self.port = self._server.add_insecure_port(self.address)
        else:
            self.port = self._server.add_secure_port(self.address, self._credentials)
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)

    def script(self, rpc: str, *scripts: Script) -> None:
        """What the next calls of a method do."""
        self._scripts[rpc].extend(scripts)

    def default(self, rpc: str, script: Script) -> None:
        """What a method does when it has no script left."""
        self._defaults[rpc] = script

    def answer_with(self, rpc: str, answering: Callable[[dict[str, Any]], Script]) -> None:
        """What a method does when it has no script left, by what it is asked."""
        self._answering[rpc] = answering

    def release(self) -> None:
        """Let everything that is held go on."""
        for call in self.ledger.calls:
            call.released.set()

    def service(self, handler_call_details: Any) -> Any:
        service, _, rpc = handler_call_details.method.removeprefix("/").partition("/")
        method = SERVICE.methods_by_name.get(rpc)
        if service != SERVICE.full_name or method is None or not self._is_there(rpc):
            return None
        if rpc == "InvokeTool":
            return grpc.unary_stream_rpc_method_handler(_stream(self, method))
        return grpc.unary_unary_rpc_method_handler(_unary(self, method))

    def _is_there(self, rpc: str) -> bool:
        # As with backends of the original contract: what nobody scripted beyond it is not there.
        return self._served and (rpc not in ("DescribeTools", "InvokeTool") or self._knows(rpc))

    def _knows(self, rpc: str) -> bool:
        return bool(self._scripts[rpc]) or rpc in self._defaults or rpc in self._answering

    def next_script(self, rpc: str, request: dict[str, Any]) -> Script:
        if scripts := self._scripts[rpc]:
            return scripts.popleft()
        answering = self._answering.get(rpc)
        return self._defaults.get(rpc, Script()) if answering is None else answering(request)


def _begin(fake: FakeToolService, method: MethodDescriptor, request: bytes, context: Any) -> Call:
    message = GetMessageClass(method.input_type).FromString(request)
    fields = MessageToDict(message, preserving_proto_field_name=True)
    metadata = {key: str(value) for key, value in context.invocation_metadata()}
    return fake.ledger.begin(method.name, fields, metadata, context.time_remaining())


async def _before(call: Call, script: Script, context: Any) -> None:
    await asyncio.sleep(script.delay)
    if script.hold:
        await call.released.wait()
    if script.status:
        await context.abort(grpc.StatusCode[script.status], script.details)


def _effect(ledger: Ledger, call: Call, answer: bytes) -> bytes:
    key = call.metadata.get("x-tool-call-id", f"call {call.number}")
    call.effect = key not in ledger.done
    return ledger.done.setdefault(key, answer)


def _answer(method: MethodDescriptor, script: Script) -> bytes:
    kind = method.output_type
    fields = dict(script.answer)
    if "success" in kind.fields_by_name:
        fields.setdefault("success", True)
    if script.padding:
        name = next(f.name for f in kind.fields if f.name == "content" or f.type == f.TYPE_STRING)
        fields[name] = str(fields.get(name, "")) + "x" * script.padding
    return ParseDict(fields, GetMessageClass(kind)()).SerializeToString()


def _unary(fake: FakeToolService, method: MethodDescriptor) -> Any:
    async def handler(request: bytes, context: Any) -> bytes:
        began = perf_counter_ns()
        call = _begin(fake, method, request, context)
        script = fake.next_script(method.name, call.request)
        outcome = "failed"
        try:
            await _before(call, script, context)
            answer = _effect(fake.ledger, call, _answer(method, script))
            if script.lost:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the reply is lost")
            outcome = "answered"
            context.set_trailing_metadata(((OWN_TIME, str(perf_counter_ns() - began)),))
            return GARBAGE if script.garbage else answer
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            fake.ledger.end(call, outcome)

    return handler


def _stream(fake: FakeToolService, method: MethodDescriptor) -> Any:
    async def handler(request: bytes, context: Any) -> AsyncGenerator[bytes, None]:
        call = _begin(fake, method, request, context)
        script = fake.next_script(method.name, call.request)
        outcome = "failed"
        try:
            for number, event in enumerate(script.events):
                if number == len(script.events) - 1:
                    await _before(call, script, context)  # what came before it has been seen by then
                    _effect(fake.ledger, call, b"")
                yield (
                    GARBAGE
                    if script.garbage
                    else ParseDict(event, pb.InvokeToolResponse()).SerializeToString()
                )
            if not script.events:
                await _before(call, script, context)
            outcome = "answered"
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled"
            raise
        finally:
            fake.ledger.end(call, outcome)

    return handler
