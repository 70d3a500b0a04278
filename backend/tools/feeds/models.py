"""What is known of a feed."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """Where a feed is, and what its server said the last time."""

    url: str
    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True)
class Article:
    """An article. `content` is HTML that is safe to show; `published` is RFC 3339, empty = not told."""

    guid: str
    title: str
    url: str
    content: str
    published: str


@dataclass(frozen=True, slots=True)
class ReadFeed:
    """A feed as it was read. `source` has what to ask with the next time."""

    source: Source
    title: str
    description: str
    articles: Sequence[Article]


@dataclass(frozen=True, slots=True)
class DueFeed:
    """A feed that is to be fetched now."""

    feed_id: str
    name: str
    source: Source
