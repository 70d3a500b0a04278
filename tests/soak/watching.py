"""One sample of everything: the process, its pages, its database."""

import os
from collections.abc import Mapping
from time import monotonic
from typing import Any

import aiohttp
import asyncpg
from prometheus_client.parser import text_string_to_metric_families

from tests.soak.processes import cpu_seconds, held, sockets, tree

BOUNDED = ("runs", "run_events", "outbox", "request_keys", "permissions", "effects")
"""Tables that retention keeps from growing within minutes, with the times that the soak sets."""
KEPT = ("checkpoints", "checkpoint_blobs", "checkpoint_writes", "usage_sums")
"""Those that grow by design: a state for each conversation that nobody deleted, a sum for each user."""
_GAUGES = {
    "orchestrator_asyncio_tasks": "tasks",
    "orchestrator_active_streams": "streams",
    "orchestrator_active_runs": "active_runs",
    "orchestrator_db_pool_connections": "pool",
}
_ACTIVITY = """
SELECT count(*) FILTER (WHERE application_name = 'llm-orchestrator') AS ours, count(*) AS all_of_them
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


class Watch:
    """Takes samples of a process by one connection to its pages and one to its database.

    `ports`: names of what the process's sockets are for. `ours`: its processes without those of Postgres.
    """

    def __init__(
        self,
        pid: int,
        pages: str,
        connection: "asyncpg.Connection[asyncpg.Record]",
        session: aiohttp.ClientSession,
        ports: Mapping[str, int],
    ) -> None:
        self._pid = pid
        self._pages = pages
        self._connection = connection
        self._session = session
        self._ports = ports
        self._began = monotonic()

    @property
    def now(self) -> float:
        """Seconds since the watch began."""
        return monotonic() - self._began

    def cpu(self) -> float:
        """Seconds that the process has used, without its Postgres."""
        return cpu_seconds(tree(self._pid)[0])

    async def sample(self, phase: str) -> dict[str, Any]:
        """What there is now. Bytes, counts, seconds; `phase` and `at` say when."""
        ours, postgres = tree(self._pid)
        shared = held(postgres)
        return {
            "phase": phase,
            "at": self.now,
            **held(ours),
            **sockets(ours, self._ports),
            "processes": len(ours),
            "cpu": cpu_seconds(ours),
            "own_cpu": sum(os.times()[:2]),
            "postgres_memory": shared.get("pss", 0),
            "postgres_cpu": cpu_seconds(postgres),
            "load_average": os.getloadavg()[0],
            **await self._gauges(),
            **await self._database(),
        }

    async def _gauges(self) -> dict[str, float]:
        values = dict.fromkeys(_GAUGES.values(), 0.0)
        async with self._session.get(f"http://{self._pages}/metrics") as response:
            text = await response.text()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name in _GAUGES:
                    values[_GAUGES[sample.name]] += sample.value
        return values

    async def _database(self) -> dict[str, float]:
        found = await self._connection.fetchrow(_ACTIVITY)
        assert found is not None
        rows = {
            f"rows_{table}": await self._connection.fetchval(f"SELECT count(*) FROM orchestrator.{table}")  # noqa: S608
            for table in (*BOUNDED, *KEPT)
        }
        size = await self._connection.fetchval("SELECT pg_database_size(current_database())")
        return {"postgres": found["ours"], "postgres_all": found["all_of_them"], "database": size, **rows}
