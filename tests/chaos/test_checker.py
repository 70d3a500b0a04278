"""The checker finds a planted violation of each invariant, and passes the same history without it."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protos import orchestrator_pb2 as pb
from tests.chaos.checker import CHECKS, problems
from tests.chaos.clean import (
    ASKED,
    CHAT,
    ENTRY,
    SECRET,
    TASK,
    chunk,
    good,
    history,
    run,
    text,
    write,
)
from tests.chaos.evidence import Evidence
from tests.chaos.history import FILE
from tests.integration.tasks.checker import words_of
from tests.integration.tasks.tables import Write


def test_a_history_in_which_all_is_well_has_no_problems() -> None:
    assert problems(good()) == []


def test_evidence_is_judged_the_same_after_it_was_on_disk(tmp_path: Path) -> None:
    evidence = good()
    evidence.write(tmp_path)
    kept = Evidence.read(tmp_path)
    assert (kept.tables, kept.runs, kept.facts) == (evidence.tables, evidence.runs, evidence.facts)
    assert not (tmp_path / FILE).exists()
    kept.history = history()
    assert problems(kept) == []


def writes_in(evidence: Evidence, run_id: str = TASK) -> list[Write]:
    found = evidence.tables.writes[run_id]
    assert isinstance(found, list)
    return found


def log_in(evidence: Evidence) -> list[tuple[bool, pb.ChatChunk]]:
    found = evidence.tables.logs[TASK]
    assert isinstance(found, list)
    return found


def row(run_id: str = TASK, **changed: object) -> Callable[[Evidence], object]:
    def plant(evidence: Evidence) -> None:
        rows = evidence.tables.rows
        rows[run_id] = replace(rows[run_id], **changed)  # type: ignore[index, arg-type]

    return plant


def line(op: str, what: str, **changed: object) -> Callable[[Evidence], object]:
    """Change the first line of an operation of that sort."""

    def plant(evidence: Evidence) -> None:
        next(e for e in evidence.history if (e.get("op"), e["what"]) == (op, what)).update(changed)

    return plant


def fails(**changed: object) -> Callable[[Evidence], object]:
    return line("t1", "fail", **changed)


def fact(**changed: object) -> Callable[[Evidence], object]:
    return lambda evidence: evidence.facts.update(changed)


def rest(**changed: int) -> Callable[[Evidence], object]:
    def plant(evidence: Evidence) -> None:
        evidence.samples[0]["rest"] = {**evidence.samples[0]["ready"], **changed}

    return plant


def seen(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Evidence], object]:
    """Change what the one reader saw."""

    def plant(evidence: Evidence) -> None:
        lines = [one for one in evidence.history if one["what"] == "saw"]
        others = [one for one in evidence.history if one["what"] != "saw"]
        change(lines)
        evidence.history[:] = [*others, *lines]

    return plant


def packed(**payload: object) -> str:
    return b64encode(chunk(2, CHAT, **payload)[1].SerializeToString()).decode()


def another_order(evidence: Evidence) -> None:
    """One more turn was acknowledged after the first, and stands before it."""
    first = next(one for one in evidence.history if (one.get("op"), one["what"]) == ("c2", "ok"))
    evidence.history[-1]["turns"].insert(0, [TASK, text(5)])
    evidence.history.append({**first, "text": text(5), "run_id": TASK})


FLAWS: dict[str, dict[str, Callable[[Evidence], Any]]] = {
    "I1": {
        "a task is lost": lambda e: e.tables.rows.pop(TASK),  # type: ignore[attr-defined]
        "a task never ends": row(state="queued"),
    },
    "I2": {
        "two terminal states": lambda e: writes_in(e).append(writes_in(e)[-1]),
        "a terminal state that changes": lambda e: writes_in(e).append(
            write(TASK, "b", 2, old_state="succeeded", new_state="failed")
        ),
        "no terminal record": lambda e: log_in(e).pop(),
        "a state that its log does not tell": row(state="failed"),
    },
    "I3": {
        "the dead process writes on": lambda e: writes_in(e).insert(
            6, write(TASK, "a", 2, sequence=4, terminal=False)
        ),
        "the dead process finishes": lambda e: writes_in(e).__setitem__(
            -1, write(TASK, "a", 2, old_state="running", new_state="succeeded")
        ),
        "the dead process writes a checkpoint": lambda e: writes_in(e).insert(
            5, write(TASK, "a", 2, thing="checkpoint")
        ),
        "an effect after the end": lambda e: writes_in(e).append(write(TASK, "b", 2, thing="effect")),
        "the dead process asks": lambda e: writes_in(e, ASKED).__setitem__(
            3, write(ASKED, "b", 1, old_state="running", new_state="waiting_for_permission")
        ),
        "taken from a process that beats": lambda e: writes_in(e).__setitem__(
            3, write(TASK, "b", 1, old_state="running", new_state="queued", beat_age=0.3)
        ),
        "ended beside a process that beats": lambda e: writes_in(e).__setitem__(
            -1, write(TASK, "a", 2, old_state="running", new_state="failed", beat_age=0.3)
        ),
        "the result is the first attempt's": row(result=text(1)),
        "a stale word in the answer": lambda e: log_in(e).__setitem__(
            3, chunk(4, TASK, content=pb.ContentDelta(text=text(2) + words_of(1)[1]))
        ),
        "the row is of an older attempt": row(attempt=1),
        "who decided writes after another has begun": lambda e: writes_in(e, ASKED).insert(
            6, write(ASKED, "c", 2, sequence=3, terminal=False)
        ),
    },
    "I4": {
        "two runs for a request": lambda e: e.runs.update({CHAT: run("bob", "task", "[t1] work")}),
        "two ids for a request": line("t1", "ok", task_ids=[TASK, "4" * 32]),
        "a run of nobody's": lambda e: e.runs.update({"4" * 32: run("ann", "chat", "[c9] tell me")}),
        "the end is told twice": lambda e: e.tables.told.append((TASK, "run.completed")),  # type: ignore[attr-defined]
        "events in another order": lambda e: e.tables.told.reverse(),  # type: ignore[attr-defined]
    },
    "I5": {
        "a log with a gap": lambda e: log_in(e).pop(1),
        "a reader missed something": seen(lambda lines: lines.pop(1)),
        "a reader saw something twice": seen(lambda lines: lines.insert(1, lines[1])),
        "a reader was shown other words": seen(
            lambda lines: lines[1].update(chunk=packed(content=pb.ContentDelta(text=words_of(3)[0])))
        ),
        "something after the end": seen(lambda lines: lines.append(lines[-1])),
        "the answer is not what is stored": line("c2", "ok", text="nothing"),
    },
    "I6": {
        "a word of another's answer": seen(
            lambda lines: lines[1].update(chunk=packed(content=pb.ContentDelta(text=text(1))))
        ),
        "another's turn in the conversation": lambda e: e.history[-1]["turns"].append([TASK, text(2)]),
        "another's question": lambda e: e.history.append(
            {"what": "shown", "user": "ann", "text": str(ENTRY), "at": 99.0, "live": 20.0}
        ),
        "a tool called for somebody else": lambda e: e.tool_calls[0]["request"].update(user_id="ann"),
        "a run that belongs to another": lambda e: e.runs[TASK].update(owner="ann"),
    },
    "I7": {
        "an effect that nobody allowed": lambda e: e.permissions[0].update(state="denied"),
        "other arguments than approved": lambda e: e.tool_calls[0]["request"].update(kind="note"),
        "an effect twice": lambda e: e.tool_calls.append(e.tool_calls[0]),
        "two decisions": lambda e: e.permissions[0].update(decided=2),
        "two who were told that they decided": lambda e: e.history.append(e.history[-2]),
        "approved and not done": lambda e: e.tool_calls.clear(),
    },
    "I8": {
        "memory": rest(memory=300 << 20),
        "descriptors": rest(descriptors=90),
        "connections": fact(connections=40),
        "a call that goes on": fact(model_calls_open=1),
        "a permission that waits": fact(pending=1),
    },
    "I9": {
        "too late": fact(recovery_seconds=300.0),
        "still running": row(CHAT, state="running"),
        "an operation that takes for ever": line("c2", "ok", live=500.0),
        "an operation without an end": lambda e: e.history.insert(
            0, {"what": "invoke", "op": "c8", "user": "ann", "kind": "chat", "at": 0.0, "live": -500.0}
        ),
    },
    "I10": {
        "a turn is forgotten": lambda e: e.history[-1]["turns"].clear(),
        "a turn stands twice": lambda e: e.history[-1]["turns"].append([CHAT, text(3)]),
        "turns in another order": another_order,
    },
    "I11": {
        "not its code": fails(code="INTERNAL"),
        "no hint": fails(retry_after=None),
        "an exception's text": fails(message="asyncpg.exceptions.DiskFullError: no space"),
        "a defect": fails(code="INTERNAL", reason="INTERNAL", message="internal error"),
        "no reason": fails(code="UNKNOWN", reason=""),
        "a secret in the log": lambda e: e.logs.append(f"connecting with {SECRET}"),
        "a query in the log": lambda e: e.logs.append("asked for [c2] tell me"),
    },
}


@pytest.mark.parametrize(("invariant", "flaw"), [(name, flaw) for name in FLAWS for flaw in FLAWS[name]])
def test_a_planted_violation_is_found_as_what_it_is(invariant: str, flaw: str) -> None:
    evidence = good()
    FLAWS[invariant][flaw](evidence)
    assert invariant in {problem.invariant for problem in problems(evidence)}


def test_every_invariant_has_planted_violations() -> None:
    assert FLAWS.keys() == CHECKS.keys()
