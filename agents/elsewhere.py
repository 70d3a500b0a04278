"""A run at another OrchestratorService, as the graph sees it: how it is begun, and what is heard of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agents.events import Channel, Citation, PlanChanged, ToolAnswered, ToolCalled
from state.errors import OrchestratorError
from state.models import FinishReason, Message
from state.usage import Usage


@dataclass(frozen=True, slots=True)
class Listen:
    """Which run there, and from where.

    Without `run_id` it is the one that the request begins, or has begun before: the `round`th of this run of
    ours, from 0. `history` is what was said here before; `base` the checkpoint there to go on from.
    """

    round: int
    run_id: str
    after: int
    history: Sequence[Message] = ()
    base: str = ""


@dataclass(slots=True)
class TextHeard:
    """More text. `message_index` is theirs."""

    sequence: int
    text: str
    channel: Channel
    message_index: int
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True, slots=True)
class EventHeard:
    """What is only shown on."""

    sequence: int
    event: ToolCalled | ToolAnswered | PlanChanged


@dataclass(frozen=True, slots=True)
class EditsHeard:
    """Operations on the open document."""

    sequence: int
    operations: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class AskedThere:
    """They stop for a person. `permission_id` and `digest` are theirs; `question` has the values of a
    `Question` but for its ids and its query."""

    sequence: int
    permission_id: str
    digest: str
    question: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SettledThere:
    """A question of theirs that nobody need answer any more."""

    sequence: int
    permission_id: str


@dataclass(frozen=True, slots=True)
class WaitsThere:
    """The run there goes on only when somebody decides."""

    sequence: int


@dataclass(frozen=True, slots=True)
class VoidedThere:
    """Text from `from_sequence` on, up to this record, does not count: their `attempt` writes it anew."""

    sequence: int
    from_sequence: int
    attempt: int


@dataclass(frozen=True, slots=True)
class LostThere:
    """Some of the log is gone: only the end has the whole text."""

    sequence: int


@dataclass(frozen=True, slots=True)
class UsedThere:
    """What the run there has used in all until now."""

    sequence: int
    usage: Usage


@dataclass(frozen=True, slots=True)
class EndedThere:
    """It has succeeded. `text`: all of it, where they say so."""

    sequence: int
    finish_reason: FinishReason
    text: str
    limit: str
    model: str
    checkpoint_id: str


@dataclass(frozen=True, slots=True)
class FailedThere:
    """It has ended otherwise; `error` in our terms."""

    sequence: int
    error: OrchestratorError


Heard = (
    TextHeard
    | EventHeard
    | EditsHeard
    | AskedThere
    | SettledThere
    | WaitsThere
    | VoidedThere
    | LostThere
    | UsedThere
    | EndedThere
    | FailedThere
)
"""`sequence` is that of the record there, 0 of what is in no log."""


class Elsewhere(Protocol):
    """The part of one attempt of a run that is done elsewhere."""

    failed: OrchestratorError | None
    """What the run there has ended with in this attempt."""

    @property
    def name(self) -> str:
        """What it is called where usage is counted."""
        ...

    @property
    def place(self) -> str:
        """Whose conversation there it is."""
        ...

    @property
    def run_id(self) -> str:
        """Theirs; empty until it is known."""
        ...

    @property
    def branched(self) -> bool:
        """Whether the turn goes on from another state of the conversation than the newest."""
        ...

    def listen(self, wanted: Listen) -> None:
        """What `next` gives from now on; goes on with what is heard already where that is the same."""
        ...

    async def next(self) -> Heard:
        """What comes next, waited for.

        Raises:
            ProviderError: The run there cannot be begun, or can be followed no more.
            DeadlineExceededError: The turn's deadline has passed.
        """
        ...

    def back(self, heard: Heard) -> None:
        """Let `next` give it once more."""
        ...

    async def decide(self, permission_id: str, digest: str, *, approved: bool, reason: str) -> None:
        """Pass a decision on; one that comes too late there changes nothing.

        Raises:
            ProviderError: They cannot be told.
        """
        ...

    async def cancel(self) -> None:
        """Let the run there end, as far as they can be told."""
        ...

    def used(self, usage: Usage) -> None:
        """All that this run of ours has used there."""
        ...
