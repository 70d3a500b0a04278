"""langgraph-checkpoint-conformance on our saver: everything it tests, nothing skipped."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability
from langgraph.checkpoint.conformance.initializer import RegisteredCheckpointer
from langgraph.checkpoint.conformance.report import ProgressCallbacks

from state.models import ThreadId
from state.postgres.checkpoints.reading import Scope
from state.postgres.checkpoints.saver import PostgresSaver
from state.postgres.checkpoints.unfenced import UnfencedPostgresSaver
from state.postgres.database import Database
from state.sealing import PLAIN, Sealing, SealingKey
from state.threads import RUN_THREAD_KEY, RunThread, StaleThreadError
from tests.harness.runs import ANN
from tests.integration.checkpoints.running import run_to_be

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


class FencedForTheKit(UnfencedPostgresSaver):
    """Reads and writes through the saver that runs use, with a run for each thread: the kit knows no runs."""

    def __init__(self, database: Database, sealing: Sealing = PLAIN) -> None:
        super().__init__(database, ANN, sealing=sealing)
        self._fenced = PostgresSaver(database, sealing=sealing)
        self._runs: dict[str, RunThread] = {}

    def _as_run(self, config: RunnableConfig) -> RunnableConfig:
        name = config["configurable"]["thread_id"]
        run = self._runs.setdefault(name, run_to_be(self._database, ThreadId(name)))
        return {**config, "configurable": {**config["configurable"], RUN_THREAD_KEY: run}}

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        at = self._as_run(config)
        try:
            return await self._fenced.aput(at, checkpoint, metadata, new_versions)
        except StaleThreadError:
            # The kit begins a thread anew that has begun, which is what no run may do.
            assert "checkpoint_id" not in at["configurable"]
            newest = await self._fenced.aget_tuple(at)
            assert newest is not None
            return await self._fenced.aput(newest.config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await self._fenced.aput_writes(self._as_run(config), writes, task_id, task_path)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await self._fenced.aget_tuple(self._as_run(config))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        assert config is not None
        async for one in self._fenced.alist(self._as_run(config), filter=filter, before=before, limit=limit):
            yield one

    def _scope(self, config: RunnableConfig) -> Scope:
        configurable = {key: value for key, value in config["configurable"].items() if key != RUN_THREAD_KEY}
        return super()._scope({"configurable": configurable})


def unfenced(database: Database) -> BaseCheckpointSaver[str]:
    return UnfencedPostgresSaver(database, ANN)


def sealed(database: Database) -> BaseCheckpointSaver[str]:
    return FencedForTheKit(database, Sealing([SealingKey("kit", bytes(32))]))


SAVERS = pytest.mark.parametrize("saver_of", [unfenced, FencedForTheKit, sealed])


def registered(dsn: str, saver_of: Callable[[Database], BaseCheckpointSaver[str]]) -> RegisteredCheckpointer:
    @checkpointer_test(name=saver_of.__name__)
    async def saver() -> AsyncGenerator[BaseCheckpointSaver[str], None]:
        async with Database(dsn, schema="orchestrator", pool_size=2) as database:
            yield saver_of(database)

    return saver


def test_the_kit_knows_no_capability_that_is_not_tested_here() -> None:
    assert {capability.value for capability in Capability} == set(TESTS)


@SAVERS
@pytest.mark.parametrize("capability", TESTS)
async def test_every_test_of_a_capability_passes(
    dsn: str, saver_of: Callable[[Database], BaseCheckpointSaver[str]], capability: str
) -> None:
    failures: list[str] = []

    def note(_capability: str, test: str, passed: bool, error: str | None) -> None:
        if not passed:
            failures.append(f"{test}: {error}")

    report = await validate(
        registered(dsn, saver_of), capabilities={capability}, progress=ProgressCallbacks(on_test_result=note)
    )
    result = report.results[capability]
    assert not failures, "\n".join(failures)
    assert result.detected
    assert result.passed
    assert result.tests_passed >= TESTS[capability]
    assert (result.tests_failed, result.tests_skipped) == (0, 0)
