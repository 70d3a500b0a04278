"""Who answers where no model has to be asked."""

from pathlib import Path

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.statuses import violations
from tests.integration.routing.asking import LONG, chose, routed, says, who


def editor(**fields: object) -> pb.ActiveEditor:
    kind = fields.pop("type", "")
    return pb.ActiveEditor(frontmatter=pb.EditorFrontmatter(type=str(kind)), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ((LONG, {"agent_type": "cook"}), ("cook", "explicit")),
        (("Write me a poem", {"agent_type": "chat", "locked_agent": "wargame"}), ("chat", "explicit")),
        ((LONG, {"locked_agent": "wargame"}), ("wargame", "locked")),
        ((LONG, {"active_editor": editor(filename="one.DRAFT")}), ("critic", "editor")),
        (("Write the next chapter", {"active_editor": editor(type="Fiction")}), ("novel", "editor")),
        (("please criticise it", {"active_editor": editor(language="fiction")}), ("critic", "editor")),
        (("Write me a poem", {"active_editor": editor(type="fiction")}), ("poet", "keywords")),
        (
            ("Write me a poem", {"active_editor": editor(filename="a.draft", editor_preference="prefer")}),
            ("critic", "editor"),
        ),
        (
            ("Write me a poem", {"active_editor": editor(filename="a.draft", editor_preference="ignore")}),
            ("poet", "keywords"),
        ),
        (("WRITE me a PÖEM about the sea", {}), ("poet", "keywords")),
    ],
)
async def test_an_answer_that_is_plain_costs_no_call(
    dsn: str,
    provider: ScriptedProvider,
    tmp_path: Path,
    asked: tuple[str, dict[str, object]],
    expected: tuple[str, str],
) -> None:
    query, fields = asked
    async with routed(dsn, provider, tmp_path) as service:
        chunks = await service.chat(query, **fields)
    assert who(chunks) == expected
    assert chunks[0].metadata["routing_reason"] == expected[1]
    assert [chose(call) for call in provider.ledger] == [False]
    assert chunks[-1].usage.model_calls == 1


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (("I move my fleet to the north", "wargame"), ("wargame", "locked", "wargame")),
        (("start a war game war game", ""), ("wargame", "keywords", "wargame")),
        (("Let's stop the war game", "wargame"), ("chat", "classifier", "")),
        (("cook me a recipe for a dish", "wargame"), ("cook", "keywords", "")),
        (("in the war game, cook me a recipe for a dish", "wargame"), ("wargame", "locked", "wargame")),
        (("Write me a poem", "poet"), ("poet", "locked", "poet")),
    ],
)
async def test_a_lock_holds_until_the_topic_clearly_changes_or_it_is_asked_for(
    dsn: str,
    provider: ScriptedProvider,
    tmp_path: Path,
    said: tuple[str, str],
    expected: tuple[str, str, str],
) -> None:
    (query, locked), lock = said, expected[2]
    async with routed(dsn, provider, tmp_path) as service:
        if expected[1] == "classifier":
            provider.enqueue(says("chat"))
        chunks = await service.chat(query, locked_agent=locked)
    assert who(chunks) == expected[:2]
    assert chunks[-1].metadata["locked_agent"] == lock
    if expected[1] == "classifier":
        schema = provider.ledger[0].body["response_format"]["json_schema"]["schema"]
        assert "wargame" not in schema["properties"]["agent"]["enum"]


@pytest.mark.parametrize("more", [{}, {"agent_type": "chat"}])
async def test_a_lock_on_nobody_is_an_invalid_request(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, more: dict[str, str]
) -> None:
    async with routed(dsn, provider, tmp_path) as service:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.chat(LONG, locked_agent="nobody", **more)
    assert list(violations(raised.value)) == ["locked_agent"]


async def test_where_nothing_was_locked_nothing_is_said_of_locks(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with routed(dsn, provider, tmp_path) as service:
        assert "locked_agent" not in (await service.chat(agent_type="cook"))[-1].metadata


async def test_without_a_model_that_may_choose_what_is_not_plain_is_chat(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with routed(dsn, provider, tmp_path, routing=False) as service:
        assert who(await service.chat(LONG)) == ("chat", "default")
        assert who(await service.chat("Write me a poem")) == ("poet", "keywords")
    assert not any(map(chose, provider.ledger))


async def test_a_task_is_routed_as_a_turn_is(dsn: str, provider: ScriptedProvider, tmp_path: Path) -> None:
    async with routed(dsn, provider, tmp_path) as service:
        provider.enqueue(says("cook"))
        task = await service.stub.StartTask(pb.TaskRequest(user_id="ann", query=LONG))
        await service.run_ended(task.task_id)
        status = await service.stub.GetTaskStatus(pb.TaskStatusRequest(user_id="ann", task_id=task.task_id))
    assert status.agent_name == "cook"
