"""A model that uses tools: it wishes, a person may be asked, the tools act, until it wishes for none."""

from typing import Any

from langgraph.runtime import Runtime

from agents.graphs.asking import request_of, say
from agents.graphs.calling import wishing
from agents.graphs.state import Context, State
from agents.graphs.turns import BETWEEN, past_of, whole, work_of
from agents.images import StoredMessage


async def model(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Ask the model; without a wish for a tool its answer ends the turn."""
    context, work = runtime.context, work_of(state)
    if work["texts"]:
        await context.go_on()
    tools, images = context.hands.specs, state.get("images") or {}
    request = request_of(context, past_of(state, work), work["messages"], images, tools=tools)
    opening = BETWEEN if any(work["texts"]) else ""
    said = await say(context, request, index=len(work["texts"]), opening=opening)
    work = {**work, "texts": [*work["texts"], said.text], "calls": []}
    if said.calls:
        return {"work": wishing(work, said.text, said.calls, "model")}
    last = StoredMessage(role="assistant", content=said.text)
    return whole(work, context, said.finished, [*work["messages"], last], said.limit)
