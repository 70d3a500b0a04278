"""What a user can read of the feeds."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backend.store.database import Database
from backend.tools.feeds import sql
from llm_orchestrator_client.protos import tool_service_pb2 as pb

if TYPE_CHECKING:
    from backend.store.database import Row


class FeedLookups:
    """Reads rows as messages. All raise StoreUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def feeds(self, user: str, scope: str) -> Sequence[pb.RSSFeedDetails]:
        """All that the user can see; `scope` as in ListRSSFeedsRequest."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(sql.LIST, user, scope)
        return [
            pb.RSSFeedDetails(
                feed_id=row["feed_id"],
                feed_name=row["name"],
                feed_url=row["url"],
                category=row["category"],
                is_global=row["is_global"],
                last_polled=_rfc3339(row["last_polled_at"]),
                article_count=row["article_count"],
            )
            for row in rows
        ]

    async def search(self, user: str, query: str, most: int) -> pb.RSSSearchResponse:
        """Feeds whose name, description or category holds the query, and articles with its words."""
        async with self._database.connection() as connection:
            feeds = await connection.fetch(sql.SEARCH_FEEDS, user, query, most)
            articles = await connection.fetch(sql.SEARCH_ARTICLES, user, query, most)
        return pb.RSSSearchResponse(
            feeds=[
                pb.RSSFeed(
                    feed_id=row["feed_id"],
                    feed_name=row["name"],
                    feed_url=row["url"],
                    description=row["description"],
                )
                for row in feeds
            ],
            articles=[_article(row) for row in articles],
        )

    async def articles(self, feed_id: str, most: int) -> Sequence[pb.RSSArticle]:
        """The newest of a feed."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(sql.ARTICLES, feed_id, most)
        return [_article(row) for row in rows]


def _article(row: "Row") -> pb.RSSArticle:
    return pb.RSSArticle(
        article_id=row["article_id"],
        title=row["title"],
        content=row["content"],
        url=row["url"],
        published_at=_rfc3339(row["published_at"]),
    )


def _rfc3339(when: datetime | None) -> str:
    return "" if when is None else when.astimezone(UTC).isoformat().replace("+00:00", "Z")
