"""The parts that reach the outside world, made from options: what is None is not there."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from backend.store.database import Database
from backend.tools.crawl.addresses import Allowed, Guard
from backend.tools.crawl.background import BackgroundCrawls
from backend.tools.crawl.described import CrawlTimes, SiteTools
from backend.tools.crawl.fetcher import Fetcher, FetchOptions
from backend.tools.crawl.pages import PageReader
from backend.tools.crawl.resolving import Names, SystemNames
from backend.tools.crawl.site import CrawlPlan, SiteCrawl
from backend.tools.crawl.storing import PageStore
from backend.tools.crawl.tools import PageTools, SearchedPageTools
from backend.tools.feeds.lookups import FeedLookups
from backend.tools.feeds.polling import FeedPolling
from backend.tools.feeds.reading import FeedReader
from backend.tools.feeds.store import FeedLimits, FeedStore
from backend.tools.feeds.tools import FeedTools
from backend.tools.images.store import ImageStore
from backend.tools.images.tools import ImageOptions, ImageTools
from backend.tools.outside import OutsideOptions, OutsideService
from backend.tools.parsing.pool import ParsingLimits, ParsingPool
from backend.tools.search import WebSearch
from backend.tools.weather.tools import Weather


@dataclass(frozen=True, slots=True)
class FetchingOptions:
    """How strangers' servers are fetched from. `allowed`: what may be fetched although it is not public."""

    ports: Sequence[int] = (80, 443)
    allowed: Sequence[Allowed] = ()
    fetch: FetchOptions = field(default_factory=FetchOptions)
    parsing: ParsingLimits = field(default_factory=ParsingLimits)
    times: CrawlTimes = field(default_factory=CrawlTimes)


@dataclass(frozen=True, slots=True)
class FeedOptions:
    """`administrators` may add and delete feeds of every user. `in_turn`: whether this process polls."""

    administrators: frozenset[str] = frozenset()
    limits: FeedLimits = field(default_factory=FeedLimits)
    in_turn: bool = True


@dataclass(frozen=True, slots=True)
class WeatherOptions:
    """The two APIs of an Open-Meteo."""

    places_url: str
    forecasts_url: str
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class ImagesOptions:
    """An images endpoint. `url` ends before `/images/generations`, as `https://images.example.org/v1`."""

    url: str
    images: ImageOptions
    token: str = ""
    seconds: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WebOptions:
    """A group that is None leaves its tools out: they answer UNIMPLEMENTED. `search_url`: of a SearXNG."""

    fetching: FetchingOptions | None = field(default_factory=FetchingOptions)
    feeds: FeedOptions | None = field(default_factory=FeedOptions)
    search_url: str = ""
    weather: WeatherOptions | None = None
    images: ImagesOptions | None = None


@asynccontextmanager
async def web_parts(
    options: WebOptions, database: Database, *, pages: PageStore | None = None, names: Names | None = None
) -> AsyncIterator[Sequence[object]]:
    """The parts for `composed` and `described`, and all that they need open while the block runs.

    Without `pages` no tool stores web sites. Feeds need `fetching`. `names` None = the system's.
    """
    async with AsyncExitStack() as stack:
        parts: list[object] = []
        search = await _search(options, stack)
        if search is not None:
            parts.append(search)
        if options.fetching is not None:
            fetcher = await stack.enter_async_context(_fetcher(options.fetching, names))
            parsing = await stack.enter_async_context(ParsingPool(options.fetching.parsing))
            parts += await _pages(options.fetching.times, stack, PageReader(fetcher, parsing), pages, search)
            if options.feeds is not None:
                parts.append(await _feeds(options.feeds, database, stack, FeedReader(fetcher, parsing)))
        if options.weather is not None:
            parts.append(await _weather(options.weather, stack))
        if options.images is not None:
            parts.append(await _images(options.images, database, stack))
        yield parts


def _fetcher(options: FetchingOptions, names: Names | None) -> Fetcher:
    return Fetcher(Guard(ports=options.ports, allowed=options.allowed), names or SystemNames(), options.fetch)


async def _pages(
    times: CrawlTimes,
    stack: AsyncExitStack,
    reader: PageReader,
    pages: PageStore | None,
    search: WebSearch | None,
) -> list[object]:
    crawls = None if pages is None else await stack.enter_async_context(BackgroundCrawls(pages))

    def crawl(plan: CrawlPlan) -> SiteCrawl:
        return SiteCrawl(plan, reader)

    parts: list[object] = [PageTools(reader), SiteTools(crawl, crawls, times)]
    if search is not None:
        parts.append(SearchedPageTools(search, reader))
    return parts


async def _feeds(
    options: FeedOptions, database: Database, stack: AsyncExitStack, reader: FeedReader
) -> FeedTools:
    store = FeedStore(database, options.limits)
    polling = await stack.enter_async_context(FeedPolling(store, reader, in_turn=options.in_turn))
    return FeedTools(store, FeedLookups(database), reader, polling, administrators=options.administrators)


async def _search(options: WebOptions, stack: AsyncExitStack) -> WebSearch | None:
    if not options.search_url:
        return None
    service = OutsideService(OutsideOptions("The web search", options.search_url))
    return WebSearch(await stack.enter_async_context(service))


async def _weather(options: WeatherOptions, stack: AsyncExitStack) -> Weather:
    places = OutsideService(
        OutsideOptions("The search for places", options.places_url, seconds=options.seconds)
    )
    forecasts = OutsideService(
        OutsideOptions("The weather service", options.forecasts_url, seconds=options.seconds)
    )
    await stack.enter_async_context(places)
    await stack.enter_async_context(forecasts)
    return Weather(places, forecasts)


async def _images(options: ImagesOptions, database: Database, stack: AsyncExitStack) -> ImageTools:
    # Four images of the largest size in base64, and some room.
    most = options.images.most_images * options.images.max_image_bytes * 3 // 2
    service = OutsideService(
        OutsideOptions("The image service", options.url, options.token, options.seconds, most)
    )
    await stack.enter_async_context(service)
    return ImageTools(service, ImageStore(database), options.images)
