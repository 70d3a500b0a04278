"""What an agent does and makes beside its text, as chunks."""

from dataclasses import asdict

from agents.events import EditsProposed, PlanChanged, SourcesCited, TitleGiven
from orchestrator.codec import tools
from protos import orchestrator_pb2 as pb

OutputEvent = tools.ToolEvent | EditsProposed | PlanChanged | SourcesCited | TitleGiven


def fill(chunk: pb.ChatChunk, event: OutputEvent) -> None:
    """Set the chunk's payload."""
    match event:
        case EditsProposed():
            edits = chunk.editor_operations
            edits.document_id = event.document_id
            edits.filename = event.filename
            for one in event.operations:
                edits.operations.add_struct().update(one)
        case PlanChanged():
            chunk.plan.plan.update(event.plan)
        case TitleGiven():
            chunk.title.title = event.title
        case SourcesCited():
            content = chunk.content
            content.channel = pb.CONTENT_CHANNEL_ANSWER
            content.offset = event.offset
            for cited in event.citations:
                content.citations.add(**asdict(cited))
        case _:
            tools.fill(chunk, event)
