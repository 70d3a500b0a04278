"""Run one turn of one agent."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from agents.events import TextEmitted
from agents.graphs import direct
from agents.history import CheckpointView, history
from agents.spec import AgentSpec
from agents.turn import Emit, Turn, TurnResult
from providers.base import ChatModel
from state.models import FinishReason, Owner, ThreadId
from state.threads import RUN_THREAD_KEY, RunThread
from state.usage import Usage

_STEPS = 5
"""LangGraph's own limit is ten thousand; a direct answer takes one step."""


class AgentRunner:
    """Executes agents over conversations kept by a checkpointer."""

    def __init__(self, checkpointer: BaseCheckpointSaver[str]) -> None:
        self._direct = direct.build(checkpointer)

    async def run(
        self,
        spec: AgentSpec,
        turn: Turn,
        thread: RunThread,
        emit: Emit,
        *,
        model: ChatModel,
        usage: Callable[[], Usage],
    ) -> TurnResult:
        """Answer a turn with a model; text goes out through `emit` as it is written.

        When this returns the turn is part of the conversation; when it raises the conversation is as before.
        `usage` tells what the run has used so far; it is kept with the answer.

        Raises:
            ProviderError: The model failed.
            ConversationBusyError: Another run of the conversation is active; no model was called.
            LostAttemptError: Another attempt owns the run.
            DatabaseUnavailableError: The conversation cannot be read or written.
        """
        answered = await self._answered_before(thread)
        if answered is not None:
            emit(TextEmitted(answered["messages"][-1]["content"]))
            return _result(answered, thread)
        # LangGraph writes its last checkpoint also when a step has failed: a branch would move the head.
        thread.complete = False
        complete = partial(setattr, thread, "complete", True)
        context = direct.Context(spec, turn, model, emit, complete, usage)
        nothing_new: direct.State = {"messages": []}
        config = _config(thread, thread.base)
        return _result(
            await self._direct.ainvoke(nothing_new, config, context=context, durability="exit"), thread
        )

    async def history(
        self, owner: Owner, thread_id: ThreadId, before: str, limit: int
    ) -> list[CheckpointView]:
        """As `agents.history.history`."""
        return await history(self._direct, owner, thread_id, before=before, limit=limit)

    async def _answered_before(self, thread: RunThread) -> dict[str, Any] | None:
        """The conversation, when an earlier attempt completed the turn and died before it could say so."""
        if not thread.again:
            return None
        snapshot = await self._direct.aget_state(_config(thread))
        metadata: Mapping[str, Any] = snapshot.metadata or {}
        return snapshot.values if metadata.get("run_id") == thread.run_id and not snapshot.next else None


def _result(final: Mapping[str, Any], thread: RunThread) -> TurnResult:
    answer: direct.Answer = final["answer"]
    return TurnResult(
        text=final["messages"][-1]["content"],
        finish_reason=FinishReason(answer["finish_reason"]),
        usage=Usage.parsed(answer.get("usage")),
        provider=answer["provider"],
        model=answer["model"],
        generation_id=answer["generation_id"],
        checkpoint_id=thread.last_checkpoint_id,
        limit=answer.get("limit", ""),
    )


def _config(thread: RunThread, checkpoint_id: str = "") -> RunnableConfig:
    at = {"checkpoint_id": checkpoint_id} if checkpoint_id else {}
    return {
        "configurable": {
            "thread_id": thread.thread_id,
            "run_id": thread.run_id,
            RUN_THREAD_KEY: thread,
            **at,
        },
        "recursion_limit": _STEPS,
    }
