"""langgraph-checkpoint-conformance on our saver: everything it tests, nothing skipped."""

from collections.abc import AsyncGenerator

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability
from langgraph.checkpoint.conformance.initializer import RegisteredCheckpointer
from langgraph.checkpoint.conformance.report import ProgressCallbacks

from state.models import Owner
from state.postgres.checkpoints.unfenced import UnfencedPostgresSaver
from state.postgres.database import Database

TESTS = {
    "put": 17,
    "put_writes": 10,
    "get_tuple": 10,
    "list": 16,
    "delete_thread": 5,
    "delete_for_runs": 7,
    "copy_thread": 8,
    "prune": 8,
}
"""How many tests each capability has at least: as many as in the release of the kit when this was written."""


def registered(dsn: str) -> RegisteredCheckpointer:
    @checkpointer_test(name="UnfencedPostgresSaver")
    async def saver() -> AsyncGenerator[BaseCheckpointSaver[str], None]:
        async with Database(dsn, schema="orchestrator", pool_size=2) as database:
            yield UnfencedPostgresSaver(database, Owner("ann"))

    return saver


def test_the_kit_knows_no_capability_that_is_not_tested_here() -> None:
    assert {capability.value for capability in Capability} == set(TESTS)


@pytest.mark.parametrize("capability", TESTS)
async def test_every_test_of_a_capability_passes(dsn: str, capability: str) -> None:
    failures: list[str] = []

    def note(_capability: str, _test: str, passed: bool, error: str | None) -> None:
        if not passed:
            failures.append(error or "")

    report = await validate(
        registered(dsn), capabilities={capability}, progress=ProgressCallbacks(on_test_result=note)
    )
    result = report.results[capability]
    assert not failures, "\n".join(failures)
    assert result.detected
    assert result.passed
    assert result.tests_passed >= TESTS[capability]
    assert (result.tests_failed, result.tests_skipped) == (0, 0)
