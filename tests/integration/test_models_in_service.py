"""The models behind a running service: its file, fallback, pinned models, limits, and what it tells."""

import asyncio
from pathlib import Path

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.configured import two_models, with_file
from tests.harness.process import run_main
from tests.harness.service import text_of
from tests.harness.statuses import error_info, violations

FAIL = pb.RunOptions(on_saturated=pb.SATURATION_BEHAVIOR_FAIL)


@pytest.fixture
def file(tmp_path: Path, provider: ScriptedProvider, second: ScriptedProvider) -> Path:
    path = tmp_path / "providers.toml"
    path.write_text(two_models(provider.base_url, second.base_url))
    return path


async def test_the_next_model_of_the_class_answers_when_the_first_is_down(
    dsn: str, provider: ScriptedProvider, second: ScriptedProvider, file: Path
) -> None:
    provider.default = Script(status=500)
    async with with_file(dsn, provider, file) as service:
        chunks = await service.chat()
    last = chunks[-1]
    assert text_of(chunks) == last.complete.final_text
    assert (last.metadata["provider"], last.metadata["model"]) == ("second", "small")
    assert (len(provider.ledger), len(second.ledger)) == (1, 1)


async def test_no_call_is_made_again_where_the_setting_allows_none(
    dsn: str, provider: ScriptedProvider, second: ScriptedProvider, file: Path
) -> None:
    provider.default = Script(status=500)
    async with with_file(dsn, provider, file, provider={"retry_share": 0.0}) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.chat()
    assert (len(provider.ledger), len(second.ledger)) == (1, 0)
    assert error_info(raised.value).reason == "PROVIDER_UNAVAILABLE"


async def test_a_pinned_model_answers_and_no_other(
    dsn: str, provider: ScriptedProvider, second: ScriptedProvider, file: Path
) -> None:
    async with with_file(dsn, provider, file) as service:
        chunks = await service.chat(model=pb.ModelOptions(model="small"))
        assert chunks[-1].metadata["model"] == "small"
        second.default = Script(status=500)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.chat(model=pb.ModelOptions(model="small"))
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        options = pb.ModelOptions(model="small", fallback_models=["big"])
        assert (await service.chat(model=options))[-1].metadata["model"] == "big"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (pb.ModelOptions(model="unknown"), "model.model"),
        (pb.ModelOptions(model="small", fallback_models=["unknown"]), "model.fallback_models[0]"),
        (pb.ModelOptions(fallback_models=["small"]), "model.fallback_models"),
    ],
)
async def test_a_model_that_is_unknown_is_named(
    dsn: str, provider: ScriptedProvider, file: Path, options: pb.ModelOptions, field: str
) -> None:
    async with with_file(dsn, provider, file) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.chat(model=options)
    assert list(violations(raised.value)) == [field]
    assert len(provider.ledger) == 0


async def test_a_changed_file_is_in_force_without_a_restart(
    dsn: str, provider: ScriptedProvider, second: ScriptedProvider, file: Path
) -> None:
    async with with_file(dsn, provider, file, provider={"reload_seconds": 0.05}) as service:
        assert (await service.chat())[-1].metadata["model"] == "big"
        changed = file.read_text().replace('chat = ["big", "small"]', 'chat = ["small"]')  # noqa: ASYNC240
        file.write_text(changed)  # noqa: ASYNC240
        async with asyncio.timeout(10):
            while (await service.chat())[-1].metadata["model"] != "small":  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_a_changed_file_is_looked_at_as_often_as_its_setting(
    dsn: str, provider: ScriptedProvider, file: Path
) -> None:
    seldom = with_file(dsn, provider, file, provider={"reload_seconds": 3600.0})
    often = with_file(dsn, provider, file, provider={"reload_seconds": 0.05})
    async with seldom as unaware, often as service:
        file.write_text(file.read_text().replace('["big", "small"]', '["small"]'))  # noqa: ASYNC240
        async with asyncio.timeout(10):
            while (await service.chat())[-1].metadata["model"] != "small":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert (await unaware.chat())[-1].metadata["model"] == "big"


async def test_the_status_tells_each_provider_and_class(
    dsn: str, provider: ScriptedProvider, file: Path
) -> None:
    provider.enqueue(Script(tokens=("a", "b"), hold_after=1))
    async with with_file(dsn, provider, file) as service:
        call = service.stub.StreamChat(pb.ChatRequest(user_id="ann", query="held"))
        async for chunk in call:
            if chunk.content.text:
                break
        status = await service.stub.GetProviderStatus(pb.GetProviderStatusRequest())
        call.cancel()
    assert [(p.name, list(p.models), p.in_flight) for p in status.providers] == [
        ("first", ["big"], 1),
        ("second", ["small"], 0),
    ]
    assert {p.state for p in status.providers} == {pb.PROVIDER_STATE_AVAILABLE}
    assert status.providers[0].concurrency_limit == status.providers[0].model_status[0].concurrency_limit > 1
    assert set(status.model_classes) == {"chat", "fast"}
    assert status.running_runs == 1


async def test_an_open_breaker_is_told_and_the_provider_is_left_alone(
    dsn: str, provider: ScriptedProvider, file: Path
) -> None:
    provider.default = Script(status=503)
    pinned = pb.ModelOptions(model="big")
    async with with_file(dsn, provider, file) as service:
        for _ in range(30):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await service.chat(model=pinned, run_options=FAIL)
        status = await service.stub.GetProviderStatus(pb.GetProviderStatusRequest())
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert len(provider.ledger) < 30
    big = status.providers[0]
    assert (big.state, big.model_status[0].HasField("retry_time")) == (pb.PROVIDER_STATE_UNAVAILABLE, True)
    assert status.model_classes["chat"] == pb.PROVIDER_STATE_AVAILABLE


async def test_an_answer_that_only_repeats_itself_is_ended_and_complete(
    dsn: str, provider: ScriptedProvider, file: Path
) -> None:
    provider.enqueue(Script(tokens=("again ",) * 1000))
    async with with_file(dsn, provider, file, run={"max_repeated_chunks": 20}) as service:
        chunks = await service.chat()
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_LIMIT
    assert text_of(chunks) == chunks[-1].complete.final_text == "again " * 19


async def test_a_file_that_cannot_be_used_is_a_line_and_no_start(tmp_path: Path) -> None:
    (tmp_path / "providers.toml").write_text("[providers.first]\nkind = 'unheard of'\n")
    code, _, errors = await run_main(tmp_path, ORCHESTRATOR_PROVIDER__FILE="providers.toml")
    assert code == 1
    assert "providers.toml" in errors
    assert "Traceback" not in errors


async def test_production_takes_no_scripted_provider(tmp_path: Path) -> None:
    path = tmp_path / "providers.toml"
    path.write_text(two_models("http://127.0.0.1:1", "http://127.0.0.1:1").replace('"openai"', '"scripted"'))
    environment = {"ORCHESTRATOR_PROVIDER__FILE": str(path), "ORCHESTRATOR_ENVIRONMENT": "production"}
    code, _, errors = await run_main(tmp_path, **environment)
    assert code == 1
    assert "scripted" in errors


async def test_a_langchain_model_whose_package_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "providers.toml").write_text(
        '[providers.far]\nkind = "langchain"\nlangchain_provider = "mistralai"\n'
        '[models.m]\nprovider = "far"\ncontext_tokens = 8192\n[classes]\nchat = ["m"]\n'
    )
    code, _, errors = await run_main(tmp_path, ORCHESTRATOR_PROVIDER__FILE="providers.toml")
    assert code == 1
    assert "[models.m] needs the package langchain" in errors
