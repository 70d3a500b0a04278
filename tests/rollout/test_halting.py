"""The rollout halts itself: on errors, on latency, until somebody releases it."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import grpc
import pytest
from prometheus_client import CollectorRegistry

from llm_orchestrator_client.rollout.assembly import RolloutSettings
from llm_orchestrator_client.rollout.breaker import BreakerSettings
from llm_orchestrator_client.rollout.budget import Budget, BudgetSettings
from llm_orchestrator_client.rollout.conversations import Path as Route
from llm_orchestrator_client.rollout.halt import FileHalt, Halt, MemoryHalt
from llm_orchestrator_client.rollout.metrics import RolloutMetrics
from tests.rollout.rolling import LOCAL, request_of, rolled_out
from tests.rollout.scripted_orchestrator import Play, ScriptedOrchestrator, complete, content

BUDGET = BudgetSettings(minimum_samples=10, error_ratio=0.2, latency_seconds=5.0)
SETTINGS = RolloutSettings(budget=BUDGET, breaker=BreakerSettings(consecutive_failures=1_000_000))
FINE = Play([content(1), complete(2)])
BROKEN = Play((), grpc.StatusCode.UNAVAILABLE, "PROVIDER_UNAVAILABLE")
WRONG = Play((), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


@pytest.fixture(params=["memory", "file"])
def halt(request: pytest.FixtureRequest, tmp_path: Path) -> Halt:
    return MemoryHalt() if request.param == "memory" else FileHalt(tmp_path / "halt", look_seconds=0.0)


async def test_errors_beyond_the_budget_halt_it_until_it_is_released(
    orchestrator: ScriptedOrchestrator, everybody: Path, halt: Halt
) -> None:
    async with rolled_out(orchestrator.address, everybody, settings=SETTINGS, halt=halt) as world:
        for play in [FINE] * 7 + [BROKEN] * 2:
            orchestrator.play = play
            await world.ask()
        assert halt.cause() == ""  # nine calls are too few to judge by
        await world.ask()
        assert halt.cause() == "errors"
        orchestrator.play = FINE
        assert [(await world.ask()).text for _ in range(20)] == [LOCAL] * 20
        assert len(orchestrator.requests) == 10
        assert world.value("llm_rollout_halted") == 1
        assert world.value("llm_rollout_halts_total", cause="errors") == 1
        world.rollout.budget.release()
        assert [(await world.ask()).text for _ in range(20)] == ["remote"] * 20
        assert world.value("llm_rollout_halted") == 0


async def test_a_share_of_errors_within_the_budget_halts_nothing(
    orchestrator: ScriptedOrchestrator, everybody: Path
) -> None:
    async with rolled_out(orchestrator.address, everybody, settings=SETTINGS) as world:
        for play in ([FINE] * 4 + [BROKEN]) * 6:
            orchestrator.play = play
            await world.ask()
        assert world.rollout.budget.cause() == ""


async def test_what_callers_do_wrong_halts_nothing(
    orchestrator: ScriptedOrchestrator, everybody: Path
) -> None:
    orchestrator.play = WRONG
    async with rolled_out(orchestrator.address, everybody, settings=SETTINGS) as world:
        for _ in range(20):
            assert (await world.ask()).error is not None
        assert world.rollout.budget.cause() == ""


async def test_slow_first_bytes_halt_it(orchestrator: ScriptedOrchestrator, everybody: Path) -> None:
    settings = RolloutSettings(budget=BudgetSettings(minimum_samples=10, latency_seconds=0.0))
    orchestrator.play = FINE
    async with rolled_out(orchestrator.address, everybody, settings=settings) as world:
        for _ in range(12):
            await world.ask()
        assert world.rollout.budget.cause() == "latency"
        assert len(orchestrator.requests) == 10


async def test_a_halt_in_a_file_is_everybodys_and_outlives_who_made_it(
    orchestrator: ScriptedOrchestrator, everybody: Path, tmp_path: Path
) -> None:
    orchestrator.play = BROKEN
    halts = [FileHalt(tmp_path / "halt", look_seconds=0.0) for _ in range(2)]
    async with rolled_out(orchestrator.address, everybody, settings=SETTINGS, halt=halts[0]) as one:
        for _ in range(10):
            await one.ask()
    orchestrator.play = FINE
    async with rolled_out(orchestrator.address, everybody, halt=halts[1]) as other:
        assert (await other.ask()).text == LOCAL
        (tmp_path / "halt").unlink()
        assert (await other.ask()).text == "remote"


async def test_a_release_is_everybodys_too(
    orchestrator: ScriptedOrchestrator, everybody: Path, tmp_path: Path
) -> None:
    halts = [FileHalt(tmp_path / "halt", look_seconds=0.0) for _ in range(2)]
    async with (
        rolled_out(orchestrator.address, everybody, settings=SETTINGS, halt=halts[0]) as one,
        rolled_out(orchestrator.address, everybody, settings=SETTINGS, halt=halts[1]) as other,
    ):
        orchestrator.play = BROKEN
        for _ in range(10):
            await asyncio.gather(one.ask(), other.ask())
        assert (await other.ask()).text == LOCAL
        orchestrator.play = FINE
        one.rollout.budget.release()
        assert [(await other.ask()).text for _ in range(3)] == ["remote"] * 3
        assert halts[0].cause() == ""


async def test_who_cannot_write_the_file_halts_alone(tmp_path: Path) -> None:
    halt = FileHalt(tmp_path / "missing" / "halt")
    halt.stop("errors")
    assert halt.cause() == "errors"
    halt.release()
    assert halt.cause() == ""


class Judged:
    """A budget on a clock of the test's."""

    def __init__(self, **settings: float) -> None:
        self.now = 0.0
        values = {"minimum_samples": 10, "window_seconds": 60.0, **settings}
        self.budget = Budget(
            BudgetSettings(**values),  # type: ignore[arg-type]
            MemoryHalt(),
            RolloutMetrics(CollectorRegistry()),
            clock=lambda: self.now,
        )

    def record(self, path: Route, times: int, *, failed: bool = False, first_byte: float = 0.1) -> str:
        for _ in range(times):
            self.budget.record(path, failed=failed, first_byte=None if failed else first_byte)
        return self.budget.cause()


def test_what_is_older_than_the_window_is_forgotten() -> None:
    judged = Judged()
    judged.record(Route.ORCHESTRATOR, 9, failed=True)
    judged.now = 61.0
    assert judged.record(Route.ORCHESTRATOR, 9, failed=True) == ""
    assert judged.record(Route.ORCHESTRATOR, 1, failed=True) == "errors"


def test_the_orchestrator_is_not_blamed_for_what_the_local_path_does_as_badly() -> None:
    judged = Judged(latency_seconds=1.0)
    judged.record(Route.LOCAL, 10, failed=True)
    judged.record(Route.LOCAL, 10, first_byte=9.0)
    judged.record(Route.ORCHESTRATOR, 10, failed=True)
    assert judged.record(Route.ORCHESTRATOR, 10, first_byte=8.0) == "errors"  # at first all had failed
    judged = Judged(latency_seconds=1.0)
    judged.record(Route.LOCAL, 20, first_byte=9.0)
    assert judged.record(Route.ORCHESTRATOR, 20, first_byte=8.0) == ""
    assert judged.record(Route.ORCHESTRATOR, 20, first_byte=10.0) == "latency"


def test_a_few_slow_ones_are_within_the_quantile() -> None:
    judged = Judged(latency_seconds=1.0, latency_quantile=0.9)
    judged.record(Route.ORCHESTRATOR, 19)
    assert judged.record(Route.ORCHESTRATOR, 2, first_byte=9.0) == ""
    assert judged.record(Route.ORCHESTRATOR, 1, first_byte=9.0) == "latency"


async def test_a_caller_that_leaves_is_no_error(orchestrator: ScriptedOrchestrator, everybody: Path) -> None:
    orchestrator.play = Play([content(1)], hold=True)
    async with rolled_out(orchestrator.address, everybody, settings=SETTINGS) as world:
        for _ in range(12):
            async with aclosing(world.rollout.router.stream_chat(request_of(), world.local)) as events:
                await anext(events)
        assert world.rollout.budget.cause() == ""
        assert world.value("llm_rollout_calls_total", path="orchestrator", code="CANCELLED") == 12
