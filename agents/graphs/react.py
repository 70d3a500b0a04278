"""A model that uses tools: it says what it wants, a person may be asked, the tools act, until it wants none.

Every step is a checkpoint. A question to a person is an interrupt in a step of its own, before anything acts.
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from langgraph.graph import END
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from agents.calls import Call, changed, speakable, speakable_arguments, wish_of
from agents.events import TextEmitted
from agents.graphs.asking import asked, request_of, say
from agents.graphs.state import Context, State, Work, answer_of
from agents.images import StoredCall, StoredMessage
from providers.base import ModelFinished
from providers.pool.run_budget import LimitReachedError
from state.models import FinishReason, RunId

_BETWEEN = "\n\n"
_MOST_CALLS = 16
"""That one answer may wish for."""
_NOT_CALLED = "Not called: the run has come to its limit."
_NOT_BEGUN = "Not called: the run ended before."
_PERHAPS_CALLED = (
    "The run ended meanwhile: nobody knows whether this was done. Find out before you do it again, or say so."
)
_CUT_SHORT = "[the run came to its limit here]"
_TOO_MANY = f"No more than {_MOST_CALLS} calls at once."
_REMEMBERED_CHARACTERS = 4000
"""Of a tool's result, once its turn is over."""


async def open_turn(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Begin the work of a turn, whatever a turn before has left undone."""
    context = runtime.context
    turn = asked(state, context)
    tainted = any(message.get("untrusted", False) for message in state["messages"])
    work = Work(
        run_id=context.run_id,
        seed=turn.seed,
        messages=[turn.question],
        texts=[],
        calls=[],
        tainted=tainted,
        tools_used=[],
    )
    return {"work": work, **({"images": turn.images} if context.turn.images else {})}


async def model(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Ask the model; without a wish for a tool its answer ends the turn."""
    context, work = runtime.context, _work(state)
    if work["texts"]:
        await context.go_on()
    past = [*state["messages"], *work["seed"]]
    tools = context.hands.specs
    request = request_of(context, past, work["messages"], state.get("images") or {}, tools=tools)
    opening = _BETWEEN if any(work["texts"]) else ""
    said = await say(context, request, index=len(work["texts"]), opening=opening)
    work = {**work, "texts": [*work["texts"], said.text], "calls": []}
    if not said.calls:
        return _ended(work, context, said.finished, said.text, said.limit)
    wishes = [wish_of(uuid4().hex, call) for call in said.calls]
    calls = [
        StoredCall(id=c["id"], name=speakable(c["name"]), arguments=speakable_arguments(c["arguments"]))
        for c in wishes
    ]
    reply = StoredMessage(role="assistant", content=said.text, tool_calls=calls)
    return {"work": {**work, "messages": [*work["messages"], reply], "calls": wishes}}


async def decide(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Say of each wish whether it is allowed, refused, or a person's to decide."""
    judge, work = runtime.context.judge, _work(state)
    wishes, surplus = work["calls"][:_MOST_CALLS], work["calls"][_MOST_CALLS:]
    ruled = await judge.ruled(wishes, tainted=work["tainted"])
    refused = [judge.refused(call, _TOO_MANY, "RESOURCE_EXHAUSTED") for call in surplus]
    return {"work": {**work, "calls": [*ruled, *refused]}}


async def ask(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Stop for a person. Run again with the decisions, it goes on with what they allow."""
    judge, work = runtime.context.judge, _work(state)
    waiting = [call for call in work["calls"] if call["state"] == "asked"]
    decisions = interrupt([judge.question(call, work["texts"][-1]) for call in waiting])
    calls = [
        judge.decided(call, decisions[call["permission_id"]]) if call["state"] == "asked" else call
        for call in work["calls"]
    ]
    return {"work": {**work, "calls": calls}}


async def act(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Call what is allowed: what only reads at the same time, the rest one after the other."""
    context, work = runtime.context, _work(state)
    try:
        context.hands.count(work["calls"])
    except LimitReachedError as reached:
        return _cut_short(work, context, reached)
    calls = await _called(context, work["calls"])
    if any(call["state"] == "asked" for call in calls):  # cut in the middle once: a person is to say
        return {"work": {**work, "calls": calls}}
    results = list(map(_result, calls))
    used = {call["name"] for call in calls if call.get("made")} - set(work["tools_used"])
    return {
        "work": {
            **work,
            "messages": [*work["messages"], *results],
            "calls": [],
            "tainted": work["tainted"] or any("untrusted" in result for result in results),
            "tools_used": [*work["tools_used"], *sorted(used)],
        }
    }


async def _called(context: Context, calls: list[Call]) -> list[Call]:
    hands = context.hands
    done: dict[str, Call] = {call["id"]: call for call in calls}
    reading = [
        asyncio.create_task(hands.call(call), name=f"tool:{call['id']}")
        for call in calls
        if call["state"] == "allowed" and hands.only_reads(call)
    ]
    try:
        done.update((call["id"], call) for call in await asyncio.gather(*reading))
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    for call in calls:
        if done[call["id"]]["state"] == "allowed":
            done[call["id"]] = await hands.call(call)
    return list(done.values())


def _left(call: Call) -> Call:
    begun = call["state"] == "allowed" or call.get("cut", False)
    return changed(call, text=_PERHAPS_CALLED if begun else _NOT_BEGUN)


def _result(call: Call) -> StoredMessage:
    message = StoredMessage(role="tool", content=call.get("text", _NOT_CALLED), tool_call_id=call["id"])
    if call.get("untrusted"):
        message["untrusted"] = True
    return message


# LangGraph calls what is not async in a thread of its own.
async def after_model(state: State) -> str:
    """Whether the model wants tools; without work the turn is over."""
    return "decide" if state.get("work") else END


async def after_decide(state: State) -> str:
    """Whether a person is to be asked first."""
    return "ask" if any(call["state"] == "asked" for call in _work(state)["calls"]) else "act"


async def after_act(state: State) -> str:
    """Whether a person has to say what becomes of a call that was cut; without work the turn is over."""
    if not (work := state.get("work")):
        return END
    return "ask" if work["calls"] else "model"


def taken_over(work: Work, run_id: RunId) -> Work:
    """The work of another run as that of this one. What it had not finished is not done again unasked-for.

    The model is told so instead, and says anew what it wants.
    """
    results = [_result(call if call["state"] == "over" else _left(call)) for call in work["calls"]]
    tainted = work["tainted"] or any("untrusted" in result for result in results)
    messages = [*work["messages"], *results]
    return {**work, "run_id": run_id, "messages": messages, "calls": [], "tainted": tainted}


def shown_texts(state: Mapping[str, Any], shown: int) -> list[TextEmitted]:
    """What the model has said in a turn under way, from its message `shown` on, as it goes out."""
    texts: list[str] = (state.get("work") or {}).get("texts", [])
    return [
        TextEmitted((_BETWEEN if any(texts[:index]) else "") + text, message_index=index)
        for index, text in enumerate(texts)
        if text and index >= shown
    ]


def _work(state: State) -> Work:
    work = state.get("work")
    assert work is not None, "a turn is opened before its first step"
    return work


def _ended(
    work: Work, context: Context, finished: ModelFinished, last_text: str, limit: str
) -> dict[str, Any]:
    """The turn becomes part of the conversation; of what tools brought the beginning stays."""
    last = StoredMessage(role="assistant", content=last_text)
    if work["tainted"]:
        last["untrusted"] = True
    context.complete()
    answer = answer_of(finished, limit, context.usage(), work["tools_used"])
    answer["text"] = _BETWEEN.join(filter(None, work["texts"]))
    messages = [*work["seed"], *map(_remembered, work["messages"]), last]
    return {"messages": messages, "answer": answer, "work": None}


def _cut_short(work: Work, context: Context, reached: LimitReachedError) -> dict[str, Any]:
    """The end of a turn whose wishes are one too many: each still gets an answer, as providers ask for."""
    info = context.model.info
    finished = ModelFinished(FinishReason.LIMIT, "", info.provider, info.model)
    results = list(map(_result, work["calls"]))
    work = {**work, "messages": [*work["messages"], *results], "calls": []}
    return _ended(work, context, finished, _CUT_SHORT, reached.limit.value)


def _remembered(message: StoredMessage) -> StoredMessage:
    content = message["content"]
    if message["role"] != "tool" or len(content) <= _REMEMBERED_CHARACTERS:
        return message
    return {**message, "content": f"{content[:_REMEMBERED_CHARACTERS]}\n[the rest is not kept]"}
