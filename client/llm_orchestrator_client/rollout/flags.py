"""The rollout's flags, asked of OpenFeature for each call; what cannot be used is reported and changes
nothing.
"""

import logging
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagEvaluationDetails, Reason

logger = logging.getLogger(__name__)

T = TypeVar("T")

MOST_PERCENT = 100.0


class Flag(StrEnum):
    """The flags by name: environment variables, and keys of a flag file or of a vendor's console."""

    USE_ORCHESTRATOR = "USE_GRPC_ORCHESTRATOR"
    """Off: everything is answered locally. The kill switch."""
    PERCENTAGE = "GRPC_ORCHESTRATOR_PERCENTAGE"
    """0..100, in steps of 0.001: how many of the users go to the orchestrator."""
    USE_TOOL_SERVICE = "USE_GRPC_TOOL_SERVICE"
    """Whether the backend answers the orchestrator's tool calls."""
    FALLBACK = "GRPC_FALLBACK_TO_LOCAL"
    """Whether the local path answers where the orchestrator cannot."""
    ALLOWED = "GRPC_ORCHESTRATOR_ALLOWED_USERS"
    """User ids, by comma or white space: always to the orchestrator, also while it is halted."""
    DENIED = "GRPC_ORCHESTRATOR_DENIED_USERS"
    """User ids that always stay local, also when they are allowed."""
    SHADOW_PERCENTAGE = "GRPC_ORCHESTRATOR_SHADOW_PERCENTAGE"
    """0..100: of how many local users a copy goes to the orchestrator, for comparison."""


class Refusals:
    """Reports values that cannot be used: each is counted, and logged once until it changes."""

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
        self._known: dict[str, str] = {}

    def refused(self, name: str, why: str) -> None:
        """`name`: a flag's, or "file"; `why` holds no value."""
        self._count(name)
        if self._known.get(name) != why:
            self._known[name] = why
            logger.error("flag refused, the last good value stays", extra={"flag": name, "why": why})

    def accepted(self, name: str) -> None:
        """Its value is good, so that the next bad one is logged again."""
        self._known.pop(name, None)


class RolloutFlags:
    """The flags' values for one user; where a value is bad, the last good one that was for everybody, or the
    default.
    """

    def __init__(self, client: OpenFeatureClient, refusals: Refusals) -> None:
        self._client = client
        self._refusals = refusals
        self._good: dict[Flag, object] = {}
        self._lists: dict[Flag, tuple[str, frozenset[str]]] = {}

    async def is_on(self, flag: Flag, who: EvaluationContext, *, default: bool) -> bool:
        """A flag that is on or off."""
        details = await self._client.get_boolean_details_async(flag, default, who)
        return self._usable(flag, details, default)

    async def percentage(self, flag: Flag, who: EvaluationContext) -> float:
        """A percentage in 0..100; 0 where it is not set."""
        return self._bounded(flag, await self._client.get_float_details_async(flag, 0.0, who))

    def now(self) -> tuple[bool, float]:
        """For whom no rule is written: whether the orchestrator is used, and the percentage."""
        used = self._client.get_boolean_details(Flag.USE_ORCHESTRATOR, False)
        percentage = self._client.get_float_details(Flag.PERCENTAGE, 0.0)
        return self._usable(Flag.USE_ORCHESTRATOR, used, False), self._bounded(Flag.PERCENTAGE, percentage)

    async def users(self, flag: Flag, who: EvaluationContext) -> frozenset[str]:
        """The user ids of a list; empty where it is not set."""
        details = await self._client.get_string_details_async(flag, "", who)
        text = self._usable(flag, details, "")
        known = self._lists.get(flag)
        if known is None or known[0] != text:
            known = text, frozenset(text.replace(",", " ").split())
            self._lists[flag] = known
        return known[1]

    async def uses_tool_service(self) -> bool:
        """Whether the backend is to answer the orchestrator's tool calls now (UNIMPLEMENTED turns a tool
        off).
        """
        return await self.is_on(Flag.USE_TOOL_SERVICE, EvaluationContext(), default=False)

    def _bounded(self, flag: Flag, details: FlagEvaluationDetails[float]) -> float:
        # Not a number is in no interval.
        usable = details.error_code is not None or 0.0 <= details.value <= MOST_PERCENT
        return self._usable(flag, details, 0.0, "" if usable else "not in 0..100")

    def _usable(self, flag: Flag, details: FlagEvaluationDetails[T], default: T, problem: str = "") -> T:
        if details.error_code is ErrorCode.FLAG_NOT_FOUND:
            self._refusals.accepted(flag)
            self._good[flag] = default
            return default
        if details.error_code is not None or problem:
            self._refusals.refused(flag, problem or f"{details.error_code}")
            return self._good.get(flag, default)  # type: ignore[return-value]
        self._refusals.accepted(flag)
        # A value that targeting chose for one user must not become another's.
        if details.reason not in (Reason.TARGETING_MATCH, Reason.SPLIT):
            self._good[flag] = details.value
        return details.value


def evaluation_context(user_id: str, conversation_id: str = "", agent_type: str = "") -> EvaluationContext:
    """What a vendor's rules may look at."""
    attributes = {"user_id": user_id, "conversation_id": conversation_id, "agent_type": agent_type}
    return EvaluationContext(targeting_key=user_id, attributes=attributes)
