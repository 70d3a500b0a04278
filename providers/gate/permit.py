"""What a gate decides by, and what one call does to it."""

import logging
import random
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

from providers.base import CallAccepted, TokenCount
from providers.breaker import Breaker, BreakerSettings, Ticket
from providers.gate.budget import Budget, BudgetSettings
from providers.gate.limit import AdaptiveLimit, LimitSettings
from providers.gate.pause import PauseSettings, VendorPause
from providers.gate.room import CallLater, Room
from providers.window import Chance, Clock, RecentLatencies, SlidingCounts
from state.errors import ProviderBrokenError, ProviderError, ProviderSaturatedError, ProviderUnavailableError

logger = logging.getLogger(__name__)

_SNAPSHOT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class GateSettings:
    """The settings of one gate, by what they are for."""

    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    limit: LimitSettings = field(default_factory=LimitSettings)
    pause: PauseSettings = field(default_factory=PauseSettings)
    requests: BudgetSettings = field(default_factory=BudgetSettings)
    tokens: BudgetSettings = field(default_factory=BudgetSettings)


@dataclass(slots=True)
class Controls:
    """All that decides whether a call may be made, and what was seen of the last minute's calls."""

    clock: Clock
    breaker: Breaker
    limit: AdaptiveLimit
    pause: VendorPause
    requests: Budget
    tokens: Budget
    room: Room
    outcomes: SlidingCounts
    latencies: RecentLatencies
    in_flight: int = 0
    refusals: Counter[str] = field(default_factory=Counter)

    def wake_to_probe(self) -> None:
        """Tell the listeners when the breaker may probe. The end of a probe under way is told by itself."""
        if not self.breaker.probe_under_way and (wait := self.breaker.wait()) > 0.0:
            self.room.wake_in(wait)

    @classmethod
    def of(
        cls,
        settings: GateSettings,
        name: str,
        *,
        clock: Clock = time.monotonic,
        chance: Chance = random.random,
        call_later: CallLater | None = None,
    ) -> Self:
        return cls(
            clock=clock,
            breaker=Breaker(settings.breaker, name=name, clock=clock, chance=chance),
            limit=AdaptiveLimit(settings.limit, clock),
            pause=VendorPause(settings.pause, clock, chance),
            requests=Budget(settings.requests, clock),
            tokens=Budget(settings.tokens, clock),
            room=Room(clock, call_later),
            outcomes=SlidingCounts(_SNAPSHOT_SECONDS, clock),
            latencies=RecentLatencies(_SNAPSHOT_SECONDS, clock),
        )


class ModelPermit:
    """The right to make one call; see `Permit`.

    The first end counts, what is told after it does not, so `abandoned` may stand in a `finally`. A permit
    that is dropped without an end gives its place back and warns: whoever dropped it has a bug.
    """

    __slots__ = ("_admitted_at", "_began", "_controls", "_ended", "_epoch", "_taken", "_ticket", "_tokens")

    def __init__(self, controls: Controls, ticket: Ticket, expected_tokens: int) -> None:
        self._controls = controls
        self._ticket = ticket
        self._tokens = expected_tokens
        self._epoch = controls.limit.epoch
        self._admitted_at = controls.clock()
        self._taken = self._began = self._ended = False
        controls.in_flight += 1
        controls.requests.take(1)
        controls.tokens.take(expected_tokens)

    def expects(self, tokens: int) -> None:
        if self._ended:
            return
        self._controls.tokens.correct(self._tokens, tokens)
        self._tokens = tokens

    def accepted(self, call: CallAccepted) -> None:
        if self._ended:
            return
        self._provider_took_it()
        if (left := call.remaining) is None:
            return
        if left.requests is not None:
            self._controls.requests.told(left.requests, left.requests_reset_seconds)
        if left.tokens is not None:
            self._controls.tokens.told(left.tokens, left.tokens_reset_seconds)

    def first_token(self) -> None:
        if self._began or self._ended:
            return
        self._provider_took_it()
        self._began = True
        controls = self._controls
        seconds = controls.clock() - self._admitted_at
        controls.latencies.add(seconds)
        controls.limit.first_token(seconds, in_flight=controls.in_flight, epoch=self._epoch)

    def succeeded(self, tokens: TokenCount | None) -> None:
        if self._ended:
            return
        controls = self._controls
        self._provider_took_it()
        controls.breaker.succeeded(self._ticket)
        controls.limit.succeeded(in_flight=controls.in_flight, epoch=self._epoch)
        controls.outcomes.add(failed=False)
        if tokens is not None:
            controls.tokens.correct(self._tokens, tokens.input_tokens + tokens.output_tokens)
        self._end()

    def failed(self, error: ProviderError) -> None:
        if self._ended:
            return
        controls = self._controls
        match error:
            case ProviderUnavailableError() | ProviderBrokenError():
                controls.breaker.failed(self._ticket, retry_after=error.retry_after_told)
                controls.outcomes.add(failed=True)
            case ProviderSaturatedError():
                news = controls.limit.refused(in_flight=controls.in_flight, epoch=self._epoch)
                controls.pause.refused(error.retry_after_told, news=news)
                controls.breaker.give_back(self._ticket)
            case _:
                controls.breaker.give_back(self._ticket)
        if not self._taken:
            # Vendors count refused requests, but no tokens for them.
            controls.tokens.correct(self._tokens, 0)
        self._end()

    def abandoned(self) -> None:
        if self._ended:
            return
        controls = self._controls
        controls.breaker.give_back(self._ticket)
        if not self._taken:
            # Most often there was nothing to call for after all.
            controls.requests.correct(1, 0)
            controls.tokens.correct(self._tokens, 0)
        self._end()

    def __del__(self) -> None:
        if getattr(self, "_ended", True):
            return
        self.abandoned()
        logger.error("a permit was dropped without an end")
        warnings.warn("a permit was dropped without an end", ResourceWarning, stacklevel=1)

    def _provider_took_it(self) -> None:
        if not self._taken:
            self._controls.pause.taken(self._admitted_at)
        self._taken = True

    def _end(self) -> None:
        controls = self._controls
        self._ended = True
        controls.in_flight -= 1
        controls.wake_to_probe()
        controls.room.tell()
