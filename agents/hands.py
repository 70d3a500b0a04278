"""Calling the tools of one run: what changes something is written down before and after."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from time import monotonic
from typing import Any, Protocol
from uuid import uuid4

import orjson

from agents.calls import Call, ToolUser, changed
from agents.events import PlanChanged, ToolAnswered, ToolCalled, ToolProgressed
from agents.turn import Emit
from agents.watching import ToolObserver, Unwatched
from providers.base import ToolSpec
from state.effects import Effect, EffectState, NewEffect
from state.errors import NotPermittedError
from state.models import Attempt
from tools.arguments import redacted
from tools.base import Offer, ToolContext, ToolOutcome
from tools.builtins.source import UPDATE_PLAN


class Journal(Protocol):
    """What was done, and is not to be done again."""

    async def begin(self, attempt: Attempt, effect: NewEffect) -> Effect: ...
    async def finish(self, attempt: Attempt, tool_call_id: str, outcome: bytes) -> None: ...


class Hands:
    """Makes the calls of one run. `wanted` is asked before each, and raises when it is one too many."""

    def __init__(
        self,
        user: ToolUser,
        offers: Mapping[str, Offer],
        journal: Journal,
        emit: Emit,
        wanted: Callable[[], None],
        *,
        observer: ToolObserver | None = None,
    ) -> None:
        self._user = user
        self._observer = observer or Unwatched()
        self._offers = offers
        self._journal = journal
        self._emit = emit
        self._wanted = wanted

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What the model is offered."""
        tools = (offer.tool for offer in self._offers.values())
        return tuple(ToolSpec(tool.name, tool.description, tool.parameters) for tool in tools)

    def count(self, calls: Sequence[Call]) -> None:
        """Count those that are allowed; that of a plan does nothing, and is not counted.

        Raises:
            LimitReachedError: The run may make no more.
        """
        for call in calls:
            if call["state"] == "allowed" and call["name"] != UPDATE_PLAN.name:
                self._wanted()

    def only_reads(self, call: Call) -> bool:
        """Whether the call may be made beside others, and again."""
        return (offer := self._offers.get(call["name"])) is not None and offer.tool.read_only

    async def call(self, call: Call) -> Call:
        """Make an allowed call, unless it was made before; the call with what the model is told.

        What was cut in the middle comes back `asked`, if its tool would do it twice.

        Raises:
            LostAttemptError: Another attempt owns the run.
            CancelledRunError: The run is being cancelled: it begins nothing more.
            DatabaseUnavailableError: The journal cannot be written.
        """
        offer = self._offers.get(call["name"])
        if offer is None:
            self._observer.refused(call["name"], "TOOL_OFF")
            return self._over(call, _not_called("The tool is off at present.", "TOOL_OFF"), 0.0)
        attempt = await self._user.attempt()  # nothing is called for a run that is not committed
        if offer.tool.read_only:
            return await self._made(call, offer, attempt)
        effect = NewEffect(call["id"], call["name"], call["digest"], call.get("permission_id", ""))
        try:
            known = await self._journal.begin(attempt, effect)
        except NotPermittedError:
            self._observer.refused(call["name"], "PERMISSION_DENIED")
            return self._over(call, _not_called("Nobody has allowed this call.", "PERMISSION_DENIED"), 0.0)
        if known.state is EffectState.DONE:
            return self._over(changed(call, made=True), ToolOutcome(**orjson.loads(known.outcome)), 0.0)
        if known.state is EffectState.CUT and not offer.tool.idempotent:
            return changed(call, state="asked", permission_id=uuid4().hex, cut=True)
        return await self._made(call, offer, attempt)

    async def _made(self, call: Call, offer: Offer, attempt: Attempt) -> Call:
        tool, arguments = offer.tool, orjson.loads(call["arguments"])
        if tool is UPDATE_PLAN:
            return await self._planned(call, offer, arguments, attempt)
        shown = orjson.dumps(redacted(tool, arguments)).decode()
        self._emit(ToolCalled(call["id"], tool.name, shown, tool.read_only))
        begun = monotonic()
        outcome = await self._asked(offer, arguments, call, attempt)
        if not tool.read_only:
            await self._journal.finish(attempt, call["id"], orjson.dumps(asdict(outcome)))
        return self._over(changed(call, made=True), outcome, monotonic() - begun)

    async def _asked(
        self, offer: Offer, arguments: dict[str, Any], call: Call, attempt: Attempt
    ) -> ToolOutcome:
        tool = offer.tool
        watch, ended = self._observer.called(tool.name, call["id"]), "cut"
        context = self._context(call, attempt, watch.traceparent)
        try:
            outcome = await offer.source.call(tool, arguments, context, self._progress(tool.name))
            ended = "ok" if outcome.ok else "failed"
        finally:
            watch.ended(ended)
        return outcome

    async def _planned(self, call: Call, offer: Offer, arguments: dict[str, Any], attempt: Attempt) -> Call:
        """A call that says what the agent means to do: its readers see that instead."""
        context = self._context(call, attempt)
        outcome = await offer.source.call(offer.tool, arguments, context, lambda _, __: None)
        if outcome.ok:
            self._emit(PlanChanged(arguments))
        return changed(call, state="over", text=outcome.text, ok=outcome.ok)

    def _over(self, call: Call, outcome: ToolOutcome, seconds: float) -> Call:
        self._emit(
            ToolAnswered(
                call["id"],
                call["name"],
                ok=outcome.ok,
                summary=outcome.summary,
                elapsed_seconds=seconds,
                reason=outcome.reason,
                retryable=outcome.retryable,
            )
        )
        over = changed(call, state="over", text=outcome.text, ok=outcome.ok)
        return changed(over, untrusted=True) if outcome.untrusted else over

    def _context(self, call: Call, attempt: Attempt, traceparent: str = "") -> ToolContext:
        user = self._user
        return ToolContext(
            owner=user.owner,
            run_id=user.run_id,
            conversation_id=user.conversation_id,
            tool_call_id=call["id"],
            attempt=attempt.number,
            permission_id=call.get("permission_id", ""),
            deadline=user.deadline,
            request_id=user.request_id,
            traceparent=traceparent,
            time_zone=user.time_zone,
        )

    def _progress(self, name: str) -> Callable[[str, float | None], None]:
        return lambda text, progress: self._emit(ToolProgressed(name, text, progress))


def _not_called(text: str, reason: str) -> ToolOutcome:
    return ToolOutcome(ok=False, text=f"Not called. {text}", summary="not called", reason=reason)
