"""A chat model behind Anthropic's Messages API."""

from collections.abc import Mapping
from functools import partial

from yarl import URL

from providers.anthropic.answer import AnthropicAnswer
from providers.anthropic.request import request_body
from providers.base import CallAccepted, ModelRequest
from providers.http.model import HTTPChatModel
from providers.http.rates import RateHeaders, read_rates
from providers.http.waits import seconds_until

API_VERSION = "2023-06-01"
DEFAULT_MAX_OUTPUT_TOKENS = 4096
"""The API demands a limit; this is one that every model takes."""

_RATES = RateHeaders(
    requests="anthropic-ratelimit-requests-remaining",
    requests_reset="anthropic-ratelimit-requests-reset",
    tokens="anthropic-ratelimit-tokens-remaining",
    tokens_reset="anthropic-ratelimit-tokens-reset",
)

ANTHROPIC_URL = "https://api.anthropic.com/v1"


class AnthropicModel(HTTPChatModel):
    """One Claude model. The API knows no seed, so a request's seed changes nothing."""

    def _endpoint(self, base_url: URL) -> URL:
        # Anthropic's own clients are configured without the version.
        versioned = base_url if base_url.path.strip("/") else base_url.joinpath("v1")
        return versioned.joinpath("messages")

    def _key_headers(self, key: str) -> dict[str, str]:
        return {"x-api-key": key}

    def _vendor_headers(self) -> dict[str, str]:
        return {"anthropic-version": API_VERSION}

    def _body(self, request: ModelRequest) -> object:
        limit = request.max_output_tokens or self._info.max_output_tokens or DEFAULT_MAX_OUTPUT_TOKENS
        return request_body(self._info.model, request, max_tokens=limit)

    def _answer(self, request: ModelRequest) -> AnthropicAnswer:
        schema_tool = None if request.json_schema is None else request.json_schema.name
        return AnthropicAnswer(self._info.model, schema_tool=schema_tool)

    def _accepted(self, headers: Mapping[str, str]) -> CallAccepted:
        seconds = partial(seconds_until, date=headers.get("Date"))
        return CallAccepted(headers.get("request-id", ""), read_rates(headers, _RATES, seconds))
