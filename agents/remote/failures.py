"""What each way in which a remote can fail means here. Nothing that it says of itself goes further."""

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from state.errors import (
    ProviderBrokenError,
    ProviderError,
    ProviderRejectedError,
    ProviderSaturatedError,
    ProviderUnavailableError,
)

_DETAILS = "grpc-status-details-bin"
_LONGEST_SECONDS = 3600.0
_TOO_LARGE = "Received message larger than max"

UNREACHABLE = "the remote agent's service cannot be reached"
BUSY = "the remote agent's service has no room now"
REFUSED = "the remote agent's service refuses us"
BROKEN = "the remote agent's service could not do this"
GARBLED = "the remote agent's service does not keep to its contract"
CANCELLED = "the run was cancelled at the remote agent's service"

_UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED)
_REFUSALS = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def error_of(code: int, reason: str, retry_after: float | None) -> ProviderError:
    """The error here for one there, by its code of google.rpc and its reason.

    `retry_after`: seconds, as told there.
    """
    known = _CODES.get(code, grpc.StatusCode.UNKNOWN)
    after = None if retry_after is None else min(max(retry_after, 0.0), _LONGEST_SECONDS)
    if reason == "PROVIDER_BROKEN":
        return ProviderBrokenError(BROKEN)
    if known in _UNAVAILABLE or reason == "SLOW_READER":
        return ProviderUnavailableError(UNREACHABLE, retry_after=after)
    if known is grpc.StatusCode.RESOURCE_EXHAUSTED and reason != "QUOTA":
        return ProviderSaturatedError(BUSY, retry_after=after)
    if known in _REFUSALS or reason in ("QUOTA", "PROVIDER_REJECTED"):
        return ProviderRejectedError(REFUSED)
    return ProviderBrokenError(CANCELLED if known is grpc.StatusCode.CANCELLED else BROKEN)


def of_status(error: grpc.aio.AioRpcError) -> ProviderError:
    """The same of a call that failed."""
    if _TOO_LARGE in (error.details() or ""):
        return ProviderBrokenError(GARBLED)
    reason, after = "", None
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            reason, after = _details(value)
    return error_of(error.code().value[0], reason, after)


def _details(packed: bytes) -> tuple[str, float | None]:
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    after = None
    try:
        for detail in status_pb2.Status.FromString(packed).details:
            detail.Unpack(info)
            if detail.Unpack(retry):
                after = retry.retry_delay.ToNanoseconds() / 1e9
    except (DecodeError, ValueError):
        pass
    return info.reason, after
