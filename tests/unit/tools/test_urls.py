"""Which addresses a tool may be sent to."""

import pytest

from tools.urls import refusal

PRIVATE = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://127.0.0.1.:80/",
    "http://0/",
    "http://0.0.0.0/",
    "http://10.0.0.1/",
    "http://10.255.255.255/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://169.254.169.254/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://100.64.0.1/",
    "http://192.0.0.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[::1]/",
    "http://[::]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::127.0.0.1]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fc00::1]/",
    "http://[fd12:3456::1]/",
    "http://[ff02::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:c0a8:101::1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::10.0.0.1]/",
    "http://[2001:db8::1]/",
    "http://localhost/",
    "http://LOCALHOST/",
    "http://localhost./",
    "http://localhost:8080/",
    "http://a.localhost/",
    "http://printer.local/",
    "http://metadata.google.internal/",
    "http://router.lan/",
    "http://nas.home.arpa/",
    "http://backend/",
    "http://postgres:5432/",
    "https://127.0.0.1/",
    "http://%31%32%37.0.0.1/",
    "http://127%2e0.0.1/",
]
"""As browsers and resolvers read them, all of these lead to this machine or its neighbours."""

DISGUISED = [
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://127\u30020\u30020\u30021/",
    "http://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3/",
]

WRONG = [
    "ftp://example.org/",
    "file:///etc/passwd",
    "gopher://example.org/",
    "javascript:alert(1)",
    "data:text/html,hello",
    "unix:/var/run/docker.sock",
    "example.org",
    "//example.org/",
    "/etc/passwd",
    "",
    "http://",
    "http:///path",
    "http://ann:secret@example.org/",
    "http://example.org@127.0.0.1/",
    "http://127.0.0.1@example.org/",
    "http://example.org\\@127.0.0.1/",
    "http://example.org:99999/",
    "http://example.org:port/",
    "http://exa mple.org/",
    "http://example.org/\r\nHost: 127.0.0.1",
    "http://example.org\x00.evil/",
    "\thttp://example.org/",
    "http://[::1",
    "http://[v1.x]/",
]

PUBLIC = [
    "http://example.org/",
    "HTTPS://EXAMPLE.ORG/",
    "https://example.org:8443/path?q=127.0.0.1#localhost",
    "http://8.8.8.8/",
    "http://[2606:4700:4700::1111]/",
    "http://m\u00fcnchen.example/",
    "http://localhost.example.org/",
    "http://1.1.1.1.example.org/",
    "http://feeds.example.co.uk/rss.xml",
]


@pytest.mark.parametrize("url", [*PRIVATE, *DISGUISED])
def test_this_machine_and_its_neighbours_are_refused(url: str) -> None:
    assert refusal(url) == "must be a public address"


@pytest.mark.parametrize("url", WRONG)
def test_what_is_no_plain_web_address_is_refused(url: str) -> None:
    assert refusal(url)


@pytest.mark.parametrize("url", PUBLIC)
def test_public_addresses_are_taken(url: str) -> None:
    assert refusal(url) is None
