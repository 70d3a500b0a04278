"""Makes edits of one inbox, many at a time: `python -m tests.backend.org.writing ROOT NAME COUNT`."""

import asyncio
import sys

from backend.tools.org.handlers import OrgTools
from backend.tools.org.store import OrgStore
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import Call

_CALL = Call(user="ann")


async def write(root: str, name: str, count: int) -> None:
    tools = OrgTools(OrgStore(root, lock_seconds=60.0))

    async def edit(number: int) -> None:
        text = f"{name}-{number}"
        match number % 4:
            case 0:
                await tools.add_org_inbox_item(_CALL, pb.AddOrgInboxItemRequest(kind="todo", text=text))
            case 1:
                await tools.add_org_inbox_item(_CALL, pb.AddOrgInboxItemRequest(kind="checkbox", text=text))
            case 2:
                await tools.append_org_inbox_text(_CALL, pb.AppendOrgInboxTextRequest(text=f"* DONE {text}"))
            case _:
                await tools.archive_org_inbox_done(_CALL, pb.ArchiveOrgInboxDoneRequest())

    await asyncio.gather(*(edit(number) for number in range(count)))


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], sys.argv[2], int(sys.argv[3])))
