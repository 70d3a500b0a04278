"""The parts of a scripted answer that every vendor sends, each in its own way."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.fakes.scripted_provider.script import Script, ScriptedUsage

_ECHO_TAIL = tuple(f" {number}" for number in range(1, 25))


class PieceKind(StrEnum):
    """CALL begins a tool call, ARGUMENTS continues it."""

    REASONING = "reasoning"
    TEXT = "text"
    CALL = "call"
    ARGUMENTS = "arguments"


@dataclass(frozen=True, slots=True)
class Piece:
    """What counts as one token. `call`: which of the script's tool calls it belongs to."""

    kind: PieceKind
    text: str = ""
    call: int = -1


@dataclass(frozen=True, slots=True)
class Prompt:
    """The text of one message of a request."""

    role: str
    text: str


def tokens_of(script: Script, prompts: Sequence[Prompt]) -> tuple[str, ...]:
    """The text of the answer: a deterministic echo of the last question when the script has none."""
    if script.tokens is not None:
        return script.tokens
    if script.tool_calls:
        return ()
    asked = [prompt.text for prompt in prompts if prompt.role == "user"]
    words = asked[-1].split() if asked else []
    return ("Echo", ":", *(f" {word}" for word in words), *_ECHO_TAIL)


def pieces_of(script: Script, tokens: Sequence[str], *, whole_calls: bool) -> list[Piece]:
    """The answer in its order; `whole_calls`: the vendor does not send arguments in fragments."""
    pieces = [Piece(PieceKind.REASONING, token) for token in script.reasoning]
    pieces += [Piece(PieceKind.TEXT, token) for token in tokens]
    for number, call in enumerate(script.tool_calls):
        pieces.append(Piece(PieceKind.CALL, call=number))
        if whole_calls:
            continue
        for start in range(0, len(call.arguments), script.fragment_characters):
            fragment = call.arguments[start : start + script.fragment_characters]
            pieces.append(Piece(PieceKind.ARGUMENTS, fragment, number))
    return pieces


def usage_of(script: Script, prompts: Sequence[Prompt], written: int) -> ScriptedUsage | None:
    """What the script reports, counted in words where it says so."""
    if script.usage != "counted":
        return script.usage
    read = sum(len(prompt.text.split()) for prompt in prompts)
    reasoned = len(script.reasoning)
    return ScriptedUsage(read, written + reasoned, reasoning_tokens=reasoned)


def call_id_of(script: Script, number: int, generation_id: str) -> str:
    """The id of a tool call, another one in every answer unless the script says which."""
    return script.tool_calls[number].call_id or f"call_{generation_id[-12:]}_{number}"


def finish_of(script: Script) -> str:
    """The finish reason in OpenAI's terms."""
    return script.finish_reason or ("tool_calls" if script.tool_calls else "stop")
