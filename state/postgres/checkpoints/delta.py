"""Delta channels: LangGraph stores what was written to them and, now and then, a snapshot of their value."""

from collections.abc import Iterable, Mapping, Sequence

import asyncpg
import orjson
from langgraph.checkpoint.base import DeltaChannelHistory, PendingWrite, writes_sort_key

from state.postgres.checkpoints.seals import Seals
from state.postgres.checkpoints.sql import MINE


def stored(checkpoint: str, channel: str) -> str:
    """The SQL condition that a checkpoint holds a value of a channel, in itself or among the blobs."""
    return f"""(
        {checkpoint}.checkpoint -> 'channel_values' ? {channel} OR EXISTS (
            SELECT FROM checkpoint_blobs b
            WHERE b.thread_id = {checkpoint}.thread_id AND b.checkpoint_ns = {checkpoint}.checkpoint_ns
                AND b.channel = {channel}
                AND b.version = {checkpoint}.checkpoint -> 'channel_versions' ->> {channel}
                AND b.type <> 'empty'
        )
    )"""


# From the checkpoint's parent up, until each channel has met a stored value. The writes at the checkpoint
# where it lies came after it. `wanted`: the channels still open there; `found`: those whose value lies there.
SELECT_HISTORY = f"""
WITH RECURSIVE walk AS (
    (
        SELECT 0 AS depth, c.checkpoint_id, c.parent_checkpoint_id,
            '{{}}'::text[] AS wanted, '{{}}'::text[] AS found, $5::text[] AS open
        FROM checkpoints c
        WHERE {MINE} AND c.thread_id = $2 AND c.checkpoint_ns = $3
            AND ($4::text IS NULL OR c.checkpoint_id = $4)
        ORDER BY c.position DESC LIMIT 1
    )
    UNION ALL
    SELECT walk.depth + 1, c.checkpoint_id, c.parent_checkpoint_id, walk.open, here.found,
        ARRAY(SELECT name FROM unnest(walk.open) AS name WHERE name <> ALL (here.found))
    FROM walk
    JOIN checkpoints c ON c.thread_id = $2 AND c.checkpoint_ns = $3
        AND c.checkpoint_id = walk.parent_checkpoint_id AND {MINE}
    CROSS JOIN LATERAL (
        SELECT ARRAY(SELECT name FROM unnest(walk.open) AS name WHERE {stored("c", "name")}) AS found
    ) AS here
    WHERE walk.open <> '{{}}'
)
SELECT walk.depth, w.channel, w.type, w.blob, w.task_id, w.task_path, w.idx, NULL AS inline,
    walk.checkpoint_id, NULL AS version
FROM walk
JOIN checkpoint_writes w ON w.thread_id = $2 AND w.checkpoint_ns = $3 AND w.checkpoint_id = walk.checkpoint_id
    AND w.channel = ANY (walk.wanted)
UNION ALL
SELECT walk.depth, name, b.type, b.blob, NULL, NULL, NULL, c.checkpoint -> 'channel_values' -> name,
    walk.checkpoint_id, b.version
FROM walk
CROSS JOIN LATERAL unnest(walk.found) AS name
JOIN checkpoints c ON c.thread_id = $2 AND c.checkpoint_ns = $3 AND c.checkpoint_id = walk.checkpoint_id
LEFT JOIN checkpoint_blobs b ON b.thread_id = $2 AND b.checkpoint_ns = $3 AND b.channel = name
    AND b.version = c.checkpoint -> 'channel_versions' ->> name AND b.type <> 'empty'
"""  # noqa: S608 - a constant


def histories(
    seals: Seals, channels: Sequence[str], rows: Iterable[asyncpg.Record]
) -> Mapping[str, DeltaChannelHistory]:
    """Each channel's writes, oldest first, and its seed if a stored value was met."""
    result: dict[str, DeltaChannelHistory] = {channel: {"writes": []} for channel in channels}
    for row in sorted(rows, key=_oldest_first):
        history = result[row["channel"]]
        if row["task_id"] is not None:
            write: PendingWrite = (row["task_id"], row["channel"], _written(seals, row))
            history["writes"].append(write)
        else:
            history["seed"] = _stored(seals, row)
    return result


def _oldest_first(row: asyncpg.Record) -> tuple[int, str, str, int]:
    return (-row["depth"], *writes_sort_key(row["task_path"] or "", row["task_id"] or "", row["idx"] or 0))


def _written(seals: Seals, row: asyncpg.Record) -> object:
    return seals.opened_write(
        row["checkpoint_id"], row["task_id"], row["idx"], row["channel"], (row["type"], row["blob"])
    )


def _stored(seals: Seals, row: asyncpg.Record) -> object:
    # A blob wins: beside a snapshot's blob the plain value is only the mark `true`.
    if row["type"]:
        return seals.opened_blob(row["channel"], row["version"], (row["type"], row["blob"]))
    return seals.opened_inline(row["checkpoint_id"], row["channel"], orjson.loads(row["inline"]))
