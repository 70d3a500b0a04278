"""A model's wish to use a tool, on its way through a turn, and for whom tools are called."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, TypedDict, cast

from state.models import Attempt, ConversationId, Owner, RunId
from tools.policy import Verdict


class Call(TypedDict):
    """A wish as a checkpoint keeps it. `id` is ours.

    `arguments` is JSON in the form of RFC 8785 once it is checked, `digest` its SHA-256 in hex. `text` is
    what the model is told in the end; `untrusted`: third parties have a part in that. `permission_id` names
    the question about it, if there is one; `cut`: it was begun before, and nobody knows what came of it.
    `ok`: it was made, and succeeded.
    """

    id: str
    name: str
    arguments: str
    state: Literal["wished", "asked", "allowed", "over"]
    digest: NotRequired[str]
    permission_id: NotRequired[str]
    cut: NotRequired[bool]
    text: NotRequired[str]
    untrusted: NotRequired[bool]
    ok: NotRequired[bool]


def changed(call: Call, **fields: Any) -> Call:  # noqa: ANN401 - a TypedDict's values
    """The call with some of its fields as given."""
    return cast(Call, {**call, **fields})


@dataclass(frozen=True, slots=True)
class ToolUser:
    """For whom, and in which run, tools are called. `query` is what the user has asked for.

    `overrides` are the agent's, `operator` the server's, by tool; `grants` are classes of tools that a caller
    allows. `deadline` as in `Turn`.
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
