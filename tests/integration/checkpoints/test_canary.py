"""Whoever can write rows of the checkpoint tables runs nothing here: the run ends with a typed error."""

from pathlib import Path

import asyncpg
import grpc
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.types import Interrupt, Send

from protos import orchestrator_pb2 as pb
from state.errors import StateUnreadableError
from state.postgres.checkpoints.plain import PlainSerializer, readable
from tests.harness.service import Service, chat_request, collect
from tests.integration.checkpoints.crafted import Crafted, crafted

_KEEP = "CREATE TABLE orchestrator.kept AS SELECT * FROM orchestrator.checkpoint_blobs"
_CRAFT = "UPDATE orchestrator.checkpoint_blobs SET type = $1, blob = $2"
_MEND = """
UPDATE orchestrator.checkpoint_blobs AS b SET type = k.type, blob = k.blob FROM orchestrator.kept AS k
WHERE (b.thread_id, b.checkpoint_ns, b.channel, b.version)
    = (k.thread_id, k.checkpoint_ns, k.channel, k.version)
"""
_WRITE = """
INSERT INTO orchestrator.checkpoint_writes
    (thread_id, checkpoint_id, task_id, idx, channel, type, blob, owner)
SELECT thread_id, checkpoint_id, 'crafted', 0, 'messages', $1, $2, owner FROM orchestrator.checkpoints
"""


def test_crafted_bytes_run_nothing_and_are_refused(tmp_path: Path) -> None:
    canary, serde = tmp_path / "owned", PlainSerializer().with_msgpack_allowlist([("os", "system")])
    for row in crafted(canary):
        with pytest.raises(StateUnreadableError), readable():
            print(row.name, serde.loads_typed((row.kind, row.blob)))  # noqa: T201 - says which was not refused
        assert not canary.exists(), row.name


def test_what_a_saver_writes_comes_back() -> None:
    serde = PlainSerializer()
    said = [HumanMessage("question"), AIMessage("answer", tool_calls=[])]
    for value in (
        said,
        Interrupt(value={"a": 1}, id="i"),
        Send("node", {"x": {1, 2}}),
        {"lc": 1, "type": "x"},
    ):
        assert serde.loads_typed(serde.dumps_typed(value)) == value
    old = b'{"lc": 2, "type": "constructor", "id": ["uuid", "UUID"], "args": ["%032d"]}' % 1
    assert serde.loads_typed(("json", old)).int == 1


async def craft(dsn: str, statement: str, *arguments: object) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        assert await connection.execute(statement, *arguments) not in ("UPDATE 0", "INSERT 0 0")
    finally:
        await connection.close()


async def failed_turn(service: Service) -> pb.ChatChunk:
    """The last chunk of a turn that fails."""
    chunks: list[pb.ChatChunk] = []
    with pytest.raises(grpc.aio.AioRpcError):
        await collect(service.stub.StreamChat(chat_request("again", conversation_id="c1")), chunks)
    return chunks[-1]


def some(canary: Path) -> list[Crafted]:
    """One of each way to name what is to be called."""
    wanted = ("a pickle", "os.system", "a method of pathlib, in a message", "a pydantic model", "lc 2")
    return [row for row in crafted(canary) if row.name in wanted]


async def test_a_turn_on_crafted_state_ends_in_an_error_and_the_conversation_outlives_it(
    service: Service, tmp_path: Path
) -> None:
    canary = tmp_path / "owned"
    first = await service.chat(conversation_id="c1")
    assert first[-1].WhichOneof("payload") == "complete"
    await craft(service.dsn, _KEEP)
    for row in some(canary):
        await craft(service.dsn, _CRAFT, row.kind, row.blob)
        end = await failed_turn(service)
        assert end.error.message == "the stored state of the conversation cannot be read", row.name
        await service.run_is(end.run_id, "failed")
        assert not canary.exists()
    await craft(service.dsn, _MEND)
    again = await service.chat(conversation_id="c1")
    assert again[-1].WhichOneof("payload") == "complete"
    for row in some(canary)[:1]:
        await craft(service.dsn, _WRITE, row.kind, row.blob)
        assert (await failed_turn(service)).WhichOneof("payload") == "error"
    assert not canary.exists()
