"""Fetches feeds: now, when somebody asks, and each in its turn."""

import asyncio
import logging
from types import TracebackType
from typing import Self

from backend.store.errors import StoreUnavailableError
from backend.tools.crawl.errors import FetchError
from backend.tools.feeds.models import DueFeed
from backend.tools.feeds.reading import FeedReader
from backend.tools.feeds.store import FeedStore

_LOG = logging.getLogger(__name__)
_AT_A_TIME = 4
_LONGEST_PAUSE_SECONDS = 60.0
_SHORTEST_PAUSE_SECONDS = 0.05
_PAUSE_WITHOUT_STORE_SECONDS = 10.0


class FeedPolling:
    """Within its context a task of its own fetches the feeds in turn; several processes share the work."""

    def __init__(self, store: FeedStore, reader: FeedReader, *, in_turn: bool = True) -> None:
        self._store = store
        self._reader = reader
        self._in_turn = in_turn
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._in_turn:
            self._task = asyncio.create_task(self._run(), name="feed-polling")
            self._task.add_done_callback(_ended)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled() and (failure := self._task.exception()) is not None:
                raise failure

    async def refreshed(self, feed: DueFeed) -> int:
        """Fetch a feed; how many articles are new.

        Raises:
            FetchError: It cannot be had; its next turn is put off.
            StoreUnavailableError: It cannot be kept.
        """
        try:
            read = await self._reader.read(feed.source)
        except FetchError:
            await self._store.failed(feed.feed_id)
            raise
        return await self._store.save(feed.feed_id, read)

    async def poll_due(self) -> int:
        """Fetch a few feeds whose turn it is; how many there were. Raises: StoreUnavailableError."""
        due = await self._store.due(_AT_A_TIME)
        async with asyncio.TaskGroup() as group:
            for feed in due:
                group.create_task(self._polled(feed))
        return len(due)

    async def _polled(self, feed: DueFeed) -> None:
        try:
            new = await self.refreshed(feed)
        except FetchError as error:
            _LOG.info("a feed was not polled", extra={"feed_id": feed.feed_id, "error": type(error).__name__})
        except StoreUnavailableError:
            _LOG.warning("a feed was polled but not kept", extra={"feed_id": feed.feed_id})
        else:
            _LOG.info("a feed was polled", extra={"feed_id": feed.feed_id, "new": new})

    async def _run(self) -> None:
        while True:
            try:
                if await self.poll_due():
                    continue
                pause = await self._pause_seconds()
            except StoreUnavailableError:
                _LOG.warning("feeds are not polled: the store is out of reach")
                pause = _PAUSE_WITHOUT_STORE_SECONDS
            await asyncio.sleep(pause)

    async def _pause_seconds(self) -> float:
        # Not longer than a minute: a feed that another process adds has its turn too.
        left = await self._store.seconds_until_due()
        if left is None:
            return _LONGEST_PAUSE_SECONDS
        return min(max(left, _SHORTEST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOG.error("feeds are not polled any more", extra={"error": type(error).__name__})
