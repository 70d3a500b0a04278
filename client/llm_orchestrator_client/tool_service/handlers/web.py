"""The open world. Whoever fetches has to see to it that an address, and each redirect, is public."""

from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service.call import Call
from llm_orchestrator_client.tool_service.errors import UnimplementedError


class WebHandlers:
    """Write those that the backend has."""

    async def search_web(self, call: Call, request: pb.WebSearchRequest) -> pb.WebSearchResponse:
        """Search the web."""
        raise UnimplementedError("SearchWeb")

    async def crawl_web_content(self, call: Call, request: pb.WebCrawlRequest) -> pb.WebCrawlResponse:
        """Fetch one page."""
        raise UnimplementedError("CrawlWebContent")

    async def search_and_crawl(
        self, call: Call, request: pb.SearchAndCrawlRequest
    ) -> pb.SearchAndCrawlResponse:
        """Search the web and fetch the best hits."""
        raise UnimplementedError("SearchAndCrawl")
