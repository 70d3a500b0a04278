"""`python -m bench.tasks`: our tasks, pgqueuer's jobs and DBOS's workflows, on one Postgres in one run."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.peers.environments import installed
from bench.peers.pace import Load, Measured, measure
from bench.report import count, load_line, say, write_json
from bench.task_report import Rounds, show
from bench.task_sides import DBOS, OURS, PEERS, PGQUEUER, TaskSide, new_database, of_peer, ours
from state.embedded.server import EmbeddedPostgres
from tests.fakes.embedded_postgres import passable_folder
from tests.fakes.scripted_provider.control_client import ControlClient
from tests.fakes.scripted_provider.process import scripted_provider_process
from tests.fakes.scripted_provider.script import Script

ANSWER = Script(tokens=("done",))
_QUEUED = 40
_QUEUED_SECONDS = """
SELECT extract(epoch FROM start_time - lag(end_time) OVER (ORDER BY start_time))::float8 AS seconds
FROM orchestrator.runs WHERE conversation_id = 'one'
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where all sides are measured."""

    folder: Path
    dsn: str
    provider: ControlClient


async def queued(side: TaskSide, tasks: int) -> list[float]:
    """Seconds by the database's clock from the end of one to the beginning of the next, with room for both.

    They are of one conversation, so each waits for the end of the one before it and for nothing else.
    """
    for number in range(tasks):
        await side.begin(-number, "one")
    while await side.left():  # noqa: ASYNC110 - the bench reads what the tables say
        await asyncio.sleep(0.01)
    rows = await side.connection.fetch(_QUEUED_SECONDS)
    return [row["seconds"] for row in rows if row["seconds"] is not None]


async def of_ours(place: Place, load: Load) -> tuple[Measured, list[float]]:
    """What is measured of all sides, and how long our runs were queued for nothing."""
    await place.provider.reset()
    await place.provider.set_default(ANSWER)
    async with ours(place.folder, await new_database(place.dsn), place.provider) as side:
        waited = await queued(side, min(load.calls, _QUEUED))
        await place.provider.reset()
        await place.provider.set_default(ANSWER)
        return await measure(side, load), waited


async def rounds(place: Place, load: Load, sides: Sequence[str], number: int) -> tuple[Rounds, list[float]]:
    """So many rounds of all sides."""
    peers = {peer.name: peer for peer in PEERS if peer.environment in sides}
    names = [OURS, *peers]
    measured: Rounds = {name: [] for name in names}
    waited: list[float] = []
    for index in range(number):
        # In turn forwards and backwards: a machine that gets slower slows nobody alone.
        for name in names if index % 2 == 0 else reversed(names):
            say(f"round {index + 1} of {number}: {name}")
            if name == OURS:
                one, times = await of_ours(place, load)
                waited += times
            else:
                one = await of_peer(peers[name], place.folder, await new_database(place.dsn), load)
            measured[name].append(one)
    return measured, waited


async def run(load: Load, sides: Sequence[str], number: int, json: Path | None) -> None:
    """Measure, print, and write what was printed."""
    before = os.getloadavg()
    say("starting a Postgres that keeps what it has acknowledged")
    with passable_folder() as folder:
        async with (
            EmbeddedPostgres(folder / "postgres") as postgres,
            scripted_provider_process() as provider,
        ):
            measured, waited = await rounds(Place(folder, postgres.dsn, provider), load, sides, number)
    after = os.getloadavg()
    results = show(measured, waited, load)
    say(f"\n{load_line(before, after)}")
    write_json(json, {"load_before": before, "load_after": after, "processors": os.cpu_count(), **results})


def main() -> int:
    """Exit code 0 when it ran, whether or not the goals are reached."""
    parser = argparse.ArgumentParser(prog="bench.tasks", description=__doc__)
    parser.add_argument(
        "--sides", type=_sides, default=(OURS, PGQUEUER, DBOS), help="ours,pgqueuer,dbos (all)"
    )
    parser.add_argument("--calls", type=count, default=200, help="at a pace, and as many in a row (200)")
    parser.add_argument("--burst", type=count, default=1000, help="runs whose end is waited for (1000)")
    parser.add_argument("--rounds", type=count, default=2, help="every second one in reversed order (2)")
    parser.add_argument("--json", type=Path, help="write the results to this file too")
    arguments = parser.parse_args()
    if missing := [name for name in arguments.sides if name != OURS and not installed(name)]:
        parser.error(f"not installed: {', '.join(missing)}; make peers installs them")
    load = Load(arguments.calls, arguments.burst)
    asyncio.run(run(load, arguments.sides, arguments.rounds, arguments.json))
    return 0


def _sides(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if unknown := set(names) - {OURS, PGQUEUER, DBOS}:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    if OURS not in names:
        raise argparse.ArgumentTypeError(f"{OURS} is always needed")
    return names


if __name__ == "__main__":
    sys.exit(main())
