"""What comes from providers and remote agents: pieces of an answer or a typed error, however it is cut."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson
from google.protobuf.message import DecodeError

from agents.elsewhere import EndedThere, EventHeard, TextHeard, UsedThere
from agents.remote.chunks import heard
from llm_orchestrator_client.events import event_of
from llm_orchestrator_client.protos import orchestrator_pb2 as client_pb
from protos import orchestrator_pb2 as pb
from providers.anthropic.answer import AnthropicAnswer
from providers.base import Delta, ReasoningDelta, TextDelta, ToolCallDelta
from providers.gemini.answer import GeminiAnswer
from providers.http.answer import Answer
from providers.http.sse import BrokenStreamError, EventParser
from providers.openai_compatible.answer import OpenAIAnswer
from state.errors import ProviderBrokenError
from tests.fuzz.picking import Picker

_SMALL = 64
"""The most bytes of an event that the parser alone is given, so that its limit is met."""


def events(data: bytes) -> None:
    """The event parser against one that has all lines at hand, and against itself in other pieces."""
    picker = Picker(data)
    stream, at_once = picker.rest(), [data]
    in_pieces = Picker(data[::-1]).cuts(stream)
    whole, cut = _events([stream]), _events(in_pieces)
    assert whole == cut == _events([stream[i : i + 1] for i in range(len(stream))]), at_once
    if whole[1] is None:
        assert whole[0] == _by_lines(stream)


def _events(pieces: Sequence[bytes]) -> tuple[list[bytes], str | None]:
    parser, found = EventParser(max_bytes=_SMALL), list[bytes]()
    try:
        for piece in pieces:
            if (one := parser.whole(piece)) is not None:
                found.append(one)
            else:
                found.extend(parser.feed(piece))
    except BrokenStreamError as error:
        return found, str(error)
    return found, None


def _by_lines(stream: bytes) -> list[bytes]:
    found, event = list[bytes](), list[bytes]()
    for line in (line.removesuffix(b"\r") for line in stream.split(b"\n")[:-1]):
        if line.startswith(b"data"):
            event.append(line[5:].removeprefix(b" "))
        elif not line and event:
            found.append(b"\n".join(event))
            event = []
    return found


def openai(data: bytes) -> None:
    """An answer in OpenAI's chunks."""
    _answer(data, lambda: OpenAIAnswer("asked"))


def anthropic(data: bytes) -> None:
    """An answer in Anthropic's events."""
    _answer(data, lambda: AnthropicAnswer("asked", schema_tool="form"))


def gemini(data: bytes) -> None:
    """An answer in Gemini's chunks."""
    _answer(data, lambda: GeminiAnswer("asked"))


def _answer(data: bytes, made: Callable[[], Answer]) -> None:
    """The last bytes say where the others are cut; each piece is text that can go on, or a whole call."""
    stream, places = data[:-8], data[-8:]
    whole = _read(made(), [stream])
    assert _read(made(), Picker(places).cuts(stream)) == whole
    assert "\0" not in "".join(whole[2][2:]), "usage is kept by these names, as JSON, which takes no NUL"
    for delta in whole[0]:
        match delta:
            case TextDelta() | ReasoningDelta():
                assert delta.text
                delta.text.encode()
            case ToolCallDelta():
                assert delta.call.call_id
                orjson.dumps([delta.call.name, delta.call.arguments])
            case _:
                raise AssertionError(delta)


def _read(answer: Answer, pieces: Sequence[bytes]) -> tuple[list[Delta], str, tuple[Any, ...], Any]:
    deltas, ended = list[Delta](), ""
    try:
        for piece in pieces:
            if answer.done:
                break
            deltas.extend(map(_nameless, answer.feed(piece)))
    except BrokenStreamError as error:
        ended = f"{error} {error.saturated}"
    said = answer.done, answer.finish_reason, answer.generation_id, answer.model
    return deltas, ended, said, answer.tokens()


def _nameless(delta: Delta) -> Delta:
    # Where a vendor gives none, we make an id of our own, another each time.
    return (
        replace(delta, call=replace(delta.call, call_id="ours"))
        if isinstance(delta, ToolCallDelta)
        else delta
    )


def remote_chunks(data: bytes) -> None:
    """A chunk of another orchestrator: what the graph hears of it can be kept, whatever it says."""
    chunk = pb.ChatChunk()
    if not _parsed(data, chunk):
        return
    try:
        said = heard(chunk, "there", "EUR")
    except ProviderBrokenError:
        return
    for one in said:
        assert one.sequence >= 0
        match one:
            case TextHeard():
                assert "\0" not in one.text
            case EndedThere() | UsedThere():
                assert r"\x00" not in repr(one), (
                    "a run's usage is kept as JSON, which Postgres refuses a NUL in"
                )
            case EventHeard():
                repr(one).encode()


def client_events(data: bytes) -> None:
    """A chunk as a backend's client reads it: an event, whatever a newer server may say."""
    chunk = client_pb.ChatChunk()
    if _parsed(data, chunk):
        event_of(chunk)


def _parsed(data: bytes, chunk: Any) -> bool:
    picker = Picker(data)
    if picker.below(2):
        picker.fill(chunk)
        return True
    try:
        chunk.ParseFromString(picker.rest())
    except DecodeError:
        return False
    return True
