"""What a person does on the page."""

from playwright.async_api import Page

from tests.fakes.scripted_provider.script import Script
from tests.harness.tooled import wish, wishing


async def ask(page: Page, query: str, agent: str = "chat") -> None:
    """Type a message and send it by Enter."""
    await page.locator("#chat").get_by_label("Agent").fill(agent)
    await page.get_by_label("Message").fill(query)
    await page.get_by_label("Message").press("Enter")


async def view(page: Page, name: str) -> None:
    """Go there by the page's own links."""
    await page.get_by_role("navigation").get_by_role("link", name=name).click()


async def start_task(page: Page, query: str, agent: str = "chat") -> None:
    """Begin one in the view of tasks."""
    await page.locator("#tasks").get_by_label("Agent").fill(agent)
    await page.get_by_label("What is to be done").fill(query)
    await page.get_by_role("button", name="Start").click()


def adds(text: str) -> Script:
    """A model that wishes to add an entry to the person's inbox."""
    return wishing(wish("add_org_inbox_item", {"text": text, "kind": "todo"}))
