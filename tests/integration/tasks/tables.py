"""The tables of a test's database with an audit of every write, as the checker reads them."""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import asyncpg

from protos import orchestrator_pb2 as pb

_AUDIT = (Path(__file__).parent / "audit.sql").read_text()
TERMINAL = frozenset({"succeeded", "failed", "cancelled", "expired"})


@dataclass(frozen=True, slots=True)
class Row:
    """One of `runs`."""

    run_id: str
    state: str
    attempt: int
    tries: int
    losses: int
    deferrals: int
    last_sequence: int
    error_reason: str
    result: str


@dataclass(frozen=True, slots=True)
class Write:
    """A change of a run's state, with a `sequence` a record of its log, or some other `thing` that it wrote.

    `attempt` owned the run then; `writer` is the process whose session wrote. `beat_age`: of the process that
    had the run, in seconds, when its state was changed; None: there is no beat of it.
    """

    at: datetime
    writer: str
    run_id: str
    attempt: int
    old_state: str | None
    new_state: str | None
    sequence: int | None
    terminal: bool | None
    thing: str | None = None
    beat_age: float | None = None


@dataclass(frozen=True, slots=True)
class Tables:
    """Everything at rest. `logs` are in order; `writes` of a run in the order in which they were made."""

    rows: Mapping[str, Row]
    logs: Mapping[str, Sequence[tuple[bool, pb.ChatChunk]]]
    writes: Mapping[str, Sequence[Write]]
    told: Sequence[tuple[str, str]]
    """Run and type of each row of the outbox."""


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection of the test's own."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def audited(dsn: str) -> None:
    """From now on every write is noted."""
    async with connected(dsn) as connection:
        await connection.execute(_AUDIT)


async def read_tables(dsn: str) -> Tables:
    """Once nothing writes any more."""
    logs: defaultdict[str, list[tuple[bool, pb.ChatChunk]]] = defaultdict(list)
    writes: defaultdict[str, list[Write]] = defaultdict(list)
    async with connected(dsn) as connection:
        rows = await connection.fetch(
            "SELECT run_id, state, attempt, tries, losses, deferrals, last_sequence,"
            " coalesce(error_reason, '') AS error_reason, coalesce(result, '') AS result"
            " FROM orchestrator.runs WHERE agent_name <> ''"
        )
        for row in await connection.fetch("SELECT * FROM orchestrator.run_events ORDER BY run_id, sequence"):
            logs[row["run_id"].hex].append((row["terminal"], pb.ChatChunk.FromString(row["payload"])))
        for row in await connection.fetch("SELECT * FROM audit.events ORDER BY id"):
            values = {name: row[name] for name in Write.__slots__} | {"run_id": row["run_id"].hex}
            writes[values["run_id"]].append(Write(**values))
        outbox = await connection.fetch(
            "SELECT run_id, type FROM orchestrator.outbox WHERE run_id IS NOT NULL ORDER BY event_id"
        )
    return Tables(
        rows={row["run_id"].hex: Row(**{**dict(row), "run_id": row["run_id"].hex}) for row in rows},
        logs=logs,
        writes=writes,
        told=[(row["run_id"].hex, row["type"]) for row in outbox],
    )
