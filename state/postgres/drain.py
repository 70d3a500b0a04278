"""Tasks that were accepted while Postgres was away become runs, each once."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from state.errors import OrchestratorError, SameRequestError
from state.models import Joining, Record, RunOutcome, UnattendedRun
from state.postgres import request_keys, unattended
from state.postgres.database import Database
from state.postgres.line import write_queued
from state.sealing import PLAIN, Sealing
from state.tasks import SpooledTask

if TYPE_CHECKING:
    from state.postgres.database import Connection

# How long it has waited is all that is taken from another clock. The tasks of a conversation are done in the
# order of `create_time`, which two transactions a millisecond apart could turn round.
_SINCE = """
UPDATE runs AS r SET
    create_time = greatest(r.create_time - make_interval(secs => $2), (
        SELECT max(create_time) + interval '1 microsecond' FROM runs
        WHERE owner = r.owner AND conversation_id = r.conversation_id AND run_id <> r.run_id
    )),
    wait_until = r.wait_until - make_interval(secs => $2)
WHERE run_id = $1
"""


class _AlreadyThereError(Exception):
    """An earlier try was committed, although nobody heard of it."""


class PostgresDrain:
    """Implements `orchestrator.draining.DrainStore`. A run is known by its id, which acceptance gave it."""

    def __init__(self, database: Database, *, sealing: Sealing = PLAIN) -> None:
        self._sealing = sealing
        self._database = database

    async def commit(self, task: SpooledTask, joining: Joining, waited: Callable[[], float]) -> None:
        with suppress(_AlreadyThereError):
            async with self._once(task) as connection:
                try:
                    await request_keys.take(connection, task.run)
                except SameRequestError as same:
                    if same.run_id == task.run.run_id:  # it was still being committed just now
                        raise _AlreadyThereError from same
                    raise
                await self._write(connection, task, joining, waited)

    async def reject(
        self,
        task: SpooledTask,
        joining: Joining,
        waited: Callable[[], float],
        end: tuple[UnattendedRun, RunOutcome, Record],
    ) -> None:
        with suppress(_AlreadyThereError):
            async with self._once(task) as connection:
                await self._write(connection, task, joining, waited)
                await unattended.end(connection, *end, sealing=self._sealing)

    @asynccontextmanager
    async def _once(self, task: SpooledTask) -> AsyncIterator["Connection"]:
        try:
            async with self._database.connection() as connection, connection.transaction():
                yield connection
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != "runs_pkey":
                raise OrchestratorError("the database refuses the task") from error
            raise _AlreadyThereError from error
        except asyncpg.PostgresError as error:
            raise OrchestratorError("the database refuses the task") from error

    async def _write(
        self, connection: "Connection", task: SpooledTask, joining: Joining, waited: Callable[[], float]
    ) -> None:
        await write_queued(connection, task.run, joining, [task.first], None, sealing=self._sealing)
        # Asked after the transaction's `now()` was fixed: what came after the task is never put before it.
        await connection.execute(_SINCE, UUID(task.run.run_id), waited())
