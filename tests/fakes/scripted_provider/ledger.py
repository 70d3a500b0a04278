"""The record of every call the scripted provider got."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

PATIENCE_SECONDS = 5.0


class Outcome(StrEnum):
    """How a call ended. REFUSED: with an error status, scripted or because the request is wrong."""

    COMPLETED = "completed"
    CLIENT_GONE = "client_gone"
    FAULT = "fault"
    REFUSED = "refused"


class Changes:
    """Wakes who waits for a condition; costs next to nothing while nobody does."""

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    def notify(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, condition: Callable[[], bool], what: str, within: float) -> None:
        """Raises: TimeoutError: `condition` stayed false for `within` seconds."""
        try:
            async with asyncio.timeout(within):
                while not condition():
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.append(waiter)
                    await waiter
        except TimeoutError as error:
            raise TimeoutError(f"{what}: not within {within} s") from error


@dataclass(slots=True)
class Progress:
    """The changing half of a call; only the provider writes it."""

    changes: Changes
    abort: Callable[[], None]
    tokens_sent: int = 0
    outcome: Outcome | None = None
    faulted: bool = False
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def add_tokens(self, count: int) -> None:
        self.tokens_sent += count
        self.changes.notify()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReport:
    """A call as it stood at one moment."""

    number: int
    arrived_at: float
    path: str
    body: Any
    authorized: bool
    header_names: tuple[str, ...]
    traceparent: str
    peer_port: int
    generation_id: str
    tokens_sent: int
    outcome: Outcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call. `body` is the parsed request, None when it was not JSON; `authorized`: a key was sent."""

    number: int
    arrived_at: float
    path: str
    body: Any
    authorized: bool
    header_names: tuple[str, ...]
    traceparent: str
    peer_port: int
    generation_id: str
    progress: Progress = field(repr=False, compare=False)

    @property
    def tokens_sent(self) -> int:
        return self.progress.tokens_sent

    @property
    def outcome(self) -> Outcome | None:
        """None while the call is in flight."""
        return self.progress.outcome

    async def ended(self, *, within: float = PATIENCE_SECONDS) -> Outcome:
        """Wait until the call has ended."""
        progress = self.progress
        await progress.changes.until(
            lambda: progress.outcome is not None, f"call {self.number} has ended", within
        )
        assert progress.outcome is not None
        return progress.outcome

    async def sent(self, tokens: int, *, within: float = PATIENCE_SECONDS) -> None:
        """Wait until so many tokens were sent."""
        progress = self.progress
        what = f"call {self.number} has sent {tokens} tokens"
        await progress.changes.until(lambda: progress.tokens_sent >= tokens, what, within)

    def release(self) -> None:
        """Let a stream that `Script.hold_after` holds, or will hold, go on."""
        self.progress.released.set()

    def report(self) -> CallReport:
        return CallReport(
            number=self.number,
            arrived_at=self.arrived_at,
            path=self.path,
            body=self.body,
            authorized=self.authorized,
            header_names=self.header_names,
            traceparent=self.traceparent,
            peer_port=self.peer_port,
            generation_id=self.generation_id,
            tokens_sent=self.tokens_sent,
            outcome=self.outcome,
        )


class Ledger:
    """All calls in the order of their arrival, numbered from 1."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.changes = Changes()
        self.in_flight = 0
        self.most_in_flight = 0

    def begin(self, *, abort: Callable[[], None], **arrival: Any) -> Call:
        call = Call(
            number=len(self.calls) + 1,
            arrived_at=time.monotonic(),
            progress=Progress(self.changes, abort),
            **arrival,
        )
        self.calls.append(call)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.changes.notify()
        return call

    def end(self, call: Call, outcome: Outcome) -> None:
        """The first outcome stays."""
        if call.progress.outcome is None:
            call.progress.outcome = Outcome.FAULT if call.progress.faulted else outcome
            self.in_flight -= 1
            self.changes.notify()

    def abort_open_calls(self) -> None:
        for call in self.calls:
            if call.outcome is None:
                call.progress.faulted = True
                call.progress.abort()
