"""What strangers wrote is read in a process that has little, and gets a new one when it takes more."""

import asyncio
import os
import resource
from pathlib import Path

import pytest

from backend.tools.parsing.errors import ParsingError
from backend.tools.parsing.pool import ParsingLimits, ParsingPool
from tests.backend.web import bombs

FEED = b"""<rss version="2.0"><channel><title>A &amp;amp; B</title>
<item><guid>1</guid><title>One</title>
<link>https://e.example/1</link><pubDate>Mon, 02 Jan 2006 15:04:05 GMT</pubDate>
<description>&lt;p onclick="x()"&gt;hi &lt;script&gt;alert(1)&lt;/script&gt;
&lt;a href="javascript:x"&gt;l&lt;/a&gt;
&lt;img src=x onerror=y&gt;&lt;/p&gt;</description></item></channel></rss>"""


def spent_seconds() -> float:
    """Of the processor, by all parsing processes, those that have ended included."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = sum(_ticks(Path("/proc") / child) for child in _children() if _parses(Path("/proc") / child))
    return ended.ru_utime + ended.ru_stime + living / os.sysconf("SC_CLK_TCK")


def _children() -> list[str]:
    tasks = Path("/proc/self/task").iterdir()
    return [child for task in tasks for child in _children_of(task)]


def _children_of(task: Path) -> list[str]:
    try:
        return (task / "children").read_text().split()
    except OSError:  # the thread has ended since it was listed
        return []


def _parses(process: Path) -> bool:
    return b"backend.tools.parsing.child" in (process / "cmdline").read_bytes()


def _ticks(process: Path) -> int:
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def parsed(pool: ParsingPool, body: bytes) -> object:
    try:
        return await pool.parsed("feed", body, url="https://e.example/")
    except ParsingError as error:
        return error


async def test_no_feed_costs_more_than_a_second() -> None:
    async with ParsingPool(ParsingLimits(processes=1)) as pool:
        for bomb in bombs.ALL:
            await parsed(pool, FEED)  # starts a process, if the last bomb has ended it
            before = spent_seconds()
            outcome = await parsed(pool, bomb())
            assert spent_seconds() - before < 1.0, bomb.__name__
            assert "root:" not in str(outcome)
            assert len(str(outcome)) < 200 << 10


async def test_the_next_one_is_read_after_a_bomb() -> None:
    async with ParsingPool(ParsingLimits(processes=1, cpu_seconds=0.2)) as pool:
        assert isinstance(await parsed(pool, bombs.open_brackets()), ParsingError)
        found = await pool.parsed("feed", FEED, url="https://e.example/")
    assert found["title"] == "A & B"


async def test_more_memory_than_there_is_ends_the_process_and_not_the_service() -> None:
    limits = ParsingLimits(processes=1, memory_bytes=400 << 20, cpu_seconds=30.0, seconds=60.0)
    async with ParsingPool(limits) as pool:
        assert isinstance(await parsed(pool, b"<rss><channel><title>" + b"A" * (80 << 20)), ParsingError)
        assert (await pool.parsed("feed", FEED, url="https://e.example/"))["version"] == "rss20"


async def test_a_job_that_is_given_up_leaves_nothing_for_the_next_one() -> None:
    async with ParsingPool(ParsingLimits(processes=1)) as pool:
        await pool.parsed("feed", FEED, url="https://e.example/")
        given_up = asyncio.create_task(pool.parsed("feed", bombs.open_brackets(), url="https://e.example/"))
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        assert (await pool.parsed("feed", FEED, url="https://e.example/"))["title"] == "A & B"


async def test_an_article_is_made_safe() -> None:
    async with ParsingPool() as pool:
        found = await pool.parsed("feed", FEED, url="https://e.example/")
    (article,) = found["articles"]
    assert article["published"] == "2006-01-02T15:04:05+00:00"
    assert article["content"].startswith("<p>hi ")
    assert not any(bad in article["content"] for bad in ("script", "onclick", "alert", "img", "javascript"))


async def test_a_page_is_its_text_its_links_and_what_it_asks_robots() -> None:
    body = (
        "<html><head><title>Bj\xf6rn</title><meta name=ROBOTS content='NoIndex'></head><body><article><p>"
        + "The harbour was built in 1880. " * 20
        + "</p><p><a href='/a#b'>next</a><a href='mailto:x@y'>m</a>"
        "<a rel=nofollow href=/n>n</a></p></article></body>"
    ).encode("latin-1")
    async with ParsingPool() as pool:
        page = await pool.parsed("page", body, url="https://e.example/x/", charset="iso-8859-1")
        odd = await pool.parsed("page", b"\xff\0<<<\0", url="https://e.example/", charset="no-such")
    assert page["title"] == "Bj\xf6rn"
    assert "built in 1880" in page["text"]
    assert page["robots"] == "noindex"
    assert page["links"] == [["https://e.example/a", "next"], ["mailto:x@y", "m"]]
    assert "\0" not in odd["text"]
