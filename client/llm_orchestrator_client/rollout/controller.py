"""Steps the percentage up while the budget holds."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from llm_orchestrator_client.rollout.budget import Budget
from llm_orchestrator_client.rollout.targets import PercentageTarget

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """Hold a percentage for so many seconds before the next one."""

    percentage: float
    hold_seconds: float


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """`minimum_samples`: calls that the orchestrator must have answered in a step; until then it is held on.
    `look_seconds`: how often it is looked whether the budget holds.
    """

    steps: tuple[Step, ...] = (Step(10, 3600), Step(25, 3600), Step(50, 3600), Step(100, 0))
    minimum_samples: int = 100
    look_seconds: float = 5.0


class RolloutController:
    """Takes the steps in order. A halt stops it where it is; after the release that step begins anew.

    One process in the fleet runs it, on its own share of the calls; a FileHalt that all share stops it for
    all.
    """

    def __init__(
        self,
        target: PercentageTarget,
        budget: Budget,
        settings: ControllerSettings,
        *,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._target = target
        self._budget = budget
        self._settings = settings
        self._wait = wait

    async def run(self, *, above: float = 0.0) -> None:
        """Take all steps above a percentage; returns when the last one was held.

        Raises:
            OSError, ValueError: the percentage cannot be set
        """
        for step in self._settings.steps:
            if step.percentage > above:
                await self._released()
                self._target.set(step.percentage)
                logger.info("rollout step", extra={"percentage": step.percentage})
                await self._hold(step)

    async def _hold(self, step: Step) -> None:
        held, samples = 0.0, self._budget.samples
        while held < step.hold_seconds or self._budget.samples - samples < self._settings.minimum_samples:
            await self._wait(self._settings.look_seconds)
            held += self._settings.look_seconds
            if self._budget.cause():
                await self._released()
                held, samples = 0.0, self._budget.samples

    async def _released(self) -> None:
        while self._budget.cause():
            await self._wait(self._settings.look_seconds)
