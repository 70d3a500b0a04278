"""Whatever a handler does, its caller gets the right status, soon, and nothing of our insides.

Handlers of every kind behind the GuardInterceptor, on both event loops (see conftest).
"""

import asyncio
import json

import grpc
import pytest

from state.errors import QuotaExceededError
from state.violations import QuotaViolation
from tests.harness.statuses import error_info, retry_delay
from tests.integration.edge.guarded import (
    CALLS,
    CANARY,
    MANY_REQUESTS,
    MOMENTS,
    ONE_REQUEST,
    PATH,
    STREAMS,
    Body,
    Context,
    Kind,
    everything_sent,
    guarded,
    handler_of,
    json_log,
)


@pytest.mark.parametrize(("kind", "first"), MOMENTS)
async def test_the_text_of_an_exception_reaches_neither_the_caller_nor_the_log(
    kind: Kind, first: int
) -> None:
    async def fails(_: Context) -> None:
        raise ValueError(f"password={CANARY}") from KeyError(CANARY)

    with json_log() as log:
        async with guarded(handler_of(kind, fails, first)) as server:
            end = await server.ended(kind)
    error_id = error_info(end.failure).metadata["error_id"]
    assert len(end.replies) == first
    assert end.failure.code() is grpc.StatusCode.INTERNAL
    assert end.failure.details() == f"internal error {error_id}"
    assert CANARY not in everything_sent(end.failure)
    [line] = [json.loads(line) for line in log.getvalue().splitlines() if error_id in line]
    assert (line["level"], line["rpc"]) == ("error", PATH)
    assert [described.partition(" at ")[0] for described in line["error"]] == ["ValueError", "KeyError"]
    assert CANARY not in log.getvalue()


@pytest.mark.parametrize(("kind", "first"), MOMENTS)
async def test_an_error_of_our_own_leaves_as_its_status_with_its_details(kind: Kind, first: int) -> None:
    async def refuses(_: Context) -> None:
        raise QuotaExceededError("too many", QuotaViolation("user:ann", "two"), retry_after=3.0)

    async with guarded(handler_of(kind, refuses, first)) as server:
        end = await server.ended(kind)
    assert len(end.replies) == first
    assert end.failure.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert end.failure.details() == "too many"
    assert error_info(end.failure).reason == "QUOTA"
    assert retry_delay(end.failure) == 3.0


async def raises_it(_: Context) -> None:
    raise asyncio.CancelledError


async def awaits_what_was_cancelled(_: Context) -> None:
    cancelled = asyncio.ensure_future(asyncio.Event().wait())
    cancelled.cancel()
    await cancelled


@pytest.mark.parametrize(("kind", "first"), MOMENTS)
@pytest.mark.parametrize("leak", [raises_it, awaits_what_was_cancelled])
async def test_a_cancellation_our_own_code_leaks_ends_the_call_and_never_hangs_the_caller(
    leak: Body, kind: Kind, first: int
) -> None:
    async with guarded(handler_of(kind, leak, first)) as server:
        end = await server.ended(kind)
    assert len(end.replies) == first
    assert end.failure.code() is grpc.StatusCode.CANCELLED
    assert error_info(end.failure).reason == "CANCELLED"


@pytest.mark.parametrize(("kind", "first"), MOMENTS)
@pytest.mark.parametrize("then", ["", "goes on", "fails"])
async def test_an_abort_of_the_handlers_own_passes_unchanged(
    kind: Kind, first: int, then: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Even where the handler's own `except Exception` takes it, as grpc's AbortError is one."""

    async def aborts(context: Context) -> None:
        try:
            await context.abort(grpc.StatusCode.OUT_OF_RANGE, "its own words", (("its-own", "trailer"),))
        except Exception as error:
            if not then:
                raise
            if then == "fails":
                raise ValueError(CANARY) from error

    async with guarded(handler_of(kind, aborts, first)) as server:
        end = await server.ended(kind)
        await server.guard.idle()
    assert len(end.replies) == first
    assert end.failure.code() is grpc.StatusCode.OUT_OF_RANGE
    assert end.failure.details() == "its own words"
    assert dict(end.failure.trailing_metadata())["its-own"] == "trailer"
    assert CANARY not in everything_sent(end.failure)
    # Only what its handler made of it is a failure of ours.
    failures = [record for record in caplog.records if record.name.startswith("orchestrator")]
    assert bool(failures) is (then == "fails")


def refuses_bytes(_: bytes) -> bytes:
    raise ValueError(CANARY)


async def does_nothing(_: Context) -> None:
    pass


@pytest.mark.parametrize(
    "kind",
    [
        *ONE_REQUEST,
        *(kind for kind in MANY_REQUESTS),
    ],
)
async def test_a_request_that_cannot_be_decoded_is_the_callers_fault(kind: Kind) -> None:
    async with guarded(handler_of(kind, does_nothing, decode=refuses_bytes)) as server:
        failure = (await server.ended(kind)).failure
    assert CANARY not in everything_sent(failure)
    assert failure.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error_info(failure).reason == "INVALID_REQUEST"


@pytest.mark.parametrize(
    "kind",
    [
        *STREAMS,
        *(kind for kind in CALLS),
    ],
)
async def test_a_reply_that_cannot_be_encoded_is_an_internal_error_without_its_text(kind: Kind) -> None:
    async with guarded(handler_of(kind, does_nothing, encode=refuses_bytes)) as server:
        failure = (await server.ended(kind)).failure
    assert CANARY not in everything_sent(failure)
    assert failure.code() is grpc.StatusCode.INTERNAL
    assert error_info(failure).reason == "INTERNAL"
