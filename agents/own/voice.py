"""What a caller's own graph says, as one text: who speaks first is heard first, then the others."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agents.events import Channel, TextEmitted
from agents.graphs.turns import BETWEEN
from agents.turn import Emit

_TASK_ID_AFTER = ":"
_LEVELS = "|"


@dataclass(slots=True)
class _Message:
    """`place` is the namespace of the step that says it; `kept`: that step is over, and is not done again."""

    place: str
    pieces: list[str] = field(default_factory=list)
    kept: bool = False


@dataclass(slots=True)
class _Waiting:
    place: str
    pieces: list[str]
    over: bool = False


class Voice:
    """The messages of one run. `said`: those that are kept already; `shown`: so many stand in the log."""

    def __init__(self, emit: Emit, said: Sequence[str], shown: int) -> None:
        self._emit = emit
        self._messages = [_Message("", [text], kept=True) for text in said]
        self._index = max(len(said), shown) - 1
        self._speaker = ""
        self._holds = False
        self._waiting: dict[str, _Waiting] = {}

    @property
    def texts(self) -> list[str]:
        """All that was said, a message each."""
        return ["".join(message.pieces) for message in self._messages]

    @property
    def kept(self) -> list[str]:
        """What will not be said again, should this process die now."""
        return ["".join(message.pieces) for message in self._messages if message.kept]

    def keep(self, task_id: str) -> None:
        """The step of this id is over."""
        for message in self._messages:
            steps = message.place.split(_LEVELS)
            message.kept = message.kept or any(s.endswith(_TASK_ID_AFTER + task_id) for s in steps)

    def keep_all(self) -> None:
        """Every step until now is over."""
        for message in self._messages:
            message.kept = True

    def call(self, speaker: str, place: str, text: str, channel: Channel = Channel.ANSWER) -> None:
        """A piece of a model's answer: nobody is heard in between until it is `over`."""
        if not self._holds or self._speaker == speaker:
            self._say(speaker, place, text, channel)
            self._holds = True
        elif channel is Channel.ANSWER:
            self._wait(speaker, place, text)

    def write(self, place: str, text: str) -> None:
        """A piece that a step writes by itself."""
        speaker = f"step {place}"
        if self._holds:
            self._wait(speaker, place, text)
            self._waiting[speaker].over = True
        else:
            self._say(speaker, place, text, Channel.ANSWER)

    def over(self, speaker: str) -> None:
        """A model's answer has ended, well or not."""
        if waiting := self._waiting.get(speaker):
            waiting.over = True
        if self._speaker != speaker:
            return
        self._speaker, self._holds = "", False
        while self._waiting and not self._holds:
            name = next(iter(self._waiting))
            next_one = self._waiting.pop(name)
            self._say(name, next_one.place, "".join(next_one.pieces), Channel.ANSWER)
            self._holds = not next_one.over

    def _wait(self, speaker: str, place: str, text: str) -> None:
        self._waiting.setdefault(speaker, _Waiting(place, [])).pieces.append(text)

    def _say(self, speaker: str, place: str, text: str, channel: Channel) -> None:
        if channel is Channel.REASONING:
            new = speaker != self._speaker
            self._emit(TextEmitted(text, channel, self._index + new))
            return
        opening = ""
        if speaker != self._speaker:
            opening = BETWEEN if any(map(any, (message.pieces for message in self._messages))) else ""
            self._messages.append(_Message(place))
            self._index += 1
            self._speaker = speaker
        self._messages[-1].pieces.append(text)
        self._emit(TextEmitted(opening + text, channel, self._index))
