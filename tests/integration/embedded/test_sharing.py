"""One server for all who use a folder: attached to, adopted, and stopped by its owner."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from state.embedded.errors import EmbeddedPostgresError
from state.embedded.locks import FileLock
from state.embedded.postmaster import UNKNOWN_STATUS
from state.embedded.server import EmbeddedPostgres
from tests.fakes.embedded_postgres import (
    ROWS,
    count_rows,
    fetch,
    postmaster_pid,
    processes_of,
    user_process,
    write_as_owner,
    write_rows,
)


async def test_a_second_instance_attaches_and_leaves_the_server_running(folder: Path) -> None:
    async with EmbeddedPostgres(folder) as first:
        async with EmbeddedPostgres(folder) as second:
            assert (first.owned, second.owned) == (True, False)
            assert second.dsn == first.dsn
        assert await fetch(first.dsn, "SELECT 1") == 1


async def test_nobody_attaches_while_a_start_may_still_fail(folder: Path) -> None:
    starting = FileLock(folder / "start.lock")
    async with EmbeddedPostgres(folder):
        assert starting.try_acquire()
        with pytest.raises(EmbeddedPostgresError, match=f"process {os.getpid()} holds .*start.lock"):
            await EmbeddedPostgres(folder, start_seconds=0.1).__aenter__()
        starting.release()
        async with EmbeddedPostgres(folder) as second:
            assert not second.owned


async def test_one_of_two_processes_that_start_at_once_owns_the_server(place: Path) -> None:
    folder = place / "data"
    async with user_process(folder) as first, user_process(folder) as second:
        assert sorted([first.owned, second.owned]) == [False, True]
        assert first.dsn == second.dsn
        attached, owner = sorted([first, second], key=lambda user: user.owned)
        await attached.leave()
        assert await fetch(owner.dsn, "SELECT 1") == 1
        await owner.leave()
        assert not processes_of(folder)


async def test_one_of_five_instances_that_start_at_once_owns_the_server(place: Path) -> None:
    instances = [EmbeddedPostgres(place / "data") for _ in range(5)]
    await asyncio.gather(*(instance.__aenter__() for instance in instances))
    assert sorted(instance.owned for instance in instances) == [False] * 4 + [True]
    assert len({instance.dsn for instance in instances}) == 1
    await asyncio.gather(*(instance.__aexit__(None, None, None) for instance in instances))
    assert not processes_of(place)


async def test_the_next_start_adopts_the_server_of_a_killed_starter_and_stops_it(folder: Path) -> None:
    async with user_process(folder) as user:
        await write_rows(user.dsn)
        pid = postmaster_pid(folder)
        await user.kill()
        async with EmbeddedPostgres(folder) as postgres:
            assert postgres.owned
            assert (postgres.dsn, postmaster_pid(folder)) == (user.dsn, pid)
            assert await count_rows(postgres.dsn) == ROWS
        assert not processes_of(folder)


async def test_an_attached_process_that_starts_again_adopts_after_its_owner_was_killed(folder: Path) -> None:
    async with user_process(folder) as owner, EmbeddedPostgres(folder) as attached:
        await owner.kill()
        async with EmbeddedPostgres(folder) as adopting:
            assert (attached.owned, adopting.owned) == (False, True)
        assert await attached.died() == UNKNOWN_STATUS


async def test_the_death_of_an_adopted_server_is_seen(folder: Path) -> None:
    async with user_process(folder) as user:
        await user.kill()
        async with EmbeddedPostgres(folder) as postgres:
            os.kill(postmaster_pid(folder), signal.SIGKILL)
            assert await postgres.died() == UNKNOWN_STATUS


async def test_a_living_orphan_with_a_damaged_postmaster_pid_is_replaced(folder: Path) -> None:
    async with user_process(folder) as user:
        await write_rows(user.dsn)
        pid = postmaster_pid(folder)
        await user.kill()
        write_as_owner(folder / "postgres" / "postmaster.pid", b"garbage")
        async with EmbeddedPostgres(folder) as postgres:
            assert postmaster_pid(folder) != pid
            assert await count_rows(postgres.dsn) == ROWS
        assert not processes_of(folder)


async def test_an_owner_without_a_server_is_waited_for_and_then_told(folder: Path) -> None:
    lock = FileLock(folder / "owner.lock")
    assert lock.try_acquire()
    with pytest.raises(EmbeddedPostgresError, match=f"process {os.getpid()} holds .*owner.lock"):
        await EmbeddedPostgres(folder, start_seconds=0.1).__aenter__()
    lock.release()
    async with EmbeddedPostgres(folder) as postgres:
        assert postgres.owned
