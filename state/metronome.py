"""One timer for all who wait for the same moment."""

import asyncio
from time import monotonic

from state.signal import Signal

_TICKS_A_SECOND = 1000
_LATE_SECONDS = 0.001
"""A timer may fire a moment early, and who looks at the clock then would have to wait again."""


class Metronome:
    """Moments are those of the monotonic clock, told apart by the thousandth of a second."""

    def __init__(self) -> None:
        self._moments: dict[int, Signal] = {}

    async def until(self, moment: float) -> None:
        """Return once it has come. All who wait for one are woken together, in the order of their coming."""
        left = moment - monotonic()
        if left <= 0:
            return
        tick = round(moment * _TICKS_A_SECOND)
        if (signal := self._moments.get(tick)) is None:
            signal = self._moments[tick] = Signal()
            asyncio.get_running_loop().call_later(left + _LATE_SECONDS, self._strike, tick)
        await signal.wait()

    def _strike(self, tick: int) -> None:
        self._moments.pop(tick).set()
