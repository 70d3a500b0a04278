"""`make screenshots`: the console's views in docs/images/, light and dark, with a scripted model."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Page, expect

from tests.backend.console.asking import adds, ask, start_task, view
from tests.backend.console.shelf import Document
from tests.backend.console.world import FLAGS, World, flag_file, open_world
from tests.fakes.scripted_provider.script import Script
from tests.harness.postgres import SessionPostgres
from tests.integration.agents.test_research import gaps

IMAGES = Path(__file__).resolve().parents[3] / "docs" / "images"
_SIZE = {"width": 1000, "height": 760}
_QUOTE = "Here men from the planet Earth first set foot upon the Moon. We came in peace for all mankind."
_ANSWER = (
    "The plaque says that **men from the planet Earth** first set foot upon the Moon there, ",
    "[1",
    "].\n\n",
)
_MORE = ("It closes with a sentence of its own:\n\n", "> We came in peace for all mankind. ", "[1", "]\n")
_PEOPLE = {"light": "root", "dark": "ruth"}


async def picture(page: Page, name: str) -> None:
    """What is on the page now."""
    await page.screenshot(path=IMAGES / f"{name}.png", animations="disabled")


async def taken(world: World, scheme: str) -> None:
    """All views in one scheme."""
    world.provider.reset()
    world.provider.enqueue(
        gaps(),
        Script(tokens=_ANSWER + _MORE),
        Script(tokens=("Minutes of the meeting: the roses are cut in March.",)),
        adds("Cut the roses in March"),
    )
    options: dict[str, Any] = {"viewport": _SIZE, "color_scheme": scheme, "reduced_motion": "reduce"}
    world.flags.write_text(flag_file(FLAGS))
    async with world.page(_PEOPLE[scheme], "rollout", **options) as page:
        await expect(page.get_by_role("meter")).to_have_attribute("aria-valuenow", "100")
        await view(page, "Chat")
        await ask(page, "What does the plaque on the Moon say?", "research")
        await expect(page.locator(".state")).to_contain_text("Done")
        await picture(page, f"console-chat-{scheme}")
        await view(page, "Tasks")
        await start_task(page, "Summarise the minutes of the garden meeting.")
        await expect(page.locator("#task-list > li > .state").first).to_contain_text("succeeded")
        await picture(page, f"console-tasks-{scheme}")
        await view(page, "Chat")
        await ask(page, "Note: cut the roses in March.", "org_inbox")
        await expect(page.locator("#chat .permission")).to_be_visible()
        await view(page, "Inbox")
        await expect(page.locator("#permissions .permission")).to_be_visible()
        await page.mouse.move(0, 0)
        await picture(page, f"console-inbox-{scheme}")
        await view(page, "Rollout")
        await page.get_by_label("Percentage").fill("25")
        await page.get_by_role("button", name="Set").click()
        await expect(page.get_by_role("meter")).to_have_attribute("aria-valuenow", "25")
        await picture(page, f"console-rollout-{scheme}")


async def main(server_dsn: str) -> None:
    """Every view, light and dark."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with open_world(server_dsn, Path(folder)) as world:
            world.shelf.documents.append(Document("d1", "Apollo 11 plaque", _QUOTE))
            for scheme in ("light", "dark"):
                await taken(world, scheme)


if __name__ == "__main__":
    with SessionPostgres() as postgres:
        asyncio.run(main(postgres.dsn))
