"""RSS feeds."""

from collections.abc import Sequence

from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service.call import Call
from llm_orchestrator_client.tool_service.errors import UnimplementedError
from llm_orchestrator_client.tool_service.ownership import Owned


class FeedHandlers:
    """Write those that the backend has.

    The feed that `get_rss_articles`, `refresh_rss_feed` and `delete_rss_feed` get in `request.feed_id` has
    been looked up with `find_feeds` and is one that the user can see, whether it was asked for by id or name.
    """

    async def find_feeds(self, call: Call, *, feed_id: str, feed_name: str) -> Sequence[Owned[str]]:
        """The ids of all feeds of this id, or else of this name, whoever has them; one of the two is empty.

        A feed for every user has the owner EVERYONE.
        """
        raise UnimplementedError("find_feeds")

    async def is_administrator(self, call: Call) -> bool:
        """Whether `call.user` may add and delete feeds that are for every user; nobody may, by default."""
        return False

    async def search_rss_feeds(self, call: Call, request: pb.RSSSearchRequest) -> pb.RSSSearchResponse:
        """Feeds that `call.user` can see, and their articles."""
        raise UnimplementedError("SearchRSSFeeds")

    async def get_rss_articles(self, call: Call, request: pb.RSSArticlesRequest) -> pb.RSSArticlesResponse:
        """The newest articles of a feed."""
        raise UnimplementedError("GetRSSArticles")

    async def add_rss_feed(self, call: Call, request: pb.AddRSSFeedRequest) -> pb.AddRSSFeedResponse:
        """Subscribe `call.user`; with `is_global` everybody, which only an administrator gets here with."""
        raise UnimplementedError("AddRSSFeed")

    async def list_rss_feeds(self, call: Call, request: pb.ListRSSFeedsRequest) -> pb.ListRSSFeedsResponse:
        """The feeds that `call.user` can see."""
        raise UnimplementedError("ListRSSFeeds")

    async def refresh_rss_feed(
        self, call: Call, request: pb.RefreshRSSFeedRequest
    ) -> pb.RefreshRSSFeedResponse:
        """Fetch a feed now."""
        raise UnimplementedError("RefreshRSSFeed")

    async def delete_rss_feed(self, call: Call, request: pb.DeleteRSSFeedRequest) -> pb.DeleteRSSFeedResponse:
        """Remove a feed, of `call.user` or, for an administrator, of all."""
        raise UnimplementedError("DeleteRSSFeed")
