"""A turn of a caller's own graph: what it is given, and what is left to say at its end."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableConfig

from agents.events import TextEmitted
from agents.graphs.asking import request_of
from agents.graphs.state import Context, OwnWork, State, Work
from agents.graphs.turns import BETWEEN, past_of, work_of
from agents.images import StoredMessage, shown
from agents.own.context import TurnContext
from agents.own.loading import MESSAGES, QUESTION, Graph, inputs
from agents.own.model import RunModel
from agents.own.record import Decided, Noted, TurnRecord
from agents.own.tools import RunTools
from agents.own.voice import Voice
from agents.summary import Past
from state.threads import RUN_THREAD_KEY

ANSWER = "answer"
"""What a graph sets to say at the end of its turn."""

_STEPS_PER_ANSWER = 5
"""Of the graph, for one answer of the model."""


def input_of(graph: Graph, state: State, context: Context) -> dict[str, Any]:
    """The question; and what the conversation was before, to a graph that has had no turn in it."""
    work = work_of(state)
    question = shown(work["messages"][0], {}, seen=False).content
    known = (state.get("own") or {}).get(context.spec.name)
    before = [] if known else _history(past_of(state, work).messages)
    values = {QUESTION: question, MESSAGES: [*before, HumanMessage(question)]}
    return {name: value for name, value in values.items() if name in inputs(graph)}


def _history(messages: Sequence[StoredMessage]) -> list[BaseMessage]:
    kinds: Mapping[str, type[BaseMessage]] = {"user": HumanMessage, "assistant": AIMessage}
    return [
        kinds[m["role"]](shown(m, {}, seen=False).content)
        for m in messages
        if m["role"] in kinds and m["content"]
    ]


def config_of(context: Context) -> RunnableConfig:
    """As a graph of its own, not as part of the one around it."""
    thread = context.thread
    inside = {"thread_id": thread.thread_id, "run_id": thread.run_id, RUN_THREAD_KEY: thread}
    steps = _STEPS_PER_ANSWER * (context.spec.max_steps + 2)
    return {"configurable": inside, "recursion_limit": steps}


def voice_of(context: Context, work: Work, noted: Noted | None) -> Voice:
    """The run's texts until now. Those that nobody has been shown go out first."""
    texts = max(work["texts"], noted["texts"] if noted else [], key=len)
    seen = max(len(work["texts"]), context.texts_shown)
    for index, text in enumerate(texts):
        if text and index >= seen:
            opening = BETWEEN if any(texts[:index]) else ""
            context.emit(TextEmitted(opening + text, message_index=index))
    return Voice(context.emit, texts, context.texts_shown)


def record_of(work: Work, own: OwnWork, noted: Noted | None) -> TurnRecord:
    """What has come of the turn until now, in whichever attempt."""
    decided = {name: Decided(one["call"], one["times"]) for name, one in own["calls"].items()}
    used = max(work["tools_used"], noted["tools_used"] if noted else [], key=len)
    return TurnRecord(work["tainted"] or (noted is not None and noted["tainted"]), list(used), decided)


def given_to(context: Context, tools: RunTools, voice: Voice, record: TurnRecord) -> TurnContext:
    """What the graph is given."""
    question = StoredMessage(role="user", content=context.turn.question)
    request = request_of(context, Past([]), [question], {}, tools=context.hands.specs)
    system = request.messages[0].content
    return TurnContext(
        model=RunModel(context.model, voice, record, request, system),
        tools=tuple(tools.tools),
        question=context.turn.question,
        system=system,
        user_id=context.thread.owner,
        run_id=context.run_id,
        hints=context.turn.hints,
    )


def last_words(values: Mapping[str, Any], texts: list[str], *, new: bool) -> str:
    """What is still to be said: the `new` answer, or where nothing was said the model's last message."""
    if new and isinstance(answer := values.get(ANSWER), str):
        return "" if texts and texts[-1] == answer else str(answer)
    if any(texts):
        return ""
    messages = values.get(MESSAGES) or []
    last = messages[-1] if isinstance(messages, list) and messages else None
    return str(last.text) if isinstance(last, AIMessage) else ""
