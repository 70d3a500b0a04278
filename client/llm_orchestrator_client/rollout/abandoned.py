"""Runs that the local path took over: each is cancelled, also one that cannot be reached just now."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from llm_orchestrator_client.errors import NotFoundError, OrchestratorError, UnavailableError
from llm_orchestrator_client.rollout.attempt import Attempt, is_effect
from llm_orchestrator_client.rollout.remote import Remote

logger = logging.getLogger(__name__)

CANCELLED, GIVEN_UP, NEVER_BEGAN = "cancelled", "given_up", "never_began"
_MISSING = 3  # a call that was given up may still be on its way, so "no such run" is believed the third time


@dataclass(frozen=True, slots=True)
class AbandonSettings:
    """`settle_seconds`: how long a fallback waits for the run's end, at most twice. An orchestrator that
    cannot be reached is asked again every `retry_seconds`, for `patience_seconds`: shorter than its lease, so
    that who comes back hears of it before the run goes on. `most`: runs that are being cancelled at once.
    """

    settle_seconds: float = 0.5
    retry_seconds: float = 1.0
    patience_seconds: float = 300.0
    most: int = 1000


class AbandonedRuns:
    """Owns the tasks that cancel; leaving its context gives them `settle_seconds` more."""

    def __init__(self, remote: Remote, settings: AbandonSettings, counted: Callable[[str], None]) -> None:
        self._remote = remote
        self._settings = settings
        self._counted = counted
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.settle_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def settled(self) -> None:
        """Wait for those that are being cancelled now."""
        await asyncio.gather(*self._tasks)

    async def has_acted(self, attempt: Attempt) -> bool:
        """Cancel the attempt's run, and say whether its log shows an effect that had not come through.

        An orchestrator that cannot be reached shows none; it is asked on to cancel.
        """
        try:
            await self._cancel(attempt)
        except asyncio.CancelledError:
            self.cancel(attempt)  # its caller leaves while it is waited for
            raise
        except UnavailableError:
            self.cancel(attempt)
            return False
        except OrchestratorError:
            self.cancel(attempt)  # it is slow to end, but its log can be read
        else:
            self._counted(CANCELLED)
        return await self._shows_effect(attempt)

    async def _shows_effect(self, attempt: Attempt) -> bool:
        if not attempt.run_id:
            return False
        seconds = self._settings.settle_seconds
        user_id = attempt.request.user_id
        rest = self._remote.resume(user_id, attempt.run_id, attempt.last_sequence, seconds=seconds)
        try:
            async with asyncio.timeout(seconds), aclosing(rest):
                async for event in rest:
                    if is_effect(event):
                        return True
        except (OrchestratorError, TimeoutError):
            return False  # its log ends with CANCELLED, as an error
        return False

    async def _cancel(self, attempt: Attempt) -> None:
        await self._remote.cancel(
            attempt.request.user_id,
            run_id=attempt.run_id,
            request_id=attempt.request.request_id,
            seconds=self._settings.settle_seconds,
        )

    def cancel(self, attempt: Attempt) -> None:
        """Cancel its run in the background, as long as it takes."""
        if len(self._tasks) >= self._settings.most:
            self._counted(GIVEN_UP)
            return
        task = asyncio.create_task(self._until_cancelled(attempt), name="cancel-abandoned-run")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _until_cancelled(self, attempt: Attempt) -> None:
        try:
            async with asyncio.timeout(self._settings.patience_seconds):
                outcome = await self._asked_on(attempt)
        except TimeoutError:
            outcome = GIVEN_UP
            logger.warning("an abandoned run was not cancelled", extra={"run_id": attempt.run_id})
        self._counted(outcome)

    async def _asked_on(self, attempt: Attempt) -> str:
        missing = 0
        while True:
            try:
                await self._cancel(attempt)
            except NotFoundError:
                missing += 1
                if missing == _MISSING:
                    return NEVER_BEGAN
            except OrchestratorError:
                pass
            else:
                return CANCELLED
            await asyncio.sleep(self._settings.retry_seconds)
