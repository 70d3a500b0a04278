"""One model call: the conversation so far and the question in, the answer out."""

from dataclasses import replace
from typing import Any

from langgraph.runtime import Runtime

from agents.events import TextEmitted
from agents.graphs.asking import asked, request_of, say
from agents.graphs.recalling import recalled
from agents.graphs.state import Context, State, answer_of
from agents.graphs.titling import title_for, with_title
from agents.images import StoredMessage
from agents.json_answer import check_answer
from agents.partial import unfinished
from agents.summary import Past
from state.errors import JudgementUnfitError, ProviderBrokenError


async def answer(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Stream one answer; add the complete turn to the conversation.

    Raises:
        ProviderBrokenError: The answer does not have the form that the agent's file asks for.
        JudgementUnfitError: The same of an agent that is `fresh`: its answers are to be independent.
    """
    context = runtime.context
    turn = asked(state, context)
    past = Past([]) if context.spec.fresh else Past([*state["messages"], *turn.seed], state.get("summary"))
    changed: dict[str, Any] = {"images": turn.images} if context.turn.attaches else {}
    if summary := await recalled(context, past, [turn.question], turn.images):
        past, changed["summary"] = replace(past, summary=summary), summary
    said = await say(context, request_of(context, past, [turn.question], turn.images))
    if said.limit and not said.text:
        said = replace(said, text=unfinished(said.limit, []))
        context.emit(TextEmitted(said.text))
    if (schema := context.spec.response_schema) is not None:
        check_answer(said.text, schema, JudgementUnfitError if context.spec.fresh else ProviderBrokenError)
    reply = StoredMessage(role="assistant", content=said.text)
    title = await title_for(state, context)
    context.complete()
    told = answer_of(said.finished, said.limit, context.usage(), [])
    ended = {"messages": [*turn.seed, turn.question, reply], "answer": told, **changed}
    return with_title(ended, context, title)
