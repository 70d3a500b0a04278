"""Deleting what is past its time, in transactions of bounded size, by one process at a time."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from state.errors import DatabaseUnavailableError
from state.models import ConversationId, Deleted, Extent, Owner
from state.postgres import retention_sql as sql
from state.postgres.database import Database
from state.threads import thread_id

if TYPE_CHECKING:
    from state.postgres.database import Connection


class PostgresRetention:
    """Implements `orchestrator.retention.RetentionStore`, on a database of its own: nobody need wait for it.

    A batch looks at `batch_runs` runs and deletes up to `batch_rows` rows of a table.
    """

    def __init__(self, database: Database, *, batch_runs: int = 100, batch_rows: int = 1000) -> None:
        self._database = database
        self._batch_runs = batch_runs
        self._batch_rows = batch_rows

    async def prune_checkpoints(self, idle_seconds: float) -> Deleted | None:
        async with self._turn() as connection:
            if connection is None:
                return None
            runs = await connection.fetch(sql.OLD_RUNS, idle_seconds, self._batch_runs)
            deleted = await self._prune_threads(connection, runs, idle_seconds)
            if deleted.more:
                return deleted  # these runs come again, with less to delete
            await connection.execute(sql.MARK_PRUNED, [run["run_id"] for run in runs])
            return Deleted(deleted.tables, len(runs) == self._batch_runs)

    async def prune_events(self, seconds: float) -> Deleted | None:
        async with self._turn() as connection:
            if connection is None:
                return None
            (row,) = await connection.fetch(sql.DELETE_EVENTS, seconds, self._batch_runs, self._batch_rows)
            events = _extent(row)
            more = events.rows == self._batch_rows or row["runs"] == self._batch_runs
            return Deleted({"run_events": events}, more)

    async def delete_runs(self, seconds: float) -> Deleted | None:
        async with self._turn() as connection:
            if connection is None:
                return None
            (row,) = await connection.fetch(sql.DELETE_RUNS, seconds, self._batch_runs)
            runs, events = _extent(row), Extent(row["event_rows"], row["event_bytes"])
            return Deleted({"runs": runs, "run_events": events}, runs.rows == self._batch_runs)

    async def delete_request_keys(self, seconds: float) -> Deleted | None:
        return await self._delete("request_keys", sql.DELETE_REQUEST_KEYS, seconds)

    async def delete_outbox(self, seconds: float) -> Deleted | None:
        return await self._delete("outbox", sql.DELETE_OUTBOX, seconds)

    async def delete_usage(self, seconds: float) -> Deleted | None:
        return await self._delete("usage_sums", sql.DELETE_USAGE, seconds)

    async def _delete(self, table: str, statement: str, seconds: float) -> Deleted | None:
        async with self._turn() as connection:
            if connection is None:
                return None
            (row,) = await connection.fetch(statement, seconds, self._batch_rows)
            return Deleted({table: _extent(row)}, row["rows"] == self._batch_rows)

    async def _prune_threads(
        self, connection: "Connection", runs: Sequence[asyncpg.Record], idle_seconds: float
    ) -> Deleted:
        conversations = sorted({(run["owner"], run["conversation_id"]) for run in runs})
        threads = [thread_id(Owner(owner), ConversationId(name)) for owner, name in conversations]
        owners, names = [owner for owner, _ in conversations], [name for _, name in conversations]
        idle = (threads, owners, names, idle_seconds)
        old = await connection.fetch(sql.LOCK_CHECKPOINTS, *idle, self._batch_rows)
        columns = ([row[column] for row in old] for column in range(3))
        (checkpoints,) = await connection.fetch(sql.DELETE_CHECKPOINTS, *idle, *columns)
        (writes,) = await connection.fetch(sql.DELETE_WRITES, *idle, self._batch_rows)
        (blobs,) = await connection.fetch(sql.DELETE_BLOBS, *idle, self._batch_rows)
        await connection.execute(sql.FORGET_PARENTS, *idle)
        tables = {
            "checkpoints": _extent(checkpoints),
            "checkpoint_writes": _extent(writes),
            "checkpoint_blobs": _extent(blobs),
        }
        # Not the checkpoints deleted: some of those locked may belong to who became active meanwhile.
        full = (len(old), writes["rows"], blobs["rows"])
        return Deleted(tables, self._batch_rows in full)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator["Connection | None"]:
        """A transaction, or None when another process has its turn. No failure of Postgres ends the job."""
        try:
            async with self._database.connection() as connection, connection.transaction():
                mine = await connection.fetchval(sql.TAKE_TURN)
                yield connection if mine else None
        except asyncpg.PostgresError as error:
            raise DatabaseUnavailableError("the database refuses") from error


def _extent(row: asyncpg.Record) -> Extent:
    return Extent(row["rows"], row["bytes"])
