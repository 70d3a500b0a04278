"""Section 3 of the design as a table: how the provider stands, what a caller sees, and who is called."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.integration.provider_first.asking import (
    FAIL,
    WAIT,
    ask,
    callers,
    one_model,
    said,
    service_with,
    shown,
)
from tests.integration.provider_first.states import (
    DOWN,
    SATURATED,
    Stage,
    State,
    fails_by,
    idle,
    own_requests_used_up,
    own_tokens_used_up,
    permits_full,
    refuses_by,
    somebody_in_line,
    unreachable,
    vendor_refuses,
    vendor_says,
)


@dataclass(frozen=True)
class Row:
    """One line of the table. `limits` are the provider's in its file.

    `least_wait`: seconds that the provider was told to be left alone, between the last call and the next.
    """

    name: str
    state: State
    shows: str
    waiting: str
    failing: str
    limits: str = ""
    least_wait: float = 0.0


ANSWER = "answer"
QUEUED = "waits, answer"
REJECTED = "FAILED_PRECONDITION PROVIDER_REJECTED"
NO_REQUESTS = vendor_says(("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1s"))
NO_TOKENS = vendor_says(("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "1s"))
ONE_AT_ONCE, TWO_AT_ONCE = "max_concurrency = 1", "max_concurrency = 2"
THIRTY_CALLS, SOME_TOKENS = "requests_per_minute = 30", "tokens_per_minute = 60_000"
FAILS_503 = fails_by(Script(status=503))
HANGS = fails_by(Script(fault=Fault(FaultKind.HANG_BEFORE_HEADERS)))

# fmt: off
ROWS = [
    # the provider               how it got there       status shows   WAIT      FAIL
    Row("available",             idle,                  "AVAILABLE",   ANSWER,   ANSWER),
    Row("permits full",          permits_full,          "SATURATED",   QUEUED,   SATURATED, ONE_AT_ONCE),
    Row("own requests used up",  own_requests_used_up,  "SATURATED",   QUEUED,   SATURATED, THIRTY_CALLS),
    Row("own tokens used up",    own_tokens_used_up,    "SATURATED",   QUEUED,   SATURATED, SOME_TOKENS),
    Row("vendor: no requests",   NO_REQUESTS,           "SATURATED",   QUEUED,   SATURATED, least_wait=1.0),
    Row("vendor: no tokens",     NO_TOKENS,             "SATURATED",   QUEUED,   SATURATED, least_wait=1.0),
    Row("vendor: 429",           vendor_refuses(429),   "SATURATED",   QUEUED,   SATURATED, least_wait=1.0),
    Row("vendor: 529",           vendor_refuses(529),   "SATURATED",   QUEUED,   SATURATED, least_wait=1.0),
    Row("somebody in line",      somebody_in_line,      "AVAILABLE",   QUEUED,   SATURATED, TWO_AT_ONCE),
    Row("connect errors",        unreachable,           "UNAVAILABLE", QUEUED,   DOWN),
    Row("5xx",                   FAILS_503,             "UNAVAILABLE", QUEUED,   DOWN),
    Row("first-token time-outs", HANGS,                 "UNAVAILABLE", QUEUED,   DOWN),
    Row("400",                   refuses_by(400),       "AVAILABLE",   REJECTED, REJECTED),
    Row("401",                   refuses_by(401),       "AVAILABLE",   REJECTED, REJECTED),
    Row("404",                   refuses_by(404),       "AVAILABLE",   REJECTED, REJECTED),
    Row("422",                   refuses_by(422),       "AVAILABLE",   REJECTED, REJECTED),
]
# fmt: on


@asynccontextmanager
async def staged(row: Row, dsn: str, folder: Path) -> AsyncIterator[Stage]:
    more = f"limits = {{ {row.limits} }}\ntimeouts = {{ first_token_seconds = 1.0 }}"
    async with (
        ScriptedProvider() as provider,
        service_with(
            dsn, provider, folder / "p.toml", one_model(provider, more), database={"pool_size": 16}
        ) as service,
        callers(service) as caller,
    ):
        yield Stage(service, provider, caller)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_who_waits_is_answered_when_there_is_room_and_is_called_for_once(
    row: Row, dsn: str, tmp_path: Path
) -> None:
    async with staged(row, dsn, tmp_path) as stage:
        async with row.state(stage) as stands:
            assert pb.ProviderState.Name((await shown(stage.service)).state).endswith(f"_{row.shows}")
            before = said(stage.provider.ledger)
            asked = stage.caller.begin("asks", WAIT)
            if row.waiting == QUEUED:
                await stands(asked)
        await stage.caller.ended()
        assert asked.seen == row.waiting
        ledger = stage.provider.ledger
        earlier = ["earlier"] if row.state is somebody_in_line else []
        assert said(ledger) == [*before, *earlier, "asks"]
        if row.least_wait:
            assert ledger[-1].arrived_at - ledger[-2].arrived_at >= row.least_wait


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_who_will_not_wait_is_told_at_once_and_is_not_called_for(
    row: Row, dsn: str, tmp_path: Path
) -> None:
    async with staged(row, dsn, tmp_path) as stage, row.state(stage):
        before = said(stage.provider.ledger)
        asked = await ask(stage.service, "asks", FAIL)
        called = [] if row.failing in (SATURATED, DOWN) else ["asks"]
        assert asked.seen == row.failing
        assert said(stage.provider.ledger) == before + called


@pytest.mark.parametrize(
    ("state", "told"), [(permits_full, SATURATED), (fails_by(Script(status=503)), DOWN)], ids=["full", "down"]
)
async def test_who_has_waited_long_enough_is_told_which_of_both_it_is(
    state: State, told: str, dsn: str, tmp_path: Path
) -> None:
    row = Row("", state, "", "", "", "max_concurrency = 1" if told == SATURATED else "")
    options = pb.RunOptions(max_wait=Duration(nanos=200_000_000))
    async with staged(row, dsn, tmp_path) as stage, state(stage):
        before = said(stage.provider.ledger)
        assert (await ask(stage.service, "asks", options)).seen == f"waits, {told}"
        assert said(stage.provider.ledger) == before
