"""The checkpoints of a conversation, as a person who wants to go back sees them."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot

from state.errors import LostAttemptError
from state.models import Attempt, Owner, RunId, ThreadId
from state.threads import RUN_THREAD_KEY, RunThread

_PREVIEW_CHARACTERS = 200
_AT_ONCE = 10
"""Each checkpoint is read with its whole state, so only a few are in memory."""


@dataclass(frozen=True, slots=True)
class CheckpointView:
    """One checkpoint. `next_nodes` are the steps that would come; `preview` begins the newest message."""

    checkpoint_id: str
    parent_checkpoint_id: str
    create_time: datetime
    step: int
    next_nodes: tuple[str, ...]
    run_id: str
    preview: str


class Graph(Protocol):
    """What knows the states of a conversation."""

    def aget_state_history(
        self, config: RunnableConfig, *, before: RunnableConfig | None = None, limit: int | None = None
    ) -> AsyncIterator[StateSnapshot]: ...


async def history(
    graph: Graph, owner: Owner, thread_id: ThreadId, *, before: str, limit: int
) -> list[CheckpointView]:
    """Up to `limit` checkpoints, the newest first, from the one before the checkpoint `before` on.

    Raises:
        DatabaseUnavailableError: They cannot be read.
    """
    config = _reading(owner, thread_id)
    views: list[CheckpointView] = []
    while len(views) < limit:
        start = views[-1].checkpoint_id if views else before
        wanted = min(_AT_ONCE, limit - len(views))
        page = graph.aget_state_history(config, before=_at(config, start) if start else None, limit=wanted)
        found = [_view(snapshot) async for snapshot in page]
        views += found
        if len(found) < wanted:
            break
    return views


def _reading(owner: Owner, thread_id: ThreadId) -> RunnableConfig:
    async def never() -> Attempt:
        raise LostAttemptError("nothing is written by who only reads")

    thread = RunThread(owner, RunId(""), thread_id, never)
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": "", RUN_THREAD_KEY: thread}}


def _at(config: RunnableConfig, checkpoint_id: str) -> RunnableConfig:
    return {"configurable": {**config["configurable"], "checkpoint_id": checkpoint_id}}


def _view(snapshot: StateSnapshot) -> CheckpointView:
    metadata: Mapping[str, Any] = snapshot.metadata or {}
    parent = snapshot.parent_config["configurable"] if snapshot.parent_config else {}
    messages = snapshot.values.get("messages") or [{"content": ""}]
    return CheckpointView(
        checkpoint_id=snapshot.config["configurable"]["checkpoint_id"],
        parent_checkpoint_id=parent.get("checkpoint_id", ""),
        create_time=datetime.fromisoformat(snapshot.created_at or ""),
        step=int(metadata.get("step", 0)),
        next_nodes=snapshot.next,
        run_id=str(metadata.get("run_id", "")),
        preview=messages[-1]["content"][:_PREVIEW_CHARACTERS],
    )
