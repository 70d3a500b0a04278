"""Each setting of caps, budgets, images and kept usage, changed, changes what the service does."""

from pathlib import Path

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script, ScriptedUsage
from tests.harness.priced import CONTINUE, PRICED, resumed, service_with_file, until_text
from tests.harness.retention import HOUR, connected, heard_passes, value
from tests.harness.service import chat_request, running_service
from tests.harness.statuses import error_info
from tests.integration.test_attachments import image
from tests.integration.test_settings_change_behaviour import as_configured

HELD = Script(tokens=("one", " two"), hold_after=1)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("max_output_tokens", 1, 1000),
        ("max_total_tokens", 400, 2000),
        ("max_cost_micros", 400, 5000),
    ],
)
async def test_an_answer_is_as_long_as_a_cap_of_the_server_allows(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, *, name: str, low: int, high: int
) -> None:
    sent = []
    for most in (low, high):
        async with service_with_file(dsn, provider, tmp_path, PRICED, run={name: most}) as service:
            await service.chat()
        sent.append(provider.ledger[-1].body["max_tokens"])
    assert 0 < sent[0] < sent[1]


async def test_a_run_takes_as_long_as_its_setting(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    reasons = []
    for seconds in (0.1, 60.0):
        provider.enqueue(Script(tokens=("one", " two"), token_interval=0.5))
        run = {"max_duration_seconds": seconds}
        async with service_with_file(dsn, provider, tmp_path, PRICED, run=run) as service:
            reasons.append((await service.chat())[-1].complete.finish_reason)
    assert reasons == [pb.FINISH_REASON_LIMIT, pb.FINISH_REASON_STOP]


async def test_a_run_has_as_many_steps_as_its_setting(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    """The first step was another attempt's."""
    reasons = []
    for steps in (1, 2):
        provider.enqueue(HELD)
        async with service_with_file(
            dsn, provider, tmp_path, PRICED, server={"drain_seconds": 0.05}
        ) as service:
            run_id = await until_text(service.stub.StreamChat(chat_request(run_options=CONTINUE)))
        async with service_with_file(dsn, provider, tmp_path, PRICED, run={"max_steps": steps}) as service:
            reasons.append((await resumed(service, run_id))[-1].complete.finish_reason)
    assert reasons == [pb.FINISH_REASON_LIMIT, pb.FINISH_REASON_STOP]


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("tokens_per_day", 10, 11), ("cost_micros_per_day", 46, 47), ("runs_per_day", 1, 2)],
)
async def test_a_day_brings_as_much_as_its_setting(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, *, name: str, low: int, high: int
) -> None:
    provider.default = Script(usage=ScriptedUsage(6, 4))
    async with service_with_file(dsn, provider, tmp_path, PRICED) as service:
        await service.chat()
    async with service_with_file(dsn, provider, tmp_path, PRICED, budget={name: low}) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.chat()
    assert error_info(raised.value).metadata["quota"] == name
    async with service_with_file(dsn, provider, tmp_path, PRICED, budget={name: high}) as service:
        await service.chat()


async def test_the_one_model_sees_images_where_its_setting_says_so(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with as_configured(dsn, provider, provider={"images": False}) as service:
        with pytest.raises(grpc.aio.AioRpcError):
            await service.chat("look", attachments=[image()])
    async with as_configured(dsn, provider, provider={"images": True}) as service:
        await service.chat("look", attachments=[image()])
    assert len(provider.ledger) == 1


async def test_usage_is_kept_as_long_as_its_setting(dsn: str, provider: ScriptedProvider) -> None:
    async with running_service(dsn, provider) as service:
        await service.chat()
    async with connected(dsn) as connection:
        await connection.execute("UPDATE usage_sums SET since = since - interval '100 hours'")
    left = []
    for hours in (101, 99):
        with heard_passes() as passes:
            async with running_service(dsn, provider, retention={"usage_seconds": hours * HOUR}):
                await passes.number(1)
        left.append(await value(dsn, "SELECT count(*) FROM usage_sums"))
    assert left == [2, 0]
