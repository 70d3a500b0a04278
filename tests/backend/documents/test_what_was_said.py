"""What people say is found again by the backend's own tools, and its folder of org files is served."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from backend.tooling import configured_tools
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from tests.backend.first.reading import Browsers
from tests.backend.first.running import running_backend, settings_of
from tests.fakes.scripted_provider.script import Script
from tests.harness.postgres import fresh_database
from tests.harness.proxy import TcpProxy
from tests.harness.service import Service
from tests.toolserver.backend import TOKEN
from tests.toolserver.calling import ask

FLAGS = {"USE_GRPC_TOOL_SERVICE": "true", "USE_GRPC_ORCHESTRATOR": "true"}


@asynccontextmanager
async def with_tools(server_dsn: str, **groups: Any) -> AsyncIterator[tuple[str, TcpProxy, grpc.aio.Channel]]:
    """A backend with its tools, the way to its database, and one to its ToolService."""
    percentage = groups.pop("percentage", "100")
    target = groups.pop("target", "127.0.0.1:1")
    async with fresh_database(server_dsn, migrated=False) as dsn, TcpProxy.to(dsn) as proxy:
        settings = settings_of(target, store={"dsn": proxy.dsn}, tool_service={"token": TOKEN}, **groups)
        flags = {**FLAGS, "GRPC_ORCHESTRATOR_PERCENTAGE": percentage}
        async with (
            configured_tools(settings) as tools,
            running_backend(settings, flags, tools=tools) as backend,
            grpc.aio.insecure_channel(backend.parts.tool_address) as channel,
        ):
            yield backend.address, proxy, channel


async def said(channel: grpc.aio.Channel, user: str, query: str) -> list[str]:
    """What a search of the user's conversations finds."""
    found = await ask(channel, "SearchConversationCache", pb.CacheSearchRequest(query=query, user_id=user))
    return sorted(entry.content for entry in found.entries)


@pytest.mark.parametrize("percentage", ["100", "0"], ids=["by the orchestrator", "by the local path"])
async def test_a_turn_is_found_again_by_who_had_it(
    service: Service, server_dsn: str, browsers: Browsers, percentage: str
) -> None:
    service.provider.enqueue(Script(tokens=("Walruses ", "like clams.")))
    local = {"base_url": service.provider.base_url}
    place = {"target": f"127.0.0.1:{service.port}", "percentage": percentage}
    async with with_tools(server_dsn, local=local, **place) as (address, _, channel):
        ann = browsers.at(address)
        await ann.chat("What do walruses eat?")
        assert await said(channel, "ann", "walrus") == ["Walruses like clams.", "What do walruses eat?"]
        assert await said(channel, "bob", "walrus") == []


async def test_a_turn_is_answered_although_it_cannot_be_kept(
    service: Service, server_dsn: str, browsers: Browsers
) -> None:
    place = {"target": f"127.0.0.1:{service.port}"}
    async with with_tools(server_dsn, **place) as (address, proxy, _):
        await proxy.cut()
        events = await browsers.at(address).chat("hello")
    assert events[-1].kind == "complete"


async def test_org_files_are_served_from_the_folder_of_the_setting(server_dsn: str, tmp_path: Path) -> None:
    request = pb.AppendOrgInboxTextRequest(user_id="ann", text="* buy milk")
    async with with_tools(server_dsn, org={"root": tmp_path}) as (_, _, channel):
        assert (await ask(channel, "AppendOrgInboxText", request)).success
    assert inboxes(tmp_path) == ["* buy milk\n"]
    async with with_tools(server_dsn) as (_, _, channel):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await ask(channel, "AppendOrgInboxText", request)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def inboxes(folder: Path) -> list[str]:
    """What stands in all users' inboxes."""
    return [file.read_text() for file in folder.rglob("inbox.org")]
