"""`python -m bench.tasks`: how soon a task is accepted and taken from the line, and how many a second end."""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import TypeAlias

import asyncpg
import grpc

from bench.report import count, load_line, milliseconds, percentile, say, table, verdict, write_json
from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from state.embedded.server import EmbeddedPostgres
from tests.fakes.embedded_postgres import passable_folder
from tests.fakes.scripted_provider.control_client import ControlClient
from tests.fakes.scripted_provider.process import scripted_provider_process
from tests.fakes.scripted_provider.script import Script
from tests.harness.process import orchestrator_process

GOAL_SECONDS = 0.005
WIDE = 64
_IN_A_ROW = 40
ANSWER = Script(tokens=("done",))
_LEFT = "SELECT count(*) FROM orchestrator.runs WHERE end_time IS NULL"
_PICKED_UP = """
SELECT extract(epoch FROM start_time - lag(end_time) OVER (ORDER BY start_time))::float8 AS seconds
FROM orchestrator.runs
"""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@asynccontextmanager
async def served(
    folder: Path, dsn: str, provider: ControlClient, calls: int
) -> AsyncIterator[tuple["rpc.OrchestratorServiceAsyncStub", Connection]]:
    """A service whose provider takes so many calls at a time, and its database, which is emptied first."""
    environment = {"ORCHESTRATOR_PROVIDER__MAX_CONCURRENCY": str(calls), "DATABASE_URL": dsn}
    async with (
        orchestrator_process(folder, OPENAI_BASE_URL=provider.base_url, **environment) as process,
        grpc.aio.insecure_channel(process.address) as channel,
    ):
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute("TRUNCATE orchestrator.runs CASCADE")
            yield rpc.OrchestratorServiceStub(channel), connection
        finally:
            await connection.close()


async def start(stub: "rpc.OrchestratorServiceAsyncStub", number: int, conversation: str = "") -> float:
    """Seconds until a task is accepted."""
    began = monotonic()
    user = "ann" if conversation else f"user-{number % 10}"
    request = pb.TaskRequest(user_id=user, query=f"task {number}", conversation_id=conversation)
    await stub.StartTask(request, timeout=30)
    return monotonic() - began


async def all_done(connection: Connection) -> None:
    while await connection.fetchval(_LEFT):  # noqa: ASYNC110 - the bench reads what the tables say
        await asyncio.sleep(0.01)


async def accepted(
    stub: "rpc.OrchestratorServiceAsyncStub", connection: Connection, tasks: int
) -> list[float]:
    """Seconds each call takes, one after the other, with room for all."""
    seconds = [await start(stub, number) for number in range(tasks)]
    await all_done(connection)
    return seconds


async def taken_up(
    stub: "rpc.OrchestratorServiceAsyncStub", connection: Connection, tasks: int
) -> list[float]:
    """Seconds by the database's clock from the end of one to the beginning of the next, with room for both.

    They are of one conversation, so each waits for the end of the one before it and for nothing else.
    """
    for number in range(tasks):
        await start(stub, number, "one")
    await all_done(connection)
    rows = await connection.fetch(_PICKED_UP)
    return [row["seconds"] for row in rows if row["seconds"] is not None]


async def throughput(stub: "rpc.OrchestratorServiceAsyncStub", connection: Connection, tasks: int) -> float:
    """Tasks a second, from the first call to the last end, whose model answers at once."""
    began = monotonic()
    await asyncio.gather(*(start(stub, number) for number in range(tasks)))
    await all_done(connection)
    return tasks / (monotonic() - began)


async def run(tasks: int, json: Path | None) -> None:
    """Measure, print, and write what was printed."""
    before = os.getloadavg()
    say("starting a Postgres that keeps what it has acknowledged")
    with passable_folder() as folder:
        async with (
            EmbeddedPostgres(folder / "postgres") as postgres,
            scripted_provider_process() as provider,
        ):
            await provider.set_default(ANSWER)
            async with served(folder, postgres.dsn, provider, calls=WIDE) as (stub, connection):
                taken = await taken_up(stub, connection, min(tasks, _IN_A_ROW))
                await connection.execute("TRUNCATE orchestrator.runs CASCADE")
                answered = await accepted(stub, connection, tasks)
                rate = await throughput(stub, connection, tasks)
    after = os.getloadavg()
    rows = {"accepted": answered, "taken up": taken}
    say("\nuntil a task is accepted; until it runs once its conversation is free, with room at the provider")
    table(
        ("", "p50", "p95", "p99", "goal for p50", ""),
        [
            [
                name,
                *(milliseconds(percentile(values, part)) for part in (50, 95, 99)),
                milliseconds(GOAL_SECONDS),
                verdict(percentile(values, 50), GOAL_SECONDS),
            ]
            for name, values in rows.items()
        ],
    )
    say(f"  {rate:.0f} tasks a second from the call to the end, each with a model call, {WIDE} at a time")
    say(f"\n{load_line(before, after)}")
    results = {"accepted_seconds": answered, "taken_seconds": taken, "tasks_per_second": rate}
    write_json(json, {"load_before": before, "load_after": after, "goal_seconds": GOAL_SECONDS, **results})


def main() -> int:
    """Exit code 0 when it ran, whether or not the goals are reached."""
    parser = argparse.ArgumentParser(prog="bench.tasks", description=__doc__)
    parser.add_argument("--tasks", type=count, default=500, help="tasks of each measurement (500)")
    parser.add_argument("--json", type=Path, help="write the results to this file too")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.tasks, arguments.json))
    return 0


if __name__ == "__main__":
    sys.exit(main())
