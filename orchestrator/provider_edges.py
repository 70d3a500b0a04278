"""Telling the other replicas which providers this one finds down, so that the outside is told once."""

from collections.abc import Callable, Collection
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
    """Looks at the gates, to be called again and again. Saturated is not down."""

    def __init__(self, store: ProvidersDown, status: Callable[[], PoolStatus]) -> None:
        self._store = store
        self._status = status
        self._told: frozenset[str] = frozenset()

    async def look(self) -> None:
        """Tell the store, unless there is nothing to tell.

        Raises:
            DatabaseUnavailableError: The next look tells it.
        """
        providers = self._status().providers
        down = frozenset(provider.name for provider in providers if provider.state in _DOWN)
        working = frozenset(provider.name for provider in providers if _works(provider))
        if down or working or self._told:
            await self._store.tell(down, working)
            self._told = down


def _works(provider: ProviderState) -> bool:
    return provider.state not in _DOWN and any(m.gate.latency_p50 is not None for m in provider.models)
