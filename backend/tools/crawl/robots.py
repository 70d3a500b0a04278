"""What a site asks of robots (RFC 9309)."""

from typing import Protocol
from urllib.robotparser import RobotFileParser

from yarl import URL

from backend.tools.crawl.errors import AddressRefusedError, FetchError, MissingPageError, UnreachableError
from backend.tools.crawl.fetcher import ROBOTS, Fetched

_MOST_BYTES = 512 << 10
_LONGEST_DELAY_SECONDS = 5.0


class Fetching(Protocol):
    """What this needs of the fetcher."""

    async def fetch(self, written: str, accepted: frozenset[str], *, max_bytes: int = 0) -> Fetched:
        """A body. Raises: FetchError."""
        ...


class Robots:
    """The rules of the sites of one crawl, each asked for once."""

    def __init__(self, fetcher: Fetching, user_agent: str) -> None:
        self._fetcher = fetcher
        self._user_agent = user_agent
        self._rules: dict[str, RobotFileParser | FetchError] = {}

    async def allow(self, url: str) -> bool:
        """Whether a page may be fetched.

        Raises:
            FetchError: The rules cannot be had. The site is then left alone, as RFC 9309 says.
        """
        return (await self._of(url)).can_fetch(self._user_agent, url)

    async def delay_seconds(self, url: str) -> float:
        """How long the site wants a robot to wait between two pages, up to a limit. Raises: FetchError."""
        try:
            said = float((await self._of(url)).crawl_delay(self._user_agent) or 0.0)
        except ValueError:
            return 0.0
        return min(max(said, 0.0), _LONGEST_DELAY_SECONDS)

    async def _of(self, url: str) -> RobotFileParser:
        origin = str(URL(url).origin())
        if origin not in self._rules:
            self._rules[origin] = await self._asked(origin)
        rules = self._rules[origin]
        if isinstance(rules, FetchError):
            raise rules
        return rules

    async def _asked(self, origin: str) -> RobotFileParser | FetchError:
        rules = RobotFileParser()
        try:
            fetched = await self._fetcher.fetch(f"{origin}/robots.txt", ROBOTS, max_bytes=_MOST_BYTES)
        except MissingPageError:
            rules.parse([])
        except AddressRefusedError as error:
            return error
        except FetchError as error:
            return UnreachableError(f"its robots.txt cannot be had: {error}")
        else:
            rules.parse(fetched.body.decode("utf-8", "replace").splitlines())
        return rules
