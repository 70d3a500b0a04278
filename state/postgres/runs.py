"""Runs in Postgres."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple, replace
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import orjson

from state.errors import (
    CancelledRunError,
    ConversationBusyError,
    NotFoundError,
    OrchestratorError,
)
from state.models import (
    Attempt,
    ConversationId,
    NewRun,
    Owner,
    Record,
    ReplicaId,
    Route,
    Run,
    RunId,
    RunKind,
    RunOutcome,
    RunState,
    UnattendedRun,
)
from state.postgres import request_keys, unattended
from state.postgres import runs_sql as sql
from state.postgres.database import Database
from state.postgres.fence import fence_arguments, lost, parse_run_id
from state.postgres.patience import Patience
from state.sealed_text import seal_text
from state.sealing import PLAIN, Sealing, of_request, of_result
from state.threads import thread_id
from state.usage import Usage
from state.violations import Resource

if TYPE_CHECKING:
    from state.postgres.database import Connection


class PostgresRunStore:
    """Implements `state.ports.RunStore`. Only the end of a run waits for a database that is away.

    What is done for who asks about a run goes by way of `callers`, which sees only what is theirs.
    """

    def __init__(
        self,
        database: Database,
        replica_id: ReplicaId,
        patience: Patience | None = None,
        *,
        callers: Database | None = None,
        sealing: Sealing = PLAIN,
    ) -> None:
        self._sealing = sealing
        self._database = database
        self._callers = callers or database
        self._replica_id = replica_id
        self._patience = patience or Patience(0.0)

    async def begin(self, run: NewRun, first: Sequence[Record]) -> Attempt:
        first = self._sealing.records(run.owner, run.run_id, first)
        async with self._database.connection() as connection, _written_at_once(connection, run):
            await request_keys.take(connection, run)
            while (begun := await self._begun(connection, run, first)) is None:
                holder = await connection.fetchval(sql.HOLDER, run.owner, run.conversation_id)
                if holder is not None:  # else it has ended between the two
                    raise ConversationBusyError(RunId(holder.hex))
        return Attempt(run.owner, run.run_id, 1, begun["thread_head"], begun["create_time"])

    async def _begun(
        self, connection: "Connection", run: NewRun, first: Sequence[Record]
    ) -> asyncpg.Record | None:
        """Where the run's thread stands, and since when there is the run; None when somebody else holds the
        conversation."""
        return await connection.fetchrow(
            sql.BEGIN,
            UUID(run.run_id),
            run.owner,
            run.kind,
            run.conversation_id,
            run.agent_name,
            self._sealing.seal(of_request(run.owner, run.run_id), run.request),
            [r.sequence for r in first],
            [r.payload for r in first],
            UUID(self._replica_id),
            run.survives,
            run.wants,
            thread_id(run.owner, run.conversation_id),
            run.wait_seconds,
            run.priority,
            orjson.dumps(run.labels).decode(),
            run.retry_of and UUID(run.retry_of),
            run.lead_seconds,
            run.from_start,
            *astuple(run.route),
            run.traceparent,
        )

    async def choose(self, attempt: Attempt, agent_name: str, route: Route, wants: str) -> None:
        await self._patience(lambda: self._choose(attempt, agent_name, *astuple(route), wants))

    async def _choose(self, attempt: Attempt, *chosen: str) -> None:
        async with self._database.connection() as connection:
            if await connection.fetchval(sql.CHOOSE, *fence_arguments(attempt), *chosen) is None:
                row = await connection.fetchrow(sql.STANDS, *fence_arguments(attempt))
                raise _lost_or_cancelled(row, attempt)

    async def requeue(self, attempt: Attempt, usage: Usage | None = None) -> None:
        async with self._database.connection() as connection:
            done = await connection.fetchval(sql.REQUEUE, *fence_arguments(attempt), _json(usage))
        if done is None:
            raise lost(attempt)

    async def defer(self, attempt: Attempt, seconds: float, usage: Usage | None = None) -> None:
        await self._put_back(sql.DEFER, attempt, seconds, usage)

    async def retry(self, attempt: Attempt, seconds: float, usage: Usage | None = None) -> None:
        await self._put_back(sql.RETRY, attempt, seconds, usage)

    async def _put_back(self, statement: str, attempt: Attempt, seconds: float, usage: Usage | None) -> None:
        async with self._database.connection() as connection:
            arguments = (*fence_arguments(attempt), seconds, _json(usage))
            if await connection.fetchval(statement, *arguments) is None:
                row = await connection.fetchrow(sql.STANDS, *fence_arguments(attempt))
                raise _lost_or_cancelled(row, attempt)

    async def finish(self, attempt: Attempt, outcome: RunOutcome, last: Sequence[Record]) -> None:
        # Sealed once: a second try knows its own record by its bytes.
        kept = self._sealing.records(attempt.owner, attempt.run_id, last)
        if outcome.result is not None:
            place = of_result(attempt.owner, attempt.run_id)
            outcome = replace(outcome, result=seal_text(self._sealing, place, outcome.result))
        await self._patience(lambda: self._finish(attempt, outcome, kept))

    async def _finish(self, attempt: Attempt, outcome: RunOutcome, last: Sequence[Record]) -> None:
        async with self._database.connection() as connection:
            if outcome.state is not RunState.CANCELLED:
                await _end(connection, attempt, outcome, last)
                return
            async with connection.transaction():
                await connection.execute(sql.MARK_CANCELLING, *fence_arguments(attempt))
                await _end(connection, attempt, outcome, last)

    async def cancel(
        self,
        owner: Owner,
        run_id: RunId,
        end: Callable[[UnattendedRun], tuple[RunOutcome, Record]],
        *,
        after_step: bool = False,
        left: bool = False,
    ) -> None:
        async with self._callers.asking(owner) as connection:
            row = await connection.fetchrow(sql.LOCK, owner, parse_run_id(run_id))
            if row is None:
                raise NotFoundError("no such run", Resource("run", run_id))
            run = unattended.unattended(row)
            if left and run.survives:
                return
            if run.state is RunState.RUNNING:
                await connection.fetchval(sql.ASK_TO_END, row["run_id"], after_step)
            elif run.state is RunState.CANCELLING and not after_step:
                await connection.fetchval(sql.HURRY, row["run_id"])
            elif run.state in (RunState.QUEUED, RunState.WAITING_FOR_PERMISSION):
                await unattended.end(connection, run, *end(run), sealing=self._sealing)

    async def get(self, owner: Owner, run_id: RunId) -> Run:
        row = await self._callers.asked_one(sql.GET, owner, parse_run_id(run_id))
        if row is None:
            raise NotFoundError("no such run", Resource("run", run_id))
        return run_of(row)

    async def latest(self, owner: Owner, conversation_id: ConversationId) -> Run:
        row = await self._callers.asked_one(sql.LATEST, owner, conversation_id)
        if row is None:
            raise NotFoundError("no such conversation", Resource("conversation", conversation_id))
        return run_of(row)


@asynccontextmanager
async def _written_at_once(connection: "Connection", run: NewRun) -> AsyncIterator[None]:
    """A transaction, where one statement is not enough."""
    if run.key is None:
        yield
        return
    async with connection.transaction():
        yield


async def _end(
    connection: "Connection", attempt: Attempt, outcome: RunOutcome, last: Sequence[Record]
) -> None:
    done = await connection.fetchval(
        sql.FINISH,
        *fence_arguments(attempt),
        [r.sequence for r in last],
        [r.payload for r in last],
        [r.terminal for r in last],
        outcome.state,
        outcome.finish_reason,
        outcome.error_reason,
        outcome.result,
        _json(outcome.usage),
        last[-1].sequence,
    )
    if done is None:
        await _explain(connection, attempt, outcome, last[-1])


async def _explain(connection: "Connection", attempt: Attempt, outcome: RunOutcome, last: Record) -> None:
    """Say why a run could not be finished, unless it was by us: an answer may be lost on its way."""
    row = await connection.fetchrow(sql.STANDS, *fence_arguments(attempt))
    # The record tells: another one may have ended it in the same state at the same sequence.
    ours = (outcome.state, last.sequence, last.payload)
    if row is None or (row["state"], row["last_sequence"], row["last"]) != ours:
        raise _lost_or_cancelled(row, attempt)


def _json(usage: Usage | None) -> str | None:
    return None if usage is None else orjson.dumps(usage.plain()).decode()


def _lost_or_cancelled(row: asyncpg.Record | None, attempt: Attempt) -> OrchestratorError:
    if row is not None and row["state"] == RunState.CANCELLING:
        return CancelledRunError("the run was cancelled")
    return lost(attempt)


def run_of(row: asyncpg.Record) -> Run:
    """A row of SELECT_RUN."""
    return Run(
        run_id=RunId(row["run_id"].hex),
        owner=Owner(row["owner"]),
        kind=RunKind(row["kind"]),
        conversation_id=ConversationId(row["conversation_id"]),
        agent_name=row["agent_name"],
        state=RunState(row["state"]),
        attempt=row["attempt"],
        last_sequence=row["last_sequence"],
        error_reason=row["error_reason"],
        create_time=row["create_time"],
        wants=row["wants"],
    )
