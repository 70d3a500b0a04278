"""One page: fetched, and read in a process of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backend.tools.crawl.errors import UnreachableError
from backend.tools.crawl.fetcher import HTML, PAGES, Fetched, Fetcher
from backend.tools.parsing.errors import ParsingError
from backend.tools.parsing.pool import ParsingPool
from backend.tools.parsing.text import clean

_MOST_TEXT = 256 << 10


@dataclass(frozen=True, slots=True)
class Link:
    """Where a page leads, and with which words."""

    url: str
    label: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page as a reader sees it. `url` is that after redirects; `robots` is what it asks robots."""

    url: str
    title: str
    text: str
    content_type: str
    truncated: bool
    metadata: Mapping[str, str]
    links: Sequence[Link] = ()
    robots: str = ""


class PageReader:
    """Reads pages of the web."""

    def __init__(self, fetcher: Fetcher, parsing: ParsingPool) -> None:
        self.fetcher = fetcher
        self._parsing = parsing

    async def page(self, url: str) -> Page:
        """The page at an address.

        Raises:
            FetchError: It may not or cannot be fetched, or not be read within the limits.
        """
        fetched = await self.fetcher.fetch(url, PAGES)
        if fetched.content_type not in HTML:
            return _plain(fetched)
        try:
            found = await self._parsing.parsed("page", fetched.body, url=fetched.url, charset=fetched.charset)
        except ParsingError as error:
            raise UnreachableError(str(error)) from error
        return Page(
            url=fetched.url,
            title=found["title"],
            text=found["text"],
            content_type=fetched.content_type,
            truncated=found["truncated"],
            metadata=found["metadata"],
            links=[Link(address, label) for address, label in found["links"]],
            robots=found["robots"],
        )


def _plain(fetched: Fetched) -> Page:
    try:
        text = fetched.body.decode(fetched.charset or "utf-8", "replace")
    except LookupError:
        text = fetched.body.decode("utf-8", "replace")
    return Page(
        url=fetched.url,
        title="",
        text=clean(text[:_MOST_TEXT]),
        content_type=fetched.content_type,
        truncated=len(text) > _MOST_TEXT,
        metadata={},
    )
