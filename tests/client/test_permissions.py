"""People decide through the client: what was shown, as it was shown or edited, or not at all."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from llm_orchestrator_client import Event, OrchestratorClient, RunStream
from llm_orchestrator_client.errors import PreconditionError
from llm_orchestrator_client.events import Completion, PermissionRequested, PermissionResolved
from llm_orchestrator_client.values import FinishReason, Permission, PermissionState
from tests.client.callers import client_of, rest_of
from tests.client.relay import relaying
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service
from tests.harness.tooled import ADDS_MILK, DONE, MILK, tooled

AGENT = "org_inbox"


@pytest.fixture
async def backend() -> AsyncIterator[FakeToolService]:
    async with FakeToolService() as backend:
        yield backend


@pytest.fixture
async def service(dsn: str, provider: ScriptedProvider, backend: FakeToolService) -> AsyncIterator[Service]:
    """One that asks before it writes."""
    provider.enqueue(ADDS_MILK, DONE)
    async with tooled(dsn, provider, backend) as service:
        yield service


async def asked(client: OrchestratorClient) -> tuple[RunStream, list[Event], Permission]:
    """A chat that has stopped to ask."""
    stream = client.chat("Note: buy milk.", conversation_id="c1", agent_type=AGENT)
    events = await rest_of(stream)
    (request,) = [event for event in events if isinstance(event, PermissionRequested)]
    return stream, events, request.permission


async def test_a_chat_ends_where_it_asks_and_its_log_goes_on_when_it_was_approved(
    client: OrchestratorClient, backend: FakeToolService
) -> None:
    stream, events, permission = await asked(client)
    assert isinstance(events[-1], Completion)
    assert events[-1].finish_reason is FinishReason.WAITING_FOR_PERMISSION
    assert permission.arguments == MILK
    (listed,) = [p async for p in client.permissions.list()]
    assert listed.permission_id == permission.permission_id
    assert listed.arguments_digest == permission.arguments_digest
    decision = await client.permissions.approve(permission)
    assert (decision.state, decision.run_id) == (PermissionState.APPROVED, stream.run_id)
    rest = client.resume(stream.run_id, after_sequence=stream.sequence)
    events = await rest_of(rest)
    assert isinstance(events[-1], Completion)
    assert [e.state for e in events if isinstance(e, PermissionResolved)] == [PermissionState.APPROVED]
    assert [call.method for call in backend.ledger.calls] == ["AddOrgInboxItem"]
    assert [p async for p in client.permissions.list()] == []
    assert (await client.permissions.approve(permission)).already_decided


async def test_a_waiting_run_is_not_cancelled_by_who_leaves_it(client: OrchestratorClient) -> None:
    async with client.chat("Note: buy milk.", agent_type=AGENT) as stream:
        async for event in stream:
            if isinstance(event, Completion):
                break
    (permission,) = [p async for p in client.permissions.list()]
    assert permission.run_id == stream.run_id


async def test_a_denial_is_told_to_the_model(client: OrchestratorClient, service: Service) -> None:
    stream, _, permission = await asked(client)
    decision = await client.permissions.deny(permission, reason="too much milk")
    assert decision.state is PermissionState.DENIED
    await client.resume(stream.run_id).text()
    told = [m["content"] for m in service.provider.ledger[1].body["messages"] if m["role"] == "tool"]
    assert "too much milk" in told[0]


async def test_edited_arguments_are_run_instead(client: OrchestratorClient, backend: FakeToolService) -> None:
    stream, _, permission = await asked(client)
    decision = await client.permissions.edit(permission, {**MILK, "text": "buy oat milk"})
    assert decision.arguments_digest != permission.arguments_digest
    await client.resume(stream.run_id).text()
    assert [call.request["text"] for call in backend.ledger.calls] == ["buy oat milk"]


async def test_what_was_not_shown_is_not_approved(client: OrchestratorClient) -> None:
    _, _, permission = await asked(client)
    with pytest.raises(PreconditionError):
        await client.permissions.approve(replace(permission, arguments_digest="0" * 64))
    assert [p.state async for p in client.permissions.list()] == [PermissionState.PENDING]


async def test_a_decision_whose_answer_is_lost_is_made_once(
    service: Service, backend: FakeToolService
) -> None:
    async with relaying(f"127.0.0.1:{service.port}") as relay, client_of(relay.address) as client:
        stream, _, permission = await asked(client)
        relay.lose["ApprovePermission"] = 2
        decision = await client.permissions.approve(permission)
        assert decision.state is PermissionState.APPROVED
        assert len(relay.of("ApprovePermission")) == 3
        await client.resume(stream.run_id).text()
    assert len(backend.ledger.done) == 1


async def test_a_chat_that_was_cut_ends_where_it_asks_as_well(service: Service) -> None:
    """A resumed stream would stay open there; the caller must not notice."""
    async with relaying(f"127.0.0.1:{service.port}") as relay, client_of(relay.address) as client:
        relay.cut_after = [2]
        stream, events, permission = await asked(client)
        assert len(relay.of("ResumeStream")) == 1
    assert isinstance(events[-1], Completion)
    assert events[-1].finish_reason is FinishReason.WAITING_FOR_PERMISSION
    assert events[-1].metadata == {"task_status": "permission_required"}
    assert permission.run_id == stream.run_id == events[-1].run_id
