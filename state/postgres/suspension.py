"""Stopping a run for a person."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING
from uuid import UUID

import orjson

from state.errors import CancelledRunError
from state.models import Attempt, Record, RunState
from state.permissions import Question
from state.postgres import permissions_sql as sql
from state.postgres.database import Database
from state.postgres.fence import fence_arguments, lost
from state.postgres.patience import Patience
from state.sealed_text import seal_text
from state.sealing import PLAIN, Sealing, of_permission
from state.usage import Usage

if TYPE_CHECKING:
    from state.postgres.database import Connection


class PostgresSuspension:
    """Implements `state.permission_ports.Suspension`. Waits for a database that is away."""

    def __init__(
        self, database: Database, patience: Patience | None = None, *, sealing: Sealing = PLAIN
    ) -> None:
        self._sealing = sealing
        self._database = database
        self._patience = patience or Patience(0.0)

    async def suspend(
        self,
        attempt: Attempt,
        questions: Sequence[Question],
        timeout_seconds: float,
        records: Sequence[Record],
        usage: Usage | None = None,
    ) -> None:
        # Sealed once: a second try knows its own record by its bytes.
        kept = self._sealing.records(attempt.owner, attempt.run_id, records)
        await self._patience(lambda: self._suspend(attempt, questions, timeout_seconds, kept, usage))

    async def _suspend(
        self,
        attempt: Attempt,
        questions: Sequence[Question],
        timeout_seconds: float,
        records: Sequence[Record],
        usage: Usage | None,
    ) -> None:
        run_id = UUID(attempt.run_id)
        async with self._database.connection() as connection, connection.transaction():
            conversation_id = await connection.fetchval(
                sql.SUSPEND,
                *fence_arguments(attempt),
                [r.sequence for r in records],
                [r.payload for r in records],
                None if usage is None else orjson.dumps(asdict(usage)).decode(),
            )
            if conversation_id is None:
                await _explain(connection, attempt, records)
                return
            asked = [
                _row(attempt, conversation_id, self._sealed(attempt, question), timeout_seconds)
                for question in questions
            ]
            await connection.executemany(sql.ASK, asked)
            await connection.fetchval(sql.GO_ON, run_id)

    def _sealed(self, attempt: Attempt, question: Question) -> Question:
        def sealed(column: str, text: str) -> str:
            place = of_permission(attempt.owner, UUID(question.permission_id).hex, column)
            return seal_text(self._sealing, place, text.replace("\0", ""))  # Postgres keeps no NUL

        return replace(
            question,
            query=sealed("query", question.query),
            reasoning=sealed("reasoning", question.reasoning),
        )


def _row(attempt: Attempt, conversation_id: str, question: Question, seconds: float) -> tuple[object, ...]:
    return (
        UUID(question.permission_id),
        UUID(attempt.run_id),
        attempt.owner,
        conversation_id,
        UUID(question.tool_call_id),
        question.tool_name,
        question.operation_type,
        question.arguments,
        question.digest,
        question.query,
        question.reasoning,
        question.safety_level,
        question.reversible,
        list(question.allowed_scopes),
        seconds,
    )


async def _explain(connection: "Connection", attempt: Attempt, records: Sequence[Record]) -> None:
    """Say why a run could not be stopped, unless it was, by us: an answer may be lost on its way."""
    last = records[-1]
    row = await connection.fetchrow(sql.SUSPENDED, UUID(attempt.run_id), attempt.owner, last.sequence)
    if row is not None and row["last"] == last.payload:
        return
    if row is not None and (row["attempt"], row["state"]) == (attempt.number, RunState.CANCELLING):
        raise CancelledRunError("the run was cancelled")
    raise lost(attempt)
