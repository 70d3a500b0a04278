"""Payloads at rest: what stands in the database, who can read it, and what becomes of moved rows."""

from collections.abc import AsyncIterable, Mapping
from pathlib import Path

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.process import orchestrator_process
from tests.harness.service import Service, chat_request, collect, running_service, text_of
from tests.harness.statuses import error_info
from tests.harness.tooled import DONE, decide, pending, rest, tooled, wish, wishing
from tests.integration.encryption.at_rest import NEW, OLD, execute, places_of

ASKED, ANSWERED, ITEM = "canary-asked", "canary-answered", "canary-item"
SAYS = Script(tokens=(ANSWERED,))
SEALED = {"keys": OLD}
EVERYWHERE = {
    "runs.request",
    "runs.result",
    "run_events.payload",
    "checkpoints.checkpoint",
    "checkpoint_blobs.blob",
}
SHOWN_TO_WHO_DECIDES = {"permissions.arguments"}
"""Not encrypted; docs/encryption.md says so."""


async def said(service: Service, **fields: object) -> list[pb.ChatChunk]:
    service.provider.enqueue(SAYS)
    return await service.chat(ASKED, **{"conversation_id": "c1", **fields})


async def refused(service: Service, run_id: str = "") -> str:
    """The reason of a turn that fails, or of a log that cannot be read."""
    call: AsyncIterable[pb.ChatChunk]
    if run_id:
        call = service.stub.ResumeStream(pb.ResumeStreamRequest(user_id="ann", run_id=run_id))
    else:
        call = service.stub.StreamChat(chat_request("again", conversation_id="c1"))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await collect(call, [])
    assert raised.value.code() == grpc.StatusCode.INTERNAL
    return str(error_info(raised.value).reason)


async def found(dsn: str) -> set[str]:
    return await places_of(dsn, ASKED) | await places_of(dsn, ANSWERED)


@pytest.mark.parametrize(("encryption", "places"), [({}, EVERYWHERE), (SEALED, set())])
async def test_what_was_said_stands_in_no_column_of_any_table(
    dsn: str, provider: ScriptedProvider, encryption: Mapping[str, object], places: set[str]
) -> None:
    async with running_service(dsn, provider, encryption=encryption) as service:
        chunks = await said(service)
        await said(service, conversation_id="c2", base_checkpoint_id=chunks[-1].complete.checkpoint_id)
        assert [m["content"] for m in provider.ledger[-1].body["messages"]][-3:] == [ASKED, ANSWERED, ASKED]
        assert text_of(chunks) == ANSWERED
    assert await found(dsn) == places


async def test_a_tool_is_asked_about_and_used_and_only_what_a_person_is_shown_stands_there(
    dsn: str, provider: ScriptedProvider, backend: FakeToolService
) -> None:
    provider.enqueue(wishing(wish("add_org_inbox_item", {"text": ITEM, "kind": "todo"}), text=ANSWERED), DONE)
    async with tooled(dsn, provider, backend, encryption=SEALED) as service:
        await service.chat(ASKED, agent_type="org_inbox")
        (asked,) = await pending(service)
        assert (await decide(service, asked)).success
        chunks = await rest(service, asked.run_id)
    assert chunks[-1].WhichOneof("payload") == "complete"
    assert await found(dsn) == set()
    assert await places_of(dsn, ITEM) == SHOWN_TO_WHO_DECIDES


async def test_keys_change_while_all_that_they_sealed_is_read_as_long_as_they_are_there(
    dsn: str, provider: ScriptedProvider
) -> None:
    run_ids = []
    for keys in ("", OLD, f"{NEW},{OLD}"):
        async with running_service(dsn, provider, encryption={"keys": keys}) as service:
            chunks = await said(service)
            run_ids.append(chunks[-1].run_id)
            for run_id in run_ids:
                assert text_of(await rest(service, run_id)) == ANSWERED
    assert len(provider.ledger[-1].body["messages"]) >= 5
    for keys in (NEW, ""):
        async with running_service(dsn, provider, encryption={"keys": keys}) as service:
            assert text_of(await rest(service, run_ids[0])) == ANSWERED  # from before it was switched on
            assert await refused(service, run_ids[1]) == "INTERNAL"
            if keys:
                assert text_of(await rest(service, run_ids[2])) == ANSWERED
                assert text_of(await said(service, conversation_id="c2")) == ANSWERED
    async with running_service(dsn, provider, encryption={"keys": f"{NEW},{OLD}"}) as service:
        assert text_of(await rest(service, run_ids[1])) == ANSWERED


async def test_a_conversation_without_its_key_is_an_error_and_goes_on_with_it(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with running_service(dsn, provider, encryption=SEALED) as service:
        await said(service)
    async with running_service(dsn, provider, encryption={"keys": NEW}) as service:
        assert await refused(service) == "INTERNAL"
    async with running_service(dsn, provider, encryption={"keys": OLD, "writes": False}) as service:
        assert text_of(await said(service)) == ANSWERED
        assert ASKED in str(provider.ledger[-1].body["messages"][:-1])
    assert "run_events.payload" in await found(dsn)  # keys for reading only


@pytest.mark.parametrize(
    "move",
    [
        "UPDATE orchestrator.run_events e SET payload = o.payload FROM orchestrator.run_events o"
        " WHERE o.run_id <> e.run_id AND o.sequence = e.sequence",
        "UPDATE orchestrator.run_events e SET payload = o.payload FROM orchestrator.run_events o"
        " WHERE o.run_id = e.run_id AND o.sequence = e.sequence + 1",
        "UPDATE orchestrator.run_events SET payload = set_byte(payload, 60, get_byte(payload, 60) # 1)",
    ],
)
async def test_a_record_that_was_moved_or_changed_is_refused(
    dsn: str, provider: ScriptedProvider, move: str
) -> None:
    async with running_service(dsn, provider, encryption=SEALED) as service:
        run_id = (await said(service))[-1].run_id
        await said(service, conversation_id="c2")
    await execute(dsn, move)
    async with running_service(dsn, provider, encryption=SEALED) as service:
        assert await refused(service, run_id) == "INTERNAL"


async def test_state_that_was_moved_into_another_conversation_is_refused(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with running_service(dsn, provider, encryption=SEALED) as service:
        await said(service)
        await said(service, conversation_id="c2")
    await execute(
        dsn,
        "UPDATE orchestrator.checkpoint_blobs b SET type = o.type, blob = o.blob"
        " FROM orchestrator.checkpoint_blobs o WHERE o.thread_id <> b.thread_id AND o.channel = b.channel"
        " AND split_part(o.version, '.', 1) = split_part(b.version, '.', 1)",
    )
    async with running_service(dsn, provider, encryption=SEALED) as service:
        assert await refused(service) == "INTERNAL"


async def test_a_task_whose_key_is_gone_fails_and_is_not_taken_again(
    dsn: str, provider: ScriptedProvider
) -> None:
    async with running_service(dsn, provider, encryption=SEALED) as service:
        request = pb.TaskRequest(user_id="ann", query=ASKED)
        request.not_before.GetCurrentTime()
        request.not_before.seconds += 3600
        task_id = (await service.stub.StartTask(request)).task_id
    await execute(dsn, "UPDATE orchestrator.runs SET not_before = now()")
    async with running_service(dsn, provider) as service:
        assert await service.run_ended(task_id, within=20) == "failed"
    assert not provider.ledger


async def test_a_killed_process_goes_on_with_what_it_had_sealed(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.default = SAYS
    environment = {
        "DATABASE_URL": dsn,
        "OPENAI_BASE_URL": provider.base_url,
        "ORCHESTRATOR_ENCRYPTION__KEYS": OLD,
    }
    for turns in (1, 2):
        async with (
            orchestrator_process(tmp_path, **environment) as process,
            grpc.aio.insecure_channel(process.address) as channel,
        ):
            chunks: list[pb.ChatChunk] = []
            call = rpc.OrchestratorServiceStub(channel).StreamChat(chat_request(ASKED, conversation_id="c1"))
            await collect(call, chunks)
            assert text_of(chunks) == ANSWERED
            assert str(provider.ledger[-1].body["messages"]).count(ASKED) == turns
            await process.kill()
    assert await found(dsn) == set()
