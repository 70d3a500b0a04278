"""Counts and times both paths, for Prometheus and for the budget."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import grpc

from llm_orchestrator_client.errors import OrchestratorError
from llm_orchestrator_client.payloads import ContentDelta, Event, Failure
from llm_orchestrator_client.rollout.attempt import Attempt
from llm_orchestrator_client.rollout.budget import Budget
from llm_orchestrator_client.rollout.conversations import Path
from llm_orchestrator_client.rollout.metrics import RolloutMetrics
from llm_orchestrator_client.rollout.remote import is_failure, status_code

_OK, _CANCELLED, _UNKNOWN = grpc.StatusCode.OK, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN


class Measured:
    """Passes events on; each stream is counted once, when it ends, whichever way."""

    def __init__(
        self, metrics: RolloutMetrics, budget: Budget, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._metrics = metrics
        self._budget = budget
        self._clock = clock

    async def local(self, events: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
        """The backend's own stream. An `error` event counts with its code, an exception as UNKNOWN."""
        stream = _Stream(self._clock())
        code, reason = _UNKNOWN, ""
        try:
            async with aclosing(events):
                async for event in events:
                    stream.see(event, self._clock())
                    yield event
            code, reason = stream.ended()
        except (GeneratorExit, asyncio.CancelledError):
            code = _CANCELLED
            raise
        finally:
            self._count(Path.LOCAL, stream, code, reason)

    async def orchestrator(self, attempt: Attempt) -> AsyncGenerator[Event]:
        """The orchestrator's stream; what the caller leaves counts as CANCELLED."""
        stream = _Stream(self._clock())
        code, reason = _CANCELLED, ""
        try:
            async with aclosing(attempt.events()) as events:
                async for event in events:
                    stream.see(event, self._clock())
                    yield event
            code, reason = stream.ended()
        except OrchestratorError as error:
            code, reason = error.code, error.reason
            raise
        finally:
            self._count(Path.ORCHESTRATOR, stream, code, reason)

    def _count(self, path: Path, stream: "_Stream", code: grpc.StatusCode, reason: str) -> None:
        self._metrics.calls.labels(path.value, code.name).inc()
        self._metrics.duration.labels(path.value).observe(self._clock() - stream.began_at)
        if stream.first_byte is not None:
            self._metrics.first_byte.labels(path.value).observe(stream.first_byte)
        if code is not _CANCELLED:
            self._budget.record(path, failed=is_failure(code, reason), first_byte=stream.first_byte)


class _Stream:
    """What was seen of a stream."""

    def __init__(self, began_at: float) -> None:
        self.began_at = began_at
        self.first_byte: float | None = None
        self._failure: Failure | None = None

    def see(self, event: Event, now: float) -> None:
        if isinstance(event, Failure):
            self._failure = event
        if self.first_byte is None and isinstance(event, ContentDelta) and event.text:
            self.first_byte = now - self.began_at

    def ended(self) -> tuple[grpc.StatusCode, str]:
        if self._failure is None:
            return _OK, ""
        return status_code(self._failure.error.code), self._failure.error.reason
