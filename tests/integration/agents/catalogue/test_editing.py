"""Agents that edit the open document."""

import orjson
import pytest

from agents.edits import applied
from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.service import Service
from tests.integration.agents.catalogue.playing import Scene, play

CONTENT = "# One\nIt was dark. Ann sat.\n# Two\nNobody came.\n"
OPEN = pb.ActiveEditor(
    is_editable=True, filename="a.md", language="markdown", content=CONTENT, document_id="d1"
)
LOG = ("status", "agent_update", "content", "editor_operations", "complete")
FIELDS = {"active_editor": OPEN}
LIGHT = {"op_type": "replace_range", "original_text": "dark", "anchor_text": "", "text": "light"}
NOON = {"op_type": "insert_after_heading", "original_text": "", "anchor_text": "# Two", "text": "Noon."}
AFTER = CONTENT.replace("dark", "light").replace("# Two\n", "# Two\nNoon.\n")


def says(answer: str, *operations: dict[str, str]) -> tuple[Script]:
    edits = [{**one, "note": "asked for", "confidence": 0.9} for one in operations]
    return (Script(tokens=(orjson.dumps({"answer": answer, "operations": edits}).decode(),)),)


DONE = says("Changed.", LIGHT, NOON)


def after(chunks: list[pb.ChatChunk]) -> str:
    """The document as it is once the operations of a log are applied."""
    [chunk] = [c for c in chunks if c.HasField("editor_operations")]
    assert chunk.editor_operations.document_id == "d1"
    operations = orjson.loads(chunk.message)["operations"]
    return applied(CONTENT, [{**o, "start": int(o["start"]), "end": int(o["end"])} for o in operations])


def fits(service: Service, chunks: list[pb.ChatChunk]) -> None:
    """The model saw the document as it is open, and what came out changes it as asked."""
    assert CONTENT in service.provider.ledger[0].body["messages"][-1]["content"]
    assert after(chunks) == AFTER


@pytest.mark.agent("fiction_editing")
async def test_fiction_editing_proposes_operations_that_fit(
    service: Service, backend: FakeToolService
) -> None:
    scene = Scene(
        "fiction_editing", "Make it light, and noon.", "Changed.", fields=FIELDS, says=DONE, log=LOG
    )
    fits(service, await play(service, backend, scene))


@pytest.mark.agent("outline_editing")
async def test_outline_editing_proposes_operations_that_fit(
    service: Service, backend: FakeToolService
) -> None:
    scene = Scene(
        "outline_editing", "The first beat is in the light.", "Changed.", fields=FIELDS, says=DONE, log=LOG
    )
    fits(service, await play(service, backend, scene))


@pytest.mark.agent("rules_editing")
async def test_rules_editing_proposes_operations_that_fit(service: Service, backend: FakeToolService) -> None:
    scene = Scene(
        "rules_editing", "It is light, and noon is a rule.", "Changed.", fields=FIELDS, says=DONE, log=LOG
    )
    fits(service, await play(service, backend, scene))


@pytest.mark.agent("character_development")
async def test_character_development_proposes_operations_that_fit(
    service: Service, backend: FakeToolService
) -> None:
    scene = Scene(
        "character_development", "She likes the light.", "Changed.", fields=FIELDS, says=DONE, log=LOG
    )
    fits(service, await play(service, backend, scene))


@pytest.mark.agent("proofreading")
async def test_proofreading_proposes_operations_that_fit(service: Service, backend: FakeToolService) -> None:
    scene = Scene("proofreading", "Correct it.", "Changed.", fields=FIELDS, says=DONE, log=LOG)
    fits(service, await play(service, backend, scene))


@pytest.mark.agent("sysml")
async def test_sysml_proposes_operations_that_fit(service: Service, backend: FakeToolService) -> None:
    scene = Scene("sysml", "Add the block Noon.", "Changed.", fields=FIELDS, says=DONE, log=LOG)
    fits(service, await play(service, backend, scene))
