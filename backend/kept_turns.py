"""What was said, kept for the tool that searches earlier conversations."""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

from backend.event_stream import Events
from backend.store.conversations import Turn
from backend.store.errors import StoreUnavailableError
from llm_orchestrator_client.payloads import Completion, Event
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.tool_service import InvalidArgumentError
from llm_orchestrator_client.values import FinishReason

logger = logging.getLogger(__name__)


class Keeper(Protocol):
    """Where turns are kept. Raises: StoreUnavailableError, InvalidArgumentError."""

    async def record(self, user: str, conversation_id: str, turns: Sequence[Turn]) -> None: ...


async def kept(events: Events, keeper: Keeper, asked: pb.ChatRequest) -> AsyncGenerator[Event]:
    """The events as they come. Question and answer are kept before the last of them is passed on.

    Of a turn that waits for a person only the question is: its answer comes by another stream.
    """
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Completion):
                await _keep(keeper, asked, event)
            yield event


async def _keep(keeper: Keeper, asked: pb.ChatRequest, end: Completion) -> None:
    turns = [Turn(f"{asked.request_id}:question", "user", asked.query)]
    if end.final_text and end.finish_reason is not FinishReason.WAITING_FOR_PERMISSION:
        turns.append(Turn(f"{asked.request_id}:answer", "assistant", end.final_text, end.agent_name))
    try:
        await keeper.record(asked.user_id, asked.conversation_id, turns)
    except (StoreUnavailableError, InvalidArgumentError):
        # The answer is there: it must not fail because it will not be found again.
        logger.warning("a turn was not kept", extra={"run_id": end.run_id})
