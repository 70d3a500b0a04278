"""A history in which all is well, with something of everything in it, for violations to be planted in."""

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from protos import orchestrator_pb2 as pb
from tests.chaos.evidence import Evidence
from tests.integration.agents.hostile.oracle import digest_of
from tests.integration.tasks.checker import words_of
from tests.integration.tasks.tables import Row, Tables, Write

TASK, CHAT, ASKED = "1" * 32, "2" * 32, "3" * 32
CALL, PERMISSION = uuid4().hex, uuid4().hex
ENTRY = {"text": "[p3] buy milk", "kind": "todo"}
SECRET = "correct horse"


def text(call: int) -> str:
    return "".join(words_of(call))


def chunk(sequence: int, run_id: str, **payload: object) -> tuple[bool, pb.ChatChunk]:
    return "complete" in payload, pb.ChatChunk(sequence=sequence, run_id=run_id, **payload)  # type: ignore[arg-type]


def write(run_id: str, writer: str, attempt: int, **what: object) -> Write:
    values = {"old_state": None, "new_state": None, "sequence": None, "terminal": None, **what}
    return Write(at=datetime.now(UTC), writer=writer, run_id=run_id, attempt=attempt, **values)  # type: ignore[arg-type]


def logs() -> dict[str, list[tuple[bool, pb.ChatChunk]]]:
    """A task whose first process died in its answer, a chat, and a task that had to ask."""
    running = pb.StatusUpdate(state=pb.TASK_STATE_RUNNING)
    return {
        TASK: [
            chunk(1, TASK, status=running),
            chunk(2, TASK, content=pb.ContentDelta(text=words_of(1)[0])),
            chunk(3, TASK, reset=pb.StreamReset(from_sequence=2, attempt=2)),
            chunk(4, TASK, content=pb.ContentDelta(text=text(2))),
            chunk(5, TASK, complete=pb.Completion(final_text=text(2))),
        ],
        CHAT: [
            chunk(1, CHAT, status=running),
            chunk(2, CHAT, content=pb.ContentDelta(text=text(3))),
            chunk(3, CHAT, complete=pb.Completion(final_text=text(3))),
        ],
        ASKED: [
            chunk(1, ASKED, status=running),
            chunk(2, ASKED, status=pb.StatusUpdate(state=pb.TASK_STATE_WAITING_FOR_PERMISSION)),
            chunk(3, ASKED, tool_result=pb.ToolResult(tool_call_id=CALL, ok=True)),
            chunk(4, ASKED, content=pb.ContentDelta(text=text(4))),
            chunk(5, ASKED, complete=pb.Completion(final_text=text(4))),
        ],
    }


def writes() -> dict[str, list[Write]]:
    def begun(run_id: str) -> list[Write]:
        return [
            write(run_id, "a", 1, new_state="running"),
            write(run_id, "a", 1, sequence=1, terminal=False),
            write(run_id, "a", 1, sequence=2, terminal=False),
        ]

    def over(run_id: str, writer: str, attempt: int, *sequences: int) -> list[Write]:
        *before, last = sequences
        return [
            *(write(run_id, writer, attempt, sequence=s, terminal=False) for s in before),
            write(run_id, writer, attempt, sequence=last, terminal=True),
            write(run_id, writer, attempt, old_state="running", new_state="succeeded"),
        ]

    def again(run_id: str, old: str) -> list[Write]:
        return [
            write(run_id, "b", 1, old_state=old, new_state="queued"),
            write(run_id, "b", 2, old_state="queued", new_state="running"),
        ]

    waiting = write(ASKED, "a", 1, old_state="running", new_state="waiting_for_permission")
    return {
        TASK: [*begun(TASK), *again(TASK, "running"), *over(TASK, "b", 2, 3, 4, 5)],
        CHAT: [*begun(CHAT), *over(CHAT, "a", 1, 3)],
        ASKED: [
            *begun(ASKED),
            waiting,
            *again(ASKED, waiting.new_state or ""),
            *over(ASKED, "b", 2, 3, 4, 5),
        ],
    }


def told() -> list[tuple[str, str]]:
    again = ["run.started", "run.queued", "run.started", "run.completed"]
    return [
        *((TASK, kind) for kind in again),
        *((CHAT, kind) for kind in ("run.started", "run.completed")),
        *((ASKED, kind) for kind in ("run.started", "run.waiting", *again[1:])),
    ]


def history() -> list[dict[str, Any]]:
    seen = [
        {
            "what": "saw",
            "op": "c2",
            "user": "ann",
            "reader": "r",
            "run_id": CHAT,
            "chunk": b64encode(c.SerializeToString()).decode(),
        }
        for _, c in logs()[CHAT]
    ]
    answered = {"op": "c2", "user": "ann", "kind": "chat"}
    refused = {
        "code": "UNAVAILABLE",
        "reason": "DATABASE_UNAVAILABLE",
        "message": "the database cannot be reached",
        "retry_after": 2.0,
    }
    lines: list[dict[str, Any]] = [
        {"what": "invoke", "op": "t1", "user": "bob", "kind": "start"},
        {"what": "fail", "op": "t1", "user": "bob", "kind": "try", **refused},
        {"what": "ok", "op": "t1", "user": "bob", "kind": "start", "task_ids": [TASK]},
        {"what": "invoke", **answered},
        *seen,
        {"what": "ok", **answered, "run_id": CHAT, "text": text(3), "left": False},
        {"what": "invoke", "op": "p3", "user": "eve", "kind": "start"},
        {"what": "ok", "op": "p3", "user": "eve", "kind": "start", "task_ids": [ASKED]},
        {"what": "shown", "user": "eve", "text": str(ENTRY)},
        {"what": "invoke", "op": PERMISSION, "user": "eve", "kind": "decide"},
        {"what": "ok", "op": PERMISSION, "user": "eve", "kind": "decide", "first": True},
        {"what": "kept", "user": "ann", "turns": [[CHAT, text(3)]]},
    ]
    return [{"at": float(at), "live": float(at), **line} for at, line in enumerate(lines)]


def run(owner: str, kind: str, query: str) -> dict[str, Any]:
    return {"owner": owner, "kind": kind, "query": query, "retry_of": ""}


_APPROVED: dict[str, Any] = {
    "permission_id": PERMISSION,
    "run_id": ASKED,
    "owner": "eve",
    "tool_call_id": CALL,
    "state": "approved",
    "allows": digest_of(ENTRY),
    "decided": 1,
}


def _called() -> dict[str, Any]:
    return {
        "method": "AddOrgInboxItem",
        "request": {**ENTRY, "user_id": "eve"},
        "metadata": {"x-tool-call-id": CALL},
        "effect": True,
    }


def good() -> Evidence:
    """All is well in it, and something of everything is there."""
    rows = {
        TASK: Row(TASK, "succeeded", 2, 2, 1, 0, 5, "", text(2)),
        CHAT: Row(CHAT, "succeeded", 1, 1, 0, 0, 3, "", text(3)),
        ASKED: Row(ASKED, "succeeded", 2, 2, 0, 0, 5, "", text(4)),
    }
    process = {"memory": 100 << 20, "descriptors": 30, "threads": 5}
    return Evidence(
        history=history(),
        tables=Tables(rows, logs(), writes(), told()),
        runs={
            TASK: run("bob", "task", "[t1] work"),
            CHAT: run("ann", "chat", "[c2] tell me"),
            ASKED: run("eve", "task", "[p3] add it"),
        },
        permissions=[dict(_APPROVED)],
        model_calls={1: "t1", 2: "t1", 3: "c2", 4: "p3"},
        tool_calls=[_called()],
        samples=[{"name": "process 1", "ready": process, "rest": process}],
        logs=['{"message": "serving"}'],
        facts={
            "recovery_seconds": 2.0,
            "connections": 15,
            "connections_before": 15,
            "waiting": 0,
            "pending": 0,
            "model_calls_open": 0,
            "tool_calls_open": 0,
            "secrets": [SECRET],
        },
    )
