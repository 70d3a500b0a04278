"""`crawl_site` and `crawl_website_recursive`, which the agents for web sites use."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from backend.tools.crawl.background import BackgroundCrawls
from backend.tools.crawl.errors import FetchError
from backend.tools.crawl.pages import Page
from backend.tools.crawl.passages import Question
from backend.tools.crawl.site import CrawlPlan, CrawlReport, SiteCrawl
from llm_orchestrator_client.tool_service import (
    Call,
    DescribedTools,
    Hints,
    ModelArguments,
    Output,
    Progress,
    Steps,
)

_TEXT_CHARS = 48 << 10
_PASSAGE_CHARS = 1500
_READS = Hints(
    read_only=True,
    open_world=True,
    operation_type="web_crawl",
    timeout_seconds=120.0,
    max_result_bytes=64 << 10,
)
_STORES = Hints(idempotent=True, open_world=True, operation_type="web_crawl", timeout_seconds=120.0)


class Site(BaseModel):
    """What both tools take. Other names are refused: a model that misspells one must hear of it."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(description="Where to begin: a public http or https address.")


class SiteQuestion(Site):
    """What `crawl_site` takes."""

    query: str = Field(default="", description="The question that the pages are to answer.")
    max_pages: int = Field(default=20, ge=1, le=120)
    max_depth: int = Field(default=3, ge=0, le=3, description="Links to follow from the first page.")


class WholeSite(Site):
    """What `crawl_website_recursive` takes."""

    max_pages: int = Field(default=500, ge=1, le=500)
    max_depth: int = Field(default=10, ge=0, le=10, description="Links to follow from the first page.")


@dataclass(frozen=True, slots=True)
class CrawlTimes:
    """Seconds. `answer`: when a crawl answers with what it has, which must be before the orchestrator's
    time-out for described tools (30). `reserve`: for the answer itself."""

    answer: float = 22.0
    reserve: float = 3.0

    def of(self, call: Call) -> float:
        """How long a crawl may take before it answers."""
        left = call.seconds_left()
        return self.answer if left is None else max(0.0, min(self.answer, left - self.reserve))


class SiteTools:
    """A part: whole sites. Without `crawls` nothing can be stored, and that tool is not there."""

    def __init__(
        self,
        crawl: Callable[[CrawlPlan], SiteCrawl],
        crawls: BackgroundCrawls | None,
        times: CrawlTimes = CrawlTimes(),
    ) -> None:
        self._crawl = crawl
        self._crawls = crawls
        self._times = times

    def describe(self, tools: DescribedTools) -> None:
        """Add them."""
        tools.add(
            "crawl_site",
            "Read pages of one web site, those about the question first, and get the passages that fit.",
            ModelArguments(SiteQuestion),
            self.crawl_site,
            _READS,
        )
        if self._crawls is not None:
            tools.add(
                "crawl_website_recursive",
                "Take a web site into the user's documents, page by page. It may go on after the answer.",
                ModelArguments(WholeSite),
                self.crawl_website_recursive,
                _STORES,
            )

    async def crawl_site(self, call: Call, asked: SiteQuestion) -> Steps:
        """The passages, page by page, within the time that there is."""
        question = Question(asked.query)
        crawl = self._crawl(
            CrawlPlan(asked.url, asked.max_pages, asked.max_depth, subdomains=True, rank=question.share)
        )
        pages: list[Page] = []
        deadline = asyncio.get_running_loop().time() + self._times.of(call)
        async with aclosing(crawl.pages()) as found:
            while (page := await _next(found, deadline)) is not None:
                pages.append(page)
                yield Progress(f"{len(pages)} pages read", len(pages) / asked.max_pages)
        yield _told(pages, question, crawl.report)

    async def crawl_website_recursive(self, call: Call, asked: WholeSite) -> Steps:
        """What has been stored when there is no more time; the rest is stored in the background."""
        if self._crawls is None:
            raise RuntimeError("there is nothing to store pages in")
        crawl = self._crawl(CrawlPlan(asked.url, asked.max_pages, asked.max_depth))
        running = self._crawls.begun(call.user, crawl)
        try:
            ended = await running.ended_within(self._times.of(call))
        except FetchError as error:
            raise error.as_answer() from error
        state = "finished" if ended else "goes on in the background; its number of pages is not final"
        yield Output(
            data={
                "state": state,
                "began_at": asked.url,
                "pages_stored": running.stored,
                "pages_left_out": running.left_out,
                "pages_refused_by_robots_txt": crawl.report.refused_by_robots,
                "pages_failed": crawl.report.failed,
                "failures": [f"{url}: {reason}" for url, reason in crawl.report.failures],
                "stopped_at_max_pages": crawl.report.more,
                "where": "in the user's documents, each with its address",
            },
            untrusted=True,
        )


async def _next(pages: AsyncGenerator[Page, None], deadline: float) -> Page | None:
    # Around one step only: a timeout that spans a `yield` would cancel whoever reads the generator.
    try:
        async with asyncio.timeout_at(deadline):
            return await anext(pages, None)
    except TimeoutError:
        return None
    except FetchError as error:
        raise error.as_answer() from error


def _told(pages: list[Page], question: Question, report: CrawlReport) -> Output:
    by_share = sorted(pages, key=lambda page: -question.share(f"{page.title}\n{page.text}"))
    told: list[dict[str, str]] = []
    size = 0
    for page in by_share:
        passage = question.passages(page.text, _PASSAGE_CHARS)
        size += len(passage.encode()) + len(page.url) + len(page.title)
        if size > _TEXT_CHARS:
            break
        told.append({"url": page.url, "title": page.title, "text": passage})
    return Output(
        data={
            "pages": told,
            "pages_read": len(pages),
            "pages_failed": report.failed,
            "pages_refused_by_robots_txt": report.refused_by_robots,
            "failures": [f"{url}: {reason}" for url, reason in report.failures],
        },
        untrusted=True,
        truncated=len(told) < len(pages) or report.more,
    )
