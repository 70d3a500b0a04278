"""I7: what was done outside was allowed, with just these arguments, and done once."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from tests.chaos.view import View
from tests.integration.agents.hostile.oracle import digest_of

_WRITE = "AddOrgInboxItem"


def unallowed_or_repeated(view: View) -> Iterator[str]:
    """Each call rests on an approval of its own, each effect was had once, each question decided once."""
    calls = [call for call in view.evidence.tool_calls if call["method"] == _WRITE]
    done = Counter(_call_id(call) for call in calls if call["effect"])
    for call_id, times in done.items():
        if times > 1:
            yield f"{call_id} was done {times} times"
    yield from _unallowed(view, calls)
    yield from _decided_again(view)
    yield from _undone(view, set(done))


def _call_id(call: dict[str, Any]) -> str:
    return str(call["metadata"].get("x-tool-call-id", ""))


def _unallowed(view: View, calls: list[dict[str, Any]]) -> Iterator[str]:
    allowed: defaultdict[str, list[str]] = defaultdict(list)
    for row in view.evidence.permissions:
        if row["state"] == "approved":
            allowed[row["tool_call_id"]].append(row["allows"])
    for call in calls:
        arguments = {name: value for name, value in call["request"].items() if name != "user_id"}
        try:
            allowed[_call_id(call)].remove(digest_of(arguments))
        except ValueError:
            yield f"{_call_id(call)} {arguments} was allowed by nobody"


def _decided_again(view: View) -> Iterator[str]:
    for row in view.evidence.permissions:
        if row["decided"] != (row["state"] in ("approved", "denied")):
            yield f"permission {row['permission_id']} is {row['state']}, decided {row['decided']} times"
    first = Counter(line["op"] for line in view.lines("ok") if line.get("first"))
    for permission, times in first.items():
        if times > 1:
            yield f"{times} callers were told that they decided {permission}"


def _undone(view: View, done: set[str]) -> Iterator[str]:
    """What was approved is done, or was told to have failed, in a run that ended well."""
    well = {run_id for run_id, row in view.tables.rows.items() if row.state == "succeeded"}
    refused = {row["tool_call_id"] for row in view.evidence.permissions if row["state"] == "denied"}
    told = {
        chunk.tool_result.tool_call_id.replace("-", ""): chunk.tool_result.ok
        for run_id in well
        for _, chunk in view.tables.logs.get(run_id, [])
        if chunk.HasField("tool_result")
    }
    for row in view.evidence.permissions:
        call_id = row["tool_call_id"]
        is_due = row["state"] == "approved" and row["run_id"] in well and call_id not in refused | done
        if is_due and told.get(call_id, True):
            yield f"{call_id} was approved and not done"
