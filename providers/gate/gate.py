"""The gate of one model: what may be called now, from memory."""

import random
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from providers.base import ModelInfo
from providers.breaker import Ticket
from providers.gate.base import GateSnapshot, GateState, Saturated, SaturatedBy, Unavailable
from providers.gate.permit import Controls, GateSettings, ModelPermit
from providers.gate.room import CallLater
from providers.window import Chance, Clock


class ModelGate:
    """Breaker, pause, concurrency and budgets of one model of one provider; see `Gate`.

    They are asked in this order, so that a refusal names the reason that lasts. For one event loop, in which
    it is made and used; as a context manager it owns the timer that tells listeners of room that comes with
    time.
    """

    def __init__(
        self,
        info: ModelInfo,
        settings: GateSettings,
        *,
        clock: Clock = time.monotonic,
        chance: Chance = random.random,
        call_later: CallLater | None = None,
    ) -> None:
        self._info = info
        name = f"{info.provider}/{info.model}"
        self._controls = Controls.of(settings, name, clock=clock, chance=chance, call_later=call_later)
        self._prober: Callable[[], None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._controls.room.close()

    def admit(self, expected_tokens: int = 0) -> ModelPermit | Saturated | Unavailable:
        if self._prober is not None and self.may_probe:
            self._prober()  # before the timer that would tell it: else this call were the probe
        match self._refusal(expected_tokens):
            case Unavailable() as refusal:
                self._controls.refusals["down"] += 1
                self._controls.wake_to_probe()
                return refusal
            case Saturated(by, wait) as refusal:
                self._controls.refusals[by.value] += 1
                if wait is not None:
                    self._controls.room.wake_in(wait)
                return refusal
        ticket = self._controls.breaker.admit()
        assert ticket is not None, "the breaker had room a moment ago"
        return ModelPermit(self._controls, ticket, expected_tokens)

    def snapshot(self) -> GateSnapshot:
        controls = self._controls
        refusal = self._refusal(1)
        succeeded, failed = controls.outcomes.totals()
        return GateSnapshot(
            provider=self._info.provider,
            model=self._info.model,
            state=self._state(refusal),
            in_flight=controls.in_flight,
            concurrency_limit=controls.limit.current,
            retry_after=None if refusal is None else refusal.retry_after,
            error_rate=failed / (succeeded + failed) if failed else 0.0,
            latency_p50=controls.latencies.p50(),
            refusals=dict(controls.refusals),
        )

    def on_room(self, listener: Callable[[], None]) -> Callable[[], None]:
        return self._controls.room.listen(listener)

    def set_share(self, replicas: int) -> None:
        """Divide ceilings and budgets by the number of live replicas; each keeps room for one call.

        Raises:
            ValueError: There are none: the caller is one itself.
        """
        if replicas < 1:
            raise ValueError("at least this replica is alive")
        for part in (self._controls.limit, self._controls.requests, self._controls.tokens):
            part.set_share(replicas)
        self._controls.room.tell()

    def probed_by(self, prober: Callable[[], None] | None) -> None:
        self._prober = prober

    @property
    def may_probe(self) -> bool:
        return not self._controls.breaker.closed and self._controls.breaker.wait() == 0.0

    def probe_ticket(self) -> Ticket | None:
        breaker = self._controls.breaker
        return None if breaker.closed else breaker.admit()

    def probed(self, ticket: Ticket, *, reached: bool) -> None:
        breaker = self._controls.breaker
        if reached:
            breaker.give_back(ticket)
        else:
            breaker.failed(ticket)
            self._controls.wake_to_probe()
        self._controls.room.tell()

    def _refusal(self, expected_tokens: int) -> Saturated | Unavailable | None:
        controls = self._controls
        if not controls.breaker.closed and (wait := controls.breaker.wait()) > 0.0:
            return Unavailable(wait)
        if (wait := controls.pause.wait()) > 0.0:
            return Saturated(SaturatedBy.VENDOR, wait)
        if controls.in_flight >= controls.limit.current:
            return Saturated(SaturatedBy.CONCURRENCY)
        if (wait := controls.requests.wait(1)) > 0.0:
            return Saturated(SaturatedBy.REQUESTS, wait)
        if (wait := controls.tokens.wait(expected_tokens)) > 0.0:
            return Saturated(SaturatedBy.TOKENS, wait)
        return None

    def _state(self, refusal: Saturated | Unavailable | None) -> GateState:
        if self._controls.breaker.probing:
            return GateState.PROBING
        match refusal:
            case None:
                return GateState.AVAILABLE
            case Saturated():
                return GateState.SATURATED
            case Unavailable():
                return GateState.UNAVAILABLE
