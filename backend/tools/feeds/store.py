"""Feeds and articles in Postgres."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend.store.database import Database
from backend.tools.feeds import sql
from backend.tools.feeds.models import DueFeed, ReadFeed, Source
from llm_orchestrator_client.tool_service import EVERYONE, FailedPreconditionError, Owned

if TYPE_CHECKING:
    from backend.store.database import Connection, Row

_CLAIM_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """`per_user`: feeds of a user, and of all users together. `articles`: kept of one feed.

    `poll_seconds`: between two polls; after failures twice as long each time, up to `most_poll_seconds`.
    """

    per_user: int = 200
    articles: int = 500
    poll_seconds: float = 1800.0
    most_poll_seconds: float = 86_400.0


@dataclass(frozen=True, slots=True)
class AddedFeed:
    """A feed after it was added, or that was there already."""

    feed_id: str
    name: str
    is_new: bool


class FeedStore:
    """Rows of feeds. `owner` None = of every user. All raise StoreUnavailableError."""

    def __init__(self, database: Database, limits: FeedLimits = FeedLimits()) -> None:
        self._database = database
        self._limits = limits

    async def add(self, owner: str | None, read: ReadFeed, *, name: str, category: str) -> AddedFeed:
        """Keep a feed with its articles, once for each owner and address.

        Raises:
            FailedPreconditionError: The owner has as many as one may have.
        """
        url, seconds = read.source.url, self._limits.poll_seconds
        async with self._database.transaction() as connection:
            if await connection.fetchval(sql.COUNT, owner) >= self._limits.per_user:
                raise FailedPreconditionError(
                    f"There are {self._limits.per_user} feeds already; remove one first."
                )
            feed_id = await connection.fetchval(
                sql.ADD, owner, url, name, read.description, category, seconds
            )
            if feed_id is None:
                row = await connection.fetchrow(sql.PRESENT, url, owner)
                if row is None:
                    raise FailedPreconditionError("The feed has just been removed; try again.")
                return AddedFeed(row["feed_id"], row["name"], is_new=False)
            await self._save(connection, feed_id, read)
            return AddedFeed(feed_id, name, is_new=True)

    async def present(self, owner: str | None, url: str) -> AddedFeed | None:
        """The feed of this owner and address."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(sql.PRESENT, url, owner)
        return None if row is None else AddedFeed(row["feed_id"], row["name"], is_new=False)

    async def found(self, *, feed_id: str, name: str) -> Sequence[Owned[str]]:
        """The feed of this id, or else all of this name, whoever has them."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(sql.FIND, feed_id, name)
        return [Owned(EVERYONE if row["owner"] is None else row["owner"], row["feed_id"]) for row in rows]

    async def source(self, feed_id: str) -> DueFeed | None:
        """What to fetch a feed with; None = it is gone."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(sql.DUE_ONE, feed_id)
        return None if row is None else _due(row)

    async def delete(self, feed_id: str) -> None:
        """Remove a feed and its articles."""
        async with self._database.connection() as connection:
            await connection.execute(sql.DELETE, feed_id)

    async def save(self, feed_id: str, read: ReadFeed | None) -> int:
        """Keep what a poll has brought, None = nothing new; how many articles are new."""
        async with self._database.transaction() as connection:
            return await self._save(connection, feed_id, read)

    async def _save(self, connection: "Connection", feed_id: str, read: ReadFeed | None) -> int:
        tags = (None, None) if read is None else (read.source.etag, read.source.last_modified)
        done = await connection.execute(sql.POLLED, feed_id, self._limits.poll_seconds, *tags)
        if read is None or done == "UPDATE 0":  # it was deleted meanwhile
            return 0
        columns = [[getattr(one, name) for one in read.articles] for name in _COLUMNS]
        rows = await connection.fetch(sql.SAVE_ARTICLES, feed_id, *columns)
        await connection.execute(sql.FORGET_ARTICLES, feed_id, self._limits.articles)
        return sum(row["is_new"] for row in rows)

    async def failed(self, feed_id: str) -> None:
        """Count a failed poll, and put the next one off."""
        limits = self._limits
        async with self._database.connection() as connection:
            await connection.execute(sql.FAILED, feed_id, limits.poll_seconds, limits.most_poll_seconds)

    async def due(self, most: int) -> Sequence[DueFeed]:
        """Feeds whose turn it is. They are the caller's for two minutes."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(sql.CLAIM, most, _CLAIM_SECONDS)
        return [_due(row) for row in rows]

    async def seconds_until_due(self) -> float | None:
        """Until the next feed's turn, 0 when it is over; None = there is no feed."""
        async with self._database.connection() as connection:
            seconds: float | None = await connection.fetchval(sql.UNTIL_DUE)
        return None if seconds is None else max(0.0, seconds)


_COLUMNS = ("guid", "title", "url", "content", "published")


def _due(row: "Row") -> DueFeed:
    return DueFeed(row["feed_id"], row["name"], Source(row["url"], row["etag"], row["last_modified"]))
