"""`python main.py storage`: what takes up space, and whose it is."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config.command_line import storage_report
from state.postgres.stores import storage_at
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.postgres import fresh_database
from tests.harness.process import run_main
from tests.harness.retention import age, delete_old, settled_service
from tests.harness.service import Service


@pytest.fixture
async def service(dsn: str, provider: ScriptedProvider) -> AsyncIterator[Service]:
    async with settled_service(dsn, provider) as service:
        yield service


async def test_the_command_lists_tables_and_the_largest_conversations_and_ends(
    service: Service, tmp_path: Path
) -> None:
    service.provider.enqueue(Script(tokens=("word ",) * 3000))
    await service.chat(conversation_id="large one", user_id="ännchen")
    await service.chat(conversation_id="small")
    await service.chat(conversation_id="smallest")
    code, output, errors = await run_main(tmp_path, "storage", "--largest", "2", DATABASE_URL=service.dsn)
    assert (code, errors) == (0, "")
    tables, _, conversations = output.partition("\n\n")
    sizes = {line.split()[0]: int(line.split()[1].replace(",", "")) for line in tables.splitlines()[1:]}
    assert {"runs", "run_events", "checkpoints", "checkpoint_blobs", "schema_migrations"} < sizes.keys()
    assert sizes.pop("total") == sum(sizes.values()) > 0
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)
    header, largest, second = conversations.splitlines()
    assert header.split() == ["OWNER", "CONVERSATION", "CHECKPOINT", "BYTES", "LOG", "BYTES"]
    assert largest.startswith("ännchen  large one ")
    assert second.startswith("ann      small")


async def test_checkpoints_and_logs_are_counted_for_their_conversation(service: Service) -> None:
    await service.chat(conversation_id="c1")
    await service.chat(conversation_id="c1")
    await service.chat(conversation_id="c2", user_id="bob")
    async with storage_at(service.dsn, schema="orchestrator") as storage:
        first, second = await storage.largest(10)
        assert [(one.owner, one.name) for one in (first, second)] == [("ann", "c1"), ("bob", "c2")]
        assert all(0 < one.checkpoints < first.checkpoints + one.events for one in (first, second))
        await age(service.dsn, 10, "owner = 'ann'")
        await delete_old(service.dsn, idle=9, events=9, runs=9)
        both = {one.owner: one for one in await storage.largest(10)}
    assert both["bob"] == second
    assert both["ann"].name.startswith("thread ")
    assert (both["ann"].events, both["ann"].checkpoints < first.checkpoints) == (0, True)


async def test_an_empty_database_has_nothing_to_show(tmp_path: Path, server_dsn: str) -> None:
    async with fresh_database(server_dsn, migrated=False) as dsn:
        code, output, errors = await run_main(tmp_path, "storage", DATABASE_URL=dsn)
    assert (code, output.split(), errors) == (0, ["TABLE", "BYTES", "total", "0"], "")


@pytest.mark.parametrize("number", ["-1", "many", "1e3", "99999999999999999999"])
async def test_a_wrong_number_is_code_2(tmp_path: Path, number: str) -> None:
    code, _, errors = await run_main(tmp_path, "storage", "--largest", number)
    assert (code, "must be a number" in errors or "expected one argument" in errors) == (2, True)


def test_columns_are_aligned_and_a_terminal_obeys_no_name() -> None:
    report = storage_report([("runs", 1234567), ("x", 8)], [("ann", "\x1b[2J\nboo", 10, 2000)])
    assert report.splitlines() == [
        "TABLE      BYTES",
        "runs   1,234,567",
        "x              8",
        "total  1,234,575",
        "",
        "OWNER  CONVERSATION  CHECKPOINT BYTES  LOG BYTES",
        "ann    \\x1b[2J\\nboo                10      2,000",
    ]
