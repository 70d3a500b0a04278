"""Many edits at the same time, by several processes: none is lost, and no reader sees half of one."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from backend.tools.org.folder import open_folder
from backend.tools.org.handlers import OrgTools
from backend.tools.org.store import OrgStore
from backend.tools.org.transaction import locked
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import Call, OverloadedError
from tests.backend.org.asking import Person
from tests.harness.scale import scaled

COUNT = scaled(100)
CALL = Call(user="ann")


async def test_of_the_edits_of_two_processes_none_is_lost(ann: Person, root: Path) -> None:
    command = [sys.executable, "-m", "tests.backend.org.writing", str(root)]
    writers = [
        await asyncio.create_subprocess_exec(*command, name, str(COUNT), env={"PYTHONPATH": ".:client"})
        for name in ("left", "right")
    ]
    ends = asyncio.gather(*(writer.wait() for writer in writers))
    reads = 0
    while not ends.done():
        # Each headline that was added by this has its three lines of properties, whenever it is read.
        items = (await ann.ask("GetOrgInboxItems", limit=100)).items
        assert all(item.timestamp for item in items if item.metadata.get("todo_state") == "TODO")
        reads += 1
    assert await ends == [0, 0]
    assert reads
    both = ann.read() + ann.read("inbox.org_archive")
    found = re.findall(r"(?:TODO|DONE|\[ \]) ((?:left|right)-\d+)", both)
    wanted = [f"{name}-{number}" for name in ("left", "right") for number in range(COUNT) if number % 4 != 3]
    assert sorted(found) == sorted(wanted)
    assert both.count(":CREATED:") == both.count(":END:") == COUNT // 2
    assert {path.name for path in ann.folder.iterdir()} == {"inbox.org", "inbox.org_archive", ".lock"}


async def test_an_edit_removes_what_a_writer_has_left_that_died(ann: Person) -> None:
    ann.write("half", ".new-0123456789abcdef")
    await ann.ask("AppendOrgInboxText", text="x")
    assert {path.name for path in ann.folder.iterdir()} == {"inbox.org", ".lock"}


async def test_who_cannot_get_the_lock_in_time_changes_nothing(root: Path) -> None:
    tools = OrgTools(OrgStore(str(root), lock_seconds=0.05))
    with open_folder(str(root), "ann", make=True) as folder:
        assert folder is not None
        with locked(folder, seconds=1.0), pytest.raises(OverloadedError):
            await tools.append_org_inbox_text(CALL, pb.AppendOrgInboxTextRequest(text="x"))
        assert not folder.has("inbox.org")


async def test_an_edit_whose_caller_has_gone_before_it_began_is_not_made(root: Path) -> None:
    tools = OrgTools(OrgStore(str(root), lock_seconds=60.0))
    with open_folder(str(root), "ann", make=True) as folder:
        assert folder is not None
        with locked(folder, seconds=1.0):
            request = pb.AppendOrgInboxTextRequest(text="abandoned")
            task = asyncio.create_task(tools.append_org_inbox_text(CALL, request))
            await turns()
            task.cancel()
            await turns()
            assert not task.done()  # it is at the lock, in a thread
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not folder.has("inbox.org")
    await tools.append_org_inbox_text(CALL, pb.AppendOrgInboxTextRequest(text="later"))


async def turns() -> None:
    """Let all go on that needs nothing but turns of the loop."""
    for _ in range(20):
        await asyncio.sleep(0)
