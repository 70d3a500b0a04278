"""What strangers' servers do wrong ends in a reason, in time and within the limits."""

import asyncio
import gzip
import zlib

import pytest
from aiohttp import web

from backend.tools.crawl.addresses import Guard, allowed_of
from backend.tools.crawl.errors import (
    FetchError,
    MissingPageError,
    TooLargeError,
    UnreachableError,
    WrongContentError,
)
from backend.tools.crawl.fetcher import PAGES, Fetcher, FetchOptions
from tests.fakes.web.names import FakeNames
from tests.fakes.web.server import WebServer


async def endless(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/html"})
    await response.prepare(request)
    try:
        while True:
            await response.write(b"<p>more</p>" * 1000)
    except ConnectionError:
        return response


async def test_a_body_without_an_end_is_cut_off(fetcher: Fetcher, site: WebServer) -> None:
    site.answers["/"] = endless
    with pytest.raises(TooLargeError):
        await fetcher.fetch(site.url, PAGES)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_decompresses_to_a_thousandfold_is_cut_off(
    fetcher: Fetcher, site: WebServer, encoding: str
) -> None:
    packer = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    block = b"\0" * (1 << 20)
    bomb = b"".join([*(packer.compress(block) for _ in range(64)), packer.flush()])
    site.says("/", bomb, Content_Encoding=encoding)
    with pytest.raises(TooLargeError):
        await fetcher.fetch(site.url, PAGES)


async def test_a_body_that_is_said_to_be_too_long_is_not_read(fetcher: Fetcher, site: WebServer) -> None:
    site.says("/", b"x" * (300 << 10))
    with pytest.raises(TooLargeError):
        await fetcher.fetch(site.url, PAGES)


async def test_a_compressed_body_within_the_limits_is_read(fetcher: Fetcher, site: WebServer) -> None:
    site.says("/", gzip.compress(b"<p>hello</p>"), Content_Encoding="gzip")
    assert (await fetcher.fetch(site.url, PAGES)).body == b"<p>hello</p>"


async def test_a_server_that_does_not_answer_ends_in_time(
    guard: Guard, names: FakeNames, site: WebServer
) -> None:
    site.hangs("/")
    async with Fetcher(guard, names, FetchOptions(seconds=0.2)) as fetcher:
        with pytest.raises(UnreachableError, match="in time"):
            await fetcher.fetch(site.url, PAGES)


async def test_a_server_that_sends_a_byte_now_and_then_ends_in_time(
    guard: Guard, names: FakeNames, site: WebServer
) -> None:
    async def drip(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/html"})
        await response.prepare(request)
        while not site.released.is_set():
            await response.write(b".")
            await asyncio.sleep(0.02)
        return response

    site.answers["/"] = drip
    async with Fetcher(guard, names, FetchOptions(seconds=0.3)) as fetcher:
        with pytest.raises(UnreachableError, match="in time"):
            await fetcher.fetch(site.url, PAGES)


@pytest.mark.parametrize("kind", ["application/pdf", "image/png", "application/octet-stream", ""])
async def test_what_is_no_page_is_not_read(fetcher: Fetcher, site: WebServer, kind: str) -> None:
    site.says("/", b"%PDF", kind=kind)
    with pytest.raises(WrongContentError):
        await fetcher.fetch(site.url, PAGES)


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, MissingPageError), (410, MissingPageError), (403, UnreachableError), (500, UnreachableError)],
)
async def test_a_status_that_is_no_success_is_told(
    fetcher: Fetcher, site: WebServer, status: int, error: type[FetchError]
) -> None:
    site.says("/", "no", status=status)
    with pytest.raises(error):
        await fetcher.fetch(site.url, PAGES)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 302 Found\r\nLocation: http://[::\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.0\r\n",
    ],
)
async def test_what_is_no_http_is_a_reason_and_no_crash(names: FakeNames, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        guard = Guard(allowed=[allowed_of(f"127.0.0.1:{port}")])
        async with Fetcher(guard, names, FetchOptions(seconds=10.0)) as fetcher:
            with pytest.raises(FetchError):
                await fetcher.fetch(f"http://127.0.0.1:{port}/", PAGES)


async def test_no_cookie_is_kept_and_the_robot_says_its_name(fetcher: Fetcher, site: WebServer) -> None:
    site.says("/", "<p>hi</p>", Set_Cookie="who=ann")
    await fetcher.fetch(site.url, PAGES)
    await fetcher.fetch(site.url, PAGES)
    assert "cookie" not in site.ledger[1].headers
    assert site.ledger[1].headers["user-agent"] == "llm-orchestrator-backend"
