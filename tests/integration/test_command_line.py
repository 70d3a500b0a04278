"""`python main.py`: what it says, and the exit codes its operators script against."""

import asyncio
import json
from pathlib import Path

import asyncpg
import grpc
import pytest

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.postgres import fresh_database
from tests.harness.process import orchestrator_process, run_main, starting_process
from tests.harness.service import chat_request, collect, text_of

SECRET = "canary-secret-5d1"


async def test_help_explains(tmp_path: Path) -> None:
    code, output, _ = await run_main(tmp_path, "--help")
    assert code == 0
    assert all(word in output for word in ("serve", "migrate", ".env.example"))


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("ORCHESTRATOR_SERVER__ADRESS", "x", "did you mean ORCHESTRATOR_SERVER__ADDRESS?"),
        ("DATABASE_URL", f"mysql://{SECRET}", "DATABASE_URL: "),
    ],
)
async def test_a_wrong_setting_is_one_clear_line_and_code_2(
    tmp_path: Path, name: str, value: str, line: str
) -> None:
    code, output, errors = await run_main(tmp_path, **{name: value})
    assert code == 2
    assert output == ""
    assert len(errors.splitlines()) == 1
    assert errors.startswith("llm-orchestrator: ")
    assert line in errors
    assert SECRET not in errors


async def test_a_wrong_command_is_code_2(tmp_path: Path) -> None:
    code, _, errors = await run_main(tmp_path, "sing")
    assert code == 2
    assert "sing" in errors


async def test_an_unreachable_database_is_one_line_without_its_password(tmp_path: Path) -> None:
    code, output, errors = await run_main(
        tmp_path,
        DATABASE_URL=f"postgresql://user:{SECRET}@127.0.0.1:1/db",
        OPENAI_BASE_URL="http://127.0.0.1:1/v1",
        ORCHESTRATOR_DATABASE__CONNECT_SECONDS="0.2",
    )
    assert code == 1
    assert "waiting" in output
    assert errors.splitlines() == ["llm-orchestrator: the database cannot be reached"]


async def test_migrate_brings_an_empty_database_up_to_date_and_says_what_it_did(
    tmp_path: Path, server_dsn: str
) -> None:
    async with fresh_database(server_dsn, migrated=False) as dsn:
        code, output, _ = await run_main(tmp_path, "migrate", DATABASE_URL=dsn)
        assert code == 0
        assert "applied migration 0001_runs" in output
        code, output, _ = await run_main(tmp_path, "migrate", DATABASE_URL=dsn)
        assert (code, "0 migrations applied" in output) == (0, True)


async def test_serving_migrates_by_itself_into_the_schema_it_was_told(
    tmp_path: Path, server_dsn: str, provider: ScriptedProvider
) -> None:
    async with fresh_database(server_dsn, migrated=False) as dsn:
        environment = {
            "DATABASE_URL": dsn,
            "OPENAI_BASE_URL": provider.base_url,
            "ORCHESTRATOR_DATABASE__SCHEMA_NAME": "elsewhere",
        }
        async with orchestrator_process(tmp_path, **environment) as process:
            assert text_of(await chat(process.address))
            assert await process.stop() == 0
        connection = await asyncpg.connect(dsn)
        try:
            assert await connection.fetchval("SELECT count(*) FROM elsewhere.runs") == 1
            tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            assert await connection.fetchval(tables) == 0
        finally:
            await connection.close()


@pytest.mark.parametrize(
    ("environment", "model"),
    [
        ({"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "{}"}, "gpt-5-mini"),
        ({"OPENAI_BASE_URL": "{}", "ORCHESTRATOR_PROVIDER__MODEL": "mine"}, "mine"),
        ({"ANTHROPIC_API_KEY": "sk-2", "ANTHROPIC_BASE_URL": "{}"}, "claude-haiku-4-5"),
    ],
)
async def test_the_provider_is_the_one_the_environment_names(
    tmp_path: Path, dsn: str, provider: ScriptedProvider, environment: dict[str, str], model: str
) -> None:
    settings = {name: value.format(provider.base_url) for name, value in environment.items()}
    async with orchestrator_process(tmp_path, DATABASE_URL=dsn, **settings) as process:
        await chat(process.address)
    call = await provider.call(1)
    assert call.body["model"] == model
    assert call.authorized is any("KEY" in name for name in environment)


async def test_plain_text_on_another_address_needs_the_explicit_override(
    tmp_path: Path, dsn: str, provider: ScriptedProvider
) -> None:
    environment = {
        "DATABASE_URL": dsn,
        "OPENAI_BASE_URL": provider.base_url,
        "ORCHESTRATOR_SERVER__ADDRESS": "0.0.0.0:0",
        "ORCHESTRATOR_SERVER__ALLOW_PLAINTEXT": "true",
    }
    async with orchestrator_process(tmp_path, **environment) as process:
        assert text_of(await chat(process.address.replace("0.0.0.0", "127.0.0.1")))


async def test_sigterm_lets_a_run_end_within_the_grace(
    tmp_path: Path, dsn: str, provider: ScriptedProvider
) -> None:
    provider.enqueue(Script(tokens=("slow", " but", " sure"), token_interval=0.3))
    async with (
        orchestrator_process(tmp_path, DATABASE_URL=dsn, OPENAI_BASE_URL=provider.base_url) as process,
        grpc.aio.insecure_channel(process.address) as channel,
    ):
        stub: rpc.OrchestratorServiceAsyncStub = rpc.OrchestratorServiceStub(channel)
        stream = aiter(stub.StreamChat(chat_request()))
        chunks = [await anext(stream), await anext(stream)]
        stopping = asyncio.create_task(process.stop())
        await collect(stream, chunks)
        assert await stopping == 0
    assert chunks[-1].HasField("complete")
    assert text_of(chunks) == "slow but sure"


async def test_sigterm_ends_a_run_that_outlives_the_grace_with_draining(
    tmp_path: Path, dsn: str, provider: ScriptedProvider
) -> None:
    provider.enqueue(Script(tokens=("a", "b"), hold_after=1))
    environment = {
        "DATABASE_URL": dsn,
        "OPENAI_BASE_URL": provider.base_url,
        "ORCHESTRATOR_SERVER__DRAIN_SECONDS": "0.2",
    }
    async with (
        orchestrator_process(tmp_path, **environment) as process,
        grpc.aio.insecure_channel(process.address) as channel,
    ):
        stub: rpc.OrchestratorServiceAsyncStub = rpc.OrchestratorServiceStub(channel)
        stream = aiter(stub.StreamChat(chat_request()))
        chunks = [await anext(stream), await anext(stream)]
        stopping = asyncio.create_task(process.stop())
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await collect(stream, chunks)
        assert await stopping == 0
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert chunks[-1].error.reason == "DRAINING"


async def test_logs_are_json_lines_at_the_level_that_was_asked_for(
    tmp_path: Path, dsn: str, provider: ScriptedProvider
) -> None:
    lines = {}
    for level in ("info", "error"):
        environment = {"OPENAI_BASE_URL": provider.base_url, "ORCHESTRATOR_LOG_LEVEL": level}
        async with orchestrator_process(tmp_path, DATABASE_URL=dsn, **environment) as process:
            await chat(process.address)
            await process.stop()
        lines[level] = [json.loads(line) for line in process.errors]
    assert "run ended" in [line["message"] for line in lines["info"]]
    assert lines["error"] == []


async def chat(address: str) -> list[pb.ChatChunk]:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: rpc.OrchestratorServiceAsyncStub = rpc.OrchestratorServiceStub(channel)
        return [chunk async for chunk in stub.StreamChat(chat_request())]


async def test_sigterm_while_it_starts_ends_it_at_once(tmp_path: Path) -> None:
    """A database that cannot be reached is waited for, but not by somebody who was told to stop."""
    environment = {
        "DATABASE_URL": "postgresql://user:secret@127.0.0.1:1/db",
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        "ORCHESTRATOR_DATABASE__CONNECT_SECONDS": "60",
    }
    async with starting_process(tmp_path, **environment) as process:
        await process.says("postgres: cannot be reached yet, waiting")
        async with asyncio.timeout(3):
            assert await process.stop() == 0
