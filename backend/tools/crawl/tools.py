"""CrawlWebContent and SearchAndCrawl."""

import asyncio

from backend.tools.crawl.errors import FetchError
from backend.tools.crawl.pages import Page, PageReader
from backend.tools.search import WebSearch
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import Call

_PAGES = 3
_MOST_PAGES = 10


class PageTools:
    """A part: single pages."""

    def __init__(self, reader: PageReader) -> None:
        self._reader = reader

    async def crawl_web_content(self, _call: Call, request: pb.WebCrawlRequest) -> pb.WebCrawlResponse:
        """The readable text of a page. Raises: ToolServiceError: It may not or cannot be fetched."""
        try:
            page = await self._reader.page(request.url)
        except FetchError as error:
            raise error.as_answer() from error
        return pb.WebCrawlResponse(
            url=page.url, title=page.title, content=page.text, metadata=_metadata(page)
        )


class SearchedPageTools:
    """A part: the pages that a search finds."""

    def __init__(self, search: WebSearch, reader: PageReader) -> None:
        self._search = search
        self._reader = reader

    async def search_and_crawl(
        self, _call: Call, request: pb.SearchAndCrawlRequest
    ) -> pb.SearchAndCrawlResponse:
        """The best hits and the texts of those that can be fetched. Raises: ToolServiceError: No search."""
        wanted = min(request.num_results or _PAGES, _MOST_PAGES)
        hits = await self._search.found(request.query, wanted)
        # At the same time, and each bounded by the fetcher: the slowest page decides how long it takes.
        pages = await asyncio.gather(*(self._page(hit.url) for hit in hits))
        return pb.SearchAndCrawlResponse(
            search_results=hits, crawl_results=[page for page in pages if page is not None]
        )

    async def _page(self, url: str) -> pb.WebCrawlResult | None:
        try:
            page = await self._reader.page(url)
        except FetchError:
            return None
        return pb.WebCrawlResult(url=page.url, title=page.title, content=page.text, metadata=_metadata(page))


def _metadata(page: Page) -> dict[str, str]:
    said = {**page.metadata, "content_type": page.content_type}
    if page.truncated:
        said["truncated"] = "true"
    return said
