"""One model call: the conversation so far and the question in, the answer out."""

from dataclasses import replace
from typing import Any

from langgraph.runtime import Runtime

from agents.events import TextEmitted
from agents.graphs.asking import asked, request_of, say
from agents.graphs.state import Context, State, answer_of
from agents.images import StoredMessage
from agents.json_answer import check_answer
from agents.partial import unfinished


async def answer(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Stream one answer; add the complete turn to the conversation.

    Raises:
        ProviderBrokenError: The answer does not have the form that the agent's file asks for.
    """
    context = runtime.context
    turn = asked(state, context)
    past = [] if context.spec.fresh else [*state["messages"], *turn.seed]
    said = await say(context, request_of(context, past, [turn.question], turn.images))
    if said.limit and not said.text:
        said = replace(said, text=unfinished(said.limit, []))
        context.emit(TextEmitted(said.text))
    if (schema := context.spec.response_schema) is not None:
        check_answer(said.text, schema)
    reply = StoredMessage(role="assistant", content=said.text)
    context.complete()
    changed = {"images": turn.images} if context.turn.images else {}
    told = answer_of(said.finished, said.limit, context.usage(), [])
    return {"messages": [*turn.seed, turn.question, reply], "answer": told, **changed}
