"""A service that the operator has configured, spoken to in JSON, bounded in time and size.

Its address is the operator's word: it may be a private one, and no guard stands before it.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp

from llm_orchestrator_client.tool_service import OverloadedError, TooSlowError, UnavailableError

_RETRY_SECONDS = 30.0
_MOST_RETRY_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class OutsideOptions:
    """`name` is told to the model. `url` is what paths are appended to. `token`: sent as a bearer token."""

    name: str
    url: str
    token: str = ""
    seconds: float = 10.0
    max_bytes: int = 4 << 20


class RefusedRequestError(Exception):
    """The service says that the request is wrong (400, 404, 422); `answer` is its JSON, or None."""

    def __init__(self, answer: object) -> None:
        super().__init__("refused")
        self.answer = answer


class OutsideService:
    """Calls the service, within its context. It follows no redirect."""

    def __init__(self, options: OutsideOptions) -> None:
        self._options = options
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        headers = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
        if self._options.token:
            headers["Authorization"] = f"Bearer {self._options.token}"
        self._session = aiohttp.ClientSession(
            headers=headers, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=None)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        """The JSON object that it answers with. Raises as `post`."""
        return await self._asked("GET", path, params=query)

    async def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The JSON object that it answers with.

        Raises:
            RefusedRequestError: It does not take this request.
            ToolServiceError: It has a problem: UnavailableError, OverloadedError or TooSlowError.
        """
        return await self._asked("POST", path, json=body)

    async def _asked(self, method: str, path: str, **sent: Any) -> Mapping[str, Any]:  # noqa: ANN401
        if self._session is None:
            raise RuntimeError("the service is used outside of its context")
        url = self._options.url.rstrip("/") + path
        try:
            async with (
                asyncio.timeout(self._options.seconds),
                self._session.request(method, url, allow_redirects=False, **sent) as response,
            ):
                return self._understood(response, await self._body(response))
        except TimeoutError as error:
            raise TooSlowError(f"{self._options.name} did not answer in time.") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnavailableError(f"{self._options.name} cannot be reached.") from error

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        pieces, size = [], 0
        async for piece in response.content.iter_chunked(64 << 10):
            size += len(piece)
            if size > self._options.max_bytes:
                raise UnavailableError(f"{self._options.name} answers with more than is taken.")
            pieces.append(piece)
        return b"".join(pieces)

    def _understood(self, response: aiohttp.ClientResponse, body: bytes) -> Mapping[str, Any]:
        answer = _parsed(body)
        match response.status:
            case HTTPStatus.OK | HTTPStatus.CREATED:
                if isinstance(answer, dict):
                    return answer
                raise UnavailableError(f"{self._options.name} answers with something that cannot be read.")
            case HTTPStatus.BAD_REQUEST | HTTPStatus.NOT_FOUND | HTTPStatus.UNPROCESSABLE_ENTITY:
                raise RefusedRequestError(answer)
            case HTTPStatus.TOO_MANY_REQUESTS:
                raise OverloadedError(
                    f"{self._options.name} has too much to do.", retry_seconds=_retry_seconds(response)
                )
            case _:
                # 401 and 403 too: the operator's key is wrong, which no model can mend and none should read.
                raise UnavailableError(f"{self._options.name} answers with an error.")


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _retry_seconds(response: aiohttp.ClientResponse) -> float:
    try:
        said = float(response.headers.get("Retry-After", ""))
    except ValueError:
        return _RETRY_SECONDS
    return min(max(said, 1.0), _MOST_RETRY_SECONDS) if said == said else _RETRY_SECONDS  # noqa: PLR0124 - NaN
