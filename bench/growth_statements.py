"""The calls that `bench.growth` measures: the service's own stores, on rows of its own tables."""

import itertools
from collections.abc import Awaitable, Callable
from random import Random

from bench.growth_tables import CLASS, EVENTS_OF_A_RUN, Tables
from state.models import Record
from state.postgres.stores import PostgresStores
from tests.harness.runs import new_run, records

ROWS = 20
"""Different ones that are asked for in turn, each once before it counts: none is read from a disk."""

Calls = dict[str, Callable[[], Awaitable[object]]]


class Statements:
    """The calls that are measured, of rows chosen by `chance`."""

    def __init__(self, stores: PostgresStores, tables: Tables, chance: Random) -> None:
        self._stores = stores
        self._tables = tables
        self._chance = chance

    async def of_logs(self, rows: int) -> Calls:
        """Append, read and status beside so many records."""
        attempt = await self._stores.runs.begin(new_run(), records(1))
        chosen = [
            await self._tables.ended(self._chance.randint(1, rows // EVENTS_OF_A_RUN)) for _ in range(ROWS)
        ]
        numbers, turns = itertools.count(2), itertools.cycle(chosen)

        async def append() -> None:
            await self._stores.events.append(attempt, [_record(next(numbers))], urgent=True)

        async def read() -> None:
            found = await self._stores.events.read(*next(turns), 0, EVENTS_OF_A_RUN)
            assert len(found) == EVENTS_OF_A_RUN

        async def status() -> None:
            await self._stores.tasks.get(*next(turns))

        return {"append to a log": append, "read a log": read, "status of a task": status}

    async def of_the_line(self, rows: int) -> Calls:
        """Claim and place in a line of so many."""
        last = [await self._tables.queued(self._chance.randint(rows // 2, rows)) for _ in range(ROWS)]
        turns = itertools.cycle(last)

        async def claim() -> None:
            assert await self._stores.line.claim({CLASS})

        async def place() -> None:
            await self._stores.line.places([next(turns)[1]])

        async def status() -> None:
            await self._stores.tasks.get(*next(turns))

        return {"place in line": place, "status of a queued task": status, "claim": claim}


def _record(sequence: int) -> Record:
    return Record(sequence, b"x" * 80)
