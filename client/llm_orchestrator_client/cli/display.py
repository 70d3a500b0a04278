"""A run on the screen: live and coloured on a terminal, the plain answer on a pipe, or JSON lines."""

import json
import sys
from typing import Any, Protocol, TextIO

from google.protobuf.json_format import MessageToDict

from llm_orchestrator_client.events import (
    AgentUpdate,
    ContentDelta,
    Event,
    Notification,
    PermissionRequested,
    StatusUpdate,
    StreamReset,
    ToolCall,
    ToolResult,
)
from llm_orchestrator_client.transcript import Transcript
from llm_orchestrator_client.values import Channel


class Display(Protocol):
    """What shows a run."""

    def show(self, event: Event, transcript: Transcript) -> None:
        """An event, and the text after it."""
        ...

    def end(self, transcript: Transcript) -> None:
        """No more events come."""
        ...


class Plain:
    """The answer, whole, once it is there: a reset cannot be taken back on a pipe."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, event: Event, transcript: Transcript) -> None:
        """Nothing before the end."""

    def end(self, transcript: Transcript) -> None:
        text = transcript.text if transcript.final_text is None else transcript.final_text
        if text:
            self._out.write(text + "\n")
            self._out.flush()


class JSONLines:
    """Every event as it comes, one JSON object per line: the chunk in protobuf's JSON form."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, event: Event, transcript: Transcript) -> None:
        del transcript
        if event.chunk is not None:
            chunk: dict[str, Any] = MessageToDict(event.chunk, preserving_proto_field_name=True)
            self._out.write(json.dumps({"kind": event.KIND, **chunk}, ensure_ascii=False) + "\n")
            self._out.flush()

    def end(self, transcript: Transcript) -> None:
        """All is said."""


class Live:
    """On a terminal: the text as it comes, what else happens in colour between it, a line while it waits."""

    def __init__(self, screen: "Screen") -> None:
        self._screen = screen
        self._in_line = False

    def show(self, event: Event, transcript: Transcript) -> None:
        if isinstance(event, ContentDelta):
            self._text(event)
        elif isinstance(event, StreamReset):
            self._note("begun anew", "yellow")
            self._write(transcript.text)
        elif isinstance(event, StatusUpdate):
            if not self._in_line:
                self._screen.waiting(_waiting_for(event))
        elif (note := _note_of(event)) is not None:
            self._note(*note)

    def end(self, transcript: Transcript) -> None:
        del transcript
        self._screen.waiting("")
        if self._in_line:
            self._screen.write("\n")
        self._in_line = False

    def _text(self, event: ContentDelta) -> None:
        self._write(event.text, "dim italic" if event.channel is Channel.REASONING else "")

    def _write(self, text: str, style: str = "") -> None:
        if text:
            self._screen.waiting("")
            self._screen.write(text, style)
            self._in_line = not text.endswith("\n")

    def _note(self, text: str, style: str) -> None:
        self._screen.waiting("")
        self._screen.write(("\n" if self._in_line else "") + f"[{text}]\n", style)
        self._in_line = False


class Screen(Protocol):
    """A terminal."""

    def write(self, text: str, style: str = "") -> None:
        """Text where the cursor is; `style` in rich's words."""
        ...

    def waiting(self, text: str) -> None:
        """Show that something is being waited for, until the next call; empty = nothing is."""
        ...


class BareScreen:
    """A terminal without rich: text alone."""

    def write(self, text: str, style: str = "") -> None:
        del style
        sys.stdout.write(text)
        sys.stdout.flush()

    def waiting(self, text: str) -> None:
        """Without control of the cursor nothing can be taken back."""


def _waiting_for(status: StatusUpdate) -> str:
    place = f", place {status.queue_position}" if status.queue_position else ""
    wait = f", about {status.estimated_wait.total_seconds():.0f} s" if status.estimated_wait else ""
    progress = f" {status.progress:.0%}" if status.progress is not None else ""
    return f"{status.text or status.state.name.lower()}{progress}{place}{wait}"


def _note_of(event: Event) -> tuple[str, str] | None:
    """What is shown of an event between the text, and its style."""
    match event:
        case ToolCall():
            return f"{event.tool_name} {json.dumps(event.arguments, ensure_ascii=False)}", "cyan"
        case ToolResult():
            return f"{event.tool_name}: {event.summary or 'done'}", "cyan" if event.ok else "red"
        case PermissionRequested():
            asked = event.permission
            return f"permission {asked.permission_id}: {asked.tool_name} {asked.reasoning}", "bold yellow"
        case AgentUpdate():
            return event.name, "dim"
        case Notification():
            return f"{event.title} {event.body}".strip(), "magenta"
    return None
