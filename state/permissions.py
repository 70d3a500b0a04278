"""What a person is asked before a run acts, and what was decided."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from state.models import ConversationId, Owner, RunId

SafetyLevel = Literal["low", "medium", "high"]


class PermissionState(StrEnum):
    """Where a permission stands. All but `PENDING` and `APPROVED` never change."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REVOKED = "revoked"


class PermissionScope(StrEnum):
    """What an approval covers: this call, its tool until the run ends, or its tool in the conversation."""

    ONCE = "once"
    RUN = "run"
    CONVERSATION = "conversation"


class Decision(StrEnum):
    """What a person says. `REVOKED` takes back an approval that covers more than one call."""

    APPROVED = "approved"
    DENIED = "denied"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Question:
    """A tool call that a run stops for. Its ids are ours: UUIDs, 32 hex digits.

    `arguments` is JSON in the form of RFC 8785, `digest` its SHA-256 in hex. `query` is what the user had
    asked for, `reasoning` why the agent wants the call. `operation_type` is its permission class.
    """

    permission_id: str
    tool_call_id: str
    tool_name: str
    operation_type: str
    arguments: bytes
    digest: str
    query: str
    reasoning: str
    safety_level: SafetyLevel
    reversible: bool
    allowed_scopes: tuple[PermissionScope, ...] = (PermissionScope.ONCE,)


@dataclass(frozen=True, slots=True)
class Permission:
    """A question as it stands.

    `edited` is what the person wants instead of the arguments, in the same form; None = as asked. `reason` is
    what the person gave as one.
    """

    question: Question
    owner: Owner
    run_id: RunId
    conversation_id: ConversationId
    create_time: datetime
    expire_time: datetime
    state: PermissionState = PermissionState.PENDING
    scope: PermissionScope = PermissionScope.ONCE
    decided_by: str = ""
    decide_time: datetime | None = None
    reason: str = ""
    edited: bytes | None = None
    edited_digest: str = ""

    @property
    def arguments(self) -> bytes:
        """What an approval executes."""
        return self.question.arguments if self.edited is None else self.edited

    @property
    def digest(self) -> str:
        """Of what an approval executes."""
        return self.edited_digest or self.question.digest


@dataclass(frozen=True, slots=True)
class Answer:
    """A person's decision. `shown_digest`: of what the person has seen; empty = unsaid. `edited` as above."""

    decision: Decision
    decided_by: str
    scope: PermissionScope = PermissionScope.ONCE
    reason: str = ""
    shown_digest: str = ""
    edited: bytes | None = None
    edited_digest: str = ""


@dataclass(frozen=True, slots=True)
class PermissionFilter:
    """Which permissions. What is empty does not filter."""

    conversation_id: ConversationId | None = None
    run_id: RunId | None = None
    states: frozenset[PermissionState] = frozenset({PermissionState.PENDING})


Grants = Mapping[str, PermissionScope]
"""Tools by name that need not be asked about again, and how far that goes."""
