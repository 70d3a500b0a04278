"""Daily budgets: who has used one up is refused before anything begins."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from orchestrator.budgets import Budgets, DailyBudget
from protos import orchestrator_pb2 as pb
from state.models import Owner
from state.usage import UsedToday
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script, ScriptedUsage
from tests.harness.priced import PRICED, service_with_file, until_text, used
from tests.harness.retention import connected, value
from tests.harness.service import Service, chat_request
from tests.harness.statuses import error_info, retry_delay

SPENDS = Script(usage=ScriptedUsage(6, 4))
"""10 tokens for 46 micros."""


async def refused(service: Service, **fields: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await service.chat(**fields)
    return raised.value


def quota_violations(error: grpc.aio.AioRpcError) -> list[tuple[str, str]]:
    failure = error_details_pb2.QuotaFailure()
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    assert any(detail.Unpack(failure) for detail in status.details)
    return [(violation.subject, violation.description) for violation in failure.violations]


@pytest.mark.parametrize(
    ("name", "limit"), [("tokens_per_day", 20), ("cost_micros_per_day", 92), ("runs_per_day", 2)]
)
async def test_a_used_up_budget_refuses_until_the_day_ends(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, name: str, limit: int
) -> None:
    provider.default = SPENDS
    async with service_with_file(dsn, provider, tmp_path, PRICED, budget={name: limit}) as service:
        await service.chat()
        (quota,) = (await used(service)).quotas
        assert (quota.name, quota.limit, quota.used) == (name, limit, limit // 2)
        now = datetime.now(UTC)
        reset = quota.reset_time.ToDatetime(UTC)
        assert (reset.hour, reset.minute, reset.second) == (0, 0, 0)
        assert timedelta(minutes=-1) < reset - now <= timedelta(days=1, minutes=1)
        await service.chat()
        error = await refused(service)
        assert len(provider.ledger) == 2
        assert await value(dsn, "SELECT count(*) FROM runs") == 2
        await service.chat(user_id="bob")
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    info = error_info(error)
    assert (info.reason, info.metadata["quota"]) == ("QUOTA", name)
    assert quota_violations(error) == [("user:ann", f"{name}: {limit} of {limit} used")]
    assert abs((retry_delay(error) or 0) - (reset - now).total_seconds()) < 60


async def test_a_run_that_has_not_ended_counts(dsn: str, provider: ScriptedProvider, tmp_path: Path) -> None:
    provider.enqueue(Script(tokens=("one", " two"), hold_after=1))
    async with service_with_file(dsn, provider, tmp_path, PRICED, budget={"runs_per_day": 1}) as service:
        call = service.stub.StreamChat(chat_request())
        await until_text(call)
        assert error_info(await refused(service)).reason == "QUOTA"
        call.cancel()


async def test_what_was_used_yesterday_does_not_count(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.default = SPENDS
    budget = {"tokens_per_day": 10, "runs_per_day": 1}
    async with service_with_file(dsn, provider, tmp_path, PRICED, budget=budget) as service:
        await service.chat()
        error = await refused(service)
        async with connected(dsn) as connection:
            await connection.execute("UPDATE usage_sums SET since = date_trunc('day', now(), 'UTC')")
            await refused(service)
            await connection.execute("UPDATE usage_sums SET since = since - interval '15 minutes'")
        await service.chat()
    assert [description.partition(":")[0] for _, description in quota_violations(error)] == [
        "tokens_per_day",
        "runs_per_day",
    ]


async def test_a_request_that_makes_no_sense_is_told_so_first(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with service_with_file(dsn, provider, tmp_path, PRICED, budget={"runs_per_day": 1}) as service:
        await service.chat()
        assert (await refused(service, agent_type="nobody")).code() is grpc.StatusCode.INVALID_ARGUMENT


class Untouched:
    """A store that nobody may ask."""

    async def today(self, owner: Owner, currency: str) -> UsedToday:
        raise AssertionError("it was asked")


async def test_without_a_budget_nobody_is_asked() -> None:
    budgets = Budgets(Untouched(), DailyBudget(), lambda: "EUR")
    await budgets.check(Owner("ann"))
    assert await budgets.quotas(Owner("ann")) == []


async def test_tasks_are_asked_about_too_and_their_caps_hold(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.enqueue(Script(tokens=("one",), finish_reason="length", usage=ScriptedUsage(6, 1)))
    async with service_with_file(dsn, provider, tmp_path, PRICED, budget={"runs_per_day": 1}) as service:
        limits = pb.RunLimits(max_output_tokens=1)
        task = await service.stub.StartTask(pb.TaskRequest(user_id="ann", query="work", limits=limits))
        await service.run_ended(task.task_id)
        asked = pb.TaskStatusRequest(user_id="ann", task_id=task.task_id)
        status = await service.stub.GetTaskStatus(asked)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.stub.StartTask(pb.TaskRequest(user_id="ann", query="more"))
    assert status.finish_reason == pb.FINISH_REASON_LIMIT
    assert (status.usage.cost_micros, status.usage.currency) == (16, "EUR")
    assert provider.ledger[0].body["max_tokens"] == 1
    assert error_info(raised.value).reason == "QUOTA"
