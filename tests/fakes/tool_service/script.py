"""What the fake backend does with one call."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter


@dataclass(frozen=True, slots=True)
class Script:
    """One answer; delays in seconds. What goes wrong does so in the order of the fields from `status` on."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    answer: dict[str, Any] = field(default_factory=dict)
    """Fields of the response, over `success`, which is true where there is one."""
    events: tuple[dict[str, Any], ...] = ()
    """The responses of InvokeTool, instead of `answer`."""
    delay: float = 0.0
    hold: bool = False
    """Wait until the call is released."""
    status: str = ""
    """A gRPC code, as "UNAVAILABLE": refused before anything is done."""
    details: str = "scripted"
    lost: bool = False
    """The effect is done, then the call ends UNAVAILABLE without an answer."""
    garbage: bool = False
    """Bytes that are no message."""
    padding: int = 0
    """So many more bytes in the answer's `content` or first text."""


SCRIPT_JSON: TypeAdapter[Script] = TypeAdapter(Script)
