"""What a caller's own graph stops for: its own questions, and calls that need consent."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, TypeGuard, cast
from uuid import UUID, uuid4

import orjson
from langgraph.types import Interrupt

from agents.calls import Call
from agents.judge import GRAPH_QUESTION, Judge
from agents.own.tools import CALL
from state.errors import AgentFailedError
from state.permissions import PermissionState
from tools.arguments import MAX_ARGUMENT_BYTES, ArgumentError, canonical, digest

_VALUE = "value"
_REASON = "reason"
_OF_A_CALL = frozenset(("id", "name", "arguments", "digest", "permission_id"))


class Asked(TypedDict):
    """An interrupt that a person answers. `question` as `Judge.question` has it.

    `call` is what it is about; None = the graph's own question. `wrapped`: its value was no JSON object.
    """

    interrupt_id: str
    question: dict[str, Any]
    call: Call | None
    wrapped: bool


def asked_of(interrupts: Sequence[Interrupt], judge: Judge) -> list[Asked]:
    """The questions of interrupts.

    Raises:
        AgentFailedError: One holds what a person cannot be shown.
    """
    return [_asked(one, judge) for one in interrupts]


def _asked(one: Interrupt, judge: Judge) -> Asked:
    value = one.value
    if _is_of_a_call(value):
        call = cast(Call, value[CALL])
        return Asked(interrupt_id=one.id, question=judge.question(call, ""), call=call, wrapped=False)
    wrapped = not isinstance(value, dict)
    arguments = {_VALUE: value} if wrapped else value
    try:
        shown = orjson.loads(orjson.dumps(arguments))
        call = Call(
            id=UUID(hex=one.id).hex,
            name=GRAPH_QUESTION,
            arguments=canonical(shown).decode(),
            state="asked",
            digest=digest(shown),
            permission_id=uuid4().hex,
        )
    except (TypeError, ValueError, ArgumentError) as error:
        raise AgentFailedError("the agent's graph asks what cannot be shown: it is no JSON") from error
    if len(call["arguments"].encode()) > MAX_ARGUMENT_BYTES:
        raise AgentFailedError("the agent's graph asks what cannot be shown: it is too long")
    why = value if isinstance(value, str) else arguments.get(_REASON, "")
    question = judge.question(call, why if isinstance(why, str) and why else "The agent wants to know.")
    return Asked(interrupt_id=one.id, question=question, call=None, wrapped=wrapped)


def _is_of_a_call(value: object) -> TypeGuard[dict[str, dict[str, str]]]:
    """Whether it looks like one of `RunTools`.

    A graph may hand a model's words to interrupt(). So the question is made anew from the call, and the
    answer calls nothing by itself: that does only a step that makes this very call.
    """
    call = value.get(CALL) if isinstance(value, dict) and len(value) == 1 else None
    return isinstance(call, dict) and {k for k, v in call.items() if isinstance(v, str)} >= _OF_A_CALL


def answer_of(asked: Asked, decision: Mapping[str, str]) -> dict[str, Any]:
    """What the graph's `interrupt()` returns; see docs/agents.md."""
    arguments = orjson.loads(decision["arguments"])
    only_value = asked["wrapped"] and arguments.keys() == {_VALUE}
    return {
        "approved": decision["state"] == PermissionState.APPROVED,
        "state": decision["state"],
        "reason": decision["reason"],
        "value": arguments[_VALUE] if only_value else arguments,
        "edited": decision["digest"] != asked["question"]["digest"],
    }
