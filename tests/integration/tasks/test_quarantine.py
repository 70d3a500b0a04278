"""A task that processes have died of waits for one that has nothing else to lose, and not for ever."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.narrow import HELD, answering, narrow, said
from tests.harness.service import Service, collect
from tests.integration.tasks.asking import ended, start
from tests.integration.tasks.tables import connected

TWO_DIED = """
UPDATE orchestrator.runs
SET losses = 2, attempt = 2, not_before = NULL, update_time = now() - interval '1 min'
WHERE run_id = $1
"""


async def quarantined(service: Service, dsn: str) -> str:
    """A task in line that two processes have died of, a minute ago."""
    task = await start(service, "poison", not_before=datetime.now(UTC) + timedelta(hours=1))
    async with connected(dsn) as connection:
        await connection.execute(TWO_DIED, UUID(task.task_id))
    return str(task.task_id)


async def test_a_busy_process_makes_itself_idle_for_it_and_begins_nothing_beside_it(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with narrow(dsn, provider, tmp_path, calls=9, queue={"quarantine_seconds": 1.0}) as service:
        first = await answering(service)
        poison = await quarantined(service, dsn)
        while (waits := await start(service, "waits")).state == pb.TASK_STATE_RUNNING:
            await ended(service, waits.task_id)
        assert "poison" not in said(provider)
        provider.enqueue(HELD)
        provider.release()
        await collect(first, [])
        await (await provider.call(len(said(provider)) + 1)).sent(1)
        assert said(provider)[-1] == "poison"
        late = await start(service, "late")
        assert late.state == pb.TASK_STATE_QUEUED
        provider.release()
        for task_id in (poison, waits.task_id, late.task_id):
            assert (await ended(service, task_id)).state == pb.TASK_STATE_SUCCEEDED
    assert said(provider)[-3:] == ["poison", "waits", "late"]


async def test_until_it_has_waited_as_long_as_the_setting_says_nothing_makes_room_for_it(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with narrow(dsn, provider, tmp_path, calls=9, queue={"quarantine_seconds": 3600.0}) as service:
        first = await answering(service)
        poison = await quarantined(service, dsn)
        for _ in range(20):
            task = await start(service, "usual")
            assert task.state == pb.TASK_STATE_RUNNING
            await ended(service, task.task_id)
        assert "poison" not in said(provider)
        provider.release()
        await collect(first, [])
        assert (await ended(service, poison)).state == pb.TASK_STATE_SUCCEEDED
