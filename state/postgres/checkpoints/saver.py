"""LangGraph's checkpointer on asyncpg: one statement for each operation, fenced by the run's attempt."""

from collections.abc import Sequence
from typing import Any

import asyncpg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    get_checkpoint_id,
)

from state.models import Attempt
from state.postgres.checkpoints import sql
from state.postgres.checkpoints.grouping import GroupedStatement
from state.postgres.checkpoints.reading import ReadingSaver, Scope
from state.postgres.checkpoints.rows import metadata_json, split_checkpoint, split_writes
from state.postgres.database import Database
from state.postgres.fence import fence_arguments, lost
from state.sealing import PLAIN, Sealing
from state.threads import RUN_THREAD_KEY, RunThread, StaleThreadError


class RunThreadMissingError(Exception):
    """A graph was run without saying for which run: nothing is read or written then."""


class PostgresSaver(ReadingSaver):
    """Keeps a run's checkpoints in the official schema.

    Each call's `configurable` holds the run's `RunThread`. A checkpoint is written only while the run's
    attempt owns it, and only after the checkpoint it stands on: the thread's newest, or one the run read by
    its id while nothing came since. So no turn that was written is ever lost from the thread, whatever
    clocks, paused processes or other runs do.
    """

    def __init__(self, database: Database, *, sealing: Sealing = PLAIN) -> None:
        super().__init__(database, sealing=sealing)
        self._put = GroupedStatement(database, sql.PUT)
        self._put_writes = GroupedStatement(database, sql.PUT_WRITES_ONCE)

    def _scope(self, config: RunnableConfig) -> Scope:
        run = config["configurable"].get(RUN_THREAD_KEY)
        if not isinstance(run, RunThread):
            raise RunThreadMissingError("a run's checkpoints need its RunThread in the config")
        return Scope(run.owner, run.thread_id, run)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Write a checkpoint and the values that are new in it.

        Raises:
            LostAttemptError: Another attempt owns the run.
            StaleThreadError: The thread has gone on since the run read it.
        """
        scope = self._scope(config)
        run, namespace = scope.run, config["configurable"].get("checkpoint_ns", "")
        assert run is not None
        if not run.complete:
            return scope.at(namespace, checkpoint["id"])
        parent = get_checkpoint_id(config)
        stored, blobs = split_checkpoint(self._seals(run.thread_id, namespace), checkpoint, new_versions)
        attempt = await run.attempt()
        about = metadata_json(config, metadata)
        row = await self._place(
            attempt,
            run.branches.get((namespace, parent)),
            (run.thread_id, namespace, checkpoint["id"], parent, stored, about, *blobs),
            len(stored) + sum(map(len, blobs.blobs)),
        )
        if not row["owned"]:
            raise lost(attempt)
        if not row["placed"]:
            raise _stale()
        run.last_checkpoint_id = checkpoint["id"]
        return scope.at(namespace, checkpoint["id"])

    async def _place(
        self, attempt: Attempt, newest: int | None, values: tuple[Any, ...], size: int
    ) -> asyncpg.Record:
        arguments = (*fence_arguments(attempt), *values)
        try:
            if newest is None:
                return await self._put.fetch(arguments, run_id=attempt.run_id, size=size)
            async with self._database.connection() as connection:
                row = await connection.fetchrow(sql.PUT_BRANCH, *arguments, newest)
        except asyncpg.UniqueViolationError as error:
            raise _stale() from error  # somebody took the same place in this very moment
        assert row is not None
        return row

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Write what a step's task produced before the step's checkpoint.

        Raises:
            LostAttemptError: Another attempt owns the run.
        """
        run = self._scope(config).run
        assert run is not None
        if not run.complete:
            return
        namespace = config["configurable"].get("checkpoint_ns", "")
        checkpoint_id = config["configurable"]["checkpoint_id"]
        columns = split_writes(self._seals(run.thread_id, namespace), checkpoint_id, task_id, writes)
        attempt = await run.attempt()
        arguments = (
            *fence_arguments(attempt),
            run.thread_id,
            namespace,
            checkpoint_id,
            task_id,
            task_path,
            *columns,
        )
        if all(channel in WRITES_IDX_MAP for channel in columns.channels):
            async with self._database.connection() as connection:
                owned = await connection.fetchval(sql.PUT_WRITES_AGAIN, *arguments)
        else:
            size = sum(map(len, columns.blobs))
            row = await self._put_writes.fetch(arguments, run_id=attempt.run_id, size=size)
            owned = row["owned"]
        if not owned:
            raise lost(attempt)


def _stale() -> StaleThreadError:
    return StaleThreadError("the conversation went on meanwhile: this turn was not kept")
