"""What a run says that its limits have ended before its model could."""

from collections.abc import Iterator, Sequence

from agents.images import StoredMessage
from agents.legible import line
from agents.sources import findings
from providers.pool.run_budget import Limit

CLOSING = (
    "This is your last answer: the run has come to its limit, and no tool can be used any more. Answer now "
    "with what you have. Say plainly what was found or done, and what is missing or was not done."
)
_WORDS = {
    Limit.DURATION: "its limit of time",
    Limit.OUTPUT_TOKENS: "its limit of written tokens",
    Limit.TOTAL_TOKENS: "its limit of tokens",
    Limit.STEPS: "its limit of steps",
    Limit.TOOL_CALLS: "its limit of tool calls",
    Limit.COST: "its limit of costs",
    Limit.REPEATED_CHUNKS: "an answer that only repeated itself",
}
_MOST, _LONGEST = 10, 120


def stopped(limit: str) -> str:
    """The sentence that says which limit of the run it was."""
    return f"I had to stop here: the run came to {_WORDS[Limit(limit)]}."


def unfinished(limit: str, messages: Sequence[StoredMessage]) -> str:
    """That sentence, then what the tools have brought in the messages of the turn, a line each."""
    found = list(_found(messages))
    if not found:
        return f"{stopped(limit)} Nothing was found or done until then."
    more = [f"- and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return "\n".join([f"{stopped(limit)} Until then:", *found[:_MOST], *more])


def _found(messages: Sequence[StoredMessage]) -> Iterator[str]:
    sources = findings(messages).sources
    for source in sources:
        address = source.uri or source.document_id
        title = line(source.title, _LONGEST)
        yield f"- {title} ({address})" if title and address else f"- {title or address}"
    if not sources:
        results = {m["tool_call_id"] for m in messages if m["role"] == "tool"}
        calls = [call for m in messages for call in m.get("tool_calls", ()) if call["id"] in results]
        yield from (f"- {call['name']} was asked for" for call in calls)
