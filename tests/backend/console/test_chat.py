"""A conversation on the page: live text, tools, sources, the line, the title."""

import pytest
from playwright.async_api import expect

from tests.backend.console.asking import ask
from tests.backend.console.shelf import Document
from tests.backend.console.world import World
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.script import Script
from tests.harness.narrow import HELD
from tests.integration.agents.test_research import gaps

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_question_about_the_documents_is_answered_with_its_source(world: World) -> None:
    world.shelf.documents.append(Document("d1", "On rain", "Rain was expected in May."))
    world.provider.enqueue(gaps(), Script(tokens=("In **May** ", "[1", "].")))
    async with world.page("ann") as page:
        await ask(page, "When is rain expected?", "research")
        turn = page.locator(".run")
        await expect(turn.locator(".state")).to_contain_text("Done")
        await expect(turn.locator(".markdown strong")).to_have_text("May")
        await expect(turn.locator("summary", has_text="search_documents")).to_contain_text("done")
        await expect(turn.get_by_role("list", name="Sources")).to_contain_text("On rain")
        await turn.get_by_role("button", name="Source 1").click()
        await expect(turn.get_by_role("list", name="Sources").locator("li")).to_be_focused()
        await expect(page.get_by_role("heading", level=1)).not_to_have_text("New conversation")


async def test_text_is_shown_and_said_while_it_comes(world: World) -> None:
    world.provider.enqueue(Script(tokens=("It begins. ", "And", " ends."), hold_after=2))
    async with world.page("bob") as page:
        await ask(page, "Tell me.")
        await expect(page.locator(".markdown")).to_contain_text("It begins. And")
        await expect(page.locator("#spoken")).to_have_text("It begins.")
        await expect(page.get_by_role("button", name="Stop")).to_be_enabled()
        world.provider.release()
        await expect(page.locator(".markdown")).to_have_text("It begins. And ends.")
        await expect(page.locator("#spoken")).to_contain_text("And ends.")
        await expect(page.get_by_role("button", name="Stop")).to_be_disabled()


async def test_a_turn_is_stopped_at_the_provider(world: World) -> None:
    world.provider.enqueue(HELD)
    async with world.page("bob") as page:
        await ask(page, "Tell me.")
        await expect(page.locator(".markdown")).to_contain_text("one")
        await page.get_by_role("button", name="Stop").click()
        await expect(page.locator(".state")).to_contain_text("cancelled")
        await expect(page.get_by_role("button", name="Send")).to_be_enabled()
        assert await (await world.provider.call(1)).ended() is Outcome.CLIENT_GONE


async def test_who_waits_sees_the_place_in_line(world: World) -> None:
    world.provider.enqueue(HELD)
    async with world.page("bob") as first, world.page("cleo") as second:
        await ask(first, "Hold the only place.")
        await expect(first.locator(".markdown")).to_contain_text("one")
        await ask(second, "And me?")
        await expect(second.locator(".state")).to_contain_text("Place 1 in line")
        world.provider.release()
        await expect(second.locator(".state")).to_contain_text("Done")


async def test_a_second_turn_goes_on_in_the_same_conversation(world: World) -> None:
    world.provider.enqueue(Script(tokens=("Hello Ann.",)), Script(tokens=("You said hi.",)))
    async with world.page("ann") as page:
        for query in ("hi", "What did I say?"):
            await ask(page, query)
            await expect(page.locator(".run").last.locator(".state")).to_contain_text("Done")
        said = world.provider.ledger[-1].body["messages"]
        assert [m["content"] for m in said if m["role"] == "assistant"] == ["Hello Ann."]
