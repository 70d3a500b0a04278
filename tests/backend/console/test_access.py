"""The page by keyboard, by screen reader, in both colour schemes, and how soon it is there."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.backend.console.asking import adds, ask, start_task, view
from tests.backend.console.seeing import POOR, nameless, walk
from tests.backend.console.shelf import Document
from tests.backend.console.world import PASSWORD, World
from tests.fakes.scripted_provider.script import Script
from tests.integration.agents.test_research import gaps

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

VIEWS = {
    "Chat": "#chat .permission",
    "Inbox": "#permissions .permission",
    "Tasks": "#task-list .markdown",
    "Providers": "#provider-rows tr",
    "Rollout": "#path-rows tr",
}
"""Each with what shows that it is filled."""
RICH = (
    "# Rain\n\nIn **May** [1], says `it`:\n\n- one\n- [two](https://example.org/)\n\n> so\n\n```\ncode\n```\n"
)
_MOST_PAINT_MILLISECONDS = 3000
_PAINT = """() => new Promise((resolve) => new PerformanceObserver((list) =>
  resolve(list.getEntriesByName("first-contentful-paint")[0].startTime))
  .observe({ type: "paint", buffered: true }))"""


@asynccontextmanager
async def full(world: World, person: str, **options: Any) -> AsyncIterator[Page]:
    """A page with something in each view, as an administrator sees it."""
    world.shelf.documents.append(Document("d1", "On rain", "Rain was expected in May."))
    answer, report = Script(tokens=(RICH,), reasoning=("Hm.",)), Script(tokens=("ok",))
    world.provider.enqueue(gaps(), answer, Script(status=400), report, adds("buy milk"))
    async with world.page(person, **options) as page:
        await ask(page, "When is rain expected?", "research")
        await expect(page.locator(".state").last).to_contain_text("Done")
        await ask(page, "And who refuses this?")
        await expect(page.locator(".state.failed")).to_be_visible()
        await view(page, "Tasks")
        await start_task(page, "Write the report.")
        await expect(page.locator("#task-list > li > .state").first).to_contain_text("succeeded")
        await page.get_by_role("button", name="Watch").first.click()
        await expect(page.locator("#task-list .markdown").first).to_have_text("ok")
        await view(page, "Chat")
        await ask(page, "Note: buy milk.", "org_inbox")
        await expect(page.locator("#chat .permission")).to_be_visible()
        yield page
        await view(page, "Chat")
        await page.get_by_role("button", name="Deny").click()
        await expect(page.locator("#waiting")).to_be_hidden()


async def test_every_control_is_reached_by_tab_is_seen_there_and_has_a_name(world: World) -> None:
    async with full(world, "root") as page:
        for name, filled in VIEWS.items():
            await view(page, name)
            await expect(page.locator(filled).first).to_be_visible()
            walked = await walk(page)
            assert (walked.missed, walked.unseen) == ([], []), name
            assert walked.reached >= len(VIEWS) + 3
            controls, without = await nameless(page)
            assert without == []
            assert controls >= walked.reached / 2


async def test_everything_is_done_without_a_mouse(world: World) -> None:
    world.provider.enqueue(Script(tokens=("Hello.",)))
    async with world.page() as page:
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        walked = await walk(page)
        assert (walked.missed, walked.unseen) == ([], [])
        await page.get_by_label("User", exact=True).focus()
        await page.keyboard.type("ann")
        await page.keyboard.press("Tab")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1, name="New conversation")).to_be_focused()
        await page.get_by_role("link", name="Tasks").press("Enter")
        await expect(page.get_by_role("heading", level=1, name="Tasks")).to_be_focused()
        await page.get_by_role("link", name="Chat").press("Enter")
        await expect(page.get_by_role("heading", level=1, name="New conversation")).to_be_focused()
        for key in ("Tab", "h", "i", "Enter"):
            await page.keyboard.press(key)
        await expect(page.locator(".state")).to_contain_text("Done")


async def test_the_landmarks_are_there(world: World) -> None:
    async with world.page("ann") as page:
        for role in ("banner", "navigation", "main"):
            await expect(page.get_by_role(role)).to_have_count(1)
        await expect(page.get_by_role("heading", level=1)).to_have_count(1)
        await expect(page.get_by_role("link", name="Chat")).to_have_attribute("aria-current", "page")
        await expect(page.get_by_role("log")).to_have_attribute("aria-live", "polite")


async def test_both_colour_schemes_have_contrast(world: World) -> None:
    papers = set()
    async with full(world, "ruth", color_scheme="light", reduced_motion="reduce") as page:
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            for name, filled in VIEWS.items():
                await view(page, name)
                await expect(page.locator(filled).first).to_be_visible()
                await page.locator("details:visible").evaluate_all(
                    "(all) => all.forEach((e) => (e.open = true))"
                )
                found = await page.evaluate(POOR)
                assert found["poor"] == [], (scheme, name)
                assert found["seen"]["texts"] > 8
            papers.add(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
        await page.get_by_label("Colours").select_option("light")
        papers.add(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert len(papers) == 2


async def test_the_page_is_there_soon(world: World) -> None:
    async with world.page("ann") as page:
        first = await page.evaluate(_PAINT)
        await page.reload()
        again = await page.evaluate(_PAINT)
    sys.stdout.write(f"\nfirst contentful paint: {first:.0f} ms, again: {again:.0f} ms\n")
    assert max(first, again) < _MOST_PAINT_MILLISECONDS
