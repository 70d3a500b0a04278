"""A turn of several steps: its beginning, its end, and what of it goes on elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from langgraph.runtime import Runtime

from agents.events import TextEmitted
from agents.graphs.asking import asked
from agents.graphs.recalling import recalled
from agents.graphs.state import Answer, Context, State, Work, answer_of
from agents.images import StoredMessage
from agents.summary import Past
from providers.base import ModelFinished
from state.models import FinishReason

BETWEEN = "\n\n"
"""What stands between two messages of one run."""

_REMEMBERED_CHARACTERS = 4000
"""Of a tool's result, once its turn is over."""


async def open_turn(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """Begin the work of a turn, whatever a turn before has left undone."""
    context = runtime.context
    turn = asked(state, context)
    past = Past([*state["messages"], *turn.seed], state.get("summary"))
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
    if summary := await recalled(context, past, work["messages"], turn.images):
        work["summary"] = summary
    return {"work": work, **({"images": turn.images} if context.turn.attaches else {})}


def work_of(state: State) -> Work:
    work = state.get("work")
    assert work is not None, "a turn is opened before its first step"
    return work


def past_of(state: State, work: Work) -> Past:
    """The conversation before this turn."""
    return Past([*state["messages"], *work["seed"]], work.get("summary", state.get("summary")))


def whole(
    work: Work,
    context: Context,
    finished: ModelFinished,
    said: Sequence[StoredMessage],
    limit: str = "",
) -> dict[str, Any]:
    """The end of a turn: `said`, from the question to the answer, becomes part of the conversation."""
    *before, last = said
    if work["tainted"]:
        last = {**last, "untrusted": True}
    context.complete()
    if "limit" in work:
        finished, limit = replace(finished, finish_reason=FinishReason.LIMIT), work["limit"]
    answer = answer_of(finished, limit, context.usage(), work["tools_used"])
    pieces = _pieces(work)
    answer["text"], answer["lengths"] = "".join(pieces), [len(piece) for piece in pieces]
    messages = [*work["seed"], *map(_remembered, before), last]
    changed = {"summary": work["summary"]} if "summary" in work else {}
    return {"messages": messages, "answer": answer, "work": None, **changed}


def telling(ended: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401 - an Answer's values
    """The end of a turn with more in its `Answer`."""
    answer: Answer = ended["answer"]
    return {**ended, "answer": {**answer, **more}}


def shown_texts(work: Work, shown: int) -> list[TextEmitted]:
    """What the model has said in a turn under way, from its message `shown` on, as it goes out."""
    return _emitted(_pieces(work), shown)


def answered_texts(state: Mapping[str, Any], shown: int) -> list[TextEmitted]:
    """The same of a turn that is whole, and is the newest of its conversation."""
    answer: Answer = state["answer"]
    text = answer.get("text", state["messages"][-1]["content"])
    ends = list(accumulate(answer.get("lengths", [len(text)])))
    return _emitted([text[begin:end] for begin, end in zip([0, *ends], ends, strict=False)], shown)


def _emitted(pieces: Sequence[str], shown: int) -> list[TextEmitted]:
    return [
        TextEmitted(piece, message_index=index)
        for index, piece in enumerate(pieces)
        if piece and index >= shown
    ]


def _pieces(work: Work) -> list[str]:
    """The texts, each with what stands before it."""
    between = "" if "elsewhere" in work else BETWEEN
    texts = work["texts"]
    return [
        (between if any(texts[:index]) else "") + text if text else "" for index, text in enumerate(texts)
    ]


def _remembered(message: StoredMessage) -> StoredMessage:
    content = message["content"]
    if message["role"] != "tool" or len(content) <= _REMEMBERED_CHARACTERS:
        return message
    return {**message, "content": f"{content[:_REMEMBERED_CHARACTERS]}\n[the rest is not kept]"}
