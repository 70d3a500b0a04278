"""The adapters under test, and what differs between their vendors' protocols."""

from dataclasses import dataclass

from providers.anthropic.model import AnthropicModel
from providers.base import RateRemaining
from providers.gemini.model import GeminiModel
from providers.http.model import HTTPChatModel
from providers.openai_compatible.model import OpenAICompatibleModel

DATE = ("Date", "Tue, 01 Jan 2030 00:00:00 GMT")


@dataclass(frozen=True)
class Vendor:
    """One adapter. `whole_answer`: events that say "all" and why they end, without a mark of the end."""

    name: str
    adapter: type[HTTPChatModel]
    prefix: str
    path: str
    whole_answer: bytes
    request_id_header: str = ""
    rate_headers: tuple[tuple[str, str], ...] = ()
    rates: RateRemaining | None = None
    has_end_mark: bool = True
    counts_reasoning: bool = True
    keeps_call_ids: bool = True
    streams_arguments: bool = True


OPENAI = Vendor(
    name="openai",
    adapter=OpenAICompatibleModel,
    prefix="/v1",
    path="/v1/chat/completions",
    whole_answer=b'data: {"id":"g","choices":[{"delta":{"content":"all"},"finish_reason":"stop"}]}\n\n',
    request_id_header="x-request-id",
    rate_headers=(
        ("x-ratelimit-remaining-requests", "99"),
        ("x-ratelimit-reset-requests", "120ms"),
        ("x-ratelimit-remaining-tokens", "149984"),
        ("x-ratelimit-reset-tokens", "6m0s"),
    ),
    rates=RateRemaining(99, 0.12, 149984, 360.0),
)
ANTHROPIC = Vendor(
    name="anthropic",
    adapter=AnthropicModel,
    prefix="/v1",
    path="/v1/messages",
    whole_answer=(
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"g","model":"m"}}\n\n'
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"all"}}\n\n'
        b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n'
    ),
    request_id_header="request-id",
    rate_headers=(
        ("anthropic-ratelimit-requests-remaining", "99"),
        ("anthropic-ratelimit-requests-reset", "2030-01-01T00:00:30Z"),
        ("anthropic-ratelimit-tokens-remaining", "149984"),
        ("anthropic-ratelimit-tokens-reset", "2030-01-01T02:01:00+02:00"),
        DATE,
    ),
    rates=RateRemaining(99, 30.0, 149984, 60.0),
    counts_reasoning=False,
)
GEMINI = Vendor(
    name="gemini",
    adapter=GeminiModel,
    prefix="/v1beta",
    path="/v1beta/models/small:streamGenerateContent",
    whole_answer=b'data: {"candidates":[{"content":{"parts":[{"text":"all"}]},"finishReason":"STOP"}]}\n\n',
    has_end_mark=False,
    keeps_call_ids=False,
    streams_arguments=False,
)
VENDORS = (OPENAI, ANTHROPIC, GEMINI)
