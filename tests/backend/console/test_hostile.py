"""Text from models, tools and documents stays text, whatever it would like to be."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.backend.console.asking import adds, ask, start_task, view
from tests.backend.console.shelf import Document
from tests.backend.console.world import World
from tests.fakes.scripted_provider.script import Script
from tests.harness.tooled import DONE
from tests.integration.agents.test_research import gaps

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

CANARIES = (
    "<script>window.hit = 1</script>",
    "<img src=x onerror='window.hit = 2'>",
    "<svg/onload='window.hit = 3'></svg>",
    "<iframe srcdoc='<script>parent.hit = 4</script>'></iframe>",
    "[click](javascript:window.hit=5)",
    "[click](JaVaScRiPt:window.hit=6)",
    "[click](data:text/html,<script>window.hit=7</script>)",
    "![picture](http://127.0.0.1:9/seen.png)",
    '<http://127.0.0.1:9/a"onmouseover="window.hit=8>',
    "`</code><script>window.hit = 9</script>`",
    "</textarea><style>*{display:none}</style>",
)
ALL = "\n\n".join(CANARIES)
_WATCH = """() => { window.asked = [];
  new PerformanceObserver((list) => window.asked.push(...list.getEntries().map((entry) => entry.name)))
    .observe({ type: "resource", buffered: true }); }"""
_FOUND = """() => ({
  hit: window.hit ?? null,
  elements: document.querySelectorAll("main :is(script, img, iframe, style, object, embed, link)").length,
  handlers: [...document.querySelectorAll("main *")].flatMap((e) => e.getAttributeNames())
    .filter((name) => name.startsWith("on")),
  links: [...document.querySelectorAll("main a")].map((a) => [a.protocol, a.rel]),
  asked: window.asked,
})"""


async def harmless(world: World, page: Page) -> None:
    """Click whatever can be clicked in what was said; nothing has happened."""
    for opened in await page.locator("main details > summary:visible").all():
        await opened.click()
    found = await page.evaluate(_FOUND)
    assert (found["hit"], found["elements"], found["handlers"]) == (None, 0, [])
    assert {tuple(link) for link in found["links"]} <= {
        ("http:", "noopener noreferrer"),
        ("https:", "noopener noreferrer"),
    }
    assert [address for address in found["asked"] if not address.startswith(world.url)] == []


async def test_an_answer_with_sources_and_results_does_nothing(world: World) -> None:
    world.shelf.documents.append(Document("d1", ALL, ALL))
    world.provider.enqueue(gaps(), Script(tokens=(ALL, "\n\nSo it is [1", "].")))
    async with world.page("hana") as page:
        await page.evaluate(_WATCH)
        await ask(page, ALL, "research")
        await expect(page.locator(".state")).to_contain_text("Done")
        await expect(page.locator(".markdown")).to_contain_text(CANARIES[1])
        await expect(page.get_by_role("list", name="Sources")).to_contain_text(CANARIES[0])
        await expect(page.locator("main a")).to_have_count(2)  # the picture's address, and one in brackets
        await harmless(world, page)


async def test_arguments_and_titles_do_nothing(world: World) -> None:
    world.provider.enqueue(adds(ALL), DONE, Script(tokens=(ALL,)))
    async with world.page("hana") as page:
        await page.evaluate(_WATCH)
        await ask(page, CANARIES[1], "org_inbox")
        card = page.locator("#chat .permission")
        await card.get_by_role("button", name="Edit").click()
        await expect(card.get_by_label("Arguments as JSON")).to_have_value(re.compile("window.hit = 1"))
        await harmless(world, page)
        await view(page, "Inbox")
        await expect(page.locator("#permissions")).to_contain_text("window.hit")
        await harmless(world, page)
        await page.get_by_role("button", name="Deny").click()
        await view(page, "Tasks")
        await start_task(page, CANARIES[1])
        await expect(page.get_by_role("heading", name=CANARIES[1])).to_be_visible()
        await expect(page.locator("#task-list")).to_contain_text("window.hit = 3")
        await harmless(world, page)
