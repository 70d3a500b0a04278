"""One call, two paths: the orchestrator where the rollout says so, the backend's own otherwise or instead.

decide -> LOCAL: local(request), and perhaps a shadow copy
       -> ORCHESTRATOR: breaker -> Attempt -> its events; before it is committed the local path may take over
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from uuid import uuid4

from llm_orchestrator_client.errors import DeadlineError, OrchestratorError, UnavailableError
from llm_orchestrator_client.payloads import Event
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.rollout.abandoned import AbandonedRuns, AbandonSettings
from llm_orchestrator_client.rollout.attempt import Attempt, Limits
from llm_orchestrator_client.rollout.breaker import CallerBreaker, Ticket
from llm_orchestrator_client.rollout.conversations import Path
from llm_orchestrator_client.rollout.decision import Decider, Decision
from llm_orchestrator_client.rollout.measured import Measured
from llm_orchestrator_client.rollout.metrics import RolloutMetrics
from llm_orchestrator_client.rollout.remote import BREAKER_OPEN, Remote, is_dead, may_fall_back
from llm_orchestrator_client.rollout.shadow import Shadow

logger = logging.getLogger(__name__)

Local = Callable[[pb.ChatRequest], AsyncGenerator[Event]]
"""The backend's own path: an async generator function that is given the request as it came."""


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """With fallback on: seconds to the orchestrator's first event, and to its first content. Of a call with a
    time-out they are at most `deadline_share`, so that the local path has the rest.
    """

    first_event_seconds: float = 3.0
    first_byte_seconds: float = 20.0
    deadline_share: float = 0.5
    abandon: AbandonSettings = field(default_factory=AbandonSettings)

    def limits(self, seconds: float | None, *, falls_back: bool) -> Limits:
        """How long an attempt may wait for what; `seconds` of the whole call, None = as long as it takes."""
        if not falls_back:
            return Limits(None, None, seconds)
        most = float("inf") if seconds is None else seconds * self.deadline_share
        first_byte = min(self.first_byte_seconds, most)
        return Limits(min(self.first_event_seconds, first_byte), first_byte, seconds)


class RolloutRouter:
    """Yields the same typed events from either path. Open it as a context: it owns what cancels abandoned
    runs.
    """

    def __init__(
        self,
        remote: Remote,
        decider: Decider,
        breaker: CallerBreaker,
        measured: Measured,
        metrics: RolloutMetrics,
        *,
        settings: RouterSettings = RouterSettings(),  # frozen
        shadow: Shadow | None = None,
    ) -> None:
        self._remote = remote
        self._decider = decider
        self._breaker = breaker
        self._measured = measured
        self._metrics = metrics
        self._settings = settings
        self._shadow = shadow
        self._contexts = AsyncExitStack()
        self._abandoned = AbandonedRuns(remote, settings.abandon, lambda o: metrics.cancels.labels(o).inc())

    async def __aenter__(self) -> Self:
        await self._contexts.enter_async_context(self._abandoned)
        if self._shadow is not None:
            await self._contexts.enter_async_context(self._shadow)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._contexts.aclose()

    async def settled(self) -> None:
        """Wait until every abandoned run is cancelled, or given up."""
        await self._abandoned.settled()

    async def stream_chat(
        self,
        request: pb.ChatRequest,
        local: Local,
        *,
        seconds: float | None = None,
        keep_running: bool = False,
    ) -> AsyncGenerator[Event]:
        """One turn. `seconds`: for the orchestrator's whole answer; the local path keeps its own time.

        Leaving it cancels the orchestrator's run, unless `keep_running`.

        Raises:
            ValueError: no user_id: nobody could be told from anybody else
            OrchestratorError: the orchestrator failed, and the local path may not answer instead
        """
        if not request.user_id:
            raise ValueError("user_id: is needed to decide")
        decision = await self._decider.decide(request)
        self._metrics.decisions.labels(decision.path.value, decision.why.value).inc()
        if decision.path is Path.LOCAL:
            path = self._local(request, local, decision)
        else:
            path = self._orchestrator(request, local, decision, seconds, keep_running=keep_running)
        async with aclosing(path) as events:
            async for event in events:
                yield event

    async def _local(
        self, request: pb.ChatRequest, local: Local, decision: Decision
    ) -> AsyncGenerator[Event]:
        watched = None
        if self._shadow is not None and await self._decider.shadows(request):
            watched = self._shadow.begin(request)
        if decision.begins and request.conversation_id:
            await self._decider.began(request, request.conversation_id, Path.LOCAL)
        whole = False
        try:
            async with aclosing(self._measured.local(local(request))) as events:
                async for event in events:
                    if watched is not None:
                        watched.see(event)
                    yield event
            whole = True
        finally:
            if watched is not None:
                watched.done(whole=whole)

    async def _orchestrator(
        self,
        request: pb.ChatRequest,
        local: Local,
        decision: Decision,
        seconds: float | None,
        *,
        keep_running: bool,
    ) -> AsyncGenerator[Event]:
        falls_back = await self._decider.falls_back(request)
        limits = self._settings.limits(seconds, falls_back=falls_back)
        sent = prepared(request, falls_back=falls_back)
        attempt = Attempt(self._remote, sent, limits, stays=not falls_back, kept=keep_running)
        try:
            async with aclosing(self._attempted(attempt, decision)) as events:
                async for event in events:
                    yield event
            return
        except OrchestratorError as error:
            cause = await self._cause(error, attempt, falls_back=falls_back)
            if not cause and attempt.failure is not None:
                yield attempt.failure
            if not cause:
                raise
        self._metrics.fallbacks.labels(cause).inc()
        if cause != BREAKER_OPEN:  # one line for what was found, not for each call that was spared it
            logger.warning("the local path answers instead", extra={"cause": cause, "run_id": attempt.run_id})
        async with aclosing(self._measured.local(local(request))) as answers:
            async for event in answers:
                yield event

    async def _cause(self, error: OrchestratorError, attempt: Attempt, *, falls_back: bool) -> str:
        """Why the local path answers now; empty = it may not. Sees to it that the run ends."""
        if error.reason == BREAKER_OPEN:
            return BREAKER_OPEN if falls_back else ""
        if attempt.ended or (error.reason and not attempt.answered):
            has_acted = False  # it is over, or was refused
        elif attempt.committed or (isinstance(error, UnavailableError) and not attempt.answered):
            self._abandoned.cancel(attempt)
            has_acted = False
        else:
            has_acted = await self._abandoned.has_acted(attempt)
        allowed = falls_back and not attempt.committed and may_fall_back(error.code, error.reason)
        return error.code.name if allowed and not has_acted else ""

    async def _attempted(self, attempt: Attempt, decision: Decision) -> AsyncGenerator[Event]:
        ticket = self._breaker.admit()
        if ticket is None:
            raise UnavailableError("the orchestrator does not answer", reason=BREAKER_OPEN)
        begins = decision.begins
        try:
            async with aclosing(self._measured.orchestrator(attempt)) as events:
                async for event in events:
                    self._breaker.succeeded(ticket)
                    if begins and attempt.conversation_id:
                        begins = False
                        await self._decider.began(attempt.request, attempt.conversation_id, Path.ORCHESTRATOR)
                    yield event
        except OrchestratorError as error:
            self._judge(error, attempt, ticket)
            raise
        except (GeneratorExit, asyncio.CancelledError):
            if not (attempt.ended or attempt.kept):
                self._abandoned.cancel(attempt)  # its caller left
            raise
        finally:
            self._breaker.give_back(ticket)
            self._metrics.breaker_open.set(0 if self._breaker.closed else 1)

    def _judge(self, error: OrchestratorError, attempt: Attempt, ticket: Ticket) -> None:
        silent = isinstance(error, DeadlineError) and not error.reason and not attempt.answered
        if silent or (is_dead(error.code, error.reason) and not attempt.committed):
            self._breaker.failed(ticket)
        else:
            self._breaker.succeeded(ticket)


def prepared(request: pb.ChatRequest, *, falls_back: bool) -> pb.ChatRequest:
    """What the orchestrator is sent: with a key to cancel by and, where the local path can answer, without
    waiting.
    """
    sent = pb.ChatRequest()
    sent.CopyFrom(request)
    sent.request_id = request.request_id or uuid4().hex
    sent.run_options.on_disconnect = pb.DISCONNECT_BEHAVIOR_CONTINUE  # a cut is no cancel: the router cancels
    if falls_back:
        sent.run_options.on_saturated = pb.SATURATION_BEHAVIOR_FAIL
    return sent
