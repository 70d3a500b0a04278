"""A chat model behind Google's Gemini API."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import aiohttp
from yarl import URL

from providers.base import CallAccepted, ModelRequest
from providers.gemini.answer import GeminiAnswer
from providers.gemini.request import request_body
from providers.http.model import HTTPChatModel
from providers.http.request import parsed_object
from providers.http.waits import clamped, duration_seconds

_MAX_ERROR_BYTES = 64 << 10
_ERROR_SECONDS = 1.0

GEMINI_URL = "https://generativelanguage.googleapis.com/v1beta"


class GeminiModel(HTTPChatModel):
    """One Gemini model. The API tells neither a request id nor what is left of its limits."""

    def _endpoint(self, base_url: URL) -> URL:
        name = self._info.model
        path = name if "/" in name else f"models/{name}"
        return base_url.joinpath(*f"{path}:streamGenerateContent".split("/")).with_query(alt="sse")

    def _key_headers(self, key: str) -> dict[str, str]:
        return {"x-goog-api-key": key}

    def _body(self, request: ModelRequest) -> object:
        return request_body(self._info.model, request)

    def _answer(self, request: ModelRequest) -> GeminiAnswer:
        return GeminiAnswer(self._info.model)

    def _accepted(self, headers: Mapping[str, str]) -> CallAccepted:
        return CallAccepted()

    async def _retry_after(self, response: aiohttp.ClientResponse) -> float | None:
        """Google tells it in the body of the error, as `google.rpc.RetryInfo`."""
        with suppress(aiohttp.ClientError, OSError, ValueError):
            body = b""
            async with asyncio.timeout(_ERROR_SECONDS):
                while len(body) < _MAX_ERROR_BYTES and (more := await response.content.readany()):
                    body += more
            return _told_in(body)
        return None


def _told_in(body: bytes) -> float | None:
    error = (parsed_object(body.decode()) or {}).get("error")
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str):
            return clamped(duration_seconds(delay))
    return None
