"""Each setting of a remote, changed, changes what happens."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from agents.loader import CatalogError
from agents.remote.file import RemoteFileError, read_remotes
from protos import orchestrator_pb2 as pb
from state.embedded.launch import free_port
from tests.fakes.orchestrator.play import WAITS, Play, asked, done, failed, text
from tests.fakes.orchestrator.service import FakeOrchestrator
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.certificates import self_signed
from tests.harness.service import Service, settings_for_tests
from tests.harness.statuses import error_info
from tests.harness.tooled import decide, pending
from tests.integration.remote.places import agents_folder, ask, refused, remotes_file, standing, with_remote
from tests.integration.tasks.asking import start
from tests.integration.tasks.tables import connected
from wiring.agents import check

Configured = Callable[..., AbstractAsyncContextManager[Service]]
FINE = Play([text("Yes."), done("Yes.")])
FAILS = pb.RunOptions(on_saturated=pb.SATURATION_BEHAVIOR_FAIL)


@pytest.fixture
def configured(dsn: str, provider: ScriptedProvider, tmp_path: Path, farm: FakeOrchestrator) -> Configured:
    """A service with a remote as its entry says."""

    @asynccontextmanager
    async def service(**entry: object) -> AsyncIterator[Service]:
        async with with_remote(dsn, provider, tmp_path, farm.address, entry=entry) as here:
            yield here

    return service


def test_without_a_file_an_agent_elsewhere_is_one_clear_line(tmp_path: Path) -> None:
    agents = {"folder": agents_folder(tmp_path)}
    with pytest.raises(CatalogError) as raised:
        check(settings_for_tests(agents=agents))
    line = "farm.md: remote.service: no remote is called 'farm' in ORCHESTRATOR_REMOTES__FILE"
    assert raised.value.lines == (line,)
    file = remotes_file(tmp_path, "127.0.0.1:1")
    assert check(settings_for_tests(agents=agents, remotes={"file": file})) == 2


def test_a_file_that_cannot_be_used_is_refused_in_a_line(tmp_path: Path) -> None:
    file, wrong = tmp_path / "remotes.toml", {}
    wrong["[remotes.farm]\n"] = "remotes.farm.address"
    wrong['[remotes.farm]\naddress = "farm.example.org:50051"\n'] = "its address is not loopback"
    wrong['[remotes.farm]\naddress = "127.0.0.1:1"\nca_file = "a.pem"\n'] = "ca_file needs tls"
    wrong['[remotes.farm]\naddress = "127.0.0.1:1"\ntoken_env = "FARM_TOKEN"\n'] = "FARM_TOKEN is not set"
    wrong['[remotes.farm]\naddress = "127.0.0.1:1"\ncolour = 1\n'] = "colour"
    wrong["nonsense"] = "cannot be read as TOML"
    for content, line in wrong.items():
        file.write_text(content)
        with pytest.raises(RemoteFileError, match=line):
            read_remotes(file, {})
    for more in ("tls = true", "allow_plaintext = true"):
        file.write_text(f'[remotes.farm]\naddress = "farm.example.org:50051"\n{more}\n')
        assert read_remotes(file, {})["farm"].address == "farm.example.org:50051"


async def test_a_connection_is_encrypted_and_the_certificate_checked(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed()
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(certificate.certificate)
    monkeypatch.setenv("FARM_TOKEN", "canary-token")
    async with FakeOrchestrator(credentials=certificate.server_credentials()) as farm:
        farm.plays.append(FINE)
        entry: dict[str, Any] = {"tls": True, "ca_file": str(ca_file), "token_env": "FARM_TOKEN"}
        async with with_remote(dsn, provider, tmp_path, farm.address, entry=entry) as here:
            assert standing(await ask(here)) == "Yes."
        assert farm.metadata[-1]["authorization"] == "Bearer canary-token"
        del entry["token_env"]
        async with with_remote(dsn, provider, tmp_path, farm.address, entry=entry) as here:
            assert standing(await ask(here)) == "Yes."
        assert "authorization" not in farm.metadata[-1]
        del entry["ca_file"]
        async with with_remote(dsn, provider, tmp_path, farm.address, entry=entry) as here:
            _, error = await refused(here)
    assert error_info(error).reason == "PROVIDER_UNAVAILABLE"


@pytest.mark.parametrize("most", [1, 2])
async def test_so_many_runs_go_on_there_at_a_time(
    configured: Configured, farm: FakeOrchestrator, most: int
) -> None:
    farm.plays.append(Play([text("Half")]))
    async with configured(max_concurrency=most) as here:
        tasks = [await start(here, agent_type="farm") for _ in range(2)]
        await farm.until(lambda: len(farm.runs) == most)
        chunks, error = await refused(here, run_options=FAILS)
        assert (chunks, error_info(error).reason) == ([], "PROVIDER_SATURATED")
        for number in range(2):
            await farm.until(lambda number=number: len(farm.runs) > number)
            await farm.add(farm.runs[number], done("Half"))
        assert {await here.run_ended(task.task_id, within=10) for task in tasks} == {"succeeded"}


@pytest.mark.parametrize("seconds", [0.3, 2.0])
async def test_the_first_chunk_may_take_so_long(
    configured: Configured, farm: FakeOrchestrator, seconds: float
) -> None:
    farm.plays.append(Play())
    async with configured(first_seconds=seconds, reconnect_seconds=0) as here:
        began = monotonic()
        _, error = await refused(here)
        assert monotonic() - began >= seconds
    assert error_info(error).reason == "PROVIDER_UNAVAILABLE"


async def test_a_run_is_looked_for_again_for_so_long(configured: Configured, farm: FakeOrchestrator) -> None:
    farm.plays.append(Play([text("Half")]))
    for seconds, answers in ((0.0, False), (20.0, True)):
        async with configured(reconnect_seconds=seconds) as here:
            task = await start(here, agent_type="farm", conversation_id=f"c{seconds}")
            await farm.until(lambda: farm.runs and not farm.runs[-1].over)
            await asyncio.wait_for(farm.stop(), 5)
            before = len(farm.resumed)
            await farm.start()
            if answers:
                await farm.until(lambda before=before: len(farm.resumed) > before)
            await farm.add(farm.runs[-1], done("Half"))
            assert await here.run_ended(task.task_id, within=15) == "succeeded"
            assert bool(len(farm.resumed) - before) is answers
    assert len(farm.runs) == 2


@pytest.mark.parametrize(("seconds", "state"), [(0.2, "failed"), (10.0, "succeeded")])
async def test_a_decision_may_take_so_long(
    configured: Configured, farm: FakeOrchestrator, seconds: float, state: str
) -> None:
    farm.plays.append(Play([asked(), WAITS], approved=[done("Yes.")]))
    async with configured(call_seconds=seconds) as here:
        chunks = await ask(here)
        farm.approves_after = asyncio.Event()
        [permission] = await pending(here)
        await decide(here, permission)
        await farm.until(lambda: "ApprovePermission" in farm.streams)
        if state == "succeeded":
            farm.approves_after.set()
        assert await here.run_ended(chunks[0].run_id, within=10) == state
        farm.approves_after.set()


@pytest.mark.parametrize(("failures", "calls"), [(1, 1), (3, 3)])
async def test_a_remote_that_fails_so_often_is_left_alone(
    configured: Configured, farm: FakeOrchestrator, failures: int, calls: int
) -> None:
    farm.plays.append(Play(refused=failed(14, "DRAINING")))
    async with configured(breaker_failures=failures, breaker_seconds=60) as here:
        for _ in range(5):
            _, error = await refused(here, run_options=FAILS)
            assert error_info(error).reason == "PROVIDER_UNAVAILABLE"
    assert farm.streams.count("StreamChat") == calls


@pytest.mark.parametrize("seconds", [0.2, 60.0])
async def test_it_is_left_alone_for_so_long(
    configured: Configured, farm: FakeOrchestrator, seconds: float
) -> None:
    farm.plays.extend([Play(refused=failed(14, "DRAINING")), FINE])
    options = pb.RunOptions()
    options.max_wait.FromMilliseconds(1500)
    async with configured(breaker_failures=1, breaker_seconds=seconds) as here:
        await refused(here, run_options=FAILS)
        if seconds < 1:
            assert standing(await ask(here, run_options=options)) == "Yes."
        else:
            _, error = await refused(here, run_options=options)
            assert error_info(error).reason == "PROVIDER_UNAVAILABLE"


@pytest.mark.parametrize("hops", [1, 3])
async def test_a_request_goes_round_in_a_circle_so_often(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, hops: int
) -> None:
    port = free_port()
    address = f"127.0.0.1:{port}"
    async with with_remote(
        dsn,
        provider,
        tmp_path,
        address,
        agent={"remote": "{service: farm, agent_type: farm}"},
        remotes={"max_hops": hops},
        server={"address": address},
    ) as here:
        _, error = await refused(here)
        assert error_info(error).reason == "PROVIDER_BROKEN"
        async with connected(dsn) as connection:
            reasons = await connection.fetch(
                "SELECT error_reason FROM orchestrator.runs ORDER BY create_time"
            )
    assert [row["error_reason"] for row in reasons] == ["PROVIDER_BROKEN"] * hops + ["INVALID_REQUEST"]


async def test_a_count_of_hops_that_is_none_is_refused(here: Service, farm: FakeOrchestrator) -> None:
    farm.plays.append(FINE)
    _, error = await refused(here, metadata={"x-orchestrator-hops": "-1"})
    assert error_info(error).reason == "INVALID_REQUEST"
    assert not farm.runs
