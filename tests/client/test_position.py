"""What is news to a reader: each event of a log once, in order, and nothing past a gap."""

import pytest

from llm_orchestrator_client.errors import UnavailableError
from llm_orchestrator_client.events import Completion, ContentDelta, Event, Heartbeat, StreamReset
from llm_orchestrator_client.position import Position
from llm_orchestrator_client.transcript import Transcript
from llm_orchestrator_client.values import Channel, FinishReason, ResetReason

PRUNED = StreamReset(5, ResetReason.PRUNED)
AGAIN = StreamReset(2, ResetReason.NEW_ATTEMPT, 2, sequence=4)


def texts(*sequences: int) -> list[Event]:
    return [ContentDelta(str(sequence), sequence=sequence) for sequence in sequences]


def test_what_was_read_is_not_read_again() -> None:
    position = Position()
    taken = [event.sequence for event in texts(1, 2, 1, 2, 3) if position.takes(event)]
    assert taken == [1, 2, 3]


def test_what_is_not_in_the_log_is_passed_on_and_counts_for_nothing() -> None:
    position = Position(sequence=3)
    assert position.takes(Heartbeat())
    assert position.takes(Heartbeat())
    assert position.sequence == 3


def test_a_gap_is_no_place_to_read_on_from() -> None:
    position = Position(sequence=3)
    with pytest.raises(UnavailableError) as raised:
        position.takes(texts(5)[0])
    assert raised.value.reason == "STREAM_GAP"
    assert position.sequence == 3


def test_what_retention_has_deleted_is_no_gap() -> None:
    position = Position()
    assert [position.takes(event) for event in (PRUNED, *texts(5, 6))] == [True, True, True]
    assert position.sequence == 6


def test_the_last_event_is_the_end() -> None:
    position = Position()
    end = Completion(FinishReason.STOP, "1", sequence=1)
    assert position.takes(end)
    assert position.end is end


def test_a_run_is_named_by_the_metadata_and_its_conversation_as_it_was() -> None:
    position = Position()
    position.introduce([("x-run-id", "r"), ("x-conversation-id", "c%25%C3%A9")])
    assert (position.run_id, position.conversation_id, position.accepted) == ("r", "c%é", True)


def shown(*events: Event) -> Transcript:
    transcript = Transcript()
    for event in events:
        transcript.add(event)
    return transcript


def test_a_transcript_forgets_what_a_reset_makes_void() -> None:
    assert shown(*texts(1, 2, 3), AGAIN, *texts(5)).text == "15"
    assert shown(*texts(1, 2), PRUNED, *texts(5)).text == "5"


def test_a_transcript_keeps_thinking_apart_and_an_early_end_is_no_final_text() -> None:
    thinking = ContentDelta("hm", channel=Channel.REASONING, sequence=1)
    waits = Completion(FinishReason.WAITING_FOR_PERMISSION)
    transcript = shown(thinking, *texts(2), waits)
    assert (transcript.text, transcript.reasoning, transcript.final_text) == ("2", "hm", None)
    transcript.add(Completion(FinishReason.STOP, "2", sequence=3))
    assert transcript.final_text == "2"
