"""One turn: what the user asked, and what came of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agents.document import OpenDocument
from agents.events import AgentEvent
from state.models import FinishReason, Image, Message
from state.permissions import Question
from state.usage import Usage

Emit = Callable[[AgentEvent], None]
"""Takes what an agent emits. Never blocks, never fails."""


@dataclass(frozen=True, slots=True)
class Persona:
    """How the user wants to be answered. Empty fields say nothing."""

    ai_name: str = ""
    style: str = ""
    political_bias: str = ""
    timezone: str = ""
    preferences: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class AttachedImage:
    """An image beside the question. `name` may be empty."""

    name: str
    image: Image


@dataclass(frozen=True, slots=True)
class AttachedText:
    """A text beside the question, of a MIME type. `name` may be empty."""

    name: str
    mime_type: str
    text: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What the user asked.

    `history` seeds a conversation that has no turn yet; after that the checkpoint remembers. `hints` are what
    the caller brings along by key, unchecked but for their size.
    `deadline`, in the event loop's time: when the user stops waiting; passed on to whatever is called.
    `editor` is of this turn alone: the conversation never keeps it.
    """

    question: str
    history: tuple[Message, ...] = ()
    persona: Persona = field(default_factory=Persona)
    images: tuple[AttachedImage, ...] = ()
    texts: tuple[AttachedText, ...] = ()
    temperature: float | None = None
    seed: int | None = None
    deadline: float | None = None
    hints: Mapping[str, str] = field(default_factory=dict)
    editor: OpenDocument | None = None

    @property
    def attaches(self) -> bool:
        """Whether the question brings something that the conversation keeps beside it."""
        return bool(self.images or self.texts)


@dataclass(frozen=True, slots=True)
class TurnResult:
    """A complete answer, already part of the conversation.

    `usage` is what the run had used when it became that. `limit`: which limit of the run cut it short, if
    one did. `tools_used`: by name, each once, in the order of their first use. `closing` is emitted together
    with the end of the run, once whatever dies; `metadata` goes out with the end itself.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    provider: str
    model: str
    generation_id: str
    checkpoint_id: str
    limit: str = ""
    tools_used: tuple[str, ...] = ()
    closing: tuple[AgentEvent, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TurnSuspended:
    """A turn that goes on when people have decided. `usage` is what the run has used until then."""

    questions: tuple[Question, ...]
    usage: Usage
