"""`python -m bench.peers.pgqueuer_runs` in the environment of pgqueuer.txt: jobs that only note the time.

Who enqueues has a pool of connections, and the worker one of its own, on which it is told of new jobs. All
tables are logged (`durable`), the default. uvloop, as its own `pgq run` takes it when it is there.
"""

import argparse
import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import asyncpg
import uvloop
from pgqueuer import AsyncpgDriver, AsyncpgPoolDriver, Job, PgQueuer, Queries

from bench.peers.pace import Load, measure, write

_CONNECTIONS = 10


class PgQueuerSide:
    """Implements `bench.peers.pace.Side`."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._queries = Queries(AsyncpgPoolDriver(pool))
        self._begun: dict[int, float] = {}

    async def work(self, job: Job) -> None:
        """What a job does."""
        self._begun[int(job.payload)] = monotonic()

    async def begin(self, number: int) -> None:
        await self._queries.enqueue("nothing", str(number).encode())

    async def left(self) -> int:
        return int(await self._pool.fetchval("SELECT count(*) FROM pgqueuer"))

    async def begun(self) -> Mapping[int, float]:
        return self._begun


async def run(dsn: str, load: Load, results: Path) -> None:
    """Measure, and write what was measured."""
    pool = asyncpg.create_pool(dsn, min_size=_CONNECTIONS, max_size=_CONNECTIONS)
    async with _connected(dsn) as connection, pool:
        driver = AsyncpgDriver(connection)
        await Queries(driver).install()
        worker, side = PgQueuer(driver), PgQueuerSide(pool)
        worker.entrypoint("nothing")(side.work)
        working = asyncio.create_task(worker.run())
        measured = await measure(side, load)
        worker.shutdown.set()
        await working
    write(results, measured)


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.peers.pgqueuer_runs", description=__doc__)
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--burst", type=int, required=True)
    parser.add_argument("results", type=Path)
    arguments = parser.parse_args()
    load = Load(arguments.calls, arguments.burst)
    uvloop.run(run(os.environ["DATABASE_URL"], load, arguments.results))


if __name__ == "__main__":
    main()
