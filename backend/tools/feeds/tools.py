"""The six RPCs of feeds."""

from collections.abc import Collection, Sequence

from backend.tools.crawl.errors import AddressRefusedError, FetchError
from backend.tools.feeds.lookups import FeedLookups
from backend.tools.feeds.models import Source
from backend.tools.feeds.polling import FeedPolling
from backend.tools.feeds.reading import FeedReader
from backend.tools.feeds.store import FeedStore
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import Call, InvalidArgumentError, NotFoundError, Owned

_ARTICLES = 20
_MOST_ARTICLES = 100
_MOST_NAME = 200


class FeedTools:
    """A part: feeds of a user, and those of every user, which `administrators` add and delete."""

    def __init__(
        self,
        store: FeedStore,
        lookups: FeedLookups,
        reader: FeedReader,
        polling: FeedPolling,
        *,
        administrators: Collection[str] = (),
    ) -> None:
        self._store = store
        self._lookups = lookups
        self._reader = reader
        self._polling = polling
        self._administrators = frozenset(administrators)

    async def find_feeds(self, _call: Call, *, feed_id: str, feed_name: str) -> Sequence[Owned[str]]:
        """The feeds of this id or name, whoever has them."""
        return await self._store.found(feed_id=feed_id, name=feed_name)

    async def is_administrator(self, call: Call) -> bool:
        """Whether the operator has named the user."""
        return call.user in self._administrators

    async def search_rss_feeds(self, call: Call, request: pb.RSSSearchRequest) -> pb.RSSSearchResponse:
        """Feeds and articles that the user can see."""
        if not request.query.strip():
            raise InvalidArgumentError("query is needed", field="query")
        return await self._lookups.search(call.user, request.query, _bounded(request.limit))

    async def get_rss_articles(self, _call: Call, request: pb.RSSArticlesRequest) -> pb.RSSArticlesResponse:
        """The newest articles of a feed that the user can see."""
        articles = await self._lookups.articles(request.feed_id, _bounded(request.limit))
        return pb.RSSArticlesResponse(articles=articles)

    async def list_rss_feeds(self, call: Call, request: pb.ListRSSFeedsRequest) -> pb.ListRSSFeedsResponse:
        """The feeds that the user can see."""
        if request.scope not in ("", "user", "global"):
            raise InvalidArgumentError("scope is user, global or empty", field="scope")
        feeds = await self._lookups.feeds(call.user, request.scope)
        return pb.ListRSSFeedsResponse(feeds=feeds, count=len(feeds), success=True)

    async def add_rss_feed(self, call: Call, request: pb.AddRSSFeedRequest) -> pb.AddRSSFeedResponse:
        """Fetch a feed and keep it: what is none is not added."""
        owner = None if request.is_global else call.user
        added = await self._store.present(owner, request.feed_url)
        if added is None:
            try:
                read = await self._reader.read(Source(request.feed_url))
            except AddressRefusedError as error:
                raise error.as_answer() from error
            except FetchError as error:
                return pb.AddRSSFeedResponse(success=False, error=f"The feed was not added: {error}.")
            if read is None:
                raise RuntimeError("a feed that is not known has not changed")
            name = request.feed_name.strip() or read.title or request.feed_url
            added = await self._store.add(
                owner, read, name=name[:_MOST_NAME], category=request.category[:_MOST_NAME]
            )
        message = "The feed has been added." if added.is_new else "The feed was there already."
        return pb.AddRSSFeedResponse(
            success=True, feed_id=added.feed_id, feed_name=added.name, message=message
        )

    async def refresh_rss_feed(
        self, _call: Call, request: pb.RefreshRSSFeedRequest
    ) -> pb.RefreshRSSFeedResponse:
        """Fetch a feed now; it is done when this answers."""
        feed = await self._store.source(request.feed_id)
        if feed is None:
            raise NotFoundError("Nothing of this kind has been found.")
        response = pb.RefreshRSSFeedResponse(feed_id=feed.feed_id, feed_name=feed.name)
        try:
            new = await self._polling.refreshed(feed)
        except FetchError as error:
            response.error = f"The feed was not fetched: {error}."
            return response
        response.success = True
        response.message = f"The feed has {new} new article{'' if new == 1 else 's'}."
        return response

    async def delete_rss_feed(
        self, _call: Call, request: pb.DeleteRSSFeedRequest
    ) -> pb.DeleteRSSFeedResponse:
        """Remove a feed and its articles."""
        await self._store.delete(request.feed_id)
        return pb.DeleteRSSFeedResponse(
            success=True, feed_id=request.feed_id, message="The feed and its articles have been removed."
        )


def _bounded(limit: int) -> int:
    return min(limit or _ARTICLES, _MOST_ARTICLES)
