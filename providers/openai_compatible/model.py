"""A chat model behind OpenAI's HTTP interface, whoever serves it."""

from collections.abc import Mapping

from yarl import URL

from providers.base import CallAccepted, ModelRequest
from providers.http.model import HTTPChatModel
from providers.http.rates import RateHeaders, read_rates
from providers.http.waits import duration_seconds
from providers.openai_compatible.answer import OpenAIAnswer
from providers.openai_compatible.request import request_body

_OPENAI_HOST = "api.openai.com"
_RATES = RateHeaders(
    requests="x-ratelimit-remaining-requests",
    requests_reset="x-ratelimit-reset-requests",
    tokens="x-ratelimit-remaining-tokens",
    tokens_reset="x-ratelimit-reset-tokens",
)

OPENAI_URL = "https://api.openai.com/v1"


class OpenAICompatibleModel(HTTPChatModel):
    """One model of one provider that speaks OpenAI's chat completions."""

    def _endpoint(self, base_url: URL) -> URL:
        return base_url.joinpath("chat", "completions")

    def _key_headers(self, key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"}

    def _body(self, request: ModelRequest) -> object:
        # OpenAI's reasoning models refuse the old name, most other servers know only that one.
        limit_field = "max_completion_tokens" if self._url.host == _OPENAI_HOST else "max_tokens"
        return request_body(self._info.model, request, limit_field=limit_field)

    def _answer(self, request: ModelRequest) -> OpenAIAnswer:
        return OpenAIAnswer(self._info.model)

    def _accepted(self, headers: Mapping[str, str]) -> CallAccepted:
        return CallAccepted(headers.get("x-request-id", ""), read_rates(headers, _RATES, duration_seconds))
