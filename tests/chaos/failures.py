"""I11: every failure has its status, a hint where trying again helps, and nothing of the inside."""

import re
from collections.abc import Iterator
from typing import Any

from google.rpc import code_pb2

from orchestrator.codec.errors import CODES
from tests.chaos.view import View

_CODES = {str(reason): code_pb2.Code.Name(code) for reason, code in CODES.items()}
_OF_OUR_CLIENT = {"SILENCE": "UNAVAILABLE", "STREAM_GAP": "UNAVAILABLE"}
_BROKEN = {"UNAVAILABLE", "CANCELLED", "DEADLINE_EXCEEDED"}
"""What a connection that broke is called: no server has said a reason."""
_NEVER = {
    "INTERNAL",
    "AGENT_FAILED",
    "INVALID_REQUEST",
    "UNIMPLEMENTED",
    "NOT_FOUND",
    "PROVIDER_REJECTED",
    "IDEMPOTENCY_KEY_REUSED",
    "SEQUENCE_OUT_OF_RANGE",
    "STREAM_GAP",
}
"""Nobody here asks for anything that deserves these."""
_HINTED = {
    "QUEUE_FULL",
    "QUOTA",
    "OVERLOADED",
    "DRAINING",
    "DATABASE_UNAVAILABLE",
    "WORKER_LOST",
    "PROVIDER_UNAVAILABLE",
    "PROVIDER_SATURATED",
}
_INSIDE = re.compile(r"Traceback|asyncpg|aiohttp|langgraph|\.py\b|postgres(ql)?://|0x[0-9a-f]{6}|\bSELECT\b")


def wrong_failures(view: View) -> Iterator[str]:
    """Those of calls and streams, and secrets or prompts in what processes logged."""
    for line in view.lines("fail"):
        for what in _one(line):
            yield f"{line['op']}: {line['kind']} failed with {line['code']} {line['reason']!r}: {what}"
    secrets = [*view.facts["secrets"], *(f"[{label}]" for label in view.users)]
    together = re.compile("|".join(map(re.escape, secrets)))
    for log in view.evidence.logs:
        if found := together.search(log):
            yield f"a process has logged what it must not: {'a query' if found[0][0] == '[' else 'a secret'}"


def _one(line: dict[str, Any]) -> Iterator[str]:
    code, reason = line["code"], line["reason"]
    if reason in _NEVER:
        yield line["message"]
    if not reason and code not in _BROKEN:
        yield f"without a reason: {line['message']}"
    if reason and {**_CODES, **_OF_OUR_CLIENT}.get(reason) != code:
        yield "not its code"
    if reason in _HINTED and line["retry_after"] is None:
        yield "no hint when to try again"
    if reason and _INSIDE.search(line["message"]):
        yield f"tells of the inside: {line['message']}"
