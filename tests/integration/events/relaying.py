"""The relay as a process of its own, which a test may kill, and a broker that it may lose."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.harness.kafka import TOPIC
from tests.harness.process import OrchestratorProcess, starting_process


@asynccontextmanager
async def relay_process(
    folder: Path, dsn: str, brokers: str, **settings: str
) -> AsyncIterator[OrchestratorProcess]:
    """`main.py events relay`, once it relays. `settings` are those of the group, as BATCH_SIZE="10"."""
    environment = {
        "DATABASE_URL": dsn,
        "ORCHESTRATOR_EVENTS__BROKERS": brokers,
        "ORCHESTRATOR_EVENTS__TOPIC": TOPIC,
        "ORCHESTRATOR_EVENTS__LOOK_SECONDS": "0.05",
        **{f"ORCHESTRATOR_EVENTS__{name}": value for name, value in settings.items()},
    }
    async with starting_process(folder, "events", "relay", **environment) as process:
        await process.says("relaying")
        yield process
