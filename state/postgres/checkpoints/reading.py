"""What both savers share: reading checkpoints of one owner, newest first by the order of writing."""

import random
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_id,
)

from state.models import Owner
from state.postgres.checkpoints import sql
from state.postgres.checkpoints.delta import SELECT_HISTORY, histories
from state.postgres.checkpoints.grouping import GroupedStatement
from state.postgres.checkpoints.plain import PlainSerializer, readable
from state.postgres.checkpoints.rows import joined_checkpoint, joined_metadata, joined_writes
from state.postgres.checkpoints.seals import Seals
from state.postgres.database import Database
from state.sealing import PLAIN, Sealing
from state.threads import RUN_THREAD_KEY, RunThread

_PAGE = 100
_LAST_POSITION = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose checkpoints a call is about; `run` when it is one that writes."""

    owner: Owner
    thread_id: str
    run: RunThread | None = None

    def at(self, namespace: str, checkpoint_id: str) -> RunnableConfig:
        """The config that names a checkpoint."""
        configurable = {
            "thread_id": self.thread_id,
            "checkpoint_ns": namespace,
            "checkpoint_id": checkpoint_id,
        }
        return {
            "configurable": configurable if self.run is None else {**configurable, RUN_THREAD_KEY: self.run}
        }


class ReadingSaver(BaseCheckpointSaver[str]):
    """Reads; how a config says whose checkpoints it means is up to the subclass.

    Stored bytes may build only plain data: else whoever can write a row could run code here. All readers
    raise StateUnreadableError for others.
    """

    def __init__(self, database: Database, *, sealing: Sealing = PLAIN) -> None:
        super().__init__(serde=PlainSerializer())
        self._sealing = sealing
        self._database = database
        self._newest = GroupedStatement(database, sql.SELECT_NEWEST)

    @abstractmethod
    def _scope(self, config: RunnableConfig) -> Scope: ...

    def get_next_version(self, current: str | None, channel: None) -> str:
        """A version greater than `current`, in the official saver's form: number, point, random tail."""
        del channel
        number = int(str(current).partition(".")[0]) if current is not None else 0
        return f"{number + 1:032}.{random.random():016}"  # not a secret: keeps branches' versions apart

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint named by the config, else the thread's newest; None when there is none.

        Raises:
            StateUnreadableError: It is not what a saver writes.
        """
        scope = self._scope(config)
        if scope.run is not None and scope.run.new and not scope.run.last_checkpoint_id:
            return None
        namespace = config["configurable"].get("checkpoint_ns", "")
        if wanted := get_checkpoint_id(config):
            return await self._named(scope, namespace, wanted)
        row = await self._newest.fetch((scope.owner, scope.thread_id, namespace))
        if scope.run is not None and not namespace and await _has_gone_on(scope.run, row["position"]):
            row = await self._newest.fetch((scope.owner, scope.thread_id, namespace))
        return None if row["checkpoint_id"] is None else self._tuple(scope, row)

    async def _named(self, scope: Scope, namespace: str, checkpoint_id: str) -> CheckpointTuple | None:
        if scope.run is not None and scope.run.base:
            await scope.run.attempt()  # what is the newest is certain only then
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                sql.SELECT_ONE, scope.owner, scope.thread_id, namespace, checkpoint_id
            )
        if row is None:
            return None
        _may_branch(scope, row)
        return self._tuple(scope, row)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """A thread's checkpoints, all of the owner's without a config; read in pages as they are wanted."""
        scope = self._scope(config or {"configurable": {}})
        wanted = (config or {}).get("configurable", {})
        arguments = (
            scope.owner,
            scope.thread_id if config else None,
            wanted.get("checkpoint_ns"),
            wanted.get("checkpoint_id") or None,
            orjson.dumps(filter or {}).decode(),
        )
        start = get_checkpoint_id(before) if before else None
        position, left = _LAST_POSITION, limit if limit is not None else _LAST_POSITION
        while left > 0:
            size = min(left, _PAGE)
            async with self._database.connection() as connection:
                statement = sql.LIST_THREAD if config else sql.LIST_OWNER
                rows = await connection.fetch(statement, *arguments, position, start, size)
            for row in rows:
                _may_branch(scope, row)
                yield self._tuple(scope, row)
            if len(rows) < size:
                return
            position, left = rows[-1]["position"], left - size

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What a channel is made of before the config's checkpoint: a stored value and the writes since."""
        scope = self._scope(config)
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                SELECT_HISTORY,
                scope.owner,
                scope.thread_id,
                config["configurable"].get("checkpoint_ns", ""),
                get_checkpoint_id(config) or None,
                list(channels),
            )
        seals = self._seals(scope.thread_id, config["configurable"].get("checkpoint_ns", ""))
        with readable():
            return histories(seals, channels, rows)

    def _seals(self, thread_id: str, namespace: str) -> Seals:
        return Seals(self.serde, self._sealing, thread_id, namespace)

    def _tuple(self, scope: Scope, row: asyncpg.Record) -> CheckpointTuple:
        namespace, parent = row["checkpoint_ns"], row["parent_checkpoint_id"]
        seals = self._seals(row.get("thread_id") or scope.thread_id, namespace)
        with readable():
            return CheckpointTuple(
                config=scope.at(namespace, row["checkpoint_id"]),
                checkpoint=joined_checkpoint(seals, row),
                metadata=joined_metadata(row),
                parent_config=scope.at(namespace, parent) if parent else None,
                pending_writes=joined_writes(seals, row),
            )


async def _has_gone_on(run: RunThread, position: int | None) -> bool:
    """Whether the thread moved while it was read: the run that held it until then was still ending.

    The reading began before the run had its conversation, to overlap with the commit that takes it.
    """
    if run.last_checkpoint_id:
        return False  # by this run itself
    head = (await run.attempt()).thread_head
    return head is not None and head != (position or 0)


def _may_branch(scope: Scope, row: asyncpg.Record) -> None:
    """Let the run go on from a checkpoint that it read by its id, or from its parent, as a copy does."""
    if scope.run is None:
        return
    branches, namespace = scope.run.branches, row["checkpoint_ns"]
    branches[namespace, row["checkpoint_id"]] = row["head"]
    branches.setdefault((namespace, row["parent_checkpoint_id"]), row["head"])
