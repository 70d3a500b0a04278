"""What an agent emits while it works."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Channel(StrEnum):
    """Which stream of text a delta belongs to."""

    ANSWER = "answer"
    REASONING = "reasoning"


@dataclass(slots=True)  # made for every token: a frozen one takes five times as long to make
class TextEmitted:
    """The next piece of a message.

    `message_index` counts the messages of the run from 0; `offset` is where the text stands in its message,
    in bytes of UTF-8, and is filled in when the text is written to the log.
    """

    text: str
    channel: Channel = Channel.ANSWER
    message_index: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """A tool is about to be called. `arguments` is JSON, without what is not to be shown."""

    tool_call_id: str
    tool_name: str
    arguments: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class ToolProgressed:
    """How far a tool is, as it says: 0..1, None where it does not know."""

    tool_name: str
    text: str
    progress: float | None


@dataclass(frozen=True, slots=True)
class ToolAnswered:
    """A tool has answered, or was not called. `reason` is empty when `ok`, else upper snake case."""

    tool_call_id: str
    tool_name: str
    ok: bool
    summary: str
    elapsed_seconds: float = 0.0
    reason: str = ""
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class EditsProposed:
    """Edits of the open document, for the caller to apply: JSON objects, as the contract has them."""

    document_id: str
    filename: str
    operations: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class PlanChanged:
    """What the agent means to do, as JSON; each takes the place of the one before."""

    plan: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Citation:
    """A source. Either `uri` or `document_id` is set; `id` is as the text refers to it."""

    id: str
    uri: str = ""
    title: str = ""
    document_id: str = ""


@dataclass(frozen=True, slots=True)
class SourcesCited:
    """The sources of the first message, which is so many bytes of UTF-8 long."""

    citations: Sequence[Citation]
    offset: int


@dataclass(frozen=True, slots=True)
class TextVoided:
    """The text of message `message_index`, and of all later ones, does not count: it is written anew.

    `from_sequence`: where that begins in the log; filled in when this is written there. 1 is always right
    for message 0.
    """

    message_index: int
    attempt: int = 1
    from_sequence: int = 1


@dataclass(frozen=True, slots=True)
class TitleGiven:
    """A title for the conversation, which had none."""

    title: str


AgentEvent = (
    TextEmitted
    | TextVoided
    | ToolCalled
    | ToolProgressed
    | ToolAnswered
    | EditsProposed
    | PlanChanged
    | SourcesCited
    | TitleGiven
)
