"""What is heard of a run elsewhere, as far as one step of ours takes it.

Text up to a sign that its message is whole is one step and one message of ours, and so is what is shown up
to the next text. So what readers saw and what
a checkpoint holds agree after a death here, and what a remote takes back is taken back from our readers.
"""

from collections.abc import Mapping
from dataclasses import asdict
from enum import Enum, auto
from typing import Any, NotRequired, TypedDict, assert_never

from agents.elsewhere import (
    AskedThere,
    EditsHeard,
    Elsewhere,
    EndedThere,
    EventHeard,
    FailedThere,
    Heard,
    LostThere,
    SettledThere,
    TextHeard,
    UsedThere,
    VoidedThere,
    WaitsThere,
)
from agents.events import Channel, PlanChanged, TextEmitted, TextVoided, ToolCalled
from agents.turn import Emit
from state.errors import ProviderBrokenError
from state.usage import NOTHING_USED, Usage

_MOST_CHARACTERS = 4 << 20
_MOST_CITATIONS = 200
_MOST_OPERATIONS = 1000


class Waiting(TypedDict):
    """A question of theirs. `id` and `digest` are theirs, `permission_id` ours; `question` its values."""

    id: str
    digest: str
    permission_id: str
    question: Mapping[str, Any]


class Decided(TypedDict):
    """What is to be told there of a question of theirs."""

    id: str
    digest: str
    approved: bool
    reason: str


class There(TypedDict):
    """Where a turn stands elsewhere, as a checkpoint keeps it.

    The `round`th run there, up to its record `after`; records up to `shown` were shown on already, but for
    text. Text between the records of a pair in `voids` does not count. `spent`: what the runs before used;
    `failed`: this one has ended, and not well. `lost`: a part of its text never came.
    """

    round: int
    run_id: str
    after: int
    shown: int
    voids: list[list[int]]
    citations: list[dict[str, str]]
    edits: list[dict[str, Any]]
    asked: list[Waiting]
    decided: list[Decided]
    spent: NotRequired[dict[str, Any]]
    failed: NotRequired[bool]
    lost: NotRequired[bool]


def nowhere(number: int = 0) -> There:
    """Before the run of this number there has begun."""
    return There(
        round=number, run_id="", after=0, shown=0, voids=[], citations=[], edits=[], asked=[], decided=[]
    )


class Stop(Enum):
    """Why a step of ours is over."""

    WHOLE = auto()
    ASKED = auto()
    ANEW = auto()


class Hearing:
    """One step. `index`: the message of ours that its text is; `there` and `tools` change as it hears."""

    def __init__(self, emit: Emit, run: Elsewhere, there: There, texts: list[str], tools: list[str]) -> None:
        self._emit = emit
        self._run = run
        self._index = len(texts)
        self._begins_after = there["after"]
        self._spent = Usage.parsed(there.get("spent"))
        self._pieces: list[TextHeard] = []
        self._has_shown = False
        self._characters = sum(map(len, texts))
        self._pending: dict[str, AskedThere] = {}
        self.there = there
        self.texts = texts
        self.tools = tools
        self.used = NOTHING_USED

    @property
    def all_texts(self) -> list[str]:
        """Those before this step, and its own if it has one."""
        text = "".join(one.text for one in self._pieces if one.channel is Channel.ANSWER)
        return [*self.texts, text] if self._pieces else self.texts

    @property
    def asked(self) -> list[AskedThere]:
        """What they want to be allowed."""
        return list(self._pending.values())

    def take(self, heard: Heard) -> Stop | EndedThere | FailedThere | None:
        """Take what is heard; not None when the step is over.

        With `WHOLE` it is not taken: it belongs to the next step.

        Raises:
            ProviderBrokenError: It is more than any answer.
        """
        stop = self._taken(heard)
        if stop is not Stop.WHOLE and stop is not Stop.ANEW and heard.sequence:
            self.there["after"] = heard.sequence
        return stop

    def _taken(self, heard: Heard) -> Stop | EndedThere | FailedThere | None:
        match heard:
            case TextHeard():
                return self._heard_text(heard)
            case EventHeard():
                return self._shown(heard)
            case AskedThere() | SettledThere() | WaitsThere():
                return self._consent(heard)
            case VoidedThere():
                return self._voided(heard)
            case EndedThere() | FailedThere():
                return heard
            case EditsHeard() | LostThere() | UsedThere():
                self._note(heard)
                return None
            case _:
                assert_never(heard)

    def _note(self, heard: EditsHeard | LostThere | UsedThere) -> None:
        match heard:
            case EditsHeard():
                self.there["edits"] = [*self.there["edits"], *map(dict, heard.operations)][:_MOST_OPERATIONS]
            case LostThere():
                self.there["lost"] = True
            case UsedThere():
                self._count(heard.usage)

    def _heard_text(self, heard: TextHeard) -> Stop | None:
        if any(begin <= heard.sequence < end for begin, end in self.there["voids"]):
            return None
        if self._has_shown or (self._pieces and heard.message_index != self._pieces[-1].message_index):
            return Stop.WHOLE
        self._characters += len(heard.text)
        if self._characters > _MOST_CHARACTERS:
            raise ProviderBrokenError("the remote agent's answer is too long")
        if heard.text:
            self._pieces.append(heard)
            self._say(heard)
        known = {one["id"] for one in self.there["citations"]}
        new = [
            {name: text for name, text in asdict(one).items() if text}
            for one in heard.citations
            if one.id not in known
        ]
        self.there["citations"] = [*self.there["citations"], *new][:_MOST_CITATIONS]
        return None

    def _say(self, heard: TextHeard) -> None:
        self._emit(TextEmitted(heard.text, heard.channel, self._index))

    def _shown(self, heard: EventHeard) -> Stop | None:
        if heard.sequence <= self.there["shown"]:
            return None
        if self._pieces:
            return Stop.WHOLE
        self._emit(heard.event)
        self._has_shown = not isinstance(heard.event, PlanChanged)
        if isinstance(heard.event, ToolCalled) and heard.event.tool_name not in self.tools:
            self.tools.append(heard.event.tool_name)
        return None

    def _consent(self, heard: AskedThere | SettledThere | WaitsThere) -> Stop | None:
        match heard:
            case AskedThere() if heard.sequence > self.there["shown"]:
                self._pending[heard.permission_id] = heard
            case SettledThere():
                self._pending.pop(heard.permission_id, None)
            case WaitsThere() if self._pending:
                return Stop.ASKED
        return None

    def _voided(self, heard: VoidedThere) -> Stop | None:
        if heard.sequence <= self.there["shown"]:
            return None
        there = self.there
        there["voids"] = [*there["voids"], [heard.from_sequence, heard.sequence]]
        if heard.from_sequence > self._begins_after or not self.texts:
            kept = [one for one in self._pieces if one.sequence < heard.from_sequence]
            if len(kept) < len(self._pieces):
                self._emit(TextVoided(self._index, heard.attempt))
                self._pieces = kept
                for one in kept:
                    self._say(one)
            return None
        self._emit(TextVoided(0, heard.attempt))
        # Read from the start, and only what still counts; what else was shown is not shown again.
        there.update({"after": 0, "shown": heard.sequence, "citations": [], "edits": []})
        return Stop.ANEW

    def _count(self, usage: Usage) -> None:
        self.used = usage
        before = self._spent
        parts = [*before.by_model, *usage.by_model]
        calls = before.tool_calls + usage.tool_calls
        self._run.used(Usage.of(parts, tool_calls=calls, currency=usage.currency or before.currency))

    def all_spent(self) -> Usage:
        """What this run there and those before it used."""
        before, now = self._spent, self.used
        parts = [*before.by_model, *now.by_model]
        return Usage.of(parts, tool_calls=before.tool_calls + now.tool_calls, currency=now.currency)
