"""What a tool is, and what came of calling one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from state.models import ConversationId, Owner, RunId

Arguments = Mapping[str, Any]
"""JSON values by name, as the tool's schema has them."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One capability a model may ask for.

    `parameters` is a JSON schema of an object, without anything that identifies the user. `operation_type` is
    the permission class. `read_only`: it changes nothing. `idempotent`: the same call again changes nothing
    more. `destructive`: it deletes or overwrites. `open_world`: it reaches beyond the backend, and what it
    answers is untrusted. `spends`: it costs money. `asks`: a person is asked before every call, whatever else
    is so. `sensitive` names arguments that are not shown to who reads along, `urls` those that are
    fetched and so must be public addresses.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    operation_type: str
    read_only: bool = False
    idempotent: bool = False
    destructive: bool = False
    open_world: bool = False
    spends: bool = False
    asks: bool = False
    timeout_seconds: float = 30.0
    max_result_bytes: int = 64 * 1024
    sensitive: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ToolContext:
    """For whom and in which run a tool is called.

    `tool_call_id` is the idempotency key: ours, never the provider's. `deadline`, in the event loop's time:
    when the run's caller stops waiting; None = never. `permission_id` is what the call rests on, if anything.
    `time_zone`: the user's, an IANA name as the caller gave it; empty = not known.
    """

    owner: Owner
    run_id: RunId
    conversation_id: ConversationId
    tool_call_id: str
    attempt: int = 1
    permission_id: str = ""
    deadline: float | None = None
    request_id: str = ""
    traceparent: str = ""
    time_zone: str = ""


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What a tool has answered, or why it has not.

    `text` is for the model. `untrusted`: it holds text of third parties. `truncated`: something was left out,
    and `text` says so. `reason` is empty when `ok`, else upper snake case, as on the wire. `retryable`: the
    same call may succeed later. `summary` is a line for people, without the content of the result.
    """

    ok: bool
    text: str
    summary: str = ""
    untrusted: bool = False
    truncated: bool = False
    reason: str = ""
    retryable: bool = False


Progress = Callable[[str, float | None], None]
"""Takes what a tool says of how far it is: a text, and 0..1 if known."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool together with who serves it."""

    tool: Tool
    source: "ToolSource" = field(repr=False)


class ToolSource(Protocol):
    """Where tools come from."""

    async def offered(self, owner: Owner) -> Sequence[Tool]:
        """The tools that this user may be offered now; empty when the source cannot be reached."""
        ...

    async def call(
        self, tool: Tool, arguments: Arguments, context: ToolContext, progress: Progress
    ) -> ToolOutcome:
        """Call a tool with arguments that its schema allows. A failure is an outcome, no error."""
        ...
