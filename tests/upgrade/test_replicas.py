"""Three replicas, one killed, then all rolled, under load of our client: no failure reaches a caller.

Every chat and task is checked: its text whole and once, however often its stream was taken up again.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.process import ROOT
from tests.harness.scale import SCALE, SOAK, report
from tests.integration.tasks.tables import connected
from tests.upgrade.envoy import envoy
from tests.upgrade.load import Callers, steady_load
from tests.upgrade.places import Place, places

ROUNDS = 5 if SOAK else 1
MEANWHILE = 1
"""What is done of each kind between two deaths."""
_NOT_DONE = "SELECT count(*) FROM orchestrator.runs WHERE state <> 'succeeded'"
_REPLICAS = "SELECT count(DISTINCT replica_id) FROM orchestrator.runs"

pytestmark = pytest.mark.timeout(120 * SCALE)


def environment(dsn: str, provider: ScriptedProvider) -> dict[str, str]:
    return {"DATABASE_URL": dsn, "OPENAI_BASE_URL": provider.base_url}


async def kill_one_and_roll_all(replicas: Sequence[Place], callers: Callers) -> None:
    """Under load; each is back before the next one goes."""
    for number in range(ROUNDS):
        victim = replicas[number % len(replicas)]
        await callers.have_done(MEANWHILE)
        await victim.kill()
        await callers.have_done(MEANWHILE)
        await victim.start()
        for replica in replicas:
            await callers.have_done(MEANWHILE)
            assert await replica.roll() == 0
    await callers.have_done(MEANWHILE)


async def nothing_is_left(dsn: str) -> None:
    """Every run has succeeded, and all of those that there were have worked."""
    async with connected(dsn) as connection:
        assert await connection.fetchval(_NOT_DONE) == 0
        assert await connection.fetchval(_REPLICAS) >= 3 + ROUNDS


async def test_behind_envoy_no_call_fails_while_replicas_die_and_are_rolled(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with (
        places(tmp_path, [ROOT] * 3, environment(dsn, provider)) as replicas,
        envoy(tmp_path, [replica.address for replica in replicas]) as proxy,
    ):
        async with steady_load(proxy.address) as callers:
            await kill_one_and_roll_all(replicas, callers)
        await proxy.healthy(3)
    failed = Counter(f"{line['method'].rpartition('/')[2]} {line['status']}" for line in proxy.failures)
    report(f"behind Envoy: {callers.told}; of {len(proxy.log)} calls there made good: {dict(failed)}")
    assert callers.told.surfaced == []
    assert callers.told.resets >= 1 or not SOAK  # few die: none of them may have been speaking
    assert failed  # else nothing was to be made good
    await nothing_is_left(dsn)


async def test_with_balancing_of_its_own_the_client_sees_no_failure_either(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with (
        places(tmp_path, [ROOT] * 3, environment(dsn, provider)) as replicas,
        steady_load([replica.address for replica in replicas]) as callers,
    ):
        await kill_one_and_roll_all(replicas, callers)
    report(f"by the client's round robin: {callers.told}")
    assert callers.told.surfaced == []
    assert callers.told.resets >= 1 or not SOAK  # few die: none of them may have been speaking
    await nothing_is_left(dsn)
