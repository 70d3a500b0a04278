"""What must be true once everything is over, of what callers were told, of the tables and of the ledger.

Reads nothing while the system runs and trusts none of its words: every call to the provider is answered with
a text of its own (`spoken`), so each word of a log says which call it came from; every write was noted with
the process that made it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.script import Script
from tests.integration.tasks.tables import TERMINAL, Row, Tables, Write

WORDS = 6
_ENDINGS = {"succeeded": "complete", "failed": "error", "cancelled": "error", "expired": "error"}
_BY_ITS_OWN = ("succeeded", "waiting_for_permission")
"""Nobody but the process that executes a run can know that of it."""
_HELD = ("running", "cancelling")
_NEWEST_BEAT = 0.1
EVENTS = {"run.completed", "run.failed", "run.cancelled", "run.expired"}


@dataclass(slots=True)
class ClientLog:
    """What callers were told: the id each query got, and the logged chunks each watcher was sent.

    `unanswered`: how often the query was sent before that without an answer. `kept`: for each task the text
    of the newest checkpoint of its conversation, and how many checkpoints that has.
    """

    accepted: dict[str, str] = field(default_factory=dict)
    unanswered: Counter[str] = field(default_factory=Counter)
    watched: dict[str, list[pb.ChatChunk]] = field(default_factory=dict)
    kept: dict[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProviderCall:
    """One call, in the order of arrival, numbered from 1."""

    number: int
    query: str


def spoken(count: int, *, token_interval: float = 0.0) -> list[Script]:
    """Answers to so many calls, the first one's first, none of which has a word of another."""
    return [
        Script(tokens=tuple(words_of(number)), token_interval=token_interval)
        for number in range(1, count + 1)
    ]


def words_of(number: int) -> list[str]:
    """What call `number` is answered with."""
    return [f"{number}.{word} " for word in range(WORDS)]


def problems(clients: ClientLog, tables: Tables, calls: Sequence[ProviderCall]) -> list[str]:
    """Everything that is wrong, each with its run; empty when all is well."""
    asked: defaultdict[str, list[int]] = defaultdict(list)
    for call in calls:
        asked[call.query].append(call.number)
    found = list(_strangers(clients, tables, asked))
    told: defaultdict[str, int] = defaultdict(int)
    for run_id, kind in tables.told:
        told[run_id] += kind in EVENTS
    for query, run_id in clients.accepted.items():
        row = tables.rows.get(run_id)
        if row is None:
            found.append(f"{run_id}: lost")
            continue
        log = tables.logs.get(run_id, [])
        wrong = [
            *unfinished(row),
            *gaps(row, log),
            *ends(row, log, tables.writes.get(run_id, [])),
            *writers(tables.writes.get(run_id, [])),
            *_calls(row, asked[query], clients.unanswered[query]),
            *text_of_one_call(row, [chunk for _, chunk in log], asked[query]),
            *_conversation(row, clients.kept.get(run_id)),
            *watched(clients.watched.get(run_id), [chunk for _, chunk in log]),
        ]
        if told[run_id] != 1:
            wrong.append(f"the outbox tells {told[run_id]} ends")
        found += [f"{run_id} ({query}): {what}" for what in wrong]
    return found


def _strangers(clients: ClientLog, tables: Tables, asked: Mapping[str, object]) -> Iterator[str]:
    """Runs that nobody was told of, and calls that nobody asked for."""
    for run_id in tables.rows.keys() - set(clients.accepted.values()):
        yield f"{run_id}: no caller knows it"
    for query in asked.keys() - clients.accepted.keys():
        yield f"a call for {query!r}, which nobody asked"
    if len(set(clients.accepted.values())) != len(clients.accepted):
        yield "two requests got one id"


def unfinished(row: Row) -> Iterator[str]:
    """Whether it has come to an end."""
    if row.state not in TERMINAL:
        yield f"still {row.state}"


def gaps(row: Row, log: Sequence[tuple[bool, pb.ChatChunk]]) -> Iterator[str]:
    """A log has every sequence, once, in order."""
    sequences = [chunk.sequence for _, chunk in log]
    if sequences != list(range(1, row.last_sequence + 1)):
        yield f"its log has {sequences}, it should reach to {row.last_sequence}"


def ends(row: Row, log: Sequence[tuple[bool, pb.ChatChunk]], writes: Sequence[Write]) -> Iterator[str]:
    """One terminal state and one terminal record, both last, of one meaning; of what has ended."""
    if row.state not in TERMINAL:
        return
    if [last for last, _ in log if last] != [True] or not log[-1][0]:
        yield f"terminal records: {[chunk.sequence for last, chunk in log if last]}"
    elif log[-1][1].WhichOneof("payload") != _ENDINGS[row.state]:
        yield f"{row.state}, but its log ends {log[-1][1].WhichOneof('payload')}"
    changes = [write for write in writes if write.new_state]
    if [change.new_state in TERMINAL for change in changes] != [False] * (len(changes) - 1) + [True]:
        yield f"its states were {[change.new_state for change in changes]}"
    if sum(write.terminal is True for write in writes) != 1:
        yield "its end was written more than once"


def writers(writes: Sequence[Write]) -> Iterator[str]:
    """While an attempt owns a run its process alone writes; others may end it or put it back, no more.

    They may do that to a run whose process is silent; how long that takes is the caller's to say: `taken`.
    """
    holder: str | None = None
    for place, write in enumerate(writes):
        if write.thing is not None and (write.writer != holder or _has_ended(writes[:place])):
            yield f"{write.writer} wrote its {write.thing} in {holder}'s attempt {write.attempt}"
        elif write.sequence is not None and write.writer != holder and not _may_write(writes, place, holder):
            yield f"{write.writer} wrote record {write.sequence} in {holder}'s attempt {write.attempt}"
        elif write.new_state in _BY_ITS_OWN and write.writer != holder:
            yield f"{write.writer} made it {write.new_state} in {holder}'s attempt {write.attempt}"
        elif write.new_state == "running":
            if holder is not None:
                yield f"{write.writer} took it from {holder}, who had it still"
            holder = write.writer
        elif write.new_state in ("queued", "waiting_for_permission"):
            holder = None


def taken(writes: Sequence[Write], lease_seconds: float) -> Iterator[str]:
    """Nobody ends a run, or puts it back, whose process beats.

    A beat that is as good as new may have come after whoever took the run had looked.
    """
    holder: str | None = None
    for write in writes:
        if write.new_state == "running":
            holder = write.writer
        elif write.old_state in _HELD and write.new_state not in _HELD and write.writer != holder:
            age = write.beat_age
            if age is not None and _NEWEST_BEAT < age < lease_seconds:
                yield (
                    f"{write.writer} made it {write.new_state} in {holder}'s attempt {write.attempt}, "
                    f"who had beaten {age:.2f} s before"
                )


def _has_ended(writes: Sequence[Write]) -> bool:
    return any(write.new_state in TERMINAL for write in writes)


def _may_write(writes: Sequence[Write], place: int, holder: str | None) -> bool:
    """Whoever changes a run's state may write of that, if no other's attempt owns the run or it ends so."""
    record = writes[place]
    before = next((write for write in reversed(writes[:place]) if write.new_state), None)
    after = next((write for write in writes[place:] if write.new_state), None)
    if record.sequence == 1 and record.attempt == 0:
        return True
    if record.terminal:
        settled = (change for change in (before, after) if change is not None)
        return any((c.writer, c.new_state in TERMINAL) == (record.writer, True) for c in settled)
    changes = {change.writer for change in (before, after) if change is not None}
    return holder is None and record.writer in changes


def _calls(row: Row, asked: Sequence[int], unanswered: int) -> Iterator[str]:
    """An attempt calls once. The first one calls before its row is committed, which may never happen."""
    if len(asked) > row.attempt + unanswered:
        yield f"calls {asked} in {row.attempt} attempts, after {unanswered} requests without an answer"
    if row.state == "succeeded" and not asked:
        yield "succeeded without a call"


def text_of_one_call(row: Row, log: Sequence[pb.ChatChunk], asked: Sequence[int]) -> Iterator[str]:
    """The text of an attempt is of one call, and no call's comes again once another's has begun.

    Attempts in a row have the same one when the answer was in a checkpoint before the first of them died.
    """
    authors = [list(dict.fromkeys(word.split(".")[0] for word in text.split())) for text in _segments(log)]
    in_order = [author for author, _ in groupby(author for attempt in authors for author in attempt)]
    if any(len(of_attempt) != 1 for of_attempt in authors) or len(set(in_order)) != len(in_order):
        yield f"the text of its attempts is of the calls {authors}"
    if not set(in_order) <= {str(number) for number in asked}:
        yield f"text of another task's call: {authors}, its own are {asked}"
    if row.state != "succeeded":
        return
    whole = "".join(words_of(int(in_order[-1]))) if in_order else "nothing"
    shown, final = shown_text(log), log[-1].complete.final_text
    if not shown == row.result == final == whole:
        yield f"shown {shown!r}, result {row.result!r}, final {final!r}, said {whole!r}"


def _conversation(row: Row, kept: tuple[str, int] | None) -> Iterator[str]:
    if kept is not None and row.state == "succeeded" and kept != (row.result.strip(), 1):
        yield f"its conversation keeps {kept}, the result is {row.result!r}"


def _segments(log: Iterable[pb.ChatChunk]) -> Iterator[str]:
    """The text of each attempt that has any: it begins with a reset, or by saying that the run is running."""

    def begins(chunk: pb.ChatChunk) -> bool:
        return chunk.HasField("reset") or chunk.HasField("status")

    for beginning, chunks in groupby(log, key=begins):
        text = "".join(chunk.content.text for chunk in chunks)
        if not beginning and text:
            yield text


def shown_text(log: Iterable[pb.ChatChunk]) -> str:
    """What is left after discarding what each reset says."""
    shown: list[pb.ChatChunk] = []
    for chunk in log:
        if chunk.HasField("reset"):
            shown = [c for c in shown if c.sequence < chunk.reset.from_sequence]
        shown.append(chunk)
    return "".join(chunk.content.text for chunk in shown)


def watched(seen: Sequence[pb.ChatChunk] | None, log: Sequence[pb.ChatChunk]) -> Iterator[str]:
    """Who watched saw the log, all of it, once and in order."""
    if seen is None:
        return
    if [chunk.sequence for chunk in seen] != [chunk.sequence for chunk in log]:
        yield f"its watcher saw {[chunk.sequence for chunk in seen]}"
    elif shown_text(seen) != shown_text(log):
        yield f"its watcher was shown {shown_text(seen)!r}"
