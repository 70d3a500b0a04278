"""Every error as a status that arrives: its code, its details, small enough, and nothing of our insides."""

import asyncio
import gc
import logging
import re
from datetime import UTC, datetime
from typing import Any, get_args
from urllib.parse import quote

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    PreconditionFailure,
    QuotaFailure,
    ResourceInfo,
    RetryInfo,
)
from grpc_status import rpc_status

from orchestrator.codec.chunks import encode
from orchestrator.codec.errors import detail_of, grpc_status_of, grpc_status_of_detail, status_of
from orchestrator.events import ChunkHeader, RunFailed
from state import errors
from state.errors import OrchestratorError, Reason
from state.models import RunId
from state.violations import Detail, FieldViolation, PreconditionViolation, QuotaViolation, Resource
from telemetry.logs import JsonFormatter

CANARY = "canary-b81f4"
STATUS_BYTES = 4096
MESSAGE_ENCODED_BYTES = 1536
"""Together, the second in base64, they stay below the 8 KiB of trailers that every hop lets through."""

ROWS: dict[Reason, tuple[type[OrchestratorError], int, float | None]] = {
    Reason.INVALID_REQUEST: (errors.InvalidRequestError, code_pb2.INVALID_ARGUMENT, None),
    Reason.UNAUTHENTICATED: (errors.UnauthenticatedError, code_pb2.UNAUTHENTICATED, None),
    Reason.PERMISSION_DENIED: (errors.PermissionDeniedError, code_pb2.PERMISSION_DENIED, None),
    Reason.IDENTITY_UNAVAILABLE: (errors.IdentityUnavailableError, code_pb2.UNAVAILABLE, 2.0),
    Reason.NOT_FOUND: (errors.NotFoundError, code_pb2.NOT_FOUND, None),
    Reason.SEQUENCE_OUT_OF_RANGE: (errors.SequenceOutOfRangeError, code_pb2.OUT_OF_RANGE, None),
    Reason.UNIMPLEMENTED: (errors.UnimplementedError, code_pb2.UNIMPLEMENTED, None),
    Reason.CONVERSATION_BUSY: (errors.ConversationBusyError, code_pb2.ABORTED, None),
    Reason.CONVERSATION_NOT_EMPTY: (errors.ConversationNotEmptyError, code_pb2.FAILED_PRECONDITION, None),
    Reason.REQUEST_ID_REUSED: (errors.RequestKeyReusedError, code_pb2.ALREADY_EXISTS, None),
    Reason.REJECTED_AT_DRAIN: (errors.RejectedAtDrainError, code_pb2.ALREADY_EXISTS, None),
    Reason.WRONG_STATE: (errors.WrongStateError, code_pb2.FAILED_PRECONDITION, None),
    Reason.QUEUE_FULL: (errors.QueueFullError, code_pb2.RESOURCE_EXHAUSTED, 5.0),
    Reason.CANCELLED: (errors.CancelledRunError, code_pb2.CANCELLED, None),
    Reason.DEADLINE_EXCEEDED: (errors.DeadlineExceededError, code_pb2.DEADLINE_EXCEEDED, None),
    Reason.QUOTA: (errors.QuotaExceededError, code_pb2.RESOURCE_EXHAUSTED, 1.0),
    Reason.OVERLOADED: (errors.OverloadedError, code_pb2.UNAVAILABLE, 1.0),
    Reason.SLOW_READER: (errors.SlowReaderError, code_pb2.RESOURCE_EXHAUSTED, None),
    Reason.DRAINING: (errors.DrainingError, code_pb2.UNAVAILABLE, 1.0),
    Reason.DATABASE_UNAVAILABLE: (errors.DatabaseUnavailableError, code_pb2.UNAVAILABLE, 2.0),
    Reason.WORKER_LOST: (errors.LostAttemptError, code_pb2.UNAVAILABLE, 1.0),
    Reason.PROVIDER_UNAVAILABLE: (errors.ProviderUnavailableError, code_pb2.UNAVAILABLE, 5.0),
    Reason.PROVIDER_SATURATED: (errors.ProviderSaturatedError, code_pb2.RESOURCE_EXHAUSTED, 5.0),
    Reason.PROVIDER_REJECTED: (errors.ProviderRejectedError, code_pb2.FAILED_PRECONDITION, None),
    Reason.PROVIDER_BROKEN: (errors.ProviderBrokenError, code_pb2.UNAVAILABLE, 1.0),
    Reason.AGENT_FAILED: (errors.AgentFailedError, code_pb2.INTERNAL, None),
    Reason.INTERNAL: (OrchestratorError, code_pb2.INTERNAL, None),
}
"""The error of each reason, its code, and the wait it asks for by itself, seconds."""

DETAILS: dict[Detail, Message] = {
    FieldViolation("query", "is required"): BadRequest(
        field_violations=[BadRequest.FieldViolation(field="query", description="is required")]
    ),
    QuotaViolation("user:ann", "two at once"): QuotaFailure(
        violations=[QuotaFailure.Violation(subject="user:ann", description="two at once")]
    ),
    PreconditionViolation("PROVIDER", "openai", "has no key"): PreconditionFailure(
        violations=[
            PreconditionFailure.Violation(type="PROVIDER", subject="openai", description="has no key")
        ]
    ),
    Resource("run", "4711"): ResourceInfo(resource_type="run", resource_name="4711"),
}

MESSAGES = {
    "long": "x" * 100_000,
    "emoji": "😀" * 100_000,
    "umlauts": "ü" * 100_000,
    "newlines": "a\r\nb\n" * 20_000,
    "control characters": "".join(map(chr, range(32))) * 4_000,
    "percent signs": "%" * 100_000,
    "right to left": "\u202egnol" * 20_000,
    "nothing": "",
}
FULL: tuple[Detail, ...] = (
    *[FieldViolation("field" * 100, "description" * 100)] * 1000,
    *[QuotaViolation("subject of the quota", "its description")] * 1000,
    *[PreconditionViolation("KIND", "subject" * 100, "description" * 100)] * 1000,
    *[Resource("kind", "name" * 1000)] * 1000,
)
"""Far more than fits."""


def unpacked(status: status_pb2.Status, kind: type[Any]) -> list[Any]:
    """The status's details of one kind."""
    messages = [kind() for _ in status.details]
    return [
        message for message, packed in zip(messages, status.details, strict=True) if packed.Unpack(message)
    ]


def assert_fits(status: status_pb2.Status) -> None:
    assert [info.reason for info in unpacked(status, ErrorInfo)] == ["INTERNAL"]
    assert status.ByteSize() <= STATUS_BYTES
    assert len(quote(status.message)) <= MESSAGE_ENCODED_BYTES


def test_every_reason_and_every_kind_of_detail_has_its_row_here() -> None:
    assert set(ROWS) == set(Reason)
    assert {type(detail) for detail in DETAILS} == set(get_args(Detail))


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_one_code_with_error_info_and_retry_info_just_where_waiting_helps(reason: Reason) -> None:
    kind, code, wait = ROWS[reason]
    error = kind(message="no")
    assert error.reason is reason
    assert error.retry_after == wait
    assert re.fullmatch("[A-Z][A-Z_]{0,62}", reason)
    for seconds in (wait, 2.5, 0.0, None):
        error.retry_after = seconds
        status, detail = status_of(error), detail_of(error)
        assert (status.code, status.message) == (detail.code, detail.message) == (code, "no")
        [info] = unpacked(status, ErrorInfo)
        assert (info.domain, info.reason) == ("orchestrator", reason)
        assert detail.reason == reason
        waits = [retry.retry_delay.ToNanoseconds() / 1e9 for retry in unpacked(status, RetryInfo)]
        assert waits == ([] if seconds is None else [seconds])
        assert detail.retryable is detail.HasField("retry_after") is (seconds is not None)
        assert grpc_status_of_detail(detail) == grpc_status_of(error)


@pytest.mark.parametrize("detail", DETAILS, ids=lambda detail: type(detail).__name__)
def test_a_detail_is_its_message_of_google_rpc(detail: Detail) -> None:
    expected = DETAILS[detail]
    assert unpacked(status_of(OrchestratorError("no", detail)), type(expected)) == [expected]


def test_details_of_all_kinds_fit_beside_each_other() -> None:
    status = status_of(OrchestratorError("no", *DETAILS, retry_after=1.0, metadata={"name": "value"}))
    for expected in DETAILS.values():
        assert unpacked(status, type(expected)) == [expected]
    assert [dict(info.metadata) for info in unpacked(status, ErrorInfo)] == [{"name": "value"}]
    assert len(unpacked(status, RetryInfo)) == 1


def test_of_a_thousand_violations_the_first_are_told() -> None:
    fields = [f"conversation_history[{number}].role" for number in range(1000)]
    error = errors.InvalidRequestError(*(FieldViolation(field, "must be a role") for field in fields))
    status = status_of(error)
    [request] = unpacked(status, BadRequest)
    told = [violation.field for violation in request.field_violations]
    assert told == fields[: len(told)] != []
    assert status.ByteSize() <= STATUS_BYTES
    assert status.message.startswith("conversation_history[0].role: must be a role; ")


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("details", [(), FULL], ids=["alone", "with everything"])
def test_a_message_of_any_length_and_characters_fits(message: str, details: tuple[Detail, ...]) -> None:
    status = status_of(OrchestratorError(MESSAGES[message], *details, retry_after=1.0))
    assert_fits(status)
    assert MESSAGES[message].startswith(status.message)
    assert bool(status.message) is bool(MESSAGES[message])
    assert len(unpacked(status, RetryInfo)) == 1


@pytest.mark.parametrize(
    "character",
    [
        "v",
        "😀",
    ],
)
def test_metadata_with_huge_values_fits(character: str) -> None:
    metadata = {f"{number}{character * 10_000}": character * 10_000 for number in range(100)}
    status = status_of(OrchestratorError("no", *FULL, retry_after=1.0, metadata=metadata))
    assert_fits(status)
    assert len(unpacked(status, RetryInfo)) == 1


def test_no_length_of_details_is_over_the_limit() -> None:
    sizes = set()
    for length in range(161):
        detail = FieldViolation("é" * 160, "d" * length)
        for message in ("m" * 512, "é" * 512):
            error = OrchestratorError(message, *[detail] * 8, QuotaViolation("s" * length, "d" * length))
            sizes.add(status_of(error).ByteSize())
    assert max(sizes) <= STATUS_BYTES


def test_a_message_that_is_no_unicode_is_a_status_all_the_same() -> None:
    assert_fits(status_of(OrchestratorError("half a pair: \ud83d")))


async def arrived(error: OrchestratorError) -> grpc.aio.AioRpcError:
    """What a caller on another end of a real connection gets of an error."""

    async def fails(_: bytes, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        await context.abort_with_status(grpc_status_of(error))

    server = grpc.aio.server()
    handlers: dict[str, Any] = {"Fails": grpc.unary_unary_rpc_method_handler(fails)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("wire.Test", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel: Any = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
    try:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary("/wire.Test/Fails")(b"")
    finally:
        await channel.close()
        await server.stop(None)
    return raised.value


@pytest.mark.parametrize("message", MESSAGES)
async def test_the_largest_status_arrives_as_it_was_sent(message: str) -> None:
    """Not as "received metadata size exceeds ... limit"."""
    error = errors.QuotaExceededError(MESSAGES[message], *FULL, metadata={"k" * 500: "v" * 500})
    got = await arrived(error)
    assert status_of(error).ByteSize() > STATUS_BYTES - MESSAGE_ENCODED_BYTES
    assert got.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert got.details() == status_of(error).message
    assert rpc_status.from_call(got) == status_of(error)  # type: ignore[arg-type]


def as_logged(caplog: pytest.LogCaptureFixture) -> str:
    """What was logged, as production writes it."""
    return "\n".join(map(JsonFormatter().format, caplog.records))


def with_a_canary_inside() -> OrchestratorError:
    """An error of ours whose cause, and that one's context, hold what nobody may see."""
    cause = OSError(2, CANARY, f"/{CANARY}")
    cause.__context__ = KeyError(CANARY)
    error = errors.ProviderUnavailableError("the provider cannot be reached")
    error.__cause__ = cause
    return error


async def test_a_secret_in_a_cause_reaches_no_status_trailer_chunk_or_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = with_a_canary_inside()
    for raised in (error, ValueError(CANARY), ExceptionGroup(CANARY, [ValueError(CANARY)])):
        logging.getLogger("orchestrator.test").error("run failed", exc_info=raised)
    got = await arrived(error)
    header = ChunkHeader(RunId("r1"), "chat", 1, datetime.now(UTC))
    sent = (got.code(), got.details(), got.debug_error_string(), got.trailing_metadata())
    assert CANARY.encode() not in status_of(error).SerializeToString()
    assert CANARY.encode() not in encode(RunFailed(error, "partial"), header)
    assert CANARY not in repr(sent)
    for name in ("ProviderUnavailableError", "FileNotFoundError", "ValueError", "ExceptionGroup"):
        assert name in as_logged(caplog)
    assert CANARY not in as_logged(caplog)


async def test_a_secret_in_an_exception_that_nobody_awaits_reaches_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails() -> None:
        raise ValueError(CANARY)

    task = asyncio.ensure_future(fails())
    await asyncio.wait({task})
    del task
    gc.collect()
    assert "ValueError" in as_logged(caplog)
    assert CANARY not in as_logged(caplog)
