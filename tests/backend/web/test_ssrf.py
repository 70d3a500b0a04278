# ruff: noqa: RUF001 - digits that look like others are the point
"""Nothing that a model or a stranger writes makes the backend connect to what is not public."""

import pytest

from backend.tools.crawl.addresses import Guard, address_of, allowed_of, is_public
from backend.tools.crawl.errors import AddressRefusedError, FetchError, UnreachableError
from backend.tools.crawl.fetcher import PAGES, Fetcher, FetchOptions
from tests.backend.web.serving import PUBLIC
from tests.fakes.web.names import FakeNames
from tests.fakes.web.server import WebServer, web_server

LOOPBACK = (
    *(
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "127.000.000.001",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0x7F.0x0.0x0.0x1",
    ),
    *("017700000001", "0177.0.0.1", "0177.1", "127.0.0.1.", "0", "0.0.0.0", "00000000000", "0x0"),
    *(
        "127.127.127.127",
        "①②⑦.⓪.⓪.①",
        "１２７.０.０.１",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "127%2e0%2e0%2e1",
    ),
    *(
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
    ),
    *(
        "[::127.0.0.1]",
        "[2002:7f00:1::]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::7f00:1]",
        "[::ffff:0:127.0.0.1]",
    ),
    *("[2001:0:4136:e378:8000:63bf:80ff:fffe]", "[::1%25lo]", "[fe80::1%25lo]"),
)
PRIVATE = (
    *(
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.127.0.1",
    ),
    *("192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1"),
    *(
        "255.255.255.255",
        "192.88.99.1",
        "2852039166",
        "0xa9fea9fe",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
    ),
    *(
        "[fec0::1]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[100::1]",
        "[::ffff:169.254.169.254]",
        "[2002:a9fe:a9fe::]",
    ),
    *("[64:ff9b::a9fe:a9fe]", "[::ffff:10.0.0.1]", "[5f00::1]"),
)
NAMES = {
    "localhost": "127.0.0.1",
    "LOCALHOST": "127.0.0.1",
    "localhost.": "127.0.0.1",
    "me.nip.example": "127.0.0.1",
    "six.example": "::1",
    "mapped.example": "::ffff:127.0.0.1",
    "zone.example": "fe80::1%lo",
    "meta.example": "169.254.169.254",
    "both.example": f"{PUBLIC} 127.0.0.1",
    "carrier.example": "100.64.1.1",
    "nat64.example": "64:ff9b::7f00:1",
    "odd.example": "2130706433",
}
WRITTEN = (
    *("http://user@{public}:{port}/", "http://user:pass@{public}:{port}/", "http://@{public}:{port}/"),
    *(
        "http://127.0.0.1:{port}\\@{public}/",
        "http://{public}:{port}@127.0.0.1:{port}/",
        "//127.0.0.1:{port}/",
    ),
    *("ftp://127.0.0.1:{port}/", "file:///etc/passwd", "gopher://127.0.0.1:{port}/", "data:text/html,x"),
    *(
        "http:127.0.0.1:{port}",
        "http:///127.0.0.1:{port}",
        "http://",
        "http://:{port}/",
        "http://127.0.0.1:99999/",
    ),
    *(
        "http://{public}:22/",
        "http://{public}:1/",
        "http://127.0.0.1\t:{port}/",
        "http://127.0.0.1\r\nHost: x/",
    ),
    *("http://local\x00host:{port}/", " http://127.0.0.1:{port}/", "http://exa mple/", "http://[::1/", ""),
    *("http://a..example/", "http://-.example/", "http://${{jndi}}/", "http://" + "a" * 3000),
)


def all_urls(port: int) -> list[str]:
    hosts = (*LOOPBACK, *PRIVATE, *NAMES)
    written = [one.format(port=port, public=PUBLIC) for one in WRITTEN]
    return [f"http://{host}:{port}/secret" for host in hosts] + written


def known(names: FakeNames) -> None:
    for name, addresses in NAMES.items():
        names.leads(name.lower().rstrip("."), addresses.split())


async def test_more_than_sixty_ways_to_write_an_address_reach_nothing_inside(
    fetcher: Fetcher, names: FakeNames, site: WebServer, inside: WebServer
) -> None:
    known(names)
    urls = all_urls(site.port)
    assert len(urls) >= 60
    for url in urls:
        with pytest.raises(FetchError) as refused:
            await fetcher.fetch(url, PAGES)
        assert isinstance(refused.value, AddressRefusedError | UnreachableError), url
    assert inside.ledger == site.ledger == []


async def test_addresses_that_are_written_out_are_refused_before_anything_is_opened(
    fetcher: Fetcher, names: FakeNames, site: WebServer
) -> None:
    for host in (*LOOPBACK, *PRIVATE):
        with pytest.raises(AddressRefusedError):
            fetcher.judged(f"http://{host}:{site.port}/")
    assert names.asked == []


async def test_every_one_of_them_is_refused_also_where_a_redirect_leads(
    fetcher: Fetcher, names: FakeNames, site: WebServer, inside: WebServer
) -> None:
    known(names)
    for number, url in enumerate(all_urls(site.port)):
        location = url.encode("ascii", "ignore").decode().translate({0: None, 9: None, 10: None, 13: None})
        site.redirects(f"/{number}", location or "http://")
        with pytest.raises(FetchError):
            await fetcher.fetch(f"{site.url}/{number}", PAGES)
    assert inside.ledger == []


async def test_the_same_addresses_are_reached_where_the_operator_allows_them(
    names: FakeNames, site: WebServer, inside: WebServer
) -> None:
    inside.says("/secret", "<p>inside</p>")
    known(names)
    allowed = [allowed_of(f"127.0.0.1:{site.port}")]
    async with Fetcher(Guard(allowed=allowed), names) as fetcher:
        for host in ("127.0.0.1", "localhost", "me.nip.example"):
            assert b"inside" in (await fetcher.fetch(f"http://{host}:{site.port}/secret", PAGES)).body
        with pytest.raises(AddressRefusedError):
            await fetcher.fetch(f"http://{PUBLIC}:{site.port}/", PAGES)
    assert len(inside.ledger) == 3


async def test_a_name_that_leads_inside_at_its_second_look_up_is_followed_at_the_first(
    fetcher: Fetcher, names: FakeNames, site: WebServer, inside: WebServer
) -> None:
    names.leads("rebound.example", [PUBLIC], ["127.0.0.1"])
    site.says("/", "<p>outside</p>")
    fetched = await fetcher.fetch(f"http://rebound.example:{site.port}/", PAGES)
    assert b"outside" in fetched.body
    assert names.asked == ["rebound.example"]
    with pytest.raises(AddressRefusedError):
        await fetcher.fetch(f"http://rebound.example:{site.port}/", PAGES)
    assert inside.ledger == []
    assert len(site.ledger) == 1


async def test_a_name_that_leads_inside_after_it_redirected_to_itself_is_refused(
    fetcher: Fetcher, names: FakeNames, site: WebServer, inside: WebServer
) -> None:
    names.leads("rebound.example", [PUBLIC], ["127.0.0.1"])
    site.redirects("/", "/secret", 307)
    with pytest.raises(AddressRefusedError):
        await fetcher.fetch(f"http://rebound.example:{site.port}/", PAGES)
    assert names.asked == ["rebound.example", "rebound.example"]
    assert inside.ledger == []


async def test_loopback_of_the_sixth_version_hears_nothing_either(fetcher: Fetcher, site: WebServer) -> None:
    async with web_server("::1", site.port) as six:
        for host in ("[::1]", "[0::1]", "[0:0:0:0:0:0:0:1]"):
            with pytest.raises(AddressRefusedError):
                await fetcher.fetch(f"http://{host}:{site.port}/", PAGES)
        assert six.ledger == []


async def test_five_redirects_are_followed_and_a_sixth_is_not(
    fetcher: Fetcher, names: FakeNames, site: WebServer
) -> None:
    for number in range(8):
        site.redirects(f"/{number}", f"http://site.example:{site.port}/{number + 1}")
    site.says("/8", "<p>here</p>")
    fetched = await fetcher.fetch(f"http://site.example:{site.port}/3", PAGES)
    assert fetched.url.endswith("/8")
    with pytest.raises(UnreachableError, match="redirects more than 5 times"):
        await fetcher.fetch(f"http://site.example:{site.port}/2", PAGES)
    assert len(names.asked) == 12


async def test_no_proxy_of_the_environment_is_used(
    guard: Guard, names: FakeNames, site: WebServer, inside: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, inside.url)
    site.says("/", "<p>outside</p>")
    async with Fetcher(guard, names, FetchOptions()) as fetcher:
        await fetcher.fetch(f"http://site.example:{site.port}/", PAGES)
    assert inside.ledger == []


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1"]
)
def test_public_addresses_are_public(text: str) -> None:
    address = address_of(text)
    assert address is not None
    assert is_public(address)


@pytest.mark.parametrize("text", ["10.0.0.0/8", "127.0.0.1:8080", "[fd00::1]:8080", "fd00::/8"])
def test_an_entry_of_the_allow_list_is_a_network_and_perhaps_a_port(text: str) -> None:
    assert allowed_of(text).port == (8080 if text.endswith("8080") else None)


@pytest.mark.parametrize("text", ["", "localhost", "10.0.0.1/8", "127.0.0.1:http"])
def test_an_entry_of_the_allow_list_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        allowed_of(text)
