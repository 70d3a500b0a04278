"""Finds, for one request, the next model that may be called."""

import asyncio
import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from providers.gate.base import Permit, Saturated, Unavailable
from providers.pool.admission import Admitted, Refusal, error_of, refusal_of, summed_up
from providers.pool.retry_budget import RetryBudget
from providers.pool.table import Candidate
from state.errors import DeadlineExceededError, ProviderError, ProviderUnavailableError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`rounds`: how often one request may call a model; `pause_seconds` is the first pause, then longer."""

    rounds: int = 2
    pause_seconds: float = 0.1


class Search:
    """Goes through the candidates in order, the admitted one first; each is asked at its gate.

    Every call but the request's first is taken from `budget`. A model that was down when it was called gets
    another round at the end; one that had no room does not, that is what the line is for.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        budget: RetryBudget,
        policy: RetryPolicy,
        *,
        admitted: Admitted | None,
        expected_tokens: int,
        deadline: float | None,
    ) -> None:
        self._queue = deque(candidates)
        self._only_one = len(candidates) == 1
        self._budget = budget
        self._policy = policy
        self._admitted = admitted
        self._expected_tokens = expected_tokens
        self._deadline = math.inf if deadline is None else deadline
        self._again: list[Candidate] = []
        self._round = 1
        self._calls = 0
        self._refusals: list[Refusal] = []
        self._last_error: ProviderError | None = None
        budget.requested()

    async def next(self) -> tuple[Candidate, Permit]:
        """The next model to call, and its permit, which the caller has to end.

        Raises:
            ProviderSaturatedError: There is none; one that was asked has no room.
            ProviderUnavailableError: There is none; all that were asked are down.
            DeadlineExceededError: Nobody waits any more.
        """
        self._check_deadline()
        if (first := self._first()) is not None:
            return first
        while (candidate := await self._candidate()) is not None:
            answer = candidate.gate.admit(self._expected_tokens)
            if isinstance(answer, Saturated | Unavailable):
                self._refusals.append(answer)
                continue
            self._count_call()
            return candidate, answer
        if self._last_error is not None and (self._only_one or self._queue):
            # One model, or no retry left for the others: of them nothing is known, of this one what happened.
            raise self._last_error
        raise error_of(summed_up(self._refusals)) from self._last_error

    def failed(self, candidate: Candidate, error: ProviderError) -> None:
        """The call of a candidate failed before its answer began."""
        self._last_error = error
        self._refusals.append(refusal_of(error))
        if isinstance(error, ProviderUnavailableError):
            self._again.append(candidate)

    def _first(self) -> tuple[Candidate, Permit] | None:
        if self._admitted is None or (permit := self._admitted.take()) is None:
            return None
        candidate, names = self._admitted.candidate, [c.name for c in self._queue]
        if candidate is None or candidate.name not in names:
            # Held for what this request does not fit, or for a model that is no longer in the class.
            permit.abandoned()
            return None
        del self._queue[names.index(candidate.name)]
        permit.expects(self._expected_tokens)
        self._count_call()
        return candidate, permit

    async def _candidate(self) -> Candidate | None:
        if self._may_call and not self._queue:
            await self._begin_round()
        # Asked after the pause: in it, others may have taken what was left.
        return self._queue.popleft() if self._queue and self._may_call else None

    @property
    def _may_call(self) -> bool:
        return not self._calls or self._budget.has_room

    async def _begin_round(self) -> None:
        if self._round >= self._policy.rounds or not self._again:
            return
        pause = self._policy.pause_seconds * 2**self._round * random.uniform(0.5, 1.0)
        if asyncio.get_running_loop().time() + pause >= self._deadline:
            return
        await asyncio.sleep(pause)
        self._round += 1
        self._queue.extend(self._again)
        self._again.clear()

    def _count_call(self) -> None:
        if self._calls:
            self._budget.retried()
        self._calls += 1

    def _check_deadline(self) -> None:
        if asyncio.get_running_loop().time() >= self._deadline:
            raise DeadlineExceededError("the caller's deadline has passed")
