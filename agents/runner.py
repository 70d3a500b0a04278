"""Run one turn of one agent."""

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from agents.events import TextEmitted
from agents.graphs import direct
from agents.spec import AgentSpec
from agents.turn import Emit, Turn, TurnResult
from providers.base import ChatModel
from state.models import FinishReason, ModelUsage, Usage
from state.threads import RUN_THREAD_KEY, RunThread

_STEPS = 5
"""LangGraph's own limit is ten thousand; a direct answer takes one step."""


class AgentRunner:
    """Executes agents over conversations kept by a checkpointer."""

    def __init__(self, model: ChatModel, checkpointer: BaseCheckpointSaver[str]) -> None:
        self._model = model
        self._direct = direct.build(checkpointer)

    async def run(self, spec: AgentSpec, turn: Turn, thread: RunThread, emit: Emit) -> TurnResult:
        """Answer a turn; text goes out through `emit` as it is written.

        When this returns the turn is part of the conversation; when it raises the conversation is as before.

        Raises:
            ProviderError: The model failed.
            ConversationBusyError: Another run of the conversation is active; no model was called.
            LostAttemptError: Another attempt owns the run.
            DatabaseUnavailableError: The conversation cannot be read or written.
        """
        if not thread.new:
            await thread.attempt()  # until the conversation is ours, its newest turn may still be written
        final = await self._answered_before(thread)
        if final is not None:
            emit(TextEmitted(final["messages"][-1]["content"]))
        else:
            context = direct.Context(spec, turn, self._model, emit)
            nothing_new: direct.State = {"messages": []}
            config = _config(thread)
            final = await self._direct.ainvoke(nothing_new, config, context=context, durability="exit")
        answer: direct.Answer = final["answer"]
        return TurnResult(
            text=final["messages"][-1]["content"],
            finish_reason=FinishReason(answer["finish_reason"]),
            usage=_usage(answer),
            provider=answer["provider"],
            model=answer["model"],
            generation_id=answer["generation_id"],
            checkpoint_id=thread.last_checkpoint_id,
        )

    async def _answered_before(self, thread: RunThread) -> dict[str, Any] | None:
        """The conversation, when an earlier attempt completed the turn and died before it could say so."""
        if not thread.again:
            return None
        snapshot = await self._direct.aget_state(_config(thread))
        metadata: Mapping[str, Any] = snapshot.metadata or {}
        return snapshot.values if metadata.get("run_id") == thread.run_id and not snapshot.next else None


def _config(thread: RunThread) -> RunnableConfig:
    return {
        "configurable": {
            "thread_id": thread.thread_id,
            "run_id": thread.run_id,
            RUN_THREAD_KEY: thread,
        },
        "recursion_limit": _STEPS,
    }


def _usage(answer: direct.Answer) -> Usage:
    return Usage(
        input_tokens=answer["input_tokens"],
        output_tokens=answer["output_tokens"],
        cached_input_tokens=answer["cached_input_tokens"],
        reasoning_tokens=answer["reasoning_tokens"],
        model_calls=1,
        estimated=answer["estimated"],
        by_model=(
            ModelUsage(answer["provider"], answer["model"], answer["input_tokens"], answer["output_tokens"]),
        ),
    )
