"""Callers beyond the room wait in line, so that the running answers keep their pace."""

import asyncio
import os
from pathlib import Path
from statistics import median

import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.ledger import CallReport
from tests.fakes.scripted_provider.script import Script
from tests.harness.scale import SCALE, report, scaled
from tests.integration.soak.loaded import Loaded, Timed, loaded_service, quantile, timed

PLACES = 6
ROUNDS = 3
TIMES = scaled(6)
ANSWER = Script(
    tokens=tuple(f"token-{number:02} " for number in range(20)), first_token_delay=0.2, token_interval=0.05
)
MOST_RATIO = 1.5
WAIT = pb.RunOptions(on_saturated=pb.SATURATION_BEHAVIOR_WAIT)
WAIT.max_wait.FromSeconds(600)

pytestmark = pytest.mark.timeout(120 * SCALE)


async def as_many_as_fit(service: Loaded) -> list[Timed]:
    rounds = [
        await asyncio.gather(*(timed(service.stub, f"fits {r}.{n}", WAIT) for n in range(PLACES)))
        for r in range(ROUNDS)
    ]
    return [call for one in rounds for call in one]


async def far_too_many(service: Loaded) -> list[Timed]:
    return await asyncio.gather(*(timed(service.stub, f"waits {n}", WAIT) for n in range(TIMES * PLACES)))


def first_token_seconds(calls: list[Timed], ledger: list[CallReport]) -> float:
    """The median from the provider's being called to the caller's first text: what comes after the line."""
    arrived = {call.body["messages"][-1]["content"]: call.arrived_at for call in ledger}
    return median(call.texts[0] - arrived[call.query] for call in calls)


def pace(calls: list[Timed]) -> float:
    """The gap that nine of ten are within."""
    return quantile([gap for call in calls for gap in call.gaps], 0.9)


def most_at_once(ledger: list[CallReport]) -> int:
    """The provider's own answer lasts as long as its script: whoever arrived within that was beside it."""
    lasts = ANSWER.first_token_delay + ANSWER.token_interval * (len(ANSWER.tokens or ()) - 1)
    times = [call.arrived_at for call in ledger]
    return max(sum(0 <= later - time < lasts for later in times) for time in times)


async def test_running_answers_keep_their_pace_while_others_wait(dsn: str, tmp_path: Path) -> None:
    settings = {
        "PROVIDER__MAX_CONCURRENCY": str(PLACES),
        "SERVER__MAX_STREAMS": "10000",
        "STREAM__WINDOW_SECONDS": "0",
    }
    async with loaded_service(dsn, tmp_path, ANSWER, **settings) as service:
        alone = await as_many_as_fit(service)
        crowded = await far_too_many(service)
        ledger = await service.provider.ledger()
    assert all(call.answered for call in (*alone, *crowded))
    gaps = pace(crowded) / pace(alone)
    first = first_token_seconds(crowded, ledger) / first_token_seconds(alone, ledger)
    report(
        f"{PLACES} places, {len(crowded)} callers: gaps p90 {pace(crowded) * 1e3:.0f} ms, {gaps:.2f} times "
        f"those without the crowd; first token of the admitted {first:.2f} times; "
        f"load {os.getloadavg()[0]:.1f}"
    )
    assert len(ledger) == len(alone) + len(crowded)
    assert most_at_once(ledger) <= PLACES
    assert gaps <= MOST_RATIO
    assert first <= MOST_RATIO
