"""Fetches what strangers serve, at addresses that strangers and models choose.

URL -> as written (targets) -> name looked up and judged (resolving) -> connected to that -> headers -> body,
bounded; each redirect begins at the left again.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from backend.tools.crawl.addresses import Guard
from backend.tools.crawl.errors import (
    AddressRefusedError,
    FetchError,
    MissingPageError,
    TooLargeError,
    UnreachableError,
    WrongContentError,
)
from backend.tools.crawl.resolving import Names, NotPermittedError, connector
from backend.tools.crawl.targets import checked, target

HTML = frozenset({"text/html", "application/xhtml+xml"})
PAGES = HTML | {"text/plain", "text/markdown"}
ROBOTS = frozenset({"text/plain", "text/html", "application/octet-stream", ""})
FEEDS = HTML | {
    "application/rss+xml",
    "application/atom+xml",
    "application/rdf+xml",
    "application/xml",
    "text/xml",
    "text/plain",
    "application/octet-stream",
    "",
}

_REDIRECTS = (301, 302, 303, 307, 308)
_GONE = (404, 410)
_NOT_MODIFIED = 304
_PIECE_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """`max_bytes`: of a body, decompressed. `seconds`: from the first look-up to the last byte.

    `user_agent` names the one who fetches, also to robots.txt. `connections`: at the same time, in all.
    """

    user_agent: str = "llm-orchestrator-backend"
    max_bytes: int = 4 << 20
    seconds: float = 15.0
    redirects: int = 5
    connections: int = 32


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a server has answered. `url` is that after redirects; the header names are in lower case."""

    url: str
    status: int
    content_type: str
    charset: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_unchanged(self) -> bool:
        """The answer to a conditional request: what the caller has is current."""
        return self.status == _NOT_MODIFIED


class Fetcher:
    """Fetches within its context. It keeps no cookie and no connection, and uses no proxy."""

    def __init__(self, guard: Guard, names: Names, options: FetchOptions = FetchOptions()) -> None:
        self.options = options
        self._guard = guard
        self._names = names
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=connector(self._names, self._guard, connections=self.options.connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"User-Agent": self.options.user_agent, "Accept-Encoding": "gzip, deflate"},
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def judged(self, written: str) -> str:
        """The address as it is fetched.

        Raises:
            AddressRefusedError: It may not be fetched, whatever its name leads to.
        """
        return str(target(written, self._guard))

    async def fetch(
        self,
        written: str,
        accepted: frozenset[str],
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = 0,
    ) -> Fetched:
        """The body at an address, if its media type is `accepted`; `max_bytes` 0 = that of the options.

        Raises:
            FetchError: It may not be fetched, cannot be, or is something else.
        """
        url = target(written, self._guard)
        try:
            async with asyncio.timeout(self.options.seconds):
                return await self._followed(url, accepted, headers or {}, max_bytes or self.options.max_bytes)
        except TimeoutError as error:
            raise UnreachableError("it did not answer in time") from error

    async def _followed(
        self, url: URL, accepted: frozenset[str], headers: Mapping[str, str], max_bytes: int
    ) -> Fetched:
        for _ in range(self.options.redirects + 1):
            async with self._response(url, headers) as response:
                if response.status not in _REDIRECTS:
                    return await _read(response, accepted, max_bytes)
                url = self._next(url, response.headers.get("Location", ""))
        raise UnreachableError(f"it redirects more than {self.options.redirects} times")

    def _next(self, url: URL, location: str) -> URL:
        try:
            return checked(url.join(URL(location)).with_fragment(None), self._guard)
        except ValueError as error:
            raise UnreachableError("it redirects to no address") from error

    @asynccontextmanager
    async def _response(
        self, url: URL, headers: Mapping[str, str]
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        if self._session is None:
            raise RuntimeError("the fetcher is used outside of its context")
        try:
            async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                yield response
        except FetchError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, NotPermittedError) or isinstance(error.__cause__, NotPermittedError):
                raise AddressRefusedError("must be a public address") from error
            raise UnreachableError("the server cannot be reached or breaks off") from error


async def _read(response: aiohttp.ClientResponse, accepted: frozenset[str], max_bytes: int) -> Fetched:
    body = b""
    if response.status != _NOT_MODIFIED:
        _check(response, accepted, max_bytes)
        body = await _body(response, max_bytes)
    return Fetched(
        url=str(response.url),
        status=response.status,
        content_type=_media_type(response),
        charset=response.charset or "",
        headers={name.lower(): value for name, value in response.headers.items()},
        body=body,
    )


def _check(response: aiohttp.ClientResponse, accepted: frozenset[str], max_bytes: int) -> None:
    if response.status in _GONE:
        raise MissingPageError("there is no such page")
    if response.status >= 300 or response.status < 200:  # noqa: PLR2004 - as HTTP divides them
        raise UnreachableError(f"the server answers with status {response.status}")
    if _media_type(response) not in accepted:
        raise WrongContentError("it is of a kind that is not read here")
    if (response.content_length or 0) > max_bytes:
        raise TooLargeError(f"it is larger than {max_bytes} bytes")


def _media_type(response: aiohttp.ClientResponse) -> str:
    # aiohttp's own attribute says application/octet-stream when the server says nothing.
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


async def _body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    # Pieces come decompressed, and no larger than the reader's buffer: a bomb ends here after max_bytes.
    pieces, size = [], 0
    async for piece in response.content.iter_chunked(_PIECE_BYTES):
        size += len(piece)
        if size > max_bytes:
            raise TooLargeError(f"it is larger than {max_bytes} bytes")
        pieces.append(piece)
    return b"".join(pieces)
