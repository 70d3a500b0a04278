"""Checkpoints as the official schema keeps them: plain values in the checkpoint's JSON, the rest as blobs."""

from collections.abc import Sequence
from math import isfinite
from typing import Any, NamedTuple, cast

import asyncpg
import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    PendingWrite,
    get_serializable_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.types import TASKS, _DeltaSnapshot

from state.postgres.checkpoints.seals import Seals

_PENDING_SENDS_MOVED = 4
"""Since this version a checkpoint's pending sends are a channel; before, they are its parent's writes."""


class Blobs(NamedTuple):
    """Columns of `checkpoint_blobs`, one entry a row."""

    channels: list[str]
    versions: list[str]
    kinds: list[str]
    blobs: list[bytes]


class Writes(NamedTuple):
    """Columns of `checkpoint_writes`, one entry a row."""

    indexes: list[int]
    channels: list[str]
    kinds: list[str]
    blobs: list[bytes]


def split_checkpoint(
    seals: Seals, checkpoint: Checkpoint, new_versions: ChannelVersions
) -> tuple[str, Blobs]:
    """The JSON of a checkpoint, and what is new in it and not plain."""
    inline: dict[str, Any] = {}
    blobs = Blobs([], [], [], [])
    for channel, value in checkpoint["channel_values"].items():
        if _is_plain(value):
            inline[channel] = seals.inline(checkpoint["id"], channel, value)
            continue
        if isinstance(value, _DeltaSnapshot):
            inline[channel] = True  # the official saver's mark: a snapshot lies among the blobs
        if channel in new_versions:
            version = str(new_versions[channel])
            kind, blob = seals.blob(channel, version, value)
            blobs.channels.append(channel)
            blobs.versions.append(version)
            blobs.kinds.append(kind)
            blobs.blobs.append(blob)
    return orjson.dumps({**checkpoint, "channel_values": inline}).decode(), blobs


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return "\0" not in value  # jsonb cannot hold it
    if isinstance(value, float):
        return isfinite(value)  # JSON would make null of it
    return value is None or isinstance(value, int)


def metadata_json(config: RunnableConfig, metadata: CheckpointMetadata) -> str:
    return orjson.dumps(get_serializable_checkpoint_metadata(config, metadata)).decode()


def split_writes(seals: Seals, checkpoint_id: str, task_id: str, writes: Sequence[tuple[str, Any]]) -> Writes:
    columns = Writes([], [], [], [])
    for index, (channel, value) in enumerate(writes):
        number = WRITES_IDX_MAP.get(channel, index)
        kind, blob = seals.write(checkpoint_id, task_id, number, channel, value)
        columns.indexes.append(number)
        columns.channels.append(channel)
        columns.kinds.append(kind)
        columns.blobs.append(blob)
    return columns


def joined_checkpoint(seals: Seals, row: asyncpg.Record) -> Checkpoint:
    """A checkpoint with all its values."""
    checkpoint = orjson.loads(row["checkpoint"])
    values = checkpoint.setdefault("channel_values", {})
    for channel, value in values.items():
        values[channel] = seals.opened_inline(row["checkpoint_id"], channel, value)
    versions = checkpoint["channel_versions"]
    for channel, kind, blob in row["blobs"] or ():
        if kind != "empty":
            values[channel] = seals.opened_blob(channel, str(versions[channel]), (kind, blob))
    if row["sends"] and checkpoint["v"] < _PENDING_SENDS_MOVED:
        parent = row["parent_checkpoint_id"]
        values[TASKS] = [
            seals.opened_write(parent, task, number, TASKS, (kind, blob))
            for task, number, kind, blob in row["sends"]
        ]
        versions[TASKS] = max(versions.values(), default="1")
    return cast(Checkpoint, checkpoint)


def joined_metadata(row: asyncpg.Record) -> CheckpointMetadata:
    return cast(CheckpointMetadata, orjson.loads(row["metadata"]))


def joined_writes(seals: Seals, row: asyncpg.Record) -> list[PendingWrite]:
    """What tasks have written to a checkpoint, in the order in which they are applied."""
    return [
        (task, channel, seals.opened_write(row["checkpoint_id"], task, number, channel, (kind, blob)))
        for task, channel, kind, blob, _, number in sorted(
            row["writes"] or (), key=lambda write: writes_sort_key(write[4], write[0], write[5])
        )
    ]
