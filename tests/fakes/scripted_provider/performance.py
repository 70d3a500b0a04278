"""Plays one script as an event stream."""

import time

from tests.fakes.scripted_provider.delivery import Delivery
from tests.fakes.scripted_provider.ledger import Call
from tests.fakes.scripted_provider.script import FaultKind, Script
from tests.fakes.scripted_provider.vendors.base import VendorAnswer

_GARBAGE = {
    FaultKind.GARBAGE_LINE: b"<html><body>upstream error</body></html>",
    FaultKind.INVALID_UTF8: b'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}',
    FaultKind.INVALID_JSON: b'data: {"choices":[{"index":0,"delta":{"content":"to',
}


class Performance:
    """One answer on its way out. `Call.progress.faulted` tells afterwards whether a fault was played."""

    def __init__(self, script: Script, answer: VendorAnswer, delivery: Delivery, call: Call) -> None:
        self._script = script
        self._answer = answer
        self._delivery = delivery
        self._progress = call.progress
        self._start = call.arrived_at + script.first_token_delay

    async def play(self) -> None:
        pieces = self._answer.pieces
        for event in self._answer.opening():
            await self._delivery.event(event)
        for index, piece in enumerate(pieces):
            if not await self._goes_on(index, len(pieces)):
                return
            await self._delivery.pace(self._start + index * self._script.token_interval)
            *before, last = self._answer.events_of(piece)
            for event in before:
                await self._delivery.event(event)
            await self._delivery.event(last, tokens=1)
        if await self._goes_on(len(pieces), len(pieces)):
            await self._finish()

    async def _goes_on(self, sent: int, total: int) -> bool:
        """Play what the script wants after `sent` tokens; whether the answer goes on then."""
        hold, fault = self._script.hold_after, self._script.fault
        if hold is not None and min(hold, total) == sent:
            await self._hold()
        if fault is None or min(fault.after, total) != sent:
            return True
        await self._delivery.flush()
        return await self._play_fault(fault.kind)

    async def _hold(self) -> None:
        await self._delivery.flush()
        began = time.monotonic()
        await self._delivery.wait(self._progress.released)
        # The schedule moves on by the time held: no burst of late tokens after the release.
        self._start += time.monotonic() - began

    async def _play_fault(self, kind: FaultKind) -> bool:
        if kind is FaultKind.HANG:
            await self._delivery.wait()
        self._progress.faulted = True
        if (line := _GARBAGE.get(kind)) is not None:
            await self._delivery.line(line)
            await self._delivery.line(b"")
            return True
        match kind:
            case FaultKind.CUT:
                self._delivery.cut()
            case FaultKind.RESET:
                self._delivery.reset()
            case FaultKind.ERROR_OBJECT | FaultKind.OVERLOADED_OBJECT:
                overloaded = kind is FaultKind.OVERLOADED_OBJECT
                for event in self._answer.failure(overloaded=overloaded):
                    await self._delivery.event(event)
                await self._delivery.flush()
        return kind is FaultKind.NO_DONE

    async def _finish(self) -> None:
        done = self._script.fault is None or self._script.fault.kind is not FaultKind.NO_DONE
        for event in self._answer.ending(done=done):
            await self._delivery.event(event)
        await self._delivery.flush()
        if self._script.end_delay:
            await self._delivery.pace(time.monotonic() + self._script.end_delay)
