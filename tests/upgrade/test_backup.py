"""A backup of a database at work, everything lost, the backup put back: all goes on, nothing twice."""

import asyncio
import stat
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from llm_orchestrator_client import OrchestratorClient
from llm_orchestrator_client.errors import NotFoundError
from tests.fakes.embedded_postgres import passable_folder
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.postgres import fresh_database
from tests.harness.process import ROOT, OrchestratorProcess, orchestrator_process
from tests.harness.scale import SCALE, report
from tests.harness.tooled import DONE
from tests.integration.tasks.tables import connected
from tests.upgrade.load import answer_to, options_for, steady_load
from tests.upgrade.places import SHORT
from tests.upgrade.questions import WISH, adding

QUEUED = 4
DONE_ANYWAY = answer_to(WISH)
ONE_AT_A_TIME = {"ORCHESTRATOR_PROVIDER__MAX_CONCURRENCY": "1"}
_RUNS = "SELECT run_id, state, attempt FROM orchestrator.runs WHERE kind = 'task'"

pytestmark = pytest.mark.timeout(120 * SCALE)


async def backup(*arguments: str, **environment: str) -> tuple[int, str]:
    """`python -m deploy.backup`, as an operator runs it: exit code, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.backup", *arguments),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@asynccontextmanager
async def serving(
    folder: Path, environment: Mapping[str, str]
) -> AsyncIterator[tuple[OrchestratorProcess, OrchestratorClient]]:
    """A process, and ann's client."""
    async with (
        orchestrator_process(folder, **SHORT, **environment) as process,
        OrchestratorClient(options_for(process.address)) as client,
    ):
        yield process, client


def with_tools(provider: ScriptedProvider, backend: FakeToolService) -> dict[str, str]:
    return {
        "OPENAI_BASE_URL": provider.base_url,
        "USE_GRPC_TOOL_SERVICE": "true",
        "ORCHESTRATOR_TOOLS__ADDRESS": backend.address,
        **ONE_AT_A_TIME,
    }


async def text_of(client: OrchestratorClient, task: str) -> str:
    return await client.tasks.watch(task, user_id="ann").text()


async def runs_in(dsn: str) -> dict[str, asyncpg.Record]:
    """By their ids."""
    async with connected(dsn) as connection:
        return {row["run_id"].hex: row for row in await connection.fetch(_RUNS)}


QUERIES = [f"queued {number}" for number in range(QUEUED)]


def asked_last(provider: ScriptedProvider) -> list[str]:
    """What the model was told last, after its instructions."""
    return [message["content"] for message in provider.ledger[-1].body["messages"][1:]]


async def test_everything_goes_on_from_a_backup_and_nothing_is_done_twice(
    server_dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    """A conversation, queued tasks, one that waits for ann, and one in its middle, its effect done."""
    file = tmp_path / "backup"
    async with FakeToolService() as backend:
        common = with_tools(provider, backend)
        async with fresh_database(server_dsn) as lost:
            environment = {**common, "DATABASE_URL": lost}
            async with serving(tmp_path, environment) as (process, client):
                await client.chat("first", user_id="ann", conversation_id="c").text()
                waiting, permission = await adding(client, provider)
                middle, to_do = await adding(client, provider)
                provider.enqueue(Script(tokens=DONE.tokens, hold_after=1))
                before = len(provider.ledger)
                await client.permissions.approve(to_do, user_id="ann")
                await provider.call(before + 1)
                queued = [(await client.tasks.start(query, user_id="ann")).task_id for query in QUERIES]
                code, said = await backup("dump", str(file), DATABASE_URL=lost)
                assert code == 0, said
                later = await client.tasks.start("after the backup", user_id="ann")
                await process.kill()
        async with fresh_database(server_dsn, migrated=False) as found:
            environment = {**common, "DATABASE_URL": found}
            code, said = await backup("restore", str(file), DATABASE_URL=found)
            assert code == 0, said
            async with serving(tmp_path, environment) as (_, client):
                assert (await text_of(client, middle)).endswith(DONE_ANYWAY)
                assert [await text_of(client, task) for task in queued] == list(map(answer_to, QUERIES))
                await client.permissions.approve(permission, user_id="ann")
                assert (await text_of(client, waiting)).endswith(DONE_ANYWAY)
                provider.default = Script(tokens=("again",))
                await client.chat("second", user_id="ann", conversation_id="c").text()
                with pytest.raises(NotFoundError):
                    await client.tasks.status(later.task_id, user_id="ann")
            rows = await runs_in(found)
    assert asked_last(provider) == ["first", answer_to("first"), "second"]
    assert {row["state"] for row in rows.values()} == {"succeeded"}
    assert rows.keys() == {waiting, middle, *queued}
    assert rows[middle]["attempt"] > max(rows[task]["attempt"] for task in queued)
    assert [call.effect for call in backend.ledger.calls] == [True, True]


async def test_a_backup_under_load_is_of_one_moment(
    server_dsn: str, dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    """Every run in it goes on to its end, with one log and one text; events get numbers nobody has had."""
    file = tmp_path / "backup"
    environment = {"DATABASE_URL": dsn, "OPENAI_BASE_URL": provider.base_url}
    async with serving(tmp_path, environment) as (process, _), steady_load(process.address) as callers:
        await callers.have_done(1)
        code, said = await backup("dump", str(file), DATABASE_URL=dsn)
        assert code == 0, said
        await callers.have_done(1)
    assert callers.told.surfaced == []
    async with connected(dsn) as connection:
        last = await connection.fetchval("SELECT last_value FROM orchestrator.outbox_event_id_seq")
    async with fresh_database(server_dsn, migrated=False) as found:
        code, said = await backup("restore", str(file), DATABASE_URL=found)
        assert code == 0, said
        async with connected(found) as connection:
            tasks = {row["run_id"].hex for row in await connection.fetch(_RUNS)}
            unfinished = await connection.fetchval(
                "SELECT count(*) FROM orchestrator.runs WHERE end_time IS NULL"
            )
            assert await connection.fetchval("SELECT nextval('orchestrator.outbox_event_id_seq')") > last
        async with (
            orchestrator_process(tmp_path, **SHORT, **environment | {"DATABASE_URL": found}) as process,
            OrchestratorClient(options_for(process.address)) as client,
        ):
            for task in tasks:
                query = callers.tasks[task]
                user = query.rpartition(" ")[2]
                assert await client.tasks.watch(task, user_id=user).text() == answer_to(query)
            async with asyncio.timeout(20):
                await all_ended(found)
    report(f"a backup under load: {len(tasks)} tasks in it, {unfinished} runs not ended; {callers.told}")
    assert tasks <= callers.tasks.keys()
    assert unfinished >= 1


async def all_ended(dsn: str) -> None:
    async with connected(dsn) as connection:
        left = "SELECT count(*) FROM orchestrator.runs WHERE state <> 'succeeded'"
        while await connection.fetchval(left):  # noqa: ASYNC110 - another process ends them
            await asyncio.sleep(0.05)


async def test_the_embedded_database_is_backed_up_and_restored_by_the_same_command(
    provider: ScriptedProvider,
) -> None:
    with passable_folder() as place:
        first, second, file = place / "first", place / "second", place / "backup"
        environment = {"OPENAI_BASE_URL": provider.base_url}
        first_too = {"ORCHESTRATOR_EMBEDDED__FOLDER": str(first)}
        async with serving(place, {**environment, **first_too}) as (_, client):
            await client.chat("first", user_id="ann", conversation_id="c").text()
            code, said = await backup("dump", str(file), **first_too)
            assert code == 0, said
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            code, said = await backup("restore", str(file), "--replace", **first_too)
            assert (code, "at work" in said) == (1, True)
        code, said = await backup("restore", str(file), **first_too)
        assert (code, "--replace" in said) == (1, True)
        second_too = {"ORCHESTRATOR_EMBEDDED__FOLDER": str(second)}
        code, said = await backup("restore", str(file), **second_too)
        assert code == 0, said
        provider.default = Script(tokens=("again",))
        async with serving(place, {**environment, **second_too}) as (_, client):
            await client.chat("second", user_id="ann", conversation_id="c").text()
    said_to_model = [message["content"] for message in provider.ledger[-1].body["messages"][1:]]
    assert said_to_model == ["first", answer_to("first"), "second"]
