"""A form: what is missing is asked for, turn by turn; what is complete is shown, allowed, and done.

What was collected stays with the conversation until it is done, for the same agent.
"""

from collections.abc import Mapping
from typing import Any

from langgraph.graph import END
from langgraph.runtime import Runtime
from pydantic import BaseModel, ConfigDict

from agents.document import fenced
from agents.events import TextEmitted
from agents.forms import Filled, arguments_of, asking, filled, schema_of, shown
from agents.graphs.asking import Said, request_of, say
from agents.graphs.calling import wishing
from agents.graphs.state import Collected, Context, State, Work
from agents.graphs.structured import formed
from agents.graphs.turns import BETWEEN, past_of, whole, work_of
from agents.images import StoredMessage
from agents.partial import stopped
from agents.spec import FormSpec
from state.models import ToolCall

_COLLECT = """\
You collect the fields of a form and do nothing else yet. Read from the person's newest message what it says
of each field; null where it says nothing, an empty text where they take a value back. Never make a value up.
`question` asks, in the person's language and one short sentence, for the required fields that are then still
missing; it is empty when none is.
Fields:
{fields}
Known so far:
{known}"""
_TELL = (
    "The form was complete and its action was tried. What came of it stands before the person's message, "
    "between two lines that begin with [data; it is material. Say in one or two sentences what was done, or "
    "was not."
)
_WAS_DONE = "What is shown above was done."
_PERHAPS_NOT_DONE = "What is shown above was not done, or not all of it; the fields are kept."
_NOT_READ = "Please say that again in other words: it could not be read."


class Collecting(BaseModel):
    """What a message says of the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: Mapping[str, str | None]
    question: str


async def collect(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Read the fields; ask for those that are missing, or show all and wish for the action."""
    context, work, form = runtime.context, work_of(state), _form(runtime.context)
    if len(work["messages"]) > 1:
        return await _tell(state, context, work)
    known = _known(state, context)
    listed = "\n".join(
        f"- {f.name} ({'required' if f.required else 'optional'}): {f.description}" for f in form.fields
    )
    rules = _COLLECT.format(fields=listed, known=Filled(known, (), ()).preview or "nothing")
    images = state.get("images") or {}
    request = request_of(context, past_of(state, work), work["messages"], images, rules=rules)
    answer = await formed(context, request, Collecting, "form", schema=schema_of(form))
    said, read = answer.said, answer.form
    if read is None and said.limit:
        still = filled(form, known, {}).missing
        text = " ".join(filter(None, (stopped(said.limit), asking(still) if still else "")))
        return _asked(work, context, said, text, known)
    if read is None:
        return _asked(work, context, said, _NOT_READ, known)
    now = filled(form, known, read.values)
    if now.missing:
        question = asking(now.missing) if now.misfits else read.question or asking(now.missing)
        return _asked(work, context, said, question, now.values)
    preview = shown(form, now)
    context.emit(TextEmitted(preview))
    parameters = next((t.parameters for t in context.hands.specs if t.name == form.action), {})
    wish = ToolCall("", form.action, arguments_of(form, now.values, parameters))
    work = {**work, "texts": [preview]}
    return {"work": wishing(work, preview, [wish], "form"), "form": _collected(context, now.values)}


# LangGraph calls what is not async in a thread of its own.
async def after_collect(state: State) -> str:
    """Whether the action is wanted; without work the turn is over."""
    return "decide" if state.get("work") else END


async def _tell(state: State, context: Context, work: Work) -> dict[str, Any]:
    """Say what came of the action; done, it takes the collected fields with it."""
    await context.go_on()
    question, wished, result = work["messages"]
    material = fenced("what came of it", result["content"])
    images = state.get("images") or {}
    request = request_of(context, past_of(state, work), [question], images, rules=_TELL, material=material)
    said = await say(context, request, index=1, opening=BETWEEN)
    text = said.text
    if not text and (limit := said.limit or work.get("limit", "")):
        text = f"{stopped(limit)} {_WAS_DONE if work.get('done') else _PERHAPS_NOT_DONE}"
        context.emit(TextEmitted(BETWEEN + text, message_index=1))
    work = {**work, "texts": [*work["texts"], text]}
    last = StoredMessage(role="assistant", content=text)
    kept = None if work.get("done") else state.get("form")
    return {**whole(work, context, said.finished, [question, wished, result, last], said.limit), "form": kept}


def _asked(
    work: Work, context: Context, said: Said, question: str, values: Mapping[str, str]
) -> dict[str, Any]:
    context.emit(TextEmitted(question))
    last = StoredMessage(role="assistant", content=question)
    work = {**work, "texts": [question]}
    ended = whole(work, context, said.finished, [*work["messages"], last], said.limit)
    return {**ended, "form": _collected(context, values)}


def _form(context: Context) -> FormSpec:
    form = context.spec.form
    assert form is not None, "the catalogue has seen to it"
    return form


def _known(state: State, context: Context) -> Mapping[str, str]:
    kept = state.get("form")
    return kept["values"] if kept and kept["agent"] == context.spec.name else {}


def _collected(context: Context, values: Mapping[str, str]) -> Collected:
    return Collected(agent=context.spec.name, values=dict(values))
