"""How many tokens something may take, where nobody has counted them."""

from collections.abc import Iterable

from providers.base import ModelRequest
from state.models import Message

_BYTES_PER_TOKEN = 3
_TOKENS_PER_MESSAGE = 8
_TOKENS_PER_IMAGE = 1600


def estimate_tokens(text: str) -> int:
    """Tokens a text may take, rather too many than too few: one for each 3 bytes of UTF-8."""
    return estimate_of_bytes(len(text.encode()))


def estimate_of_bytes(count: int) -> int:
    """The same of a text of so many bytes."""
    return count // _BYTES_PER_TOKEN + 1


def characters_in(text: str, tokens: int) -> int | None:
    """How many characters of a text may take so many tokens; None where all of them may."""
    if estimate_tokens(text) <= tokens:
        return None
    return len(text.encode()[: tokens * _BYTES_PER_TOKEN].decode(errors="ignore"))


def estimate_prompt(request: ModelRequest) -> int:
    """Tokens that the provider may have to read for a request."""
    tools = sum(estimate_tokens(f"{t.name}{t.description}{t.parameters}") for t in request.tools)
    schema = estimate_tokens(str(request.json_schema.schema)) if request.json_schema else 0
    return sum(map(estimate_message, request.messages)) + tools + schema


def estimate_message(message: Message) -> int:
    """The same of one message, its images among it."""
    texts: Iterable[str] = (message.content, *(f"{c.name}{c.arguments}" for c in message.tool_calls))
    pictures = _TOKENS_PER_IMAGE * len(message.images)
    return sum(map(estimate_tokens, texts)) + pictures + _TOKENS_PER_MESSAGE
