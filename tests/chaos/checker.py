"""Whether the invariants I1 to I11 of docs/chaos.md hold, by what callers saw, the tables and the ledgers.

`python -m tests.chaos.checker FOLDER` judges what a run has left there once more.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import callers, effects, failures, resources
from tests.chaos.evidence import Evidence
from tests.chaos.view import View
from tests.integration.tasks.checker import EVENTS, ends, gaps, taken, text_of_one_call, unfinished, writers
from tests.integration.tasks.tables import TERMINAL, Row
from tests.integration.tasks.workers import LEASE_SECONDS

RECOVERY_SECONDS = 30.0
"""So long after the last fault is mended everything has ended."""
LIVE_SECONDS = 60.0
"""So long, of the time in which faults are tolerable, an operation takes at most."""
_STATES = {
    "queued": "run.queued",
    "running": "run.started",
    "succeeded": "run.completed",
    "failed": "run.failed",
    "cancelled": "run.cancelled",
    "expired": "run.expired",
    "waiting_for_permission": "run.waiting",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A broken invariant, as I1, and how it shows."""

    invariant: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.what}"


def problems(evidence: Evidence) -> list[Problem]:
    """Everything that is wrong, by invariant; empty when all is well."""
    view = View.of(evidence)
    return [Problem(name, what) for name, check in CHECKS.items() for what in check(view)]


def _every_row(view: View, check: Callable[[Row], Iterator[str]]) -> Iterator[str]:
    for run_id, row in view.tables.rows.items():
        for what in check(row):
            yield f"{run_id} ({view.label_of(run_id)}): {what}"


def accepted_tasks_end(view: View) -> Iterator[str]:
    """I1: every task that was acknowledged is there, and has ended."""
    for task_id, label in view.accepted.items():
        row = view.tables.rows.get(task_id)
        if row is None:
            yield f"{task_id} ({label}): lost"
        elif row.state not in TERMINAL:
            yield f"{task_id} ({label}): still {row.state}"


def one_terminal_state(view: View) -> Iterator[str]:
    """I2: one terminal state and one terminal record, both last."""
    logs, writes = view.tables.logs, view.tables.writes
    yield from _every_row(view, lambda r: ends(r, logs.get(r.run_id, []), writes.get(r.run_id, [])))


def newest_attempt(view: View) -> Iterator[str]:
    """I3: what a run has come to is its newest attempt's, and nobody else wrote meanwhile."""
    writes = view.tables.writes
    yield from _every_row(view, lambda row: writers(writes.get(row.run_id, [])))
    yield from _every_row(view, lambda row: taken(writes.get(row.run_id, []), LEASE_SECONDS))
    yield from _every_row(view, lambda row: _text(view, row))
    for run_id, row in view.tables.rows.items():
        newest = max((write.attempt for write in writes.get(run_id, [])), default=0)
        if row.attempt != newest:
            yield f"{run_id}: is at attempt {row.attempt}, but {newest} wrote"


def _text(view: View, row: Row) -> Iterator[str]:
    log = [chunk for _, chunk in view.tables.logs.get(row.run_id, [])]
    yield from text_of_one_call(row, log, view.calls_of.get(view.label_of(row.run_id), []))


def one_row_one_event(view: View) -> Iterator[str]:
    """I4: one run for a request, one end told outside, and states told in their order."""
    labels = Counter(view.label_of(run_id) for run_id, run in view.runs.items() if not run["retry_of"])
    for label, count in labels.items():
        if count > 1:
            yield f"{label}: {count} runs"
        if label not in view.users:
            yield f"{label or 'a run'}: nobody asked for it"
    for label, ids in view.ids.items():
        if len(ids) > 1:
            yield f"{label}: callers were told {sorted(ids)}"
    told: defaultdict[str, list[str]] = defaultdict(list)
    for run_id, kind in view.tables.told:
        told[run_id].append(kind)
    yield from _every_row(view, lambda row: _told(view, row, told[row.run_id]))


def _told(view: View, row: Row, kinds: list[str]) -> Iterator[str]:
    states = [write.new_state for write in view.tables.writes.get(row.run_id, []) if write.new_state]
    changes = [state for state, before in zip(states, [None, *states], strict=False) if state != before]
    of_states = [kind for kind in kinds if kind in _STATES.values()]
    if of_states != [_STATES[state] for state in changes if state in _STATES]:
        yield f"told {of_states}, was {changes}"
    if row.state in TERMINAL and sum(kind in EVENTS for kind in kinds) != 1:
        yield f"its end was told {sum(kind in EVENTS for kind in kinds)} times"


def whole_streams(view: View) -> Iterator[str]:
    """I5: logs and streams without gap or repeat, one terminal frame, and the text that is stored."""
    yield from _every_row(view, lambda row: gaps(row, view.tables.logs.get(row.run_id, [])))
    yield from callers.streams(view)


def recovered(view: View) -> Iterator[str]:
    """I9: after the faults everything ends in time, and meanwhile whatever could."""
    seconds = view.facts["recovery_seconds"]
    if seconds > RECOVERY_SECONDS:
        yield f"it took {seconds:.1f} s to come to rest after the last fault"
    yield from _every_row(view, unfinished)
    yield from callers.too_slow(view, LIVE_SECONDS)


CHECKS: dict[str, Callable[[View], Iterator[str]]] = {
    "I1": accepted_tasks_end,
    "I2": one_terminal_state,
    "I3": newest_attempt,
    "I4": one_row_one_event,
    "I5": whole_streams,
    "I6": callers.strangers_words,
    "I7": effects.unallowed_or_repeated,
    "I8": resources.not_given_back,
    "I9": recovered,
    "I10": callers.forgotten_turns,
    "I11": failures.wrong_failures,
}
LOST, DUPLICATED, STALE = ("I1", "I10"), ("I2", "I4", "I5", "I7"), ("I3",)


if __name__ == "__main__":
    found = problems(Evidence.read(Path(sys.argv[1])))
    sys.stdout.write("".join(f"{problem}\n" for problem in found) or "all invariants hold\n")
    sys.exit(bool(found))
