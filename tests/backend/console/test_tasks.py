"""A task on the page: it waits, is watched, is done; another one is cancelled."""

import pytest
from playwright.async_api import expect

from tests.backend.console.asking import start_task
from tests.backend.console.world import World
from tests.fakes.scripted_provider.script import Script
from tests.harness.narrow import HELD

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_task_waits_is_watched_and_is_done(world: World) -> None:
    world.provider.enqueue(HELD, Script(tokens=("The ", "report."), hold_after=1))
    async with world.page("finn", "tasks") as page:
        tasks = page.get_by_role("list", name="Your tasks").locator("> li")
        await start_task(page, "Hold the only place.")
        await world.provider.call(1)
        await start_task(page, "Write the report.")
        report = tasks.filter(has=page.get_by_role("heading", name="Write the report."))
        await expect(report.locator("> .state")).to_contain_text("queued")
        await expect(report.locator("> .state")).to_contain_text("Place 1 in line")
        await report.get_by_role("button", name="Watch Write the report.").click()
        world.provider.release()
        await expect(report.locator(".markdown")).to_contain_text("The")
        await world.provider.call(2)
        world.provider.release()
        await expect(report.locator(".markdown")).to_have_text("The report.")
        await expect(report.locator("> .state")).to_contain_text("succeeded")
        await expect(report.get_by_role("button", name="Cancel")).to_be_disabled()


async def test_a_task_is_cancelled(world: World) -> None:
    world.provider.enqueue(HELD)
    async with world.page("gil", "tasks") as page:
        await start_task(page, "Never mind.")
        call = await world.provider.call(1)
        await page.get_by_role("button", name="Cancel Never mind.").click()
        await call.ended()
        await expect(page.locator("#task-list > li > .state")).to_contain_text("cancelled")
