"""`python -m bench.growth`: our statements over more and more rows, and a conversation that gets longer.

10^4 to 10^7 records of logs, 10^2 to 10^6 queued runs, in a database of its own that its server fills; the
stores are those of the service, one call at a time.
"""

import argparse
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter
from typing import Any
from uuid import uuid4

import asyncpg
import uvloop

from bench.growth_history import history
from bench.growth_statements import ROWS, Calls, Statements
from bench.growth_tables import Tables
from bench.report import count, load_line, milliseconds, say, table, write_json
from bench.task_sides import new_database
from state.embedded.server import EmbeddedPostgres
from state.models import ReplicaId
from state.postgres.migrate import migrate
from state.postgres.stores import PostgresStores
from tests.fakes.embedded_postgres import passable_folder

SCHEMA = "orchestrator"
TURNS = (1, 10, 30, 100, 300, 1000)
FLAT_FROM = 10_000
"""Rows from which on a statement is to take no longer, however many there are."""
_FEWEST = {"events": 4, "queued": 2}
"""Powers of ten: the smallest table, and the shortest line."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Powers of ten that the tables grow to at most, calls of each statement at each size, turns, and the
    seconds that filling may take."""

    events: int
    queued: int
    calls: int
    turns: int
    fill_seconds: float


async def seconds_of(call: Callable[[], Awaitable[object]], calls: int) -> float:
    """The median, after ROWS calls that warm up."""
    taken = []
    for _ in range(calls + ROWS):
        began = perf_counter()
        await call()
        taken.append(perf_counter() - began)
    return median(taken[ROWS:])


async def grown(
    what: str, most: int, calls: int, tables: Tables, of: Callable[[int], Awaitable[Calls]]
) -> dict[str, object]:
    """Measure at every power of ten up to `most`; what is too much to fill is left out, with the reason."""
    sizes: list[int] = []
    filled: list[float] = []
    seconds: dict[str, list[float]] = {}
    left_out: dict[str, str] = {}
    for power in range(_FEWEST[what], most + 1):
        say(f"{what}: 10^{power} rows")
        taken, why_not = await tables.grow(what, 10**power)
        if why_not:
            say(f"  left out: {why_not}")
            left_out[f"10^{power}"] = why_not
            break
        sizes.append(10**power)
        filled.append(taken)
        for name, call in (await of(10**power)).items():
            # A claim takes a row away: a short line is to stay about as long as it is.
            seconds.setdefault(name, []).append(await seconds_of(call, min(calls, 10**power // 4)))
    times = {name: growth for name, of in seconds.items() if (growth := growth_of(sizes, of))}
    return {"rows": sizes, "seconds": seconds, "times": times, "filled_seconds": filled, "left_out": left_out}


def growth_of(sizes: Sequence[int], seconds: Sequence[float]) -> float | None:
    """How many times as long the largest size takes as FLAT_FROM rows; None without both."""
    from_there = [taken for size, taken in zip(sizes, seconds, strict=True) if size >= FLAT_FROM]
    return from_there[-1] / from_there[0] if len(from_there) > 1 else None


async def run(plan: Plan, json: Path | None) -> None:
    """Measure, print, and write what was printed."""
    before = os.getloadavg()
    results: dict[str, dict[str, object]] = {}
    with passable_folder() as folder:
        async with EmbeddedPostgres(folder / "tables", options={"autovacuum": "off"}) as postgres:
            dsn = await new_database(postgres.dsn)
            await migrate(dsn, SCHEMA)
            results |= await _tables(plan, dsn, folder)
            turns = [turn for turn in TURNS if turn <= plan.turns]
            results["history"] = await history(folder, await new_database(postgres.dsn), turns)
    _show(results)
    after = os.getloadavg()
    say(f"\n{load_line(before, after)}")
    write_json(json, {"load_before": before, "load_after": after, **results})


async def _tables(plan: Plan, dsn: str, folder: Path) -> dict[str, dict[str, object]]:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA})
    stores = PostgresStores(
        dsn,
        ReplicaId(uuid4().hex),
        version="bench",
        schema=SCHEMA,
        pool_size=4,
        acquire_seconds=5,
        statement_seconds=15,
        outage_seconds=0,
    )
    try:
        async with stores:
            tables = Tables(connection, folder, plan.fill_seconds)
            statements = Statements(stores, tables, Random(1))
            return {
                "line": await grown("queued", plan.queued, plan.calls, tables, statements.of_the_line),
                "events": await grown("events", plan.events, plan.calls, tables, statements.of_logs),
            }
    finally:
        await connection.close()


def _show(results: dict[str, Any]) -> None:
    for what, title in (("line", "queued runs"), ("events", "records of logs")):
        of = results[what]
        say(f"\nmedian of a call beside so many {title}")
        rows = [
            [name, *map(milliseconds, seconds), f"x {of['times'][name]:.2f}" if name in of["times"] else ""]
            for name, seconds in of["seconds"].items()
        ]
        table(("", *(f"{size:,}" for size in of["rows"]), "last to 10^4"), rows)
    turns = results["history"]
    say("\ntime to the first token after so many turns of a conversation")
    rows = [[name, *map(milliseconds, seconds)] for name, seconds in turns["seconds"].items()]
    table(("", *map(str, turns["turns"])), rows)


def main() -> int:
    """Exit code 0 when it ran, whatever it has measured."""
    parser = argparse.ArgumentParser(prog="bench.growth", description=__doc__)
    parser.add_argument("--events", type=_power, default=7, help="10 to this power at most, from 4 (7)")
    parser.add_argument("--queued", type=_power, default=6, help="10 to this power at most, from 2 (6)")
    parser.add_argument("--calls", type=count, default=200, help="of each statement at each size (200)")
    parser.add_argument("--turns", type=count, default=300, help="of a conversation (300)")
    parser.add_argument(
        "--fill-seconds",
        type=float,
        default=90.0,
        help="what would take longer to fill is left out (90)",
    )
    parser.add_argument("--json", type=Path, help="write the results to this file too")
    arguments = parser.parse_args()
    json = arguments.__dict__.pop("json")
    uvloop.run(run(Plan(**vars(arguments)), json))
    return 0


def _power(text: str) -> int:
    value = int(text)
    if not 2 <= value <= 7:
        raise argparse.ArgumentTypeError("must be from 2 to 7")
    return value


if __name__ == "__main__":
    sys.exit(main())
