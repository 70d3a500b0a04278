"""I8: at rest everything that was taken is given back; and how it is measured."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.chaos.view import View

_DESCRIPTORS = 24
"""More than when it was ready: connections of callers, and to the provider, that are kept for the next."""
_MEMORY = 2.0
_CONNECTIONS = 3


def sample(pid: int) -> dict[str, Any]:
    """What a process holds: bytes of memory, descriptors, threads."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    return {
        "memory": int(status["VmRSS"].split()[0]) * 1024,
        "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "threads": int(status["Threads"]),
    }


def not_given_back(view: View) -> Iterator[str]:
    """Processes that lived, the database's connections, the line, and calls outside, at rest."""
    for pair in view.evidence.samples:
        ready, rest = pair["ready"], pair["rest"]
        if rest["memory"] > _MEMORY * ready["memory"]:
            yield f"{pair['name']} has {rest['memory'] >> 20} MiB, of {ready['memory'] >> 20} when ready"
        if rest["descriptors"] > ready["descriptors"] + _DESCRIPTORS:
            yield f"{pair['name']} has {rest['descriptors']} descriptors, first {ready['descriptors']}"
    facts = view.facts
    if facts["connections"] > facts["connections_before"] + _CONNECTIONS:
        yield f"{facts['connections']} connections, of {facts['connections_before']} before"
    for what in ("model_calls_open", "tool_calls_open", "waiting", "pending"):
        if facts[what]:
            yield f"{facts[what]} {what.replace('_', ' ')}"
