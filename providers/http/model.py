"""A chat model behind an HTTP interface that answers with server-sent events."""

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import suppress

import aiohttp
import orjson
from pydantic import SecretStr
from yarl import URL

from providers.base import CallAccepted, Delta, ModelFinished, ModelInfo, ModelRequest
from providers.http.address import checked
from providers.http.answer import Answer
from providers.http.body import PatientBody
from providers.http.failures import CALL_FAILURES, check_response, from_failure, unreachable
from providers.http.sse import BrokenStreamError
from providers.http.timeouts import Patience, ProviderTimeouts
from state.errors import DeadlineExceededError, ProviderRejectedError
from state.metronome import Metronome
from state.models import FinishReason

ApiKey = SecretStr | Callable[[], str] | None
"""A callable is asked at every call, so a key may change while the process runs."""

_DRAIN_SECONDS = 0.1


class HTTPChatModel(ABC):
    """One model of one provider. The session stays the caller's; nothing is retried here.

    An adapter says what its vendor's requests, headers and events look like; the call itself is here.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        provider: str,
        base_url: str,
        model: str,
        api_key: ApiKey,
        context_tokens: int,
        timeouts: ProviderTimeouts,
        max_output_tokens: int | None = None,
        extra_headers: Mapping[str, str] | None = None,
        tools: bool = True,
        images: bool = False,
        json_schema: bool = True,
    ) -> None:
        base = checked(base_url)
        self._session = session
        limits = (context_tokens, max_output_tokens)
        self._info = ModelInfo(provider, model, *limits, tools=tools, images=images, json_schema=json_schema)
        self._url = self._endpoint(base)
        self._api_key = api_key
        self._timeouts = timeouts
        self._headers = dict(extra_headers or {})
        self._metronome = Metronome()
        self._tls = ssl.create_default_context() if base.scheme == "https" else None

    @property
    def info(self) -> ModelInfo:
        return self._info

    @abstractmethod
    def _endpoint(self, base_url: URL) -> URL:
        """Where a streaming call goes."""

    @abstractmethod
    def _key_headers(self, key: str) -> dict[str, str]:
        """How the vendor wants its key."""

    def _vendor_headers(self) -> dict[str, str]:
        """What the vendor wants in every request besides."""
        return {}

    @abstractmethod
    def _body(self, request: ModelRequest) -> object:
        """The body of a streaming call, before it becomes JSON."""

    @abstractmethod
    def _answer(self, request: ModelRequest) -> Answer:
        """The reader of one answer."""

    @abstractmethod
    def _accepted(self, headers: Mapping[str, str]) -> CallAccepted:
        """What the headers of an answer say."""

    async def _retry_after(self, response: aiohttp.ClientResponse) -> float | None:
        """The wait that an error tells outside its headers, where a vendor does that."""
        return None

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta]:
        """Yield the answer as it is written; see `ChatModel.stream`."""
        body, headers = self._encode(request), self._request_headers()
        patience = Patience(self._timeouts, request.deadline)
        answer = self._answer(request)
        try:
            # No time-out spans a yield: it would cancel the consumer instead of the wait.
            async with asyncio.timeout_at(patience.deadline):
                response = await self._post(body, headers)
            async with response:
                await self._check(response)
                yield self._accepted(response.headers)
                with PatientBody(response, patience, self._metronome) as content:
                    while not answer.done and (received := await _receive(content, answer)):
                        began, gathered = False, answer.gathered
                        for delta in answer.feed(received):
                            began = patience.started = True
                            yield delta
                        if began and request.pace is not None and not answer.complete:
                            await content.rest(request.pace())
                        if began or answer.gathered != gathered:
                            patience.renew()
                if not answer.complete:
                    raise BrokenStreamError("ended its stream before its answer")
                await _drain(response)
        except CALL_FAILURES as error:
            if isinstance(error, TimeoutError) and patience.caller_stopped_waiting:
                raise DeadlineExceededError("the caller's deadline has passed") from error
            raise from_failure(self._info.provider, error, started=patience.started) from error
        yield self._finished(answer)

    async def probe(self) -> None:
        """Connect to the provider's address and leave; see `ChatModel.probe`."""
        try:
            async with asyncio.timeout(self._timeouts.connect):
                _, writer = await asyncio.open_connection(self._url.host, self._url.port, ssl=self._tls)
        except OSError as error:
            raise unreachable(self._info.provider) from error
        # Not a polite close: over TLS that waits for the other side.
        writer.transport.abort()

    async def _post(self, body: bytes, headers: dict[str, str]) -> aiohttp.ClientResponse:
        return await self._session.post(
            self._url,
            data=body,
            headers=headers,
            allow_redirects=False,
            raise_for_status=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=self._timeouts.connect),
        )

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        told = None if response.ok else await self._retry_after(response)
        check_response(self._info.provider, response, told)

    def _encode(self, request: ModelRequest) -> bytes:
        try:
            return orjson.dumps(self._body(request))
        except orjson.JSONEncodeError as error:
            raise ProviderRejectedError("the request holds text or numbers that JSON cannot carry") from error

    def _request_headers(self) -> dict[str, str]:
        # A compressed stream arrives when the compressor's block is full, not token by token.
        headers = {
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            **self._vendor_headers(),
            **self._headers,
        }
        if self._api_key is not None:
            headers.update(self._key_headers(self._read_api_key(self._api_key)))
        return headers

    def _read_api_key(self, source: SecretStr | Callable[[], str]) -> str:
        key = (source.get_secret_value() if isinstance(source, SecretStr) else source()).strip()
        if not key.isascii() or not key.isprintable():
            name = self._info.provider
            raise ProviderRejectedError(f"the API key of provider {name!r} cannot stand in a header")
        return key

    def _finished(self, answer: Answer) -> ModelFinished:
        return ModelFinished(
            finish_reason=answer.finish_reason or FinishReason.STOP,
            generation_id=answer.generation_id,
            provider=self._info.provider,
            model=answer.model,
            tokens=answer.tokens(),
        )


async def _receive(content: PatientBody, answer: Answer) -> bytes:
    """The next bytes, none at the end. When only the token count is missing, a failure is an end too."""
    try:
        return await content.read()
    except (aiohttp.ClientError, OSError):
        if answer.complete:
            return b""
        raise


async def _drain(response: aiohttp.ClientResponse) -> None:
    # The HTTP message ends right after the last event; only one read to its end leaves a reusable connection.
    with suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while await response.content.readany():
                pass
