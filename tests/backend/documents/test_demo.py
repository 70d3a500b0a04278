"""The demo data is stored by one command, again without a second copy, and names where it comes from."""

import asyncio
import sys
from pathlib import Path

import grpc
from pydantic import SecretStr

from backend.demo.seed import demo_data
from backend.parts import served
from backend.settings import Settings, StoreSettings, ToolServiceSettings
from backend.tooling import configured_tools
from backend.tools.org.folder import folder_name
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from tests.backend.documents.backend import running
from tests.harness.postgres import fresh_database
from tests.harness.process import ROOT
from tests.toolserver.backend import TOKEN
from tests.toolserver.calling import ask

TABLES = ("documents", "messages", "report_templates", "turns")
DEMO = ROOT / "backend" / "demo"


async def test_the_command_seeds_once(server_dsn: str, tmp_path: Path) -> None:
    async with fresh_database(server_dsn, migrated=False) as dsn:
        first = await seeded(dsn, tmp_path)
        async with running(dsn, schema="backend") as backend:
            found = (await backend.ask("SearchDocuments", "bob", query="moon plaque")).results[0]
        (tmp_path / folder_name("ann") / "inbox.org").write_text("* mine\n")
        again = await seeded(dsn, tmp_path)
        async with running(dsn, schema="backend") as backend:
            about = await backend.ask("GetDocument", "bob", document_id=found.document_id)
            counts = [
                await backend.count(one) for one in ("documents", "messages", "report_templates", "turns")
            ]
            holmes = await backend.ask("SearchEntities", "demo", query="who is Irene Adler?")
            rooms = (await backend.invoke("get_user_rooms", "bob"))["rooms"]

    assert first == "17 documents, 2 rooms, 2 templates, 1 conversations, 6 new org files\n"
    assert again == first.replace("6 new", "0 new")
    assert about.title == "The plaque of Apollo 11"
    assert counts == [17, 3, 2, 2]
    assert [one.entity_type for one in holmes.entities] == ["person"]
    assert [one["name"] for one in rooms] == ["Exhibition"]
    assert (tmp_path / folder_name("ann") / "inbox.org").read_text() == "* mine\n"


async def seeded(dsn: str, org: Path) -> str:
    """What the command prints."""
    command = [sys.executable, "-m", "backend.demo", "--dsn", dsn, "--org", str(org)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env={"PYTHONPATH": f"{ROOT / 'client'}"}, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


def test_every_file_says_where_it_comes_from() -> None:
    sources = (DEMO / "SOURCES.md").read_text()
    names = {file.name for file in (DEMO / "documents").iterdir()}
    used = {name for user in demo_data()["users"].values() for name in user["documents"]}

    assert names == used
    assert not [name for name in names if f"documents/{name}`" not in sources]


async def test_the_backend_itself_serves_what_was_seeded(server_dsn: str, tmp_path: Path) -> None:
    async with fresh_database(server_dsn, migrated=False) as dsn:
        await seeded(dsn, tmp_path)
        settings = Settings(store=StoreSettings(dsn=SecretStr(dsn)))
        here = ToolServiceSettings(address="127.0.0.1:0", token=SecretStr(TOKEN))
        async with (
            configured_tools(settings) as tools,
            served(tools, here, always) as address,
            grpc.aio.insecure_channel(address) as channel,
        ):
            request = pb.SearchRequest(user_id="ann", query="daisy-chain")
            found = await ask(channel, "SearchDocuments", request)
        async with configured_tools(Settings()) as nothing:
            assert nothing is None

    assert [hit.title for hit in found.results] == ["Alice's Adventures in Wonderland: the beginning"]


async def always() -> bool:
    return True
