"""The caller's breaker: a dead orchestrator costs one call at a time, now and then."""

import asyncio
from pathlib import Path

import grpc
import pytest

from llm_orchestrator_client.rollout.assembly import RolloutSettings
from llm_orchestrator_client.rollout.breaker import BreakerSettings, CallerBreaker, Ticket
from llm_orchestrator_client.rollout.remote import BREAKER_OPEN
from llm_orchestrator_client.rollout.router import RouterSettings
from tests.harness.proxy import TcpProxy
from tests.rollout.rolling import LOCAL, Answered, flags_on, rolled_out
from tests.rollout.scripted_orchestrator import Play, ScriptedOrchestrator, complete, content

HASTY = RouterSettings(first_event_seconds=1.0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock, **settings: float) -> CallerBreaker:
    values = {"reset_seconds": 1.0, "reset_jitter": 0.0, **settings}
    return CallerBreaker(BreakerSettings(**values), clock=clock)  # type: ignore[arg-type]


def test_one_probe_at_a_time_and_each_failed_one_makes_the_next_later() -> None:
    clock = Clock()
    guard = breaker(clock, reset_cap_seconds=3.0)
    first = guard.admit()
    assert first is not None
    guard.failed(first)
    for wait in (1.0, 2.0, 3.0, 3.0):
        clock.now += wait - 0.01
        assert guard.admit() is None
        clock.now += 0.02
        probe = guard.admit()
        assert probe is not None
        assert [guard.admit() for _ in range(10)] == [None] * 10
        guard.failed(probe)


def test_a_probe_that_says_nothing_lets_the_next_one_in() -> None:
    clock = Clock()
    guard = breaker(clock)
    guard.failed(guard.admit() or unreachable())
    clock.now = 2.0
    guard.give_back(guard.admit() or unreachable())
    guard.succeeded(guard.admit() or unreachable())
    assert guard.closed


def test_outcomes_of_before_do_not_count() -> None:
    clock = Clock()
    guard = breaker(clock)
    old = guard.admit() or unreachable()
    guard.failed(old)
    guard.succeeded(old)
    assert not guard.closed
    clock.now = 2.0
    guard.succeeded(guard.admit() or unreachable())
    guard.failed(old)
    assert guard.closed


def test_it_opens_after_as_many_failures_in_a_row_as_it_is_told() -> None:
    guard = breaker(Clock(), consecutive_failures=3)
    ticket = guard.admit() or unreachable()
    for _ in range(2):
        guard.failed(ticket)
        guard.failed(ticket)
        assert guard.closed
        guard.succeeded(ticket)


def unreachable() -> Ticket:
    raise AssertionError("not admitted")


async def test_an_orchestrator_that_swallows_everything_costs_one_time_out(
    orchestrator: ScriptedOrchestrator, everybody: Path
) -> None:
    host, _, port = orchestrator.address.partition(":")
    orchestrator.play = Play([content(1), complete(2)])
    settings = RolloutSettings(router=HASTY, breaker=BreakerSettings(reset_seconds=60.0))
    async with (
        TcpProxy(host, int(port)) as proxy,
        rolled_out(f"127.0.0.1:{proxy.port}", everybody, settings=settings) as world,
    ):
        assert (await world.ask()).text == "remote"
        proxy.swallow()
        answered = [await world.ask() for _ in range(20)]
        assert {(a.text, a.ends, a.error) for a in answered} == {(LOCAL, 1, None)}
        assert world.value("llm_rollout_fallbacks_total", cause="DEADLINE_EXCEEDED") == 1
        assert world.value("llm_rollout_fallbacks_total", cause=BREAKER_OPEN) == 19
        assert world.value("llm_rollout_breaker_open") == 1
        proxy.swallow(to_server=False, to_client=False)


async def test_of_many_callers_at_once_one_is_the_probe(
    orchestrator: ScriptedOrchestrator, everybody: Path
) -> None:
    orchestrator.play = Play((), grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
    settings = RolloutSettings(router=HASTY, breaker=BreakerSettings(reset_seconds=0.0))
    async with rolled_out(orchestrator.address, everybody, settings=settings) as world:
        await world.ask()
        orchestrator.play = Play(hold=True)
        answered = await asyncio.gather(*(world.ask() for _ in range(50)))
        assert len(orchestrator.requests) == 2
        assert {a.text for a in answered} == {LOCAL}


OPENS_NOTHING = {
    "want of room": Play((), grpc.StatusCode.RESOURCE_EXHAUSTED, "PROVIDER_SATURATED"),
    "a replica that drains": Play((), grpc.StatusCode.UNAVAILABLE, "DRAINING"),
    "providers that are down": Play((), grpc.StatusCode.UNAVAILABLE, "PROVIDER_UNAVAILABLE"),
    "a mistake": Play((), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
}


@pytest.mark.parametrize("play", OPENS_NOTHING.values(), ids=OPENS_NOTHING)
async def test_it_does_not_open_for(orchestrator: ScriptedOrchestrator, everybody: Path, play: Play) -> None:
    orchestrator.play = play
    async with rolled_out(orchestrator.address, everybody) as world:
        for _ in range(5):
            await world.ask()
        assert len(orchestrator.requests) == 5
        assert world.rollout.breaker.closed


async def test_without_fallback_an_open_breaker_is_an_error_at_once(
    orchestrator: ScriptedOrchestrator, tmp_path: Path
) -> None:
    file = flags_on(tmp_path / "flags.json", FALLBACK=False)
    orchestrator.play = Play((), grpc.StatusCode.UNAVAILABLE, "PROVIDER_DOWN")
    settings = RolloutSettings(breaker=BreakerSettings(reset_seconds=60.0))
    async with rolled_out(orchestrator.address, file, settings=settings) as world:
        guard = world.rollout.breaker
        guard.failed(guard.admit() or unreachable())
        answered: Answered = await world.ask()
        assert answered.error is not None
        assert (answered.error.code, answered.error.reason) == (grpc.StatusCode.UNAVAILABLE, BREAKER_OPEN)
        assert not orchestrator.requests
