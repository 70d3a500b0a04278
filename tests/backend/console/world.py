"""All behind the page: a provider with one place, the orchestrator, the backend and its tools, a browser."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, expect

from backend.passwords import hashed
from llm_orchestrator_client.tool_service import ServerOptions, ToolServiceServer
from state.embedded.launch import free_port
from tests.backend.console.chromium import chromium
from tests.backend.console.shelf import Shelf
from tests.backend.first.running import backend_process
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.narrow import narrow
from tests.harness.postgres import fresh_database
from tests.harness.service import Service
from tests.harness.tooled import SHORT

PASSWORD = "correct horse battery staple"
PEOPLE = ("ann", "bob", "cleo", "dan", "eve", "finn", "gil", "hana", "root", "ruth")
FLAGS: dict[str, bool | int] = {
    "USE_GRPC_ORCHESTRATOR": True,
    "GRPC_ORCHESTRATOR_PERCENTAGE": 100,
    "GRPC_FALLBACK_TO_LOCAL": False,
    "USE_GRPC_TOOL_SERVICE": True,
}
_PATIENCE_MILLISECONDS = 15_000


@dataclass
class World:
    """What tests of the page share; each has a person, and so rows, of its own."""

    browser: Browser
    provider: ScriptedProvider
    service: Service
    shelf: Shelf
    url: str
    flags: Path

    @asynccontextmanager
    async def page(
        self, person: str = "", view: str = "", *, at: str = "", **options: Any
    ) -> AsyncIterator[Page]:
        """A page in a profile of its own, `person` signed in. What its console says is a failure.

        `at`: another backend's address.
        """
        context = await self.browser.new_context(**options)
        context.set_default_timeout(_PATIENCE_MILLISECONDS)
        said: list[str] = []
        try:
            page = await context.new_page()
            page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("dialog", lambda dialog: said.append(f"a dialog: {dialog.message}"))
            if person:
                login = {"user": person, "password": PASSWORD}
                await context.request.post(f"{self.url}/session", data=login)
            await page.goto(f"{at or self.url}/console/{view and '#'}{view}")
            yield page
            assert said == []
        finally:
            await context.close()


@asynccontextmanager
async def open_world(server_dsn: str, folder: Path) -> AsyncIterator[World]:
    """All of it; files are in a folder."""
    shelf, flags, tools = Shelf(), folder / "flags.json", {"address": f"127.0.0.1:{free_port()}"}
    flags.write_text(flag_file(FLAGS))
    expect.set_options(timeout=_PATIENCE_MILLISECONDS)
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(chromium())
        dsn = await stack.enter_async_context(fresh_database(server_dsn))
        provider = await stack.enter_async_context(ScriptedProvider())
        service = await stack.enter_async_context(
            narrow(dsn, provider, folder, use_grpc_tool_service=True, tools=tools, run=SHORT)  # type: ignore[arg-type]
        )
        await stack.enter_async_context(ToolServiceServer(shelf, ServerOptions(tools["address"])))
        # A process: OpenFeature has one set of flags in each, and other tests have backends too.
        backend = await stack.enter_async_context(
            backend_process(
                f"127.0.0.1:{service.port}",
                BACKEND_USERS=people(),
                BACKEND_LOCAL__BASE_URL=provider.base_url,
                GRPC_ROLLOUT_FLAGS=f"file:{flags}",
            )
        )
        yield World(browser, provider, service, shelf, f"http://{backend.address}", flags)


def people() -> str:
    """All with one password; those with an R administer."""
    password = hashed(PASSWORD)
    return json.dumps(
        {name: {"password": password, "administrator": name.startswith("r")} for name in PEOPLE}
    )


def flag_file(flags: dict[str, bool | int]) -> str:
    """In flagd's format."""
    return json.dumps(
        {
            "flags": {
                name: {"state": "ENABLED", "variants": {"set": value}, "defaultVariant": "set"}
                for name, value in flags.items()
            }
        }
    )
