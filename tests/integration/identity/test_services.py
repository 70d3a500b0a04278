"""What only a service may say, what goes no further than this service, and what outlives a token."""

import asyncio
from pathlib import Path
from time import time

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.identity import AuthenticatedService, Issuer, authenticated_service
from tests.harness.service import chat_request, text_of
from tests.harness.tooled import ADDS_MILK, DONE, tools_at
from tests.integration.identity.refusals import UNAUTHENTICATED, refused, until_let_in, until_refused

GRANTS = pb.PermissionGrants(file_write_permission=True)


async def asked(service: AuthenticatedService, token: str, conversation: str) -> bool:
    """Whether somebody is asked before milk is added, though a grant says that nobody need be."""
    service.provider.enqueue(ADDS_MILK, DONE)
    request = chat_request(
        "add milk", agent_type="org_inbox", permission_grants=GRANTS, conversation_id=conversation
    )
    chunks = [chunk async for chunk in service.stub_of(token).StreamChat(request)]
    return chunks[-1].complete.finish_reason == pb.FINISH_REASON_WAITING_FOR_PERMISSION


async def test_grants_count_from_services_only_and_no_tool_is_shown_a_callers_token(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, issuer: Issuer
) -> None:
    async with (
        FakeToolService() as backend,
        authenticated_service(
            dsn, provider, tmp_path, issuer, tools=tools_at(backend), use_grpc_tool_service=True
        ) as service,
    ):
        assert not await asked(service, service.tokens["backend"], "c1")
        assert await asked(service, issuer.token("ann"), "c2")
        [call] = backend.ledger.calls
    assert call.method == "AddOrgInboxItem"
    assert "authorization" not in call.metadata
    assert service.tokens["backend"] not in str(call.metadata)


async def test_the_end_of_a_token_ends_no_stream_and_begins_none(
    closed: AuthenticatedService, provider: ScriptedProvider, issuer: Issuer
) -> None:
    provider.enqueue(Script(tokens=("over", " all"), hold_after=1))
    token = issuer.token("ann", exp=int(time()) - 28)  # with the leeway, two seconds more
    stub = closed.stub_of(token)
    held = stub.StreamChat(chat_request())
    await (await provider.call(1)).sent(1)
    async with asyncio.timeout(10):
        await until_refused(stub.ListTasks)
    provider.release()
    assert text_of([chunk async for chunk in held]) == "over all"


async def test_a_key_in_a_file_may_become_another_one(
    closed: AuthenticatedService, tmp_path: Path, issuer: Issuer
) -> None:
    after = Issuer()
    old, new = closed.stub_of(issuer.token("ann")), closed.stub_of(after.token("ann"))
    await old.ListTasks(pb.ListTasksRequest())
    (tmp_path / "jwt.pem").write_bytes(after.public_pem())
    async with asyncio.timeout(10):
        await until_let_in(new.ListTasks)
    assert await refused(old.ListTasks(pb.ListTasksRequest())) == UNAUTHENTICATED


async def test_a_static_token_counts_from_when_it_stands_in_the_file_until_it_is_gone(
    closed: AuthenticatedService, tmp_path: Path
) -> None:
    file, stub = tmp_path / "identities.toml", closed.stub_of(closed.tokens["ann"])
    whole = file.read_text()
    await stub.ListTasks(pb.ListTasksRequest())
    file.write_text("".join(line for line in whole.splitlines(keepends=True) if '"ann" =' not in line))
    async with asyncio.timeout(10):
        await until_refused(stub.ListTasks)
    file.write_text(whole)
    async with asyncio.timeout(10):
        await until_let_in(stub.ListTasks)
    assert await refused(closed.stub.ListTasks(pb.ListTasksRequest())) == UNAUTHENTICATED
