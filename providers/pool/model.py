"""A choice of models as one model."""

from collections.abc import AsyncGenerator

from providers.base import Delta, ModelInfo, ModelRequest
from providers.pool.admission import Admitted
from providers.pool.choice import ModelChoice
from providers.pool.pool import ModelPool
from providers.pool.run_budget import RunBudget


class PooledModel:
    """What one run calls: `admitted` goes to its first call, `budget` to all. `info`: of the first choice."""

    def __init__(
        self,
        pool: ModelPool,
        wanted: ModelChoice,
        *,
        admitted: Admitted | None = None,
        budget: RunBudget | None = None,
    ) -> None:
        self._pool = pool
        self._wanted = wanted
        self._admitted = admitted
        self._budget = budget

    @property
    def info(self) -> ModelInfo:
        return self._pool.info(self._wanted)

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """As `ModelPool.stream`."""
        return self._pool.stream(self._wanted, request, admitted=self._admitted, budget=self._budget)

    async def probe(self) -> None:
        """As `ModelPool.probe`."""
        await self._pool.probe(self._wanted)
