"""What an agent does and makes beside its text, as chunks."""

from agents.events import EditsProposed
from orchestrator.codec import tools
from protos import orchestrator_pb2 as pb

OutputEvent = tools.ToolEvent | EditsProposed


def fill(chunk: pb.ChatChunk, event: OutputEvent) -> None:
    """Set the chunk's payload."""
    match event:
        case EditsProposed():
            edits = chunk.editor_operations
            edits.document_id = event.document_id
            edits.filename = event.filename
            for one in event.operations:
                edits.operations.add_struct().update(one)
        case _:
            tools.fill(chunk, event)
