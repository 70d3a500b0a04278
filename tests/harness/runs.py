"""Runs for tests that drive the stores."""

from uuid import uuid4

from state.models import (
    ConversationId,
    FinishReason,
    NewRun,
    Owner,
    Record,
    ReplicaId,
    RunId,
    RunKind,
    RunOutcome,
    RunState,
)

ANN = Owner("ann")
REPLICA = ReplicaId("0" * 32)
SUCCEEDED = RunOutcome(RunState.SUCCEEDED, FinishReason.STOP, result="done")
CANCELLED = RunOutcome(RunState.CANCELLED, error_reason="CANCELLED")


def new_run(owner: Owner = ANN, conversation: str = "") -> NewRun:
    """Of a conversation of its own, unless told."""
    run_id = uuid4().hex
    return NewRun(
        RunId(run_id), owner, RunKind.CHAT, ConversationId(conversation or run_id), "chat", b"request"
    )


def records(*sequences: int) -> list[Record]:
    return [Record(sequence, f"chunk {sequence}".encode()) for sequence in sequences]


def last(sequence: int) -> list[Record]:
    return [Record(sequence, b"end", terminal=True)]
