"""What a failed call's status says, taken apart."""

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status


def error_info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    """The ErrorInfo, which every status has."""
    info = error_details_pb2.ErrorInfo()
    assert _unpack(error, info), "the status has no ErrorInfo"
    return info


def retry_delay(error: grpc.aio.AioRpcError) -> float | None:
    """Seconds to wait before another try; None without RetryInfo."""
    info = error_details_pb2.RetryInfo()
    return info.retry_delay.ToNanoseconds() / 1e9 if _unpack(error, info) else None


def violations(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """Field and description of each violation."""
    request = error_details_pb2.BadRequest()
    _unpack(error, request)
    return {violation.field: violation.description for violation in request.field_violations}


def _unpack(error: grpc.aio.AioRpcError, message: Message) -> bool:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None, "the status has no details"
    return any(detail.Unpack(message) for detail in status.details)
