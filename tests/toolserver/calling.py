"""Calls past the gateway, with whatever metadata."""

from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from protos import tool_service_pb2 as pb
from tests.toolserver.backend import SERVICE, TOKEN, request_of

AUTHORIZED = ("authorization", f"Bearer {TOKEN}")


async def ask(
    channel: grpc.aio.Channel,
    rpc: str,
    request: Any = None,
    *metadata: tuple[str, str],
    authorized: bool = True,
    seconds: float | None = 10.0,
) -> Any:
    """The response; of InvokeTool all events."""
    method = SERVICE.methods_by_name[rpc]
    request = request_of(rpc) if request is None else request
    body = request if isinstance(request, bytes) else request.SerializeToString()
    response = GetMessageClass(method.output_type)
    path = f"/{SERVICE.full_name}/{rpc}"
    sent = (*metadata, AUTHORIZED) if authorized else metadata
    if rpc == "InvokeTool":
        stream: grpc.aio.UnaryStreamMultiCallable[bytes, Any] = channel.unary_stream(
            path, response_deserializer=response.FromString
        )
        return [event async for event in stream(body, metadata=sent, timeout=seconds)]
    unary: grpc.aio.UnaryUnaryMultiCallable[bytes, Any] = channel.unary_unary(
        path, response_deserializer=response.FromString
    )
    return await unary(body, metadata=sent, timeout=seconds)


class Refused:
    """How a call ended."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code()
        self.text = error.details() or ""
        status = rpc_status.from_call(error)  # type: ignore[arg-type]
        self.reason = self.field = ""
        self.retry_seconds: float | None = None
        for detail in () if status is None else status.details:
            self._read(detail)
        self.everything = f"{error.debug_error_string()} {error.trailing_metadata()} {status}"

    def _read(self, detail: Any) -> None:
        info, retry, request = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.RetryInfo(),
            error_details_pb2.BadRequest(),
        )
        if detail.Unpack(info):
            self.reason = info.reason
        elif detail.Unpack(retry):
            self.retry_seconds = retry.retry_delay.ToTimedelta().total_seconds()
        elif detail.Unpack(request):
            self.field = request.field_violations[0].field


async def refused(channel: grpc.aio.Channel, rpc: str, *arguments: Any, **options: Any) -> Refused:
    """How a call ends that must not succeed."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await ask(channel, rpc, *arguments, **options)
    return Refused(raised.value)


def invocation(name: str, user: str = "ann", call_id: str = "", **arguments: Any) -> pb.InvokeToolRequest:
    """A call of a described tool."""
    request = pb.InvokeToolRequest(tool_name=name, user_id=user, tool_call_id=call_id)
    request.arguments.update(arguments)
    return request
