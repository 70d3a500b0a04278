"""An agent elsewhere, played by a fake service: what it says arrives here, whatever goes wrong on the way."""

from pathlib import Path

import grpc

from protos import orchestrator_pb2 as pb
from tests.fakes.orchestrator.play import (
    Fault,
    Play,
    answered,
    called,
    done,
    reset,
    text,
)
from tests.fakes.orchestrator.service import FakeOrchestrator
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.service import Service
from tests.harness.tooled import kinds, rest
from tests.integration.remote.places import WHOLE, ask, refused, standing, with_remote

UNKNOWN = pb.ChatChunk.FromString(b"\xfa\x7f\x03abc")
"""A payload of a newer server: field 2047."""


async def test_what_it_says_and_shows_is_said_and_shown_here_in_order(
    here: Service, farm: FakeOrchestrator
) -> None:
    farm.plays.append(WHOLE)
    chunks = await ask(here)
    assert standing(chunks) == chunks[-1].complete.final_text == "I dig. Done!"
    assert kinds(chunks)[-6:] == ["content", "tool_call", "tool_result", "plan", "content", "complete"]
    assert {c.content.message_index for c in chunks if c.HasField("content")} == {0, 1}
    assert chunks[-1].metadata["provider"] == "remote:farm"
    assert chunks[-1].metadata["model"] == "m1"
    assert list(chunks[-1].tools_used) == ["dig"]
    assert [one.sequence for one in chunks if one.sequence] == list(range(1, len(chunks) + 1))
    assert kinds(await rest(here, chunks[0].run_id)) == kinds(chunks)


async def test_what_it_used_is_counted_once(here: Service, farm: FakeOrchestrator) -> None:
    farm.plays.append(WHOLE)
    usage = (await ask(here))[-1].usage
    assert (usage.input_tokens, usage.output_tokens, usage.model_calls, usage.tool_calls) == (7, 3, 2, 1)
    assert [(one.provider, one.model) for one in usage.by_model] == [("remote:farm", "m1")]
    told = await here.stub.GetUsage(pb.GetUsageRequest(user_id="ann"))
    assert (told.usage.input_tokens, told.usage.model_calls) == (7, 2)


async def test_it_is_asked_as_this_user_in_a_conversation_of_its_own(
    here: Service, farm: FakeOrchestrator
) -> None:
    farm.plays.append(Play([text("Yes"), done("Yes")]))
    history = [
        pb.ConversationMessage(role="user", content="Before?"),
        pb.ConversationMessage(role="assistant", content="So."),
    ]
    for query in ("one", "two"):
        await ask(here, query, conversation_id="c1", conversation_history=history)
    await ask(here, conversation_id="c2")
    first, second, other = (run.request for run in farm.runs)
    assert (first.user_id, first.query, first.agent_type) == ("ann", "one", "chat")
    assert first.conversation_id == second.conversation_id != other.conversation_id
    assert "c1" not in first.conversation_id
    assert [m.content for m in first.conversation_history] == ["Before?", "So."]
    assert [m.content for m in second.conversation_history] == ["Before?", "So.", "one", "Yes"]
    assert first.request_id != second.request_id
    assert first.run_options.on_disconnect == pb.DISCONNECT_BEHAVIOR_CONTINUE
    assert first.metadata["x-orchestrator-hops"] == "1"


async def test_a_turn_that_branches_here_branches_there(here: Service, farm: FakeOrchestrator) -> None:
    for number in range(3):
        end = done("Yes")
        end.complete.checkpoint_id = f"there-{number}"
        farm.plays.append(Play([text("Yes"), end]))
    first = (await ask(here, conversation_id="c1"))[-1].complete.checkpoint_id
    await ask(here, conversation_id="c1")
    await ask(here, conversation_id="c1", base_checkpoint_id=first)
    assert [run.request.base_checkpoint_id for run in farm.runs] == ["", "", "there-0"]


async def test_only_declared_hints_are_passed_on_with_persona_images_and_limits(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, farm: FakeOrchestrator
) -> None:
    farm.plays.append(Play([text("Yes"), done("Yes")]))
    png = b"\x89PNG\r\n\x1a\n" + b"0" * 10
    async with with_remote(dsn, provider, tmp_path, farm.address, agent={"variables": "[field]"}) as here:
        await ask(
            here,
            metadata={"field": "north", "other": "x"},
            persona=pb.UserPersona(ai_name="Ada"),
            attachments=[pb.Attachment(mime_type="image/png", name="a", data=png)],
            limits=pb.RunLimits(max_output_tokens=99),
            active_editor=pb.ActiveEditor(is_editable=True, filename="a.md", content="It rains."),
        )
        _, error = await refused(here, metadata={"other": "x"})
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    [request] = [run.request for run in farm.runs]
    assert dict(request.metadata) == {"field": "north", "x-orchestrator-hops": "1"}
    assert (request.persona.ai_name, request.attachments[0].data) == ("Ada", png)
    assert (request.limits.max_output_tokens, request.limits.max_steps) == (99, 12)
    assert (request.active_editor.filename, request.active_editor.content) == ("a.md", "It rains.")


async def test_a_stream_that_is_cut_is_read_on_from_where_it_was(
    here: Service, farm: FakeOrchestrator
) -> None:
    farm.plays.append(WHOLE)
    for after in (1, 2, 3, 4, 7):
        for status in (grpc.StatusCode.UNAVAILABLE, None):
            farm.resumed.clear()
            farm.faults.append(Fault(after, status))
            chunks = await ask(here)
            assert standing(chunks) == "I dig. Done!"
            assert kinds(chunks).count("tool_call") == kinds(chunks).count("tool_result") == 1
            assert [one.after_sequence for one in farm.resumed] == [after]
    assert len(farm.runs) == 10


async def test_a_chunk_that_comes_twice_counts_once(here: Service, farm: FakeOrchestrator) -> None:
    farm.plays.append(WHOLE)
    farm.faults.append(Fault(5, grpc.StatusCode.UNAVAILABLE))
    farm.repeats = 3
    chunks = await ask(here)
    assert standing(chunks) == "I dig. Done!"
    assert kinds(chunks).count("tool_call") == 1


async def test_a_remote_that_falls_silent_is_asked_again(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, farm: FakeOrchestrator
) -> None:
    farm.plays.append(WHOLE)
    farm.faults.append(Fault(3, silent=True))
    async with with_remote(dsn, provider, tmp_path, farm.address, entry={"silence_seconds": 0.3}) as here:
        assert standing(await ask(here)) == "I dig. Done!"
    assert len(farm.resumed) == 1


async def test_text_that_a_remote_takes_back_is_taken_back_here(
    here: Service, farm: FakeOrchestrator
) -> None:
    farm.plays.append(Play([text("Hel"), text("lo"), reset(2), text("p"), text("!"), done("Help!")]))
    chunks = await ask(here)
    assert standing(chunks) == chunks[-1].complete.final_text == "Help!"
    log = await rest(here, chunks[0].run_id)
    assert standing(log) == "Help!"


async def test_text_before_tools_that_a_remote_takes_back_is_taken_back_here(
    here: Service, farm: FakeOrchestrator
) -> None:
    farm.plays.append(
        Play(
            [
                text("I dig."),
                called("t1"),
                answered("t1"),
                text("So"),
                reset(1),
                text("I did."),
                called("t2"),
                answered("t2"),
                text("Yes", 1),
                done("I did.Yes"),
            ]
        )
    )
    chunks = await ask(here)
    assert standing(chunks) == chunks[-1].complete.final_text == "I did.Yes"
    assert [c.tool_call.tool_call_id for c in chunks if c.HasField("tool_call")] == ["t1", "t2"]


async def test_a_remote_that_finds_no_end_is_ended(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, farm: FakeOrchestrator
) -> None:
    farm.plays.append(Play([text(f"{number} ", number) for number in range(50)]))
    async with with_remote(dsn, provider, tmp_path, farm.address, agent={"max_steps": "3"}) as here:
        end = (await ask(here))[-1]
    assert end.complete.finish_reason == pb.FINISH_REASON_LIMIT
    assert end.metadata["limit"] == "max_steps"
    assert end.complete.final_text.startswith("0 1 2 3 ")
    assert farm.cancelled == [end.run_id]


async def test_unknown_payloads_and_values_do_no_harm(here: Service, farm: FakeOrchestrator) -> None:
    odd = pb.ChatChunk(content=pb.ContentDelta(text="b", channel=77, message_index=-5))  # type: ignore[arg-type]
    state = pb.ChatChunk(status=pb.StatusUpdate(state=99))  # type: ignore[arg-type]
    artifact = pb.ChatChunk(artifact=pb.Artifact(artifact_id="a"))
    farm.plays.append(Play([text("a"), UNKNOWN, state, odd, artifact, done("ab", reason=88)]))
    chunks = await ask(here)
    assert standing(chunks) == "ab"
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_STOP


async def test_why_it_ended_is_why_it_ended_here(here: Service, farm: FakeOrchestrator) -> None:
    for reason in (pb.FINISH_REASON_LENGTH, pb.FINISH_REASON_LIMIT, pb.FINISH_REASON_CONTENT_FILTER):
        farm.plays.clear()
        farm.plays.append(Play([text("a"), done("a", reason=reason, metadata={"limit": "max_steps"})]))
        end = (await ask(here))[-1]
        assert end.complete.finish_reason == reason
        assert end.metadata["limit"] == ("max_steps" if reason == pb.FINISH_REASON_LIMIT else "")


async def test_a_text_that_is_only_in_the_end_is_the_answer(here: Service, farm: FakeOrchestrator) -> None:
    farm.plays.append(Play([done("All of it")]))
    chunks = await ask(here)
    assert standing(chunks) == chunks[-1].complete.final_text == "All of it"


async def test_what_was_pruned_there_is_taken_from_the_end(here: Service, farm: FakeOrchestrator) -> None:
    pruned = pb.ChatChunk(reset=pb.StreamReset(from_sequence=2, reason=pb.RESET_REASON_PRUNED))
    farm.plays.append(Play([pruned, text("half"), done("one half")]))
    chunks = await ask(here)
    assert standing(chunks) == chunks[-1].complete.final_text == "one half"


async def test_citations_and_edits_come_with_the_end(here: Service, farm: FakeOrchestrator) -> None:
    cited = text("Rain [1].")
    cited.content.citations.add(id="1", uri="https://example.org/rain", title="Rain")
    cited.content.citations.add(id="2", uri="javascript:alert(1)")
    edits = pb.ChatChunk(editor_operations=pb.EditorOperations(document_id="theirs", filename="b.md"))
    edits.editor_operations.operations.add_struct().update({"op_type": "delete_range", "start": 1, "end": 2})
    edits.editor_operations.operations.add_struct().update({"op_type": "format_disk"})
    farm.plays.append(Play([cited, edits, done("Rain [1].")]))
    editor = pb.ActiveEditor(is_editable=True, filename="a.md", content="It rains.", document_id="d1")
    chunks = await ask(here, active_editor=editor)
    [told] = [c.content for c in chunks if c.content.citations]
    assert [(one.id, one.uri) for one in told.citations] == [("1", "https://example.org/rain")]
    [proposed] = [c.editor_operations for c in chunks if c.HasField("editor_operations")]
    assert (proposed.document_id, proposed.filename) == ("d1", "a.md")
    assert [op["op_type"] for op in proposed.operations] == ["delete_range"]  # type: ignore[index]
