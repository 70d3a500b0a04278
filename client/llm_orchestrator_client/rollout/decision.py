"""Who answers a call, and why."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from openfeature.evaluation_context import EvaluationContext

from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.rollout.buckets import is_inside
from llm_orchestrator_client.rollout.conversations import Conversations, ConversationStoreError, Path
from llm_orchestrator_client.rollout.flags import Flag, RolloutFlags, evaluation_context

logger = logging.getLogger(__name__)


class Why(StrEnum):
    """The reason of a decision, in the order in which they are asked for."""

    OFF = "off"  # USE_GRPC_ORCHESTRATOR is off
    DENIED = "denied"
    ALLOWED = "allowed"
    HALTED = "halted"
    CONVERSATION = "conversation"  # it began on this path
    PERCENTAGE = "percentage"  # inside of it
    OUTSIDE = "outside"  # of the percentage


@dataclass(frozen=True, slots=True)
class Decision:
    """Who answers. `begins`: the conversation is not known yet and begins on this path."""

    path: Path
    why: Why
    begins: bool = False


class Decider:
    """Decides call by call; the same inputs give the same answer in every process with the same salt.

    `halted` says why the rollout is halted; empty = it is not.
    """

    def __init__(
        self, flags: RolloutFlags, conversations: Conversations, halted: Callable[[], str], *, salt: str
    ) -> None:
        self._flags = flags
        self._conversations = conversations
        self._halted = halted
        self._salt = salt

    async def decide(self, request: pb.ChatRequest) -> Decision:
        """Who answers this request now."""
        who = context_of(request)
        return await self._overridden(request, who) or await self._chosen(request, who)

    async def _overridden(self, request: pb.ChatRequest, who: EvaluationContext) -> Decision | None:
        if not await self._flags.is_on(Flag.USE_ORCHESTRATOR, who, default=False):
            return Decision(Path.LOCAL, Why.OFF)
        if request.user_id in await self._flags.users(Flag.DENIED, who):
            return Decision(Path.LOCAL, Why.DENIED)
        if request.user_id in await self._flags.users(Flag.ALLOWED, who):
            return Decision(Path.ORCHESTRATOR, Why.ALLOWED)
        return Decision(Path.LOCAL, Why.HALTED) if self._halted() else None

    async def _chosen(self, request: pb.ChatRequest, who: EvaluationContext) -> Decision:
        began = await self._began(request)
        if began is not None:
            return Decision(began, Why.CONVERSATION)
        percentage = await self._flags.percentage(Flag.PERCENTAGE, who)
        if is_inside(self._salt, request.user_id, percentage):
            return Decision(Path.ORCHESTRATOR, Why.PERCENTAGE, begins=True)
        return Decision(Path.LOCAL, Why.OUTSIDE, begins=True)

    async def falls_back(self, request: pb.ChatRequest) -> bool:
        """Whether the local path may answer where the orchestrator cannot."""
        return await self._flags.is_on(Flag.FALLBACK, context_of(request), default=True)

    async def shadows(self, request: pb.ChatRequest) -> bool:
        """Whether a copy of this local call goes to the orchestrator; other users than the first of the
        rollout.
        """
        percentage = await self._flags.percentage(Flag.SHADOW_PERCENTAGE, context_of(request))
        return is_inside(f"{self._salt}/shadow", request.user_id, percentage)

    async def began(self, request: pb.ChatRequest, conversation_id: str, path: Path) -> None:
        """Keep where a conversation began."""
        try:
            await self._conversations.begin(request.user_id, conversation_id, path)
        except ConversationStoreError:
            logger.warning("a conversation's path is not kept", extra={"path": path.value})

    async def _began(self, request: pb.ChatRequest) -> Path | None:
        if not request.conversation_id:
            return None
        try:
            return await self._conversations.path_of(request.user_id, request.conversation_id)
        except ConversationStoreError:
            logger.warning("a conversation's path is not known")
            return None


def context_of(request: pb.ChatRequest) -> EvaluationContext:
    """What flags are evaluated for."""
    return evaluation_context(request.user_id, request.conversation_id, request.agent_type)
