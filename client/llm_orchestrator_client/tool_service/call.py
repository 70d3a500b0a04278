"""For whom and in which run a handler is called, as the orchestrator says in metadata and fields."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote

from google.protobuf.message import Message

from llm_orchestrator_client.tool_service.errors import InvalidArgumentError, UnauthenticatedError

Metadata: TypeAlias = Mapping[str, Sequence[str]]
"""All values by key."""

_LONGEST = 8192
_AGREEING = {"x-tool-call-id": "tool_call_id", "x-run-id": "run_id"}
"""Metadata that InvokeTool repeats in its request."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool. What is not known is empty.

    `user` is the user of the authenticated call that began the run: answer with that user's data only.
    `caller` is who the authenticator says that it is. `call_id` is the idempotency key, the same for a
    repetition. `deadline`, in the event loop's time; None = none. The last three are known of described tools
    only: `permission_id` is the approval that the call rests on, `attempt` that of the run, from 1.
    """

    user: str
    caller: str = ""
    call_id: str = ""
    run_id: str = ""
    request_id: str = ""
    traceparent: str = ""
    deadline: float | None = None
    conversation_id: str = ""
    permission_id: str = ""
    attempt: int = 0

    def seconds_left(self) -> float | None:
        """Until the deadline; 0 when it has passed."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - asyncio.get_running_loop().time())


def metadata_of(pairs: Sequence[tuple[str, str | bytes]]) -> Metadata:
    """Metadata by key. Binary values are left out: the contract has none."""
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        if isinstance(value, str):
            found.setdefault(key.lower(), []).append(value)
    return found


def bearer_token(metadata: Metadata) -> str:
    """The token of `authorization`; empty without one.

    Raises:
        UnauthenticatedError: There are several, or it is of another scheme.
    """
    values = metadata.get("authorization", ())
    if not values:
        return ""
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer":
        raise UnauthenticatedError("a valid bearer token is needed")
    return token.strip()


def call_of(request: Message, metadata: Metadata, *, caller: str, deadline: float | None) -> Call:
    """The call that a request and its metadata describe.

    Raises:
        InvalidArgumentError: It names no user, or the two contradict each other or themselves.
    """
    user = str(getattr(request, "user_id", ""))
    if not user:
        raise InvalidArgumentError("user_id is needed", field="user_id", reason="USER_MISSING")
    said = _said(metadata, "x-user-id")
    if said and said != user:
        raise InvalidArgumentError(
            "user_id and x-user-id name different users", field="user_id", reason="USER_MISMATCH"
        )
    ids = {key: _agreed(request, metadata, key) for key in _AGREEING}
    return Call(
        user=user,
        caller=caller,
        call_id=ids["x-tool-call-id"],
        run_id=ids["x-run-id"],
        request_id=_said(metadata, "x-request-id"),
        traceparent=_said(metadata, "traceparent"),
        deadline=deadline,
        conversation_id=str(getattr(request, "conversation_id", "")),
        permission_id=str(getattr(request, "permission_id", "")),
        attempt=int(getattr(request, "attempt", 0)),
    )


def _said(metadata: Metadata, key: str) -> str:
    values = set(metadata.get(key, ()))
    if len(values) > 1 or any(len(value) > _LONGEST for value in values):
        raise InvalidArgumentError(f"{key} is there more than once, or too long", reason="METADATA_INVALID")
    # What no header can hold as it is, and what holds a %, is sent percent-encoded.
    return unquote(next(iter(values), ""))


def _agreed(request: Message, metadata: Metadata, key: str) -> str:
    said, field = _said(metadata, key), _AGREEING[key]
    own = str(getattr(request, field, ""))
    if said and own and said != own:
        raise InvalidArgumentError(f"{field} and {key} differ", field=field, reason="METADATA_MISMATCH")
    return said or own
