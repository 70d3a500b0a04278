"""What a user's runs have used."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orchestrator.budgets import Budgets, Quota
from state.models import Owner
from state.usage import AgentUsage, Usage

SLICE_SECONDS = 900
"""Usage is counted by quarters of an hour: a span begins and ends with one."""


class UsageStore(Protocol):
    """Where usage is counted."""

    async def by_agent(
        self, owner: Owner, begins: datetime | None, ends: datetime | None, currency: str
    ) -> Sequence[AgentUsage]:
        """Of the runs that were created from `begins` on and before `ends` and have ended; None = no bound.

        Raises:
            DatabaseUnavailableError: It cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """The usage of a span of time, and the quotas as of now."""

    usage: Usage
    by_agent: Sequence[AgentUsage]
    quotas: Sequence[Quota]


class UsageService:
    """Tells users what they have used."""

    def __init__(self, store: UsageStore, budgets: Budgets, currency: Callable[[], str]) -> None:
        self._store = store
        self._budgets = budgets
        self._currency = currency

    async def report(self, owner: Owner, begins: datetime | None, ends: datetime | None) -> Report:
        """Sums over the runs that were created in the span, with costs in the currency of now.

        Raises:
            DatabaseUnavailableError: They cannot be read.
        """
        currency = self._currency()
        agents = await self._store.by_agent(owner, begins, ends, currency)
        usage = Usage.of(
            (part for agent in agents for part in agent.usage.by_model),
            tool_calls=sum(agent.usage.tool_calls for agent in agents),
            currency=currency,
        )
        return Report(usage, agents, await self._budgets.quotas(owner))
