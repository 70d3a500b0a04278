"""The saver for what no run does: upkeep of an owner's threads, import, tools."""

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

from state.errors import ConversationNotEmptyError, NotFoundError
from state.models import Owner
from state.postgres.checkpoints import sql, upkeep_sql
from state.postgres.checkpoints.reading import ReadingSaver, Scope
from state.postgres.checkpoints.resealing import resealed
from state.postgres.checkpoints.rows import metadata_json, split_checkpoint, split_writes
from state.postgres.database import Database
from state.sealing import PLAIN, Sealing
from state.threads import RUN_THREAD_KEY
from state.violations import Resource

_STRATEGIES = ("keep_latest", "delete")


class RunThreadRefusedError(Exception):
    """A run came to the saver that would let a lost attempt write."""


class DeltaHistoryError(Exception):
    """A checkpoint that stays is rebuilt from writes that would go; nothing was deleted."""


class UnfencedPostgresSaver(ReadingSaver):
    """Reads and writes threads of one owner with no run to vouch for it, so nobody else may write to them.

    `keep_latest` is the exception: a thread may be pruned while its runs write.
    """

    def __init__(self, database: Database, owner: Owner, *, sealing: Sealing = PLAIN) -> None:
        super().__init__(database, sealing=sealing)
        self._owner = owner

    def _scope(self, config: RunnableConfig) -> Scope:
        configurable = config["configurable"]
        if RUN_THREAD_KEY in configurable:
            raise RunThreadRefusedError("a run's checkpoints belong to the saver that fences them")
        return Scope(self._owner, str(configurable.get("thread_id", "")))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Write a checkpoint and the values that are new in it; it becomes the newest of its thread."""
        scope, namespace = self._scope(config), config["configurable"].get("checkpoint_ns", "")
        seals = self._seals(scope.thread_id, namespace)
        stored, blobs = split_checkpoint(seals, checkpoint, new_versions)
        await self._execute(
            sql.PUT_UNFENCED,
            scope.thread_id,
            namespace,
            checkpoint["id"],
            get_checkpoint_id(config),
            stored,
            metadata_json(config, metadata),
            *blobs,
        )
        return scope.at(namespace, checkpoint["id"])

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Write what a step's task produced before the step's checkpoint."""
        special = all(channel in WRITES_IDX_MAP for channel, _ in writes)
        thread_id, namespace = self._scope(config).thread_id, config["configurable"].get("checkpoint_ns", "")
        checkpoint_id = config["configurable"]["checkpoint_id"]
        await self._execute(
            sql.PUT_WRITES_AGAIN_UNFENCED if special else sql.PUT_WRITES_ONCE_UNFENCED,
            thread_id,
            namespace,
            checkpoint_id,
            task_id,
            task_path,
            *split_writes(self._seals(thread_id, namespace), checkpoint_id, task_id, writes),
        )

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete everything of a thread."""
        await self.aprune([thread_id], strategy="delete")

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread as it stands, with all its branches and in its order.

        Raises:
            NotFoundError: The owner has no such thread.
            ConversationNotEmptyError: There is something in the target.
        """
        try:
            async with self._database.connection() as connection, connection.transaction():
                done = await connection.fetchrow(
                    upkeep_sql.COPY, self._owner, source_thread_id, target_thread_id
                )
                assert done is not None
                if done["copied"]:
                    await resealed(connection, self._sealing, source_thread_id, target_thread_id)
        except asyncpg.UniqueViolationError as error:
            raise ConversationNotEmptyError("the conversation has turns of its own") from error
        if not done["free"]:
            raise ConversationNotEmptyError("the conversation has turns of its own")
        if not done["copied"]:
            raise NotFoundError("no such thread", Resource("thread", source_thread_id))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints that runs wrote; looks at every checkpoint of the owner.

        Raises:
            DeltaHistoryError: Later checkpoints are rebuilt from theirs.
        """
        if not run_ids:
            return
        async with self._database.connection() as connection:
            torn = await connection.fetchval(upkeep_sql.DELETE_RUNS, self._owner, list(run_ids))
        if torn:
            raise DeltaHistoryError("later checkpoints are rebuilt from those of these runs")

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete threads, or all of them but the newest checkpoint of each namespace and what that one needs.

        With `keep_latest` each thread is a transaction of its own. A checkpoint whose delta channels are
        rebuilt from its ancestors keeps these, up to the channels' last snapshot.
        """
        if isinstance(thread_ids, str):
            raise TypeError("thread_ids must be a sequence of thread ids, not one of them")
        if strategy not in _STRATEGIES:
            raise ValueError(f"unknown strategy {strategy!r}: one of {', '.join(_STRATEGIES)}")
        if strategy == "delete":
            await self._execute(upkeep_sql.DELETE, list(thread_ids))
            return
        for thread_id in thread_ids:
            async with self._database.connection() as connection, connection.transaction():
                await connection.fetch(upkeep_sql.LOCK_THREAD, self._owner, thread_id)
                # Only a statement that begins once the rows are locked sees every branch that began before.
                await connection.fetchval(upkeep_sql.KEEP_LATEST, self._owner, thread_id)

    async def _execute(self, statement: str, *arguments: object) -> None:
        async with self._database.connection() as connection:
            await connection.execute(statement, self._owner, *arguments)
