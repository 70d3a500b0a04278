"""The checker finds each thing that it is there to find."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from protos import orchestrator_pb2 as pb
from tests.integration.tasks.checker import ClientLog, ProviderCall, problems, words_of
from tests.integration.tasks.tables import Row, Tables, Write

RUN = "0" * 32
TEXT = "".join(words_of(2))
CALLS = [ProviderCall(1, "task 0"), ProviderCall(2, "task 0")]


def chunk(sequence: int, **payload: object) -> tuple[bool, pb.ChatChunk]:
    return "complete" in payload, pb.ChatChunk(sequence=sequence, **payload)  # type: ignore[arg-type]


def write(writer: str, attempt: int, **what: object) -> Write:
    values = {"old_state": None, "new_state": None, "sequence": None, "terminal": None, **what}
    return Write(at=datetime.now(UTC), writer=writer, run_id=RUN, attempt=attempt, **values)  # type: ignore[arg-type]


def good() -> tuple[ClientLog, Tables]:
    """A task whose first worker died in the middle of its answer."""
    row = Row(RUN, "succeeded", 2, 2, 1, 0, 6, "", TEXT)
    log = [
        chunk(1, status=pb.StatusUpdate(state=pb.TASK_STATE_QUEUED)),
        chunk(2, status=pb.StatusUpdate(state=pb.TASK_STATE_RUNNING)),
        chunk(3, content=pb.ContentDelta(text=words_of(1)[0])),
        chunk(4, reset=pb.StreamReset(from_sequence=3, attempt=2)),
        chunk(5, content=pb.ContentDelta(text=TEXT)),
        chunk(6, complete=pb.Completion(final_text=TEXT)),
    ]
    writes = [
        write("a", 0, new_state="queued"),
        write("a", 0, sequence=1, terminal=False),
        write("a", 1, old_state="queued", new_state="running"),
        write("a", 1, sequence=2, terminal=False),
        write("a", 1, sequence=3, terminal=False),
        write("b", 1, old_state="running", new_state="queued"),
        write("b", 2, old_state="queued", new_state="running"),
        write("b", 2, sequence=4, terminal=False),
        write("b", 2, sequence=5, terminal=False),
        write("b", 2, sequence=6, terminal=True),
        write("b", 2, old_state="running", new_state="succeeded"),
    ]
    clients = ClientLog(
        accepted={"task 0": RUN}, watched={RUN: [c for _, c in log]}, kept={RUN: (TEXT.strip(), 1)}
    )
    return clients, Tables({RUN: row}, {RUN: log}, {RUN: writes}, [(RUN, "run.completed")])


def test_a_history_in_which_all_is_well_has_no_problems() -> None:
    clients, tables = good()
    assert problems(clients, tables, CALLS) == []


def _log(tables: Tables, change: Callable[[list[tuple[bool, pb.ChatChunk]]], object]) -> Tables:
    log = list(tables.logs[RUN])
    change(log)
    return replace(tables, logs={RUN: log})


def _writes(tables: Tables, change: Callable[[list[Write]], object]) -> Tables:
    writes = list(tables.writes[RUN])
    change(writes)
    return replace(tables, writes={RUN: writes})


STALE = words_of(1)[1]
FLAWS: dict[str, Callable[[Tables], Tables]] = {
    "lost": lambda t: replace(t, rows={}),
    "still running": lambda t: replace(t, rows={RUN: replace(t.rows[RUN], state="running")}),
    "a gap": lambda t: _log(t, lambda log: log.pop(2)),
    "two ends": lambda t: _log(t, lambda log: log.insert(5, (True, log[5][1]))),
    "no end": lambda t: _log(t, lambda log: log.pop()),
    "a stale word": lambda t: _log(
        t, lambda log: log.__setitem__(4, chunk(5, content=pb.ContentDelta(text=TEXT + STALE)))
    ),
    "a stale result": lambda t: replace(t, rows={RUN: replace(t.rows[RUN], result="".join(words_of(1)))}),
    "half a result": lambda t: replace(t, rows={RUN: replace(t.rows[RUN], result=TEXT[:-4])}),
    "a stale writer": lambda t: _writes(t, lambda w: w.insert(8, write("a", 2, sequence=5, terminal=False))),
    "a stale finish": lambda t: _writes(
        t, lambda w: w.__setitem__(10, write("a", 2, old_state="running", new_state="succeeded"))
    ),
    "two terminal states": lambda t: _writes(t, lambda w: w.append(w[-1])),
    "two owners": lambda t: _writes(t, lambda w: w.insert(8, write("a", 2, new_state="running"))),
    "told twice": lambda t: replace(t, told=[*t.told, *t.told]),
    "too many calls": lambda t: replace(t, rows={RUN: replace(t.rows[RUN], attempt=1)}),
    "a run of nobody's": lambda t: replace(t, rows={**t.rows, "1" * 32: t.rows[RUN]}),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_flaw_is_found(flaw: str) -> None:
    clients, tables = good()
    assert problems(clients, FLAWS[flaw](tables), CALLS)


def test_a_watcher_who_missed_something_is_found() -> None:
    clients, tables = good()
    clients.watched[RUN].pop(2)
    assert problems(clients, tables, CALLS)


def test_a_conversation_that_keeps_another_answer_is_found() -> None:
    clients, tables = good()
    clients.kept[RUN] = ("".join(words_of(1)).strip(), 1)
    assert problems(clients, tables, CALLS)
