"""Ten times as many callers as there is room for: the room is used, and the others are refused at once."""

import asyncio
import os
from collections import Counter
from pathlib import Path
from time import monotonic

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.script import Script
from tests.harness.scale import SCALE, report, scaled
from tests.integration.soak.loaded import Loaded, Timed, loaded_service, quantile, sleep_until, timed

PLACES = 8
# So long that a machine with two cores carries ten times the peak.
ANSWER = Script(tokens=("a", "b", "c", "d"), first_token_delay=0.1, token_interval=0.1)
PEAK_SECONDS = 4.0
OVERLOAD_SECONDS = scaled(6)
TIMES = 10
GOAL_SECONDS = 0.05
FAIL = pb.RunOptions(on_saturated=pb.SATURATION_BEHAVIOR_FAIL)

pytestmark = pytest.mark.timeout(60 + 20 * SCALE)


async def peak(service: Loaded) -> float:
    """Answers a second when as many callers as there are places ask again as soon as they are answered."""
    began = monotonic()
    until = began + PEAK_SECONDS
    answered: list[float] = []

    async def ask_again(number: int) -> None:
        while monotonic() < until:
            call = await timed(service.stub, f"peak {number}", FAIL)
            if call.answered:
                answered.append(call.ended)

    await asyncio.gather(*(ask_again(number) for number in range(PLACES)))
    return len(answered) / (max(answered) - began)


async def overload(service: Loaded, rate: float) -> tuple[list[Timed], float]:
    """So many callers a second, whatever becomes of those before them; and how many answers came a second."""
    began = monotonic()
    calls: list[asyncio.Task[Timed]] = []
    for number in range(int(rate * OVERLOAD_SECONDS)):
        await sleep_until(began + number / rate)
        calls.append(asyncio.create_task(timed(service.stub, f"call {number}", FAIL)))
    ended = await asyncio.gather(*calls)
    until = began + OVERLOAD_SECONDS
    return ended, sum(call.answered and call.ended <= until for call in ended) / OVERLOAD_SECONDS


async def test_ten_times_the_load_costs_the_answers_nothing_and_the_others_little(
    dsn: str, tmp_path: Path
) -> None:
    settings = {"PROVIDER__MAX_CONCURRENCY": str(PLACES), "SERVER__MAX_STREAMS": "10000"}
    async with loaded_service(dsn, tmp_path, ANSWER, **settings) as service:
        most = await peak(service)
        calls, goodput = await overload(service, TIMES * most)
        ledger = await service.provider.ledger()
    refused = [call.seconds for call in calls if not call.answered]
    codes = Counter(call.code for call in calls)
    fast, slow = (quantile(refused, share) * 1e3 for share in (0.5, 0.99))
    report(
        f"{TIMES} times {most:.0f} calls/s for {OVERLOAD_SECONDS} s: {goodput:.1f} answers/s, "
        f"{goodput / most:.0%} of the peak; {len(refused)} refused, p50 {fast:.0f} ms, p99 {slow:.0f} ms "
        f"(goal {GOAL_SECONDS * 1e3:.0f} ms); load {os.getloadavg()[0]:.1f}"
    )
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert goodput >= 0.9 * most
    # Nobody who was refused had been called for, and nobody was called for twice.
    asked = Counter(call.body["messages"][-1]["content"] for call in ledger)
    assert {query: 1 for query in asked if query.startswith("call")} == {
        call.query: 1 for call in calls if call.answered
    }
    assert all(asked[call.query] == 1 for call in calls if call.answered)
