"""The record of every call the fake backend got."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.scripted_provider.ledger import PATIENCE_SECONDS, Changes


@dataclass(slots=True)
class Call:
    """One call. `seconds_left`: of its deadline, on arrival; None without one. `outcome`: answered, failed or
    cancelled, empty while it runs. `effect`: it did something that an earlier call had not done."""

    number: int
    method: str
    request: dict[str, Any]
    metadata: dict[str, str]
    seconds_left: float | None
    outcome: str = ""
    effect: bool = False
    released: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def report(self) -> dict[str, Any]:
        """What JSON can hold of it."""
        names = ("number", "method", "request", "metadata", "seconds_left", "outcome", "effect")
        return {name: getattr(self, name) for name in names}


class Ledger:
    """All calls in the order of their arrival, and the effects that were done, by tool_call_id."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.done: dict[str, bytes] = {}
        self.changes = Changes()
        self.in_flight = 0
        self.most_in_flight = 0

    def begin(
        self, method: str, request: dict[str, Any], metadata: dict[str, str], left: float | None
    ) -> Call:
        call = Call(len(self.calls) + 1, method, request, metadata, left)
        self.calls.append(call)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.changes.notify()
        return call

    def end(self, call: Call, outcome: str) -> None:
        call.outcome = outcome
        self.in_flight -= 1
        self.changes.notify()

    def of(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    async def arrived(self, count: int, *, within: float = PATIENCE_SECONDS) -> None:
        """Raises: TimeoutError: So many calls have not come."""
        await self.changes.until(lambda: len(self.calls) >= count, f"{count} calls", within)

    async def ended(self, number: int, *, within: float = PATIENCE_SECONDS) -> str:
        """How a call ended, once it has."""
        await self.changes.until(lambda: bool(self.calls[number - 1].outcome), f"end of {number}", within)
        return self.calls[number - 1].outcome
