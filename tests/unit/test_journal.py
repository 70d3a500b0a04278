"""The journal: what an agent emits becomes records, text that waits as one."""

import asyncio
from collections.abc import Sequence
from time import monotonic

import pytest

from agents.events import Channel, TextEmitted
from orchestrator.events import ChunkHeader, RunEvent, StatusChanged
from orchestrator.journal import RunJournal
from orchestrator.windows import Window
from state.models import Attempt, Owner, Record, RunId, RunState

ATTEMPT = Attempt(Owner("ann"), RunId("r1"), 1)
STATUS = StatusChanged(RunState.RUNNING, "Answering")


def encode(event: RunEvent, header: ChunkHeader) -> bytes:
    text = event.text if isinstance(event, TextEmitted | StatusChanged) else "end"
    return f"{header.sequence}:{text}".encode()


class RecordingLog:
    """Keeps every flush; with a gate, each waits for it."""

    def __init__(self, gate: asyncio.Semaphore | None = None) -> None:
        self.flushes: list[list[str]] = []
        self.arrived = asyncio.Semaphore(0)
        self._gate = gate

    async def append(self, attempt: Attempt, records: Sequence[Record], *, urgent: bool) -> None:
        del attempt, urgent
        self.flushes.append([record.payload.decode() for record in records])
        self.arrived.release()
        if self._gate is not None:
            await self._gate.acquire()


def journal_with(window: float) -> RunJournal:
    return RunJournal(RunId("r1"), "chat", encode, window=lambda: Window(window))


async def test_the_first_text_leaves_at_once_however_wide_the_window() -> None:
    journal, log = journal_with(60.0), RecordingLog()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(journal.write(ATTEMPT, log))
        journal.emit(TextEmitted("a"))
        await log.arrived.acquire()
        assert log.flushes == [["1:a"]]
        journal.close()


async def test_text_that_waits_for_the_store_leaves_as_one_record() -> None:
    gate = asyncio.Semaphore(0)
    journal, log = journal_with(0.0), RecordingLog(gate)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(journal.write(ATTEMPT, log))
        journal.emit(TextEmitted("a"))
        await log.arrived.acquire()
        for text in "bcd":
            journal.emit(TextEmitted(text))
        gate.release()
        await log.arrived.acquire()
        gate.release()
        assert log.flushes == [["1:a"], ["2:bcd"]]
        journal.close()


async def test_what_is_not_text_does_not_wait_for_the_window() -> None:
    journal, log = journal_with(60.0), RecordingLog()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(journal.write(ATTEMPT, log))
        journal.emit(TextEmitted("a"))
        await log.arrived.acquire()
        journal.emit(TextEmitted("b"))
        journal.emit(STATUS)
        await log.arrived.acquire()
        assert log.flushes == [["1:a"], ["2:b", "3:Answering"]]
        journal.close()


def test_text_of_another_channel_or_message_is_never_joined() -> None:
    journal = journal_with(0.0)
    for event in (
        TextEmitted("a"),
        TextEmitted("b", Channel.REASONING),
        TextEmitted("c", Channel.REASONING),
        TextEmitted("d", message_index=1),
    ):
        journal.emit(event)
    assert [record.payload for record in journal.take()] == [b"1:a", b"2:bc", b"3:d"]


def test_sequences_go_on_over_every_taking_and_only_the_last_record_is_terminal() -> None:
    journal = journal_with(0.0)
    journal.emit(STATUS)
    first = journal.take()
    journal.emit(TextEmitted("a"))
    rest = journal.take(STATUS, terminal=True)
    assert [record.sequence for record in (*first, *rest)] == [1, 2, 3]
    assert [record.terminal for record in (*first, *rest)] == [False, False, True]


async def test_after_closing_what_waits_is_left_to_the_last_words() -> None:
    journal, log = journal_with(60.0), RecordingLog()
    journal.emit(TextEmitted("a"))
    journal.close()
    await asyncio.wait_for(journal.write(ATTEMPT, log), 5)
    assert log.flushes == []
    assert [record.payload for record in journal.take()] == [b"1:a"]


async def test_a_store_that_fails_ends_the_writing() -> None:
    class Broken:
        async def append(self, attempt: Attempt, records: Sequence[Record], *, urgent: bool) -> None:
            raise ConnectionError

    journal = journal_with(0.0)
    journal.emit(TextEmitted("a"))
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(journal.write(ATTEMPT, Broken()), 5)


def test_the_answer_so_far_is_all_text_of_the_answer_taken_or_waiting() -> None:
    journal = journal_with(0.0)
    journal.emit(TextEmitted("one"))
    journal.take()
    journal.emit(TextEmitted("thought", Channel.REASONING))
    journal.emit(TextEmitted(" two"))
    assert journal.answer == "one two"


async def test_text_that_follows_is_written_with_the_next_window_which_is_known_at_once() -> None:
    gate = asyncio.Semaphore(0)
    journal, log = journal_with(0.05), RecordingLog(gate)
    assert journal.opens_at() <= monotonic()  # the first text waits for nothing
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(journal.write(ATTEMPT, log))
        journal.emit(TextEmitted("a"))
        assert journal.opens_at() > monotonic()
        await log.arrived.acquire()
        under_way = journal.opens_at()
        assert under_way > 0
        journal.emit(TextEmitted("b"))
        assert journal.opens_at() >= under_way
        gate.release()
        gate.release()
        await log.arrived.acquire()
        assert monotonic() >= under_way
        assert log.flushes == [["1:a"], ["2:b"]]
        journal.close()


async def test_nobody_is_told_to_wait_longer_than_our_widest_window_to_see_the_end_of_an_answer() -> None:
    journal = journal_with(60.0)
    before = monotonic()
    journal.emit(TextEmitted("a"))
    assert before < journal.opens_at() <= monotonic() + 0.1
