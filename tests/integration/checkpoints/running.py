"""Committed runs and their hold on a thread, for tests that drive a saver."""

import asyncio
from typing import Any

from langchain_core.runnables import RunnableConfig

from state.models import Attempt, ConversationId, Owner, ReplicaId, ThreadId
from state.postgres.database import Database
from state.postgres.runs import PostgresRunStore
from state.threads import RUN_THREAD_KEY, RunThread, thread_id
from tests.harness.runs import ANN, REPLICA, new_run

BOB = Owner("bob")


async def begin(
    database: Database, owner: Owner = ANN, conversation: str = "c1", replica_id: ReplicaId = REPLICA
) -> RunThread:
    """A committed run and its hold on a conversation's thread."""
    run = run_to_be(database, thread_id(owner, ConversationId(conversation)), owner, replica_id)
    await run.attempt()
    return run


def run_to_be(
    database: Database, thread: ThreadId, owner: Owner = ANN, replica_id: ReplicaId = REPLICA
) -> RunThread:
    """A run that is committed when it first writes, and its hold on a thread.

    The run's own row is of another conversation: nothing but the saver keeps two runs of a thread apart here.
    """
    run = new_run(owner)
    begun: list[asyncio.Task[Attempt]] = []

    async def right_to_write() -> Attempt:
        if not begun:
            begun.append(asyncio.create_task(PostgresRunStore(database, replica_id).begin(run, [])))
        return await begun[0]

    return RunThread(owner, run.run_id, thread, right_to_write)


def config(run: RunThread, **more: str) -> RunnableConfig:
    values = {
        "thread_id": run.thread_id,
        "checkpoint_ns": "",
        "run_id": run.run_id,
        RUN_THREAD_KEY: run,
        **more,
    }
    return {"configurable": values}


def bare(run: RunThread, **more: str) -> RunnableConfig:
    """The same for a saver that knows no runs."""
    return {"configurable": {"thread_id": run.thread_id, "checkpoint_ns": "", **more}}


async def rows(database: Database, table: str) -> list[dict[str, Any]]:
    """A table's rows."""
    async with database.connection() as connection:
        return [dict(row) for row in await connection.fetch(f'SELECT * FROM "{table}"')]  # noqa: S608
