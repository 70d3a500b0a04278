"""Reaching for a provider that is down, so that no caller has to."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from providers.base import Delta, ModelInfo, ModelRequest
from providers.gate.base import GateState, Unavailable
from providers.gate.gate import ModelGate
from providers.gate.prober import BackgroundProbe
from state.errors import ProviderUnavailableError
from tests.unit.gate.gates import DOWN, INFO, admitted, gate_of, go_down
from tests.unit.gate.manual_time import ManualTime


class ReachableModel:
    """Counts probes; `answers` holds them until it is set."""

    def __init__(self, *, reachable: bool = True) -> None:
        self.reachable = reachable
        self.probes = 0
        self.answers = asyncio.Event()
        self.answers.set()

    @property
    def info(self) -> ModelInfo:
        return INFO

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        raise AssertionError("a probe must not cost anything")

    async def probe(self) -> None:
        self.probes += 1
        await self.answers.wait()
        if not self.reachable:
            raise ProviderUnavailableError("still down")


@pytest.fixture
def time() -> ManualTime:
    return ManualTime()


async def turns() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_provider_that_works_is_never_reached_for(time: ManualTime) -> None:
    gate, model = gate_of(time), ReachableModel()
    async with BackgroundProbe(gate, model):
        for _ in range(5):
            admitted(gate).succeeded(None)
            time.advance(100.0)
            await turns()
    assert model.probes == 0


async def test_while_it_cannot_be_reached_the_breaker_stays_open_for_longer_each_time(
    time: ManualTime,
) -> None:
    gate, model = gate_of(time), ReachableModel(reachable=False)
    async with BackgroundProbe(gate, model):
        go_down(gate)
        waits = []
        for _ in range(4):
            refusal = gate.admit()
            assert isinstance(refusal, Unavailable)
            waits.append(refusal.retry_after)
            time.advance(refusal.retry_after)
            await turns()
    assert model.probes == 4
    assert waits == [2.0, 4.0, 8.0, 16.0]


async def test_who_asks_before_the_timer_has_told_of_it_is_not_the_probe(time: ManualTime) -> None:
    gate, model = gate_of(time), ReachableModel(reachable=False)
    async with BackgroundProbe(gate, model):
        go_down(gate)
        refusal = gate.admit()
        assert isinstance(refusal, Unavailable)
        time.now += refusal.retry_after  # nobody's timer has fired
        assert isinstance(gate.admit(), Unavailable)
        await turns()
    assert model.probes == 1


async def test_while_it_is_reached_for_no_caller_gets_through(time: ManualTime) -> None:
    gate, model = gate_of(time), ReachableModel()
    model.answers.clear()
    async with BackgroundProbe(gate, model):
        go_down(gate)
        answers: list[object] = []
        end = gate.on_room(lambda: answers.append(gate.admit()))
        time.advance(2.0)
        await turns()
        assert [type(answer) for answer in answers] == [Unavailable]
        model.answers.set()
        await turns()
        assert len(answers) == 2
        end()
    (_, probe) = answers
    assert gate.snapshot().state is GateState.PROBING
    probe.succeeded(None)  # type: ignore[attr-defined]
    assert gate.snapshot().state is GateState.AVAILABLE


async def test_reached_once_it_is_the_next_callers_turn_and_nobody_asks_again(time: ManualTime) -> None:
    gate, model = gate_of(time), ReachableModel()
    async with BackgroundProbe(gate, model):
        go_down(gate)
        time.advance(2.0)
        await turns()
        time.advance(100.0)
        await turns()
        assert model.probes == 1
        admitted(gate).failed(DOWN)
        time.advance(100.0)
        await turns()
        assert model.probes == 2


async def test_leaving_while_it_reaches_gives_the_probe_back(time: ManualTime) -> None:
    gate, model = gate_of(time), ReachableModel()
    model.answers.clear()
    async with BackgroundProbe(gate, model):
        go_down(gate)
        time.advance(2.0)
        await turns()
        assert model.probes == 1
    admitted(gate).succeeded(None)
    assert gate.snapshot().state is GateState.AVAILABLE


async def test_a_probe_that_dies_of_a_defect_is_not_silent(time: ManualTime) -> None:
    class DefectiveModel(ReachableModel):
        async def probe(self) -> None:
            raise ValueError("a defect of ours")

    gate: ModelGate = gate_of(time)
    async with BackgroundProbe(gate, DefectiveModel()) as probe:
        go_down(gate)
        time.advance(2.0)
        with pytest.raises(ValueError, match="defect"):
            await probe.died()
