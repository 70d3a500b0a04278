"""The outbox, for the one process whose turn it is to relay it.

What a broker has is deleted, and nothing remembers how far anybody was: so a row that is committed after one
with a higher `event_id` is found by the next look, and cannot be skipped. Whoever writes a row holds a lock
on what its key names (migration 0022), so of a key the visible rows are always the first ones, in order.
"""

from collections.abc import Sequence

import asyncpg
import orjson

from state.errors import DatabaseUnavailableError
from state.models import Owner, RunId
from state.outbox import Lag, OutboxEvent
from state.postgres.database import Database

_MOST_COUNTED = 1_000_000

# The turn belongs to the session and ends with it. A process that was stopped, or cut off, does not end its
# session: Postgres does, when nothing was asked for so long. Taken again by who has it, the lock only counts.
_TURN = """
turn AS MATERIALIZED (
    SELECT pg_try_advisory_lock(hashtextextended(current_schema() || '.outbox', 0)) AS mine,
        set_config('idle_session_timeout', $1, false)
)
"""
_COLUMNS = "event_id, run_id, owner, type, data, create_time"
_NEXT = f"""
WITH {_TURN}
SELECT turn.mine, o.* FROM turn LEFT JOIN LATERAL (
    SELECT {_COLUMNS} FROM outbox WHERE turn.mine ORDER BY event_id LIMIT $2
) AS o ON true ORDER BY o.event_id
"""  # noqa: S608 - constants only
_KEEP = f"WITH {_TURN} SELECT mine FROM turn"  # noqa: S608
_FORGET = "DELETE FROM outbox WHERE event_id = ANY ($1::bigint[])"
_LAG = """
SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) AS o) AS events,
    coalesce(extract(epoch FROM clock_timestamp() - min(create_time)), 0)::float8 AS seconds
FROM outbox
"""

# A writer has its transaction's number before it has the row's: once everybody who had one at the first look
# has ended, nothing can appear any more up to the highest row that was seen then.
_AFTER = f"""
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next, o.*
FROM (SELECT) AS one LEFT JOIN LATERAL (
    SELECT {_COLUMNS} FROM outbox WHERE event_id > $1 AND event_id <> ALL ($2::bigint[])
    ORDER BY event_id LIMIT $3
) AS o ON true ORDER BY o.event_id
"""  # noqa: S608 - constants only


class PostgresOutbox:
    """Implements `state.outbox.Outbox`, on a connection of its own.

    Who has the turn and is silent for `idle_seconds` loses it.
    """

    def __init__(self, database: Database, *, idle_seconds: float = 15.0) -> None:
        self._connection = database.keep()
        self._idle = f"{int(idle_seconds * 1000)}ms"

    async def next(self, most: int) -> Sequence[OutboxEvent] | None:
        rows = await self._fetch(_NEXT, self._idle, most)
        return _events(rows) if rows[0]["mine"] else None

    async def keep_turn(self) -> bool:
        (row,) = await self._fetch(_KEEP, self._idle)
        return bool(row["mine"])

    async def forget(self, events: Sequence[OutboxEvent]) -> None:
        await self._fetch(_FORGET, [event.event_id for event in events])

    async def lag(self) -> Lag:
        (row,) = await self._fetch(_LAG, _MOST_COUNTED)
        return Lag(row["events"], max(0.0, row["seconds"]))

    async def _fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        try:
            return await self._connection.fetch(statement, *arguments)
        except asyncpg.PostgresError as error:  # among them that the session was idle for too long
            raise DatabaseUnavailableError("the database refuses") from error


class OutboxReader:
    """Reads what is in the outbox, and then what comes, without taking anything away.

    Remembers the rows it has given that are above the mark below which nothing can appear any more.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._mark = 0
        self._given: set[int] = set()
        self._next_mark: tuple[int, int] | None = None

    async def skip(self) -> None:
        """Begin with what is committed after this."""
        while await self.read(10_000):
            pass

    async def read(self, most: int) -> Sequence[OutboxEvent]:
        """The next rows that were not given yet, in order; none: there is nothing new.

        Raises:
            DatabaseUnavailableError: The same rows come again.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(_AFTER, self._mark, sorted(self._given), most)
        events = _events(rows)
        self._given |= {event.event_id for event in events}
        all_below = events[-1].event_id if len(events) == most else None
        self._move_mark(rows[0]["oldest"], rows[0]["next"], all_below)
        return events

    def _move_mark(self, oldest: int, following: int, all_below: int | None) -> None:
        """`all_below`: no visible row up to there has not been given; None: none at all."""
        if self._next_mark is not None and oldest >= self._next_mark[0]:
            if all_below is not None and all_below < self._next_mark[1]:
                return
            self._mark, self._next_mark = self._next_mark[1], None
            self._given = {event_id for event_id in self._given if event_id > self._mark}
        if self._next_mark is None and self._given:
            self._next_mark = (following, max(self._given))


def _events(rows: Sequence[asyncpg.Record]) -> list[OutboxEvent]:
    return [
        OutboxEvent(
            row["event_id"],
            row["run_id"] and RunId(row["run_id"].hex),
            Owner(row["owner"]),
            row["type"],
            orjson.loads(row["data"]),
            row["create_time"],
        )
        for row in rows
        if row["event_id"] is not None
    ]
