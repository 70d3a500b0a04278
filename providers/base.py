"""What an agent needs from a language model."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Protocol

from state.models import FinishReason, Message


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call of a model. None leaves the choice to the provider.

    `deadline`, in the event loop's time: when whoever asked stops waiting.
    """

    messages: tuple[Message, ...]
    max_output_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of one call, as the provider reports them."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The next piece of the model's reasoning, not part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ModelFinished:
    """The last delta of every complete answer. `tokens` is None when the provider reported none."""

    finish_reason: FinishReason
    generation_id: str
    provider: str
    model: str
    tokens: TokenCount | None = None


Delta = TextDelta | ReasoningDelta | ModelFinished


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a caller must know of a model. `context_tokens` counts prompt and answer together."""

    provider: str
    model: str
    context_tokens: int
    max_output_tokens: int | None = field(default=None)


class ChatModel(Protocol):
    """A streaming chat model."""

    @property
    def info(self) -> ModelInfo: ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """Yield the answer as it is written, ending with `ModelFinished`. Always a new call of the provider.

        Iterate it under `aclosing`; no time-out of the caller's may span a `yield`. `generation_id` is empty
        when the provider sends none.

        Raises:
            ProviderError: One of its subclasses; see `state.errors`.
            DeadlineExceededError: The request's deadline has passed.
        """
        ...

    async def probe(self) -> None:
        """Return when the provider can be reached. Never asks for a completion.

        Raises:
            ProviderUnavailableError: It cannot be.
        """
        ...
