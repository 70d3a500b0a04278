"""Feeds: fetched, kept, polled, searched, and each its owner's."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime

import grpc
import pytest
from aiohttp import web

from backend.store.database import Database
from backend.tools.crawl.fetcher import Fetcher
from backend.tools.feeds.models import Source
from backend.tools.feeds.polling import FeedPolling
from backend.tools.feeds.reading import FeedReader
from backend.tools.feeds.store import FeedLimits, FeedStore
from backend.tools.parsing.pool import ParsingPool
from backend.tools.web import FeedOptions, WebOptions
from llm_orchestrator_client.tool_service import FailedPreconditionError
from tests.backend.web import bombs
from tests.backend.web.serving import Tools, serving
from tests.fakes.web.names import FakeNames
from tests.fakes.web.server import WebServer

NOT_FOUND = grpc.StatusCode.NOT_FOUND


def rss(*titles: str, name: str = "Harbour news") -> str:
    day = datetime(2026, 1, 1, tzinfo=UTC)
    items = "".join(
        f"<item><guid>g-{title}</guid><title>{title}</title><link>https://e.example/{title}</link>"
        f"<pubDate>{format_datetime(day.replace(day=number + 1))}</pubDate>"
        f"<description>&lt;p&gt;All about {title}&lt;/p&gt;</description></item>"
        for number, title in enumerate(titles)
    )
    return f'<rss version="2.0"><channel><title>{name}</title>{items}</channel></rss>'


@pytest.fixture
async def tools(database: Database, names: FakeNames, site: WebServer) -> AsyncIterator[Tools]:
    site.says("/feed", rss("ships", "cranes"), kind="application/rss+xml")
    options = WebOptions(feeds=FeedOptions(administrators=frozenset({"root"}), in_turn=False))
    async with serving(options, database, names, port=site.port) as tools:
        yield tools


@pytest.fixture
def url(site: WebServer) -> str:
    return f"http://site.example:{site.port}/feed"


@pytest.fixture
async def reader(fetcher: Fetcher) -> AsyncIterator[FeedReader]:
    async with ParsingPool() as parsing:
        yield FeedReader(fetcher, parsing)


async def test_a_feed_is_added_read_searched_refreshed_and_deleted(
    tools: Tools, site: WebServer, url: str
) -> None:
    added = await tools.ask("AddRSSFeed", feed_url=url, category="sea")
    assert (added.success, added.feed_name) == (True, "Harbour news")
    articles = (await tools.ask("GetRSSArticles", feed_id=added.feed_id)).articles
    assert [(one.title, one.published_at) for one in articles] == [
        ("cranes", "2026-01-02T00:00:00Z"),
        ("ships", "2026-01-01T00:00:00Z"),
    ]
    assert articles[0].content == "<p>All about cranes</p>"
    found = await tools.ask("SearchRSSFeeds", query="ships")
    assert [one.url for one in found.articles] == ["https://e.example/ships"]
    assert [one.feed_id for one in (await tools.ask("SearchRSSFeeds", query="SEA")).feeds] == [added.feed_id]

    site.says("/feed", rss("ships", "cranes", "gulls"), kind="application/rss+xml")
    refreshed = await tools.ask("RefreshRSSFeed", feed_name="harbour NEWS")
    assert (refreshed.success, refreshed.message) == (True, "The feed has 1 new article.")
    (listed,) = (await tools.ask("ListRSSFeeds")).feeds
    assert (listed.article_count, listed.category, listed.feed_url) == (3, "sea", url)
    assert listed.last_polled.endswith("Z")

    assert (await tools.ask("DeleteRSSFeed", feed_id=added.feed_id)).success
    assert (await tools.ask("ListRSSFeeds")).count == 0
    assert (await tools.refused("GetRSSArticles", feed_id=added.feed_id)).code == NOT_FOUND


async def test_a_feed_is_there_once_for_each_user_and_its_articles_once_for_each_guid(
    tools: Tools, site: WebServer, url: str
) -> None:
    first = await tools.ask("AddRSSFeed", feed_url=url)
    again = await tools.ask("AddRSSFeed", feed_url=url, feed_name="other")
    assert (again.feed_id, again.feed_name, again.message) == (
        first.feed_id,
        "Harbour news",
        "The feed was there already.",
    )
    bobs = await tools.ask("AddRSSFeed", "bob", feed_url=url)
    assert bobs.feed_id != first.feed_id
    changed = rss("ships", "ships").replace("All about", "More about", 1)
    site.says("/feed", changed, kind="application/rss+xml")
    refreshed = await tools.ask("RefreshRSSFeed", feed_id=first.feed_id)
    assert refreshed.message == "The feed has 0 new articles."
    assert len((await tools.ask("GetRSSArticles", feed_id=first.feed_id)).articles) == 2


async def test_what_is_anothers_is_not_there(tools: Tools, url: str) -> None:
    anns = (await tools.ask("AddRSSFeed", feed_url=url)).feed_id
    for rpc in ("GetRSSArticles", "RefreshRSSFeed", "DeleteRSSFeed"):
        refused = await tools.refused(rpc, "bob", feed_id=anns)
        never_was = await tools.refused(rpc, "bob", feed_id="never-was")
        assert (refused.code, refused.text) == (never_was.code, never_was.text) == (NOT_FOUND, refused.text)
    assert (await tools.refused("DeleteRSSFeed", "bob", feed_name="Harbour news")).code == NOT_FOUND
    assert (await tools.ask("ListRSSFeeds", "bob")).count == 0
    found = await tools.ask("SearchRSSFeeds", "bob", query="ships")
    assert (len(found.feeds), len(found.articles)) == (0, 0)
    assert (await tools.ask("ListRSSFeeds")).count == 1


async def test_a_feed_of_all_is_added_and_deleted_by_administrators_only(tools: Tools, url: str) -> None:
    denied = await tools.refused("AddRSSFeed", feed_url=url, is_global=True)
    assert denied.code == grpc.StatusCode.PERMISSION_DENIED
    feed_id = (await tools.ask("AddRSSFeed", "root", feed_url=url, is_global=True)).feed_id
    (seen,) = (await tools.ask("ListRSSFeeds", scope="global")).feeds
    assert (seen.feed_id, seen.is_global) == (feed_id, True)
    assert (await tools.ask("ListRSSFeeds", scope="user")).count == 0
    assert len((await tools.ask("SearchRSSFeeds", query="ships")).articles) == 1
    assert (await tools.ask("RefreshRSSFeed", feed_id=feed_id)).success
    denied = await tools.refused("DeleteRSSFeed", feed_id=feed_id)
    assert denied.code == grpc.StatusCode.PERMISSION_DENIED
    await tools.ask("AddRSSFeed", feed_url=url)
    ambiguous = await tools.refused("RefreshRSSFeed", feed_name="Harbour news")
    assert ambiguous.code == grpc.StatusCode.FAILED_PRECONDITION
    assert (await tools.ask("DeleteRSSFeed", "root", feed_id=feed_id)).success
    assert (await tools.ask("ListRSSFeeds", scope="global")).count == 0


async def test_what_is_no_feed_is_not_added(tools: Tools, site: WebServer, inside: WebServer) -> None:
    site.says("/page", "<html><body>hello</body></html>")
    site.says("/bomb", bombs.open_brackets(), kind="application/xml")
    site.says("/image", b"x", kind="image/png")
    site.redirects("/inside", f"{inside.url}/feed")
    for path in ("/page", "/bomb", "/image", "/missing"):
        added = await tools.ask("AddRSSFeed", feed_url=f"{site.url}{path}")
        assert (added.success, added.error[:24]) == (False, "The feed was not added: "), path
    for address in (f"{inside.url}/feed", f"{site.url}/inside", "file:///etc/passwd"):
        refused = await tools.refused("AddRSSFeed", feed_url=address)
        assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    assert inside.ledger == []
    assert (await tools.ask("ListRSSFeeds")).count == 0


async def test_a_feed_that_fails_says_so_and_keeps_its_articles(
    tools: Tools, site: WebServer, url: str
) -> None:
    feed_id = (await tools.ask("AddRSSFeed", feed_url=url)).feed_id
    site.says("/feed", "gone", status=500)
    refreshed = await tools.ask("RefreshRSSFeed", feed_id=feed_id)
    assert not refreshed.success
    assert refreshed.error == "The feed was not fetched: the server answers with status 500."
    assert len((await tools.ask("GetRSSArticles", feed_id=feed_id, limit=1)).articles) == 1


async def test_what_has_not_changed_is_not_sent_again(
    database: Database, reader: FeedReader, site: WebServer, url: str
) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("If-None-Match") == '"v1"':
            return web.Response(status=304)
        headers = {"ETag": '"v1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        return web.Response(text=rss("ships"), content_type="application/rss+xml", headers=headers)

    site.answers["/feed"] = answer
    store = FeedStore(database)
    read = await reader.read(Source(url))
    assert read is not None
    added = await store.add("ann", read, name="x", category="")
    feed = await store.source(added.feed_id)
    assert feed is not None
    assert await FeedPolling(store, reader).refreshed(feed) == 0
    assert site.ledger[1].headers["if-modified-since"] == "Thu, 01 Jan 2026 00:00:00 GMT"


async def test_feeds_are_polled_in_their_turn_by_one_process_only(
    database: Database, reader: FeedReader, site: WebServer, url: str
) -> None:
    site.says("/feed", rss("ships"), kind="application/rss+xml")
    store = FeedStore(database, FeedLimits(poll_seconds=3600.0))
    read = await reader.read(Source(url))
    assert read is not None
    added = await store.add("ann", read, name="x", category="")
    polling = FeedPolling(store, reader)
    assert await polling.poll_due() == 0
    await due_now(database)
    assert (len(await store.due(9)), len(await store.due(9))) == (1, 0)
    await due_now(database)
    assert await polling.poll_due() == 1
    left = await store.seconds_until_due()
    assert left is not None
    assert 3000 < left <= 3600
    assert len(site.ledger) == 2
    assert (await store.source(added.feed_id)) is not None


async def test_a_feed_that_fails_is_asked_less_and_less_until_it_answers(
    database: Database, reader: FeedReader, site: WebServer, url: str
) -> None:
    site.says("/feed", rss("ships"), kind="application/rss+xml")
    store = FeedStore(database, FeedLimits(poll_seconds=100.0, most_poll_seconds=500.0))
    read = await reader.read(Source(url))
    assert read is not None
    await store.add("ann", read, name="x", category="")
    site.says("/feed", status=503)
    pauses = []
    for _ in range(4):
        pauses.append(await polled_pause(database, store, reader))
    assert [round(pause, -2) for pause in pauses] == [200, 400, 500, 500]
    site.says("/feed", rss("ships"), kind="application/rss+xml")
    assert round(await polled_pause(database, store, reader), -2) == 100


async def test_a_running_backend_polls_by_itself(
    database: Database, reader: FeedReader, site: WebServer, url: str
) -> None:
    site.says("/feed", rss("ships"), kind="application/rss+xml")
    store = FeedStore(database)
    read = await reader.read(Source(url))
    assert read is not None
    await store.add("ann", read, name="x", category="")
    await due_now(database)
    async with FeedPolling(store, reader):
        while len(site.ledger) < 2:
            await site.heard.wait()
            site.heard.clear()
    assert site.paths == ["/feed", "/feed"]


async def test_a_user_has_so_many_feeds_and_a_feed_so_many_articles(
    database: Database, reader: FeedReader, site: WebServer, url: str
) -> None:
    site.says("/feed", rss(*(f"n{number}" for number in range(9))), kind="application/rss+xml")
    store = FeedStore(database, FeedLimits(per_user=1, articles=5))
    read = await reader.read(Source(url))
    assert read is not None
    added = await store.add("ann", read, name="x", category="")
    async with database.connection() as connection:
        titles = await connection.fetch("SELECT title FROM articles ORDER BY title")
    assert [row["title"] for row in titles] == ["n4", "n5", "n6", "n7", "n8"]
    assert added.is_new
    other = replace(read, source=Source(f"{url}2"))
    with pytest.raises(FailedPreconditionError, match="There are 1 feeds already"):
        await store.add("ann", other, name="y", category="")
    assert (await store.add("bob", other, name="y", category="")).is_new


async def due_now(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE feeds SET next_poll_at = now() - interval '1 second'")


async def polled_pause(database: Database, store: FeedStore, reader: FeedReader) -> float:
    """When the feed is due after a poll that is due now."""
    await due_now(database)
    assert await FeedPolling(store, reader).poll_due() == 1
    left = await store.seconds_until_due()
    assert left is not None
    return left
