"""One attempt at the orchestrator: what came of it so far, and whether the local path may still take over."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from llm_orchestrator_client.errors import DeadlineError, from_detail
from llm_orchestrator_client.payloads import (
    AgentUpdate,
    Completion,
    ContentDelta,
    Event,
    Failure,
    Heartbeat,
    Notification,
    PlanUpdate,
    StatusUpdate,
    StreamReset,
    ToolCall,
    ToolResult,
)
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.rollout.remote import Remote

_HARMLESS = (AgentUpdate, Heartbeat, Notification, PlanUpdate, StatusUpdate, StreamReset, ToolResult)


def commits(event: Event) -> bool:
    """Whether from this event on only the orchestrator may answer.

    So does text, an effect, and whatever is not known to be harmless.
    """
    match event:
        case ContentDelta():
            return bool(event.text)
        case ToolCall():
            return not event.read_only
        case _:
            return not isinstance(event, _HARMLESS)


def is_effect(event: Event) -> bool:
    """Whether something is done now that leaving does not undo."""
    return isinstance(event, ToolCall) and not event.read_only


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds until the first event, until the first one that commits, and of the whole call; None = any
    time.
    """

    first_event: float | None
    first_byte: float | None
    whole: float | None


class Attempt:
    """Reads the orchestrator's stream, with time-outs until it is committed.

    `stays`: no other path can take over, so that a broken stream is taken up again from the start.
    `kept`: whoever leaves lets the run go on.
    """

    def __init__(
        self, remote: Remote, request: pb.ChatRequest, limits: Limits, *, stays: bool, kept: bool = False
    ) -> None:
        self._remote = remote
        self._limits = limits
        self._began_at = asyncio.get_running_loop().time()
        self._stays = stays
        self.request = request
        self.kept = kept
        self.answered = False
        self.committed = False
        self.ended = False
        self.failure: Failure | None = None
        self.run_id = ""
        self.conversation_id = request.conversation_id
        self.last_sequence = 0

    async def events(self) -> AsyncGenerator[Event]:
        """The events; one that ends an uncommitted run as failed is not among them but kept as `failure`.

        Raises:
            OrchestratorError: the run failed; a DeadlineError also where the first event, or byte, came too
            late
        """
        stream = self._remote.stream_chat(self.request, seconds=self._limits.whole, stays=self._stay)
        async with aclosing(stream):
            while (event := await self._next(stream)) is not None:
                self._note(event)
                if isinstance(event, Failure) and not self.committed:
                    self.failure = event  # the stream itself ends with the matching error
                    continue
                self.committed = self.committed or commits(event)
                yield event
        if self.failure is not None:
            raise from_detail(self.failure.error)

    def _stay(self) -> bool:
        return self._stays or self.committed

    async def _next(self, stream: AsyncGenerator[Event]) -> Event | None:
        try:
            async with asyncio.timeout_at(self._until()):
                return await anext(stream, None)
        except TimeoutError as error:
            raise DeadlineError("no first byte in time") from error

    def _until(self) -> float | None:
        if self.committed:
            return None
        seconds = self._limits.first_byte if self.answered else self._limits.first_event
        return None if seconds is None else self._began_at + seconds

    def _note(self, event: Event) -> None:
        self.answered = True
        self.ended = self.ended or isinstance(event, Completion | Failure)
        self.run_id = event.run_id or self.run_id
        self.last_sequence = max(self.last_sequence, event.sequence)
        self.conversation_id = self.conversation_id or event.metadata.get("conversation_id", "")
