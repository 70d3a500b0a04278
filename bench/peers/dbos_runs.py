"""`python -m bench.peers.dbos_runs` in the environment of dbos.txt: workflows whose one step notes the time.

They are functions of asyncio, enqueued or started by the process that runs them, as the examples of its
documentation are. The queue has no limits.
"""

import argparse
import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

import psycopg
from dbos import DBOS, DBOSConfig

from bench.peers.pace import Load, measure, write

_QUEUE = "nothing"
_LEFT = "SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')"
_begun: dict[int, float] = {}


@DBOS.step()  # type: ignore[untyped-decorator]
async def step(number: int) -> None:
    """What a workflow does."""
    _begun.setdefault(number, monotonic())


@DBOS.workflow()  # type: ignore[untyped-decorator]
async def nothing(number: int) -> None:
    """A workflow."""
    await step(number)


class DbosSide:
    """Implements `bench.peers.pace.Side`."""

    def __init__(self, connection: psycopg.AsyncConnection, *, queued: bool) -> None:
        self._connection = connection
        self._queued = queued

    async def begin(self, number: int) -> None:
        if self._queued:
            await DBOS.enqueue_workflow_async(_QUEUE, nothing, number)
        else:
            await DBOS.start_workflow_async(nothing, number)

    async def left(self) -> int:
        row = await (await self._connection.execute(_LEFT)).fetchone()
        assert row is not None
        return int(row[0])

    async def begun(self) -> Mapping[int, float]:
        return _begun


async def run(dsn: str, load: Load, results: Path, *, polling_seconds: float | None) -> None:
    """Measure. `polling_seconds`: how often a queue is looked at; None = no queue, each starts at once."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        if polling_seconds is not None:
            await DBOS.register_queue_async(_QUEUE, polling_interval_sec=polling_seconds)
        write(results, await measure(DbosSide(connection, queued=polling_seconds is not None), load))


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.peers.dbos_runs", description=__doc__)
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--burst", type=int, required=True)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--polling-seconds", type=float)
    how.add_argument("--direct", action="store_true")
    parser.add_argument("results", type=Path)
    arguments = parser.parse_args()
    load = Load(arguments.calls, arguments.burst)
    dsn = os.environ["DATABASE_URL"]
    config: DBOSConfig = {"name": "nothing", "system_database_url": dsn}
    DBOS(config=config)
    DBOS.launch()
    asyncio.run(run(dsn, load, arguments.results, polling_seconds=arguments.polling_seconds))
    DBOS.destroy()


if __name__ == "__main__":
    main()
