"""What events look like, and a service that sends them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from jsonschema import Draft202012Validator, FormatChecker

from orchestrator.relay.cloud_events import TYPES
from tests.harness.kafka import TOPIC
from tests.harness.process import ROOT
from tests.harness.retention import connected

SCHEMAS = ROOT / "docs" / "events"
QUICK = {"look_seconds": 0.02, "topic": TOPIC}

MANY = """
INSERT INTO outbox (run_id, owner, type, data)
SELECT lpad(to_hex(n % $2), 32, '0')::uuid, 'ann', 'run.queued',
    jsonb_build_object('kind', 'task', 'agent', 'chat', 'attempt', n, 'conversation_id', 'c' || n % $2)
FROM generate_series(1, $1) AS n
"""


def schema(name: str) -> dict[str, Any]:
    """The schema of a file in docs/events."""
    found: dict[str, Any] = orjson.loads((SCHEMAS / f"{name}.v1.json").read_bytes())
    return found


def problems(event: Mapping[str, Any]) -> list[str]:
    """What of an event is not as its schemas say."""
    checks = FormatChecker()
    envelope = Draft202012Validator(schema("event"), format_checker=checks)
    data = Draft202012Validator(schema(event["type"]), format_checker=checks)
    found = [*envelope.iter_errors(event), *data.iter_errors(event["data"])]
    return [f"{event['type']} {error.json_path}: {error.message}" for error in found]


def schema_files() -> set[Path]:
    """Those that there should be."""
    return {SCHEMAS / f"{name}.v1.json" for name in ("event", *TYPES)}


async def fill(dsn: str, events: int, keys: int) -> None:
    """Put so many events of so many runs into the outbox, in turns."""
    async with connected(dsn) as connection:
        await connection.execute(MANY, events, keys)


async def waiting(dsn: str) -> int:
    """How many events are in the outbox."""
    async with connected(dsn) as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM outbox")
    return count
