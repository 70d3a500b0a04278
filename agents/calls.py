"""A model's wish to use a tool, on its way through a turn, and for whom tools are called."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict, cast

import orjson

from state.models import Attempt, ConversationId, Owner, RunId, ToolCall
from tools.arguments import MAX_ARGUMENT_BYTES
from tools.policy import Verdict

_LONGEST_NAME = 64
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_IN_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")
_SHOWN_CHARACTERS = 2000
"""Of arguments that are none."""
_TOO_LONG = '{"left_out":"too long"}'


class Call(TypedDict):
    """A wish as a checkpoint keeps it. `id` is ours.

    `arguments` is JSON in the form of RFC 8785 once it is checked, `digest` its SHA-256 in hex. `text` is
    what the model is told in the end; `untrusted`: third parties have a part in that. `permission_id` names
    the question about it, if there is one; `cut`: it was begun before, and nobody knows what came of it;
    `made`: its tool was called; `ok`: and succeeded.
    """

    id: str
    name: str
    arguments: str
    state: Literal["wished", "asked", "allowed", "over"]
    digest: NotRequired[str]
    permission_id: NotRequired[str]
    cut: NotRequired[bool]
    made: NotRequired[bool]
    text: NotRequired[str]
    untrusted: NotRequired[bool]
    ok: NotRequired[bool]


def changed(call: Call, **fields: Any) -> Call:  # noqa: ANN401 - a TypedDict's values
    """The call with some of its fields as given."""
    return cast(Call, {**call, **fields})


def wish_of(call_id: str, call: ToolCall) -> Call:
    """What a model wants, under an id of ours, as far as it may be of any use."""
    # One more than is allowed: what is too long is refused for that, and need not be kept.
    name, arguments = call.name[: _LONGEST_NAME + 1], call.arguments[: MAX_ARGUMENT_BYTES + 1]
    return Call(id=call_id, name=name, arguments=arguments, state="wished")


def speakable(name: str) -> str:
    """The name of a tool as every provider takes it in a request; one that was changed begins with _."""
    # Providers refuse a request with any other, and so would each later turn of the conversation be refused.
    return name if _NAME.fullmatch(name) else "_" + _IN_NO_NAME.sub("_", name)[:63]


def speakable_arguments(arguments: str) -> str:
    """The arguments of a wish as a model may be shown them again: one JSON object, of a bounded size."""
    if len(arguments) > MAX_ARGUMENT_BYTES:
        return _TOO_LONG
    try:
        if isinstance(orjson.loads(arguments), dict):
            return arguments
    except orjson.JSONDecodeError:
        pass
    shown = arguments[:_SHOWN_CHARACTERS].encode(errors="replace").decode()  # no half of a surrogate pair
    return orjson.dumps({"invalid_json": shown}).decode()


@dataclass(frozen=True, slots=True)
class ToolUser:
    """For whom, and in which run, tools are called. `query` is what the user has asked for.

    `overrides` are the agent's, `operator` the server's, by tool; `grants` are classes of tools that a caller
    allows. `deadline` as in `Turn`. `time_zone` is the user's, empty where it is not known.
    """

    owner: Owner
    run_id: RunId
    conversation_id: ConversationId
    attempt: Callable[[], Awaitable[Attempt]]
    query: str
    overrides: Mapping[str, Verdict] = field(default_factory=dict)
    operator: Mapping[str, Verdict] = field(default_factory=dict)
    grants: frozenset[str] = frozenset()
    deadline: float | None = None
    request_id: str = ""
    time_zone: str = ""
