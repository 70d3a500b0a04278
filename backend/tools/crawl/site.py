"""A site page by page, breadth first: robots.txt, same host, no page twice, so many pages and so deep."""

import asyncio
import heapq
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from yarl import URL

from backend.tools.crawl.errors import AddressRefusedError, FetchError
from backend.tools.crawl.pages import Page, PageReader
from backend.tools.crawl.robots import Robots

_MOST_WAITING = 10_000
_MOST_FAILURES_TOLD = 20


@dataclass(frozen=True, slots=True)
class CrawlPlan:
    """What to crawl. `subdomains`: hosts below the first one count too. `rank` of an address and its
    label puts the most promising next."""

    url: str
    pages: int
    depth: int
    subdomains: bool = False
    rank: Callable[[str], float] | None = None


@dataclass(slots=True)
class CrawlReport:
    """How it went. `failures` are addresses with reasons, the first ones only."""

    read: int = 0
    failed: int = 0
    refused_by_robots: int = 0
    more: bool = False
    failures: list[tuple[str, str]] = field(default_factory=list)

    def add_failure(self, url: str, reason: str) -> None:
        """Count one, and keep it if there are few."""
        self.failed += 1
        if len(self.failures) < _MOST_FAILURES_TOLD:
            self.failures.append((url, reason))


class SiteCrawl:
    """One crawl. Its pages come as they are read; `report` is complete when they have all come."""

    def __init__(self, plan: CrawlPlan, reader: PageReader) -> None:
        self.report = CrawlReport()
        self._plan = plan
        self._fetcher = reader.fetcher
        self._reader = reader
        self._robots = Robots(reader.fetcher, reader.fetcher.options.user_agent)
        self._host = ""
        self._seen: set[str] = set()
        self._waiting: list[tuple[float, int, str, int]] = []
        """A heap of (rank, number, address, depth): of the same rank the one that was seen first."""

    async def pages(self) -> AsyncGenerator[Page, None]:
        """The pages.

        Raises:
            FetchError: The first address may not or cannot be fetched.
        """
        first = self._fetcher.judged(self._plan.url)
        self._host = URL(first).host or ""
        self._add(first, 0)
        while self._waiting and self.report.read < self._plan.pages:
            _, _, url, depth = heapq.heappop(self._waiting)
            page = await self._fetched(url)
            if page is None or not self._is_of_the_site(page.url) or self._is_repeated(url, page.url):
                continue
            self.report.read += 1
            self._add_links(page, depth)
            yield page
        self.report.more = bool(self._waiting)

    async def _fetched(self, url: str) -> Page | None:
        try:
            if not await self._robots.allow(url):
                self.report.refused_by_robots += 1
                return None
            if self.report.read:
                await asyncio.sleep(await self._robots.delay_seconds(url))
            return await self._reader.page(url)
        except FetchError as error:
            if not self.report.read and not self.report.failed:
                raise
            self.report.add_failure(url, str(error))
            return None

    def _add_links(self, page: Page, depth: int) -> None:
        if depth >= self._plan.depth or "nofollow" in page.robots or "none" in page.robots:
            return
        for link in page.links:
            if self._is_of_the_site(link.url):
                self._add(link.url, depth + 1, link.label)

    def _add(self, written: str, depth: int, label: str = "") -> None:
        try:
            url = self._fetcher.judged(written)
        except AddressRefusedError:
            return
        if url not in self._seen and len(self._waiting) < _MOST_WAITING:
            self._seen.add(url)
            rank = self._plan.rank(f"{url} {label}") if self._plan.rank is not None else 0.0
            heapq.heappush(self._waiting, (-rank, len(self._seen), url, depth))

    def _is_repeated(self, url: str, landed: str) -> bool:
        """Whether a redirect led to a page that is known; the page then counts as seen."""
        known = landed != url and landed in self._seen
        self._seen.add(landed)
        return known

    def _is_of_the_site(self, url: str) -> bool:
        try:
            host = URL(url).host or ""
        except ValueError:
            return False
        return host == self._host or (self._plan.subdomains and host.endswith(f".{self._host}"))
