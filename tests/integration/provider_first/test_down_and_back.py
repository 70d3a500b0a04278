"""A provider that was down: one call finds out whether it is back, and the line drains when it is."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.service import Service
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
from tests.integration.provider_first.states import DOWN, HELD, OPENS_AFTER

CALLERS = 50
AVAILABLE, PROBING = pb.PROVIDER_STATE_AVAILABLE, pb.PROVIDER_STATE_PROBING
UNAVAILABLE = pb.PROVIDER_STATE_UNAVAILABLE


@pytest.fixture
async def service(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Service]:
    """Of a provider with room for all, unless a test says for how many."""
    text = one_model(provider, f"limits = {{ max_concurrency = {getattr(request, 'param', 64)} }}")
    async with service_with(dsn, provider, tmp_path / "p.toml", text) as service:
        yield service


async def go_down(service: Service) -> None:
    """The next answer after it is held."""
    service.provider.enqueue(*[Script(status=503)] * OPENS_AFTER, HELD)
    while (await shown(service)).state == AVAILABLE:
        assert (await ask(service, "fails", FAIL)).seen == DOWN
    assert said(service.provider.ledger) == ["fails"] * OPENS_AFTER


async def test_of_fifty_who_wait_one_finds_out_whether_it_is_back(service: Service) -> None:
    provider = service.provider
    await go_down(service)
    assert (await shown(service)).state == UNAVAILABLE
    queries = [f"turn {number}" for number in range(CALLERS)]
    async with callers(service) as caller:
        waiting = [await caller.in_line(query) for query in queries]
        await (await provider.call(OPENS_AFTER + 1)).sent(1)
        probing = await shown(service)
        assert (probing.state, probing.in_flight) == (PROBING, 1)
        # Each makes the line look again: nobody else gets through.
        late = [await caller.in_line(f"late {number}") for number in range(5)]
        for number, asked in enumerate(late):
            await asyncio.wait_for(asked.placed.wait(), 10)
            assert (await ask(service, f"not now {number}", FAIL)).error is not None
        assert said(provider.ledger[OPENS_AFTER:]) == queries[:1]
        provider.release()
        await caller.ended()
    assert {asked.seen for asked in waiting} == {"waits, answer"}
    called = said(provider.ledger[OPENS_AFTER:])
    assert (called[0], Counter(called)) == (queries[0], Counter([*queries, *(f"late {n}" for n in range(5))]))
    assert (await shown(service)).state == AVAILABLE
    assert (await ask(service, "as ever", FAIL)).seen == "answer"


@pytest.mark.parametrize("service", [1], indirect=True)
async def test_the_line_drains_in_its_order_when_the_provider_is_back(service: Service) -> None:
    await go_down(service)
    queries = [f"turn {number}" for number in range(8)]
    async with callers(service) as caller:
        for query in queries:
            await caller.in_line(query)
        await (await service.provider.call(OPENS_AFTER + 1)).sent(1)
        service.provider.release()
        await caller.ended()
    assert said(service.provider.ledger[OPENS_AFTER:]) == queries
    assert (await shown(service)).state == AVAILABLE


async def test_who_will_not_wait_is_told_that_it_is_down_whether_or_not_others_wait(service: Service) -> None:
    await go_down(service)
    async with callers(service) as caller:
        await caller.in_line("waits")
        told = await ask(service, "not now", FAIL)
        service.provider.reset()
    assert told.seen == DOWN


async def test_a_prober_who_leaves_makes_room_for_the_next_in_line(service: Service) -> None:
    provider = service.provider
    await go_down(service)
    async with callers(service) as leaver, callers(service) as caller:
        leaver.begin("leaves")
        probe = await provider.call(OPENS_AFTER + 1)
        await probe.sent(1)
        stays = await caller.in_line("stays")
        leaver.leave()
        await caller.ended()
    assert stays.seen == "waits, answer"
    assert said(provider.ledger[OPENS_AFTER:]) == ["leaves", "stays"]


async def test_a_failed_probe_costs_one_call_and_the_others_wait_on(service: Service) -> None:
    provider = service.provider
    await go_down(service)
    provider.reset()
    provider.enqueue(Script(status=503))
    async with callers(service) as caller:
        first, *others = [await caller.in_line(f"turn {number}") for number in range(3)]
        await caller.ended()
    assert first.seen == f"waits, {DOWN}"
    assert [asked.seen for asked in others] == ["waits, answer"] * 2
    ledger = provider.ledger
    assert said(ledger) == ["turn 0", "turn 1", "turn 2"]
    # The second wait is twice the first, which is 2 s; a fifth may be taken off.
    assert ledger[1].arrived_at - ledger[0].arrived_at >= 0.8 * 4.0


async def test_a_turn_that_would_wait_does_so_too_when_its_own_call_is_refused(service: Service) -> None:
    service.provider.enqueue(Script(status=429, retry_after=1))
    asked = await ask(service, "refused", WAIT)
    assert asked.error is None
    assert said(service.provider.ledger) == ["refused", "refused"]


async def test_with_a_background_probe_no_turn_has_to_find_out_that_a_provider_is_still_away(
    dsn: str, tmp_path: Path
) -> None:
    async with ScriptedProvider() as provider:
        text = one_model(provider, "background_probe = true")
    async with service_with(dsn, provider, tmp_path / "p.toml", text) as service:
        while (await shown(service)).state == AVAILABLE:
            assert (await ask(service, "fails", FAIL)).seen == DOWN
        async with callers(service) as caller:
            waits = await caller.in_line("waits")
            # Longer than the breaker stays open at first: without a probe this turn would have been called.
            await asyncio.sleep(2.5)
            async with ScriptedProvider(port=provider.port) as back:
                await caller.ended()
                assert (waits.seen, said(back.ledger)) == ("waits, answer", ["waits"])
