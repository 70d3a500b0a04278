"""A feed as articles whose HTML is safe to show. Runs in the parsing process."""

import calendar
import hashlib
import html
import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import feedparser
import nh3

from backend.tools.parsing.text import clean

MOST_ARTICLES = 200
_MOST_TITLE = 500
_MOST_CONTENT = 64 << 10
_MOST_URL = 2048

_TAGS = {
    *("p", "br", "a", "em", "strong", "b", "i", "code", "pre", "blockquote", "ul", "ol", "li", "hr"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}


def read_feed(body: bytes, needs: Mapping[str, str]) -> Mapping[str, object]:
    """Its title and newest articles. `needs`: `url`, where it was, and `content_type` as its server says.

    `version` is empty when it is no feed. An article without a date has `published` empty.
    """
    headers = {"content-location": needs["url"], "content-type": needs.get("content_type", "")}
    # As a stream: feedparser would take a text for an address or a file, and fetch it.
    found = feedparser.parse(io.BytesIO(body), response_headers=headers, sanitize_html=False)
    return {
        "version": found.get("version", ""),
        "title": _plain(found.feed.get("title", ""))[:_MOST_TITLE],
        "description": _plain(found.feed.get("subtitle", ""))[:_MOST_TITLE],
        "articles": [_article(entry) for entry in found.entries[:MOST_ARTICLES]],
    }


def _article(entry: Any) -> Mapping[str, str]:  # noqa: ANN401 - feedparser has no types
    title, url = _plain(entry.get("title", "")), _web(entry.get("link", ""))
    content = _content(entry)
    guid = str(entry.get("id", "")) or url
    return {
        "guid": clean(guid) if 0 < len(guid) <= _MOST_TITLE else _digest(guid or title + content),
        "title": title[:_MOST_TITLE],
        "url": url,
        "content": content,
        "published": _published(entry),
    }


def _content(entry: Any) -> str:  # noqa: ANN401
    given = [part.get("value", "") for part in entry.get("content", [])] + [entry.get("summary", "")]
    longest = max((str(one) for one in given), key=len, default="")
    return _cut(
        nh3.clean(
            longest[: 4 * _MOST_CONTENT],
            tags=_TAGS,
            attributes={"a": {"href"}},
            url_schemes={"http", "https"},
        )
    )


def _cut(content: str) -> str:
    # Cleaned again, since a cut may be inside of a tag.
    return clean(content if len(content) <= _MOST_CONTENT else nh3.clean(content[:_MOST_CONTENT], tags=_TAGS))


def _plain(text: object) -> str:
    return clean(" ".join(html.unescape(nh3.clean(str(text)[: 4 * _MOST_TITLE], tags=set())).split()))


def _web(url: object) -> str:
    text = clean(str(url))
    return text if text.startswith(("http://", "https://")) and len(text) <= _MOST_URL else ""


def _published(entry: Any) -> str:  # noqa: ANN401
    when = entry.get("published_parsed") or entry.get("updated_parsed")
    if not when:
        return ""
    try:
        return datetime.fromtimestamp(calendar.timegm(when), UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return ""


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
