"""The demo data is stored by one command, again without a second copy, and names where it comes from."""

import asyncio
import sys
from pathlib import Path

from backend.demo.seed import demo_data
from backend.tools.org.folder import folder_name
from tests.backend.documents.backend import running
from tests.harness.postgres import fresh_database
from tests.harness.process import ROOT

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
