"""What a user may use in a day."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from state.errors import QuotaExceededError
from state.models import Owner
from state.usage import UsedToday
from state.violations import QuotaViolation


class DayStore(Protocol):
    """Where it is counted what users use."""

    async def today(self, owner: Owner, currency: str) -> UsedToday:
        """Raises DatabaseUnavailableError when it cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class DailyBudget:
    """The most of one user and UTC day; None = no limit. Tokens are those of input and output together."""

    tokens_per_day: int | None = None
    cost_micros_per_day: int | None = None
    runs_per_day: int | None = None

    @property
    def is_set(self) -> bool:
        return any(
            most is not None for most in (self.tokens_per_day, self.cost_micros_per_day, self.runs_per_day)
        )


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of a limit is used. It begins anew at `reset_time`."""

    name: str
    limit: int
    used: int
    reset_time: datetime


class Budgets:
    """Asks before a run begins whether its user has used up a day's budget; without one it asks nobody.

    It counts what has ended, and each run from its beginning. Runs that begin at the same moment, or are on
    their way, may so take a user beyond it; the next run is refused.
    """

    def __init__(self, store: DayStore, budget: DailyBudget, currency: Callable[[], str]) -> None:
        self._store = store
        self._budget = budget
        self._currency = currency

    async def check(self, owner: Owner) -> None:
        """Return when a run of this user may begin.

        Raises:
            QuotaExceededError: Not before the day ends.
            DatabaseUnavailableError: Nobody knows.
        """
        if not self._budget.is_set:
            return
        day = await self._store.today(owner, self._currency())
        full = [quota for quota in self._of(day) if quota.used >= quota.limit]
        if not full:
            return
        first = full[0]
        raise QuotaExceededError(
            f"the budget of this day is used up: {first.name}",
            *(QuotaViolation(f"user:{owner}", f"{q.name}: {q.used} of {q.limit} used") for q in full),
            retry_after=max(day.seconds_left, 1.0),
            metadata={"quota": first.name, "limit": str(first.limit), "used": str(first.used)},
        )

    async def quotas(self, owner: Owner) -> list[Quota]:
        """Those that apply to this user, as they stand.

        Raises:
            DatabaseUnavailableError: They cannot be read.
        """
        if not self._budget.is_set:
            return []
        return self._of(await self._store.today(owner, self._currency()))

    def _of(self, day: UsedToday) -> list[Quota]:
        budget, reset = self._budget, day.begins + timedelta(days=1)
        limits = (
            ("tokens_per_day", budget.tokens_per_day, day.tokens),
            ("cost_micros_per_day", budget.cost_micros_per_day, day.cost_micros),
            ("runs_per_day", budget.runs_per_day, day.runs),
        )
        return [Quota(name, limit, used, reset) for name, limit, used in limits if limit is not None]
