"""A start with an outage journal: only where it lasts, alone, and with a file that is whole."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from protos import orchestrator_pb2 as pb
from state.spool.entries import COLUMNS
from state.spool.errors import SpoolError
from state.spool.file import NAME
from state.spool.folder import file_system
from state.spool.spool import SpoolLimits, spool_in
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.journal import journalled
from tests.harness.process import run_main
from tests.integration.tasks.asking import ended

ROOM = SpoolLimits(100, 1 << 20)
MEMORY = Path("/dev/shm")


async def refusal(folder: Path) -> str:
    with pytest.raises(SpoolError) as raised:
        async with spool_in(folder, ROOM):
            pass
    return str(raised.value)


async def test_a_start_without_the_folder_or_in_memory_is_refused_in_one_line(
    dsn: str, provider: ScriptedProvider, folder: Path
) -> None:
    places = {folder / "missing": "does not exist"}
    if file_system(MEMORY) == "tmpfs":
        places[MEMORY] = "is in memory"
    for place, why in places.items():
        code, _, errors = await run_main(
            folder,
            DATABASE_URL=dsn,
            OPENAI_BASE_URL=provider.base_url,
            ORCHESTRATOR_JOURNAL__FOLDER=str(place),
        )
        assert code == 1
        assert errors.splitlines()[-1].startswith(
            f"llm-orchestrator: the folder of the outage journal, {place}"
        )
        assert why in errors


@pytest.mark.parametrize(
    ("mounts", "kind"),
    [
        ("22 1 0:1 / / rw - overlay overlay rw\n23 22 0:2 / /data rw shared:1 - ext4 /dev/a rw", "ext4"),
        ("22 1 0:1 / / rw - ext4 /dev/a rw\n23 22 0:2 / /data rw - tmpfs tmpfs rw", "tmpfs"),
        ("22 1 0:1 / / rw - tmpfs tmpfs rw\n23 22 0:2 / /data/else rw - ext4 /dev/a rw", "tmpfs"),
        ("22 1 0:1 / / rw - ext4 /dev/a rw\n23 22 0:2 / / rw - tmpfs tmpfs rw", "tmpfs"),
    ],
)
def test_the_file_system_of_a_folder_is_that_of_its_nearest_mount(mounts: str, kind: str) -> None:
    assert file_system(Path("/data/journal"), mounts) == kind


async def test_a_second_process_with_the_same_folder_is_refused(folder: Path) -> None:
    async with spool_in(folder, ROOM):
        assert "is in use: process" in await refusal(folder)
    async with spool_in(folder, ROOM):
        pass


async def test_the_file_is_for_nobody_else_to_read(folder: Path) -> None:
    async with spool_in(folder, ROOM):
        assert (folder / NAME).stat().st_mode & 0o077 == 0


async def test_what_a_process_left_is_drained_by_the_next_one(
    dsn: str, provider: ScriptedProvider, folder: Path
) -> None:
    async with journalled(dsn, provider, folder) as outage:
        await outage.proxy.cut()
        tasks = [await outage.start(f"{n}") for n in range(3)]
    async with journalled(dsn, provider, folder) as outage:
        for task in tasks:
            assert (await ended(outage.service, task.task_id)).state == pb.TASK_STATE_SUCCEEDED


def truncated(to: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.truncate(int(size * to))

    return damage


def overwritten(path: Path) -> None:
    """Half of a page in the middle."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 2048)


def changed(path: Path) -> None:
    """A query, in place, as a bad sector would."""
    content = path.read_bytes()
    assert content.count(b"the very query") == 1
    path.write_bytes(content.replace(b"the very query", b"the vary query"))


def somebody_elses(path: Path) -> None:
    path.write_text("not a database at all" * 100)


DAMAGES = [truncated(0), truncated(0.5), truncated(0.999), overwritten, changed, somebody_elses]


@pytest.mark.parametrize("number", range(len(DAMAGES)))
async def test_a_damaged_journal_is_refused_and_left_as_it_is(
    dsn: str, provider: ScriptedProvider, folder: Path, number: int
) -> None:
    async with journalled(dsn, provider, folder) as outage:
        await outage.proxy.cut()
        await outage.start("x" * 5000)
        await outage.start("the very query")
        await outage.start("x" * 5000)
    path = folder / NAME
    DAMAGES[number](path)
    content = path.read_bytes()
    answer = await refusal(folder)
    assert str(path) in answer
    assert "is damaged" in answer
    assert path.read_bytes() == content


async def test_a_journal_of_another_release_is_refused(folder: Path) -> None:
    async with spool_in(folder, ROOM):
        pass
    connection = sqlite3.connect(folder / NAME)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    assert "another release" in await refusal(folder)


async def test_a_start_that_was_killed_while_it_made_the_file_begins_anew(folder: Path) -> None:
    (folder / NAME).with_suffix(".new").write_bytes(b"half")
    async with spool_in(folder, ROOM) as spool:
        assert spool is not None
        assert spool.count == 0
    connection = sqlite3.connect(folder / NAME)
    assert connection.execute(f"SELECT {COLUMNS} FROM tasks").fetchall() == []  # noqa: S608 - a constant
    connection.close()
