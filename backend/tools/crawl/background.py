"""Crawls that store pages, which go on after the call that began them. They end with the process."""

import asyncio
import logging
from contextlib import aclosing
from types import TracebackType
from typing import Self

from backend.tools.crawl.errors import FetchError
from backend.tools.crawl.site import SiteCrawl
from backend.tools.crawl.storing import PageStore, wants_to_be_kept
from llm_orchestrator_client.tool_service import OverloadedError, ToolServiceError

_LOG = logging.getLogger(__name__)


class RunningCrawl:
    """One crawl. What it has stored stays, however it ends."""

    def __init__(self, user: str, crawl: SiteCrawl, store: PageStore, seconds: float) -> None:
        self.stored = 0
        self.left_out = 0
        self._user = user
        self._crawl = crawl
        self._store = store
        self._seconds = seconds
        self.task = asyncio.create_task(self._run(), name="site-crawl")

    async def ended_within(self, seconds: float) -> bool:
        """Whether it has ended by then.

        Raises:
            FetchError: Nothing of the site could be fetched.
            ToolServiceError: The pages cannot be stored.
        """
        # Waited for without being cancelled: the caller's leaving does not end it.
        done, _ = await asyncio.wait({self.task}, timeout=seconds)
        if done:
            self.task.result()
        return bool(done)

    async def _run(self) -> None:
        async with asyncio.timeout(self._seconds), aclosing(self._crawl.pages()) as pages:
            async for page in pages:
                if not wants_to_be_kept(page):
                    self.left_out += 1
                    continue
                await self._store.store_page(self._user, page)
                self.stored += 1


class BackgroundCrawls:
    """The crawls of this process, `most` at a time, none longer than `seconds`.

    Their owner's end ends them; a restart does not go on with them.
    """

    def __init__(self, store: PageStore, *, most: int = 4, seconds: float = 3600.0) -> None:
        self._store = store
        self._seconds = seconds
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def begun(self, user: str, crawl: SiteCrawl) -> RunningCrawl:
        """Begin one. Raises: OverloadedError: There are too many."""
        if len(self._tasks) >= self._most:
            raise OverloadedError("Too many web sites are being taken in now.", retry_seconds=60.0)
        running = RunningCrawl(user, crawl, self._store, self._seconds)
        self._tasks.add(running.task)
        running.task.add_done_callback(self._ended)
        return running

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            _LOG.info("a site crawl has ended")
        elif isinstance(error, FetchError | ToolServiceError | TimeoutError):
            _LOG.warning("a site crawl has failed", extra={"error": type(error).__name__})
        else:
            _LOG.error("a site crawl has failed", extra={"error": type(error).__name__})
