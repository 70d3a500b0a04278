"""`make demo`: one command, and the page answers from the demo documents; one Ctrl-C, and nothing is left."""

from pathlib import Path

import psutil
import pytest
from playwright.async_api import expect

from backend.tools.org.folder import folder_name
from tests.backend.console.asking import adds, ask
from tests.backend.console.demo import running_demo
from tests.backend.console.world import World
from tests.fakes.scripted_provider.script import Script
from tests.harness.postgres import fresh_database
from tests.harness.tooled import DONE
from tests.integration.agents.test_research import gaps

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_one_command_starts_all_and_one_interrupt_stops_it(
    world: World, server_dsn: str, tmp_path: Path
) -> None:
    world.provider.enqueue(gaps(), Script(tokens=("They came in peace ", "[1", "].")))
    async with (
        fresh_database(server_dsn, migrated=False) as dsn,
        running_demo(dsn, world.provider.base_url, tmp_path) as demo,
    ):
        started = psutil.Process(demo.process.pid).children(recursive=True)
        assert len(started) >= 2
        async with world.page(at=demo.url) as page:
            await page.get_by_label("User", exact=True).fill("bob")
            await page.get_by_label("Password").fill(demo.password)
            await page.get_by_role("button", name="Sign in").click()
            await ask(page, "What does the Apollo 11 plaque on the Moon say?", "research")
            await expect(page.locator(".run .state")).to_contain_text("Done")
            await expect(page.get_by_role("list", name="Sources")).to_contain_text("Apollo")
            world.provider.enqueue(adds("Look at the Moon"), DONE)
            await ask(page, "Note: look at the Moon.", "org_inbox")
            await page.get_by_role("button", name="Approve", exact=True).click()
            await expect(page.locator(".run").last.locator(".state")).to_contain_text("Done")
        assert "Look at the Moon" in (tmp_path / "org" / folder_name("bob") / "inbox.org").read_text()
        told = world.provider.ledger[1].body["messages"][-1]["content"]
        assert "[1] The plaque of Apollo 11\n" in told
        assert await demo.interrupt() == 0
        assert [process for process in started if process.is_running()] == []


async def test_what_does_not_start_is_said_and_leaves_nothing(world: World, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="storing the demo data"):
        async with running_demo("postgresql://nobody@127.0.0.1:1/none", world.provider.base_url, tmp_path):
            pass
