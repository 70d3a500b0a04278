"""What a browser sees: server-sent events, answers, and who it signs in as."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from types import TracebackType
from typing import Any, Self

import aiohttp

TOKENS = {"ann": "anns-token", "bob": "bobs-token", "root": "roots-token"}
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Sent:
    """One server-sent event. `kind` "" is a comment."""

    kind: str
    number: int | None
    data: dict[str, Any]

    @property
    def text(self) -> str:
        return str(self.data["text"]) if self.kind == "content" else ""


async def sent(response: aiohttp.ClientResponse) -> AsyncIterator[Sent]:
    """The events of a response, as the standard reads them."""
    fields: dict[str, str] = {}
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if line.startswith(":"):
            yield Sent("", None, {})
        elif line:
            name, _, value = line.partition(": ")
            assert name not in fields
            fields[name] = value
        elif fields:
            number = int(fields["id"]) if "id" in fields else None
            yield Sent(fields["event"], number, json.loads(fields["data"]))
            fields = {}


def text_of(events: list[Sent]) -> str:
    """The text as a page shows it: without what a reset has made void."""
    shown: list[Sent] = []
    for event in events:
        if event.kind == "reset":
            shown = [s for s in shown if (s.number or 0) < event.data["from_sequence"]]
        elif event.kind == "content":
            shown.append(event)
    return "".join(event.text for event in shown)


def numbers(events: list[Sent]) -> list[int]:
    """The ids."""
    return [event.number for event in events if event.number is not None]


class Browser:
    """Calls the backend as one user, by token; `session` without."""

    def __init__(self, session: aiohttp.ClientSession, address: str, user: str = "ann") -> None:
        self.session = session
        self.base = f"http://{address}"
        self.headers = {"Authorization": f"Bearer {TOKENS[user]}"} if user else {}

    async def call(self, method: str, path: str, json: object = None, **headers: str) -> tuple[int, Any, Any]:
        """Status, JSON and headers."""
        async with self.session.request(
            method, self.base + path, json=json, headers={**self.headers, **headers}
        ) as response:
            text = await response.text()
            return response.status, _json(text), response.headers

    @asynccontextmanager
    async def stream(self, path: str, json: object = None, **headers: str) -> AsyncIterator["Stream"]:
        """A stream that is read inside the block; a body makes it a POST."""
        method = "GET" if json is None else "POST"
        async with self.session.request(
            method, self.base + path, json=json, headers={**self.headers, **headers}
        ) as response:
            yield Stream(response)

    async def chat(self, query: str = "hello", **fields: object) -> list[Sent]:
        """All events of a turn, comments apart."""
        async with self.stream("/chat", {"query": query, **fields}) as stream:
            return await stream.rest()


class Stream:
    """A response that is read piece by piece."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self._events = sent(response)

    async def until_text(self) -> list[Sent]:
        """The events up to the first text."""
        events: list[Sent] = []
        async for event in self._events:
            events.append(event)
            if event.text:
                return events
        raise AssertionError(f"no text came: {events}")

    async def comments(self, most: int) -> None:
        """Wait for so many comments."""
        async for event in self._events:
            most -= not event.kind
            if not most:
                return

    async def rest(self) -> list[Sent]:
        """The others, comments apart."""
        assert self.response.status == 200, await self.response.text()
        return [event async for event in self._events if event.kind]


class Browsers:
    """One HTTP session that all browsers of a test share."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=aiohttp.ClientTimeout(total=60)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    def at(self, address: str, user: str = "ann") -> Browser:
        return Browser(self._session, address, user)


def digest_of(user: str) -> str:
    """As BACKEND_USERS has a token."""
    return sha256(TOKENS[user].encode()).hexdigest()


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
