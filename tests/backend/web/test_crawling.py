"""Pages and sites as the agents ask for them."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from aiohttp import web
from google.protobuf.json_format import MessageToDict

from backend.shelf import Shelf
from backend.store.database import Database
from backend.store.documents import DocumentStore
from backend.tools.crawl.described import CrawlTimes
from backend.tools.crawl.pages import Page
from backend.tools.crawl.storing import ShelfPages
from backend.tools.web import FetchingOptions, WebOptions
from tests.backend.web.serving import Tools, serving
from tests.fakes.web.names import FakeNames
from tests.fakes.web.server import WebServer

SENTENCE = "It was built in 1880 and many ships came. " * 5
OPTIONS = WebOptions(fetching=FetchingOptions(times=CrawlTimes(answer=20.0)), feeds=None)


def html(title: str, *links: str, text: str = SENTENCE, head: str = "") -> str:
    anchors = "".join(f"<a href='{link}'>{link}</a> " for link in links)
    body = f"<article><p>{text}</p>{anchors}</article>"
    return f"<html><head><title>{title}</title>{head}</head><body>{body}</body></html>"


class Kept:
    """A PageStore that keeps pages here, and can be made to wait."""

    def __init__(self) -> None:
        self.pages: list[tuple[str, Page]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.changed = asyncio.Event()

    async def store_page(self, user: str, page: Page) -> str:
        if self.pages:
            await self.open.wait()
        self.pages.append((user, page))
        self.changed.set()
        return page.url


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def home(site: WebServer) -> str:
    """A site of five pages, one of which robots.txt forbids."""
    site.says("/robots.txt", "User-agent: *\nDisallow: /private\n", kind="text/plain")
    site.says(
        "/", html("Home", "/history", "/about#team", "/private/x", "http://other.example/", "/file.pdf")
    )
    site.says("/history", html("History", "/", "/deep", text=f"The harbour: {SENTENCE}"))
    site.says("/about", html("About", "/history", "mailto:x@y.z", "javascript:x()", "http://127.0.0.1/"))
    site.says("/deep", html("Deep", "/deeper"))
    site.says("/deeper", html("Deeper"))
    site.says("/private/x", html("Private"))
    site.says("/file.pdf", b"%PDF", kind="application/pdf")
    return f"http://site.example:{site.port}/"


@pytest.fixture
async def tools(
    database_less: Database, names: FakeNames, site: WebServer, kept: Kept
) -> AsyncIterator[Tools]:
    async with serving(OPTIONS, database_less, names, port=site.port, pages=kept) as tools:
        yield tools


@pytest.fixture
def database_less() -> Database:
    """Never opened: nothing here is to touch it."""
    return Database("postgresql:///none")


def data_of(output: Any) -> Any:
    return MessageToDict(output.data)


async def test_a_page_is_its_readable_text(tools: Tools, home: str, site: WebServer) -> None:
    page = await tools.ask("CrawlWebContent", url=f"{home}history")
    assert (page.title, page.url, page.html) == ("History", f"{home}history", "")
    assert "built in 1880" in page.content
    assert page.metadata["content_type"] == "text/html"
    site.says("/notes", "plain \x00words", kind="text/plain; charset=utf-8")
    assert (await tools.ask("CrawlWebContent", url=f"{home}notes")).content == "plain words"


async def test_a_page_that_cannot_be_had_is_no_problem_of_the_backend(
    tools: Tools, home: str, site: WebServer, inside: WebServer
) -> None:
    site.says("/down", "x", status=503)
    wrong = {
        f"{home}missing": "NOT_FOUND",
        f"{home}file.pdf": "FAILED_PRECONDITION",
        f"{home}down": "FAILED_PRECONDITION",
        "http://no.such.example/": "FAILED_PRECONDITION",
        inside.url: "INVALID_ARGUMENT",
        "ftp://site.example/": "INVALID_ARGUMENT",
    }
    for url, code in wrong.items():
        refused = await tools.refused("CrawlWebContent", url=url)
        assert refused.code.name == code, url
        assert "127.0.0" not in refused.text
    assert inside.ledger == []


async def test_a_search_with_pages_leaves_out_those_that_cannot_be_had(
    database_less: Database, names: FakeNames, site: WebServer, home: str, inside: WebServer
) -> None:
    urls = [f"{home}history", f"{home}missing", f"{inside.url}/secret", f"{home}about"]
    hits = [{"url": url, "title": "t", "score": 4 - n} for n, url in enumerate(urls)]
    site.says_json("/search", {"results": hits})
    options = replace(OPTIONS, search_url=site.url)
    async with serving(options, database_less, names, port=site.port) as tools:
        answer = await tools.ask("SearchAndCrawl", query="harbour", num_results=4)
    assert [hit.url for hit in answer.search_results] == urls
    assert [page.title for page in answer.crawl_results] == ["History", "About"]
    assert inside.ledger == []


async def test_a_site_is_read_within_its_host_its_rules_and_the_depth(
    tools: Tools, home: str, site: WebServer
) -> None:
    output = await tools.invoke("crawl_site", url=home, query="Which harbour?", max_depth=1)
    found = data_of(output)
    assert {page["url"] for page in found["pages"]} == {home, f"{home}history", f"{home}about"}
    assert found["pages"][0]["title"] == "History"
    assert found["pages_refused_by_robots_txt"] == 1
    assert found["failures"] == [f"{home}file.pdf: it is of a kind that is not read here"]
    assert output.untrusted
    assert "/private/x" not in site.paths
    assert site.paths.count("/robots.txt") == 1
    assert all(heard.host.startswith("site.example") for heard in site.ledger)


async def test_the_pages_that_fit_the_question_come_first(tools: Tools, home: str, site: WebServer) -> None:
    site.says("/", html("Home", "/a", "/b", "/c", "/harbour-history"))
    for path in ("/a", "/b", "/c", "/harbour-history"):
        site.says(path, html(path))
    output = await tools.invoke("crawl_site", url=home, query="history of the harbour", max_pages=2)
    assert {page["title"] for page in data_of(output)["pages"]} == {"Home", "/harbour-history"}
    assert output.truncated


async def test_a_site_whose_rules_cannot_be_had_is_left_alone(
    tools: Tools, home: str, site: WebServer, kept: Kept
) -> None:
    site.says("/robots.txt", "x", status=503)
    for name in ("crawl_site", "crawl_website_recursive"):
        refused = await tools.refused_invoke(name, url=home)
        assert refused.text == (
            "It could not be fetched: its robots.txt cannot be had: the server answers with status 503."
        )
    assert site.paths == ["/robots.txt", "/robots.txt"]
    assert kept.pages == []


async def test_a_page_that_redirects_to_another_site_is_not_of_this_one(
    tools: Tools, home: str, site: WebServer, names: FakeNames
) -> None:
    names.leads("other.example", ["127.0.0.2"])
    site.redirects("/history", f"http://other.example:{site.port}/deeper")
    output = await tools.invoke("crawl_site", url=home, max_depth=1)
    assert {page["title"] for page in data_of(output)["pages"]} == {"Home", "About"}


async def test_a_site_that_is_slow_is_answered_with_what_there_is(
    database_less: Database, names: FakeNames, site: WebServer, home: str
) -> None:
    site.hangs("/history")
    options = WebOptions(fetching=FetchingOptions(times=CrawlTimes(answer=3.0)), feeds=None)
    async with serving(options, database_less, names, port=site.port) as tools:
        found = data_of(await tools.invoke("crawl_site", url=home, query="history"))
    assert [page["title"] for page in found["pages"]] == ["Home"]


async def test_an_address_that_may_not_be_fetched_is_refused(
    tools: Tools, inside: WebServer, kept: Kept
) -> None:
    for name in ("crawl_site", "crawl_website_recursive"):
        refused = await tools.refused_invoke(name, url=f"{inside.url}/")
        assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
        unknown = await tools.refused_invoke(name, url="http://no.example/")
        assert unknown.code == grpc.StatusCode.FAILED_PRECONDITION
        misspelt = await tools.refused_invoke(name, url="http://site.example/", depth=1)
        assert misspelt.code == grpc.StatusCode.INVALID_ARGUMENT
    assert inside.ledger == []


async def test_a_whole_site_becomes_documents_of_the_user(
    database: Database, names: FakeNames, site: WebServer, home: str
) -> None:
    site.says("/about", html("About", head="<meta name=robots content=noindex>"))
    title = 'D\n---\nowner: "x"'
    site.says("/deep", html(title, "/deeper"))
    documents = DocumentStore(database)
    pages = ShelfPages(Shelf(documents))
    async with serving(OPTIONS, database, names, port=site.port, pages=pages) as tools:
        found = data_of(await tools.invoke("crawl_website_recursive", url=home))
        again = data_of(await tools.invoke("crawl_website_recursive", url=home))
    assert found["state"] == again["state"] == "finished"
    assert (found["pages_stored"], found["pages_left_out"]) == (4, 1)
    assert found["pages_refused_by_robots_txt"] == 1
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT * FROM documents ORDER BY filename")
    assert {row["user_id"] for row in rows} == {"ann"}
    assert [row["filename"] for row in rows] == [home, f"{home}deep", f"{home}deeper", f"{home}history"]
    assert [row["title"] for row in rows] == ["Home", 'D --- owner: "x"', "Deeper", "History"]
    assert json.loads(rows[1]["metadata"]) == {"source": f"{home}deep"}
    assert rows[0]["tags"] == ["web"]


async def test_what_is_not_done_in_time_goes_on_in_the_background(
    database_less: Database, names: FakeNames, site: WebServer, home: str, kept: Kept
) -> None:
    kept.open.clear()
    options = WebOptions(fetching=FetchingOptions(times=CrawlTimes(answer=2.0)), feeds=None)
    async with serving(options, database_less, names, port=site.port, pages=kept) as tools:
        found = data_of(await tools.invoke("crawl_website_recursive", url=home))
        assert "goes on in the background" in found["state"]
        assert found["pages_stored"] == 1
        kept.open.set()
        while len(kept.pages) < 5:
            await kept.changed.wait()
            kept.changed.clear()
    assert {user for user, _ in kept.pages} == {"ann"}


async def test_the_end_of_the_backend_ends_its_crawls(
    database_less: Database, names: FakeNames, site: WebServer, home: str, kept: Kept
) -> None:
    kept.open.clear()
    options = WebOptions(fetching=FetchingOptions(times=CrawlTimes(answer=1.0)), feeds=None)
    async with serving(options, database_less, names, port=site.port, pages=kept) as tools:
        await tools.invoke("crawl_website_recursive", url=home)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "site-crawl"]


async def test_a_site_without_an_end_is_left_at_the_number_of_pages(
    tools: Tools, names: FakeNames, site: WebServer, kept: Kept
) -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        number = int(request.path.strip("/") or 0)
        body = html(f"Page {number}", *(f"/{number * 10 + n}" for n in range(10)))
        return web.Response(text=body, content_type="text/html")

    for number in range(400):
        site.answers[f"/{number or ''}"] = endless
    found = data_of(
        await tools.invoke("crawl_website_recursive", url=f"http://site.example:{site.port}/", max_pages=12)
    )
    assert (found["pages_stored"], found["stopped_at_max_pages"]) == (12, True)
