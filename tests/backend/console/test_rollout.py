"""The dial shows where the rollout stands, and an administrator turns it."""

import pytest
from playwright.async_api import expect

from tests.backend.console.asking import ask, view
from tests.backend.console.world import FLAGS, World, flag_file
from tests.fakes.scripted_provider.script import Script

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_the_dial_moves_when_it_is_turned_and_when_the_file_changes(world: World) -> None:
    async with world.page("root", "rollout") as page:
        dial = page.get_by_role("meter", name="Users who go to the orchestrator")
        await expect(dial).to_have_attribute("aria-valuenow", "100")
        await page.get_by_label("Percentage").fill("12.5")
        await page.get_by_label("Percentage").press("Enter")
        await expect(dial).to_have_attribute("aria-valuenow", "12.5")
        await expect(page.locator("#hand")).to_have_css("stroke-dasharray", "12.5px, 100px")
        world.flags.write_text(flag_file(FLAGS))
        await expect(dial).to_have_attribute("aria-valuenow", "100")


async def test_a_halt_sends_chats_to_the_local_path_and_both_paths_are_counted(world: World) -> None:
    world.provider.default = Script(tokens=("Hello.",))
    async with world.page("root") as page:
        for press, told in (("Halt", "Halted (administrator)"), ("Release", "On.")):
            await view(page, "Rollout")
            await page.get_by_role("button", name=press).click()
            await expect(page.locator("#rollout-state")).to_contain_text(told)
            await view(page, "Chat")
            await page.get_by_role("button", name="New conversation").click()
            await ask(page, "Hi.")
            await expect(page.locator(".state")).to_contain_text("Done")
            local = page.locator(".state", has_text="answered locally")
            await expect(local).to_have_count(1 if press == "Halt" else 0)
        await view(page, "Rollout")
        decided = page.get_by_role("table", name="Decisions and fallbacks since the start")
        await expect(decided.get_by_role("row", name="local halted")).to_be_visible()
        await expect(decided.get_by_role("row", name="orchestrator percentage")).to_be_visible()
        paths = page.get_by_role("table", name="Both paths in the budget's window")
        await expect(paths.get_by_role("row", name="orchestrator")).to_contain_text("0.0 %")


async def test_who_is_no_administrator_sees_the_dial_and_cannot_turn_it(world: World) -> None:
    async with world.page("ann", "rollout") as page:
        await expect(page.get_by_role("meter")).to_be_visible()
        await expect(page.locator("#rollout-state")).to_have_text("On.")
        await expect(page.get_by_label("Percentage")).to_be_hidden()
        await expect(page.get_by_role("button", name="Halt")).to_be_hidden()
        refused = await page.request.put(
            f"{world.url}/rollout/percentage", data={"percentage": 0}, headers={"Origin": world.url}
        )
        assert refused.status == 403


async def test_the_providers_and_the_line_are_shown(world: World) -> None:
    async with world.page("ann", "providers") as page:
        await expect(page.get_by_role("row", name="small")).to_contain_text("0 of 1")
        await expect(page.locator("#line")).to_contain_text("accepted")
