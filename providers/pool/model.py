"""A choice of models as one model."""

from collections.abc import AsyncGenerator
from dataclasses import replace

from providers.base import Delta, ModelInfo, ModelRequest
from providers.pool.admission import Admitted
from providers.pool.choice import ModelChoice
from providers.pool.needs import Needs
from providers.pool.pool import ModelPool
from providers.pool.run_budget import CallBudget


class PooledModel:
    """What one run calls: `admitted` goes to its first call, `budget` to all, `needs` bound the choice.

    `info` is that of the first choice; it has images and JSON schemas only if every model does that may be
    called.
    """

    def __init__(
        self,
        pool: ModelPool,
        wanted: ModelChoice,
        *,
        admitted: Admitted | None = None,
        budget: CallBudget | None = None,
        needs: Needs = Needs(),  # noqa: B008  # frozen
    ) -> None:
        self._pool = pool
        self._wanted = wanted
        self._admitted = admitted
        self._budget = budget
        self._needs = needs

    @property
    def info(self) -> ModelInfo:
        first, *others = self._pool.infos(self._wanted, self._needs)
        models = (first, *others)
        return replace(
            first,
            images=all(info.images for info in models),
            json_schema=all(info.json_schema for info in models),
        )

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """As `ModelPool.stream`."""
        return self._pool.stream(self._wanted, request, admitted=self._admitted, budget=self._budget)

    async def probe(self) -> None:
        """As `ModelPool.probe`."""
        await self._pool.probe(self._wanted)
