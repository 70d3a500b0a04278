"""Our errors as gRPC statuses, with the details of google.rpc."""

from collections.abc import Mapping
from urllib.parse import quote

from google.protobuf.any_pb2 import Any as PackedMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from llm_orchestrator_client.tool_service.errors import ToolServiceError

DOMAIN = "tool_service"
DETAILS_KEY = "grpc-status-details-bin"
"""The trailer that holds the whole status, by gRPC's convention."""

# A status travels twice, its message percent-encoded and the whole in base64. gRPC refuses some trailers
# above 8 KiB, by chance, and the caller then sees another code: all together stays below 7.
_MESSAGE_BYTES = 1536
_METADATA_BYTES = 1024
_TEXT_CHARACTERS = 160


def status_of(error: ToolServiceError) -> status_pb2.Status:
    """The status with ErrorInfo always, RetryInfo and BadRequest where something is known for them."""
    message = _short(error.message)
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=_metadata(error.metadata))
    ]
    if error.retry_seconds is not None:
        details.append(error_details_pb2.RetryInfo(retry_delay=_duration(error.retry_seconds)))
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(error.field), description=_cut(message)
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    return status_pb2.Status(code=error.code, message=message, details=[_packed(one) for one in details])


def _short(message: str) -> str:
    short = _sendable(message[:_MESSAGE_BYTES])
    while len(quote(short)) > _MESSAGE_BYTES:
        short = short[: len(short) * 3 // 4]
    return short


def _metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """The first entries that have room together."""
    fitting: dict[str, str] = {}
    left = _METADATA_BYTES
    for name, value in metadata.items():
        left -= len((_cut(name) + _cut(value)).encode())
        if left < 0:
            break
        fitting[_cut(name)] = _cut(value)
    return fitting


def _cut(text: str) -> str:
    return _sendable(text[:_TEXT_CHARACTERS])


def _sendable(text: str) -> str:
    # Halves of pairs are in no UTF-8.
    return text.encode(errors="replace").decode()


def _packed(message: Message) -> PackedMessage:
    packed = PackedMessage()
    packed.Pack(message)
    return packed


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(int(max(0.0, seconds) * 1e9))
    return duration
