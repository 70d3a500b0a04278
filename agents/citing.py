"""Numbers in brackets that cite sources, in a text on its way out: what cites nothing is left out."""

import re
from dataclasses import replace

from agents.events import AgentEvent, Channel, TextEmitted
from agents.turn import Emit

_MARK = re.compile(r" ?\[(\d{1,3}(?: ?[,;] ?\d{1,3})*)\]")
_UNFINISHED = re.compile(r"(?: | ?\[[\d,; ]{0,40})\Z")
_NUMBER = re.compile(r"\d+")


class CitedText:
    """An `Emit` that lets text through once it is known what its marks cite; `known` sources there are.

    `text` is what has gone out, `cited` the numbers in it, `dropped` how many numbers cited nothing.
    """

    def __init__(self, known: int, emit: Emit) -> None:
        self._known = known
        self._emit = emit
        self._held = ""
        self.text = ""
        self.cited: set[int] = set()
        self.dropped = 0

    def __call__(self, event: AgentEvent) -> None:
        if not isinstance(event, TextEmitted) or event.channel is not Channel.ANSWER:
            self._emit(event)
            return
        waiting = self._held + event.text
        unfinished = _UNFINISHED.search(waiting)
        at = unfinished.start() if unfinished else len(waiting)
        self._held = waiting[at:]
        self._out(waiting[:at], event)

    def finish(self) -> None:
        """Let out what still waits."""
        held, self._held = self._held, ""
        self._out(held, TextEmitted(""))

    def _out(self, text: str, event: TextEmitted) -> None:
        if text := _MARK.sub(self._checked, text):
            self.text += text
            self._emit(replace(event, text=text))

    def _checked(self, mark: re.Match[str]) -> str:
        numbers = [int(number) for number in _NUMBER.findall(mark[1])]
        good = [number for number in numbers if 1 <= number <= self._known]
        self.cited.update(good)
        self.dropped += len(numbers) - len(good)
        opening = " " if mark[0].startswith(" ") else ""
        return f"{opening}[{', '.join(map(str, good))}]" if good else ""
