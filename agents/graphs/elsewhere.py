"""A turn that another service answers: begun there once, followed here, and asked about here.

Each step takes what was heard up to a sign that a message is whole, and is a checkpoint. A question of theirs
is an interrupt in a step of its own; the decision is passed on before anything more is heard.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import uuid4

from langgraph.graph import END
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from agents.elsewhere import Elsewhere, EndedThere, FailedThere, Listen
from agents.events import TextEmitted, TextVoided
from agents.graphs.hearing import Decided, Hearing, Stop, There, Waiting, nowhere
from agents.graphs.state import Context, State, Work
from agents.graphs.turns import past_of, telling, whole, work_of
from agents.images import StoredMessage
from agents.judge import legible
from providers.base import ModelFinished
from providers.pool.run_budget import Limit
from state.models import FinishReason, Message
from state.permissions import PermissionState

_HISTORY_MESSAGES = 50
_HISTORY_CHARACTERS = 200_000
_MORE_STEPS = 2
"""Twice as many messages as answers, and these, are taken of a remote: it has been told of the limit."""
_SHOWN_CHARACTERS = 500
_EXPIRED = "Nobody allowed it in time."


async def follow(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Hear the run there, until one of its messages is whole, it asks for something, or it is over.

    Raises:
        ProviderError: It cannot be begun or followed, or has failed.
    """
    context, work, run = runtime.context, work_of(state), _run(runtime.context)
    there = _there(context, work, run)
    if there["after"]:
        await context.go_on()
    if there["round"] > work.get("elsewhere", there)["round"]:
        work = {**work, "texts": []}
    for one in there["decided"]:
        await run.decide(one["id"], one["digest"], approved=one["approved"], reason=one["reason"])
    there["decided"] = []
    run.listen(_wanted(state, work, there, run))
    hearing = Hearing(context.emit, run, there, work["texts"], [*work["tools_used"]])
    stop: Stop | EndedThere | FailedThere | None = None
    while stop is None:
        heard = await run.next()
        stop = hearing.take(heard)
        if stop is Stop.WHOLE:
            run.back(heard)
    return await _stopped(state, context, work, hearing, stop)


async def _stopped(
    state: State, context: Context, work: Work, hearing: Hearing, stop: Stop | EndedThere | FailedThere
) -> dict[str, Any]:
    there, run = hearing.there, _run(context)
    there["run_id"] = run.run_id
    texts = [] if stop is Stop.ANEW else hearing.all_texts
    work = {**work, "texts": texts, "tools_used": hearing.tools, "tainted": True, "elsewhere": there}
    match stop:
        case EndedThere():
            return _ended(state, context, work, stop)
        case FailedThere():
            run.failed = stop.error
            there["failed"], there["spent"] = True, asdict(hearing.all_spent())
        case Stop.ASKED:
            there["asked"] = [
                Waiting(id=a.permission_id, digest=a.digest, permission_id=uuid4().hex, question=a.question)
                for a in hearing.asked
            ]
        case Stop.WHOLE if len(texts) > 2 * context.spec.max_steps + _MORE_STEPS:
            await run.cancel()
            limited = EndedThere(0, FinishReason.LIMIT, "", Limit.STEPS.value, "", "")
            return _ended(state, context, work, limited)
    return {"work": work}


async def consult(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Stop for a person, with their questions as ours. Run again with the decisions, it keeps these."""
    context, work = runtime.context, work_of(state)
    there = work["elsewhere"]
    decisions = interrupt([_question(context, one) for one in there["asked"]])
    decided = [_decided(one, decisions[one["permission_id"]]) for one in there["asked"]]
    return {"work": {**work, "elsewhere": {**there, "asked": [], "decided": decided}}}


# LangGraph calls what is not async in a thread of its own.
async def after_follow(state: State) -> str:
    """Whether a person is to be asked; without work the turn is over."""
    if not (work := state.get("work")):
        return END
    return "confer" if work["elsewhere"]["asked"] else "remote"


def _run(context: Context) -> Elsewhere:
    assert context.elsewhere is not None, "who runs a remote agent has seen to it"
    return context.elsewhere


def _there(context: Context, work: Work, run: Elsewhere) -> There:
    """Where the turn stands. A run there that has failed ends this attempt, and the next begins another.

    Raises:
        ProviderError: It has failed in this attempt.
    """
    there = work.get("elsewhere") or nowhere()
    if not there.get("failed"):
        return there.copy()
    if run.failed is not None:
        raise run.failed
    if work["texts"]:
        context.emit(TextVoided(0))
    anew = nowhere(there["round"] + 1)
    anew["spent"] = there.get("spent", {})
    return anew


def _wanted(state: State, work: Work, there: There, run: Elsewhere) -> Listen:
    said = [m for m in past_of(state, work).messages if m["content"] and m["role"] in ("user", "assistant")]
    base = state.get("elsewhere", {}).get(run.place, "") if run.branched else ""
    return Listen(there["round"], there["run_id"], there["after"], _newest(said), base)


def _newest(said: Sequence[StoredMessage]) -> list[Message]:
    found: list[Message] = []
    left = _HISTORY_CHARACTERS
    for message in reversed(said[-_HISTORY_MESSAGES:]):
        left -= len(message["content"])
        if left < 0:
            break
        found.insert(0, Message(message["role"], message["content"]))
    return found


def _question(context: Context, asked: Waiting) -> dict[str, Any]:
    query = legible(context.turn.question)[:_SHOWN_CHARACTERS]
    ids = {"permission_id": asked["permission_id"], "tool_call_id": asked["permission_id"]}
    return {**asked["question"], **ids, "query": query}


def _decided(asked: Waiting, decision: dict[str, str]) -> Decided:
    approved = decision["state"] == PermissionState.APPROVED
    reason = _EXPIRED if decision["state"] == PermissionState.EXPIRED else decision["reason"]
    return Decided(id=asked["id"], digest=asked["digest"], approved=approved, reason=reason)


def _ended(state: State, context: Context, work: Work, end: EndedThere) -> dict[str, Any]:
    """The end of the turn: what was heard is the answer, or where a part never came, what they say it is."""
    run, there = _run(context), work["elsewhere"]
    text = "".join(work["texts"])
    if end.text and (not text or there.get("lost")) and end.text != text:
        if text:
            context.emit(TextVoided(0))
        context.emit(TextEmitted(end.text))
        text, work = end.text, {**work, "texts": [end.text]}
    question, reply = work["messages"][0], StoredMessage(role="assistant", content=text)
    finished = ModelFinished(end.finish_reason, there["run_id"], run.name, end.model)
    more: dict[str, Any] = {"citations": there["citations"]}
    if there["edits"] and (document := context.turn.editor):
        # Theirs may name another one.
        place = {"document_id": document.document_id, "filename": document.filename}
        more["edits"] = {**place, "operations": there["edits"]}
    ended = telling(whole(work, context, finished, [question, reply], end.limit), **more)
    return {**ended, "elsewhere": {**state.get("elsewhere", {}), run.place: end.checkpoint_id}}
