"""What a newcomer does: the README's commands, where nothing is configured, with the real model."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import psutil
import pytest
import pytest_asyncio

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.embedded_postgres import passable_folder
from tests.harness.process import ROOT, OrchestratorProcess, orchestrator_process, run_main
from tests.harness.readme import README, grpcurl_commands, messages, readme_command, run

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]

FIRST = "A first call"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
SETTINGS = {
    "ORCHESTRATOR_EMBEDDED__FOLDER": "own-data",
    "ORCHESTRATOR_LOCAL_MODEL__THREADS": "2",
    "ORCHESTRATOR_LOCAL_MODEL__SLOTS": "3",
    "ORCHESTRATOR_LOCAL_MODEL__CONTEXT_TOKENS": "1024",
    "ORCHESTRATOR_LOCAL_MODEL__MAX_OUTPUT_TOKENS": "40",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process() -> AsyncIterator[OrchestratorProcess]:
    """`python main.py` with its own Postgres and its own model."""
    with passable_folder() as folder:
        async with orchestrator_process(folder, **SETTINGS) as process:
            await healthy(process.address)
            yield process


async def healthy(address: str) -> None:
    """Wait until the model has loaded."""
    async with asyncio.timeout(60), grpc.aio.insecure_channel(address) as channel:
        stub: rpc.OrchestratorServiceAsyncStub = rpc.OrchestratorServiceStub(channel)
        while (await stub.HealthCheck(pb.HealthCheckRequest())).status != "healthy":  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_the_readmes_first_calls_answer(process: OrchestratorProcess) -> None:
    answers = [await readme_command(process.address, command) for command in grpcurl_commands(FIRST)]
    health, chat, mistake, task, tasks = answers
    assert messages(health)[0]["status"] == "healthy"
    chunks = messages(chat)
    assert len([chunk for chunk in chunks if chunk["type"] == "content"]) > 5
    assert chunks[-1]["type"] == "complete"
    assert "Code: InvalidArgument" in mistake
    assert "query: is required" in mistake
    assert messages(task)[0]["state"] in ("TASK_STATE_RUNNING", "TASK_STATE_QUEUED")
    assert f'"task_id": "{messages(task)[0]["task_id"]}"' in tasks


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"(?m)(?:^|`)make ([a-z-]+)", README + CONTRIBUTING)))
)
async def test_every_make_target_that_is_written_of_exists(target: str) -> None:
    code, output = await run("make", "--dry-run", target)
    assert code == 0, output


async def test_the_longest_answer_is_as_long_as_its_setting(process: OrchestratorProcess) -> None:
    chat = next(command for command in grpcurl_commands(FIRST) if "StreamChat" in command)
    story = re.sub(r'"query": *"[^"]*"', '"query": "Tell me a very long story about the sea."', chat)
    usage = messages(await readme_command(process.address, story))[-1]["usage"]
    assert isinstance(usage, dict)
    assert int(usage["output_tokens"]) <= 40


async def test_the_local_model_runs_as_its_settings_say(process: OrchestratorProcess) -> None:
    children = psutil.Process(process.pid).children(recursive=True)
    (model,) = [child for child in children if "providers.local.child" in child.cmdline()]
    options = dict(zip(model.cmdline()[-8::2], model.cmdline()[-7::2], strict=True))
    assert options.pop("--model").endswith(".gguf")
    assert options == {"--threads": "2", "--slots": "3", "--context": "1024"}


async def test_the_image_test_passes_against_a_working_service(process: OrchestratorProcess) -> None:
    code, output = await run(sys.executable, "deploy/test_grpc.py", process.address)
    assert (code, output.splitlines()[-1]) == (0, "ok")


async def test_the_image_test_fails_where_nothing_listens() -> None:
    code, output = await run(sys.executable, "-c", _IMPATIENT)
    assert (code, output.splitlines()[-1]) == (1, "FAILED")


_IMPATIENT = """
import sys
sys.argv = ["test_grpc.py", "127.0.0.1:1"]
from deploy import test_grpc
test_grpc.CONNECT_SECONDS = 1.0
sys.exit(test_grpc.main())
"""


async def test_the_health_check_of_the_image_follows_readiness(
    process: OrchestratorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_SERVER__ADDRESS", process.address)
    assert await run(sys.executable, "-m", "deploy.healthcheck") == (0, "SERVING\n")
    monkeypatch.setenv("ORCHESTRATOR_SERVER__ADDRESS", "127.0.0.1:1")
    assert await run(sys.executable, "-m", "deploy.healthcheck") == (1, "UNAVAILABLE\n")


async def test_chat_in_the_terminal_prints_the_answer(
    process: OrchestratorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_SERVER__ADDRESS", process.address)
    code, output = await run(sys.executable, "-m", "deploy.chat", "Say hello.")
    assert code == 0
    assert output.strip()


async def test_the_database_folder_is_the_one_it_was_told(process: OrchestratorProcess) -> None:
    folder = Path(psutil.Process(process.pid).cwd()) / "own-data"
    assert (folder / "local-model.log").exists()
    assert (folder / "password").stat().st_mode & 0o777 == 0o600


async def test_a_model_that_does_not_load_in_time_ends_the_process_with_a_line() -> None:
    with passable_folder() as folder:
        code, _, errors = await run_main(folder, ORCHESTRATOR_LOCAL_MODEL__START_SECONDS="0.01")
    assert code == 1
    assert errors.splitlines()[-1].startswith("llm-orchestrator: the local model has ended: ")
