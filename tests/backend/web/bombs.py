"""Feeds that are made to cost more than they are worth."""

_HEAD = b'<?xml version="1.0"?>'
_RSS = b"<rss version='2.0'><channel>"


def billion_laughs() -> bytes:
    entities = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 12))
    doctype = b'<!DOCTYPE rss [<!ENTITY a0 "lol">' + entities + b"]>"
    return _HEAD + doctype + _RSS + b"<title>&a11;</title></channel></rss>"


def quadratic_blowup() -> bytes:
    doctype = b'<!DOCTYPE rss [<!ENTITY a "' + b"A" * 400_000 + b'">]>'
    return _HEAD + doctype + _RSS + b"<title>" + b"&a;" * 20_000 + b"</title></channel></rss>"


def outside_entity() -> bytes:
    doctype = b'<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd"><!ENTITY % y SYSTEM "{url}"> %y;]>'
    return _HEAD + doctype + _RSS + b"<title>&x;</title><item><title>&x;</title></item></channel></rss>"


def nested() -> bytes:
    return _RSS + b"<a>" * 300_000


def nested_markup() -> bytes:
    return _RSS + b"<item><title>x</title><description>" + b"&lt;div&gt;" * 300_000 + b"</description></item>"


def huge() -> bytes:
    return _RSS + b"<title>" + b"A" * (3 << 20) + b"</title></channel></rss>"


def many_articles() -> bytes:
    return _RSS + b"<item><title>x</title><link>http://e.example/</link></item>" * 60_000


def many_attributes() -> bytes:
    return b"<rss " + b" ".join(b"a%d='1'" % n for n in range(250_000)) + b">" + _RSS


def open_brackets() -> bytes:
    return _RSS + b"<title>" + b"<" * (3 << 20)


def ampersands() -> bytes:
    return _RSS + b"<title>" + b"&" * (3 << 20)


def comments() -> bytes:
    return b"<rss a='" + b"<!--" * 800_000


def many_entities() -> bytes:
    return b"<!DOCTYPE x [" + b"<!ENTITY a 'b'>" * 200_000 + b"]>" + _RSS


def nothing() -> bytes:
    return b"\0" * (3 << 20)


def cdata() -> bytes:
    return _RSS + b"<title><![CDATA[" * 200_000


ALL = (
    billion_laughs,
    quadratic_blowup,
    outside_entity,
    nested,
    nested_markup,
    huge,
    many_articles,
    many_attributes,
    open_brackets,
    ampersands,
    comments,
    many_entities,
    nothing,
    cdata,
)
