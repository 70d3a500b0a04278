"""What the adapter makes of answers that break."""

from dataclasses import dataclass

import pytest

from state.errors import (
    ProviderBrokenError,
    ProviderError,
    ProviderSaturatedError,
    ProviderUnavailableError,
)
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.integration.adapters.reading import EVENT_STREAM, TOKENS, Make, RawServer, read
from tests.integration.adapters.vendors import Vendor


@dataclass(frozen=True)
class Failure:
    """How one fault shows before the first token and after it."""

    fault: FaultKind
    before: type[ProviderError]
    after: type[ProviderError] = ProviderBrokenError


FAILURES = [
    Failure(FaultKind.CUT, ProviderUnavailableError),
    Failure(FaultKind.RESET, ProviderUnavailableError),
    Failure(FaultKind.HANG, ProviderUnavailableError),
    Failure(FaultKind.SILENT_END, ProviderBrokenError),
    Failure(FaultKind.GARBAGE_LINE, ProviderBrokenError),
    Failure(FaultKind.INVALID_UTF8, ProviderBrokenError),
    Failure(FaultKind.INVALID_JSON, ProviderBrokenError),
    Failure(FaultKind.ERROR_OBJECT, ProviderBrokenError),
    Failure(FaultKind.OVERLOADED_OBJECT, ProviderSaturatedError),
]
REFUSALS = [
    (FaultKind.HANG_BEFORE_HEADERS, ProviderUnavailableError, "no first token in time"),
    (FaultKind.CUT_BEFORE_HEADERS, ProviderUnavailableError, "lost the connection"),
    (FaultKind.HTML, ProviderBrokenError, "other than an event stream"),
    (FaultKind.EMPTY_BODY, ProviderBrokenError, "ended its stream"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.fault)
@pytest.mark.parametrize("split_bytes", [None, 3])
async def test_a_stream_that_breaks_keeps_what_came_before(
    provider: ScriptedProvider, make: Make, failure: Failure, split_bytes: int | None
) -> None:
    script = Script(tokens=TOKENS, fault=Fault(failure.fault, after=3), split_bytes=split_bytes)
    provider.enqueue(script)
    result = await read(make(between_tokens=0.15))
    assert type(result.error) is failure.after
    assert result.text == "".join(TOKENS[:3])


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.fault)
async def test_a_stream_that_breaks_before_its_first_token(
    provider: ScriptedProvider, make: Make, failure: Failure
) -> None:
    provider.enqueue(Script(tokens=TOKENS, fault=Fault(failure.fault)))
    result = await read(make(first_token=0.15))
    assert type(result.error) is failure.before
    assert result.accepted is not None
    assert result.deltas == []


@pytest.mark.parametrize(("kind", "expected", "said"), REFUSALS)
async def test_an_answer_that_is_no_stream(
    provider: ScriptedProvider, make: Make, kind: FaultKind, expected: type[ProviderError], said: str
) -> None:
    provider.enqueue(Script(fault=Fault(kind)))
    result = await read(make(first_token=0.15))
    assert type(result.error) is expected
    assert said in str(result.error)
    assert result.deltas == []


@pytest.mark.parametrize("kind", [FaultKind.CUT, FaultKind.HANG])
async def test_a_failure_after_the_finish_reason_costs_only_the_token_count(
    make: Make, vendor: Vendor, kind: FaultKind
) -> None:
    async with RawServer(EVENT_STREAM + vendor.whole_answer, hang=kind is FaultKind.HANG) as server:
        result = await read(make(server.address, between_tokens=0.15))
    assert result.text == "all"
    assert result.finished.tokens is None


async def test_an_endless_event_breaks_the_answer(provider: ScriptedProvider, make: Make) -> None:
    provider.enqueue(Script(tokens=("x" * (2 << 20),)))
    assert isinstance((await read(make())).error, ProviderBrokenError)


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", ProviderBrokenError),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n", ProviderUnavailableError),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            ProviderBrokenError,
        ),
    ],
    ids=["not http", "half a header", "bad chunk"],
)
async def test_bytes_that_are_not_http(make: Make, received: bytes, expected: type[ProviderError]) -> None:
    async with RawServer(received) as server:
        assert type((await read(make(server.address))).error) is expected
