"""A person is asked on the page, and what is answered there is what is done."""

import json

import pytest
from playwright.async_api import expect

from tests.backend.console.asking import adds, ask, view
from tests.backend.console.world import World
from tests.harness.tooled import DONE

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_what_is_approved_in_the_conversation_is_done_and_the_answer_goes_on(world: World) -> None:
    world.provider.enqueue(adds("buy milk"), DONE)
    async with world.page("cleo") as page:
        await ask(page, "Note: buy milk.", "org_inbox")
        card = page.locator("#chat .permission")
        await expect(card).to_contain_text("buy milk")
        await expect(page.locator("#waiting")).to_have_text("1 waiting")
        assert world.shelf.written == []
        await card.get_by_role("button", name="Approve", exact=True).click()
        await expect(card.get_by_role("status")).to_have_text("Approved")
        await expect(card.get_by_role("status")).to_be_focused()
        await expect(page.locator(".state")).to_contain_text("Done")
        await expect(page.locator(".markdown").last).to_have_text("Done.")
        await expect(page.locator("#waiting")).to_be_hidden()
    assert world.shelf.written == [("cleo", "buy milk")]


async def test_what_is_edited_in_the_inbox_is_done_as_edited(world: World) -> None:
    world.provider.enqueue(adds("buy milk"), DONE)
    async with world.page("dan") as page:
        await ask(page, "Note: buy milk.", "org_inbox")
        await expect(page.locator("#chat .permission")).to_be_visible()
        await view(page, "Inbox")
        card = page.get_by_role("list", name="Permissions that wait").get_by_role("listitem")
        await card.get_by_role("button", name="Edit").click()
        field = card.get_by_label("Arguments as JSON")
        await expect(field).to_be_focused()
        await field.fill("no JSON")
        await card.get_by_role("button", name="Approve these").click()
        await expect(card.get_by_role("status")).to_have_text("That is no JSON.")
        await field.fill(json.dumps({"text": "buy oats", "kind": "todo"}))
        await card.get_by_role("button", name="Approve these").click()
        await expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
        await view(page, "Chat")
        await expect(page.locator("#chat .permission")).to_contain_text("Approved")
        await expect(page.locator(".state")).to_contain_text("Done")
    assert world.shelf.written == [("dan", "buy oats")]


async def test_what_is_denied_in_the_inbox_is_not_done(world: World) -> None:
    world.provider.enqueue(adds("buy milk"), DONE)
    async with world.page("eve") as page:
        await ask(page, "Note: buy milk.", "org_inbox")
        await expect(page.locator("#chat .permission")).to_be_visible()
        await view(page, "Inbox")
        await page.get_by_role("button", name="Deny").click()
        await expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
        await view(page, "Chat")
        await expect(page.locator("#chat .permission")).to_contain_text("Denied")
        await expect(page.locator(".state")).to_contain_text("Done")
    assert world.shelf.written == []
    assert len(world.provider.ledger) == 2
