"""Taking up a run from the line, whoever began it."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NoReturn

from orchestrator.assignment import Assignment
from orchestrator.events import AttemptBegan, LeftOff, RunEvent, StatusChanged
from orchestrator.supervisor import RunSupervisor
from orchestrator.workshop import Workshop
from providers.pool.admission import Admitted
from state.errors import StateUnreadableError
from state.event_log import EventLog
from state.models import ClaimedRun, RunKind, RunState
from state.usage import Usage


class Unreadable:
    """The work of a run of which nothing can be read: it fails at once. A `Work`."""

    about: Mapping[str, str] = MappingProxyType({})

    def __init__(self, error: StateUnreadableError, usage: Usage) -> None:
        self._error = error
        self.usage = usage

    async def __call__(self, emit: object, attempt: object, pace: object) -> NoReturn:
        raise self._error

    async def ended(self) -> None:
        """Nothing goes on."""


class Continuation:
    """`decode` reads a kept request again; `left_off` says how far a log without an end has come."""

    def __init__(
        self,
        workshop: Workshop,
        supervisor: RunSupervisor,
        log: EventLog,
        *,
        decode: Callable[[RunKind, bytes], Assignment],
        left_off: Callable[[Iterable[bytes]], LeftOff],
    ) -> None:
        self._workshop = workshop
        self._supervisor = supervisor
        self._log = log
        self._decode = decode
        self._left_off = left_off

    async def take_up(self, claimed: ClaimedRun, admitted: Admitted) -> None:
        """Begin a run that was in line, or go on with one that another process, or this one, has left."""
        attempt = claimed.attempt
        try:
            log = await self._log.stored(attempt.owner, attempt.run_id)
            assignment = self._assignment(claimed)
        except StateUnreadableError as error:
            # It would be handed back, and taken again, for ever.
            self._supervisor.take_up(
                claimed, [], Unreadable(error, claimed.usage), admitted.abandon, waits=False
            )
            return
        except BaseException:
            admitted.abandon()
            raise
        left_off = self._left_off(record.payload for record in log)
        text = "Going on" if attempt.number > 1 else "Answering"
        begins: RunEvent = StatusChanged(RunState.RUNNING, text)
        if left_off.unfinished is not None:
            begins = AttemptBegan(claimed.tries, left_off.unfinished)
        work = self._workshop.work_again(assignment, claimed, admitted, left_off.texts)
        self._supervisor.take_up(
            claimed,
            [begins, *self._workshop.introduction(claimed, left_off)],
            work,
            admitted.abandon,
            waits=assignment.waits,
            permission_seconds=assignment.permission_seconds,
            window_seconds=assignment.window_seconds,
        )

    def _assignment(self, claimed: ClaimedRun) -> Assignment:
        if claimed.unreadable:
            raise StateUnreadableError(claimed.unreadable)
        return self._decode(claimed.kind, claimed.request)
