"""Tables of any size for `bench.growth`, written by the server itself, within a time and a disk."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import TypeAlias
from uuid import UUID

import asyncpg

from state.models import Owner, RunId

CLASS = "class:chat"
EVENTS_OF_A_RUN = 100
_OWNERS = 1000
_BATCH = 200_000
"""Rows of one statement: between two of them the time is looked at."""
_BYTES_OF_A_ROW = 600
"""At most, with its indexes and what the log of the server keeps of it for a while."""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_ENDED = f"""
INSERT INTO runs (
    run_id, owner, kind, conversation_id, agent_name, state, request, attempt, tries, last_sequence,
    start_time, end_time, result, finish_reason
)
SELECT md5('run ' || n)::uuid, 'user-' || n % {_OWNERS}, 'task', 'run ' || n, 'chat', 'succeeded', '', 1, 1,
    {EVENTS_OF_A_RUN}, now(), now(), 'done', 'stop'
FROM generate_series($1::bigint, $2::bigint) AS n
"""  # noqa: S608 - constants
_EVENTS = f"""
INSERT INTO run_events (run_id, sequence, owner, payload, terminal)
SELECT md5('run ' || n)::uuid, s, 'user-' || n % {_OWNERS}, decode(repeat('ab', 80), 'hex'),
    s = {EVENTS_OF_A_RUN}
FROM generate_series($1::bigint, $2::bigint) AS n, generate_series(1, {EVENTS_OF_A_RUN}) AS s
"""  # noqa: S608 - constants
_QUEUED = f"""
INSERT INTO runs (run_id, owner, kind, conversation_id, agent_name, state, request, wants, rank)
SELECT md5('task ' || n)::uuid, 'user-' || n % {_OWNERS}, 'task', 'task ' || n, 'chat', 'queued', '',
    '{CLASS}', now() + n * interval '1 ms'
FROM generate_series($1::bigint, $2::bigint) AS n
"""  # noqa: S608 - constants


class Tables:
    """Grows runs that have ended, each with a log of EVENTS_OF_A_RUN records, and the line of queued tasks.

    `seconds`: for all filling together. `folder`: on the disk that the database is on.
    """

    def __init__(self, connection: Connection, folder: Path, seconds: float) -> None:
        self._connection = connection
        self._folder = folder
        self._left = seconds
        self._made = {"events": 0, "queued": 0}
        self._rates: dict[str, float] = {}

    async def grow(self, what: str, rows: int) -> tuple[float, str]:
        """Let `events` or `queued` have so many rows: the seconds that took; or why it was not done."""
        missing = rows - self._made[what]
        if what in self._rates and missing / self._rates[what] > self._left:
            needed = missing / self._rates[what]
            return 0.0, f"filling would take {needed:.0f} s, {max(0.0, self._left):.0f} s are left"
        if missing * _BYTES_OF_A_ROW > shutil.disk_usage(self._folder).free:
            return 0.0, "the disk has no room for it"
        began = monotonic()
        await self._fill(what, rows)
        taken = monotonic() - began
        self._left -= taken
        self._made[what] = rows
        self._rates[what] = missing / taken
        return taken, ""

    async def _fill(self, what: str, rows: int) -> None:
        # Neither the outbox nor the references of what is made up here are looked after.
        await self._connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        each = EVENTS_OF_A_RUN if what == "events" else 1
        for first, last in _batches(self._made[what] // each + 1, rows // each, _BATCH // each):
            for statement in (_ENDED, _EVENTS) if what == "events" else (_QUEUED,):
                await self._connection.execute(statement, first, last, timeout=None)
        # Now, or the server does it by itself while something is measured.
        for statement in (f"VACUUM ANALYZE {'run_events, ' if what == 'events' else ''}runs", "CHECKPOINT"):
            await self._connection.execute(statement, timeout=None)

    async def ended(self, number: int) -> tuple[Owner, RunId]:
        """The owner and the id of a run that has ended, from 1."""
        return await self._named("run", number)

    async def queued(self, number: int) -> tuple[Owner, RunId]:
        """The same of a queued task, from 1 in the order of the line."""
        return await self._named("task", number)

    async def _named(self, what: str, number: int) -> tuple[Owner, RunId]:
        found: UUID = await self._connection.fetchval("SELECT md5($1)::uuid", f"{what} {number}")
        return Owner(f"user-{number % _OWNERS}"), RunId(found.hex)


def _batches(first: int, last: int, each: int) -> Iterator[tuple[int, int]]:
    for begin in range(first, last + 1, each):
        yield begin, min(begin + each - 1, last)
