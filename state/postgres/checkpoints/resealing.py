"""A thread's copy: what is sealed for the thread it came from is sealed anew for the one it is in."""

from dataclasses import replace
from typing import TYPE_CHECKING

import asyncpg
import orjson

from state.postgres.checkpoints.plain import PlainSerializer, readable
from state.postgres.checkpoints.seals import INLINE, SEALED, Seals
from state.sealing import Sealing

if TYPE_CHECKING:
    from state.postgres.database import Connection

_CHECKPOINTS = f"""
SELECT checkpoint_ns, checkpoint_id, checkpoint FROM checkpoints
WHERE thread_id = $1 AND checkpoint -> 'channel_values' @? '$.*.{INLINE}'
"""  # noqa: S608 - a constant
_BLOBS = f"""
SELECT checkpoint_ns, channel, version, type, blob FROM checkpoint_blobs
WHERE thread_id = $1 AND type LIKE '%{SEALED}'
"""  # noqa: S608 - a constant
_WRITES = f"""
SELECT checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob FROM checkpoint_writes
WHERE thread_id = $1 AND type LIKE '%{SEALED}'
"""  # noqa: S608 - a constant
_SET_CHECKPOINT = """
UPDATE checkpoints SET checkpoint = $4::jsonb
WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id = $3
"""
_SET_BLOB = """
UPDATE checkpoint_blobs SET type = $5, blob = $6
WHERE thread_id = $1 AND checkpoint_ns = $2 AND channel = $3 AND version = $4
"""
_SET_WRITE = """
UPDATE checkpoint_writes SET type = $6, blob = $7
WHERE thread_id = $1 AND checkpoint_ns = $2 AND checkpoint_id = $3 AND task_id = $4 AND idx = $5
"""


async def resealed(connection: "Connection", sealing: Sealing, source: str, target: str) -> None:
    """Within the transaction that has just copied all that is in `target` from `source`.

    Raises:
        StateUnreadableError: What was copied cannot be opened.
    """
    copy = _Copy(sealing, source, target)
    with readable():
        checkpoints = [copy.checkpoint(row) for row in await connection.fetch(_CHECKPOINTS, target)]
        blobs = [copy.blob(row) for row in await connection.fetch(_BLOBS, target)]
        writes = [copy.write(row) for row in await connection.fetch(_WRITES, target)]
    await connection.executemany(_SET_CHECKPOINT, checkpoints)
    await connection.executemany(_SET_BLOB, blobs)
    await connection.executemany(_SET_WRITE, writes)


class _Copy:
    """Each method gives the arguments of a statement above."""

    def __init__(self, sealing: Sealing, source: str, target: str) -> None:
        self._sealing, self._source, self._target = sealing, source, target
        self._serde = PlainSerializer()

    def checkpoint(self, row: asyncpg.Record) -> tuple[str, ...]:
        there, here = self._seals(row["checkpoint_ns"])
        checkpoint, checkpoint_id = orjson.loads(row["checkpoint"]), row["checkpoint_id"]
        values = checkpoint["channel_values"]
        for channel, value in values.items():
            plain = there.opened_inline(checkpoint_id, channel, value)
            values[channel] = here.inline(checkpoint_id, channel, plain)
        return self._target, row["checkpoint_ns"], checkpoint_id, orjson.dumps(checkpoint).decode()

    def blob(self, row: asyncpg.Record) -> tuple[str | bytes, ...]:
        there, here = self._seals(row["checkpoint_ns"])
        at = (row["channel"], row["version"])
        plain = there.opened(there.of_blob(*at), row["type"], row["blob"])
        return self._target, row["checkpoint_ns"], *at, *here.sealed(here.of_blob(*at), *plain)

    def write(self, row: asyncpg.Record) -> tuple[str | int | bytes, ...]:
        there, here = self._seals(row["checkpoint_ns"])
        at = (row["checkpoint_id"], row["task_id"], row["idx"])
        plain = there.opened(there.of_write(*at, row["channel"]), row["type"], row["blob"])
        stored = here.sealed(here.of_write(*at, row["channel"]), *plain)
        return self._target, row["checkpoint_ns"], *at, *stored

    def _seals(self, namespace: str) -> tuple[Seals, Seals]:
        """The original's, and the copy's."""
        there = Seals(self._serde, self._sealing, self._source, namespace)
        return there, replace(there, thread_id=self._target)
