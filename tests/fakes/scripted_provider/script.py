"""What the scripted provider answers to one call."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter

_STRICT = ConfigDict(extra="forbid")


class FaultKind(StrEnum):
    """How an answer goes wrong: the first four instead of it, the others after `Fault.after` tokens."""

    HANG_BEFORE_HEADERS = "hang_before_headers"
    CUT_BEFORE_HEADERS = "cut_before_headers"
    HTML = "html"
    EMPTY_BODY = "empty_body"
    HANG = "hang"
    CUT = "cut"
    RESET = "reset"
    SILENT_END = "silent_end"
    GARBAGE_LINE = "garbage_line"
    INVALID_UTF8 = "invalid_utf8"
    INVALID_JSON = "invalid_json"
    ERROR_OBJECT = "error_object"
    OVERLOADED_OBJECT = "overloaded_object"
    NO_DONE = "no_done"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    CUT closes the TCP connection and RESET resets it, both inside the HTTP message. SILENT_END ends the
    message well, but without a finish reason and [DONE]; NO_DONE only leaves out [DONE], or what a vendor has
    for it. ERROR_OBJECT and OVERLOADED_OBJECT report an error inside the stream. After a garbage line,
    invalid UTF-8 or JSON the answer goes on as if nothing had happened, so that a lax reader is found out.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    kind: FaultKind
    after: int = 0


@dataclass(frozen=True, slots=True)
class ScriptedUsage:
    """What the usage chunk reports."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ScriptedToolCall:
    """A tool call. `arguments` need not be JSON; Gemini then gives up, as the real one does."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    arguments: str = "{}"
    call_id: str | None = None
    """None: a new unique id per call, or none at all where the vendor gives none."""


@dataclass(frozen=True, slots=True)
class Script:
    """One answer. Delays are in seconds; "tokens" counts reasoning tokens too, which come first.

    Tokens follow an absolute schedule from the call's arrival, so their pace does not drift. A `status` other
    than 200 is answered at once with `headers`, `retry_after` and `body`, the vendor's own if that is None.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    tokens: tuple[str, ...] | None = None
    """None: a deterministic echo of the last user message, or no text before tool calls."""
    reasoning: tuple[str, ...] = ()
    tool_calls: tuple[ScriptedToolCall, ...] = ()
    """Come after the text; every fragment counts as a token."""
    fragment_characters: int = 5
    """Of the arguments of a call, where the vendor sends them in fragments."""
    reasoning_field: Literal["reasoning_content", "reasoning"] = "reasoning_content"
    finish_reason: str | None = None
    """In OpenAI's terms, what a vendor has none for as it is; None: what fits the answer."""
    usage: ScriptedUsage | Literal["counted"] | None = "counted"
    """None: no usage chunk even when asked."""
    generation_id: str | None = None
    """None: a new unique id per call."""
    model: str | None = None
    """None: the requested one."""

    status: int = 200
    retry_after: int | str | None = None
    """Seconds, or a string sent as it is, as an HTTP date."""
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = None

    first_token_delay: float = 0.0
    token_interval: float = 0.0
    end_delay: float = 0.0
    """Between the last event and the end of the HTTP message."""
    hold_after: int | None = None
    """After so many tokens the stream waits until it is released."""
    fault: Fault | None = None

    crlf: bool = False
    comments: bool = False
    """A comment line before every event."""
    keep_alive: float | None = None
    """A comment line whenever the stream has waited so many seconds."""
    events_per_write: int = 1
    split_bytes: int | None = None
    """Every so many bytes are a TCP write of their own."""


SCRIPT_JSON: TypeAdapter[Script] = TypeAdapter(Script)
SCRIPTS_JSON: TypeAdapter[tuple[Script, ...]] = TypeAdapter(tuple[Script, ...])
