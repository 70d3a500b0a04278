"""I5, I6, I9 and I10: what callers were told, beside what the tables and the ledger say."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from protos import orchestrator_pb2 as pb
from tests.chaos.evidence import chunk_of
from tests.chaos.outside import LABEL
from tests.chaos.view import View
from tests.integration.tasks.checker import shown_text

_WORD = re.compile(r"\b(\d+)\.\d\b")


def streams(view: View) -> Iterator[str]:
    """I5: each reader saw a log from its beginning, every chunk once, and the end last."""
    readers: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in view.lines("saw"):
        readers[line["reader"]].append(line)
    for lines in readers.values():
        run_id = lines[0]["run_id"]
        seen = [chunk_of(line["chunk"]) for line in lines]
        for what in _one_stream(seen, [chunk for _, chunk in view.tables.logs.get(run_id, [])]):
            yield f"{run_id} ({lines[0]['op']}): {what}"
    yield from _whole_answers(view)


def _one_stream(seen: list[pb.ChatChunk], log: list[pb.ChatChunk]) -> Iterator[str]:
    if [chunk.sequence for chunk in seen] != list(range(1, len(seen) + 1)):
        yield f"a reader saw {[chunk.sequence for chunk in seen]}"
    ends = [chunk.WhichOneof("payload") in ("complete", "error") for chunk in seen]
    if any(ends[:-1]):
        yield "a reader saw something after the end"
    if ends[-1] and len(seen) != len(log):
        yield f"a reader was told the end after {len(seen)} of {len(log)} chunks"
    if shown_text(seen) != shown_text(log[: len(seen)]):
        yield f"a reader was shown {shown_text(seen)!r}"


def _whole_answers(view: View) -> Iterator[str]:
    for line in view.lines("ok"):
        if line["kind"] == "chat" and not line.get("left"):
            row = view.tables.rows.get(line["run_id"])
            if row is None or row.result != line["text"]:
                yield f"{line['op']}: was told {line['text']!r}, kept is {row and row.result!r}"


def strangers_words(view: View) -> Iterator[str]:
    """I6: nobody was shown, and nothing done for anybody, what was another's."""
    yield from _words(view)
    for line in view.lines("shown"):
        if not _may_have(view, line["user"], line["text"]):
            yield f"{line['user']} was asked about another's entry"
    for call in view.evidence.tool_calls:
        if not _may_have(view, str(call["request"].get("user_id")), str(call["request"].get("text", ""))):
            yield f"the backend was called for {call['request'].get('user_id')} with another's entry"
    for run_id, run in view.runs.items():
        if view.users.get(view.label_of(run_id)) != run["owner"]:
            yield f"{run_id} ({view.label_of(run_id)}) belongs to {run['owner']}"


def _words(view: View) -> Iterator[str]:
    """Those of answers: in a stream only the operation's own, in a conversation only the user's."""
    authors = view.evidence.model_calls
    for line in view.lines("saw"):
        for word in _WORD.findall(chunk_of(line["chunk"]).content.text):
            if authors.get(int(word)) != line["op"]:
                yield f"{line['op']} was shown a word of {authors.get(int(word))}'s answer"
    for line in view.lines("kept"):
        for word in {word for _, text in line["turns"] for word in _WORD.findall(text)}:
            if view.users.get(authors.get(int(word), "")) != line["user"]:
                yield f"{line['user']}'s conversation has a word of {authors.get(int(word))}'s answer"


def _may_have(view: View, user: str, text: str) -> bool:
    found = LABEL.search(text)
    return found is None or view.users.get(found[1]) == user


def too_slow(view: View, most: float) -> Iterator[str]:
    """I9: no operation took longer than that by the liveness clock, nor goes on for longer at the end."""
    begun: dict[tuple[str, str], float] = {}
    for line in view.lines("invoke", "ok", "fail"):
        key = line["op"], line["kind"]
        if line["what"] == "invoke":
            begun[key] = line["live"]
        elif key in begun and (took := line["live"] - begun.pop(key)) > most:
            yield f"{key[0]}: {key[1]} took {took:.1f} s of the liveness clock"
    last = view.evidence.history[-1]["live"] if view.evidence.history else 0.0
    for (label, kind), since in begun.items():
        if last - since > most:
            yield f"{label}: {kind} has no end after {last - since:.1f} s of the liveness clock"


def forgotten_turns(view: View) -> Iterator[str]:
    """I10: what each user was answered stands in the conversation, once and in that order."""
    kept = {line["user"]: line["turns"] for line in view.lines("kept")}
    acknowledged: defaultdict[str, list[tuple[str, tuple[str, str]]]] = defaultdict(list)
    for line in view.lines("ok"):
        if line["kind"] == "chat" and line["op"][0] == "c" and not line.get("left"):
            acknowledged[line["user"]].append((line["op"], (line["run_id"], _first_word(line["text"]))))
    for user, turns in acknowledged.items():
        # A turn that was broken off may leave a state of its own, in which there is nothing new.
        answers = [(run_id, _first_word(text)) for run_id, text in kept.get(user, [])]
        for label, answer in turns:
            if answers.count(answer) != 1:
                yield f"{label} stands {answers.count(answer)} times in {user}'s conversation"
        places = [answers.index(answer) for _, answer in turns if answer in answers]
        if places != sorted(places):
            yield f"{user}'s turns stand in the order {places}"


def _first_word(text: str) -> str:
    return text.split(" ", maxsplit=1)[0]
