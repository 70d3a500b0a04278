"""Text that is taken back: what the log says of it, and how far a log without an end has come then."""

from agents.events import AgentEvent, TextEmitted, TextVoided, ToolCalled
from orchestrator.codec.chunks import encode, left_off
from orchestrator.journal import RunJournal
from orchestrator.windows import Window
from protos import orchestrator_pb2 as pb
from state.models import RunId

CALL = ToolCalled("t1", "dig", "{}", read_only=True)


def written(*events: AgentEvent) -> tuple[list[pb.ChatChunk], RunJournal]:
    """The log of these events, each written by itself."""
    journal = RunJournal(RunId("r"), "farm", encode, window=lambda: Window(0.0))
    log = []
    for event in events:
        journal.emit(event)
        log += [pb.ChatChunk.FromString(record.payload) for record in journal.take()]
    return log, journal


def test_a_message_is_taken_back_from_its_first_chunk_on() -> None:
    log, journal = written(
        TextEmitted("a"),
        CALL,
        TextEmitted("b", message_index=1),
        TextEmitted("c", message_index=1),
        TextVoided(1),
    )
    assert [chunk.reset.from_sequence for chunk in log if chunk.HasField("reset")] == [3]
    assert journal.answer == "a"
    journal.emit(TextEmitted("d", message_index=1))
    assert journal.answer == "ad"
    [again] = [pb.ChatChunk.FromString(record.payload) for record in journal.take()]
    assert again.content.offset == 0


def test_what_waits_to_be_written_can_be_taken_back_too() -> None:
    _, journal = written(TextEmitted("a"))
    journal.emit(TextEmitted("b", message_index=1))
    journal.emit(TextVoided(0))
    journal.emit(TextEmitted("c"))
    assert journal.answer == "c"
    chunks = [pb.ChatChunk.FromString(record.payload) for record in journal.take()]
    assert [chunk.reset.from_sequence for chunk in chunks if chunk.HasField("reset")] == [1]


def test_messages_that_were_taken_back_are_not_there_any_more() -> None:
    first: list[AgentEvent] = [TextEmitted("a"), CALL, TextEmitted("b", message_index=1), CALL]
    assert left_off(chunk.SerializeToString() for chunk in written(*first)[0]).texts == 2
    for index in (0, 1):
        log, _ = written(*first, TextVoided(index))
        found = left_off(chunk.SerializeToString() for chunk in log)
        assert (found.texts, found.unfinished) == (index, None)
        log, _ = written(*first, TextVoided(index), TextEmitted("c", message_index=index))
        found = left_off(chunk.SerializeToString() for chunk in log)
        assert (found.texts, found.unfinished) == (index, 6)
