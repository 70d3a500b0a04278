"""What an agent needs from a language model."""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from state.models import FinishReason, Message, ToolCall


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that a model may ask for; `parameters` is a JSON schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """The form of an answer that has to be JSON."""

    name: str
    schema: Mapping[str, object]


ToolChoice = Literal["auto", "none", "required"]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call of a model. None leaves the choice to the provider.

    `deadline`, in the event loop's time: when whoever asked stops waiting. `routing`: it chooses an agent,
    for which not every model will do. `pace` says, whenever text has been taken, until when on the monotonic
    clock no more of it is looked at: what comes meanwhile need not be read sooner, nor piece by piece.
    """

    messages: tuple[Message, ...]
    max_output_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    deadline: float | None = None
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = "auto"
    json_schema: JsonSchema | None = None
    routing: bool = False
    pace: Callable[[], float] | None = None


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of one call, as the provider reports them."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class RateRemaining:
    """What a provider says is left of its limits, and in how many seconds they are full. None: unsaid."""

    requests: int | None = None
    requests_reset_seconds: float | None = None
    tokens: int | None = None
    tokens_reset_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class CallAccepted:
    """The provider has taken the call: the first delta. `request_id` is the vendor's, if it has one."""

    request_id: str = ""
    remaining: RateRemaining | None = None


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A whole wish to use a tool, once it is complete. Its arguments are not checked here."""

    call: ToolCall


@dataclass(slots=True)  # made for every token: a frozen one takes five times as long to make
class TextDelta:
    """The next piece of the answer."""

    text: str


@dataclass(slots=True)
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


Delta = CallAccepted | TextDelta | ReasoningDelta | ToolCallDelta | ModelFinished


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a caller must know of a model. `context_tokens` counts prompt and answer together.

    A request may use tools, images and a JSON schema only where the model has them, and choose an agent only
    where it is marked for `routing`.
    """

    provider: str
    model: str
    context_tokens: int
    max_output_tokens: int | None = None
    tools: bool = True
    images: bool = False
    json_schema: bool = True
    routing: bool = True


class ChatModel(Protocol):
    """A streaming chat model."""

    @property
    def info(self) -> ModelInfo: ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """Yield the answer as it is written, from `CallAccepted` to `ModelFinished`. Always a new call.

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
