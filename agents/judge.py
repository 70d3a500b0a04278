"""Which of a model's wishes are allowed, which are refused, and which a person decides."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol
from uuid import uuid4

from agents.calls import Call, ToolUser, changed, speakable
from agents.events import ToolAnswered
from agents.turn import Emit
from agents.watching import ToolObserver, Unwatched
from state.models import ConversationId, Owner, RunId
from state.permissions import Grants, PermissionState, Question
from tools import policy
from tools.arguments import ArgumentError, canonical, checked, digest
from tools.base import Offer, Tool
from tools.policy import PolicyContext, Verdict

_SHOWN_CHARACTERS = 500
"""Of the question and the reasons, to the person who decides."""
GRAPH_QUESTION = "graph.interrupt"
"""Stands for a tool where a caller's own graph asks a question; no tool can be called that."""

_GRAPH_ASKS = Tool(GRAPH_QUESTION, "", {}, "interrupt", destructive=True)
"""Nobody knows what it does with the answer."""

_DENIED = "It may not be used here."
_CUT = "It was begun before and cut off: nobody knows whether it was done. Do it again?"
_WAS_CUT = " It was begun before and cut off: nobody knows whether it was done then."
_UNSEEN = "Mind: the arguments hold characters that cannot be seen. "
_ILLEGIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
"""What makes a text look as if it said something else."""

_INVISIBLE = frozenset({"Cf", "Cn", "Co", "Zl", "Zp"})


class Consent(Protocol):
    """What was approved beyond one call."""

    async def standing(self, owner: Owner, conversation_id: ConversationId, run_id: RunId) -> Grants: ...


@dataclass(frozen=True, slots=True)
class _Ruling:
    """`text` tells the model why not, `reason` the run's readers."""

    state: Literal["asked", "allowed", "over"]
    arguments: str = ""
    digest: str = ""
    text: str = ""
    reason: str = ""


class Judge:
    """Rules on the wishes of one run."""

    def __init__(
        self,
        user: ToolUser,
        offers: Mapping[str, Offer],
        consent: Consent,
        emit: Emit,
        *,
        observer: ToolObserver | None = None,
    ) -> None:
        self._user = user
        self._observer = observer or Unwatched()
        self._offers = offers
        self._consent = consent
        self._emit = emit

    async def ruled(self, wishes: Sequence[Call], *, tainted: bool) -> list[Call]:
        """Each wish with what becomes of it, by agent, operator, grants and approvals that stand.

        Raises:
            DatabaseUnavailableError: The approvals cannot be read.
        """
        rulings = [self._ruling(wish, tainted, {}) for wish in wishes]
        if any(ruling.state == "asked" for ruling in rulings):
            user = self._user
            standing = await self._consent.standing(user.owner, user.conversation_id, user.run_id)
            rulings = [self._ruling(wish, tainted, standing) for wish in wishes]
        return [self._applied(wish, ruling) for wish, ruling in zip(wishes, rulings, strict=True)]

    def refused(self, call: Call, text: str, reason: str) -> Call:
        """A call that is not made: the model is told why, and so is who reads the run."""
        name = speakable(call["name"])
        self._observer.refused(name, reason)
        self._emit(ToolAnswered(call["id"], name, ok=False, summary="not called", reason=reason))
        return changed(call, state="over", text=f"Not called. {text}")

    def question(self, call: Call, reasoning: str) -> dict[str, Any]:
        """What a person is asked: the values of a `Question`, plain."""
        tool = self._tool(call)
        why = _CUT if call.get("cut") else reasoning or f"The agent wants to use {tool.name}."
        notice = _UNSEEN if _has_unseen(call["arguments"]) else ""
        question = Question(
            permission_id=call["permission_id"],
            tool_call_id=call["id"],
            tool_name=tool.name,
            operation_type=tool.operation_type,
            arguments=call["arguments"].encode(),
            digest=call["digest"],
            query=legible(self._user.query)[:_SHOWN_CHARACTERS],
            reasoning=notice + legible(why)[:_SHOWN_CHARACTERS],
            safety_level=policy.safety_level(tool),
            reversible=policy.reversible(tool),
            allowed_scopes=policy.allowed_scopes(tool),
        )
        scopes = [scope.value for scope in question.allowed_scopes]
        return {**asdict(question), "arguments": call["arguments"], "allowed_scopes": scopes}

    def decided(self, call: Call, decision: Mapping[str, str]) -> Call:
        """A call once a person, or the time, has decided: `state`, `reason`, `arguments`, `digest`."""
        if decision["state"] == PermissionState.APPROVED:
            if self._denied(call):
                return self.refused(call, _DENIED, "PERMISSION_DENIED")
            told = {"arguments": decision["arguments"], "digest": decision["digest"]}
            return changed(call, state="allowed", **told)
        expired = decision["state"] == PermissionState.EXPIRED
        why = "Nobody allowed it in time." if expired else "The person said no."
        if decision["reason"]:
            why += f" Reason: {decision['reason']}"
        if call.get("cut"):
            why += _WAS_CUT
        return self.refused(call, why, "PERMISSION_DENIED")

    def _ruling(self, wish: Call, tainted: bool, standing: Grants) -> _Ruling:
        user, offer = self._user, self._offers.get(wish["name"])
        if offer is None:
            return _Ruling("over", text="There is no such tool here.", reason="UNKNOWN_TOOL")
        try:
            arguments = checked(offer.tool, wish["arguments"])
        except ArgumentError as error:
            return _Ruling("over", text=str(error), reason="INVALID_ARGUMENTS")
        context = PolicyContext(user.overrides, user.operator, user.grants, standing, tainted)
        match policy.verdict(offer.tool, context):
            case Verdict.ALLOW:
                return _Ruling("allowed", canonical(arguments).decode(), digest(arguments))
            case Verdict.ASK:
                return _Ruling("asked", canonical(arguments).decode(), digest(arguments))
            case _:
                return _Ruling("over", text=_DENIED, reason="PERMISSION_DENIED")

    def _denied(self, call: Call) -> bool:
        """Whether agent or operator forbid the tool by now: no consent is above that."""
        offer = self._offers.get(call["name"])
        context = PolicyContext(self._user.overrides, self._user.operator)
        return offer is not None and policy.verdict(offer.tool, context) is Verdict.DENY

    def _applied(self, wish: Call, ruling: _Ruling) -> Call:
        if ruling.state == "over":
            return self.refused(wish, ruling.text, ruling.reason)
        ruled = changed(wish, state=ruling.state, arguments=ruling.arguments, digest=ruling.digest)
        return changed(ruled, permission_id=uuid4().hex) if ruling.state == "asked" else ruled

    def _tool(self, call: Call) -> Tool:
        if call["name"] == GRAPH_QUESTION:
            return _GRAPH_ASKS
        offer = self._offers.get(call["name"])
        # Switched off since the model wished for it: asked about with the greatest care, and then not called.
        return offer.tool if offer else Tool(call["name"], "", {}, "external_api", destructive=True)


def _has_unseen(arguments: str) -> bool:
    """Whether a person who is shown them does not see all there is."""
    return any(unicodedata.category(character) in _INVISIBLE for character in arguments)


def legible(text: str) -> str:
    """Without what makes a text look as if it said something else."""
    return _ILLEGIBLE.sub("", text)
