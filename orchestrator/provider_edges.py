"""Telling the other replicas which providers this one finds down, so that the outside is told once."""

from collections.abc import Callable, Collection
from time import monotonic
from typing import Protocol

from providers.gate.base import GateState
from providers.pool.status import PoolStatus, ProviderState

_DOWN = (GateState.UNAVAILABLE, GateState.PROBING)
"""All breakers of the provider are open; a probe under way has shown nothing yet."""


class ProvidersDown(Protocol):
    """What all replicas find. Changes of what that comes to are events."""

    async def tell(self, down: Collection[str], working: Collection[str]) -> None:
        """These providers are down as this replica sees it, and no others; these it has seen at work lately.

        Raises:
            DatabaseUnavailableError: Nobody was told.
        """
        ...


class ProviderEdges:
    """Looks at the gates, to be called again and again. Saturated is not down.

    What has not changed is told again after `again_seconds`: others may have found one down that works.
    """

    def __init__(
        self, store: ProvidersDown, status: Callable[[], PoolStatus], *, again_seconds: float = 0.0
    ) -> None:
        self._store = store
        self._status = status
        self._again_seconds = again_seconds
        self._told: tuple[frozenset[str], frozenset[str]] = frozenset(), frozenset()
        self._told_at = -again_seconds

    async def look(self) -> None:
        """Tell the store, unless there is nothing to tell.

        Raises:
            DatabaseUnavailableError: The next look tells it.
        """
        providers = self._status().providers
        down = frozenset(provider.name for provider in providers if provider.state in _DOWN)
        working = frozenset(provider.name for provider in providers if _works(provider))
        now = monotonic()
        is_new = (down, working) != self._told or now - self._told_at >= self._again_seconds
        if is_new and (down or working or self._told[0]):
            await self._store.tell(down, working)
            self._told, self._told_at = (down, working), now


def _works(provider: ProviderState) -> bool:
    return provider.state not in _DOWN and any(m.gate.latency_p50 is not None for m in provider.models)
