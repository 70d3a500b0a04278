"""Run one turn of one agent."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, cast

import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import Command, Durability, Interrupt, StateSnapshot

from agents.aside import Aside
from agents.elsewhere import Elsewhere
from agents.events import AgentEvent, Citation, EditsProposed, SourcesCited, TextEmitted, TitleGiven
from agents.graphs import root
from agents.graphs.calling import taken_over
from agents.graphs.state import Answer, Context, State, Work
from agents.graphs.titling import first
from agents.graphs.turns import answered_texts, shown_texts
from agents.hands import Hands
from agents.history import CheckpointView, history
from agents.judge import Judge
from agents.own.loading import GraphLibrary
from agents.spec import AgentSpec, Shape
from agents.turn import Emit, Turn, TurnResult, TurnSuspended
from providers.base import ChatModel
from providers.pool.run_budget import Limit
from state.models import FinishReason, Owner, RunId, ThreadId
from state.permissions import Permission, PermissionScope, Question
from state.threads import RUN_THREAD_KEY, RunThread
from state.usage import Usage
from telemetry.spans import Spans

_STEPS_PER_ANSWER = 5
"""Of the graph, for one answer of the model; LangGraph's own limit is ten thousand."""


class Decisions(Protocol):
    """What people have decided."""

    async def decided(
        self, owner: Owner, run_id: RunId, permission_ids: Sequence[str]
    ) -> Mapping[str, Permission]: ...


@dataclass(frozen=True, slots=True)
class Means:
    """What a turn is done with. `usage` tells what the run has used so far; it is kept with the answer.

    `go_on` raises when the run is to end between two steps; `near` as in `RunBudget`. `texts_shown`: so many
    of the model's messages stand in the run's log already, from an earlier attempt. `ends_at`, in the event
    loop's time: when that of the run is over; None = never. `pace` says until when no more is written of
    what is emitted.
    """

    model: ChatModel
    judge: Judge
    hands: Hands
    aside: Aside
    usage: Callable[[], Usage]
    go_on: Callable[[], Awaitable[None]]
    near: Callable[[Callable[[], int]], Limit | None]
    pace: Callable[[], float]
    texts_shown: int = 0
    elsewhere: Elsewhere | None = None
    ends_at: float | None = None


class AgentRunner:
    """Executes agents over conversations kept by a checkpointer. `graphs` are callers' own."""

    def __init__(
        self,
        checkpointer: BaseCheckpointSaver[str],
        decisions: Decisions,
        graphs: GraphLibrary,
        *,
        spans: Spans | None = None,
    ) -> None:
        self._graph = root.build(checkpointer, graphs, spans)
        self._decisions = decisions

    async def run(
        self, spec: AgentSpec, turn: Turn, thread: RunThread, emit: Emit, means: Means
    ) -> TurnResult | TurnSuspended:
        """Answer a turn, or come as far as a person has to decide. Text goes out through `emit` at once.

        When this returns a result the turn is part of the conversation; when it raises the messages of the
        conversation are as before. A turn that was suspended, or cut off, goes on where it stood.

        Raises:
            ProviderError: The model failed.
            AgentFailedError: The code of a caller's own graph failed.
            ConversationBusyError: Another run of the conversation is active; no model was called.
            LostAttemptError: Another attempt owns the run.
            CancelledRunError: The run is being cancelled.
            DatabaseUnavailableError: The conversation cannot be read or written.
        """
        left_off = await self._left_off(thread)
        # Not `next`: that leaves out a step that is done, but whose checkpoint is not written.
        if left_off is not None and not left_off.tasks:
            return _repeated(left_off.values, thread, emit, means.texts_shown)
        start: Any = {"messages": []}
        if left_off is None and (taken_over := await self._taken_over(thread, spec)):
            start["work"] = taken_over
            _emit_all(emit, shown_texts(taken_over, 0))
        if left_off is not None:
            _emit_all(emit, _said(left_off, thread.run_id, means.texts_shown))
            questions = [one for task in left_off.tasks for one in task.interrupts]
            start = await self._decided(thread, questions) if questions else None
            if questions and start is None:
                return TurnSuspended(_questions(questions), means.usage())
        context = _context(spec, turn, thread, emit, means)
        _take_up_title(left_off, context)
        config = _config(thread, spec, thread.base if left_off is None else "")
        durability: Durability = "sync" if spec.shape.in_steps else "exit"
        final = await self._graph.ainvoke(start, config, context=context, durability=durability)
        if asked := final.get("__interrupt__"):
            return TurnSuspended(_questions(asked), means.usage())
        return _result(final, thread)

    async def history(
        self, owner: Owner, thread_id: ThreadId, before: str, limit: int
    ) -> list[CheckpointView]:
        """As `agents.history.history`."""
        return await history(self._graph, owner, thread_id, before=before, limit=limit)

    async def _left_off(self, thread: RunThread) -> StateSnapshot | None:
        """Where an earlier attempt of the run has left the conversation, if it has written anything."""
        if not thread.again:
            return None
        snapshot = await self._graph.aget_state(_config(thread))
        return snapshot if (snapshot.metadata or {}).get("run_id") == thread.run_id else None

    async def _taken_over(self, thread: RunThread, spec: AgentSpec) -> Work | None:
        """The turn that another run has left unfinished, as work of this one. An own graph begins it anew."""
        if thread.goes_on_from is None or spec.shape is Shape.OWN:
            return None
        snapshot = await self._graph.aget_state(_config(thread))
        is_its = (snapshot.metadata or {}).get("run_id") == thread.goes_on_from
        work = snapshot.values.get("work") if is_its and snapshot.tasks else None
        # What goes on elsewhere was cancelled there: it is begun anew.
        return taken_over(work, thread.run_id) if work and "elsewhere" not in work else None

    async def _decided(self, thread: RunThread, questions: Sequence[Interrupt]) -> Command[tuple[()]] | None:
        """What the interrupts are answered with; None when a decision is still missing."""
        asked = {one.id: [question["permission_id"] for question in one.value] for one in questions}
        wanted = [permission_id for ids in asked.values() for permission_id in ids]
        decided = await self._decisions.decided(thread.owner, thread.run_id, wanted)
        if len(decided) < len(wanted):
            return None
        return Command(resume={name: {id: _plain(decided[id]) for id in ids} for name, ids in asked.items()})


def _plain(permission: Permission) -> dict[str, str]:
    return {
        "state": permission.state.value,
        "reason": permission.reason,
        "arguments": permission.arguments.decode(),
        "digest": permission.digest,
    }


def _questions(interrupts: Sequence[Interrupt]) -> tuple[Question, ...]:
    return tuple(_question(values) for one in interrupts for values in one.value)


def _question(values: Mapping[str, Any]) -> Question:
    scopes = tuple(PermissionScope(scope) for scope in values["allowed_scopes"])
    return Question(**{**values, "arguments": values["arguments"].encode(), "allowed_scopes": scopes})


def _context(spec: AgentSpec, turn: Turn, thread: RunThread, emit: Emit, means: Means) -> Context:
    # LangGraph writes its last checkpoint also when a step has failed: in a graph of one step a branch would
    # move the head. One of several steps keeps them all.
    thread.complete = spec.shape.in_steps
    return Context(
        run_id=thread.run_id,
        spec=spec,
        turn=turn,
        model=means.model,
        emit=emit,
        complete=partial(setattr, thread, "complete", True),
        usage=means.usage,
        go_on=means.go_on,
        near=means.near,
        judge=means.judge,
        hands=means.hands,
        aside=means.aside,
        elsewhere=means.elsewhere,
        thread=thread,
        texts_shown=means.texts_shown,
        ends_at=means.ends_at,
        pace=means.pace,
    )


def _take_up_title(left_off: StateSnapshot | None, context: Context) -> None:
    """A first turn that goes on is past its beginning, where its title would be asked for."""
    if left_off is not None and first(cast(State, left_off.values), context):
        context.aside.begin_title(context.turn.question)


def _repeated(values: Mapping[str, Any], thread: RunThread, emit: Emit, shown: int) -> TurnResult:
    """The turn that an earlier attempt completed, and died before it could say so."""
    _emit_all(emit, answered_texts(values, shown))
    return _result(values, thread)


def _said(left_off: StateSnapshot, run_id: RunId, shown: int) -> list[TextEmitted]:
    """What was said in a turn under way, from message `shown` on.

    Also in a step that is done, but whose checkpoint is not written: it is not executed again.
    """
    done: dict[str, Any] = {}
    for task in left_off.tasks:
        done |= task.result or {}
    if "answer" in done:
        return answered_texts(done, shown)
    work: Work | None = done.get("work", left_off.values.get("work"))
    # One that another turn has left unfinished stays until this turn's own is opened.
    return shown_texts(work, shown) if work and work["run_id"] == run_id else []


def _emit_all(emit: Emit, texts: Sequence[TextEmitted]) -> None:
    for text in texts:
        emit(text)


def _result(values: Mapping[str, Any], thread: RunThread) -> TurnResult:
    answer: Answer = values["answer"]
    return TurnResult(
        text=answer.get("text", values["messages"][-1]["content"]),
        finish_reason=FinishReason(answer["finish_reason"]),
        usage=Usage.parsed(answer.get("usage")),
        provider=answer["provider"],
        model=answer["model"],
        generation_id=answer["generation_id"],
        checkpoint_id=thread.last_checkpoint_id,
        limit=answer.get("limit", ""),
        tools_used=tuple(answer.get("tools_used", ())),
        closing=tuple(_closing(answer)),
        metadata=_metadata(answer),
    )


def _closing(answer: Answer) -> Iterator[AgentEvent]:
    if title := answer.get("title"):
        yield TitleGiven(title)
    if edits := answer.get("edits"):
        yield EditsProposed(**edits)
    if citations := answer.get("citations"):
        cited = tuple(Citation(**citation) for citation in citations)
        yield SourcesCited(cited, len(answer.get("text", "").encode()))


def _metadata(answer: Answer) -> dict[str, str]:
    metadata = {}
    if citations := answer.get("citations"):
        metadata["citations"] = orjson.dumps(citations).decode()
    if dropped := answer.get("dropped_citations"):
        metadata["dropped_citations"] = str(dropped)
    return metadata


def _config(thread: RunThread, spec: AgentSpec | None = None, checkpoint_id: str = "") -> RunnableConfig:
    at = {"checkpoint_id": checkpoint_id} if checkpoint_id else {}
    return {
        "configurable": {
            "thread_id": thread.thread_id,
            "run_id": thread.run_id,
            RUN_THREAD_KEY: thread,
            root.SHAPE_KEY: spec.shape if spec else None,
            **at,
        },
        "recursion_limit": _STEPS_PER_ANSWER * ((spec.max_steps if spec else 0) + 2),
    }
