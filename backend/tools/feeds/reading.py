"""A feed fetched and parsed, both as with anything that strangers serve."""

from backend.tools.crawl.errors import UnreachableError, WrongContentError
from backend.tools.crawl.fetcher import FEEDS, Fetcher
from backend.tools.feeds.models import Article, ReadFeed, Source
from backend.tools.parsing.errors import ParsingError
from backend.tools.parsing.pool import ParsingPool

_MOST_TAG = 512


class FeedReader:
    """Reads feeds."""

    def __init__(self, fetcher: Fetcher, parsing: ParsingPool) -> None:
        self._fetcher = fetcher
        self._parsing = parsing

    async def read(self, source: Source) -> ReadFeed | None:
        """The feed; None = it is as it was the last time.

        Raises:
            FetchError: It may not or cannot be fetched, takes too much to read, or is no feed.
        """
        asked = {"If-None-Match": source.etag, "If-Modified-Since": source.last_modified}
        headers = {name: value for name, value in asked.items() if value}
        fetched = await self._fetcher.fetch(source.url, FEEDS, headers=headers)
        if fetched.is_unchanged:
            if not headers:
                raise UnreachableError("the server says that nothing has changed, unasked")
            return None
        try:
            found = await self._parsing.parsed(
                "feed", fetched.body, url=fetched.url, content_type=fetched.headers.get("content-type", "")
            )
        except ParsingError as error:
            raise UnreachableError(str(error)) from error
        if not found["version"]:
            raise WrongContentError("it is no feed")
        said = fetched.headers
        return ReadFeed(
            source=Source(
                source.url, said.get("etag", "")[:_MOST_TAG], said.get("last-modified", "")[:_MOST_TAG]
            ),
            title=found["title"],
            description=found["description"],
            articles=[Article(**one) for one in found["articles"]],
        )
