"""One model call: the conversation so far and the question in, the answer out."""

from typing import Any

from langgraph.runtime import Runtime

from agents.graphs.asking import asked, request_of, say
from agents.graphs.state import Context, State, answer_of
from agents.images import StoredMessage


async def answer(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Stream one answer; add the complete turn to the conversation."""
    context = runtime.context
    turn = asked(state, context)
    past = [*state["messages"], *turn.seed]
    said = await say(context, request_of(context, past, [turn.question], turn.images))
    reply = StoredMessage(role="assistant", content=said.text)
    context.complete()
    changed = {"images": turn.images} if context.turn.images else {}
    told = answer_of(said.finished, said.limit, context.usage(), [])
    return {"messages": [*turn.seed, turn.question, reply], "answer": told, **changed}
