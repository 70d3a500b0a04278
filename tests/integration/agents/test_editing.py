"""An agent that edits the open document: what the model is shown, what it may propose, what goes out."""

from pathlib import Path

import grpc
import orjson
import pytest

from agents.edits import applied
from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.harness.configured import configured, two_models
from tests.harness.service import Service, chat_request, collect, settings_for_tests, text_of
from tests.harness.statuses import violations
from tests.harness.tooled import kinds, rest
from tests.integration.agents.conftest import SHAPES

ONE_RULE = "You do not write the document again"
CONTENT = "# Rain\nIt rains. It rains.\nThe sun \U0001f31e shines.\n"
OPEN = pb.ActiveEditor(
    is_editable=True, filename="rain.md", language="markdown", content=CONTENT, document_id="d1"
)


def edit(op_type: str, original: str = "", anchor: str = "", text: str = "") -> dict[str, object]:
    return {
        "op_type": op_type,
        "original_text": original,
        "anchor_text": anchor,
        "text": text,
        "note": "clearer",
        "confidence": 0.9,
    }


def proposing(*edits: dict[str, object], answer: str = "I changed it.") -> Script:
    whole = orjson.dumps({"answer": answer, "operations": edits}).decode()
    return Script(tokens=(whole[:20], whole[20:]))


SUN = edit("replace_range", "sun \U0001f31e", text="moon")
AMBIGUOUS = edit("delete_range", "It rains.")


async def asks(service: Service, query: str = "moon, please", **fields: object) -> list[pb.ChatChunk]:
    return await service.chat(query, **{"agent_type": "editor", "active_editor": OPEN, **fields})


def operations_of(chunks: list[pb.ChatChunk]) -> list[dict[str, object]]:
    """The operations as a caller reads them from the old string fields."""
    [chunk] = [c for c in chunks if c.type == "editor_operations"]
    found: list[dict[str, object]] = orjson.loads(chunk.message)["operations"]
    return [{**one, "start": int(one["start"]), "end": int(one["end"])} for one in found]  # type: ignore[call-overload]


async def test_edits_go_out_with_offsets_and_hashes_that_hold_beside_a_short_answer(shapes: Service) -> None:
    shapes.provider.enqueue(proposing(SUN, edit("insert_after_heading", anchor="# Rain", text="Noon.")))
    chunks = await asks(shapes)
    assert shapes.provider.ledger[0].body["response_format"]["json_schema"]["strict"] is True
    assert kinds(chunks) == ["status", "agent_update", "content", "editor_operations", "complete"]
    assert text_of(chunks) == chunks[-1].complete.final_text == "I changed it."
    edits = chunks[-2].editor_operations
    assert (edits.document_id, edits.filename) == ("d1", "rain.md")
    expected = CONTENT.replace("sun \U0001f31e", "moon").replace("# Rain\n", "# Rain\nNoon.\n")
    assert applied(CONTENT, operations_of(chunks)) == expected
    assert set(operations_of(chunks)[0]) == {
        "op_type",
        "start",
        "end",
        "text",
        "pre_hash",
        "original_text",
        "anchor_text",
        "note",
        "confidence",
    }


async def test_the_document_is_shown_as_data_in_its_turn_alone(shapes: Service) -> None:
    shapes.provider.enqueue(proposing(), proposing())
    frontmatter = pb.EditorFrontmatter(type="fiction", tags=["wet"])
    editor = pb.ActiveEditor(selection_start=0, selection_end=6, cursor_offset=6, frontmatter=frontmatter)
    editor.MergeFrom(OPEN)
    await asks(shapes, conversation_id="c1", active_editor=editor)
    other = pb.ActiveEditor(is_editable=True, filename="other.md", content="Other.")
    await asks(shapes, "and now?", conversation_id="c1", active_editor=other)
    first, second = (call.body["messages"] for call in shapes.provider.ledger)
    shown = first[-1]["content"]
    assert f"{CONTENT}\n[data " in shown
    assert first[0]["content"].count(ONE_RULE) == 1
    assert shown.startswith("[data ")
    assert shown.endswith("\n\nmoon, please")
    assert all(word in shown for word in ("fiction", "wet", "begins: selected]\n# Rain\n", "# Rain[cursor]"))
    assert CONTENT not in str(second)
    assert [m["content"] for m in second[1:-1]] == ["moon, please", "I changed it."]


async def test_what_does_not_fit_is_told_to_the_model_once(shapes: Service) -> None:
    shapes.provider.enqueue(proposing(SUN, AMBIGUOUS), proposing(SUN))
    chunks = await asks(shapes)
    assert len(operations_of(chunks)) == 1
    told = shapes.provider.ledger[1].body["messages"][-1]["content"]
    assert "Operation 2 (delete_range)" in told
    assert "Operation 1" not in told
    assert chunks[-1].usage.model_calls == 2


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (proposing(SUN, AMBIGUOUS, answer="Two edits."), "Two edits.\n\nThe edits could not be placed"),
        (proposing(SUN, edit("delete_range", "sun")), "I changed it.\n\nThe edits could not be placed"),
        (Script(tokens=("no json",)), "The edits could not be placed"),
        (Script(tokens=('{"answer": "x", "operations": [{"op_type": "format"}]}',)), "The edits could not"),
    ],
)
async def test_what_never_fits_is_said_in_words_and_not_proposed(
    shapes: Service, script: Script, text: str
) -> None:
    shapes.provider.default = script
    chunks = await asks(shapes)
    assert "editor_operations" not in kinds(chunks)
    assert text_of(chunks).startswith(text)
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_STOP
    assert len(shapes.provider.ledger) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"is_editable": False},
        {"editor_preference": "ignore"},
        None,
    ],
)
async def test_without_a_document_the_agent_asks_for_one(
    shapes: Service, fields: dict[str, object] | None
) -> None:
    shapes.provider.enqueue(Script(tokens=("Please open ", "one.")))
    editor = pb.ActiveEditor()
    if fields is not None:
        editor.MergeFrom(OPEN)
        editor.MergeFrom(pb.ActiveEditor(**fields))  # type: ignore[arg-type]
        editor.is_editable = bool(fields.get("is_editable", True))
    chunks = await asks(shapes, active_editor=None if fields is None else editor)
    assert kinds(chunks) == ["status", "agent_update", "content", "complete"]
    [call] = shapes.provider.ledger
    assert "response_format" not in call.body
    assert "No document is open" in call.body["messages"][0]["content"]
    assert CONTENT not in str(call.body)


async def test_a_turn_that_waits_between_two_answers_repeats_none_and_proposes_once(shapes: Service) -> None:
    shapes.provider.enqueue(proposing(AMBIGUOUS), Script(status=429), proposing(SUN))
    chunks = await asks(shapes)
    log = await rest(shapes, chunks[0].run_id)
    assert kinds(log).count("editor_operations") == 1
    assert len(shapes.provider.ledger) == 3
    assert "Operation 1" in shapes.provider.ledger[2].body["messages"][-1]["content"]


async def test_a_limit_in_the_middle_ends_the_turn_without_edits(shapes: Service) -> None:
    shapes.provider.default = proposing(AMBIGUOUS)
    chunks = await asks(shapes, limits=pb.RunLimits(max_steps=1))
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_LIMIT
    assert "limit" in text_of(chunks)
    assert len(shapes.provider.ledger) == 1


async def test_an_answer_that_breaks_shows_nothing_of_its_json(shapes: Service) -> None:
    shapes.provider.enqueue(Script(tokens=('{"answer":', ' "x'), fault=Fault(FaultKind.CUT, 2)))
    chunks: list[pb.ChatChunk] = []
    request = chat_request(agent_type="editor", active_editor=OPEN)
    with pytest.raises(grpc.aio.AioRpcError):
        await collect(shapes.stub.StreamChat(request), chunks)
    assert kinds(chunks) == ["status", "agent_update", "error"]
    assert "{" not in chunks[-1].error.message


async def test_a_model_without_json_schemas_is_told_the_form_in_words(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    file = tmp_path / "providers.toml"
    models = two_models(provider.base_url, provider.base_url)
    file.write_text(models.replace("context_tokens = 8192", "context_tokens = 8192\njson_schema = false"))
    provider.enqueue(proposing(SUN))
    settings = settings_for_tests(provider={"file": file})
    async with configured(settings, dsn, provider, catalog=SHAPES) as service:
        chunks = await asks(service)
    assert len(operations_of(chunks)) == 1
    body = provider.ledger[0].body
    assert "response_format" not in body
    told = body["messages"][0]["content"]
    assert '"replace_range"' in told
    assert told.count(ONE_RULE) == 1


@pytest.mark.parametrize(
    ("field", "editor"),
    [
        ("active_editor.content", pb.ActiveEditor(content="x" * ((1 << 20) + 1))),
        ("active_editor.content", pb.ActiveEditor(content="a\0b")),
        ("active_editor.filename", pb.ActiveEditor(filename="x" * 1025)),
        ("active_editor.editor_preference", pb.ActiveEditor(editor_preference="maybe")),
        ("active_editor.cursor_offset", pb.ActiveEditor(content="abc", cursor_offset=4)),
        ("active_editor.cursor_offset", pb.ActiveEditor(content="abc", cursor_offset=-2)),
        (
            "active_editor.selection_end",
            pb.ActiveEditor(content="abc", selection_start=2, selection_end=1),
        ),
        (
            "active_editor.frontmatter.tags",
            pb.ActiveEditor(frontmatter=pb.EditorFrontmatter(tags=["a"] * 101)),
        ),
        (
            "active_editor.frontmatter.title",
            pb.ActiveEditor(frontmatter=pb.EditorFrontmatter(title="x" * 1001)),
        ),
    ],
)
async def test_a_document_that_breaks_a_rule_is_refused_by_name(
    shapes: Service, field: str, editor: pb.ActiveEditor
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await asks(shapes, active_editor=editor)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in violations(raised.value)
