"""One run's writing: what its agent emits becomes records of its log.

`emit` is called by the agent and never waits. `write` runs beside it: the first text leaves at once, what
comes while a window is open leaves as one chunk, and whatever is not text leaves at once with what waited.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import Protocol, TypeGuard

from agents.events import Channel, TextEmitted, TextVoided
from orchestrator.events import AgentChosen, ChunkEncoder, ChunkHeader, RunEvent
from orchestrator.windows import WIDEST_SECONDS, Window, next_flush
from state.models import Attempt, Record, RunId
from state.signal import Signal


class LogWriter(Protocol):
    """Where records are committed."""

    async def append(self, attempt: Attempt, records: Sequence[Record], *, urgent: bool) -> None: ...


class RunJournal:
    """Gathers one run's events and commits them in order.

    `window` says for how long text is gathered at present; `after` is the sequence that the log has
    reached; `is_full` says that more than `buffer_characters` wait to be written.
    """

    def __init__(
        self,
        run_id: RunId,
        agent_name: str,
        encode: ChunkEncoder,
        *,
        window: Callable[[], Window],
        after: int = 0,
        buffer_characters: int = 1 << 20,
    ) -> None:
        self._run_id = run_id
        self._agent_name = agent_name
        self._encode = encode
        self._window = window
        self._sequence = after
        self._offsets: defaultdict[tuple[int, Channel], int] = defaultdict(int)
        self._begins: dict[int, int] = {}
        self._waiting: list[RunEvent] = []
        self._waiting_characters = 0
        self._buffer_characters = buffer_characters
        self._unwritten: list[Record] = []
        self._answer: list[tuple[int, str]] = []
        self._arrived = Signal()
        self._urgent = Signal()
        self._closed = False
        self._opens_at = 0.0

    def emit(self, event: RunEvent) -> None:
        """Take an event. Text joins text of the same message that still waits."""
        waiting = self._waiting
        if not isinstance(event, TextEmitted):
            waiting.append(event)
            self._urgent.set()
        else:
            self._waiting_characters += len(event.text)
            last = waiting[-1] if waiting else None
            if isinstance(last, TextEmitted) and _joins(event, last):
                waiting[-1] = TextEmitted(last.text + event.text, last.channel, last.message_index)
            else:
                waiting.append(event)
        if not self._arrived.is_set():
            self._arrived.set()

    @property
    def agent_name(self) -> str:
        """Who answers, as far as that is written."""
        return self._agent_name

    @property
    def is_full(self) -> bool:
        """Whether more waits than should be kept in memory: the store is away, or far too slow."""
        return self._waiting_characters > self._buffer_characters

    def opens_at(self) -> float:
        """When text is written that is emitted from now on, on the monotonic clock; in the past: at once.

        A caller may want wider windows than ours; told is no later moment than the end of our widest: that an
        answer has come to its end is seen only by who reads on.
        """
        now, opens_at = monotonic(), self._opens_at
        if self._waiting and opens_at <= now:
            opens_at = next_flush(now, 0.0, self._window())  # what waits is about to leave, without that text
        return min(opens_at, now + WIDEST_SECONDS)

    @property
    def answer(self) -> str:
        """The answer's text so far."""
        answer = list(self._answer)
        for event in self._waiting:
            if isinstance(event, TextVoided):
                answer = [(index, text) for index, text in answer if index < event.message_index]
            elif _is_answer(event):
                answer.append((event.message_index, event.text))
        return "".join(text for _, text in answer)

    def close(self) -> None:
        """Nothing more will be emitted: let `write` return when it has written what waits."""
        self._closed = True
        self._arrived.set()
        self._urgent.set()

    def take(self, *events: RunEvent, terminal: bool = False) -> list[Record]:
        """Number and encode what waits, then `events`; the last record is terminal when asked.

        First come records again of which nobody knows whether they were committed: writing them once more
        changes nothing if they were, and leaves no gap if they were not.
        """
        taken = [*self._waiting, *events]
        self._waiting.clear()
        self._waiting_characters = 0
        self._arrived.clear()
        self._urgent.clear()
        now = datetime.now(UTC)
        new = [self._record(event, now, terminal and event is taken[-1]) for event in taken]
        return [*self._unwritten, *new]

    def take_steps(self) -> list[Record]:
        """As `take`, but for text at the end: it is of a message that is not whole, and will come again."""
        while self._waiting and isinstance(self._waiting[-1], TextEmitted):
            self._waiting.pop()
        return self.take()

    def instead_of_last(self, event: RunEvent) -> Record:
        """Another terminal record in the place of the one that was taken last."""
        self._sequence -= 1
        return self._record(event, datetime.now(UTC), terminal=True)

    def _record(self, event: RunEvent, now: datetime, terminal: bool) -> Record:
        self._sequence += 1
        if isinstance(event, AgentChosen):
            self._agent_name = event.agent_name  # who answers may turn out only in the run
        if isinstance(event, TextEmitted):
            message = (event.message_index, event.channel)
            event = TextEmitted(event.text, event.channel, event.message_index, self._offsets[message])
            self._offsets[message] += len(event.text.encode())
            self._begins.setdefault(event.message_index, self._sequence)
            if _is_answer(event):
                self._answer.append((event.message_index, event.text))
        elif isinstance(event, TextVoided):
            event = self._voided(event)
        header = ChunkHeader(self._run_id, self._agent_name, self._sequence, now)
        return Record(self._sequence, self._encode(event, header), terminal)

    def _voided(self, event: TextVoided) -> TextVoided:
        """Forget what does not count any more; the event, with the place where that begins."""
        first = event.message_index
        begins = [at for index, at in self._begins.items() if index >= first]
        self._answer = [(index, text) for index, text in self._answer if index < first]
        for void in [index for index in self._begins if index >= first]:
            del self._begins[void]
        for message in [message for message in self._offsets if message[0] >= first]:
            del self._offsets[message]
        return replace(event, from_sequence=min(begins, default=1) if first else 1)

    async def write(self, attempt: Attempt, log: LogWriter) -> None:
        """Commit events as they come; return after `close`, leaving what is emitted after it to `take`.

        Raises:
            LostAttemptError, DatabaseUnavailableError: As the log does; nothing is written from then on.
        """
        urgent = True
        while True:
            await self._arrived.wait()
            await self._urgent.wait(self._opens_at - monotonic())
            if self._closed:
                return
            began = monotonic()
            self._unwritten = self.take()
            self._opens_at = next_flush(began, 0.0, self._window())
            await log.append(attempt, self._unwritten, urgent=urgent)
            self._unwritten, urgent = [], False
            self._opens_at = next_flush(began, monotonic() - began, self._window())


def _is_answer(event: RunEvent) -> TypeGuard[TextEmitted]:
    return isinstance(event, TextEmitted) and event.channel is Channel.ANSWER


def _joins(event: TextEmitted, last: TextEmitted) -> bool:
    return event.channel is last.channel and event.message_index == last.message_index
