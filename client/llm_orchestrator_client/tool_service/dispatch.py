"""From a call and its request to the handler, and from its answer to the response's bytes.

written? -> counts -> made before? (writes) -> whose is it? -> handler -> response that keeps the contract
"""

import hashlib
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service.call import Call
from llm_orchestrator_client.tool_service.described.arguments import plain
from llm_orchestrator_client.tool_service.described.invoking import events, steps
from llm_orchestrator_client.tool_service.described.tools import DescribedTool, DescribedTools
from llm_orchestrator_client.tool_service.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    UnimplementedError,
)
from llm_orchestrator_client.tool_service.handlers.all import ToolHandlers
from llm_orchestrator_client.tool_service.idempotency import CallKey, CallStore, once
from llm_orchestrator_client.tool_service.ownership import EVERYONE, nothing, of_user, visible
from llm_orchestrator_client.tool_service.rpcs import (
    DESCRIBE,
    INVOKE,
    MAY_BE_NEGATIVE,
    OF_A_FEED,
    OWNED,
    SERVICE,
    TYPED,
    WRITING,
    method_name,
)

_OF_THE_ATTEMPT = ("tool_call_id", "run_id", "permission_id", "attempt")
"""What a repetition of the same call may say otherwise, as after the run was resumed."""


def parsed(rpc: str, data: bytes) -> Message:
    """The request of an RPC.

    Raises:
        InvalidArgumentError: These are not its bytes, or a count is negative.
    """
    request = GetMessageClass(SERVICE.methods_by_name[rpc].input_type)()
    try:
        request.ParseFromString(data)
    except DecodeError as error:
        raise InvalidArgumentError("the request's bytes are no message of its type") from error
    for field, value in request.ListFields():
        if field.type == FieldDescriptor.TYPE_INT32 and field.name not in MAY_BE_NEGATIVE and value < 0:
            raise InvalidArgumentError(f"{field.name} is negative", field=field.name)
    return request


class Dispatch:
    """Calls one backend's handlers. `max_bytes`: of a response."""

    def __init__(
        self, handlers: ToolHandlers, described: DescribedTools, calls: CallStore, *, max_bytes: int
    ) -> None:
        self._handlers = handlers
        self._described = described
        self._calls = calls
        self._max_bytes = max_bytes
        self._written = {rpc for rpc in TYPED if _is_written(handlers, method_name(rpc))}

    async def answer(self, rpc: str, call: Call, request: Message) -> bytes:
        """The response's bytes of any RPC but InvokeTool."""
        if isinstance(request, pb.DescribeToolsRequest):
            self._has_described(DESCRIBE)
            return self._described.answer(call, request).SerializeToString()
        if rpc not in self._written:
            raise UnimplementedError(f"{rpc} is not served here")
        if rpc not in WRITING or not call.call_id:
            return await self._made(rpc, call, request)
        async with once(self._calls, CallKey(call.user, rpc, call.call_id), _digest(request)) as turn:
            if turn.earlier is None:
                response = await self._made(rpc, call, request)
                await turn.keep(response)
                return response
        return turn.earlier

    async def invoke(self, call: Call, request: pb.InvokeToolRequest) -> AsyncGenerator[bytes, None]:
        """The events of InvokeTool, each as its bytes."""
        self._has_described(INVOKE)
        tool = self._described.found(request.tool_name, call.user)
        arguments = tool.arguments.parsed(plain(request.arguments))
        if tool.hints.read_only or not call.call_id:
            async with aclosing(self._sent(tool, call, arguments)) as sent:
                async for event, _ in sent:
                    yield event
            return
        async with once(self._calls, CallKey(call.user, INVOKE, call.call_id), _digest(request)) as turn:
            if turn.earlier is not None:
                yield turn.earlier
                return
            async with aclosing(self._sent(tool, call, arguments)) as sent:
                async for event, is_output in sent:
                    if is_output:
                        await turn.keep(event)
                    yield event

    async def _sent(
        self, tool: DescribedTool, call: Call, arguments: object
    ) -> AsyncGenerator[tuple[bytes, bool], None]:
        async with aclosing(events(steps(tool, call, arguments))) as given:
            async for event in given:
                yield self._sized(event), event.HasField("output")

    async def _made(self, rpc: str, call: Call, request: Any) -> bytes:  # noqa: ANN401 - of any RPC
        handler = getattr(self._handlers, method_name(rpc))
        if rpc in OWNED:
            found = await _without_a_hint(handler(call, request))
            return self._encoded(rpc, of_user(call.user, found))
        if rpc in OF_A_FEED:
            await self._find_feed(rpc, call, request)
        if rpc == "AddRSSFeed" and request.is_global:
            await self._demand_administrator(call)
        return self._encoded(rpc, await handler(call, request))

    async def _find_feed(self, rpc: str, call: Call, request: Any) -> None:  # noqa: ANN401
        feed_id, feed_name = request.feed_id, getattr(request, "feed_name", "")
        if not feed_id and not feed_name:
            raise InvalidArgumentError("feed_id is needed", field="feed_id")
        looking = self._handlers.find_feeds(call, feed_id=feed_id, feed_name="" if feed_id else feed_name)
        found = visible(call.user, await _without_a_hint(looking))
        if not found:
            raise nothing()
        if len(found) > 1:
            raise FailedPreconditionError("The name fits more than one feed: give its feed_id.")
        request.feed_id = found[0].value
        if rpc == "DeleteRSSFeed" and found[0].owner is EVERYONE:
            await self._demand_administrator(call)

    async def _demand_administrator(self, call: Call) -> None:
        if not await self._handlers.is_administrator(call):
            raise PermissionDeniedError("Only an administrator may do this to a feed of all users.")

    def _encoded(self, rpc: str, response: object) -> bytes:
        kind = GetMessageClass(SERVICE.methods_by_name[rpc].output_type)
        if not isinstance(response, kind):
            raise TypeError(f"{method_name(rpc)} has answered with something else than {kind.__name__}")
        if "success" in kind.DESCRIPTOR.fields_by_name:
            _check_success(rpc, response)
        return self._sized(response)

    def _sized(self, message: Message) -> bytes:
        data = message.SerializeToString()
        if len(data) > self._max_bytes:
            # Not RESOURCE_EXHAUSTED: nothing is wrong with the backend, and the model can ask for less.
            raise FailedPreconditionError(
                f"The answer is larger than {self._max_bytes} bytes. Ask for less.", reason="RESULT_TOO_LARGE"
            )
        return data

    def _has_described(self, rpc: str) -> None:
        if not len(self._described):
            raise UnimplementedError(f"{rpc} is not served here")


def _is_written(handlers: ToolHandlers, name: str) -> bool:
    return getattr(type(handlers), name) is not getattr(ToolHandlers, name)


async def _without_a_hint(lookup: Awaitable[Any]) -> Any:  # noqa: ANN401 - of any handler
    # A text of the handler's own would tell what is not there from what is another's.
    try:
        return await lookup
    except (NotFoundError, PermissionDeniedError) as error:
        raise nothing() from error


def _check_success(rpc: str, response: Message) -> None:
    told = response.success or response.error  # type: ignore[attr-defined]
    if not told:
        raise ValueError(f"{method_name(rpc)} has answered neither with success nor with an error")


def _digest(request: Message) -> bytes:
    asked = type(request)()
    asked.CopyFrom(request)
    for name in _OF_THE_ATTEMPT:
        if name in asked.DESCRIPTOR.fields_by_name:
            asked.ClearField(name)
    return hashlib.sha256(asked.SerializeToString(deterministic=True)).digest()
