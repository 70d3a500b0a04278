"""LangGraph's checkpointer on asyncpg: one statement for each operation, fenced by the run's attempt."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, cast

import asyncpg
import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_serializable_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from state.postgres.checkpoints import sql
from state.postgres.database import Database
from state.postgres.fence import fence_arguments, lost
from state.threads import RUN_THREAD_KEY, RunThread

_INLINE = (str, int, float, bool, type(None))


class PostgresSaver(BaseCheckpointSaver[str]):
    """Keeps checkpoints in the official schema; the newest is the one written last, whatever any clock says.

    Each call's `configurable` holds the run's `RunThread`. Stored bytes may build no Python object, only
    plain data: else whoever can write a row could run code here.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(serde=JsonPlusSerializer(allowed_msgpack_modules=None))
        self._database = database

    def get_next_version(self, current: str | None, channel: None) -> str:
        """A version greater than `current`, in the official saver's form: number, point, random tail."""
        del channel
        number = int(str(current).partition(".")[0]) if current is not None else 0
        return f"{number + 1:032}.{random.random():016}"  # not a secret: keeps branches' versions apart

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint named by the config, else the thread's newest; None when there is none."""
        run = _run_thread(config)
        if run.new and not run.last_checkpoint_id:
            return None
        namespace = config["configurable"].get("checkpoint_ns", "")
        arguments = [run.thread_id, namespace, run.owner]
        statement = sql.SELECT_NEWEST
        if wanted := get_checkpoint_id(config):
            statement = sql.SELECT_ONE
            arguments.append(wanted)
        async with self._database.connection() as connection:
            row = await connection.fetchrow(statement, *arguments)
        return None if row is None else self._tuple(config, row)

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
        """
        run = _run_thread(config)
        namespace = config["configurable"].get("checkpoint_ns", "")
        values = checkpoint["channel_values"]
        inline = {name: value for name, value in values.items() if isinstance(value, _INLINE)}
        blobs = self._blobs(values, new_versions)
        stored = orjson.dumps({**checkpoint, "channel_values": inline}).decode()
        attempt = await run.attempt()
        async with self._database.connection() as connection:
            written = await connection.fetchval(
                sql.PUT,
                *fence_arguments(attempt),
                run.thread_id,
                namespace,
                *blobs,
                checkpoint["id"],
                get_checkpoint_id(config),
                stored,
                orjson.dumps(get_serializable_checkpoint_metadata(config, metadata)).decode(),
            )
        if written is None:
            raise lost(attempt)
        run.last_checkpoint_id = checkpoint["id"]
        return _at(config, checkpoint["id"])

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Write what a step's task produced before the step's checkpoint.

        Raises:
            LostAttemptError: Another attempt owns the run.
        """
        run = _run_thread(config)
        special = all(channel in WRITES_IDX_MAP for channel, _ in writes)
        dumped = [self.serde.dumps_typed(value) for _, value in writes]
        attempt = await run.attempt()
        async with self._database.connection() as connection:
            owned = await connection.fetchval(
                sql.PUT_WRITES_AGAIN if special else sql.PUT_WRITES_ONCE,
                *fence_arguments(attempt),
                run.thread_id,
                config["configurable"].get("checkpoint_ns", ""),
                config["configurable"]["checkpoint_id"],
                task_id,
                task_path,
                [WRITES_IDX_MAP.get(channel, index) for index, (channel, _) in enumerate(writes)],
                [channel for channel, _ in writes],
                [kind for kind, _ in dumped],
                [blob for _, blob in dumped],
            )
        if owned is None:
            raise lost(attempt)

    def _blobs(
        self, values: Mapping[str, Any], new_versions: ChannelVersions
    ) -> tuple[list[str], list[str], list[str], list[bytes | None]]:
        channels, versions, kinds, blobs = [], [], [], []
        for channel, version in new_versions.items():
            if channel in values and isinstance(values[channel], _INLINE):
                continue
            kind, blob = self.serde.dumps_typed(values[channel]) if channel in values else ("empty", None)
            channels.append(channel)
            versions.append(str(version))
            kinds.append(kind)
            blobs.append(blob)
        return channels, versions, kinds, blobs

    def _tuple(self, config: RunnableConfig, row: asyncpg.Record) -> CheckpointTuple:
        checkpoint = orjson.loads(row["checkpoint"])
        checkpoint["channel_values"] = {
            **(checkpoint.get("channel_values") or {}),
            **{
                channel: self.serde.loads_typed((kind, blob))
                for channel, kind, blob in row["blobs"] or ()
                if kind != "empty"
            },
        }
        ordered = sorted(row["writes"] or (), key=lambda w: writes_sort_key(w[4], w[0], w[5]))
        parent = row["parent_checkpoint_id"]
        return CheckpointTuple(
            config=_at(config, row["checkpoint_id"]),
            checkpoint=cast(Checkpoint, checkpoint),
            metadata=cast(CheckpointMetadata, orjson.loads(row["metadata"])),
            parent_config=_at(config, parent) if parent else None,
            pending_writes=[
                (task, channel, self.serde.loads_typed((kind, blob)))
                for task, channel, kind, blob, _, _ in ordered
            ],
        )


def _run_thread(config: RunnableConfig) -> RunThread:
    return cast(RunThread, config["configurable"][RUN_THREAD_KEY])


def _at(config: RunnableConfig, checkpoint_id: str) -> RunnableConfig:
    run = _run_thread(config)
    return {
        "configurable": {
            "thread_id": run.thread_id,
            "checkpoint_ns": config["configurable"].get("checkpoint_ns", ""),
            "checkpoint_id": checkpoint_id,
            RUN_THREAD_KEY: run,
        }
    }
