"""A model that uses tools: it wishes, a person may be asked, the tools act, until it wishes for none.

What a limit of the run leaves room for last is kept for an answer: it is asked for without tools.
"""

from dataclasses import replace
from typing import Any

from langgraph.runtime import Runtime

from agents.events import TextEmitted
from agents.graphs.asking import request_of, say
from agents.graphs.calling import wishing
from agents.graphs.state import Context, State, Work
from agents.graphs.turns import BETWEEN, past_of, whole, work_of
from agents.images import StoredMessage
from agents.partial import CLOSING, unfinished
from providers.base import ModelRequest, ToolChoice
from providers.estimate import estimate_prompt
from providers.pool.run_budget import Limit


async def model(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Ask the model; without a wish for a tool its answer ends the turn."""
    context, work = runtime.context, work_of(state)
    if work["texts"]:
        await context.go_on()
    request = _request(state, context, work)
    if limit := work.get("limit") or _near(context, work, request):
        work = {**work, "limit": limit}
        # The tools stay in the request: some providers take no results of tools that are not in it.
        choice: ToolChoice = "none" if request.tools else "auto"
        request = replace(_request(state, context, work, CLOSING), tool_choice=choice)
    opening = _opening(work)
    said = await say(context, request, index=len(work["texts"]), opening=opening, hears_wishes=True)
    if said.calls and not limit:
        work = {**work, "texts": [*work["texts"], said.text], "calls": []}
        return {"work": wishing(work, said.text, said.calls, "model")}
    text = said.text
    if not text and (limit := limit or said.limit):
        text = unfinished(limit, work["messages"])
        context.emit(TextEmitted(_opening(work) + text, message_index=len(work["texts"])))
    last = StoredMessage(role="assistant", content=text)
    work = {**work, "texts": [*work["texts"], text], "calls": []}
    return whole(work, context, said.finished, [*work["messages"], last], said.limit)


def _request(state: State, context: Context, work: Work, rules: str = "") -> ModelRequest:
    tools, images = context.hands.specs, state.get("images") or {}
    return request_of(context, past_of(state, work), work["messages"], images, tools=tools, rules=rules)


def _near(context: Context, work: Work, request: ModelRequest) -> Limit | None:
    """Because of which limit this answer has to be the last; a turn's first only if no step follows."""
    near = context.near(lambda: estimate_prompt(request))
    return near if len(work["messages"]) > 1 or near is Limit.STEPS else None


def _opening(work: Work) -> str:
    return BETWEEN if any(work["texts"]) else ""
