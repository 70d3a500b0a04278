"""The steps of a tool call, whichever step has wished for it: ruled on, perhaps asked about, then made.

Every step is a checkpoint. A question to a person is an interrupt in a step of its own, before anything acts.
"""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from langgraph.graph import END
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from agents.calls import Call, changed, speakable, speakable_arguments, wish_of
from agents.graphs.state import Context, State, Work
from agents.graphs.turns import work_of
from agents.images import StoredCall, StoredMessage
from providers.pool.run_budget import LimitReachedError
from state.models import RunId, ToolCall

_MOST_CALLS = 16
"""That one answer may wish for."""
_NOT_CALLED = "Not called: the run has come to its limit."
_NOT_BEGUN = "Not called: the run ended before."
_PERHAPS_CALLED = (
    "The run ended meanwhile: nobody knows whether this was done. Find out before you do it again, or say so."
)
_TOO_MANY = f"No more than {_MOST_CALLS} calls at once."


def wishing(work: Work, text: str, wishes: Sequence[ToolCall], step: str) -> Work:
    """The work with wishes for tools, whose results go back to `step`."""
    new = [wish_of(uuid4().hex, wish) for wish in wishes]
    calls = [
        StoredCall(id=c["id"], name=speakable(c["name"]), arguments=speakable_arguments(c["arguments"]))
        for c in new
    ]
    reply = StoredMessage(role="assistant", content=text, tool_calls=calls)
    return {**work, "messages": [*work["messages"], reply], "calls": new, "step": step}


async def decide(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Say of each wish whether it is allowed, refused, or a person's to decide."""
    judge, work = runtime.context.judge, work_of(state)
    wishes, surplus = work["calls"][:_MOST_CALLS], work["calls"][_MOST_CALLS:]
    ruled = await judge.ruled(wishes, tainted=work["tainted"])
    refused = [judge.refused(call, _TOO_MANY, "RESOURCE_EXHAUSTED") for call in surplus]
    return {"work": {**work, "calls": [*ruled, *refused]}}


async def ask(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Stop for a person. Run again with the decisions, it goes on with what they allow."""
    judge, work = runtime.context.judge, work_of(state)
    waiting = [call for call in work["calls"] if call["state"] == "asked"]
    why = work["texts"][-1] if work["texts"] else ""
    decisions = interrupt([judge.question(call, why) for call in waiting])
    calls = [
        judge.decided(call, decisions[call["permission_id"]]) if call["state"] == "asked" else call
        for call in work["calls"]
    ]
    return {"work": {**work, "calls": calls}}


async def act(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Call what is allowed: what only reads at the same time, the rest one after the other."""
    context, work = runtime.context, work_of(state)
    try:
        context.hands.count(work["calls"])
    except LimitReachedError as reached:
        return _cut_short(work, reached)
    calls = await _called(context, work["calls"])
    if any(call["state"] == "asked" for call in calls):  # cut in the middle once: a person is to say
        return {"work": {**work, "calls": calls}}
    return {"work": _answered(work, calls)}


def _answered(work: Work, calls: list[Call]) -> Work:
    results = list(map(_result, calls))
    used = {call["name"] for call in calls if call.get("made")} - set(work["tools_used"])
    return {
        **work,
        "messages": [*work["messages"], *results],
        "calls": [],
        "done": all(call.get("ok", False) for call in calls),
        "tainted": work["tainted"] or any("untrusted" in result for result in results),
        "tools_used": [*work["tools_used"], *sorted(used)],
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


def _result(call: Call) -> StoredMessage:
    message = StoredMessage(role="tool", content=call.get("text", _NOT_CALLED), tool_call_id=call["id"])
    if call.get("untrusted"):
        message["untrusted"] = True
    return message


def _cut_short(work: Work, reached: LimitReachedError) -> dict[str, Any]:
    """Wishes that are one too many: each still gets an answer, as providers ask for.

    Whose step it was goes on without them, with what there is.
    """
    said = [*work["messages"], *map(_result, work["calls"])]
    return {"work": {**work, "messages": said, "calls": [], "limit": reached.limit.value}}


def taken_over(work: Work, run_id: RunId) -> Work:
    """The work of another run as that of this one. What it had not finished is not done again unasked-for.

    The model is told so instead, and says anew what it wants.
    """
    results = [_result(call if call["state"] == "over" else _left(call)) for call in work["calls"]]
    tainted = work["tainted"] or any("untrusted" in result for result in results)
    messages = [*work["messages"], *results]
    return {**work, "run_id": run_id, "messages": messages, "calls": [], "tainted": tainted}


def _left(call: Call) -> Call:
    begun = call["state"] == "allowed" or call.get("cut", False)
    return changed(call, text=_PERHAPS_CALLED if begun else _NOT_BEGUN)


# LangGraph calls what is not async in a thread of its own.
async def after_decide(state: State) -> str:
    """Whether a person is to be asked first."""
    return "ask" if any(call["state"] == "asked" for call in work_of(state)["calls"]) else "act"


async def after_act(state: State) -> str:
    """Whether a person has to say what becomes of a call that was cut; without work the turn is over."""
    if not (work := state.get("work")):
        return END
    return "ask" if work["calls"] else work.get("step", "model")


async def wished(state: State) -> str:
    """Whether tools are wanted; without work the turn is over."""
    return "decide" if state.get("work") else END
