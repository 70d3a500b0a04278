"""The HTTP session that a process's models share."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp


@asynccontextmanager
async def open_session(
    *, connections: int = 1024, keepalive_seconds: float = 15.0
) -> AsyncGenerator[aiohttp.ClientSession]:
    """A session for any number of models.

    `connections` must exceed the calls in flight that the gates allow: a call that waited here for a
    connection would look like a slow provider.
    """
    connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=keepalive_seconds)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "llm-orchestrator"},
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=False,
    ) as session:
        yield session
