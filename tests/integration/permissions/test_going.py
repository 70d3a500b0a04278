"""Questions, their audit and effects go with their run, and only with it."""

import pytest

from protos import orchestrator_pb2 as pb
from state.postgres.retention import PostgresRetention
from tests.harness.questions import Desk
from tests.harness.runs import ANN, SUCCEEDED, last
from tests.integration.permissions.asking import Office

TABLES = ("permissions", "permission_audit", "effects", "request_keys")


async def counts(desk: Desk) -> dict[str, object]:
    return {name: await desk.value(f"SELECT count(*) FROM {name}") for name in TABLES}  # noqa: S608


async def test_retention_deletes_them_with_the_run_that_has_ended(desk: Desk) -> None:
    retention = PostgresRetention(desk.database)
    attempt, (asked,) = await desk.waiting()
    await desk.decide(asked)
    again = await desk.claimed()
    await desk.effects.begin(again, desk.call(asked))
    await desk.effects.finish(again, asked.tool_call_id, b"written")
    await desk.runs.finish(again, SUCCEEDED, last(5))
    waiting, _ = await desk.waiting()
    assert (await counts(desk))["permission_audit"] == 3
    for prune in (retention.prune_checkpoints, retention.prune_events, retention.delete_runs):
        await prune(0.0)
    assert await desk.value("SELECT run_id FROM permissions") == await desk.value("SELECT run_id FROM runs")
    assert await counts(desk) == {
        "permissions": 1, "permission_audit": 1, "effects": 0, "request_keys": 0
    }  # fmt: skip
    assert (await desk.runs.get(ANN, waiting.run_id)).run_id != attempt.run_id


async def test_a_conversation_is_deleted_though_a_run_waits_there(office: Office) -> None:
    _, (asked,) = await office.asked(conversation="c1")
    await office.asked(conversation="c2")
    await office.approve(asked, request_id="r1")
    again = await office.desk.claimed()
    await office.desk.effects.begin(again, office.desk.call(asked))
    await office.desk.runs.finish(again, SUCCEEDED, last(6))
    kept = await counts(office.desk)
    assert kept == {"permissions": 2, "permission_audit": 3, "effects": 1, "request_keys": 1}
    for name, runs in (("c1", 1), ("c2", 1)):
        request = pb.DeleteConversationRequest(user_id="ann", conversation_id=name)
        assert (await office.service.stub.DeleteConversation(request)).deleted_runs == runs
    assert set((await counts(office.desk)).values()) == {0}


@pytest.mark.parametrize("name", ["permissions", "permission_audit", "effects"])
async def test_every_row_has_its_owner(desk: Desk, name: str) -> None:
    attempt, (asked,) = await desk.waiting()
    await desk.decide(asked)
    await desk.effects.begin(await desk.claimed(), desk.call(asked))
    assert await desk.value(f"SELECT min(owner) FROM {name}") == attempt.owner  # noqa: S608
