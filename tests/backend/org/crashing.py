"""Dies in the middle of an edit, at one place after the other; prints what was on disk each time.

`python -m tests.backend.org.crashing DIRECTORY EDIT` with EDIT `append` or `archive`. Of each death it
prints a line of JSON: the files as the dead left them, as somebody reads them next, and whether the edit
was over.
"""

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from backend.tools.org.folder import Folder, folder_name
from backend.tools.org.handlers import ARCHIVE, INBOX, OrgTools
from backend.tools.org.store import OrgStore
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import Call

INBOX_BEFORE = "* TODO open\n* DONE first\nits text\n* DONE second\n" + "filling\n" * 200
ARCHIVE_BEFORE = "* DONE earlier\n"
APPENDED = "* TODO appended\n"
_TOUCHING = ("open", "os.rename", "os.remove", "os.mkdir", "os.listdir")
_CALL = Call(user="ann")


def _edit(root: str, kind: str) -> None:
    tools = OrgTools(OrgStore(root))
    if kind == "append":
        asyncio.run(tools.append_org_inbox_text(_CALL, pb.AppendOrgInboxTextRequest(text=APPENDED)))
    else:
        asyncio.run(tools.archive_org_inbox_done(_CALL, pb.ArchiveOrgInboxDoneRequest()))


def _die_at(count: int) -> None:
    left = count

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in _TOUCHING and not str(arguments[0]).endswith(".pyc"):
            left -= 1
            if left == 0:
                os._exit(9)

    sys.addaudithook(hook)


def _die_writing(count: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, resource.RLIM_INFINITY))


def _files(root: str) -> dict[str, str]:
    folder = Path(root) / folder_name("ann")
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != ".lock"}


def _read_next(root: str) -> list[str]:
    def read(folder: Folder) -> list[str]:
        return [folder.read(INBOX) or "", folder.read(ARCHIVE) or ""]

    return asyncio.run(OrgStore(root).read("ann", read, []))


def _death(root: str, kind: str, arm: Callable[[int], None], count: int) -> bool:
    folder = Path(root) / folder_name("ann")
    folder.mkdir(parents=True)
    (folder / INBOX).write_text(INBOX_BEFORE)
    (folder / ARCHIVE).write_text(ARCHIVE_BEFORE)
    child = os.fork()
    if child == 0:
        arm(count)
        _edit(root, kind)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    left = _files(root)
    then = _read_next(root)
    print(json.dumps({"over": status == 0, "left": left, "next": then}), flush=True)  # noqa: T201 - its output
    return status == 0


def main(directory: str, kind: str) -> None:
    _edit(f"{directory}/warm", kind)  # what is imported late is there before anyone counts
    for arm, step in ((_die_at, 1), (_die_writing, 700)):
        count = step
        while not _death(f"{directory}/{arm.__name__}{count}", kind, arm, count):
            count += step


if __name__ == "__main__":
    main(*sys.argv[1:])
