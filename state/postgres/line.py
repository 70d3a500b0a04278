"""The line of runs that wait for a provider: joining it, standing in it, being taken from it."""

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import astuple
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import orjson

from state.errors import ConversationBusyError, QueueFullError, StateUnreadableError
from state.models import (
    Attempt,
    ClaimedRun,
    ConversationId,
    Joining,
    NewRun,
    Owner,
    Record,
    ReplicaId,
    Route,
    RunId,
    RunKind,
    RunOutcome,
    UnattendedRun,
)
from state.postgres import line_sql as sql
from state.postgres import request_keys, unattended
from state.postgres.database import Database
from state.postgres.runs_sql import HOLDER
from state.sealing import PLAIN, Sealing, of_request
from state.tasks import LineLoad

if TYPE_CHECKING:
    from state.postgres.database import Connection


class PostgresLine:
    """Implements `state.line_ports.LineStore`.

    Who joins shares `joins` with all other callers. Who serves has `claims` for itself, so that the line
    moves on however many join.
    """

    def __init__(
        self, joins: Database, claims: Database, replica_id: ReplicaId, *, sealing: Sealing = PLAIN
    ) -> None:
        self._sealing = sealing
        self._joins = joins
        self._claims = claims
        self._replica_id = UUID(replica_id)

    async def join(
        self, run: NewRun, joining: Joining, first: Sequence[Record], check: Callable[[int], None]
    ) -> int:
        try:
            async with self._joins.connection() as connection, connection.transaction():
                await request_keys.take(connection, run)
                await _check_room(connection, joining)
                stays_at = None if run.survives else self._replica_id
                await write_queued(connection, run, joining, first, stays_at, sealing=self._sealing)
                rows = await connection.fetch(sql.PLACES, [UUID(run.run_id)])
                place: int = rows[0]["place"]
                check(place)
        except QueueFullError:
            await self._say_full(joining)
            raise
        return place

    async def _say_full(self, joining: Joining) -> None:
        """For all replicas, until there is room again; told outside once."""
        async with self._joins.connection() as connection, connection.transaction():
            if await connection.fetchval(sql.REFUSE, True):
                await connection.execute(sql.TELL_FULL, joining.high)

    async def accept_again(self, low: int) -> None:
        async with self._claims.connection() as connection:
            if not await connection.fetchval(sql.REFUSING):
                return  # as at nearly every look: that needs no transaction
            async with connection.transaction():
                row = await connection.fetchrow(sql.LOAD, low)
                assert row is not None
                if row["active"] < low:
                    await _accept_again(connection, low)

    async def load(self, high: int) -> LineLoad:
        async with self._joins.connection() as connection:
            row = await connection.fetchrow(sql.LOAD, high)
        assert row is not None
        return LineLoad(row["queued"], row["refusing"], row["active"])

    async def is_quiet(self) -> bool:
        async with self._claims.connection() as connection:
            return bool(await connection.fetchval(sql.QUIET))

    async def wanted(self) -> Collection[str]:
        async with self._claims.connection() as connection:
            return [row["wants"] for row in await connection.fetch(sql.WANTED)]

    async def claim(self, wants: Set[str]) -> ClaimedRun | None:
        left = set(wants)
        async with self._claims.connection() as connection:
            while left:
                first = min(left) if len(left) == 1 else await connection.fetchval(sql.FIRST, [*left])
                if first is None:
                    break
                with suppress(asyncpg.UniqueViolationError):  # its conversation was taken in this very moment
                    if row := await connection.fetchrow(sql.CLAIM, self._replica_id, first):
                        return _claimed(row, self._sealing)
                    left.remove(first)  # others were faster
        return None

    async def claim_quarantined(self, wants: str) -> ClaimedRun | None:
        async with self._claims.connection() as connection:
            row = await connection.fetchrow(sql.CLAIM_QUARANTINED, self._replica_id, wants)
        return _claimed(row, self._sealing) if row else None

    async def quarantined(self, patience_seconds: float, lease_seconds: float) -> Mapping[str, bool]:
        async with self._claims.connection() as connection:
            rows = await connection.fetch(sql.QUARANTINED, self._replica_id, patience_seconds, lease_seconds)
        return {row["wants"]: bool(row["makes_room"]) for row in rows}

    async def places(self, run_ids: Collection[RunId]) -> Mapping[RunId, int]:
        async with self._claims.connection() as connection:
            rows = await connection.fetch(sql.PLACES, [UUID(run_id) for run_id in run_ids])
        return {RunId(row["run_id"].hex): row["place"] for row in rows}

    async def end_overdue(self, end: Callable[[UnattendedRun], tuple[RunOutcome, Record]]) -> int:
        async with self._claims.connection() as connection:
            if not await connection.fetch(sql.OVERDUE):
                return 0  # likewise
            async with connection.transaction():
                rows = await connection.fetch(sql.OVERDUE)
                for run in map(unattended.unattended, rows):
                    await unattended.end(connection, run, *end(run), sealing=self._sealing)
        return len(rows)


async def write_queued(
    connection: "Connection",
    run: NewRun,
    joining: Joining,
    first: Sequence[Record],
    stays_at: UUID | None,
    *,
    sealing: Sealing,
) -> None:
    """Write a run into the line, with the first records of its log. `stays_at`: where its caller waits.

    Raises:
        ConversationBusyError: Another run of the conversation is active.
    """
    arguments = _joining_arguments(run, joining, first, stays_at, sealing)
    while not await connection.fetchrow(sql.JOIN, *arguments):
        holder = await connection.fetchval(HOLDER, run.owner, run.conversation_id)
        if holder is not None:  # else it has ended between the two
            raise ConversationBusyError(holder.hex)


def _joining_arguments(
    run: NewRun, joining: Joining, first: Sequence[Record], stays_at: UUID | None, sealing: Sealing
) -> tuple[object, ...]:
    """The parameters of JOIN."""
    first = sealing.records(run.owner, run.run_id, first)
    request = sealing.seal(of_request(run.owner, run.run_id), run.request)
    return (
        UUID(run.run_id),
        run.owner,
        run.kind,
        run.conversation_id,
        run.agent_name,
        request,
        run.survives,
        run.wants,
        joining.spacing_seconds,
        joining.lead_seconds,
        run.wait_seconds,
        [r.sequence for r in first],
        [r.payload for r in first],
        stays_at,
        run.priority,
        run.not_before,
        orjson.dumps(run.labels).decode(),
        run.retry_of and UUID(run.retry_of),
        run.from_start,
        *astuple(run.route),
        run.traceparent,
    )


async def _check_room(connection: "Connection", joining: Joining) -> None:
    """From the high mark on nobody joins, until there are fewer than the low one."""
    row = await connection.fetchrow(sql.LOAD, joining.high)
    assert row is not None
    if row["active"] >= (joining.low if row["refusing"] else joining.high):
        raise QueueFullError("too many runs wait or run", metadata={"high": str(joining.high)})
    if row["refusing"]:
        await _accept_again(connection, joining.low)


async def _accept_again(connection: "Connection", low: int) -> None:
    """For all replicas; told outside once."""
    if await connection.fetchval(sql.REFUSE, False):
        await connection.execute(sql.TELL_ACCEPTING, low)


def _claimed(row: asyncpg.Record, sealing: Sealing) -> ClaimedRun:
    attempt = Attempt(Owner(row["owner"]), RunId(row["run_id"].hex), row["attempt"])
    try:
        request = sealing.open(of_request(attempt.owner, attempt.run_id), row["request"])
    except StateUnreadableError as error:
        request, unreadable = b"", str(error)  # the run is ours all the same: whoever takes it up ends it
    else:
        unreadable = ""
    return ClaimedRun(
        attempt=attempt,
        unreadable=unreadable,
        kind=RunKind(row["kind"]),
        agent_name=row["agent_name"],
        conversation_id=ConversationId(row["conversation_id"]),
        request=request,
        last_sequence=row["last_sequence"],
        wants=row["wants"],
        survives=row["survives"],
        tries=row["tries"],
        deferrals=row["deferrals"],
        losses=row["losses"],
        usage=unattended.usage_of(row),
        running_seconds=row["running_seconds"],
        goes_on_from=row["goes_on_from"] and RunId(row["goes_on_from"].hex),
        route=Route(row["agent_version"], row["agent_variant"], row["routing_reason"]),
        waited_seconds=row["waited_seconds"],
        traceparent=row["traceparent"],
    )
