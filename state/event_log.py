"""The log of every run: written before it is read, by any number of readers, from any position.

A run's writer calls `append` (or commits its last records elsewhere and calls `publish`). Readers in the same
process take recent records from a bounded tail in memory; whoever has fallen behind it, or reads a run of
another process, reads from the store.
"""

import math
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from itertools import takewhile
from time import monotonic
from weakref import WeakValueDictionary

from state.alarm import Alarm
from state.errors import DatabaseUnavailableError, NotFoundError, OrchestratorError
from state.models import Attempt, Owner, Record, RunId
from state.ports import EventStore
from state.signal import Signal
from state.violations import Resource

_PAGE = 500

HINT_CHARACTERS = 8
"""So much of a run's id tells a reader in another process to look. Two runs that share it look in vain."""


class _Tail:
    """The newest records of a run that this process executes."""

    def __init__(self, size: int) -> None:
        self._records: deque[Record] = deque(maxlen=size)
        self._changed = Signal()
        self._failure: OrchestratorError | None = None
        self._closed = False

    def publish(self, records: Sequence[Record]) -> None:
        self._records.extend(records)
        self._wake()

    def close(self, failure: OrchestratorError | None) -> None:
        self._failure, self._closed = failure, True
        self._wake()

    def is_closed(self) -> bool:
        """Whether nothing more will come here; raises what the run failed of, if it did."""
        if self._failure is not None:
            raise self._failure
        return self._closed

    def _wake(self) -> None:
        self._changed.set()
        self._changed = Signal()

    @property
    def changed(self) -> Signal:
        """Set at the next change."""
        return self._changed

    def after(self, position: int) -> list[Record] | None:
        """What follows `position`; None when the tail does not reach back that far."""
        if not self._records:
            return []
        first = self._records[0].sequence
        if position + 1 < first:
            return None
        if self._records[-1].sequence <= position:
            return []
        # From the end: nearly always it is the newest one that is wanted.
        new = list(takewhile(lambda record: record.sequence > position, reversed(self._records)))
        new.reverse()
        return new


class EventLog:
    """Appends to and reads the logs of runs.

    `tail_records` bounds what is kept in memory for a run; `poll_seconds` is how often a reader looks for
    records that another process wrote, should nobody tell it (`wake`). A reader outlasts an outage of
    `outage_seconds` of the store.
    """

    def __init__(
        self,
        store: EventStore,
        *,
        tail_records: int = 256,
        poll_seconds: float = 0.5,
        outage_seconds: float = 0.0,
    ) -> None:
        self._store = store
        self._tail_records = tail_records
        self._poll_seconds = poll_seconds
        self._outage_seconds = outage_seconds
        self._tails: dict[RunId, _Tail] = {}
        # Kept alive by who waits for them, and by nobody else.
        self._elsewhere: WeakValueDictionary[str, Signal] = WeakValueDictionary()

    def open(self, run_id: RunId) -> object:
        """Keep a tail for a run of this process, until `close`; returns what names this tail.

        One that is there still is of an attempt that was lost: nothing more will come there.
        """
        if lost := self._tails.get(run_id):
            lost.close(None)
        tail = self._tails[run_id] = _Tail(self._tail_records)
        return tail

    def close(
        self, run_id: RunId, failure: OrchestratorError | None = None, *, tail: object | None = None
    ) -> None:
        """Let the tail go, if it is this one still. With a failure, readers that wait for more get it."""
        kept = self._tails.get(run_id)
        if kept is not None and tail in (None, kept):
            del self._tails[run_id]
            kept.close(failure)

    async def append(self, attempt: Attempt, records: Sequence[Record], *, urgent: bool = False) -> None:
        """Commit records, then show them to readers; `urgent` ones share no commit that is still to come.

        Raises:
            LostAttemptError: Another attempt owns the run.
            DatabaseUnavailableError: Nothing was written, as far as is known.
        """
        await self._store.append(attempt, records, urgent=urgent)
        self.publish(attempt.run_id, records)

    async def store_only(self, attempt: Attempt, records: Sequence[Record]) -> None:
        """Commit records that the caller will publish itself."""
        await self._store.append(attempt, records)

    def publish(self, run_id: RunId, records: Sequence[Record]) -> None:
        """Show readers of this process what has been committed."""
        tail = self._tails.get(run_id)
        if tail is not None:
            tail.publish(records)

    async def stored(self, owner: Owner, run_id: RunId) -> list[Record]:
        """Everything that is in a run's log now."""
        records: list[Record] = []
        while page := await self._store.read(owner, run_id, len(records), _PAGE):
            records += page
        return records

    def wake(self, hints: Iterable[str]) -> None:
        """Somebody wrote for runs whose ids begin so: let who reads them look."""
        for hint in hints:
            if event := self._elsewhere.pop(hint, None):
                event.set()

    def _changed_elsewhere(self, run_id: RunId) -> Signal:
        return self._elsewhere.setdefault(run_id[:HINT_CHARACTERS], Signal())

    def read(
        self,
        owner: Owner,
        run_id: RunId,
        after: int = 0,
        *,
        idle_seconds: float | None = None,
        ended: bool = False,
    ) -> AsyncGenerator[Record | None]:
        """Yield the records after a sequence, waiting for more, and end after the terminal one.

        Yields None whenever nothing has come for `idle_seconds`. Called while this process executes the run,
        it learns of the run's failure whenever that comes. `ended`: the run is known to have, so that its log
        is stored whole and nothing is waited for.

        Raises:
            DatabaseUnavailableError: The log cannot be read, or the run's writer lost its database.
            NotFoundError: The id can be no run's, or the run that has ended was deleted.
        """
        stored = _PatientReader(self._store, owner, run_id, self._outage_seconds, ended=ended)
        return self._read(None if ended else self._tails.get(run_id), stored, run_id, after, idle_seconds)

    async def _read(
        self,
        tail: _Tail | None,
        stored: "_PatientReader",
        run_id: RunId,
        position: int,
        idle_seconds: float | None,
    ) -> AsyncGenerator[Record | None]:
        quiet = _Quiet(idle_seconds)
        alarm = Alarm()  # its timer may outlast this by as much as it waits, and does nothing then
        while True:
            tail = tail or self._tails.get(run_id)  # it may have been taken up here meanwhile
            changed = tail.changed if tail else self._changed_elsewhere(run_id)
            records = tail.after(position) if tail else None
            if records is None:
                records = await stored.after(position)
            for record in records:
                yield record
                position = record.sequence
                if record.terminal:
                    return
            if records:
                quiet.begins()
                continue
            if tail is not None and tail.is_closed():
                tail = None  # whoever takes the run up next has another
                continue
            if quiet.long_enough():
                quiet.begins()
                yield None
            looks = tail is None or stored.is_away
            left = quiet.left()
            await changed.wait(min(left, self._poll_seconds) if looks else left, alarm=alarm)


class _PatientReader:
    """Reads for one reader; while the store is away there is just nothing new, for `seconds` at most.

    Of a run that has `ended` there is always more, up to the end, unless it was deleted.
    """

    def __init__(
        self, store: EventStore, owner: Owner, run_id: RunId, seconds: float, *, ended: bool
    ) -> None:
        self._store = store
        self._owner = owner
        self._run_id = run_id
        self._seconds = seconds
        self._ended = ended
        self._since: float | None = None

    @property
    def is_away(self) -> bool:
        return self._since is not None

    async def after(self, position: int) -> list[Record]:
        try:
            records = list(await self._store.read(self._owner, self._run_id, position, _PAGE))
        except DatabaseUnavailableError:
            self._since = self._since or monotonic()
            if monotonic() - self._since >= self._seconds:
                raise
            return []
        self._since = None
        if self._ended and not records:
            raise NotFoundError("no such run", Resource("run", self._run_id))
        return records


class _Quiet:
    """How long nothing has come, in seconds."""

    def __init__(self, most: float | None) -> None:
        self._most = math.inf if most is None else most
        self.begins()

    def begins(self) -> None:
        self._since = monotonic()

    def left(self) -> float:
        return max(0.0, self._since + self._most - monotonic())

    def long_enough(self) -> bool:
        return self.left() == 0.0
