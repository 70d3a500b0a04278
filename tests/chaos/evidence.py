"""All that the checker looks at, gathered once everything is at rest and kept in a folder."""

from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import orjson

from protos import orchestrator_pb2 as pb
from tests.chaos.history import FILE, lines
from tests.integration.tasks.tables import Row, Tables, Write, connected, read_tables

_FILE = "evidence.json"
_RUNS = "SELECT run_id, owner, kind, request, retry_of, priority FROM orchestrator.runs"
_PERMISSIONS = """
SELECT permission_id, run_id, owner, tool_call_id, state,
    coalesce(nullif(edited_digest, ''), digest) AS allows,
    (SELECT count(*) FROM orchestrator.permission_audit a
     WHERE a.permission_id = p.permission_id AND action IN ('approved', 'denied')) AS decided
FROM orchestrator.permissions p
"""


@dataclass
class Evidence:
    """What callers saw, the tables, and the ledgers of the world outside.

    `runs`: owner, kind, query and `retry_of` by run. `model_calls`: which operation each call to the provider
    was for. `tool_calls`: the backend's ledger. `samples`: of each process that lived to the end when it was
    ready and at rest. `logs`: what the processes said. `facts`: numbers and secrets.
    """

    history: list[dict[str, Any]]
    tables: Tables
    runs: dict[str, dict[str, Any]]
    permissions: list[dict[str, Any]] = field(default_factory=list)
    model_calls: dict[int, str] = field(default_factory=dict)
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Beside the history, which is there already."""
        kept = {name: value for name, value in vars(self).items() if name not in ("history", "tables")}
        tables = {
            "rows": [asdict(row) for row in self.tables.rows.values()],
            "logs": {run: [(last, _packed(c)) for last, c in log] for run, log in self.tables.logs.items()},
            "writes": [asdict(write) for of_run in self.tables.writes.values() for write in of_run],
            "told": self.tables.told,
        }
        options = orjson.OPT_NON_STR_KEYS | orjson.OPT_INDENT_2
        (folder / _FILE).write_bytes(orjson.dumps({**kept, "tables": tables}, option=options))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Of a folder in which `write` has left it."""
        kept = orjson.loads((folder / _FILE).read_bytes())
        tables = kept.pop("tables")
        writes: dict[str, list[Write]] = {}
        for write in tables["writes"]:
            write["at"] = datetime.fromisoformat(write["at"])
            writes.setdefault(write["run_id"], []).append(Write(**write))
        kept["model_calls"] = {int(number): label for number, label in kept["model_calls"].items()}
        return cls(
            history=list(lines(folder / FILE)),
            tables=Tables(
                rows={row["run_id"]: Row(**row) for row in tables["rows"]},
                logs={run: [(last, chunk_of(c)) for last, c in log] for run, log in tables["logs"].items()},
                writes=writes,
                told=[(run, kind) for run, kind in tables["told"]],
            ),
            **kept,
        )


def chunk_of(packed: str) -> pb.ChatChunk:
    """As evidence and history hold it."""
    return pb.ChatChunk.FromString(b64decode(packed))


def _packed(chunk: pb.ChatChunk) -> str:
    return b64encode(chunk.SerializeToString()).decode()


async def of_database(dsn: str) -> dict[str, Any]:
    """What the tables say: the arguments of `Evidence` that they give."""
    async with connected(dsn) as connection:
        runs = await connection.fetch(_RUNS)
        permissions = await connection.fetch(_PERMISSIONS)
    return {
        "tables": await read_tables(dsn),
        "runs": {
            row["run_id"].hex: {
                "owner": row["owner"],
                "kind": row["kind"],
                "query": pb.ChatRequest.FromString(row["request"]).query,
                "retry_of": row["retry_of"].hex if row["retry_of"] else "",
            }
            for row in runs
        },
        "permissions": [
            {
                name: value.hex if hasattr(value, "hex") and not isinstance(value, str | int) else value
                for name, value in row.items()
            }
            for row in permissions
        ],
    }
