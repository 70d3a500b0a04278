"""Every call of a model goes through here: gate first, then the provider, fresh each time.

`stream` chooses the candidates (`table`), asks one gate after the other (`search`), calls the model under
its permit (`calling`) and counts what the answer uses (`metering`). Nothing is kept of an answer: the same
request again is another call. Only here is a call made again, or made to another model, and only before the
answer's first piece.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self

import orjson

from providers.base import CallAccepted, Delta, ModelInfo, ModelRequest
from providers.file.entries import ProviderConfiguration
from providers.gate.base import Gate, Permit, Saturated, Unavailable
from providers.gate.stream import gated_stream
from providers.pool.admission import Admitted, Refusal, summed_up
from providers.pool.assembly import Assembly
from providers.pool.choice import ModelChoice
from providers.pool.listeners import RoomListener
from providers.pool.metering import Meter
from providers.pool.needs import Needs
from providers.pool.probes import Probes
from providers.pool.retry_budget import RetryBudget
from providers.pool.run_budget import CallBudget, Limit, LimitReachedError, RunBudget
from providers.pool.search import RetryPolicy, Search
from providers.pool.status import PoolStatus, status_of
from providers.pool.table import Candidate
from providers.pool.watching import CallObserver, Unwatched
from state.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    ProviderSaturatedError,
    ProviderUnavailableError,
)

_ANYTHING = Needs()
_USUAL_OUTPUT_TOKENS = 1000


class ModelPool:
    """The models of a configuration, which may be exchanged while calls are in flight.

    Owns their gates, and inside its context the background probes that their entries want.
    """

    def __init__(
        self,
        assembly: Assembly,
        configuration: ProviderConfiguration,
        *,
        retry_budget: RetryBudget,
        retry_policy: RetryPolicy = RetryPolicy(),  # noqa: B008  # frozen
    ) -> None:
        """Raises: ProviderFileError: The configuration cannot be used in this process."""
        self._assembly = assembly
        self._table = assembly.table(configuration)
        self._currency = configuration.currency
        self._retry_budget = retry_budget
        self._retry_policy = retry_policy
        self._listeners: set[RoomListener] = set()
        self._replicas = 1
        self._observer: CallObserver = Unwatched()
        self._probes = Probes()
        self._probes.follow(self.candidates)

    async def __aenter__(self) -> Self:
        await self._probes.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._probes.__aexit__(kind, error, trace)
        for candidate in self.candidates:
            candidate.gate.close()

    async def died(self) -> None:
        """Raise what a background probe has died of."""
        await self._probes.died()

    @property
    def currency(self) -> str:
        """What prices and costs are in."""
        return self._currency

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Every model of the configuration in force, with its gate."""
        return tuple(self._table.candidates.values())

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self._table.classes)

    def exchange(self, configuration: ProviderConfiguration) -> None:
        """From now on calls begin with this configuration; those in flight keep theirs.

        Raises:
            ProviderFileError: It cannot be used; nothing has changed.
        """
        before = self._table
        self._table = self._assembly.table(configuration, before)
        self._currency = configuration.currency
        self.set_share(self._replicas)
        # First the probes: of a gate that is new to both, a probe is to hear before those who wait.
        self._probes.follow(self.candidates)
        for listener in tuple(self._listeners):
            listener.moved()
        for gate in before.gates - self._table.gates:
            gate.close()

    def set_share(self, replicas: int) -> None:
        """So many processes live, this one among them: each gets its part of what a provider takes."""
        self._replicas = replicas
        shared = (c.gate for c in self._table.candidates.values() if not c.endpoint.of_this_process)
        for gate in {id(gate): gate for gate in shared}.values():
            gate.set_share(replicas)

    def tell(self, observer: CallObserver) -> None:
        """Let this one know of every call from now on."""
        self._observer = observer

    def infos(self, wanted: ModelChoice, needs: Needs = _ANYTHING) -> tuple[ModelInfo, ...]:
        """The models that may be called, the first choice first.

        Raises:
            InvalidRequestError: No such model exists, or none that meets the needs.
        """
        return tuple(candidate.endpoint.info for candidate in self._table.fitting(wanted, needs))

    def admit(
        self, wanted: ModelChoice, expected_tokens: int = _USUAL_OUTPUT_TOKENS, needs: Needs = _ANYTHING
    ) -> Admitted | Refusal:
        """A permit for the next call, when one of the models may be called now.

        `expected_tokens` are taken at once: else all who ask before the first call has told what it used
        would get the same tokens. The call itself corrects it by what it has to send.

        Raises:
            InvalidRequestError: No such model exists, or none that meets the needs.
        """
        refusals: list[Refusal] = []
        for candidate in self._table.fitting(wanted, needs):
            answer = candidate.gate.admit(expected_tokens)
            if not isinstance(answer, Saturated | Unavailable):
                return Admitted(candidate, answer)
            refusals.append(answer)
        return summed_up(refusals)

    def serves(self, admitted: Admitted, wanted: ModelChoice, needs: Needs = _ANYTHING) -> bool:
        """Whether a permit could be used for this choice as well."""
        held = admitted.candidate
        try:
            return held is not None and any(c.gate is held.gate for c in self._table.fitting(wanted, needs))
        except InvalidRequestError:
            return False

    async def stream(
        self,
        wanted: ModelChoice,
        request: ModelRequest,
        *,
        admitted: Admitted | None = None,
        budget: CallBudget | None = None,
    ) -> AsyncGenerator[Delta]:
        """Yield a new answer; iterate it under `aclosing`, as that of a model. `admitted` is used first.

        Raises:
            InvalidRequestError: No such model exists, or none that can do what the request asks.
            ProviderSaturatedError: No model has room now; `retry_after` is the shortest that one tells.
            ProviderUnavailableError: All models are down.
            ProviderError: The call failed in a way that another one would not mend, or after it had begun.
            DeadlineExceededError: The request's deadline has passed.
            LimitReachedError: The run has used what it may.
        """
        budget = RunBudget() if budget is None else budget
        ends_at = min(budget.ends_at, math.inf if request.deadline is None else request.deadline)
        timed = replace(request, deadline=None if math.isinf(ends_at) else ends_at)
        try:
            budget.check()
            async with aclosing(self._answer(wanted, timed, admitted, budget)) as deltas:
                async for delta in deltas:
                    yield delta
        except DeadlineExceededError:
            if asyncio.get_running_loop().time() >= budget.ends_at == ends_at:
                raise LimitReachedError(Limit.DURATION) from None
            raise
        finally:
            if admitted is not None:
                admitted.abandon()

    def on_room(self, wanted: ModelChoice, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` whenever one of the models may have room again; returns what ends that."""

        def gates() -> list[Gate]:
            try:
                return [candidate.gate for candidate in self._table.chosen(wanted)]
            except InvalidRequestError:
                return []  # gone with the last configuration, and perhaps back with the next

        entry = RoomListener(listener, gates)
        self._listeners.add(entry)

        def end() -> None:
            self._listeners.discard(entry)
            entry.end()

        return end

    async def probe(self, wanted: ModelChoice) -> None:
        """Return when one of the models can be reached; see `ChatModel.probe`.

        Raises:
            ProviderUnavailableError: None can be.
        """
        *others, last = self._table.chosen(wanted)
        for candidate in others:
            with suppress(ProviderUnavailableError):
                return await candidate.model.probe()
        return await last.model.probe()

    def status(self) -> PoolStatus:
        return status_of(self._table)

    async def _answer(
        self, wanted: ModelChoice, request: ModelRequest, admitted: Admitted | None, budget: CallBudget
    ) -> AsyncGenerator[Delta]:
        needs = Needs.of(request)
        search = Search(
            self._table.fitting(wanted, needs),
            self._retry_budget,
            self._retry_policy,
            admitted=admitted,
            expected_tokens=_expected_tokens(request, needs),
            deadline=request.deadline,
        )
        while True:
            candidate, permit = await search.next()
            begun = False
            accepted: CallAccepted | None = None
            try:
                async with aclosing(self._call(candidate, permit, request, needs, budget)) as deltas:
                    async for delta in deltas:
                        if isinstance(delta, CallAccepted):
                            # Kept back: if this call fails now, the reader is to see one answer, not two.
                            accepted = delta
                            continue
                        begun = True
                        if accepted is not None:
                            yield accepted
                            accepted = None
                        yield delta
                return
            except (ProviderUnavailableError, ProviderSaturatedError) as error:
                if begun:
                    raise
                search.failed(candidate, error)

    def _call(
        self, candidate: Candidate, permit: Permit, request: ModelRequest, needs: Needs, budget: CallBudget
    ) -> AsyncGenerator[Delta]:
        endpoint = candidate.endpoint
        try:
            limited, cut_by = budget.limited(request, needs.prompt_tokens, endpoint.info, endpoint.prices)
        except LimitReachedError:
            permit.abandoned()
            raise
        info = endpoint.info
        watch = self._observer.called(info.provider, info.model, partial(_shown, request))
        if watch.traceparent:
            limited = replace(limited, traceparent=watch.traceparent)
        meter = Meter(budget, endpoint, needs.prompt_tokens, cut_by, watch)
        return meter.metered(gated_stream(candidate.model, permit, limited))


def _expected_tokens(request: ModelRequest, needs: Needs) -> int:
    # Not the most that it may write: few answers come near that, and no budget of a minute would hold many.
    wish = request.max_output_tokens
    return needs.prompt_tokens + min(_USUAL_OUTPUT_TOKENS, _USUAL_OUTPUT_TOKENS if wish is None else wish)


def _shown(request: ModelRequest) -> str:
    said = [{"role": message.role, "content": message.content} for message in request.messages]
    return orjson.dumps(said).decode()
