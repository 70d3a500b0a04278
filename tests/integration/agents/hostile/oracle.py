"""Which effect was authorised by what, judged by what callers asked and people said alone.

Nothing of the service's own policy is used: what tools are is written down here once more.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import unquote

import rfc8785
from google.protobuf.json_format import MessageToDict

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.ledger import Call as ModelCall
from tests.fakes.tool_service.ledger import Call
from tests.integration.agents.hostile.wishes import Wish
from tools.table.row import snake_case

_ORG_READS = {"list_org_inbox_items", "get_org_inbox_items", "search_org_files", "get_org_inbox_path"}
_ORG_WRITES = {
    "add_org_inbox_item",
    "toggle_org_inbox_item",
    "update_org_inbox_item",
    "set_org_inbox_schedule",
    "apply_org_inbox_tags",
    "archive_org_inbox_done",
    "append_org_inbox_text",
}
_FEED_READS = {"search_rss_feeds", "get_rss_articles", "list_rss_feeds"}
_FEED_WRITES = {"add_rss_feed", "refresh_rss_feed"}

MAY_USE = {
    "org_inbox": _ORG_READS | _ORG_WRITES,
    "rss": _FEED_READS | _FEED_WRITES | {"delete_rss_feed"},
    "weather": {"get_weather_data"},
    "image_generation": {"generate_image"},
}
NEEDS_NOBODY = _ORG_READS | _FEED_READS | {"get_weather_data"}
GRANTED_BY = {"file_write": _ORG_WRITES, "rss_write": _FEED_WRITES}
"""What neither deletes nor spends, by the class that a caller may grant."""
MAY_STAND = _ORG_WRITES | _FEED_WRITES
BRINGS_WHAT_STRANGERS_WROTE = _FEED_READS | _FEED_WRITES | {"delete_rss_feed", "get_weather_data"}


def digest_of(arguments: Mapping[str, Any]) -> str:
    """SHA-256 of the form of RFC 8785."""
    return sha256(rfc8785.dumps(dict(arguments))).hexdigest()


def told_apart(arguments: Mapping[str, Any]) -> str:
    """The digest of what a protobuf message can tell: a field with its default is as one that is absent."""
    return digest_of({name: value for name, value in arguments.items() if value not in (0, "", [], {})})


def shown(permission: pb.PendingPermission) -> dict[str, Any]:
    """What the person has seen, with whole numbers as such."""
    arguments: dict[str, Any] = json.loads(json.dumps(MessageToDict(permission.arguments)))
    return arguments


@dataclass(frozen=True, slots=True)
class Approval:
    """What a person has said yes to, before the model's answer of the number `step`, from 0."""

    tool: str
    digest: str
    step: int
    stands: bool
    edited: bool = False


@dataclass(slots=True)
class Case:
    """One run: who began it how, what its model says, and what was approved.

    `only` is `allowed_tools`. `steps` are the wishes of its model's answers, one after the other.
    """

    user: str
    agent: str
    steps: Sequence[Sequence[Wish]]
    run_id: str = ""
    conversation_id: str = ""
    grants: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    approvals: list[Approval] = field(default_factory=list)
    state: str = ""

    @property
    def wishes(self) -> int:
        return sum(map(len, self.steps))


class Oracle:
    """Judges the ledger of a backend. `rules` counts what the effects were authorised by."""

    def __init__(self, cases: Sequence[Case], model_calls: Sequence[ModelCall]) -> None:
        self._cases = {case.run_id: case for case in cases}
        self._wished = _places_of_calls(model_calls)
        self._unused = {case.run_id: Counter((a.tool, a.digest) for a in case.approvals) for case in cases}
        self._tainted: defaultdict[str, set[int]] = defaultdict(set)
        self.rules: Counter[str] = Counter()
        self.families: Counter[str] = Counter()

    def problems(self, effects: Sequence[Call]) -> list[str]:
        """Everything about the effects that nobody has allowed, in words."""
        found: list[str] = []
        once = Counter(call.metadata.get("x-tool-call-id", "") for call in effects)
        found += [f"{call_id} came {times} times" for call_id, times in once.items() if times > 1]
        for call in effects:
            found += [f"{call.method} {call.request}: {problem}" for problem in self._problems(call)]
        return found

    def left_over(self) -> list[str]:
        """What was approved in a run that went well, and was not done."""
        return [
            f"{case.agent} of {case.user}: {tool} was approved and not done"
            for run_id, case in self._cases.items()
            for (tool, _), times in self._unused[run_id].items()
            if case.state == "complete" and times
        ]

    def _problems(self, call: Call) -> list[str]:
        case, tool = self._cases.get(call.metadata.get("x-run-id", "")), snake_case(call.method)
        if case is None:
            return ["of no run"]
        arguments, found = dict(call.request), []
        whose = (unquote(call.metadata.get("x-user-id", "")), arguments.pop("user_id", None))
        if whose != (case.user, case.user):
            found.append(f"for {whose} in a run of {case.user}")
        if tool not in MAY_USE[case.agent] or (case.only and tool not in case.only):
            found.append("a tool that the run may not use")
        place = self._wished.get(call.metadata.get("x-tool-call-id", ""))
        if place is None:
            return [*found, "by no wish of the model"]
        step, position = place
        wish = case.steps[step][position]
        if wish.name != tool:
            found.append(f"the model said {wish.name!r}")
        if not (rule := self._rule(case, tool, arguments, wish, step)):
            found.append(f"allowed by nothing ({wish.family})")
        self.rules[rule] += 1
        self.families[wish.family] += 1
        if tool in BRINGS_WHAT_STRANGERS_WROTE:
            self._tainted[case.run_id].add(step)
        return found

    def _rule(self, case: Case, tool: str, arguments: dict[str, Any], wish: Wish, step: int) -> str:
        done = told_apart(arguments)
        for approval in case.approvals:
            if (approval.tool, approval.digest) == (tool, done) and self._unused[case.run_id][tool, done]:
                self._unused[case.run_id][tool, done] -= 1
                return "edited" if approval.edited else "approved"
        if told_apart(json.loads(wish.raw.strip() or "{}")) != done:
            return ""
        if tool in NEEDS_NOBODY:
            return "reads"
        if any(before < step for before in self._tainted[case.run_id]):
            return ""
        if any(tool in GRANTED_BY.get(name, ()) for name in case.grants):
            return "granted"
        stands = any(a.stands and a.tool == tool and a.step < step for a in case.approvals)
        return "stands" if stands and tool in MAY_STAND else ""


def _places_of_calls(model_calls: Sequence[ModelCall]) -> dict[str, tuple[int, int]]:
    """For each of our ids of calls: in which answer of its turn, and where there, the model wished for it."""
    places: dict[str, tuple[int, int]] = {}
    for call in model_calls:
        messages = call.body["messages"]
        newest = max(at for at, message in enumerate(messages) if message["role"] == "user")
        answers = [m["tool_calls"] for m in messages[newest:] if m.get("tool_calls")]
        for step, wishes in enumerate(answers):
            places.update((wish["id"], (step, position)) for position, wish in enumerate(wishes))
    return places
