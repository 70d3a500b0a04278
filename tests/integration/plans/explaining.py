"""How Postgres carries out a statement: what it scans, by which indexes, and how many blocks it touches."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg

from state.postgres.asking import NAME_OWNER, as_owner


@dataclass(frozen=True, slots=True)
class Hot:
    """A statement with the values that it is tried with, as SQL.

    `indexes` must all be used. `blocks`: the most of Postgres' pages that it may touch, however many rows
    there are. `by`: the worker's login, the callers' in one statement that names its owner ("asked"), or in
    a transaction that does ("asking").
    """

    values: str
    indexes: frozenset[str]
    blocks: int = 400
    by: Literal["worker", "asked", "asking"] = "worker"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a statement did."""

    scanned: frozenset[str]
    indexes: frozenset[str]
    blocks: int
    text: str


async def explained(connection: "asyncpg.Connection[asyncpg.Record]", sql: str, hot: Hot) -> Plan:
    """Run the statement in a transaction that is taken back, on a connection of its login."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        if hot.by == "asking":
            await connection.execute(NAME_OWNER, "u100", "t100")
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")  # as on the service's own
        await connection.execute(f"PREPARE hot AS {as_owner(sql) if hot.by == 'asked' else sql}")
        values = f"({hot.values})" if hot.values else ""
        told = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE hot {values}")
    finally:
        await transaction.rollback()
        await connection.execute("DEALLOCATE ALL")
    root = json.loads(told)[0]["Plan"]
    nodes = list(_nodes(root))
    return Plan(
        scanned=frozenset(n["Relation Name"] for n in nodes if n["Node Type"] == "Seq Scan"),
        indexes=frozenset(n["Index Name"] for n in nodes if "Index Name" in n),
        blocks=root["Shared Hit Blocks"] + root["Shared Read Blocks"],
        text=json.dumps(root, indent=1),
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)
